//! `GET /v1/access`: two questions for a page, one to the catalogue and one to the ledger.

use axum::extract::State;
use keystile_core::decide::ActivationState;
use keystile_core::id::{ActivationId, ApiId, OrganizationId, ProjectId};
use keystile_core::key::Environment;
use keystile_core::permission::Permission;
use keystile_core::time::Timestamp;
use keystile_store::Use;
use keystile_store::records::{Access, ActivationFilter};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::manage::app::App;
use crate::manage::caller::{Caller, ReadAccess};
use crate::manage::extract::Query;
use crate::manage::list::{List, list as shown, page};
use crate::manage::problem::internal;
use crate::problem::Problem;

/// The days in which calls are counted, besides today.
const DAYS: i64 = 30;

/// Which lines.
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
    /// Only those of this API.
    #[param(value_type = Option<String>)]
    api_id: Option<ApiId>,
    /// Only those that have come so far.
    #[param(value_type = Option<String>)]
    state: Option<ActivationState>,
}

/// A project and an API that it has to do with.
#[derive(Serialize, ToSchema)]
#[schema(as = Access)]
pub(super) struct AccessView {
    /// The activation that links the two.
    #[schema(value_type = String, example = "act_2Zk9mQ4tR7vX1bN6cL8dF3")]
    id: ActivationId,
    /// The project.
    #[schema(value_type = String)]
    project_id: ProjectId,
    /// Its name.
    project_name: String,
    /// Whose the project is.
    #[schema(value_type = String)]
    project_organization_id: OrganizationId,
    /// The name of that organization.
    project_organization_name: String,
    /// `live` or `test`: where the project and its keys live.
    #[schema(value_type = String, example = "live")]
    environment: Environment,
    /// Whether the project as a whole is suspended.
    project_suspended: bool,
    /// The API.
    #[schema(value_type = String)]
    api_id: ApiId,
    /// Its name.
    api_name: String,
    /// Who publishes it.
    #[schema(value_type = String)]
    api_organization_id: OrganizationId,
    /// `requested`, `approved`, `suspended` or `refused`.
    #[schema(value_type = String, example = "approved")]
    state: ActivationState,
    /// Since when: when it was last judged, or asked for.
    #[schema(value_type = String, format = DateTime)]
    since: Timestamp,
    /// Who judged it last: a management key, or `system:automatic`. `null` if nobody did yet.
    judged_by: Option<String>,
    /// What was granted: keys of the project may do at this API what both they and this allow. `null` bounds nothing.
    #[schema(value_type = Option<Vec<String>>)]
    granted_permissions: Option<Vec<Permission>>,
    /// Keys of the project that are in force.
    active_keys: u64,
    /// When the project last called the API, to the second, whether or not it was let through; `null` if it never did.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_used_at: Option<Timestamp>,
    /// Its calls today and in the 30 days before (UTC), refused ones too.
    calls_30_days: u64,
}

/// Which project may call which API, since when, granted by whom, last used: of the organization's projects and of its
/// APIs, newest first. Calls that were answered until now are in it.
#[utoipa::path(get, operation_id = "listAccess", path = "/v1/access", tag = "Access", params(Asked), security(("management_key" = [])),
    responses((status = 200, body = List<AccessView>), (status = 400), (status = 401), (status = 403)))]
pub(super) async fn list(
    caller: Caller<ReadAccess>,
    State(app): State<App>,
    Query(asked): Query<Asked>,
) -> Result<axum::Json<List<AccessView>>, Problem> {
    let page = page(asked.limit, asked.cursor.as_deref())?;
    let filter = ActivationFilter { project: asked.project_id, api: asked.api_id, state: asked.state, ever: false };
    let now = app.now();
    let lines = app.catalog.access(caller.organization, filter, now, page).await.map_err(|error| internal(&error))?;
    app.writer.flush().await.map_err(|error| internal(&error))?;
    let mut projects: Vec<u32> = lines.iter().map(|line| line.project.number).collect();
    let mut apis: Vec<u32> = lines.iter().map(|line| line.api.number).collect();
    for numbers in [&mut projects, &mut apis] {
        numbers.sort_unstable();
        numbers.dedup();
    }
    let since = now.plus_secs(-DAYS * 86_400);
    let uses = app.ledger.uses(&projects, &apis, since).await.map_err(|error| internal(&error))?;
    let show = |line: Access| {
        let used = uses.get(&(line.project.number, line.api.number)).copied();
        view(line, used)
    };
    Ok(axum::Json(shown(lines, page, |line| line.number, show)))
}

fn view(line: Access, used: Option<Use>) -> AccessView {
    AccessView {
        id: line.activation,
        project_id: line.project.id,
        project_name: line.project.name,
        project_organization_id: line.project.organization,
        project_organization_name: line.project.organization_name,
        environment: line.environment,
        project_suspended: line.is_suspended,
        api_id: line.api.id,
        api_name: line.api.name,
        api_organization_id: line.api.organization,
        state: line.state,
        since: line.since,
        judged_by: line.judged_by,
        granted_permissions: line.granted,
        active_keys: line.active_keys,
        last_used_at: used.map(|used| used.last),
        calls_30_days: used.map_or(0, |used| used.calls),
    }
}
