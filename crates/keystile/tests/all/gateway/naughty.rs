//! No text that people choose breaks a message (G-13).

use serde_json::json;

use super::Stage;

/// Names that have broken something somewhere.
const NAMES: [&str; 65] = [
    "plain",
    "a b",
    "x",
    "undefined",
    "null",
    "NULL",
    "None",
    "true",
    "0",
    "-1",
    "1e309",
    "NaN",
    "Infinity",
    "0x0",
    "1,000",
    "$HOME",
    "`id`",
    "$(id)",
    "%00",
    "%0d%0aX-Evil: 1",
    "%",
    "%%",
    "%zz",
    "\\r\\nX-Evil: 1",
    "a: b",
    "a:b",
    ":",
    ",",
    "a, b",
    ";",
    "a;b=c",
    "\"",
    "'",
    "\"quoted\"",
    "a\\\"b",
    "\\",
    "<script>alert(1)</script>",
    "' OR 1=1 --",
    "\"; DROP TABLE projects; --",
    "../../etc/passwd",
    "file:///etc/passwd",
    "{{7*7}}",
    "${jndi:ldap://x/a}",
    "%s%n",
    "caf\u{e9}",
    "cafe\u{301}",
    "\u{fc}ber",
    "\u{4e2d}\u{6587}",
    "\u{645}\u{631}\u{62d}\u{628}\u{627}",
    "\u{5e9}\u{5dc}\u{5d5}\u{5dd}",
    "\u{1f600}",
    "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}",
    "\u{fffd}",
    "\u{ffff}",
    "a\u{3000}wide",
    "a\u{a0}b",
    "\u{ff41}\u{ff42}",
    "\u{212a}elvin",
    "\u{430}dmin",
    "I\u{307}",
    "\u{df}",
    "\u{1d400}",
    "\u{e000}",
    "\u{10ffff}",
    "Z\u{351}\u{36b}a\u{343}lgo",
];

/// Texts that would end a header line, or hide something in it.
const BREAKING: [&str; 24] = [
    "a\r\nX-Evil: 1",
    "a\nX-Evil: 1",
    "a\rX-Evil: 1",
    "a\r\n\r\nGET /evil HTTP/1.1",
    "\r\n",
    "\n",
    "a\0b",
    "\0",
    "a\tb",
    "\u{1b}[31mred",
    "a\u{7f}b",
    "a\u{85}b",
    "\u{202e}desrever",
    "\u{200b}zero",
    "a\u{200b}b",
    "\u{feff}bom",
    "a\u{2028}line",
    "a\u{ad}b",
    "a\u{2029}b",
    " a",
    "a ",
    "",
    "\u{8}",
    "\u{3000}wide",
];

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        match (first, after) {
            (b'%', [high, low, after @ ..]) => {
                let digits = String::from_utf8(vec![*high, *low]).expect("an escape is ASCII");
                bytes.push(u8::from_str_radix(&digits, 16).expect("an escape has two digits"));
                rest = after;
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).expect("escapes are UTF-8")
}

#[test]
fn g13_a_project_may_have_any_name_and_it_breaks_nothing() {
    let stage = Stage::new();
    let plain = stage.call("GET /open", &[], b"");
    let fields_of_a_plain_call = stage.upstream.take_requests()[0].fields.len();
    for name in NAMES {
        let changed = stage.manage.patch(&format!("/v1/projects/{}", stage.project_id), &json!({ "name": name }));
        assert_eq!(changed.0, 200, "{name:?}: {}", changed.1);
        assert_eq!(changed.1["name"], name);
        let answer = stage.call("GET /open", &[], b"");
        assert_eq!(answer.status, 200, "{name:?}");
        assert_eq!(answer.fields.len(), plain.fields.len(), "{name:?}");
        let seen = stage.upstream.take_requests();
        assert_eq!(seen.len(), 1, "{name:?}");
        assert_eq!(seen[0].fields.len(), fields_of_a_plain_call, "{name:?}: {:?}", seen[0].fields);
        let [said] = seen[0].all("x-consumer-username")[..] else { panic!("{name:?}: {:?}", seen[0].fields) };
        assert!(said.bytes().all(|byte| (0x20..0x7f).contains(&byte)), "{name:?}: {said:?}");
        assert_eq!(decoded(said), name);
    }
    assert_eq!(stage.upstream.faults(), [] as [String; 0]);
}

#[test]
fn g13_a_name_that_breaks_a_line_is_refused() {
    let stage = Stage::new();
    for name in BREAKING {
        let project = format!("/v1/projects/{}", stage.project_id);
        for (status, answer) in [
            stage.manage.patch(&project, &json!({ "name": name })),
            stage.manage.post("/v1/projects", &json!({ "name": name })),
        ] {
            assert_eq!((status, &answer["code"]), (400, &json!("invalid")), "{name:?}: {answer}");
        }
        stage.call("GET /open", &[], b"");
        let seen = stage.upstream.take_requests();
        assert_eq!(seen[0].all("x-consumer-username"), [&*stage.project_name], "{name:?}");
    }
    assert_eq!(stage.upstream.faults(), [] as [String; 0]);
}

#[test]
fn g13_a_request_id_is_never_the_clients() {
    let stage = Stage::new();
    let mut ids = Vec::new();
    for claimed in NAMES.into_iter().chain(["req_00000000000000000000000000000000"]) {
        let claimed = claimed.trim();
        let answer = stage.call("GET /open", &[("X-Request-Id", claimed)], b"");
        assert_eq!(answer.status, 200, "{claimed:?}");
        let [id] = answer.all("x-request-id")[..] else { panic!("{claimed:?}: {:?}", answer.fields) };
        assert!(id.starts_with("req_") && id[4..].bytes().all(|byte| byte.is_ascii_alphanumeric()), "{id}");
        assert_ne!(id, claimed);
        assert_eq!(stage.upstream.take_requests()[0].all("x-request-id"), [id], "{claimed:?}");
        ids.push(id.to_owned());
    }
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), count, "none comes twice");
}
