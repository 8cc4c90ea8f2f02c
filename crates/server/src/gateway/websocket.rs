//! WebSockets (RFC 6455): which requests ask for one, and which answers grant it. Everything else that a client writes
//! into `Upgrade` goes on as a request without it (G-19: `h2c` above all).

use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

const WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");
const UPGRADES: HeaderValue = HeaderValue::from_static("Upgrade");
/// Sixteen bytes in Base64.
const KEY_LEN: usize = 24;
/// The one version there is.
const VERSION: &[u8] = b"13";

/// Whether a request without a body asks for a WebSocket, in the one way there is (§4.1).
pub(super) fn is_asked_for(method: &Method, headers: &HeaderMap) -> bool {
    // Looked for first: nearly no request has it.
    one(headers, UPGRADE).is_some_and(is_websocket)
        && *method == Method::GET
        && names_upgrade(headers)
        && one(headers, SEC_WEBSOCKET_KEY).is_some_and(|key| key.len() == KEY_LEN)
        && one(headers, SEC_WEBSOCKET_VERSION).is_some_and(|version| version.as_bytes() == VERSION)
}

/// Whether the head of a `101` grants it (§4.2.2).
pub(super) fn is_granted(headers: &HeaderMap) -> bool {
    one(headers, UPGRADE).is_some_and(is_websocket)
        && names_upgrade(headers)
        && one(headers, SEC_WEBSOCKET_ACCEPT).is_some()
}

/// Puts into the head, from which fields of one hop were taken, those of this hop.
pub(super) fn put(headers: &mut HeaderMap) {
    headers.insert(CONNECTION, UPGRADES);
    headers.insert(UPGRADE, WEBSOCKET);
}

fn is_websocket(value: &HeaderValue) -> bool {
    value.as_bytes().eq_ignore_ascii_case(b"websocket")
}

fn names_upgrade(headers: &HeaderMap) -> bool {
    let mut options = headers.get_all(CONNECTION).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    options.any(|option| option.trim_ascii().eq_ignore_ascii_case(b"upgrade"))
}

/// The value of a field that stands there once.
fn one(headers: &HeaderMap, name: HeaderName) -> Option<&HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g19_only_a_websocket_in_its_one_form_is_asked_for() {
        let sound = [
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "WebSocket"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("sec-websocket-version", "13"),
        ];
        let asked = |method: Method, fields: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                headers.append(*name, HeaderValue::from_static(value));
            }
            is_asked_for(&method, &headers)
        };
        assert!(asked(Method::GET, &sound));
        assert!(!asked(Method::POST, &sound));
        for (n, (name, _)) in sound.iter().enumerate() {
            let without: Vec<_> = sound.iter().copied().filter(|(own, _)| own != name).collect();
            assert!(!asked(Method::GET, &without), "{name} is missing");
            if n > 0 {
                assert!(!asked(Method::GET, &[&sound[..], &[sound[n]]].concat()), "{name} twice");
            }
        }
        for wrong in
            [("upgrade", "h2c"), ("upgrade", "websocket, h2c"), ("sec-websocket-version", "8"), ("connection", "close")]
        {
            let fields: Vec<_> =
                sound.iter().copied().map(|field| if field.0 == wrong.0 { wrong } else { field }).collect();
            assert!(!asked(Method::GET, &fields), "{wrong:?}");
        }
    }
}
