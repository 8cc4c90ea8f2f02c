//! The management API's own problems, and what every answer of it carries.

use std::any::Any;
use std::borrow::Cow;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, RETRY_AFTER, STRICT_TRANSPORT_SECURITY,
    WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, StatusCode};
use keystile_store::{StoreError, StoreFault};

use super::app::App;
use super::condition::{Asked, Seen};
use crate::gateway::headers::X_REQUEST_ID;
use crate::problem::{CHALLENGE, PROBLEM_JSON, Problem, causes};

/// The request makes no sense.
pub(super) fn invalid(detail: impl Into<Cow<'static, str>>) -> Problem {
    Problem { status: 400, code: "invalid", title: "Invalid request", detail: detail.into() }
}

/// There is no such thing, or it is somebody else's.
pub(super) fn not_found(noun: &'static str) -> Problem {
    Problem { status: 404, code: "not_found", title: "Not found", detail: format!("There is no such {noun}.").into() }
}

/// It can't be done in the state in which things are.
pub(super) fn conflict(detail: impl Into<Cow<'static, str>>) -> Problem {
    let detail = detail.into();
    Problem { status: 409, code: "conflict", title: "Conflict", detail }
}

/// It is in another state than the request was made for.
pub(super) fn precondition_failed() -> Problem {
    Problem {
        status: 412,
        code: "precondition_failed",
        title: "Precondition failed",
        detail:
            "It is not in the state that If-Match names: somebody changed it meanwhile, or it is not there. Read it \
                 again, and send your change with the ETag of that answer."
                .into(),
    }
}

/// The body is longer than its route takes.
pub(super) fn too_large() -> Problem {
    Problem::of(keystile_core::Code::ContentTooLarge).because("The body is longer than this takes; send less.")
}

/// The body is of another media type.
pub(super) fn unsupported(detail: &'static str) -> Problem {
    Problem { status: 415, code: "unsupported_media_type", title: "Unsupported media type", detail: detail.into() }
}

/// The session is over.
pub(super) fn session_ended() -> Problem {
    Problem {
        status: 401,
        code: "session_ended",
        title: "Session ended",
        detail: "This session has ended, or never was; log in again.".into(),
    }
}

/// Only a person who is logged in can do it.
pub(super) fn session_required() -> Problem {
    Problem {
        status: 403,
        code: "session_required",
        title: "Session required",
        detail: "This is about the account of whoever is logged in; send the token of a session in place of a key."
            .into(),
    }
}

/// A person must prove first who they are.
pub(super) fn step_up_required() -> Problem {
    Problem {
        status: 403,
        code: "step_up_required",
        title: "Proof required",
        detail: "Prove once more who you are, with POST /v1/account/prove, and send it again.".into(),
    }
}

/// Another site's page asks.
pub(super) fn cross_site() -> Problem {
    Problem {
        status: 403,
        code: "cross_site",
        title: "Cross-site request",
        detail: "A browser asks this from a page of another site, which may change nothing here.".into(),
    }
}

/// Nobody is known by this address and this password.
pub(super) fn login_failed() -> Problem {
    Problem {
        status: 401,
        code: "login_failed",
        title: "Login failed",
        detail: "The e-mail address or the password is wrong.".into(),
    }
}

/// Nobody said where browsers reach this server, which passkeys are bound to.
pub(super) fn passkeys_unavailable() -> Problem {
    Problem {
        status: 409,
        code: "passkeys_unavailable",
        title: "No passkeys here",
        detail: "Passkeys are bound to an address; whoever runs this server must say in login.origin where browsers reach it."
            .into(),
    }
}

/// The settings name no identity provider.
pub(super) fn provider_unavailable(detail: impl Into<Cow<'static, str>>) -> Problem {
    Problem { status: 409, code: "provider_unavailable", title: "No identity provider", detail: detail.into() }
}

/// The password was right, and is not all.
pub(super) fn factor_required() -> Problem {
    Problem {
        status: 401,
        code: "second_factor_required",
        title: "Second factor required",
        detail: "Send it again with code: the six digits that your app shows, or a recovery code.".into(),
    }
}

/// A device is not let in, or not yet (RFC 8628 §3.5).
pub(super) fn device_problem(code: &'static str, detail: &'static str) -> Problem {
    Problem { status: 400, code, title: "Device not let in", detail: detail.into() }
}

/// Too many were wrong.
pub(super) fn login_locked(detail: impl Into<Cow<'static, str>>) -> Problem {
    Problem { status: 429, code: "login_locked", title: "Login locked", detail: detail.into() }
}

/// There is no room to look at it now.
pub(super) fn overloaded(detail: impl Into<Cow<'static, str>>) -> Problem {
    Problem::of(keystile_core::Code::Overloaded).because(detail)
}

/// Something failed that the caller can't help; the cause goes to the log, here and nowhere else.
pub(super) fn internal(cause: &(dyn std::error::Error + 'static)) -> Problem {
    tracing::error!(cause = causes(cause), "a management request failed");
    match cause.downcast_ref::<StoreError>().map(StoreError::fault) {
        Some(StoreFault::Away) => away(),
        Some(StoreFault::Full) => full(),
        Some(StoreFault::Broken) | None => failed(),
    }
}

/// The store can't be asked at the moment.
fn away() -> Problem {
    Problem {
        status: 503,
        code: "store_unavailable",
        title: "Store not available",
        detail:
            "The store can't be reached at the moment; try again soon, and look first whether your change was made."
                .into(),
    }
}

/// Another process makes changes now.
pub(super) fn elsewhere() -> Problem {
    away().because(
        "Another process took the place of this one, and nothing was changed; send it again, and the new one gets it.",
    )
}

/// The disk is full.
fn full() -> Problem {
    Problem {
        status: 507,
        code: "insufficient_storage",
        title: "Disk full",
        detail: "The server's disk is full, so nothing was changed; whoever runs it must make room. Then try again."
            .into(),
    }
}

fn failed() -> Problem {
    Problem {
        status: 500,
        code: "internal",
        title: "Internal error",
        detail: "Something failed here; try again, and give the request_id to whoever runs this server.".into(),
    }
}

/// What every answer says to browsers, unless a page says more: it runs nothing, is in no frame, tells nobody where it came
/// from, and is nobody's to embed (S-7).
const EVERY_ANSWER: [(http::HeaderName, &str); 4] = [
    (CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"),
    (REFERRER_POLICY, "no-referrer"),
    (http::HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (http::HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// For a year browsers come here with TLS alone, once they did.
const ONLY_TLS: &str = "max-age=31536000";

/// That a request came encrypted, put into its extensions by whoever accepted the connection.
#[derive(Debug, Clone, Copy)]
pub struct Encrypted;

pub(super) async fn no_such_route() -> Problem {
    not_found("route").because("There is no such route; /openapi.json lists them.")
}

pub(super) async fn no_such_method() -> Problem {
    Problem {
        status: 405,
        code: "method_not_allowed",
        title: "Method not allowed",
        detail: "This route takes other methods; /openapi.json lists them.".into(),
    }
}

pub(super) fn after_panic(_: Box<dyn Any + Send + 'static>) -> Response {
    failed().into_response()
}

impl IntoResponse for Problem {
    /// Without a body yet: [`finish`] knows the request's id.
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Gives every request an id, writes problems, and says of every answer that it is nobody's to keep (S-7).
pub(super) async fn finish(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let id = app.request_id();
    request.extensions_mut().insert(id);
    let seen = Seen::default();
    request.extensions_mut().insert(seen.clone());
    let asked = Asked::of(request.method(), request.headers());
    let is_encrypted = request.extensions().get::<Encrypted>().is_some();
    let mut response = match request.extensions_mut().remove::<Problem>() {
        // The wire guard refused it: what hyper shows is a stand-in.
        Some(refused) => refused.into_response(),
        None => next.run(request).await,
    };
    response = seen.finish(&asked, response).await;
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        if problem.status == 401 {
            response.headers_mut().insert(WWW_AUTHENTICATE, CHALLENGE);
        }
        if let Some(seconds) = problem.retry_after() {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response.headers_mut().insert(CONTENT_TYPE, PROBLEM_JSON);
        *response.body_mut() = problem.to_json(id).into();
    }
    let headers = response.headers_mut();
    headers.insert(X_REQUEST_ID, HeaderValue::try_from(id.to_string()).expect("ids are visible ASCII"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    for (name, value) in EVERY_ANSWER {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if is_encrypted {
        headers.insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(ONLY_TLS));
    }
    response
}
