//! Load balancers that speak the PROXY protocol: who the client is, said before its first byte (G-10).

use std::process::Command;
use std::time::Duration;

use keystile_testkit::now;
use keystile_testkit::raw::Client;
use serde_json::json;

use super::stage::{Stage, serve};

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

#[test]
fn g10_a_trusted_proxy_says_who_the_client_is_before_anything_else() {
    let served = serve("proxy_protocol = true\ntrusted_proxies = [\"127.0.0.1\"]\nhead_seconds = 1", "");
    let networks = json!({ "restrictions": { "networks": { "allow": ["203.0.113.0/24"] } } });
    let stage = Stage::on(&served.installation, json!({}), networks);
    let request = stage.request("GET /open", &[], b"");
    let of = |address: [u8; 4]| [SIGNATURE, &[0x21, 0x11, 0, 12], &address, &[10, 0, 0, 1, 0, 1, 0, 2]].concat();
    for header in [b"PROXY TCP4 203.0.113.7 10.0.0.1 1 2\r\n".to_vec(), of([203, 0, 113, 7])] {
        let mut client = Client::connect(stage.gateway);
        client.write([&*header, &*request].concat()).unwrap();
        assert_eq!(client.answer().unwrap().status, 200);
        client.write(&request).unwrap();
        assert_eq!(client.answer().unwrap().status, 200, "it is said once");
        let seen = stage.upstream.take_requests();
        assert!(seen.iter().all(|seen| seen.all("x-forwarded-for") == ["203.0.113.7"]), "{seen:?}");
        // In pieces, and of somebody else.
        let mut client = Client::connect(stage.gateway);
        let other = of([198, 51, 100, 7]);
        client
            .write_in_pieces(&[&other[..5], &other[5..20], &other[20..], &request], Duration::from_millis(30))
            .unwrap();
        let answer = client.answer().unwrap();
        stage.check_problem(&answer, 403, "network_forbidden", "another address");
    }
    // Without one, with a broken one, or only begun, there is no answer at all.
    for begun in [&request[..], b"PROXY TCP4 203.0.113.7 10.0.0.1 1 x\r\n", b"PROXY TCP4 203.0.113.7", &SIGNATURE[..7]]
    {
        let mut client = Client::connect(stage.gateway);
        client.write([begun, b""].concat()).unwrap();
        let began = now();
        assert_eq!(client.until_closed().as_deref(), Some(&b""[..]), "{begun:?}");
        assert!(began.elapsed() < Duration::from_secs(5));
    }
    stage.saw_nothing("what no proxy said");
    let curl = Command::new("curl")
        .args([
            "-s",
            "--haproxy-protocol",
            "-o",
            "/dev/null",
            "-w",
            "%{http_code}",
            "-H",
            &format!("Host: {}", stage.host),
        ])
        .args(["-H", &format!("Authorization: Bearer {}", stage.key), &format!("http://{}/open", stage.gateway)])
        .output()
        .expect("curl is installed");
    assert_eq!(String::from_utf8_lossy(&curl.stdout), "403", "curl says that it is this machine");
}

#[test]
fn g10_whoever_is_not_trusted_can_not_say_anything() {
    let served = serve("proxy_protocol = true\ntrusted_proxies = [\"10.0.0.0/8\"]\nhead_seconds = 1", "");
    let stage = Stage::on(&served.installation, json!({}), json!({}));
    let mut client = Client::connect(stage.gateway);
    let said = [b"PROXY TCP4 10.0.0.7 10.0.0.1 1 2\r\n", &*stage.request("GET /open", &[], b"")].concat();
    let _ = client.write(said);
    assert!(client.until_closed().is_some_and(|answer| answer.is_empty()));
    stage.saw_nothing("a stranger");
}
