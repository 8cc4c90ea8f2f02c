//! A link in place of a text: whoever opens it gets the text, once.

use data_encoding::BASE64URL_NOPAD;
use keystile_core::id::KeyId;
use keystile_core::key::KeyText;
use keystile_core::time::Timestamp;
use keystile_store::Change;
use keystile_store::hand_over::{Token, lookup_of};
use serde::Serialize;
use utoipa::ToSchema;

use crate::manage::app::App;
use crate::manage::caller::Asker;
use crate::manage::problem::{internal, invalid};
use crate::problem::Problem;
use crate::world::random;

/// The longest that a link can wait: a week.
const MAX_HOURS: u32 = 168;

/// A link that hands a text over.
#[derive(Serialize, ToSchema)]
#[schema(as = HandOver)]
pub(in crate::manage) struct HandOverView {
    /// What to add to the address of this server. What follows the `#` opens it: send it only to whom it is for.
    #[schema(example = "/hand-over#vq8lD1k0…")]
    path: String,
    /// Until when it can be opened; after that, and after it was opened once, it leads to nothing.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
}

/// How a text reaches whom it is for.
pub(super) enum Shown {
    /// It is in the answer.
    Text(String),
    /// Behind a link.
    Link(HandOverView),
}

/// Checks for how many hours a link is to wait, before anything is made.
pub(super) fn checked_hours(hours: Option<u32>) -> Result<Option<u32>, Problem> {
    match hours {
        Some(hours) if !(1..=MAX_HOURS).contains(&hours) => {
            Err(invalid(format!("hand_over_hours is 1 to {MAX_HOURS}; leave it out to get the text itself.")))
        }
        hours => Ok(hours),
    }
}

/// Shows a fresh text, or puts it behind a link.
pub(super) async fn show(
    app: &App,
    asker: &Asker,
    key: KeyId,
    text: &KeyText,
    hours: Option<u32>,
) -> Result<Shown, Problem> {
    let Some(hours) = hours else { return Ok(Shown::Text(text.expose().to_owned())) };
    let token = Token::new(random(&*app.entropy).map_err(|error| internal(&error))?);
    let salt = random(&*app.entropy).map_err(|error| internal(&error))?;
    let ends_at = app.now().plus_secs(i64::from(hours) * 3_600);
    let sealed = app.catalog.seal_hand_over(&token, text.expose(), &salt);
    app.apply(asker, Change::HandOver { id: key, lookup: lookup_of(&token), sealed, ends_at }).await?;
    let path = format!("/hand-over#{}", BASE64URL_NOPAD.encode(&token[..]));
    Ok(Shown::Link(HandOverView { path, expires_at: ends_at }))
}
