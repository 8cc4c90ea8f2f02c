//! What the gateway says to an upstream nobody can forge, double or take away (G-7, G-8).

use serde_json::json;

use super::Stage;

/// Everything that the gateway adds, with what it must be for this stage.
fn added(stage: &Stage) -> Vec<(&'static str, String)> {
    vec![
        ("X-Consumer-Environment", "live".to_owned()),
        ("X-Consumer-Id", stage.project_id.clone()),
        ("X-Consumer-Username", stage.project_name.clone()),
        ("X-Credential-Identifier", stage.key_id.clone()),
        ("X-Forwarded-For", "127.0.0.1".to_owned()),
        ("X-Forwarded-Proto", "http".to_owned()),
        ("X-Forwarded-Host", stage.host.clone()),
    ]
}

/// The upstream saw one request with exactly the gateway's own words, whatever the client sent.
fn check_identity(stage: &Stage, request_id: &str, what: &str) {
    let seen = stage.upstream.take_requests();
    assert_eq!(seen.len(), 1, "{what}: {seen:?}");
    for (name, value) in added(stage) {
        assert_eq!(seen[0].all(name), [&*value], "{what}: {name}");
    }
    assert_eq!(seen[0].all("x-request-id"), [request_id], "{what}");
    assert!(!seen[0].text().contains("forged"), "{what}: {}", seen[0].text());
    assert_eq!(stage.upstream.faults(), [] as [String; 0], "{what}");
}

#[test]
fn an_upstream_learns_who_calls_and_gets_nothing_else_added() {
    let stage = Stage::new();
    let answer =
        stage.call("GET /open?a=1", &[("Accept", "*/*"), ("X-Own", "1"), ("X-Own", "2"), ("Cookie", "a=b")], b"");
    assert_eq!(answer.status, 200);
    let seen = stage.upstream.requests();
    let mut names: Vec<String> = seen[0].fields.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    names.sort();
    let expected = [
        "accept",
        "cookie",
        "host",
        "via",
        "x-consumer-environment",
        "x-consumer-id",
        "x-consumer-username",
        "x-credential-identifier",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-own",
        "x-own",
        "x-request-id",
    ];
    assert_eq!(names, expected);
    assert_eq!(seen[0].all("x-own"), ["1", "2"]);
    check_identity(&stage, answer.field("x-request-id").expect("an answer has an id"), "a plain call");
}

#[test]
fn g07_connection_can_not_name_what_the_gateway_says() {
    let stage = Stage::new();
    let mut names: Vec<&str> = added(&stage).into_iter().map(|(name, _)| name).collect();
    names.extend(["X-Request-Id", "Authorization", "Host", "Cache-Control", "Content-Length", "Cookie", "Via"]);
    for name in names {
        for connection in [
            name.to_owned(),
            format!("close, {name}"),
            format!("{name}, keep-alive"),
            name.to_ascii_lowercase(),
            name.to_ascii_uppercase(),
            name.replace('-', "_"),
        ] {
            let answer = stage.call("GET /open", &[("Connection", &connection), (name, "forged")], b"");
            if answer.status == 200 {
                check_identity(&stage, answer.field("x-request-id").expect("an answer has an id"), &connection);
            } else {
                stage.check_problem(&answer, 400, "request_malformed", &connection);
                stage.saw_nothing(&connection);
            }
        }
    }
}

#[test]
fn g07_what_else_connection_names_ends_here() {
    let stage = Stage::new();
    let fields = [
        ("Connection", "X-Hop, keep-alive"),
        ("X-Hop", "1"),
        ("Keep-Alive", "timeout=5"),
        ("Proxy-Connection", "keep-alive"),
        ("Proxy-Authorization", "Basic abc"),
        ("TE", "trailers"),
        ("Trailer", "X-Later"),
        ("Upgrade", "h2c"),
        ("HTTP2-Settings", "AAMAAABkAAQAAP__"),
        ("X-End", "1"),
    ];
    let answer = stage.call("GET /open", &fields, b"");
    assert_eq!(answer.status, 200);
    let seen = stage.upstream.requests();
    for (name, _) in &fields[..9] {
        assert_eq!(seen[0].all(name), [] as [&str; 0], "{name}");
    }
    assert_eq!(seen[0].all("x-end"), ["1"]);
    check_identity(&stage, answer.field("x-request-id").expect("an answer has an id"), "hop by hop");
}

#[test]
fn g08_nobody_else_says_who_calls() {
    // Calls that break off have an upstream of their own, on which no sound one keeps a connection.
    let (stage, broken) = (Stage::new(), Stage::new());
    let mut names: Vec<&str> = added(&stage).into_iter().map(|(name, _)| name).collect();
    names.extend([
        "X-Request-Id",
        "X-Consumer-Custom-Id",
        "X-Consumer-Groups",
        "X-Anonymous-Consumer",
        "X-Authenticated-Scope",
        "X-Authenticated-Userid",
        "X-Credential-Username",
        "X-Forwarded-Port",
        "X-Forwarded-Prefix",
        "X-Real-Ip",
        "Forwarded",
    ]);
    for name in names {
        let mixed: String = name
            .chars()
            .enumerate()
            .map(|(at, c)| if at % 2 == 0 { c.to_ascii_lowercase() } else { c.to_ascii_uppercase() })
            .collect();
        let spellings: [Vec<(&str, &str)>; 5] = [
            vec![(name, "forged")],
            vec![(&mixed, "forged")],
            vec![(name, "forged"), (name, "forged-too")],
            vec![(&mixed, "forged"), (name, "forged")],
            vec![(name, "")],
        ];
        for fields in spellings {
            let answer = stage.call("GET /open", &fields, b"");
            assert_eq!(answer.status, 200, "{fields:?}");
            check_identity(&stage, answer.field("x-request-id").expect("an answer has an id"), &format!("{fields:?}"));
        }
        // What servers of the CGI kind can't tell from the real one.
        if name.contains('-') {
            let request = stage.request("GET /open", &[(&name.replace('-', "_"), "forged")], b"");
            stage.is_refused_and_closed(&request, 400, "request_malformed");
        }
        // A trailer comes after the gateway has spoken.
        let trailer = format!(
            "POST /open HTTP/1.1\r\nHost: {{host}}\r\nAuthorization: Bearer {{key}}\r\nTrailer: {name}\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n{name}: forged\r\n\r\n"
        );
        let answer = broken.answer(&broken.raw(&trailer));
        broken.check_problem(&answer, 400, "request_malformed", &trailer);
        broken.upstream.wait_until_left();
        for request in broken.upstream.take_requests() {
            assert!(!request.complete && !request.text().contains("forged"), "{request:?}");
        }
    }
}

#[test]
fn an_open_api_gets_no_identity_that_a_client_made_up() {
    let stage = Stage::with(serde_json::json!({ "access": "open" }), serde_json::json!({}));
    let forged =
        [("X-Consumer-Id", "forged"), ("X-Consumer-Username", "forged"), ("X-Credential-Identifier", "forged")];
    assert_eq!(stage.answer(&stage.request_without_key("GET /open", &forged, b"")).status, 200);
    let seen = stage.upstream.requests();
    for (name, _) in forged {
        assert_eq!(seen[0].all(name), [] as [&str; 0], "{name}");
    }
    assert_eq!(seen[0].all("x-forwarded-for"), ["127.0.0.1"]);
}

#[test]
fn g20_an_answer_for_one_caller_says_so_to_caches_and_nothing_of_callers() {
    let stage = Stage::with(json!({ "open_operations": ["GET /open"] }), json!({}));
    let public = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nCache-Control: public, max-age=60, s-maxage=600\r\nVary: Accept\r\nX-Consumer-Id: forged\r\nX-Request-Id: forged\r\n\r\n";
    stage.upstream.answer_with(public);
    let answer = stage.call("GET /closed", &[], b"");
    assert_eq!(answer.all("cache-control"), ["private, max-age=60"]);
    assert_eq!(answer.all("vary"), ["Accept", "authorization, x-api-key"]);
    assert_eq!(answer.all("x-consumer-id"), [] as [&str; 0]);
    assert!(answer.all("x-request-id").len() == 1 && answer.field("x-request-id") != Some("forged"));
    // What anybody gets anybody may keep.
    let open = stage.answer(&stage.request_without_key("GET /open", &[], b""));
    assert_eq!(open.all("cache-control"), ["public, max-age=60, s-maxage=600"]);
    assert_eq!(open.all("vary"), ["Accept"]);
    stage.manage.patch(&format!("/v1/apis/{}", stage.api_id), &json!({ "shared_caching": true }));
    let shared = stage.call("GET /closed", &[], b"");
    assert_eq!(shared.all("cache-control"), ["public, max-age=60, s-maxage=600"], "its owner takes care of it");
    // Informational answers without end are not passed on, and end nothing.
    let flood = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n".repeat(2_000);
    stage.upstream.answer_with(format!("{flood}HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"));
    assert_eq!(stage.call("GET /closed", &[], b"").text(), "ok");
}
