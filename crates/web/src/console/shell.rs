//! The frame of every page: where one is, where one can go, who one is.

use askama::Template;

use super::visit::Visit;
use crate::ui::html::{Html, initials};

/// A place of the side, in its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// None of them.
    None,
    Overview,
    Apis,
    Keys,
    Consumers,
    Access,
    Plans,
    Usage,
    Requests,
    Alerts,
    Hygiene,
    Anomalies,
    Leaks,
    Audit,
    Sessions,
    Portal,
    Webhooks,
    Tokens,
    Team,
    Settings,
}

/// A place as the side shows it: what it is called, where it is, its icon, and the right without which it is left out.
type Entry = (Place, &'static str, &'static str, &'static str, &'static str);

const GROUPS: [(&str, &[Entry]); 4] = [
    (
        "",
        &[
            (Place::Overview, "Overview", "/", "layout-dashboard", ""),
            (Place::Apis, "APIs", "/apis", "layers", "apis.read"),
            (Place::Keys, "API keys", "/keys", "key-round", "keys.read"),
            (Place::Consumers, "Consumers", "/projects", "users", "projects.read"),
            (Place::Access, "Access requests", "/access", "inbox", "activations.read"),
            (Place::Plans, "Plans & limits", "/plans", "gauge", "plans.read"),
        ],
    ),
    (
        "Observe",
        &[
            (Place::Usage, "Usage", "/usage", "activity", "usage.read"),
            (Place::Requests, "Live requests", "/requests", "radio", "requests.read"),
            (Place::Alerts, "Alerts", "/alerts", "bell", "webhooks.read"),
        ],
    ),
    (
        "Security",
        &[
            (Place::Hygiene, "Key hygiene", "/hygiene", "shield-check", "keys.read"),
            (Place::Anomalies, "Anomalies", "/anomalies", "radar", "requests.read"),
            (Place::Leaks, "Leaks", "/leaks", "shield-alert", "keys.read"),
            (Place::Audit, "Audit log", "/audit", "scroll-text", "audit.read"),
            (Place::Sessions, "Sign-ins", "/sessions", "fingerprint", "members.read"),
        ],
    ),
    (
        "Publish",
        &[
            (Place::Portal, "Developer portal", "/portal", "globe", ""),
            (Place::Webhooks, "Webhooks", "/webhooks", "webhook", "webhooks.read"),
            (Place::Tokens, "Management tokens", "/tokens", "terminal", "keys.read"),
            (Place::Team, "Team", "/team", "user-plus", "members.read"),
            (Place::Settings, "Settings", "/settings", "settings", ""),
        ],
    ),
];

/// The places that a visitor may go to: what they are called, where they are, their icon.
pub(super) fn places(visit: &Visit) -> Vec<(&'static str, &'static str, &'static str)> {
    let all = GROUPS.iter().flat_map(|(_, places)| *places);
    let open = all.filter(|(.., right)| right.is_empty() || visit.may(right));
    open.map(|(_, text, path, icon, _)| (*text, *path, *icon)).collect()
}

/// A page in its frame.
#[derive(Template)]
#[template(path = "console/shell.html")]
pub(crate) struct Shell {
    title: String,
    crumb: &'static str,
    organization: String,
    organization_initials: String,
    others: Vec<(String, String)>,
    groups: Vec<(&'static str, Vec<Link>)>,
    name: String,
    email: String,
    initials: String,
    role: String,
    is_in: bool,
    said: Option<String>,
    zone: String,
    content: Html,
}

/// A link of the side.
struct Link {
    text: &'static str,
    path: &'static str,
    icon: &'static str,
    is_current: bool,
}

/// A dialog, or what is a page of its own without script.
#[derive(Template)]
#[template(path = "console/dialog.html")]
pub(crate) struct Dialog {
    pub(super) class: &'static str,
    pub(super) title: String,
    pub(super) is_dialog: bool,
    pub(super) content: Html,
}

impl Dialog {
    /// Whether it holds a secret that is shown this once.
    fn is_secret(&self) -> bool {
        self.class.contains("secret-once")
    }
}

impl Shell {
    /// Round this content.
    pub(super) fn new(visit: &Visit, place: Place, title: &str, content: Html) -> Self {
        let shown = |(at, text, path, icon, right): &Entry| {
            let link = Link { text, path, icon, is_current: *at == place };
            (right.is_empty() || visit.may(right)).then_some(link)
        };
        let groups = GROUPS.iter().map(|(name, places)| (*name, places.iter().filter_map(shown).collect::<Vec<_>>()));
        let crumb =
            GROUPS.iter().flat_map(|(_, places)| *places).find(|entry| entry.0 == place).map_or("", |entry| entry.1);
        let account = visit.who.account.as_ref();
        let others = account.into_iter().flat_map(|account| &account.organizations);
        let others = others.filter(|one| one.organization_id != visit.who.organization_id);
        let name = account.map_or("A program", |account| &account.name);
        Self {
            title: title.to_owned(),
            crumb,
            organization: visit.organization().to_owned(),
            organization_initials: initials(visit.organization()),
            others: others.map(|one| (one.organization_id.clone(), one.name.clone())).collect(),
            groups: groups.filter(|(_, links)| !links.is_empty()).collect(),
            name: name.to_owned(),
            email: account.map(|account| account.email.clone()).unwrap_or_default(),
            initials: initials(name),
            role: visit.who.role.clone().unwrap_or_default(),
            is_in: true,
            said: visit.said.clone(),
            zone: visit.zone.described(visit.now),
            content,
        }
    }

    /// Round a page for somebody who is not known.
    pub(super) fn bare(title: &str, content: Html) -> Self {
        Self {
            title: title.to_owned(),
            crumb: "",
            organization: String::new(),
            organization_initials: String::new(),
            others: Vec::new(),
            groups: Vec::new(),
            name: String::new(),
            email: String::new(),
            initials: String::new(),
            role: String::new(),
            is_in: false,
            said: None,
            zone: String::new(),
            content,
        }
    }
}
