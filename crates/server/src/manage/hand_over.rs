//! `/hand-over`: the page that a link leads to, and what opens it. No management key is needed: the link's token is the
//! right to it. The token stands behind the `#`, so that it is in no log of anybody's, and a page that is only looked at (by
//! a chat that shows previews, say) opens nothing.

use axum::extract::State;
use axum::response::Response;
use axum::{Extension, Json};
use data_encoding::BASE64URL_NOPAD;
use keystile_core::id::{KeyId, RequestId};
use keystile_core::time::Timestamp;
use keystile_store::hand_over::{Token, lookup_of};
use keystile_store::{Actor, ApplyError, Author, Change, Who};
use serde::{Deserialize, Serialize};

use super::app::App;
use super::caller::PeerAddress;
use super::extract;
use super::problem::{internal, not_found};
use crate::enforce::change::NotMade;
use crate::problem::Problem;

/// The page.
pub(super) async fn page() -> Response {
    super::page::scripted(include_str!("hand_over.html"))
}

/// What makes it work.
pub(super) async fn script() -> Response {
    super::page::script(include_str!("hand_over.js"))
}

/// What opens a link.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Opening {
    token: String,
}

/// What was handed over.
#[derive(Serialize)]
pub(super) struct Opened {
    key_id: KeyId,
    name: String,
    key: String,
    expires_at: Option<Timestamp>,
}

fn nothing_there() -> Problem {
    not_found("hand-over")
        .because("This link was opened before, has ended, or never was. Ask whoever sent it to you for another one.")
}

/// Gives a text to whoever has its token, once.
pub(super) async fn open(
    State(app): State<App>,
    Extension(request): Extension<RequestId>,
    peer: Option<Extension<PeerAddress>>,
    body: extract::Json<Opening>,
) -> Result<Json<Opened>, Problem> {
    let token = BASE64URL_NOPAD.decode(body.value.token.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok());
    let token = Token::new(token.ok_or_else(nothing_there)?);
    let now = app.now();
    let found = app.catalog.waiting_text(&token, now).await.map_err(|error| internal(&error))?;
    let waiting = found.ok_or_else(nothing_there)?;
    let address = peer.map(|Extension(peer)| peer.0);
    let organization = waiting.organization;
    let actor = Actor { organization, who: Who::System("hand-over"), address, request: Some(request) };
    let author = Author { actor, at: now, idempotency: None };
    let change = Change::OpenHandOver { lookup: lookup_of(&token) };
    match app.feed.make(author, change, app.clock.ticks()).await {
        Ok(_) => {}
        // Somebody was faster.
        Err(NotMade::Refused(ApplyError::NotFound(_))) => return Err(nothing_there()),
        Err(error) => return Err(error.into()),
    }
    let key = app.catalog.key(organization, waiting.key).await.map_err(|error| internal(&error))?;
    let key = key.ok_or_else(nothing_there)?;
    let text = String::from_utf8_lossy(&waiting.text).into_owned();
    Ok(Json(Opened { key_id: key.id, name: key.name, key: text, expires_at: key.expires_at }))
}
