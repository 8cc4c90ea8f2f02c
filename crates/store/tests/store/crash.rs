//! No acknowledged write is lost by `kill -9`.
//!
//! A helper process, this very binary started again, changes the catalogue and appends to the ledger and says on its
//! standard output what was acknowledged. It is killed at varying moments; then the installation is opened again and
//! everything it had said must be there. The installation is the same one from beginning to end. A database's own server
//! is killed as well, under the helper.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use keystile_core::code::Code;
use keystile_core::id::{KeyId, OrganizationId, ProjectId};
use keystile_core::key::{KeyState, Standing};
use keystile_core::policy::Policy;
use keystile_core::usage::{Counts, Dimensions, UsageEvent};
use keystile_store::records::NewKey;
use keystile_store::{Catalog, Change, Ledger, Store, UsageQuery};
use keystile_testkit::Postgres;
use sqlx::ConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;

use crate::world::{Dice, Engine, NOW, World, author, new_key};

/// How often the helper is killed.
const CYCLES: u64 = 50;
/// How often the server of a database is.
const SERVER_CYCLES: u64 = 8;
/// Tells the helper what to do: engine, folder, organization, project, cycle.
const TASK: &str = "KEYSTILE_TEST_CRASH_TASK";
/// Events in a batch of the helper.
const BATCH: u64 = 100;

/// What the helper had said when it was killed.
#[derive(Default)]
struct Said {
    created: Vec<KeyId>,
    revoked: Vec<KeyId>,
    batches: u64,
}

#[tokio::test]
async fn no_acknowledged_write_is_lost_by_kill_9() {
    killed_again_and_again(Engine::Sqlite, CYCLES, None).await;
}

#[tokio::test]
async fn no_acknowledged_write_to_a_database_is_lost_by_kill_9() {
    killed_again_and_again(Engine::Postgres, CYCLES / 2, None).await;
}

#[tokio::test]
async fn no_acknowledged_write_is_lost_when_the_server_of_the_database_is_killed() {
    killed_again_and_again(Engine::Postgres, SERVER_CYCLES, Some(Postgres::start())).await;
}

/// Kills the helper so often; with a server for the database, that first.
async fn killed_again_and_again(engine: Engine, cycles: u64, mut server: Option<Postgres>) {
    let world = World::on(engine, server.as_ref().map(Postgres::database)).await;
    let (organization, project) = (world.mine.id, world.mine.project);
    let folder = world.close().await;
    let mut all = Said::default();
    let mut dice = Dice(9);
    for cycle in 1..=cycles {
        let task = format!("{engine:?}\n{}\n{organization}\n{project}\n{cycle}", folder.path().display());
        let said = kill_after(1 + dice.below(60), &task, server.as_mut());
        if let Some(server) = &mut server {
            server.start_again();
        }

        let Store { catalog, ledger } = engine.open(folder.path()).await.expect("a killed process is no obstacle");
        check_ledger(&ledger, cycle, said.batches).await;
        all.created.extend(said.created);
        all.revoked.extend(said.revoked);
        check_catalog(&catalog, organization, &all).await;
        catalog.close().await;
        ledger.close().await;
        for file in ["catalog.db", "usage.db"].into_iter().filter(|_| engine == Engine::Sqlite) {
            check_file(&folder.path().join("data").join(file)).await;
        }
    }
    assert!(all.created.len() as u64 > 2 * cycles && all.revoked.len() as u64 > cycles / 3, "the helper did something");
}

/// Lets the helper work until it has said so many things, kills it, and reads the rest of what it said.
fn kill_after(things: u64, task: &str, server: Option<&mut Postgres>) -> Said {
    let mut helper = start(task);
    let mut said = Said::default();
    let mut lines = BufReader::new(helper.stdout.take().unwrap()).lines();
    let mut heard = 0;
    for line in lines.by_ref() {
        if listen(&line.unwrap(), &mut said) {
            heard += 1;
        }
        if heard == things {
            break;
        }
    }
    assert_eq!(heard, things, "the helper ended by itself");
    if let Some(server) = server {
        server.kill();
    }
    // It may have ended by itself when its server did.
    let _ = helper.kill();
    helper.wait().unwrap();
    // What was said before the kill and not read yet was acknowledged just as well. The last line may be cut short.
    let rest: Vec<_> = lines.map_while(Result::ok).collect();
    for line in &rest {
        listen(line, &mut said);
    }
    said
}

fn start(task: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::the_helper_that_is_killed", "--nocapture"])
        .env(TASK, task)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Understands a line of the helper; the test harness says things as well.
fn listen(line: &str, said: &mut Said) -> bool {
    match line.split_once(' ') {
        Some(("created", id)) => id.parse().map(|id| said.created.push(id)).is_ok(),
        Some(("revoked", id)) => id.parse().map(|id| said.revoked.push(id)).is_ok(),
        Some(("counted", _)) => {
            said.batches += 1;
            true
        }
        _ => false,
    }
}

async fn check_catalog(catalog: &Catalog, organization: OrganizationId, said: &Said) {
    for id in &said.created {
        assert!(catalog.key(organization, *id).await.unwrap().is_some(), "{id} was created");
    }
    for id in &said.revoked {
        let key = catalog.key(organization, *id).await.unwrap().unwrap();
        assert_eq!(key.state.standing(), Standing::Revoked, "{id} was revoked");
    }
    assert_eq!(catalog.verify_audit().await.unwrap(), None);
    let told = catalog.feed_after(0, u32::MAX).await.unwrap();
    assert!(told.iter().zip(1..).all(|((revision, _), expected)| *revision == expected), "revisions have no gaps");
    let entries = catalog.audit(organization, None, u32::MAX).await.unwrap().len();
    assert_eq!(entries + 5, told.len(), "every revision has its entry (five are the other organization's)");
}

async fn check_ledger(ledger: &Ledger, cycle: u64, batches: u64) {
    let query = UsageQuery { key: Some(cycle as u32), ..UsageQuery::of((NOW, NOW.plus_secs(60))) };
    let calls = ledger.usage(&query).await.unwrap().first().map_or(0, |row| row.counts.calls);
    // One more may have been kept that could not be acknowledged any more; never half of one.
    let expected = [batches * BATCH, (batches + 1) * BATCH];
    assert!(expected.contains(&calls), "{calls} counted, {expected:?} expected");
}

async fn check_file(path: &Path) {
    let mut db = SqliteConnectOptions::new().filename(path).connect().await.unwrap();
    let verdict: String = sqlx::query_scalar("PRAGMA integrity_check").fetch_one(&mut db).await.unwrap();
    assert_eq!(verdict, "ok", "{}", path.display());
}

/// Does nothing unless the test above started it.
#[tokio::test]
async fn the_helper_that_is_killed() {
    let Ok(task) = std::env::var(TASK) else { return };
    let task: Vec<_> = task.lines().collect();
    let [engine, folder, organization, project, cycle] = task[..] else { panic!("not a task: {task:?}") };
    let engine = if engine == "Sqlite" { Engine::Sqlite } else { Engine::Postgres };
    let Store { catalog, ledger } = engine.open(Path::new(folder)).await.unwrap();
    let cycle: u64 = cycle.parse().unwrap();
    tokio::join!(
        change(&catalog, organization.parse().unwrap(), project.parse().unwrap(), cycle),
        count(&ledger, cycle)
    );
}

/// Creates keys and revokes every third of them, until killed.
async fn change(catalog: &Catalog, organization: OrganizationId, project: ProjectId, cycle: u64) {
    let author = author(organization);
    for n in 0.. {
        // Ids of their own: this process gives out the same bytes as the one before it.
        let text = format!("key {n} of cycle {cycle}");
        let id = KeyId::from_entropy((u128::from(cycle) << 64 | n).to_be_bytes());
        let key = NewKey { id, ..new_key(catalog, &text) };
        let applied =
            catalog.apply(&author, Change::CreateKey { project, key, policy: Policy::default() }).await.unwrap();
        println!("created {id}");
        if n % 3 == 0 {
            let state = KeyState::Revoked { at: NOW };
            let change = Change::KeyState { id, was: applied.revision, state, action: "revoke", reason: String::new() };
            catalog.apply(&author, change).await.unwrap();
            println!("revoked {id}");
        }
    }
}

/// Counts, and adds up now and then, until killed.
async fn count(ledger: &Ledger, cycle: u64) {
    let dimensions = Dimensions {
        organization: 1,
        api: 1,
        project: 1,
        key: cycle as u32,
        version: 0,
        label: 0,
        code: Code::Allowed,
        status: 200,
    };
    let event = UsageEvent {
        at: NOW,
        dimensions,
        client: None,
        facets: None,
        counts: Counts { calls: 1, ..Counts::default() },
    };
    for sequence in 1.. {
        ledger.append(cycle, sequence, NOW, &[], &vec![event.clone(); BATCH as usize]).await.unwrap();
        println!("counted {sequence}");
        if sequence % 5 == 0 {
            ledger.roll_up().await.unwrap();
        }
    }
}
