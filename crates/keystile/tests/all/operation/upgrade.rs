//! One process takes the place of another: under load no call is refused or cut, every call is counted once, what
//! is revoked is refused wherever the client is connected, and a successor that fails changes nothing.

use std::net::SocketAddr;
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use keystile_testkit::raw::{Answer, Client};
use keystile_testkit::{Api, PATIENCE, Postgres, Step, Upstream, eventually, now};
use rustix::process::Signal;
use serde_json::{Value, json};

use super::holder::Holder;
use super::process::{Server, keystile, run, settings, signal, until_ended};
use super::world::id;

/// How often the process is replaced under load; `KEYSTILE_TEST_UPGRADES` says another number.
const UPGRADES: u64 = 5;
/// How long the load goes on between two of them.
const BETWEEN: Duration = Duration::from_millis(300);
/// How long a probe waits for an answer before it takes a server for dead.
const PROBE: Duration = Duration::from_secs(1);

/// An installation of `keystile serve` with an API, and a key to it.
struct Place {
    folder: tempfile::TempDir,
    file: String,
    variables: Vec<(&'static str, String)>,
    running: Server,
    owner: String,
    upstream: Upstream,
    project: String,
    key: (String, String),
    gateway: SocketAddr,
    admin: SocketAddr,
    check: SocketAddr,
}

impl Place {
    fn new() -> Self {
        Self::started(&[])
    }

    /// With these variables, which successors have too.
    fn started(variables: &[(&'static str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = settings(folder.path(), "");
        let variables = variables.iter().map(|(name, value)| (*name, (*value).to_owned())).collect::<Vec<_>>();
        let mut command = keystile(&["serve", "--json", "--config", &file]);
        command.envs(variables.clone());
        let running = Server::start(command);
        let (owner, upstream) = (running.said("management_key").to_owned(), Upstream::start());
        let manage = running.manage();
        let api = id(&manage.create("/v1/apis", &json!({ "name": "api", "upstream": upstream.url() })));
        let project = id(&manage.create("/v1/projects", &json!({ "name": "project" })));
        manage.create("/v1/activations", &json!({ "project_id": project, "api_id": api }));
        let key = new_key(&manage, &project).expect("a first key");
        let [gateway, admin, check] = ["gateway", "admin", "check"].map(|name| running.address(name));
        Self { folder, file, variables, running, owner, upstream, project, key, gateway, admin, check }
    }

    fn successor(&self) -> std::process::Command {
        let mut command = keystile(&["serve", "--json", "--config", &self.file, "--take-over"]);
        command.envs(self.variables.clone());
        command
    }

    /// Lets a new process take over; gives the old one.
    fn upgrade(&mut self) -> Server {
        let new = Server::start(self.successor());
        for (name, is) in [("gateway", self.gateway), ("admin", self.admin), ("check", self.check)] {
            assert_eq!(new.address(name), is, "the same {name}");
        }
        std::mem::replace(&mut self.running, new)
    }

    fn manage(&self) -> Api {
        Api::new(self.admin, &self.owner)
    }

    fn call(&self, key: &str) -> Answer {
        Api::new(self.gateway, key).request("GET", "/", &[], b"")
    }

    fn counted(&self) -> u64 {
        let (status, usage) = self.manage().get(&format!("/v1/usage?key_id={}", self.key.0));
        assert_eq!(status, 200, "{usage}");
        usage["items"][0]["calls"].as_u64().unwrap_or(0)
    }
}

/// A new key, by id and text; `None` if it can't be made just now.
fn new_key(manage: &Api, project: &str) -> Option<(String, String)> {
    let (status, made) = manage.post("/v1/keys", &json!({ "project_id": project, "name": "key" }));
    match status {
        201 => Some((id(&made), made["key"].as_str().unwrap().to_owned())),
        503 => None,
        _ => panic!("{status}: {made}"),
    }
}

/// A connection that is kept as long as the server keeps it.
struct Kept {
    address: SocketAddr,
    client: Option<Client>,
}

impl Kept {
    fn to(address: SocketAddr) -> Self {
        Self { address, client: None }
    }

    fn ask(&mut self, method: &str, path: &str, key: &str, body: &str) -> Answer {
        let mut client = self.client.take().unwrap_or_else(|| Client::connect(self.address));
        let head = format!("{method} {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n");
        let body = format!("content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        client.write(head + &body).expect("a call that is lost");
        let answer = client.answer().expect("a call that is lost");
        if answer.field("connection") != Some("close") {
            self.client = Some(client);
        }
        answer
    }
}

#[test]
fn r12_under_load_no_call_is_lost_and_every_one_is_counted_once_while_processes_replace_each_other() {
    let upgrades = std::env::var("KEYSTILE_TEST_UPGRADES").ok().and_then(|text| text.parse().ok()).unwrap_or(UPGRADES);
    let mut place = Place::new();
    place.upstream.answer_with("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    let (stop, answered) = (AtomicBool::new(false), AtomicU64::new(0));
    let (revoked, put_off) = (AtomicU64::new(0), AtomicU64::new(0));
    let (gateway, check, admin) = (place.gateway, place.check, place.admin);
    let (key, owner, project) = (place.key.1.clone(), place.owner.clone(), place.project.clone());
    let mut pauses = Vec::new();
    let mut ended = Vec::new();
    std::thread::scope(|scope| {
        let until_stopped = |mut once: Box<dyn FnMut() + Send>| {
            let stop = &stop;
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    once();
                }
            })
        };
        let (answered, revoked, put_off, key) = (&answered, &revoked, &put_off, &key);
        let mut loads = Vec::new();
        for _ in 0..4 {
            let mut kept = Kept::to(gateway);
            loads.push(until_stopped(Box::new(move || {
                assert_eq!(kept.ask("GET", "/", key, "").status, 200);
                answered.fetch_add(1, Ordering::Relaxed);
            })));
        }
        for _ in 0..2 {
            loads.push(until_stopped(Box::new(move || {
                assert_eq!(Api::new(gateway, key).request("GET", "/", &[], b"").status, 200);
                answered.fetch_add(1, Ordering::Relaxed);
            })));
        }
        let mut asking = Kept::to(check);
        let question = json!({ "key": key }).to_string();
        loads.push(until_stopped(Box::new(move || {
            let answer = asking.ask("POST", "/v1/verify", "none", &question);
            assert_eq!((answer.status, &answer.json()["code"]), (200, &json!("allowed")));
            answered.fetch_add(1, Ordering::Relaxed);
        })));
        // What was answered to be revoked is refused, on whichever connection and by whichever process.
        let (manage, mut kept) = (Api::new(admin, &owner), Kept::to(gateway));
        loads.push(until_stopped(Box::new(move || {
            let Some((id, key)) = new_key(&manage, &project) else {
                put_off.fetch_add(1, Ordering::Relaxed);
                return;
            };
            assert_eq!(kept.ask("GET", "/", &key, "").status, 200, "a key that was just made");
            match manage.post(&format!("/v1/keys/{id}/revoke"), &json!({})) {
                (200, _) => {}
                (503, _) => return,
                (status, told) => panic!("{status}: {told}"),
            }
            let answer = kept.ask("GET", "/", &key, "");
            assert_eq!((answer.status, answer.code().as_str()), (401, "key_revoked"));
            revoked.fetch_add(1, Ordering::Relaxed);
        })));
        for _ in 0..upgrades {
            std::thread::sleep(BETWEEN);
            let began = now();
            ended.push(place.upgrade());
            pauses.push(began.elapsed());
        }
        std::thread::sleep(BETWEEN);
        stop.store(true, Ordering::Relaxed);
        for load in loads {
            load.join().expect("a call was lost; see above");
        }
    });
    // Whoever has nobody left ends by itself; whoever waits for an idle client is told to.
    for mut old in ended {
        signal(old.child.id(), Signal::TERM);
        assert_eq!(until_ended(&mut old.child, PATIENCE).0, 0, "{}", old.err());
    }
    let answered = answered.into_inner();
    assert_eq!(place.counted(), answered, "every call is counted once");
    pauses.sort_unstable();
    println!(
        "{upgrades} upgrades: {answered} calls, 0 lost, all counted; {} keys revoked and refused, {} changes put off; an \
         upgrade takes {:?} (median), {:?} (longest)",
        revoked.into_inner(),
        put_off.into_inner(),
        pauses[pauses.len() / 2],
        pauses[pauses.len() - 1],
    );
    assert!(answered > 100);
}

#[test]
fn r12_what_the_new_process_revokes_is_refused_on_connections_that_the_old_one_has() {
    let mut place = Place::new();
    let mut kept: Vec<Kept> = (0..3).map(|_| Kept::to(place.gateway)).collect();
    for kept in &mut kept {
        assert_eq!(kept.ask("GET", "/", &place.key.1, "").status, 200);
    }
    let mut old = place.upgrade();
    let (_, made_later) = new_key(&place.manage(), &place.project).unwrap();
    let first = kept[0].ask("GET", "/", &made_later, "");
    assert_eq!((first.status, first.field("connection")), (200, Some("close")), "the old one knows what is new");
    let revoke = format!("/v1/keys/{}/revoke", place.key.0);
    assert_eq!(place.manage().post(&revoke, &json!({})).0, 200);
    for kept in &mut kept[1..] {
        let answer = kept.ask("GET", "/", &place.key.1, "");
        assert_eq!((answer.status, answer.code().as_str()), (401, "key_revoked"));
        assert_eq!(answer.field("connection"), Some("close"));
    }
    // Nobody is left: the old one ends of its own accord.
    assert_eq!(until_ended(&mut old.child, PATIENCE).0, 0, "{}", old.err());
    assert_eq!(place.call(&place.key.1).code(), "key_revoked");
    assert_eq!(place.call(&made_later).status, 200);
}

#[test]
fn r12_a_call_that_is_being_answered_is_answered_to_its_end_and_counted() {
    let mut place = Place::new();
    let reply = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nlate".to_vec();
    place.upstream.script_once([Step::ReadBody, Step::Gate, Step::Send(reply)]);
    let mut client = Client::connect(place.gateway);
    client.write(format!("GET / HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\r\n", place.key.1)).unwrap();
    place.upstream.wait_for(1);
    let mut old = place.upgrade();
    for _ in 0..5 {
        assert_eq!(place.call(&place.key.1).status, 200);
    }
    place.upstream.open_gate();
    let answer = client.answer().unwrap();
    assert_eq!((answer.status, answer.text().as_str(), answer.field("connection")), (200, "late", Some("close")));
    assert_eq!(until_ended(&mut old.child, PATIENCE).0, 0, "{}", old.err());
    assert_eq!(place.counted(), 6);
}

#[test]
fn r12_clients_with_http2_are_told_to_go_and_every_stream_that_was_taken_in_is_answered() {
    let mut place = Place::started(&[("KEYSTILE_GATEWAY_H2C", "true")]);
    let (gateway, key, stop) = (place.gateway, place.key.1.clone(), AtomicBool::new(false));
    let answered = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..3).map(|_| scope.spawn(|| call_over_http2(gateway, &key, &stop))).collect();
        for _ in 0..4 {
            std::thread::sleep(BETWEEN);
            let mut old = place.upgrade();
            assert_eq!(until_ended(&mut old.child, PATIENCE).0, 0, "{}", old.err());
        }
        stop.store(true, Ordering::Relaxed);
        clients.into_iter().map(|client| client.join().expect("a stream was lost; see above")).sum::<u64>()
    });
    assert_eq!(place.counted(), answered, "every call is counted once");
    assert!(answered > 100);
}

/// Calls on connections with several streams each, one connection after another as they are told to go. What the server
/// says that it did not take in is called anew, as clients do.
#[tokio::main(flavor = "current_thread")]
async fn call_over_http2(gateway: SocketAddr, key: &str, stop: &AtomicBool) -> u64 {
    let mut answered = 0;
    while !stop.load(Ordering::Relaxed) {
        let stream = tokio::net::TcpStream::connect(gateway).await.expect("it is let in");
        let (sender, connection) = h2::client::handshake(stream).await.expect("it is let in");
        let connection = tokio::spawn(connection);
        let lane = || streams(sender.clone(), key, stop);
        let (a, b, c) = tokio::join!(lane(), lane(), lane());
        answered += a + b + c;
        drop(sender);
        let _ = connection.await;
    }
    answered
}

/// One stream after another, until the server says that it takes no more.
async fn streams(mut sender: h2::client::SendRequest<bytes::Bytes>, key: &str, stop: &AtomicBool) -> u64 {
    let mut answered = 0;
    while !stop.load(Ordering::Relaxed) {
        let Ok(ready) = sender.ready().await else { break };
        sender = ready;
        let request = http::Request::get("http://x/").header("authorization", format!("Bearer {key}"));
        let Ok((answer, _)) = sender.send_request(request.body(()).unwrap(), true) else { break };
        match answer.await {
            Ok(answer) => {
                assert_eq!(answer.status(), 200);
                let mut body = answer.into_body();
                while let Some(piece) = body.data().await {
                    let len = piece.expect("an answer that is cut").len();
                    let _ = body.flow_control().release_capacity(len);
                }
                answered += 1;
            }
            Err(error) => {
                let untouched = error.is_go_away() || error.reason() == Some(h2::Reason::REFUSED_STREAM);
                assert!(untouched, "a stream that is lost: {error}");
                break;
            }
        }
    }
    answered
}

#[test]
fn r12_a_successor_that_fails_leaves_the_running_process_as_it_was() {
    let mut place = Place::new();
    let nowhere = place.folder.path().join("nowhere");
    for (variable, value) in [("KEYSTILE_ROOT_KEY", nowhere.to_str().unwrap()), ("KEYSTILE_GATEWAY_IDLE_SECONDS", "x")]
    {
        let ended = run(place.successor().env(variable, value));
        assert_ne!(ended.code, 0, "{}", ended.err);
        assert!(place.running.child.try_wait().unwrap().is_none(), "{}", place.running.err());
        assert_eq!(place.call(&place.key.1).status, 200);
        eventually("changes are taken in", || new_key(&place.manage(), &place.project).is_some());
    }
    // Without being asked to, nobody takes over.
    let ended = run(&mut keystile(&["serve", "--config", &place.file]));
    assert!(ended.code == 1 && ended.err.contains("in use"), "{}", ended.err);
    let mut old = place.upgrade();
    assert_eq!(until_ended(&mut old.child, PATIENCE).0, 0, "{}", old.err());
    assert_eq!((place.call(&place.key.1).status, place.counted()), (200, 3));
}

/// A take-over that waits, because another program holds the catalogue.
struct Held {
    place: Place,
    holder: Holder,
    successor: Successor,
}

/// A process that comes to take over, ended when this is dropped.
struct Successor(Child);

impl Drop for Successor {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Held {
    fn new() -> Self {
        let place = Place::new();
        let holder = Holder::of(&place.folder.path().join("data/catalog.db"));
        let successor = place.successor().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let held = Self { place, holder, successor: Successor(successor) };
        eventually("the take-over has begun", || held.probe("/readyz")["status"] == "degraded");
        held
    }

    /// What a probe is answered.
    fn probe(&self, path: &str) -> Value {
        let mut client = Client::connect(self.place.admin);
        client.limit(PROBE);
        client.write(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n")).unwrap();
        let answer = client.answer().unwrap_or_else(|error| panic!("a probe of {path}: {error}"));
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }

    /// Somebody who makes a key, and waits for an answer.
    fn change(&self) -> Client {
        let mut client = Client::connect(self.place.admin);
        let body = json!({ "project_id": self.place.project, "name": "while it waits" }).to_string();
        let head = format!("POST /v1/keys HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n", self.place.owner);
        let fields = format!("content-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
        client.write(head + &fields + &body).unwrap();
        client
    }

    /// Looks at it for longer than any probe waits. Only the change has no answer.
    fn lives(&self, change: &mut Client) {
        for _ in 0..5 {
            assert_eq!(self.probe("/healthz")["status"], "ok");
            let ready = self.probe("/readyz");
            let check = ready["checks"].as_array().unwrap().iter().find(|check| check["name"] == "changes").unwrap();
            assert!(check["reason"].as_str().is_some_and(|why| why.contains("takes this one's place")), "{ready}");
            assert_eq!(self.place.call(&self.place.key.1).status, 200);
            assert_eq!(self.place.manage().get("/v1/apis").0, 200, "reading needs no change");
            assert!(change.is_silent_for(BETWEEN), "the change waits");
        }
    }
}

#[test]
fn r12_while_a_take_over_waits_for_the_catalogue_the_process_says_that_it_lives_and_only_changes_wait() {
    let held = Held::new();
    let mut change = held.change();
    held.lives(&mut change);
    let Held { place, holder, mut successor } = held;
    holder.lets_go();
    let answer = change.answer().unwrap();
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (503, "store_unavailable"),
        "the new process makes changes now"
    );
    assert!(answer.text().contains("nothing was changed"), "{}", answer.text());
    assert_eq!((answer.field("retry-after"), answer.field("connection")), (Some("2"), Some("close")));
    let (_, keys) = place.manage().get(&format!("/v1/keys?project_id={}", place.project));
    assert_eq!(keys["items"].as_array().unwrap().len(), 1, "{keys}");
    assert!(new_key(&place.manage(), &place.project).is_some());
    signal(successor.0.id(), Signal::TERM);
    assert_eq!(until_ended(&mut successor.0, PATIENCE).0, 0);
}

#[test]
fn r12_a_change_that_waited_for_a_take_over_that_came_to_nothing_is_made() {
    let held = Held::new();
    let mut change = held.change();
    held.lives(&mut change);
    let Held { place, holder, mut successor } = held;
    signal(successor.0.id(), Signal::KILL);
    until_ended(&mut successor.0, PATIENCE);
    holder.lets_go();
    let answer = change.answer().unwrap();
    assert_eq!(answer.status, 201, "{}", answer.text());
    eventually("all is as before", || Api::new(place.admin, "").get("/readyz").1["status"] == "ready");
}

#[test]
fn r12_whoever_comes_while_another_process_takes_over_is_told_so_and_changes_nothing() {
    let Held { place, holder, mut successor } = Held::new();
    for _ in 0..2 {
        let late = run(&mut place.successor());
        assert_eq!((late.code, late.out.as_str()), (1, ""), "{}", late.err);
        let said = late.err.lines().last().unwrap_or_default();
        assert!(
            said.contains(&format!("another process ({}) is taking over at this moment", successor.0.id())),
            "{said}"
        );
        assert!(said.contains("try again"), "{said}");
        assert!(late.took < PROBE * 4, "{:?}", late.took);
    }
    holder.lets_go();
    eventually("the first one makes changes", || new_key(&place.manage(), &place.project).is_some());
    signal(successor.0.id(), Signal::TERM);
    assert_eq!(until_ended(&mut successor.0, PATIENCE).0, 0);
}

#[test]
fn r12_of_several_that_come_at_once_one_is_left_that_serves_and_whoever_did_not_take_over_says_why() {
    let mut place = Place::new();
    // Who is in keeps the old process for a while, and stays there.
    let mut kept = Kept::to(place.gateway);
    assert_eq!(kept.ask("GET", "/", &place.key.1, "").status, 200);
    let file = |number: usize| place.folder.path().join(format!("said-{number}"));
    let come = |number: usize| {
        let said = std::fs::File::create(file(number)).unwrap();
        Successor(place.successor().stdout(Stdio::null()).stderr(said).spawn().unwrap())
    };
    let mut come: Vec<_> = (0..5).map(come).collect();
    let mut left = Vec::new();
    eventually("one is left", || {
        left = (0..come.len()).filter(|number| come[*number].0.try_wait().unwrap().is_none()).collect();
        left.len() <= 1
    });
    assert_eq!(left.len(), 1, "nobody took over");
    for number in (0..come.len()).filter(|number| !left.contains(number)) {
        let said = std::fs::read_to_string(file(number)).unwrap();
        let told =
            said.contains("is taking over at this moment") || said.contains("in use by another Keystile process");
        match come[number].0.wait().unwrap().code() {
            // It took over, and another one from it.
            Some(0) => {}
            code => assert!(code == Some(1) && told, "{code:?}: {said}"),
        }
    }
    eventually("it has taken over", || place.running.err().contains("a new process serves"));
    let answer = kept.ask("GET", "/", &place.key.1, "");
    assert_eq!((answer.status, answer.field("connection")), (200, Some("close")));
    assert_eq!(place.call(&place.key.1).status, 200);
    assert_eq!(until_ended(&mut place.running.child, PATIENCE).0, 0, "{}", place.running.err());
    eventually("all calls are counted", || place.counted() == 3);
}

#[test]
fn r12_with_a_database_too_one_process_takes_over_from_another() {
    let url = Postgres::shared().database();
    let mut place = Place::started(&[("KEYSTILE_DATABASE", &url)]);
    place.upstream.answer_with("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    for turn in 1..=3 {
        assert_eq!(place.call(&place.key.1).status, 200);
        let (id, key) = new_key(&place.manage(), &place.project).expect("nobody takes over");
        let mut old = place.upgrade();
        let (code, _) = until_ended(&mut old.child, PATIENCE);
        assert_eq!(code, 0, "{}", old.err());
        assert_eq!(place.call(&key).status, 200, "made before the {turn}. upgrade");
        assert_eq!(place.manage().post(&format!("/v1/keys/{id}/revoke"), &json!({})).0, 200);
        assert_eq!(place.call(&key).status, 401);
        eventually("every call is counted", || place.counted() == turn);
    }
}

#[test]
fn where_nobody_runs_there_is_nobody_to_take_over_from() {
    let folder = tempfile::tempdir().unwrap();
    let file = settings(folder.path(), "");
    for _ in 0..2 {
        let mut server = Server::start(keystile(&["serve", "--json", "--config", &file, "--take-over"]));
        assert_eq!(server.end(Signal::TERM).0, 0);
    }
}

#[test]
fn r12_told_by_a_signal_it_starts_its_successor_and_says_to_the_service_manager_which_process_it_is_now() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let told = UnixDatagram::bind(&path).unwrap();
    told.set_read_timeout(Some(PATIENCE)).unwrap();
    let hear = || {
        let mut text = [0; 256];
        let len = told.recv(&mut text).unwrap();
        String::from_utf8(text[..len].to_vec()).unwrap()
    };
    let mut place = Place::started(&[("NOTIFY_SOCKET", path.to_str().unwrap())]);
    assert_eq!(hear(), "READY=1");
    signal(place.running.child.id(), Signal::USR2);
    let mut heard = [hear(), hear()];
    heard.sort();
    assert_eq!(heard[1], "READY=1", "the new one is ready");
    let pid = heard[0].strip_prefix("MAINPID=").and_then(|rest| rest.strip_suffix("\nREADY=1")).unwrap();
    let successor = Orphan(pid.parse().unwrap());
    assert_eq!(until_ended(&mut place.running.child, PATIENCE).0, 0, "{}", place.running.err());
    assert_eq!(place.call(&place.key.1).status, 200);
    let lines: Vec<Value> = place.running.out().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((lines.len(), &lines[0]["gateway"]), (2, &lines[1]["gateway"]));
    drop(successor);
}

/// A process that is not our child, ended when this is dropped.
struct Orphan(u32);

impl Drop for Orphan {
    fn drop(&mut self) {
        signal(self.0, Signal::TERM);
    }
}
