//! What a project's plan has to do with a decision: which one it is, what is drawn from its quotas, and what is left of them.

use std::sync::Arc;

use keystile_core::Code;
use keystile_core::decide::{Weights, settle};
use keystile_core::facts::Facts;
use keystile_core::plan::{Left, Quota, QuotaOf};
use keystile_core::restrict::Rules;
use keystile_core::time::Moment;

use super::{Door, Engine, Recognised, Verdict};
use crate::enforce::counters::Charge;
use crate::enforce::credits::{self, Credits, Wanted};
use crate::enforce::draws::{Denied, Drawn, Supply};
use crate::enforce::plans::{Link, PlanView};
use crate::enforce::quotas::{Account, Lefts, Order};

/// What a project has at an API.
#[derive(Default)]
pub struct Standing {
    /// What its plan says, if it has one.
    pub plan: Option<Arc<PlanView>>,
    /// The quotas of that and its own ceilings, with what is left of each.
    pub quotas: Vec<(Quota, QuotaOf, Left)>,
    /// The credits that are left, if calls are paid by credits.
    pub credits: Option<u64>,
}

/// What a project's plan and ceilings had to do with a decision.
pub struct PlanSaid {
    /// What its plan says, if it has one.
    pub plan: Option<Arc<PlanView>>,
    /// What is left of the quotas, in the order in which [`Verdict::quotas`] goes through them; empty if they were not asked.
    pub(super) lefts: Lefts,
    /// The credits that are left, if its calls are paid by credits and they were asked.
    pub credits: Option<u64>,
    /// What the call costs by its plan, if that says something else of its operation than the API does.
    pub cost: Option<u32>,
    pub(super) drawn: Option<Drawn>,
    pub(super) awaits: Option<Supply>,
    /// Whether it was refused because what is used can't be written down.
    pub is_cut_off: bool,
}

impl PlanSaid {
    pub(super) fn new(plan: Option<&Arc<PlanView>>) -> Box<Self> {
        Box::new(Self {
            plan: plan.cloned(),
            lefts: Lefts::new(),
            credits: None,
            cost: None,
            drawn: None,
            awaits: None,
            is_cut_off: false,
        })
    }
}

/// How often a call waits for what has to be taken for it, of quotas and of credits: others may have used it before its turn
/// comes.
pub const MAX_SUPPLIES: u32 = 12;

/// What a project has of an API by its plan, and by its own people's word.
pub(super) struct OfPlan<'a> {
    pub(super) link: &'a Link,
    pub(super) plan: Option<&'a Arc<PlanView>>,
    pub(super) account: Option<&'a Arc<Account>>,
    /// The credits that the call is paid by.
    pub(super) wallet: Option<&'a Arc<credits::Account>>,
    /// What the plan says that calls of this operation cost.
    pub(super) cost: Option<u32>,
}

impl OfPlan<'_> {
    /// The facts of a call at what it costs by the plan, which are put in this place if they are others.
    pub(super) fn at_its_cost<'f, 'x>(&self, facts: &'f Facts<'x>, place: &'f mut Option<Facts<'x>>) -> &'f Facts<'x> {
        match self.cost {
            Some(cost) if cost != facts.cost => place.insert(Facts { cost, ..facts.clone() }),
            _ => facts,
        }
    }
}

/// The plan of a key's project at an API, of calls that are charged there.
pub(super) fn of_plan<'a>(
    key: &'a Recognised,
    door: Door<'a>,
    facts: &Facts<'_>,
    credits: &Credits,
) -> Result<Option<OfPlan<'a>>, Code> {
    let Door::Api(api) = door else { return Ok(None) };
    if !facts.charges_api {
        return Ok(None);
    }
    let Some(link) = key.project.link(api.number).filter(|link| link.account.is_some()) else { return Ok(None) };
    let plan = match link.plan {
        // One that is not known would be no limit at all.
        Some((number, _)) => Some(api.plans.at(number, facts.at.wall).ok_or(Code::Stale)?),
        None => None,
    };
    let has_quotas = !link.ceilings.is_empty() || plan.is_some_and(|plan| !plan.quotas.is_empty());
    let paid_by = plan.and_then(|plan| plan.credits.as_ref());
    let wallet = paid_by.map(|terms| link.wallet(credits, terms, &key.project, api.organization));
    let cost = plan.and_then(|plan| cost_of(plan, facts));
    Ok(Some(OfPlan { link, plan, account: link.account.as_ref().filter(|_| has_quotas), wallet, cost }))
}

/// What a call costs by a plan, if that says so and nobody else does.
fn cost_of(plan: &PlanView, facts: &Facts<'_>) -> Option<u32> {
    let (method, path) = facts.method.zip(facts.path).filter(|_| !facts.cost_is_told)?;
    plan.cost(method, path)
}

/// That of a call that nothing is drawn for, because somebody else than the API's owner says that it was made: it is counted at what it
/// costs all the same.
pub(super) fn told_of(key: &Recognised, door: Door<'_>, facts: &Facts<'_>) -> Option<Box<PlanSaid>> {
    let Door::Api(api) = door else { return None };
    if facts.charges_api {
        return None;
    }
    let (number, _) = key.project.link(api.number)?.plan?;
    let cost = cost_of(api.plans.at(number, facts.at.wall)?, facts)?;
    let mut said = PlanSaid::new(None);
    said.cost = Some(cost);
    Some(said)
}

pub(super) fn order<'a>(
    key: &Recognised,
    door: Door<'_>,
    facts: &Facts<'_>,
    link: &'a Link,
    plan: Option<&'a Arc<PlanView>>,
) -> Order<'a> {
    let own = key.project.organization;
    let of_api = match door {
        Door::Api(api) => api.organization,
        Door::Management | Door::KeyAlone => own,
    };
    Order {
        plan: plan.map(|plan| &**plan),
        link,
        between: [own, of_api],
        cost: facts.cost,
        reports: facts.reports,
        now: facts.at,
    }
}

/// What a call wants of credits.
const fn wanted(facts: &Facts<'_>) -> Wanted {
    Wanted { cost: facts.cost, reports: facts.reports, now: facts.at }
}

/// The answer to a call that quotas are against, or for which there are too few credits; of a quota, nanoseconds until the next
/// period.
fn refused_by(denied: Denied, said: &mut PlanSaid, facts: &Facts<'_>) -> (Code, Option<u64>) {
    match denied {
        Denied::Exhausted(until) => {
            let micros = until.as_micros().saturating_sub(facts.at.wall.as_micros());
            (Code::QuotaExhausted, Some(u64::try_from(micros).unwrap_or(0).saturating_mul(1_000)))
        }
        Denied::NoCredits => (Code::CreditsExhausted, None),
        Denied::Short(supply) => {
            (said.awaits, said.is_cut_off) = (Some(supply), true);
            (Code::Stale, None)
        }
        Denied::CutOff => {
            said.is_cut_off = true;
            (Code::Stale, None)
        }
    }
}

impl Engine {
    /// Charges a call of a project that has a plan or ceilings.
    pub(super) fn charged_by_plan(
        &self,
        verdict: &mut Verdict,
        (key, door, facts): (&Recognised, Door<'_>, &Facts<'_>),
        of_plan: &OfPlan<'_>,
        charge: &Charge<'_>,
        weights: &mut Weights,
        shadow: Rules,
    ) {
        let OfPlan { link, plan, account, wallet, cost } = of_plan;
        let mut said = PlanSaid::new(*plan);
        said.cost = *cost;
        let credits = &mut said.credits;
        let mut by_limits = || {
            let held = self.counters.charge(charge, weights);
            (settle(weights).code.is_allowed(), held)
        };
        // Whether everything lets it through, and what came of that.
        let mut by_credits = || match wallet {
            None => {
                let (is_let_through, held) = by_limits();
                (is_let_through, Ok((held, None)))
            }
            Some(wallet) => {
                let paid = wallet.draw(wanted(facts), credits.insert(0), || {
                    let (is_let_through, held) = by_limits();
                    (is_let_through, (is_let_through, held))
                });
                (matches!(paid, Ok(((true, _), _))), paid.map(|((_, held), spent)| (held, spent)))
            }
        };
        let drawn = match account {
            None => by_credits().1.map(|(held, spent)| (held, Drawn::of(None, spent))),
            Some(account) => {
                let order = order(key, door, facts, link, *plan);
                let drawn = account.draw(&order, &mut said.lefts, by_credits);
                drawn.and_then(|(paid, of_quotas)| paid.map(|(held, spent)| (held, Drawn::of(of_quotas, spent))))
            }
        };
        match drawn {
            Ok((held, drawn)) => {
                said.drawn = drawn;
                self.settled(verdict, weights, held, shadow);
            }
            Err(denied) => (verdict.code, verdict.retry_nanos) = refused_by(denied, &mut said, facts),
        }
        verdict.of_plan = Some(said);
    }

    /// What a project has at an API, by their numbers, and how much of it is used.
    pub fn standing(&self, (project, api): (u32, u32), now: Moment) -> Standing {
        let (project, api) = (self.snapshot.projects.get(project), self.snapshot.apis.get(api));
        let (Some(project), Some(api)) = (project.as_ref(), api.as_ref()) else { return Standing::default() };
        let Some((link, account)) = project.link(api.number).and_then(|link| Some((link, link.account.as_ref()?)))
        else {
            return Standing::default();
        };
        let plan = link.plan.and_then(|(number, _)| api.plans.at(number, now.wall));
        let between = [project.organization, api.organization];
        let order = Order { plan: plan.map(|plan| &**plan), link, between, cost: 0, reports: false, now };
        let mut lefts = Lefts::new();
        let _ = account.look(&order, 0, &mut lefts);
        let quotas = order.quotas().zip(&lefts).map(|((quota, of), left)| (quota.clone(), of, *left)).collect();
        let paid_by = plan.and_then(|plan| plan.credits.as_ref());
        let wallet = paid_by.map(|terms| link.wallet(&self.credits, terms, project, api.organization));
        Standing { plan: plan.cloned(), quotas, credits: wallet.map(|wallet| wallet.left(now.wall)) }
    }
}
