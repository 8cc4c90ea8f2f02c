//! The request log (PRODUCT.md K29, K30): single calls are found by whatever is known of them, by whoever may know, and followed as
//! they come.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::Duration;

use keystile_testkit::raw::{Client, Reading};
use keystile_testkit::{Api, Installation, eventually};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::form::problem;
use super::process::{keystile, run};
use super::schema::fits;
use super::world::{BINARY, Caller, World, id, mistyped, shared};

/// What the management API lists of this query, newest first; each as the document says.
fn listed(world: &World, api: &Api, query: &str) -> Vec<Value> {
    let (status, list) = api.get(&format!("/v1/requests?{query}"));
    assert_eq!(status, 200, "{query}: {list}");
    let (_, document) = world.manage().get("/openapi.json");
    let schema = &document["paths"]["/v1/requests"]["get"]["responses"]["200"]["content"]["application/json"]["schema"];
    fits(&document, schema, &list, "/v1/requests");
    list["items"].as_array().unwrap().clone()
}

fn ids(items: &[Value]) -> Vec<String> {
    items.iter().map(id).collect()
}

/// Calls the API with these fields; the id of the call once it is in the log.
fn call(world: &World, caller: &Caller, line: (&str, &str), fields: &[(&str, &str)]) -> String {
    let path = format!("{}{}", caller.path, line.1);
    world.logged(&Api::new(world.installation.gateway, &caller.key).request(line.0, &path, fields, b""))
}

#[test]
fn k29_a_call_is_found_by_whatever_is_known_of_it() {
    let world = shared();
    let caller = world.caller(&json!({ "restrictions": { "methods": ["GET", "POST"] } }));
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let parent = format!("00-{trace}-00f067aa0ba902b7-01");
    let found =
        call(world, &caller, ("GET", "/pets/1?colour=red"), &[("user-agent", "app/1.0"), ("traceparent", &parent)]);
    let missing = call(world, &caller, ("POST", "/pets"), &[]);
    let refused = call(world, &caller, ("DELETE", "/pets/1"), &[]);
    let question = json!({ "key": caller.key, "api": caller.api, "client": { "ip": "203.0.113.9" },
        "operation": { "method": "GET", "path": "/pets/2" } });
    assert_eq!(world.verify(&question).json()["code"], "allowed");
    let mine = format!("key_id={}", caller.id);
    let manage = world.manage();
    eventually("the question is in the log", || listed(world, &manage, &mine).len() == 4);
    let all = listed(world, &manage, &mine);
    let asked = id(&all[0]);
    assert_eq!(ids(&all), [&asked, &refused, &missing, &found].map(Clone::clone), "newest first");

    let one = &all[3];
    let path = format!("{}/pets/1", caller.path);
    for (field, value) in [
        ("door", json!("gateway")),
        ("method", json!("GET")),
        ("path", json!(path)),
        ("address", json!("127.0.0.1")),
        ("user_agent", json!("app/1.0")),
        ("api_id", json!(caller.api)),
        ("project_id", json!(caller.project)),
        ("key_id", json!(caller.id)),
        ("code", json!("allowed")),
        ("status", json!(200)),
        ("shadow", json!([])),
        ("bytes_in", json!(0)),
        ("trace_id", json!(trace)),
    ] {
        assert_eq!(one[field], value, "{field}: {one}");
    }
    let micros = |field: &str| one[field].as_u64().unwrap_or(0);
    assert!(micros("upstream_us") > 0 && micros("latency_us") >= micros("upstream_us"), "{one}");
    assert!(micros("bytes_out") > 0 && one["operation"].is_string() && one["host"].is_string(), "{one}");
    assert_eq!((&all[0]["door"], &all[0]["path"]), (&json!("verification"), &json!("/pets/2")), "what was asked about");
    assert_eq!((&all[0]["address"], &all[1]["code"]), (&json!("203.0.113.9"), &json!("operation_forbidden")));
    assert_eq!(manage.get(&format!("/v1/requests/{found}")), (200, one.clone()));

    let began = one["at"].as_str().unwrap();
    let operation = one["operation"].as_str().unwrap().replace(' ', "%20").replace('{', "%7B").replace('}', "%7D");
    let same_operation = listed(world, &manage, &format!("{mine}&operation={operation}"));
    assert!(ids(&same_operation).contains(&found) && same_operation.len() < 4, "{same_operation:?}");
    for (query, wanted) in [
        ("code=operation_forbidden".to_owned(), vec![&refused]),
        ("status=403".to_owned(), vec![&refused]),
        ("status=4xx".to_owned(), vec![&refused]),
        ("status=5xx".to_owned(), vec![]),
        ("method=POST".to_owned(), vec![&missing]),
        ("path=/pets".to_owned(), vec![&asked]),
        (format!("path={path}"), vec![&refused, &found]),
        (format!("path={path}/"), vec![]),
        ("operation=GET%20/nowhere".to_owned(), vec![]),
        ("address=203.0.113.9".to_owned(), vec![&asked]),
        ("address=203.0.113.0/24".to_owned(), vec![&asked]),
        ("address=127.0.0.0/8".to_owned(), vec![&refused, &missing, &found]),
        ("door=verification".to_owned(), vec![&asked]),
        (format!("request_id={missing}"), vec![&missing]),
        (format!("request_id={missing}&status=403"), vec![]),
        (format!("api_id={}&method=GET", caller.api), vec![&asked, &found]),
        (format!("project_id={}&status=403", caller.project), vec![&refused]),
        (format!("until={began}"), vec![]),
        (format!("from={began}"), vec![&asked, &refused, &missing, &found]),
        ("from=2020-01-01T00:00:00Z&until=2021-01-01T00:00:00Z".to_owned(), vec![]),
    ] {
        let items = listed(world, &manage, &format!("{mine}&{query}"));
        assert_eq!(ids(&items).iter().collect::<Vec<_>>(), wanted, "{query}");
    }
    assert_eq!(listed(world, &manage, &format!("api_id={}", caller.api)).len(), 4);
    assert_eq!(listed(world, &manage, &format!("project_id={}", caller.project)).len(), 4);

    // A page follows the other.
    let (_, first) = manage.get(&format!("/v1/requests?{mine}&limit=3"));
    let cursor = first["next_cursor"].as_str().unwrap();
    let (_, rest) = manage.get(&format!("/v1/requests?{mine}&limit=3&cursor={cursor}"));
    assert_eq!(ids(rest["items"].as_array().unwrap()), [found]);
    assert!(rest.get("next_cursor").is_none(), "{rest}");
    for (query, because) in [
        ("limit=0", "limit is 1 to 200"),
        ("cursor=x", "no next_cursor"),
        ("status=44", "a class such as 4xx"),
        ("method=get", "a method here is"),
        ("path=pets", "it starts with /"),
        ("path=/%00", "NUL"),
        ("address=here", "an IP address, or a network"),
        ("door=back", "gateway or verification"),
        ("since=1h", "unknown field `since`"),
        ("from=2027-01-02T00:00:00Z&until=2027-01-01T00:00:00Z", "from is not before until"),
    ] {
        let refused = manage.request("GET", &format!("/v1/requests?{query}"), &[], b"");
        assert!(problem(&refused, 400, "invalid").contains(because), "{}", refused.text());
    }
}

#[test]
fn k29_e02_refused_and_unknown_keys_are_there_and_no_secret_is() {
    let world = shared();
    let caller = world.caller(&json!({}));
    let manage = world.manage();
    let wrong = mistyped(&caller.key);
    let unknown = world.logged(&world.call(&wrong, "GET", &format!("{}/a", caller.path)));
    let in_path = call(
        world,
        &caller,
        ("GET", &format!("/a/{}?key={}", caller.key, caller.key)),
        &[("user-agent", &format!("app/1 {}", caller.key))],
    );
    let elsewhere = world.logged(&world.call(&caller.key, "GET", "/no-such-api/x"));
    let without =
        Api::new(world.installation.gateway, "").request("GET", &caller.path, &[("authorization", "none")], b"");
    let without = world.logged(&without);
    let show = |id: &str| manage.get(&format!("/v1/requests/{id}")).1;
    let one = show(&unknown);
    assert_eq!(
        (&one["status"], &one["key_id"], &one["api_id"]),
        (&json!(401), &Value::Null, &json!(caller.api)),
        "{one}"
    );
    assert_eq!(show(&elsewhere)["code"], "not_activated");
    assert_eq!(show(&without)["status"], 401);
    assert_eq!(show(&in_path)["path"], json!(format!("{}/a/(key)", caller.path)));
    let all = manage.request("GET", "/v1/requests?limit=200", &[], b"").text();
    for secret in [&caller.key, &wrong] {
        assert!(!all.contains(secret.as_str()), "{secret}");
        let start = secret.rsplit('_').next().unwrap();
        assert!(!all.contains(&start[..20]), "{start}");
    }
}

#[test]
fn k43_addresses_are_kept_as_the_api_says() {
    let world = shared();
    let caller = world.caller(&json!({}));
    let manage = world.manage();
    let ask = |rule: &str| {
        assert_eq!(manage.patch(&format!("/v1/apis/{}", caller.api), &json!({ "client_addresses": rule })).0, 200);
        world.verify(&json!({ "key": caller.key, "api": caller.api, "client": { "ip": "198.51.100.77" } }));
        call(world, &caller, ("GET", "/"), &[])
    };
    let address = |id: &str| manage.get(&format!("/v1/requests/{id}")).1["address"].clone();
    let (whole, truncated, none) = (ask("whole"), ask("truncated"), ask("none"));
    assert_eq!(address(&whole), json!("127.0.0.1"));
    assert_eq!((address(&truncated), address(&none)), (json!("127.0.0.0"), Value::Null));
    let asked = |address: &str| {
        listed(world, &manage, &format!("key_id={}&door=verification&address={address}", caller.id)).len()
    };
    eventually("all questions are in the log", || {
        listed(world, &manage, &format!("key_id={}&door=verification", caller.id)).len() == 3
    });
    assert_eq!((asked("198.51.100.77"), asked("198.51.100.0/24"), asked("0.0.0.0/0")), (1, 2, 2));
}

#[test]
fn z05_another_organization_sees_its_own_calls_and_of_those_at_others_only_its_own_side() {
    let world = shared();
    let (organization, consumer) = world.tenant("consumer");
    let (_, publisher) = world.tenant("owner");
    let (theirs, stranger) = (world.as_person(&consumer), world.as_person(&publisher));
    let (api, path) = world.api();
    let shadow = json!({ "methods": ["POST"], "shadow": ["methods"] });
    let project = id(&theirs.create("/v1/projects", &json!({ "name": "own" })));
    let link = theirs.create("/v1/activations", &json!({ "project_id": project, "api_id": api }));
    assert_eq!(world.manage().post(&format!("/v1/activations/{}/approve", id(&link)), &json!({})).0, 200);
    let wish = json!({ "project_id": project, "name": "k", "restrictions": shadow });
    let made = theirs.create("/v1/keys", &wish);
    let (key, text) = (id(&made), made["key"].as_str().unwrap().to_owned());
    let answer = world.call(&text, "GET", &format!("{path}/pets"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let call = world.logged(&answer);

    let own = world.manage().get(&format!("/v1/requests/{call}")).1;
    assert!(own["upstream_us"].is_u64() && own["shadow"] == json!(["methods"]), "{own}");
    assert_eq!((&own["key_id"], &own["project_id"]), (&json!(key), &json!(project)));
    // Whoever calls sees the call, and not what the owner of the API alone knows.
    let (status, seen) = theirs.get(&format!("/v1/requests/{call}"));
    assert_eq!((status, &seen["upstream_us"], &seen["shadow"]), (200, &Value::Null, &json!([])), "{seen}");
    for query in [format!("project_id={project}"), format!("key_id={key}"), format!("request_id={call}")] {
        assert_eq!(listed(world, &theirs, &query), std::slice::from_ref(&seen), "{query}");
    }
    // It is counted for the owner of the API, so it is no call at an API of theirs.
    assert_eq!(listed(world, &theirs, "limit=200"), [Value::Null; 0]);
    // Nobody else sees anything.
    assert_eq!(stranger.get(&format!("/v1/requests/{call}")).0, 404);
    assert_eq!(listed(world, &stranger, "limit=200"), [Value::Null; 0]);
    assert_eq!(listed(world, &stranger, &format!("request_id={call}")), [Value::Null; 0]);
    for query in [format!("project_id={project}"), format!("key_id={key}"), format!("api_id={api}")] {
        for route in ["/v1/requests", "/v1/requests/live"] {
            let refused = stranger.request("GET", &format!("{route}?{query}"), &[], b"");
            problem(&refused, 404, "not_found");
        }
    }
    // Nor does the consumer see what others called there, though its owner sees both.
    let other = world.caller(&json!({}));
    let others = world.logged(&world.call(&other.key, "GET", &other.path));
    assert_eq!(theirs.get(&format!("/v1/requests/{others}")).0, 404);
    assert_eq!(theirs.get(&format!("/v1/requests?api_id={api}")).0, 404, "the API is not its own");
    assert!(!organization.is_empty());
}

/// Somebody who follows the log.
struct Follower {
    client: Client,
    reading: Reading,
    text: String,
}

/// What a stream said.
#[derive(Debug, Default)]
struct Event {
    id: String,
    data: Option<Value>,
}

impl Follower {
    fn of(world: &World, key: &str, query: &str, last: Option<&str>) -> Self {
        let mut client = Client::connect(world.installation.admin);
        let last = last.map(|last| format!("last-event-id: {last}\r\n")).unwrap_or_default();
        let head =
            format!("GET /v1/requests/live?{query} HTTP/1.1\r\nhost: h\r\nauthorization: Bearer {key}\r\n{last}\r\n");
        client.write(head).unwrap();
        let (answer, reading) = client.head().unwrap();
        assert_eq!((answer.status, answer.field("content-type")), (200, Some("text/event-stream")), "{answer:?}");
        assert_eq!(answer.field("cache-control"), Some("no-store"));
        Self { client, reading, text: String::new() }
    }

    /// What is said next; `None` if the stream has ended.
    fn next(&mut self) -> Option<Event> {
        while !self.text.contains("\n\n") {
            let piece = self.client.piece(&mut self.reading).ok()??;
            self.text.push_str(std::str::from_utf8(&piece).unwrap());
        }
        let (block, rest) = self.text.split_once("\n\n").unwrap();
        let mut event = Event::default();
        for line in block.lines() {
            match line.split_once(": ") {
                Some(("id", text)) => event.id = text.to_owned(),
                Some(("data", text)) => event.data = Some(serde_json::from_str(text).unwrap()),
                Some(("event", text)) => assert_eq!(text, "request"),
                _ => assert!(line.starts_with("retry: ") || line.starts_with(':'), "{line}"),
            }
        }
        self.text = rest.to_owned();
        Some(event)
    }

    /// The next call, and the id of its event.
    fn call(&mut self) -> (String, Value) {
        loop {
            let event = self.next().expect("the stream goes on");
            if let Some(data) = event.data {
                return (event.id, data);
            }
        }
    }
}

#[test]
fn k30_a_call_is_told_within_a_second_and_whoever_comes_back_has_missed_none() {
    let world = shared();
    let caller = world.caller(&json!({ "restrictions": { "methods": ["GET"] } }));
    let query = format!("key_id={}&status=4xx", caller.id);
    let mut all = Follower::of(world, world.management_key(), &format!("key_id={}", caller.id), None);
    let mut refused = Follower::of(world, world.management_key(), &query, None);
    let beginning = all.next().unwrap();
    assert!(beginning.data.is_none() && !beginning.id.is_empty(), "{beginning:?}");
    let path = caller.path.clone();
    let id_of = |method: &str| world.call(&caller.key, method, &path).field("x-request-id").unwrap().to_owned();
    let first = id_of("GET");
    all.client.limit(Duration::from_millis(1_500));
    let (place, told) = all.call();
    assert_eq!((id(&told), &told["code"]), (first.clone(), &json!("allowed")));
    assert_eq!(world.manage().get(&format!("/v1/requests/{first}")).1, told, "the same as there");
    let (second, third) = (id_of("DELETE"), id_of("GET"));
    assert_eq!(id(&refused.call().1), second, "what is not asked for is not told");
    let mut told = [id(&all.call().1), id(&all.call().1)];
    told.sort();
    let mut wanted = [second.clone(), third.clone()];
    wanted.sort();
    assert_eq!(told, wanted);

    // Whoever comes back has missed none, and gets none twice.
    drop((all, refused));
    let fourth = id_of("GET");
    world.logged(&world.call(&caller.key, "GET", &path));
    for (last, missed) in [(&beginning.id, 5), (&place, 4)] {
        let mut again = Follower::of(world, world.management_key(), &format!("key_id={}", caller.id), Some(last));
        let told: Vec<String> = (0..missed).map(|_| id(&again.call().1)).collect();
        assert_eq!(told.contains(&first), missed == 5);
        for id in [&second, &third, &fourth] {
            assert_eq!(told.iter().filter(|told| *told == id).count(), 1, "{told:?}");
        }
    }
    let strange = world.manage().request("GET", "/v1/requests/live", &[("last-event-id", "x")], b"");
    assert!(problem(&strange, 400, "invalid").contains("no event of this stream"));
    let beyond = world.manage().request("GET", "/v1/requests/live?limit=5", &[], b"");
    assert!(problem(&beyond, 400, "invalid").contains("unknown field `limit`"));
}

#[test]
fn z01_a_stream_ends_with_the_right_to_it_and_there_are_so_many() {
    let world = shared();
    let key = json!({ "kind": "management", "permissions": ["requests.read"] });
    let (key_id, key) = world.key(&world.installation.project_id, &key);
    let mut follower = Follower::of(world, &key, "code=allowed", None);
    assert!(follower.next().is_some());
    assert_eq!(world.manage().post(&format!("/v1/keys/{key_id}/revoke"), &json!({})).0, 200);
    follower.client.limit(Duration::from_secs(40));
    while follower.next().is_some() {}

    let (_, person) = world.tenant("owner");
    let mut open = Vec::new();
    let refused = loop {
        assert!(open.len() < 50, "so many of one organization");
        let answer = world.as_person(&person).request("GET", "/v1/requests/live", &[("last-event-id", "0")], b"");
        if answer.status != 200 {
            break answer;
        }
        open.push(Follower::of(world, &person.token, "", None));
    };
    assert!(problem(&refused, 503, "overloaded").contains("no place for one more"), "{}", refused.text());
    assert_eq!(Follower::of(world, world.management_key(), "", None).next().map(|event| event.data), Some(None));
    open.clear();
    eventually("places are free again", || {
        world.as_person(&person).request("GET", "/v1/requests/live", &[], b"").status == 200
    });
}

/// A server with these settings of the request log.
fn served(folder: &std::path::Path, settings: &str) -> World {
    let text = format!(
        "data = {:?}\n[gateway]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n[check]\nlisten = \"127.0.0.1:0\"\n\
         [keys]\nround_seconds = 1\n{settings}",
        folder.join("data").display().to_string()
    );
    World::bare(Installation::serve(BINARY, &text, folder))
}

fn metric(world: &World, name: &str) -> u64 {
    let text = world.manage().request("GET", "/metrics", &[], b"").text();
    let line =
        text.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap_or_else(|| panic!("{name}: {text}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[test]
fn k29_a_flood_does_not_hide_who_was_refused_and_every_call_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let world = served(folder.path(), "[request_log]\nper_second = 1\n");
    let project = world.project();
    let (key_id, key) = world.key(&project, &json!({}));
    let (gone_id, gone) = world.key(&project, &json!({}));
    assert_eq!(world.manage().post(&format!("/v1/keys/{gone_id}/revoke"), &json!({})).0, 200);
    for _ in 0..30 {
        world.verify(&json!({ "key": key }));
    }
    assert_eq!(world.verify(&json!({ "key": gone })).json()["code"], "key_revoked");
    let manage = world.manage();
    eventually("the refused one is in the log", || listed(&world, &manage, &format!("key_id={gone_id}")).len() == 1);
    let written = listed(&world, &manage, &format!("key_id={key_id}")).len();
    assert!((1..10).contains(&written), "{written}");
    let skipped = metric(&world, "keystile_request_log_skipped_total");
    assert_eq!((skipped, metric(&world, "keystile_request_log_rows_total")), (30 - written as u64, written as u64 + 1));
    let usage = manage.get(&format!("/v1/usage?project_id={project}")).1;
    assert_eq!(usage["items"][0]["calls"], 31, "{usage}");
}

#[test]
fn k29_what_is_too_much_is_forgotten_and_what_is_off_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let settings = "[request_log]\nper_second = 100000\n[retention]\nrequest_megabytes = 1\n";
    let world = served(folder.path(), settings);
    let path = format!("/{}", "x".repeat(2_000));
    let first = world.logged(&world.call("none", "GET", &path));
    for _ in 0..900 {
        world.call("none", "GET", &path);
    }
    let last = world.logged(&world.call("none", "GET", &path));
    let manage = world.manage();
    eventually("the oldest are forgotten", || manage.get(&format!("/v1/requests/{first}")).0 == 404);
    assert_eq!(manage.get(&format!("/v1/requests/{last}")).0, 200, "the newest are not");
    let key = world.management_key().to_owned();
    drop(world);

    let off = served_again(folder.path(), &key);
    off.call("none", "GET", "/y");
    assert_eq!(off.manage().get(&format!("/v1/requests/{last}")).0, 200, "what is there is still found");
    std::thread::sleep(Duration::from_millis(1_200));
    assert_eq!(listed(&off, &off.manage(), "path=/y"), [Value::Null; 0]);
    let refused = run(keystile(&["config", "check"]).env("KEYSTILE_REQUEST_LOG_PER_SECOND", "0"));
    assert!(refused.code != 0 && refused.err.contains("a whole number from 1 to"), "{refused:?}");
}

fn served_again(folder: &std::path::Path, key: &str) -> World {
    let text = format!(
        "data = {:?}\n[gateway]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n[check]\nlisten = \"127.0.0.1:0\"\n\
         [request_log]\nenabled = false\n",
        folder.join("data").display().to_string()
    );
    World::without_upstream(Installation::serve(BINARY, &text, folder), key)
}

#[test]
fn k29_the_command_line_finds_shows_and_follows_calls() {
    let world = shared();
    let caller = world.caller(&json!({ "restrictions": { "methods": ["GET"] } }));
    let shell = |args: &[&str]| {
        let mut command = keystile(args);
        command.env("KEYSTILE_URL", world.admin_url()).env("KEYSTILE_MANAGEMENT_KEY", world.management_key());
        command
    };
    let out = |args: &[&str]| {
        let ended = run(&mut shell(args));
        assert_eq!(ended.code, 0, "{args:?}: {}", ended.err);
        ended.out
    };
    let mut tail = shell(&["logs", "tail", "--key", &caller.id, "--limit", "2"]);
    let mut tail = tail.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut json_tail = shell(&["logs", "tail", "--json", "--key", &caller.id]);
    let mut json_tail = json_tail.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    eventually("both follow", || metric(world, "keystile_request_log_streams") >= 2);
    let found = call(world, &caller, ("GET", "/pets/1"), &[]);
    let refused = call(world, &caller, ("PUT", "/pets/1"), &[]);
    let mut told = String::new();
    tail.stdout.take().unwrap().read_to_string(&mut told).unwrap();
    assert!(tail.wait().unwrap().success(), "it ends after so many");
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines.len(), 2, "{told}");
    for part in ["allowed", "200", "GET", &format!("{}/pets/1", caller.path), &caller.id, " ms"] {
        assert!(lines[0].contains(part), "{part}: {told}");
    }
    let mut reader = BufReader::new(json_tail.stdout.take().unwrap());
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    assert_eq!(id(&serde_json::from_str(&line).unwrap()), found);
    let pid = Pid::from_child(&json_tail);
    kill_process(pid, Signal::INT).unwrap();
    assert_eq!(json_tail.wait().unwrap().signal(), Some(Signal::INT.as_raw()), "a shell says 130");

    let key = caller.id.as_str();
    assert_eq!(out(&["logs", "query", "--key", key, "-q"]), format!("{refused}\n{found}\n"));
    let table = out(&["logs", "query", "--key", key, "--since", "1h", "--status", "4xx"]);
    assert!(table.contains("operation_forbidden") && table.contains("PUT") && !table.contains(&found), "{table}");
    let csv = out(&["logs", "query", "--key", key, "--csv"]);
    assert!(csv.starts_with("id,at,door,method,") && csv.lines().count() == 3, "{csv}");
    let shown: Value = serde_json::from_str(&out(&["logs", "show", &found, "--json"])).unwrap();
    assert_eq!(shown, world.manage().get(&format!("/v1/requests/{found}")).1);
    for (args, code) in [
        (&["logs", "show", "req_0000000000000000000000"][..], 5),
        (&["logs", "query", "--status", "44"], 2),
        (&["logs", "query", "--method", "get"], 2),
        (&["logs", "query", "--json", "--csv"], 2),
        (&["logs", "tail", "--address", "here"], 2),
    ] {
        let ended = run(&mut shell(args));
        assert_eq!(ended.code, code, "{args:?}: {}", ended.err);
    }
}
