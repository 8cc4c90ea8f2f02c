//! `GET /v1/usage/export`: the events that usage and statements are made of.

use std::collections::HashMap;
use std::vec::IntoIter;

use axum::extract::State;
use axum::response::Response;
use keystile_core::code::Code;
use keystile_core::id::{ApiId, KeyId, ProjectId};
use keystile_core::time::Timestamp;
use keystile_core::usage::UsageEvent;
use keystile_store::{Catalog, EventName, EventsAt, KeptEvent, Ledger, RecordedUsage, StoreError};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::filters::{Filters, filters};
use super::names::{Names, counted_for};
use super::span::span;
use crate::manage::app::App;
use crate::manage::caller::{Caller, ReadUsage};
use crate::manage::extract::Query;
use crate::manage::ndjson::{self, PAGE, Pages};
use crate::manage::problem::internal;
use crate::problem::Problem;

/// Which events.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Asked {
    /// Those that happened from this moment on; 24 hours before `until` unless said otherwise, or ever if `recorded_from` is said.
    #[param(value_type = Option<String>)]
    from: Option<Timestamp>,
    /// Until this moment; now unless said otherwise.
    #[param(value_type = Option<String>)]
    until: Option<Timestamp>,
    /// Only those that were recorded from this moment on: what has come since they were last exported. Ask for some minutes more, for
    /// what was under way then, and leave out the ids that you have.
    #[param(value_type = Option<String>)]
    recorded_from: Option<Timestamp>,
    /// Only this API's.
    #[param(value_type = Option<String>)]
    api_id: Option<ApiId>,
    /// Only this project's.
    #[param(value_type = Option<String>)]
    project_id: Option<ProjectId>,
    /// Only this key's.
    #[param(value_type = Option<String>)]
    key_id: Option<KeyId>,
}

/// An event as it was counted. Its `id` is never another one's, so whoever has it need not count it again.
#[derive(Clone, Serialize, ToSchema)]
#[schema(as = UsageEvent)]
pub(crate) struct EventView {
    /// Its id.
    pub(crate) id: String,
    /// `call`, which may be several of one minute and kind that were folded while the store was away, or `recorded`.
    pub(crate) kind: &'static str,
    /// When it happened.
    #[schema(value_type = String, format = DateTime)]
    pub(crate) at: Timestamp,
    /// When it was recorded.
    #[schema(value_type = String, format = DateTime)]
    pub(crate) recorded_at: Timestamp,
    /// The API; `null` if none was found.
    #[schema(value_type = Option<String>)]
    pub(crate) api_id: Option<ApiId>,
    /// The project; `null` if no key was recognised.
    #[schema(value_type = Option<String>)]
    pub(crate) project_id: Option<ProjectId>,
    /// The key; `null` if none was recognised.
    #[schema(value_type = Option<String>)]
    pub(crate) key_id: Option<KeyId>,
    /// The operation.
    pub(crate) operation: Option<String>,
    /// The decision.
    #[schema(value_type = String)]
    pub(crate) code: Code,
    /// The status that the client got.
    pub(crate) status: u16,
    /// Calls.
    pub(crate) calls: u64,
    /// Microseconds from the head of the request to the end of the answer, summed.
    pub(crate) latency_us: u64,
    /// Bytes of request bodies.
    pub(crate) bytes_in: u64,
    /// Bytes of response bodies.
    pub(crate) bytes_out: u64,
    /// What it cost.
    pub(crate) units: i64,
    /// Of what was recorded: the id under which it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) record_id: Option<String>,
    /// Of what was recorded: the id of the record that it corrects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) corrects: Option<String>,
    /// Of what was recorded: what people read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) note: Option<String>,
    /// Of what was recorded: who recorded it, a management key or an account; told to the API's own people alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) recorded_by: Option<String>,
}

/// Every event of a time as it was counted, for billing elsewhere and for counting anew: NDJSON, an event a line, calls first, hour by
/// hour, then what was recorded. Calls that were answered until now are among them. Events are kept as long as `[retention]` says; an
/// answer that breaks off is not all of them.
#[utoipa::path(get, operation_id = "exportUsage", path = "/v1/usage/export", tag = "Usage", params(Asked), security(("management_key" = [])),
    responses((status = 200, body = EventView, content_type = "application/x-ndjson"), (status = 400), (status = 401), (status = 403), (status = 404)))]
pub(super) async fn export(
    caller: Caller<ReadUsage>,
    State(app): State<App>,
    Query(asked): Query<Asked>,
) -> Result<Response, Problem> {
    // What was recorded lately may have happened at any time.
    let from = asked.from.or(asked.recorded_from.map(|_| Timestamp::from_secs(0)));
    let span = span(app.now(), (from, asked.until))?;
    let only = filters(&app, &caller, (asked.api_id, asked.project_id, asked.key_id)).await?;
    app.writer.flush().await.map_err(|error| internal(&error))?;
    app.ledger.roll_up().await.map_err(|error| internal(&error))?;
    let all = Events::all_of(caller.owner, (&app.catalog, &app.ledger), span).await;
    let all = all.map_err(|error| internal(&error))?;
    let organizations = if only == Filters::default() { counted_for(caller.owner) } else { Vec::new() };
    ndjson::all(Events { organizations, recorded_from: asked.recorded_from, only, ..all }).await
}

/// What is still to be sent.
pub(crate) struct Events {
    catalog: Catalog,
    ledger: Ledger,
    labels: HashMap<u32, String>,
    span: (Timestamp, Timestamp),
    recorded_from: Option<Timestamp>,
    /// Only those that were recorded from a moment until before another one.
    recorded: Option<(Timestamp, Timestamp)>,
    only: Filters,
    organizations: Vec<u32>,
    owner: u32,
    place: Place,
}

/// How far it has come.
enum Place {
    Kept(Option<EventsAt>),
    /// By when they were recorded: rows in which some of them are.
    Listed(IntoIter<EventsAt>),
    Recorded(Option<RecordedUsage>),
    Done,
}

/// An event, by numbers.
struct Found {
    /// Of a call.
    name: Option<EventName>,
    recorded_at: Timestamp,
    event: UsageEvent,
    recorded: Option<RecordedUsage>,
}

impl Pages for Events {
    type Row = EventView;

    async fn next(&mut self) -> Result<Vec<EventView>, StoreError> {
        let found = self.found().await?;
        if found.is_empty() { Ok(Vec::new()) } else { self.views(found).await }
    }
}

impl Events {
    /// All that happened in a time, as the organization of this number sees it.
    pub(in crate::manage) async fn all_of(
        owner: u32,
        (catalog, ledger): (&Catalog, &Ledger),
        span: (Timestamp, Timestamp),
    ) -> Result<Self, StoreError> {
        let labels = ledger.labels().await?;
        Ok(Self {
            catalog: catalog.clone(),
            ledger: ledger.clone(),
            labels: labels.into_iter().map(|label| (label.number, label.text)).collect(),
            span,
            recorded_from: None,
            recorded: None,
            only: Filters::default(),
            organizations: Vec::new(),
            owner,
            place: Place::Kept(None),
        })
    }

    /// All of every organization that was recorded from a moment until before another one, whenever it happened.
    ///
    /// # Errors
    /// If the store fails.
    pub(crate) async fn recorded_within(
        (catalog, ledger): (&Catalog, &Ledger),
        recorded: (Timestamp, Timestamp),
    ) -> Result<Self, StoreError> {
        let ever = (Timestamp::from_secs(0), Timestamp::from_micros(i64::MAX));
        let rows = ledger.events_recorded(recorded).await?;
        let all = Self::all_of(Self::NOBODY, (catalog, ledger), ever).await?;
        Ok(Self { recorded: Some(recorded), place: Place::Listed(rows.into_iter()), ..all })
    }

    /// The same of one organization, as its own export has it where nothing is asked about.
    ///
    /// # Errors
    /// If the store fails.
    pub(crate) async fn recorded_of(
        owner: u32,
        kept: (&Catalog, &Ledger),
        recorded: (Timestamp, Timestamp),
    ) -> Result<Self, StoreError> {
        Ok(Self { organizations: counted_for(owner), owner, ..Self::recorded_within(kept, recorded).await? })
    }

    /// The next events as they were counted, by numbers; none after the last ones.
    ///
    /// # Errors
    /// If the store fails.
    pub(crate) async fn counted(&mut self) -> Result<Vec<UsageEvent>, StoreError> {
        Ok(self.found().await?.into_iter().map(|found| found.event).collect())
    }

    /// The text of an operation.
    pub(crate) fn operation(&self, label: u32) -> Option<&str> {
        self.labels.get(&label).map(String::as_str)
    }

    /// The next ones that are asked for; none after the last ones.
    async fn found(&mut self) -> Result<Vec<Found>, StoreError> {
        loop {
            let found = match &mut self.place {
                Place::Kept(after) => match self.ledger.kept_events(self.span, self.recorded_from, *after).await? {
                    None => {
                        self.place = Place::Recorded(None);
                        continue;
                    }
                    Some((at, events)) => {
                        self.place = Place::Kept(Some(at));
                        of_calls(events)
                    }
                },
                Place::Listed(rows) => match rows.next() {
                    None => {
                        self.place = Place::Recorded(None);
                        continue;
                    }
                    Some(at) => of_calls(self.ledger.events_at(at).await?),
                },
                Place::Recorded(after) => {
                    let after = after.as_ref();
                    let rows = match self.recorded {
                        Some(recorded) => self.ledger.usage_recorded(recorded, after, PAGE).await?,
                        None => self.ledger.recorded_usage(self.span, self.recorded_from, after, PAGE).await?,
                    };
                    self.place = rows.last().map_or(Place::Done, |last| Place::Recorded(Some(last.clone())));
                    let each = rows.into_iter().map(|row| Found {
                        name: None,
                        recorded_at: row.recorded_at,
                        event: row.event(),
                        recorded: Some(row),
                    });
                    each.collect()
                }
                Place::Done => return Ok(Vec::new()),
            };
            let asked: Vec<Found> = found.into_iter().filter(|one| self.is_asked(one)).collect();
            if !asked.is_empty() {
                return Ok(asked);
            }
        }
    }

    /// The number of no organization.
    const NOBODY: u32 = 0;

    fn is_asked(&self, found: &Found) -> bool {
        let (of, (from, until)) = (found.event.dimensions, self.span);
        (from..until).contains(&found.event.at)
            && self.recorded_from.is_none_or(|from| found.recorded_at >= from)
            && self.recorded.is_none_or(|(from, until)| (from..until).contains(&found.recorded_at))
            && (self.organizations.is_empty() || self.organizations.contains(&of.organization))
            && self.only.let_through(&of)
    }

    async fn views(&self, found: Vec<Found>) -> Result<Vec<EventView>, StoreError> {
        let numbers = found.iter().map(|one| {
            let of = one.event.dimensions;
            [Some(of.api), Some(of.project), Some(of.key)]
        });
        let names = Names::of(&self.catalog, numbers).await?;
        Ok(found.into_iter().map(|one| self.view(one, &names)).collect())
    }

    fn view(&self, found: Found, names: &Names) -> EventView {
        let Found { name, recorded_at, event, recorded } = found;
        let (of, counts) = (event.dimensions, event.counts);
        let api_id = names.api(of.api);
        let (kind, record_id, corrects, note, recorded_by) = match recorded {
            None => ("call", None, None, None, None),
            Some(RecordedUsage { id, corrects, note, recorded_by, organization, .. }) => {
                let is_told = organization == self.owner || self.owner == Self::NOBODY;
                ("recorded", Some(id), corrects, note, Some(recorded_by).filter(|_| is_told))
            }
        };
        // Ids of records are those of whoever owns the API, so they are no other one's beside its id.
        let own = || {
            format!(
                "{}/{}",
                api_id.map(|id| id.to_string()).unwrap_or_default(),
                record_id.as_deref().unwrap_or_default()
            )
        };
        EventView {
            id: name.map_or_else(own, text),
            kind,
            at: event.at,
            recorded_at,
            api_id,
            project_id: names.project(of.project),
            key_id: names.key(of.key),
            operation: self.labels.get(&of.label).cloned(),
            code: of.code,
            status: of.status,
            calls: counts.calls,
            latency_us: counts.latency_us,
            bytes_in: counts.bytes_in,
            bytes_out: counts.bytes_out,
            units: counts.cost,
            record_id,
            corrects,
            note,
            recorded_by,
        }
    }
}

fn of_calls(events: Vec<KeptEvent>) -> Vec<Found> {
    let each = events.into_iter().map(|kept| Found {
        name: Some(kept.name),
        recorded_at: kept.recorded_at,
        event: kept.event,
        recorded: None,
    });
    each.collect()
}

/// An event's name as text.
fn text(name: EventName) -> String {
    format!("{:016x}-{}-{}", name.node, name.sequence, name.place)
}
