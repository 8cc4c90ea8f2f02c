//! `/v1/patterns`: filters under a name, which keys and projects have by naming it.

mod create;
mod delete;
mod get;
mod list;
mod shape;
mod update;
mod view;

use keystile_core::id::PatternId;
use keystile_core::pattern::{Conditions, Filter, MAX_PATTERNS, PatternRef};
use keystile_store::records::Pattern;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::app::App;
use super::caller::Asker;
use super::problem::{internal, invalid, not_found};
use crate::problem::Problem;

/// Most that one request names: a few more than one key has, so that whoever says one twice is told what is wrong.
const MAX_NAMED: usize = 4 * MAX_PATTERNS;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(create::create, list::list)).routes(routes!(
        get::get,
        update::update,
        delete::delete
    ))
}

/// The ids of the asker's patterns that are meant.
pub(super) async fn ids_of(app: &App, asker: &Asker, wanted: &[PatternRef]) -> Result<Vec<PatternId>, Problem> {
    // Before each of them is looked up.
    if wanted.len() > MAX_NAMED {
        return Err(invalid(format!(
            "patterns names at most {MAX_NAMED}; some stand there several times, or it is too many."
        )));
    }
    let mut ids = Vec::with_capacity(wanted.len());
    for one in wanted {
        let found: Option<Pattern> = match one {
            PatternRef::Id(id) => app.catalog.pattern(asker.organization, *id).await,
            PatternRef::Name(name) => app.catalog.pattern_named(asker.organization, name).await,
        }
        .map_err(|error| internal(&error))?;
        let because =
            || not_found("pattern").because(format!("There is no pattern {one}; GET /v1/patterns lists them."));
        ids.push(found.ok_or_else(because)?.id);
    }
    Ok(ids)
}

/// A filter of these parts.
fn filter(allow: Vec<Conditions>, deny: Vec<Conditions>, shadow: bool) -> Result<Filter, Problem> {
    Filter::new(allow, deny, shadow).map_err(|error| invalid(format!("The pattern can't be used: {error}.")))
}
