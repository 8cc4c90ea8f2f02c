//! Request lines, fields and hosts that are not sound (G-4, G-5).

use super::Stage;

#[test]
fn g04_a_field_has_one_line_a_plain_name_and_a_visible_value() {
    let stage = Stage::new();
    for field in [
        "X-Folded: a\r\n b",
        "X-Folded: a\r\n\tb",
        " X-Leading: a",
        "X-Space : a",
        "X-Tab\t: a",
        ": no name",
        "no colon",
        "X Space: a",
        "X_Under: a",
        "X-Nul: a\0b",
        "X-Nul\0: a",
        "X-Cr: a\rb",
        "X-Bell: \u{7}",
        "X-Escape: \u{1b}[31m",
        "X-Del: \u{7f}",
        "X-Vt: \u{b}a",
        "X-Ff: a\u{c}",
        "X(Comment): a",
        "X,Comma: a",
        "X/Slash: a",
        "X@At: a",
        "X[0]: a",
        "X\"Quote\": a",
        "\u{fc}mlaut: a",
    ] {
        let request =
            format!("GET /open HTTP/1.1\r\nHost: {{host}}\r\nAuthorization: Bearer {{key}}\r\n{field}\r\n\r\n");
        stage.is_refused_and_closed(&stage.raw(&request), 400, "request_malformed");
    }
}

#[test]
fn g04_a_request_line_is_three_words() {
    let stage = Stage::new();
    for line in [
        "GET /open",
        "GET  /open HTTP/1.1",
        "GET /open  HTTP/1.1",
        " GET /open HTTP/1.1",
        "GET /open HTTP/1.1 ",
        "GET\t/open\tHTTP/1.1",
        "GET /open http/1.1",
        "GET /open HTTP/1.2",
        "GET /open HTTP/2.0",
        "GET /open HTTP/0.9",
        "GET /open HTTP/11",
        "GET /open HTTP/1.1.1",
        "GET /open FTP/1.1",
        "G\0ET /open HTTP/1.1",
        "G(T /open HTTP/1.1",
        "GET /op\0en HTTP/1.1",
        "GET /a b HTTP/1.1",
        "\u{16}\u{3}\u{1}",
    ] {
        let request = format!("{line}\r\nHost: {{host}}\r\nAuthorization: Bearer {{key}}\r\n\r\n");
        stage.is_refused_and_closed(&stage.raw(&request), 400, "request_malformed");
    }
}

#[test]
fn g05_there_is_exactly_one_sound_host() {
    let stage = Stage::new();
    for hosts in [
        "",
        "Host: {host}\r\nHost: {host}\r\n",
        "Host: {host}\r\nHost: other.test\r\n",
        "Host: other.test\r\nhost: {host}\r\n",
        "Host:\r\n",
        "Host: \r\n",
        "Host: {host}, other.test\r\n",
        "Host: {host} other.test\r\n",
        "Host: {host}/path\r\n",
        "Host: {host}/@other.test\r\n",
        "Host: user@{host}\r\n",
        "Host: user:pass@{host}\r\n",
        "Host: {host}:port\r\n",
        "Host: {host}:\r\n",
        "Host: {host}:99999\r\n",
        "Host: {host}:80:80\r\n",
        "Host: {host}?a\r\n",
        "Host: {host}#a\r\n",
        "Host: {host}\\\r\n",
        "Host: http://{host}\r\n",
        "Host: ho_st.te%73t\r\n",
        "Host: \u{fc}.test\r\n",
        "Host: [::1\r\n",
        "Host: ::1\r\n",
        "Host: \"{host}\"\r\n",
    ] {
        let request = format!("GET /open HTTP/1.1\r\n{hosts}Authorization: Bearer {{key}}\r\n\r\n");
        stage.is_refused_and_closed(&stage.raw(&request), 400, "request_malformed");
    }
}

#[test]
fn g05_an_absolute_target_says_the_same_as_host() {
    let stage = Stage::new();
    for target in [
        "http://other.test/open",
        "http://{host}.other.test/open",
        "http://user@{host}/open",
        "http://{host}@other.test/open",
        "http://{host}:8080/open",
        "http://{host}#/open",
        "http://{host}?/open",
        "http:///open",
        "http:/open",
        "http:open",
        "ftp://{host}/open",
        "file:///etc/passwd",
        "open",
        "*",
        "{host}",
        "{host}:80",
        "?a",
        "#",
    ] {
        let request = format!("GET {target} HTTP/1.1\r\nHost: {{host}}\r\nAuthorization: Bearer {{key}}\r\n\r\n");
        stage.is_refused_and_closed(&stage.raw(&request), 400, "request_malformed");
    }
    for target in ["http://{host}/open?a=1", "HTTP://{host}/open?a=1", "https://{host}/open?a=1"] {
        let request = format!("GET {target} HTTP/1.1\r\nHost: {{host}}\r\nAuthorization: Bearer {{key}}\r\n\r\n");
        assert_eq!(stage.answer(&stage.raw(&request)).status, 200, "{target}");
        let seen = stage.upstream.take_requests();
        assert_eq!(seen.len(), 1, "{target}");
        assert_eq!(seen[0].target, "/open?a=1", "{target}");
        assert_eq!(seen[0].all("host"), [stage.upstream.address().to_string()], "{target}");
        assert_eq!(seen[0].all("x-forwarded-host"), [&*stage.host], "{target}");
    }
}

#[test]
fn g05_no_host_of_a_client_reaches_the_upstream_as_its_own() {
    let stage = Stage::new();
    let request = stage.raw("GET /open HTTP/1.1\r\nhOST:\t{host}:8080 \r\nAuthorization: Bearer {key}\r\n\r\n");
    assert_eq!(stage.answer(&request).status, 200);
    let seen = stage.upstream.take_requests();
    assert_eq!(seen[0].all("host"), [stage.upstream.address().to_string()]);
    assert_eq!(seen[0].all("x-forwarded-host"), [format!("{}:8080", stage.host)]);
}

#[test]
fn a_host_that_nobody_publishes_is_no_route() {
    let served = super::stage::serve("", "");
    let own = Stage::on(&served.installation, serde_json::json!({}), serde_json::json!({}));
    let request = own.raw("GET /open HTTP/1.1\r\nHost: nobody.test\r\nAuthorization: Bearer {key}\r\n\r\n");
    own.is_refused(&request, 404, "route_unknown");
}
