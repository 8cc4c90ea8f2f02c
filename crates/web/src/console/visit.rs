//! A visit: who has the browser, what is asked, and the ways to answer it.

use std::sync::Arc;

use askama::Template;
use axum::extract::FromRequestParts;
use axum::response::{Html as Page, IntoResponse, Response};
use bytes::Bytes;
use http::header::{AUTHORIZATION, LOCATION, SET_COOKIE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use jiff::Timestamp;
use keystile_core::permission::Permission;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Console;
use super::shell::{Dialog, Place, Shell};
use crate::api::{Answer, Asked, Refusal, Visitor};
use crate::ui::form::Fields;
use crate::ui::html::Html;
use crate::ui::time::Zone;

/// Where htmx is told to go.
const HX_REDIRECT: HeaderName = HeaderName::from_static("hx-redirect");

/// Letters of an answer that are shown.
const MAX_SHOWN: usize = 2_000;

/// The cookie in which the browser says its time zone.
pub(super) const ZONE_COOKIE: &str = "keystile_zone";
/// The cookie that carries a sentence to the next page.
pub(super) const SAID_COOKIE: &str = "keystile_said";

/// Who is logged in, as the API says.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Who {
    /// Where.
    pub(crate) organization_id: String,
    /// The person.
    pub(crate) account: Option<Account>,
    /// Its role.
    pub(crate) role: Option<String>,
    /// What it may do.
    pub(crate) permissions: Vec<String>,
}

/// A person.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Account {
    /// What it logs in with.
    pub(crate) email: String,
    /// What it is called.
    pub(crate) name: String,
    /// Whether codes are asked for, too.
    pub(crate) has_second_factor: bool,
    /// Whether there is a password.
    pub(crate) has_password: bool,
    /// Where it is a member.
    pub(crate) organizations: Vec<Membership>,
}

/// An organization that somebody is a member of.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Membership {
    /// Which.
    pub(crate) organization_id: String,
    /// Its name.
    pub(crate) name: String,
}

/// One request of somebody who is logged in.
#[derive(Clone)]
pub(crate) struct Visit {
    pub(super) console: Arc<Console>,
    pub(super) visitor: Visitor,
    /// Who it is.
    pub(crate) who: Arc<Who>,
    /// Their time zone.
    pub(crate) zone: Zone,
    /// When it came.
    pub(crate) now: Timestamp,
    /// Whether script asks for a part of a page.
    pub(crate) is_partial: bool,
    /// The address, with its query.
    pub(crate) path: String,
    /// Where the browser reaches this server: `https://console.example.com`.
    pub(crate) origin: String,
    /// The query.
    pub(crate) query: Arc<Fields>,
    /// The form, of a POST.
    pub(crate) form: Arc<Fields>,
    /// A sentence of the page before.
    pub(super) said: Option<String>,
}

impl<S: Sync> FromRequestParts<S> for Visit {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let found = parts.extensions.get::<Self>().cloned();
        found.ok_or_else(|| Refusal::own(500, "Internal error", "A page was asked past its entrance."))
    }
}

impl Visit {
    /// Where clients reach the gateway.
    pub(crate) fn gateway(&self) -> &str {
        &self.console.gateway
    }

    /// Whether the visitor has this right. Pages leave out what they don't offer; the API decides.
    pub(crate) fn may(&self, right: &str) -> bool {
        self.who.permissions.iter().any(|held| held.parse::<Permission>().is_ok_and(|held| held.covers(right)))
    }

    /// The name of the organization.
    pub(crate) fn organization(&self) -> &str {
        let mut own = self.who.account.iter().flat_map(|account| &account.organizations);
        own.find(|one| one.organization_id == self.who.organization_id).map_or("", |one| &one.name)
    }

    /// Reads something of the API.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Asked<T> {
        self.console.api.get(&self.visitor, path).await
    }

    /// Reads something that goes with the page: nothing if it can't be had.
    pub(crate) async fn aside<T: DeserializeOwned + Default>(&self, path: &str) -> T {
        self.get(path).await.unwrap_or_default()
    }

    /// Asks the API for something.
    pub(crate) async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Asked<Answer> {
        self.console.api.ask(&self.visitor, method, path, body).await
    }

    /// Calls the gateway at this address with this key, as a client would: the status, and the beginning of the answer.
    ///
    /// # Errors
    /// Why it was not reached.
    pub(crate) async fn call(&self, url: &str, key: &str) -> Result<(u16, String), String> {
        let request = http::Request::get(url).header(AUTHORIZATION, format!("Bearer {key}")).body(Bytes::new());
        let answer = (self.console.calls)(request.map_err(|error| error.to_string())?).await?;
        let text = String::from_utf8_lossy(answer.body());
        Ok((answer.status().as_u16(), text.chars().take(MAX_SHOWN).collect()))
    }

    /// A page.
    pub(crate) fn page(&self, place: Place, title: &str, content: &impl Template) -> Response {
        let shell = Shell::new(self, place, title, Html::of(content));
        with_said(self, Page(Html::of(&shell).into_string()).into_response())
    }

    /// A form that opens at the side of the page that it belongs to, or a page of its own without script.
    pub(crate) fn sheet(&self, place: Place, title: &str, content: &impl Template) -> Response {
        self.dialog("sheet", place, title, content)
    }

    /// A question in the middle of the page that it belongs to, or a page of its own without script.
    pub(crate) fn modal(&self, place: Place, title: &str, content: &impl Template) -> Response {
        self.dialog("modal", place, title, content)
    }

    /// A secret that is shown this once: its dialog does not close before it was copied.
    pub(crate) fn secret(&self, place: Place, title: &str, content: &impl Template) -> Response {
        self.dialog("sheet secret-once", place, title, content)
    }

    fn dialog(&self, class: &'static str, place: Place, title: &str, content: &impl Template) -> Response {
        let content = Dialog { class, title: title.to_owned(), is_dialog: self.is_partial, content: Html::of(content) };
        if self.is_partial {
            return Page(Html::of(&content).into_string()).into_response();
        }
        self.page(place, title, &content)
    }

    /// A part of a page, for script.
    pub(crate) fn part(&self, content: &impl Template) -> Response {
        Page(Html::of(content).into_string()).into_response()
    }

    /// On to another page.
    pub(crate) fn go(&self, path: &str) -> Response {
        let value = HeaderValue::try_from(path).unwrap_or(HeaderValue::from_static("/"));
        if self.is_partial {
            ([(HX_REDIRECT, value)], StatusCode::OK).into_response()
        } else {
            ([(LOCATION, value)], StatusCode::SEE_OTHER).into_response()
        }
    }

    /// On to another page, which says what was done.
    pub(crate) fn go_saying(&self, path: &str, said: &str) -> Response {
        let mut response = self.go(path);
        let said = crate::ui::form::segment(said);
        let cookie = format!("{SAID_COOKIE}={said}; Path=/; Max-Age=30; HttpOnly; SameSite=Lax");
        if let Ok(value) = HeaderValue::try_from(cookie) {
            response.headers_mut().append(SET_COOKIE, value);
        }
        response
    }
}

/// What was said is said once.
fn with_said(visit: &Visit, mut response: Response) -> Response {
    if visit.said.is_some() {
        let cookie = format!("{SAID_COOKIE}=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax");
        response
            .headers_mut()
            .append(SET_COOKIE, HeaderValue::try_from(cookie).unwrap_or(HeaderValue::from_static("")));
    }
    response
}

/// A cookie that only tells pages how to look; none of a session.
pub(super) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let texts = headers.get_all(http::header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = texts.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(other, _)| *other == name).map(|(_, text)| text)
}
