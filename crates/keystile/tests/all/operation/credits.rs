//! Credits (PRODUCT.md K26, SECURITY.md L-1 and L-2): prepaid, shared, granted with plans, charged and reserved by ids; never
//! overspent, through `kill -9` and storms of retries.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use keystile_testkit::raw::Answer;
use keystile_testkit::{Api, Installation, PATIENCE, Postgres, eventually};
use parking_lot::Mutex;
use serde_json::{Value, json};
use ureq::Agent;

use super::form::{moment, problem};
use super::process::{keystile, run, settings};
use super::world::{BINARY, Caller, World, id, name, shared};

/// A project whose calls are paid by credits.
struct Prepaid {
    caller: Caller,
    plan: String,
}

impl Prepaid {
    fn new(world: &World, terms: Value) -> Self {
        let caller = world.caller(&json!({}));
        let plan = json!({ "api_id": caller.api, "name": name("Prepaid"), "credits": terms });
        let plan = id(&world.manage().create("/v1/plans", &plan));
        let set = json!({ "plan_id": plan });
        let (status, link) = world.manage().post(&format!("/v1/activations/{}/plan", caller.activation), &set);
        assert_eq!(status, 200, "{link}");
        Self { caller, plan }
    }

    fn grant(&self, world: &World, amount: u64, more: Value) -> Value {
        let mut body = json!({ "project_id": self.caller.project, "amount": amount });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        world.manage().create("/v1/credits", &body)
    }

    fn call(&self, world: &World) -> Answer {
        world.call(&self.caller.key, "GET", &format!("{}/x", self.caller.path))
    }

    fn passed(&self, world: &World, calls: usize) -> usize {
        (0..calls).filter(|_| self.call(world).status == 200).count()
    }

    fn verified(&self, world: &World, more: Value) -> Value {
        let mut question = json!({ "key": self.caller.key, "api": self.caller.api });
        question.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let answer = world.verify(&question);
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }

    fn left(&self, world: &World) -> Value {
        let (status, standing) = world.manage().get(&format!("/v1/activations/{}/quotas", self.caller.activation));
        assert_eq!(status, 200, "{standing}");
        standing["credits"].clone()
    }

    /// The grants, oldest first: kind, how many are used, state.
    fn grants(&self, world: &World) -> Vec<(String, u64, String)> {
        let (status, list) = world.manage().get(&format!("/v1/credits?project_id={}", self.caller.project));
        assert_eq!(status, 200, "{list}");
        let text = |grant: &Value, name: &str| grant[name].as_str().unwrap().to_owned();
        let grants = list["items"].as_array().unwrap().iter().rev();
        grants.map(|grant| (text(grant, "kind"), grant["used"].as_u64().unwrap(), text(grant, "state"))).collect()
    }

    /// Charges, reserves, posts or voids something.
    fn ask(&self, world: &World, what: &str, id: &str, more: Value) -> Answer {
        let mut body = json!({ "id": id, "api": self.caller.api });
        if matches!(what, "charge" | "reserve") {
            body["project_id"] = json!(self.caller.project);
        }
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        world.ask(&format!("/v1/credits/{what}"), &body)
    }

    fn asked(&self, world: &World, what: &str, id: &str, more: Value) -> Value {
        let answer = self.ask(world, what, id, more);
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }
}

fn said(kind: &str, used: u64, state: &str) -> (String, u64, String) {
    (kind.to_owned(), used, state.to_owned())
}

#[test]
fn k26_calls_are_paid_by_credits_and_refused_when_those_are_used_up() {
    let world = shared();
    let prepaid = Prepaid::new(world, json!({}));
    problem(&prepaid.call(world), 402, "credits_exhausted");
    let grant = prepaid.grant(world, 5, json!({ "note": "invoice 7" }));
    assert_eq!(
        (&grant["remaining"], &grant["state"], &grant["note"]),
        (&json!(5), &json!("active"), &json!("invoice 7"))
    );
    assert_eq!(prepaid.passed(world, 2), 2);
    let told = prepaid.verified(world, json!({ "cost": 2 }));
    assert_eq!((&told["code"], &told["credits"]["remaining"]), (&json!("allowed"), &json!(1)));
    let told = prepaid.verified(world, json!({ "cost": 2 }));
    assert_eq!((&told["code"], &told["credits"]["remaining"]), (&json!("credits_exhausted"), &json!(1)));
    let explain = json!({ "api": prepaid.caller.api, "operation": { "method": "GET", "path": "/x" } });
    let explained = |world: &World| world.manage().post(&format!("/v1/keys/{}/explain", prepaid.caller.id), &explain).1;
    assert_eq!(explained(world)["code"], "allowed", "one is left");
    assert_eq!(prepaid.passed(world, 3), 1);
    assert_eq!(explained(world)["code"], "credits_exhausted");
    assert_eq!(prepaid.verified(world, json!({ "cost": 0 }))["code"], "allowed", "what costs nothing");
    assert_eq!(prepaid.grants(world), [said("paid", 5, "used")]);
    assert_eq!(prepaid.left(world), 0);
    // Another key of the project has the same credits, and so has another version of the key: nothing is copied.
    let (_, second) = world.key(&prepaid.caller.project, &json!({}));
    let path = format!("{}/x", prepaid.caller.path);
    problem(&world.call(&second, "GET", &path), 402, "credits_exhausted");
    let rotated = world.manage().post(&format!("/v1/keys/{}/rotate", prepaid.caller.id), &json!({})).1;
    let fresh = rotated["key"].as_str().unwrap().to_owned();
    prepaid.grant(world, 2, json!({}));
    assert_eq!([&second, &fresh, &second].map(|key| world.call(key, "GET", &path).status), [200, 200, 402]);
}

#[test]
fn k26_what_ends_first_is_spent_first_and_what_is_left_can_be_taken_back() {
    let world = shared();
    let prepaid = Prepaid::new(world, json!({}));
    prepaid.grant(world, 3, json!({}));
    let first = prepaid.grant(world, 3, json!({ "ends_at": "2099-01-01T00:00:00Z", "kind": "bonus" }));
    prepaid.grant(world, 3, json!({ "starts_at": "2098-01-01T00:00:00Z" }));
    assert_eq!(prepaid.passed(world, 1), 1);
    assert_eq!(
        prepaid.grants(world),
        [said("paid", 0, "active"), said("bonus", 1, "active"), said("paid", 0, "scheduled")]
    );
    let path = format!("/v1/credits/{}/revoke", id(&first));
    let (status, revoked) = world.manage().post(&path, &json!({ "reason": "refunded" }));
    let told = (status, &revoked["state"], &revoked["used"], &revoked["remaining"], &revoked["note"]);
    assert_eq!(told, (200, &json!("revoked"), &json!(1), &json!(0), &json!("refunded")));
    assert_eq!(world.manage().post(&path, &json!({})).0, 409);
    assert_eq!(prepaid.passed(world, 9), 3);
    // Credits that end are gone when they do.
    let made = prepaid.grant(world, 9, json!({}))["created_at"].as_str().unwrap().to_owned();
    let now: keystile_core::time::Timestamp = made.parse().unwrap();
    let soon = now.plus_secs(2).to_string();
    let other = Prepaid::new(world, json!({}));
    other.grant(world, 9, json!({ "ends_at": soon }));
    assert_eq!(other.passed(world, 1), 1);
    eventually("they end", || other.left(world) == 0);
    problem(&other.call(world), 402, "credits_exhausted");
    assert_eq!(other.grants(world), [said("paid", 1, "ended")]);
}

#[test]
fn k26_that_credits_run_down_and_end_is_an_event_once_of_each_grant() {
    let world = shared();
    let prepaid = Prepaid::new(world, json!({ "of": "project" }));
    let grant = prepaid.grant(world, 10, json!({}));
    let told = |grant: &Value| {
        let path = format!("/v1/events?subject_id={}&limit=50", grant["id"].as_str().unwrap());
        let (_, events) = world.manage().get(&path);
        let all = events["items"].as_array().unwrap().clone();
        let told = all.into_iter().filter(|event| event["type"] != "credits.grant");
        told.map(|event| (event["type"].as_str().unwrap().to_owned(), event["after"]["credits"].clone()))
            .collect::<Vec<_>>()
    };
    prepaid.passed(world, 8);
    eventually("a fifth is told", || told(&grant).len() == 1);
    assert_eq!(told(&grant), [("credits.low".to_owned(), json!({ "remaining": 2, "of": 10 }))]);
    prepaid.passed(world, 3);
    eventually("the end is told", || told(&grant).len() == 2);
    assert!(told(&grant).contains(&("credits.exhausted".to_owned(), json!({ "remaining": 0, "of": 0 }))));
    // Another grant is a reason to tell anew.
    let next = prepaid.grant(world, 5, json!({}));
    prepaid.passed(world, 9);
    eventually("the end is told anew", || told(&next).iter().any(|(kind, _)| kind == "credits.exhausted"));
    assert_eq!(told(&grant).len(), 2, "of the first nothing more");
    // One that ends soon, in the second half of its time; what was taken back is told of by nobody.
    let now = world.manage().create("/v1/projects", &json!({ "name": name("clock") }))["created_at"].clone();
    let ends = moment(now.as_str().unwrap()).plus_secs(8).to_string();
    let short = prepaid.grant(world, 50, json!({ "ends_at": ends }));
    eventually("that it ends is told", || told(&short).iter().any(|(kind, _)| kind == "credits.ending"));
    let back = prepaid.grant(world, 20, json!({}));
    let revoke = format!("/v1/credits/{}/revoke", back["id"].as_str().unwrap());
    assert_eq!(world.manage().post(&revoke, &json!({})).0, 200);
    eventually("its end is told", || told(&short).iter().any(|(kind, _)| kind == "credits.exhausted"));
    assert!(told(&back).iter().all(|(kind, _)| kind == "credits.revoke"), "{:?}", told(&back));
}

#[test]
fn k26_projects_of_an_organization_can_share_credits() {
    let world = shared();
    let first = Prepaid::new(world, json!({ "of": "organization" }));
    let link = |project: &str| {
        let body = json!({ "project_id": project, "api_id": first.caller.api, "plan_id": first.plan });
        world.manage().create("/v1/activations", &body)
    };
    let other = world.project();
    link(&other);
    let (_, second) = world.key(&other, &json!({}));
    first.grant(world, 9, json!({}));
    problem(&first.call(world), 402, "credits_exhausted");
    let organization = first.verified(world, json!({}))["organization_id"].clone();
    let body = json!({ "organization_id": organization, "amount": 4 });
    let shared_grant = world.manage().create("/v1/credits", &body);
    let path = format!("{}/x", first.caller.path);
    let both =
        (0..5).map(|n| if n % 2 == 0 { first.call(world).status } else { world.call(&second, "GET", &path).status });
    assert_eq!(both.collect::<Vec<_>>(), [200, 200, 200, 200, 402]);
    let shown = world.manage().get(&format!("/v1/credits/{}", id(&shared_grant))).1;
    assert_eq!((&shown["used"], &shown["project_id"], &shown["state"]), (&json!(4), &json!(null), &json!("used")));
    let list = world.manage().get(&format!("/v1/credits?organization_id={}", organization.as_str().unwrap())).1;
    assert_eq!(list["items"][0]["id"], shown["id"]);
}

#[test]
fn k26_trials_and_refills_come_with_a_plan() {
    let world = shared();
    let terms = json!({ "trial": { "amount": 2 }, "refill": { "amount": 3, "period": "month" } });
    let prepaid = Prepaid::new(world, terms);
    assert_eq!(prepaid.grants(world), [said("trial", 0, "active"), said("refill", 0, "active")]);
    assert_eq!(prepaid.passed(world, 9), 5);
    // Given up and taken again it brings nothing anew.
    let path = format!("/v1/activations/{}/plan", prepaid.caller.activation);
    assert_eq!(world.manage().post(&path, &json!({ "plan_id": null })).0, 200);
    assert_eq!(prepaid.passed(world, 1), 1, "without a plan nothing is paid");
    assert_eq!(world.manage().post(&path, &json!({ "plan_id": prepaid.plan })).0, 200);
    problem(&prepaid.call(world), 402, "credits_exhausted");
    let grants = world.manage().get(&format!("/v1/credits?project_id={}", prepaid.caller.project)).1;
    assert_eq!(grants["items"][0]["plan_id"], json!(prepaid.plan));
    // A plan that begins to bring a trial brings it to those who have it already.
    let third = Prepaid::new(world, json!({}));
    let change = json!({ "credits": { "trial": { "amount": 1 } } });
    assert_eq!(world.manage().patch(&format!("/v1/plans/{}", third.plan), &change).0, 200);
    eventually("the trial comes", || third.grants(world) == [said("trial", 0, "active")]);
    // A version that brings more in the next period leaves this one as it was; one that brings something where the one before
    // brought nothing does so soon.
    let other = Prepaid::new(world, json!({}));
    problem(&other.call(world), 402, "credits_exhausted");
    let change = json!({ "credits": { "refill": { "amount": 4, "period": "billing_period" } } });
    assert_eq!(world.manage().patch(&format!("/v1/plans/{}", other.plan), &change).0, 200);
    eventually("the credits of the period come", || other.call(world).status == 200);
    assert_eq!(other.passed(world, 9), 3);
}

#[test]
fn k26_what_is_not_answered_spends_nothing_and_what_costs_more_is_spent_afterwards() {
    let world = shared();
    let prepaid = Prepaid::new(world, json!({}));
    prepaid.grant(world, 100, json!({}));
    let away = json!({ "upstream": "http://127.0.0.1:1" });
    assert_eq!(world.manage().patch(&format!("/v1/apis/{}", prepaid.caller.api), &away).0, 200);
    for _ in 0..3 {
        assert!(matches!(prepaid.call(world).status, 502 | 503));
    }
    eventually("it is given back", || prepaid.left(world) == 100);
    let lease = prepaid.verified(world, json!({ "report": true, "cost": 0 }))["lease"]["id"].clone();
    assert_eq!(prepaid.left(world), 100);
    let fields = [("content-type", "application/json"), ("authorization", "none")];
    let report = json!({ "lease": lease, "cost": 60 }).to_string();
    let check = Api::new(world.installation.check, "");
    assert_eq!(check.request("POST", "/v1/usage/report", &fields, report.as_bytes()).json()["reported"], true);
    assert_eq!(prepaid.left(world), 40);
    let lease = prepaid.verified(world, json!({ "report": true }))["lease"]["id"].clone();
    let report = json!({ "lease": lease, "cost": 1000 }).to_string();
    assert_eq!(check.request("POST", "/v1/usage/report", &fields, report.as_bytes()).json()["reported"], true);
    assert_eq!(prepaid.left(world), 0, "as far as there are any");
    eventually("it is written down", || prepaid.grants(world) == [said("paid", 100, "used")]);
}

#[test]
fn l02_a_charge_that_is_asked_for_again_is_made_once() {
    let world = shared();
    let prepaid = Prepaid::new(world, json!({}));
    prepaid.grant(world, 100, json!({}));
    // Some of it is taken ahead of calls, and can be charged all the same.
    assert_eq!(prepaid.passed(world, 1), 1);
    let first = prepaid.asked(world, "charge", "job-1", json!({ "amount": 90 }));
    let told = (&first["allowed"], &first["state"], &first["spent"], &first["remaining"], &first["repeated"]);
    assert_eq!(told, (&json!(true), &json!("posted"), &json!(90), &json!(9), &json!(false)));
    let again = prepaid.asked(world, "charge", "job-1", json!({ "amount": 90 }));
    assert_eq!((&again["repeated"], &again["remaining"]), (&json!(true), &json!(9)));
    problem(&prepaid.ask(world, "charge", "job-1", json!({ "amount": 9 })), 409, "conflict");
    let refused = prepaid.asked(world, "charge", "job-2", json!({ "amount": 10 }));
    let told = (&refused["allowed"], &refused["code"], &refused["remaining"]);
    assert_eq!(told, (&json!(false), &json!("credits_exhausted"), &json!(9)));
    assert_eq!(prepaid.passed(world, 20), 9);
    // Refused it was not made, so it can be when there are more.
    prepaid.grant(world, 10, json!({}));
    assert_eq!(prepaid.asked(world, "charge", "job-2", json!({ "amount": 10 }))["allowed"], true);
    // What was charged stays so, whatever became of the project meanwhile.
    let path = format!("/v1/activations/{}", prepaid.caller.activation);
    assert_eq!(world.manage().post(&format!("{path}/suspend"), &json!({})).0, 200);
    let again = prepaid.asked(world, "charge", "job-2", json!({ "amount": 10 }));
    assert_eq!((&again["allowed"], &again["repeated"], &again["spent"]), (&json!(true), &json!(true), &json!(10)));
    assert_eq!(prepaid.asked(world, "charge", "job-3", json!({ "amount": 1 }))["code"], "suspended");
    problem(&prepaid.ask(world, "charge", "job-2", json!({ "amount": 9 })), 409, "conflict");
    assert_eq!(world.manage().post(&format!("{path}/approve"), &json!({ "plan_id": null })).0, 200);
    assert_eq!(prepaid.asked(world, "charge", "job-2", json!({ "amount": 10 }))["repeated"], true);
    problem(&prepaid.ask(world, "charge", "job-3", json!({ "amount": 1 })), 409, "conflict");
    let entries = world.manage().get(&format!("/v1/credits/entries?project_id={}", prepaid.caller.project)).1;
    let ids: Vec<_> = entries["items"].as_array().unwrap().iter().map(|entry| entry["id"].clone()).collect();
    assert_eq!(ids, ["job-2", "job-1"]);
}

#[test]
fn k26_credits_are_reserved_and_posted_voided_or_given_up() {
    let world = shared();
    let prepaid = Prepaid::new(world, json!({}));
    prepaid.grant(world, 20, json!({}));
    let reserved = prepaid.asked(world, "reserve", "long", json!({ "amount": 15, "expires_in_seconds": 60 }));
    assert_eq!((&reserved["state"], &reserved["remaining"]), (&json!("reserved"), &json!(5)));
    assert!(reserved["expires_at"].is_string() && reserved.get("spent").is_none(), "{reserved}");
    assert_eq!(prepaid.asked(world, "reserve", "more", json!({ "amount": 6 }))["code"], "credits_exhausted");
    problem(&prepaid.ask(world, "post", "long", json!({ "amount": 16 })), 409, "conflict");
    let posted = prepaid.asked(world, "post", "long", json!({ "amount": 4 }));
    assert_eq!((&posted["state"], &posted["spent"], &posted["remaining"]), (&json!("posted"), &json!(4), &json!(16)));
    assert_eq!(prepaid.asked(world, "post", "long", json!({ "amount": 4 }))["repeated"], true);
    problem(&prepaid.ask(world, "void", "long", json!({})), 409, "conflict");
    assert_eq!(prepaid.asked(world, "reserve", "other", json!({ "amount": 16 }))["allowed"], true);
    problem(&prepaid.call(world), 402, "credits_exhausted");
    assert_eq!(prepaid.asked(world, "void", "other", json!({}))["remaining"], 16);
    assert_eq!(prepaid.passed(world, 1), 1);
    problem(&prepaid.ask(world, "post", "nothing", json!({})), 404, "not_found");
    // Nobody says what became of it.
    let brief = prepaid.asked(world, "reserve", "brief", json!({ "amount": 15, "expires_in_seconds": 1 }));
    assert_eq!(brief["remaining"], 0);
    eventually("it is given back", || prepaid.left(world) == 15);
    problem(&prepaid.ask(world, "post", "brief", json!({})), 409, "conflict");
    assert_eq!(prepaid.asked(world, "void", "brief", json!({}))["state"], "expired");
    // Whoever asks for it once more is not told that it is reserved.
    let late = json!({ "amount": 15, "expires_in_seconds": 1 });
    problem(&prepaid.ask(world, "reserve", "brief", late), 409, "conflict");
}

#[test]
fn what_makes_no_sense_of_credits_is_refused_with_the_reason() {
    let world = shared();
    let prepaid = Prepaid::new(world, json!({}));
    let refused = |path: &str, body: Value, status: u16, because: &str| {
        let (got, problem) = world.manage().post(path, &body);
        assert_eq!(got, status, "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains(because), "{because}: {problem}");
    };
    let project = &prepaid.caller.project;
    refused("/v1/credits", json!({ "amount": 5 }), 400, "project_id");
    refused("/v1/credits", json!({ "project_id": project, "amount": 0 }), 400, "1 to");
    refused("/v1/credits", json!({ "project_id": project, "amount": 5, "kind": "refill" }), 400, "plan");
    refused(
        "/v1/credits",
        json!({ "project_id": project, "amount": 5, "ends_at": "2020-01-01T00:00:00Z" }),
        400,
        "past",
    );
    refused("/v1/credits", json!({ "project_id": "prj_0000000000000000000000", "amount": 5 }), 404, "project");
    let paid_twice = json!({ "api_id": prepaid.caller.api, "name": name("Plan"), "credits": {},
        "price": { "currency": "EUR", "unit_price": "1" } });
    refused("/v1/plans", paid_twice, 400, "unit_price");
    let included = json!({ "api_id": prepaid.caller.api, "name": name("Plan"), "credits": {},
        "price": { "currency": "EUR", "base_fee": "9", "included": 5 } });
    refused("/v1/plans", included, 400, "unit_price");
    let asked = |what: &str, id: &str, more: Value, status: u16, because: &str| {
        let answer = prepaid.ask(world, what, id, more);
        assert_eq!(answer.status, status, "{}", answer.text());
        assert!(answer.json()["detail"].as_str().unwrap().contains(because), "{because}: {}", answer.text());
    };
    asked("charge", "", json!({ "amount": 1 }), 400, "1 to 128");
    asked("charge", "a", json!({ "amount": 0 }), 400, "amount");
    asked("charge", "a", json!({ "amount": -1 }), 400, "u64");
    asked("charge", "a", json!({ "amount": 1, "api": "nothing" }), 400, "APIs");
    asked("charge", "a", json!({ "amount": 1, "project_id": "prj_0000000000000000000000" }), 400, "project");
    asked("reserve", "a", json!({ "amount": 1, "expires_in_seconds": 0 }), 400, "expires_in_seconds");
    asked("charge", "a", json!({ "amount": 1, "price": 1 }), 400, "unknown field");
    // A project whose plan says nothing of credits.
    let unpaid = world.caller(&json!({}));
    let more = json!({ "amount": 1, "api": unpaid.api, "project_id": unpaid.project });
    asked("charge", "a", more, 409, "paid by credits");
    // One that may not call is not charged.
    let suspend = format!("/v1/activations/{}/suspend", prepaid.caller.activation);
    assert_eq!(world.manage().post(&suspend, &json!({})).0, 200);
    let told = prepaid.asked(world, "charge", "a", json!({ "amount": 1 }));
    assert_eq!((&told["allowed"], &told["code"]), (&json!(false), &json!("suspended")));
}

#[test]
fn k26_until_the_last_credit_many_at_once_are_let_through_or_refused_and_nothing_else() {
    let world = shared();
    for _ in 0..3 {
        let prepaid = Prepaid::new(world, json!({}));
        prepaid.grant(world, 1_000, json!({}));
        let allowed = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..48 {
                scope.spawn(|| {
                    loop {
                        match prepaid.verified(world, json!({}))["code"].as_str().unwrap() {
                            "allowed" => allowed.fetch_add(1, Ordering::Relaxed),
                            "credits_exhausted" => return,
                            other => panic!("{other}"),
                        };
                    }
                });
            }
        });
        assert_eq!(allowed.into_inner(), 1_000);
    }
}

/// What 64 clients were told.
#[derive(Default)]
struct Told {
    /// Calls that were let through.
    calls: AtomicU64,
    /// The ids of charges that were made.
    charged: Mutex<HashSet<String>>,
}

const TASKS: usize = 64;
/// What each charge spends.
const CHARGE: u64 = 3;

/// Calls and charges from many sides until the server is killed, or until nothing is left. A charge of which it is not known
/// whether it was made is asked for again with the same id, also after a crash.
fn spend_until(
    world: &mut World,
    prepaid: &Prepaid,
    told: &Told,
    open: &Mutex<Vec<String>>,
    kill_after: Option<Duration>,
) {
    static IDS: AtomicU64 = AtomicU64::new(0);
    let at = format!("http://{}", world.installation.check);
    let owner = format!("Bearer {}", world.management_key());
    let config = Agent::config_builder().http_status_as_error(false).proxy(None).timeout_global(Some(PATIENCE));
    let client: Agent = config.max_idle_connections_per_host(TASKS).build().into();
    let ask = |path: &str, body: &Value| -> Option<Value> {
        let sent = client.post(format!("{at}{path}")).header("authorization", &owner).send_json(body);
        sent.ok()?.body_mut().read_json().ok()
    };
    let call = || -> Option<bool> {
        let answer = ask("/v1/verify", &json!({ "key": prepaid.caller.key, "api": prepaid.caller.api }))?;
        match answer["code"].as_str()? {
            "allowed" => told.calls.fetch_add(1, Ordering::Relaxed),
            "credits_exhausted" => return Some(false),
            // The disk is slow for a moment.
            "stale" => 0,
            other => panic!("{other}: {answer}"),
        };
        Some(true)
    };
    let charge = || -> Option<bool> {
        let waiting = open.lock().pop();
        let id = waiting.unwrap_or_else(|| format!("charge-{}", IDS.fetch_add(1, Ordering::Relaxed)));
        let body =
            json!({ "id": id, "api": prepaid.caller.api, "project_id": prepaid.caller.project, "amount": CHARGE });
        // Twice at once, as a storm of retries does.
        let answers = std::thread::scope(|scope| {
            let both =
                [scope.spawn(|| ask("/v1/credits/charge", &body)), scope.spawn(|| ask("/v1/credits/charge", &body))];
            both.map(|one| one.join().unwrap())
        });
        if answers.iter().flatten().any(|answer| answer["allowed"] == true) {
            told.charged.lock().insert(id);
            return Some(true);
        }
        match answers.into_iter().flatten().next() {
            Some(answer) if answer["code"] == "credits_exhausted" => Some(false),
            Some(answer) if answer["code"] == "stale" => {
                open.lock().push(id);
                Some(true)
            }
            Some(answer) => panic!("{answer}"),
            None => {
                open.lock().push(id);
                None
            }
        }
    };
    std::thread::scope(|scope| {
        for task in 0..TASKS {
            let one: &(dyn Fn() -> Option<bool> + Sync) = if task % 4 == 0 { &charge } else { &call };
            scope.spawn(move || while one() == Some(true) {});
        }
        if let Some(after) = kill_after {
            std::thread::sleep(after);
            world.installation.kill();
        }
    });
}

fn never_overspent(start: impl Fn() -> Installation) {
    const GRANTED: [u64; 3] = [4_000, 3_000, 5_000];
    const CRASHES: u64 = 10;
    let total: u64 = GRANTED.iter().sum();
    let first = start();
    let owner = first.management_key.clone().unwrap();
    let mut world = World::without_upstream(first, &owner);
    let prepaid = Prepaid::new(&world, json!({}));
    for amount in GRANTED {
        prepaid.grant(&world, amount, json!({}));
    }
    let (told, open) = (Told::default(), Mutex::default());
    for crash in 0..CRASHES {
        spend_until(&mut world, &prepaid, &told, &open, Some(Duration::from_millis(40 + 23 * crash)));
        world = World::without_upstream(start(), &owner);
    }
    spend_until(&mut world, &prepaid, &told, &open, None);
    let (calls, charged) = (told.calls.load(Ordering::Relaxed), told.charged.into_inner());
    // The sum over the ledger, which no counter of the server's knows.
    let (mut entries, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let more = cursor.map_or_else(String::new, |cursor| format!("&cursor={cursor}"));
        let path = format!("/v1/credits/entries?project_id={}&limit=200{more}", prepaid.caller.project);
        let (status, list) = world.manage().get(&path);
        assert_eq!(status, 200, "{list}");
        entries.extend(list["items"].as_array().unwrap().iter().cloned());
        cursor = list["next_cursor"].as_str().map(ToOwned::to_owned);
        if cursor.is_none() {
            break;
        }
    }
    let by_id: Vec<&str> = entries.iter().map(|entry| entry["id"].as_str().unwrap()).collect();
    let distinct: HashSet<&str> = by_id.iter().copied().collect();
    assert_eq!(distinct.len(), by_id.len(), "L-2: each id is charged once");
    assert!(
        charged.iter().all(|id| distinct.contains(id.as_str())),
        "L-2: what was told to be charged is written down"
    );
    let spent: u64 = entries.iter().map(|entry| entry["spent"].as_u64().unwrap()).sum();
    assert_eq!(spent, distinct.len() as u64 * CHARGE);
    let used: u64 = prepaid.grants(&world).iter().map(|(_, used, _)| used).sum();
    println!("{CRASHES} crashes: {calls} calls and {} charges of {CHARGE}, {used} of {total} used", distinct.len());
    assert!(calls + spent <= used && used <= total, "L-1: {calls} + {spent} of {used} of {total}");
    assert!(total - used < CHARGE, "all of it can be spent: {used} of {total}");
    // A crash loses a step that was taken ahead of use, and what was not answered.
    let lost = total - calls - spent;
    assert!(lost <= CRASHES * (total / 10 + TASKS as u64 * CHARGE), "{lost} of {total} were lost");
}

#[test]
fn l01_credits_are_never_overspent_through_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    never_overspent(|| Installation::start(BINARY, &["--data", data.to_str().unwrap()]));
}

#[test]
fn l01_credits_are_never_overspent_through_kill_9_in_postgresql() {
    let folder = tempfile::tempdir().unwrap();
    let url = Postgres::shared().database();
    never_overspent(|| {
        let more = format!("database = \"{url}\"");
        let file = settings(folder.path(), &more);
        Installation::serve(BINARY, &std::fs::read_to_string(file).unwrap(), folder.path())
    });
}

#[test]
fn k26_an_orderly_end_loses_no_credits() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let start = || Installation::start(BINARY, &["--data", data.to_str().unwrap()]);
    let mut world = World::of(start(), None);
    let owner = world.management_key().to_owned();
    let prepaid = Prepaid::new(&world, json!({}));
    prepaid.grant(&world, 30, json!({}));
    let allowed = |world: &World, times: usize| {
        (0..times).filter(|_| prepaid.verified(world, json!({}))["allowed"] == true).count()
    };
    for round in 1..=3 {
        assert_eq!(allowed(&world, 5), 5);
        let id = format!("round-{round}");
        assert_eq!(prepaid.asked(&world, "reserve", &id, json!({ "amount": 2 }))["allowed"], true);
        assert!(world.installation.terminate().0.success());
        world = World::of(start(), Some(&owner));
        assert_eq!(prepaid.left(&world), 30 - 7 * round);
    }
    assert_eq!(prepaid.asked(&world, "void", "round-1", json!({}))["remaining"], 11);
    assert_eq!(allowed(&world, 40), 11);
}

#[test]
fn credits_live_from_the_command_line() {
    let world = shared();
    let caller = world.caller(&json!({}));
    let shell = |args: &[&str]| {
        let mut command = keystile(args);
        command.env("KEYSTILE_URL", world.admin_url()).env("KEYSTILE_MANAGEMENT_KEY", world.management_key());
        let ended = run(&mut command);
        assert_eq!(ended.code, 0, "{args:?}: {}", ended.err);
        ended.out
    };
    let plan = name("Prepaid");
    let terms = "project,trial=3/30d,refill=5/month";
    shell(&["plan", "create", "--api", &caller.api, "--name", &plan, "--credits", terms]);
    assert!(shell(&["plan", "list", "--api", &caller.api]).contains(terms));
    shell(&["activation", "plan", &caller.activation, &plan]);
    let project =
        world.manage().get(&format!("/v1/projects/{}", caller.project)).1["name"].as_str().unwrap().to_owned();
    let made = shell(&["credit", "grant", "--project", &project, "--amount", "1_000", "--note", "invoice 7", "--json"]);
    let made: Value = serde_json::from_str(&made).unwrap();
    assert_eq!((&made["amount"], &made["note"], &made["kind"]), (&json!(1000), &json!("invoice 7"), &json!("paid")));
    world.call(&caller.key, "GET", &caller.path);
    let list = shell(&["credit", "list", "--project", &project]);
    assert!(list.contains("2 of 3") || list.contains("4 of 5"), "what ends first: {list}");
    assert!(shell(&["plan", "show", &plan]).contains("credits=project,trial=3/30d,refill=5/month"));
    assert!(shell(&["activation", "quotas", &caller.activation]).contains("1,007 credits left"));
    for told in ["1,000 of 1,000", "invoice 7", "trial", "refill", "active"] {
        assert!(list.contains(told), "{told}: {list}");
    }
    let revoked = shell(&["credit", "revoke", &id(&made), "--reason", "refunded", "--json"]);
    assert!(revoked.contains("\"revoked\"") && revoked.contains("refunded"), "{revoked}");
    shell(&["credit", "entries", "--project", &project]);
    shell(&["plan", "update", &plan, "--no-credits"]);
}
