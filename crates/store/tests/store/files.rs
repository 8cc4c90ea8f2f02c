//! The folder, its lock and its root key, as SQLite's engine keeps them.

use std::collections::HashMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use keystile_store::records::{ActivationFilter, KeyFilter, Page};
use keystile_store::{OpenError, RootKeyError, Store, Use, upkeep};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, SqliteConnection};
use tempfile::TempDir;

use crate::world::{Engine, NOW, World};

async fn open(folder: &Path) -> Result<Store, OpenError> {
    Engine::Sqlite.open(folder).await
}

/// Opens, and lets go again.
async fn try_open(folder: &Path) -> Result<Vec<String>, OpenError> {
    let store = open(folder).await?;
    let warnings = store.catalog.warnings().to_vec();
    store.catalog.close().await;
    store.ledger.close().await;
    Ok(warnings)
}

/// A folder of an installation that was closed.
async fn closed() -> TempDir {
    World::new(Engine::Sqlite).await.close().await
}

fn root_key(folder: &TempDir) -> PathBuf {
    folder.path().join("root.key")
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// Every file and what it holds.
fn contents(folder: &TempDir) -> Vec<(PathBuf, Vec<u8>)> {
    let files = |folder: PathBuf| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut all: Vec<_> = files(folder.path().to_owned())
        .chain(files(folder.path().join("data")))
        .filter(|path| path.is_file())
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect();
    all.sort();
    all
}

async fn raw(folder: &TempDir, file: &str) -> SqliteConnection {
    SqliteConnectOptions::new().filename(folder.path().join("data").join(file)).connect().await.unwrap()
}

#[tokio::test]
async fn a_new_installation_is_its_owners_alone() {
    let folder = TempDir::new().unwrap();
    let store = open(folder.path()).await.unwrap();
    let data = folder.path().join("data");
    assert_eq!(mode(&data), 0o700);
    assert_eq!(mode(&root_key(&folder)), 0o400);
    for entry in fs::read_dir(&data).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
    assert_eq!(store.catalog.warnings(), [] as [&str; 0]);
    assert_eq!(store.catalog.revision().await.unwrap(), 0);
    assert_eq!(store.catalog.peppers().len(), 1);
    let text = fs::read_to_string(root_key(&folder)).unwrap();
    assert!(text.len() == 65 && text.ends_with('\n') && text.trim().bytes().all(|b| b.is_ascii_hexdigit()), "{text}");
}

#[tokio::test]
async fn a_second_start_finds_what_the_first_left() {
    let world = World::new(Engine::Sqlite).await;
    let (mine, installation) = (world.mine, world.catalog.installation());
    let digest = world.catalog.pepper().digest("a text");
    let folder = world.close().await;
    let store = open(folder.path()).await.unwrap();
    assert_eq!(store.catalog.installation(), installation);
    assert_eq!(store.catalog.pepper().digest("a text"), digest);
    assert!(store.catalog.key(mine.id, mine.key).await.unwrap().is_some());
    assert_eq!(store.catalog.verify_audit().await.unwrap(), None);
}

#[tokio::test]
async fn c09_a_missing_root_key_is_not_made_anew() {
    let folder = closed().await;
    fs::remove_file(root_key(&folder)).unwrap();
    let before = contents(&folder);
    let refused = try_open(folder.path()).await;
    assert!(matches!(refused, Err(OpenError::Root(RootKeyError::Missing { .. }))), "{refused:?}");
    assert_eq!(contents(&folder), before, "nothing was made or changed");
}

#[tokio::test]
async fn c09_a_root_key_of_another_installation_is_refused() {
    let (folder, other) = (closed().await, closed().await);
    fs::rename(root_key(&other), root_key(&folder)).unwrap();
    let before = contents(&folder);
    let refused = try_open(folder.path()).await;
    assert!(matches!(refused, Err(OpenError::Root(RootKeyError::Wrong { .. }))), "{refused:?}");
    assert_eq!(contents(&folder), before, "nothing was made or changed");
}

#[tokio::test]
async fn c09_a_root_key_file_that_holds_something_else_is_refused() {
    let long = "a".repeat(100_000);
    for text in ["", "\n", "not hexadecimal", &"g".repeat(64), &"a".repeat(63), &"a".repeat(66), &long] {
        let folder = closed().await;
        fs::set_permissions(root_key(&folder), Permissions::from_mode(0o600)).unwrap();
        fs::write(root_key(&folder), text).unwrap();
        let before = contents(&folder);
        let refused = try_open(folder.path()).await;
        assert!(matches!(refused, Err(OpenError::Root(RootKeyError::Malformed { .. }))), "{refused:?}");
        assert_eq!(contents(&folder), before, "nothing was made or changed");
    }
}

#[tokio::test]
async fn c09_a_root_key_that_can_not_be_read_is_refused() {
    let folder = closed().await;
    // A folder in its place can't be read by anybody, whoever runs this test.
    fs::remove_file(root_key(&folder)).unwrap();
    fs::create_dir(root_key(&folder)).unwrap();
    let before = contents(&folder);
    let refused = try_open(folder.path()).await;
    assert!(matches!(refused, Err(OpenError::Root(RootKeyError::Unreadable { .. }))), "{refused:?}");
    assert_eq!(contents(&folder), before, "nothing was made or changed");
}

#[tokio::test]
async fn c09_every_refusal_is_one_line_that_says_what_to_do() {
    let path = PathBuf::from("/etc/keystile/root.key");
    let cause = String::from("x");
    for error in [
        RootKeyError::Missing { source_name: path.display().to_string() },
        RootKeyError::Unreadable { path: path.clone(), cause: cause.clone() },
        RootKeyError::Malformed { source_name: path.display().to_string() },
        RootKeyError::Wrong { source_name: path.display().to_string() },
        RootKeyError::NotMade { path: path.clone(), cause },
    ] {
        let text = error.to_string();
        assert!(text.contains("/etc/keystile/root.key") && text.contains("; ") && !text.contains('\n'), "{text}");
    }
}

#[tokio::test]
async fn a_root_key_without_data_is_taken_over() {
    // As after a crash between the two, or when somebody brings a root key along.
    let folder = closed().await;
    fs::remove_dir_all(folder.path().join("data")).unwrap();
    let before = fs::read(root_key(&folder)).unwrap();
    try_open(folder.path()).await.unwrap();
    assert_eq!(fs::read(root_key(&folder)).unwrap(), before);
    // What a crash left half written was never a root key.
    fs::remove_dir_all(folder.path().join("data")).unwrap();
    fs::remove_file(root_key(&folder)).unwrap();
    fs::write(folder.path().join("root.key.new"), "half").unwrap();
    try_open(folder.path()).await.unwrap();
    assert!(!folder.path().join("root.key.new").exists());
}

#[tokio::test]
async fn a_crash_in_the_first_start_is_made_good_by_the_next() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    fs::write(root_key(&folder), format!("{}\n", "5a".repeat(32))).unwrap();
    fs::write(data.join("catalog.db"), "").unwrap();
    try_open(folder.path()).await.unwrap();
    let store = open(folder.path()).await.unwrap();
    assert_eq!(store.catalog.peppers().len(), 1);
}

#[tokio::test]
async fn a_folder_has_one_process_at_a_time() {
    let world = World::new(Engine::Sqlite).await;
    let second = try_open(world.folder.path()).await;
    assert!(matches!(second, Err(OpenError::InUse { .. })), "{second:?}");
    assert!(world.catalog.revision().await.unwrap() > 0, "the first one is not disturbed");
    let folder = world.close().await;
    try_open(folder.path()).await.unwrap();
}

#[tokio::test]
async fn data_of_a_newer_version_is_left_alone() {
    for file in ["catalog.db", "usage.db"] {
        let folder = closed().await;
        let mut db = raw(&folder, file).await;
        sqlx::raw_sql("PRAGMA user_version = 1000").execute(&mut db).await.unwrap();
        sqlx::Connection::close(db).await.unwrap();
        let before = contents(&folder);
        let refused = try_open(folder.path()).await;
        let known_steps = if file == "catalog.db" { 17 } else { 10 };
        assert!(
            matches!(refused, Err(OpenError::Newer { found: 1_000, known, .. }) if known == known_steps),
            "{refused:?}"
        );
        assert_eq!(contents(&folder), before, "nothing was made or changed");
    }
}

#[tokio::test]
async fn two_files_of_different_installations_are_refused() {
    let (folder, other) = (closed().await, closed().await);
    fs::copy(other.path().join("data/usage.db"), folder.path().join("data/usage.db")).unwrap();
    let refused = try_open(folder.path()).await;
    assert!(matches!(refused, Err(OpenError::Mismatch { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_missing_ledger_is_made_anew_and_said_so() {
    let folder = closed().await;
    fs::remove_file(folder.path().join("data/usage.db")).unwrap();
    let warnings = try_open(folder.path()).await.unwrap();
    assert!(warnings.len() == 1 && warnings[0].contains("usage.db is missing"), "{warnings:?}");
    assert_eq!(try_open(folder.path()).await.unwrap(), [] as [&str; 0]);
}

#[tokio::test]
async fn files_that_others_may_read_are_opened_and_said_so() {
    let folder = closed().await;
    let data = folder.path().join("data");
    for path in [root_key(&folder), data.clone(), data.join("catalog.db"), data.join("usage.db")] {
        let before = mode(&path);
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        let warnings = try_open(folder.path()).await.unwrap();
        let expected = format!("{} may be used by others", path.display());
        assert!(warnings.len() == 1 && warnings[0].starts_with(&expected), "{warnings:?}");
        fs::set_permissions(&path, Permissions::from_mode(before)).unwrap();
    }
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused() {
    let folder = closed().await;
    fs::write(folder.path().join("data/catalog.db"), "not a database".repeat(1_000)).unwrap();
    let refused = try_open(folder.path()).await;
    assert!(matches!(refused, Err(OpenError::Unreadable { .. })), "{refused:?}");
}

#[tokio::test]
async fn data_of_an_older_version_is_brought_up_to_date() {
    let folder = crate::encryption::installation_9().await;
    let mut db = raw(&folder, "catalog.db").await;
    let mut undo = "DROP TABLE slow_hashes; DROP INDEX keys_with_token; DROP TABLE hand_overs; DROP TABLE key_notices; DROP INDEX keys_by_end; DROP TABLE key_versions; \
                    DROP INDEX keys_with_metadata; ALTER TABLE keys DROP COLUMN labels; \
                    ALTER TABLE keys DROP COLUMN metadata; ALTER TABLE keys DROP COLUMN versioned_at; ALTER TABLE keys DROP COLUMN version; \
                    ALTER TABLE keys DROP COLUMN exposed_at; DROP TABLE api_secrets; PRAGMA user_version = 1; \
                    DROP INDEX audit_of_subject; DROP TABLE key_texts; DROP TABLE policy_patterns; DROP TABLE patterns; DROP INDEX keys_of_policy; DROP TABLE policy_roles; DROP TABLE roles; \
                    DROP TABLE webhook_deliveries; DROP TABLE webhooks; \
                    DROP INDEX activations_ever;"
        .to_owned();
    for (table, columns) in [
        ("activations", &["wanted", "note", "granted", "judged_by", "judged_at"][..]),
        ("projects", &["suspended_at", "suspended_reason", "max_keys", "labels", "metadata", "patterns"]),
    ] {
        undo.extend(columns.iter().map(|column| format!("ALTER TABLE {table} DROP COLUMN {column};")));
    }

    sqlx::raw_sql(sqlx::AssertSqlSafe(undo)).execute(&mut db).await.unwrap();
    sqlx::Connection::close(db).await.unwrap();
    let mut db = raw(&folder, "usage.db").await;
    let hour = NOW.floor_secs(3_600).as_micros();
    let undo = format!(
        "DROP TABLE use_by_day; DROP TABLE last_use; DROP TABLE version_use; DROP TABLE address_use; \
         PRAGMA user_version = 1; \
         INSERT INTO usage_hour VALUES ({hour}, 1, 2, 3, 4, 0, 0, 200, 5, 0, 0, 0), ({hour}, 1, 2, 3, 4, 0, 40, 429, 6, 0, 0, 0), \
         ({hour} - 86400000000, 1, 2, 3, 4, 0, 0, 200, 7, 0, 0, 0), ({hour}, 1, 0, 0, 4, 0, 1, 401, 8, 0, 0, 0)"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(undo)).execute(&mut db).await.unwrap();
    sqlx::Connection::close(db).await.unwrap();
    // The tables alone may come first: there is no root key yet, so nothing is sealed.
    let kept = upkeep::Kept::Folder(folder.path().join("data"));
    let [catalog, usage] = upkeep::migrate(&kept).await.unwrap().unwrap();
    assert_eq!((catalog.found, usage.found), (1, 1));
    assert!(upkeep::migrate(&kept).await.unwrap().unwrap().iter().all(|version| version.is_current()));
    let store = open(folder.path()).await.unwrap();
    let page = Page { before: None, limit: 10 };
    let organization = store.catalog.organizations().await.unwrap()[0].id;
    store.catalog.keys(organization, KeyFilter::default(), page).await.unwrap();
    assert!(store.catalog.was_sealed_anew(), "its rows had no seals");
    let link = &store.catalog.activations(organization, ActivationFilter::default(), page).await.unwrap()[0];
    assert_eq!((&link.granted, &link.judged), (&None, &None), "what was granted bounds nothing, as before");
    let project = store.catalog.project(organization, link.project).await.unwrap().unwrap();
    assert!(project.suspension.is_none() && project.labels.is_empty() && project.metadata.is_empty());
    // What was counted before is in the overview as well.
    let last = NOW.floor_secs(3_600);
    let uses = store.ledger.uses(&[2], &[4], NOW).await.unwrap();
    assert_eq!(uses, HashMap::from([((2, 4), Use { last, calls: 11 })]));
    let uses = store.ledger.uses(&[2], &[4], NOW.plus_secs(-86_400)).await.unwrap();
    assert_eq!(uses[&(2, 4)].calls, 18);
    // Calls that were let through cost 1 each until then.
    let bucket = Some(keystile_core::usage::Bucket::Hour);
    let asked = keystile_store::UsageQuery {
        from: last,
        until: last.plus_secs(1),
        bucket,
        ..crate::ledger::EVERYTHING.clone()
    };
    let rows = store.ledger.usage(&asked).await.unwrap();
    assert_eq!(rows.iter().map(|row| (row.counts.calls, row.counts.cost)).collect::<Vec<_>>(), [(19, 5)]);
    assert_eq!(store.ledger.last_used(&[3]).await.unwrap(), HashMap::from([(3, last)]));
}
