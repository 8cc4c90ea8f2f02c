//! A store that is gone: who asks for readiness is told what does not work, and the figures go on.
#![allow(clippy::unwrap_used, reason = "a test that can't go on says so")]

use std::path::Path;
use std::sync::Arc;

use http::{Request, StatusCode};
use http_body_util::BodyExt;
use keystile_core::Code;
use keystile_core::account::SessionLimits;
use keystile_core::time::Timestamp;
use keystile_core::usage::{Counts, Dimensions, UsageEvent};
use keystile_core::webhook::Reach;
use keystile_server::enforce::feed::Feed;
use keystile_server::enforce::news::Trouble;
use keystile_server::exposure::exposures;
use keystile_server::identity::{Identity, IdentitySettings, Pages};
use keystile_server::mail::{Mailer, Means};
use keystile_server::manage::{App, router};
use keystile_server::telemetry::metrics::{Calls, Registry};
use keystile_server::telemetry::pulse::Pulse;
use keystile_server::telemetry::request_log::RequestLog;
use keystile_server::tls::UpstreamTls;
use keystile_server::usage::{Event, Queue, Writer};
use keystile_server::webhooks::Webhooks;
use keystile_server::world::{Clock, Entropy, SystemClock, SystemEntropy};
use keystile_store::{OpenError, Store, StoreFault};
use serde_json::Value;
use tower::ServiceExt;

async fn open(folder: &Path) -> Store {
    let mut fill = |bytes: &mut [u8]| -> Result<(), OpenError> {
        bytes.fill(7);
        Ok(())
    };
    let at = SystemClock::new().now().wall;
    Store::open(folder, &folder.join("root.key"), at, &mut fill).await.unwrap()
}

async fn app_over(store: &Store, queue: &Arc<Queue>) -> App {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let feed = Arc::new(Feed::start(store, None, keystile_core::time::Timestamp::from_secs(0)).await.unwrap());
    let engine = feed.engine().clone();
    let calls = Arc::new(Calls::new(engine.clone()));
    let labels = engine.snapshot.labels.clone();
    let writer = Arc::new(Writer::new(
        queue.clone(),
        store.ledger.clone(),
        labels,
        (calls.clone(), Arc::default()),
        clock.clone(),
        1,
    ));
    let pulse = Arc::new(Pulse::new(store.catalog.clone(), feed.clone(), writer.clone(), clock.clone()));
    let metrics = Arc::new(Registry::default());
    calls.declare(&metrics);
    writer.declare(&metrics);
    pulse.declare(&metrics);
    let tls = Arc::new(UpstreamTls::new(None).unwrap());
    let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
    let webhooks = Webhooks::new(store.catalog.clone(), Reach::default(), tls, clock.clone(), entropy.clone());
    let sessions = SessionLimits { idle_secs: 3_600, lifetime_secs: 86_400, proven_secs: 300 };
    let people = IdentitySettings { sessions, breached: None, pages: Pages::Unknown, provider: None, links: None };
    let identity = Identity::new(store.catalog.clone(), clock.clone(), entropy.clone(), people);
    App {
        identity: Arc::new(identity),
        mail: Arc::new(Mailer::new(Means::Nothing, clock.clone(), entropy.clone()).unwrap()),
        webhooks: Arc::new(webhooks),
        catalog: store.catalog.clone(),
        ledger: store.ledger.clone(),
        feed,
        requests: Arc::new(RequestLog::new(store.ledger.clone(), writer.clone(), clock.clone())),
        writer,
        metrics,
        calls,
        pulse,
        clock,
        exposures: exposures().0,
        undelete: std::time::Duration::ZERO,
        entropy,
    }
}

async fn get(app: &App, path: &str) -> (StatusCode, String, String) {
    let request = Request::get(path).body(axum::body::Body::empty()).unwrap();
    let response = router(app.clone()).oneshot(request).await.unwrap();
    let content_type = response.headers()["content-type"].to_str().unwrap().to_owned();
    let (status, body) = (response.status(), response.into_body().collect().await.unwrap().to_bytes());
    (status, content_type, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn r14_a_server_without_its_store_says_why_and_is_ready_as_long_as_it_may_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let app = app_over(&store, &Arc::default()).await;
    let (status, _, body) = get(&app, "/readyz").await;
    assert_eq!(status, 200, "{body}");

    store.catalog.close().await;
    let (status, _, body) = get(&app, "/readyz").await;
    assert_eq!(status, 200, "{body}");
    let degraded: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(degraded["status"], "degraded", "{body}");
    assert!(body.contains("The catalogue can't be read"), "{body}");

    let trouble = Trouble { fault: StoreFault::Away, why: "it was moved away".to_owned() };
    app.feed.engine().news.doubt(trouble, true);
    let (status, content_type, body) = get(&app, "/readyz").await;
    assert_eq!((status, &*content_type), (StatusCode::SERVICE_UNAVAILABLE, "application/problem+json"), "{body}");
    let problem: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((&problem["status"], &problem["code"]), (&503.into(), &"not_ready".into()), "{body}");
    assert!(problem["request_id"].as_str().unwrap().starts_with("req_"), "{body}");
    assert!(problem["detail"].as_str().unwrap().contains("it was moved away"), "{body}");
    let failed: Vec<&str> = problem["checks"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|check| check["ok"] == false)
        .map(|check| check["name"].as_str().unwrap())
        .collect();
    assert_eq!(failed, ["store", "feed"], "{body}");
    assert!(!body.contains("sqlx") && !body.contains("pool"), "the cause is for the log: {body}");

    // It lives all the same, and can be measured.
    assert_eq!(get(&app, "/healthz").await.0, 200);
    assert_eq!(get(&app, "/metrics").await.0, 200);
}

#[tokio::test]
async fn counts_that_the_disk_does_not_take_are_folded_and_none_is_lost() {
    // The first batch is kept as it is, the next two pass the bound together.
    const TIMES: u64 = 4;
    const CALLS: u64 = 300_000;
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let queue = Arc::new(Queue::default());
    let app = app_over(&store, &queue).await;
    store.ledger.close().await;
    let buffer = queue.buffer();
    let dimensions = Dimensions {
        organization: 0,
        api: 0,
        project: 0,
        key: 0,
        version: 0,
        label: 0,
        code: Code::RouteUnknown,
        status: 404,
    };
    let counts = Counts { calls: 1, latency_us: 300, bytes_in: 0, bytes_out: 7, cost: 1 };
    for _ in 0..TIMES {
        for _ in 0..CALLS {
            let kept = UsageEvent { at: Timestamp::from_secs(0), dimensions, client: None, facets: None, counts };
            buffer.push(Event { kept, upstream_us: None });
        }
        assert!(app.writer.flush().await.is_err());
    }
    assert!(app.writer.is_failing());
    let (_, _, page) = get(&app, "/metrics").await;
    let calls = "keystile_calls_total{api_id=\"\",api=\"(none)\",code=\"route_unknown\",status=\"4xx\"}";
    let labels = "{api_id=\"\",api=\"(none)\"}";
    for line in [
        format!("{calls} {}", TIMES * CALLS),
        format!("keystile_response_body_bytes_total{labels} {}", TIMES * CALLS * 7),
        format!("keystile_call_duration_seconds_count{labels} {}", TIMES * CALLS),
        format!("keystile_usage_events_folded_total {}", 2 * CALLS - 1),
        format!("keystile_usage_events_waiting {}", CALLS + 1 + CALLS),
    ] {
        assert!(page.lines().any(|other| other == line), "{line} in\n{page}");
    }
}
