//! No more calls at once than the owner of an API allows: further ones are refused at once, and cost nobody anything.

use serde_json::json;

use keystile_testkit::Step;

use super::Stage;

#[test]
fn r09_calls_above_what_an_api_bears_are_refused_at_once_and_places_are_given_back() {
    let limit = json!({ "rate_limits": [{ "name": "few", "limit": 5, "window_seconds": 3_600 }] });
    let stage = Stage::with(json!({ "max_concurrent_calls": 2 }), limit);
    let reply = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone".to_vec();
    stage.upstream.script([Step::ReadBody, Step::Gate, Step::Send(reply)]);
    let ask = || {
        let mut client = stage.client();
        client.write(stage.request("GET /open", &[], b"")).unwrap();
        client
    };
    let (mut first, mut second) = (ask(), ask());
    stage.upstream.wait_for(2);
    for _ in 0..20 {
        let answer = stage.call("GET /open", &[], b"");
        stage.check_problem(&answer, 503, "overloaded", "a third call");
        assert_eq!(answer.all("retry-after"), ["1"]);
    }
    assert_eq!(stage.upstream.take_requests().len(), 2);
    // A change of the API forgets nobody who is in.
    let path = format!("/v1/apis/{}", stage.api_id);
    assert_eq!(stage.manage.patch(&path, &json!({ "max_concurrent_calls": 3 })).0, 200);
    let third = ask();
    stage.upstream.wait_for(1);
    assert_eq!(stage.call("GET /open", &[], b"").status, 503);
    // Whoever leaves frees a place too.
    drop(third);
    keystile_testkit::eventually("its call is counted", || stage.counted("client_gone", 499) == 1);
    (0..3).for_each(|_| stage.upstream.open_gate());
    for client in [&mut first, &mut second] {
        assert_eq!(client.answer().unwrap().status, 200);
    }
    stage.upstream.answer_with("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    // Two and one that left were charged, none that was refused: two of five are left.
    for status in [200, 200, 429] {
        assert_eq!(stage.call("GET /open", &[], b"").status, status);
    }
    assert_eq!(
        stage.manage.patch(&path, &json!({ "max_concurrent_calls": null })).1["max_concurrent_calls"],
        json!(null)
    );
    for wrong in [json!(0), json!(-1), json!(1_000_001), json!("x")] {
        assert_eq!(stage.manage.patch(&path, &json!({ "max_concurrent_calls": wrong })).0, 400, "{wrong}");
    }
}
