//! What secrets are encrypted under and texts of keys are hashed with, and taking something new into use.

use http::Method;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::{Asked, Refusal};
use crate::console::Shown;
use crate::console::confirm::Confirm;
use crate::console::shell::Place;
use crate::console::visit::Visit;
use crate::ui::html::AsCode;
use crate::ui::number::of;

/// Secrets that are encrypted anew in one request; other changes wait for it less than a second.
const RECORDS: u32 = 5_000;

/// What there is.
#[derive(Debug, Deserialize)]
pub(super) struct Encryption {
    pub(super) keys: Vec<Version>,
    pub(super) peppers: Vec<Pepper>,
    pub(super) older_records: u64,
}

/// A version of the encryption key.
#[derive(Debug, Deserialize)]
pub(super) struct Version {
    pub(super) version: u32,
    pub(super) algorithm: String,
    pub(super) created_at: Timestamp,
    pub(super) records: u64,
}

/// A pepper.
#[derive(Debug, Deserialize)]
pub(super) struct Pepper {
    pub(super) version: u32,
    pub(super) created_at: Timestamp,
    pub(super) digests: u64,
}

impl Encryption {
    /// As it is now.
    pub(super) async fn of(visit: &Visit) -> Asked<Self> {
        visit.get("/v1/encryption").await
    }
}

async fn asked_rotation(visit: &Visit) -> Result<Confirm, Refusal> {
    let now = Encryption::of(visit).await?;
    let records: u64 = now.keys.iter().map(|key| key.records).sum();
    Ok(Confirm {
        title: "Rotate the encryption key?".into(),
        about: "Everything new is encrypted under another version from now on, of the whole installation.".into(),
        notes: vec![format!(
            "{} under what there is now and read as before. Bring them under the new version afterwards; then the older one can be \
             retired.",
            match records {
                1 => "1 secret stays".to_owned(),
                many => format!("{} stay", of(many, "secret", "secrets")),
            }
        )],
        path: "/settings/encryption/rotate".into(),
        back: "/settings".into(),
        button: "Rotate key",
        code: Some(AsCode::new(
            "keystile encryption rotate".into(),
            &visit.origin,
            "POST",
            "/v1/encryption/rotate",
            Some(&json!({})),
        )),
        ..Confirm::default()
    })
}

pub(super) async fn rotate_form(visit: Visit) -> Shown {
    let ask = asked_rotation(&visit).await?;
    Ok(visit.modal(Place::Settings, "Rotate the encryption key", &ask))
}

pub(super) async fn rotate(visit: Visit) -> Shown {
    let body = json!({});
    let said = "A new version encrypts what is new. Bring the rest under it, too.";
    done(&visit, "/v1/encryption/rotate", Some(&body), said, asked_rotation(&visit).await?).await
}

fn asked_pepper(visit: &Visit) -> Confirm {
    Confirm {
        title: "Take another pepper into use?".into(),
        about: "Texts of new keys are hashed with it from now on, of every other key as soon as it is presented.".into(),
        notes: vec![
            "No key changes for whoever holds it. The older pepper can be retired once no key that can be used is hashed with it."
                .into(),
        ],
        path: "/settings/encryption/pepper".into(),
        back: "/settings".into(),
        button: "Take it into use",
        code: Some(AsCode::new(
            "keystile encryption rotate-pepper".into(),
            &visit.origin,
            "POST",
            "/v1/encryption/peppers",
            None,
        )),
        ..Confirm::default()
    }
}

pub(super) async fn pepper_form(visit: Visit) -> Shown {
    Ok(visit.modal(Place::Settings, "Another pepper", &asked_pepper(&visit)))
}

pub(super) async fn pepper(visit: Visit) -> Shown {
    done(&visit, "/v1/encryption/peppers", None, "Another pepper is in use.", asked_pepper(&visit)).await
}

/// Does it, or asks again with what was refused.
async fn done(visit: &Visit, path: &str, body: Option<&Value>, said: &str, ask: Confirm) -> Shown {
    match visit.send(Method::POST, path, body).await {
        Ok(_) => Ok(visit.go_saying("/settings", said)),
        Err(refusal) => {
            let title = ask.title.clone();
            Ok(visit.modal(Place::Settings, &title, &ask.with_fault(refusal.above_form()?)))
        }
    }
}

/// Brings some of what is older under the newest version.
pub(super) async fn rewrap(visit: Visit) -> Shown {
    let body = json!({"limit": RECORDS});
    let left: Encryption = visit.send(Method::POST, "/v1/encryption/rewrap", Some(&body)).await?.read()?;
    let said = match left.older_records {
        0 => "All secrets are under the newest version.".to_owned(),
        some => format!("{} to go; do it again.", of(some, "secret", "secrets")),
    };
    Ok(visit.go_saying("/settings", &said))
}
