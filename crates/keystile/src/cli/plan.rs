//! `keystile plan …`: what an API's owner offers to those who call it.

use clap::{Args, Subcommand};
use keystile_core::api::OperationCost;
use keystile_core::limit::LimitRule;
use keystile_core::plan::{CreditTerms, PlanName, PlanTerms, Price, Quota};
use keystile_core::time::Timestamp;
use keystile_core::zone::Zone;
use serde_json::{Value, json};

use super::credit::{credit_terms, terms_of};
use super::fault::{Exit, Fault};
use super::price::{self, price};
use super::quotas::{self, quota};
use super::session::{Fields, PLAN, Session};
use super::simulate;
use super::table::{Column, field, limits};
use super::values::{moment, operation_cost, rate_limit};

/// What to do with plans.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List the plans, newest first.
    List {
        /// Only those of this API, by id or name.
        #[arg(long)]
        api: Option<String>,
    },
    /// Make a plan of an API.
    Create(Box<Create>),
    /// Show one plan, with everything that it ever said.
    Show {
        #[command(flatten)]
        which: Which,
    },
    /// Change a plan, for all projects that have it.
    Update(Box<Update>),
    /// Delete a plan that no project has.
    Delete {
        #[command(flatten)]
        which: Which,
    },
    /// What a plan would have done to the calls of an access log, and what they would have cost.
    Simulate(Box<simulate::Ask>),
}

/// Which plan is meant.
#[derive(Debug, Args)]
pub struct Which {
    /// Its id or name.
    plan: String,
    /// The API whose plan it is, by id or name; needed where plans of several have the name.
    #[arg(long)]
    api: Option<String>,
}

/// A new plan.
#[derive(Debug, Args)]
pub struct Create {
    /// The API, by id or name.
    #[arg(long)]
    api: String,
    /// Its name, such as Free.
    #[arg(long)]
    name: PlanName,
    /// Give it to projects unless another one is said.
    #[arg(long)]
    standard: bool,
    #[command(flatten)]
    about: About,
}

/// Changes of a plan. What is given replaces what was there; the rest stays.
#[derive(Debug, Args)]
pub struct Update {
    #[command(flatten)]
    which: Which,
    /// Its name.
    #[arg(long)]
    name: Option<PlanName>,
    /// Whether projects get it unless another one is said.
    #[arg(long, value_name = "true|false")]
    standard: Option<bool>,
    #[command(flatten)]
    about: About,
    /// Take its rate limits away.
    #[arg(long, conflicts_with = "rate_limits")]
    no_rate_limits: bool,
    /// Take its quotas away.
    #[arg(long, conflicts_with = "quotas")]
    no_quotas: bool,
    /// Let operations cost what the API says again.
    #[arg(long, conflicts_with = "operation_costs")]
    no_operation_costs: bool,
    /// Let it cost nothing.
    #[arg(long, conflicts_with = "price")]
    no_price: bool,
    /// Let its calls be paid by no credits.
    #[arg(long, conflicts_with = "credits")]
    no_credits: bool,
    /// From when what is new of it is in force, such as 2027-02-01; now unless given.
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    from: Option<Timestamp>,
}

#[derive(Debug, Args)]
struct About {
    /// What it is for.
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    #[command(flatten)]
    terms: TermsArgs,
}

/// What a plan says.
#[derive(Debug, Args)]
pub(super) struct TermsArgs {
    /// A limit of all calls of a project, such as 60/min or bucket:burst=10/s,burst=50; repeat for several.
    #[arg(long = "rate-limit", value_name = "LIMIT", value_parser = rate_limit)]
    rate_limits: Vec<LimitRule>,
    /// How much a project has in a period of the calendar, such as 10000/month, or 500000/billing-period,overage; repeat for
    /// several.
    #[arg(long = "quota", value_name = "QUOTA", value_parser = quota)]
    quotas: Vec<Quota>,
    /// An operation whose calls cost something else than the API says, such as "POST /images/{id}=10"; repeat for several.
    #[arg(long = "operation-cost", value_name = "OPERATION=COST", value_parser = operation_cost)]
    operation_costs: Vec<OperationCost>,
    /// What it costs, such as "9.90 EUR/month,included=10000,unit=0.40/1000".
    #[arg(long, value_name = "PRICE", value_parser = price)]
    price: Option<Price>,
    /// That its calls are paid by credits, and which come with it, such as "project,trial=1000/90d,refill=5000/month".
    #[arg(long, value_name = "CREDITS", value_parser = credit_terms)]
    credits: Option<CreditTerms>,
    /// By whose clock days, weeks and months begin, such as Europe/Vienna; UTC unless given.
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<Zone>,
}

impl About {
    fn fields(self) -> Fields {
        self.terms.fields().with("description", self.description)
    }
}

impl TermsArgs {
    /// Whether they say nothing.
    pub(super) fn is_empty(&self) -> bool {
        let Self { rate_limits, quotas, operation_costs, price, credits, time_zone } = self;
        let has_lists = !(rate_limits.is_empty() && quotas.is_empty() && operation_costs.is_empty());
        !has_lists && price.is_none() && credits.is_none() && time_zone.is_none()
    }

    /// Terms in which they replace what they speak of.
    pub(super) fn over(self, terms: PlanTerms) -> PlanTerms {
        let Self { rate_limits, quotas, operation_costs, price, credits, time_zone } = self;
        PlanTerms {
            rate_limits: if rate_limits.is_empty() { terms.rate_limits } else { rate_limits },
            quotas: if quotas.is_empty() { terms.quotas } else { quotas },
            time_zone: time_zone.unwrap_or(terms.time_zone),
            operation_costs: if operation_costs.is_empty() { terms.operation_costs } else { operation_costs },
            price: price.or(terms.price),
            credits: credits.or(terms.credits),
        }
    }

    fn fields(self) -> Fields {
        Fields::default()
            .with("rate_limits", (!self.rate_limits.is_empty()).then(|| json!(self.rate_limits)))
            .with("quotas", (!self.quotas.is_empty()).then(|| json!(self.quotas)))
            .with("operation_costs", (!self.operation_costs.is_empty()).then(|| json!(self.operation_costs)))
            .with("price", self.price.map(|price| json!(price)))
            .with("credits", self.credits.map(|credits| json!(credits)))
            .with("time_zone", self.time_zone.map(|zone| zone.name().to_owned()))
    }
}

pub(super) fn run(verb: Verb, session: &mut Session<'_>) -> Result<Exit, Fault> {
    match verb {
        Verb::List { api } => {
            let api = api.map(|text| session.api(&text)).transpose()?.map(|id| id.to_string());
            let query: Vec<(&str, &str)> = api.as_deref().map(|id| ("api_id", id)).into_iter().collect();
            session.list(PLAN, &query, &COLUMNS)
        }
        Verb::Create(ask) => {
            let api = session.api(&ask.api)?;
            let fields = ask.about.fields().with("api_id", Some(api.to_string()));
            let fields = fields.with("name", Some(ask.name.as_str())).with("standard", ask.standard.then_some(true));
            session.create(PLAN, fields.0)
        }
        Verb::Show { which } => {
            let id = session.plan(&which.plan, which.api.as_deref())?;
            session.show(PLAN, &id)
        }
        Verb::Update(ask) => {
            let id = session.plan(&ask.which.plan, ask.which.api.as_deref())?;
            let none = |is_so: bool| is_so.then(|| Value::Array(Vec::new()));
            let fields = ask.about.fields().with("name", ask.name.as_ref().map(PlanName::as_str));
            let fields = fields.with("rate_limits", none(ask.no_rate_limits)).with("quotas", none(ask.no_quotas));
            let fields = fields.with("operation_costs", none(ask.no_operation_costs));
            let fields = fields.with("price", ask.no_price.then_some(Value::Null));
            let fields = fields.with("credits", ask.no_credits.then_some(Value::Null));
            let fields = fields.with("standard", ask.standard).with("from", ask.from.map(|from| from.to_string()));
            session.update(PLAN, &id, fields.0)
        }
        Verb::Delete { which } => {
            let id = session.plan(&which.plan, which.api.as_deref())?;
            session.delete(PLAN, &id, "")
        }
        Verb::Simulate(ask) => simulate::of_server(*ask, session),
    }
}

/// What the version says that is in force.
fn said(plan: &Value, tell: impl Fn(&Value) -> Option<String>) -> String {
    let versions = plan.get("versions").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let mut in_force = versions.iter().filter(|version| version.get("version") == plan.get("version"));
    in_force.next().and_then(tell).unwrap_or_else(|| "-".to_owned())
}

const COLUMNS: [Column; 9] = [
    Column::left("ID", |plan, _| field(plan, "id")),
    Column::left("API", |plan, _| field(plan, "api_id")),
    Column::left("NAME", |plan, _| field(plan, "name")),
    Column::left("STANDARD", |plan, _| field(plan, "standard")),
    Column::left("LIMITS", |plan, _| said(plan, |version| limits(version, "rate_limits"))),
    Column::left("QUOTAS", |plan, _| said(plan, |version| quotas::all(version, "quotas"))),
    Column::left("PRICE", |plan, _| said(plan, price::of)),
    Column::left("CREDITS", |plan, _| said(plan, terms_of)),
    Column::left("DESCRIPTION", |plan, _| field(plan, "description")),
];
