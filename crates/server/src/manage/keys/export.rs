//! `GET /v1/keys/export`

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use hyper::body::Bytes;
use keystile_core::id::{OrganizationId, ProjectId};
use keystile_core::key::{KeyKind, Standing};
use keystile_store::records::{KeyFilter, Page};
use keystile_store::{Catalog, Ledger};
use serde::Deserialize;
use utoipa::IntoParams;

use super::view::{KeyView, with_use};
use crate::manage::app::App;
use crate::manage::caller::{Caller, ReadKeys};
use crate::manage::extract::Query;
use crate::manage::list::labels;
use crate::manage::problem::internal;
use crate::problem::{Problem, causes};

/// Keys read and sent at a time: so many are in memory, however many there are.
const PAGE: u32 = 1_000;
const NDJSON: HeaderValue = HeaderValue::from_static("application/x-ndjson");

/// Which keys.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Asked {
    /// Only those of this project.
    #[param(value_type = Option<String>)]
    project_id: Option<ProjectId>,
    /// Only `active`, `disabled` or `revoked` ones.
    #[param(value_type = Option<String>)]
    state: Option<Standing>,
    /// Only `secret`, `publishable`, `management` or `canary` ones.
    #[param(value_type = Option<String>)]
    kind: Option<KeyKind>,
    /// Only those of exactly this name.
    name: Option<String>,
    /// Only those with all of these labels, separated by commas.
    label: Option<String>,
    /// The keys that were deleted and can still be brought back, instead of those that are there.
    #[serde(default)]
    deleted: bool,
}

/// All keys of the organization, newest first, without their texts and without anything that those could be found out from;
/// NDJSON, a key a line. An answer that breaks off is not all of them.
#[utoipa::path(get, operation_id = "exportKeys", path = "/v1/keys/export", tag = "Keys", params(Asked), security(("management_key" = [])),
    responses((status = 200, body = KeyView, content_type = "application/x-ndjson"), (status = 400), (status = 401), (status = 403)))]
pub(super) async fn export(
    caller: Caller<ReadKeys>,
    State(app): State<App>,
    Query(asked): Query<Asked>,
) -> Result<Response, Problem> {
    let filter = KeyFilter {
        project: asked.project_id,
        standing: asked.state,
        kind: asked.kind,
        name: asked.name,
        deleted_after: asked.deleted.then(|| app.brought_back_after()),
        labels: labels(asked.label.as_deref())?,
    };
    let rest =
        Rest { catalog: app.catalog, ledger: app.ledger, organization: caller.organization, filter, before: None };
    // The first page before anything is answered: what is wrong with the store is a problem, and no broken answer.
    let first = rest.page().await.map_err(|error| internal(&error))?;
    let pages = stream::try_unfold(first, async |next| {
        let Some((lines, rest)) = next else { return Ok(None) };
        let next = match rest {
            Some(rest) => rest.page().await.inspect_err(|error| {
                tracing::error!(cause = causes(error), "an export of keys broke off");
            })?,
            None => None,
        };
        Ok::<_, keystile_store::StoreError>(Some((lines, next)))
    });
    let mut response = Body::from_stream(pages).into_response();
    response.headers_mut().insert(CONTENT_TYPE, NDJSON);
    Ok(response)
}

/// What is still to be sent.
struct Rest {
    catalog: Catalog,
    ledger: Ledger,
    organization: OrganizationId,
    filter: KeyFilter,
    before: Option<u32>,
}

/// Keys as lines, and what comes after them.
type Lines = Option<(Bytes, Option<Rest>)>;

impl Rest {
    async fn page(self) -> Result<Lines, keystile_store::StoreError> {
        let page = Page { before: self.before, limit: PAGE };
        let keys = self.catalog.keys(self.organization, self.filter.clone(), page).await?;
        let Some(last) = keys.last().map(|key| key.number) else { return Ok(None) };
        let is_full = keys.len() == PAGE as usize;
        let mut lines = Vec::with_capacity(keys.len() * 512);
        for key in with_use(&self.ledger, keys).await {
            // Writing to memory can't fail.
            let _ = serde_json::to_writer(&mut lines, &key);
            lines.push(b'\n');
        }
        Ok(Some((lines.into(), is_full.then_some(Self { before: Some(last), ..self }))))
    }
}
