//! Ending sessions: somebody's, one's own, all of one's own but this one.

use axum::extract::Path;
use http::Method;

use super::agent::agent;
use super::list::Session;
use crate::api::Refusal;
use crate::console::Shown;
use crate::console::confirm::Confirm;
use crate::console::model::List;
use crate::console::people::People;
use crate::console::shell::Place;
use crate::console::visit::Visit;
use crate::ui::form::segment;
use crate::ui::html::AsCode;
use crate::ui::number::of;

async fn asked(visit: &Visit, id: &str) -> Result<Confirm, Refusal> {
    let list: List<Session> = visit.get("/v1/sessions?limit=200").await?;
    let people = People::of(visit).await;
    let about = match list.items.iter().find(|session| session.id == id) {
        Some(session) => format!(
            "{}, {}, from {}. Its next request is refused; they can sign in again.",
            people.actor(&session.account_id),
            agent(&session.agent),
            session.address.as_deref().unwrap_or("an address that is not known")
        ),
        None => "Its next request is refused; whoever it is can sign in again.".into(),
    };
    let id = segment(id);
    Ok(Confirm {
        title: "End this session?".into(),
        about,
        path: format!("/sessions/{id}/end"),
        back: "/sessions".into(),
        button: "End session",
        is_danger: true,
        code: Some(AsCode::new(
            format!("keystile member end-session {id}"),
            &visit.origin,
            "DELETE",
            &format!("/v1/sessions/{id}"),
            None,
        )),
        ..Confirm::default()
    })
}

pub(super) async fn end_form(visit: Visit, Path(id): Path<String>) -> Shown {
    Ok(visit.modal(Place::Sessions, "End session", &asked(&visit, &id).await?))
}

pub(super) async fn end(visit: Visit, Path(id): Path<String>) -> Shown {
    match visit.send(Method::DELETE, &format!("/v1/sessions/{}", segment(&id)), None).await {
        Ok(_) => Ok(visit.go_saying("/sessions", "The session is ended.")),
        Err(refusal) => {
            let ask = asked(&visit, &id).await?.with_fault(refusal.above_form()?);
            Ok(visit.modal(Place::Sessions, "End session", &ask))
        }
    }
}

pub(super) async fn end_own(visit: Visit, Path(id): Path<String>) -> Shown {
    visit.send(Method::DELETE, &format!("/v1/account/sessions/{}", segment(&id)), None).await?;
    Ok(visit.go_saying("/sessions", "Your other session is ended."))
}

async fn asked_others(visit: &Visit) -> Confirm {
    let own: List<Session> = visit.aside("/v1/account/sessions?limit=200").await;
    let others = own.items.len().saturating_sub(1) as u64;
    Confirm {
        title: "End all your other sessions?".into(),
        about: format!(
            "{} of yours, here and in other organizations; this one goes on.",
            of(others, "session", "sessions")
        ),
        path: "/sessions/end-others".into(),
        back: "/sessions".into(),
        button: "End all others",
        is_danger: true,
        code: Some(AsCode::new(
            "keystile account end-others".into(),
            &visit.origin,
            "POST",
            "/v1/account/sessions/end_others",
            None,
        )),
        ..Confirm::default()
    }
}

pub(super) async fn others_form(visit: Visit) -> Shown {
    Ok(visit.modal(Place::Sessions, "End all others", &asked_others(&visit).await))
}

pub(super) async fn others(visit: Visit) -> Shown {
    visit.send(Method::POST, "/v1/account/sessions/end_others", None).await?;
    Ok(visit.go_saying("/sessions", "All your other sessions are ended."))
}
