//! The console: pages for whoever owns APIs, at the listener of the management API.
//!
//! A request comes in by [`enter`], which finds out who has the browser (or sends them to log in) and hands the page a
//! [`Visit`](visit::Visit): what it asks the API with, and what it answers with. A page is a handler and a template: it reads JSON
//! of the API into the few fields that it shows, and renders them; the frame round it is [`shell`]. A form is sent as a form and
//! becomes one request of the API; what that refuses stands above the form again, with all that was typed.

mod apis;
mod enter;
mod first_call;
mod keys;
mod login;
mod model;
mod overview;
mod palette;
mod requests;
mod shell;
mod switch;
mod traffic;
mod visit;

use std::pin::Pin;
use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::Response;
use axum::routing::get;
use bytes::Bytes;
use http::header::CONTENT_SECURITY_POLICY;
use http::{Extensions, HeaderMap, HeaderValue};
use keystile_core::time::Timestamp;

use crate::api::{Api, Refusal, Visitor};
use crate::assets;

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
        .merge(keys::routes())
        .merge(palette::routes())
        .merge(switch::routes())
        .merge(requests::routes())
        .route("/logout", axum::routing::post(login::leave))
        .layer(from_fn_with_state(console.clone(), enter::enter));
    Router::new()
        .merge(pages)
        .route("/login", get(login::page).post(login::log_in))
        .with_state(console)
        .layer(DefaultBodyLimit::max(BODY_LIMIT_BYTES))
        .layer(from_fn(with_policy))
        .route("/assets/{file}", get(assets::serve))
}

async fn with_policy(request: axum::extract::Request, next: axum::middleware::Next) -> Response {
    let mut response = next.run(request).await;
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    response
}

/// What a page answers.
type Shown = Result<Response, Refusal>;
