//! What is asked for at an API, who grants it and when, and what an owner's word is worth after a link was deleted.

use keystile_core::api::{ApiSettings, Approval, Environments};
use keystile_core::decide::ActivationState;
use keystile_core::id::{ActivationId, ApiId, ProjectId};
use keystile_core::key::Environment;
use keystile_core::permission::Permission;
use keystile_store::records::{Activation, Judgement, ProjectAbout, Wish};
use keystile_store::{ApplyError, Change};

use crate::world::{NOW, World, bytes, create_api, everywhere};

fn permissions(texts: &[&str]) -> Vec<Permission> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

/// An API of the other organization's.
async fn their_api(world: &World, approval: Approval, environments: Environments) -> ApiId {
    let id = ApiId::from_entropy(bytes());
    let Change::CreateApi { name, settings, document, .. } = create_api(id, "shared") else { unreachable!() };
    let settings = ApiSettings { approval, environments, ..settings };
    world.apply_as_other(Change::CreateApi { id, name, settings, document }).await.unwrap();
    id
}

/// Asks for an API with my project.
async fn ask(world: &World, api: ApiId, wish: Wish) -> Activation {
    let (id, project) = (ActivationId::from_entropy(bytes()), world.mine.project);
    world.apply(Change::CreateActivation { id, project, api, wish }).await.unwrap();
    seen(world, id).await
}

async fn seen(world: &World, id: ActivationId) -> Activation {
    world.catalog.activation(world.mine.id, id).await.unwrap().unwrap()
}

fn judge(link: &Activation, state: ActivationState, granted: Option<Vec<Permission>>) -> Change {
    Change::UpdateActivation {
        id: link.id,
        was: link.revision,
        state,
        reason: "because".to_owned(),
        granted,
        plan: None,
    }
}

#[tokio::test]
async fn what_is_asked_for_is_seen_before_it_is_granted_and_who_judged_when() {
    everywhere(async |world| {
        let api = their_api(world, Approval::Manual, Environments::BOTH).await;
        let wish = Wish {
            permissions: Some(permissions(&["pets.*", "shop.read"])),
            note: "For the shop".to_owned(),
            ..Wish::default()
        };
        let link = ask(world, api, wish.clone()).await;
        assert_eq!((link.state, &link.wish), (ActivationState::Requested, &wish));
        assert_eq!((&link.granted, &link.judged, link.reason.as_str()), (&None, &None, ""));

        let refused = judge(&link, ActivationState::Refused, None);
        world.catalog.apply(&world.theirs.author(), refused).await.unwrap();
        let link = seen(world, link.id).await;
        let by_test = Some(Judgement { by: "system:test".to_owned(), at: NOW });
        assert_eq!((link.state, &link.judged, link.reason.as_str()), (ActivationState::Refused, &by_test, "because"));
        assert_eq!(link.wish, wish);

        // Asked once more, with less.
        let wish = Wish { permissions: Some(permissions(&["pets.read"])), note: String::new(), ..Wish::default() };
        let again = Change::RequestActivation { id: link.id, was: link.revision, wish: wish.clone() };
        let by_owner = world.apply_as_other(again.clone()).await;
        assert!(matches!(by_owner, Err(ApplyError::NotFound(_))), "nobody asks for others: {by_owner:?}");
        world.apply(again.clone()).await.unwrap();
        let link = seen(world, link.id).await;
        assert_eq!((link.state, &link.wish), (ActivationState::Requested, &wish));
        assert!(matches!(world.apply(again).await, Err(ApplyError::Stale)));
        let again = Change::RequestActivation { id: link.id, was: link.revision, wish: wish.clone() };
        assert!(matches!(world.apply(again).await, Err(ApplyError::Conflict(_))), "it is asked for already");

        world.apply_as_other(judge(&link, ActivationState::Approved, wish.permissions.clone())).await.unwrap();
        let link = seen(world, link.id).await;
        assert_eq!((link.state, &link.granted), (ActivationState::Approved, &wish.permissions));
        let again = Change::RequestActivation { id: link.id, was: link.revision, wish };
        assert!(matches!(world.apply(again).await, Err(ApplyError::Conflict(_))), "there is nothing to ask for");
        // Nodes hold what was granted.
        let project = world.catalog.project(world.mine.id, world.mine.project).await.unwrap().unwrap();
        let fed = world.catalog.feed_project(project.number).await.unwrap().unwrap();
        let api = world.catalog.api(world.theirs.id, api).await.unwrap().unwrap().number;
        let fed = fed.activations.iter().find(|link| link.api == api).unwrap();
        assert_eq!((fed.state, &fed.granted), (ActivationState::Approved, &link.granted));
    })
    .await;
}

#[tokio::test]
async fn an_own_api_grants_at_once_what_is_asked_for() {
    everywhere(async |world| {
        let api = ApiId::from_entropy(bytes());
        world.apply(create_api(api, "own")).await.unwrap();
        let wish = Wish { permissions: Some(Vec::new()), note: String::new(), ..Wish::default() };
        let link = ask(world, api, wish.clone()).await;
        assert_eq!((link.state, &link.granted), (ActivationState::Approved, &Some(Vec::new())));
        assert_eq!(link.judged.unwrap().by, "system:test");
    })
    .await;
}

#[tokio::test]
async fn an_automatic_api_lets_in_whoever_was_never_turned_away() {
    everywhere(async |world| {
        let wish = || Wish { permissions: Some(permissions(&["pets.read"])), note: String::new(), ..Wish::default() };
        for (last_word, let_in) in [
            (None, true),
            (Some(ActivationState::Approved), true),
            (Some(ActivationState::Suspended), false),
            (Some(ActivationState::Refused), false),
        ] {
            let api = their_api(world, Approval::Automatic, Environments::BOTH).await;
            let mut link = ask(world, api, wish()).await;
            assert_eq!((link.state, &link.granted), (ActivationState::Approved, &wish().permissions));
            let judged = Some(Judgement { by: "system:automatic".to_owned(), at: NOW });
            assert_eq!((&link.judged, link.reason.as_str()), (&judged, "approved by the API's setting"));
            if let Some(state) = last_word {
                world.apply_as_other(judge(&link, state, None)).await.unwrap();
                link = seen(world, link.id).await;
            }
            if last_word == Some(ActivationState::Refused) {
                // Asking again, and taking the request back, does not make it forgotten.
                let again = Change::RequestActivation { id: link.id, was: link.revision, wish: wish() };
                world.apply(again).await.unwrap();
                assert_eq!(seen(world, link.id).await.state, ActivationState::Requested);
            }
            for round in 0..3 {
                world.apply(Change::DeleteActivation { id: link.id }).await.unwrap();
                link = ask(world, api, wish()).await;
                assert_eq!(link.state == ActivationState::Approved, let_in, "{last_word:?}, round {round}");
            }
            // Its owner may think better of it, and then that is the last word.
            world.apply_as_other(judge(&link, ActivationState::Approved, None)).await.unwrap();
            world.apply(Change::DeleteActivation { id: link.id }).await.unwrap();
            assert_eq!(ask(world, api, wish()).await.state, ActivationState::Approved, "{last_word:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_link_that_could_let_nobody_through_is_not_made() {
    everywhere(async |world| {
        let test = Environments::of(&[Environment::Test]).unwrap();
        let api = their_api(world, Approval::Automatic, test).await;
        let link = |project| {
            let (id, wish) = (ActivationId::from_entropy(bytes()), Wish::default());
            Change::CreateActivation { id, project, api, wish }
        };
        let refused = world.apply(link(world.mine.project)).await.unwrap_err().to_string();
        assert!(refused.contains("takes test keys and the project's are live; use a test project"), "{refused}");
        let project = ProjectId::from_entropy(bytes());
        let about = ProjectAbout { name: "trials".to_owned(), ..ProjectAbout::default() };
        world.apply(Change::CreateProject { id: project, about, environment: Environment::Test }).await.unwrap();
        let change = link(project);
        let Change::CreateActivation { id, .. } = change else { unreachable!() };
        world.apply(change).await.unwrap();

        // What an owner has narrowed is not approved again either; it can be suspended.
        let api = world.catalog.api(world.theirs.id, api).await.unwrap().unwrap();
        let live = Environments::of(&[Environment::Live]).unwrap();
        let settings = ApiSettings { environments: live, ..api.settings };
        let (name, active, document) = (api.name, true, None);
        let narrowed = Change::UpdateApi { id: api.id, was: api.revision, name, active, settings, document };
        world.apply_as_other(narrowed).await.unwrap();
        let approve = judge(&seen(world, id).await, ActivationState::Approved, None);
        assert!(matches!(world.apply_as_other(approve).await, Err(ApplyError::Conflict(_))));
        let suspend = judge(&seen(world, id).await, ActivationState::Suspended, None);
        world.apply_as_other(suspend).await.unwrap();
    })
    .await;
}
