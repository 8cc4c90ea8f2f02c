//! CORS (the Fetch standard §3.3), answered by the gateway from the API's settings: a preflight has no key and reaches no
//! upstream; every other answer, refusals too, says whether the page may read it. What the upstream says of it is left
//! out, so that there is one voice.

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use keystile_core::cors::Cors;
use keystile_core::method::{Method, MethodSet};

/// What pages may always read: how to go on, and what to name when asking for help.
const EXPOSED: &str = "x-request-id, ratelimit, ratelimit-policy, retry-after";
const STAR: HeaderValue = HeaderValue::from_static("*");
const TRUE: HeaderValue = HeaderValue::from_static("true");
const VARY_ORIGIN: HeaderValue = HeaderValue::from_static("Origin");
const VARY_PREFLIGHT: HeaderValue =
    HeaderValue::from_static("Origin, Access-Control-Request-Method, Access-Control-Request-Headers");

/// What an API says to pages, ready to be said.
#[derive(Debug)]
pub struct CorsView {
    cors: Cors,
    expose: HeaderValue,
    methods: HeaderValue,
    /// `None` for whatever is asked for.
    headers: Option<HeaderValue>,
    max_age: HeaderValue,
}

impl CorsView {
    /// Prepares the settings.
    pub fn new(cors: Cors) -> Self {
        let value = |text: String| HeaderValue::try_from(text).expect("names and numbers are visible ASCII");
        let expose = [&[EXPOSED.to_owned()], cors.expose_headers()].concat().join(", ");
        Self {
            expose: value(expose),
            methods: value(MethodSet::ALL.to_string()),
            headers: (!cors.headers().is_empty()).then(|| value(cors.headers().join(", "))),
            max_age: value(cors.max_age_seconds().to_string()),
            cors,
        }
    }

    /// What an answer to a request with these headers says. Empty but for `Vary` if the page may not read it.
    pub(super) fn answer(&self, request: &HeaderMap) -> Box<HeaderMap> {
        let mut fields = HeaderMap::new();
        if let Some(origin) = self.allowed(request) {
            fields.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            fields.insert(ACCESS_CONTROL_EXPOSE_HEADERS, self.expose.clone());
            if self.cors.credentials() {
                fields.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, TRUE);
            }
        }
        if !self.cors.is_for_all() {
            fields.insert(VARY, VARY_ORIGIN);
        }
        Box::new(fields)
    }

    /// Adds to an answer what a preflight asks for; `false`, and nothing, if the page may not call.
    pub(super) fn add_preflight(&self, fields: &mut HeaderMap, request: &HeaderMap) -> bool {
        if !fields.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN) {
            return false;
        }
        fields.remove(ACCESS_CONTROL_EXPOSE_HEADERS);
        fields.insert(ACCESS_CONTROL_ALLOW_METHODS, self.methods.clone());
        if let Some(headers) = self.headers.as_ref().or_else(|| request.get(ACCESS_CONTROL_REQUEST_HEADERS)) {
            fields.insert(ACCESS_CONTROL_ALLOW_HEADERS, headers.clone());
        }
        fields.insert(ACCESS_CONTROL_MAX_AGE, self.max_age.clone());
        fields.insert(VARY, VARY_PREFLIGHT);
        true
    }

    fn allowed(&self, request: &HeaderMap) -> Option<HeaderValue> {
        let mut origins = request.get_all(ORIGIN).iter();
        let (origin, None) = (origins.next()?, origins.next()) else { return None };
        let is_allowed = origin.to_str().is_ok_and(|origin| self.cors.allows(origin));
        is_allowed.then(|| if self.cors.is_for_all() { STAR } else { origin.clone() })
    }
}

/// Whether a browser asks if a page may make a request.
pub(super) fn is_preflight(method: Method, request: &HeaderMap) -> bool {
    method == Method::Options && request.contains_key(ORIGIN) && request.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// Says it in an answer, instead of what the upstream said.
pub(super) fn put(fields: HeaderMap, answer: &mut HeaderMap) {
    let own: Vec<HeaderName> =
        answer.keys().filter(|name| name.as_str().starts_with("access-control-")).cloned().collect();
    for name in own {
        answer.remove(name);
    }
    for (name, value) in &fields {
        answer.append(name, value.clone());
    }
}
