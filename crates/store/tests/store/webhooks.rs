//! Webhooks: kept as they were told, each event becomes one delivery of each, and none is anybody else's.

use keystile_core::id::{ProjectId, WebhookId};
use keystile_core::time::Timestamp;
use keystile_store::deliveries::{Attempt, DeliveryState, Then};
use keystile_store::records::{AuditPage, AuditQuery, Page, Webhook, WebhookState};
use keystile_store::{ApplyError, Change};

use crate::world::{ALL, NOW, World, bytes, create_project, create_webhook, everywhere, told};

async fn webhook(world: &World, events: &[&str]) -> Webhook {
    let id = WebhookId::from_entropy(bytes());
    world.apply(create_webhook(&world.catalog, world.mine.id, id, events)).await.unwrap();
    world.catalog.webhook(world.mine.id, id).await.unwrap().unwrap()
}

/// What is to be sent to it now: the types of the events.
async fn due(world: &World, webhook: &Webhook, at: Timestamp) -> Vec<String> {
    while world.catalog.make_deliveries(at).await.unwrap() {}
    let due = world.catalog.due_deliveries(webhook.number, at, 1_000).await.unwrap();
    due.into_iter().map(|due| due.entry.action).collect()
}

async fn note(world: &World, webhook: &Webhook, sequence: u64, at: Timestamp, then: Then) {
    let status = Some(if then == Then::Done { 204 } else { 500 });
    world.catalog.note_attempts(&[Attempt { webhook: webhook.number, sequence, at, status, then }]).await.unwrap();
}

async fn secrets(world: &World, webhook: &Webhook, at: Timestamp) -> Vec<String> {
    let secrets = world.catalog.webhook_secrets(webhook, at).await.unwrap();
    secrets.iter().map(|secret| String::from_utf8(secret.to_vec()).unwrap()).collect()
}

fn update(of: &Webhook, state: WebhookState) -> Change {
    Change::UpdateWebhook {
        id: of.id,
        was: of.revision,
        url: "https://elsewhere.test/".parse().unwrap(),
        description: "changed".to_owned(),
        events: told(&["api.*"]),
        state,
    }
}

#[tokio::test]
async fn a_webhook_is_kept_as_it_was_told() {
    everywhere(async |world| {
        let made = webhook(world, &["key.*", "api.update"]).await;
        assert_eq!(made.url.to_string(), "https://hooks.test/secret-path");
        assert_eq!((made.description.as_str(), made.events.clone()), ("a webhook", told(&["key.*", "api.update"])));
        assert_eq!((made.state.clone(), made.created_at, made.failing_since), (WebhookState::Active, NOW, None));
        assert_eq!(world.catalog.webhooks(world.mine.id, ALL).await.unwrap(), std::slice::from_ref(&made));

        let disabled = WebhookState::Disabled { reason: "it took nothing".to_owned() };
        let applied = world.apply(update(&made, disabled.clone())).await.unwrap();
        let changed = world.catalog.webhook(world.mine.id, made.id).await.unwrap().unwrap();
        assert_eq!((changed.url.to_string().as_str(), &changed.state), ("https://elsewhere.test/", &disabled));
        assert_eq!((changed.revision, changed.events.clone()), (applied.revision, told(&["api.*"])));
        assert!(matches!(world.apply(update(&made, WebhookState::Active)).await, Err(ApplyError::Stale)));
        world.apply(update(&changed, WebhookState::Active)).await.unwrap();

        world.apply(Change::DeleteWebhook { id: made.id }).await.unwrap();
        assert_eq!(world.catalog.webhook(world.mine.id, made.id).await.unwrap(), None);
        assert!(secrets(world, &made, NOW).await.is_empty(), "of what is gone nothing is kept");
        let entries = world.catalog.audit(world.mine.id, None, 100).await.unwrap();
        let actions: Vec<&str> = entries.iter().take(4).map(|entry| entry.action.as_str()).collect();
        assert_eq!(actions, ["webhook.delete", "webhook.enable", "webhook.disable", "webhook.create"]);
        let told = format!("{entries:?}");
        assert!(!told.contains("secret-path") && !told.contains("first secret"), "{told}");
    })
    .await;
}

#[tokio::test]
async fn the_old_secret_signs_until_its_end() {
    everywhere(async |world| {
        let made = webhook(world, &[]).await;
        assert_eq!(secrets(world, &made, NOW).await, ["first secret"]);
        let secret = world.catalog.seal_webhook_secret(world.mine.id, made.id, b"second secret", &[9; 24]);
        let end = NOW.plus_secs(60);
        world.apply(Change::RotateWebhookSecret { id: made.id, secret, old_until: end }).await.unwrap();
        assert_eq!(secrets(world, &made, NOW).await, ["second secret", "first secret"]);
        assert_eq!(secrets(world, &made, end).await, ["second secret"]);
        // One that was sealed for another webhook opens nothing.
        let other = webhook(world, &[]).await;
        let strange = world.catalog.seal_webhook_secret(world.mine.id, made.id, b"moved", &[8; 24]);
        world.apply(Change::RotateWebhookSecret { id: other.id, secret: strange, old_until: NOW }).await.unwrap();
        assert!(world.catalog.webhook_secrets(&other, NOW).await.is_err());
        world.apply(Change::DeleteWebhook { id: other.id }).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn every_event_after_it_becomes_one_delivery() {
    everywhere(async |world| {
        world.add_key("before").await;
        let all = webhook(world, &[]).await;
        let keys = webhook(world, &["key.*"]).await;
        assert_eq!(due(world, &keys, NOW).await, [""; 0], "what was before is not told");
        let key = world.add_key("after").await;
        world.revoke(key).await;
        world.apply(create_project(ProjectId::from_entropy(bytes()), "p")).await.unwrap();
        assert_eq!(due(world, &all, NOW).await, ["webhook.create", "key.create", "key.revoke", "project.create"]);
        assert_eq!(due(world, &keys, NOW).await, ["key.create", "key.revoke"]);
        assert_eq!(due(world, &keys, NOW).await.len(), 2, "none twice");
        let active: Vec<WebhookId> =
            world.catalog.due_webhooks(NOW).await.unwrap().iter().map(|webhook| webhook.id).collect();
        assert_eq!(active, [all.id, keys.id]);
        assert_eq!(world.catalog.waiting_deliveries().await.unwrap().count, 6);
        // Many at once come in several turns, and all of them.
        for n in 0..1_100 {
            world.apply(create_project(ProjectId::from_entropy(bytes()), &format!("p{n}"))).await.unwrap();
        }
        while world.catalog.make_deliveries(NOW).await.unwrap() {}
        assert_eq!(
            world.catalog.deliveries(&all, None, Page { before: None, limit: 9_999 }).await.unwrap().len(),
            1_104
        );
    })
    .await;
}

#[tokio::test]
async fn attempts_are_noted_until_it_is_delivered_or_given_up() {
    everywhere(async |world| {
        let made = webhook(world, &[]).await;
        world.add_key("a").await;
        world.add_key("b").await;
        while world.catalog.make_deliveries(NOW).await.unwrap() {}
        let first = world.catalog.due_deliveries(made.number, NOW, 1).await.unwrap().remove(0);
        let (sequence, later) = (first.entry.sequence, NOW.plus_secs(5));
        note(world, &made, sequence, NOW, Then::Retry { at: later, error: "refused".to_owned() }).await;
        assert_eq!(due(world, &made, NOW).await.len(), 1, "the other one");
        let failing = world.catalog.webhook(world.mine.id, made.id).await.unwrap().unwrap();
        assert_eq!((failing.failing_since, failing.revision), (Some(NOW), made.revision), "no change of it");
        let again = world.catalog.due_deliveries(made.number, later, 10).await.unwrap();
        assert_eq!(again.iter().map(|due| due.attempts).collect::<Vec<_>>(), [0, 1], "what waited longest first");
        note(world, &made, sequence, later, Then::Done).await;
        let kept = world.catalog.delivery(&made, sequence).await.unwrap().unwrap();
        assert_eq!((kept.state, kept.attempts, kept.status), (DeliveryState::Delivered, 2, Some(204)));
        assert_eq!((kept.next_at, kept.delivered_at, kept.error.as_str()), (None, Some(later), ""));
        assert_eq!(world.catalog.webhook(world.mine.id, made.id).await.unwrap().unwrap().failing_since, None);

        note(world, &made, sequence + 1, later, Then::GiveUp { error: "gone".to_owned() }).await;
        let failed = world.catalog.deliveries(&made, Some(DeliveryState::Failed), ALL).await.unwrap();
        assert_eq!(failed.iter().map(|delivery| delivery.sequence).collect::<Vec<_>>(), [sequence + 1]);
        assert_eq!((failed[0].error.as_str(), failed[0].kind.as_str()), ("gone", "key.create"));
        assert!(due(world, &made, NOW.plus_secs(1_000_000)).await.is_empty());
        // Old ones are forgotten, and do not come again.
        assert_eq!(world.catalog.forget_deliveries(NOW).await.unwrap(), 0);
        assert_eq!(world.catalog.forget_deliveries(NOW.plus_secs(1)).await.unwrap(), 2);
        assert!(due(world, &made, NOW.plus_secs(1_000_000)).await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn what_was_delivered_can_be_sent_anew() {
    everywhere(async |world| {
        let old = world.add_key("before it").await;
        let made = webhook(world, &["key.*"]).await;
        world.add_key("a").await;
        while world.catalog.make_deliveries(NOW).await.unwrap() {}
        let sequence = world.catalog.due_deliveries(made.number, NOW, 1).await.unwrap()[0].entry.sequence;
        note(world, &made, sequence, NOW, Then::Done).await;
        assert!(world.catalog.replay(&made, sequence, NOW).await.unwrap());
        assert!(!world.catalog.replay(&made, sequence - 1, NOW).await.unwrap(), "it was never sent to it");
        assert_eq!(due(world, &made, NOW).await, ["key.create"]);
        note(world, &made, sequence, NOW, Then::Done).await;

        let since = world.catalog.first_event_since(world.mine.id, NOW.plus_secs(1)).await.unwrap();
        let nothing = world.catalog.replay_since(&made, since, NOW).await.unwrap();
        assert_eq!((nothing.count, nothing.next), (0, None));
        let all = world.catalog.replay_since(&made, 0, NOW).await.unwrap();
        assert_eq!((all.count, all.next), (3, None), "from before it was made too, and only what it tells of");
        assert_eq!(due(world, &made, NOW).await.len(), 3);
        let entries = world.catalog.due_deliveries(made.number, NOW, 10).await.unwrap();
        assert!(entries.iter().any(|due| due.entry.subject == old.to_string()));
        assert!(entries.iter().all(|due| due.entry.organization == world.mine.id));
    })
    .await;
}

#[tokio::test]
async fn a_disabled_webhook_sends_what_happened_meanwhile_once_it_is_active_again() {
    everywhere(async |world| {
        let made = webhook(world, &["api.*"]).await;
        world.apply(update(&made, WebhookState::Disabled { reason: String::new() })).await.unwrap();
        world.apply(Change::DeleteApi { id: world.mine.api }).await.unwrap();
        assert_eq!(due(world, &made, NOW).await, [""; 0]);
        assert!(world.catalog.due_webhooks(NOW).await.unwrap().is_empty());
        let disabled = world.catalog.webhook(world.mine.id, made.id).await.unwrap().unwrap();
        world.apply(update(&disabled, WebhookState::Active)).await.unwrap();
        assert_eq!(due(world, &made, NOW).await, ["api.delete"]);
    })
    .await;
}

#[tokio::test]
async fn z05_webhooks_and_events_are_of_one_organization() {
    everywhere(async |world| {
        let (catalog, theirs) = (&world.catalog, world.theirs.id);
        let made = webhook(world, &[]).await;
        assert_eq!(catalog.webhook(theirs, made.id).await.unwrap(), None);
        assert_eq!(catalog.webhooks(theirs, ALL).await.unwrap(), []);
        let secret = catalog.seal_webhook_secret(world.theirs.id, made.id, b"x", &[1; 24]);
        for change in [
            update(&made, WebhookState::Active),
            Change::RotateWebhookSecret { id: made.id, secret, old_until: NOW },
            Change::DeleteWebhook { id: made.id },
        ] {
            let refused = world.apply_as_other(change).await;
            assert!(matches!(refused, Err(ApplyError::NotFound("webhook"))), "{refused:?}");
        }
        world.apply_as_other(create_project(ProjectId::from_entropy(bytes()), "theirs")).await.unwrap();
        assert_eq!(due(world, &made, NOW).await, [""; 0], "what others do is not told");
        let asked = AuditQuery::default();
        let events = catalog.audit_entries(theirs, &asked, AuditPage::Before(None), 100).await.unwrap();
        assert!(!events.is_empty() && events.iter().all(|entry| entry.organization == theirs));
    })
    .await;
}

#[tokio::test]
async fn events_are_found_by_type_and_subject() {
    everywhere(async |world| {
        let key = world.add_key("a").await;
        world.revoke(key).await;
        let found = async |kind: Option<&str>, subject: Option<String>, before| {
            let asked = AuditQuery { kind: kind.map(|kind| kind.parse().unwrap()), subject, ..AuditQuery::default() };
            let entries =
                world.catalog.audit_entries(world.mine.id, &asked, AuditPage::Before(before), 100).await.unwrap();
            entries.into_iter().map(|entry| entry.action).collect::<Vec<_>>()
        };
        assert_eq!(found(Some("key.*"), None, None).await, ["key.revoke", "key.create", "key.create"]);
        assert_eq!(found(Some("key.revoke"), None, None).await, ["key.revoke"]);
        assert_eq!(found(Some("ke.*"), None, None).await, [""; 0]);
        assert_eq!(found(None, Some(key.to_string()), None).await, ["key.revoke", "key.create"]);
        let newest = world.catalog.history().await.unwrap().sequence;
        assert_eq!(found(None, Some(key.to_string()), Some(newest)).await, ["key.create"]);
    })
    .await;
}
