//! `keystile key …`

use clap::{Args, Subcommand};
use keystile_core::key::{KeyKind, Prefix};
use keystile_core::time::Timestamp;
use serde_json::{Map, Value};
use ureq::http::Method;
use zeroize::Zeroizing;

use super::fault::{Exit, Fault};
use super::policy::PolicyArgs;
use super::server::Payload;
use super::session::{Fields, KEY, Session};
use super::table::{Column, away, field};
use super::values::moment;
use super::{DEFAULT_SERVER, import, verify};

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
        #[arg(long, value_name = "secret|management")]
        kind: Option<KeyKind>,
    },
    /// Create a key and print its text, this one time, alone on standard output.
    Create(Box<Create>),
    /// Show one key, without its text.
    Show(Which),
    /// Change what a key may do.
    Update(Box<Update>),
    /// Switch a key off, for now.
    Disable(Which),
    /// Switch a key on again.
    Enable(Which),
    /// End a key for good; it stays listed.
    Revoke(Which),
    /// Remove a key and its record.
    Delete(Which),
    /// Take over keys that exist already, in any format, by the million.
    Import(Box<import::Ask>),
    /// Ask whether a key would be let through; the key is read from standard input.
    Verify(verify::Ask),
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
    /// `secret` calls APIs, `management` calls the management API.
    #[arg(long, value_name = "secret|management")]
    kind: Option<KeyKind>,
    /// What its text begins with.
    #[arg(long)]
    prefix: Option<Prefix>,
    #[command(flatten)]
    expiry: Expiry,
    #[command(flatten)]
    policy: PolicyArgs,
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
    policy: PolicyArgs,
    /// Take all permissions away.
    #[arg(long, conflicts_with = "permissions")]
    no_permissions: bool,
    /// Let it be used from everywhere.
    #[arg(long, conflicts_with_all = ["networks", "deny_networks"])]
    no_networks: bool,
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
    /// Take all rate limits away.
    #[arg(long, conflicts_with = "rate_limits")]
    no_rate_limits: bool,
}

pub(super) fn run(verb: Verb, session: &mut Session<'_>) -> Result<Exit, Fault> {
    match verb {
        Verb::List { project, state, kind } => {
            let project = project.map(|text| session.project(&text)).transpose()?.map(|id| id.to_string());
            let kind = kind.map(KeyKind::as_str);
            let query = [("project_id", project.as_deref()), ("state", state.as_deref()), ("kind", kind)];
            let query: Vec<(&str, &str)> = query.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
            session.list(KEY, &query, &COLUMNS)
        }
        Verb::Create(ask) => create(*ask, session),
        Verb::Show(which) => {
            let id = which.find(session)?;
            session.show(KEY, &id)
        }
        Verb::Update(ask) => update(*ask, session),
        Verb::Disable(which) => {
            let id = which.find(session)?;
            session.act(KEY, &id, "disable", None)
        }
        Verb::Enable(which) => {
            let id = which.find(session)?;
            session.act(KEY, &id, "enable", None)
        }
        Verb::Revoke(which) => {
            let id = which.find(session)?;
            session.confirm(&format!("Revoke the key {id}? Its calls are refused from now on, for good."))?;
            session.act(KEY, &id, "revoke", None)
        }
        Verb::Delete(which) => {
            let id = which.find(session)?;
            session.delete(KEY, &id, "")
        }
        Verb::Import(ask) => import::run(*ask, session),
        // It needs no management key, so it never comes here; asked here it would still be answered.
        Verb::Verify(_) => Err(Fault::usage("verify needs no session", "it asks the verification API", "run it alone")),
    }
}

fn create(ask: Create, session: &mut Session<'_>) -> Result<Exit, Fault> {
    let management = ask.kind == Some(KeyKind::Management);
    let policy = ask.policy.fields()?;
    let project = session.project(&ask.project)?;
    let mut fields = Fields(policy)
        .with("project_id", Some(project.to_string()))
        .with("name", Some(ask.name))
        .with("kind", ask.kind.map(KeyKind::as_str))
        .with("prefix", ask.prefix.map(|prefix| prefix.as_str().to_owned()))
        .with("expires_in_days", ask.expiry.expires_in_days)
        .with("expires_at", ask.expiry.expires_at.map(|moment| moment.to_string()));
    if ask.expiry.never_expires {
        fields = fields.with("expires_at", Some(Value::Null));
    }
    let body = Value::Object(fields.0);
    let object = session.server.send("create the key", Method::POST, KEY.path, &[], &Payload::Json(&body))?;
    let text = object.get("key").and_then(Value::as_str).map(|text| Zeroizing::new(format!("{text}\n")));
    let id = field(&object, "id");
    let printed = if session.global.json {
        session.screen.deliver(&Zeroizing::new(format!("{object}\n")))
    } else {
        text.as_ref().map_or(Ok(()), |text| session.screen.deliver(text))
    };
    if printed.is_err() || text.is_none() {
        return Err(Fault::new(
            Exit::Failure,
            format!("the key {id} was created, but nobody has its text now"),
            if text.is_none() { "the server did not send it" } else { "it could not be written to standard output" },
            format!("revoke it with `keystile key revoke {id}` and create another"),
        ));
    }
    if !session.global.json {
        let next = if management {
            "KEYSTILE_MANAGEMENT_KEY=… keystile api list".to_owned()
        } else {
            format!("curl -H \"Authorization: Bearer $KEY\" {}", gateway_of(session.server.base()))
        };
        let expires = match away(&object, "expires_at", session.now()) {
            never if never == "-" => "never".to_owned(),
            away => format!("{} ({away})", field(&object, "expires_at")),
        };
        session.screen.note(&boxed(&[
            ("key", &id),
            ("project", &project.to_string()),
            ("expires", &expires),
            ("text", "printed above, this one time; keep it where secrets are kept"),
            ("next", &next),
        ]));
    }
    Ok(Exit::Ok)
}

/// Where the gateway of this server most likely is: the server does not say, but the default ports are neighbours.
fn gateway_of(base: &str) -> &str {
    if base == DEFAULT_SERVER { "http://127.0.0.1:4400/" } else { "https://YOUR-GATEWAY/" }
}

fn boxed(lines: &[(&str, &str)]) -> String {
    let texts: Vec<String> = lines.iter().map(|(name, value)| format!("{name:8} {value}")).collect();
    let width = texts.iter().map(|text| text.chars().count()).max().unwrap_or(0);
    let edge = "─".repeat(width + 2);
    let middle: String = texts.iter().map(|text| format!("│ {text:width$} │\n")).collect();
    format!("╭{edge}╮\n{middle}╰{edge}╯")
}

fn update(ask: Update, session: &mut Session<'_>) -> Result<Exit, Fault> {
    let mut policy = ask.policy.fields()?;
    let id = ask.which.find(session)?;
    let given = policy.remove("restrictions");
    let gone = [
        ("networks", ask.no_networks),
        ("methods", ask.no_methods),
        ("paths", ask.no_paths),
        ("certificates", ask.no_certificates),
        ("formats", ask.no_formats),
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
        .with("rate_limits", ask.no_rate_limits.then(none));
    session.update(KEY, &id, fields.0)
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
