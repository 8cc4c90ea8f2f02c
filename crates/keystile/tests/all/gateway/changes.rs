//! Everything can be changed while calls go on, and none of them is lost (hot change of routes and settings).

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use keystile_testkit::Upstream;
use serde_json::json;

use super::Stage;

#[test]
fn no_call_is_lost_while_routes_and_settings_change() {
    const CALLERS: usize = 6;
    let stage = Stage::new();
    let other = Upstream::start();
    let (stop, calls) = (AtomicBool::new(false), AtomicUsize::new(0));
    let path = format!("/v1/apis/{}", stage.api_id);
    std::thread::scope(|scope| {
        for caller in 0..CALLERS {
            let (stage, stop, calls) = (&stage, &stop, &calls);
            scope.spawn(move || {
                let (line, body) = if caller % 2 == 0 { ("GET /open", "") } else { ("POST /open", "body") };
                let request = stage.request(line, &[], body.as_bytes());
                let mut client = stage.client();
                while !stop.load(Ordering::Relaxed) {
                    client.write(&request).expect("the connection stays");
                    let answer = client.answer().expect("every call is answered");
                    assert_eq!(answer.status, 200, "{}", answer.text());
                    calls.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let first = stage.upstream.address().to_string();
        let second = other.address().to_string();
        for n in 0..60_u32 {
            let change = match n % 6 {
                0 => json!({ "targets": [{ "address": first }, { "address": second, "weight": 1 + n }] }),
                1 => json!({ "upstream": other.url(), "targets": [] }),
                2 => json!({ "upstream": stage.upstream.url(), "health_check": { "interval_seconds": 1 } }),
                3 => {
                    json!({ "upstream_timeout_seconds": 10 + n, "body_limit_bytes": 1_000 + n, "breaker_failures": n })
                }
                4 => json!({ "hosts": [stage.host, format!("more-{n}.{}", stage.host)], "health_check": null }),
                _ => json!({ "cors": { "origins": ["*"] }, "key_locations": ["bearer", "header:x-key"] }),
            };
            let (status, answer) = stage.manage.patch(&path, &change);
            assert_eq!(status, 200, "{answer}");
            let neighbour = json!({ "name": "n", "upstream": other.url(), "hosts": [format!("n{n}.{}", stage.host)] });
            let made = stage.manage.create("/v1/apis", &neighbour);
            let gone = stage.manage.request("DELETE", &format!("/v1/apis/{}", made["id"].as_str().unwrap()), &[], b"");
            assert_eq!(gone.status, 204);
        }
        stop.store(true, Ordering::Relaxed);
    });
    let calls = calls.into_inner() as u64;
    assert!(calls > 100, "{calls} calls are no load");
    stage.counts_only("allowed", 200, calls);
    assert!(!other.requests().is_empty());
}
