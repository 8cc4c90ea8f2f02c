//! A call as it is kept in the request log. What its client chose goes past [`Discretion`] (SECURITY.md E-2).

use keystile_store::{LoggedRequest, RequestDoor};

use super::super::journal::{Discretion, Door, Entry};

/// The number of the organization that runs the installation. Calls that found neither an API nor a key are its concern.
const FIRST_ORGANIZATION: u32 = 1;

/// What is kept of a call.
pub(in crate::telemetry) fn row(entry: &Entry, discretion: &Discretion) -> LoggedRequest {
    let (record, counted) = (&*entry.record, &entry.counted);
    let (dimensions, counts) = (&counted.dimensions, &counted.counts);
    LoggedRequest {
        id: record.request,
        at: counted.at,
        door: match record.door {
            Door::Gateway => RequestDoor::Gateway,
            Door::Verification => RequestDoor::Verification,
        },
        organization: dimensions.organization.max(FIRST_ORGANIZATION),
        api: dimensions.api,
        project: dimensions.project,
        key: dimensions.key,
        label: dimensions.label,
        code: dimensions.code,
        status: dimensions.status,
        method: record.method,
        host: record.host.as_deref().map(|host| discretion.host(host).into_owned()),
        path: record.path.as_deref().map(|path| discretion.path(path).into_owned()),
        // As far as the API lets it be kept, unlike that of the access log.
        client: counted.client,
        user_agent: record.user_agent.as_deref().map(|agent| discretion.words(agent).into_owned()),
        shadow: record.shadow,
        latency_us: counts.latency_us,
        upstream_us: entry.upstream_us.map(std::num::NonZeroU32::get),
        bytes_in: counts.bytes_in,
        bytes_out: counts.bytes_out,
        trace: record.trace.map(|trace| trace.to_string()),
    }
}
