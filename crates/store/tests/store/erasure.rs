//! Erasing (K43): what was written about somebody is in no file of the store afterwards, and the audit's chain stays whole.

use keystile_core::code::Code;
use keystile_core::member::{BuiltInRole, MemberRole};
use keystile_core::metadata::Tags;
use keystile_core::policy::Policy;
use keystile_core::usage::{Counts, Dimensions, Facets, UsageEvent};
use keystile_store::records::ProjectAbout;
use keystile_store::{ApplyError, Change};

use crate::people::{by, join, log_in};
use crate::world::{ENGINES, NOW, World, everywhere};

/// What must not be anywhere afterwards.
const CANARY: &str = "Zaphod Beeblebrox";

pub fn files_with(world: &World, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![world.folder.path().join("data")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if std::fs::read(&path).unwrap().windows(text.len()).any(|part| part == text.as_bytes()) {
                found.push(path.display().to_string());
            }
        }
    }
    found
}

#[tokio::test]
async fn k43_nothing_of_an_erased_project_is_in_any_file_and_the_chain_is_whole() {
    everywhere(async |world| {
        let (id, key) = (world.mine.project, world.mine.key);
        let project = world.catalog.project(world.mine.id, id).await.unwrap().unwrap();
        let about = ProjectAbout {
            name: CANARY.to_owned(),
            description: format!("Of {CANARY}"),
            contact: format!("{CANARY} <z@example.com>"),
            ..ProjectAbout::default()
        };
        world.apply(Change::UpdateProject { id, was: project.revision, about }).await.unwrap();
        let was = world.my_key(key).await.revision;
        let policy = crate::world::policy("zaphods.read");
        let name = format!("Phone of {CANARY}");
        world
            .apply(Change::UpdateKey { id: key, was, name, policy, expires_at: None, tags: Tags::default() })
            .await
            .unwrap();
        let number = world.my_key(key).await.number;
        let dimensions = Dimensions {
            organization: 1,
            api: 1,
            project: 1,
            key: number,
            version: 0,
            label: 0,
            code: Code::Allowed,
            status: 200,
        };
        let client = Some("203.0.113.77".parse().unwrap());
        let event =
            UsageEvent { at: NOW, dimensions, client, facets: None, counts: Counts { calls: 1, ..Counts::default() } };
        world.ledger.append(7, 1, NOW, &[], &[event]).await.unwrap();
        assert_eq!(world.ledger.address_use(number, NOW, 9).await.unwrap().len(), 1);
        let theirs = world.catalog.audit(world.theirs.id, None, 100).await.unwrap();

        let other = world.apply_as_other(Change::EraseProject { id }).await;
        assert!(matches!(other, Err(ApplyError::NotFound("project"))), "{other:?}");
        for _ in 0..2 {
            // Whoever asks again finds it done.
            world.apply(Change::EraseProject { id }).await.unwrap();
        }
        let keys = world.catalog.key_numbers_of(world.mine.id, id).await.unwrap();
        assert_eq!(keys, [number]);
        world.ledger.forget_addresses_of(&keys).await.unwrap();
        for text in [CANARY, "zaphods.read", "z@example.com", "203.0.113.77"] {
            assert_eq!(files_with(world, text), Vec::<String>::new(), "{text}");
        }
        assert!(world.catalog.project(world.mine.id, id).await.unwrap().is_none());
        let entries = world.catalog.audit(world.mine.id, None, 100).await.unwrap();
        assert_eq!((entries[0].action.as_str(), entries[0].subject.as_str()), ("project.erase", &*id.to_string()));
        let about_key = entries.iter().find(|entry| entry.action == "key.update").unwrap();
        assert!(about_key.is_erased && about_key.before.is_empty() && about_key.after.is_empty());
        assert_eq!(about_key.subject, key.to_string(), "who did what and when stays");
        assert_eq!(world.catalog.verify_audit().await.unwrap(), None, "E-5");
        assert_eq!(world.catalog.audit(world.theirs.id, None, 100).await.unwrap(), theirs, "others' are as they were");
    })
    .await;
}

#[tokio::test]
async fn k43_nothing_of_an_erased_person_is_in_any_file() {
    everywhere(async |world| {
        let (address, role) = ("zaphod@galaxy.example", crate::people::OWNER);
        join(world, world.mine.id, "ada@b.c", role).await;
        let zaphod = join(world, world.mine.id, address, role).await;
        let account = zaphod.account.id;
        world.catalog.apply(&by(&zaphod), Change::RenameAccount { account, name: CANARY.to_owned() }).await.unwrap();
        let session = log_in(world, &zaphod).await;
        crate::passkeys::add(world, &zaphod, b"an id of his").await;
        crate::identities::add(world, &zaphod, "subject-of-zaphod").await;
        let member = world.catalog.member(world.mine.id, zaphod.id).await.unwrap().unwrap();

        // Whoever is elsewhere too is not one organization's to erase.
        let elsewhere = crate::people::invite(world.theirs.id, None, MemberRole::BuiltIn(BuiltInRole::Auditor));
        world.apply_as_other(Change::Invite(elsewhere.clone())).await.unwrap();
        let joining = keystile_store::records::Joining::Known(account, None);
        let there = keystile_core::id::MemberId::from_entropy(crate::world::bytes());
        let accept = Change::AcceptInvitation { lookup: elsewhere.lookup, member: there, joining };
        world.apply_as_other(accept).await.unwrap();
        let erase = Change::EraseMember { id: zaphod.id, was: member.revision };
        let refused = world.apply(erase.clone()).await;
        assert!(matches!(refused, Err(ApplyError::Conflict(_))), "{refused:?}");
        assert!(crate::people::is_open(world, &session).await, "what is refused changes nothing");
        let was = world.catalog.member(world.theirs.id, there).await.unwrap().unwrap().revision;
        world.apply_as_other(Change::DeleteMember { id: there, was }).await.unwrap();

        // Whoever was taken away before is erased as well.
        world.apply(Change::DeleteMember { id: zaphod.id, was: member.revision }).await.unwrap();
        // What he did elsewhere is the others' to know.
        let mut elsewhere = by(&zaphod);
        (elsewhere.actor.organization, elsewhere.actor.address) =
            (world.theirs.id, Some("192.0.2.55".parse().unwrap()));
        let noted = Change::Note { action: "account.export", subject: account.to_string(), made: None };
        world.catalog.apply(&elsewhere, noted).await.unwrap();
        let theirs = world.catalog.audit(world.theirs.id, None, 100).await.unwrap();
        let mut failed = world.mine.author();
        (failed.actor.who, failed.actor.address) =
            (keystile_store::Who::System("login"), Some("198.51.100.7".parse().unwrap()));
        let wrong = Change::FailLogin { account: Some(account), failure: keystile_store::records::Failure::Passkey };
        world.catalog.apply(&failed, wrong).await.unwrap();
        world.apply(erase).await.unwrap();
        for text in [address, CANARY, "an id of his", "subject-of-zaphod", "198.51.100.7"] {
            assert_eq!(files_with(world, text), Vec::<String>::new(), "{text}");
        }
        assert!(!crate::people::is_open(world, &session).await);
        assert_eq!(world.catalog.audit(world.theirs.id, None, 100).await.unwrap(), theirs);
        world.apply_as_other(Change::EraseMember { id: there, was: 0 }).await.unwrap();
        assert_eq!(files_with(world, "192.0.2.55"), Vec::<String>::new(), "theirs to erase");
        assert_eq!(world.catalog.verify_audit().await.unwrap(), None);
        // The address is anybody's again.
        join(world, world.mine.id, address, role).await;
    })
    .await;
}

#[tokio::test]
async fn k43_e05_details_go_with_their_time_and_nothing_else_is_taken_out_unseen() {
    for engine in ENGINES {
        let world = &World::new(*engine).await;
        let key = world.add_key("of before").await;
        world.revoke(key).await;
        let policy = Policy::default();
        let new = crate::world::new_key(&world.catalog, "of now");
        let later = keystile_store::Author { at: NOW.plus_secs(60), ..world.mine.author() };
        let change = Change::CreateKey { project: world.mine.project, key: new, policy };
        world.catalog.apply(&later, change).await.unwrap();
        let mut erased = 0;
        loop {
            match world.catalog.erase_audit_before(NOW.plus_secs(60), 2).await.unwrap() {
                0 => break,
                some => erased += some,
            }
        }
        assert!(erased > 3, "{erased}");
        let entries = world.catalog.audit(world.mine.id, None, 100).await.unwrap();
        assert!(!entries[0].is_erased && !entries[0].after.is_empty(), "what is younger stays");
        assert!(entries[1..].iter().all(|entry| entry.is_erased && entry.after.is_empty()));
        assert_eq!(world.catalog.verify_audit().await.unwrap(), None);

        // The chain before an erased entry is bound as ever: whoever alters one of before and reckons its hash anew is found out.
        world.catalog.apply(&later, Change::EraseProject { id: world.mine.project }).await.unwrap();
        let erased = world.catalog.audit(world.mine.id, None, 1).await.unwrap()[0].sequence - 1;
        assert_eq!(world.catalog.verify_audit().await.unwrap(), None);
        crate::tampering::run_in(
            world,
            *engine,
            &format!(
                "UPDATE audit SET hash = {} WHERE sequence = {}",
                if matches!(engine, crate::world::Engine::Sqlite) {
                    "zeroblob(32)"
                } else {
                    "decode(repeat('00', 32), 'hex')"
                },
                erased - 1
            ),
        )
        .await;
        let broken = world.catalog.verify_audit().await.unwrap();
        assert!(broken.is_some_and(|broken| broken <= erased), "{engine:?}: {broken:?}");
    }
}

#[tokio::test]
async fn e05_what_was_altered_is_not_erased() {
    for engine in ENGINES {
        let world = &World::new(*engine).await;
        let key = world.add_key("of before").await;
        world.revoke(key).await;
        let sequence = world.catalog.audit(world.mine.id, None, 1).await.unwrap()[0].sequence;
        let forge = format!("UPDATE audit SET actor = 'system:x', at = 0 WHERE sequence = {sequence}");
        crate::tampering::run_in(world, *engine, &forge).await;
        assert!(world.catalog.erase_audit_before(NOW.plus_secs(60), 1_000).await.unwrap() > 3);
        assert_eq!(
            world.catalog.verify_audit().await.unwrap(),
            Some(sequence),
            "{engine:?}: nobody seals what was forged"
        );
        world.apply(Change::EraseProject { id: world.mine.project }).await.unwrap();
        assert_eq!(world.catalog.verify_audit().await.unwrap(), Some(sequence));
    }
}

#[tokio::test]
async fn e05_nobody_makes_an_entry_look_erased_without_the_root_key() {
    for engine in ENGINES {
        let world = &World::new(*engine).await;
        world.add_key("of now").await;
        let sequence = world.catalog.audit(world.mine.id, None, 1).await.unwrap()[0].sequence;
        let forge =
            format!("UPDATE audit SET before = '', after = '', address = '', erased = 'x' WHERE sequence = {sequence}");
        crate::tampering::run_in(world, *engine, &forge).await;
        assert_eq!(world.catalog.verify_audit().await.unwrap(), Some(sequence), "{engine:?}");
    }
}

#[tokio::test]
async fn k43_who_was_invited_and_never_came_is_forgotten_after_a_month() {
    everywhere(async |world| {
        let address = "never-came@example.org";
        let role = MemberRole::BuiltIn(BuiltInRole::Auditor);
        let invite = crate::people::invite(world.mine.id, Some(address), role);
        world.apply(Change::Invite(invite.clone())).await.unwrap();
        let month = invite.ends_at.plus_secs(30 * 24 * 3_600);
        for (at, kept) in [(month.plus_secs(-1), true), (month, false)] {
            world.catalog.forget_sessions(&crate::people::LIMITS, at).await.unwrap();
            let found = world.catalog.invitation(world.mine.id, invite.id).await.unwrap().unwrap();
            assert_eq!(found.email.is_some(), kept);
        }
        world.catalog.wipe().await.unwrap();
        assert_eq!(files_with(world, address), Vec::<String>::new());
    })
    .await;
}

#[tokio::test]
async fn k43_who_called_is_in_no_file_however_often_it_was_counted_and_wherever_its_rows_were_moved() {
    everywhere(async |world| {
        let of = |project: u32, turn: u64| {
            let dimensions = Dimensions {
                organization: 1,
                api: 1,
                project,
                key: project,
                version: 0,
                label: 0,
                code: Code::Allowed,
                status: 200,
            };
            let facets = Facets { end_user: Some(format!("{CANARY} {project:03}").into()), ..Facets::default() };
            // Another latency at each turn: rows grow and pages are divided.
            let counts = Counts { calls: 1, latency_us: 1 << (turn % 40), ..Counts::default() };
            UsageEvent { at: NOW, dimensions, client: None, facets: Some(Box::new(facets)), counts }
        };
        for turn in 1..=40 {
            let events: Vec<_> =
                (1..=60).filter(|project| (u64::from(*project) + turn) % 3 > 0).map(|one| of(one, turn)).collect();
            world.ledger.append(7, turn, NOW, &[], &events).await.unwrap();
            world.ledger.roll_up().await.unwrap();
        }
        let erased: Vec<u32> = (1..=60).filter(|project| project % 2 == 0).collect();
        world.ledger.forget_facets_of(&erased).await.unwrap();
        for project in erased {
            assert_eq!(files_with(world, &format!("{CANARY} {project:03}")), Vec::<String>::new(), "{project}");
        }
    })
    .await;
}
