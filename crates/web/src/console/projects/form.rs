//! Making and editing a project: one form, what it would be as code, and the request that it is.

use askama::Template;
use axum::extract::Path;
use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Project, project};
use crate::console::Shown;
use crate::console::model::{Api, List};
use crate::console::preview::preview;
use crate::console::shell::Place;
use crate::console::visit::Visit;
use crate::ui::form::{Fields, Object};
use crate::ui::html::{AsCode, shell};

/// The form.
#[derive(Template)]
#[template(path = "console/projects/form.html")]
struct Form {
    fault: Option<String>,
    id: Option<String>,
    path: String,
    back: String,
    name: String,
    is_test: bool,
    description: String,
    contact: String,
    labels: String,
    max_keys: String,
    apis: Vec<(String, String, bool)>,
    code: AsCode,
}

pub(super) async fn new(visit: Visit) -> Shown {
    new_shown(&visit, &visit.query, None).await
}

async fn new_shown(visit: &Visit, fields: &Fields, fault: Option<String>) -> Shown {
    let apis: List<Api> = visit.aside("/v1/apis?limit=200").await;
    let ticked: Vec<&str> = fields.all("api_id").collect();
    // Whoever makes a consumer means it to call; it is said which APIs, and nothing is ticked that was not.
    let apis = apis.items.into_iter().filter(|api| api.active);
    let content = Form {
        fault,
        id: None,
        path: "/projects".into(),
        back: "/projects".into(),
        name: fields.one("name").into(),
        is_test: fields.one("environment") == "test",
        description: fields.one("description").into(),
        contact: fields.one("contact").into(),
        labels: fields.one("labels").into(),
        max_keys: fields.one("max_keys").into(),
        apis: apis
            .map(|api| (ticked.contains(&api.id.as_str()), api))
            .map(|(is, api)| (api.id, api.name, is))
            .collect(),
        code: as_code(visit, fields, None),
    };
    Ok(visit.sheet(Place::Consumers, "New consumer", &content))
}

pub(super) async fn edit(visit: Visit, Path(id): Path<String>) -> Shown {
    let project = project(&visit, &id).await?;
    Ok(edit_shown(&visit, &project, &kept(&project), None))
}

/// The fields of the form as the project has them.
fn kept(project: &Project) -> Fields {
    let most = project.max_keys.map(|most| most.to_string()).unwrap_or_default();
    let pairs = [
        ("name", project.name.as_str()),
        ("description", &project.description),
        ("contact", &project.contact),
        ("labels", &project.labels.join(", ")),
        ("max_keys", &most),
    ];
    Fields::read(crate::ui::form::query(&pairs).as_bytes())
}

fn edit_shown(visit: &Visit, project: &Project, fields: &Fields, fault: Option<String>) -> axum::response::Response {
    let content = Form {
        fault,
        id: Some(project.id.clone()),
        path: format!("/projects/{}/edit", project.id),
        back: format!("/projects/{}", project.id),
        name: fields.one("name").into(),
        is_test: project.environment == "test",
        description: fields.one("description").into(),
        contact: fields.one("contact").into(),
        labels: fields.one("labels").into(),
        max_keys: fields.one("max_keys").into(),
        apis: Vec::new(),
        code: as_code(visit, fields, Some(project)),
    };
    visit.sheet(Place::Consumers, &format!("Edit {}", project.name), &content)
}

/// The request that the form makes: of a new project, or what is another one than before.
///
/// # Errors
/// A sentence about the field that says nothing that can be sent.
fn request(fields: &Fields, was: Option<&Project>) -> Result<Value, String> {
    let most = fields.number("max_keys", "The number of keys")?;
    let labels = fields.words("labels");
    let text = |name: &str| fields.one(name).replace("\r\n", "\n");
    let Some(project) = was else {
        let environment = if fields.one("environment") == "test" { "test" } else { "" };
        let object = Object::default()
            .with("name", fields.one("name"))
            .text("environment", environment)
            .text("description", &text("description"))
            .text("contact", &text("contact"))
            .list("labels", labels)
            .some("max_keys", most);
        return Ok(object.into());
    };
    let mut object = Object::default();
    let texts = [("name", &project.name), ("description", &project.description), ("contact", &project.contact)];
    for (name, kept) in texts {
        if text(name) != *kept {
            object = object.with(name, text(name));
        }
    }
    if labels != project.labels {
        object = object.with("labels", labels);
    }
    if most != project.max_keys {
        object = object.with("max_keys", most);
    }
    Ok(object.into())
}

/// The options of the command that say the same as a request.
fn options(body: &Value) -> String {
    let mut text = String::new();
    for (name, option) in
        [("name", "name"), ("environment", "environment"), ("description", "description"), ("contact", "contact")]
    {
        if let Some(said) = body.get(name).and_then(Value::as_str) {
            text.push_str(&format!(" --{option} {}", shell(said)));
        }
    }
    if let Some(most) = body.get("max_keys") {
        text.push_str(&format!(" --max-keys {}", most.as_u64().unwrap_or(0)));
    }
    if let Some(labels) = body.get("labels").and_then(Value::as_array) {
        if labels.is_empty() {
            text.push_str(" --no-labels");
        }
        for label in labels.iter().filter_map(Value::as_str) {
            text.push_str(&format!(" --label {}", shell(label)));
        }
    }
    text
}

fn as_code(visit: &Visit, fields: &Fields, was: Option<&Project>) -> AsCode {
    let body = request(fields, was).unwrap_or(Value::Null);
    if let Some(project) = was {
        let command = format!("keystile project update {}{}", shell(&project.id), options(&body));
        return AsCode::new(command, &visit.origin, "PATCH", &format!("/v1/projects/{}", project.id), Some(&body));
    }
    let mut code = AsCode::new(
        format!("keystile project create{}", options(&body)),
        &visit.origin,
        "POST",
        "/v1/projects",
        Some(&body),
    );
    for api in fields.all("api_id") {
        let name = if fields.one("name").is_empty() { "NAME" } else { fields.one("name") };
        let command = format!("keystile activation create --project {} --api {}", shell(name), shell(api));
        let body = json!({"project_id": "PROJECT", "api_id": api});
        let more = AsCode::new(command, &visit.origin, "POST", "/v1/activations", Some(&body));
        code.command = format!("{}\n{}", code.command, more.command);
        code.request = format!("{}\n\n{}", code.request, more.request);
    }
    code
}

/// What the form would be as code, as it is filled in.
pub(super) async fn code(visit: Visit) -> Shown {
    let id = visit.form.one("id");
    let was = if id.is_empty() { None } else { Some(project(&visit, id).await?) };
    Ok(preview(&visit, as_code(&visit, &visit.form, was.as_ref())))
}

#[derive(Deserialize)]
struct Made {
    id: String,
}

pub(super) async fn create(visit: Visit) -> Shown {
    let fields = visit.form.clone();
    let body = match request(&fields, None) {
        Ok(_) if fields.one("name").is_empty() => return new_shown(&visit, &fields, Some(NO_NAME.into())).await,
        Ok(body) => body,
        Err(fault) => return new_shown(&visit, &fields, Some(fault)).await,
    };
    let made: Made = match visit.send(Method::POST, "/v1/projects", Some(&body)).await {
        Ok(answer) => answer.read()?,
        Err(refusal) => return new_shown(&visit, &fields, Some(refusal.above_form()?)).await,
    };
    let mut said = format!("{} is there.", fields.one("name"));
    for api in fields.all("api_id") {
        let body = json!({"project_id": made.id, "api_id": api});
        // The project stands: what it may not call is said, and can be asked for on its page.
        if let Err(refusal) = visit.send(Method::POST, "/v1/activations", Some(&body)).await {
            said = format!("{} is there, but may not call all that you chose: {}", fields.one("name"), refusal.detail);
        }
    }
    Ok(visit.go_saying(&format!("/projects/{}", made.id), &said))
}

/// What is said of a project without a name.
const NO_NAME: &str = "Give the consumer a name: that of the team or the program that calls.";

pub(super) async fn save(visit: Visit, Path(id): Path<String>) -> Shown {
    let project = project(&visit, &id).await?;
    let body = match request(&visit.form, Some(&project)) {
        Ok(_) if visit.form.one("name").is_empty() => {
            return Ok(edit_shown(&visit, &project, &visit.form, Some(NO_NAME.into())));
        }
        Ok(body) => body,
        Err(fault) => return Ok(edit_shown(&visit, &project, &visit.form, Some(fault))),
    };
    match visit.send(Method::PATCH, &format!("/v1/projects/{}", project.id), Some(&body)).await {
        Ok(_) => Ok(visit.go_saying(&format!("/projects/{}", project.id), "Saved.")),
        Err(refusal) => Ok(edit_shown(&visit, &project, &visit.form, Some(refusal.above_form()?))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project() -> Project {
        serde_json::from_value(json!({
            "id": "prj_1", "name": "app", "description": "a\nb", "environment": "live", "contact": "ada@example.com",
            "labels": ["team-a"], "max_keys": 5, "patterns": [], "state": "active", "suspended_at": null,
            "suspended_reason": "", "created_at": "2026-11-01T00:00:00Z",
        }))
        .unwrap()
    }

    #[test]
    fn a_new_project_says_no_more_than_was_typed() {
        let form = Fields::read(b"name=app&environment=live&description=&contact=ada&labels=a%2C+b&max_keys=10");
        let body = request(&form, None).unwrap();
        assert_eq!(body, json!({"name": "app", "contact": "ada", "labels": ["a", "b"], "max_keys": 10}));
        assert_eq!(options(&body), " --name app --contact ada --max-keys 10 --label a --label b");
        assert!(request(&Fields::read(b"name=a&max_keys=few"), None).is_err());
    }

    #[test]
    fn an_edit_says_what_is_new_and_nothing_else() {
        assert_eq!(request(&kept(&project()), Some(&project())).unwrap(), json!({}));
        let form = Fields::read(b"name=app&description=a%0D%0Ab&contact=ada%40example.com&labels=&max_keys=");
        let body = request(&form, Some(&project())).unwrap();
        assert_eq!(body, json!({"labels": [], "max_keys": null}));
        assert_eq!(options(&body), " --max-keys 0 --no-labels");
    }
}
