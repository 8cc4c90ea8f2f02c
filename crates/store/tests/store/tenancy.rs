//! None of an organization's rows is seen or changed by another one (Z-5, API1).

use keystile_core::decide::ActivationState;
use keystile_core::id::{ActivationId, ApiId, OrganizationId, ProjectId};
use keystile_core::key::KeyState;
use keystile_core::policy::Policy;
use keystile_store::records::{ActivationFilter, KeyFilter, ProjectAbout, ProjectFilter, Wish};
use keystile_store::{ApplyError, Change};

use crate::world::{ALL, NOW, author, bytes, create_api, create_project, everywhere, new_key, settings};

#[tokio::test]
async fn z05_lists_hold_only_what_is_ones_own() {
    everywhere(async |world| {
        let (catalog, mine) = (&world.catalog, world.mine);
        let apis: Vec<_> = catalog.apis(mine.id, None, ALL).await.unwrap().iter().map(|api| api.id).collect();
        assert_eq!(apis, [mine.api]);
        let projects: Vec<_> = catalog
            .projects(mine.id, &ProjectFilter::default(), ALL)
            .await
            .unwrap()
            .iter()
            .map(|project| project.id)
            .collect();
        assert_eq!(projects, [mine.project]);
        let keys = catalog.keys(mine.id, KeyFilter::default(), ALL).await.unwrap();
        assert_eq!(keys.iter().map(|key| key.id).collect::<Vec<_>>(), [mine.key]);
        let links = catalog.activations(mine.id, ActivationFilter::default(), ALL).await.unwrap();
        assert_eq!(links.iter().map(|link| link.id).collect::<Vec<_>>(), [mine.activation]);
        assert_eq!(catalog.count_keys(mine.id).await.unwrap(), 1);
        let entries = catalog.audit(mine.id, None, 100).await.unwrap();
        assert!(entries.iter().all(|entry| entry.organization == mine.id));
        assert_eq!(entries.len(), 5);

        // A filter by what is another's finds nothing, rather than everything.
        let theirs = world.theirs;
        let by_project = KeyFilter { project: Some(theirs.project), ..KeyFilter::default() };
        assert_eq!(catalog.keys(mine.id, by_project, ALL).await.unwrap(), []);
        let by_api = ActivationFilter { api: Some(theirs.api), ..ActivationFilter::default() };
        assert_eq!(catalog.activations(mine.id, by_api, ALL).await.unwrap(), []);
    })
    .await;
}

#[tokio::test]
async fn z05_what_is_anothers_can_not_be_read() {
    everywhere(async |world| {
        let (catalog, mine, theirs) = (&world.catalog, world.mine.id, world.theirs);
        assert_eq!(catalog.api(mine, theirs.api).await.unwrap(), None);
        assert_eq!(catalog.project(mine, theirs.project).await.unwrap(), None);
        assert_eq!(catalog.activation(mine, theirs.activation).await.unwrap(), None);
        assert_eq!(catalog.key(mine, theirs.key).await.unwrap(), None);
        assert_eq!(catalog.api_number(mine, theirs.api).await.unwrap(), None);
        assert_eq!(catalog.project_number(mine, theirs.project).await.unwrap(), None);
        assert_eq!(catalog.key_number(mine, theirs.key).await.unwrap(), None);
        assert!(catalog.key_number(theirs.id, theirs.key).await.unwrap().is_some());
    })
    .await;
}

#[tokio::test]
async fn z05_what_is_anothers_can_not_be_changed() {
    everywhere(async |world| {
        let (catalog, theirs) = (&world.catalog, world.theirs);
        let was = |revision: Option<u64>| revision.unwrap();
        let api_was = was(catalog.api(theirs.id, theirs.api).await.unwrap().map(|api| api.revision));
        let project_was = was(catalog.project(theirs.id, theirs.project).await.unwrap().map(|p| p.revision));
        let link_was = was(catalog.activation(theirs.id, theirs.activation).await.unwrap().map(|a| a.revision));
        let key_was = was(catalog.key(theirs.id, theirs.key).await.unwrap().map(|key| key.revision));
        let text = String::new;
        let key = new_key(catalog, "another key");
        let before = catalog.revision().await.unwrap();
        for change in [
            Change::UpdateApi {
                id: theirs.api,
                was: api_was,
                name: text(),
                active: false,
                settings: settings(1),
                document: None,
            },
            Change::DeleteApi { id: theirs.api },
            Change::UpdateProject { id: theirs.project, was: project_was, about: ProjectAbout::default() },
            Change::SuspendProject { id: theirs.project, was: project_was, suspension: None },
            Change::DeleteProject { id: theirs.project },
            Change::UpdateActivation {
                id: theirs.activation,
                was: link_was,
                state: ActivationState::Refused,
                reason: text(),
                granted: None,
                plan: None,
            },
            Change::RequestActivation { id: theirs.activation, was: link_was, wish: Wish::default() },
            Change::DeleteActivation { id: theirs.activation },
            Change::CreateKey { project: theirs.project, key: key.clone(), policy: Policy::default() },
            Change::ImportKeys { project: theirs.project, keys: vec![key.into()], policy: Policy::default() },
            Change::UpdateKey {
                id: theirs.key,
                was: key_was,
                name: text(),
                policy: Policy::default(),
                expires_at: None,
                tags: keystile_core::metadata::Tags::default(),
            },
            Change::KeyState {
                id: theirs.key,
                was: key_was,
                state: KeyState::Revoked { at: NOW },
                action: "revoke",
                reason: String::new(),
            },
            Change::DeleteKey { id: theirs.key },
        ] {
            let name = format!("{change:?}");
            let refused = world.apply(change).await;
            assert!(matches!(refused, Err(ApplyError::NotFound(_))), "{name}: {refused:?}");
        }
        assert_eq!(catalog.revision().await.unwrap(), before, "nothing was changed");
    })
    .await;
}

#[tokio::test]
async fn z05_an_organization_that_does_not_exist_changes_nothing() {
    everywhere(async |world| {
        let nobody = author(OrganizationId::from_entropy(bytes()));
        let change = create_project(ProjectId::from_entropy(bytes()), "x");
        assert!(matches!(world.catalog.apply(&nobody, change).await, Err(ApplyError::NotFound(_))));
    })
    .await;
}

#[tokio::test]
async fn z05_a_link_needs_one_side_and_only_the_apis_side_grants() {
    everywhere(async |world| {
        let (mine, theirs) = (world.mine, world.theirs);
        let id = ActivationId::from_entropy(bytes());
        let link = |project, api| Change::CreateActivation { id, project, api, wish: Wish::default() };
        // Neither side is mine.
        let refused = world.apply(link(theirs.project, theirs.api)).await;
        assert!(matches!(refused, Err(ApplyError::NotFound(_))), "{refused:?}");
        // What is another's can be asked for.
        world.apply(link(mine.project, theirs.api)).await.unwrap();

        // Both see it; only they decide.
        let seen = world.catalog.activation(mine.id, id).await.unwrap().unwrap();
        assert_eq!(world.catalog.activation(theirs.id, id).await.unwrap().as_ref(), Some(&seen));
        assert_eq!((seen.state, &seen.judged), (ActivationState::Requested, &None));
        let grant = |was| Change::UpdateActivation {
            id,
            was,
            state: ActivationState::Approved,
            reason: String::new(),
            granted: None,
            plan: None,
        };
        assert!(matches!(world.apply(grant(seen.revision)).await, Err(ApplyError::NotFound(_))));
        world.apply_as_other(grant(seen.revision)).await.unwrap();
        assert_eq!(world.catalog.activation(mine.id, id).await.unwrap().unwrap().state, ActivationState::Approved);

        // Both may end it.
        world.apply(Change::DeleteActivation { id }).await.unwrap();
        assert_eq!(world.catalog.activation(theirs.id, id).await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn an_api_that_goes_takes_the_links_of_other_organizations_with_it() {
    everywhere(async |world| {
        let api = ApiId::from_entropy(bytes());
        world.apply(create_api(api, "shared")).await.unwrap();
        let id = ActivationId::from_entropy(bytes());
        let (project, wish) = (world.theirs.project, Wish::default());
        world.apply(Change::CreateActivation { id, project, api, wish }).await.unwrap();
        world.apply(Change::DeleteApi { id: api }).await.unwrap();
        assert_eq!(world.catalog.activation(world.theirs.id, id).await.unwrap(), None);
        assert!(world.catalog.activation(world.theirs.id, world.theirs.activation).await.unwrap().is_some());
    })
    .await;
}
