//! A call of the request log as it is shown.

use std::net::IpAddr;

use keystile_core::code::Code;
use keystile_core::id::{ApiId, KeyId, ProjectId, RequestId};
use keystile_core::method::Method;
use keystile_core::restrict::Rules;
use keystile_core::time::Timestamp;
use keystile_store::{Catalog, KeptRequest, StoreError};
use serde::Serialize;
use utoipa::ToSchema;

use crate::manage::app::App;
use crate::manage::usage::Names;
use crate::telemetry::journal::Discretion;

/// A call, as it was answered. Its key, its query, its bodies and its header fields but these are never kept.
#[derive(Serialize, ToSchema)]
#[schema(as = LoggedRequest)]
pub(in crate::manage) struct RequestView {
    /// Its id, which its answer carried in `X-Request-Id`.
    #[schema(value_type = String, example = "req_2Zk9mQ4tR7vX1bN6cL8dF3")]
    id: RequestId,
    /// When it began.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// How it came: through the `gateway`, or `verification` was asked about it.
    door: &'static str,
    /// Its method; `null` if it is none that may pass, or was not kept.
    #[schema(value_type = Option<String>)]
    method: Option<Method>,
    /// The host that was called; `null` if none was said, or it was not kept.
    host: Option<String>,
    /// Its path as it was decided by, without the query; `null` if it had none, or it was not kept. What looks like a key is left out.
    path: Option<String>,
    /// From where it came, as much of it as the API keeps; `null` if that is nothing.
    #[schema(value_type = Option<String>)]
    address: Option<IpAddr>,
    /// What the client calls itself; what looks like a key is left out.
    user_agent: Option<String>,
    /// The API; `null` if none was found.
    #[schema(value_type = Option<String>)]
    api_id: Option<ApiId>,
    /// The project; `null` if no key was recognised.
    #[schema(value_type = Option<String>)]
    project_id: Option<ProjectId>,
    /// The key; `null` if none was recognised.
    #[schema(value_type = Option<String>)]
    key_id: Option<KeyId>,
    /// The operation.
    operation: Option<String>,
    /// The decision.
    #[schema(value_type = String, example = "rate_limited")]
    code: Code,
    /// The status that the client got.
    status: u16,
    /// Restrictions, patterns and limits in shadow that would have refused it. At an API of another organization there are none.
    #[schema(value_type = Vec<String>)]
    shadow: Rules,
    /// Microseconds from the head of the request to the end of the answer.
    latency_us: u64,
    /// Microseconds that the upstream took to begin its answer; `null` if there was none, or the API is another organization's.
    upstream_us: Option<u32>,
    /// Bytes of the request's body.
    bytes_in: u64,
    /// Bytes of the answer's body.
    bytes_out: u64,
    /// The trace that it belongs to; `null` if none is known.
    trace_id: Option<String>,
}

/// Whoever looks at calls.
pub(in crate::manage) struct Viewer {
    catalog: Catalog,
    discretion: Discretion,
    /// The number of the organization.
    owner: u32,
}

impl Viewer {
    /// Somebody of the organization of this number.
    pub(in crate::manage) fn new(app: &App, owner: u32) -> Self {
        let discretion = Discretion::new(app.feed.engine().clone());
        Self { catalog: app.catalog.clone(), discretion, owner }
    }

    /// The calls as they are shown.
    pub(in crate::manage) async fn views(&self, calls: Vec<KeptRequest>) -> Result<Vec<RequestView>, StoreError> {
        let numbers = calls.iter().map(|kept| {
            let of = &kept.request;
            [Some(of.api), Some(of.project), Some(of.key)]
        });
        let names = Names::of(&self.catalog, numbers).await?;
        Ok(calls.into_iter().map(|kept| self.view(kept, &names)).collect())
    }

    fn view(&self, KeptRequest { request, operation, .. }: KeptRequest, names: &Names) -> RequestView {
        let is_own = request.organization == self.owner;
        RequestView {
            id: request.id,
            at: request.at,
            door: request.door.as_str(),
            method: request.method,
            host: request.host,
            path: request.path,
            address: request.client,
            user_agent: request.user_agent,
            api_id: names.api(request.api),
            project_id: names.project(request.project),
            key_id: names.key(request.key),
            operation: operation.map(|label| self.discretion.path(&label).into_owned()),
            code: request.code,
            status: request.status,
            shadow: if is_own { request.shadow } else { Rules::NONE },
            latency_us: request.latency_us,
            upstream_us: request.upstream_us.filter(|_| is_own),
            bytes_in: request.bytes_in,
            bytes_out: request.bytes_out,
            trace_id: request.trace,
        }
    }
}
