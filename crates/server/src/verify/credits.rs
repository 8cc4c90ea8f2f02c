//! `POST /v1/credits/charge`, `reserve`, `post` and `void`: credits for what an owner does for a project besides single calls,
//! or for calls that take long. Each is known by an id that whoever asks chooses, so one that is asked again, because its
//! answer got lost, is made once. What is reserved is nobody else's until it is posted (spent, or some of it), voided, or its
//! time is over.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use http::Request;
use hyper::body::Incoming;
use keystile_core::Code;
use keystile_core::credit::{EntryState, MAX_ENTRY_ID_LEN, MAX_RESERVED_SECS};
use keystile_core::decide::ActivationState;
use keystile_core::id::{OrganizationId, ProjectId, RequestId};
use keystile_core::plan::MAX_CREDITS;
use keystile_core::time::{Moment, Timestamp};
use keystile_store::records::CreditEntry;
use keystile_store::{EntryName, EntrySaid};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{AskedBy, find_api, hear, invalid, read};
use crate::enforce::credits::{Account, Asked as Order, NotOrdered};
use crate::enforce::snapshot::ApiView;
use crate::gateway::Worker;
use crate::problem::Problem;

/// The right to ask, where a management key is needed for it.
pub(super) const SPEND_CREDITS: &str = "credits.spend";
const CONFLICT: &str = "conflict";
const NOT_FOUND: &str = "not_found";
/// How long credits are reserved unless something else is said.
const RESERVED_SECS: u32 = 600;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// To spend credits.
    Charge,
    /// To set some aside.
    Reserve,
    /// To spend what was set aside.
    Post,
    /// To give it back.
    Void,
}

impl Asked {
    /// All that can be asked.
    pub(super) const ALL: [Self; 4] = [Self::Charge, Self::Reserve, Self::Post, Self::Void];

    /// Where it is asked.
    pub(super) const fn path(self) -> &'static str {
        match self {
            Self::Charge => "/v1/credits/charge",
            Self::Reserve => "/v1/credits/reserve",
            Self::Post => "/v1/credits/post",
            Self::Void => "/v1/credits/void",
        }
    }

    /// The statuses with which it can be refused besides those of every question, with the code of each.
    pub(super) const fn refusals(self) -> &'static [(u16, &'static str)] {
        match self {
            Self::Charge | Self::Reserve => &[(409, CONFLICT)],
            Self::Post | Self::Void => &[(404, NOT_FOUND), (409, CONFLICT)],
        }
    }
}

/// Credits to charge.
#[derive(Deserialize, ToSchema)]
#[schema(as = CreditCharge)]
#[serde(deny_unknown_fields)]
pub(super) struct Charge<'a> {
    /// The id of the charge, in 1 to 128 bytes: another one for everything that is charged.
    #[serde(borrow)]
    #[schema(example = "mail-17")]
    id: Cow<'a, str>,
    /// The API, by its id or name.
    #[serde(borrow)]
    #[schema(example = "Pets")]
    api: Cow<'a, str>,
    /// The project that is charged: its plan at the API says whose credits pay.
    #[schema(value_type = String)]
    project_id: ProjectId,
    /// How many credits.
    #[schema(example = 25)]
    amount: u64,
}

/// Credits to reserve.
#[derive(Deserialize, ToSchema)]
#[schema(as = CreditReserve)]
#[serde(deny_unknown_fields)]
pub(super) struct Reserve<'a> {
    /// The id of the reservation, in 1 to 128 bytes: another one for everything that is reserved.
    #[serde(borrow)]
    #[schema(example = "job-8")]
    id: Cow<'a, str>,
    /// The API, by its id or name.
    #[serde(borrow)]
    #[schema(example = "Pets")]
    api: Cow<'a, str>,
    /// The project that will be charged: its plan at the API says whose credits pay.
    #[schema(value_type = String)]
    project_id: ProjectId,
    /// How many credits.
    #[schema(example = 500)]
    amount: u64,
    /// How long they are nobody else's; 600 if nothing is said.
    #[serde(default)]
    expires_in_seconds: Option<u32>,
}

/// A reservation of which some is spent, and the rest given back.
#[derive(Deserialize, ToSchema)]
#[schema(as = CreditPost)]
#[serde(deny_unknown_fields)]
pub(super) struct Post<'a> {
    /// The id of the reservation.
    #[serde(borrow)]
    #[schema(example = "job-8")]
    id: Cow<'a, str>,
    /// The API, by its id or name.
    #[serde(borrow)]
    #[schema(example = "Pets")]
    api: Cow<'a, str>,
    /// How much of it was used, at most what is reserved; all of it if nothing is said.
    #[serde(default)]
    amount: Option<u64>,
}

/// A reservation that came to nothing.
#[derive(Deserialize, ToSchema)]
#[schema(as = CreditVoid)]
#[serde(deny_unknown_fields)]
pub(super) struct Void<'a> {
    /// The id of the reservation.
    #[serde(borrow)]
    #[schema(example = "job-8")]
    id: Cow<'a, str>,
    /// The API, by its id or name.
    #[serde(borrow)]
    #[schema(example = "Pets")]
    api: Cow<'a, str>,
}

/// What came of it.
#[derive(Serialize, ToSchema)]
#[schema(as = CreditAnswer)]
pub(super) struct Answer<'a> {
    /// Whether it is so, now or since it was asked for the first time.
    allowed: bool,
    /// `allowed`, or why not.
    #[schema(value_type = String)]
    code: Code,
    /// The id that was asked for.
    id: &'a str,
    /// How far it has come: `reserved`, `posted`, `voided` or `expired`; absent if nothing was done.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    state: Option<EntryState>,
    /// How many were asked for.
    amount: u64,
    /// How many of them were spent; absent as long as that is open.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = u64, required = false)]
    spent: Option<u64>,
    /// The credits that are left; absent if the project is not to be charged.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = u64, required = false)]
    remaining: Option<u64>,
    /// Until when they are reserved.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    expires_at: Option<Timestamp>,
    /// Whether it had been asked for before under this id.
    repeated: bool,
    /// The id of this answer, as it stands in logs.
    #[schema(value_type = String)]
    request_id: RequestId,
}

pub(super) async fn answer(
    worker: &Worker,
    asked: Asked,
    asked_by: AskedBy,
    address: IpAddr,
    request: Request<Incoming>,
    request_id: RequestId,
) -> Result<Vec<u8>, Problem> {
    let (owner, body) = hear(worker, (asked_by, SPEND_CREDITS), address, request).await?;
    let now = worker.recorder.clock.now();
    let (id, api, what) = understood(asked, &body, now.wall)?;
    let api = own_api(worker, &api, owner)?;
    let refused = |code, amount, remaining| {
        let answer = Answer { allowed: false, code, remaining, ..Answer::new(&id, amount, request_id) };
        Ok(serde_json::to_vec(&answer).unwrap_or_default())
    };
    let credits = &worker.engine.credits;
    let left = |holder| Some(credits.account(api.organization, holder).left(now.wall));
    let name = EntryName { owner: api.organization, id: id.clone().into_owned() };
    let order = async |order| credits.order(name, order).await.map_err(not_ordered);
    let said = match what {
        What::Settle(settling) => order(settling).await?,
        What::Enter { project, amount, until } => match payer(worker, &api, project, now)? {
            Payer::Pays(account) => {
                let holder = account.holder();
                match order(Order::Enter { account, project, amount, until }).await? {
                    EntrySaid::TooFew(_) => return refused(Code::CreditsExhausted, amount, left(holder)),
                    said => said,
                }
            }
            // Who may not call is not charged either; but what was charged before is.
            payer => match order(Order::Find).await? {
                EntrySaid::Before(entry) if is_asked_again(&entry, project, amount) => EntrySaid::Before(entry),
                EntrySaid::Before(entry) => EntrySaid::Conflict(entry),
                _ => match payer {
                    Payer::Refused(code) => return refused(code, amount, None),
                    Payer::Pays(_) | Payer::Unpaid => return Err(unpaid()),
                },
            },
        },
    };
    let (entry, repeated) = match said {
        EntrySaid::Done(entry) => (entry, false),
        EntrySaid::Before(entry) => (entry, true),
        EntrySaid::Conflict(entry) => return Err(conflict(asked, &entry)),
        EntrySaid::NoSuch | EntrySaid::TooFew(_) => return Err(no_such()),
    };
    let answer = Answer {
        state: Some(entry.state),
        spent: entry.posted,
        remaining: left(entry.holder),
        expires_at: entry.ends_at.filter(|_| entry.state == EntryState::Reserved),
        repeated,
        ..Answer::new(&id, entry.amount, request_id)
    };
    Ok(serde_json::to_vec(&answer).unwrap_or_default())
}

/// What is to be done.
enum What {
    /// Credits are charged, or reserved until a moment.
    Enter { project: ProjectId, amount: u64, until: Option<Timestamp> },
    /// What is reserved is settled.
    Settle(Order),
}

/// A question: its id, its API, and what is to be done.
fn understood(asked: Asked, body: &[u8], now: Timestamp) -> Result<(Cow<'_, str>, Cow<'_, str>, What), Problem> {
    let (id, api, what) = match asked {
        Asked::Charge => {
            let Charge { id, api, project_id, amount } = read(body)?;
            (id, api, What::Enter { project: project_id, amount, until: None })
        }
        Asked::Reserve => {
            let Reserve { id, api, project_id, amount, expires_in_seconds } = read(body)?;
            let secs = expires_in_seconds.unwrap_or(RESERVED_SECS);
            if !(1..=MAX_RESERVED_SECS).contains(&secs) {
                return Err(invalid(format!("expires_in_seconds is 1 to {MAX_RESERVED_SECS}.")));
            }
            (id, api, What::Enter { project: project_id, amount, until: Some(now.plus_secs(secs.into())) })
        }
        Asked::Post => {
            let Post { id, api, amount } = read(body)?;
            (id, api, What::Settle(Order::Post(amount)))
        }
        Asked::Void => {
            let Void { id, api } = read(body)?;
            (id, api, What::Settle(Order::Void))
        }
    };
    if id.is_empty() || id.len() > MAX_ENTRY_ID_LEN || id.chars().any(char::is_control) {
        return Err(invalid(format!(
            "id is 1 to {MAX_ENTRY_ID_LEN} bytes without control characters, and another one for everything that is charged."
        )));
    }
    match what {
        What::Enter { amount, .. } if !(1..=MAX_CREDITS).contains(&amount) => {
            Err(invalid(format!("amount is 1 to {MAX_CREDITS}.")))
        }
        What::Settle(Order::Post(Some(amount))) if amount > MAX_CREDITS => {
            Err(invalid(format!("amount is 0 to {MAX_CREDITS}.")))
        }
        what => Ok((id, api, what)),
    }
}

/// Whether an entry is what is asked for, and its credits are not back.
fn is_asked_again(entry: &CreditEntry, project: ProjectId, amount: u64) -> bool {
    let is_there = matches!(entry.state, EntryState::Reserved | EntryState::Posted);
    is_there && entry.project == project && entry.amount == amount
}

impl<'a> Answer<'a> {
    /// That it is so.
    const fn new(id: &'a str, amount: u64, request_id: RequestId) -> Self {
        let code = Code::Allowed;
        Self {
            allowed: true,
            code,
            id,
            state: None,
            amount,
            spent: None,
            remaining: None,
            expires_at: None,
            repeated: false,
            request_id,
        }
    }
}

fn no_such() -> Problem {
    Problem {
        status: 404,
        code: NOT_FOUND,
        title: "Not found",
        detail: "Nothing was charged or reserved under this id at the APIs of this one's organization.".into(),
    }
}

/// An API that whoever asks may charge for.
fn own_api(worker: &Worker, wanted: &str, owner: Option<OrganizationId>) -> Result<Arc<ApiView>, Problem> {
    find_api(worker, wanted)
        .filter(|api| owner.is_none_or(|owner| owner == api.organization))
        .ok_or_else(|| invalid("Of your APIs none has this id or name, or several have it; say the id."))
}

/// Who pays for a project.
enum Payer {
    /// This account.
    Pays(Arc<Account>),
    /// Nobody: it may not call.
    Refused(Code),
    /// Nobody: its plan says nothing of credits.
    Unpaid,
}

/// Whose credits a project pays with at an API, or why it does not.
fn payer(worker: &Worker, api: &ApiView, id: ProjectId, now: Moment) -> Result<Payer, Problem> {
    let project = worker.engine.snapshot.project(id);
    let Some(project) = project else { return Err(invalid("There is no project of this project_id.")) };
    if !api.active {
        return Ok(Payer::Refused(Code::ApiInactive));
    }
    let Some(link) = project.link(api.number) else { return Ok(Payer::Refused(Code::NotActivated)) };
    if project.suspended || link.state == ActivationState::Suspended {
        return Ok(Payer::Refused(Code::Suspended));
    }
    if link.state != ActivationState::Approved {
        return Ok(Payer::Refused(Code::NotActivated));
    }
    let plan = link.plan.and_then(|(number, _)| api.plans.at(number, now.wall));
    let terms = plan.and_then(|plan| plan.credits.as_ref());
    let wallet = |terms| link.wallet(&worker.engine.credits, terms, &project, api.organization).clone();
    Ok(terms.map_or(Payer::Unpaid, |terms| Payer::Pays(wallet(terms))))
}

fn unpaid() -> Problem {
    Problem {
        status: 409,
        code: CONFLICT,
        title: "Not paid by credits",
        detail: "The project's plan at this API does not say that calls are paid by credits; give it a plan that does."
            .into(),
    }
}

fn not_ordered(why: NotOrdered) -> Problem {
    match why {
        NotOrdered::Overloaded => Problem::of(Code::Overloaded),
        NotOrdered::Unknown => Problem::of(Code::Stale)
            .because("It is not known whether this was written down; ask again with the same id, and it is made once."),
    }
}

fn conflict(asked: Asked, entry: &CreditEntry) -> Problem {
    let CreditEntry { amount, posted, state, .. } = entry;
    let is = match (state, posted) {
        (EntryState::Posted, Some(spent)) => format!("{spent} of {amount} were spent"),
        _ => format!("{amount} are {}", state.as_str()),
    };
    let what = match asked {
        Asked::Reserve if matches!(state, EntryState::Voided | EntryState::Expired) => {
            "They went back, so nothing is reserved any more; take another id to reserve anew."
        }
        Asked::Charge | Asked::Reserve => "This id stands for something else; take another one for another charge.",
        Asked::Post if *state == EntryState::Reserved => {
            "More can't be spent than was reserved, nor after its time; charge the rest under another id."
        }
        Asked::Post => "It is settled already.",
        Asked::Void => "It was spent; grant the credits anew to give them back.",
    };
    Problem { status: 409, code: CONFLICT, title: "Conflict", detail: format!("Under this id {is}. {what}").into() }
}
