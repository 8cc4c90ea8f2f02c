//! `GET /v1/keys/export`

use axum::extract::State;
use axum::response::Response;
use keystile_core::id::{OrganizationId, ProjectId};
use keystile_core::key::{KeyKind, Standing};
use keystile_store::records::{KeyFilter, Page};
use keystile_store::{Catalog, Ledger, StoreError};
use serde::Deserialize;
use utoipa::IntoParams;

use super::view::{KeyView, with_use};
use crate::manage::app::App;
use crate::manage::caller::{Caller, ReadKeys};
use crate::manage::extract::Query;
use crate::manage::list::labels;
use crate::manage::ndjson::{self, PAGE, Pages};
use crate::problem::Problem;

/// Which keys.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Asked {
    /// Only those of this project.
    #[param(value_type = Option<String>)]
    project_id: Option<ProjectId>,
    /// Only `active`, `disabled` or `revoked` ones.
    #[param(value_type = Option<String>)]
    state: Option<Standing>,
    /// Only `secret`, `publishable`, `management` or `canary` ones.
    #[param(value_type = Option<String>)]
    kind: Option<KeyKind>,
    /// Only those of exactly this name.
    name: Option<String>,
    /// Only those with all of these labels, separated by commas.
    label: Option<String>,
    /// The keys that were deleted and can still be brought back, instead of those that are there.
    #[serde(default)]
    deleted: bool,
}

/// All keys of the organization, newest first, without their texts and without anything that those could be found out from;
/// NDJSON, a key a line. An answer that breaks off is not all of them.
#[utoipa::path(get, operation_id = "exportKeys", path = "/v1/keys/export", tag = "Keys", params(Asked), security(("management_key" = [])),
    responses((status = 200, body = KeyView, content_type = "application/x-ndjson"), (status = 400), (status = 401), (status = 403)))]
pub(super) async fn export(
    caller: Caller<ReadKeys>,
    State(app): State<App>,
    Query(asked): Query<Asked>,
) -> Result<Response, Problem> {
    caller.proven()?;
    let filter = KeyFilter {
        search: None,
        pepper: None,
        project: asked.project_id,
        standing: asked.state,
        kind: asked.kind,
        name: asked.name,
        deleted_after: asked.deleted.then(|| app.brought_back_after()),
        labels: labels(asked.label.as_deref())?,
    };
    let (catalog, ledger, organization) = (app.catalog, app.ledger, caller.organization);
    ndjson::all(Rest { catalog, ledger, organization, filter, before: None }).await
}

/// What is still to be sent.
struct Rest {
    catalog: Catalog,
    ledger: Ledger,
    organization: OrganizationId,
    filter: KeyFilter,
    before: Option<u32>,
}

impl Pages for Rest {
    type Row = KeyView;

    async fn next(&mut self) -> Result<Vec<KeyView>, StoreError> {
        let page = Page { before: self.before, limit: PAGE };
        let keys = self.catalog.keys(self.organization, self.filter.clone(), page).await?;
        self.before = keys.last().map_or(self.before, |last| Some(last.number));
        Ok(with_use(&self.ledger, keys).await)
    }
}
