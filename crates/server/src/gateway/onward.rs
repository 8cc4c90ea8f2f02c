//! A call as its upstream gets it: where it goes, and what the gateway says of it.

use std::borrow::Cow;

use bytes::Bytes;
use http::header::{HOST, TE};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Request, Uri, Version};
use keystile_core::Code;
use keystile_core::target::CanonicalTarget;

use super::body::Outgoing;
use super::credential;
use super::headers::{
    X_CONSUMER_ID, X_CONSUMER_USERNAME, X_CREDENTIAL_IDENTIFIER, X_FORWARDED_FOR, X_FORWARDED_HOST, X_REQUEST_ID,
    forwarded,
};
use crate::enforce::engine::Verdict;
use crate::enforce::snapshot::ApiView;
use crate::upstream::Upstream;

/// Fields that the gateway adds to a call.
const ADDED_FIELDS: usize = 9;

/// The host of a call in lower case and without its port. The wire guard has seen that there is exactly one.
pub(super) fn host<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Cow<'a, str> {
    let authority = match uri.authority() {
        Some(authority) => authority.as_str(),
        None => headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default(),
    };
    let end = if authority.starts_with('[') {
        authority.find(']').map_or(authority.len(), |end| end + 1)
    } else {
        authority.find(':').unwrap_or(authority.len())
    };
    let host = &authority[..end];
    if host.bytes().any(|byte| byte.is_ascii_uppercase()) { host.to_ascii_lowercase().into() } else { host.into() }
}

/// The path as the API's document and its keys' restrictions know it: without the prefix, if that is taken off.
pub(super) fn below<'a>(api: &ApiView, path: &'a str) -> &'a str {
    if !api.strip_prefix {
        return path;
    }
    match path.strip_prefix(&*api.path_prefix) {
        Some("") | None => "/",
        Some(rest) => rest,
    }
}

/// The target as the upstream gets it: exactly what was judged.
pub(super) fn upstream_uri(api: &ApiView, target: &CanonicalTarget<'_>, uri: &Uri) -> Result<Uri, Code> {
    let without_keys = target.query().and_then(|query| credential::query_without_keys(&api.key_places, query));
    if target.is_verbatim() && !api.strip_prefix && api.upstream.base_path.is_empty() && without_keys.is_none() {
        return Ok(uri.path_and_query().cloned().map_or_else(Uri::default, Uri::from));
    }
    let path = below(api, target.path());
    let query = without_keys.as_deref().or(target.query());
    let mut text = String::with_capacity(api.upstream.base_path.len() + path.len() + query.map_or(0, |q| q.len() + 1));
    text.push_str(&api.upstream.base_path);
    text.push_str(path);
    if let Some(query) = query.filter(|query| without_keys.is_none() || !query.is_empty()) {
        text.push('?');
        text.push_str(query);
    }
    PathAndQuery::try_from(text).map(Uri::from).map_err(|_| Code::RequestMalformed)
}

/// The fields of a call that its key, its client and its id are told by, on top of what may go on of the client's.
pub(super) fn upstream_headers(
    api: &ApiView,
    client_headers: &HeaderMap,
    verdict: Option<&Verdict>,
    client: HeaderValue,
    id: &HeaderValue,
) -> HeaderMap {
    let mut headers = forwarded(client_headers, &api.key_places, api.upstream.host_header.clone(), ADDED_FIELDS);
    if let Some(key) = verdict.and_then(|verdict| verdict.key.as_ref()) {
        headers.insert(X_CONSUMER_ID, key.project.id_header.clone());
        headers.insert(X_CONSUMER_USERNAME, key.project.name_header.clone());
        headers.insert(X_CREDENTIAL_IDENTIFIER, id_header(&key.entry.id.to_ascii()));
    }
    for (name, value) in &api.upstream_fields {
        headers.insert(name.clone(), value.clone());
    }
    headers.insert(X_REQUEST_ID, id.clone());
    headers.insert(X_FORWARDED_FOR, client);
    if let Some(host) = client_headers.get(HOST) {
        headers.insert(X_FORWARDED_HOST, host.clone());
    }
    headers
}

/// Makes of a call for HTTP/1.1 one for HTTP/2: what `Host` said stands in the target (RFC 9113 §8.3.1), and a client
/// that reads trailers may say so.
pub(super) fn speak_http2(upstream: &Upstream, client_headers: &HeaderMap, request: &mut Request<Outgoing>) {
    *request.uri_mut() = upstream.absolute(request.uri());
    *request.version_mut() = Version::HTTP_2;
    let headers = request.headers_mut();
    headers.remove(HOST);
    if client_headers.get_all(TE).iter().any(|value| value.as_bytes().eq_ignore_ascii_case(b"trailers")) {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
}

/// The text of an id as a header value.
pub(super) fn id_header(text: &[u8]) -> HeaderValue {
    HeaderValue::from_maybe_shared(Bytes::copy_from_slice(text)).expect("ids are visible ASCII")
}
