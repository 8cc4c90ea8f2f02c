//! A call as its upstream gets it: where it goes, and what the gateway says of it.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{HOST, REFERER, TE, TRANSFER_ENCODING, VIA};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Request, Uri, Version};
use hyper::body::Body;
use keystile_core::Code;
use keystile_core::api::UpstreamProtocol;
use keystile_core::id::KeyId;
use keystile_core::target::CanonicalTarget;

use super::body::Outgoing;
use super::credential;
use super::headers::{
    X_CONSUMER_ENVIRONMENT, X_CONSUMER_ID, X_CONSUMER_USERNAME, X_CREDENTIAL_IDENTIFIER, X_FORWARDED_FOR,
    X_FORWARDED_HOST, X_FORWARDED_PROTO, X_REQUEST_ID, forwarded,
};
use super::via::Via;
use crate::enforce::snapshot::{ApiView, ProjectView};
use crate::upstream::Upstream;

const HTTP: HeaderValue = HeaderValue::from_static("http");
const HTTPS: HeaderValue = HeaderValue::from_static("https");
const CHUNKED: HeaderValue = HeaderValue::from_static("chunked");
/// Fields that the gateway adds to a call.
const ADDED_FIELDS: usize = 10;

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
pub(crate) fn below<'a>(api: &ApiView, path: &'a str) -> &'a str {
    if !api.strip_prefix {
        return path;
    }
    match path.strip_prefix(&*api.path_prefix) {
        Some("") | None => "/",
        Some(rest) => rest,
    }
}

/// What the gateway says of a call to its upstream. With the client's head a request is made of it: once there is a
/// connection, and again if that was just being closed.
pub(super) struct Onward {
    /// Its key, and whose that is.
    pub(super) key: Option<(KeyId, Arc<ProjectView>)>,
    /// The client's address.
    pub(super) address: HeaderValue,
    /// Whether it came encrypted.
    pub(super) encrypted: bool,
    /// Whether a key stands in the address of the page that it comes from.
    pub(super) hides_referer: bool,
    /// Whether its target is passed on as it came.
    pub(super) verbatim: bool,
}

impl Onward {
    /// The request.
    ///
    /// # Errors
    /// If what was judged can't be written as a target: no target that can be sent is so long.
    pub(super) fn request(
        &self,
        api: &ApiView,
        head: &Parts,
        body: Outgoing,
        (via, id): (&Via, &HeaderValue),
    ) -> Result<Request<Outgoing>, Code> {
        let mut request = Request::new(body);
        *request.uri_mut() = self.uri(api, &head.uri)?;
        *request.method_mut() = head.method.clone();
        let headers = request.headers_mut();
        *headers = forwarded(&head.headers, &api.key_places, api.upstream.host_header.clone(), ADDED_FIELDS);
        if let Some((key, project)) = &self.key {
            headers.insert(X_CONSUMER_ID, project.id_header.clone());
            headers.insert(X_CONSUMER_USERNAME, project.name_header.clone());
            let environment = HeaderValue::from_static(project.environment.as_str());
            headers.insert(X_CONSUMER_ENVIRONMENT, environment);
            headers.insert(X_CREDENTIAL_IDENTIFIER, id_header(&key.to_ascii()));
        }
        for (name, value) in &api.upstream_fields {
            headers.insert(name.clone(), value.clone());
        }
        headers.insert(X_REQUEST_ID, id.clone());
        headers.insert(X_FORWARDED_FOR, self.address.clone());
        if let Some(host) = head.headers.get(HOST) {
            headers.insert(X_FORWARDED_HOST, host.clone());
        }
        headers.insert(X_FORWARDED_PROTO, if self.encrypted { HTTPS } else { HTTP });
        if self.hides_referer {
            headers.remove(REFERER);
        }
        headers.insert(VIA, via.after(&head.headers, head.version));
        match api.upstream.protocol {
            UpstreamProtocol::Http2 => speak_http2(&api.upstream, &head.headers, &mut request),
            // Said outright: of a method that seldom has a body the engine would leave it out.
            UpstreamProtocol::Http1 if request.body().size_hint().exact().is_none() => {
                request.headers_mut().insert(TRANSFER_ENCODING, CHUNKED);
            }
            UpstreamProtocol::Http1 => {}
        }
        Ok(request)
    }

    /// The target as the upstream gets it: exactly what was judged.
    fn uri(&self, api: &ApiView, uri: &Uri) -> Result<Uri, Code> {
        if self.verbatim {
            return Ok(uri.path_and_query().cloned().map_or_else(Uri::default, Uri::from));
        }
        let target = CanonicalTarget::parse(raw_target(uri)).map_err(|_| Code::RequestMalformed)?;
        let without_keys = target.query().and_then(|query| credential::query_without_keys(&api.key_places, query));
        let path = below(api, target.path());
        let query = without_keys.as_deref().or(target.query());
        let room = api.upstream.base_path.len() + path.len() + query.map_or(0, |query| query.len() + 1);
        let mut text = String::with_capacity(room);
        text.push_str(&api.upstream.base_path);
        text.push_str(path);
        if let Some(query) = query.filter(|query| without_keys.is_none() || !query.is_empty()) {
            text.push('?');
            text.push_str(query);
        }
        PathAndQuery::try_from(text).map(Uri::from).map_err(|_| Code::RequestMalformed)
    }
}

/// Whether a call's target is passed on as it came.
pub(super) fn is_verbatim(api: &ApiView, target: &CanonicalTarget<'_>) -> bool {
    target.is_verbatim()
        && !api.strip_prefix
        && api.upstream.base_path.is_empty()
        && target.query().is_none_or(|query| credential::query_without_keys(&api.key_places, query).is_none())
}

/// A target as it was sent.
pub(super) fn raw_target(uri: &Uri) -> &str {
    uri.path_and_query().map_or("", PathAndQuery::as_str)
}

/// Makes of a call for HTTP/1.1 one for HTTP/2: what `Host` said stands in the target (RFC 9113 §8.3.1), and a client
/// that reads trailers may say so.
fn speak_http2(upstream: &Upstream, client_headers: &HeaderMap, request: &mut Request<Outgoing>) {
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
