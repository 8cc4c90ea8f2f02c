//! What holds for all restrictions together.

use std::borrow::Cow;

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use super::*;
use crate::content::{Content, Sent};
use crate::country::Country;
use crate::method::Method;
use crate::source::{Field, Source};
use crate::time::{Moment, Ticks, Timestamp};

/// Where a call comes from, as a test says it.
#[derive(Debug, Clone, Default)]
pub(super) struct From {
    pub(super) origin: Option<&'static str>,
    pub(super) referrer: Option<&'static str>,
    pub(super) country: Option<Country>,
    pub(super) fields: Vec<(&'static str, &'static str)>,
}

impl Source for From {
    fn origin(&self) -> Option<&[u8]> {
        self.origin.map(str::as_bytes)
    }

    fn referrer(&self) -> Option<&[u8]> {
        self.referrer.map(str::as_bytes)
    }

    fn country(&self) -> Option<Country> {
        self.country
    }

    fn field(&self, name: &str) -> Field<'_> {
        let mut values = self.fields.iter().filter(|(own, _)| *own == name).map(|(_, value)| value.as_bytes());
        Field::of(values.next(), values.next().is_some())
    }
}

#[derive(Debug, Clone)]
struct Body(Option<&'static str>, Option<u64>, Option<&'static str>);

impl Content for Body {
    fn sent(&self) -> Sent<'_> {
        match self {
            Self(None, None, _) => Sent::Nothing,
            Self(kind, bytes, _) => Sent::Body { content_type: kind.map(|kind| kind.as_bytes().into()), bytes: *bytes },
        }
    }

    fn accept(&self) -> Option<Cow<'_, [u8]>> {
        self.2.map(|accept| accept.as_bytes().into())
    }
}

fn read(value: &Value) -> Restrictions {
    serde_json::from_value(value.clone()).unwrap_or_else(|error| panic!("{value}: {error}"))
}

fn alone(name: &str, text: &str) -> Restrictions {
    read(&json!({ name: serde_json::from_str::<Value>(text).unwrap() }))
}

/// Of each restriction some that are within one another, and some that are not.
const EACH: &[(&str, &[&str])] = &[
    (
        "networks",
        &[
            r#"{"allow":["10.0.0.0/8"]}"#,
            r#"{"allow":["10.1.0.0/16","::1"],"deny":["10.1.2.0/24"]}"#,
            r#"{"deny":["10.1.0.0/16"]}"#,
            r#"{"allow":["10.0.0.0/8"],"deny":["10.1.0.0/16"]}"#,
            r#"{"allow":["::ffff:10.1.2.0/120"]}"#,
        ],
    ),
    (
        "countries",
        &[r#"{"allow":["DE","AT"]}"#, r#"{"allow":["DE"]}"#, r#"{"deny":["FR"]}"#, r#"{"deny":["FR","DE"]}"#],
    ),
    (
        "times",
        &[
            r#"{"time_zone":"Europe/Berlin","windows":[{"from":"08:00","until":"18:00"}]}"#,
            r#"{"time_zone":"Europe/Berlin","windows":[{"days":["mon","sun"],"from":"09:00","until":"17:00"}]}"#,
            r#"{"time_zone":"Europe/Berlin","windows":[{"days":["sun"],"from":"22:00","until":"09:30"}]}"#,
            r#"{"time_zone":"UTC","windows":[{"from":"09:00","until":"17:00"}]}"#,
        ],
    ),
    (
        "origins",
        &[r#"["https://app.a.test"]"#, r#"["https://*.a.test"]"#, r#"["https://b.test","https://x.app.a.test"]"#],
    ),
    ("referrers", &[r#"["https://app.a.test"]"#, r#"["https://app.a.test/x/*"]"#, r#"["https://*.a.test/x/y"]"#]),
    ("methods", &[r#"["GET"]"#, r#"["GET","POST"]"#, r#"["POST"]"#]),
    ("paths", &[r#"["/x/**"]"#, r#"["/x/*","/x"]"#, r#"["/x/7/**"]"#, r#"["/**"]"#]),
    (
        "apps",
        &[
            r#"{"ios":["com.a.app"]}"#,
            r#"{"ios":["com.a.app","com.b.app"]}"#,
            r#"{"ios":["com.b.app"],"android":[{"package":"com.a.app","certificate":"0101010101010101010101010101010101010101"}]}"#,
        ],
    ),
    (
        "certificates",
        &[
            r#"["0101010101010101010101010101010101010101010101010101010101010101"]"#,
            r#"["0101010101010101010101010101010101010101010101010101010101010101","0202020202020202020202020202020202020202020202020202020202020202"]"#,
        ],
    ),
    (
        "formats",
        &[
            r#"{"request_types":["application/*"]}"#,
            r#"{"request_types":["application/json"],"max_body_bytes":10}"#,
            r#"{"max_body_bytes":20,"response_types":["text/*"]}"#,
            r#"{"request_types":["application/*+json","application/json"],"response_types":["text/html"],"max_body_bytes":10}"#,
        ],
    ),
];

/// Mostly few restrictions, so that a call has a chance to pass.
fn restrictions() -> impl Strategy<Value = Restrictions> {
    let one = select(EACH).prop_flat_map(|(name, list)| (Just(name), select(list), prop::bool::weighted(0.2)));
    prop::collection::vec(one, 0..4).prop_map(|picked| {
        let mut document = json!({});
        let mut shadow = Vec::new();
        for (name, text, is_shadow) in picked {
            document[name] = serde_json::from_str(text).unwrap();
            if is_shadow {
                shadow.push(name);
            }
        }
        document["shadow"] = json!(shadow);
        read(&document)
    })
}

#[derive(Debug, Clone)]
struct Call {
    client: Option<&'static str>,
    from: From,
    minute: i64,
    method: Option<Method>,
    path: Option<&'static str>,
    certificate: Option<u8>,
    body: Option<Body>,
}

impl Call {
    fn passes(&self, restrictions: &Restrictions) -> bool {
        let wall = Timestamp::from_secs(1_774_000_000 + self.minute * 60);
        let facts = Facts {
            client: self.client.map(|address| address.parse().unwrap()),
            source: Some(&self.from),
            method: self.method,
            path: self.path,
            certificate: self.certificate.map(|byte| [byte; 32]),
            content: self.body.as_ref().map(|body| body as &dyn Content),
            ..Facts::at(Moment { wall, ticks: Ticks::from_nanos(1) })
        };
        restrictions.judge(&facts).is_ok()
    }
}

fn some<T: Clone + std::fmt::Debug + 'static>(list: &'static [T]) -> impl Strategy<Value = Option<T>> {
    prop::option::weighted(0.9, select(list))
}

fn calls() -> impl Strategy<Value = Call> {
    const ORIGINS: &[&str] =
        &["https://app.a.test", "https://x.app.a.test", "https://a.test", "https://b.test", "null"];
    const REFERRERS: &[&str] =
        &["https://app.a.test/x/y", "https://app.a.test/", "https://x.app.a.test/x/z", "https://b.test/x/y", ""];
    let country = some(&["DE", "AT", "FR", "US"]).prop_map(|code| code.and_then(Country::of));
    let app = some(&["com.a.app", "com.b.app", "com.c.app"])
        .prop_map(|bundle| bundle.map(|bundle| ("x-ios-bundle-identifier", bundle)));
    let from = (some(ORIGINS), some(REFERRERS), country, app).prop_map(|(origin, referrer, country, app)| From {
        origin,
        referrer,
        country,
        fields: app.into_iter().collect(),
    });
    let body = (
        some(&["application/json", "application/a+json", "application/xml", "text/xml"]),
        some(&[0, 9, 15, 50]),
        some(&["text/html", "text/plain", "*/*", "application/json"]),
    );
    (
        some(&["10.1.2.3", "10.1.9.9", "10.9.9.9", "11.0.0.1", "::1", "::ffff:10.1.2.3"]),
        from,
        0_i64..7 * 24 * 60,
        some(&Method::ALL),
        some(&["/x", "/x/7", "/x/7/y", "/", "/y"]),
        some(&[1, 2, 3]),
        prop::option::weighted(0.9, body.prop_map(|(kind, bytes, accept)| Body(kind, bytes, accept))),
    )
        .prop_map(|(client, from, minute, method, path, certificate, body)| Call {
            client,
            from,
            minute,
            method,
            path,
            certificate,
            body,
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn k14_no_call_passes_within_and_fails_without(
        own in restrictions(),
        outer in restrictions(),
        calls in prop::collection::vec(calls(), 60),
    ) {
        prop_assert!(own.is_within(&own) && own.is_within(&Restrictions::default()));
        if own.is_within(&outer) {
            for call in calls {
                prop_assert!(!call.passes(&own) || call.passes(&outer), "{call:?} passes {own:?} and not {outer:?}");
            }
        }
    }

    // Each restriction by itself, so that calls often pass: all pairs of those above.
    #[test]
    fn k14_no_restriction_is_within_one_that_refuses_more(calls in prop::collection::vec(calls(), 20)) {
        for (name, list) in EACH {
            let all: Vec<Restrictions> = list.iter().map(|text| alone(name, text)).collect();
            for (own, outer) in all.iter().flat_map(|own| all.iter().map(move |outer| (own, outer))) {
                if own.is_within(outer) {
                    for call in &calls {
                        prop_assert!(!call.passes(own) || call.passes(outer), "{call:?} passes {own:?} and not {outer:?}");
                    }
                }
            }
        }
    }

    // The same for pairs of which one is surely within the other, and calls that often pass.
    #[test]
    fn k14_more_restrictions_are_within_fewer(
        own in restrictions(),
        dropped in 0..Rule::ALL.len(),
        calls in prop::collection::vec(calls(), 20),
    ) {
        let mut outer = own.clone();
        let shadow: Vec<Rule> = own.shadow.iter().filter(|rule| *rule as usize != dropped).collect();
        outer.shadow = shadow.into_iter().collect();
        match Rule::ALL[dropped] {
            Rule::Networks => outer.networks = None,
            Rule::Countries => outer.countries = None,
            Rule::Times => outer.times = None,
            Rule::Origins => outer.origins = None,
            Rule::Referrers => outer.referrers = None,
            Rule::Apps => outer.apps = None,
            Rule::Methods => outer.methods = None,
            Rule::Paths => outer.paths = None,
            Rule::Certificates => outer.certificates = None,
            Rule::Formats => outer.formats = None,
            Rule::Patterns | Rule::RateLimits => {}
        }
        prop_assert!(own.is_within(&outer), "{own:?} in {outer:?}");
        for call in calls {
            prop_assert!(!call.passes(&own) || call.passes(&outer), "{call:?}");
        }
    }
}

#[test]
fn each_restriction_keeps_the_key_in_and_says_so_by_its_name() {
    let code = |name: &str| match name.parse().unwrap() {
        Rule::Networks => Code::NetworkForbidden,
        Rule::Countries => Code::CountryForbidden,
        Rule::Times => Code::TimeForbidden,
        Rule::Origins | Rule::Referrers => Code::OriginForbidden,
        Rule::Methods | Rule::Paths => Code::OperationForbidden,
        Rule::Certificates => Code::CertificateForbidden,
        Rule::Apps => Code::AppForbidden,
        Rule::Formats => Code::FormatForbidden,
        Rule::Patterns => Code::PatternForbidden,
        Rule::RateLimits => Code::RateLimited,
    };
    assert_eq!(EACH.len(), Rule::ALL.iter().filter(|rule| !rule.stands_beside()).count());
    // In the night, in UTC, of nobody.
    let nothing = Facts::at(Moment { wall: Timestamp::from_secs(1), ticks: Ticks::from_nanos(1) });
    for (name, list) in EACH {
        let mut restrictions = alone(name, list[0]);
        let rule: Rule = name.parse().unwrap();
        assert!(restrictions.has(rule) && !restrictions.is_empty());
        assert_eq!(restrictions.judge(&nothing), Err(code(name)), "a fact that nobody knows is refused: {name}");
        assert_eq!(restrictions.would_refuse(&nothing), Rules::NONE);
        restrictions.shadow = [rule].into_iter().collect();
        assert_eq!(restrictions.judge(&nothing), Ok(()), "in shadow it refuses nothing: {name}");
        assert_eq!(restrictions.would_refuse(&nothing), [rule].into_iter().collect());
        let said = Said { rule, code: code(name), shadow: true };
        assert_eq!(restrictions.answers(&nothing).collect::<Vec<_>>(), [said]);
    }
}

#[test]
fn k14_what_is_in_shadow_restricts_nothing() {
    let bound = read(&json!({ "methods": ["GET"] }));
    let shadowed = read(&json!({ "methods": ["GET"], "shadow": ["methods"] }));
    let free = Restrictions::default();
    assert!(bound.is_within(&shadowed) && free.is_within(&shadowed) && shadowed.is_within(&free));
    assert_eq!(shadowed.beyond(&bound), Some(Rule::Methods));
    assert_eq!(free.beyond(&bound), Some(Rule::Methods));
}

#[test]
fn restrictions_are_written_as_they_are_read() {
    for (name, list) in EACH {
        for text in *list {
            let restrictions = read(&json!({ *name: serde_json::from_str::<Value>(text).unwrap(), "shadow": [*name] }));
            let written = serde_json::to_value(&restrictions).unwrap();
            assert_eq!(read(&written), restrictions, "{written}");
            assert_eq!(written["shadow"], json!([*name]));
        }
    }
    assert_eq!(serde_json::to_string(&Restrictions::default()).unwrap(), "{}");
    for wrong in [
        json!({ "hours": {} }),
        json!({ "shadow": ["hours"] }),
        json!({ "countries": { "allow": ["UK"] } }),
        json!({ "countries": { "only": ["DE"] } }),
        json!({ "times": { "windows": [{ "from": "08:00", "until": "18:00" }] } }),
        json!({ "times": { "time_zone": "UTC", "windows": [{ "days": ["monday"], "from": "08:00", "until": "18:00" }] } }),
        json!({ "origins": [] }),
        json!({ "referrers": [] }),
    ] {
        assert!(serde_json::from_value::<Restrictions>(wrong.clone()).is_err(), "{wrong}");
    }
}
