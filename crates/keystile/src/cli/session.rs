//! What all commands share: names for ids, lists, cards, and the question before something ends for good.

use std::fmt::Display;
use std::io::{BufRead, BufReader, Read};
use std::str::FromStr;

use keystile_core::id::{ApiId, KeyId, PatternId, PlanId, ProjectId, RoleId};
use keystile_core::time::{Moment, Timestamp};
use serde_json::{Map, Value};
use ureq::http::Method;

use super::Global;
use super::fault::{Exit, Fault};
use super::kept::Kept;
use super::screen::Screen;
use super::server::{PAGE, Payload, Server};
use super::table::{Column, Table, card, field};

/// Most objects of one name that are named to whoever must choose.
const MAX_SHOWN: usize = 10;
/// Longest answer to a question.
const MAX_REPLY_BYTES: u64 = 256;

/// One run of one command.
pub(super) struct Session<'a> {
    pub(super) server: Server,
    pub(super) screen: &'a mut Screen,
    pub(super) input: Box<dyn Read + Send>,
    pub(super) clock: &'a dyn Fn() -> Moment,
    pub(super) global: Global,
    /// Where the session is kept that the server is asked with, if it is one.
    pub(super) kept: Option<Kept>,
}

/// A kind of object: what people call it and where it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Noun {
    pub(super) one: &'static str,
    pub(super) many: &'static str,
    pub(super) path: &'static str,
}

pub(super) const API: Noun = Noun { one: "API", many: "APIs", path: "/v1/apis" };
pub(super) const PROJECT: Noun = Noun { one: "project", many: "projects", path: "/v1/projects" };
pub(super) const ACTIVATION: Noun = Noun { one: "activation", many: "activations", path: "/v1/activations" };
pub(super) const KEY: Noun = Noun { one: "key", many: "keys", path: "/v1/keys" };
pub(super) const ROLE: Noun = Noun { one: "role", many: "roles", path: "/v1/roles" };
pub(super) const PLAN: Noun = Noun { one: "plan", many: "plans", path: "/v1/plans" };
pub(super) const CREDIT: Noun = Noun { one: "credit grant", many: "credits", path: "/v1/credits" };
pub(super) const PATTERN: Noun = Noun { one: "pattern", many: "patterns", path: "/v1/patterns" };
pub(super) const WEBHOOK: Noun = Noun { one: "webhook", many: "webhooks", path: "/v1/webhooks" };
pub(super) const MEMBER: Noun = Noun { one: "member", many: "members", path: "/v1/members" };
pub(super) const INVITATION: Noun = Noun { one: "invitation", many: "invitations", path: "/v1/invitations" };
pub(super) const MEMBER_ROLE: Noun = Noun { one: "member role", many: "member roles", path: "/v1/member_roles" };
pub(super) const ORGANIZATION: Noun = Noun { one: "organization", many: "organizations", path: "/v1/organizations" };
pub(super) const EVENT: Noun = Noun { one: "event", many: "events", path: "/v1/events" };

impl Session<'_> {
    /// The wall clock.
    pub(super) fn now(&self) -> Timestamp {
        (self.clock)().wall
    }

    /// The API of this id or name.
    pub(super) fn api(&self, text: &str) -> Result<ApiId, Fault> {
        self.named(API, text, &[])
    }

    /// The project of this id or name.
    pub(super) fn project(&self, text: &str) -> Result<ProjectId, Fault> {
        self.named(PROJECT, text, &[])
    }

    /// The key of this id or name, perhaps among those of one project.
    pub(super) fn key(&self, text: &str, project: Option<ProjectId>) -> Result<KeyId, Fault> {
        let project = project.map(|id| id.to_string());
        let query: Vec<(&str, &str)> = project.as_deref().map(|id| ("project_id", id)).into_iter().collect();
        self.named(KEY, text, &query)
    }

    /// The role of this id or name.
    pub(super) fn role(&self, text: &str) -> Result<RoleId, Fault> {
        self.named(ROLE, text, &[])
    }

    /// The plan of this id or name, perhaps among those of one API.
    pub(super) fn plan(&self, text: &str, api: Option<&str>) -> Result<PlanId, Fault> {
        let api = api.map(|text| self.api(text)).transpose()?.map(|id| id.to_string());
        let query: Vec<(&str, &str)> = api.as_deref().map(|id| ("api_id", id)).into_iter().collect();
        self.named(PLAN, text, &query)
    }

    /// The pattern of this id or name.
    pub(super) fn pattern(&self, text: &str) -> Result<PatternId, Fault> {
        self.named(PATTERN, text, &[])
    }

    /// An id if the text is one, else the id of the one object with exactly this name. What was revoked for good keeps its
    /// name and is meant only where nothing else has it.
    pub(super) fn named<I: FromStr + Display>(
        &self,
        noun: Noun,
        text: &str,
        query: &[(&str, &str)],
    ) -> Result<I, Fault> {
        if let Ok(id) = text.parse() {
            return Ok(id);
        }
        let what = format!("find the {} `{text}`", noun.one);
        let (mut found, mut revoked): (Vec<String>, Vec<String>) = Default::default();
        let query: Vec<(&str, &str)> = query.iter().copied().chain([("name", text)]).collect();
        self.server.pages(&what, noun.path, &query, PAGE, None, |items| {
            for item in &items {
                let list = if field(item, "state") == "revoked" { &mut revoked } else { &mut found };
                if list.len() <= MAX_SHOWN {
                    list.push(field(item, "id"));
                }
            }
            found.len() <= MAX_SHOWN
        })?;
        if found.is_empty() {
            found = revoked;
        }
        match found.as_slice() {
            [id] => id.parse().map_err(|_| {
                Fault::new(
                    Exit::Failure,
                    format!("could not {what}"),
                    "its id is not understood",
                    "use a client of the server's version",
                )
            }),
            [] => Err(Fault::new(
                Exit::NotFound,
                format!("could not {what}"),
                format!("no {} has this id or name", noun.one),
                format!("look at `keystile {} list`; names must be written exactly", noun.one.to_lowercase()),
            )),
            several => Err(Fault::usage(
                format!("could not {what}"),
                match several.len() {
                    count @ ..=MAX_SHOWN => format!("{count} {} have this name", noun.many),
                    _ => format!("more than {MAX_SHOWN} {} have this name", noun.many),
                },
                format!(
                    "use an id: {}",
                    several.iter().take(MAX_SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ")
                ),
            )),
        }
    }

    /// Prints the objects of a kind.
    pub(super) fn list(&mut self, noun: Noun, query: &[(&str, &str)], columns: &[Column]) -> Result<Exit, Fault> {
        self.list_at(noun.many, noun.path, query, columns)
    }

    /// Prints a list.
    pub(super) fn list_at(
        &mut self,
        many: &str,
        path: &str,
        query: &[(&str, &str)],
        columns: &[Column],
    ) -> Result<Exit, Fault> {
        let now = self.now();
        let limit = self.global.limit.map(|limit| limit as usize);
        let (as_json, quiet) = (self.global.json, self.global.quiet);
        let mut table = Table::new(columns.iter().map(|column| (column.title.to_owned(), column.right)));
        let (mut count, mut opened) = (0, false);
        let screen = &mut *self.screen;
        self.server.pages(&format!("list the {many}"), path, query, PAGE, limit, |items| {
            if as_json {
                // Nothing is printed before the server agreed, and an item is printed as it comes.
                let mut text = if opened { String::new() } else { "{\"items\":[".to_owned() };
                opened = true;
                for (n, item) in items.iter().enumerate() {
                    text.push_str(if count + n > 0 { ",\n" } else { "" });
                    text.push_str(&item.to_string());
                }
                screen.out(&text);
            } else if quiet {
                screen.out(&items.iter().map(|item| field(item, "id") + "\n").collect::<String>());
            } else if !items.is_empty() {
                let row = |item: &Value| columns.iter().map(|column| (column.cell)(item, now)).collect();
                table.rows(screen, &items.iter().map(row).collect::<Vec<_>>());
            }
            count += items.len();
            !screen.is_closed()
        })?;
        if as_json {
            self.screen.out("]}\n");
        } else if count == 0 {
            self.screen.note(&format!("no {many} here"));
        }
        Ok(Exit::Ok)
    }

    /// Reads one object and prints it.
    pub(super) fn show(&mut self, noun: Noun, id: &impl Display) -> Result<Exit, Fault> {
        let object = self.server.get(&format!("show the {} {id}", noun.one), &format!("{}/{id}", noun.path), &[])?;
        self.print(&object);
        Ok(Exit::Ok)
    }

    /// Creates an object and prints it.
    pub(super) fn create(&mut self, noun: Noun, fields: Map<String, Value>) -> Result<Exit, Fault> {
        let body = Value::Object(fields);
        let what = format!("create the {}", noun.one);
        let object = self.server.send(&what, Method::POST, noun.path, &[], &Payload::Json(&body))?;
        self.print(&object);
        Ok(Exit::Ok)
    }

    /// Changes an object and prints it.
    pub(super) fn update(&mut self, noun: Noun, id: &impl Display, fields: Map<String, Value>) -> Result<Exit, Fault> {
        if fields.is_empty() {
            return Err(Fault::usage(
                format!("nothing to change in the {} {id}", noun.one),
                "no option says what should be different",
                "see --help for the options",
            ));
        }
        let path = format!("{}/{id}", noun.path);
        let body = Value::Object(fields);
        let what = format!("change the {} {id}", noun.one);
        let object = self.server.send(&what, Method::PATCH, &path, &[], &Payload::Json(&body))?;
        self.print(&object);
        Ok(Exit::Ok)
    }

    /// Does something to an object, such as `disable`, and prints what became of it.
    pub(super) fn act(
        &mut self,
        noun: Noun,
        id: &impl Display,
        verb: &str,
        body: Option<Value>,
    ) -> Result<Exit, Fault> {
        let path = format!("{}/{id}/{verb}", noun.path);
        let payload = body.as_ref().map_or(Payload::Nothing, Payload::Json);
        let object = self.server.send(&format!("{verb} the {} {id}", noun.one), Method::POST, &path, &[], &payload)?;
        if object.is_null() {
            self.screen.note(&format!("{} {id}: {verb} done", noun.one));
        } else {
            self.print(&object);
        }
        Ok(Exit::Ok)
    }

    /// Deletes an object, once somebody agreed. `and` says what goes with it.
    pub(super) fn delete(&mut self, noun: Noun, id: &impl Display, and: &str) -> Result<Exit, Fault> {
        self.confirm(&format!("Delete the {} {id}{and}? This can't be undone.", noun.one))?;
        let path = format!("{}/{id}", noun.path);
        self.server.send(&format!("delete the {} {id}", noun.one), Method::DELETE, &path, &[], &Payload::Nothing)?;
        self.screen.note(&format!("deleted {id}"));
        Ok(Exit::Ok)
    }

    /// Erases something for ever, and what goes with it.
    pub(super) fn erase(&mut self, of: &str, id: &impl Display, and: &str) -> Result<Exit, Fault> {
        self.erase_at(&format!("/v1/privacy/{of}/{id}"), &[], id, and)
    }

    /// The same, where it is not its path that says what is meant.
    pub(super) fn erase_at(
        &mut self,
        path: &str,
        query: &[(&str, &str)],
        id: &impl Display,
        and: &str,
    ) -> Result<Exit, Fault> {
        self.confirm(&format!("Erase {id} and {and}? This can't be undone, by nobody."))?;
        self.server.send(&format!("erase {id}"), Method::DELETE, path, query, &Payload::Nothing)?;
        self.screen.note(&format!("erased {id}; backups and what others were told are not in its reach"));
        Ok(Exit::Ok)
    }

    /// Asks a person, or refuses where there is none to ask.
    pub(super) fn confirm(&mut self, question: &str) -> Result<(), Fault> {
        if self.global.yes {
            return Ok(());
        }
        let terminal = self.screen.terminal();
        if !(terminal.input && terminal.err) {
            return Err(Fault::usage(
                "not done, because nobody confirmed it",
                format!("{question} There is no terminal to ask that at"),
                "give --yes if you are sure",
            ));
        }
        self.screen.ask(&format!("{question} [y/N]"));
        let mut reply = String::new();
        let _ = BufReader::new(self.input.by_ref().take(MAX_REPLY_BYTES)).read_line(&mut reply);
        if matches!(reply.trim().to_lowercase().as_str(), "y" | "yes") {
            Ok(())
        } else {
            Err(Fault::new(Exit::Failure, "not done", "you did not say yes", "nothing was changed"))
        }
    }

    /// One object: a card for people, its JSON for programs, its id for scripts.
    pub(super) fn print(&mut self, object: &Value) {
        let now = self.now();
        if self.global.json {
            self.screen.out(&format!("{object}\n"));
        } else if self.global.quiet {
            self.screen.out(&format!("{}\n", field(object, "id")));
        } else {
            self.screen.out(&card(object, now));
        }
    }
}

/// Fields of a request, of which only those that were given are sent.
#[derive(Default)]
pub(super) struct Fields(pub(super) Map<String, Value>);

impl Fields {
    /// Adds a field if there is a value for it.
    #[must_use]
    pub(super) fn with(mut self, name: &str, value: Option<impl Into<Value>>) -> Self {
        if let Some(value) = value {
            self.0.insert(name.to_owned(), value.into());
        }
        self
    }

    /// Adds a list if there is anything in it.
    #[must_use]
    pub(super) fn with_list<T: Display>(self, name: &str, items: &[T]) -> Self {
        let list = || Value::Array(items.iter().map(|item| Value::String(item.to_string())).collect());
        let value = (!items.is_empty()).then(list);
        self.with(name, value)
    }
}
