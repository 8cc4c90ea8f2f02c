//! From where and when a key may be used, and what is only tried out.

use keystile_testkit::{Api, Installation, eventually, mmdb};
use serde_json::{Value, json};

use super::Stage;
use super::stage::{serve, shared};

fn bound(restrictions: Value) -> Value {
    json!({ "restrictions": restrictions })
}

#[test]
fn k18_a_key_of_pages_is_used_by_its_pages_alone() {
    let origins = bound(json!({ "origins": ["https://app.example.com", "https://*.example.org:8443"] }));
    let stage = Stage::with(json!({}), origins);
    for fields in [
        &[("Origin", "https://app.example.com")][..],
        &[("Origin", "https://a.b.example.org:8443")],
        &[("Referer", "https://app.example.com/any?x=1")],
        &[("Origin", "https://app.example.com"), ("Referer", "https://elsewhere.test/")],
    ] {
        assert_eq!(stage.call("GET /open", fields, b"").status, 200, "{fields:?}");
        stage.upstream.take_requests();
    }
    for fields in [
        &[][..],
        &[("Origin", "null")],
        &[("Origin", "null"), ("Referer", "https://app.example.com/")],
        &[("Origin", "https://evil.test"), ("Referer", "https://app.example.com/")],
        &[("Origin", "https://app.example.com"), ("Origin", "https://app.example.com")],
        &[("Origin", "https://app.example.com, https://evil.test")],
        &[("Origin", "https://app.example.com.evil.test")],
        &[("Origin", "http://app.example.com")],
        &[("Origin", "https://app.example.com:8443")],
        &[("Origin", "https://a.example.org")],
        &[("Origin", "https://evil.test/.example.org:8443")],
        &[("Referer", "https://evil.test/?https://app.example.com/")],
        &[("Referer", "https://app.example.com@evil.test/")],
        &[("Referer", "https://app.example.com/"), ("Referer", "https://app.example.com/")],
        &[("X-Origin", "https://app.example.com")],
    ] {
        stage.is_refused(&stage.request("GET /open", fields, b""), 403, "origin_forbidden");
    }
}

#[test]
fn k18_a_key_of_some_pages_is_judged_by_the_path_too() {
    let stage = Stage::with(json!({}), bound(json!({ "referrers": ["https://app.example.com/shop/*"] })));
    for (fields, passes) in [
        (&[("Referer", "https://app.example.com/shop/1?x")][..], true),
        (&[("Referer", "https://app.example.com/shop/1"), ("Origin", "https://app.example.com")], true),
        (&[("Referer", "https://app.example.com/shop/1"), ("Origin", "https://evil.test")], false),
        (&[("Referer", "https://app.example.com/")], false),
        (&[("Origin", "https://app.example.com")], false),
        (&[], false),
    ] {
        match passes {
            true => assert_eq!(stage.call("GET /open", fields, b"").status, 200, "{fields:?}"),
            false => stage.is_refused(&stage.request("GET /open", fields, b""), 403, "origin_forbidden"),
        }
        stage.upstream.take_requests();
    }
}

#[test]
fn a_key_is_used_in_its_hours() {
    let days = |days: &[&str]| {
        let window = json!({ "days": days, "from": "00:00", "until": "24:00" });
        bound(json!({ "times": { "time_zone": "Europe/Berlin", "windows": [window] } }))
    };
    let stage = Stage::with(json!({}), days(&["mon", "tue", "wed"]));
    let (_, other) = stage.another_key(days(&["thu", "fri", "sat", "sun"]));
    let mut codes = [&stage.key, &other].map(|key| {
        let bearer = format!("Bearer {key}");
        let answer = stage.answer(&stage.request_without_key("GET /open", &[("authorization", &bearer)], b""));
        if answer.status == 200 { "allowed".to_owned() } else { answer.code() }
    });
    codes.sort();
    assert_eq!(codes, ["allowed", "time_forbidden"], "it is one of the days there");
}

/// A server with this file of countries, where a proxy says who calls.
fn with_countries(file: &[u8]) -> (super::stage::Served, std::path::PathBuf) {
    let folder = tempfile::tempdir().expect("a folder can be made").keep();
    let path = folder.join("countries.mmdb");
    std::fs::write(&path, file).expect("it can be written");
    let gateway = format!("trusted_proxies = [\"127.0.0.1\"]\ncountry_database = {:?}", path.display().to_string());
    (serve(&gateway, "[tls]\nreload_seconds = 1"), path)
}

const NETWORKS: [(&str, &str); 4] =
    [("192.0.2.0/24", "DE"), ("192.0.2.128/25", "AT"), ("198.51.100.0/24", "KP"), ("2001:db8::/32", "FR")];

#[test]
fn a_key_is_used_from_its_countries() {
    let (served, path) = with_countries(&mmdb(&["country", "iso_code"], &NETWORKS));
    let allow = bound(json!({ "countries": { "allow": ["DE", "FR"] } }));
    let stage = Stage::on(&served.installation, json!({}), allow);
    let (_, deny) = stage.another_key(bound(json!({ "countries": { "deny": ["KP"] } })));
    let code = |key: &str, address: &str| {
        let fields = [("authorization", &*format!("Bearer {key}")), ("x-forwarded-for", address)];
        let answer = stage.answer(&stage.request_without_key("GET /open", &fields, b""));
        if answer.status == 200 { "allowed".to_owned() } else { answer.code() }
    };
    for (address, of_allow, of_deny) in [
        ("192.0.2.1", "allowed", "allowed"),
        ("::ffff:192.0.2.1", "allowed", "allowed"),
        ("192.0.2.200", "country_forbidden", "allowed"),
        ("198.51.100.7", "country_forbidden", "country_forbidden"),
        ("2001:db8::1", "allowed", "allowed"),
        // Nobody knows where these are.
        ("203.0.113.1", "country_forbidden", "country_forbidden"),
        ("2001:db9::1", "country_forbidden", "country_forbidden"),
    ] {
        assert_eq!([code(&stage.key, address), code(&deny, address)], [of_allow, of_deny], "{address}");
    }
    // Verification looks the address up, unless it is told the country.
    let check = Api::new(served.installation.check, "");
    let verified = |client: Value| {
        let question = json!({ "key": stage.key, "client": client }).to_string();
        check.request("POST", "/v1/verify", &[("content-type", "application/json")], question.as_bytes()).json()["code"]
            .clone()
    };
    assert_eq!(verified(json!({ "ip": "192.0.2.1" })), "allowed");
    assert_eq!(verified(json!({ "ip": "198.51.100.7" })), "country_forbidden");
    assert_eq!(verified(json!({ "ip": "198.51.100.7", "country": "DE" })), "allowed");
    // What broke is not taken up, what changed is; here in the way in which other publishers write it.
    std::fs::write(&path, b"half a file").expect("it can be written");
    std::thread::sleep(std::time::Duration::from_millis(1_500));
    assert_eq!(code(&stage.key, "192.0.2.1"), "allowed");
    std::fs::write(&path, mmdb(&["country_code"], &[("203.0.113.0/24", "DE")])).expect("it can be written");
    eventually("the new file is in force", || code(&stage.key, "203.0.113.1") == "allowed");
    assert_eq!(code(&stage.key, "192.0.2.1"), "country_forbidden");
}

#[test]
fn a_file_that_says_nothing_of_countries_keeps_the_server_from_starting() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let path = folder.path().join("countries.mmdb");
    let networks = [("192.0.2.0/24", "64500")];
    for (content, says) in [
        (b"nothing".to_vec(), "it is no MaxMind DB"),
        (mmdb(&["autonomous_system_number"], &networks), "it says nothing of countries"),
    ] {
        std::fs::write(&path, content).expect("it can be written");
        let run = std::process::Command::new(super::stage::BINARY)
            .arg("serve")
            .current_dir(folder.path())
            .env("KEYSTILE_GATEWAY_COUNTRY_DATABASE", &path)
            .env("KEYSTILE_GATEWAY_LISTEN", "127.0.0.1:0")
            .env("KEYSTILE_ADMIN_LISTEN", "off")
            .env("KEYSTILE_CHECK_LISTEN", "off")
            .output()
            .expect("it can be started");
        let text = String::from_utf8_lossy(&run.stderr);
        assert!(!run.status.success() && text.contains(says) && text.contains("countries.mmdb"), "{text}");
        assert!(!folder.path().join("keystile-data").exists(), "it leaves nothing behind");
    }
}

/// How often a restriction in shadow would have refused, of all keys of a server.
fn shadow_refusals(installation: &Installation, rule: &str) -> u64 {
    let page = Api::new(installation.admin, "").request("GET", "/metrics", &[], b"").text();
    let name = format!("keystile_shadow_refusals_total{{rule=\"{rule}\"}} ");
    page.lines().find_map(|line| line.strip_prefix(&name)).expect("the figure is there").parse().expect("a number")
}

#[test]
fn what_is_in_shadow_lets_pass_and_is_counted() {
    let served = serve("", "");
    let stage = Stage::on(
        &served.installation,
        json!({}),
        bound(json!({
            "countries": { "allow": ["DE"] }, "origins": ["https://app.example.com"], "methods": ["GET"],
            "shadow": ["countries", "origins"],
        })),
    );
    let figures = || ["countries", "origins", "methods"].map(|rule| shadow_refusals(&served.installation, rule));
    assert_eq!(figures(), [0, 0, 0]);
    assert_eq!(stage.call("GET /open", &[], b"").status, 200);
    assert_eq!(figures(), [1, 1, 0]);
    assert_eq!(stage.call("GET /open", &[("Origin", "https://app.example.com")], b"").status, 200);
    assert_eq!(figures(), [2, 1, 0]);
    // What is refused all the same would not have been let through.
    stage.upstream.take_requests();
    stage.is_refused(&stage.request("POST /open", &[], b""), 403, "operation_forbidden");
    assert_eq!(figures(), [2, 1, 0]);
    // Out of the shadow it refuses from the next call on.
    let restrictions = bound(json!({ "origins": ["https://app.example.com"] }));
    assert_eq!(stage.manage.patch(&format!("/v1/keys/{}", stage.key_id), &restrictions).0, 200);
    stage.is_refused(&stage.request("GET /open", &[], b""), 403, "origin_forbidden");
    assert_eq!(figures(), [2, 1, 0]);
}

#[test]
fn formats_in_shadow_keep_nothing_back_on_either_way() {
    let served = serve("", "");
    let stage = Stage::on(
        &served.installation,
        json!({}),
        bound(json!({
            "formats": { "request_types": ["application/json"], "response_types": ["image/png"], "max_body_bytes": 1 },
            "shadow": ["formats"],
        })),
    );
    let answer = stage.call("POST /open", &[("Content-Type", "text/plain")], b"hello");
    assert_eq!((answer.status, stage.upstream.take_requests()[0].body.as_slice()), (200, &b"hello"[..]));
    assert_eq!(shadow_refusals(&served.installation, "formats"), 1, "a call is told of once");
    let fields = [("Content-Type", "application/json"), ("Accept", "image/png")];
    let answer = stage.call("POST /open", &fields, b"1");
    assert_eq!((answer.status, stage.upstream.take_requests().len()), (200, 1));
    assert_eq!(shadow_refusals(&served.installation, "formats"), 2, "of an answer too");
}

#[test]
fn a_shadow_of_nothing_and_unknown_parts_are_refused() {
    let stage = Stage::on(shared(), json!({}), json!({}));
    for (restrictions, says) in [
        (json!({ "shadow": ["countries"] }), "which the key does not have"),
        (json!({ "shadow": ["hours"] }), "the name of no restriction"),
        (json!({ "countries": { "allow": ["UK"] } }), "GB for the United Kingdom"),
        (json!({ "countries": {} }), "at least one entry"),
        (json!({ "origins": ["https://a.test/path"] }), "without a path"),
        (json!({ "referrers": ["https://a.test?x"] }), "without a query"),
        (json!({ "times": { "time_zone": "UTC", "windows": [] } }), "1 to 32 windows"),
        (
            json!({ "times": { "time_zone": "Mars/Base", "windows": [{ "from": "08:00", "until": "09:00" }] } }),
            "Europe/Berlin",
        ),
        (json!({ "times": { "time_zone": "UTC", "windows": [{ "from": "8", "until": "09:00" }] } }), "08:00"),
        (
            json!({ "times": { "time_zone": "UTC", "windows": [{ "from": "08:00", "until": "09:00", "on": 1 }] } }),
            "unknown field",
        ),
    ] {
        let (status, problem) = stage.manage.patch(&format!("/v1/keys/{}", stage.key_id), &bound(restrictions.clone()));
        assert_eq!(status, 400, "{restrictions}: {problem}");
        assert!(problem["detail"].as_str().expect("a detail").contains(says), "{restrictions}: {problem}");
    }
}

#[test]
fn a_call_is_explained_as_the_gateway_would_route_and_answer_it() {
    let served = serve("", "");
    let document = json!({ "openapi": "3.0.0", "info": { "title": "T", "version": "1" }, "paths": { "/pets/{id}": { "get": {} } } });
    let api =
        json!({ "path_prefix": "/shop", "strip_prefix": true, "openapi": document, "unknown_operations": "refuse" });
    let stage = Stage::on(&served.installation, api, bound(json!({ "paths": ["/pets/*", "/dogs"] })));
    for (path, code, below) in [
        ("/shop/pets/7", "allowed", Some("/pets/7")),
        ("/shop/%70ets/7", "allowed", Some("/pets/7")),
        ("/shop/pets/7/x", "operation_forbidden", Some("/pets/7/x")),
        ("/shop/dogs", "operation_unknown", Some("/dogs")),
        ("/pets/7", "route_unknown", Some("/pets/7")),
        ("/shop/a%2fb", "request_malformed", None),
    ] {
        let called = stage.call(&format!("GET {path}"), &[], b"");
        let answered = if called.status == 200 { "allowed".to_owned() } else { called.code() };
        let question = json!({ "host": stage.host.to_uppercase(), "operation": { "method": "GET", "path": path } });
        let (status, told) = stage.manage.post(&format!("/v1/keys/{}/explain", stage.key_id), &question);
        assert_eq!((status, answered.as_str(), &told["code"]), (200, code, &json!(code)), "{path}: {told}");
        assert_eq!(told["path"], json!(below), "{told}");
    }
    let question = json!({ "operation": { "method": "GET", "path": "/shop/pets/7" } });
    let (_, told) = stage.manage.post(&format!("/v1/keys/{}/explain", stage.key_id), &question);
    assert_eq!((&told["code"], &told["api_id"]), (&json!("route_unknown"), &Value::Null), "without its host");
}
