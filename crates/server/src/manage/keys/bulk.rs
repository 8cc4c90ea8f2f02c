//! `POST /v1/keys/bulk`: the same done to many keys, each of which has its own result, its own change and its own entry in
//! the audit. What fails for one is done to the others all the same.

use axum::extract::State;
use keystile_core::id::{KeyId, ProjectId};
use keystile_core::key::{KeyKind, KeyState, Standing};
use keystile_core::metadata::Label;
use keystile_store::Change;
use keystile_store::records::{KeyFilter, Page};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::delete::brought_back;
use super::state::{change, enabled};
use super::update::{KeyUpdate, changed};
use crate::manage::app::App;
use crate::manage::caller::{Asker, Caller, WriteKeys};
use crate::manage::extract::Json;
use crate::manage::problem::{conflict, internal, invalid};
use crate::problem::Problem;

/// Keys of one request: each is a change of its own, some hundred of them a second.
const MAX_KEYS: usize = 1_000;

/// What is done to each key.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Action {
    /// Switch it off.
    Disable,
    /// Switch it on again.
    Enable,
    /// End it for good.
    Revoke,
    /// Delete it.
    Delete,
    /// Bring it back after it was deleted.
    Undelete,
    /// Change what `set` says of it.
    Update,
}

/// Which keys: those that fit everything that is said. Something must be said.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Filter {
    /// Those of this project.
    #[schema(value_type = Option<String>)]
    project_id: Option<ProjectId>,
    /// `active`, `disabled` or `revoked` ones.
    #[schema(value_type = Option<String>)]
    state: Option<Standing>,
    /// `secret`, `publishable`, `management` or `canary` ones.
    #[schema(value_type = Option<String>)]
    kind: Option<KeyKind>,
    /// Those of exactly this name.
    name: Option<String>,
    /// Those with all of these labels.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    labels: Vec<Label>,
}

/// The same done to many keys.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BulkRequest {
    /// What is done to each.
    action: Action,
    /// The keys, 1 to 1,000; or say `filter`.
    #[schema(value_type = Option<Vec<String>>)]
    ids: Option<Vec<KeyId>>,
    /// Which keys, at most 1,000; instead of `ids`. Deleted ones if they are to be brought back.
    filter: Option<Filter>,
    /// What changes, for `update` only.
    set: Option<KeyUpdate>,
}

/// What became of one key.
#[derive(Serialize, ToSchema)]
struct BulkItem {
    /// The key.
    #[schema(value_type = String)]
    id: KeyId,
    /// The status that a request for this key alone would be answered with.
    status: u16,
    /// Why it was refused, for programs; absent where it was done.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    /// Why it was refused, and what to do; absent where it was done.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

/// What became of all of them.
#[derive(Serialize, ToSchema)]
pub(super) struct BulkReport {
    /// One of each key, in the order in which they were named, or newest first.
    items: Vec<BulkItem>,
    /// How many were done.
    done: usize,
    /// How many were refused.
    refused: usize,
}

/// Do the same to many keys, one after the other. What fails for one is done to the others all the same, so look at each
/// result. Sent again, it finds done what was done.
#[utoipa::path(post, operation_id = "bulkKeys", path = "/v1/keys/bulk", tag = "Keys", request_body = BulkRequest,
    security(("management_key" = [])),
    responses((status = 200, body = BulkReport), (status = 400), (status = 401), (status = 403), (status = 404), (status = 409)))]
pub(super) async fn bulk(
    caller: Caller<WriteKeys>,
    State(app): State<App>,
    body: Json<BulkRequest>,
) -> Result<axum::Json<BulkReport>, Problem> {
    let BulkRequest { action, ids, filter, set } = body.value;
    if set.is_some() != (action == Action::Update) {
        return Err(invalid("set belongs to the action update, which needs it."));
    }
    let ids = match (ids, filter) {
        (Some(ids), None) => named(ids)?,
        (None, Some(filter)) => found(&app, &caller, action, filter).await?,
        (Some(_), Some(_)) | (None, None) => return Err(invalid("Say ids or filter, one of the two.")),
    };
    let mut report = BulkReport { items: Vec::with_capacity(ids.len()), done: 0, refused: 0 };
    for id in ids {
        let item = match act(&app, &caller, action, id, set.as_ref()).await {
            Ok(status) => BulkItem { id, status, code: None, detail: None },
            // What is wrong with the store is so for all that follow.
            Err(problem) if problem.status >= 500 => return Err(problem),
            Err(Problem { status, code, detail, .. }) => {
                BulkItem { id, status, code: Some(code), detail: Some(detail.into_owned()) }
            }
        };
        *(if item.code.is_none() { &mut report.done } else { &mut report.refused }) += 1;
        report.items.push(item);
    }
    Ok(axum::Json(report))
}

/// What one key's own request would be answered with.
async fn act(app: &App, asker: &Asker, action: Action, id: KeyId, set: Option<&KeyUpdate>) -> Result<u16, Problem> {
    match (action, set) {
        (Action::Disable, _) => {
            change(asker, app, id, ("disable", String::new()), KeyState::disable).await.map(|_| 200)
        }
        (Action::Enable, _) => enabled(asker, app, id).await.map(|_| 200),
        (Action::Revoke, _) => {
            change(asker, app, id, ("revoke", String::new()), |state, now| Ok(state.revoke(now))).await.map(|_| 200)
        }
        (Action::Delete, _) => app.apply(asker, Change::DeleteKey { id }).await.map(|_| 204),
        (Action::Undelete, _) => brought_back(asker, app, id).await.map(|_| 200),
        (Action::Update, Some(set)) => changed(asker, app, id, set.clone()).await.map(|_| 200),
        (Action::Update, None) => Err(invalid("set belongs to the action update, which needs it.")),
    }
}

/// The keys that are named, none of them twice.
fn named(mut ids: Vec<KeyId>) -> Result<Vec<KeyId>, Problem> {
    if !(1..=MAX_KEYS).contains(&ids.len()) {
        return Err(invalid(format!("ids takes 1 to {MAX_KEYS} keys; send the rest in another request.")));
    }
    let mut seen = std::collections::HashSet::with_capacity(ids.len());
    ids.retain(|id| seen.insert(*id));
    Ok(ids)
}

/// The keys that fit a filter.
async fn found(app: &App, asker: &Asker, action: Action, filter: Filter) -> Result<Vec<KeyId>, Problem> {
    let Filter { project_id, state, kind, name, labels } = filter;
    // An empty filter would read as "none" to one person and as "all" to the next.
    if project_id.is_none() && state.is_none() && kind.is_none() && name.is_none() && labels.is_empty() {
        return Err(invalid("filter is empty; say which keys by project_id, state, kind, name or labels."));
    }
    if let Some(project) = project_id {
        app.project(asker, project).await?;
    }
    let deleted_after = (action == Action::Undelete).then(|| app.brought_back_after());
    let filter = KeyFilter {
        project: project_id,
        standing: state,
        kind,
        name,
        pepper: None,
        search: None,
        deleted_after,
        labels,
    };
    let page = Page { before: None, limit: MAX_KEYS as u32 + 1 };
    let keys = app.catalog.keys(asker.organization, filter, page).await.map_err(|error| internal(&error))?;
    if keys.len() > MAX_KEYS {
        return Err(conflict(format!(
            "More than {MAX_KEYS} keys fit the filter; narrow it, or send their ids in parts."
        )));
    }
    Ok(keys.into_iter().map(|key| key.id).collect())
}
