//! Somebody writes to SQLite's files behind Keystile's back.

use keystile_core::code::Code;
use keystile_core::id::ProjectId;
use keystile_core::usage::{Counts, Dimensions, UsageEvent};
use keystile_store::records::ProjectAbout;
use keystile_store::{ApplyError, Change, OpenError, UsageQuery};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, SqliteConnection};

use crate::world::{ENGINES, Engine, NOW, World, bytes, create_project};

async fn raw(world: &World, file: &str) -> SqliteConnection {
    let path = world.folder.path().join("data").join(file);
    SqliteConnectOptions::new().filename(path).connect().await.unwrap()
}

async fn run(db: &mut SqliteConnection, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(db).await.unwrap();
}

/// The same in whichever engine, in the catalogue.
pub async fn run_in(world: &World, engine: Engine, text: &str) {
    run_in_file(world, engine, "catalog.db", text).await;
}

/// The same in whichever engine, which may have a file for it.
pub async fn run_in_file(world: &World, engine: Engine, file: &str, text: &str) {
    match engine {
        Engine::Sqlite => run(&mut raw(world, file).await, text).await,
        Engine::Postgres => {
            let url = std::fs::read_to_string(world.folder.path().join("url")).unwrap();
            let mut db = PgConnection::connect(&url).await.unwrap();
            let schema = if file == "usage.db" { "keystile_usage" } else { "keystile" };
            sqlx::raw_sql(AssertSqlSafe(format!("SET search_path = {schema}"))).execute(&mut db).await.unwrap();
            sqlx::raw_sql(AssertSqlSafe(text.to_owned())).execute(&mut db).await.unwrap();
        }
    }
}

#[tokio::test]
async fn an_older_copy_in_the_place_of_the_store_is_not_changed() {
    for engine in ENGINES {
        let world = World::new(*engine).await;
        let key = world.add_key("before").await;
        let newest = world.catalog.revision().await.unwrap();
        world.revoke(key).await;
        assert_eq!(world.catalog.probe(None).await.unwrap(), newest + 1);
        // What a database does that takes over from one whose last changes it had not got.
        run_in(&world, *engine, &format!("DELETE FROM revisions WHERE revision > {newest}")).await;
        let refused = world.catalog.probe(None).await.unwrap_err();
        assert!(refused.0.to_string().contains("start Keystile anew"), "{engine:?}: {}", refused.0);
        assert!(world.catalog.revision().await.is_err(), "{engine:?}");
        let change = create_project(ProjectId::from_entropy(bytes()), "lost");
        assert!(matches!(world.apply(change).await, Err(ApplyError::Store(_))), "{engine:?}");
    }
}

#[tokio::test]
async fn while_another_process_has_the_database_after_all_nothing_is_changed() {
    const LOCK: i64 = 0x4B53_544C_0000_0001;
    let world = World::new(Engine::Postgres).await;
    let url = std::fs::read_to_string(world.folder.path().join("url")).unwrap();
    let mut other = PgConnection::connect(&url).await.unwrap();
    // Its connection breaks, and somebody else is quicker.
    let held = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objid = 1 \
                AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    assert!(sqlx::query_scalar::<_, bool>(held).fetch_one(&mut other).await.unwrap());
    sqlx::query("SELECT pg_advisory_lock($1)").bind(LOCK).execute(&mut other).await.unwrap();
    let change = async || {
        let id = ProjectId::from_entropy(bytes());
        world.apply(create_project(id, "project")).await.map_err(|error| match error {
            ApplyError::Store(error) => error.0.to_string(),
            other => panic!("{other}"),
        })
    };
    let until = async |is_refused: bool| {
        for _ in 0..200 {
            let changed = change().await;
            if changed.is_err() == is_refused {
                return changed;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        panic!("it is still so: {is_refused}");
    };
    assert!(until(true).await.unwrap_err().contains("another Keystile process uses the database"));
    assert!(world.catalog.probe(None).await.is_err(), "and it is said");
    drop(other);
    until(false).await.unwrap();
}

async fn broken_at(world: &World) -> Option<u64> {
    world.catalog.verify_audit().await.unwrap()
}

/// A world with a longer history.
async fn with_history() -> World {
    let world = World::new(Engine::Sqlite).await;
    for n in 0..30 {
        world.add_key(&format!("history {n}")).await;
    }
    world
}

#[tokio::test]
async fn e05_an_entry_that_was_altered_is_named() {
    let world = with_history().await;
    let mut db = raw(&world, "catalog.db").await;
    for sequence in 1..=40 {
        for (column, value) in [
            ("actor", "'system:somebody'"),
            ("action", "'key.enable'"),
            ("subject", "'key_0'"),
            ("after", "'{}'"),
            ("before", "'{}'"),
            ("at", "at + 1"),
            ("address", "'127.0.0.1'"),
            ("organization", "zeroblob(16)"),
            ("hash", "zeroblob(32)"),
            ("salt", "''"),
        ] {
            run(&mut db, "DROP TABLE IF EXISTS kept; CREATE TEMP TABLE kept AS SELECT * FROM audit").await;
            run(&mut db, &format!("UPDATE audit SET {column} = {value} WHERE sequence = {sequence}")).await;
            assert_eq!(broken_at(&world).await, Some(sequence), "{column} of {sequence}");
            run(&mut db, "DELETE FROM audit; INSERT INTO audit SELECT * FROM kept").await;
        }
    }
    assert_eq!(broken_at(&world).await, None, "all was put back");
}

#[tokio::test]
async fn e05_an_entry_that_was_taken_out_is_named() {
    let world = with_history().await;
    let mut db = raw(&world, "catalog.db").await;
    run(&mut db, "CREATE TEMP TABLE kept AS SELECT * FROM audit").await;
    for sequence in 1..=40 {
        run(&mut db, &format!("DELETE FROM audit WHERE sequence = {sequence}")).await;
        assert_eq!(broken_at(&world).await, Some(sequence), "the last one too");
        // Closing the gap does not hide it.
        run(&mut db, &format!("UPDATE audit SET sequence = sequence - 1 WHERE sequence > {sequence}")).await;
        assert_eq!(broken_at(&world).await, Some(sequence));
        run(&mut db, "DELETE FROM audit; INSERT INTO audit SELECT * FROM kept").await;
    }
}

#[tokio::test]
async fn e05_entries_that_changed_places_are_named() {
    let world = with_history().await;
    let mut db = raw(&world, "catalog.db").await;
    for sequence in 1..=39 {
        let swap = format!(
            "UPDATE audit SET sequence = 1000 WHERE sequence = {sequence}; \
             UPDATE audit SET sequence = {sequence} WHERE sequence = {sequence} + 1; \
             UPDATE audit SET sequence = {sequence} + 1 WHERE sequence = 1000"
        );
        run(&mut db, &swap).await;
        assert_eq!(broken_at(&world).await, Some(sequence));
        run(&mut db, &swap).await;
    }
    assert_eq!(broken_at(&world).await, None);
}

#[tokio::test]
async fn e05_one_altered_entry_among_thousands_is_named() {
    let world = World::new(Engine::Sqlite).await;
    let id = world.mine.project;
    let mut was = world.catalog.project(world.mine.id, id).await.unwrap().unwrap().revision;
    while was < 2_000 {
        let about = ProjectAbout { name: was.to_string(), ..ProjectAbout::default() };
        let change = Change::UpdateProject { id, was, about };
        was = world.apply(change).await.unwrap().revision;
    }
    let mut db = raw(&world, "catalog.db").await;
    for sequence in [1, 2, 999, 1_999, 2_000] {
        run(&mut db, &format!("UPDATE audit SET at = at + 1 WHERE sequence = {sequence}")).await;
        assert_eq!(broken_at(&world).await, Some(sequence));
        run(&mut db, &format!("UPDATE audit SET at = at - 1 WHERE sequence = {sequence}")).await;
    }
    assert_eq!(broken_at(&world).await, None);
}

#[tokio::test]
async fn e05_a_chain_that_was_made_anew_lacks_its_seal() {
    let world = with_history().await;
    let mut db = raw(&world, "catalog.db").await;
    // Cutting the end off and telling the table so is not enough: the seal needs the root key.
    run(&mut db, "DELETE FROM audit WHERE sequence > 20; UPDATE audit_end SET sequence = 20").await;
    assert_eq!(broken_at(&world).await, Some(20));
    run(&mut db, "DELETE FROM audit_end").await;
    assert_eq!(broken_at(&world).await, Some(20));
    run(&mut db, "DELETE FROM audit").await;
    assert_eq!(broken_at(&world).await, Some(1), "the revisions tell that there were changes");
}

#[tokio::test]
async fn c01_a_pepper_that_was_altered_refuses_to_open() {
    let world = World::new(Engine::Sqlite).await;
    let mut db = raw(&world, "catalog.db").await;
    run(&mut db, "UPDATE peppers SET wrapped = zeroblob(length(wrapped))").await;
    drop(db);
    let folder = world.close().await;
    let opened = Engine::Sqlite.open(folder.path()).await.map(|_| ());
    let Err(OpenError::Unreadable { cause, .. }) = opened else { panic!("{opened:?}") };
    assert!(cause.contains("pepper 1 was altered"), "{cause}");
}

#[tokio::test]
async fn a_broken_batch_is_set_aside_and_does_not_stop_the_others() {
    let world = World::new(Engine::Sqlite).await;
    let dimensions = Dimensions {
        organization: 1,
        api: 1,
        project: 1,
        key: 1,
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
    for sequence in 1..=3 {
        world.ledger.append(1, sequence, NOW, &[], std::slice::from_ref(&event)).await.unwrap();
    }
    let mut db = raw(&world, "usage.db").await;
    run(&mut db, "UPDATE batches SET events = zeroblob(length(events)) WHERE sequence = 2").await;
    assert_eq!(world.ledger.roll_up().await.unwrap(), 2);
    let broken: Vec<(i64, i64, String)> =
        sqlx::query_as("SELECT node, sequence, cause FROM broken_batches").fetch_all(&mut db).await.unwrap();
    assert_eq!(broken.len(), 1);
    assert_eq!((broken[0].0, broken[0].1), (1, 2));
    assert!(broken[0].2.contains("checksum"), "{}", broken[0].2);
    let query = UsageQuery::of((NOW, NOW.plus_secs(60)));
    assert_eq!(world.ledger.usage(&query).await.unwrap()[0].counts.calls, 2);
}

#[tokio::test]
async fn numbers_of_policies_end_before_nodes_can_no_longer_hold_them() {
    let world = World::new(Engine::Sqlite).await;
    let mut db = raw(&world, "catalog.db").await;
    run(&mut db, "INSERT INTO policies (number, hash, document) VALUES (16777214, x'00', '{}')").await;
    let add = |permission: &str| Change::CreateKey {
        project: world.mine.project,
        key: crate::world::new_key(&world.catalog, permission),
        policy: crate::world::policy(permission),
    };
    world.apply(add("the.last")).await.unwrap();
    let refused = world.apply(add("one.more")).await;
    let Err(keystile_store::ApplyError::Store(error)) = refused else { panic!("{refused:?}") };
    assert!(error.0.to_string().contains("numbers for different policies"), "{error:?}");
    world.apply(add("the.last.again")).await.unwrap_err();
}

#[tokio::test]
async fn c01_a_secret_that_was_moved_or_altered_is_not_opened() {
    let world = World::new(Engine::Sqlite).await;
    let (api, number) =
        (world.mine.api, world.catalog.api_number(world.mine.id, world.mine.api).await.unwrap().unwrap());
    for name in ["header:a", "header:b"] {
        let name: keystile_core::api::SecretName = name.parse().unwrap();
        let sealed = world.catalog.seal_api_secret(world.mine.id, (api, &name), name.to_string().as_bytes(), &[7; 24]);
        world.apply(Change::SetApiSecret { api, name, sealed }).await.unwrap();
    }
    let mut db = raw(&world, "catalog.db").await;
    run(&mut db, "CREATE TEMP TABLE kept AS SELECT * FROM api_secrets").await;
    assert_eq!(world.catalog.feed_api_secrets(number, api).await.unwrap().unwrap().len(), 2);
    for sql in [
        "UPDATE api_secrets SET sealed = (SELECT sealed FROM kept WHERE name = 'header:b') WHERE name = 'header:a'",
        "UPDATE api_secrets SET name = 'header:c' WHERE name = 'header:a'",
        "UPDATE api_secrets SET sealed = CAST(sealed || x'00' AS BLOB) WHERE name = 'header:a'",
        "UPDATE api_secrets SET sealed = x'' WHERE name = 'header:a'",
        "UPDATE api_secrets SET name = 'cookie:a' WHERE name = 'header:a'",
    ] {
        run(&mut db, sql).await;
        assert!(world.catalog.feed_api_secrets(number, api).await.unwrap().is_err(), "{sql}");
        run(&mut db, "DELETE FROM api_secrets; INSERT INTO api_secrets SELECT * FROM kept").await;
    }
    assert_eq!(world.catalog.feed_api_secrets(number, api).await.unwrap().unwrap().len(), 2, "all was put back");
}

#[tokio::test]
async fn e05_an_end_that_was_cut_off_stays_missing_whatever_is_changed_afterwards() {
    for (what, harm, broken) in [
        ("entries", "DELETE FROM audit WHERE sequence > 35", 36),
        ("entries and the end", "DELETE FROM audit WHERE sequence > 35; DELETE FROM audit_end", 36),
        ("the end", "DELETE FROM audit_end", 0),
        ("the end's place", "UPDATE audit_end SET sequence = sequence - 1", 0),
        ("the seal", "UPDATE audit_end SET seal = zeroblob(32)", 0),
        ("everything", "DELETE FROM audit; DELETE FROM audit_end", 1),
    ] {
        let world = with_history().await;
        let last = world.catalog.history().await.unwrap().sequence;
        run(&mut raw(&world, "catalog.db").await, harm).await;
        let found = broken_at(&world).await;
        assert!(found.is_some(), "{what}");
        for n in 0..3 {
            world.add_key(&format!("after {n}")).await;
            let expected = if broken == 0 { last + 1 } else { broken };
            assert_eq!(broken_at(&world).await, Some(expected), "{what}, {n}");
        }
    }
}
