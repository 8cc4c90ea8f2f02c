//! Logging in and out.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Request, State};
use axum::response::{Html as Page, IntoResponse, Response};
use http::header::{LOCATION, SET_COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde::Deserialize;

use super::shell::Shell;
use super::visit::Visit;
use super::{Console, Shown};
use crate::api::{Refusal, Visitor};
use crate::ui::form::{Fields, Object};
use crate::ui::html::Html;

/// The page.
#[derive(Template, Default)]
#[template(path = "console/login.html")]
struct Login {
    email: String,
    next: String,
    wants_code: bool,
    fault: Option<String>,
    has_passkeys: bool,
    provider: Option<String>,
    has_links: bool,
    sent: bool,
}

/// How one can log in here.
#[derive(Deserialize, Default)]
struct Ways {
    passkeys: bool,
    provider: Option<String>,
    #[serde(default)]
    links: bool,
}

/// The form.
pub(super) async fn page(State(console): State<Arc<Console>>, request: Request) -> Response {
    let query = Fields::read(request.uri().query().unwrap_or_default().as_bytes());
    let visitor = console.visitor(request.headers(), request.extensions());
    shown(&console, &visitor, Login { next: own_path(query.one("next")), ..Login::default() }).await
}

async fn shown(console: &Console, visitor: &Visitor, login: Login) -> Response {
    let ways: Ways = console.api.get(visitor, "/v1/login/ways").await.unwrap_or_default();
    let status = if login.fault.is_some() { StatusCode::UNAUTHORIZED } else { StatusCode::OK };
    let content = Login { has_passkeys: ways.passkeys, provider: ways.provider, has_links: ways.links, ..login };
    (status, Page(Html::of(&Shell::bare("Sign in", Html::of(&content))).into_string())).into_response()
}

/// Largest form of somebody who is not known.
const FORM_BYTES: usize = 1 << 16;

/// Who sends the form, and what it holds.
async fn sent(console: &Console, request: Request) -> Result<(Visitor, Fields), StatusCode> {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, FORM_BYTES).await.map_err(|_| StatusCode::PAYLOAD_TOO_LARGE)?;
    Ok((console.visitor(&parts.headers, &parts.extensions), Fields::read(&body)))
}

/// Has a letter with a link sent. The answer is the same whether there is an account.
pub(super) async fn send_link(State(console): State<Arc<Console>>, request: Request) -> Response {
    let (visitor, form) = match sent(&console, request).await {
        Ok(sent) => sent,
        Err(status) => return status.into_response(),
    };
    let body = Object::default().with("email", form.one("email")).into();
    let asked = console.api.ask(&visitor, Method::POST, "/v1/login/link/begin", Some(&body)).await;
    let fault = asked.err().map(|refusal| refusal.detail);
    let (email, next) = (form.one("email").into(), own_path(form.one("next")));
    shown(&console, &visitor, Login { email, next, sent: fault.is_none(), fault, ..Login::default() }).await
}

/// Lets somebody in.
pub(super) async fn log_in(State(console): State<Arc<Console>>, request: Request) -> Response {
    let (visitor, form) = match sent(&console, request).await {
        Ok(sent) => sent,
        Err(status) => return status.into_response(),
    };
    let question = Object::default()
        .with("email", form.one("email"))
        .with("password", form.exact("password"))
        .text("code", form.one("code"))
        .with("deliver", "cookie")
        .into();
    let next = own_path(form.one("next"));
    match console.api.ask(&visitor, Method::POST, "/v1/login", Some(&question)).await {
        Ok(answer) => {
            let to = HeaderValue::try_from(if next.is_empty() { "/" } else { &next });
            let to = (LOCATION, to.unwrap_or(HeaderValue::from_static("/")));
            ([to], cookies(&answer.headers), StatusCode::SEE_OTHER).into_response()
        }
        Err(refusal) => {
            let wants_code = refusal.code == "second_factor_required" || form.has("code");
            let fault = Some(sentence(&refusal));
            shown(
                &console,
                &visitor,
                Login { email: form.one("email").into(), next, wants_code, fault, ..Login::default() },
            )
            .await
        }
    }
}

fn sentence(refusal: &Refusal) -> String {
    match refusal.code.as_str() {
        "second_factor_required" => {
            "This account has a second factor. Type your password again, with the code of your app or a recovery code."
                .into()
        }
        _ => refusal.detail.clone(),
    }
}

/// The cookies that the API gives.
fn cookies(headers: &HeaderMap) -> HeaderMap {
    headers.get_all(SET_COOKIE).iter().map(|value| (SET_COOKIE, value.clone())).collect()
}

/// A path of this site, and of no other.
fn own_path(next: &str) -> String {
    let is_own = next.starts_with('/')
        && !next.starts_with("//")
        && !next.contains('\\')
        && next.bytes().all(|byte| byte.is_ascii_graphic());
    if is_own { next.to_owned() } else { String::new() }
}

/// Ends the session.
pub(super) async fn leave(visit: Visit) -> Shown {
    let answer = visit.send(Method::POST, "/v1/logout", None).await?;
    let clear = (HeaderName::from_static("clear-site-data"), HeaderValue::from_static("\"cache\", \"storage\""));
    let to = (LOCATION, HeaderValue::from_static("/login"));
    Ok(([to, clear], cookies(&answer.headers), StatusCode::SEE_OTHER).into_response())
}

#[cfg(test)]
mod tests {
    use super::own_path;

    #[test]
    fn a_login_leads_to_a_page_of_this_site_alone() {
        for (next, path) in [
            ("/keys?state=active", "/keys?state=active"),
            ("//evil.example", ""),
            ("https://evil.example", ""),
            ("/\\evil.example", ""),
            ("/a\r\nset-cookie: b", ""),
            ("", ""),
        ] {
            assert_eq!(own_path(next), path, "{next}");
        }
    }
}
