//! A secret that is shown this once: of a key that was made or rotated.

use askama::Template;
use serde::Deserialize;

use crate::api::{Answer, Asked};
use crate::console::model::{Api, Key, List};
use crate::console::visit::Visit;
use crate::ui::form::query;
use crate::ui::time::Moment;

/// The dialog.
#[derive(Template)]
#[template(path = "console/keys/made.html")]
pub(super) struct Made {
    what: &'static str,
    id: String,
    name: String,
    project: String,
    secret: Option<String>,
    link: Option<(String, Moment)>,
    beginning: String,
    permissions: Vec<String>,
    limits: Vec<String>,
    expires: Option<Moment>,
    url: String,
    variable: String,
    apis: Vec<String>,
}

#[derive(Deserialize)]
struct NewKey {
    #[serde(flatten)]
    key: Key,
    #[serde(default)]
    hand_over: Option<HandOver>,
}

/// The text by itself: what is flattened is read twice.
#[derive(Deserialize)]
struct Text {
    #[serde(default)]
    key: Option<String>,
}

#[derive(Deserialize)]
struct HandOver {
    path: String,
    expires_at: jiff::Timestamp,
}

#[derive(Deserialize)]
struct Activation {
    api_id: String,
    state: String,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

/// What the API answered, as it is shown.
pub(super) async fn made(visit: &Visit, answer: &Answer, what: &'static str) -> Asked<Made> {
    let NewKey { key, hand_over } = answer.read()?;
    let Text { key: secret } = answer.read()?;
    let project: Asked<Named> = visit.get(&format!("/v1/projects/{}", key.project_id)).await;
    let links: List<Activation> =
        visit.aside(&format!("/v1/activations?{}", query(&[("project_id", &key.project_id), ("limit", "200")]))).await;
    let all: List<Api> = visit.aside("/v1/apis?limit=200").await;
    let mut apis = links.items.iter().filter(|link| link.state == "approved");
    let open: Vec<&Api> = apis.by_ref().filter_map(|link| all.items.iter().find(|api| api.id == link.api_id)).collect();
    let url = match open.first() {
        Some(api) => call_url(visit, api),
        None => format!("{}/", visit.gateway()),
    };
    Ok(Made {
        what,
        name: key.name.clone(),
        project: project.map(|project| project.name).unwrap_or_default(),
        link: hand_over.map(|link| (format!("{}{}", visit.origin, link.path), visit.zone.minute(link.expires_at))),
        beginning: secret.as_deref().and_then(beginning).unwrap_or_default(),
        secret,
        permissions: key.permissions.clone(),
        limits: key.rate_limits.iter().map(super::show::limit_text).collect(),
        expires: key.expires_at.map(|at| visit.zone.minute(at)),
        url,
        variable: variable(&key.name),
        apis: open.iter().map(|api| api.name.clone()).collect(),
        id: key.id,
    })
}

/// An address of an API that a call can be tried at.
pub(in crate::console) fn call_url(visit: &Visit, api: &Api) -> String {
    let prefix = api.path_prefix.trim_end_matches('/');
    match api.hosts.first() {
        Some(host) if !host.starts_with('*') => {
            let scheme = visit.gateway().split("://").next().unwrap_or("https");
            let port =
                visit.gateway().rsplit_once(':').map(|(_, port)| port).filter(|port| port.parse::<u16>().is_ok());
            let port = port.map(|port| format!(":{port}")).unwrap_or_default();
            format!("{scheme}://{host}{port}{prefix}/")
        }
        _ => format!("{}{prefix}/", visit.gateway()),
    }
}

/// What a key begins with, which leak scanners know it by: all before its secret part.
fn beginning(text: &str) -> Option<String> {
    let (prefix, rest) = text.split_once('_')?;
    let (environment, _) = rest.split_once('_')?;
    Some(format!("{prefix}_{environment}_"))
}

/// The variable that a program keeps the key in.
fn variable(name: &str) -> String {
    let letters =
        name.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter.to_ascii_uppercase() } else { '_' });
    let name: String = letters.collect();
    let name = name.trim_matches('_');
    match name.chars().next() {
        Some(first) if first.is_ascii_alphabetic() => format!("{name}_KEY"),
        _ => "API_KEY".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_kept_in_a_variable_of_its_name() {
        assert_eq!(
            (variable("ingest-worker eu"), variable("1st"), variable("")),
            ("INGEST_WORKER_EU_KEY".into(), "API_KEY".into(), "API_KEY".into())
        );
        assert_eq!(beginning("ks_live_5hT9qZr2").as_deref(), Some("ks_live_"));
        assert_eq!(beginning("plain"), None);
    }
}
