//! WebSockets (RFC 6455): what a request and an answer must say beyond the name of the protocol.

use http::header::{SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION};
use http::{HeaderMap, Method};

use super::one;

/// Sixteen bytes in Base64.
const KEY_LEN: usize = 24;
/// The one version there is.
const VERSION: &[u8] = b"13";

/// Whether a request asks for one in the one way there is (§4.1).
pub(super) fn is_asked_for(method: &Method, headers: &HeaderMap) -> bool {
    *method == Method::GET
        && one(headers, SEC_WEBSOCKET_KEY).is_some_and(|key| key.len() == KEY_LEN)
        && one(headers, SEC_WEBSOCKET_VERSION).is_some_and(|version| version.as_bytes() == VERSION)
}

/// Whether the head of a `101` grants it (§4.2.2).
pub(super) fn is_granted(headers: &HeaderMap) -> bool {
    one(headers, SEC_WEBSOCKET_ACCEPT).is_some()
}
