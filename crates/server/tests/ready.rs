//! Readiness over a store that is gone: who asks is told what does not work, in the form of a problem.
#![allow(clippy::unwrap_used, reason = "a test that can't go on says so")]

use std::sync::Arc;

use http::{Request, StatusCode};
use http_body_util::BodyExt;
use keystile_server::enforce::feed::Feed;
use keystile_server::manage::{App, router};
use keystile_server::telemetry::metrics::Calls;
use keystile_server::telemetry::pulse::Pulse;
use keystile_server::usage::{Queue, Writer};
use keystile_server::world::{Clock, SystemClock, SystemEntropy};
use keystile_store::{OpenError, Store};
use serde_json::Value;
use tower::ServiceExt;

async fn app(store: &Store) -> App {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let feed = Arc::new(Feed::start(store, None).await.unwrap());
    let engine = feed.engine().clone();
    let (queue, calls) = (Arc::new(Queue::default()), Arc::new(Calls::new(engine.clone())));
    let labels = engine.snapshot.labels.clone();
    let writer = Arc::new(Writer::new(queue, store.ledger.clone(), labels, calls.clone(), clock.clone(), 1));
    let pulse = Arc::new(Pulse::new(store.catalog.clone(), feed.clone(), writer.clone(), clock.clone()));
    pulse.declare(&Arc::default());
    App {
        catalog: store.catalog.clone(),
        ledger: store.ledger.clone(),
        feed,
        writer,
        metrics: Arc::default(),
        calls,
        pulse,
        clock,
        entropy: Arc::new(SystemEntropy),
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
async fn a_server_without_its_store_is_not_ready_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let mut fill = |bytes: &mut [u8]| -> Result<(), OpenError> {
        bytes.fill(7);
        Ok(())
    };
    let at = SystemClock::new().now().wall;
    let store = Store::open(folder.path(), &folder.path().join("root.key"), at, &mut fill).await.unwrap();
    let app = app(&store).await;
    let (status, _, body) = get(&app, "/readyz").await;
    assert_eq!(status, 200, "{body}");

    store.catalog.close().await;
    let (status, content_type, body) = get(&app, "/readyz").await;
    assert_eq!((status, &*content_type), (StatusCode::SERVICE_UNAVAILABLE, "application/problem+json"), "{body}");
    let problem: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((&problem["status"], &problem["code"]), (&503.into(), &"not_ready".into()), "{body}");
    assert!(problem["request_id"].as_str().unwrap().starts_with("req_"), "{body}");
    assert!(problem["detail"].as_str().unwrap().contains("The catalogue can't be read"), "{body}");
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
