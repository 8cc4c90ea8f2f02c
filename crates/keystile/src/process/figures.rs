//! What operators see of the process: every family of metrics is declared here.

use std::sync::Arc;

use keystile_server::enforce::{leases, shadow};
use keystile_server::manage::App;
use keystile_server::telemetry::metrics::{self, Kind};
use keystile_server::tls::Tls;

use super::accept::Admission;

/// Declares every family of metrics.
pub(super) fn declare(app: &App, doors: [(&'static str, Arc<Admission>); 2], tls: Option<&Arc<Tls>>) {
    let registry = &app.metrics;
    registry.family(Kind::Gauge, "keystile_build_info", "What runs.", |samples| {
        samples.put(&[("version", env!("CARGO_PKG_VERSION"))], 1_u64);
    });
    app.calls.declare(registry);
    app.writer.declare(registry);
    app.requests.declare(registry);
    app.pulse.declare(registry);
    shadow::declare(app.feed.engine().clone(), registry);
    leases::declare(app.feed.engine().clone(), registry);
    app.webhooks.declare(registry);
    app.mail.declare(registry);
    Admission::declare(doors, registry);
    if let Some(tls) = tls {
        tls.declare(registry, app.clock.clone());
    }
    metrics::process::declare(registry, app.clock.now().wall);
}
