//! What a form of a plan says, as the API takes it: whole for a new plan, and of an old one what is another thing than before.

use serde_json::{Map, Value, json};

use super::quota::{quota_fields, quotas, whole};
use super::words::cost_line;
use super::{Plan, Quota, Version, credits, quota, rate};
use crate::ui::form::{Fields, Object, query};
use crate::ui::html::shell;

/// Rows of rate limits.
pub(super) const LIMITS: usize = 3;
/// Rows of quotas.
pub(super) const QUOTAS: usize = 2;
/// What makes a version: it is in force from a moment on.
const OF_VERSIONS: [&str; 5] = ["rate_limits", "quotas", "operation_costs", "price", "credits"];

/// Plans that many begin with: the word of the address, the name, calls per minute and per month, and for whom.
pub(super) const PRESETS: [(&str, &str, u64, Option<u64>, &str); 3] = [
    ("free", "Free", 60, Some(10_000), "To try it: 60 per minute and 10,000 per month"),
    ("growth", "Growth", 600, Some(1_000_000), "For products: 600 per minute and 1,000,000 per month"),
    ("internal", "Internal", 6_000, None, "For your own services: 6,000 per minute"),
];

/// The fields of a preset, with those that the address has beside it.
pub(super) fn preset(fields: &Fields) -> Fields {
    let Some((_, name, limit, quota, about)) = PRESETS.iter().find(|(word, ..)| *word == fields.one("preset")) else {
        return fields.clone();
    };
    let (limit, quota) = (limit.to_string(), quota.map(|quota| quota.to_string()).unwrap_or_default());
    let about = about.split(':').next().unwrap_or_default();
    let pairs = [
        ("api_id", fields.one("api_id")),
        ("name", name),
        ("description", about),
        ("limit.1", &limit),
        ("quota.1", &quota),
    ];
    Fields::read(query(&pairs).as_bytes())
}

/// Whether the form can't say again what the version says: of its limits, and of its quotas.
pub(super) fn has_others(version: Option<&Version>) -> (bool, bool) {
    let Some(version) = version else { return (false, false) };
    let limits = version.rate_limits.len() > LIMITS || version.rate_limits.iter().any(|limit| !limit.is_plain());
    let quotas = version.quotas.len() > QUOTAS || !version.quotas.iter().all(Quota::is_plain);
    (limits, quotas)
}

/// The fields of the form as the plan has them.
pub(super) fn kept(plan: &Plan) -> Fields {
    let mut pairs = vec![("name".to_owned(), plan.name.clone()), ("description".into(), plan.description.clone())];
    if plan.standard {
        pairs.push(("standard".into(), "on".into()));
    }
    if let Some(version) = plan.in_force() {
        let (has_other_limits, has_other_quotas) = has_others(Some(version));
        if !has_other_limits {
            pairs.extend(rate::kept(&version.rate_limits));
        }
        if !has_other_quotas {
            let rows = quota_fields(Some(&version.quotas), &Fields::default(), QUOTAS);
            for (at, row) in rows.into_iter().enumerate() {
                let names = ["quota", "period", "quota_name"].map(|name| format!("{name}.{}", at + 1));
                pairs.extend(names.into_iter().zip([row.limit, row.period, row.name]));
            }
        }
        let costs: Vec<String> = version.operation_costs.iter().map(cost_line).collect();
        pairs.push(("operation_costs".into(), costs.join("\n")));
        if let Some(price) = &version.price {
            let number = |units: Option<u64>, usual: u64| {
                units.filter(|units| *units != usual).map(|units| units.to_string()).unwrap_or_default()
            };
            pairs.push(("currency".into(), price.currency.clone()));
            pairs.push(("base_fee".into(), price.base_fee.clone().unwrap_or_default()));
            pairs.push(("included".into(), number(price.included, 0)));
            pairs.push(("unit_price".into(), price.unit_price.clone().unwrap_or_default()));
            pairs.push(("per_units".into(), number(price.per_units, 1)));
            pairs.push(("price_period".into(), price.period.clone().unwrap_or_default()));
        }
        if let Some(terms) = &version.credits {
            pairs.extend(credits::kept(terms));
        }
    }
    let pairs: Vec<(&str, &str)> = pairs.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    Fields::read(query(&pairs).as_bytes())
}

/// Lines such as `POST /images/{id}=10`.
fn costs(text: &str) -> Result<Vec<Value>, String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let cost = |line: &str| {
        let (operation, cost) = line.rsplit_once('=')?;
        let cost: u32 = cost.trim().parse().ok()?;
        Some(json!({"operation": operation.trim(), "cost": cost}))
    };
    lines
        .map(|line| {
            cost(line).ok_or_else(|| format!("Write `{line}` as an operation and its cost: POST /images/{{id}}=10."))
        })
        .collect()
}

fn price(fields: &Fields) -> Result<Value, String> {
    let (fee, unit) = (fields.one("base_fee").replace(',', "."), fields.one("unit_price").replace(',', "."));
    let number = |name: &str, called: &str| match fields.one(name) {
        "" => Ok(None),
        text => whole(text).map(Some).ok_or_else(|| format!("{called} is a whole number, such as 10,000.")),
    };
    let (included, per) = (number("included", "What is included")?, number("per_units", "Units of a price")?);
    let currency = fields.one("currency").to_ascii_uppercase();
    if fee.is_empty() && unit.is_empty() && included.is_none() && currency.is_empty() {
        return Ok(Value::Null);
    }
    if currency.is_empty() {
        return Err("Say in which money the price is: a code such as EUR.".into());
    }
    let period = if fields.one("price_period") == "billing_period" { "billing_period" } else { "" };
    let object = Object::default()
        .with("currency", currency)
        .text("base_fee", &fee)
        .some("included", included)
        .text("unit_price", &unit)
        .some("per_units", per)
        .text("period", period);
    Ok(object.into())
}

/// All that a form says.
fn parts(fields: &Fields) -> Result<Map<String, Value>, String> {
    let mut all = Map::new();
    all.insert("name".into(), fields.one("name").into());
    all.insert("description".into(), fields.one("description").replace("\r\n", "\n").into());
    all.insert("standard".into(), fields.has("standard").into());
    all.insert("rate_limits".into(), rate::limits(&rate::limit_fields(fields, LIMITS))?.into());
    all.insert("quotas".into(), quotas(&quota_fields(None, fields, QUOTAS))?.into());
    all.insert("operation_costs".into(), costs(fields.exact("operation_costs"))?.into());
    all.insert("price".into(), price(fields)?);
    all.insert("credits".into(), credits::credits(fields)?);
    Ok(all)
}

/// Whether it says nothing.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Bool(true) | Value::Number(_) | Value::Object(_) => false,
    }
}

/// The request that the form makes.
///
/// # Errors
/// A sentence about the field that says nothing that can be sent.
pub(super) fn request(fields: &Fields, was: Option<&Plan>) -> Result<Value, String> {
    let mut all = parts(fields)?;
    let Some(plan) = was else {
        all.retain(|name, value| name == "name" || !is_nothing(value));
        all.insert("api_id".into(), fields.one("api_id").into());
        return Ok(all.into());
    };
    let before = parts(&kept(plan))?;
    let (keeps_limits, keeps_quotas) = has_others(plan.in_force());
    all.retain(|name, value| {
        let is_kept = (name == "rate_limits" && keeps_limits) || (name == "quotas" && keeps_quotas);
        !is_kept && before.get(name) != Some(value)
    });
    let is_version = all.keys().any(|name| OF_VERSIONS.contains(&name.as_str()));
    if is_version && !fields.one("from").is_empty() {
        all.insert("from".into(), format!("{}T00:00:00Z", fields.one("from")).into());
    }
    Ok(all.into())
}

/// A price as commands write it: `9.90 EUR/month,included=10000,unit=0.40/1000`.
fn price_option(price: &Value) -> String {
    let said = |name: &str, usual: &str| match &price[name] {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => usual.to_owned(),
    };
    let period = said("period", "month").replace('_', "-");
    let mut text = format!("{} {}/{period}", said("base_fee", "0"), said("currency", "EUR"));
    if !price["included"].is_null() {
        text.push_str(&format!(",included={}", price["included"]));
    }
    if !price["unit_price"].is_null() {
        let per = said("per_units", "1");
        text.push_str(&format!(",unit={}", said("unit_price", "0")));
        if per != "1" {
            text.push_str(&format!("/{per}"));
        }
    }
    text
}

/// The options of the command that say the same as a request.
pub(super) fn options(body: &Value, is_new: bool) -> String {
    let mut text = String::new();
    let has = |name: &str| body.get(name).is_some();
    for (name, option) in [("api_id", "api"), ("name", "name"), ("description", "description")] {
        if let Some(said) = body.get(name).and_then(Value::as_str) {
            text.push_str(&format!(" --{option} {}", shell(said)));
        }
    }
    match body.get("standard") {
        Some(Value::Bool(true)) if is_new => text.push_str(" --standard"),
        Some(Value::Bool(is)) => text.push_str(&format!(" --standard {is}")),
        _ => {}
    }
    let list = |name: &str| body.get(name).and_then(Value::as_array);
    for (name, option, told) in [
        ("rate_limits", " --no-rate-limits", rate::options(&body["rate_limits"])),
        ("quotas", " --no-quotas", quota::options(&body["quotas"])),
    ] {
        text.push_str(if list(name).is_some_and(Vec::is_empty) { option } else { &told });
    }
    match list("operation_costs").map(Vec::as_slice) {
        None => {}
        Some([]) => text.push_str(" --no-operation-costs"),
        Some(costs) => {
            for cost in costs {
                let line = format!("{}={}", cost["operation"].as_str().unwrap_or_default(), cost["cost"]);
                text.push_str(&format!(" \\\n  --operation-cost {}", shell(&line)));
            }
        }
    }
    match body.get("price") {
        Some(Value::Null) => text.push_str(" --no-price"),
        Some(price) => text.push_str(&format!(" \\\n  --price {}", shell(&price_option(price)))),
        None => {}
    }
    match body.get("credits") {
        Some(Value::Null) => text.push_str(" --no-credits"),
        Some(terms) => text.push_str(&format!(" --credits {}", shell(&credits::option(terms)))),
        None => {}
    }
    if has("from") {
        text.push_str(&format!(" --from {}", body["from"].as_str().unwrap_or_default()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_plan_says_no_more_than_was_typed() {
        let form = Fields::read(
            b"api_id=api_1&name=Free&description=&limit.1=60&window.1=60&quota.1=10%2C000&period.1=month&currency=&base_fee=&operation_costs=&standard=on",
        );
        let body = request(&form, None).unwrap();
        assert_eq!(
            body,
            json!({
                "api_id": "api_1", "name": "Free", "standard": true,
                "rate_limits": [{"name": "minute", "limit": 60, "window_seconds": 60}],
                "quotas": [{"name": "month", "limit": 10_000, "period": "month"}],
            })
        );
        assert_eq!(
            options(&body, true),
            " --api api_1 --name Free --standard --rate-limit 60/minute --quota 10000/month"
        );
    }

    #[test]
    fn prices_and_costs_are_read_as_people_write_them() {
        let form = Fields::read(
            b"api_id=a&name=P&base_fee=9%2C90&currency=eur&included=10%2C000&unit_price=0.40&per_units=1000&operation_costs=POST+%2Fimages%2F%7Bid%7D%3D10%0D%0A%0D%0AGET+%2Fa%3Fb%3Dc%3D0",
        );
        let body = request(&form, None).unwrap();
        assert_eq!(
            body["price"],
            json!({"currency": "EUR", "base_fee": "9.90", "included": 10_000, "unit_price": "0.40", "per_units": 1_000})
        );
        assert_eq!(
            body["operation_costs"],
            json!([{"operation": "POST /images/{id}", "cost": 10}, {"operation": "GET /a?b=c", "cost": 0}])
        );
        let options = options(&body, true);
        assert!(options.contains("--price '9.90 EUR/month,included=10000,unit=0.40/1000'"), "{options}");
        assert!(options.contains("--operation-cost 'POST /images/{id}=10'"), "{options}");
        assert!(request(&Fields::read(b"name=P&base_fee=9"), None).unwrap_err().contains("EUR"));
        assert!(request(&Fields::read(b"name=P&operation_costs=GET+%2Fa"), None).unwrap_err().contains("GET /a"));
    }

    fn plan(more: &Value) -> Plan {
        let mut version = json!({
            "version": 1, "from": "2026-11-01T00:00:00Z", "created_at": "2026-11-01T00:00:00Z", "time_zone": "UTC",
            "rate_limits": [{"name": "per-minute", "limit": 60, "window_seconds": 60}],
            "quotas": [{"name": "month", "limit": 10_000, "period": "month"}],
            "operation_costs": [{"operation": "GET /a", "cost": 2}],
            "price": {"currency": "EUR", "base_fee": "9.90", "period": "month", "included": 0, "per_units": 1, "unit_price": "0"},
            "credits": null,
        });
        version.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(json!({
            "id": "pln_1", "api_id": "api_1", "name": "Free", "description": "", "standard": true, "version": 1,
            "versions": [version], "created_at": "2026-11-01T00:00:00Z", "updated_at": "2026-11-01T00:00:00Z",
        }))
        .unwrap()
    }

    #[test]
    fn a_new_version_says_what_is_another_thing_than_before() {
        let plan = plan(&json!({}));
        assert_eq!(request(&kept(&plan), Some(&plan)).unwrap(), json!({}));
        let form = Fields::read(
            b"name=Free&standard=on&limit_name.1=per-minute&limit.1=120&window.1=60&quota.1=&period.1=month&operation_costs=&from=2027-02-01",
        );
        let body = request(&form, Some(&plan)).unwrap();
        assert_eq!(
            body,
            json!({
                "rate_limits": [{"name": "per-minute", "limit": 120, "window_seconds": 60}], "quotas": [],
                "operation_costs": [], "price": null, "from": "2027-02-01T00:00:00Z",
            })
        );
        assert_eq!(
            options(&body, false),
            " --rate-limit per-minute=120/minute --no-quotas --no-operation-costs --no-price --from 2027-02-01T00:00:00Z"
        );
    }

    #[test]
    fn limits_that_the_form_can_not_say_stay_as_they_are() {
        let limits = json!({"rate_limits": [{"name": "b", "limit": 5, "window_seconds": 60, "by": ["key"]}]});
        let plan = plan(&limits);
        let form = Fields::read(b"name=Free&standard=on&limit.1=1&window.1=60&quota.1=10000&period.1=month&operation_costs=GET+%2Fa%3D2&currency=EUR&base_fee=9.90&unit_price=0&price_period=month");
        assert_eq!(request(&form, Some(&plan)).unwrap(), json!({}));
    }

    #[test]
    fn presets_fill_the_form() {
        let body = request(&preset(&Fields::read(b"preset=growth&api_id=api_1")), None).unwrap();
        assert_eq!(body["rate_limits"][0]["limit"], 600);
        assert_eq!(body["quotas"][0]["limit"], 1_000_000);
        assert_eq!(request(&preset(&Fields::read(b"preset=internal")), None).unwrap().get("quotas"), None);
    }
}
