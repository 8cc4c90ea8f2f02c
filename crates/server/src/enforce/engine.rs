//! One engine for every door: the text of a key and the facts of a call go in, a verdict comes out.

mod plan;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use arc_swap::ArcSwap;
use arrayvec::ArrayVec;
use keystile_core::Code;
use keystile_core::api::is_publishable;
use keystile_core::decide::{self, MAX_ASKED, Readings, Step, Target, Weights, admit, reading, settle};
use keystile_core::facts::Facts;
use keystile_core::id::KeyId;
use keystile_core::key::{KeyDigest, KeyKind, Pepper, Presented, ShortToken, TextHash};
use keystile_core::limit::{LimitRule, Reading, Scope, Subject};
use keystile_core::pattern::{Pattern, PatternSaid};
use keystile_core::permission::Rights;
use keystile_core::plan::{Left, Quota, QuotaOf};
use keystile_core::restrict::{Rule, Rules, Said};

pub use plan::{MAX_SUPPLIES, PlanSaid, Standing};
use plan::{OfPlan, of_plan, order, told_of};

use super::counters::{Charge, Counters, Held};
use super::credits::Credits;
use super::draws::{Drawn, Supply};
use super::keys::{KeyEntry, Opened};
use super::leases::Leases;
use super::limits::Limits;
use super::news::News;
use super::quotas::Quotas;
use super::rehash::Rehash;
use super::shadow::ShadowCounts;
use super::slow::SlowKeys;
use super::snapshot::{ApiView, PolicyView, ProjectView, Snapshot};
use crate::countries::Countries;

/// What a key is presented to.
#[derive(Clone, Copy)]
pub enum Door<'a> {
    /// An API.
    Api(&'a ApiView),
    /// The management API.
    Management,
    /// Nothing in particular.
    KeyAlone,
}

/// The key that was recognised, whatever the answer.
pub struct Recognised {
    /// The record that its text led to.
    text: u32,
    /// Its place among the keys: all its versions have this one.
    pub place: u32,
    /// Which version of it was presented; 0 if it was never rotated.
    pub version: u16,
    /// What is known of it.
    pub entry: KeyEntry,
    /// Its project.
    pub project: Arc<ProjectView>,
    /// Its policy.
    pub policy: Arc<PolicyView>,
}

impl Recognised {
    /// The patterns that its calls must pass, its own and its project's, as they are now. Most keys have none, and of none
    /// nothing is allocated.
    pub fn patterns(&self) -> Vec<Arc<Pattern>> {
        let cells = self.policy.patterns.iter().chain(&self.project.patterns);
        cells.map(|cell| cell.load_full()).collect()
    }

    /// What the key may do at an API: its own permissions, as far as its project was granted them there; without an API,
    /// its own.
    pub fn rights(&self, api: Option<&ApiView>) -> Rights<'_> {
        let link = api.and_then(|api| self.project.activation(api.number));
        Rights::new(&self.policy.policy.permissions, link.and_then(|link| link.permissions))
    }
}

/// The answer for one call.
pub struct Verdict {
    /// Allowed, or why not.
    pub code: Code,
    /// The key, if one was recognised.
    pub key: Option<Recognised>,
    /// What is left at the limits, in the order in which [`Verdict::limits`] goes through them; empty if they were not asked.
    pub readings: Readings,
    /// What the call has to give back when it ends.
    pub held: Option<Held>,
    /// What its project's plan and ceilings had to do with it, if there are any. Boxed: a verdict is moved several times, and
    /// most calls have none.
    pub of_plan: Option<Box<PlanSaid>>,
    /// If a limit or a quota refused: nanoseconds until the same call fits.
    pub retry_nanos: Option<u64>,
    /// Restrictions in shadow that would have refused it, if it is allowed.
    pub shadow: Rules,
}

/// How a decision came about.
pub struct Explanation {
    /// The questions that were asked, up to the first no.
    pub steps: Vec<(Step, Code)>,
    /// What each of the key's restrictions said.
    pub restrictions: Vec<Said>,
    /// What each of its patterns said, and of its project's.
    pub patterns: Vec<PatternSaid>,
}

impl Verdict {
    /// A refusal in which no key was recognised.
    pub fn without_key(code: Code) -> Self {
        Self {
            code,
            key: None,
            readings: Readings::new(),
            held: None,
            of_plan: None,
            retry_nanos: None,
            shadow: Rules::NONE,
        }
    }

    /// The limits that were asked, with what is left of each: those of the key, or of calls without one, those of the
    /// project's plan, and those of the API.
    pub fn limits<'a>(
        &'a self,
        api: Option<&'a ApiView>,
    ) -> impl Iterator<Item = (&'a LimitRule, Scope, Reading)> + Clone {
        let own = match &self.key {
            Some(key) => Some(&key.policy.limits),
            None => api.map(|api| &api.anonymous),
        };
        let of_plan = self.of_plan.as_ref().and_then(|said| Some(&said.plan.as_ref()?.limits));
        let lists = own.into_iter().chain(of_plan).chain(api.map(|api| &api.limits));
        let rules = lists.flat_map(|limits| limits.rules.iter().map(|rule| (rule, limits.scope)));
        rules.zip(&self.readings).map(|((rule, scope), reading)| (rule, scope, *reading))
    }

    /// What the call costs, if its project's plan says something else of its operation than the API does.
    pub fn cost(&self) -> Option<u32> {
        self.of_plan.as_ref().and_then(|said| said.cost)
    }

    /// What the call has drawn by its project's plan, for whoever keeps it until it ends.
    pub fn take_drawn(&mut self) -> Option<Drawn> {
        self.of_plan.as_mut().and_then(|said| said.drawn.take())
    }

    /// What has to be taken for it before the call can be decided: it is to be asked again then.
    pub fn take_supply(&mut self) -> Option<Supply> {
        self.of_plan.as_mut().and_then(|said| said.awaits.take())
    }

    /// The quotas that were asked, with what is left of each: those of the plan, and what the project's own people allow it.
    pub fn quotas<'a>(&'a self, api: Option<&'a ApiView>) -> impl Iterator<Item = (&'a Quota, QuotaOf, Left)> + Clone {
        let said = self.of_plan.as_deref();
        let plan = said.and_then(|said| said.plan.as_ref());
        let of_plan = plan.map_or(&[][..], |plan| &plan.quotas).iter();
        let link = self.key.as_ref().zip(api).and_then(|(key, api)| key.project.link(api.number));
        let own = link.map_or(&[][..], |link| &link.ceilings).iter();
        let all = of_plan.map(|quota| (quota, QuotaOf::Plan)).chain(own.map(|quota| (quota, QuotaOf::Project)));
        all.zip(said.map_or(&[][..], |said| &said.lefts)).map(|((quota, of), left)| (quota, of, *left))
    }
}

/// The decision engine.
pub struct Engine {
    /// What is known.
    pub snapshot: Snapshot,
    /// What was counted.
    pub counters: Arc<Counters>,
    /// Calls in flight whose end somebody else sees.
    pub leases: Leases,
    /// What projects use of their quotas.
    pub quotas: Quotas,
    /// The credits that calls are paid by.
    pub credits: Credits,
    /// Whether what is known is current.
    pub news: News,
    /// In which country addresses are.
    pub countries: Arc<Countries>,
    /// What restrictions would have refused if they were not in shadow.
    pub shadow: ShadowCounts,
    /// Keys that are known by slow hashes.
    pub slow: SlowKeys,
    /// Newest first: a digest is tried under each.
    peppers: ArcSwap<Vec<Pepper>>,
    /// Look-ups so far; K-3 is proven by it.
    #[cfg(test)]
    pub lookups: std::sync::atomic::AtomicU64,
}

impl Engine {
    /// An engine over a snapshot.
    pub fn new(snapshot: Snapshot, peppers: Vec<Pepper>) -> Self {
        Self {
            snapshot,
            counters: Arc::default(),
            leases: Leases::default(),
            quotas: Quotas::default(),
            credits: Credits::default(),
            news: News::default(),
            countries: Arc::default(),
            shadow: ShadowCounts::default(),
            slow: SlowKeys::default(),
            peppers: ArcSwap::from_pointee(peppers),
            #[cfg(test)]
            lookups: std::sync::atomic::AtomicU64::new(0),
        }
    }

    /// The pepper under which new keys are stored.
    ///
    /// # Panics
    /// If there is none, which opening a store rules out.
    pub fn pepper(&self) -> Pepper {
        self.peppers.load().first().expect("an opened store has a pepper").clone()
    }

    /// From now on these are used. Only the feed calls this, before it brings a key that is hashed with one of them.
    pub fn use_peppers(&self, peppers: Arc<Vec<Pepper>>) {
        self.peppers.store(peppers);
    }

    /// All of them, the newest first.
    pub fn peppers(&self) -> Arc<Vec<Pepper>> {
        self.peppers.load_full()
    }

    /// Decides a call and charges its limits.
    pub fn check(&self, text: &str, door: Door<'_>, facts: &Facts<'_>) -> Verdict {
        let (key, known) = match self.recognise(text) {
            Ok(found) => found,
            Err(Code::KeyUnknown) => return self.unknown(facts),
            Err(code) => return Verdict::without_key(code),
        };
        if !self.news.is_usable(facts.at.ticks) {
            return Verdict::without_key(Code::Stale);
        }
        self.leases.end_those_over(facts.at.ticks);
        let patterns = key.patterns();
        let admitted = admit(&decide_key(&key, &patterns), target(door, &key, facts), facts);
        match admitted {
            // The work above was done for a stand-in, so that an unknown key takes the time of a known one (K-8).
            _ if !known => self.unknown(facts),
            Err(Code::KeyUnknown) => self.unknown(facts),
            Err(code) => Verdict { key: Some(key), ..Verdict::without_key(code) },
            Ok(shadow) => {
                let mut verdict = Verdict::without_key(Code::Allowed);
                self.charged(&mut verdict, &key, door, facts, shadow);
                verdict.key = Some(key);
                verdict
            }
        }
    }

    /// The same, and waits for what has to be taken for it first.
    pub async fn check_with_time(&self, text: &str, door: Door<'_>, facts: &Facts<'_>) -> Verdict {
        let mut verdict = self.check(text, door, facts);
        for _ in 0..MAX_SUPPLIES {
            let Some(supply) = verdict.take_supply() else { break };
            // Boxed: few calls wait.
            if !Box::pin(supply.has_come()).await {
                break;
            }
            verdict = self.check(text, door, facts);
        }
        verdict
    }

    /// Charges a call that is admitted: its quotas, its credits and its limits, all of them or none. What comes of that is
    /// written into the verdict where it is: moved about, it is one of the larger things of a decision.
    fn charged(&self, verdict: &mut Verdict, key: &Recognised, door: Door<'_>, facts: &Facts<'_>, shadow: Rules) {
        let of_plan = match of_plan(key, door, facts, &self.credits) {
            Ok(of_plan) => of_plan,
            Err(code) => return verdict.code = code,
        };
        let mut place = None;
        let facts = of_plan.as_ref().map_or(facts, |of_plan| of_plan.at_its_cost(facts, &mut place));
        let charge = charge(key, door, facts, of_plan.as_ref());
        let mut weights = Weights::new();
        match of_plan {
            Some(of_plan) => self.charged_by_plan(verdict, (key, door, facts), &of_plan, &charge, &mut weights, shadow),
            None => {
                let held = self.counters.charge(&charge, &mut weights);
                self.settled(verdict, &weights, held, shadow);
                verdict.of_plan = told_of(key, door, facts);
            }
        }
    }

    /// Decides a call of an API that needs no key, as far as limits are against it, and charges them.
    pub fn check_stranger(&self, api: &ApiView, facts: &Facts<'_>) -> Verdict {
        self.leases.end_those_over(facts.at.ticks);
        let asked = |limits| Some(limits).filter(|limits: &&Limits| !limits.is_empty());
        let lists = [asked(&api.anonymous), None, asked(&api.limits)];
        let mut weights = Weights::new();
        let subject = Subject { key: None, facts };
        let charge = Charge { lists, key: 0, subject, cost: facts.cost, reports: facts.reports, now: facts.at };
        let held = self.counters.charge(&charge, &mut weights);
        let mut verdict = Verdict::without_key(Code::Allowed);
        self.settled(&mut verdict, &weights, held, Rules::NONE);
        verdict
    }

    fn settled(&self, verdict: &mut Verdict, weights: &Weights, held: Option<Held>, shadow: Rules) {
        let decision = settle(weights);
        let shadow = if decision.shadow { shadow.and(Rule::RateLimits) } else { shadow };
        let shadow = if decision.code.is_allowed() { shadow } else { Rules::NONE };
        self.shadow.add(shadow);
        verdict.code = decision.code;
        verdict.readings.extend(weights.iter().map(reading));
        (verdict.held, verdict.retry_nanos, verdict.shadow) = (held, decision.retry_nanos, shadow);
    }

    /// The answer to a key that is not known. Where the store can't be asked, it may have been made meanwhile.
    fn unknown(&self, facts: &Facts<'_>) -> Verdict {
        let code = if self.news.is_current(facts.at.ticks) { Code::KeyUnknown } else { Code::Stale };
        Verdict::without_key(code)
    }

    /// Whether a call that was allowed would be so now, as far as it is not a matter of limits.
    pub fn still_allows(&self, known: &Recognised, api: &ApiView, facts: &Facts<'_>) -> bool {
        if !self.news.is_usable(facts.at.ticks) {
            return false;
        }
        let Some(key) = self.snapshot.keys.current(known.text).and_then(|text| self.opened(text)) else { return false };
        admit(&decide_key(&key, &key.patterns()), target(Door::Api(api), &key, facts), facts).is_ok()
    }

    /// Says whose key it is, without deciding anything: for calls that are refused for another reason and still
    /// count as somebody's.
    pub fn identify(&self, text: &str) -> Option<Recognised> {
        self.recognise(text).ok().filter(|(_, known)| *known).map(|(key, _)| key)
    }

    /// The questions of a decision that was made, with their answers. Charges nothing.
    pub fn explain(&self, text: &str, door: Door<'_>, facts: &Facts<'_>, verdict: &Verdict) -> Explanation {
        match self.identify(text) {
            Some(key) => explained(&key, door, facts, verdict.code),
            None => Explanation { steps: Vec::new(), restrictions: Vec::new(), patterns: Vec::new() },
        }
    }

    /// The key of an id. Walks over all keys, which is for people who ask and not for calls.
    pub fn known(&self, id: KeyId) -> Option<Recognised> {
        self.opened(self.snapshot.keys.place_of_id(id)?)
    }

    /// What would become of a call of this key. Charges and counts nothing.
    pub fn foresee(&self, key: Recognised, door: Door<'_>, facts: &Facts<'_>) -> (Verdict, Explanation) {
        let mut weights = Weights::new();
        let looking = Facts { cost: 0, reports: false, ..facts.clone() };
        let patterns = key.patterns();
        let admitted = admit(&decide_key(&key, &patterns), target(door, &key, facts), &looking);
        let mut said = PlanSaid::new(None);
        let mut wanted = ArrayVec::<u32, MAX_ASKED>::new();
        let admitted = admitted.and_then(|shadow| {
            let of_plan = of_plan(&key, door, facts, &self.credits)?;
            let mut place = None;
            let facts = of_plan.as_ref().map_or(facts, |of_plan| of_plan.at_its_cost(facts, &mut place));
            let charge = charge(&key, door, &looking, of_plan.as_ref());
            self.counters.charge(&charge, &mut weights);
            let rules = charge.lists.iter().flatten().flat_map(|limits| &limits.rules);
            wanted.extend(rules.map(|rule| rule.counted(facts.cost)));
            let Some(OfPlan { link, account, plan, wallet, cost }) = &of_plan else { return Ok(shadow) };
            (said.plan, said.cost) = (plan.cloned(), *cost);
            said.credits = wallet.map(|wallet| wallet.left(facts.at.wall));
            if let Some(account) = account {
                let order = order(&key, door, &looking, link, *plan);
                account.look(&order, facts.cost, &mut said.lefts).map_err(|_| Code::QuotaExhausted)?;
            }
            match said.credits {
                Some(left) if left < facts.cost.into() => Err(Code::CreditsExhausted),
                _ => Ok(shadow),
            }
        });
        let lacks = |shadow: bool| {
            let mut of = weights.iter().zip(&wanted).filter(|(weight, _)| weight.shadow == shadow);
            of.any(|(weight, wanted)| reading(weight).limit == 0 || reading(weight).remaining < *wanted)
        };
        let (code, shadow) = match admitted {
            Err(code) => (code, Rules::NONE),
            Ok(_) if lacks(false) => (Code::RateLimited, Rules::NONE),
            Ok(shadow) if lacks(true) => (Code::Allowed, shadow.and(Rule::RateLimits)),
            Ok(shadow) => (Code::Allowed, shadow),
        };
        let explanation = explained(&key, door, facts, code);
        let readings = weights.iter().map(reading).collect();
        let verdict = Verdict { of_plan: Some(said), readings, shadow, ..Verdict::without_key(code) };
        (Verdict { key: Some(key), ..verdict }, explanation)
    }

    /// The key of a text, or a stand-in of which nothing may be used (`false`).
    fn recognise(&self, text: &str) -> Result<(Recognised, bool), Code> {
        // Junk ends here, before any look-up (K-3).
        Presented::parse(text).map_err(|_| Code::KeyMalformed)?;
        #[cfg(test)]
        self.lookups.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let peppers = self.peppers.load();
        let (mut stand_in, mut newest) = (0, None);
        let found = peppers.iter().find_map(|pepper| {
            let digest = pepper.digest(text);
            stand_in = u32::from_le_bytes(digest.as_bytes()[16..20].try_into().expect("four bytes"));
            let newest = *newest.get_or_insert(digest);
            let found = self.snapshot.keys.find(&digest)?;
            if digest != newest {
                self.rehash(found, (digest, newest), &peppers);
            }
            Some(found)
        });
        let found = found.or_else(|| self.otherwise(text, newest, &peppers));
        let records = self.snapshot.keys.len();
        let (text, known) = match found {
            Some(text) => (text, true),
            None if records == 0 => return Err(Code::KeyUnknown),
            // A multiplication, as even as a remainder and without the time of a division (Lemire, 2019).
            None => (((u64::from(stand_in) * u64::from(records)) >> 32) as u32, false),
        };
        self.opened(text).map(|key| (key, known)).ok_or(Code::KeyUnknown)
    }

    /// The record of a text that is kept otherwise than by its digest: its slow hash was verified a while ago, or it has a
    /// short token. `newest` is its digest under the newest pepper.
    fn otherwise(&self, text: &str, newest: Option<KeyDigest>, peppers: &[Pepper]) -> Option<u32> {
        let keys = &self.snapshot.keys;
        if self.slow.is_any()
            && let Some(placeholder) = newest.and_then(|digest| self.slow.proven(&digest))
        {
            return keys.find(&placeholder);
        }
        if !self.slow.has_tokens() {
            return None;
        }
        let (tokens, long) = ShortToken::of_presented(text)?;
        let long = TextHash::of(long);
        peppers.iter().find_map(|pepper| {
            tokens.iter().find_map(|token| {
                let digest = pepper.digest_of_prefixed(*token, &long);
                let found = keys.find(&digest)?;
                let newest = peppers.first()?.digest_of_prefixed(*token, &long);
                if digest != newest {
                    self.rehash(found, (digest, newest), peppers);
                }
                Some(found)
            })
        })
    }

    /// Asks for a key to be hashed with the newest pepper: its text led to a record by its digest under an older one.
    #[cold]
    fn rehash(&self, found: u32, (was, digest): (KeyDigest, KeyDigest), peppers: &[Pepper]) {
        let (Some(opened), Some(newest)) = (self.snapshot.keys.open(found), peppers.first()) else { return };
        let rehash =
            Rehash { version: opened.version.max(1), was, digest, pepper_version: newest.version(), slow: false };
        self.slow.rehashes().ask(rehash);
    }

    /// The key that a record is, or is a version of, with all that belongs to it.
    fn opened(&self, text: u32) -> Option<Recognised> {
        let Opened { place, version, entry } = self.snapshot.keys.open(text)?;
        let project = self.snapshot.projects.get(entry.project);
        let policy = self.snapshot.policies.get(entry.policy);
        // Its project was deleted a moment ago and the key's own record follows.
        let (project, policy) = (project.as_ref()?.clone(), policy.as_ref()?.clone());
        Some(Recognised { text, place, version, entry, project, policy })
    }
}

/// `decided` is what came of it once the limits had been asked.
fn explained(key: &Recognised, door: Door<'_>, facts: &Facts<'_>, decided: Code) -> Explanation {
    let patterns = key.patterns();
    let mut steps = decide::trace(&decide_key(key, &patterns), target(door, key, facts), facts).to_vec();
    if steps.last().is_some_and(|(_, code)| code.is_allowed()) {
        steps.push((Step::Limits, decided));
    }
    Explanation {
        steps,
        restrictions: key.policy.policy.restrictions.answers(facts).collect(),
        patterns: patterns.iter().map(|pattern| pattern.say(facts)).collect(),
    }
}

/// What a call with a key is counted by.
fn charge<'a>(key: &'a Recognised, door: Door<'a>, facts: &'a Facts<'a>, of_plan: Option<&OfPlan<'a>>) -> Charge<'a> {
    let of_api = match door {
        Door::Api(api) if facts.charges_api && !api.limits.is_empty() => Some(&api.limits),
        Door::Api(_) | Door::Management | Door::KeyAlone => None,
    };
    let plan = of_plan.and_then(|of_plan| of_plan.plan);
    Charge {
        lists: [Some(&key.policy.limits), plan.map(|plan| &plan.limits).filter(|limits| !limits.is_empty()), of_api],
        key: key.place,
        subject: Subject { key: Some((key.entry.id, key.project.id, key.project.organization)), facts },
        cost: facts.cost,
        reports: facts.reports,
        now: facts.at,
    }
}

fn decide_key<'a>(key: &'a Recognised, patterns: &'a [Arc<Pattern>]) -> decide::Key<'a> {
    decide::Key {
        standing: key.entry.standing,
        expires_at: key.entry.expires_at,
        kind: key.entry.kind,
        organization: key.project.organization,
        environment: key.entry.environment,
        suspended: key.project.suspended,
        policy: &key.policy.policy,
        patterns,
    }
}

fn target<'a>(door: Door<'a>, key: &'a Recognised, facts: &Facts<'_>) -> Target<'a> {
    match door {
        Door::Api(api) => Target::Api {
            organization: api.organization,
            active: api.active,
            environments: api.environments,
            activation: key.project.activation(api.number),
            request_types: api.request_types.as_ref(),
            publishable: key.entry.kind == KeyKind::Publishable
                && is_publishable(&api.publishable_operations, facts.method, facts.path),
            needs: facts.method.zip(facts.path).and_then(|(method, path)| api.operations.needs(method, path)),
        },
        Door::Management => Target::Management,
        Door::KeyAlone => Target::KeyAlone,
    }
}
