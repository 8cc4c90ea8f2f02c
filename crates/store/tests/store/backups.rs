//! Backups: made of what is in use, opened by whom they are for, put back into either engine with the root key and not
//! without it, and never damaged without being noticed (SECURITY.md O-6, R-4, R-16).

use std::fs;
use std::path::Path;
use std::str::FromStr;

use age::secrecy::ExposeSecret;
use keystile_core::policy::Policy;
use keystile_store::backup::{BackupError, Lock, Manifest, Unlock, make, restore, unpack};
use keystile_store::upkeep::Kept;
use keystile_store::{Change, OpenError, RootKeyError, Store};
use tempfile::TempDir;

use crate::moving::kept;
use crate::world::{ENGINES, Engine, NOW, World, new_key, random};

/// What opens backups, and what they are made for.
fn pair(folder: &Path) -> (Lock, Unlock) {
    let identity = age::x25519::Identity::generate();
    let file = folder.join("identity");
    fs::write(&file, identity.to_string().expose_secret()).unwrap();
    let recipient = age::x25519::Recipient::from_str(&identity.to_public().to_string()).unwrap();
    (Lock::Recipients(vec![recipient]), Unlock::of_file(&file).unwrap())
}

async fn put_back(file: &Path, unlock: &Unlock, root: &Path, to: &Kept) -> Result<Manifest, BackupError> {
    restore(file, (unlock, false), &root.into(), to, NOW, &mut random, &mut |_| {}).await
}

#[tokio::test]
async fn o06_a_backup_of_what_is_in_use_is_put_back_with_its_root_key_and_not_without_it() {
    for (from, to) in ENGINES.iter().flat_map(|from| ENGINES.iter().map(move |to| (*from, *to))) {
        let world = World::new(from).await;
        let place = TempDir::new().unwrap();
        let (lock, unlock) = pair(place.path());
        crate::texts::recoverable(&world, "can be had back").await;
        for n in 0..700 {
            world.add_key(&format!("before {n}")).await;
        }
        let file = place.path().join("backup.age");
        let source = kept(from, world.folder.path());
        let mut tables = Vec::new();
        let made = make(&source, &lock, &file, NOW, &mut |table| tables.push(table.table)).await.unwrap();
        assert!(tables.contains(&"keys") && tables.contains(&"audit"), "{tables:?}");
        assert_eq!(made.revision, world.catalog.revision().await.unwrap());
        let before = world.catalog.feed_after(0, u32::MAX).await.unwrap();
        world.add_key("after").await;

        let empty = TempDir::new().unwrap();
        let target = kept(to, empty.path());
        let root = place.path().join("root.key");
        let without = put_back(&file, &unlock, &root, &target).await.unwrap_err();
        assert!(
            matches!(without, BackupError::Open(OpenError::Root(RootKeyError::Missing { .. }))),
            "{from:?} to {to:?}: {without}"
        );
        fs::write(&root, format!("{}\n", "ab".repeat(32))).unwrap();
        let other = put_back(&file, &unlock, &root, &target).await.unwrap_err();
        assert!(matches!(other, BackupError::Open(OpenError::Root(RootKeyError::Wrong { .. }))), "{other}");
        fs::remove_file(&root).unwrap();
        fs::copy(world.folder.path().join("root.key"), &root).unwrap();
        assert_eq!(put_back(&file, &unlock, &root, &target).await.unwrap(), made);
        let again = put_back(&file, &unlock, &root, &target).await.unwrap_err();
        assert!(matches!(again, BackupError::Copy(_)), "nothing is written over: {again}");

        fs::copy(&root, empty.path().join("root.key")).unwrap();
        let Store { catalog, ledger } = to.open(empty.path()).await.unwrap();
        assert_eq!(catalog.feed_after(0, u32::MAX).await.unwrap(), before, "as it was when it was made, and whole");
        assert_eq!(catalog.verify_audit().await.unwrap(), None);
        assert_eq!(catalog.pepper().digest("before 7"), world.catalog.pepper().digest("before 7"));
        // And on it goes.
        let key = new_key(&catalog, "made after it was put back");
        let change = Change::CreateKey { project: world.mine.project, key, policy: Policy::default() };
        catalog.apply(&crate::world::author(world.mine.id), change).await.unwrap();
        catalog.close().await;
        ledger.close().await;
        let leftovers = fs::read_dir(place.path()).unwrap().chain(fs::read_dir(empty.path()).unwrap());
        let hidden =
            leftovers.filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with(".keystile"));
        assert_eq!(hidden.count(), 0, "what was unpacked is gone");
    }
}

#[tokio::test]
async fn a_backup_opens_for_whom_it_is_and_for_nobody_else() {
    let world = World::new(Engine::Sqlite).await;
    let place = TempDir::new().unwrap();
    let source = kept(Engine::Sqlite, world.folder.path());
    let (lock, right) = pair(place.path());
    let (_, wrong) = pair(place.path());
    let file = place.path().join("one.age");
    make(&source, &lock, &file, NOW, &mut |_| {}).await.unwrap();
    let phrase = || age::secrecy::SecretString::from("a long phrase that somebody keeps");
    let other = place.path().join("two.age");
    make(&source, &Lock::Passphrase(phrase()), &other, NOW, &mut |_| {}).await.unwrap();
    let open = |file: &Path, unlock: &Unlock| unpack(file, unlock, TempDir::new().unwrap().path());
    let wrong_phrase = Unlock::Passphrase("another".into());
    assert!(open(&file, &right).is_ok() && open(&other, &Unlock::Passphrase(phrase())).is_ok());
    for (file, unlock) in [(&file, &wrong), (&file, &wrong_phrase), (&other, &wrong_phrase), (&other, &right)] {
        let refused = open(file, unlock).unwrap_err();
        assert!(matches!(refused, BackupError::Locked { .. }), "{refused}");
    }
    // Nothing is written over, nothing is made for nobody, nor of nothing.
    let before = fs::read(&file).unwrap();
    assert!(matches!(make(&source, &lock, &file, NOW, &mut |_| {}).await, Err(BackupError::File { .. })));
    assert_eq!(fs::read(&file).unwrap(), before);
    let third = place.path().join("three.age");
    let nobody = make(&source, &Lock::Recipients(Vec::new()), &third, NOW, &mut |_| {}).await;
    assert!(matches!(nobody, Err(BackupError::NoLock)) && !third.exists(), "{nobody:?}");
    let nowhere = Kept::Folder(place.path().join("nowhere"));
    assert!(matches!(make(&nowhere, &lock, &third, NOW, &mut |_| {}).await, Err(BackupError::Copy(_))));
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn r04_no_flipped_byte_of_a_backup_goes_unnoticed() {
    let world = World::new(Engine::Sqlite).await;
    let place = TempDir::new().unwrap();
    let (lock, unlock) = pair(place.path());
    let file = place.path().join("backup.age");
    make(&kept(Engine::Sqlite, world.folder.path()), &lock, &file, NOW, &mut |_| {}).await.unwrap();
    let whole = fs::read(&file).unwrap();
    let damaged = place.path().join("damaged.age");
    let opens = |bytes: &[u8]| {
        fs::write(&damaged, bytes).unwrap();
        unpack(&damaged, &unlock, TempDir::new().unwrap().path()).is_ok()
    };
    assert!(opens(&whole));
    let mut dice = crate::world::Dice(4);
    for _ in 0..400 {
        let mut altered = whole.clone();
        let place = dice.below(altered.len() as u64) as usize;
        altered[place] ^= 1 << dice.below(8);
        assert!(!opens(&altered), "byte {place}");
    }
    for length in [0, 1, 100, whole.len() / 2, whole.len() - 1] {
        assert!(!opens(&whole[..length]), "{length} bytes");
    }
    let longer = [&whole[..], b"x"].concat();
    assert!(!opens(&longer), "something behind it");
}

#[tokio::test]
async fn e05_what_was_altered_before_it_was_backed_up_is_not_put_back() {
    let world = World::new(Engine::Sqlite).await;
    for n in 0..5 {
        world.add_key(&format!("key {n}")).await;
    }
    let place = TempDir::new().unwrap();
    let (lock, unlock) = pair(place.path());
    crate::tampering::run_in(&world, Engine::Sqlite, "UPDATE audit SET actor = 'system:nobody' WHERE sequence = 3")
        .await;
    let file = place.path().join("backup.age");
    make(&kept(Engine::Sqlite, world.folder.path()), &lock, &file, NOW, &mut |_| {}).await.unwrap();
    let empty = TempDir::new().unwrap();
    let root = world.folder.path().join("root.key");
    let target = kept(Engine::Sqlite, empty.path());
    let refused = put_back(&file, &unlock, &root, &target).await.unwrap_err();
    assert!(matches!(refused, BackupError::Audit { entry: 3, .. }), "{refused}");
    assert!(!empty.path().join("data/catalog.db").exists());
    // Whoever has no other one can have it as it is, and it stays broken.
    let had = restore(&file, (&unlock, true), &(&root).into(), &target, NOW, &mut random, &mut |_| {}).await.unwrap();
    assert_eq!(had.audit_broken_at, Some(3), "it was said when it was made");
    fs::copy(&root, empty.path().join("root.key")).unwrap();
    let Store { catalog, .. } = Engine::Sqlite.open(empty.path()).await.unwrap();
    assert_eq!(catalog.verify_audit().await.unwrap(), Some(3));
}

#[tokio::test]
async fn r04_rows_that_were_altered_before_they_were_backed_up_are_not_put_back_unasked() {
    for (statement, at_start) in [
        ("UPDATE projects SET name = 'another' WHERE number = 1", true),
        ("UPDATE keys SET expires_at = NULL WHERE number = 1", false),
    ] {
        let world = World::new(Engine::Sqlite).await;
        let place = TempDir::new().unwrap();
        let (lock, unlock) = pair(place.path());
        crate::tampering::run_in(&world, Engine::Sqlite, statement).await;
        let file = place.path().join("backup.age");
        make(&kept(Engine::Sqlite, world.folder.path()), &lock, &file, NOW, &mut |_| {}).await.unwrap();
        let empty = TempDir::new().unwrap();
        let root = world.folder.path().join("root.key");
        let target = kept(Engine::Sqlite, empty.path());
        let refused = put_back(&file, &unlock, &root, &target).await.unwrap_err();
        let what = if at_start { "row 1 of projects" } else { "key_" };
        let is_told = matches!(&refused, BackupError::Rows { what: told, .. } if told.starts_with(what))
            && refused.to_string().contains("--altered");
        assert!(is_told && !empty.path().join("data/catalog.db").exists(), "{statement}");
        restore(&file, (&unlock, true), &(&root).into(), &target, NOW, &mut random, &mut |_| {}).await.unwrap();
        fs::copy(&root, empty.path().join("root.key")).unwrap();
        let Store { catalog, .. } = Engine::Sqlite.open(empty.path()).await.unwrap();
        assert!(catalog.was_sealed_anew(), "and the audit will say so");
        catalog.feed_keys(1..=u32::MAX, &mut |key| assert!(!key.altered)).await.unwrap();
        assert_eq!(catalog.first_altered().await.unwrap(), None);
    }
}
