//! Moving an installation between engines, and what `status` and `migrate` say of one.

use std::path::Path;

use keystile_core::api::SecretName;
use keystile_core::code::Code;
use keystile_core::id::{MemberRoleId, PatternId, RoleId, WebhookId};
use keystile_core::key::KeyNotice;
use keystile_core::member::MemberRole;
use keystile_core::policy::Policy;
use keystile_core::usage::{Counts, Dimensions, Facets, UsageEvent};
use keystile_store::copy::{Copied, CopyError};
use keystile_store::hand_over::{Token, lookup_of};
use keystile_store::records::{ImportKey, KeyFilter, NewDeviceLogin, NewKey, Rehashed};
use keystile_store::upkeep::{self, Kept};
use keystile_store::{Change, GroupBy, LabelRow, NewUsage, OpenError, Store, UsagePlace, UsageQuery};
use tempfile::TempDir;

use crate::slow::slow_key;
use crate::versions::rotate;
use crate::world::{ALL, ENGINES, Engine, NOW, World, bytes, create_webhook, new_key, policy, url};

/// Where the installation of a folder is.
pub fn kept(engine: Engine, folder: &Path) -> Kept {
    match engine {
        Engine::Sqlite => Kept::Folder(folder.join("data")),
        Engine::Postgres => Kept::Database(url(folder)),
    }
}

/// A world with something in every table that can have something.
async fn full(engine: Engine) -> World {
    let world = World::new(engine).await;
    let mut keys: Vec<ImportKey> =
        (0..1_201).map(|n| new_key(&world.catalog, &format!("moved {n} \u{1f511}")).into()).collect();
    keys.push(slow_key(&world, "moved_", "$2b$04$moved"));
    let change = Change::ImportKeys { project: world.mine.project, keys, policy: policy("pets.read") };
    world.apply(change).await.unwrap();
    let name: SecretName = "header:x-secret".parse().unwrap();
    let sealed = world.catalog.seal_api_secret(world.mine.id, (world.mine.api, &name), b"hidden", &[7; 24]);
    world.apply(Change::SetApiSecret { api: world.mine.api, name, sealed }).await.unwrap();
    let webhook = create_webhook(&world.catalog, world.mine.id, WebhookId::from_entropy(bytes()), &["key.*"]);
    world.apply(webhook).await.unwrap();
    let role = RoleId::from_entropy(bytes());
    world.apply(crate::roles::create(role, "reader", &["pets.read"])).await.unwrap();
    let pattern = PatternId::from_entropy(bytes());
    world.apply(crate::patterns::create(pattern, "reading")).await.unwrap();
    crate::plans::full(&world).await;
    crate::credits::full(&world).await;
    crate::texts::recoverable(&world, "can be had back").await;
    let policy = Policy { roles: vec![role], patterns: vec![pattern], ..Policy::default() };
    let key = new_key(&world.catalog, "with a role");
    let with_role = key.id;
    world.apply(Change::CreateKey { project: world.mine.project, key, policy }).await.unwrap();
    let gone = world.add_key("deleted").await;
    world.apply(Change::DeleteKey { id: gone }).await.unwrap();
    rotate(&world, world.mine.key, "the second text").await.unwrap();
    // Another pepper, which one key has by now.
    let (version, sealed) = world.catalog.new_pepper(&[9; 32], &[7; 24]);
    world.apply(Change::RotatePepper { version, sealed }).await.unwrap();
    let [newest, older] = &world.catalog.peppers()[..] else { panic!("two peppers") };
    let (was, digest) = (older.digest("with a role"), newest.digest("with a role"));
    let keys = vec![Rehashed { key: with_role, version: 1, was, digest }];
    world.apply(Change::RehashKeys { keys, pepper_version: version }).await.unwrap();
    let token = Token::new([8; 32]);
    let sealed = world.catalog.seal_hand_over(&token, "waits", &[7; 24]);
    let lookup = lookup_of(&token);
    world.apply(Change::HandOver { id: world.mine.key, lookup, sealed, ends_at: NOW.plus_secs(60) }).await.unwrap();
    let notice = KeyNotice::VersionEnded { version: 1, ended_at: NOW };
    world.apply(Change::NoteKey { id: world.mine.key, notice }).await.unwrap();
    let own = MemberRoleId::from_entropy(bytes());
    let permissions = vec!["keys.read".parse().unwrap()];
    let (name, description) = ("night".parse().unwrap(), String::new());
    world.apply(Change::CreateMemberRole { id: own, name, description, permissions }).await.unwrap();
    let ada = crate::people::join(&world, world.mine.id, "ada@example.com", MemberRole::Custom(own)).await;
    let session = crate::people::log_in(&world, &ada).await;
    crate::people::with_totp(&world, &ada, &session).await;
    let was = ada.revision;
    world.apply(Change::OfferReset { member: ada.id, was, lookup: [3; 32], ends_at: NOW.plus_secs(60) }).await.unwrap();
    let link = Change::OfferSignIn { account: ada.account.id, lookup: [7; 32], ends_at: NOW.plus_secs(60) };
    world.apply(link).await.unwrap();
    crate::passkeys::add(&world, &ada, b"an id").await;
    crate::identities::add(&world, &ada, "248289761001").await;
    let waits =
        NewDeviceLogin { lookup: [5; 32], user_code: [6; 32], agent: String::new(), ends_at: NOW.plus_secs(60) };
    assert!(world.catalog.begin_device_login(&waits, None, NOW).await.unwrap());
    world.catalog.reserve_try([4; 32], NOW).await.unwrap().unwrap();
    world.revoke(world.mine.key).await;
    world.catalog.make_deliveries(NOW).await.unwrap();
    let label = LabelRow { number: 9, api: 1, text: "GET /pets/{id}".to_owned() };
    let dimensions = Dimensions {
        organization: 1,
        api: 1,
        project: 1,
        key: 1,
        version: 0,
        label: 9,
        code: Code::Allowed,
        status: 200,
    };
    let dimensions = Dimensions { version: 2, ..dimensions };
    let event = UsageEvent {
        at: NOW,
        dimensions,
        client: Some([192, 0, 2, 1].into()),
        facets: Some(Box::new(Facets { end_user: Some("ada".into()), ..Facets::default() })),
        counts: Counts { calls: 1, ..Counts::default() },
    };
    world.ledger.append(1, 1, NOW, &[label], &vec![event.clone(); 7]).await.unwrap();
    world.ledger.roll_up().await.unwrap();
    world.ledger.append(1, 2, NOW, &[], &vec![event.clone(); 3]).await.unwrap();
    let (at, note) = (Some(NOW.plus_secs(-7_200)), "moves too".to_owned());
    let recorded = NewUsage { id: "a".to_owned(), api: 1, project: 1, at, calls: 0, cost: 4, corrects: None, note };
    world.ledger.record((1, "me"), NOW, &[recorded]).await.unwrap();
    world.ledger.begin_usage_place(&UsagePlace::beginning(1, NOW)).await.unwrap();
    world.ledger.log_requests(NOW, &[crate::requests::request(0)]).await.unwrap();
    world
}

async fn copy(from: &Kept, to: &Kept) -> Result<Vec<Copied>, CopyError> {
    let mut tables = Vec::new();
    upkeep::copy(from, to, &mut |table| tables.push(table.clone())).await?;
    Ok(tables)
}

#[tokio::test]
async fn an_installation_moves_between_engines_and_goes_on_there() {
    for (one, other) in ENGINES.iter().flat_map(|one| ENGINES.iter().map(move |other| (*one, *other))) {
        let world = full(one).await;
        let (organization, theirs) = (world.mine.id, world.theirs.id);
        let (api, revoked, project) = (world.mine.api, world.mine.key, world.mine.project);
        let revision = world.catalog.revision().await.unwrap();
        let before = world.catalog.feed_after(0, u32::MAX).await.unwrap();
        let folder = world.close().await;

        let place = TempDir::new().unwrap();
        std::fs::copy(folder.path().join("root.key"), place.path().join("root.key")).unwrap();
        let tables = copy(&kept(one, folder.path()), &kept(other, place.path())).await.unwrap();
        let rows = |name: &str| tables.iter().find(|table| table.table == name).unwrap().rows;
        assert_eq!((rows("keys"), rows("api_secrets"), rows("batches")), (1_207, 1, 1), "{one:?} to {other:?}");
        assert!(tables.iter().all(|table| table.rows > 0 || ["broken_batches", "idempotency"].contains(&table.table)));

        let Store { catalog, ledger } = other.open(place.path()).await.unwrap();
        assert_eq!(catalog.verify_audit().await.unwrap(), None);
        assert_eq!(catalog.revision().await.unwrap(), revision);
        assert_eq!(catalog.feed_after(0, u32::MAX).await.unwrap(), before);
        assert_eq!(catalog.count_keys(theirs).await.unwrap(), 1);
        let number = catalog.api(organization, api).await.unwrap().unwrap().number;
        let secrets = catalog.feed_api_secrets(number, api).await.unwrap().unwrap();
        assert_eq!(&*secrets[0].value, b"hidden", "the same root key opens it");
        let waiting = catalog.waiting_text(&Token::new([8; 32]), NOW).await.unwrap().unwrap();
        assert_eq!((waiting.key, &**waiting.text), (revoked, &b"waits"[..]), "what waits for a link goes with it");
        let filter = KeyFilter { name: Some("can be had back".to_owned()), ..KeyFilter::default() };
        let recoverable = catalog.keys(organization, filter, ALL).await.unwrap().remove(0).id;
        let (version, text) = catalog.key_text(organization, recoverable).await.unwrap().unwrap();
        assert_eq!((version, &text[..]), (1, &b"can be had back"[..]), "so does what can be had back");
        let webhook = catalog.webhooks(organization, ALL).await.unwrap().remove(0);
        assert_eq!(&**catalog.webhook_secrets(&webhook, NOW).await.unwrap()[0], b"first secret");
        assert_eq!(catalog.deliveries(&webhook, None, ALL).await.unwrap().len(), 8, "what waits goes with it");
        let query = UsageQuery {
            by: GroupBy { label: true, ..GroupBy::default() },
            ..UsageQuery::of((NOW, NOW.plus_secs(60)))
        };
        let usage = ledger.usage(&query).await.unwrap();
        assert_eq!((usage[0].label.as_deref(), usage[0].counts.calls), (Some("GET /pets/{id}"), 10));
        assert_eq!(ledger.facet_use(1, 1).await.unwrap()[0].value, "ada");
        let here = UsagePlace::beginning(1, NOW);
        assert_eq!(ledger.usage_places().await.unwrap(), [here], "and how far usage was told");
        let recount = ledger.recount((NOW.plus_secs(-7_200), NOW.plus_secs(60)), &[]).await.unwrap();
        assert_eq!((recount.events, recount.differing), (11, 0), "{recount:?}");

        // And on it goes: new rows get numbers of their own.
        let author = crate::world::author(organization);
        let key = new_key(&catalog, "made after the move");
        let id = key.id;
        let last = catalog.last_key_number().await.unwrap();
        catalog.apply(&author, Change::CreateKey { project, key, policy: policy("pets.read") }).await.unwrap();
        assert_eq!(catalog.key(organization, id).await.unwrap().unwrap().number, last + 1);
        assert!(catalog.key(organization, revoked).await.unwrap().is_some());
        let again = NewKey { id, ..new_key(&catalog, "moved 5 \u{1f511}") };
        let change = Change::CreateKey { project, key: again, policy: policy("pets.read") };
        assert!(catalog.apply(&author, change).await.is_err(), "a text that moved is known");
        catalog.close().await;
        ledger.close().await;
    }
}

#[tokio::test]
async fn nothing_is_copied_over_anything_nor_out_of_use_nor_from_nowhere() {
    for engine in ENGINES {
        let world = World::new(*engine).await;
        let here = kept(*engine, world.folder.path());
        let place = TempDir::new().unwrap();
        let there = kept(Engine::Sqlite, place.path());
        let in_use = copy(&here, &there).await.unwrap_err();
        assert!(
            matches!(in_use, CopyError::Open(OpenError::InUse { .. } | OpenError::DatabaseInUse { .. })),
            "{engine:?}: {in_use}"
        );
        assert!(!place.path().join("data").exists(), "nothing was made");
        let folder = world.close().await;
        let other = World::new(*engine).await.close().await;
        for to in [&here, &kept(*engine, other.path())] {
            let refused = copy(&here, to).await.unwrap_err();
            assert!(matches!(refused, CopyError::NotEmpty(_)), "{engine:?}: {refused}");
        }
        let nowhere = TempDir::new().unwrap();
        let refused = copy(&kept(*engine, nowhere.path()), &there).await.unwrap_err();
        assert!(matches!(refused, CopyError::Nothing(_)), "{engine:?}: {refused}");
        drop(folder);
    }
}

#[tokio::test]
async fn a_copy_that_was_broken_off_is_said_to_be_one() {
    let world = World::new(Engine::Sqlite).await;
    let here = kept(Engine::Sqlite, world.folder.path());
    let _folder = world.close().await;
    let place = TempDir::new().unwrap();
    let there = kept(Engine::Sqlite, place.path());
    copy(&here, &there).await.unwrap();
    // The catalogue comes last, in one piece.
    std::fs::write(place.path().join("data/catalog.db"), b"").unwrap();
    let refused = copy(&here, &there).await.unwrap_err();
    assert!(matches!(refused, CopyError::Unfinished(_)), "{refused}");
    let told = upkeep::status(&there).await.unwrap_err().to_string();
    assert!(told.contains("copy that was broken off"), "{told}");
}

#[tokio::test]
async fn status_counts_while_a_server_uses_it_and_migrate_waits_for_nobody() {
    for engine in ENGINES {
        let world = full(*engine).await;
        let kept = kept(*engine, world.folder.path());
        let status = upkeep::status(&kept).await.unwrap();
        assert!(status.catalog.is_current() && status.usage.is_current());
        assert_eq!(status.revision, world.catalog.revision().await.unwrap());
        assert!(status.rows.contains(&("keys", 1_206)) && status.rows.contains(&("APIs", 2)), "{:?}", status.rows);
        assert!(upkeep::migrate(&kept).await.is_err(), "it is in use");
        let _folder = world.close().await;
        assert!(upkeep::migrate(&kept).await.unwrap().unwrap().iter().all(|version| version.is_current()));
        let nowhere = TempDir::new().unwrap();
        let nowhere = self::kept(Engine::Sqlite, nowhere.path());
        assert_eq!(upkeep::status(&nowhere).await.unwrap().catalog.found, 0);
        assert_eq!(upkeep::migrate(&nowhere).await.unwrap(), None);
    }
}
