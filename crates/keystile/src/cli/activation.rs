//! `keystile activation …`

use clap::{Args, Subcommand};
use keystile_core::id::{ActivationId, PlanId};
use keystile_core::permission::Permission;
use keystile_core::plan::Quota;
use serde_json::{Value, json};
use ureq::http::Method;

use super::fault::{Exit, Fault};
use super::quotas::{quota, share};
use super::server::Payload;
use super::session::{ACTIVATION, Fields, Session};
use super::table::{Column, Table, away, field};
use super::values::thousands;

/// What to do with activations.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List the activations, newest first.
    List {
        /// Only those of this project, by id or name.
        #[arg(long)]
        project: Option<String>,
        /// Only those of this API, by id or name.
        #[arg(long)]
        api: Option<String>,
        /// Only those in this state.
        #[arg(long, value_parser = ["requested", "approved", "suspended", "refused"])]
        state: Option<String>,
    },
    /// Let a project call an API, or ask its owner for that.
    Create {
        /// The project, by id or name.
        #[arg(long)]
        project: String,
        /// The API, by id or name.
        #[arg(long)]
        api: String,
        #[command(flatten)]
        wish: Wish,
    },
    /// Ask once more for what was refused.
    Request {
        /// Its id.
        id: ActivationId,
        #[command(flatten)]
        wish: Wish,
    },
    /// Show one activation.
    Show {
        /// Its id.
        id: ActivationId,
    },
    /// Let the project call: it is granted what it asked for, unless something else is said.
    Approve {
        /// Its id.
        id: ActivationId,
        /// A right that its keys may have at this API, such as pets.read or pets.*; repeat for several.
        #[arg(long = "permission", value_name = "PERMISSION")]
        permissions: Vec<Permission>,
        /// Let its keys do whatever each of them may, whatever was asked for.
        #[arg(long, conflicts_with = "permissions")]
        any_permission: bool,
        /// The plan that it gets, by id or name; the one that it has or asks for unless given, or else the standard one.
        #[arg(long)]
        plan: Option<String>,
        /// Let no plan limit it.
        #[arg(long, conflicts_with = "plan")]
        no_plan: bool,
        /// Why, for the project to read.
        #[arg(long)]
        reason: Option<String>,
    },
    /// Give a project another plan, from now on.
    Plan {
        /// Its id.
        id: ActivationId,
        /// The plan, by id or name.
        #[arg(required_unless_present = "none")]
        plan: Option<String>,
        /// Let no plan limit it.
        #[arg(long, conflicts_with = "plan")]
        none: bool,
    },
    /// Say what your project may use at most, besides its plan.
    Ceilings {
        /// Its id.
        id: ActivationId,
        /// An amount for a period of the calendar, such as 5000/month; repeat for several.
        #[arg(long = "quota", value_name = "QUOTA", value_parser = quota, required_unless_present = "none")]
        quotas: Vec<Quota>,
        /// Let nothing but its plan limit it.
        #[arg(long, conflicts_with = "quotas")]
        none: bool,
    },
    /// Show how much of its quotas a project has used, and how many credits are left.
    Quotas {
        /// Its id.
        id: ActivationId,
    },
    /// Stop the project for now.
    Suspend {
        /// Its id.
        id: ActivationId,
        /// Why, for the project to read.
        #[arg(long)]
        reason: Option<String>,
    },
    /// Turn a request down.
    Refuse {
        /// Its id.
        id: ActivationId,
        /// Why, for the project to read.
        #[arg(long)]
        reason: Option<String>,
    },
    /// Delete an activation; the project can't call the API any more.
    Delete {
        /// Its id.
        id: ActivationId,
    },
}

/// What is asked for.
#[derive(Debug, Args)]
pub struct Wish {
    /// A right that the project's keys are to have at this API, such as pets.read or pets.*; repeat for several. Whatever
    /// each of them may unless given.
    #[arg(long = "permission", value_name = "PERMISSION")]
    permissions: Vec<Permission>,
    /// What for, for the API's owner to read.
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// The plan that it would like, by its id.
    #[arg(long, value_name = "PLAN")]
    plan: Option<PlanId>,
}

impl Wish {
    fn fields(self) -> Fields {
        Fields::default()
            .with("permissions", list(&self.permissions))
            .with("note", self.note)
            .with("plan_id", self.plan.map(|id| id.to_string()))
    }
}

/// Permissions, if any are given.
fn list(permissions: &[Permission]) -> Option<Value> {
    (!permissions.is_empty()).then(|| json!(permissions))
}

pub(super) fn run(verb: Verb, session: &mut Session<'_>) -> Result<Exit, Fault> {
    match verb {
        Verb::List { project, api, state } => {
            let project = project.map(|text| session.project(&text)).transpose()?.map(|id| id.to_string());
            let api = api.map(|text| session.api(&text)).transpose()?.map(|id| id.to_string());
            let query = [("project_id", &project), ("api_id", &api), ("state", &state)];
            let query: Vec<(&str, &str)> =
                query.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?))).collect();
            session.list(ACTIVATION, &query, &COLUMNS)
        }
        Verb::Create { project, api, wish } => {
            let (project, api) = (session.project(&project)?, session.api(&api)?);
            let fields =
                wish.fields().with("project_id", Some(project.to_string())).with("api_id", Some(api.to_string()));
            session.create(ACTIVATION, fields.0)
        }
        Verb::Show { id } => session.show(ACTIVATION, &id),
        Verb::Request { id, wish } => session.act(ACTIVATION, &id, "request", Some(wish.fields().0.into())),
        Verb::Approve { id, permissions, any_permission, plan, no_plan, reason } => {
            let granted = if any_permission { Some(Value::Null) } else { list(&permissions) };
            let plan = if no_plan { Some(Value::Null) } else { plan_of(session, &id, plan)? };
            let fields = Fields::default().with("permissions", granted).with("plan_id", plan).with("reason", reason);
            session.act(ACTIVATION, &id, "approve", Some(fields.0.into()))
        }
        Verb::Plan { id, plan, none: _ } => {
            let plan = plan_of(session, &id, plan)?.unwrap_or(Value::Null);
            session.act(ACTIVATION, &id, "plan", Some(json!({ "plan_id": plan })))
        }
        Verb::Ceilings { id, quotas, none: _ } => {
            let path = format!("{}/{id}/ceilings", ACTIVATION.path);
            let body = json!({ "ceilings": quotas });
            let what = format!("set the ceilings of {id}");
            let object = session.server.send(&what, Method::PUT, &path, &[], &Payload::Json(&body))?;
            session.print(&object);
            Ok(Exit::Ok)
        }
        Verb::Quotas { id } => show_quotas(session, &id),
        Verb::Suspend { id, reason } => session.act(ACTIVATION, &id, "suspend", Some(because(reason))),
        Verb::Refuse { id, reason } => session.act(ACTIVATION, &id, "refuse", Some(because(reason))),
        Verb::Delete { id } => session.delete(ACTIVATION, &id, ""),
    }
}

/// The plan of this id or name of the API that an activation is for.
fn plan_of(session: &Session<'_>, id: &ActivationId, plan: Option<String>) -> Result<Option<Value>, Fault> {
    let Some(plan) = plan else { return Ok(None) };
    if let Ok(plan) = plan.parse::<PlanId>() {
        return Ok(Some(plan.to_string().into()));
    }
    let what = format!("show the activation {id}");
    let activation = session.server.get(&what, &format!("{}/{id}", ACTIVATION.path), &[])?;
    let plan = session.plan(&plan, Some(&field(&activation, "api_id")))?;
    Ok(Some(plan.to_string().into()))
}

fn show_quotas(session: &mut Session<'_>, id: &ActivationId) -> Result<Exit, Fault> {
    let path = format!("{}/{id}/quotas", ACTIVATION.path);
    let standing = session.server.get(&format!("show the quotas of {id}"), &path, &[])?;
    if session.global.json {
        session.print(&standing);
        return Ok(Exit::Ok);
    }
    let now = session.now();
    let quotas = standing.get("quotas").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let titles = ["NAME", "OF", "USED", "PERIOD", "ENDS"].map(|title| (title.to_owned(), false));
    let row = |quota: &Value| {
        vec![
            field(quota, "name"),
            field(quota, "of"),
            share(quota),
            field(quota, "period").replace('_', " "),
            away(quota, "ends_at", now),
        ]
    };
    let credits = standing.get("credits").and_then(Value::as_u64);
    if let Some(left) = credits {
        session.screen.out(&format!("{} credits left\n", thousands(left)));
    }
    if quotas.is_empty() && credits.is_none() {
        session.screen.note("no quotas here");
    } else if !quotas.is_empty() {
        Table::new(titles).rows(session.screen, &quotas.iter().map(row).collect::<Vec<_>>());
    }
    Ok(Exit::Ok)
}

/// What was granted; before that, what is asked for.
fn permissions(activation: &Value) -> String {
    let is_judged = matches!(&*field(activation, "state"), "approved" | "suspended");
    let name = if is_judged { "granted_permissions" } else { "requested_permissions" };
    let text = match activation.get(name) {
        Some(Value::Null) | None => "any".to_owned(),
        Some(Value::Array(list)) if list.is_empty() => "none".to_owned(),
        Some(_) => field(activation, name),
    };
    if is_judged { text } else { format!("asks for {text}") }
}

fn because(reason: Option<String>) -> Value {
    reason.map_or_else(|| json!({}), |reason| json!({ "reason": reason }))
}

const COLUMNS: [Column; 8] = [
    Column::left("ID", |activation, _| field(activation, "id")),
    Column::left("PROJECT", |activation, _| field(activation, "project_id")),
    Column::left("API", |activation, _| field(activation, "api_id")),
    Column::left("STATE", |activation, _| field(activation, "state")),
    Column::left("PLAN", |activation, _| field(activation, "plan")),
    Column::left("PERMISSIONS", |activation, _| permissions(activation)),
    Column::left("CHANGED", |activation, now| away(activation, "updated_at", now)),
    Column::left("REASON", |activation, _| field(activation, "reason")),
];
