//! `GET /v1/events`

use axum::extract::State;
use keystile_core::id::EventId;
use keystile_core::webhook::{EventPattern, sequence_of};
use keystile_store::records::{AuditPage, AuditQuery};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::manage::app::App;
use crate::manage::caller::{Caller, ReadEvents};
use crate::manage::extract::Query;
use crate::manage::list::{List, limit};
use crate::manage::problem::{internal, invalid};
use crate::problem::Problem;
use crate::webhooks::Event;

/// Which events.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Asked {
    /// Rows of the page, 1 to 200; 50 unless said otherwise.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Only those of this type, such as `key.revoke`, or `key.*` for all of a kind.
    #[param(value_type = Option<String>)]
    r#type: Option<EventPattern>,
    /// Only those about the thing of this id.
    subject_id: Option<String>,
}

/// What was changed, newest first: the same events of which webhooks tell.
#[utoipa::path(get, operation_id = "listEvents", path = "/v1/events", tag = "Events", params(Asked), security(("management_key" = [])),
    responses((status = 200, body = List<Event>), (status = 400), (status = 401), (status = 403)))]
pub(super) async fn list(
    caller: Caller<ReadEvents>,
    State(app): State<App>,
    Query(asked): Query<Asked>,
) -> Result<axum::Json<List<Event>>, Problem> {
    let installation = app.catalog.installation();
    let shown = limit(asked.limit)?;
    // A cursor is the id of the last event that was given: what comes meanwhile is newer.
    let before = asked.cursor.as_deref().map(|cursor| {
        let event = cursor.parse::<EventId>().ok();
        event
            .and_then(|event| sequence_of(&installation, event))
            .ok_or_else(|| invalid("cursor is no next_cursor of this list; leave it out to begin anew."))
    });
    let before = before.transpose()?;
    // No id has a NUL, and PostgreSQL takes none.
    if asked.subject_id.as_deref().is_some_and(|subject| subject.contains('\0')) {
        return Ok(axum::Json(List { items: Vec::new(), next_cursor: None }));
    }
    let query = AuditQuery { kind: asked.r#type, subject: asked.subject_id, ..AuditQuery::default() };
    let found = app.catalog.audit_entries(caller.organization, &query, AuditPage::Before(before), shown + 1).await;
    let entries = found.map_err(|error| internal(&error))?;
    let more = entries.len() > shown as usize;
    let items: Vec<Event> =
        entries.into_iter().take(shown as usize).map(|entry| Event::of(&installation, entry)).collect();
    let next_cursor = items.last().filter(|_| more).map(|event| event.id.to_string());
    Ok(axum::Json(List { items, next_cursor }))
}
