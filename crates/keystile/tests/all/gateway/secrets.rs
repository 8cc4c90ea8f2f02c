//! What the gateway shows to upstreams of itself: set once, kept encrypted, told to nobody.

use serde_json::{Value, json};

use super::Stage;
use super::stage::serve;

fn set(stage: &Stage, name: &str, value: &str) -> (u16, Value) {
    let path = format!("/v1/apis/{}/secrets/{name}", stage.api_id);
    let json_type = [("content-type", "application/json")];
    let body = json!({ "value": value }).to_string();
    let answer = stage.manage.request("PUT", &path, &json_type, body.as_bytes());
    (answer.status, if answer.body.is_empty() { Value::Null } else { answer.json() })
}

#[test]
fn every_call_gets_the_headers_that_the_owner_set_and_no_client_can_change_them() {
    let stage = Stage::new();
    assert_eq!(set(&stage, "header:Authorization", "Bearer upstream-secret-1").0, 204);
    assert_eq!(set(&stage, "header:X-Upstream-Key", "upstream-secret-2").0, 204);
    let fields = [("x-upstream-key", "forged"), ("x-own", "1")];
    assert_eq!(stage.call("GET /open", &fields, b"").status, 200);
    let seen = stage.upstream.take_requests().remove(0);
    assert_eq!(seen.all("authorization"), ["Bearer upstream-secret-1"]);
    assert_eq!(seen.all("x-upstream-key"), ["upstream-secret-2"]);
    assert_eq!(seen.field("x-own"), Some("1"));
    assert!(!seen.text().contains(&stage.key), "the consumer's key goes no further");
    // In force with the next call.
    assert_eq!(set(&stage, "header:authorization", "Bearer upstream-secret-3").0, 204);
    stage.call("GET /open", &[], b"");
    assert_eq!(stage.upstream.take_requests()[0].all("authorization"), ["Bearer upstream-secret-3"]);
    // Names are shown, values are not.
    let path = format!("/v1/apis/{}", stage.api_id);
    let (status, list) = stage.manage.get(&format!("{path}/secrets"));
    let names: Vec<&Value> = list["items"].as_array().unwrap().iter().map(|secret| &secret["name"]).collect();
    assert_eq!((status, names), (200, vec![&json!("header:authorization"), &json!("header:x-upstream-key")]));
    assert!(
        !list.to_string().contains("upstream-secret")
            && !stage.manage.get(&path).1.to_string().contains("upstream-secret")
    );
    // Taken away, calls go on without it.
    let removed = stage.manage.request("DELETE", &format!("{path}/secrets/header:X-Upstream-Key"), &[], b"");
    assert_eq!(removed.status, 204);
    stage.call("GET /open", &fields, b"");
    assert_eq!(stage.upstream.take_requests()[0].all("x-upstream-key"), ["forged"]);
    assert_eq!(stage.manage.request("DELETE", &format!("{path}/secrets/header:X-Upstream-Key"), &[], b"").status, 404);
}

#[test]
fn what_can_not_be_a_secret_is_refused_without_a_word_of_its_value() {
    let stage = Stage::new();
    for (name, value) in [
        ("header:host", "secret-value"),
        ("header:X-Consumer-Id", "secret-value"),
        ("header:content-length", "secret-value"),
        ("cookie:a", "secret-value"),
        ("client_certificate", "secret-value"),
        ("header:authorization", ""),
        ("header:authorization", "secret-value\r\nX: 1"),
        ("header:authorization", " secret-value"),
        ("header:authorization", &"secret-value".repeat(10_000)),
    ] {
        let (status, answer) = set(&stage, name, value);
        assert_eq!((status, &answer["code"]), (400, &json!("invalid")), "{name}: {value:.30}");
        assert!(!answer.to_string().contains("secret-value"), "{answer}");
    }
    assert_eq!(stage.manage.get(&format!("/v1/apis/{}/secrets", stage.api_id)).1["items"], json!([]));
}

#[test]
fn c01_a_secret_outlives_the_process_and_stands_in_no_file_or_log_in_clear() {
    let mut served = serve("", "");
    let stage = Stage::on(&served.installation, json!({}), json!({}));
    assert_eq!(set(&stage, "header:authorization", "Bearer upstream-secret-4").0, 204);
    assert_eq!(stage.call("GET /open", &[], b"").status, 200);
    served.installation.terminate();
    let log = served.installation.log();
    assert!(!log.contains("upstream-secret-4"), "{log}");
    for entry in std::fs::read_dir(&served.data).unwrap() {
        let content = std::fs::read(entry.unwrap().path()).unwrap_or_default();
        assert!(!content.windows(17).any(|part| part == b"upstream-secret-4"));
    }
    let again = served.again();
    let mut client = keystile_testkit::raw::Client::connect(again.gateway);
    client.write(stage.request("GET /open", &[], b"")).unwrap();
    assert_eq!(client.answer().unwrap().status, 200);
    assert_eq!(stage.upstream.requests()[1].all("authorization"), ["Bearer upstream-secret-4"]);
}

#[test]
fn c01_where_a_secret_was_altered_no_call_goes_on_without_it_until_it_is_set_anew() {
    let mut served = serve("", "");
    let stage = Stage::on(&served.installation, json!({}), json!({}));
    assert_eq!(set(&stage, "header:authorization", "Bearer upstream-secret-5").0, 204);
    served.installation.terminate();
    let altered = std::process::Command::new("sqlite3")
        .arg(served.data.join("catalog.db"))
        .arg("UPDATE api_secrets SET sealed = zeroblob(40)")
        .status();
    assert!(altered.expect("sqlite3 is installed").success());
    let again = served.again();
    let call = || {
        let mut client = keystile_testkit::raw::Client::connect(again.gateway);
        client.write(stage.request("GET /open", &[], b"")).unwrap();
        client.answer().unwrap()
    };
    stage.check_problem(&call(), 403, "api_inactive", "its secret was altered");
    stage.saw_nothing("its secret was altered");
    let manage = keystile_testkit::Api::new(again.admin, served.installation.management_key.as_deref().unwrap());
    let path = format!("/v1/apis/{}/secrets/header:authorization", stage.api_id);
    let body = json!({ "value": "Bearer upstream-secret-6" }).to_string();
    assert_eq!(manage.request("PUT", &path, &[("content-type", "application/json")], body.as_bytes()).status, 204);
    assert_eq!(call().status, 200);
    assert_eq!(stage.upstream.requests()[0].all("authorization"), ["Bearer upstream-secret-6"]);
}
