//! `/v1/plans`: what an API's owner offers to those who call it.

mod create;
mod delete;
mod get;
mod list;
mod update;
pub(super) mod view;

use keystile_core::plan::{PlanError, PlanTerms};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::app::App;
use super::problem::invalid;
use crate::problem::Problem;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(create::create, list::list)).routes(routes!(
        get::get,
        update::update,
        delete::delete
    ))
}

/// Terms that make sense together.
fn checked(terms: PlanTerms) -> Result<PlanTerms, Problem> {
    if terms.operation_costs.iter().any(|of| of.operation.path().contains('*')) {
        return Err(invalid("operation_costs: write {name} for a part of a path; `*` is no pattern there."));
    }
    terms.checked().map_err(|error: PlanError| invalid(format!("{error}.")))
}
