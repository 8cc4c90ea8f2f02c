//! `keystile webhook …` and `keystile event …`: where an organization is told of changes, and what was told.

use clap::{Args, Subcommand};
use keystile_core::id::{EventId, WebhookId};
use keystile_core::time::Timestamp;
use keystile_core::webhook::{EventPattern, WebhookUrl};
use serde_json::{Value, json};
use ureq::http::Method;
use zeroize::Zeroizing;

use super::fault::{Exit, Fault};
use super::server::Payload;
use super::session::{EVENT, Fields, Session, WEBHOOK};
use super::table::{Column, away, field};
use super::values::moment;

/// What to do with webhooks.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List the webhooks, newest first.
    List,
    /// Make a webhook and print its secret, this one time, alone on standard output.
    Create(Create),
    /// Show one webhook, without its secret, and how far it was told of usage if it names that.
    Show {
        /// Its id.
        webhook: WebhookId,
    },
    /// Change a webhook.
    Update(Update),
    /// Delete a webhook; what it has not sent yet is not sent.
    Delete {
        /// Its id.
        webhook: WebhookId,
    },
    /// Send an event of the type webhook.test now, and say what came of it.
    Test {
        /// Its id.
        webhook: WebhookId,
    },
    /// List what was sent to a webhook and what is still to be sent, newest first.
    Deliveries {
        /// Its id.
        webhook: WebhookId,
        /// Only those in this state.
        #[arg(long, value_parser = ["pending", "delivered", "failed"])]
        state: Option<String>,
    },
    /// Send one event anew, or all since a moment or an event.
    Replay(Replay),
    /// Give a webhook another secret and print it, this one time, alone on standard output.
    RotateSecret {
        /// Its id.
        webhook: WebhookId,
        /// For how many hours deliveries are also signed with the old one; 24 if nothing is said.
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=168))]
        overlap_hours: Option<u32>,
    },
}

/// A new webhook.
#[derive(Debug, Args)]
pub struct Create {
    /// Where it leads.
    #[arg(long)]
    url: WebhookUrl,
    #[command(flatten)]
    texts: Texts,
}

/// Changes of a webhook. What is given replaces what was there; the rest stays.
#[derive(Debug, Args)]
pub struct Update {
    /// Its id.
    webhook: WebhookId,
    /// Where it leads.
    #[arg(long)]
    url: Option<WebhookUrl>,
    #[command(flatten)]
    texts: Texts,
    /// Tell of all events.
    #[arg(long, conflicts_with = "events")]
    all_events: bool,
    /// Send nothing for now.
    #[arg(long)]
    disable: bool,
    /// Send again, what happened meanwhile too.
    #[arg(long, conflicts_with = "disable")]
    enable: bool,
}

#[derive(Debug, Args)]
struct Texts {
    /// What it is for.
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// A type of events that it tells of, such as key.revoke or 'key.*'; may be repeated. All changes if nothing is said;
    /// usage.hour, what was counted in each hour, has to be named.
    #[arg(long = "event", value_name = "TYPE")]
    events: Vec<EventPattern>,
}

impl Texts {
    fn fields(self) -> Fields {
        let events: Vec<&str> = self.events.iter().map(EventPattern::as_str).collect();
        Fields::default().with("description", self.description).with_list("events", &events)
    }
}

/// What is sent anew.
#[derive(Debug, Args)]
#[group(skip)]
pub struct Replay {
    /// The webhook's id.
    webhook: WebhookId,
    /// This event alone.
    #[arg(long, value_name = "EVENT", required_unless_present = "since", conflicts_with = "since")]
    event: Option<EventId>,
    /// All from here on that it tells of: an event's id, or a moment such as 2027-01-31 or 2027-01-31T12:00:00Z; with a moment
    /// usage too, if it names that.
    #[arg(long, value_name = "WHEN", value_parser = since)]
    since: Option<String>,
}

/// Reads an event's id or a moment.
fn since(text: &str) -> Result<String, String> {
    if text.parse::<EventId>().is_ok() {
        return Ok(text.to_owned());
    }
    moment(text).map(|moment: Timestamp| moment.to_string()).map_err(|_| {
        "write the id of an event, evt_…, or a moment such as 2027-01-31 or 2027-01-31T12:00:00Z".to_owned()
    })
}

/// What to do with events.
#[derive(Debug, Subcommand)]
pub enum EventVerb {
    /// List what was changed, newest first.
    List {
        /// Only those of this type, such as key.revoke or 'key.*'.
        #[arg(long = "type", value_name = "TYPE")]
        kind: Option<EventPattern>,
        /// Only those about the thing of this id.
        #[arg(long, value_name = "ID")]
        subject: Option<String>,
    },
}

pub(super) fn run(verb: Verb, session: &mut Session<'_>) -> Result<Exit, Fault> {
    match verb {
        Verb::List => session.list(WEBHOOK, &[], &COLUMNS),
        Verb::Create(ask) => {
            let fields = ask.texts.fields().with("url", Some(ask.url.to_string()));
            let body = Value::Object(fields.0);
            let made =
                session.server.send("create the webhook", Method::POST, WEBHOOK.path, &[], &Payload::Json(&body))?;
            secret(&made, "created", session)
        }
        Verb::Show { webhook } => session.show(WEBHOOK, &webhook),
        Verb::Update(ask) => {
            let active = if ask.disable { Some(false) } else { ask.enable.then_some(true) };
            let fields = ask
                .texts
                .fields()
                .with("url", ask.url.map(|url| url.to_string()))
                .with("events", ask.all_events.then(|| Value::Array(Vec::new())))
                .with("active", active);
            session.update(WEBHOOK, &ask.webhook, fields.0)
        }
        Verb::Delete { webhook } => session.delete(WEBHOOK, &webhook, ", with what it has not sent yet"),
        Verb::Test { webhook } => {
            let path = format!("{}/{webhook}/test", WEBHOOK.path);
            let trial = session.server.send("test the webhook", Method::POST, &path, &[], &Payload::Nothing)?;
            session.print(&trial);
            Ok(if trial.get("delivered") == Some(&Value::Bool(true)) { Exit::Ok } else { Exit::Findings })
        }
        Verb::Deliveries { webhook, state } => {
            let query: Vec<(&str, &str)> = state.as_deref().map(|state| ("state", state)).into_iter().collect();
            session.list_at("deliveries", &format!("{}/{webhook}/deliveries", WEBHOOK.path), &query, &DELIVERIES)
        }
        Verb::Replay(ask) => replay(&ask, session),
        Verb::RotateSecret { webhook, overlap_hours } => {
            let path = format!("{}/{webhook}/rotate_secret", WEBHOOK.path);
            let body = Value::Object(Fields::default().with("overlap_hours", overlap_hours).0);
            let rotated = session.server.send("rotate the secret", Method::POST, &path, &[], &Payload::Json(&body))?;
            secret(&rotated, "rotated", session)
        }
    }
}

fn replay(ask: &Replay, session: &mut Session<'_>) -> Result<Exit, Fault> {
    let webhook = ask.webhook;
    if let Some(event) = ask.event {
        return session.act(WEBHOOK, &format!("{webhook}/deliveries/{event}"), "replay", None);
    }
    let path = format!("{}/{webhook}/replay", WEBHOOK.path);
    let body = json!({ "since": ask.since });
    let replayed = session.server.send("replay the events", Method::POST, &path, &[], &Payload::Json(&body))?;
    if session.global.json {
        session.screen.out(&format!("{replayed}\n"));
        return Ok(Exit::Ok);
    }
    session.screen.note(&format!("{} events are sent to {webhook} anew", field(&replayed, "replayed")));
    if replayed.get("usage_since").is_some_and(Value::is_string) {
        let since = field(&replayed, "usage_since");
        session.screen.note(&format!("what was recorded since {since} is sent anew, too"));
    }
    if replayed.get("next_since").is_some_and(Value::is_string) {
        session.screen.note(&format!("there are more; go on with --since {}", field(&replayed, "next_since")));
    }
    Ok(Exit::Ok)
}

/// Prints the secret of a webhook alone, and beside it what it belongs to.
fn secret(webhook: &Value, what: &str, session: &mut Session<'_>) -> Result<Exit, Fault> {
    let text = webhook.get("secret").and_then(Value::as_str).map(|text| Zeroizing::new(format!("{text}\n")));
    let id = field(webhook, "id");
    let printed = if session.global.json {
        session.screen.deliver(&Zeroizing::new(format!("{webhook}\n")))
    } else {
        text.as_ref().map_or(Ok(()), |text| session.screen.deliver(text))
    };
    if printed.is_err() || text.is_none() {
        return Err(Fault::new(
            Exit::Failure,
            format!("the secret of {id} was {what}, but nobody has it now"),
            if text.is_none() { "the server did not send it" } else { "it could not be written to standard output" },
            format!("make another with `keystile webhook rotate-secret {id}`"),
        ));
    }
    if !session.global.json {
        session.screen.note(&format!(
            "webhook {id}; the secret was printed this one time, and deliveries are signed with it\nnext: keystile webhook test {id}"
        ));
    }
    Ok(Exit::Ok)
}

/// Runs a command about events.
pub(super) fn events(verb: EventVerb, session: &mut Session<'_>) -> Result<Exit, Fault> {
    let EventVerb::List { kind, subject } = verb;
    let query = [("type", kind.as_ref().map(EventPattern::as_str)), ("subject_id", subject.as_deref())];
    let query: Vec<(&str, &str)> = query.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    session.list(EVENT, &query, &EVENTS)
}

const COLUMNS: [Column; 5] = [
    Column::left("ID", |webhook, _| field(webhook, "id")),
    Column::left("STATE", |webhook, _| state(webhook)),
    Column::left("EVENTS", |webhook, _| match field(webhook, "events") {
        all if all == "-" => "all".to_owned(),
        some => some,
    }),
    Column::left("URL", |webhook, _| field(webhook, "url")),
    Column::left("DESCRIPTION", |webhook, _| field(webhook, "description")),
];

const DELIVERIES: [Column; 6] = [
    Column::left("EVENT", |delivery, _| field(delivery, "event_id")),
    Column::left("TYPE", |delivery, _| field(delivery, "type")),
    Column::left("STATE", |delivery, _| field(delivery, "state")),
    Column { title: "TRIED", right: true, cell: |delivery, _| field(delivery, "attempts") },
    Column::left("NEXT", |delivery, now| away(delivery, "next_at", now)),
    Column::left("LAST", |delivery, _| match field(delivery, "error") {
        none if none == "-" => field(delivery, "status"),
        error => error,
    }),
];

const EVENTS: [Column; 5] = [
    Column::left("ID", |event, _| field(event, "id")),
    Column::left("TYPE", |event, _| field(event, "type")),
    Column::left("SUBJECT", |event, _| field(event, "subject_id")),
    Column::left("BY", |event, _| field(event, "actor")),
    Column::left("WHEN", |event, now| away(event, "created_at", now)),
];

/// Whether it sends anything, and whether anything arrives.
fn state(webhook: &Value) -> String {
    match (webhook.get("active"), webhook.get("failing_since")) {
        (Some(Value::Bool(false)), _) => "disabled".to_owned(),
        (_, Some(Value::String(_))) => "failing".to_owned(),
        _ => "active".to_owned(),
    }
}
