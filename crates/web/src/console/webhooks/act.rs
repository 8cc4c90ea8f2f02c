//! What can be done to a webhook: trying it, sending again, switching it off and on, another secret, deleting it.

use askama::Template;
use axum::extract::Path;
use http::Method;
use serde::Deserialize;
use serde_json::json;

use super::form::once;
use super::{Webhook, webhook};
use crate::console::Shown;
use crate::console::confirm::{Confirm, OTHER_NAME, count, is_other_name, listed};
use crate::console::shell::Place;
use crate::console::visit::Visit;
use crate::ui::form::segment;
use crate::ui::html::{AsCode, shell};
use crate::ui::number::{exact, of};

#[derive(Deserialize)]
struct Trial {
    delivered: bool,
    #[serde(default)]
    status: Option<u16>,
    #[serde(default)]
    error: Option<String>,
    duration_ms: u64,
}

/// What came of a trial, in a sentence.
fn said(trial: &Trial) -> String {
    let status = trial.status.map(|status| format!(" with {status}")).unwrap_or_default();
    let took = exact(trial.duration_ms);
    match (trial.delivered, &trial.error) {
        (true, _) => format!("The test arrived: it was answered{status} after {took} ms."),
        (false, Some(error)) => format!("The test did not arrive: {}.", error.trim_end_matches('.')),
        (false, None) => format!("The test was not taken: it was answered{status} after {took} ms."),
    }
}

pub(super) async fn test(visit: Visit, Path(id): Path<String>) -> Shown {
    let webhook = webhook(&visit, &id).await?;
    let trial: Trial = visit.send(Method::POST, &format!("/v1/webhooks/{}/test", webhook.id), None).await?.read()?;
    Ok(visit.go_saying(&format!("/webhooks/{}", webhook.id), &said(&trial)))
}

/// How much is still to be sent.
async fn pending(visit: &Visit, webhook: &Webhook) -> Option<String> {
    let path = format!("/v1/webhooks/{}/deliveries?state=pending", webhook.id);
    count(visit, &path, "event", "events").await
}

async fn disable_shown(visit: &Visit, webhook: &Webhook, fault: Option<String>) -> Shown {
    let content = Confirm {
        fault,
        title: format!("Disable {}?", webhook.host()),
        about: "Nothing is sent until it is enabled again. What happens meanwhile is sent then.".into(),
        numbers: pending(visit, webhook).await.map(|events| format!("Still to be sent: {events}.")),
        path: format!("/webhooks/{}/disable", webhook.id),
        back: format!("/webhooks/{}", webhook.id),
        button: "Disable webhook",
        code: Some(AsCode::new(
            format!("keystile webhook update {} --disable", shell(&webhook.id)),
            &visit.origin,
            "PATCH",
            &format!("/v1/webhooks/{}", webhook.id),
            Some(&json!({"active": false})),
        )),
        ..Confirm::default()
    };
    Ok(content.shown(visit, Place::Webhooks))
}

pub(super) async fn disable_form(visit: Visit, Path(id): Path<String>) -> Shown {
    let webhook = webhook(&visit, &id).await?;
    disable_shown(&visit, &webhook, None).await
}

pub(super) async fn disable(visit: Visit, Path(id): Path<String>) -> Shown {
    let webhook = webhook(&visit, &id).await?;
    let path = format!("/v1/webhooks/{}", webhook.id);
    match visit.send(Method::PATCH, &path, Some(&json!({"active": false}))).await {
        Ok(_) => Ok(visit.go_saying(&format!("/webhooks/{}", webhook.id), "It is disabled.")),
        Err(refusal) => disable_shown(&visit, &webhook, Some(refusal.above_form()?)).await,
    }
}

pub(super) async fn enable(visit: Visit, Path(id): Path<String>) -> Shown {
    let webhook = webhook(&visit, &id).await?;
    let path = format!("/v1/webhooks/{}", webhook.id);
    visit.send(Method::PATCH, &path, Some(&json!({"active": true}))).await?;
    Ok(visit.go_saying(&format!("/webhooks/{}", webhook.id), "It is enabled. What happened meanwhile is sent now."))
}

/// Another secret.
#[derive(Template)]
#[template(path = "console/webhooks/rotate.html")]
struct Rotate {
    fault: Option<String>,
    id: String,
    host: String,
    code: AsCode,
}

fn rotate_shown(visit: &Visit, webhook: &Webhook, fault: Option<String>) -> axum::response::Response {
    let content = Rotate {
        fault,
        id: webhook.id.clone(),
        host: webhook.host().to_owned(),
        code: AsCode::new(
            format!("keystile webhook rotate-secret {} --overlap-hours 24", shell(&webhook.id)),
            &visit.origin,
            "POST",
            &format!("/v1/webhooks/{}/rotate_secret", webhook.id),
            Some(&json!({"overlap_hours": 24})),
        ),
    };
    visit.modal(Place::Webhooks, "Rotate the secret", &content)
}

pub(super) async fn rotate_form(visit: Visit, Path(id): Path<String>) -> Shown {
    let webhook = webhook(&visit, &id).await?;
    Ok(rotate_shown(&visit, &webhook, None))
}

pub(super) async fn rotate(visit: Visit, Path(id): Path<String>) -> Shown {
    let webhook = webhook(&visit, &id).await?;
    let hours: u32 = visit.form.one("overlap_hours").parse().unwrap_or(24);
    let path = format!("/v1/webhooks/{}/rotate_secret", webhook.id);
    match visit.send(Method::POST, &path, Some(&json!({"overlap_hours": hours}))).await {
        Ok(answer) => Ok(visit.secret(Place::Webhooks, "Save the new secret", &once(&answer, "Save the new secret")?)),
        Err(refusal) => Ok(rotate_shown(&visit, &webhook, Some(refusal.above_form()?))),
    }
}

/// Sending again.
#[derive(Template)]
#[template(path = "console/webhooks/replay.html")]
struct ReplayForm {
    fault: Option<String>,
    id: String,
    host: String,
    since: String,
    event: String,
    code: AsCode,
}

/// What the API takes as the beginning: an event if one is named, else a moment of UTC.
fn since(day: &str, event: &str) -> Option<String> {
    match (event, day) {
        ("", "") => None,
        // Browsers say a moment without seconds and zone.
        ("", moment) if moment.len() == 16 => Some(format!("{moment}:00Z")),
        ("", moment) if moment.len() == 10 => Some(format!("{moment}T00:00:00Z")),
        ("", moment) => Some(moment.to_owned()),
        (event, _) => Some(event.to_owned()),
    }
}

fn replay_shown(visit: &Visit, webhook: &Webhook, fault: Option<String>) -> axum::response::Response {
    let (day, event) = (visit.form.one("since"), visit.form.one("event"));
    let from = since(day, event).unwrap_or_else(|| crate::ui::time::iso(visit.now));
    let content = ReplayForm {
        fault,
        id: webhook.id.clone(),
        host: webhook.host().to_owned(),
        since: day.into(),
        event: event.into(),
        code: AsCode::new(
            format!("keystile webhook replay {} --since {}", shell(&webhook.id), shell(&from)),
            &visit.origin,
            "POST",
            &format!("/v1/webhooks/{}/replay", webhook.id),
            Some(&json!({"since": from})),
        ),
    };
    visit.modal(Place::Webhooks, "Send again", &content)
}

pub(super) async fn replay_form(visit: Visit, Path(id): Path<String>) -> Shown {
    let webhook = webhook(&visit, &id).await?;
    Ok(replay_shown(&visit, &webhook, None))
}

#[derive(Deserialize)]
struct Replayed {
    replayed: u64,
    #[serde(default)]
    next_since: Option<String>,
}

pub(super) async fn replay(visit: Visit, Path(id): Path<String>) -> Shown {
    let webhook = webhook(&visit, &id).await?;
    let Some(since) = since(visit.form.one("since"), visit.form.one("event")) else {
        let fault = "Say from when on, or from which event on.";
        return Ok(replay_shown(&visit, &webhook, Some(fault.into())));
    };
    let path = format!("/v1/webhooks/{}/replay", webhook.id);
    match visit.send(Method::POST, &path, Some(&json!({"since": since}))).await {
        Ok(answer) => {
            let done: Replayed = answer.read()?;
            let more = done.next_since.map(|next| format!(" There are more: go on from {next}.")).unwrap_or_default();
            let said = format!("{} sent again, the oldest first.{more}", of(done.replayed, "event is", "events are"));
            Ok(visit.go_saying(&format!("/webhooks/{}", webhook.id), &said))
        }
        Err(refusal) => Ok(replay_shown(&visit, &webhook, Some(refusal.above_form()?))),
    }
}

pub(super) async fn replay_one(visit: Visit, Path((id, event)): Path<(String, String)>) -> Shown {
    let webhook = webhook(&visit, &id).await?;
    let path = format!("/v1/webhooks/{}/deliveries/{}/replay", webhook.id, segment(&event));
    visit.send(Method::POST, &path, None).await?;
    Ok(visit.go_saying(&format!("/webhooks/{}", webhook.id), "It is sent again."))
}

async fn delete_shown(visit: &Visit, webhook: &Webhook, fault: Option<String>) -> Shown {
    let waiting = pending(visit, webhook).await.map(|events| format!("{events} still to be sent"));
    let content = Confirm {
        fault,
        title: format!("Delete {}?", webhook.host()),
        about: "Its address is told of nothing more. To stop it for now, disable it: then nothing is lost.".into(),
        numbers: listed([waiting]).map(|all| format!("Lost with it: {all}.")),
        name: Some(webhook.host().to_owned()),
        path: format!("/webhooks/{}/delete", webhook.id),
        back: format!("/webhooks/{}", webhook.id),
        button: "Delete webhook",
        is_danger: true,
        code: Some(AsCode::new(
            format!("keystile webhook delete {}", shell(&webhook.id)),
            &visit.origin,
            "DELETE",
            &format!("/v1/webhooks/{}", webhook.id),
            None,
        )),
        ..Confirm::default()
    };
    Ok(content.shown(visit, Place::Webhooks))
}

pub(super) async fn delete_form(visit: Visit, Path(id): Path<String>) -> Shown {
    let webhook = webhook(&visit, &id).await?;
    delete_shown(&visit, &webhook, None).await
}

pub(super) async fn delete(visit: Visit, Path(id): Path<String>) -> Shown {
    let webhook = webhook(&visit, &id).await?;
    if is_other_name(&visit, webhook.host()) {
        return delete_shown(&visit, &webhook, Some(OTHER_NAME.into())).await;
    }
    match visit.send(Method::DELETE, &format!("/v1/webhooks/{}", webhook.id), None).await {
        Ok(_) => Ok(visit.go_saying("/webhooks", &format!("{} is deleted.", webhook.host()))),
        Err(refusal) => delete_shown(&visit, &webhook, Some(refusal.above_form()?)).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_sent_as_the_api_takes_it() {
        assert_eq!(since("", ""), None);
        assert_eq!(since("2027-01-31T12:30", "").as_deref(), Some("2027-01-31T12:30:00Z"));
        assert_eq!(since("2027-01-31", "").as_deref(), Some("2027-01-31T00:00:00Z"));
        assert_eq!(since("2027-01-31", "evt_1").as_deref(), Some("evt_1"));
    }

    #[test]
    fn what_came_of_a_test_is_said_in_a_sentence() {
        let trial = |delivered, status, error: Option<&str>| Trial {
            delivered,
            status,
            error: error.map(str::to_owned),
            duration_ms: 1_200,
        };
        assert_eq!(said(&trial(true, Some(204), None)), "The test arrived: it was answered with 204 after 1,200 ms.");
        assert_eq!(said(&trial(false, None, Some("no such host"))), "The test did not arrive: no such host.");
        assert!(said(&trial(false, Some(500), None)).contains("with 500"));
    }
}
