//! Upgrades (RFC 9110 §7.8): which requests ask for another protocol, and which answers grant it. Only those that the
//! API's owner named; whatever else a client writes into `Upgrade` goes on as a request without it (G-19: `h2c` above all).

use http::header::{CONNECTION, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use keystile_core::api::UpgradeProtocol;

mod websocket;

const UPGRADES: HeaderValue = HeaderValue::from_static("Upgrade");

/// The protocol that a request without a body asks for, if it is one of these and the only one.
pub(super) fn asked_for<'a>(
    allowed: &'a [UpgradeProtocol],
    method: &Method,
    headers: &HeaderMap,
) -> Option<&'a UpgradeProtocol> {
    // Looked for first: nearly no request has it.
    let value = one(headers, UPGRADE)?.as_bytes();
    let protocol = allowed.iter().find(|protocol| protocol.is(value)).filter(|_| names_upgrade(headers))?;
    let is_sound = match protocol {
        UpgradeProtocol::WebSocket => websocket::is_asked_for(method, headers),
        UpgradeProtocol::Other(_) => true,
    };
    is_sound.then_some(protocol)
}

/// Whether the head of a `101` grants the protocol that was asked for.
pub(super) fn is_granted(protocol: &UpgradeProtocol, headers: &HeaderMap) -> bool {
    one(headers, UPGRADE).is_some_and(|value| protocol.is(value.as_bytes()))
        && names_upgrade(headers)
        && match protocol {
            UpgradeProtocol::WebSocket => websocket::is_granted(headers),
            UpgradeProtocol::Other(_) => true,
        }
}

/// Puts into a head, from which fields of one hop were taken, those of this hop.
pub(super) fn put(protocol: &UpgradeProtocol, headers: &mut HeaderMap) {
    headers.insert(CONNECTION, UPGRADES);
    headers.insert(UPGRADE, HeaderValue::try_from(protocol.as_str()).expect("names of protocols are visible ASCII"));
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

    fn head(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    fn protocols(names: &[&str]) -> Vec<UpgradeProtocol> {
        names.iter().map(|name| name.parse().expect("it is sound")).collect()
    }

    #[test]
    fn g19_only_a_websocket_in_its_one_form_is_asked_for() {
        let sound = [
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "WebSocket"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("sec-websocket-version", "13"),
        ];
        let allowed = protocols(&["websocket"]);
        let asked = |method: Method, fields: &[_]| asked_for(&allowed, &method, &head(fields)).is_some();
        assert!(asked(Method::GET, &sound));
        assert!(!asked(Method::POST, &sound));
        assert!(asked_for(&[], &Method::GET, &head(&sound)).is_none(), "its API has none");
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

    #[test]
    fn g19_a_protocol_is_asked_for_and_granted_by_its_name_alone() {
        let allowed = protocols(&["tcp", "SPDY/3.1"]);
        for (connection, upgrades, found) in [
            ("Upgrade", &["tcp"][..], Some("tcp")),
            ("keep-alive, upgrade", &["spdy/3.1"], Some("SPDY/3.1")),
            ("close", &["tcp"], None),
            ("upgrade-insecure", &["tcp"], None),
            ("Upgrade", &[], None),
            ("Upgrade", &["tcp", "tcp"], None),
            ("Upgrade", &["tcp, SPDY/3.1"], None),
            ("Upgrade", &["tcp,"], None),
            ("Upgrade", &["SPDY"], None),
            ("Upgrade", &["SPDY/3"], None),
            ("Upgrade", &["websocket"], None),
            ("Upgrade", &["h2c"], None),
            ("Upgrade", &[""], None),
        ] {
            let mut headers = head(&[("connection", connection)]);
            for value in upgrades {
                headers.append(UPGRADE, HeaderValue::from_static(value));
            }
            let asked = asked_for(&allowed, &Method::POST, &headers);
            assert_eq!(asked.map(UpgradeProtocol::as_str), found, "{connection}: {upgrades:?}");
            let granted: Vec<_> = allowed.iter().filter(|protocol| is_granted(protocol, &headers)).collect();
            assert_eq!(granted, asked.into_iter().collect::<Vec<_>>(), "{connection}: {upgrades:?}");
        }
    }

    #[test]
    fn g19_a_websocket_is_granted_with_its_own_fields() {
        let [websocket, tcp] = [&protocols(&["websocket"])[0], &protocols(&["tcp"])[0]];
        let bare = [("connection", "upgrade"), ("upgrade", "websocket")];
        let full = [&bare[..], &[("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")]].concat();
        assert!(is_granted(websocket, &head(&full)));
        assert!(!is_granted(websocket, &head(&bare)) && !is_granted(tcp, &head(&full)));
    }
}
