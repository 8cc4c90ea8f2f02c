//! `POST /v1/usage/record`

use std::collections::HashMap;

use axum::extract::State;
use keystile_core::credit::MAX_ENTRY_ID_LEN;
use keystile_core::id::ActivationId;
use keystile_core::plan::may_be_late;
use keystile_core::time::Timestamp;
use keystile_store::{Change, NewUsage, NotRecorded, RecordedUsage, Who};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use crate::manage::app::App;
use crate::manage::caller::{Asker, Caller, WriteUsage};
use crate::manage::extract::Json;
use crate::manage::problem::{conflict, internal, invalid, not_found};
use crate::manage::projects::checked_text;
use crate::problem::Problem;

/// Most that one request records.
const MAX_RECORDS: usize = 1_000;
/// Most calls and units of one record: sums of many stay far inside 64 bits.
const MAX_UNITS: u64 = 1_000_000_000_000;
/// By so much the clock of whoever records may be ahead.
const AHEAD_SECS: i64 = 60;
/// For how many days back something can be recorded.
const MAX_AGE_DAYS: i64 = 400;

/// Usage to record.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UsageRecords {
    /// 1 to 1,000 of them: all are recorded, or none.
    usage: Vec<UsageRecordCreate>,
}

/// What was used and is no call that was answered here, or a correction of what was counted.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct UsageRecordCreate {
    /// An id of yours, another one for everything that is recorded: sent again, it is recorded once.
    #[schema(example = "job-4711")]
    id: String,
    /// Who used what.
    #[schema(value_type = String)]
    activation_id: ActivationId,
    /// When; now, unless said otherwise. At most 400 days ago.
    #[schema(value_type = Option<String>, format = DateTime)]
    at: Option<Timestamp>,
    /// How many calls that were; none, unless said otherwise.
    #[serde(default)]
    calls: u64,
    /// How many units it costs. A correction takes back with a number below 0.
    #[schema(example = 250)]
    units: i64,
    /// The id of a record that this corrects, of the same activation.
    corrects: Option<String>,
    /// What people on both sides read.
    #[serde(default)]
    note: String,
}

/// What was recorded.
#[derive(Serialize, ToSchema)]
pub(super) struct UsageRecorded {
    /// In the order of the request.
    usage: Vec<RecordView>,
}

/// Usage that was recorded.
#[derive(Serialize, ToSchema)]
#[schema(as = UsageRecord)]
struct RecordView {
    /// Its id.
    id: String,
    /// Who used what.
    #[schema(value_type = String)]
    activation_id: ActivationId,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// When it was recorded.
    #[schema(value_type = String, format = DateTime)]
    recorded_at: Timestamp,
    /// How many calls that were.
    calls: u64,
    /// How many units it costs.
    units: i64,
    /// The id of the record that this corrects.
    corrects: Option<String>,
    /// What people read.
    note: String,
    /// Whether it had been recorded before, and nothing was recorded now.
    repeated: bool,
    /// Whether it was recorded more than an hour after it happened: where the statement of that time is closed, it is an
    /// adjustment of a later one.
    late: bool,
}

/// Record usage that is no call answered here, and correct what was counted: a refund is a record of units below 0. What was
/// recorded is never altered. It counts for usage and statements, and uses no limits, quotas or credits.
#[utoipa::path(post, operation_id = "recordUsage", path = "/v1/usage/record", tag = "Usage", request_body = UsageRecords, security(("management_key" = [])),
    responses((status = 200, body = UsageRecorded), (status = 400), (status = 401), (status = 403), (status = 404), (status = 409)))]
pub(super) async fn record(
    caller: Caller<WriteUsage>,
    State(app): State<App>,
    body: Json<UsageRecords>,
) -> Result<axum::Json<UsageRecorded>, Problem> {
    caller.refuse_conditions()?;
    let (wanted, now) = (body.value.usage, app.now());
    if !(1..=MAX_RECORDS).contains(&wanted.len()) {
        return Err(invalid(format!("usage has 1 to {MAX_RECORDS} records.")));
    }
    let mut links = HashMap::new();
    for (place, one) in wanted.iter().enumerate() {
        if !links.contains_key(&one.activation_id) {
            // One that was taken away, too: somebody who left gets a refund all the same.
            let link = app.catalog.activation_ever(caller.organization, one.activation_id).await;
            let link = link.map_err(|error| internal(&error))?;
            // Whose the API is decides what was used of it.
            let link = link.filter(|link| link.api_organization == caller.organization);
            let nothing = "there is no such activation of one of your APIs. Nothing of the request was recorded.";
            let link = link.ok_or_else(|| not_found("activation").because(format!("usage[{place}]: {nothing}")))?;
            links.insert(link.id, Link::of(&link));
        }
    }
    let mut new = Vec::with_capacity(wanted.len());
    let mut of = Vec::with_capacity(wanted.len());
    for (place, one) in wanted.into_iter().enumerate() {
        let activation = one.activation_id;
        let link = links.get(&activation).ok_or_else(|| not_found("activation"))?;
        new.push(checked(one, link, now).map_err(|problem| at(place, problem))?);
        of.push(activation);
    }
    let by = (caller.owner, who(&caller));
    let known = app.ledger.try_recording((by.0, &by.1), now, &new).await.map_err(|error| refused(error, &new))?;
    if known.iter().any(|(_, is_new)| *is_new) {
        // Noted before: nothing is recorded of which nobody can be asked.
        let (subject, made) = (subject(&of, &caller), Some(told(&known, &of)?));
        let note = Change::Note { action: "usage.record", subject, made };
        app.apply(&caller, note).await?;
    }
    // To its end, even if the client leaves.
    let ledger = app.ledger.clone();
    let recording = tokio::spawn(async move {
        let recorded = ledger.record((by.0, &by.1), now, &new).await;
        recorded.map_err(|error| refused(error, &new))
    });
    let recorded = recording.await.map_err(|error| internal(&error))??;
    let view = |((record, is_new), activation_id): ((RecordedUsage, bool), ActivationId)| RecordView {
        late: may_be_late(record.at, record.recorded_at),
        id: record.id,
        activation_id,
        at: record.at,
        recorded_at: record.recorded_at,
        calls: record.calls,
        units: record.cost,
        corrects: record.corrects,
        note: record.note.unwrap_or_default(),
        repeated: !is_new,
    };
    Ok(axum::Json(UsageRecorded { usage: recorded.into_iter().zip(of).map(view).collect() }))
}

/// What a request is about: an activation, or several of the organization's.
fn subject(of: &[ActivationId], asker: &Asker) -> String {
    match of {
        [first, rest @ ..] if rest.iter().all(|other| other == first) => first.to_string(),
        _ => asker.organization.to_string(),
    }
}

/// What the audit says of what is recorded.
fn told(known: &[(RecordedUsage, bool)], of: &[ActivationId]) -> Result<String, Problem> {
    let new = known.iter().zip(of).filter(|((_, is_new), _)| *is_new);
    let usage = new.map(|((new, _), activation)| {
        let (id, units, calls) = (&new.id, new.cost, new.calls);
        json!({ "id": id, "activation_id": activation.to_string(), "units": units, "calls": calls, "at": new.at.to_string(), "corrects": new.corrects })
    });
    let usage: Vec<_> = usage.collect();
    serde_json::to_string(&json!({ "usage": usage })).map_err(|error| internal(&error))
}

/// Numbers of an activation's two sides.
struct Link {
    api: u32,
    project: u32,
}

impl Link {
    fn of(link: &keystile_store::records::Activation) -> Self {
        Self { api: link.api_number, project: link.project_number }
    }
}

fn checked(one: UsageRecordCreate, link: &Link, now: Timestamp) -> Result<NewUsage, Problem> {
    for id in std::iter::once(&one.id).chain(&one.corrects) {
        if id.is_empty() || id.len() > MAX_ENTRY_ID_LEN || id.chars().any(char::is_control) {
            return Err(invalid(format!("an id is 1 to {MAX_ENTRY_ID_LEN} bytes without control characters.")));
        }
    }
    if one.at.is_some_and(|at| at > now.plus_secs(AHEAD_SECS) || at < now.plus_secs(-MAX_AGE_DAYS * 86_400)) {
        return Err(invalid(format!(
            "at is a moment of the last {MAX_AGE_DAYS} days, not one to come; here it is {now}."
        )));
    }
    if one.calls > MAX_UNITS || one.units.unsigned_abs() > MAX_UNITS {
        return Err(invalid(format!("calls are 0 to {MAX_UNITS}, and units no more than that either way.")));
    }
    if one.calls == 0 && one.units == 0 {
        return Err(invalid("it says neither calls nor units, so there is nothing to record."));
    }
    Ok(NewUsage {
        id: one.id,
        api: link.api,
        project: link.project,
        at: one.at,
        calls: one.calls,
        cost: one.units,
        corrects: one.corrects,
        note: checked_text("note", one.note)?,
    })
}

/// The same problem, with its place.
fn at(place: usize, problem: Problem) -> Problem {
    invalid(format!("usage[{place}]: {}", problem.detail))
}

fn refused(error: NotRecorded, new: &[NewUsage]) -> Problem {
    match error {
        NotRecorded::Store(error) => internal(&error),
        NotRecorded::Other(place) => conflict(format!(
            "usage[{place}]: something else was recorded under this id, and nothing that was recorded is altered; take another id, and to \
             correct it, say its id in corrects. Nothing of the request was recorded."
        )),
        NotRecorded::Unknown(place) => conflict(format!(
            "usage[{place}]: nothing was recorded under the id that it corrects{}. Nothing of the request was recorded.",
            if new[place].corrects.as_deref() == Some(&new[place].id) {
                ", which is its own"
            } else {
                " for this activation"
            }
        )),
    }
}

fn who(asker: &Asker) -> String {
    match asker.who {
        Who::ManagementKey(id) => id.to_string(),
        Who::Account(id) => id.to_string(),
        Who::System(name) => format!("system:{name}"),
    }
}
