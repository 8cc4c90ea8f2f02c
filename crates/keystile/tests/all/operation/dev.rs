//! `keystile dev`: one command, and everything runs; the same folder, and everything is there again.

use std::path::Path;
use std::time::Duration;

use keystile_testkit::raw::Client;
use keystile_testkit::{Api, Installation, Step, Upstream, eventually};
use rustix::process::Signal;
use serde_json::{Value, json};

use super::form::problem;
use super::process::{Server, end, free_ports, keystile, run, signal, until_ended};
use super::world::{BINARY, World, id};

/// How long the server may take to end (calls that run have a little less).
const END: Duration = Duration::from_secs(5);

#[test]
fn its_line_says_all_that_a_first_call_needs() {
    let world = World::start();
    let running = &world.installation;
    for (id, prefix) in [(&running.api_id, "api_"), (&running.project_id, "prj_"), (&running.key_id, "key_")] {
        assert!(id.starts_with(prefix) && id.len() == 26, "{id}");
    }
    let (management_key, key) = (running.management_key.as_deref().unwrap(), running.secret());
    assert!([management_key, key].iter().all(|key| key.starts_with("ks_live_") && key.len() == 50));
    for fields in [("authorization", format!("Bearer {key}")), ("x-api-key", key.to_owned())] {
        let request =
            format!("GET /hello HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{}: {}\r\n\r\n", fields.0, fields.1);
        let mut client = Client::connect(running.gateway);
        client.write(request).unwrap();
        let answer = client.answer().unwrap();
        assert_eq!((answer.status, &answer.json()["path"]), (200, &json!("/hello")), "{}", answer.text());
        assert!(!answer.text().contains(key), "the upstream got the key");
    }
    problem(&world.call("", "GET", "/hello"), 401, "key_missing");
    assert_eq!(world.verify(&json!({ "key": key })).json()["allowed"], true);
    let manage = world.manage();
    for (path, id) in [("apis", &running.api_id), ("projects", &running.project_id), ("keys", &running.key_id)] {
        assert_eq!(manage.get(&format!("/v1/{path}/{id}")).0, 200);
    }
}

#[test]
fn the_line_is_one_line_with_these_fields_and_no_other() {
    let mut server = Server::dev(&[]);
    assert_eq!(server.end(Signal::TERM).0, 0);
    assert_eq!(server.out().lines().count(), 1);
    let mut names: Vec<&String> = server.line.as_object().unwrap().keys().collect();
    names.sort_unstable();
    let expected = [
        "admin",
        "api_id",
        "check",
        "claim",
        "console",
        "email",
        "gateway",
        "key",
        "key_id",
        "management_key",
        "password",
        "portal",
        "project_id",
    ];
    assert_eq!(names, expected);
    let base = server.address("gateway").port();
    for (offset, name) in ["gateway", "admin", "check", "portal"].into_iter().enumerate() {
        assert_eq!(server.said(name), format!("http://127.0.0.1:{}", usize::from(base) + offset));
    }
}

#[test]
fn a_second_start_on_the_same_folder_finds_everything_and_makes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut first = World::of(Installation::start(BINARY, &["--data", data.to_str().unwrap()]), None);
    let (management_key, key) = (first.management_key().to_owned(), first.installation.secret().to_owned());
    let project = first.installation.project_id.clone();
    let (revoked_id, revoked) = first.key(&project, &json!({}));
    let (_, disabled) = {
        let made = first.key(&project, &json!({}));
        assert_eq!(first.manage().post(&format!("/v1/keys/{}/disable", made.0), &json!({})).0, 200);
        made
    };
    assert_eq!(first.manage().post(&format!("/v1/keys/{revoked_id}/revoke"), &json!({})).0, 200);
    let mut before = everything(&first.manage());
    let ids = |world: &World| {
        let running = &world.installation;
        [running.api_id.clone(), running.project_id.clone(), running.key_id.clone()]
    };
    let first_ids = ids(&first);
    for turn in 0..3 {
        let (status, took) = end(&mut first.installation);
        assert!(status.success() && took < END, "{status} after {took:?}");
        let next = Installation::start(BINARY, &["--data", data.to_str().unwrap()]);
        assert_eq!((&next.management_key, &next.key), (&None, &None), "texts are shown once");
        first = World::of(next, Some(&management_key));
        assert_eq!(ids(&first), first_ids);
        let mut after = everything(&first.manage());
        // The built-in upstream may be on another port than the last time.
        for (old, new) in before.iter().zip(&mut after).filter(|(old, _)| old.get("upstream").is_some()) {
            new["upstream"] = old["upstream"].clone();
            new["updated_at"] = old["updated_at"].clone();
        }
        // It is known to the minute, and as of the last one.
        for thing in before.iter_mut().chain(&mut after) {
            thing.as_object_mut().unwrap().remove("last_used_at");
        }
        assert_eq!(before, after, "start {turn}");
        assert_eq!(first.call(&key, "GET", "/again").status, 200);
        problem(&first.call(&revoked, "GET", "/again"), 401, "key_revoked");
        problem(&first.call(&disabled, "GET", "/again"), 401, "key_disabled");
    }
    drop(first);
    assert!(data.join("catalog.db").exists(), "a folder that was named is kept");
}

#[test]
fn a_temporary_folder_goes_with_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = keystile(&["dev", "--json", "--port-base", &free_ports().to_string()]);
    command.env("TMPDIR", folder.path());
    let mut server = Server::start(command);
    let entries = || std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(entries(), 1);
    assert_eq!(server.end(Signal::INT).0, 0);
    assert_eq!(entries(), 0);
}

#[test]
fn both_signals_end_it_in_time_with_connections_that_rest_and_calls_that_run() {
    for which in [Signal::TERM, Signal::INT] {
        let upstream = Upstream::start();
        let mut server = Server::dev(&["--upstream", &upstream.url()]);
        let head = format!("host: x\r\nauthorization: Bearer {}\r\n\r\n", server.said("key"));
        // On each listener a connection that was used and rests; one with half a head; and a call without an end.
        let mut resting = ["gateway", "admin", "check"].map(|name| Client::connect(server.address(name)));
        for client in &mut resting {
            client.write(format!("GET /healthz HTTP/1.1\r\n{head}")).unwrap();
            assert_eq!(client.answer().unwrap().status, 200);
        }
        let mut halfway = Client::connect(server.address("gateway"));
        halfway.write("GET / HTTP/1.1\r\nhost:").unwrap();
        upstream.script_once([Step::UntilClosed]);
        let mut slow = Client::connect(server.address("gateway"));
        slow.write(format!("GET /slow HTTP/1.1\r\n{head}")).unwrap();
        upstream.wait_for(2);
        let (code, took) = server.end(which);
        assert_eq!(code, 0, "{which:?}: {}", server.err());
        assert!(took < END, "{which:?}: {took:?}");
        assert!(resting.iter_mut().all(Client::is_closed), "{which:?}");
    }
}

#[test]
fn whoever_has_read_the_line_can_end_it_in_order() {
    // Ten times, because what is looked for is a moment in which nobody listens to signals yet.
    let orderly = (0..10).filter(|_| Installation::start(BINARY, &[]).terminate().0.success()).count();
    assert_eq!(orderly, 10, "the others were ended by the signal itself: nothing was written, the folder stays");
}

#[test]
fn a_call_that_can_be_finished_is_finished_before_the_end() {
    let upstream = Upstream::start();
    let mut server = Server::dev(&["--upstream", &upstream.url()]);
    upstream.script_once([Step::Gate, Step::Send(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone".to_vec())]);
    let mut client = Client::connect(server.address("gateway"));
    client
        .write(format!("GET /slow HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\r\n", server.said("key")))
        .unwrap();
    upstream.wait_for(1);
    signal(server.child.id(), Signal::TERM);
    // The listener is gone, the call is not.
    let gateway = server.address("gateway");
    eventually("nobody new is let in", || std::net::TcpStream::connect(gateway).is_err());
    upstream.open_gate();
    let answer = client.answer().unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (200, "done"));
    let (code, took) = until_ended(&mut server.child, END);
    assert_eq!(code, 0);
    assert!(took < Duration::from_secs(2), "nothing was left to wait for: {took:?}");
}

#[test]
fn a_taken_port_or_folder_is_said_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data").to_str().unwrap().to_owned();
    let running = Installation::start(BINARY, &["--data", &data]);
    let base = running.gateway.port();
    for offset in [0, 1, 2] {
        // Its first port lies so that one of ours is where a listener of it would be.
        let other = tempfile::tempdir().unwrap();
        let base = (base + 2 - offset).to_string();
        let ended = run(keystile(&["dev", "--json", "--port-base", &base, "--data"]).arg(other.path().join("data")));
        one_clear_line(&ended.err, &["can't listen on 127.0.0.1:"]);
        assert_eq!((ended.code, ended.out.as_str()), (1, ""), "{}", ended.err);
        assert!(!other.path().join("data").exists(), "a key was made that nobody has seen");
    }
    let ended = run(&mut keystile(&["dev", "--json", "--port-base", &free_ports().to_string(), "--data", &data]));
    one_clear_line(&ended.err, &[&data]);
    assert_eq!((ended.code, ended.out.as_str()), (1, ""), "{}", ended.err);
    let ended =
        run(&mut keystile(&["dev", "--json", "--port-base", &free_ports().to_string(), "--data", "/proc/nowhere"]));
    one_clear_line(&ended.err, &["/proc/nowhere"]);
    assert_eq!(ended.code, 1);
    for wrong in [["--port-base", "0"], ["--port-base", "65535"], ["--upstream", "ftp://x"], ["--surprise", "1"]] {
        assert_eq!(run(&mut keystile(&["dev", "--json", wrong[0], wrong[1]])).code, 2, "{wrong:?}");
    }
}

#[test]
fn calls_are_counted_by_the_operations_of_a_document() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pets.yaml");
    std::fs::write(
        &file,
        "openapi: 3.1.0\ninfo: {title: Pets, version: '1'}\npaths:\n  /pets:\n    get: {}\n    post: {}\n  /pets/{id}:\n    \
         get: {}\n  /pets/mine:\n    get: {}\n",
    )
    .unwrap();
    let world = World::of(Installation::start(BINARY, &["--openapi", file.to_str().unwrap()]), None);
    let key = world.installation.secret();
    let calls = [
        ("GET", "/pets", 1, "GET /pets"),
        ("POST", "/pets?x=1", 2, "POST /pets"),
        ("GET", "/pets/7", 3, "GET /pets/{id}"),
        ("GET", "/pets/%37%37", 1, "GET /pets/{id}"),
        ("GET", "/pets/mine", 2, "GET /pets/mine"),
        ("DELETE", "/pets/7", 1, "(undocumented) DELETE /pets/*"),
        ("GET", "/dogs", 1, "(undocumented) GET /dogs"),
    ];
    for (method, path, times, _) in calls {
        for _ in 0..times {
            assert_eq!(world.call(key, method, path).status, 200, "{method} {path}");
        }
    }
    let counted = world.manage().get("/v1/usage?group_by=operation").1;
    let count = |operation: &str| -> u64 {
        let rows = counted["items"].as_array().unwrap().iter();
        rows.filter(|row| row["operation"] == operation).map(|row| row["calls"].as_u64().unwrap()).sum()
    };
    for (operation, expected) in [
        ("GET /pets", 1),
        ("POST /pets", 2),
        ("GET /pets/{id}", 4),
        ("GET /pets/mine", 2),
        ("(undocumented) DELETE /pets/*", 1),
        ("(undocumented) GET /dogs", 1),
    ] {
        assert_eq!(count(operation), expected, "{operation}: {counted}");
    }
}

#[test]
fn a_document_that_is_wrong_is_said_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    for (text, expected) in [
        ("openapi: 3.1.0\ninfo: {title: a, version: '1'}\npaths:\n  /pets: [\n", "line "),
        ("{\"openapi\": \"3.1.0\",\n \"info\": 7,\n", "line "),
        ("openapi: 3.1.0\ninfo: {title: a, version: '1'}\npaths:\n  pets: {get: {}}\n", "line 4, column "),
    ] {
        let file = folder.path().join("wrong.yaml");
        std::fs::write(&file, text).unwrap();
        let file = file.to_str().unwrap();
        let ended = run(&mut keystile(&["dev", "--json", "--port-base", &free_ports().to_string(), "--openapi", file]));
        one_clear_line(&ended.err, &[file, expected, "column "]);
        assert_eq!((ended.code, ended.out.as_str()), (1, ""), "{}", ended.err);
    }
    for text in ["swagger: '2.0'\n", "a: b\n", "openapi: 2.9.0\n", ""] {
        let file = folder.path().join("other.yaml");
        std::fs::write(&file, text).unwrap();
        let ended = run(keystile(&["dev", "--json", "--port-base", &free_ports().to_string(), "--openapi"]).arg(&file));
        one_clear_line(&ended.err, &["other.yaml"]);
        assert_eq!(ended.code, 1, "{}", ended.err);
    }
    let ended =
        run(&mut keystile(&["dev", "--json", "--port-base", &free_ports().to_string(), "--openapi", "/nowhere.yaml"]));
    one_clear_line(&ended.err, &["/nowhere.yaml"]);
    assert_eq!(ended.code, 1);
}

/// Checks that something was said in one line that holds these words, and no backtrace.
#[track_caller]
pub(super) fn one_clear_line(text: &str, words: &[&str]) {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    assert_eq!(lines.len(), 1, "{text}");
    assert!(lines[0].starts_with("keystile: ") && !lines[0].contains("panicked"), "{text}");
    for word in words {
        assert!(lines[0].contains(word), "{word} in {text}");
    }
}

/// Everything that there is, in the order of the lists.
fn everything(manage: &Api) -> Vec<Value> {
    let mut all = Vec::new();
    for list in ["apis", "projects", "activations", "keys"] {
        let page = manage.get(&format!("/v1/{list}?limit=200")).1;
        assert!(page.get("next_cursor").is_none());
        let items = page["items"].as_array().unwrap();
        assert!(!items.is_empty() && items.iter().all(|item| !id(item).is_empty()));
        all.extend(items.iter().cloned());
    }
    all
}

#[test]
fn a_folder_of_its_own_is_nobody_elses() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let _running = Installation::start(BINARY, &["--data", data.to_str().unwrap()]);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    assert_eq!(mode(&data.join("root.key")), 0o400);
    for (path, _) in super::disk::contents(&data) {
        assert_eq!(mode(&path) & 0o077, 0, "{}", path.display());
    }
}

#[test]
fn it_opens_with_somebody_in_by_a_link_that_is_good_once() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let start = || {
        Server::start(keystile(&[
            "dev",
            "--json",
            "--port-base",
            &free_ports().to_string(),
            "--data",
            data.to_str().unwrap(),
        ]))
    };
    let mut server = start();
    assert_eq!(server.line["claim"], Value::Null, "nobody else can claim it");
    const JSON: [(&str, &str); 2] = [("authorization", ""), ("content-type", "application/json")];
    let enter = |server: &Server| {
        let token = server.said("console").split_once('#').unwrap().1.to_owned();
        let admin = Api::new(server.address("admin"), "none");
        admin.request("POST", "/v1/login/link", &JSON, json!({ "token": token }).to_string().as_bytes())
    };
    let entered = enter(&server);
    assert_eq!((entered.status, &entered.json()["role"]), (200, &json!("owner")), "{}", entered.text());
    assert_eq!(enter(&server).status, 401, "it is good once");
    let wish = json!({ "email": server.said("email"), "password": server.said("password") });
    let login = |server: &Server| {
        let admin = Api::new(server.address("admin"), "none");
        admin.request("POST", "/v1/login", &JSON, wish.to_string().as_bytes()).status
    };
    assert_eq!(login(&server), 200);
    assert_eq!(server.end(Signal::TERM).0, 0);
    let mut again = start();
    assert_eq!(again.line["password"], Value::Null, "it is shown once");
    assert_eq!((login(&again), enter(&again).status), (200, 200), "and is another one at each start");
    assert_eq!(again.end(Signal::TERM).0, 0);
}
