//! `GET /v1/credits/entries`

use axum::extract::State;
use data_encoding::BASE64URL_NOPAD;
use keystile_core::credit::{CreditHolder, EntryState};
use keystile_core::id::{OrganizationId, ProjectId};
use keystile_core::time::Timestamp;
use keystile_store::CreditEntriesOf;
use keystile_store::records::CreditEntry;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::manage::app::App;
use crate::manage::caller::{Caller, ReadCredits};
use crate::manage::extract::Query;
use crate::manage::list::{List, limit};
use crate::manage::problem::{internal, invalid, not_found};
use crate::problem::Problem;

/// Whose charges and reservations.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Asked {
    /// Rows of the page, 1 to 200; 50 unless said otherwise.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Those for which this project was charged.
    #[param(value_type = Option<String>)]
    project_id: Option<ProjectId>,
    /// Those that were paid by what all projects of this organization share.
    #[param(value_type = Option<String>)]
    organization_id: Option<OrganizationId>,
    /// At whose APIs: one's own, unless said otherwise. Whoever holds credits says who granted them.
    #[param(value_type = Option<String>)]
    granted_by: Option<OrganizationId>,
}

/// A charge, or credits that are or were reserved. What calls spend is not among these: it is counted as usage.
#[derive(Serialize, ToSchema)]
#[schema(as = CreditEntry)]
pub(in crate::manage) struct EntryView {
    /// Its id, which whoever asked for it chose.
    id: String,
    /// The project that was charged.
    #[schema(value_type = String)]
    project_id: ProjectId,
    /// The organization whose projects share what paid for it; `null` if the project paid itself.
    #[schema(value_type = Option<String>)]
    organization_id: Option<OrganizationId>,
    /// How many were asked for.
    amount: u64,
    /// How many of them were spent; `null` while they are reserved.
    spent: Option<u64>,
    /// `reserved`, `posted`, `voided`, or `expired` if nobody said in time what became of it.
    #[schema(value_type = String, example = "posted")]
    state: EntryState,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// Until when they are or were reserved; `null` for a charge.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    /// When it was posted, voided or given up.
    #[schema(value_type = Option<String>, format = DateTime)]
    settled_at: Option<Timestamp>,
}

impl From<CreditEntry> for EntryView {
    fn from(entry: CreditEntry) -> Self {
        let organization_id = match entry.holder {
            CreditHolder::Project(_) => None,
            CreditHolder::Organization(id) => Some(id),
        };
        Self {
            id: entry.id,
            project_id: entry.project,
            organization_id,
            amount: entry.amount,
            spent: entry.posted,
            state: entry.state,
            created_at: entry.made_at,
            expires_at: entry.ends_at,
            settled_at: entry.settled_at,
        }
    }
}

/// What was charged and reserved by an id, newest first; for 90 days after it was settled. All of it at one's own APIs, unless
/// it is said whose.
#[utoipa::path(get, operation_id = "listCreditEntries", path = "/v1/credits/entries", tag = "Credits", params(Asked), security(("management_key" = [])),
    responses((status = 200, body = List<EntryView>), (status = 400), (status = 401), (status = 403), (status = 404)))]
pub(super) async fn entries(
    caller: Caller<ReadCredits>,
    State(app): State<App>,
    Query(asked): Query<Asked>,
) -> Result<axum::Json<List<EntryView>>, Problem> {
    let limit = limit(asked.limit)?;
    let before = asked.cursor.as_deref().map(read_cursor).transpose()?;
    let owner = asked.granted_by.unwrap_or(caller.organization);
    let of = match (asked.project_id, asked.organization_id) {
        (Some(id), None) => {
            // Of somebody else's project one sees what one charged oneself.
            if owner != caller.organization {
                app.project(&caller, id).await?;
            }
            CreditEntriesOf::Project(id)
        }
        (None, Some(id)) if owner == caller.organization || id == caller.organization => CreditEntriesOf::Shared(id),
        (None, Some(_)) => return Err(not_found("organization")),
        (None, None) if owner == caller.organization => CreditEntriesOf::All,
        (Some(_), Some(_)) | (None, None) => {
            return Err(invalid("Say whose: a project_id, or an organization_id for what its projects share."));
        }
    };
    let rows = app.ledger.credit_entries(owner, of, before, limit + 1).await;
    let mut rows = rows.map_err(|error| internal(&error))?;
    let more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    let next_cursor = rows.last().filter(|_| more).map(cursor);
    Ok(axum::Json(List { items: rows.into_iter().map(EntryView::from).collect(), next_cursor }))
}

fn cursor(last: &CreditEntry) -> String {
    BASE64URL_NOPAD.encode(&[&last.made_at.as_micros().to_be_bytes()[..], last.id.as_bytes()].concat())
}

fn read_cursor(text: &str) -> Result<(Timestamp, String), Problem> {
    let read = || {
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).ok()?;
        let (micros, id) = bytes.split_first_chunk::<8>()?;
        let id = String::from_utf8(id.to_vec()).ok().filter(|id| !id.chars().any(char::is_control))?;
        Some((Timestamp::from_micros(i64::from_be_bytes(*micros)), id))
    };
    read().ok_or_else(|| invalid("cursor is no next_cursor of this list; leave it out to begin anew."))
}
