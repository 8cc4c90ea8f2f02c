use super::*;
use crate::time::{Moment, Ticks};

const NOW: Timestamp = Timestamp::from_secs(1_000);
const OURS: OrganizationId = OrganizationId::from_entropy([1; 16]);
const THEIRS: OrganizationId = OrganizationId::from_entropy([2; 16]);

fn code<'t>(change: impl FnOnce(&mut Key<'_>, &mut Target<'t>, &mut Facts<'t>)) -> Code {
    let policy = Policy { permissions: vec!["pets.*".parse().unwrap()], ..Policy::default() };
    let mut key = key(&policy);
    let mut target = API;
    let mut facts = Facts::at(Moment { wall: NOW, ticks: Ticks::from_nanos(1) });
    change(&mut key, &mut target, &mut facts);
    let steps = trace(&key, target, &facts);
    let answer = admit(&key, target, &facts).map_or_else(|code| code, |_| Code::Allowed);
    assert_eq!(steps.last().map(|(_, code)| *code), Some(answer), "the trace ends with the answer");
    answer
}

/// An API of ours that the key's project may call.
const API: Target<'static> = Target::Api {
    organization: OURS,
    active: true,
    environments: Environments::BOTH,
    activation: Some(Activation::of(ActivationState::Approved)),
    request_types: None,
    needs: None,
    publishable: false,
};

fn key(policy: &Policy) -> Key<'_> {
    Key {
        standing: Standing::Active,
        expires_at: None,
        kind: KeyKind::Secret,
        organization: OURS,
        environment: Environment::Live,
        suspended: false,
        policy,
        patterns: &[],
    }
}

fn activation(state: Option<ActivationState>) -> Code {
    code(|_, target, _| {
        let Target::Api { activation, .. } = target else { return };
        *activation = state.map(Activation::of);
    })
}

#[test]
fn a_good_key_is_allowed() {
    assert_eq!(code(|_, _, _| ()), Code::Allowed);
}

#[test]
fn every_state_has_its_answer() {
    assert_eq!(code(|key, _, _| key.standing = Standing::Disabled), Code::KeyDisabled);
    assert_eq!(code(|key, _, _| key.standing = Standing::Revoked), Code::KeyRevoked);
    assert_eq!(activation(None), Code::NotActivated);
    assert_eq!(activation(Some(ActivationState::Requested)), Code::NotActivated);
    assert_eq!(activation(Some(ActivationState::Refused)), Code::NotActivated);
    assert_eq!(activation(Some(ActivationState::Suspended)), Code::Suspended);
}

#[test]
fn a_suspended_project_is_refused_everywhere_before_the_api_has_its_say() {
    for target in [API, Target::Management, Target::KeyAlone] {
        let asked = code(|key, of, _| {
            key.suspended = true;
            key.kind = if matches!(target, Target::Management) { KeyKind::Management } else { KeyKind::Secret };
            *of = target;
        });
        assert_eq!(asked, Code::Suspended, "{target:?}");
    }
    let asked = code(|key, target, _| {
        key.suspended = true;
        let Target::Api { active, .. } = target else { return };
        *active = false;
    });
    assert_eq!(asked, Code::Suspended);
}

#[test]
fn an_api_takes_keys_of_its_environments_alone() {
    let (live, test) = (Environment::Live, Environment::Test);
    for (takes, environment, expected) in [
        (&[live, test][..], live, Code::Allowed),
        (&[live, test], test, Code::Allowed),
        (&[live], live, Code::Allowed),
        (&[live], test, Code::EnvironmentForbidden),
        (&[test], test, Code::Allowed),
        (&[test], live, Code::EnvironmentForbidden),
    ] {
        let asked = code(|key, target, _| {
            key.environment = environment;
            let Target::Api { environments, .. } = target else { return };
            *environments = Environments::of(takes).unwrap();
        });
        assert_eq!(asked, expected, "{takes:?} {environment:?}");
    }
}

#[test]
fn an_activation_bounds_what_a_key_may_do_at_its_api() {
    let questions = ["pets.read", "pets.write", "shop.sell"].map(|text| text.parse::<PermissionQuery>().unwrap());
    for (granted, allowed) in [
        (None, [true, true, false]),
        (Some(&["pets.read"][..]), [true, false, false]),
        (Some(&["*"]), [true, true, false]),
        (Some(&["shop.*"]), [false; 3]),
        (Some(&[]), [false; 3]),
    ] {
        let granted: Option<Vec<Permission>> =
            granted.map(|texts| texts.iter().map(|text| text.parse().unwrap()).collect());
        for (question, allowed) in questions.iter().zip(allowed) {
            // Asked by whoever verifies, and by the operation: the bound holds for both.
            for by_operation in [false, true] {
                let asked = code(|_, target, facts| {
                    let Target::Api { activation, needs, .. } = target else { return };
                    let state = ActivationState::Approved;
                    *activation = Some(Activation { state, permissions: granted.as_deref() });
                    *(if by_operation { needs } else { &mut facts.needs }) = Some(question);
                });
                assert_eq!(asked.is_allowed(), allowed, "{granted:?} {question}");
                assert!(allowed || asked == Code::PermissionMissing);
            }
        }
        assert_eq!(
            code(|_, target, _| {
                let Target::Api { activation, .. } = target else { return };
                *activation =
                    Some(Activation { permissions: granted.as_deref(), ..Activation::of(ActivationState::Approved) });
            }),
            Code::Allowed,
            "what asks for no permission needs none"
        );
    }
}

#[test]
fn expiry_is_the_moment_itself() {
    assert_eq!(code(|key, _, _| key.expires_at = Some(NOW)), Code::KeyExpired);
    assert_eq!(code(|key, _, _| key.expires_at = Some(Timestamp::from_micros(NOW.as_micros() + 1))), Code::Allowed);
}

#[test]
fn k08_a_strangers_key_is_answered_like_an_unknown_one() {
    assert_eq!(
        code(|key, target, _| {
            key.organization = THEIRS;
            // Nor is anything told of its project or of the API.
            key.suspended = true;
            let Target::Api { active, activation, environments, .. } = target else { return };
            (*active, *activation, *environments) = (false, None, Environments::of(&[Environment::Test]).unwrap());
        }),
        Code::KeyUnknown
    );
    assert_eq!(code(|key, _, _| key.organization = THEIRS), Code::Allowed, "with an activation it is a customer's");
}

#[test]
fn kinds_do_not_mix() {
    assert_eq!(code(|key, _, _| key.kind = KeyKind::Management), Code::KeyKindForbidden);
    assert_eq!(code(|_, target, _| *target = Target::Management), Code::KeyKindForbidden);
    assert_eq!(
        code(|key, target, _| {
            key.kind = KeyKind::Management;
            *target = Target::Management;
        }),
        Code::Allowed
    );
}

#[test]
fn k18_a_publishable_key_calls_what_is_open_to_it_and_nothing_else() {
    let publishable = |open: bool| {
        code(|key, target, _| {
            key.kind = KeyKind::Publishable;
            if let Target::Api { publishable, .. } = target {
                *publishable = open;
            }
        })
    };
    assert_eq!((publishable(false), publishable(true)), (Code::KeyKindForbidden, Code::Allowed));
    for target in [Target::Management, Target::KeyAlone] {
        let expected = if matches!(target, Target::KeyAlone) { Code::Allowed } else { Code::KeyKindForbidden };
        let asked = code(|key, of, _| {
            key.kind = KeyKind::Publishable;
            *of = target;
        });
        assert_eq!(asked, expected);
    }
}

#[test]
fn k37_a_canary_is_answered_like_a_revoked_key_wherever_it_is_presented() {
    assert_eq!(code(|key, _, _| key.kind = KeyKind::Canary), Code::KeyRevoked);
    for target in [Target::Management, Target::KeyAlone] {
        let asked = code(|key, of, _| {
            key.kind = KeyKind::Canary;
            key.standing = Standing::Disabled;
            *of = target;
        });
        assert_eq!(asked, Code::KeyRevoked);
    }
}

#[test]
fn what_the_api_does_not_take_is_asked_before_what_the_key_may_send() {
    let json = MediaTypes::try_from(vec!["application/json".to_owned()]).unwrap();
    let asked = code(|_, target, _| {
        let Target::Api { request_types, .. } = target else { return };
        *request_types = Some(&json);
    });
    assert_eq!(asked, Code::MediaTypeUnsupported, "nobody knows what it sends");
}

#[test]
fn a_missing_permission_is_named_last() {
    let query = "pets.read AND shop.sell".parse().unwrap();
    let policy = Policy { permissions: vec!["pets.*".parse().unwrap()], ..Policy::default() };
    let facts = Facts { needs: Some(&query), ..Facts::at(Moment { wall: NOW, ticks: Ticks::from_nanos(1) }) };
    assert_eq!(admit(&key(&policy), Target::KeyAlone, &facts).err(), Some(Code::PermissionMissing));
}

#[test]
fn what_an_operation_asks_of_the_key_is_asked_as_well() {
    let [has, lacks] = ["pets.read", "shop.sell"].map(|text| text.parse::<PermissionQuery>().unwrap());
    let asked = |question, operation| {
        code(|_, target, facts| {
            facts.needs = question;
            let Target::Api { needs, .. } = target else { return };
            *needs = operation;
        })
    };
    assert_eq!(asked(None, Some(&has)), Code::Allowed);
    assert_eq!(asked(None, Some(&lacks)), Code::PermissionMissing);
    assert_eq!(asked(Some(&has), Some(&lacks)), Code::PermissionMissing);
    assert_eq!(asked(Some(&lacks), Some(&has)), Code::PermissionMissing);
    assert_eq!(asked(Some(&has), Some(&has)), Code::Allowed);
}

#[test]
fn the_longest_wait_of_all_refusing_limits_is_told() {
    let reading = |remaining| Reading { limit: 1, remaining, reset_nanos: 9 };
    let of = |weighed| Weight { weighed, shadow: false };
    let over = |retry_nanos| of(Weighed::Over { reading: reading(0), retry_nanos });
    let fits = of(Weighed::Fits { slot: crate::limit::Slot::default(), reading: reading(1) });
    assert_eq!(settle(&[]).code, Code::Allowed);
    assert_eq!(settle(&[fits]).code, Code::Allowed);
    assert_eq!(settle(&[over(Some(3)), fits, over(Some(7))]).retry_nanos, Some(7));
    assert_eq!(settle(&[over(None), over(Some(7))]).retry_nanos, None);
    assert_eq!(settle(&[over(Some(7)), over(None)]).retry_nanos, None);
    let tried_out = Weight { shadow: true, ..over(Some(9)) };
    let told = Decision { code: Code::Allowed, retry_nanos: None, shadow: true };
    assert_eq!(settle(&[tried_out, fits]), told, "what is tried out refuses nothing");
    assert_eq!(settle(&[tried_out, over(Some(7))]).retry_nanos, Some(7));
}

/// A pattern that allows reading alone.
fn reading(shadow: bool) -> Arc<Pattern> {
    let filter = format!(r#"{{"allow":[{{"methods":["GET"]}}],"shadow":{shadow}}}"#);
    Arc::new(Pattern {
        id: crate::id::PatternId::from_entropy([1; 16]),
        name: "reading".parse().unwrap(),
        filter: serde_json::from_str(&filter).unwrap(),
    })
}

#[test]
fn every_pattern_that_is_in_force_must_let_a_call_pass() {
    use crate::method::Method;
    for (patterns, method, expected) in [
        (&[][..], Some(Method::Post), Code::Allowed),
        (&[reading(false)], Some(Method::Get), Code::Allowed),
        (&[reading(false)], Some(Method::Post), Code::PatternForbidden),
        (&[reading(false)], None, Code::PatternForbidden),
        (&[reading(true)], Some(Method::Post), Code::Allowed),
        (&[reading(true), reading(false)], Some(Method::Post), Code::PatternForbidden),
        (&[reading(false), reading(true)], Some(Method::Get), Code::Allowed),
    ] {
        let patterns: &'static [Arc<Pattern>] = patterns.to_vec().leak();
        for (target, kind) in [(API, KeyKind::Secret), (Target::KeyAlone, KeyKind::Secret)] {
            let asked = code(|key, of, facts| {
                (key.patterns, key.kind, *of, facts.method) = (patterns, kind, target, method);
            });
            assert_eq!(asked, expected, "{patterns:?} {method:?} {target:?}");
        }
        let asked = code(|key, of, facts| {
            (key.patterns, key.kind, *of, facts.method) = (patterns, KeyKind::Management, Target::Management, method);
        });
        assert_eq!(asked, Code::Allowed, "nobody is shut out of the management API by them");
    }
}

#[test]
fn a_pattern_in_shadow_is_told_and_refuses_nothing() {
    use crate::method::Method;
    let policy = Policy::default();
    let patterns = [reading(true)];
    let key = Key { patterns: &patterns, ..key(&policy) };
    let facts = |method| Facts { method, ..Facts::at(Moment { wall: NOW, ticks: Ticks::from_nanos(1) }) };
    assert_eq!(admit(&key, API, &facts(Some(Method::Get))).unwrap(), Rules::NONE);
    let management = Key { kind: KeyKind::Management, ..key };
    let told = admit(&management, Target::Management, &facts(Some(Method::Post))).unwrap();
    assert_eq!(told, Rules::NONE, "requests to the management API are none of its business");
    let told = admit(&key, API, &facts(Some(Method::Post))).unwrap();
    assert_eq!(told.iter().collect::<Vec<_>>(), [Rule::Patterns]);
    let patterns = [reading(false)];
    let key = Key { patterns: &patterns, ..key };
    assert_eq!(admit(&key, API, &facts(Some(Method::Get))).unwrap(), Rules::NONE);
}

#[test]
fn how_far_an_activation_has_come_is_written_as_it_is_read() {
    use ActivationState::{Approved, Refused, Requested, Suspended};
    for (state, word) in
        [(Requested, "requested"), (Approved, "approved"), (Suspended, "suspended"), (Refused, "refused")]
    {
        assert_eq!((state.as_str(), word.parse()), (word, Ok(state)));
    }
    assert!("activated".parse::<ActivationState>().is_err());
}

#[test]
fn an_api_that_is_off_takes_no_keys_and_one_that_is_on_takes_the_bodies_that_it_names() {
    use std::borrow::Cow;

    use crate::content::{Content, Sent};

    #[derive(Debug)]
    struct Body(&'static str);

    impl Content for Body {
        fn sent(&self) -> Sent<'_> {
            Sent::Body { content_type: Some(self.0.as_bytes().into()), bytes: Some(1) }
        }

        fn accept(&self) -> Option<Cow<'_, [u8]>> {
            None
        }
    }

    for (is_on, expected) in [(true, Code::Allowed), (false, Code::ApiInactive)] {
        let asked = code(|_, target, _| {
            let Target::Api { active, .. } = target else { return };
            *active = is_on;
        });
        assert_eq!(asked, expected);
    }
    let json: &'static MediaTypes = Box::leak(Box::new(serde_json::from_str(r#"["application/json"]"#).unwrap()));
    for (body, expected) in
        [(&Body("application/json"), Code::Allowed), (&Body("text/plain"), Code::MediaTypeUnsupported)]
    {
        let asked = code(|_, target, facts| {
            facts.content = Some(body);
            let Target::Api { request_types, .. } = target else { return };
            *request_types = Some(json);
        });
        assert_eq!(asked, expected, "{body:?}");
    }
}
