//! Who calls is the other end of the connection, or what a proxy says that the operator trusts (G-10).

use serde_json::{Value, json};

use super::Stage;
use super::stage::serve;

/// An address that the key below allows and nobody here has.
const ALLOWED: &str = "203.0.113.7";

fn from_allowed_network() -> Value {
    json!({ "restrictions": { "networks": { "allow": ["203.0.113.0/24"] } } })
}

/// Fields in which proxies, load balancers and networks of all kinds say an address.
const FORMS: [(&str, &str); 22] = [
    ("X-Forwarded-For", "203.0.113.7"),
    ("X-Forwarded-For", "203.0.113.7, 203.0.113.8"),
    ("X-Forwarded-For", "127.0.0.1, 203.0.113.7"),
    ("X-Forwarded-For", "203.0.113.7:443"),
    ("x-forwarded-for", "[::ffff:203.0.113.7]:443"),
    ("X-Forwarded", "203.0.113.7"),
    ("X-Forwarded-By", "203.0.113.7"),
    ("X-Forward-For", "203.0.113.7"),
    ("Forwarded", "for=203.0.113.7"),
    ("Forwarded", "for=\"203.0.113.7:80\";proto=https"),
    ("Forwarded-For", "203.0.113.7"),
    ("X-Real-IP", "203.0.113.7"),
    ("X-Client-IP", "203.0.113.7"),
    ("Client-IP", "203.0.113.7"),
    ("X-Remote-IP", "203.0.113.7"),
    ("X-Remote-Addr", "203.0.113.7"),
    ("X-Originating-IP", "203.0.113.7"),
    ("True-Client-IP", "203.0.113.7"),
    ("CF-Connecting-IP", "203.0.113.7"),
    ("Fastly-Client-IP", "203.0.113.7"),
    ("X-Cluster-Client-IP", "203.0.113.7"),
    ("X-ProxyUser-Ip", "203.0.113.7"),
];

#[test]
fn g10_nobody_becomes_another_address_by_saying_so() {
    let stage = Stage::with(json!({}), from_allowed_network());
    for field in FORMS {
        stage.is_refused(&stage.request("GET /open", &[field], b""), 403, "network_forbidden");
    }
    stage.is_refused(&stage.request("GET /open", &FORMS, b""), 403, "network_forbidden");
    stage.counts_only("network_forbidden", 403, FORMS.len() as u64 + 1);
}

#[test]
fn g10_the_upstream_hears_the_true_address() {
    let stage = Stage::with(
        json!({}),
        json!({ "restrictions": { "networks": { "allow": ["127.0.0.0/8"], "deny": ["203.0.113.0/24"] } } }),
    );
    for field in FORMS {
        assert_eq!(stage.call("GET /open", &[field], b"").status, 200, "{field:?}");
        let seen = stage.upstream.take_requests();
        assert_eq!(seen[0].all("x-forwarded-for"), ["127.0.0.1"], "{field:?}");
        for name in [
            "forwarded",
            "x-real-ip",
            "x-client-ip",
            "x-forwarded",
            "x-forwarded-by",
            "x-cluster-client-ip",
            "true-client-ip",
            "cf-connecting-ip",
            "fastly-client-ip",
        ] {
            assert_eq!(seen[0].all(name), [] as [&str; 0], "{field:?}");
        }
    }
}

#[test]
fn g10_a_proxy_protocol_line_is_no_request() {
    let stage = Stage::new();
    for line in ["PROXY TCP4 203.0.113.7 127.0.0.1 1 2\r\n", "\r\n\r\n\0\r\nQUIT\n"] {
        let request = [line.as_bytes(), &stage.request("GET /open", &[], b"")].concat();
        stage.is_refused_and_closed(&request, 400, "request_malformed");
    }
}

#[test]
fn g10_a_trusted_proxy_is_believed_hop_by_hop_from_the_right() {
    let served = serve("trusted_proxies = [\"127.0.0.1/32\", \"10.0.0.0/8\"]", "");
    let stage = Stage::on(&served.installation, json!({}), from_allowed_network());
    for (lines, client) in [
        (vec!["203.0.113.7"], Some(ALLOWED)),
        (vec!["198.51.100.1, 203.0.113.7"], Some(ALLOWED)),
        (vec!["198.51.100.1, 203.0.113.7, 10.1.1.1"], Some(ALLOWED)),
        (vec!["198.51.100.1", "203.0.113.7"], Some(ALLOWED)),
        (vec!["203.0.113.7:1234"], Some(ALLOWED)),
        (vec!["203.0.113.7, 198.51.100.1"], None),
        (vec!["203.0.113.7", "198.51.100.1"], None),
        (vec!["203.0.113.7, nonsense"], None),
        (vec!["203.0.113.7, "], None),
        (vec!["203.0.113.7, unknown, 10.0.0.1"], None),
        (vec!["10.0.0.1"], None),
        (vec![], None),
    ] {
        let fields: Vec<(&str, &str)> = lines.iter().map(|line| ("X-Forwarded-For", *line)).collect();
        let answer = stage.call("GET /open", &fields, b"");
        match client {
            Some(client) => {
                assert_eq!(answer.status, 200, "{lines:?}");
                let seen = stage.upstream.take_requests();
                assert_eq!(seen[0].all("x-forwarded-for"), [client], "{lines:?}");
            }
            None => {
                stage.check_problem(&answer, 403, "network_forbidden", &format!("{lines:?}"));
                stage.saw_nothing(&format!("{lines:?}"));
            }
        }
    }
    // A proxy that is trusted with one field is not trusted with the others.
    for field in FORMS.into_iter().filter(|(name, _)| !name.eq_ignore_ascii_case("x-forwarded-for")) {
        stage.is_refused(&stage.request("GET /open", &[field], b""), 403, "network_forbidden");
    }
}
