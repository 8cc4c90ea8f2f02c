//! Rows that something is decided by are as Keystile wrote them, or told and not served (SECURITY.md R-4).

use std::fs;
use std::path::Path;

use keystile_core::id::{PatternId, RoleId};
use keystile_core::key::KeyState;
use keystile_core::policy::Policy;
use keystile_store::records::{FeedKey, NewDeviceLogin};
use keystile_store::upkeep::Kept;
use keystile_store::{ApplyError, Change, OpenError, RootKeys, Store};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row, SqliteConnection};
use tempfile::TempDir;

use crate::checks::looked;
use crate::people::{OWNER, invite, join, log_in, lookup};
use crate::tampering::run_in;
use crate::world::{ENGINES, Engine, NOW, World, author, bytes, create_webhook, policy};

/// Tables whose rows are decided by, and their columns that are not: what people read, and what is noted beside changes.
const DECIDED_BY: [(&str, &[&str]); 32] = [
    ("accounts", &[]),
    ("activation_plans", &[]),
    ("activations", &[]),
    ("apis", &[]),
    ("credit_grants", &[]),
    ("device_logins", &[]),
    ("former_digests", &[]),
    ("hand_overs", &[]),
    ("identities", &[]),
    ("invitations", &[]),
    ("key_versions", &[]),
    (
        "keys",
        &[
            "name",
            "hint",
            "labels",
            "algorithm",
            "pepper",
            "state_at",
            "created_at",
            "updated_at",
            "revision",
            "exposed_at",
            "versioned_at",
        ],
    ),
    ("member_roles", &[]),
    ("members", &[]),
    ("organizations", &[]),
    ("passkeys", &[]),
    ("password_resets", &[]),
    ("patterns", &[]),
    ("plan_versions", &[]),
    ("plans", &[]),
    ("policies", &[]),
    ("policy_patterns", &[]),
    ("policy_roles", &[]),
    ("projects", &[]),
    ("recovery_codes", &[]),
    ("revisions", &[]),
    ("roles", &[]),
    ("sessions", &["seen_at"]),
    ("sign_in_links", &[]),
    ("slow_hashes", &[]),
    ("totps", &[]),
    ("webhooks", &["handed_to", "failing_since"]),
];

/// Rows that no change above makes, as they are kept.
const BESIDES: &str = "
    INSERT INTO member_roles (id, organization, name, description, permissions, created_at, updated_at, revision)
        VALUES (x'01010101010101010101010101010101', 1, 'r', 'd', '[]', 1, 1, 1);
    INSERT INTO password_resets (lookup, account, standing, created_at, ends_at)
        SELECT lookup, account, lookup, 1, 2 FROM sessions LIMIT 1;
    INSERT INTO sign_in_links (lookup, account, created_at, ends_at) SELECT lookup, account, 1, 2 FROM sessions LIMIT 1;
    INSERT INTO hand_overs (lookup, key, sealed, created_at, ends_at) SELECT lookup, 1, lookup, 1, 2 FROM sessions LIMIT 1;
    INSERT INTO slow_hashes (key, version, digest, lookup, hash) SELECT number, 1, digest, 5, 'h' FROM keys LIMIT 1;
    INSERT INTO former_digests (key, version, pepper, digest) SELECT number, 1, 1, digest FROM keys LIMIT 1;
    INSERT INTO policy_roles (role, policy) VALUES (1, 1);
    INSERT INTO policy_patterns (pattern, policy) VALUES (1, 1);
";

/// A world with something in most tables, and what the token of somebody's session is known by.
pub async fn filled(engine: Engine) -> (World, [u8; 32]) {
    let world = World::new(engine).await;
    let ada = join(&world, world.mine.id, "ada@b.c", OWNER).await;
    let session = log_in(&world, &ada).await;
    crate::people::with_totp(&world, &ada, &session).await;
    crate::passkeys::add(&world, &ada, b"ada's").await;
    crate::identities::add(&world, &ada, "ada").await;
    world.apply(Change::Invite(invite(world.mine.id, Some("b@b.c"), OWNER))).await.unwrap();
    world.apply(crate::roles::create(RoleId::from_entropy(bytes()), "readers", &["things.read"])).await.unwrap();
    world.apply(crate::patterns::create(PatternId::from_entropy(bytes()), "get")).await.unwrap();
    let plan = keystile_core::id::PlanId::from_entropy(bytes());
    world.apply(crate::plans::create(world.mine.api, plan, "Free", true)).await.unwrap();
    let link = world.catalog.activation(world.mine.id, world.mine.activation).await.unwrap().unwrap();
    world.apply(crate::credits::grant(&world, 10)).await.unwrap();
    world.apply(Change::SetPlan { id: link.id, was: link.revision, plan: Some(plan) }).await.unwrap();
    let id = keystile_core::id::WebhookId::from_entropy(bytes());
    world.apply(create_webhook(&world.catalog, world.mine.id, id, &[])).await.unwrap();
    let login =
        NewDeviceLogin { lookup: lookup(), user_code: lookup(), agent: "test".to_owned(), ends_at: NOW.plus_secs(60) };
    assert!(world.catalog.begin_device_login(&login, None, NOW).await.unwrap());
    crate::versions::rotate(&world, world.mine.key, "another text").await.unwrap();
    world.revoke(world.add_key("revoked").await).await;
    (world, session.lookup)
}

pub async fn sqlite(folder: &Path) -> SqliteConnection {
    let path = folder.join("data/catalog.db");
    // What somebody would do who means harm, or a disk does: nothing is checked.
    SqliteConnectOptions::new()
        .filename(path)
        .foreign_keys(false)
        .pragma("ignore_check_constraints", "ON")
        .connect()
        .await
        .unwrap()
}

async fn run(db: &mut SqliteConnection, text: impl Into<String>) {
    sqlx::raw_sql(AssertSqlSafe(text.into())).execute(db).await.unwrap();
}

async fn column(db: &mut SqliteConnection, text: &str) -> Vec<String> {
    let rows = sqlx::raw_sql(AssertSqlSafe(text.to_owned())).fetch_all(db).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

pub fn copied(folder: &Path) -> TempDir {
    // In memory, where there is room for that: nothing here is about what is durable.
    let memory = Path::new("/dev/shm");
    let copy = if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() }.unwrap();
    fs::create_dir(copy.path().join("data")).unwrap();
    for entry in fs::read_dir(folder.join("data")).unwrap().map(Result::unwrap).filter(|one| one.path().is_file()) {
        fs::copy(entry.path(), copy.path().join("data").join(entry.file_name())).unwrap();
    }
    fs::copy(folder.join("root.key"), copy.path().join("root.key")).unwrap();
    copy
}

/// What `keystile db seal` does.
async fn unseal(engine: Engine, folder: &Path) {
    let root_keys = RootKeys::from(&folder.join("root.key"));
    assert!(keystile_store::upkeep::unseal(&crate::moving::kept(engine, folder), &root_keys).await.unwrap());
}

/// A folder with a row in every table that is decided by, all of them sealed.
async fn everything_sealed() -> TempDir {
    let folder = filled(Engine::Sqlite).await.0.close().await;
    let mut db = sqlite(folder.path()).await;
    run(&mut db, BESIDES).await;
    // Nobody has it sealed who has no root key.
    run(&mut db, "DELETE FROM meta WHERE name = 'sealed'").await;
    let forged = "INSERT INTO meta (name, value) VALUES ('seal_asked', zeroblob(32))";
    for statement in ["SELECT 1", forged] {
        run(&mut db, statement).await;
        let refused = Engine::Sqlite.open(folder.path()).await.map(|_| ());
        let Err(OpenError::Altered { what, .. }) = refused else { panic!("{refused:?}") };
        assert_eq!(what, "what says that its rows are sealed");
    }
    db.close().await.unwrap();
    unseal(Engine::Sqlite, folder.path()).await;
    let mut db = sqlite(folder.path()).await;
    let asked = column(&mut db, "SELECT hex(value) FROM meta WHERE name = 'seal_asked'").await.remove(0);
    db.close().await.unwrap();
    let Store { catalog, ledger } = Engine::Sqlite.open(folder.path()).await.unwrap();
    assert!(catalog.was_sealed_anew());
    let organization = catalog.organizations().await.unwrap()[0].id;
    catalog.apply(&author(organization), Change::NoteSeal).await.unwrap();
    let entry = catalog.audit(organization, None, 1).await.unwrap().remove(0);
    assert_eq!(entry.action, "store.seal", "that it was done is not to be hidden");
    let taken: serde_json::Value = serde_json::from_str(&entry.after).unwrap();
    assert!(taken["altered"].as_u64() > Some(5), "nor what had no seal: {taken}");
    catalog.close().await;
    ledger.close().await;
    let Store { catalog, ledger } = Engine::Sqlite.open(folder.path()).await.unwrap();
    assert!(!catalog.was_sealed_anew(), "once");
    catalog.close().await;
    ledger.close().await;
    // Whoever kept what asked for it asks in vain.
    let mut db = sqlite(folder.path()).await;
    run(&mut db, "CREATE TABLE kept AS SELECT * FROM meta; DELETE FROM meta WHERE name = 'sealed'").await;
    run(&mut db, format!("INSERT INTO meta (name, value) VALUES ('seal_asked', x'{asked}')")).await;
    let refused = Engine::Sqlite.open(folder.path()).await.map(|_| ());
    assert!(matches!(refused, Err(OpenError::Altered { .. })), "{refused:?}");
    run(&mut db, "DELETE FROM meta; INSERT INTO meta SELECT * FROM kept; DROP TABLE kept").await;
    db.close().await.unwrap();
    folder
}

#[tokio::test]
async fn r04_tables_brought_back_to_before_there_were_seals_are_not_sealed_anew() {
    let folder = filled(Engine::Sqlite).await.0.close().await;
    let mut db = sqlite(folder.path()).await;
    let undo = column(
        &mut db,
        "SELECT CASE type WHEN 'table' THEN 'ALTER TABLE ' || name || ' DROP COLUMN seal' ELSE 'DROP ' || type || ' ' || name END \
         FROM sqlite_schema WHERE type = 'trigger' AND name LIKE '%_unseal' OR type = 'index' AND name LIKE '%_unsealed' \
         OR type = 'table' AND (sql LIKE '% seal TEXT%' OR name = 'revisions') AND name <> 'audit_end' ORDER BY type = 'table'",
    );
    for statement in undo.await {
        run(&mut db, statement).await;
    }
    // Steps that came after the seals.
    run(&mut db, "DROP TABLE sign_in_links; DROP TABLE credit_notices; DROP TABLE credit_grants; DROP TABLE quota_notices; DROP TABLE activation_plans; DROP TABLE plan_versions; DROP INDEX activations_of_plan").await;
    for column in ["plan", "plan_since", "wanted_plan", "ceilings"] {
        run(&mut db, format!("ALTER TABLE activations DROP COLUMN {column}")).await;
    }
    run(&mut db, "DROP TABLE plans").await;
    run(&mut db, "ALTER TABLE audit DROP COLUMN salt; DELETE FROM meta WHERE name = 'sealed'").await;
    run(&mut db, "UPDATE projects SET suspended_at = 1 WHERE number = 1; PRAGMA user_version = 12").await;
    db.close().await.unwrap();
    let refused = Engine::Sqlite.open(folder.path()).await.map(|_| ());
    let Err(OpenError::Altered { what, .. }) = refused else { panic!("{refused:?}") };
    assert_eq!(what, "what says that its rows are sealed");
}

#[tokio::test]
async fn r04_every_value_that_is_decided_by_is_told_when_it_was_altered() {
    let folder = everything_sealed().await;
    let mut db = sqlite(folder.path()).await;
    for trigger in column(&mut db, "SELECT name FROM sqlite_schema WHERE type = 'trigger'").await {
        run(&mut db, format!("DROP TRIGGER {trigger}")).await;
    }
    let tables = "SELECT DISTINCT t.name FROM sqlite_schema t JOIN pragma_table_info(t.name) c \
                  WHERE t.type = 'table' AND c.name = 'seal' AND t.name <> 'audit_end' ORDER BY t.name";
    assert_eq!(column(&mut db, tables).await, DECIDED_BY.map(|(table, _)| table), "each of them is tried");
    let kept = Kept::Folder(folder.path().join("data"));
    let root_keys = RootKeys::from(&folder.path().join("root.key"));
    let mut seen = 0;
    for (table, not_covered) in DECIDED_BY {
        let columns = format!("SELECT name || ' ' || type FROM pragma_table_info('{table}') WHERE name <> 'seal'");
        let columns = column(&mut db, &columns).await;
        assert!(!columns.is_empty(), "{table}");
        for (column, kind) in columns.iter().filter_map(|column| column.split_once(' ')) {
            // One row, told by all that it says: its number may be what is altered.
            let other = match kind {
                "INTEGER" => format!("coalesce({column}, 6) + 1000"),
                "TEXT" => format!("coalesce({column}, '') || 'x'"),
                _ => format!("CAST({column} || x'01' AS BLOB)"),
            };
            run(&mut db, format!("CREATE TEMP TABLE kept AS SELECT * FROM {table}")).await;
            let first = &columns[0].split_once(' ').unwrap().0;
            let one = format!("{first} = (SELECT {first} FROM {table} ORDER BY 1 LIMIT 1)");
            run(&mut db, format!("UPDATE {table} SET {column} = {other} WHERE {one}")).await;
            let checked = keystile_store::check::check(&kept, &root_keys).await.unwrap().unwrap();
            // What the schema forbids is told before rows are looked at.
            let told = |id: &str| checked.wrong.iter().any(|wrong| wrong.id == id && wrong.what.contains(table));
            let is_told = match table {
                "keys" => checked.wrong.iter().any(|wrong| wrong.id == "seals" && !wrong.what.contains("row")),
                _ => told("seals") || told("file"),
            };
            assert_eq!(is_told, !not_covered.contains(&column), "{table}.{column}: {:?}", checked.wrong);
            run(&mut db, format!("DELETE FROM {table}; INSERT INTO {table} SELECT * FROM kept; DROP TABLE kept")).await;
            seen += 1;
        }
    }
    assert!(seen > 200, "{seen}");
    assert_eq!(keystile_store::check::check(&kept, &root_keys).await.unwrap().unwrap().wrong, [], "all was put back");
}

#[tokio::test]
async fn r04_whatever_writes_to_a_row_takes_its_seal_away() {
    for engine in ENGINES {
        let (world, _) = filled(*engine).await;
        // Said by the tables themselves, not by what is known of them here.
        for (table, column) in [
            ("apis", "settings"),
            ("keys", "policy"),
            ("keys", "digest"),
            ("keys", "metadata"),
            ("projects", "suspended_at"),
            ("activations", "state"),
            ("members", "role"),
            ("accounts", "password"),
            ("sessions", "account"),
            ("revisions", "first"),
            ("key_versions", "ends_at"),
        ] {
            run_in(&world, *engine, &format!("UPDATE {table} SET {column} = {column}")).await;
            let told = looked(&world, *engine).await.wrong;
            assert!(told.iter().any(|wrong| wrong.id == "seals"), "{engine:?} {table}.{column}: {told:?}");
            world.catalog.close().await;
            world.ledger.close().await;
            unseal(*engine, world.folder.path()).await;
            let Store { catalog, ledger } = engine.open(world.folder.path()).await.unwrap();
            catalog.close().await;
            ledger.close().await;
            assert_eq!(looked(&world, *engine).await.wrong, [], "sealed as it is, as was asked for");
        }
    }
}

#[tokio::test]
async fn r04_what_was_altered_is_neither_fed_nor_sealed_by_a_change_of_it() {
    for engine in ENGINES {
        let (world, _) = filled(*engine).await;
        let key = world.my_key(world.mine.key).await;
        // Somebody gives their own key another one's rights.
        let mighty = crate::world::new_key(&world.catalog, "mighty");
        let change = Change::CreateKey { project: world.mine.project, key: mighty, policy: policy("everything") };
        world.apply(change).await.unwrap();
        let number = key.number;
        run_in(
            &world,
            *engine,
            &format!("UPDATE keys SET policy = (SELECT max(number) FROM policies) WHERE number = {number}"),
        )
        .await;
        let fed = async || {
            let mut fed = Vec::new();
            world.catalog.feed_keys(number..=number, &mut |key| fed.push(key)).await.unwrap();
            fed.remove(0)
        };
        assert!(fed().await.altered && fed().await.deleted, "{engine:?}: told as gone");
        // A change of it is made, for it may be one that is needed; and it stays refused.
        let was = world.my_key(key.id).await.revision;
        let (name, expires_at, tags) = ("renamed".to_owned(), None, key.tags.clone());
        let update = Change::UpdateKey { id: key.id, was, name, policy: policy("everything"), expires_at, tags };
        world.apply(update).await.unwrap();
        assert!(fed().await.altered, "{engine:?}: what was altered is not sealed");
        let was = world.my_key(key.id).await.revision;
        let state = KeyState::Revoked { at: NOW };
        world
            .apply(Change::KeyState { id: key.id, was, state, action: "revoke", reason: String::new() })
            .await
            .unwrap();
        assert!(fed().await.altered);
        // Its neighbours are none the worse.
        let mut others = 0;
        let mut each = |key: FeedKey| others += u32::from(!key.altered);
        world.catalog.feed_keys(number + 1..=number + 2, &mut each).await.unwrap();
        assert_eq!(others, 2);
        let before = world.catalog.feed_policies(0).await.unwrap().len();
        run_in(&world, *engine, "UPDATE policies SET document = '{}' WHERE number = 1").await;
        assert_eq!(world.catalog.feed_policies(0).await.unwrap().len(), before - 1);
        for table in ["projects", "apis", "roles", "patterns"] {
            run_in(&world, *engine, &format!("UPDATE {table} SET name = 'x' WHERE number = 1")).await;
            let (fed, all) = match table {
                "projects" => (
                    world.catalog.feed_project(1).await.unwrap().is_some(),
                    world.catalog.feed_projects().await.map(drop),
                ),
                "apis" => {
                    (world.catalog.feed_api(1).await.unwrap().is_some(), world.catalog.feed_apis().await.map(drop))
                }
                "roles" => {
                    (world.catalog.feed_role(1).await.unwrap().is_some(), world.catalog.feed_roles().await.map(drop))
                }
                _ => (
                    world.catalog.feed_pattern(1).await.unwrap().is_some(),
                    world.catalog.feed_patterns().await.map(drop),
                ),
            };
            assert!(!fed && all.is_err(), "{engine:?}: {table}");
        }
        run_in(&world, *engine, "UPDATE revisions SET first = 2, last = 2 WHERE revision = 5").await;
        assert!(world.catalog.feed_after(4, 10).await.is_err());
        assert!(world.catalog.feed_after(5, 10).await.is_ok());
        run_in(&world, *engine, "DELETE FROM revisions WHERE revision = 7").await;
        assert!(world.catalog.feed_after(5, 10).await.is_err(), "one is missing");
        world.catalog.close().await;
        world.ledger.close().await;
        let refused = engine.open(world.folder.path()).await.map(|_| ());
        assert!(matches!(refused, Err(OpenError::Altered { .. })), "{refused:?}");
    }
}

#[tokio::test]
async fn r04_people_whose_rows_were_altered_are_not_let_in_at_the_next_start() {
    for engine in ENGINES {
        for statement in [
            "UPDATE members SET role = 'owner'",
            "UPDATE accounts SET password = 'x'",
            "UPDATE sessions SET account = 1",
            "UPDATE passkeys SET credential = '{}'",
            "UPDATE identities SET subject = 'somebody else'",
            "UPDATE invitations SET role = 'owner'",
        ] {
            let (world, _) = filled(*engine).await;
            run_in(&world, *engine, statement).await;
            let folder = world.close().await;
            let refused = engine.open(folder.path()).await.map(|_| ());
            assert!(matches!(refused, Err(OpenError::Altered { .. })), "{engine:?} {statement}: {refused:?}");
        }
    }
}

#[tokio::test]
async fn changes_that_are_tried_and_changes_that_are_refused_leave_every_seal() {
    for engine in ENGINES {
        let (world, _) = filled(*engine).await;
        let key = world.my_key(world.mine.key).await;
        let stale = Change::KeyState {
            id: key.id,
            was: 1,
            state: KeyState::Revoked { at: NOW },
            action: "revoke",
            reason: String::new(),
        };
        assert!(matches!(world.apply(stale).await, Err(ApplyError::Stale)));
        let trial = keystile_store::Conditions { dry_run: true, ..Default::default() };
        let (name, tags) = ("tried".to_owned(), key.tags.clone());
        let update = Change::UpdateKey {
            id: key.id,
            was: key.revision,
            name,
            policy: Policy::default(),
            expires_at: None,
            tags,
        };
        world.catalog.apply_if(&trial, &author(world.mine.id), update).await.unwrap();
        assert_eq!(looked(&world, *engine).await.wrong, []);
        world.catalog.feed_keys(1..=u32::MAX, &mut |key| assert!(!key.altered)).await.unwrap();
    }
}

#[tokio::test]
async fn r04_somebody_whose_rows_were_altered_is_not_let_in_any_more() {
    for engine in ENGINES {
        for statement in [
            "UPDATE members SET role = 'auditor'",
            "UPDATE accounts SET email = 'eve@b.c'",
            "UPDATE sessions SET proven_at = proven_at + 1",
        ] {
            let (world, session) = filled(*engine).await;
            let is_open = async || world.catalog.session(session, &crate::people::LIMITS, NOW).await.unwrap().is_some();
            assert!(is_open().await);
            run_in(&world, *engine, statement).await;
            assert!(!is_open().await, "{engine:?}: {statement}");
        }
        let (world, _) = filled(*engine).await;
        let invite = invite(world.mine.id, None, crate::people::OWNER);
        world.apply(Change::Invite(invite.clone())).await.unwrap();
        run_in(&world, *engine, "UPDATE invitations SET role = 'admin'").await;
        assert_eq!(world.catalog.open_invitation(invite.lookup, NOW).await.unwrap(), None, "{engine:?}");
        let known: keystile_core::account::EmailAddress = "ada@b.c".parse().unwrap();
        assert!(world.catalog.account_of(&known).await.unwrap().is_some());
        run_in(&world, *engine, "UPDATE accounts SET password = 'x'").await;
        assert!(world.catalog.account_of(&known).await.unwrap().is_none(), "{engine:?}");
        run_in(&world, *engine, "UPDATE passkeys SET account = account").await;
        assert!(world.catalog.passkey_of(b"ada's").await.unwrap().is_none(), "{engine:?}");
    }
}

#[tokio::test]
async fn r04_a_trigger_that_somebody_left_is_named_and_not_started_over() {
    for engine in ENGINES {
        let (world, _) = filled(*engine).await;
        let planted = match engine {
            Engine::Sqlite => {
                "CREATE TRIGGER planted AFTER INSERT ON audit BEGIN UPDATE members SET role = 'owner'; END"
            }
            Engine::Postgres => {
                "CREATE FUNCTION planted() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE members SET role = 'owner'; \
                 RETURN NEW; END $$; \
                 CREATE TRIGGER planted AFTER INSERT ON audit FOR EACH ROW EXECUTE FUNCTION planted()"
            }
        };
        run_in(&world, *engine, planted).await;
        let told = looked(&world, *engine).await.wrong;
        assert!(
            told.iter().any(|wrong| wrong.id == "schema" && wrong.what.contains("planted")),
            "{engine:?}: {told:?}"
        );
        let folder = world.close().await;
        let refused = engine.open(folder.path()).await.map(|_| ());
        let Err(OpenError::Strange { name, .. }) = refused else { panic!("{refused:?}") };
        assert_eq!(name, "planted", "{engine:?}");
    }
}

#[tokio::test]
async fn a_store_that_has_gone_back_behind_what_was_acknowledged_is_not_opened() {
    let world = World::new(Engine::Sqlite).await;
    let older = copied(world.folder.path());
    let key = world.add_key("a key").await;
    world.revoke(key).await;
    let newest = world.catalog.revision().await.unwrap();
    let live = copied(world.folder.path());
    drop(world);
    // What a process leaves that was killed: the last transaction of its log is damaged, or the log is gone.
    let log = live.path().join("data/catalog.db-wal");
    let bytes = fs::read(&log).unwrap();
    let mut damaged = bytes.clone();
    let place = damaged.len() - 5;
    damaged[place] ^= 1;
    let mut in_the_middle = bytes.clone();
    in_the_middle[bytes.len() / 2] ^= 1;
    for damage in [Some(damaged), Some(in_the_middle), Some(Vec::new()), None] {
        let folder = copied(live.path());
        match damage {
            Some(bytes) => fs::write(folder.path().join("data/catalog.db-wal"), bytes).unwrap(),
            None => fs::remove_file(folder.path().join("data/catalog.db-wal")).unwrap(),
        }
        let refused = Engine::Sqlite.open(folder.path()).await.map(|_| ());
        match refused {
            Err(OpenError::Behind { found, newest: said, .. }) => assert!(found < newest && said == newest),
            // Without its log there may be nothing that is a catalogue.
            Err(OpenError::Unreadable { .. } | OpenError::Mismatch { .. } | OpenError::Root(_)) => {}
            other => panic!("{other:?}"),
        }
    }
    // An older copy in the place of the newer one: refused, until whoever put it there says that it is meant.
    fs::copy(live.path().join("data/catalog.newest"), older.path().join("data/catalog.newest")).unwrap();
    let refused = Engine::Sqlite.open(older.path()).await.map(|_| ());
    let Err(error @ OpenError::Behind { .. }) = refused else { panic!("{refused:?}") };
    assert!(error.to_string().contains("catalog.newest"), "{error}");
    fs::remove_file(older.path().join("data/catalog.newest")).unwrap();
    Engine::Sqlite.open(older.path()).await.unwrap();
    // What was damaged itself says nothing, and is no obstacle.
    fs::write(live.path().join("data/catalog.newest"), "99999999999999999999").unwrap();
    Engine::Sqlite.open(live.path()).await.unwrap();
}
