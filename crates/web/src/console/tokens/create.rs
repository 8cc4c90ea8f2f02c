//! Making a management token: what it may do is chosen from the rights that there are.

use std::collections::BTreeSet;

use askama::Template;
use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::{Asked, Refusal};
use crate::console::Shown;
use crate::console::keys::projects;
use crate::console::model::Key;
use crate::console::once::Once;
use crate::console::preview::preview;
use crate::console::rights::{Offered, Rights, ticked};
use crate::console::shell::Place;
use crate::console::team::rights_told;
use crate::console::visit::Visit;
use crate::ui::form::{Fields, Object};
use crate::ui::html::{AsCode, shell};

/// How long a token lives unless somebody says otherwise.
const DAYS: &str = "90";

/// What a token may do, in one word or by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Preset {
    /// All rights to see.
    Read,
    /// Everything.
    All,
    /// What is ticked.
    Chosen,
}

impl Preset {
    fn of(fields: &Fields) -> Self {
        match fields.one("preset") {
            "all" => Self::All,
            "chosen" => Self::Chosen,
            _ => Self::Read,
        }
    }

    /// The permissions that it comes to.
    fn permissions(self, rights: &Rights, fields: &Fields, may: impl Fn(&str) -> bool) -> BTreeSet<String> {
        match self {
            Self::Read => rights.to_see(may),
            Self::All => BTreeSet::from(["*".to_owned()]),
            Self::Chosen => ticked(fields),
        }
    }
}

/// The form.
#[derive(Template)]
#[template(path = "console/tokens/new.html")]
struct Form {
    fault: Option<String>,
    name: String,
    projects: Vec<(String, String, bool)>,
    project_name: String,
    preset: Preset,
    offered: Vec<Offered>,
    typed: String,
    days: String,
    networks: String,
    code: AsCode,
}

pub(super) async fn form(visit: Visit) -> Shown {
    shown(&visit, &visit.query, None).await
}

async fn shown(visit: &Visit, fields: &Fields, fault: Option<String>) -> Shown {
    let rights = Rights::of(visit).await?;
    let known = projects(visit).await;
    let picked = fields.one("project_id");
    let picked = if picked.is_empty() { known.first().map_or("", |one| one.id.as_str()) } else { picked };
    let (offered, typed) = rights.offer(&ticked(fields));
    let content = Form {
        fault,
        name: fields.one("name").into(),
        code: as_code(visit, &rights, fields, picked),
        projects: known.iter().map(|one| (one.id.clone(), one.name.clone(), one.id == picked)).collect(),
        project_name: fields.one("project_name").into(),
        preset: Preset::of(fields),
        offered,
        typed,
        days: days(fields).to_owned(),
        networks: fields.one("networks").into(),
    };
    Ok(visit.sheet(Place::Tokens, "Create management token", &content))
}

fn days(fields: &Fields) -> &str {
    if fields.one("days").is_empty() { DAYS } else { fields.one("days") }
}

/// The request that the form makes.
///
/// # Errors
/// A sentence about the field that says nothing that can be sent.
fn request(fields: &Fields, project: &str, permissions: &BTreeSet<String>) -> Result<Value, String> {
    let object =
        Object::default().with("project_id", project).with("name", fields.one("name")).with("kind", "management");
    let object = match days(fields) {
        "never" => object.with("expires_at", Value::Null),
        days => object.with("expires_in_days", days.parse::<u32>().map_err(|_| "Choose when the token ends.")?),
    };
    let networks = fields.words("networks");
    let restrictions = (!networks.is_empty()).then(|| json!({"networks": {"allow": networks}}));
    let object = object.with("permissions", permissions.iter().cloned().collect::<Vec<_>>());
    Ok(object.some("restrictions", restrictions).into())
}

fn as_code(visit: &Visit, rights: &Rights, fields: &Fields, project: &str) -> AsCode {
    let project = if project.is_empty() || project == "new" { "PROJECT" } else { project };
    let permissions = Preset::of(fields).permissions(rights, fields, |right| visit.may(right));
    let body = request(fields, project, &permissions).unwrap_or(Value::Null);
    let name = if fields.one("name").is_empty() { "NAME" } else { fields.one("name") };
    let mut command =
        format!("keystile key create --kind management --project {} --name {}", shell(project), shell(name));
    match days(fields) {
        "never" => command.push_str(" --never-expires"),
        days => command.push_str(&format!(" --expires-in-days {}", shell(days))),
    }
    for right in &permissions {
        command.push_str(&format!(" \\\n  --permission {}", shell(right)));
    }
    for network in fields.words("networks") {
        command.push_str(&format!(" \\\n  --network {}", shell(&network)));
    }
    AsCode::new(command, &visit.origin, "POST", "/v1/keys", Some(&body))
}

/// The request as the form is filled in.
pub(super) async fn code(visit: Visit) -> Shown {
    let rights = Rights::of(&visit).await?;
    Ok(preview(&visit, as_code(&visit, &rights, &visit.form, visit.form.one("project_id"))))
}

#[derive(Deserialize)]
struct Id {
    id: String,
}

/// The text by itself: what is flattened is read twice.
#[derive(Deserialize)]
struct Text {
    #[serde(default)]
    key: Option<String>,
}

/// Makes the token, and the project that it is to be in if there is none yet.
pub(super) async fn create(visit: Visit) -> Shown {
    let fields = visit.form.clone();
    if fields.one("name").is_empty() {
        let fault = "Give the token a name: that of the program that will hold it.";
        return shown(&visit, &fields, Some(fault.into())).await;
    }
    let rights = Rights::of(&visit).await?;
    let permissions = Preset::of(&fields).permissions(&rights, &fields, |right| visit.may(right));
    if permissions.is_empty() {
        return shown(&visit, &fields, Some("Tick what the token may do; without that it may do nothing.".into()))
            .await;
    }
    match make(&visit, &fields, &permissions).await {
        Ok((key, Some(text))) => Ok(visit.secret(Place::Tokens, "Save your new token", &once(&visit, &key, text))),
        Ok((key, None)) => Ok(visit.go(&format!("/keys/{}", key.id))),
        Err(refusal) => shown(&visit, &fields, Some(refusal.above_form()?)).await,
    }
}

async fn make(visit: &Visit, fields: &Fields, permissions: &BTreeSet<String>) -> Asked<(Key, Option<String>)> {
    let refused = |fault: String| Refusal::own(400, "Not sent", &fault);
    // Looked at before a project is made for it.
    request(fields, "", permissions).map_err(refused)?;
    let project = match fields.one("project_id") {
        "" | "new" => {
            let name = if fields.one("project_name").is_empty() { "Operations" } else { fields.one("project_name") };
            let body = json!({"name": name});
            visit.send(Method::POST, "/v1/projects", Some(&body)).await?.read::<Id>()?.id
        }
        id => id.to_owned(),
    };
    let body = request(fields, &project, permissions).map_err(refused)?;
    let answer = visit.send(Method::POST, "/v1/keys", Some(&body)).await?;
    Ok((answer.read()?, answer.read::<Text>()?.key))
}

fn once(visit: &Visit, key: &Key, text: String) -> Once {
    let ends = key.expires_at.map(|at| visit.zone.label(at, "%-d %b %Y, %H:%M"));
    Once {
        title: "Save your new token".into(),
        about: key.name.clone(),
        label: "Management token",
        note: "This is the only time the token is shown. We store a hash and cannot recover it.".into(),
        snippet: Some(format!(
            "export KEYSTILE_URL={}\nexport KEYSTILE_MANAGEMENT_KEY={text}\nkeystile whoami\n\ncurl {}/v1/whoami \\\n  -H \
             \"Authorization: Bearer $KEYSTILE_MANAGEMENT_KEY\"",
            visit.origin, visit.origin
        )),
        facts: vec![
            ("Key ID", key.id.clone()),
            ("May", rights_told(&key.permissions)),
            ("Expires", ends.unwrap_or_else(|| "Never".into())),
        ],
        advice: "Store it in a secret manager.",
        then: "/tokens".into(),
        secret: Some(text),
        ..Once::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_may_do_what_its_preset_says() {
        let rights: Rights = serde_json::from_value(json!({"built_in_roles": [], "rights": [
            {"name": "keys.read", "description": "", "step_up": false},
            {"name": "keys.write", "description": "", "step_up": false},
        ]}))
        .unwrap();
        for (form, permissions) in [
            ("permission=keys.write", "keys.read"),
            ("preset=read", "keys.read"),
            ("preset=all&permission=keys.read", "*"),
            ("preset=chosen&permission=keys.write", "keys.write"),
            ("preset=chosen", ""),
        ] {
            let fields = Fields::read(form.as_bytes());
            let all = Preset::of(&fields).permissions(&rights, &fields, |_| true);
            assert_eq!(all.into_iter().collect::<Vec<_>>().join(" "), permissions, "{form}");
        }
    }

    #[test]
    fn the_form_is_one_request() {
        let fields = Fields::read(b"name=deploy&days=30&networks=10.0.0.0%2F8");
        let permissions = BTreeSet::from(["keys.read".to_owned()]);
        assert_eq!(
            request(&fields, "prj_1", &permissions).unwrap(),
            json!({
                "project_id": "prj_1", "name": "deploy", "kind": "management", "expires_in_days": 30,
                "permissions": ["keys.read"], "restrictions": {"networks": {"allow": ["10.0.0.0/8"]}},
            })
        );
        assert_eq!(request(&Fields::read(b"name=a&days=never"), "p", &permissions).unwrap()["expires_at"], Value::Null);
        assert!(request(&Fields::read(b"name=a&days=soon"), "p", &permissions).is_err());
    }
}
