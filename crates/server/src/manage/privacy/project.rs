//! `GET` and `DELETE /v1/privacy/projects/{id}`

use std::collections::HashMap;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use keystile_core::id::{KeyId, OrganizationId, ProjectId};
use keystile_core::time::Timestamp;
use keystile_store::records::{ActivationFilter, AuditQuery, CreditFilter, Key, KeyFilter, Page, Project};
use keystile_store::{
    AddressUse, Catalog, Change, FacetUse, Ledger, RecordedUsage, RequestsAt, RequestsOf, RequestsQuery, StoreError,
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{entries, refuse_trial, wiped};
use crate::manage::activations::view::ActivationView;
use crate::manage::app::App;
use crate::manage::audit::EntryView;
use crate::manage::caller::{Caller, ReadPrivacy, WritePrivacy};
use crate::manage::credits::entries::EntryView as CreditEntryView;
use crate::manage::credits::view::CreditGrantView;
use crate::manage::extract::Id;
use crate::manage::keys::view::KeyView;
use crate::manage::ndjson::{self, PAGE, Pages};
use crate::manage::problem::{internal, not_found};
use crate::manage::projects::view::ProjectView;
use crate::manage::requests::{RequestView, Viewer};
use crate::problem::Problem;

/// Keys that are read and sent at a time.
const KEYS: u32 = 100;
/// Activations that are read at a time.
const ACTIVATIONS: u32 = 1_000;
/// Addresses of a key that are told, those with the most calls.
const ADDRESSES: u32 = 10_000;

/// Something that is kept: of what stands beside `type`, one is there.
#[derive(Default, Serialize, ToSchema)]
#[schema(as = ProjectExport)]
pub(super) struct Kept {
    /// What it is: `project`, `activation`, `credit_grant`, `credit_entry`, `usage_record`, `usage_facet`, `key`, `address`,
    /// `request` or `audit_entry`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The project.
    #[serde(skip_serializing_if = "Option::is_none")]
    project: Option<ProjectView>,
    /// An API that it may call.
    #[serde(skip_serializing_if = "Option::is_none")]
    activation: Option<ActivationView>,
    /// Credits that were granted to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    credit_grant: Option<Box<CreditGrantView>>,
    /// What was charged or reserved for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    credit_entry: Option<CreditEntryView>,
    /// Usage that was recorded by hand.
    #[serde(skip_serializing_if = "Option::is_none")]
    usage_record: Option<RecordView>,
    /// A country, an end user or a tag by which calls were counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    usage_facet: Option<FacetView>,
    /// A key, without its text and without anything that it could be found out from.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<Box<KeyView>>,
    /// From where a key was used.
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<AddressView>,
    /// A call in the request log.
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<Box<RequestView>>,
    /// What was done with one of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    audit_entry: Option<EntryView>,
}

/// Usage that was recorded by hand, by whoever owns the API.
#[derive(Serialize, ToSchema)]
#[schema(as = ProjectUsageRecord)]
pub(super) struct RecordView {
    /// The id under which it was recorded.
    id: String,
    /// When it happened.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// When it was recorded.
    #[schema(value_type = String, format = DateTime)]
    recorded_at: Timestamp,
    /// Calls.
    calls: u64,
    /// What it costs.
    units: i64,
    /// The id of the record that it corrects.
    corrects: Option<String>,
    /// What was written on it.
    note: Option<String>,
}

/// Calls by a country, an end user or a tag; of end users and tags, those that the organization itself told of.
#[derive(Serialize, ToSchema)]
#[schema(as = ProjectUsageFacet)]
pub(super) struct FacetView {
    /// What it is: `country`, `end_user` or `tag:NAME`.
    facet: String,
    /// Which one.
    value: String,
    /// Calls.
    calls: u64,
    /// The start of the first day (UTC) on which there were any.
    #[schema(value_type = String, format = DateTime)]
    first_day: Timestamp,
    /// The start of the last one.
    #[schema(value_type = String, format = DateTime)]
    last_day: Timestamp,
}

/// From where a key was used.
#[derive(Serialize, ToSchema)]
#[schema(as = KeyAddress)]
pub(super) struct AddressView {
    /// Which key.
    #[schema(value_type = String)]
    key_id: KeyId,
    /// The address, as much of it as the API keeps; `null` for all further ones.
    #[schema(value_type = Option<String>)]
    address: Option<std::net::IpAddr>,
    /// Calls from there.
    calls: u64,
    /// When the first one was that is known of.
    #[schema(value_type = String, format = DateTime)]
    first_at: Timestamp,
    /// When the last one was.
    #[schema(value_type = String, format = DateTime)]
    last_at: Timestamp,
}

/// All that is kept about a project, its keys and its activations: NDJSON, a thing a line, each with its `type`. How often it called is
/// at `/v1/usage`, each call at `/v1/usage/export`. An answer that breaks off is not all of it. Prove first who you are.
#[utoipa::path(get, operation_id = "exportProject", path = "/v1/privacy/projects/{id}", tag = "Privacy",
    params(("id" = String, Path)), security(("management_key" = [])),
    responses((status = 200, body = Kept, content_type = "application/x-ndjson"), (status = 401), (status = 403), (status = 404)))]
pub(super) async fn export(
    caller: Caller<ReadPrivacy>,
    State(app): State<App>,
    Id(id): Id<ProjectId>,
) -> Result<Response, Problem> {
    // It is not noted for a condition: what is sent as it comes has no state.
    let found = app.catalog.project(caller.organization, id).await.map_err(|error| internal(&error))?;
    let project = found.ok_or_else(|| not_found("project"))?;
    let change = Change::Note { action: "project.export", subject: id.to_string(), made: None };
    app.apply(&caller, change).await?;
    // What can't be written into the request log at the moment is not kept yet.
    let _ = app.requests.settle().await;
    let (now, organization, owner) = (app.now(), caller.organization, caller.owner);
    let viewer = Viewer::new(&app, caller.owner);
    let (catalog, ledger) = (app.catalog, app.ledger);
    let (keys, calls) = (Keys { before: None, deleted: false }, Calls::After(None));
    ndjson::all(Rest { catalog, ledger, viewer, organization, owner, id, project: Some(project), now, keys, calls })
        .await
}

/// What is still to be sent.
struct Rest {
    catalog: Catalog,
    ledger: Ledger,
    viewer: Viewer,
    organization: OrganizationId,
    /// The number of that.
    owner: u32,
    id: ProjectId,
    /// Until it was sent.
    project: Option<Project>,
    /// When it was asked.
    now: Timestamp,
    keys: Keys,
    calls: Calls,
}

/// How far its keys were sent.
struct Keys {
    before: Option<u32>,
    /// Whether those that were deleted are sent by now.
    deleted: bool,
}

/// How far its calls were sent.
enum Calls {
    After(Option<RequestsAt>),
    Done,
}

impl Pages for Rest {
    type Row = Kept;

    async fn next(&mut self) -> Result<Vec<Kept>, StoreError> {
        if let Some(project) = self.project.take() {
            let mut rows = vec![Kept { kind: "project", project: Some(project.into()), ..Kept::default() }];
            self.add_entries(&mut rows, self.id.to_string()).await?;
            self.add_activations(&mut rows).await?;
            self.add_credits(&mut rows).await?;
            self.add_usage(&mut rows).await?;
            return Ok(rows);
        }
        let mut keys = self.keys().await?;
        if keys.is_empty() && !self.keys.deleted {
            self.keys = Keys { before: None, deleted: true };
            keys = self.keys().await?;
        }
        if keys.is_empty() {
            return self.calls().await;
        }
        self.keys.before = keys.last().map_or(self.keys.before, |last| Some(last.number));
        let mut rows = Vec::new();
        for key in keys {
            let (key_id, number) = (key.id, key.number);
            rows.push(Kept { kind: "key", key: Some(Box::new(key.into())), ..Kept::default() });
            let used = self.ledger.address_use(number, Timestamp::from_micros(0), ADDRESSES).await?;
            rows.extend(used.into_iter().map(|used| {
                let AddressUse { address, calls, first_at, last_at, .. } = used;
                let address = Some(AddressView { key_id, address, calls, first_at, last_at });
                Kept { kind: "address", address, ..Kept::default() }
            }));
            self.add_entries(&mut rows, key_id.to_string()).await?;
        }
        Ok(rows)
    }
}

impl Rest {
    async fn keys(&self) -> Result<Vec<Key>, StoreError> {
        let deleted_after = self.keys.deleted.then(|| Timestamp::from_micros(0));
        let filter = KeyFilter { project: Some(self.id), deleted_after, ..KeyFilter::default() };
        self.catalog.keys(self.organization, filter, Page { before: self.keys.before, limit: KEYS }).await
    }

    async fn calls(&mut self) -> Result<Vec<Kept>, StoreError> {
        let Calls::After(place) = self.calls else { return Ok(Vec::new()) };
        let Some(number) = self.catalog.project_number(self.organization, self.id).await? else {
            return Ok(Vec::new());
        };
        let query = RequestsQuery::all(RequestsOf::Project(number));
        let page = self.ledger.requests(&query, (None, None), place, PAGE).await?;
        self.calls = page.next.map_or(Calls::Done, |next| Calls::After(Some(next)));
        let views = self.viewer.views(page.requests).await?;
        Ok(views
            .into_iter()
            .map(|view| Kept { kind: "request", request: Some(Box::new(view)), ..Kept::default() })
            .collect())
    }

    async fn add_activations(&self, rows: &mut Vec<Kept>) -> Result<(), StoreError> {
        let mut before = None;
        loop {
            let filter = ActivationFilter { project: Some(self.id), ..ActivationFilter::default() };
            let page = Page { before, limit: ACTIVATIONS };
            let some = self.catalog.activations(self.organization, filter, page).await?;
            let Some(last) = some.last() else { return Ok(()) };
            before = Some(last.number);
            for activation in some {
                let id = activation.id.to_string();
                rows.push(Kept { kind: "activation", activation: Some(activation.into()), ..Kept::default() });
                self.add_entries(rows, id).await?;
            }
        }
    }

    async fn add_usage(&self, rows: &mut Vec<Kept>) -> Result<(), StoreError> {
        let Some(number) = self.catalog.project_number(self.organization, self.id).await? else { return Ok(()) };
        let facets = self.ledger.facet_use(number, self.owner).await?;
        rows.extend(facets.into_iter().map(|used| {
            let FacetUse { facet, value, calls, first_day, last_day } = used;
            let usage_facet = Some(FacetView { facet: facet.to_string(), value, calls, first_day, last_day });
            Kept { kind: "usage_facet", usage_facet, ..Kept::default() }
        }));
        let mut last = None;
        loop {
            let mut some = self.ledger.recorded_usage_of(number, last.as_ref(), ACTIVATIONS).await?;
            let next = some.last().cloned();
            rows.extend(some.drain(..).map(|one| {
                let RecordedUsage { id, at, recorded_at, calls, cost: units, corrects, note, .. } = one;
                let usage_record = Some(RecordView { id, at, recorded_at, calls, units, corrects, note });
                Kept { kind: "usage_record", usage_record, ..Kept::default() }
            }));
            let Some(next) = next else { return Ok(()) };
            last = Some(next);
        }
    }

    async fn add_credits(&self, rows: &mut Vec<Kept>) -> Result<(), StoreError> {
        let mut before = None;
        loop {
            let filter = CreditFilter { project: Some(self.id), ..CreditFilter::default() };
            let page = Page { before, limit: ACTIVATIONS };
            let some = self.catalog.credit_grants(self.organization, filter, page).await?;
            let Some(last) = some.last() else { break };
            before = Some(last.number);
            let numbers: Vec<u32> = some.iter().map(|grant| grant.number).collect();
            let used: HashMap<u32, u64> = self.ledger.credits_taken_of(&numbers).await?.into_iter().collect();
            for grant in some {
                let (id, used) = (grant.id.to_string(), used.get(&grant.number).copied().unwrap_or(0));
                let credit_grant = Some(Box::new(CreditGrantView::new(grant, used, self.now)));
                rows.push(Kept { kind: "credit_grant", credit_grant, ..Kept::default() });
                self.add_entries(rows, id).await?;
            }
        }
        let entries = self.ledger.credit_entries_for(self.id).await?;
        rows.extend(entries.into_iter().map(|entry| Kept {
            kind: "credit_entry",
            credit_entry: Some(entry.into()),
            ..Kept::default()
        }));
        Ok(())
    }

    async fn add_entries(&self, rows: &mut Vec<Kept>, subject: String) -> Result<(), StoreError> {
        let asked = AuditQuery { subject: Some(subject), ..AuditQuery::default() };
        let all = entries(&self.catalog, self.organization, &asked).await?;
        rows.extend(all.into_iter().map(|entry| Kept {
            kind: "audit_entry",
            audit_entry: Some(entry),
            ..Kept::default()
        }));
        Ok(())
    }
}

/// Erase a project, for ever: it is deleted if it was not, with its keys and activations, and nothing that anybody wrote about them is kept, nor from
/// where the keys were used and for whom, nor single calls; in the audit neither, where who did what and when stays. Ids and counts of calls stay. Copies elsewhere (backups,
/// what webhooks and syslog were told) are not in its reach. Prove first who you are.
#[utoipa::path(delete, operation_id = "eraseProject", path = "/v1/privacy/projects/{id}", tag = "Privacy",
    params(("id" = String, Path)), security(("management_key" = [])),
    responses((status = 204), (status = 401), (status = 403), (status = 404), (status = 409)))]
pub(super) async fn erase(
    caller: Caller<WritePrivacy>,
    State(app): State<App>,
    Id(id): Id<ProjectId>,
) -> Result<StatusCode, Problem> {
    refuse_trial(&caller)?;
    app.apply(&caller, Change::EraseProject { id }).await?;
    // Whoever asks again finishes what was left by a crash in between.
    let keys = app.catalog.key_numbers_of(caller.organization, id).await.map_err(|error| internal(&error))?;
    app.writer.flush().await.map_err(|error| internal(&error))?;
    app.ledger.forget_addresses_of(&keys).await.map_err(|error| internal(&error))?;
    app.ledger.forget_credit_entries_of(id, app.now()).await.map_err(|error| internal(&error))?;
    let number = app.catalog.project_number(caller.organization, id).await.map_err(|error| internal(&error))?;
    if let Some(number) = number {
        app.ledger.forget_notes_of(number).await.map_err(|error| internal(&error))?;
        app.ledger.forget_facets_of(&[number]).await.map_err(|error| internal(&error))?;
        // What is still on its way to the log goes there first.
        app.requests.settle().await.map_err(|error| internal(&error))?;
        app.ledger.forget_requests_of(number).await.map_err(|error| internal(&error))?;
    }
    wiped(&app).await?;
    Ok(StatusCode::NO_CONTENT)
}
