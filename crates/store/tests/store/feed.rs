//! Nodes learn of every change: whoever follows the feed knows what a full load knows.

use std::collections::BTreeMap;

use keystile_core::credit::{CreditHolder, CreditKind};
use keystile_core::decide::ActivationState;
use keystile_core::id::{ActivationId, ApiId, CreditGrantId, KeyId, PatternId, ProjectId, RoleId};
use keystile_core::key::KeyState;
use keystile_core::policy::Policy;
use keystile_core::time::Timestamp;
use keystile_store::records::{
    ActivationFilter, Api, CreditGrant, FeedKey, FeedProject, KeyFilter, NewVersion, Pattern, ProjectAbout,
    ProjectFilter, Role, Suspension, Wish,
};
use keystile_store::{ApplyError, Catalog, Change, Subject};

use crate::world::{ALL, Dice, NOW, Tenant, World, bytes, create_api, create_project, everywhere, new_key, policy};

/// What a node holds.
#[derive(Debug, Default, PartialEq)]
struct Node {
    revision: u64,
    apis: BTreeMap<u32, Api>,
    projects: BTreeMap<u32, FeedProject>,
    policies: BTreeMap<u32, Policy>,
    roles: BTreeMap<u32, Role>,
    patterns: BTreeMap<u32, Pattern>,
    credits: BTreeMap<u32, CreditGrant>,
    keys: BTreeMap<u32, FeedKey>,
}

impl Node {
    async fn load(catalog: &Catalog) -> Self {
        let revision = catalog.revision().await.unwrap();
        let mut node = Self {
            revision,
            apis: catalog.feed_apis().await.unwrap().into_iter().map(|api| (api.number, api)).collect(),
            projects: catalog.feed_projects().await.unwrap().into_iter().map(|one| (one.project.number, one)).collect(),
            policies: catalog.feed_policies(0).await.unwrap().into_iter().collect(),
            roles: catalog.feed_roles().await.unwrap().into_iter().map(|role| (role.number, role)).collect(),
            patterns: catalog.feed_patterns().await.unwrap().into_iter().map(|one| (one.number, one)).collect(),
            credits: catalog.feed_credits(NOW).await.unwrap().into_iter().map(|one| (one.number, one)).collect(),
            keys: BTreeMap::new(),
        };
        node.read_keys(catalog, 1, u32::MAX).await;
        node
    }

    async fn follow(&mut self, catalog: &Catalog) {
        for (revision, subject) in catalog.feed_after(self.revision, 10_000).await.unwrap() {
            assert_eq!(revision, self.revision + 1, "no revision is left out");
            self.revision = revision;
            match subject {
                Subject::Organization => {}
                Subject::Api(number) => {
                    put(&mut self.apis, number, catalog.feed_api(number).await.unwrap());
                }
                Subject::Project(number) => {
                    put(&mut self.projects, number, catalog.feed_project(number).await.unwrap());
                }
                Subject::Role(number) => {
                    put(&mut self.roles, number, catalog.feed_role(number).await.unwrap());
                }
                Subject::Pattern(number) => {
                    put(&mut self.patterns, number, catalog.feed_pattern(number).await.unwrap());
                }
                Subject::Credits(number) => {
                    let open = catalog.feed_credit(number).await.unwrap().filter(|one| one.revoked_at.is_none());
                    put(&mut self.credits, number, open);
                }
                Subject::Keys(first, last) => self.read_keys(catalog, first, last).await,
            }
        }
        let last = self.policies.keys().next_back().copied().unwrap_or(0);
        self.policies.extend(catalog.feed_policies(last).await.unwrap());
    }

    async fn read_keys(&mut self, catalog: &Catalog, first: u32, last: u32) {
        let mut before = 0;
        let mut keep = |key: FeedKey| {
            assert!(key.number > before, "in order");
            before = key.number;
            self.keys.insert(key.number, key);
        };
        catalog.feed_keys(first..=last, &mut keep).await.unwrap();
    }
}

fn put<T>(map: &mut BTreeMap<u32, T>, number: u32, value: Option<T>) {
    match value {
        Some(value) => map.insert(number, value),
        None => map.remove(&number),
    };
}

#[tokio::test]
async fn following_the_feed_is_as_good_as_loading_everything() {
    everywhere(async |world| {
        for seed in 0..6 {
            let mut dice = Dice(seed);
            let mut node = Node::load(&world.catalog).await;
            for round in 0..6 {
                for _ in 0..dice.below(8) {
                    let tenant = if dice.below(4) == 0 { world.theirs } else { world.mine };
                    let change = any_change(world, &tenant, &mut dice).await;
                    let name = format!("{change:?}");
                    match world.catalog.apply(&tenant.author(), change).await {
                        Ok(_) | Err(ApplyError::Exists(_) | ApplyError::NotFound("project")) => {}
                        Err(error) => panic!("{name}: {error:?}"),
                    }
                }
                node.follow(&world.catalog).await;
                assert_eq!(node, Node::load(&world.catalog).await, "seed {seed}, round {round}");
            }
        }
    })
    .await;
}

/// A change that could happen, of whatever there is.
async fn any_change(world: &World, tenant: &Tenant, dice: &mut Dice) -> Change {
    let catalog = &world.catalog;
    let projects = catalog.projects(tenant.id, &ProjectFilter::default(), ALL).await.unwrap();
    let apis = catalog.apis(tenant.id, None, ALL).await.unwrap();
    let keys = catalog.keys(tenant.id, KeyFilter::default(), ALL).await.unwrap();
    let links = catalog.activations(tenant.id, ActivationFilter::default(), ALL).await.unwrap();
    let links: Vec<_> = links.into_iter().filter(|link| link.api_organization == tenant.id).collect();
    let project = dice.pick(&projects.iter().collect::<Vec<_>>());
    let api = dice.pick(&apis.iter().collect::<Vec<_>>());
    let key = dice.pick(&keys.iter().collect::<Vec<_>>());
    let filter = KeyFilter { deleted_after: Some(Timestamp::from_secs(0)), ..KeyFilter::default() };
    let deleted = catalog.keys(tenant.id, filter, ALL).await.unwrap();
    let deleted = dice.pick(&deleted.iter().collect::<Vec<_>>());
    let link = dice.pick(&links.iter().collect::<Vec<_>>());
    let name = format!("name {}", dice.below(1_000));
    let roles = catalog.roles(tenant.id, None, ALL).await.unwrap();
    let role = dice.pick(&roles.iter().collect::<Vec<_>>());
    let named = role.filter(|_| dice.below(2) == 0).map(|role| role.id);
    let policy = policy(["pets.read", "pets.write", "pets.*"][dice.below(3) as usize]);
    let patterns = catalog.patterns(tenant.id, None, ALL).await.unwrap();
    let pattern = dice.pick(&patterns.iter().collect::<Vec<_>>());
    let assigned: Vec<PatternId> =
        pattern.filter(|_| dice.below(2) == 0).map(|pattern| pattern.id).into_iter().collect();
    let policy = Policy { roles: named.into_iter().collect(), patterns: assigned.clone(), ..policy };
    let state = ActivationState::ALL[dice.below(4) as usize];
    let granted = [None, Some(Vec::new()), Some(policy.permissions.clone())][dice.below(3) as usize].clone();
    let grants = catalog.feed_credits(NOW).await.unwrap();
    let own: Vec<_> = grants.iter().filter(|one| one.organization == tenant.id).collect();
    let grant = dice.pick(&own);
    match (dice.below(25), project, api, key, link) {
        (0, ..) => create_api(ApiId::from_entropy(bytes()), &name),
        (1, ..) => create_project(ProjectId::from_entropy(bytes()), &name),
        (2, Some(project), Some(api), ..) => Change::CreateActivation {
            id: ActivationId::from_entropy(bytes()),
            project: project.id,
            api: api.id,
            wish: Wish { permissions: granted, note: name, ..Wish::default() },
        },
        (3, .., Some(link)) => {
            Change::UpdateActivation { id: link.id, was: link.revision, state, reason: name, granted, plan: None }
        }
        (4, .., Some(link)) => Change::DeleteActivation { id: link.id },
        (13, Some(project), ..) => {
            let suspension = (dice.below(2) == 0).then_some(Suspension { since: NOW, reason: name });
            Change::SuspendProject { id: project.id, was: project.revision, suspension }
        }
        (5, Some(project), ..) if dice.below(3) == 0 => Change::DeleteProject { id: project.id },
        (6, _, Some(api), ..) if dice.below(3) == 0 => Change::DeleteApi { id: api.id },
        (7, _, Some(api), ..) => Change::UpdateApi {
            id: api.id,
            was: api.revision,
            name,
            active: dice.below(2) == 0,
            settings: api.settings.clone(),
            document: None,
        },
        (8, _, _, Some(key), _) => Change::UpdateKey {
            id: key.id,
            was: key.revision,
            name,
            policy,
            expires_at: Some(NOW),
            tags: keystile_core::metadata::Tags::default(),
        },
        (9, _, _, Some(key), _) => {
            let state = [KeyState::Active, KeyState::Disabled { since: NOW }, KeyState::Revoked { at: NOW }];
            let state = state[dice.below(3) as usize];
            Change::KeyState { id: key.id, was: key.revision, state, action: "revoke", reason: String::new() }
        }
        (10, _, _, Some(key), _) => Change::DeleteKey { id: key.id },
        (11, Some(project), ..) => {
            let keys =
                (0..dice.below(600)).map(|_| new_key(catalog, &format!("{}", dice.below(5_000))).into()).collect();
            Change::ImportKeys { project: project.id, keys, policy }
        }
        (12, Some(project), ..) => Change::UpdateProject {
            id: project.id,
            was: project.revision,
            about: ProjectAbout { name, patterns: assigned, ..ProjectAbout::default() },
        },
        (14, _, _, Some(key), _) => {
            let made = new_key(catalog, &format!("version {}", KeyId::from_entropy(bytes())));
            let fresh = NewVersion { hint: name, digest: made.digest, pepper_version: made.pepper_version, text: None };
            let was = key.revision;
            Change::RotateKey { id: key.id, was, fresh, former_ends_at: NOW.plus_secs(60), expires_at: key.expires_at }
        }
        (15, _, _, Some(key), _) if key.version > 1 => {
            let (was, version, ends_at) = (key.revision, key.version - 1, NOW.plus_secs(dice.below(9) as i64));
            Change::EndKeyVersion { id: key.id, was, version, ends_at, action: "end_version" }
        }
        (23, Some(project), ..) => Change::GrantCredits {
            id: CreditGrantId::from_entropy(bytes()),
            holder: CreditHolder::Project(project.id),
            kind: CreditKind::Paid,
            amount: 7,
            note: name,
            starts_at: NOW,
            ends_at: [None, Some(NOW.plus_secs(9))][dice.below(2) as usize],
        },
        (24, ..) if let Some(grant) = grant => {
            Change::RevokeCredits { id: grant.id, was: grant.revision, reason: name }
        }
        (17, ..) => crate::roles::create(RoleId::from_entropy(bytes()), &name.replace(' ', "-"), &["pets.read"]),
        (18, ..) if let Some(role) = role => Change::UpdateRole {
            id: role.id,
            was: role.revision,
            name: role.name.clone(),
            description: name,
            permissions: policy.permissions,
        },
        (20, ..) => crate::patterns::create(PatternId::from_entropy(bytes()), &name.replace(' ', "-")),
        (21, ..) if let Some(pattern) = pattern => Change::UpdatePattern {
            id: pattern.id,
            was: pattern.revision,
            name: pattern.name.clone(),
            description: name,
            filter: pattern.filter.clone(),
        },
        (22, ..) if let Some(pattern) = pattern => Change::DeletePattern { id: pattern.id, unassign: true },
        (19, ..) if let Some(role) = role => Change::DeleteRole { id: role.id, from_keys: true },
        (16, ..) if let Some(key) = deleted => Change::UndeleteKey { id: key.id },
        (_, Some(project), ..) => {
            let key = new_key(catalog, &format!("single {}", KeyId::from_entropy(bytes())));
            Change::CreateKey { project: project.id, key, policy }
        }
        _ => create_project(ProjectId::from_entropy(bytes()), &name),
    }
}

#[tokio::test]
async fn a_deleted_project_is_told_with_every_one_of_its_keys() {
    everywhere(async |world| {
        let mut node = Node::load(&world.catalog).await;
        let number = world.my_key(world.mine.key).await.number;
        assert!(!node.keys[&number].deleted);
        world.apply(Change::DeleteProject { id: world.mine.project }).await.unwrap();
        node.follow(&world.catalog).await;
        assert!(node.keys[&number].deleted);
    })
    .await;
}

#[tokio::test]
async fn ranges_of_keys_hold_what_was_asked_for_and_no_more() {
    everywhere(async |world| {
        let keys = (0..10).map(|n| new_key(&world.catalog, &format!("range {n}")).into()).collect();
        let change = Change::ImportKeys { project: world.mine.project, keys, policy: Policy::default() };
        world.apply(change).await.unwrap();
        let last = world.catalog.last_key_number().await.unwrap();
        assert_eq!(last, 12);
        for (range, expected) in [
            (1..=12, 12),
            (3..=5, 3),
            (12..=u32::MAX, 1),
            (0..=0, 0),
            (13..=20, 0),
            #[allow(clippy::reversed_empty_ranges, reason = "that is what is tried")]
            (5..=4, 0),
        ] {
            let mut numbers = Vec::new();
            world.catalog.feed_keys(range.clone(), &mut |key| numbers.push(key.number)).await.unwrap();
            assert_eq!(numbers.len(), expected, "{range:?}");
            assert!(numbers.iter().all(|number| range.contains(number)));
        }
    })
    .await;
}

#[tokio::test]
async fn the_feed_comes_in_parts_if_asked_so() {
    everywhere(async |world| {
        let all = world.catalog.feed_after(0, 1_000).await.unwrap();
        let mut parts = Vec::new();
        loop {
            let after = parts.last().map_or(0, |(revision, _)| *revision);
            let part = world.catalog.feed_after(after, 3).await.unwrap();
            if part.is_empty() {
                break;
            }
            assert!(part.len() <= 3);
            parts.extend(part);
        }
        assert_eq!(parts, all);
        assert_eq!(world.catalog.feed_after(u64::MAX, 10).await.unwrap(), []);
    })
    .await;
}
