//! `/v1/projects`: the programs that call.

mod create;
mod delete;
mod get;
mod list;
mod suspend;
mod update;
pub(super) mod view;

use keystile_core::id::PatternId;
use keystile_core::name::is_unseen;
use keystile_core::pattern::{MAX_PATTERNS, PatternRef};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::app::App;
use super::caller::Asker;
use super::patterns;
use super::problem::invalid;
use crate::problem::Problem;

/// Longest name of anything.
const MAX_NAME_CHARS: usize = 120;
/// Longest description or contact.
const MAX_TEXT_CHARS: usize = 2_000;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(create::create, list::list))
        .routes(routes!(get::get, update::update, delete::delete))
        .routes(routes!(suspend::suspend))
        .routes(routes!(suspend::resume))
}

/// A name: 1 to 120 characters, none of them a control character, no space at its ends.
pub(super) fn checked_name(name: String) -> Result<String, Problem> {
    let sound = (1..=MAX_NAME_CHARS).contains(&name.chars().count())
        && name.trim() == name
        && !name.chars().any(|c| c.is_control() || is_unseen(c));
    if sound {
        Ok(name)
    } else {
        Err(invalid(format!(
            "name is 1 to {MAX_NAME_CHARS} characters without control characters, invisible ones or spaces at its ends."
        )))
    }
}

/// The name of a person; it may be left empty.
pub(super) fn checked_person(name: String) -> Result<String, Problem> {
    if name.is_empty() { Ok(name) } else { checked_name(name) }
}

/// The patterns that are meant, none twice and no more than a project may have.
async fn checked_patterns(app: &App, asker: &Asker, named: &[PatternRef]) -> Result<Vec<PatternId>, Problem> {
    let mut ids = patterns::ids_of(app, asker, named).await?;
    ids.sort();
    ids.dedup();
    if ids.len() > MAX_PATTERNS {
        return Err(invalid(format!(
            "A project has at most {MAX_PATTERNS} patterns; make one that says what several do."
        )));
    }
    Ok(ids)
}

/// A longer text, which may be empty and have several lines.
pub(super) fn checked_text(field: &str, text: String) -> Result<String, Problem> {
    let sound = text.chars().count() <= MAX_TEXT_CHARS && !text.chars().any(|c| c.is_control() && c != '\n');
    if sound { Ok(text) } else { Err(invalid(format!("{field} is at most {MAX_TEXT_CHARS} characters of text."))) }
}
