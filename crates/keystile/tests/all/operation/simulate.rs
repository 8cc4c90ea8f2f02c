//! `keystile plan simulate` on real access logs: what it says is what the file alone says, found out anew by counters and whole
//! numbers that share nothing with the product; and what a running server did to the same calls.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use keystile_testkit::{Api, Upstream, eventually};
use serde_json::{Value, json};

use super::process::{Ended, Server, keystile, run, settings};
use super::world::id;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/logs");
const LOGS: [&str; 4] = ["elastic_apache_2015", "scan_acunetix_2016", "scan_netsparker_2016", "scan_w3af_2016"];

/// Where the logs are put: a quarter of an hour before February begins in Vienna, which is an hour ahead of UTC then.
const START: &str = "2026-01-31T22:45:00Z";
const START_SECS: u64 = 1_769_899_500;
const FEBRUARY_SECS: u64 = 1_769_900_400;
const VIENNA_SECS: u64 = 3_600;

/// The file of a log. A clone of the project alone does not have them.
fn file(log: &str) -> Option<PathBuf> {
    let file = Path::new(FOLDER).join(format!("{log}.tsv.gz"));
    file.exists().then_some(file)
}

/// The calls of a log, by who made them: milliseconds since 1970, in order.
fn calls(file: &Path) -> BTreeMap<String, Vec<u64>> {
    let unpacked = Command::new("gzip").arg("-dc").arg(file).output().expect("gzip is there");
    let text = String::from_utf8_lossy(&unpacked.stdout);
    let mut calls = BTreeMap::<String, Vec<u64>>::new();
    for line in text.lines().skip(1) {
        let fields: Vec<&str> = line.split('\t').collect();
        if fields[2].bytes().all(|byte| byte.is_ascii_alphabetic()) {
            let after: u64 = fields[0].parse().expect("milliseconds");
            calls.entry(fields[1].to_owned()).or_default().push(START_SECS * 1_000 + after);
        }
    }
    calls
}

fn simulated(args: &[&str]) -> Value {
    let ended = run(&mut keystile(&[&["plan", "simulate", "--json", "--time-zone", "Europe/Vienna"], args].concat()));
    assert_eq!(ended.code, 0, "{}", ended.err);
    serde_json::from_str(&ended.out).expect("it prints JSON")
}

/// Which month a moment is in, as a statement of it begins and ends.
fn month(millis: u64) -> (&'static str, &'static str) {
    if millis < FEBRUARY_SECS * 1_000 {
        ("2025-12-31T23:00:00Z", "2026-01-31T23:00:00Z")
    } else {
        ("2026-01-31T23:00:00Z", "2026-02-28T23:00:00Z")
    }
}

fn day(millis: u64) -> u64 {
    (millis / 1_000 + VIENNA_SECS) / 86_400
}

/// A quotient rounded half to even.
fn rounded(parts: u64, whole: u64) -> u64 {
    let (quotient, rest) = (parts / whole, parts % whole);
    quotient + u64::from(rest * 2 > whole || (rest * 2 == whole && quotient % 2 == 1))
}

/// What becomes of calls of one client: `.` is let through, `l` limited, `q` exhausted.
type Rule = fn(&[u64]) -> Vec<char>;

/// A price in smallest units: the fee, what it includes, and `unit` for each `per` units beyond; digits behind the point.
struct Price {
    fee: u64,
    included: u64,
    unit: u64,
    per: u64,
    digits: usize,
}

impl Price {
    fn text(&self, amount: u64) -> String {
        let scale = 10_u64.pow(self.digits as u32);
        match self.digits {
            0 => amount.to_string(),
            digits => format!("{}.{:0digits$}", amount / scale, amount % scale),
        }
    }

    /// What so many units cost: the line of the fee, that of the overage.
    fn lines(&self, units: u64) -> [(u64, u64); 2] {
        let beyond = units.saturating_sub(self.included);
        [(units - beyond, self.fee), (beyond, rounded(beyond * self.unit, self.per))]
    }
}

/// What the file says of one client.
fn expected(who: &str, times: &[u64], rule: Rule, price: Option<&Price>) -> Value {
    let outcomes = rule(times);
    let count = |wanted: char| outcomes.iter().filter(|outcome| **outcome == wanted).count() as u64;
    let mut months = BTreeMap::<(&str, &str), (u64, u64)>::new();
    for (at, outcome) in times.iter().zip(&outcomes) {
        let (through, refused) = months.entry(month(*at)).or_default();
        *(if *outcome == '.' { through } else { refused }) += 1;
    }
    let (mut statements, mut sum, mut overage) = (Vec::new(), 0, 0);
    for ((starts_at, ends_at), (units, refused)) in months {
        let Some(price) = price else { continue };
        let [(within, fee), (beyond, more)] = price.lines(units);
        (sum, overage) = (sum + fee + more, overage + beyond);
        statements.push(json!({
            "starts_at": starts_at, "ends_at": ends_at, "calls": units, "units": units, "refused": refused,
            "included": price.included, "overage": beyond, "total": price.text(fee + more),
            "lines": [
                {"item": "base_fee", "units": within, "amount": price.text(fee)},
                {"item": "overage", "units": beyond, "amount": price.text(more)},
            ],
        }));
    }
    json!({
        "who": who, "calls": times.len(), "let_through": count('.'), "limited": count('l'), "exhausted": count('q'),
        "units": count('.'), "overage": overage, "amount": price.map(|price| price.text(sum)), "statements": statements,
    })
}

/// Compares what is said of every client with what the file says, and gives back what was found.
fn check(log: &str, args: &[&str], rule: Rule, price: Option<&Price>) -> Option<Value> {
    let file = file(log)?;
    let calls = calls(&file);
    let found = simulated(&[&["--log", file.to_str()?, "--start", START], args].concat());
    let said: BTreeMap<String, Value> = found["items"]
        .as_array()?
        .iter()
        .map(|item| (item["who"].as_str().unwrap_or_default().to_owned(), item.clone()))
        .collect();
    assert_eq!(said.keys().collect::<Vec<_>>(), calls.keys().collect::<Vec<_>>(), "{log}");
    let mut totals = BTreeMap::<&str, u64>::new();
    for (who, times) in &calls {
        let expected = expected(who, times, rule, price);
        assert_eq!(said[who], expected, "{log} {who}");
        for name in ["calls", "let_through", "limited", "exhausted", "units", "overage"] {
            *totals.entry(name).or_default() += expected[name].as_u64()?;
        }
    }
    for (name, total) in totals {
        assert_eq!(found["totals"][name], total, "{log} {name}");
    }
    Some(found)
}

/// At most 20 within a minute, by the counter of this window and the share of the last that still overlaps, told in fractions
/// by all that were let through; before that, at most 100 a day.
fn free(times: &[u64]) -> Vec<char> {
    const MINUTE: u64 = 60_000;
    let (mut passed, mut outcomes) = (Vec::<u64>::new(), Vec::new());
    for at in times {
        let today = passed.iter().filter(|before| day(**before) == day(*at)).count();
        let of = |window: u64| passed.iter().filter(|before| **before / MINUTE == window).count() as u64;
        let window = at / MINUTE;
        let used = of(window) * MINUTE + of(window - 1) * (MINUTE - at % MINUTE);
        let outcome = match () {
            () if today >= 100 => 'q',
            () if used + MINUTE > 20 * MINUTE => 'l',
            () => '.',
        };
        if outcome == '.' {
            passed.push(*at);
        }
        outcomes.push(outcome);
    }
    outcomes
}

fn everything(times: &[u64]) -> Vec<char> {
    vec!['.'; times.len()]
}

/// At most 30 in each minute of the clock and 200 in each hour; what one of both refuses the other does not count.
fn by_the_clock(times: &[u64]) -> Vec<char> {
    let (mut minutes, mut hours) = (BTreeMap::<u64, u64>::new(), BTreeMap::<u64, u64>::new());
    let pass = |at: &u64| {
        let minute = minutes.entry(at / 60_000).or_default();
        let hour = hours.entry(at / 3_600_000).or_default();
        if *minute == 30 || *hour == 200 {
            return 'l';
        }
        (*minute, *hour) = (*minute + 1, *hour + 1);
        '.'
    };
    times.iter().map(pass).collect()
}

#[test]
fn k28_a_free_plan_on_real_logs_refuses_what_the_file_says() {
    for log in LOGS {
        let args = ["--rate-limit", "20/min", "--quota", "100/day"];
        let Some(found) = check(log, &args, free, None) else { return };
        assert_eq!(found["rate_limits"][0]["refused"], found["totals"]["limited"], "{log}");
        assert_eq!(found["quotas"][0]["refused"], found["totals"]["exhausted"], "{log}");
        assert!(
            found["totals"]["limited"].as_u64() > Some(0) && found["totals"]["exhausted"].as_u64() > Some(0),
            "{log}"
        );
    }
}

#[test]
fn k28_a_metered_plan_on_real_logs_costs_what_the_file_says() {
    let price = Price { fee: 990, included: 50, unit: 35, per: 100, digits: 2 };
    for log in LOGS {
        let args = ["--price", "9.90 EUR/month,included=50,unit=0.35/100"];
        let Some(found) = check(log, &args, everything, Some(&price)) else { return };
        let cents = |item: &Value| -> u64 { item["amount"].as_str().unwrap().replace('.', "").parse().unwrap() };
        let sum: u64 = found["items"].as_array().unwrap().iter().map(cents).sum();
        assert_eq!(found["totals"]["amount"], price.text(sum), "{log}");
        // The file as it is described beside it, by somebody else.
        let stats = std::fs::read_to_string(Path::new(FOLDER).join(format!("{log}.stats.json"))).unwrap();
        let stats: Value = serde_json::from_str(&stats).unwrap();
        assert_eq!((&found["lines"], &found["totals"]["subjects"]), (&stats["lines"], &stats["clients"]), "{log}");
        let calls = stats["lines"].as_u64().unwrap() - stats["not_http_request_lines"].as_u64().unwrap();
        assert_eq!(found["totals"]["calls"], calls, "{log}");
        for top in stats["top_clients"].as_array().unwrap() {
            let item = found["items"].as_array().unwrap().iter().find(|item| item["who"] == top[0]);
            assert_eq!(item.unwrap()["calls"], top[1], "{log}");
        }
    }
}

#[test]
fn k28_a_plan_of_fixed_windows_and_overage_on_real_logs_does_what_the_file_says() {
    // Half a yen a call: every second amount is a tie.
    let price = Price { fee: 100, included: 0, unit: 5, per: 10, digits: 0 };
    for log in LOGS {
        let args = ["--rate-limit", "fixed:30/min", "--rate-limit", "fixed:200/hour", "--quota", "200/month,overage"];
        let args = [&args[..], &["--price", "100 JPY/month,unit=0.5"]].concat();
        let Some(found) = check(log, &args, by_the_clock, Some(&price)) else { return };
        let beyond = |item: &Value| -> u64 {
            let statements = item["statements"].as_array().unwrap().iter();
            statements.map(|one| one["units"].as_u64().unwrap().saturating_sub(200)).sum()
        };
        let sum: u64 = found["items"].as_array().unwrap().iter().map(beyond).sum();
        assert_eq!((&found["quotas"][0]["beyond"], &found["quotas"][0]["refused"]), (&json!(sum), &json!(0)), "{log}");
    }
}

/// A command for a running server, as its owner.
fn told(server: &Server, args: &[&str]) -> Ended {
    let mut command = keystile(args);
    command.env("KEYSTILE_URL", server.said("admin")).env("KEYSTILE_MANAGEMENT_KEY", server.said("management_key"));
    run(&mut command)
}

#[test]
fn k28_a_simulation_of_its_own_plan_says_what_a_server_did() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("access.log");
    let server = Server::serve(&settings(folder.path(), &format!("[log]\naccess = {log:?}")));
    let (upstream, manage) = (Upstream::start(), server.manage());
    let api = json!({ "name": "Pets", "upstream": upstream.url(), "path_prefix": "/pets" });
    let (api, project) =
        (id(&manage.create("/v1/apis", &api)), id(&manage.create("/v1/projects", &json!({ "name": "P" }))));
    let terms = json!({
        "api_id": api, "name": "Small", "standard": true, "price": { "currency": "EUR", "base_fee": "9.90", "unit_price": "0.40" },
        // Full again so slowly that it makes no difference how long this takes.
        "rate_limits": [{ "name": "each", "limit": 4, "window_seconds": 86_400, "algorithm": "token_bucket", "by": ["operation"] }],
        "quotas": [{ "name": "month", "limit": 6, "period": "month" }],
    });
    manage.create("/v1/plans", &terms);
    let link = id(&manage.create("/v1/activations", &json!({ "project_id": project, "api_id": api })));
    let key = manage.create("/v1/keys", &json!({ "project_id": project, "name": "k" }));
    let caller = Api::new(server.address("gateway"), key["key"].as_str().unwrap());
    let call = |path: &str| caller.request("GET", path, &[], b"").status;
    let answers: Vec<u16> = ["/pets/a"; 6].into_iter().chain(["/pets/b"; 5]).map(call).collect();
    assert_eq!(answers, [200, 200, 200, 200, 429, 429, 200, 200, 429, 429, 429]);
    // One that no plan decides about.
    assert_eq!(Api::new(server.address("gateway"), "unknown").request("GET", "/pets/a", &[], b"").status, 401);
    eventually("all lines are written", || std::fs::read_to_string(&log).is_ok_and(|text| text.lines().count() == 12));

    let args = ["plan", "simulate", "--json", "--log", log.to_str().unwrap(), "--plan", "Small"];
    let simulate = |more: &[&str]| -> Value {
        let ended = told(&server, &[&args[..], more].concat());
        assert_eq!(ended.code, 0, "{}", ended.err);
        serde_json::from_str(&ended.out).unwrap()
    };
    let found = simulate(&[]);
    let item = &found["items"][0];
    assert_eq!(
        (&item["who"], &item["let_through"], &item["limited"], &item["exhausted"]),
        (&json!(project), &json!(6), &json!(2), &json!(3))
    );
    // Lines of several threads may stand out of order.
    let skipped = &found["skipped"][0];
    assert_eq!((&skipped["reason"], &skipped["lines"]), (&json!("other_reason"), &json!(1)), "{found}");
    let (_, statements) = manage.get(&format!("/v1/statements?activation_id={link}"));
    let statement = &statements["items"][0];
    for name in ["calls", "units"] {
        assert_eq!(item["statements"][0][name], statement[name], "{name}: {statement}");
    }
    // The same on what the server kept of these calls, and on an export of it; what was recorded by hand is no call.
    let record = json!({ "usage": [{ "id": "by hand", "activation_id": link, "units": 5 }] });
    assert_eq!(manage.post("/v1/usage/record", &record).0, 200);
    let export = folder.path().join("usage.ndjson");
    std::fs::write(&export, told(&server, &["usage", "export"]).out).unwrap();
    for source in [&["--since", "1h"][..], &["--log", export.to_str().unwrap()]] {
        let ended = told(&server, &[&["plan", "simulate", "--json", "--plan", "Small"], source].concat());
        assert_eq!(ended.code, 0, "{}", ended.err);
        let of_usage: Value = serde_json::from_str(&ended.out).unwrap();
        assert_eq!(of_usage["items"][0]["statements"], item["statements"], "{of_usage}");
        for name in ["who", "calls", "let_through", "limited", "exhausted"] {
            assert_eq!(of_usage["items"][0][name], item[name], "{of_usage}");
        }
        assert!(of_usage["skipped"].as_array().unwrap().iter().any(|one| one["reason"] == "recorded"), "{of_usage}");
    }
    // Another plan on the same calls.
    let ended = told(&server, &["plan", "simulate", "--json", "--since", "1h", "--api", "Pets", "--quota", "2/month"]);
    assert_eq!(ended.code, 0, "{}", ended.err);
    let other: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!((&other["items"][0]["let_through"], &other["items"][0]["exhausted"]), (&json!(2), &json!(9)));
    let lines = |statement: &Value| statement["lines"][1].clone();
    assert_eq!(lines(&item["statements"][0]), lines(statement));
    // Another quota would have let more through.
    let found = simulate(&["--quota", "100/month"]);
    assert_eq!((&found["totals"]["let_through"], &found["totals"]["limited"]), (&json!(8), &json!(3)));
}
