//! `/settings`: the page.

use askama::Template;
use serde::Deserialize;

use super::encryption::Encryption;
use super::organization::Organization;
use crate::console::Shown;
use crate::console::shell::Place;
use crate::console::visit::Visit;
use crate::ui::html::Badge;
use crate::ui::number::exact;
use crate::ui::time::Moment;

/// What is set where the server runs: the setting, what holds without it, and what it is about.
const SET_ELSEWHERE: [(&str, &str, &str); 9] = [
    ("retention.audit_days", "kept for good", "Details of entries of the audit"),
    ("retention.request_days", "7 days", "Single calls in the request log"),
    ("retention.event_days", "90 days", "Each call as it was counted, for exports"),
    ("retention.facet_days", "400 days", "Calls by country, end user and tag"),
    ("retention.address_days", "365 days", "From which addresses a key was used"),
    ("login.session_idle_seconds", "1 hour", "After how long without a request a session ends"),
    ("login.step_up_seconds", "5 minutes", "For how long a proof of who one is holds"),
    ("login.origin", "off", "Where browsers reach these pages; passkeys are bound to it"),
    ("audit.syslog", "off", "Where the audit is told to besides the store"),
];

/// The page.
#[derive(Template)]
#[template(path = "console/settings/show.html")]
struct Settings {
    organization: Option<(Organization, Moment)>,
    organization_id: String,
    name: String,
    may_rename: bool,
    health: Badge,
    reason: String,
    checks: Vec<(String, Badge, String)>,
    gateway: String,
    origin: String,
    version: &'static str,
    encryption: Option<Secrets>,
    may_encrypt: bool,
    elsewhere: [(&'static str, &'static str, &'static str); 9],
    may_privacy: bool,
}

struct Secrets {
    keys: Vec<Row>,
    peppers: Vec<Row>,
    older: u64,
}

/// A version of the encryption key, or a pepper.
struct Row {
    version: u32,
    what: String,
    count: String,
    created: Moment,
    is_newest: bool,
}

/// What `/readyz` says.
#[derive(Debug, Default, Deserialize)]
struct Ready {
    #[serde(default)]
    status: String,
    #[serde(default)]
    checks: Vec<Check>,
}

#[derive(Debug, Deserialize)]
struct Check {
    name: String,
    ok: bool,
    #[serde(default)]
    reason: Option<String>,
}

pub(super) async fn show(visit: Visit) -> Shown {
    let (health, reason, checks) = match visit.get::<Ready>("/readyz").await {
        Ok(ready) => told(ready),
        Err(refusal) => (Badge::new("bad", "Not ready"), refusal.detail, Vec::new()),
    };
    let organization = Organization::of(&visit).await.ok();
    let encryption = match visit.may("encryption.read") {
        true => Encryption::of(&visit).await.ok().map(|all| secrets(&visit, all)),
        false => None,
    };
    let content = Settings {
        name: organization.as_ref().map_or_else(|| visit.organization().to_owned(), |one| one.name.clone()),
        organization: organization.map(|one| {
            let made = visit.zone.day(one.created_at);
            (one, made)
        }),
        organization_id: visit.who.organization_id.clone(),
        may_rename: visit.may("organizations.write"),
        health,
        reason,
        checks,
        gateway: visit.gateway().to_owned(),
        origin: visit.origin.clone(),
        // All crates are of one version.
        version: env!("CARGO_PKG_VERSION"),
        encryption,
        may_encrypt: visit.may("encryption.write"),
        elsewhere: SET_ELSEWHERE,
        may_privacy: visit.may("privacy.read"),
    };
    Ok(visit.page(Place::Settings, "Settings", &content))
}

/// How the server is, by its checks.
fn told(ready: Ready) -> (Badge, String, Vec<(String, Badge, String)>) {
    let badge = match ready.status.as_str() {
        "ready" => Badge::new("ok", "Ready"),
        "degraded" => Badge::new("warn", "Wants attention"),
        _ => Badge::new("bad", "Not ready"),
    };
    let checks = ready.checks.into_iter().map(|check| {
        let badge = if check.ok { Badge::new("ok", "OK") } else { Badge::new("bad", "Look at it") };
        (check.name.replace('_', " "), badge, check.reason.unwrap_or_default())
    });
    (badge, String::new(), checks.collect())
}

fn secrets(visit: &Visit, all: Encryption) -> Secrets {
    let newest = all.keys.iter().map(|key| key.version).max();
    let newest_pepper = all.peppers.iter().map(|pepper| pepper.version).max();
    let keys = all.keys.iter().map(|key| Row {
        version: key.version,
        what: key.algorithm.clone(),
        count: exact(key.records),
        created: visit.zone.minute(key.created_at),
        is_newest: Some(key.version) == newest,
    });
    let peppers = all.peppers.iter().map(|pepper| Row {
        version: pepper.version,
        what: String::new(),
        count: exact(pepper.digests),
        created: visit.zone.minute(pepper.created_at),
        is_newest: Some(pepper.version) == newest_pepper,
    });
    Secrets { keys: keys.collect(), peppers: peppers.collect(), older: all.older_records }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_say_what_is_wrong() {
        let ready: Ready = serde_json::from_value(serde_json::json!({"status": "degraded", "revision": 7, "checks": [
            {"name": "store", "ok": true}, {"name": "audit_file", "ok": false, "reason": "The disk is full."},
        ]}))
        .unwrap();
        let (badge, _, checks) = told(ready);
        assert_eq!(badge, Badge::new("warn", "Wants attention"));
        assert_eq!(checks[1], ("audit file".into(), Badge::new("bad", "Look at it"), "The disk is full.".into()));
    }
}
