//! The overview of access: which project may call what, since when, granted by whom.

use keystile_core::decide::ActivationState;
use keystile_core::id::{ActivationId, ApiId, ProjectId};
use keystile_core::key::{Environment, KeyKind, KeyState};
use keystile_core::policy::Policy;
use keystile_store::records::{Access, ActivationFilter, NewKey, Page, ProjectAbout, Suspension, Wish};
use keystile_store::{Author, Change};

use crate::world::{ALL, NOW, Tenant, World, bytes, create_api, everywhere, new_key};

async fn access(world: &World, tenant: &Tenant, filter: ActivationFilter) -> Vec<Access> {
    world.catalog.access(tenant.id, filter, NOW, ALL).await.unwrap()
}

#[tokio::test]
async fn both_sides_of_a_link_see_its_line_and_nobody_else() {
    everywhere(async |world| {
        let (mine, theirs) = (world.mine, world.theirs);
        let own = access(world, &mine, ActivationFilter::default()).await;
        assert_eq!(own.iter().map(|line| line.activation).collect::<Vec<_>>(), [mine.activation]);

        let id = ActivationId::from_entropy(bytes());
        let wish =
            Wish { permissions: Some(vec!["pets.read".parse().unwrap()]), note: String::new(), ..Wish::default() };
        world.apply(Change::CreateActivation { id, project: mine.project, api: theirs.api, wish }).await.unwrap();
        for tenant in [&mine, &theirs] {
            let lines = access(world, tenant, ActivationFilter::default()).await;
            assert_eq!(lines.iter().map(|line| line.activation).collect::<Vec<_>>(), [id, tenant.activation]);
            let line = &lines[0];
            assert_eq!((line.project.id, line.project.name.as_str()), (mine.project, "mine"));
            assert_eq!((line.project.organization, line.project.organization_name.as_str()), (mine.id, "mine"));
            assert_eq!((line.api.id, line.api.name.as_str(), line.api.organization), (theirs.api, "theirs", theirs.id));
            assert_eq!((line.state, line.since, &line.judged_by), (ActivationState::Requested, NOW, &None));
            assert_eq!((line.environment, line.is_suspended, line.active_keys), (Environment::Live, false, 1));
            assert_eq!(line.granted, None, "nothing yet");
        }
        let was = world.catalog.activation(mine.id, id).await.unwrap().unwrap().revision;
        let granted = Some(vec!["pets.*".parse().unwrap()]);
        let (state, reason) = (ActivationState::Approved, String::new());
        world
            .apply_as_other(Change::UpdateActivation { id, was, state, reason, granted: granted.clone(), plan: None })
            .await
            .unwrap();
        let line = &access(world, &mine, ActivationFilter::default()).await[0];
        assert_eq!((line.state, line.judged_by.as_deref()), (ActivationState::Approved, Some("system:test")));
        assert_eq!(line.granted, granted);
        // Asked for once more, it is a request since then.
        let (hour, day) = (NOW.plus_secs(3_600), NOW.plus_secs(86_400));
        let was = async || world.catalog.activation(mine.id, id).await.unwrap().unwrap().revision;
        let refuse = Change::UpdateActivation {
            id,
            was: was().await,
            state: ActivationState::Refused,
            reason: String::new(),
            granted: None,
            plan: None,
        };
        world.catalog.apply(&Author { at: hour, ..theirs.author() }, refuse).await.unwrap();
        assert_eq!(access(world, &mine, ActivationFilter::default()).await[0].since, hour);
        let again = Change::RequestActivation { id, was: was().await, wish: Wish::default() };
        world.catalog.apply(&Author { at: day, ..mine.author() }, again).await.unwrap();
        let line = &access(world, &mine, ActivationFilter::default()).await[0];
        assert_eq!((line.state, line.since), (ActivationState::Requested, day));
        let (state, reason) = (ActivationState::Approved, String::new());
        let approve = Change::UpdateActivation { id, was: was().await, state, reason, granted, plan: None };
        world.apply_as_other(approve).await.unwrap();
        for (filter, found) in [
            (ActivationFilter { project: Some(mine.project), ..ActivationFilter::default() }, 2),
            (ActivationFilter { project: Some(theirs.project), ..ActivationFilter::default() }, 0),
            (ActivationFilter { api: Some(theirs.api), ..ActivationFilter::default() }, 1),
            (ActivationFilter { state: Some(ActivationState::Approved), ..ActivationFilter::default() }, 2),
            (ActivationFilter { state: Some(ActivationState::Requested), ..ActivationFilter::default() }, 0),
        ] {
            assert_eq!(access(world, &mine, filter).await.len(), found, "{filter:?}");
        }
        world.apply(Change::DeleteActivation { id }).await.unwrap();
        assert_eq!(access(world, &theirs, ActivationFilter::default()).await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn the_keys_that_could_call_are_counted_once_a_project() {
    everywhere(async |world| {
        let mine = world.mine;
        for (name, change) in [("management", 0), ("ended", 1), ("lasting", 2), ("disabled", 3), ("deleted", 4)] {
            let key = new_key(&world.catalog, name);
            let key = match change {
                0 => NewKey { kind: KeyKind::Management, ..key },
                1 => NewKey { expires_at: Some(NOW), ..key },
                2 => NewKey { expires_at: Some(NOW.plus_secs(1)), ..key },
                _ => key,
            };
            let id = key.id;
            world.apply(Change::CreateKey { project: mine.project, key, policy: Policy::default() }).await.unwrap();
            let was = world.my_key(id).await.revision;
            if change == 3 {
                let state = KeyState::Disabled { since: NOW };
                world
                    .apply(Change::KeyState { id, was, state, action: "disable", reason: String::new() })
                    .await
                    .unwrap();
            } else if change == 4 {
                world.apply(Change::DeleteKey { id }).await.unwrap();
            }
        }
        let api = ApiId::from_entropy(bytes());
        world.apply(create_api(api, "second")).await.unwrap();
        let (id, wish) = (ActivationId::from_entropy(bytes()), Wish::default());
        world.apply(Change::CreateActivation { id, project: mine.project, api, wish }).await.unwrap();
        let suspension = Some(Suspension { since: NOW, reason: String::new() });
        let was = world.catalog.project(mine.id, mine.project).await.unwrap().unwrap().revision;
        world.apply(Change::SuspendProject { id: mine.project, was, suspension }).await.unwrap();
        let lines = access(world, &mine, ActivationFilter::default()).await;
        let told: Vec<_> = lines.iter().map(|line| (line.active_keys, line.is_suspended)).collect();
        assert_eq!(told, [(2, true); 2], "the first one and the lasting one");

        // A project without keys has none.
        let project = ProjectId::from_entropy(bytes());
        let about = ProjectAbout { name: "empty".to_owned(), ..ProjectAbout::default() };
        world.apply(Change::CreateProject { id: project, about, environment: Environment::Test }).await.unwrap();
        let (id, wish) = (ActivationId::from_entropy(bytes()), Wish::default());
        world.apply(Change::CreateActivation { id, project, api, wish }).await.unwrap();
        let page = |before, limit| Page { before, limit };
        let first = world.catalog.access(mine.id, ActivationFilter::default(), NOW, page(None, 1)).await.unwrap();
        assert_eq!((first.len(), first[0].active_keys, first[0].environment), (1, 0, Environment::Test));
        let before = Some(first[0].number);
        let rest = world.catalog.access(mine.id, ActivationFilter::default(), NOW, page(before, 10)).await.unwrap();
        assert_eq!(rest, lines, "pages follow each other");
    })
    .await;
}
