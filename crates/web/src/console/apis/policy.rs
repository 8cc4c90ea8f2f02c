//! What keys of an API are like: how they begin, how long they live, what becomes of unused ones, who lets projects in.

use askama::Template;
use axum::extract::Path;
use http::Method;
use serde_json::Value;

use super::at;
use crate::console::Shown;
use crate::console::model::Api;
use crate::console::shell::Place;
use crate::console::visit::Visit;
use crate::ui::form::{Fields, Object};
use crate::ui::html::Html;

/// The tab.
#[derive(Template)]
#[template(path = "console/apis/policy.html")]
struct Policy {
    fault: Option<String>,
    id: String,
    key_prefix: String,
    key_days: String,
    max_key_days: String,
    rotate_key_days: String,
    unused_key_days: String,
    unused_keys: String,
    approval: String,
    recoverable: bool,
    live: bool,
    test: bool,
    may_write: bool,
}

pub(super) fn policy(visit: &Visit, api: &Api, fault: Option<String>) -> Html {
    let number = |days: Option<u32>| days.map(|days| days.to_string()).unwrap_or_default();
    let has = |word: &str| api.environments.iter().any(|environment| environment == word);
    Html::of(&Policy {
        fault,
        id: api.id.clone(),
        key_prefix: api.key_prefix.clone(),
        key_days: api.key_days.to_string(),
        max_key_days: number(api.max_key_days),
        rotate_key_days: number(api.rotate_key_days),
        unused_key_days: number(api.unused_key_days),
        unused_keys: api.unused_keys.clone(),
        approval: api.approval.clone(),
        recoverable: api.recoverable_keys,
        live: has("live"),
        test: has("test"),
        may_write: visit.may("apis.write"),
    })
}

/// The request that the form makes.
///
/// # Errors
/// A sentence about the field that says nothing that can be sent.
fn request(fields: &Fields) -> Result<Value, String> {
    let or_null =
        |name: &str, called: &str| fields.number(name, called).map(|days| days.map_or(Value::Null, Value::from));
    let object = Object::default()
        .text("key_prefix", fields.one("key_prefix"))
        .some("key_days", fields.number("key_days", "Days of a new key")?)
        .with("max_key_days", or_null("max_key_days", "The longest life")?)
        .with("rotate_key_days", or_null("rotate_key_days", "Days until a reminder")?)
        .with("unused_key_days", or_null("unused_key_days", "Days of nobody using it")?)
        .text("unused_keys", fields.one("unused_keys"))
        .text("approval", fields.one("approval"))
        .with("recoverable_keys", fields.has("recoverable_keys"))
        .with("environments", fields.all("environment").map(str::to_owned).collect::<Vec<_>>());
    Ok(object.into())
}

pub(super) async fn save(visit: Visit, Path(id): Path<String>) -> Shown {
    let api: Api = visit.get(&at(&id)).await?;
    let sent = match request(&visit.form) {
        Ok(body) => visit.send(Method::PATCH, &at(&id), Some(&body)).await.map(drop),
        Err(fault) => Err(crate::api::Refusal::own(400, "Not saved", &fault)),
    };
    match sent {
        Ok(()) => Ok(visit.go_saying(&format!("/apis/{}?tab=keys", api.id), "Saved. It holds for keys from now on.")),
        Err(refusal) => {
            let content = super::show::framed(&visit, &api, "keys", policy(&visit, &api, Some(refusal.above_form()?)));
            Ok(visit.page(Place::Apis, &api.name, &content))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_empty_field_takes_a_bound_away() {
        let form = Fields::read(b"key_prefix=wx&key_days=30&max_key_days=&unused_key_days=90&unused_keys=disable&approval=manual&environment=live");
        assert_eq!(
            request(&form).unwrap(),
            json!({
                "key_prefix": "wx", "key_days": 30, "max_key_days": null, "rotate_key_days": null, "unused_key_days": 90,
                "unused_keys": "disable", "approval": "manual", "recoverable_keys": false, "environments": ["live"],
            })
        );
        assert!(request(&Fields::read(b"key_days=soon")).is_err());
    }
}
