//! The console: pages for whoever owns APIs, at the listener of the management API.
//!
//! A request comes in by [`enter`], which finds out who has the browser (or sends them to log in) and hands the page a
//! [`Visit`](visit::Visit): what it asks the API with, and what it answers with. A page is a handler and a template: it reads JSON
//! of the API into the few fields that it shows, and renders them; the frame round it is [`shell`]. A form is sent as a form and
//! becomes one request of the API; what that refuses stands above the form again, with all that was typed.

mod access;
mod alerts;
mod anomalies;
mod apis;
mod audit;
mod confirm;
mod enter;
mod first_call;
mod gallery;
mod history;
mod hygiene;
mod keys;
mod leaks;
mod lists;
mod login;
mod model;
mod once;
mod overview;
mod palette;
mod people;
mod plans;
mod portal;
mod preview;
mod projects;
mod requests;
mod rights;
mod sessions;
mod settings;
mod shell;
mod switch;
mod team;
mod tokens;
mod traffic;
mod usage;
mod visit;
mod webhooks;

use std::pin::Pin;
use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use flate2::Compression;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, VARY};
use http::{Extensions, HeaderMap, HeaderValue, Method, StatusCode};
use http_body_util::{BodyExt, Collected};
use keystile_core::time::Timestamp;

use crate::api::{Api, Refusal, Visitor};
use crate::assets::{self, accepts_gzip, compressed};

/// Largest form: an OpenAPI document stands in one.
const BODY_LIMIT_BYTES: usize = 33 << 20;

/// What pages may do: nothing inside them runs or styles, and nothing comes from elsewhere (S-7).
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; \
                      connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Carries a call to the gateway of this process, as a client would; an error is a sentence.
pub type Calls = Arc<
    dyn Fn(http::Request<Bytes>) -> Pin<Box<dyn Future<Output = Result<http::Response<Bytes>, String>> + Send>>
        + Send
        + Sync,
>;

/// What the console needs of the process that it runs in.
#[derive(Clone)]
pub struct Site {
    /// The management API.
    pub api: Router,
    /// The time.
    pub now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    /// Where clients reach the gateway, without a slash at the end: `https://api.example.com`.
    pub gateway: String,
    /// Calls it.
    pub calls: Calls,
    /// What is known of the connection of a request, which the management API is to know, too.
    pub connection: fn(&Extensions) -> Extensions,
}

/// The console as pages see it.
pub(crate) struct Console {
    api: Api,
    now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    gateway: String,
    calls: Calls,
    connection: fn(&Extensions) -> Extensions,
}

impl Console {
    /// Whoever made this request.
    fn visitor(&self, headers: &HeaderMap, extensions: &Extensions) -> Visitor {
        Visitor::of(headers, (self.connection)(extensions))
    }

    /// The time.
    fn time(&self) -> jiff::Timestamp {
        jiff::Timestamp::from_microsecond((self.now)().as_micros()).unwrap_or_default()
    }
}

/// The pages and what they are made of.
pub fn console(site: Site) -> Router {
    let console = Arc::new(Console {
        api: Api::new(site.api),
        now: site.now,
        gateway: site.gateway,
        calls: site.calls,
        connection: site.connection,
    });
    let pages = Router::new()
        .merge(overview::routes())
        .merge(apis::routes())
        .merge(first_call::routes())
        .merge(gallery::routes())
        .merge(portal::routes())
        .merge(keys::routes())
        .merge(palette::routes())
        .merge(switch::routes())
        .merge(requests::routes())
        .merge(projects::routes())
        .merge(access::routes())
        .merge(plans::routes())
        .merge(webhooks::routes())
        .merge(alerts::routes())
        .merge(anomalies::routes())
        .merge(leaks::routes())
        .merge(usage::routes())
        .merge(audit::routes())
        .merge(team::routes())
        .merge(tokens::routes())
        .merge(sessions::routes())
        .merge(settings::routes())
        .merge(hygiene::routes())
        .route("/logout", axum::routing::post(login::leave))
        .layer(from_fn_with_state(console.clone(), enter::enter));
    Router::new()
        .merge(pages)
        .route("/login", get(login::page).post(login::log_in))
        .route("/login/link", axum::routing::post(login::send_link))
        .with_state(console)
        .layer(DefaultBodyLimit::max(BODY_LIMIT_BYTES))
        .layer(from_fn(finish))
        .route("/assets/{file}", get(assets::serve))
}

/// Finishes pages: what they may do, and smaller where the browser takes that. Only what was read is compressed: a form's answer may
/// hold a secret beside what somebody typed, and lengths would tell of it (BREACH).
async fn finish(request: Request, next: Next) -> Response {
    let is_read = request.method() == Method::GET && accepts_gzip(request.headers());
    let response = next.run(request).await;
    let is_page = response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    let (mut parts, body) = response.into_parts();
    parts.headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    if !is_read || !is_page {
        return Response::from_parts(parts, body);
    }
    // It is in memory already.
    let Ok(whole) = body.collect().await.map(Collected::to_bytes) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    parts.headers.remove(CONTENT_LENGTH);
    parts.headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    parts.headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    Response::from_parts(parts, compressed(&whole, Compression::fast()).into())
}

/// What a page answers.
type Shown = Result<Response, Refusal>;
