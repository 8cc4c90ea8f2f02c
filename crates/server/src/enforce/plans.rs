//! Plans and what projects have of them, prepared for being asked.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, OnceLock};

use keystile_core::api::{Costs, OperationCost};
use keystile_core::credit::CreditHolder;
use keystile_core::decide::{Activation, ActivationState};
use keystile_core::id::{ActivationId, OrganizationId};
use keystile_core::limit::Scope;
use keystile_core::method::Method;
use keystile_core::permission::Permission;
use keystile_core::plan::{CreditTerms, CreditsOf, PlanTerms, Quota, Span, in_force};
use keystile_core::time::Timestamp;
use keystile_core::zone::Zone;
use keystile_store::records::{FeedActivation, Plan};

use super::credits::{self, Credits};
use super::limits::Limits;
use super::quotas::{Account, Quotas};
use super::snapshot::ProjectView;

/// What a plan says, from a moment on.
pub struct PlanView {
    /// From when.
    from: Timestamp,
    /// Its limits.
    pub limits: Limits,
    /// Its quotas.
    pub quotas: Vec<Quota>,
    /// By whose clock periods begin.
    pub zone: Zone,
    /// What calls of single operations cost.
    operation_costs: Vec<OperationCost>,
    /// The same for being looked up, once somebody asks: most versions are never in force again.
    costs: OnceLock<Costs>,
    /// Whether calls are paid by credits, and by which.
    pub credits: Option<CreditTerms>,
    /// Tells its quotas from others.
    pub(super) fingerprint: u64,
}

impl PlanView {
    /// From when it says so.
    pub const fn from(&self) -> Timestamp {
        self.from
    }

    /// What a call of an operation costs, if the plan says so.
    pub(super) fn cost(&self, method: Method, path: &str) -> Option<u32> {
        if self.operation_costs.is_empty() {
            return None;
        }
        let costs = || Costs::new(&self.operation_costs).expect("checked when it was read");
        self.costs.get_or_init(costs).find(method, path)
    }

    pub(super) fn new(terms: &PlanTerms, from: Timestamp, api: u32) -> Self {
        Self {
            from,
            limits: Limits::new(terms.rate_limits.clone(), Scope::Plan, api),
            fingerprint: fingerprint(&terms.quotas),
            quotas: terms.quotas.clone(),
            zone: terms.time_zone.clone(),
            operation_costs: terms.operation_costs.clone(),
            costs: OnceLock::new(),
            credits: terms.credits,
        }
    }
}

fn fingerprint(quotas: &[Quota]) -> u64 {
    let mut hasher = DefaultHasher::new();
    quotas.hash(&mut hasher);
    hasher.finish()
}

/// Whose credits a project's calls are paid by.
pub fn holder(terms: &CreditTerms, project: &ProjectView) -> CreditHolder {
    match terms.of {
        CreditsOf::Project => CreditHolder::Project(project.id),
        CreditsOf::Organization => CreditHolder::Organization(project.organization),
    }
}

/// The period of a moment for which a plan brings credits, if it brings any.
pub fn period_of(plan: &PlanView, at: Timestamp, since: Timestamp) -> Option<Span> {
    let refill = plan.credits.and_then(|terms| terms.refill)?;
    Some(refill.period.at(at, &plan.zone, since))
}

/// The plans of an API.
#[derive(Default)]
pub struct Plans(Vec<(u32, Vec<Arc<PlanView>>)>);

impl Plans {
    /// Prepares them.
    pub fn new(plans: &[Plan]) -> Self {
        let versions = |plan: &Plan| {
            let views = plan.versions.iter();
            views.map(|version| Arc::new(PlanView::new(&version.terms, version.from, plan.api_number))).collect()
        };
        Self(plans.iter().map(|plan| (plan.number, versions(plan))).collect())
    }

    /// What the plan of this number says at a moment.
    pub fn at(&self, number: u32, now: Timestamp) -> Option<&Arc<PlanView>> {
        let (_, versions) = self.0.iter().find(|(own, _)| *own == number)?;
        // A clock that was set back to before a plan was made gives nobody calls without limits.
        in_force(versions, |version| version.from, now).or(versions.first())
    }
}

/// The link of a project to an API as a call needs it.
#[derive(Clone)]
pub struct Link {
    /// The number of the API.
    pub api: u32,
    /// Its id.
    pub id: ActivationId,
    /// How far it has come.
    pub state: ActivationState,
    /// What keys of the project may do there at most; `None` bounds nothing.
    pub granted: Option<Vec<Permission>>,
    /// The number of its plan, and since when it has it.
    pub plan: Option<(u32, Timestamp)>,
    /// What the project's own people allow it at most.
    pub ceilings: Vec<Quota>,
    /// Tells these from others.
    pub(super) fingerprint: u64,
    /// Where what it uses is counted, if it has a plan or ceilings.
    pub account: Option<Arc<Account>>,
    /// The credits of the project and of its organization at the API, once a call was paid by them.
    pub(super) wallets: [OnceLock<Arc<credits::Account>>; 2],
}

impl Link {
    /// Prepares the link of a project of this number.
    pub fn new(feed: &FeedActivation, project: u32, quotas: &Quotas) -> Self {
        let is_counted = feed.plan.is_some() || !feed.ceilings.is_empty();
        Self {
            account: is_counted.then(|| quotas.account(project, feed.api)),
            plan: feed.plan,
            ceilings: feed.ceilings.clone(),
            fingerprint: fingerprint(&feed.ceilings),
            granted: feed.granted.clone(),
            id: feed.id,
            ..Self::of(feed.api, feed.state)
        }
    }

    /// One that bounds nothing.
    pub fn of(api: u32, state: ActivationState) -> Self {
        let (id, ceilings) = (ActivationId::from_entropy([0; 16]), Vec::new());
        Self {
            api,
            id,
            state,
            granted: None,
            plan: None,
            fingerprint: fingerprint(&ceilings),
            ceilings,
            account: None,
            wallets: [const { OnceLock::new() }; 2],
        }
    }

    /// The credits that calls are paid by, of a project at an organization's API.
    pub fn wallet(
        &self,
        credits: &Credits,
        terms: &CreditTerms,
        project: &ProjectView,
        owner: OrganizationId,
    ) -> &Arc<credits::Account> {
        let [own, shared] = &self.wallets;
        let place = match terms.of {
            CreditsOf::Project => own,
            CreditsOf::Organization => shared,
        };
        place.get_or_init(|| credits.account(owner, holder(terms, project)))
    }

    /// As a decision asks it.
    pub fn as_activation(&self) -> Activation<'_> {
        Activation { state: self.state, permissions: self.granted.as_deref() }
    }
}
