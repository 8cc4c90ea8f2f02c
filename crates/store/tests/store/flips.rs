//! A disk that gives back another bit than it was given (SECURITY.md R-4): wherever it is in the store's files, somebody is
//! told or nothing is decided otherwise; and never is more allowed than before.
//!
//! Looked at is what nodes decide by and who is let in. Counts that were added up are not: a flip in one of them is told by
//! nobody.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::fs;
use std::path::Path;

use keystile_core::account::EmailAddress;
use keystile_store::records::FeedKey;
use keystile_store::upkeep::Kept;
use keystile_store::{Catalog, Change, RootKeys, Store, StoreError, check};

use crate::people::LIMITS;
use crate::seals::{copied, filled};
use crate::world::{Dice, Engine, NOW};

/// How many bits are flipped, each in a copy of its own: with every change so many, and 10,000 or more when asked for.
const FLIPS: u64 = 3_000;
/// Asks for another number.
const ASKED: &str = "KEYSTILE_TEST_FLIPS";
/// Keys that there are, and keys that came and went later: those are in the log of changes alone.
const KEYS: u32 = 150;
const LATER: u32 = 5;
/// Tasks that share them.
const TASKS: u64 = 4;

/// What is decided by, each thing by its name.
type Decided = BTreeMap<String, String>;

/// What nodes and the management API are told.
async fn decided(catalog: &Catalog, session: [u8; 32]) -> Result<Decided, StoreError> {
    let mut all = Decided::new();
    let mut note = |kind: &str, name: String, what: &dyn Debug| {
        assert!(all.insert(format!("{kind} {name}"), format!("{what:?}")).is_none(), "{kind} {name} twice");
    };
    for api in catalog.feed_apis().await? {
        note("API", api.number.to_string(), &api);
    }
    for plan in catalog.feed_plans(1).await? {
        note("plan", plan.number.to_string(), &plan);
    }
    for one in catalog.feed_projects().await? {
        note("project", one.project.number.to_string(), &one);
    }
    for (number, policy) in catalog.feed_policies(0).await? {
        note("policy", number.to_string(), &policy);
    }
    for role in catalog.feed_roles().await? {
        note("role", role.number.to_string(), &role);
    }
    for pattern in catalog.feed_patterns().await? {
        note("pattern", pattern.number.to_string(), &pattern);
    }
    let mut note_key = |key: FeedKey| {
        // Of one that was altered nothing is known.
        if !key.altered {
            note("key", key.number.to_string(), &key);
        }
    };
    catalog.feed_keys(1..=u32::MAX, &mut note_key).await?;
    for (number, metadata) in catalog.feed_metadata(1..=u32::MAX).await? {
        note("metadata", number.to_string(), &metadata);
    }
    for (revision, subject) in catalog.feed_after(0, u32::MAX).await? {
        note("revision", revision.to_string(), &subject);
    }
    if let Some((session, membership)) = catalog.session(session, &LIMITS, NOW).await? {
        note("session", session.id.to_string(), &membership);
    }
    let email: EmailAddress = "ada@b.c".parse().unwrap();
    if let Some(account) = catalog.account_of(&email).await? {
        note("account", email.to_string(), &account);
        if let Some(totp) = catalog.totp(account.account.id).await? {
            note("totp", email.to_string(), &(totp.seed.to_vec(), totp.is_confirmed));
        }
    }
    if let Some(passkey) = catalog.passkey_of(b"ada's").await? {
        note("passkey", "ada's".to_owned(), &passkey);
    }
    Ok(all)
}

async fn opened(folder: &Path, session: [u8; 32]) -> Result<Decided, String> {
    let Store { catalog, ledger } = Engine::Sqlite.open(folder).await.map_err(|error| error.to_string())?;
    let decided = decided(&catalog, session).await.map_err(|error| error.0.to_string());
    catalog.close().await;
    ledger.close().await;
    decided
}

/// Whether somebody who looks is told.
async fn is_told(folder: &Path) -> bool {
    let root_keys = RootKeys::from(&folder.join("root.key"));
    match check::check(&Kept::Folder(folder.join("data")), &root_keys).await {
        Ok(Some(checked)) => !checked.wrong.is_empty(),
        Ok(None) | Err(_) => true,
    }
}

/// Flips one bit; says whether somebody is told of it.
async fn flip(sound: &Path, dice: &mut Dice, before: &Decided, session: [u8; 32]) -> bool {
    let folder = copied(sound);
    let files: Vec<_> = fs::read_dir(folder.path().join("data")).unwrap().map(|entry| entry.unwrap().path()).collect();
    let files: Vec<_> = files.into_iter().filter(|file| fs::metadata(file).unwrap().len() > 0).collect();
    // Most of them where what is decided by is kept.
    let catalog: Vec<_> = files.iter().filter(|file| file.to_string_lossy().contains("catalog.db")).collect();
    let file = match dice.below(4) {
        0 => &files[dice.below(files.len() as u64) as usize],
        _ => catalog[dice.below(catalog.len() as u64) as usize],
    };
    let mut bytes = fs::read(file).unwrap();
    let (mut place, bit) = (dice.below(bytes.len() as u64) as usize, dice.below(8));
    for _ in 0..4 {
        // Most of a small database is empty, and nothing there means anything.
        if bytes[place] == 0 {
            place = dice.below(bytes.len() as u64) as usize;
        }
    }
    bytes[place] ^= 1 << bit;
    fs::write(file, bytes).unwrap();
    let what = format!("bit {bit} of byte {place} of {}", file.display());
    // A start says it, or nothing of what it serves is another than before.
    let Ok(after) = opened(folder.path(), session).await else { return true };
    for (name, now) in &after {
        assert_eq!(before.get(name), Some(now), "{what}: {name}");
    }
    if after == *before {
        return false;
    }
    let missing: Vec<_> = before.keys().filter(|name| !after.contains_key(*name)).collect();
    assert!(is_told(folder.path()).await, "{what} goes unnoticed, and these are missing: {missing:?}");
    true
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r04_a_flipped_bit_is_told_or_changes_nothing_that_is_decided() {
    let (world, session) = filled(Engine::Sqlite).await;
    for n in 0..KEYS {
        let mut key = crate::world::new_key(&world.catalog, &format!("key {n}"));
        key.expires_at = Some(NOW.plus_secs(i64::from(n)));
        let policy = crate::world::policy(&format!("things.{}", n % 9));
        world.apply(Change::CreateKey { project: world.mine.project, key, policy }).await.unwrap();
    }
    world.catalog.settle().await.unwrap();
    for n in 0..LATER {
        world.revoke(world.add_key(&format!("later {n}")).await).await;
    }
    let before = decided(&world.catalog, session).await.unwrap();
    assert!(before.keys().any(|name| name.starts_with("session")) && before.len() > 30, "{:?}", before.keys());
    // As a process leaves it that is killed, and as one does that ends in order.
    let killed = copied(world.folder.path());
    let closed = world.close().await;
    for folder in [&killed, &closed] {
        assert_eq!(opened(copied(folder.path()).path(), session).await.unwrap(), before);
    }
    let flips = std::env::var(ASKED).map_or(FLIPS, |asked| asked.parse().expect("a number"));
    let tasks = (0..TASKS).map(|task| {
        let folder = if task % 2 == 0 { killed.path() } else { closed.path() }.to_owned();
        let before = before.clone();
        tokio::spawn(async move {
            let mut dice = Dice(task);
            let mut told = 0;
            for _ in 0..flips / TASKS {
                told += u64::from(flip(&folder, &mut dice, &before, session).await);
            }
            told
        })
    });
    let mut told = 0;
    for task in tasks.collect::<Vec<_>>() {
        told += task.await.unwrap();
    }
    println!("{told} of {flips} told");
    assert!(told > flips / 20, "{told} of {flips}");
}
