//! The management API as pages ask it: in the process, over the same routes, as the visitor.

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, COOKIE, HOST, ORIGIN, USER_AGENT};
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use http_body_util::BodyExt;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tower::ServiceExt;

/// What of a browser's request says who asks, from where and from which page. All else is about the page, not the question.
const OF_VISITORS: [HeaderName; 8] = [
    COOKIE,
    HOST,
    ORIGIN,
    USER_AGENT,
    HeaderName::from_static("sec-fetch-site"),
    HeaderName::from_static("forwarded"),
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-real-ip"),
];

/// The management API of this process.
#[derive(Clone)]
pub(crate) struct Api {
    router: Router,
}

/// Whoever has the browser: what each question carries.
#[derive(Clone, Default)]
pub(crate) struct Visitor {
    headers: HeaderMap,
    extensions: Extensions,
}

/// An answer that is no refusal.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The fields of its head.
    pub(crate) headers: HeaderMap,
    body: Bytes,
}

/// The API refused, or failed: its problem (RFC 9457).
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Refusal {
    /// The status.
    pub(crate) status: u16,
    /// The stable word.
    pub(crate) code: String,
    /// What it is called.
    pub(crate) title: String,
    /// What to do.
    pub(crate) detail: String,
    /// What to tell whoever runs the server.
    #[serde(default)]
    pub(crate) request_id: String,
}

/// What a page gets of the API.
pub(crate) type Asked<T> = Result<T, Refusal>;

impl Visitor {
    /// Whoever made this request, over a connection of which this is known.
    pub(crate) fn of(headers: &HeaderMap, extensions: Extensions) -> Self {
        let mut own = HeaderMap::new();
        for name in OF_VISITORS {
            for value in headers.get_all(&name) {
                own.append(&name, value.clone());
            }
        }
        Self { headers: own, extensions }
    }

    /// The same with another cookie, after the API gave one.
    pub(crate) fn with_cookie(mut self, set_cookie: &HeaderValue) -> Self {
        let text = set_cookie.to_str().unwrap_or_default();
        let pair = text.split(';').next().unwrap_or_default();
        if let Ok(value) = HeaderValue::try_from(pair) {
            self.headers.insert(COOKIE, value);
        }
        self
    }
}

impl Api {
    /// Over the management API's routes.
    pub(crate) fn new(router: Router) -> Self {
        Self { router }
    }

    /// Asks. `path` is with its query.
    ///
    /// # Errors
    /// What the API says to any client.
    pub(crate) async fn ask(
        &self,
        visitor: &Visitor,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Asked<Answer> {
        let mut request = Request::new(body.map_or_else(Body::empty, |value| Body::from(value.to_string())));
        *request.method_mut() = method;
        *request.uri_mut() =
            path.parse().map_err(|_| Refusal::unasked("The address asks for nothing that there is."))?;
        *request.headers_mut() = visitor.headers.clone();
        if body.is_some() {
            request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        *request.extensions_mut() = visitor.extensions.clone();
        let answer = match self.router.clone().oneshot(request).await {
            Ok(answer) => answer,
            Err(never) => match never {},
        };
        let (head, body) = answer.into_parts();
        let body =
            body.collect().await.map_err(|_| Refusal::unasked("The answer did not come to its end."))?.to_bytes();
        if head.status.is_success() {
            return Ok(Answer { headers: head.headers, body });
        }
        Err(serde_json::from_slice(&body).unwrap_or_else(|_| Refusal::of_status(head.status)))
    }

    /// Reads something.
    pub(crate) async fn get<T: DeserializeOwned>(&self, visitor: &Visitor, path: &str) -> Asked<T> {
        self.ask(visitor, Method::GET, path, None).await?.read()
    }
}

impl Answer {
    /// What was answered.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Asked<T> {
        serde_json::from_slice(&self.body)
            .map_err(|error| Refusal::unasked(&format!("The answer is another one than expected: {error}.")))
    }
}

impl Refusal {
    /// One of the console itself.
    pub(crate) fn own(status: u16, title: &str, detail: &str) -> Self {
        let code = if status == 404 { "not_found" } else { "invalid" };
        Self { status, code: code.into(), title: title.into(), detail: detail.into(), request_id: String::new() }
    }

    fn unasked(detail: &str) -> Self {
        Self {
            status: 500,
            code: "internal".into(),
            title: "Internal error".into(),
            detail: detail.into(),
            request_id: String::new(),
        }
    }

    fn of_status(status: StatusCode) -> Self {
        let title = status.canonical_reason().unwrap_or("Refused");
        Self {
            status: status.as_u16(),
            code: "refused".into(),
            title: title.into(),
            detail: format!("{title}."),
            request_id: String::new(),
        }
    }

    /// Whether whoever asks must prove once more who they are.
    pub(crate) fn wants_proof(&self) -> bool {
        self.code == "step_up_required"
    }

    /// What stands above a form after it.
    ///
    /// # Errors
    /// It itself, if it is not about the form: who asks must prove who they are, or the server failed.
    pub(crate) fn above_form(self) -> Asked<String> {
        if self.wants_proof() || self.status >= 500 { Err(self) } else { Ok(self.detail) }
    }

    /// Whether there is no session.
    pub(crate) fn is_stranger(&self) -> bool {
        self.status == 401
    }
}
