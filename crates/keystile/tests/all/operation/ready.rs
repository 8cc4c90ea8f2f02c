//! Readiness: what is looked at, and what an operator is told when it is not as it should be.

use std::fs::File;
use std::path::PathBuf;

use keystile_testkit::{Api, Installation, eventually};
use rustix::fs::{FlockOperation, fcntl_lock};
use serde_json::{Value, json};

use super::world::BINARY;

fn check(ready: &Value, name: &str) -> Value {
    let checks = ready["checks"].as_array().expect("there are checks");
    checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("{name} in {ready}")).clone()
}

#[test]
fn a_server_that_can_not_write_its_counts_goes_on_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let running = Installation::start(BINARY, &["--data", data.to_str().unwrap()]);
    let anybody = Api::new(running.admin, "");
    let metric = |line: &str| anybody.request("GET", "/metrics", &[], b"").text().lines().any(|other| other == line);
    let (status, ready) = anybody.get("/readyz");
    assert_eq!((status, &ready["status"]), (200, &json!("ready")), "{ready}");
    for name in ["store", "feed", "snapshot", "usage", "changes"] {
        assert_eq!(check(&ready, name), json!({ "name": name, "ok": true }));
        assert!(metric(&format!("keystile_check_ok{{check=\"{name}\"}} 1")));
    }

    // Somebody else reads the ledger and does not let go: nothing can be written.
    let held = hold(data.join("usage.db-shm"));
    let gateway = Api::new(running.gateway, running.secret());
    assert_eq!(gateway.request("GET", "/", &[], b"").status, 200);
    eventually("the ledger is seen to fail", || anybody.get("/readyz").1["status"] == "degraded");
    let (status, ready) = anybody.get("/readyz");
    let usage = check(&ready, "usage");
    assert_eq!((status, &usage["ok"]), (200, &json!(false)), "{ready}");
    assert!(usage["reason"].as_str().is_some_and(|reason| reason.contains("wait in memory")), "{ready}");
    assert!(metric("keystile_check_ok{check=\"usage\"} 0"));
    // Calls are answered, and their figures go on.
    assert_eq!(gateway.request("GET", "/", &[], b"").status, 200);
    assert_eq!(anybody.get("/healthz").0, 200);
    let allowed =
        format!("keystile_calls_total{{api_id=\"{}\",api=\"Echo\",code=\"allowed\",status=\"2xx\"}} 2", running.api_id);
    assert!(metric(&allowed), "{allowed} in {}", anybody.request("GET", "/metrics", &[], b"").text());
    assert!(metric("keystile_usage_events_waiting 2"));

    drop(held);
    eventually("it is well again", || anybody.get("/readyz").1["status"] == "ready");
    let (_, usage) = running.api().get("/v1/usage?group_by=code");
    assert_eq!(usage["items"][0]["calls"], 2, "{usage}");
    eventually("it is logged", || running.log().contains("a check fails: The usage ledger"));
}

/// Keeps others from locking a file for themselves, until it is dropped.
fn hold(path: PathBuf) -> File {
    let file = File::open(path).unwrap();
    eventually("nobody else has it", || fcntl_lock(&file, FlockOperation::NonBlockingLockShared).is_ok());
    file
}
