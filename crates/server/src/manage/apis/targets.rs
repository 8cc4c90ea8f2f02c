//! `GET /v1/apis/{id}/targets`

use std::net::SocketAddr;

use axum::extract::State;
use keystile_core::api::TargetAddress;
use keystile_core::id::ApiId;
use keystile_core::time::Ticks;
use serde::Serialize;
use utoipa::ToSchema;

use crate::manage::app::App;
use crate::manage::caller::{Caller, ReadApis};
use crate::manage::extract::Id;
use crate::manage::list::List;
use crate::manage::problem::not_found;
use crate::problem::Problem;
use crate::upstream::Target;

/// What is known of a target at this moment, on this node.
#[derive(Serialize, ToSchema)]
#[schema(as = TargetState)]
pub(super) struct TargetState {
    /// `host:port`.
    #[schema(value_type = String, example = "10.0.0.5:9000")]
    address: TargetAddress,
    /// Its share.
    weight: u32,
    /// `up`; `resting` after failures in a row; `unhealthy` by its health check. One that rests can be unhealthy as well,
    /// which `healthy` says.
    state: TargetWord,
    /// What its health check says; absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    healthy: Option<bool>,
    /// If it rests: seconds until a call may try it.
    #[serde(skip_serializing_if = "Option::is_none")]
    rests_for_seconds: Option<u64>,
    /// Calls that it is answering; absent where it is not one of the API's `targets`, which alone are counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    calls_in_flight: Option<u32>,
    /// The addresses of its name, as far as it was looked up.
    #[schema(value_type = Vec<String>)]
    addresses: Vec<SocketAddr>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = TargetStateWord)]
#[serde(rename_all = "snake_case")]
enum TargetWord {
    Up,
    Resting,
    Unhealthy,
}

impl TargetState {
    fn of(target: &Target, is_checked: bool, now: Ticks) -> Self {
        let rests_for = target.is_resting().then(|| target.rests_for(now).unwrap_or_default());
        let state = match rests_for {
            Some(_) => TargetWord::Resting,
            None if target.is_healthy() => TargetWord::Up,
            None => TargetWord::Unhealthy,
        };
        let mut addresses = target.addresses();
        addresses.sort();
        Self {
            address: target.address.clone(),
            weight: target.weight,
            state,
            healthy: is_checked.then(|| target.is_healthy()),
            rests_for_seconds: rests_for.map(|nanos| nanos.div_ceil(1_000_000_000)),
            calls_in_flight: target.counted(),
            addresses,
        }
    }
}

/// The machines that take the calls of an API, and how they are.
#[utoipa::path(get, operation_id = "listTargets", path = "/v1/apis/{id}/targets", tag = "APIs", params(("id" = String, Path)),
    security(("management_key" = [])), responses((status = 200, body = List<TargetState>), (status = 401), (status = 404)))]
pub(super) async fn targets(
    caller: Caller<ReadApis>,
    State(app): State<App>,
    Id(id): Id<ApiId>,
) -> Result<axum::Json<List<TargetState>>, Problem> {
    let api = app.api(&caller, id).await?;
    let view = app.feed.engine().snapshot.apis.get(api.number).clone().ok_or_else(|| not_found("API"))?;
    let (now, is_checked) = (app.clock.now().ticks, view.upstream.health_check.is_some());
    let items = view.upstream.targets.iter().map(|target| TargetState::of(target, is_checked, now)).collect();
    Ok(axum::Json(List { items, next_cursor: None }))
}
