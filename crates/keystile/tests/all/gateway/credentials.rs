//! One key, in one place, which ends at the gateway (G-9, K-4, K-8, K-12, K-13, K-36).

use keystile_testkit::{now, raw::Answer};
use serde_json::json;

use super::Stage;
use super::stage::{serve, shared, text};

/// A place for a key, as a target or a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Bearer,
    Header,
    Query,
    Cookie,
}

const PLACES: [Place; 4] = [Place::Bearer, Place::Header, Place::Query, Place::Cookie];

fn with_keys(stage: &Stage, presented: &[(Place, &str)]) -> Vec<u8> {
    let mut target = "/open?x=1".to_owned();
    let mut fields = Vec::new();
    for (place, key) in presented {
        match place {
            Place::Bearer => fields.push(("Authorization", format!("Bearer {key}"))),
            Place::Header => fields.push(("X-Api-Key", (*key).to_owned())),
            Place::Query => target.push_str(&format!("&api_key={key}")),
            Place::Cookie => fields.push(("Cookie", format!("session={key}"))),
        }
    }
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    stage.request_without_key(&format!("GET {target}"), &fields, b"")
}

fn refused_with_400(stage: &Stage, request: &[u8]) {
    let answer = stage.answer(request);
    let code = answer.code();
    assert!(
        matches!(&*code, "credentials_ambiguous" | "key_exposed" | "key_misplaced"),
        "{code}: {}",
        String::from_utf8_lossy(request)
    );
    stage.check_problem(&answer, 400, &code, "two credentials");
    stage.saw_nothing(&String::from_utf8_lossy(request));
}

#[test]
fn g09_k13_two_keys_are_refused_wherever_they_stand() {
    let stage = Stage::new();
    let (_, other) = stage.another_key(json!({}));
    for first in PLACES {
        for second in PLACES {
            for (a, b) in [(&*stage.key, &*stage.key), (&*stage.key, &*other), (&*other, &*stage.key)] {
                refused_with_400(&stage, &with_keys(&stage, &[(first, a), (second, b)]));
            }
        }
    }
    stage.counts_only_refusals(PLACES.len() * PLACES.len() * 3);
}

#[test]
fn g09_k13_also_where_the_owner_allows_every_place() {
    let places = json!(["bearer", "header:x-api-key", "query:api_key"]);
    let stage = Stage::with(json!({ "key_locations": places }), json!({}));
    let (_, other) = stage.another_key(json!({}));
    for first in PLACES {
        for second in PLACES {
            for key in [&*stage.key, &*other] {
                refused_with_400(&stage, &with_keys(&stage, &[(first, &stage.key), (second, key)]));
            }
        }
    }
    for place in [Place::Bearer, Place::Header, Place::Query] {
        assert_eq!(stage.answer(&with_keys(&stage, &[(place, &stage.key)])).status, 200, "{place:?}");
        let seen = stage.upstream.take_requests();
        assert_eq!(seen[0].target, "/open?x=1", "{place:?}");
        assert!(!seen[0].text().contains(&stage.key), "{place:?}");
    }
}

#[test]
fn a_key_in_a_cookie_alone_is_told_where_it_belongs() {
    let stage = Stage::new();
    let answer = stage.answer(&with_keys(&stage, &[(Place::Cookie, &stage.key)]));
    stage.check_problem(&answer, 400, "key_misplaced", "a cookie");
    assert!(answer.text().contains("cookie") && answer.text().contains("Bearer KEY"), "{}", answer.text());
    stage.saw_nothing("a key in a cookie");
}

#[test]
fn k36_no_key_travels_on_in_a_field_that_is_no_place_for_keys() {
    let other = Stage::on(&serve("", "").installation, json!({}), json!({}));
    for access in ["key", "open"] {
        let stage = Stage::with(json!({ "access": access }), json!({}));
        for (name, value) in [
            ("X-Debug", "{key}"),
            ("X-Authorization", "Bearer {key}"),
            ("Cookie2", "a={key}"),
            ("Baggage", "a=1,token={key};p=2,b=3"),
        ] {
            stage.is_refused(&stage.request("GET /open", &[(name, value)], b""), 400, "key_misplaced");
            stage.is_refused(&stage.request_without_key("GET /open", &[(name, value)], b""), 400, "key_misplaced");
        }
        stage.counts_only("key_misplaced", 400, 8);
        assert!(stage.usage("key").iter().all(|row| row["key_id"] == *stage.key_id), "it is the key's affair");
        // What is no key of this installation is its client's affair: another one's, or one with a wrong checksum.
        let (rest, last) = stage.key.split_at(stage.key.len() - 1);
        for foreign in [&other.key, &format!("{rest}{}", if last == "x" { "y" } else { "x" })] {
            let value = format!("Bearer {foreign}");
            assert_eq!(stage.call("GET /open", &[("X-Next-Authorization", &value)], b"").status, 200, "{access}");
            assert_eq!(stage.upstream.take_requests()[0].all("x-next-authorization"), [&*value]);
        }
    }
}

#[test]
fn k36_where_a_key_may_stand_in_the_query_browsers_and_proxies_may_repeat_it() {
    let stage = Stage::with(json!({ "key_locations": ["query:api_key"] }), json!({}));
    let address = format!("https://{}/cart?api_key={}", stage.host, stage.key);
    let fields = [("Referer", &*address), ("X-Forwarded-Uri", &*address), ("X-Other", "1")];
    let request = stage.request_without_key("GET /open?api_key={key}", &fields, b"");
    assert_eq!(stage.answer(&request).status, 200);
    let seen = stage.upstream.take_requests().remove(0);
    assert!(!seen.text().contains(&stage.key), "{}", seen.text());
    assert_eq!((seen.all("referer"), seen.all("x-other")), (vec![], vec!["1"]));
    // The page's address is nobody's secret as long as it holds no key.
    let fields = [("Referer", "https://shop.test/a-rather-long-path-of-a-page-of-the-shop?page=2&of=10")];
    assert_eq!(stage.answer(&stage.request_without_key("GET /open?api_key={key}", &fields, b"")).status, 200);
    assert_eq!(stage.upstream.take_requests()[0].all("referer"), [fields[0].1]);
}

#[test]
fn g09_k13_a_list_is_more_than_one_key() {
    let stage = Stage::new();
    for value in ["{key}, {key}", "{key},{key}", "{key} {key}", "{key},", ",{key}", "a, {key}", "{key}\t{key}"] {
        refused_with_400(&stage, &stage.request_without_key("GET /open", &[("X-Api-Key", value)], b""));
        let bearer = format!("Bearer {value}");
        refused_with_400(&stage, &stage.request_without_key("GET /open", &[("Authorization", &bearer)], b""));
    }
    for fields in [
        [("Authorization", "Bearer {key}"), ("Authorization", "Basic dXNlcjpwYXNz")],
        [("Authorization", "Basic dXNlcjpwYXNz"), ("Authorization", "Bearer {key}")],
        [("Authorization", "Bearer {key}, Basic dXNlcjpwYXNz"), ("X-Other", "1")],
    ] {
        refused_with_400(&stage, &stage.request_without_key("GET /open", &fields, b""));
    }
}

#[test]
fn k12_a_key_in_the_query_is_refused_as_exposed() {
    let stage = Stage::new();
    let escaped = stage.key.replacen('_', "%5F", 1);
    for target in [
        "/open?api_key={key}".to_owned(),
        "/open?a=1&key={key}&b=2".to_owned(),
        "/open?access_token={key}".to_owned(),
        "/open?{key}".to_owned(),
        format!("/open?api_key={escaped}"),
    ] {
        stage.is_refused(&stage.request_without_key(&format!("GET {target}"), &[], b""), 400, "key_exposed");
    }
    stage.counts_only("key_exposed", 400, 5);
}

#[test]
fn k12_where_the_owner_allows_it_the_key_still_ends_here() {
    let stage = Stage::with(json!({ "key_locations": ["query:api_key"] }), json!({}));
    for (target, seen_as) in [
        ("/open?api_key={key}", "/open"),
        ("/open?a=1&api_key={key}&b=%2F", "/open?a=1&b=%2F"),
        ("/open?api%5Fkey={key}&a", "/open?a"),
    ] {
        let answer = stage.answer(&stage.request_without_key(&format!("GET {target}"), &[], b""));
        assert_eq!(answer.status, 200, "{target}: {}", answer.text());
        let seen = stage.upstream.take_requests();
        assert_eq!(seen[0].target, seen_as, "{target}");
        assert!(!seen[0].text().contains(&stage.key), "{target}");
    }
}

#[test]
fn a_call_without_a_sound_key_is_told_what_is_missing() {
    let stage = Stage::new();
    let mut broken = stage.key.clone();
    let last = if broken.pop() == Some('0') { '1' } else { '0' };
    broken.push(last);
    for (fields, code) in [
        (vec![], "key_missing"),
        (vec![("Authorization", "Basic dXNlcjpwYXNz")], "key_missing"),
        (vec![("Authorization", &*format!("Bearer {broken}"))], "key_malformed"),
        (vec![("X-Api-Key", &*broken)], "key_malformed"),
        (vec![("X-Api-Key", "some-other-key-that-nobody-imported-0123")], "key_unknown"),
    ] {
        stage.is_refused(&stage.request_without_key("GET /open", &fields, b""), 401, code);
    }
}

/// What one can tell of an answer without reading its words.
fn shape(answer: &Answer) -> (u16, Vec<String>, Vec<String>) {
    let fields = answer.fields.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    let members = answer.json().as_object().expect("a problem is an object").keys().cloned().collect();
    (answer.status, fields, members)
}

#[test]
fn k08_no_wrong_key_looks_different_from_another() {
    let stage = Stage::new();
    let (revoked_id, revoked) = stage.another_key(json!({}));
    let (disabled_id, disabled) = stage.another_key(json!({}));
    let (deleted_id, deleted) = stage.another_key(json!({}));
    for (id, action) in [(&revoked_id, "revoke"), (&disabled_id, "disable")] {
        assert_eq!(stage.manage.post(&format!("/v1/keys/{id}/{action}"), &json!({})).0, 200, "{action}");
    }
    assert_eq!(stage.manage.delete(&format!("/v1/keys/{deleted_id}")).0, 204);
    let kinds = [
        ("revoked", revoked),
        ("disabled", disabled),
        ("deleted", deleted),
        ("foreign", "another-system-key-0123456789abcdef".to_owned()),
    ];
    let mut shapes = Vec::new();
    for (kind, key) in &kinds {
        let request = stage.request_without_key("GET /open", &[("X-Api-Key", key)], b"");
        shapes.push((kind, shape(&stage.answer(&request))));
        // Shown, not judged: a loaded machine says more about itself than about the gateway.
        let mut client = stage.client();
        let mut times: Vec<_> = (0..200)
            .map(|_| {
                let began = now();
                client.write(&request).expect("the connection stays open");
                client.answer().expect("an answer comes");
                began.elapsed()
            })
            .collect();
        times.sort();
        println!("{kind}: median {:?}", times[100]);
    }
    for (kind, shape) in &shapes {
        assert_eq!(shape, &shapes[0].1, "{kind}");
        assert_eq!(shape.0, 401, "{kind}");
    }
    stage.saw_nothing("wrong keys");
}

#[test]
fn a_revoked_key_is_refused_on_the_next_call() {
    let stage = Stage::new();
    for _ in 0..20 {
        let (id, key) = stage.another_key(json!({}));
        let request = stage.request_without_key("GET /open", &[("X-Api-Key", &key)], b"");
        // The connection is open already: nothing is cached for it.
        let mut client = stage.client();
        client.write(&request).expect("the connection is open");
        assert_eq!(client.answer().expect("an answer comes").status, 200);
        assert_eq!(stage.manage.post(&format!("/v1/keys/{id}/revoke"), &json!({})).0, 200);
        client.write(&request).expect("the connection is open");
        let answer = client.answer().expect("an answer comes");
        assert_eq!((answer.status, &*answer.code()), (401, "key_revoked"));
    }
    assert_eq!(stage.upstream.requests().len(), 20);
}

#[test]
fn k04_k36_no_key_is_written_down_anywhere() {
    let served = serve("", "[log]\nlevel = \"debug\"\n[usage]\nflush_ms = 10");
    let places = json!(["bearer", "header:x-api-key", "query:api_key"]);
    let stage = Stage::on(&served.installation, json!({ "key_locations": places }), json!({}));
    let (_, gone) = stage.another_key(json!({ "restrictions": { "methods": ["DELETE"] } }));
    // Through every door, with every outcome.
    for place in PLACES {
        stage.answer(&with_keys(&stage, &[(place, &stage.key)]));
        stage.answer(&with_keys(&stage, &[(place, &gone)]));
        stage.answer(&with_keys(&stage, &[(place, &stage.key), (Place::Bearer, &gone)]));
    }
    for odd in ["GET /{key}/../x", "GET /%00{key}", "TRACE /open", "GET /open?key={key}", "GET /open#{key}"] {
        stage.answer(&stage.request(odd, &[("Referer", "http://other.test/")], b""));
    }
    stage.answer(&stage.request("GET /open", &[("Content-Length", "{key}")], b""));
    stage.answer(&stage.request("GET /open", &[("Bad Name {key}", "1")], b""));
    stage.answer(&stage.request("POST /open", &[("Transfer-Encoding", "{key}")], b""));
    let broken = format!("{}x", stage.key);
    stage.answer(&stage.request_without_key("GET /open", &[("X-Api-Key", &broken)], b""));
    stage.manage.post("/v1/keys", &json!({ "project_id": stage.project_id, "name": "x", "unknown": stage.key }));
    stage.manage.request("GET", "/v1/keys", &[("authorization", &format!("Bearer {}", stage.key))], b"");

    let secrets: Vec<String> = [&stage.key, &gone]
        .into_iter()
        .chain(&served.installation.management_key)
        // The random part: what is before it and the mark behind it are no secret.
        .map(|key| key.rsplit('_').next().expect("a key has parts")[..32].to_owned())
        .collect();
    let holds = |text: &str| secrets.iter().any(|secret| text.contains(secret));
    for request in stage.upstream.requests() {
        let text = request.text();
        // What the client put into the path itself is its own affair.
        assert!(!holds(&text), "the upstream got a key: {text}");
    }
    let mut usage = String::new();
    for group in ["api,project,key,operation,code,status", "operation", "key"] {
        usage.push_str(&stage.manage.get(&format!("/v1/usage?group_by={group}")).1.to_string());
    }
    assert!(usage.contains(&stage.key_id), "the calls are counted: {usage}");
    assert!(!holds(&usage), "{usage}");
    for path in ["/v1/keys", "/v1/projects", "/v1/apis", "/metrics"] {
        let answer = stage.manage.request("GET", path, &[], b"");
        assert!(!holds(&answer.text()), "{path}: {}", answer.text());
    }
    assert!(!served.installation.log().is_empty(), "something is logged at this level");
    assert!(!holds(&served.installation.log()), "{}", served.installation.log());
    let mut files = 0;
    for entry in std::fs::read_dir(&served.data).expect("the data folder is there").flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_file()) {
            let bytes = std::fs::read(entry.path()).expect("it can be read");
            files += 1;
            for secret in &secrets {
                let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
                assert!(!found, "{} holds a key", entry.path().display());
            }
        }
    }
    assert!(files >= 2, "{files} files");
}

#[test]
fn a_key_of_another_api_opens_nothing_here() {
    let (stage, other) = (Stage::new(), Stage::new());
    let request = stage.request_without_key("GET /open", &[("X-Api-Key", &other.key)], b"");
    stage.is_refused(&request, 403, "not_activated");
    other.saw_nothing("a call to another API");
    let management = text(&json!(shared().management_key));
    let request = stage.request_without_key("GET /open", &[("X-Api-Key", &management)], b"");
    stage.is_refused(&request, 403, "key_kind_forbidden");
}
