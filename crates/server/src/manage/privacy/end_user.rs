//! `GET` and `DELETE /v1/privacy/end-users`

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use keystile_core::id::{ApiId, KeyId, ProjectId};
use keystile_core::time::Timestamp;
use keystile_store::{Catalog, Change, EndUserUse, Ledger, StoreError};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{refuse_trial, wiped};
use crate::manage::app::App;
use crate::manage::caller::{Caller, ReadPrivacy, WritePrivacy};
use crate::manage::extract::Query;
use crate::manage::ndjson::{self, PAGE, Pages};
use crate::manage::problem::{internal, invalid, not_found};
use crate::manage::usage::Names;
use crate::problem::Problem;
use crate::verify::question::is_end_user;

/// Who.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Asked {
    /// The end user, as verifications name them.
    end_user: String,
}

impl Asked {
    fn name(self) -> Result<String, Problem> {
        let name = Some(self.end_user).filter(|name| is_end_user(name));
        name.ok_or_else(|| invalid("end_user is 1 to 256 bytes without control characters, as verifications say it."))
    }
}

/// How often an end user called, with one key at one API.
#[derive(Serialize, ToSchema)]
#[schema(as = EndUserUse)]
pub(super) struct UseView {
    /// The API; `null` if none was named.
    #[schema(value_type = Option<String>)]
    api_id: Option<ApiId>,
    /// The project.
    #[schema(value_type = Option<String>)]
    project_id: Option<ProjectId>,
    /// The key.
    #[schema(value_type = Option<String>)]
    key_id: Option<KeyId>,
    /// Calls, refused ones too.
    calls: u64,
    /// What those cost that were let through.
    units: i64,
    /// The first day (UTC) on which there were any.
    #[schema(value_type = String, format = DateTime)]
    first_day: Timestamp,
    /// The last one.
    #[schema(value_type = String, format = DateTime)]
    last_day: Timestamp,
}

/// All that is kept about an end user, as verification was told of them by this organization: how often they called, with which key. NDJSON,
/// a line for each key and API. Besides, their name stands only where somebody wrote it: in overrides of limits. Prove first who you are.
#[utoipa::path(get, operation_id = "exportEndUser", path = "/v1/privacy/end-users", tag = "Privacy", params(Asked),
    security(("management_key" = [])),
    responses((status = 200, body = UseView, content_type = "application/x-ndjson"), (status = 400), (status = 401), (status = 403)))]
pub(super) async fn export(
    caller: Caller<ReadPrivacy>,
    State(app): State<App>,
    Query(asked): Query<Asked>,
) -> Result<Response, Problem> {
    let name = asked.name()?;
    // The audit says that it was done, and not to whom: that would be kept for ever.
    let change = Change::Note { action: "end_user.export", subject: caller.organization.to_string(), made: None };
    app.apply(&caller, change).await?;
    app.writer.flush().await.map_err(|error| internal(&error))?;
    ndjson::all(Uses { catalog: app.catalog, ledger: app.ledger, owner: caller.owner, name, after: None }).await
}

/// What is still to be sent.
struct Uses {
    catalog: Catalog,
    ledger: Ledger,
    /// The number of the organization.
    owner: u32,
    name: String,
    after: Option<EndUserUse>,
}

impl Pages for Uses {
    type Row = UseView;

    async fn next(&mut self) -> Result<Vec<UseView>, StoreError> {
        let some = self.ledger.end_user_use(self.owner, &self.name, self.after.as_ref(), PAGE).await?;
        self.after = some.last().copied().or(self.after);
        let numbers = some.iter().map(|one| [Some(one.api), Some(one.project), Some(one.key)]);
        let names = Names::of(&self.catalog, numbers).await?;
        let view = |one: &EndUserUse| UseView {
            api_id: names.api(one.api),
            project_id: names.project(one.project),
            key_id: names.key(one.key),
            calls: one.calls,
            units: one.cost,
            first_day: one.first_day,
            last_day: one.last_day,
        };
        Ok(some.iter().map(view).collect())
    }
}

/// Erase an end user, for ever: that their calls were theirs. The calls stay counted, as those of nobody who is known. Calls that are
/// made afterwards are counted under the name again, and overrides of limits keep it. Backups and what webhooks were told are not in its reach. Prove first who you are.
#[utoipa::path(delete, operation_id = "eraseEndUser", path = "/v1/privacy/end-users", tag = "Privacy", params(Asked),
    security(("management_key" = [])),
    responses((status = 204), (status = 400), (status = 401), (status = 403), (status = 404)))]
pub(super) async fn erase(
    caller: Caller<WritePrivacy>,
    State(app): State<App>,
    Query(asked): Query<Asked>,
) -> Result<StatusCode, Problem> {
    refuse_trial(&caller)?;
    let name = asked.name()?;
    let change = Change::Note { action: "end_user.erase", subject: caller.organization.to_string(), made: None };
    app.apply(&caller, change).await?;
    // What is told of calls that were made before is told of nobody.
    let under_way = app.feed.engine().leases.forget_end_user(caller.owner, &name);
    app.writer.flush().await.map_err(|error| internal(&error))?;
    let kept = app.ledger.forget_end_user(caller.owner, &name).await.map_err(|error| internal(&error))?;
    wiped(&app).await?;
    if under_way + kept == 0 {
        return Err(not_found("end user").because(
            "Of no call that is counted for this organization was it said to be theirs. Names are as verification was told them, by whoever owns the API.",
        ));
    }
    Ok(StatusCode::NO_CONTENT)
}
