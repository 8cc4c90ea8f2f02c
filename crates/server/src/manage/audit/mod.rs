//! `/v1/audit`: who did what, when, from where, and how things were before and after.

#[macro_use]
mod asked;
mod export;
mod list;
mod verify;
mod view;

pub(crate) use view::EntryView;

use keystile_core::webhook::EventPattern;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::app::App;
use super::problem::invalid;
use crate::problem::Problem;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list::list)).routes(routes!(export::export)).routes(routes!(verify::verify))
}

/// Refuses what would find nothing because it is no id and no type, but looks like one that was meant.
fn refuse_names(kind: Option<&EventPattern>, subject: Option<&str>, actor: Option<&str>) -> Result<(), Problem> {
    if let Some(kind) = kind.map(EventPattern::as_str)
        && !kind.contains('.')
    {
        return Err(invalid(format!(
            "type is one such as key.revoke, or {kind}.* for all that is done to such things."
        )));
    }
    if subject.is_some_and(|subject| subject != "encryption" && !subject.contains('_')) {
        return Err(invalid("subject_id is the id of a thing, such as key_…, and not its name."));
    }
    let is_id = |actor: &str| actor.starts_with("key_") || actor.starts_with("acc_");
    let is_actor = |actor: &str| is_id(actor) || actor.strip_prefix("system:").is_some_and(is_word);
    if actor.is_some_and(|actor| !is_actor(actor)) {
        return Err(invalid(
            "actor is the id of a management key, key_…, or of an account, acc_…, or system:WORD, such as system:gateway.",
        ));
    }
    Ok(())
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
}
