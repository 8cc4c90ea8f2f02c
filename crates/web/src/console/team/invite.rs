//! Inviting somebody: the form, the link that is shown this once, and taking an invitation back.

use askama::Template;
use axum::extract::Path;
use axum::response::Response;
use http::Method;
use serde::Deserialize;
use serde_json::Value;

use super::{Choice, Invitation, choices};
use crate::console::Shown;
use crate::console::confirm::Confirm;
use crate::console::once::Once;
use crate::console::preview::preview;
use crate::console::shell::Place;
use crate::console::visit::Visit;
use crate::ui::form::{Fields, Object, segment};
use crate::ui::html::{AsCode, shell};

/// The form.
#[derive(Template)]
#[template(path = "console/team/invite.html")]
struct Form {
    fault: Option<String>,
    email: String,
    roles: Vec<Choice>,
    hours: String,
    code: AsCode,
}

/// What the answer to an invitation has besides.
#[derive(Deserialize)]
struct Made {
    #[serde(default)]
    path: Option<String>,
}

pub(super) async fn form(visit: Visit) -> Shown {
    shown(&visit, &visit.query, None).await
}

async fn shown(visit: &Visit, fields: &Fields, fault: Option<String>) -> Shown {
    let role = if fields.one("role").is_empty() { "developer" } else { fields.one("role") };
    let content = Form {
        fault,
        email: fields.one("email").into(),
        roles: choices(visit, role).await?,
        hours: if fields.one("hours").is_empty() { "168".into() } else { fields.one("hours").into() },
        code: as_code(visit, fields),
    };
    Ok(visit.sheet(Place::Team, "Invite somebody", &content))
}

/// The request that the form makes.
///
/// # Errors
/// A sentence about the field that says nothing that can be sent.
fn request(fields: &Fields) -> Result<Value, String> {
    let hours = fields.number("hours", "How long it is good")?;
    let object =
        Object::default().with("role", if fields.one("role").is_empty() { "developer" } else { fields.one("role") });
    Ok(object.text("email", fields.one("email")).some("expires_in_hours", hours).into())
}

fn as_code(visit: &Visit, fields: &Fields) -> AsCode {
    let body = request(fields).unwrap_or(Value::Null);
    let role = body["role"].as_str().unwrap_or("developer");
    let mut command = format!("keystile invitation create --role {}", shell(role));
    if !fields.one("email").is_empty() {
        command.push_str(&format!(" --email {}", shell(fields.one("email"))));
    }
    if let Some(hours) = body["expires_in_hours"].as_u64() {
        command.push_str(&format!(" --hours {hours}"));
    }
    AsCode::new(command, &visit.origin, "POST", "/v1/invitations", Some(&body))
}

/// The request as the form is filled in.
pub(super) async fn code(visit: Visit) -> Shown {
    Ok(preview(&visit, as_code(&visit, &visit.form)))
}

/// Makes the invitation, and shows its link.
pub(super) async fn invite(visit: Visit) -> Shown {
    let fields = visit.form.clone();
    let body = match request(&fields) {
        Ok(body) => body,
        Err(fault) => return shown(&visit, &fields, Some(fault)).await,
    };
    match visit.send(Method::POST, "/v1/invitations", Some(&body)).await {
        Ok(answer) => {
            let (made, link): (Invitation, Made) = (answer.read()?, answer.read()?);
            match link.path {
                Some(path) => Ok(link_shown(&visit, &made, &path)),
                None => Ok(visit.go_saying("/team", "The same invitation was made before; its link was shown then.")),
            }
        }
        Err(refusal) => shown(&visit, &fields, Some(refusal.above_form()?)).await,
    }
}

fn link_shown(visit: &Visit, made: &Invitation, path: &str) -> Response {
    let whom = made.email.clone();
    let content = Once {
        title: "Send this link".into(),
        about: format!("{} is invited as {}.", whom.as_deref().unwrap_or("Whoever has it"), made.role),
        label: "Link",
        secret: Some(format!("{}{path}", visit.origin)),
        note: match whom {
            Some(email) => format!("Only an account with the address {email} can accept it. It is shown this once."),
            None => "Whoever has the link can accept it, so send it to one person alone. It is shown this once.".into(),
        },
        facts: vec![("Role", made.role.clone()), ("Good until", visit.zone.label(made.expires_at, "%-d %b %Y, %H:%M"))],
        advice: "No mail is sent: the link goes by you.",
        then: "/team".into(),
        ..Once::default()
    };
    visit.secret(Place::Team, "Send this link", &content)
}

async fn withdrawal(visit: &Visit, id: &str) -> Result<Confirm, crate::api::Refusal> {
    let id = segment(id);
    let one: Invitation = visit.get(&format!("/v1/invitations/{id}")).await?;
    Ok(Confirm {
        title: "Take the invitation back?".into(),
        about: format!(
            "The link of {} leads nowhere from now on. You can invite them again.",
            one.email.as_deref().unwrap_or("whoever has it")
        ),
        path: format!("/team/invitations/{id}/withdraw"),
        back: "/team".into(),
        button: "Take it back",
        code: Some(AsCode::new(
            format!("keystile invitation withdraw {id}"),
            &visit.origin,
            "DELETE",
            &format!("/v1/invitations/{id}"),
            None,
        )),
        ..Confirm::default()
    })
}

pub(super) async fn withdraw_form(visit: Visit, Path(id): Path<String>) -> Shown {
    let ask = withdrawal(&visit, &id).await?;
    Ok(visit.modal(Place::Team, "Take the invitation back", &ask))
}

pub(super) async fn withdraw(visit: Visit, Path(id): Path<String>) -> Shown {
    match visit.send(Method::DELETE, &format!("/v1/invitations/{}", segment(&id)), None).await {
        Ok(_) => Ok(visit.go_saying("/team", "The invitation is taken back.")),
        Err(refusal) => {
            let ask = withdrawal(&visit, &id).await?.with_fault(refusal.above_form()?);
            Ok(visit.modal(Place::Team, "Take the invitation back", &ask))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_form_is_one_request() {
        for (form, body) in [
            (
                &b"role=admin&email=ada%40example.com&hours=24"[..],
                json!({"role": "admin", "email": "ada@example.com", "expires_in_hours": 24}),
            ),
            (b"role=auditor&email=&hours=", json!({"role": "auditor"})),
            (b"", json!({"role": "developer"})),
        ] {
            assert_eq!(request(&Fields::read(form)), Ok(body));
        }
        assert!(request(&Fields::read(b"role=a&hours=week")).is_err());
    }
}
