//! `keystile key …`

mod compromised;
mod export;
mod permissions;
mod reveal;
mod several;
mod versions;

use clap::{Args, Subcommand};
use keystile_core::key::{KeyKind, Prefix};
use keystile_core::metadata::Label;
use keystile_core::time::Timestamp;
use serde_json::{Map, Value};
use ureq::http::Method;

use super::fault::{Exit, Fault};
use super::policy::PolicyArgs;
use super::server::Payload;
use super::session::{Fields, KEY, Session};
use super::table::{Column, away, field};
use super::tags::TagArgs;
use super::values::moment;
use super::{DEFAULT_SERVER, import, verify};
use reveal::reveal;

/// What to do with keys.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List the keys, newest first.
    List {
        /// Only those of this project, by id or name.
        #[arg(long)]
        project: Option<String>,
        /// Only those in this state.
        #[arg(long, value_parser = ["active", "disabled", "revoked"])]
        state: Option<String>,
        /// Only those of this kind.
        #[arg(long, value_name = "secret|publishable|management|canary")]
        kind: Option<KeyKind>,
        /// Only those with this label; repeat for several, of which each is needed.
        #[arg(long = "label", value_name = "LABEL")]
        labels: Vec<Label>,
        /// Those that were deleted and can be brought back.
        #[arg(long)]
        deleted: bool,
        /// Only those of which a text is hashed with this pepper, by its version.
        #[arg(long, value_name = "VERSION")]
        pepper: Option<u32>,
    },
    /// Create a key and print its text, this one time, alone on standard output.
    Create(Box<Create>),
    /// Show one key, without its text.
    Show(Which),
    /// Change what a key may do.
    Update(Box<Update>),
    /// Give a key another text and print it, this one time; the one before stays good for a while.
    Rotate(Box<versions::Rotate>),
    /// List the versions of a key, and how much each is used.
    Versions(Which),
    /// End a former version of a key now.
    EndVersion(versions::Former),
    /// Let a former version of a key be good for longer.
    ExtendVersion(versions::Extend),
    /// Switch keys off, for now.
    Disable(several::Several),
    /// Switch keys on again.
    Enable(several::Several),
    /// End keys for good; they stay listed.
    Revoke(several::Several),
    /// End a key that others know, make the one that takes its place, and tell what was done with it.
    Compromised(Box<compromised::Compromised>),
    /// Tell what was done with a key: calls, operations, addresses.
    Activity(compromised::Activity),
    /// Tell what a key was granted, from where, and what of it was used; with --quiet what was not used.
    Permissions(permissions::Permissions),
    /// Print the text of a key once more, if it was made with --recoverable. It is written down that it was shown.
    Reveal(Which),
    /// Remove keys; for a while they can be brought back.
    Delete(several::Several),
    /// Bring a deleted key back as it was.
    Undelete {
        /// Its id: `keystile key list --deleted` shows it.
        key: keystile_core::id::KeyId,
    },
    /// Take over keys that exist already, in any format, by the million.
    Import(Box<import::Ask>),
    /// Write all keys out, without their texts.
    Export(export::Ask),
    /// Ask whether a key would be let through; the key is read from standard input.
    Verify(Box<verify::Ask>),
}

/// One key.
#[derive(Debug, Args)]
pub struct Which {
    /// Its id or name.
    key: String,
    /// Look for the name in this project only.
    #[arg(long)]
    project: Option<String>,
}

impl Which {
    fn find(&self, session: &Session<'_>) -> Result<keystile_core::id::KeyId, Fault> {
        let project = self.project.as_deref().map(|text| session.project(text)).transpose()?;
        session.key(&self.key, project)
    }
}

/// A new key.
#[derive(Debug, Args)]
pub struct Create {
    /// The project that will use it, by id or name.
    #[arg(long)]
    project: String,
    /// What people call it.
    #[arg(long)]
    name: String,
    /// `secret` calls APIs, `publishable` calls what APIs open to pages and apps, `management` calls the management API,
    /// `canary` calls nothing: of whoever uses it you are told.
    #[arg(long, value_name = "secret|publishable|management|canary")]
    kind: Option<KeyKind>,
    /// What its text begins with.
    #[arg(long)]
    prefix: Option<Prefix>,
    /// Keep its text, encrypted, so that it can be had back; the APIs that its project may call must allow that.
    #[arg(long)]
    recoverable: bool,
    #[command(flatten)]
    hand_over: HandOver,
    #[command(flatten)]
    expiry: Expiry,
    #[command(flatten)]
    tags: TagArgs,
    #[command(flatten)]
    policy: PolicyArgs,
}

/// How a text reaches whom it is for.
#[derive(Debug, Args)]
pub(super) struct HandOver {
    /// Print a link in place of the text: whoever opens it first within so many hours, 1 to 168, gets the text.
    #[arg(long, value_name = "HOURS")]
    hand_over_hours: Option<u32>,
}

/// When a key ends.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub(super) struct Expiry {
    /// It ends after so many days.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=36_500))]
    expires_in_days: Option<u32>,
    /// It ends at this moment, such as 2027-01-31 or 2027-01-31T12:00:00Z.
    #[arg(long, value_name = "MOMENT", value_parser = moment)]
    expires_at: Option<Timestamp>,
    /// It never ends by itself.
    #[arg(long)]
    never_expires: bool,
}

impl Expiry {
    /// Says it in a request, if anything was said.
    fn put(&self, fields: Fields) -> Fields {
        fields
            .with("expires_in_days", self.expires_in_days)
            .with("expires_at", self.expires_at.map(|moment| moment.to_string()))
            .with("expires_at", self.never_expires.then_some(Value::Null))
    }
}

/// Changes of a key. What is given replaces what was there; the rest stays.
#[derive(Debug, Args)]
pub struct Update {
    #[command(flatten)]
    which: Which,
    /// What people call it.
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    expiry: Expiry,
    #[command(flatten)]
    tags: TagArgs,
    /// Take all labels off it.
    #[arg(long, conflicts_with = "labels")]
    no_labels: bool,
    #[command(flatten)]
    policy: PolicyArgs,
    /// Take all permissions away.
    #[arg(long, conflicts_with = "permissions")]
    no_permissions: bool,
    /// Take all roles away.
    #[arg(long, conflicts_with = "roles")]
    no_roles: bool,
    /// Let its calls pass no patterns but its project's.
    #[arg(long, conflicts_with = "patterns")]
    no_patterns: bool,
    /// Let it be used from everywhere.
    #[arg(long, conflicts_with_all = ["networks", "deny_networks"])]
    no_networks: bool,
    /// Let it be used from every country.
    #[arg(long, conflicts_with_all = ["countries", "deny_countries"])]
    no_countries: bool,
    /// Let it be used at all times.
    #[arg(long, conflicts_with_all = ["hours", "time_zone"])]
    no_hours: bool,
    /// Let it be used from every origin.
    #[arg(long, conflicts_with = "origins")]
    no_origins: bool,
    /// Let it be used from every page.
    #[arg(long, conflicts_with = "referrers")]
    no_referrers: bool,
    /// Let it be used by every app.
    #[arg(long, conflicts_with_all = ["ios_apps", "android_apps"])]
    no_apps: bool,
    /// Let it call every method.
    #[arg(long, conflicts_with = "methods")]
    no_methods: bool,
    /// Let it call every path.
    #[arg(long, conflicts_with = "paths")]
    no_paths: bool,
    /// Let it be used without a client certificate.
    #[arg(long, conflicts_with = "certificates")]
    no_certificates: bool,
    /// Let it send and receive content of every type and length.
    #[arg(long, conflicts_with_all = ["request_types", "response_types", "max_body_bytes"])]
    no_formats: bool,
    /// Let every restriction that is only tried out refuse from now on.
    #[arg(long, conflicts_with = "shadow")]
    no_shadow: bool,
    /// Take all rate limits away.
    #[arg(long, conflicts_with = "rate_limits")]
    no_rate_limits: bool,
}

pub(super) fn run(verb: Verb, session: &mut Session<'_>) -> Result<Exit, Fault> {
    match verb {
        Verb::List { project, state, kind, labels, deleted, pepper } => {
            let pepper = pepper.map(|version| version.to_string());
            let project = project.map(|text| session.project(&text)).transpose()?.map(|id| id.to_string());
            let kind = kind.map(KeyKind::as_str);
            let deleted = deleted.then_some("true");
            let labels = labels.iter().map(Label::as_str).collect::<Vec<_>>().join(",");
            let label = Some(labels.as_str()).filter(|labels| !labels.is_empty());
            let query = [
                ("project_id", project.as_deref()),
                ("state", state.as_deref()),
                ("kind", kind),
                ("deleted", deleted),
                ("pepper", pepper.as_deref()),
                ("label", label),
            ];
            let query: Vec<(&str, &str)> = query.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
            session.list(KEY, &query, &COLUMNS)
        }
        Verb::Create(ask) => create(*ask, session),
        Verb::Show(which) => {
            let id = which.find(session)?;
            session.show(KEY, &id)
        }
        Verb::Update(ask) => update(*ask, session),
        Verb::Disable(ask) => several::act(&ask, "disable", None, session),
        Verb::Enable(ask) => several::act(&ask, "enable", None, session),
        Verb::Revoke(ask) => several::act(&ask, "revoke", Some(("Revoke", "refused from now on, for good.")), session),
        Verb::Delete(ask) => several::act(&ask, "delete", Some(("Delete", "refused from now on.")), session),
        Verb::Undelete { key } => session.act(KEY, &key, "undelete", None),
        Verb::Compromised(ask) => compromised::compromised(*ask, session),
        Verb::Activity(ask) => compromised::activity(&ask, session),
        Verb::Permissions(ask) => permissions::permissions(&ask, session),
        Verb::Reveal(which) => reveal::again(&which, session),
        Verb::Rotate(ask) => versions::rotate(*ask, session),
        Verb::Versions(which) => versions::list(&which, session),
        Verb::EndVersion(former) => versions::end(&former, session),
        Verb::ExtendVersion(ask) => versions::extend(&ask, session),
        Verb::Import(ask) => import::run(*ask, session),
        Verb::Export(ask) => export::run(&ask, session),
        // It needs no management key, so it never comes here; asked here it would still be answered.
        Verb::Verify(_) => Err(Fault::usage("verify needs no session", "it asks the verification API", "run it alone")),
    }
}

fn create(ask: Create, session: &mut Session<'_>) -> Result<Exit, Fault> {
    let policy = ask.policy.fields()?;
    let project = session.project(&ask.project)?;
    let fields = Fields(policy)
        .with("project_id", Some(project.to_string()))
        .with("name", Some(ask.name))
        .with("kind", ask.kind.map(KeyKind::as_str))
        .with("prefix", ask.prefix.map(|prefix| prefix.as_str().to_owned()));
    let fields = fields
        .with("hand_over_hours", ask.hand_over.hand_over_hours)
        .with("recoverable", ask.recoverable.then_some(true));
    let body = Value::Object(ask.tags.put(ask.expiry.put(fields)).0);
    let object = session.server.send("create the key", Method::POST, KEY.path, &[], &Payload::Json(&body))?;
    reveal(&object, "was created", session)
}

fn update(ask: Update, session: &mut Session<'_>) -> Result<Exit, Fault> {
    let mut policy = ask.policy.fields()?;
    let id = ask.which.find(session)?;
    let given = policy.remove("restrictions");
    let gone = [
        ("networks", ask.no_networks),
        ("countries", ask.no_countries),
        ("times", ask.no_hours),
        ("origins", ask.no_origins),
        ("referrers", ask.no_referrers),
        ("apps", ask.no_apps),
        ("methods", ask.no_methods),
        ("paths", ask.no_paths),
        ("certificates", ask.no_certificates),
        ("formats", ask.no_formats),
        ("shadow", ask.no_shadow),
    ];
    if given.is_some() || gone.iter().any(|(_, gone)| *gone) {
        // The API replaces restrictions as a whole; those that nobody mentioned must survive.
        let what = format!("change the key {id}");
        let object = session.server.get(&what, &format!("{}/{id}", KEY.path), &[])?;
        let mut merged: Map<String, Value> =
            object.get("restrictions").and_then(Value::as_object).cloned().unwrap_or_default();
        if let Some(Value::Object(mut given)) = given {
            // A further bound on content takes none of the others away.
            if let (Some(Value::Object(own)), Some(Value::Object(more))) =
                (merged.get("formats"), given.get_mut("formats"))
            {
                let more_of_it = std::mem::replace(more, own.clone());
                more.extend(more_of_it);
            }
            merged.extend(given);
        }
        for (name, gone) in gone {
            if gone {
                merged.remove(name);
                // What is not there is in no shadow.
                if let Some(Value::Array(shadow)) = merged.get_mut("shadow") {
                    shadow.retain(|rule| rule != name);
                }
            }
        }
        policy.insert("restrictions".to_owned(), merged.into());
    }
    let in_days = ask.expiry.expires_in_days.map(|days| session.now().plus_secs(i64::from(days) * 86_400));
    let ends = in_days.or(ask.expiry.expires_at).map(|moment| Value::String(moment.to_string()));
    let none = || Value::Array(Vec::new());
    let fields = Fields(policy)
        .with("name", ask.name)
        .with("expires_at", ends.or(ask.expiry.never_expires.then_some(Value::Null)))
        .with("permissions", ask.no_permissions.then(none))
        .with("roles", ask.no_roles.then(none))
        .with("patterns", ask.no_patterns.then(none))
        .with("rate_limits", ask.no_rate_limits.then(none));
    let fields = fields.with("labels", ask.no_labels.then(none));
    session.update(KEY, &id, ask.tags.put(fields).0)
}

const COLUMNS: [Column; 7] = [
    Column::left("ID", |key, _| field(key, "id")),
    Column::left("NAME", |key, _| field(key, "name")),
    Column::left("STATE", |key, _| state(key)),
    Column::left("KIND", |key, _| field(key, "kind")),
    Column::left("HINT", |key, _| field(key, "hint")),
    Column::left("EXPIRES", |key, now| match away(key, "expires_at", now) {
        never if never == "-" => "never".to_owned(),
        away => away,
    }),
    Column::left("PROJECT", |key, _| field(key, "project_id")),
];

/// The state of a key; one that others could read is to be replaced, whatever its state.
fn state(key: &Value) -> String {
    let state = field(key, "state");
    if key.get("exposed_at").is_some_and(Value::is_string) { format!("{state}, exposed") } else { state }
}
