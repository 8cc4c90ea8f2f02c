//! `keystile plan simulate`: what a plan would have done to the calls of an access log, or to those that a server kept. Files are read (`log`, `calls`), line by
//! line as they are written (`combined`, `journal`, `usage`, `columns`); the core tries the plan out on them; `report` tells.
//!
//! It needs no server, unless the plan is one that a server has. Nothing that was called is shown, only who called.

mod calls;
mod columns;
mod combined;
mod journal;
mod log;
mod report;
#[cfg(test)]
mod tests;
mod usage;

use std::io::Read;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use keystile_core::api::Costs;
use keystile_core::limit::Dimension;
use keystile_core::plan::{Known, PaidByCredits, PlanTerms, Simulation};
use keystile_core::time::Timestamp;
use serde_json::{Map, Value};

use super::Global;
use super::fault::{Exit, Fault};
use super::lines::Lines;
use super::plan::TermsArgs;
use super::screen::{Screen, harmless};
use super::session::{PLAN, Session};
use super::usage::between;
use super::values::{When, moment, when};

use calls::{Calls, How};

/// Which plan is tried out, and on what.
#[derive(Debug, Args)]
pub struct Ask {
    /// An access log, or `-` for standard input; it may be compressed with gzip. Repeat for several.
    #[arg(long = "log", value_name = "FILE", required_unless_present = "since")]
    logs: Vec<PathBuf>,
    /// Try it out on the calls that the server kept, from then on: 30d, 24h, 2027-01-31 or 2027-01-31T12:00:00Z.
    #[arg(long, value_name = "WHEN", value_parser = when, conflicts_with_all = ["logs", "format", "start"])]
    since: Option<When>,
    /// Until when; now unless given.
    #[arg(long, value_name = "WHEN", value_parser = when, requires = "since")]
    until: Option<When>,
    /// How they are written.
    #[arg(long, value_enum, default_value_t = Format::Auto)]
    format: Format,
    /// Whom the plan is for; project where the log has it, else client.
    #[arg(long, value_enum)]
    by: Option<By>,
    /// When a log begins that says of its calls only how much later they were, such as 2027-01-31.
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    start: Option<Timestamp>,
    /// A plan of the server, by id or name; what other options say replaces that part of it.
    #[arg(long)]
    plan: Option<String>,
    /// The API whose plan it is, by id or name; of Keystile's own access log and of what a server kept only its calls count.
    #[arg(long)]
    api: Option<String>,
    #[command(flatten)]
    terms: TermsArgs,
}

/// How an access log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Look at the first line.
    Auto,
    /// The Common or Combined Log Format, as Apache and nginx write it.
    Combined,
    /// Keystile's own access log: a JSON object a line.
    Keystile,
    /// Usage as `keystile usage export` writes it: a JSON object a line.
    Usage,
    /// A header line that names the columns (t_ms or time; client or project; method, path; perhaps cost), then a call a line,
    /// with tabs between.
    Columns,
}

/// Whom a plan is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum By {
    /// Each client of the log.
    Client,
    /// Each project of the log.
    Project,
}

impl By {
    /// The word in titles and JSON.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Project => "project",
        }
    }
}

impl Ask {
    /// Refuses to try out nothing.
    fn must_say_a_plan(&self) -> Result<(), Fault> {
        if self.terms.is_empty() {
            return Err(Fault::usage(
                "there is no plan to try out",
                "no option says what it would be",
                "say it as for `keystile plan create` (--rate-limit, --quota, --price), or name one of the server with --plan",
            ));
        }
        Ok(())
    }

    /// Whether the plan is one of a server, or its calls are.
    pub(super) const fn is_of_server(&self) -> bool {
        self.plan.is_some() || self.since.is_some()
    }
}

/// Tries out a plan that is said by options alone, on logs.
pub(super) fn alone(
    ask: Ask,
    global: &Global,
    mut input: Box<dyn Read + Send>,
    screen: &mut Screen,
) -> Result<Exit, Fault> {
    ask.must_say_a_plan()?;
    let (must_name_api, logs) = (ask.api.is_some(), ask.logs.clone());
    run(ask, (PlanTerms::default(), must_name_api), opened(&logs, &mut input), global, screen)
}

/// Tries out a plan of the server, or any on the calls that the server kept.
pub(super) fn of_server(ask: Ask, session: &mut Session<'_>) -> Result<Exit, Fault> {
    let (terms, ask) = match &ask.plan {
        Some(plan) => {
            let (terms, api) = said_by_server(plan, ask.api.as_deref(), session)?;
            (terms, Ask { api, ..ask })
        }
        None => {
            ask.must_say_a_plan()?;
            let api = ask.api.as_deref().map(|text| session.api(text)).transpose()?;
            (PlanTerms::default(), Ask { api: api.map(|id| id.to_string()), ..ask })
        }
    };
    let Some(since) = ask.since else {
        let mut input = std::mem::replace(&mut session.input, Box::new(std::io::empty()));
        let logs = ask.logs.clone();
        return run(ask, (terms, false), opened(&logs, &mut input), &session.global, session.screen);
    };
    let (from, until) = between(Some(since), ask.until, session.now())?;
    let query = [("from", from), ("until", until), ("api_id", ask.api.clone())];
    let query: Vec<(&str, &str)> = query.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?))).collect();
    let kept = session.server.body("read the usage", "/v1/usage/export", &query)?;
    let source = Ok(("the usage".to_owned(), log::of(kept)));
    let ask = Ask { format: Format::Usage, ..ask };
    run(ask, (terms, false), std::iter::once(source), &session.global, session.screen)
}

/// Logs with their names, each opened when it is its turn.
fn opened(logs: &[PathBuf], input: &mut Box<dyn Read + Send>) -> impl Iterator<Item = Result<(String, Lines), Fault>> {
    logs.iter().map(|log| Ok((harmless(&log.display().to_string()), log::open(log, input)?)))
}

/// What a plan of the server says, and the id of its API.
fn said_by_server(plan: &str, api: Option<&str>, session: &Session<'_>) -> Result<(PlanTerms, Option<String>), Fault> {
    let id = session.plan(plan, api)?;
    let plan = session.server.get(&format!("read the plan {id}"), &format!("{}/{id}", PLAN.path), &[])?;
    let terms = in_force(&plan).ok_or_else(|| {
        Fault::new(
            Exit::Failure,
            format!("could not try out the plan {id}"),
            "nothing of it is in force, or what it says is not understood",
            "look at `keystile plan show`; use a client of the server's version",
        )
    })?;
    Ok((terms, plan.get("api_id").and_then(Value::as_str).map(str::to_owned)))
}

/// What the version of a plan says that is in force.
fn in_force(plan: &Value) -> Option<PlanTerms> {
    const PARTS: [&str; 6] = ["rate_limits", "quotas", "time_zone", "operation_costs", "price", "credits"];
    let versions = plan.get("versions")?.as_array()?;
    let version = versions.iter().find(|version| version.get("version") == plan.get("version"))?;
    let said = |name: &&str| version.get(*name).is_some_and(|value| !value.is_null());
    let parts: Map<String, Value> =
        PARTS.iter().filter(|name| said(name)).map(|name| ((*name).to_owned(), version[*name].clone())).collect();
    serde_json::from_value(Value::Object(parts)).ok()
}

/// Tries out what options say over these terms on all calls of the sources, each with its name. Whether each has to say which API was
/// called comes with the terms.
fn run(
    ask: Ask,
    (terms, must_name_api): (PlanTerms, bool),
    sources: impl Iterator<Item = Result<(String, Lines), Fault>>,
    global: &Global,
    screen: &mut Screen,
) -> Result<Exit, Fault> {
    let Ask { format, by, start, api, terms: said, .. } = ask;
    let terms = said.over(terms).checked().map_err(|error| {
        Fault::usage("these are no terms of a plan", error.to_string(), "correct the options and try again")
    })?;
    let refused = |error: PaidByCredits| {
        Fault::usage(
            "this plan can't be simulated",
            error.to_string(),
            "try out its limits and a price instead, without credits",
        )
    };
    // Said before a long log is read.
    Simulation::new(terms.clone(), Known::default()).map_err(refused)?;
    let asks_operation = terms.rate_limits.iter().any(|rule| rule.by.contains(&Dimension::Operation));
    let costs = Costs::new(&terms.operation_costs).map_err(|error| {
        Fault::usage("these are no terms of a plan", error.to_string(), "correct the options and try again")
    })?;
    let mut calls = Calls::new(How { format, by, start, api, must_name_api, asks_operation, costs });
    for source in sources {
        let (name, lines) = source?;
        calls.read(&name, lines)?;
    }
    calls.put_in_order();
    let mut simulation = Simulation::new(terms.clone(), calls.known()).map_err(refused)?;
    if calls.count() == 0 {
        report::skipped(&calls, screen);
        return Err(Fault::new(
            Exit::Failure,
            "there is nothing to try the plan out on",
            "none of it is a call",
            "name a log of calls, and say how it is written with --format; or another time with --since",
        ));
    }
    for call in calls.iter() {
        simulation.call(&call);
    }
    let found = simulation
        .finish()
        .map_err(|error| Fault::usage("this plan can't be simulated", error.to_string(), "try out a lower price"))?;
    report::tell(&terms, &calls, found, global, screen);
    Ok(Exit::Ok)
}
