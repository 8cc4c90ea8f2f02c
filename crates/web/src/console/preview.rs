//! What a form would be as code, rendered anew while it is filled in.

use askama::Template;
use axum::response::Response;

use super::visit::Visit;
use crate::ui::html::AsCode;

/// The part of a form that shows it.
#[derive(Template)]
#[template(path = "console/preview.html")]
struct Preview {
    code: AsCode,
}

/// The part alone, for script.
pub(super) fn preview(visit: &Visit, code: AsCode) -> Response {
    visit.part(&Preview { code })
}
