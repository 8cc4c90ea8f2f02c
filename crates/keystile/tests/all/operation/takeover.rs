//! Keys that another system kept as hashes: taken over without their texts, and good at both doors from the first call on.

use keystile_testkit::raw::Answer;
use keystile_testkit::{Installation, eventually};
use serde_json::{Value, json};

use super::form::problem;
use super::process::{end, keystile, run, run_with};
use super::world::{BINARY, Caller, World, shared};

/// Texts, and hashes that other programs made of them (Python's bcrypt and argon2-cffi). Each is one test's.
const BCRYPT: [(&str, &str); 6] = [
    ("legacy1_WKbsDE5kGZoDiPCFdcERFmdD5nHQrroD", "$2b$06$hC.RlcIM7YaTHBb5fjP5SenOpanZ8rYi/uujhZUrMa5l3puttb7t6"),
    ("legacy2_nobDQCm7JUcKkHnVm5uMGonrNZGmwEnD", "$2a$06$DvZnsATnMfHXc6rZRQxxsuoJ67.uMxu8dXW7AUGAXtEvE74mccQjy"),
    ("legacy3_qPhukd2WfofZVR3Mv2RFnVjh9XxeUpEH", "$2y$06$zl6/6w7Zs3BMeA3Xu6pTpOlo972kf9.FNVBLYiK7JFFStndr0X.au"),
    ("legacy4_icLzXKhcCtEzmn395WXvYpho4fE6FTgv", "$2b$06$E2odULBxo2qUIPmgdCpFluQ6twgGKBY6y.MjXSMKoWShErdX5RFWy"),
    ("legacy5_tEDxvVsnu5eUwa9tYBfYLqHhDP2UJyRb", "$2b$06$ardfeT/ORmic01EpLnyE8O6IWwlQX48wiE6DgbEMj.ZbGsgPja7ae"),
    ("legacy6_b8hFLebmT9J5d8mTwcYu9aQKFMKQtQAh", "$2b$06$6mzlvVPfuCM9KvudByzEduZMeJNidoplJn1ESahtyiRnXYnDY69.u"),
];
const ARGON2: [(&str, &str); 4] = [
    (
        "argonid_6oMSUAKckZqnWJv7iqsuyDf828u4mbbb",
        "$argon2id$v=19$m=1024,t=2,p=2$fpZHR7FuQnvY7QJwIZQ04g$zQlwYCGM0MxpMEy0Ls/zr8hQ5eFdXAdN3kdTsqonPpk",
    ),
    (
        "argon-i_bGgrbDNEPeLHXpDGAnKkGZqBE8PqaKrS",
        "$argon2i$v=19$m=1024,t=2,p=2$fDMgYR7W7mKbty3HujO2hA$LNsQTaC7/FzyZOg4VavjSezZUdgPFDafxbIoZo204bQ",
    ),
    (
        "argon-d_YpZgHH7hfggVFKGyXySg6vLjBPjZKvkB",
        "$argon2d$v=19$m=1024,t=2,p=2$jnLwns45fHa7QfYOncBGKA$zJ9eUtURFINmUi0mrQFcSif3R71EDTmu+gvkLZVxBFo",
    ),
    (
        "argon-z_zjVs8Fv7SjZLY2Qkk2iXrQq43z7N4R5b",
        "$argon2id$v=19$m=1024,t=2,p=2$Eiabsp//qlUA7xzkwt2iHA$mBHnj90eveaPFVX4JaFaPmjXCS+2xYXkXY+9rnzg3JE",
    ),
];
/// One that takes its time.
const DEAR: &str = "$2b$10$BCMbrIo7lOtG32Juzx0Qi.tqnqeYnqiYadqgYMo0cwu4nmhXLNJXm";
/// The first example of the documentation of `prefixed-api-key`, and the SHA-256 of its long token.
const TOKENS: (&str, &str) =
    ("mycompany_BRTRKFsL_51FwqftsmMDHHbJAMEXXHCgG", "d70d981d87b449c107327c2a2afbf00d4b58070d6ba571aac35d7ea3e7c79f37");

fn line((text, hash): (&str, &str)) -> Value {
    json!({ "hash": hash, "lookup": &text[..8], "name": &text[..7] })
}

fn post(world: &World, query: &str, lines: &[Value]) -> Answer {
    post_as(world, query, lines, &[])
}

fn post_as(world: &World, query: &str, lines: &[Value], fields: &[(&str, &str)]) -> Answer {
    let body: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let fields = [&[("content-type", "application/x-ndjson")], fields].concat();
    world.manage().request("POST", &format!("/v1/keys/import?{query}"), &fields, body.as_bytes())
}

/// Takes these lines over for the caller's project; what became of them.
fn import(world: &World, caller: &Caller, more: &str, lines: &[Value]) -> Value {
    let answer = post(world, &format!("project_id={}{more}", caller.project), lines);
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

fn reasons(report: &Value) -> Vec<&str> {
    report["refused"].as_array().unwrap().iter().map(|line| line["reason"].as_str().unwrap()).collect()
}

fn asked(world: &World, caller: &Caller, text: &str) -> Value {
    world.verify(&json!({ "key": text, "api": caller.api })).json()
}

/// Waits until the text is known by its digest: then it would be a duplicate.
fn eventually_kept(world: &World, caller: &Caller, text: &str) {
    eventually("the key is kept under the digest of its text", || {
        let report = import(world, caller, "&dry_run=true", &[json!({ "key": text })]);
        reasons(&report) == ["duplicate"]
    });
}

/// The installation that a test has to itself.
struct Kept {
    _folder: tempfile::TempDir,
    data: String,
    owner: Option<String>,
}

impl Kept {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data").to_str().unwrap().to_owned();
        Self { _folder: folder, data, owner: None }
    }

    fn start(&mut self) -> World {
        let world = World::of(Installation::start(BINARY, &["--data", &self.data]), self.owner.as_deref());
        self.owner = Some(world.management_key().to_owned());
        world
    }
}

#[test]
fn keys_under_slow_hashes_go_on_at_both_doors_and_are_ordinary_keys_from_then_on() {
    let world = shared();
    let caller = world.caller(&json!({}));
    let keys = [BCRYPT[0], BCRYPT[1], BCRYPT[2], ARGON2[0], ARGON2[1], ARGON2[2]];
    let lines: Vec<Value> = keys.iter().map(|key| line(*key)).collect();
    let policy = "&policy=%7B%22rate_limits%22%3A%5B%7B%22name%22%3A%22few%22%2C%22limit%22%3A5%2C%22window_seconds%22%3A3600%7D%5D%7D";
    let report = import(world, &caller, policy, &lines);
    assert_eq!((&report["imported"], &report["unchecked"]), (&json!(6), &json!(6)), "{report}");
    assert_eq!(report["classes"], json!({ "bcrypt": 3, "argon2": 3 }));
    for (place, (text, _)) in keys.iter().enumerate() {
        // Each door is the first one for half of them.
        let first = if place % 2 == 0 {
            world.call(text, "GET", &caller.path).status == 200
        } else {
            asked(world, &caller, text)["allowed"] == json!(true)
        };
        assert!(first, "{text}");
        eventually_kept(world, &caller, text);
        // What was counted before goes on: five calls in all.
        let codes: Vec<u16> = (0..5).map(|_| world.call(text, "GET", &caller.path).status).collect();
        assert_eq!(codes, [200, 200, 200, 200, 429], "{text}");
        let known = asked(world, &caller, text);
        let key = world.manage().get(&format!("/v1/keys/{}", known["key_id"].as_str().unwrap())).1;
        assert_eq!((&key["name"], &key["hint"]), (&json!(&text[..7]), &json!(format!("{}••••", &text[..8]))));
        assert_eq!((&key["version"], &key["created_at"]), (&json!(1), &key["updated_at"]), "nobody changed it: {key}");
    }
    let again = import(world, &caller, "", &lines);
    assert_eq!((&again["imported"], reasons(&again)), (&json!(0), vec!["duplicate"; 6]), "harmless: {again}");
}

#[test]
fn k08_a_wrong_text_with_a_good_beginning_looks_like_any_unknown_key_and_stops_nobody() {
    let world = shared();
    let caller = world.caller(&json!({}));
    assert_eq!(import(world, &caller, "", &[line(BCRYPT[3])])["imported"], 1);
    let unknown = world.call("nobody_has_such_a_key_0123456789", "GET", &caller.path);
    problem(&unknown, 401, "key_unknown");
    for n in 0..60 {
        let wrong = world.call(&format!("{}{n:018}", &BCRYPT[3].0[..8]), "GET", &caller.path);
        problem(&wrong, 401, "key_unknown");
        let mut bodies = [unknown.json(), wrong.json()];
        bodies.iter_mut().for_each(|body| body["request_id"] = Value::Null);
        assert_eq!(bodies[0], bodies[1]);
        assert_eq!(world.call(&caller.key, "GET", &caller.path).status, 200);
    }
    for hash in [BCRYPT[3].1, &BCRYPT[3].0[..8]] {
        assert_eq!(
            world.call(hash, "GET", &caller.path).status,
            401,
            "k05: neither its hash nor its beginning is a key"
        );
    }
}

#[test]
fn r09_more_slow_hashes_than_can_be_verified_hold_up_nobody_else() {
    let mut kept = Kept::new();
    let world = kept.start();
    let caller = world.caller(&json!({}));
    let lookups: Vec<String> = (0..6).map(|n| format!("begin_{n}_")).collect();
    let lines: Vec<Value> = lookups.iter().map(|lookup| json!({ "hash": DEAR, "lookup": lookup })).collect();
    assert_eq!(import(&world, &caller, "", &lines)["imported"], 6);
    let (world, caller) = (&world, &caller);
    let present = |n: usize| {
        let text = format!("{}{n:020}", lookups[n % 6]);
        if n.is_multiple_of(2) {
            world.call(&text, "GET", &caller.path)
        } else {
            world.verify(&json!({ "key": text, "api": caller.api }))
        }
    };
    let answers: Vec<Answer> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..150)
            .map(|n| {
                scope.spawn({
                    let present = &present;
                    move || present(n)
                })
            })
            .collect();
        for _ in 0..20 {
            assert_eq!(world.call(&caller.key, "GET", &caller.path).status, 200);
        }
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let mut overloaded = [0, 0];
    for (n, answer) in answers.iter().enumerate() {
        if answer.status == 503 {
            problem(answer, 503, "overloaded");
            assert!(answer.field("retry-after").is_some(), "{}", answer.text());
            overloaded[n % 2] += 1;
        } else {
            assert_eq!(answer.code(), "key_unknown", "{}", answer.text());
        }
    }
    assert!(overloaded.iter().all(|count| *count > 0), "{overloaded:?}");
}

#[test]
fn keys_under_slow_hashes_outlive_restarts_before_and_after_their_first_use() {
    let mut kept = Kept::new();
    let mut world = kept.start();
    let caller = world.caller(&json!({}));
    import(&world, &caller, "", &[line(BCRYPT[0]), line(BCRYPT[1]), line(BCRYPT[2]), line(ARGON2[0])]);
    assert_eq!(asked(&world, &caller, BCRYPT[0].0)["code"], "allowed");
    eventually_kept(&world, &caller, BCRYPT[0].0);
    for remove_snapshot in [false, true] {
        assert!(end(&mut world.installation).0.success());
        if remove_snapshot {
            std::fs::remove_file(format!("{}/snapshot.keys", kept.data)).unwrap();
        }
        world = kept.start();
        let fresh = if remove_snapshot { BCRYPT[2].0 } else { BCRYPT[1].0 };
        for text in [BCRYPT[0].0, fresh] {
            assert_eq!(asked(&world, &caller, text)["code"], "allowed", "{text}");
        }
        eventually_kept(&world, &caller, fresh);
    }
    // It is not told to read the key again, although it is being written down at this moment. What is done to a key reaches whoever was let through by its slow hash, whether it was written down or not.
    let known = asked(&world, &caller, ARGON2[0].0);
    let id = known["key_id"].as_str().unwrap();
    assert_eq!(world.manage().post(&format!("/v1/keys/{id}/revoke"), &json!({})).0, 200);
    assert_eq!(asked(&world, &caller, ARGON2[0].0)["code"], "key_revoked");
    problem(&world.call(ARGON2[0].0, "GET", &caller.path), 401, "key_revoked");
}

#[test]
fn k10_a_key_that_is_rotated_before_its_first_use_is_good_with_its_old_text_for_the_overlap() {
    let mut kept = Kept::new();
    let mut world = kept.start();
    let caller = world.caller(&json!({}));
    import(&world, &caller, "", &[line(BCRYPT[4]), line(BCRYPT[5])]);
    let listed = world.manage().get(&format!("/v1/keys?project_id={}", caller.project)).1;
    let id_of = |name: &str| {
        let items = listed["items"].as_array().unwrap();
        items.iter().find(|key| key["name"] == name).unwrap()["id"].as_str().unwrap().to_owned()
    };
    let rotate = |world: &World, id: &str, overlap: u32| {
        let (status, key) =
            world.manage().post(&format!("/v1/keys/{id}/rotate"), &json!({ "overlap_seconds": overlap }));
        assert_eq!(status, 200, "{key}");
        key["key"].as_str().unwrap().to_owned()
    };
    let (one, other) = (id_of("legacy5"), id_of("legacy6"));
    let (fresh, at_once) = (rotate(&world, &one, 3_600), rotate(&world, &other, 0));
    for text in [&fresh, BCRYPT[4].0, &at_once] {
        assert_eq!(asked(&world, &caller, text)["code"], "allowed", "{text}");
    }
    assert_eq!(asked(&world, &caller, BCRYPT[4].0)["key_id"], one.as_str());
    assert_eq!(asked(&world, &caller, BCRYPT[5].0)["code"], "key_expired", "without an overlap it ended");
    eventually_kept(&world, &caller, BCRYPT[4].0);
    // The end of the former version can be moved as ever, and holds after a restart too.
    let end_version = format!("/v1/keys/{one}/versions/1/end");
    assert_eq!(asked(&world, &caller, BCRYPT[4].0)["code"], "allowed");
    assert_eq!(world.manage().post(&end_version, &json!({})).0, 200);
    assert_eq!(asked(&world, &caller, BCRYPT[4].0)["code"], "key_expired");
    assert!(end(&mut world.installation).0.success());
    let world = kept.start();
    assert_eq!(
        [BCRYPT[4].0, &fresh].map(|text| asked(&world, &caller, text)["code"].clone()),
        ["key_expired", "allowed"]
    );
}

#[test]
fn k07_a_text_that_could_be_guessed_is_refused_or_kept_under_argon2id_for_good() {
    let mut kept = Kept::new();
    let mut world = kept.start();
    let caller = world.caller(&json!({}));
    let (weak, none) = ("guess-me-if-you-can", "1111111111111111");
    let lines = [json!({ "key": weak, "name": "weak" }), json!({ "key": none }), json!({ "key": weak })];
    let refused = import(&world, &caller, "", &lines);
    assert_eq!(reasons(&refused), ["weak", "weak", "weak"], "{refused}");
    assert!(refused["refused"][0]["detail"].as_str().unwrap().contains("weak=argon2id"), "{refused}");
    problem(&post(&world, &format!("project_id={}&weak=md5", caller.project), &lines), 400, "invalid");
    let report = import(&world, &caller, "&weak=argon2id", &lines);
    assert_eq!((&report["imported"], reasons(&report)), (&json!(1), vec!["weak", "duplicate"]), "{report}");
    assert_eq!((&report["classes"], &report["unchecked"]), (&json!({ "argon2id": 1 }), &json!(0)));
    for _ in 0..3 {
        assert_eq!(world.call(weak, "GET", &caller.path).status, 200);
        assert_eq!(asked(&world, &caller, weak)["code"], "allowed");
    }
    assert!(end(&mut world.installation).0.success());
    let world = kept.start();
    assert_eq!(asked(&world, &caller, weak)["code"], "allowed");
    assert_eq!(reasons(&import(&world, &caller, "&weak=argon2id", &lines[..1])), ["duplicate"]);
    // The same text without the option is still looked at as one that could be guessed: no digest of it is kept.
    assert_eq!(reasons(&import(&world, &caller, "&dry_run=true", &lines[..1])), ["weak"]);
}

#[test]
fn a_prefixed_key_goes_on_by_its_short_token_and_the_hash_of_its_long_one() {
    let world = shared();
    let caller = world.caller(&json!({}));
    let lines = [
        json!({ "short_token": "mycompany_BRTRKFsL", "long_token_hash": TOKENS.1, "name": "tokens" }),
        json!({ "short_token": "Xs3vGTLa", "long_token_hash": TOKENS.1 }),
        json!({ "short_token": "mycompany_BRTRKFsL", "long_token_hash": TOKENS.1.to_uppercase() }),
        json!({ "short_token": "mycompany_BRTRKFsL" }),
    ];
    let report = import(world, &caller, "", &lines);
    assert_eq!((&report["imported"], reasons(&report)), (&json!(2), vec!["duplicate", "invalid"]), "{report}");
    assert_eq!((&report["classes"], &report["unchecked"]), (&json!({ "prefixed": 2 }), &json!(2)));
    let any = TOKENS.0.replace("mycompany_BRTRKFsL", "whatever_Xs3vGTLa");
    for text in [TOKENS.0, &any] {
        assert_eq!(world.call(text, "GET", &caller.path).status, 200, "{text}");
        assert_eq!(asked(world, &caller, text)["code"], "allowed");
    }
    let wrong =
        [TOKENS.0.replace("mycompany", "another"), TOKENS.0.replace("HCgG", "HCgH"), format!("a_b_{}", TOKENS.1)];
    for text in wrong {
        problem(&world.call(&text, "GET", &caller.path), 401, "key_unknown");
    }
}

#[test]
fn a_trial_says_what_an_import_would_and_changes_nothing() {
    let world = shared();
    let caller = world.caller(&json!({}));
    let good = "dry_run_0f5b1c1e8f5e4a549a493a8d1cf2a117Zz";
    let lines = [
        json!({ "key": good }),
        json!({ "key": good }),
        json!({ "key": caller.key }),
        json!({ "key": "0f5b1c1e-8f5e-11ee-9a49-3a8d1cf2a117" }),
        json!({ "hash": BCRYPT[0].1 }),
        json!({ "hash": "$2b$15$5Md14Pz9UHzC7G7qh1xjxu0b9v9uStnApABlxabVa.54JVplFFV.6", "lookup": "legacy" }),
        json!({ "hash": "$pbkdf2$x", "lookup": "legacy" }),
    ];
    let expected = ["duplicate", "duplicate", "weak", "no_lookup", "too_dear", "unsupported"];
    for _ in 0..2 {
        let trial = import(world, &caller, "&dry_run=true", &lines);
        assert_eq!((&trial["imported"], &trial["dry_run"]), (&json!(1), &json!(true)), "{trial}");
        assert_eq!(reasons(&trial), expected, "{trial}");
        assert_eq!(trial["reasons"]["duplicate"], 2);
    }
    problem(&world.call(good, "GET", &caller.path), 401, "key_unknown");
    let real = import(world, &caller, "", &lines);
    assert_eq!((&real["imported"], reasons(&real)), (&json!(1), expected.to_vec()), "{real}");
    problem(&post(world, "project_id=prj_2Zk9mQ4tR7vX1bN6cL8dF3&dry_run=true", &lines), 404, "not_found");
}

#[test]
fn an_import_that_is_sent_again_is_answered_as_the_first_time() {
    let world = shared();
    let caller = world.caller(&json!({}));
    let key = |n: u32| json!({ "key": format!("sent_again_0f5b1c1e8f5e4a549a493a8d1cf2{n:04}") });
    let query = format!("project_id={}", caller.project);
    assert_eq!(import(world, &caller, "", &[key(1)])["imported"], 1);
    let lines = [key(1), key(2), key(3)];
    let once = [("idempotency-key", "import-1")];
    let strip = |answer: Answer| {
        let report = answer.json();
        (report["imported"].clone(), report["refused"].clone(), report["classes"].clone())
    };
    let first = strip(post_as(world, &query, &lines, &once));
    assert_eq!(first.0, 2);
    assert_eq!(strip(post_as(world, &query, &lines, &once)), first, "neither lost nor doubled");
    assert_eq!(strip(post_as(world, &query, &lines, &[])).0, 0, "another request finds them there");
    problem(&post_as(world, &query, &lines[..2], &once), 409, "conflict");
}

#[test]
fn k04_an_export_has_every_key_and_nothing_that_one_could_be_found_out_from() {
    let world = shared();
    let caller = world.caller(&json!({ "permissions": ["pets.read"] }));
    let many: Vec<Value> =
        (0..1_205).map(|n| json!({ "key": format!("exported_{n:032}Zz{n:04}"), "name": format!("=n{n}") })).collect();
    assert_eq!(import(world, &caller, "&weak=argon2id", &many[..0])["imported"], 0);
    let many: Vec<Value> = many
        .iter()
        .enumerate()
        .map(|(n, line)| json!({ "sha256": format!("{n:064x}"), "name": line["name"] }))
        .collect();
    assert_eq!(import(world, &caller, "", &many)["imported"], 1_205);
    let hash = BCRYPT[4].1;
    assert_eq!(import(world, &caller, "", &[line(BCRYPT[4])])["imported"], 1);
    let answer = world.manage().request("GET", &format!("/v1/keys/export?project_id={}", caller.project), &[], b"");
    assert_eq!((answer.status, answer.field("content-type")), (200, Some("application/x-ndjson")));
    let text = answer.text();
    let keys: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(keys.len(), 1_207);
    let ids: std::collections::HashSet<&str> = keys.iter().map(|key| key["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 1_207, "each once");
    let shown = world.manage().get(&format!("/v1/keys/{}", caller.id)).1;
    assert!(keys.contains(&shown), "as it is shown elsewhere");
    for secret in [&caller.key, hash, "$2b$", "digest", &format!("{:064x}", 7), "pepper"] {
        assert!(!text.contains(secret), "{secret}");
    }
    let is_hash = |word: &str| {
        word.len() >= 43 && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/-_=".contains(&byte))
    };
    assert!(!text.split('"').any(is_hash), "something like a digest");
    let manage = world.manage();
    problem(&manage.request("GET", "/v1/keys/export?limit=5", &[], b""), 400, "invalid");
    let other = world.management_key_for(&["apis.read"]);
    problem(&world.manage_as(&other).request("GET", "/v1/keys/export", &[], b""), 403, "permission_missing");

    let mut command =
        keystile(&["key", "export", "--project", &caller.project, "--state", "active", "--format", "csv"]);
    command.env("KEYSTILE_URL", world.admin_url()).env("KEYSTILE_MANAGEMENT_KEY", world.management_key());
    let ended = run(&mut command);
    assert_eq!((ended.code, ended.out.lines().count()), (0, 1 + 1_207), "{}", ended.err);
    assert!(ended.out.starts_with("id,project_id,name,"), "{}", &ended.out[..80]);
    assert!(ended.out.contains(",'=n7,"), "no spreadsheet takes a name for a formula");
}

#[test]
fn the_command_tries_first_and_takes_over_tables_of_hashes() {
    let world = shared();
    let caller = world.caller(&json!({}));
    let table = format!("name;hash;lookup\none;{};argon-z_\ntwo;{};\n", ARGON2[3].1, BCRYPT[5].1);
    let import = |options: &[&str]| {
        let args = [&["key", "import", "--project", &caller.project, "-", "--json"], options].concat();
        let mut command = keystile(&args);
        command.env("KEYSTILE_URL", world.admin_url()).env("KEYSTILE_MANAGEMENT_KEY", world.management_key());
        let ended = run_with(&mut command, table.as_bytes());
        let report: Value = serde_json::from_str(&ended.out).unwrap_or_else(|_| panic!("{ended:?}"));
        assert_eq!((ended.code, &report["refused"][0]["reason"]), (3, &json!("no_lookup")), "{report}");
        report
    };
    let trial = import(&["--dry-run"]);
    assert_eq!((&trial["imported"], &trial["dry_run"], &trial["unchecked"]), (&json!(1), &json!(true), &json!(1)));
    let real = import(&[]);
    assert_eq!((&real["imported"], &real["reasons"]), (&json!(1), &json!({ "no_lookup": 1 })), "{real}");
    assert_eq!(world.call(ARGON2[3].0, "GET", &caller.path).status, 200);
}
