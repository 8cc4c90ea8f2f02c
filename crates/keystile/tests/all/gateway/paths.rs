//! What was judged is what is forwarded, to the byte (G-11).

use keystile_testkit::raw::Answer;
use serde_json::json;

use super::Stage;

/// Between an open and a closed place: ways out that some server has followed.
const WAYS: [&str; 62] = [
    "/../",
    "/..%2f",
    "/..%2F",
    "%2f../",
    "%2f..%2f",
    "/%2e%2e/",
    "/%2E%2E/",
    "/.%2e/",
    "/%2e./",
    "/%2e%2e%2f",
    "/..;/",
    "/..;a=b/",
    "/;/../",
    "/..\\",
    "\\..\\",
    "/..%5c",
    "%5c..%5c",
    "/..%5C..%5C",
    "/%252e%252e/",
    "/%252e%252e%252f",
    "/..%252f",
    "/%25%32%65%25%32%65/",
    "/..%c0%af",
    "/%c0%ae%c0%ae/",
    "/%e0%80%ae%e0%80%ae/",
    "/..%ef%bc%8f",
    "/\u{2025}/",
    "/./../",
    "//../",
    "/../../",
    "/x/../../",
    "/x/..//../",
    "/.../",
    "/..../",
    "/..%00/",
    "/%00../",
    "/..%0d%0a/",
    "/..%09/",
    "/.. /",
    "/..%20/",
    "/%20../",
    "/..?/",
    "/..#/",
    "/..%3f/",
    "/..%23/",
    "/..%3b/",
    "/..+/",
    "/..*/",
    "/..~/",
    "/..!/",
    "/..:/",
    "/..%u2215",
    "/%u002e%u002e/",
    "/..%%32%66",
    "/..%%2f",
    "/%2e%2e;/",
    "/.;/../",
    "/..;%2f",
    "/%2e/%2e%2e/",
    "/~/../",
    "/..%26/",
    "/..@/",
];

/// Behind a closed place: endings that some server ignores.
const ENDINGS: [&str; 30] = [
    "", "/", "//", "/.", "/..", "/./", "/../", ";", ";/", ";a=b", "%20", "%09", "%00", "%0a", ".", "..", "%2e", "%2f",
    "%5c", "\\", "/*", "?", "#", "~", ".json", ".html", "..;/", "/;/", "%23", "%3f",
];

/// At the front of a target that should begin with an open place.
const FRONTS: [&str; 22] = [
    "//",
    "///",
    "/./",
    "/../",
    "/.//",
    "/;/",
    "/.;/",
    "/%2f",
    "/%2e/",
    "/%2e%2e/",
    "/%5c",
    "\\",
    "/\\",
    "/%09",
    "/%20",
    "/%00",
    "/x/../",
    "/x%2f..%2f",
    "/X/..;/",
    "/..;/",
    "//x//..//",
    "/%252f",
];

/// The canonical form of a path, worked out here a second time and more simply: every escape of a letter, digit or one of
/// `-._~` is undone, others get upper-case digits, and slashes that follow each other are one.
fn canonical(path: &str) -> String {
    let mut out = String::new();
    let mut rest = path;
    while let Some(character) = rest.chars().next() {
        let escape = rest.strip_prefix('%').and_then(|digits| digits.get(..2));
        if let Some(value) = escape.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            let plain = char::from(value);
            if plain.is_ascii_alphanumeric() || "-._~".contains(plain) {
                out.push(plain);
            } else {
                out.push_str(&rest[..3].to_ascii_uppercase());
            }
            rest = &rest[3..];
            continue;
        }
        if character != '/' || !out.ends_with('/') {
            out.push(character);
        }
        rest = &rest[character.len_utf8()..];
    }
    out
}

/// Nothing in it that any server reads in another way.
fn has_one_meaning(path: &str) -> bool {
    let lower = path.to_ascii_lowercase();
    let odd = ["//", "%2e", "%2f", "%5c", "%00", "%25", "\\", ";", " ", "%u", "%0", "%1"];
    path.starts_with('/')
        && path.bytes().all(|byte| (0x21..0x7f).contains(&byte))
        && !odd.iter().any(|odd| lower.contains(odd))
        && !path.split('/').any(|segment| segment.ends_with('.') || segment == "..")
}

/// Sends a target and gives the answer, with what the upstream saw of it.
fn send(stage: &Stage, target: &str) -> (Answer, Option<String>) {
    let request =
        stage.raw(&format!("GET {target} HTTP/1.1\r\nHost: {{host}}\r\nAuthorization: Bearer {{key}}\r\n\r\n"));
    let answer = stage.answer(&request);
    let mut seen = stage.upstream.take_requests();
    assert!(seen.len() <= 1, "{target}");
    assert_eq!(stage.upstream.faults(), [] as [String; 0], "{target}");
    (answer, seen.pop().map(|request| request.target))
}

/// A target is refused, or forwarded in its canonical form and only below `open`.
fn stays_inside(stage: &Stage, target: &str, open: &str, base: &str) -> bool {
    let (answer, seen) = send(stage, target);
    let Some(seen) = seen else {
        let code = answer.code();
        // What is not this API's is another one's on the shared server, to which the key has no access.
        let known = ["request_malformed", "operation_forbidden", "route_unknown", "not_activated"].contains(&&*code);
        assert!(known && [400, 403, 404].contains(&answer.status), "{target}: {} {code}", answer.status);
        return false;
    };
    assert_eq!(answer.status, 200, "{target}");
    let (path, query) = seen.split_once('?').map_or((&*seen, None), |(path, query)| (path, Some(query)));
    let (asked, asked_query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    assert!(has_one_meaning(path), "{target} became {seen}");
    let expected = canonical(asked);
    assert_eq!(query, asked_query, "{target}");
    let inside = path.strip_prefix(base).unwrap_or_else(|| panic!("{target} became {seen}"));
    assert!(expected == inside || expected == format!("{open}{inside}"), "{target} became {seen}, not {expected}");
    assert!(expected == open || expected.starts_with(&format!("{open}/")), "{target} became {seen}");
    true
}

#[test]
fn g11_no_spelling_leads_out_of_what_a_key_may_call() {
    let stage = Stage::with(json!({}), json!({ "restrictions": { "paths": ["/public/**"] } }));
    let mut targets: Vec<String> = Vec::new();
    for way in WAYS {
        targets.push(format!("/public{way}private/secret"));
        targets.push(format!("/public/a{way}private"));
        targets.push(format!("/public{way}"));
    }
    for ending in ENDINGS {
        targets.push(format!("/private/secret{ending}"));
        targets.push(format!("/private/secret{ending}/public/x"));
        targets.push(format!("/public{ending}"));
        targets.push(format!("/public/x{ending}"));
    }
    for front in FRONTS {
        targets.push(format!("{front}private/secret"));
        targets.push(format!("{front}public/x"));
    }
    for spelling in [
        "/PRIVATE/secret",
        "/Public/x",
        "/%70ublic/x",
        "/%50ublic/x",
        "/publi%63",
        "/publicx",
        "/public%2fx",
        "/public?/../private",
    ] {
        targets.push(spelling.to_owned());
    }
    assert!(targets.len() >= 300, "{} spellings", targets.len());
    let forwarded = targets.iter().filter(|target| stays_inside(&stage, target, "/public", "")).count();
    println!("{forwarded} of {} spellings were forwarded in canonical form", targets.len());
    assert!(forwarded > 10, "harmless spellings go on: {forwarded}");
}

#[test]
fn g11_no_spelling_leads_out_of_the_path_of_an_api() {
    for strip in [false, true] {
        let settings = json!({ "path_prefix": "/shop", "strip_prefix": strip });
        let stage = Stage::with(settings, json!({}));
        for way in WAYS {
            for target in [format!("/shop{way}private"), format!("/shop/a{way}private"), format!("/shop{way}")] {
                stays_inside(&stage, &target, "/shop", "");
            }
        }
        for front in FRONTS {
            stays_inside(&stage, &format!("{front}shop/x"), "/shop", "");
            stays_inside(&stage, &format!("{front}private"), "/shop", "");
        }
        for target in ["/shopping", "/SHOP/x", "/", "/private", "/shop.", "/shop%20", "/%73hop;x/"] {
            assert!(!stays_inside(&stage, target, "/shop", ""), "{target}");
        }
        for (target, plain, stripped) in [
            ("/shop", "/shop", "/"),
            ("/shop/", "/shop/", "/"),
            ("/shop/a?b=/../c", "/shop/a?b=/../c", "/a?b=/../c"),
            ("//shop//a//", "/shop/a/", "/a/"),
            ("/%73hop/%61%c3%a9", "/shop/a%C3%A9", "/a%C3%A9"),
        ] {
            let (answer, seen) = send(&stage, target);
            assert_eq!(answer.status, 200, "{target}");
            assert_eq!(seen.as_deref(), Some(if strip { stripped } else { plain }), "{target}");
        }
    }
}

#[test]
fn g11_no_spelling_leads_out_of_the_base_of_an_upstream() {
    let stage = Stage::new();
    let upstream = format!("{}/base", stage.upstream.url());
    let changed = stage.manage.patch(&format!("/v1/apis/{}", stage.api_id), &json!({ "upstream": upstream }));
    assert_eq!(changed.0, 200, "{}", changed.1);
    for way in WAYS {
        for target in [format!("{way}private"), format!("/x{way}private"), way.to_owned()] {
            // Without a slash in front it is no target of its own.
            let target = if target.starts_with('/') { target } else { format!("/{target}") };
            stays_inside_base(&stage, &target);
        }
    }
}

fn stays_inside_base(stage: &Stage, target: &str) {
    let (answer, seen) = send(stage, target);
    match seen {
        None => assert_eq!((answer.status, &*answer.code()), (400, "request_malformed"), "{target}"),
        Some(seen) => {
            let path = seen.split('?').next().unwrap_or_default();
            assert!(path.starts_with("/base/") && has_one_meaning(path), "{target} became {seen}");
        }
    }
}

#[test]
fn g11_a_canonical_target_goes_on_as_it_came() {
    let stage = Stage::new();
    for target in [
        "/",
        "/a/b.c/d-e_f~g",
        "/a:b@c/!$&'()*+,=",
        "/caf%C3%A9",
        "/a%20b",
        "/a%3Bb",
        "/a?",
        "/a?b=c&d=%2e%2e%2f//x;y",
        "/a?b=\\^`{|}[]",
        "/?/../..",
        "/.well-known/x",
        "/...a/..b",
    ] {
        let (answer, seen) = send(&stage, target);
        assert_eq!((answer.status, seen.as_deref()), (200, Some(target)), "{target}: {}", answer.text());
    }
}
