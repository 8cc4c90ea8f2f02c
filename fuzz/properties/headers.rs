//! What must hold for the fields that go on (G-7, G-8): nothing that ends here or is the gateway's to say, nothing that
//! `Connection` names, no key; and nothing but what came.

use http::{HeaderMap, HeaderName, HeaderValue};
use keystile_server::enforce::snapshot::KeyPlace;
use keystile_server::gateway::headers::{forwarded, strip_answer};

/// Fields between two neighbours.
const OF_ONE_HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Fields that only the gateway says.
const OURS: [&str; 7] =
    ["forwarded", "via", "x-request-id", "x-real-ip", "x-http-method-override", "x-original-url", "x-rewrite-url"];

/// Families of such fields.
const FAMILIES: [&str; 3] = ["x-consumer-", "x-credential-", "x-forwarded-"];

/// Panics if it does not hold.
pub(crate) fn holds(bytes: &[u8]) {
    let client = fields(bytes);
    let named = named_by_connection(&client);
    let places = [KeyPlace::Bearer, KeyPlace::Header(HeaderName::from_static("x-api-key"))];
    let host = HeaderValue::from_static("upstream.test");
    let sent = forwarded(&client, &places, host.clone(), 0);

    assert!(sent.get_all("host").iter().eq([&host]));
    for name in sent.keys().map(HeaderName::as_str).filter(|name| *name != "host") {
        let ends_here = OF_ONE_HOP.contains(&name) || ["content-length", "expect", "x-api-key"].contains(&name);
        let is_ours = OURS.contains(&name) || FAMILIES.iter().any(|family| name.starts_with(family));
        assert!(!ends_here && !is_ours, "{name} went on");
        assert!(!named.iter().any(|option| option == name), "{name} went on, which Connection names");
        assert!(sent.get_all(name).iter().all(|value| client.get_all(name).iter().any(|own| own == value)));
        assert!(sent.get_all(name).iter().count() <= client.get_all(name).iter().count());
    }
    let is_bearer = |value: &HeaderValue| value.as_bytes().to_ascii_lowercase().starts_with(b"bearer ");
    assert!(!sent.get_all("authorization").iter().any(is_bearer), "a key went on");
    for name in ["accept", "cookie", "x-custom"].into_iter().filter(|name| !named.iter().any(|option| option == name)) {
        assert!(sent.get_all(name).iter().eq(client.get_all(name).iter()), "{name} was lost");
    }
    assert_eq!(forwarded(&sent, &places, host, 0), sent);

    let mut answer = client;
    strip_answer(&mut answer, false);
    for name in answer.keys().map(HeaderName::as_str) {
        assert!(!OF_ONE_HOP.contains(&name) && !named.iter().any(|option| option == name), "{name} went back");
    }
}

/// The lines that are fields.
fn fields(bytes: &[u8]) -> HeaderMap {
    let mut fields = HeaderMap::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let value = line[colon + 1..].trim_ascii();
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(&line[..colon]), HeaderValue::from_bytes(value)) {
            fields.append(name, value);
        }
    }
    fields
}

/// What `Connection` names, apart from the words about the connection itself. The guard lets no other text through.
fn named_by_connection(fields: &HeaderMap) -> Vec<String> {
    let values = fields.get_all("connection").iter().filter_map(|value| value.to_str().ok());
    let options = values.flat_map(|value| value.split(',')).map(|option| option.trim().to_ascii_lowercase());
    options.filter(|option| !["", "keep-alive", "close"].contains(&&**option)).collect()
}
