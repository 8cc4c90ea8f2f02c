//! Refusing, suspending and removing a link, each after a question.

use axum::extract::Path;
use http::Method;
use serde_json::{Value, json};

use super::show::line_of;
use super::{Access, Activation, activation};
use crate::console::Shown;
use crate::console::confirm::{Confirm, OTHER_NAME, is_other_name};
use crate::console::shell::Place;
use crate::console::visit::Visit;
use crate::ui::form::Object;
use crate::ui::html::{AsCode, shell};
use crate::ui::number::of;

/// What is done to a link: its word in addresses, and what is said of it.
struct Verb {
    word: &'static str,
    title: &'static str,
    about: &'static str,
    button: &'static str,
    done: &'static str,
}

const REFUSE: Verb = Verb {
    word: "refuse",
    title: "Refuse",
    about: "It may not call the API. Its people can ask once more, and you can approve it later.",
    button: "Refuse access",
    done: "was refused.",
};

const SUSPEND: Verb = Verb {
    word: "suspend",
    title: "Suspend",
    about: "Its calls of this API are refused as suspended until you approve it again. Its other APIs go on.",
    button: "Suspend access",
    done: "is suspended.",
};

/// What is known of both sides, for questions.
struct Sides {
    link: Activation,
    line: Option<Access>,
}

impl Sides {
    async fn of(visit: &Visit, id: &str) -> Result<Self, crate::api::Refusal> {
        let link = activation(visit, id).await?;
        let line = line_of(visit, &link).await;
        Ok(Self { link, line })
    }

    fn project(&self) -> &str {
        self.line.as_ref().map_or(&self.link.project_id, |line| &line.project_name)
    }

    fn api(&self) -> &str {
        self.line.as_ref().map_or(&self.link.api_id, |line| &line.api_name)
    }

    fn numbers(&self) -> Option<String> {
        let line = self.line.as_ref()?;
        let keys = of(line.active_keys, "active key", "active keys");
        Some(format!("{keys}, and {} in the last 30 days.", of(line.calls_30_days, "request", "requests")))
    }
}

fn question(visit: &Visit, sides: &Sides, verb: &Verb, fault: Option<String>) -> Shown {
    let id = &sides.link.id;
    let said = if verb.word == "refuse" { "Please use the beta API" } else { "Unpaid invoice" };
    let command = format!("keystile activation {} {} --reason {}", verb.word, shell(id), shell(said));
    let path = format!("/v1/activations/{id}/{}", verb.word);
    let content = Confirm {
        fault,
        title: format!("{} {} at {}?", verb.title, sides.project(), sides.api()),
        about: verb.about.into(),
        numbers: sides.numbers(),
        reason: Some(("its people read it", visit.form.one("reason").into())),
        path: format!("/access/{id}/{}", verb.word),
        back: format!("/access/{id}"),
        button: verb.button,
        is_danger: true,
        code: Some(AsCode::new(command, &visit.origin, "POST", &path, Some(&json!({"reason": said})))),
        ..Confirm::default()
    };
    Ok(content.shown(visit, Place::Access))
}

async fn carry_out(visit: &Visit, id: &str, verb: &Verb) -> Shown {
    let sides = Sides::of(visit, id).await?;
    let body: Value = Object::default().text("reason", visit.form.one("reason")).into();
    match visit.send(Method::POST, &format!("/v1/activations/{}/{}", sides.link.id, verb.word), Some(&body)).await {
        Ok(_) => {
            let path = if verb.word == "refuse" { "/access".to_owned() } else { format!("/access/{}", sides.link.id) };
            Ok(visit.go_saying(&path, &format!("{} {}", sides.project(), verb.done)))
        }
        Err(refusal) => question(visit, &sides, verb, Some(refusal.above_form()?)),
    }
}

pub(super) async fn refuse_form(visit: Visit, Path(id): Path<String>) -> Shown {
    question(&visit, &Sides::of(&visit, &id).await?, &REFUSE, None)
}

pub(super) async fn refuse(visit: Visit, Path(id): Path<String>) -> Shown {
    carry_out(&visit, &id, &REFUSE).await
}

pub(super) async fn suspend_form(visit: Visit, Path(id): Path<String>) -> Shown {
    question(&visit, &Sides::of(&visit, &id).await?, &SUSPEND, None)
}

pub(super) async fn suspend(visit: Visit, Path(id): Path<String>) -> Shown {
    carry_out(&visit, &id, &SUSPEND).await
}

fn removal(visit: &Visit, sides: &Sides, fault: Option<String>) -> Shown {
    let id = &sides.link.id;
    let content = Confirm {
        fault,
        title: format!("Remove {} from {}?", sides.project(), sides.api()),
        about: "The link is deleted: its plan and ceilings go with it, and its calls are refused. It can be made anew."
            .into(),
        numbers: sides.numbers(),
        name: Some(sides.project().to_owned()),
        path: format!("/access/{id}/remove"),
        back: format!("/access/{id}"),
        button: "Remove access",
        is_danger: true,
        code: Some(AsCode::new(
            format!("keystile activation delete {}", shell(id)),
            &visit.origin,
            "DELETE",
            &format!("/v1/activations/{id}"),
            None,
        )),
        ..Confirm::default()
    };
    Ok(content.shown(visit, Place::Access))
}

pub(super) async fn remove_form(visit: Visit, Path(id): Path<String>) -> Shown {
    removal(&visit, &Sides::of(&visit, &id).await?, None)
}

pub(super) async fn remove(visit: Visit, Path(id): Path<String>) -> Shown {
    let sides = Sides::of(&visit, &id).await?;
    if is_other_name(&visit, sides.project()) {
        return removal(&visit, &sides, Some(OTHER_NAME.into()));
    }
    match visit.send(Method::DELETE, &format!("/v1/activations/{}", sides.link.id), None).await {
        Ok(_) => Ok(visit.go_saying("/access?state=approved", &format!("{} is removed.", sides.project()))),
        Err(refusal) => removal(&visit, &sides, Some(refusal.above_form()?)),
    }
}
