//! What patterns let pass, as a table, and what holds for all of them.

use std::net::IpAddr;

use proptest::prelude::{Just, Strategy, any, prop, prop_oneof, proptest};
use proptest::sample::select;
use proptest::{prop_assert, prop_assert_eq};
use serde_json::{Value, json};

use super::*;
use crate::country::Country;
use crate::method::Method;
use crate::source::{Field, Source};
use crate::time::{Moment, Ticks, Timestamp};

/// A call as a test says it.
#[derive(Debug, Clone, Default)]
struct Call {
    method: Option<Method>,
    path: Option<&'static str>,
    client: Option<IpAddr>,
    country: Option<Country>,
    headers: Option<Vec<(&'static str, &'static str)>>,
    hour: i64,
}

impl Source for Call {
    fn origin(&self) -> Option<&[u8]> {
        None
    }

    fn referrer(&self) -> Option<&[u8]> {
        None
    }

    fn country(&self) -> Option<Country> {
        self.country
    }

    fn field(&self, name: &str) -> Field<'_> {
        let Some(headers) = &self.headers else { return Field::Unknown };
        let mut values = headers.iter().filter(|(own, _)| *own == name).map(|(_, value)| value.as_bytes());
        Field::of(values.next(), values.next().is_some())
    }
}

fn facts(call: &Call) -> Facts<'_> {
    let wall = Timestamp::from_secs(call.hour * 3_600);
    Facts {
        method: call.method,
        path: call.path,
        client: call.client,
        source: Some(call),
        ..Facts::at(Moment { wall, ticks: Ticks::from_nanos(0) })
    }
}

fn filter(value: &Value) -> Filter {
    serde_json::from_value(value.clone()).unwrap_or_else(|error| panic!("{value}: {error}"))
}

fn passes(value: &Value, call: &Call) -> bool {
    filter(value).passes(&facts(call))
}

fn get(path: &'static str) -> Call {
    Call { method: Some(Method::Get), path: Some(path), headers: Some(Vec::new()), ..Call::default() }
}

#[test]
fn a_call_passes_by_one_alternative_and_by_none_that_is_denied() {
    let reading_or_office = json!({ "allow": [
        { "methods": ["GET"] },
        { "networks": { "allow": ["10.0.0.0/8"] }, "paths": ["/pets/**"] },
    ], "deny": [{ "paths": ["/pets/secret"] }] });
    let from = |call: Call, address: &str| Call { client: Some(address.parse().unwrap()), ..call };
    let post = |path| Call { method: Some(Method::Post), ..get(path) };
    for (call, expected) in [
        (from(get("/any"), "192.0.2.1"), true),
        (from(post("/pets/7"), "10.1.1.1"), true),
        (from(post("/pets/7"), "192.0.2.1"), false),
        (from(post("/any"), "10.1.1.1"), false),
        (from(get("/pets/secret"), "10.1.1.1"), false),
        // Not known, and not needed: one alternative is met whatever the address is.
        (get("/any"), true),
        (post("/pets/7"), false),
        (Call { path: None, ..from(get("/"), "10.1.1.1") }, false),
    ] {
        assert_eq!(passes(&reading_or_office, &call), expected, "{call:?}");
    }
}

#[test]
fn each_condition_is_asked() {
    let at = |hour| Call { hour, ..get("/") };
    let with = |headers: &[(&'static str, &'static str)]| Call { headers: Some(headers.to_vec()), ..get("/") };
    let in_country = |text: &str| Call { country: Some(text.parse().unwrap()), ..get("/") };
    let one = |value: Value| json!({ "allow": [value] });
    let hours = one(json!({ "times": { "time_zone": "UTC", "windows": [{ "from": "08:00", "until": "18:00" }] } }));
    let client = one(json!({ "headers": [{ "name": "X-Client", "values": ["mobile/*", "web"] }] }));
    let there = one(json!({ "headers": [{ "name": "x-client" }] }));
    let germany = one(json!({ "countries": { "allow": ["DE"] } }));
    for (filter, call, expected) in [
        (&hours, at(9), true),
        (&hours, at(19), false),
        (&client, with(&[("x-client", "mobile/2")]), true),
        (&client, with(&[("x-client", "desktop")]), false),
        (&client, with(&[("x-client", "web"), ("x-client", "web")]), false),
        (&client, with(&[]), false),
        (&client, Call { headers: None, ..get("/") }, false),
        (&there, with(&[("x-client", "")]), true),
        (&there, with(&[("x-client", "a"), ("x-client", "b")]), true),
        (&there, with(&[("x-clients", "a")]), false),
        (&germany, in_country("DE"), true),
        (&germany, in_country("FR"), false),
        (&germany, get("/"), false),
    ] {
        assert_eq!(passes(filter, &call), expected, "{filter} {call:?}");
        // What is denied is the contrary, except that what is not known goes against the call both times.
        let denied = json!({ "deny": filter["allow"] });
        let is_known = call.headers.is_some()
            && (filter != &germany || call.country.is_some())
            && (filter != &client || call.headers.as_ref().is_some_and(|headers| headers.len() < 2));
        assert_eq!(passes(&denied, &call), is_known && !expected, "{denied} {call:?}");
    }
}

#[test]
fn what_means_nothing_is_refused_and_says_why() {
    let header = |value: Value| json!({ "allow": [{ "headers": [value] }] });
    for (wrong, why) in [
        (json!({}), "1 to 32 alternatives"),
        (json!({ "allow": [] }), "1 to 32 alternatives"),
        (json!({ "allow": vec![json!({ "methods": ["GET"] }); 33] }), "1 to 32 alternatives"),
        (json!({ "allow": [{}] }), "at least one of methods"),
        (json!({ "deny": [{ "method": ["GET"] }] }), "unknown field `method`"),
        (json!({ "deny": [{ "headers": [] }] }), "1 to 8 fields"),
        (header(json!({ "name": "x client" })), "`x client` is no name"),
        (header(json!({ "name": "Authorization" })), "authorization holds secrets"),
        (header(json!({ "name": "Host" })), "host is about the connection"),
        (header(json!({ "name": "x-forwarded-for", "values": ["10.*"] })), "x-forwarded-for is about the connection"),
        (header(json!({ "name": "X-Consumer-Id" })), "x-consumer-id is about the connection"),
        (header(json!({ "name": "x-a", "values": [] })), "x-a takes 1 to 32 values"),
        (header(json!({ "name": "x-a", "values": [" b"] })), "x-a takes 1 to 32 values"),
        (header(json!({ "name": "x-a", "values": ["b\n"] })), "x-a takes 1 to 32 values"),
        (json!({ "allow": [{ "headers": [{ "name": "x-a" }, { "name": "X-A" }] }] }), "x-a comes twice"),
    ] {
        let error = serde_json::from_value::<Filter>(wrong.clone()).expect_err(&wrong.to_string()).to_string();
        assert!(error.contains(why), "{wrong}: {error}");
    }
}

#[test]
fn one_that_is_closed_lets_nothing_pass() {
    assert!(!Filter::closed().passes(&facts(&Call::default())));
    assert!(!Filter::closed().is_shadow());
}

fn alternatives() -> impl Strategy<Value = Value> {
    let one = prop_oneof![
        select(vec![
            json!({ "methods": ["GET"] }),
            json!({ "methods": ["POST", "GET"] }),
            json!({ "paths": ["/a/**"] })
        ]),
        select(vec![json!({ "networks": { "deny": ["10.0.0.0/8"] } }), json!({ "countries": { "allow": ["DE"] } })]),
        select(vec![json!({ "headers": [{ "name": "x-a", "values": ["1"] }], "paths": ["/a"] })]),
    ];
    prop::collection::vec(one, 0..4).prop_map(Value::Array)
}

fn calls() -> impl Strategy<Value = Call> {
    let maybe = |texts: &'static [&'static str]| prop::option::of(select(texts));
    let headers = prop::option::of(prop::collection::vec((Just("x-a"), select(&["1", "2"][..])), 0..3));
    (
        prop::option::of(select(&Method::ALL[..])),
        maybe(&["/a", "/a/b", "/b"]),
        maybe(&["10.0.0.1", "::1"]),
        maybe(&["DE", "FR"]),
        headers,
        any::<u8>(),
    )
        .prop_map(|(method, path, client, country, headers, hour)| Call {
            method,
            path,
            client: client.map(|text| text.parse().unwrap()),
            country: country.map(|text| text.parse().unwrap()),
            headers,
            hour: hour.into(),
        })
}

proptest! {
    #[test]
    fn less_known_never_lets_more_pass(allow in alternatives(), deny in alternatives(), call in calls(), hidden in any::<[bool; 5]>()) {
        let Ok(filter) = serde_json::from_value::<Filter>(json!({ "allow": allow, "deny": deny })) else { return Ok(()) };
        let mut less = call.clone();
        let [method, path, client, country, headers] = hidden;
        if method { less.method = None; }
        if path { less.path = None; }
        if client { less.client = None; }
        if country { less.country = None; }
        if headers { less.headers = None; }
        if filter.passes(&facts(&less)) {
            prop_assert!(filter.passes(&facts(&call)), "{:?} {:?} {:?}", filter, call, less);
        }
    }

    #[test]
    fn a_filter_survives_its_text(allow in alternatives(), deny in alternatives(), shadow: bool) {
        let Ok(filter) = serde_json::from_value::<Filter>(json!({ "allow": allow, "deny": deny, "shadow": shadow })) else {
            return Ok(());
        };
        let again = serde_json::from_str(&serde_json::to_string(&filter).unwrap()).unwrap();
        prop_assert_eq!(&filter, &again);
        let parts = Filter::new(filter.allow().to_vec(), filter.deny().to_vec(), filter.is_shadow());
        prop_assert_eq!(parts, Ok(filter));
    }

    #[test]
    fn what_is_denied_more_or_allowed_more_narrows_or_widens(allow in alternatives(), deny in alternatives(), more in alternatives(), call in calls()) {
        let read = |allow: &Value, deny: &Value| serde_json::from_value::<Filter>(json!({ "allow": allow, "deny": deny })).ok();
        let both = |a: &Value, b: &Value| Value::Array([a, b].iter().flat_map(|list| list.as_array().unwrap().clone()).collect());
        let (Some(first), Some(denies_more)) = (read(&allow, &deny), read(&allow, &both(&deny, &more))) else { return Ok(()) };
        let facts = facts(&call);
        prop_assert!(first.passes(&facts) || !denies_more.passes(&facts));
        if allow.as_array().is_some_and(|list| !list.is_empty()) {
            let allows_more = read(&both(&allow, &more), &deny).unwrap();
            prop_assert!(allows_more.passes(&facts) || !first.passes(&facts));
        }
    }
}
