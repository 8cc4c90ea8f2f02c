//! What can be done to a member: another role, a link to a new password, no second factor, no place here.

use askama::Template;
use axum::extract::Path;
use http::Method;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;

use super::{Choice, choices};
use crate::api::{Asked, Refusal};
use crate::console::Shown;
use crate::console::confirm::Confirm;
use crate::console::once::Once;
use crate::console::people::Member;
use crate::console::preview::preview;
use crate::console::shell::Place;
use crate::console::visit::Visit;
use crate::ui::form::segment;
use crate::ui::html::{AsCode, shell};

async fn member(visit: &Visit, id: &str) -> Asked<Member> {
    visit.get(&format!("/v1/members/{}", segment(id))).await
}

fn name(member: &Member) -> &str {
    if member.name.is_empty() { &member.email } else { &member.name }
}

/// Another role.
#[derive(Template)]
#[template(path = "console/team/role.html")]
struct RoleForm {
    fault: Option<String>,
    id: String,
    name: String,
    was: String,
    roles: Vec<Choice>,
    code: AsCode,
}

pub(super) async fn role_form(visit: Visit, Path(id): Path<String>) -> Shown {
    let member = member(&visit, &id).await?;
    role_shown(&visit, &member, &member.role, None).await
}

fn role_code(visit: &Visit, member: &Member, chosen: &str) -> AsCode {
    AsCode::new(
        format!("keystile member update {} --role {}", shell(&member.email), shell(chosen)),
        &visit.origin,
        "PATCH",
        &format!("/v1/members/{}", member.id),
        Some(&json!({"role": chosen})),
    )
}

/// The request as the form is filled in.
pub(super) async fn code(visit: Visit, Path(id): Path<String>) -> Shown {
    let member = member(&visit, &id).await?;
    Ok(preview(&visit, role_code(&visit, &member, visit.form.one("role"))))
}

async fn role_shown(visit: &Visit, member: &Member, chosen: &str, fault: Option<String>) -> Shown {
    let content = RoleForm {
        fault,
        id: member.id.clone(),
        name: name(member).to_owned(),
        was: member.role.clone(),
        roles: choices(visit, chosen).await?,
        code: role_code(visit, member, chosen),
    };
    Ok(visit.modal(Place::Team, "Another role", &content))
}

pub(super) async fn role(visit: Visit, Path(id): Path<String>) -> Shown {
    let member = member(&visit, &id).await?;
    let wanted = visit.form.one("role");
    let body = json!({"role": wanted});
    match visit.send(Method::PATCH, &format!("/v1/members/{}", member.id), Some(&body)).await {
        Ok(_) => Ok(visit.go_saying("/team", &format!("{} is {wanted} from the next request on.", name(&member)))),
        Err(refusal) => role_shown(&visit, &member, wanted, Some(refusal.above_form()?)).await,
    }
}

fn asked_password(visit: &Visit, member: &Member) -> Confirm {
    Confirm {
        title: format!("A link to a new password for {}?", name(member)),
        about: "Whoever has the link chooses the password. A second factor stays as it is.".into(),
        notes: vec!["The password that they have goes on until another is chosen.".into()],
        path: format!("/team/members/{}/password", member.id),
        back: "/team".into(),
        button: "Make the link",
        code: Some(AsCode::new(
            format!("keystile member reset-password {}", shell(&member.email)),
            &visit.origin,
            "POST",
            &format!("/v1/members/{}/reset_password", member.id),
            None,
        )),
        ..Confirm::default()
    }
}

pub(super) async fn password_form(visit: Visit, Path(id): Path<String>) -> Shown {
    let member = member(&visit, &id).await?;
    Ok(visit.modal(Place::Team, "A new password", &asked_password(&visit, &member)))
}

#[derive(Deserialize)]
struct PasswordLink {
    path: String,
    expires_at: Timestamp,
}

pub(super) async fn password(visit: Visit, Path(id): Path<String>) -> Shown {
    let member = member(&visit, &id).await?;
    let link: PasswordLink =
        match visit.send(Method::POST, &format!("/v1/members/{}/reset_password", member.id), None).await {
            Ok(answer) => answer.read()?,
            Err(refusal) => {
                return refused(&visit, asked_password(&visit, &member), refusal);
            }
        };
    let content = Once {
        title: "Send this link".into(),
        about: format!("{} chooses a new password with it.", name(&member)),
        label: "Link",
        secret: Some(format!("{}{}", visit.origin, link.path)),
        note: "Whoever has the link can use it, so send it to the member alone. It is shown this once.".into(),
        facts: vec![("Good until", visit.zone.label(link.expires_at, "%-d %b %Y, %H:%M"))],
        advice: "No mail is sent: the link goes by you.",
        then: "/team".into(),
        ..Once::default()
    };
    Ok(visit.secret(Place::Team, "Send this link", &content))
}

fn asked_factors(visit: &Visit, member: &Member) -> Confirm {
    Confirm {
        title: format!("Remove the second factors of {}?", name(member)),
        about: "Codes, passkeys and what they are known by at an identity provider are taken away. Their sessions end."
            .into(),
        notes: vec!["Whoever has no password then needs a link to one before they can come in again.".into()],
        path: format!("/team/members/{}/factors", member.id),
        back: "/team".into(),
        name: Some(member.email.clone()),
        button: "Remove factors",
        is_danger: true,
        code: Some(AsCode::new(
            format!("keystile member remove-factors {}", shell(&member.email)),
            &visit.origin,
            "POST",
            &format!("/v1/members/{}/remove_factors", member.id),
            None,
        )),
        ..Confirm::default()
    }
}

pub(super) async fn factors_form(visit: Visit, Path(id): Path<String>) -> Shown {
    let member = member(&visit, &id).await?;
    Ok(visit.modal(Place::Team, "Remove factors", &asked_factors(&visit, &member)))
}

pub(super) async fn factors(visit: Visit, Path(id): Path<String>) -> Shown {
    let member = member(&visit, &id).await?;
    let ask = asked_factors(&visit, &member);
    if !ask.is_confirmed(&visit) {
        return Ok(visit.modal(Place::Team, "Remove factors", &ask.with_fault(UNTYPED)));
    }
    match visit.send(Method::POST, &format!("/v1/members/{}/remove_factors", member.id), None).await {
        Ok(_) => Ok(visit.go_saying("/team", &format!("{} has no second factor any more.", name(&member)))),
        Err(refusal) => refused(&visit, ask, refusal),
    }
}

const UNTYPED: &str = "Type the e-mail address, so that it is the one you mean.";

fn asked_removal(visit: &Visit, member: &Member) -> Confirm {
    Confirm {
        title: format!("Remove {}?", name(member)),
        about: "Their sessions here end, and the invitations that they made are taken back.".into(),
        notes: vec![format!(
            "Management tokens that they made go on. `keystile audit list --actor {} --type key.create` lists those; the account \
             stays, for other organizations.",
            member.account_id
        )],
        path: format!("/team/members/{}/remove", member.id),
        back: "/team".into(),
        name: Some(member.email.clone()),
        button: "Remove member",
        is_danger: true,
        code: Some(AsCode::new(
            format!("keystile member delete {}", shell(&member.email)),
            &visit.origin,
            "DELETE",
            &format!("/v1/members/{}", member.id),
            None,
        )),
        ..Confirm::default()
    }
}

pub(super) async fn remove_form(visit: Visit, Path(id): Path<String>) -> Shown {
    let member = member(&visit, &id).await?;
    Ok(visit.modal(Place::Team, "Remove member", &asked_removal(&visit, &member)))
}

pub(super) async fn remove(visit: Visit, Path(id): Path<String>) -> Shown {
    let member = member(&visit, &id).await?;
    let ask = asked_removal(&visit, &member);
    if !ask.is_confirmed(&visit) {
        return Ok(visit.modal(Place::Team, "Remove member", &ask.with_fault(UNTYPED)));
    }
    match visit.send(Method::DELETE, &format!("/v1/members/{}", member.id), None).await {
        Ok(_) => Ok(visit.go_saying("/team", &format!("{} is a member no more.", name(&member)))),
        Err(refusal) => refused(&visit, ask, refusal),
    }
}

/// The question again with what the API said, unless it asks who one is.
fn refused(visit: &Visit, ask: Confirm, refusal: Refusal) -> Shown {
    let title = ask.title.clone();
    Ok(visit.modal(Place::Team, &title, &ask.with_fault(refusal.above_form()?)))
}
