//! `GET /v1/keys`

use axum::extract::State;
use keystile_core::id::ProjectId;
use keystile_core::key::{KeyKind, Standing};
use keystile_store::records::KeyFilter;
use serde::Deserialize;
use utoipa::IntoParams;

use super::view::{KeyView, with_use};
use crate::manage::app::App;
use crate::manage::caller::{Caller, ReadKeys};
use crate::manage::extract::Query;
use crate::manage::list::{List, labels, list as shown, page};
use crate::manage::problem::{internal, invalid};
use crate::problem::Problem;

/// Which keys.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Asked {
    /// Rows of the page, 1 to 200; 50 unless said otherwise.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Only those of this project.
    #[param(value_type = Option<String>)]
    project_id: Option<ProjectId>,
    /// Only `active`, `disabled` or `revoked` ones.
    #[param(value_type = Option<String>)]
    state: Option<Standing>,
    /// Only `secret`, `publishable`, `management` or `canary` ones.
    #[param(value_type = Option<String>)]
    kind: Option<KeyKind>,
    /// Only those of which a text is hashed with this pepper (`GET /v1/encryption`).
    pepper: Option<u32>,
    /// Only those of exactly this name.
    name: Option<String>,
    /// Only those with this in their name (in any case) or in what is shown of their text, such as the last four letters; or with
    /// this id. At most 200 characters.
    q: Option<String>,
    /// Only those with all of these labels, separated by commas.
    label: Option<String>,
    /// The keys that were deleted and can still be brought back, instead of those that are there.
    #[serde(default)]
    deleted: bool,
}

/// Longest text that is looked for.
const MAX_SEARCH_CHARS: usize = 200;

fn searched(text: Option<String>) -> Result<Option<String>, Problem> {
    let text = text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    match text {
        Some(text) if text.chars().count() > MAX_SEARCH_CHARS => {
            Err(invalid(format!("q is at most {MAX_SEARCH_CHARS} characters.")))
        }
        text => Ok(text),
    }
}

/// The keys of the organization.
#[utoipa::path(get, operation_id = "listKeys", path = "/v1/keys", tag = "Keys", params(Asked), security(("management_key" = [])),
    responses((status = 200, body = List<KeyView>), (status = 401), (status = 403)))]
pub(super) async fn list(
    caller: Caller<ReadKeys>,
    State(app): State<App>,
    Query(asked): Query<Asked>,
) -> Result<axum::Json<List<KeyView>>, Problem> {
    let page = page(asked.limit, asked.cursor.as_deref())?;
    let labels = labels(asked.label.as_deref())?;
    let filter = KeyFilter {
        project: asked.project_id,
        standing: asked.state,
        kind: asked.kind,
        name: asked.name,
        search: searched(asked.q)?,
        pepper: asked.pepper,
        deleted_after: asked.deleted.then(|| app.brought_back_after()),
        labels,
    };
    let rows = app.catalog.keys(caller.organization, filter, page).await.map_err(|error| internal(&error))?;
    let List { items, next_cursor } = shown(rows, page, |key| key.number, |key| key);
    let items = with_use(&app.ledger, items).await;
    Ok(axum::Json(List { items, next_cursor }))
}
