//! Promises of the command line, against a scripted server (`stub`).

mod stub;

use clap::{CommandFactory, Parser};
use keystile_core::id::{ApiId, KeyId, ProjectId};
use serde_json::{Value, json};

use super::*;
use stub::{Closed, MANAGEMENT_KEY, Main};

pub(super) use stub::{Ran, Run, Seen, Stub};

const KEY_TEXT: &str = "ks_live_TextOfTheKeyThatWasMadeKSTL111111";

fn project() -> String {
    ProjectId::from_entropy([1; 16]).to_string()
}

fn api() -> String {
    ApiId::from_entropy([2; 16]).to_string()
}

fn key() -> String {
    KeyId::from_entropy([3; 16]).to_string()
}

fn items(items: &[Value]) -> (u16, String) {
    (200, json!({ "items": items }).to_string())
}

#[test]
fn the_command_line_is_well_formed() {
    Main::command().debug_assert();
}

#[test]
fn there_is_no_option_for_a_secret() {
    fn walk(command: &clap::Command, names: &mut Vec<String>) {
        names.extend(command.get_arguments().filter_map(|arg| arg.get_long()).map(str::to_owned));
        command.get_subcommands().for_each(|command| walk(command, names));
    }
    let mut names = Vec::new();
    walk(&Main::command(), &mut names);
    for name in names {
        assert!(!["management-key", "secret", "token", "password"].contains(&name.as_str()), "--{name}");
    }
}

#[test]
fn the_exit_code_says_what_kind_of_failure_it_was() {
    for (status, exit) in [
        (400, Exit::Usage),
        (401, Exit::Authentication),
        (403, Exit::Permission),
        (404, Exit::NotFound),
        (409, Exit::Conflict),
        (413, Exit::Failure),
        (415, Exit::Failure),
        (429, Exit::RateLimited),
        (500, Exit::Failure),
        (503, Exit::Network),
    ] {
        let problem = json!({"type": "about:blank", "title": "T", "status": status, "detail": "Because.", "code": "the_code", "request_id": "req_1"});
        let text = problem.to_string();
        let stub = Stub::new(move |_| (status, text.clone()));
        let ran = Run::at(&stub).run(&["key", "show", &key()]);
        assert_eq!((ran.exit, ran.out.as_str()), (exit, ""), "{status}");
        let lines: Vec<&str> = ran.err.lines().collect();
        assert_eq!(lines[0], format!("error: could not show the key {}", key()));
        assert_eq!(lines[1], "  why: Because. (the_code) [req_1]");
        assert!(lines.len() == 3 && lines[2].starts_with("  fix: "), "{}", ran.err);

        let ran = Run::at(&stub).run(&["key", "show", &key(), "--json"]);
        assert_eq!((ran.exit, ran.out.as_str()), (exit, ""), "{status}");
        assert_eq!(serde_json::from_str::<Value>(&ran.err).unwrap(), problem);
    }
    let stub = Stub::new(|_| (429, String::new()));
    let ran = Run::at(&stub).run(&["project", "list"]);
    assert!(ran.err.contains("try again in 7 s"), "{}", ran.err);
}

#[test]
fn a_server_that_is_not_there_or_not_ours_is_told_apart() {
    let stub = Stub::new(|_| (200, "<html>".to_owned()));
    let ran = Run::at(&stub).run(&["project", "list"]);
    assert_eq!(ran.exit, Exit::Failure);
    assert!(ran.err.contains("not one of a Keystile server"), "{}", ran.err);

    let ran = Run::at(&stub).run(&["--server", "http://127.0.0.1:1", "project", "list"]);
    assert_eq!(ran.exit, Exit::Network);
    assert!(ran.err.contains("nothing listens at http://127.0.0.1:1"), "{}", ran.err);
    let ran = Run::at(&stub).run(&["--server", "http://127.0.0.1:1", "project", "list", "--json"]);
    assert_eq!(serde_json::from_str::<Value>(&ran.err).unwrap()["code"], "unreachable");
}

#[test]
fn the_management_key_goes_to_the_named_server_and_nowhere_else() {
    let stub = Stub::new(|_| (307, String::new()));
    let ran = Run::at(&stub).run(&["project", "list"]);
    assert_eq!(ran.exit, Exit::Failure);
    assert!(ran.err.contains("which points elsewhere"), "{}", ran.err);
    let seen = stub.seen();
    assert_eq!(seen.len(), 1);
    assert!(seen[0].headers.contains(&format!("authorization: bearer {}", MANAGEMENT_KEY.to_lowercase())));
}

#[test]
fn without_a_management_key_nothing_is_sent() {
    let stub = Stub::new(|_| items(&[]));
    let mut run = Run::at(&stub);
    run.env.pop();
    let ran = run.run(&["project", "list"]);
    assert_eq!(ran.exit, Exit::Authentication);
    assert!(ran.err.contains("KEYSTILE_MANAGEMENT_KEY") && stub.seen().is_empty(), "{}", ran.err);
}

#[test]
fn a_key_file_goes_before_the_environment_and_is_never_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    let path = file.to_str().unwrap();
    let stub = Stub::new(|_| items(&[]));
    std::fs::write(&file, "ks_live_FromTheFile\n").unwrap();
    assert_eq!(Run::at(&stub).run(&["--key-file", path, "project", "list"]).exit, Exit::Ok);
    assert!(stub.seen()[0].headers.contains("authorization: bearer ks_live_fromthefile\r\n"));

    for content in ["", "two s3cr3t words", "s3cr3t\nlines", "s3cr3t\u{e9}"] {
        std::fs::write(&file, content).unwrap();
        let ran = Run::at(&stub).run(&["--key-file", path, "project", "list"]);
        assert!(ran.exit == Exit::Usage && !ran.err.contains("s3cr3t"), "{ran:?}");
    }
    std::fs::write(&file, "x".repeat(5_000)).unwrap();
    assert!(Run::at(&stub).run(&["--key-file", path, "project", "list"]).err.contains("longer than any key"));
}

#[test]
fn a_secret_does_not_show_itself() {
    let secret = Secret::new(KEY_TEXT.to_owned(), "a test").unwrap();
    let server = Server::at("http://127.0.0.1:1", Some(secret)).unwrap();
    assert!(!format!("{server:?}").contains(KEY_TEXT));
}

#[test]
fn a_list_is_joined_from_its_pages() {
    let page = |seen: &Seen| {
        let item = |n: u32| json!({"id": format!("prj_{n}"), "name": format!("P{n}"), "environment": "live", "created_at": "2027-01-07T00:00:00Z"});
        if seen.target.contains("cursor=a%2Fb") {
            items(&[item(3)])
        } else {
            (200, json!({"items": [item(1), item(2)], "next_cursor": "a/b"}).to_string())
        }
    };
    let stub = Stub::new(page);
    let ran = Run::at(&stub).run(&["project", "list", "--json"]);
    let joined: Value = serde_json::from_str(&ran.out).unwrap();
    let ids: Vec<&str> = joined["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["prj_1", "prj_2", "prj_3"]);
    assert_eq!(stub.lines(), ["GET /v1/projects?limit=200", "GET /v1/projects?limit=200&cursor=a%2Fb"]);
    assert_eq!(stub.connections(), 1, "one connection is kept");

    assert_eq!(Run::at(&stub).run(&["project", "list", "-q"]).out, "prj_1\nprj_2\nprj_3\n");
    let table = Run::at(&stub).run(&["project", "list"]).out;
    assert_eq!(
        table,
        "ID     NAME  ENVIRONMENT  STATE  LABELS  CONTACT  CREATED\n\
         prj_1  P1    live         -      -       -        24 hours ago\n\
         prj_2  P2    live         -      -       -        24 hours ago\n\
         prj_3  P3    live         -      -       -        24 hours ago\n"
    );
    Run::at(&stub).run(&["project", "list", "--limit", "2"]);
    assert_eq!(stub.lines().last().unwrap(), "GET /v1/projects?limit=2");
}

#[test]
fn an_empty_list_is_json_too_and_a_refused_one_prints_nothing() {
    let stub = Stub::new(|_| items(&[]));
    assert_eq!(Run::at(&stub).run(&["key", "list", "--json"]).out, "{\"items\":[]}\n");
    let turns = |seen: &Seen| match seen.target.split_once("cursor=").map(|(_, cursor)| cursor) {
        None => (200, json!({"items": [], "next_cursor": "1"}).to_string()),
        Some("1") => (200, json!({"items": [1, 2], "next_cursor": "2"}).to_string()),
        Some(_) => items(&[]),
    };
    assert_eq!(Run::at(&Stub::new(turns)).run(&["key", "list", "--json"]).out, "{\"items\":[1,\n2]}\n");
    let ran = Run::at(&stub).run(&["key", "list"]);
    assert_eq!((ran.out.as_str(), ran.err.as_str()), ("", "no keys here\n"));
    let stub = Stub::new(|_| (401, String::new()));
    let ran = Run::at(&stub).run(&["key", "list", "--json"]);
    assert_eq!((ran.exit, ran.out.as_str()), (Exit::Authentication, ""));
}

#[test]
fn a_reader_who_left_ends_a_list_without_a_failure() {
    let stub = Stub::new(|_| (200, json!({"items": [{"id": "prj_1"}], "next_cursor": "more"}).to_string()));
    let mut run = Run::at(&stub);
    run.out = Some(Box::new(Closed));
    assert_eq!(run.run(&["project", "list"]).exit, Exit::Ok);
    assert_eq!(stub.seen().len(), 1);
}

#[test]
fn names_stand_for_ids_where_they_are_unambiguous() {
    let named =
        |seen: &Seen| match seen.target.split_once("name=").map(|(_, rest)| rest.split('&').next().unwrap_or_default())
        {
            Some("Twin") => items(&[
                json!({"id": ProjectId::from_entropy([8; 16]).to_string(), "name": "Twin"}),
                json!({"id": ProjectId::from_entropy([9; 16]).to_string(), "name": "Twin"}),
            ]),
            Some("Weather+app" | "Weather%20app") => items(&[json!({"id": project(), "name": "Weather app"})]),
            Some(_) => items(&[]),
            None => (200, json!({"id": project(), "name": "Weather app"}).to_string()),
        };
    let stub = Stub::new(named);
    assert_eq!(Run::at(&stub).run(&["project", "show", "Weather app"]).exit, Exit::Ok);
    assert_eq!(stub.lines()[1], format!("GET /v1/projects/{}", project()));

    let ran = Run::at(&stub).run(&["project", "show", "Twin"]);
    assert_eq!(ran.exit, Exit::Usage);
    assert!(ran.err.contains("2 projects have this name") && ran.err.contains("prj_"), "{}", ran.err);
    let ran = Run::at(&stub).run(&["project", "show", "weather app"]);
    assert_eq!(ran.exit, Exit::NotFound);

    let before = stub.seen().len();
    Run::at(&stub).run(&["project", "show", &project()]);
    assert_eq!(stub.seen().len(), before + 1, "an id needs no look-up");
}

fn made() -> Value {
    json!({"id": key(), "project_id": project(), "name": "N", "state": "active", "expires_at": "2027-04-08T00:00:00Z", "key": KEY_TEXT})
}

#[test]
fn a_new_key_stands_alone_on_standard_output() {
    let stub = Stub::new(|_| (201, made().to_string()));
    let args = ["key", "create", "--project", &project(), "--name", "N"];
    let ran = Run::at(&stub).run(&args);
    assert_eq!((ran.exit, ran.out.as_str()), (Exit::Ok, format!("{KEY_TEXT}\n").as_str()));
    assert!(!ran.err.contains(KEY_TEXT) && ran.err.contains(&key()), "{}", ran.err);
    assert!(ran.err.contains("in 90 days") && ran.err.contains("curl -H"), "{}", ran.err);
    assert_eq!(stub.seen()[0].json(), json!({"project_id": project(), "name": "N"}));

    let ran = Run::at(&stub).run(&[&args[..], &["-q"]].concat());
    assert_eq!((ran.out, ran.err), (format!("{KEY_TEXT}\n"), String::new()));
    let ran = Run::at(&stub).run(&[&args[..], &["--json"]].concat());
    assert_eq!((serde_json::from_str::<Value>(&ran.out).unwrap(), ran.err), (made(), String::new()));
}

#[test]
fn a_new_key_that_nobody_could_read_is_said_to_be_lost() {
    let stub = Stub::new(|_| (201, made().to_string()));
    let mut run = Run::at(&stub);
    run.out = Some(Box::new(Closed));
    let ran = run.run(&["key", "create", "--project", &project(), "--name", "N"]);
    assert_eq!(ran.exit, Exit::Failure);
    assert!(ran.err.contains(&format!("keystile key revoke {}", key())) && !ran.err.contains(KEY_TEXT), "{}", ran.err);
}

#[test]
fn options_of_a_key_become_its_policy() {
    let stub = Stub::new(|_| (201, made().to_string()));
    let project = project();
    let start = ["key", "create", "--project", &project, "--name", "N"];
    let policy = [
        "--permission",
        "pets.read",
        "--permission",
        "pets.write",
        "--network",
        "10.0.0.0/8",
        "--deny-network",
        "10.1.0.0/16",
        "--method",
        "get",
        "--path",
        "/pets/**",
        "--rate-limit",
        "100/min",
        "--rate-limit",
        "bucket:b=5/1s,burst=9",
        "--kind",
        "management",
        "--prefix",
        "acme",
        "--never-expires",
    ];
    assert_eq!(Run::at(&stub).run(&[&start[..], &policy].concat()).exit, Exit::Ok);
    assert_eq!(
        stub.seen()[0].json(),
        json!({
            "project_id": project, "name": "N", "kind": "management", "prefix": "acme", "expires_at": null,
            "permissions": ["pets.read", "pets.write"],
            "restrictions": {
                "networks": {"allow": ["10.0.0.0/8"], "deny": ["10.1.0.0/16"]}, "methods": ["GET"], "paths": ["/pets/**"],
            },
            "rate_limits": [
                {"name": "minute", "limit": 100, "window_seconds": 60, "algorithm": "sliding_window"},
                {"name": "b", "limit": 5, "window_seconds": 1, "algorithm": "token_bucket", "burst": 9},
            ],
        })
    );
    for wrong in [["--permission", "a b"], ["--network", "10.0.0.0/40"], ["--method", "CONNECT"], ["--path", "pets"]] {
        let ran = Run::at(&stub).run(&[&start[..], &wrong].concat());
        assert_eq!(ran.exit, Exit::Usage, "{wrong:?} {}", ran.err);
    }
    let twice = ["--rate-limit", "1/min", "--rate-limit", "2/min"];
    assert_eq!(Run::at(&stub).run(&[&start[..], &twice].concat()).exit, Exit::Usage);
    assert_eq!(stub.seen().len(), 1, "what is wrong is not sent");
    for wrong in [["--rate-limit", "fast"], ["--expires-in-days", "0"], ["--prefix", "Up"], ["--kind", "wrong"]] {
        assert!(Main::try_parse_from([&["keystile"], &start[..], &wrong].concat()).is_err(), "{wrong:?}");
    }
    assert!(
        Main::try_parse_from([&["keystile"], &start[..], &["--never-expires", "--expires-in-days", "1"]].concat())
            .is_err()
    );
}

#[test]
fn a_changed_restriction_leaves_the_others_as_they_were() {
    let restrictions = json!({"networks": {"allow": ["10.0.0.0/8"]}, "methods": ["GET"], "paths": ["/a"]});
    let stub = Stub::new(move |_| (200, json!({"id": key(), "restrictions": restrictions}).to_string()));
    Run::at(&stub).run(&["key", "update", &key(), "--method", "POST", "--no-paths", "--expires-in-days", "7"]);
    let seen = stub.seen();
    assert_eq!(
        seen.iter().map(Seen::line).collect::<Vec<_>>(),
        [format!("GET /v1/keys/{}", key()), format!("PATCH /v1/keys/{}", key())]
    );
    assert_eq!(
        seen[1].json(),
        json!({"restrictions": {"networks": {"allow": ["10.0.0.0/8"]}, "methods": ["POST"]}, "expires_at": "2027-01-15T00:00:00Z"})
    );
    Run::at(&stub).run(&["key", "update", &key(), "--no-permissions", "--no-rate-limits"]);
    assert_eq!(stub.seen()[2].json(), json!({"permissions": [], "rate_limits": []}));
    let ran = Run::at(&stub).run(&["key", "update", &key()]);
    assert_eq!((ran.exit, stub.seen().len()), (Exit::Usage, 3));
}

#[test]
fn every_restriction_has_its_options() {
    let stub = Stub::new(|_| (201, json!({"id": key(), "key": KEY_TEXT}).to_string()));
    let start = ["key", "create", "--project", &project(), "--name", "n"];
    let all = [
        "--country",
        "de",
        "--country",
        "AT",
        "--deny-country",
        "KP",
        "--time-zone",
        "Europe/Berlin",
        "--hours",
        "mon-fri 08:00-18:00",
        "--hours",
        "22:00-06:00",
        "--origin",
        "https://app.example.com",
        "--referrer",
        "https://app.example.com/shop/*",
        "--shadow",
        "countries",
        "--shadow",
        "times",
    ];
    assert_eq!(Run::at(&stub).run(&[&start[..], &all].concat()).exit, Exit::Ok);
    assert_eq!(
        stub.seen()[0].json()["restrictions"],
        json!({
            "countries": {"allow": ["DE", "AT"], "deny": ["KP"]},
            "times": {"time_zone": "Europe/Berlin", "windows": [
                {"days": ["mon", "tue", "wed", "thu", "fri"], "from": "08:00", "until": "18:00"},
                {"from": "22:00", "until": "06:00"},
            ]},
            "origins": ["https://app.example.com"], "referrers": ["https://app.example.com/shop/*"],
            "shadow": ["countries", "times"],
        })
    );
    for wrong in [
        &["--time-zone", "Mars/Base", "--hours", "08:00-18:00"][..],
        &["--time-zone", "UTC", "--hours", "08:00-08:00"],
        &["--origin", "example.com"],
        &["--referrer", "https://a.test?x"],
    ] {
        let ran = Run::at(&stub).run(&[&start[..], wrong].concat());
        assert_eq!(ran.exit, Exit::Usage, "{wrong:?} {}", ran.err);
    }
    assert_eq!(stub.seen().len(), 1, "what is wrong is not sent");
    for wrong in [
        &["--country", "UK"][..],
        &["--hours", "08:00-18:00"],
        &["--time-zone", "UTC"],
        &["--time-zone", "UTC", "--hours", "often"],
        &["--shadow", "hours"],
    ] {
        assert!(Main::try_parse_from([&["keystile"], &start[..], wrong].concat()).is_err(), "{wrong:?}");
    }
}

#[test]
fn what_is_taken_away_is_in_no_shadow() {
    let restrictions = json!({
        "countries": {"allow": ["DE"]}, "origins": ["https://a.test"], "methods": ["GET"],
        "shadow": ["countries", "origins"],
    });
    let stub = Stub::new(move |_| (200, json!({"id": key(), "restrictions": restrictions}).to_string()));
    for (args, expected) in [
        (&["--no-countries"][..], json!({"origins": ["https://a.test"], "methods": ["GET"], "shadow": ["origins"]})),
        (&["--no-shadow"], json!({"countries": {"allow": ["DE"]}, "origins": ["https://a.test"], "methods": ["GET"]})),
        (
            &["--shadow", "methods", "--no-origins", "--no-hours", "--no-referrers"],
            json!({"countries": {"allow": ["DE"]}, "methods": ["GET"], "shadow": ["methods"]}),
        ),
    ] {
        Run::at(&stub).run(&[&["key", "update", &key()], args].concat());
        assert_eq!(stub.seen().last().unwrap().json()["restrictions"], expected, "{args:?}");
    }
}

#[test]
fn a_call_is_tried_out_by_the_id_of_its_key() {
    let answer = json!({
        "allowed": false, "code": "country_forbidden", "detail": "No.", "api_id": api(), "path": "/7", "shadow": [],
        "trace": [
            {"step": "state", "code": "allowed"},
            {"step": "restrictions", "code": "country_forbidden", "restrictions": [
                {"rule": "networks", "code": "network_forbidden", "shadow": true},
                {"rule": "countries", "code": "country_forbidden", "shadow": false},
            ]},
        ],
    });
    let text = answer.to_string();
    let stub = Stub::new(move |_| (200, text.clone()));
    let key_id = key();
    let args = [
        "route",
        "test",
        "get",
        "/pets/7",
        "--key",
        &key_id,
        "--host",
        "api.test",
        "--ip",
        "192.0.2.1",
        "--origin",
        "https://a.test",
        "--referrer",
        "https://a.test/x",
        "--country",
        "de",
        "--at",
        "2027-01-31",
        "--content-type",
        "text/plain",
        "--permissions",
        "a.b",
    ];
    let ran = Run::at(&stub).run(&args);
    let seen = stub.seen();
    assert_eq!((ran.exit, seen[0].line()), (Exit::Findings, format!("POST /v1/keys/{}/explain", key())));
    assert_eq!(
        seen[0].json(),
        json!({
            "host": "api.test", "operation": {"method": "GET", "path": "/pets/7", "content_type": "text/plain"},
            "client": {"ip": "192.0.2.1", "origin": "https://a.test", "referrer": "https://a.test/x", "country": "DE"},
            "permissions": "a.b", "at": "2027-01-31T00:00:00Z",
        })
    );
    let lines: Vec<&str> = ran.out.lines().collect();
    assert!(
        lines[0].starts_with("refused: country_forbidden The key may not be used from this country"),
        "{}",
        ran.out
    );
    assert_eq!(
        lines[1..],
        [
            &format!("  api            {}", api()),
            "  path           /7",
            "  state          allowed",
            "  restrictions   country_forbidden",
            "    networks     network_forbidden (in shadow)",
            "    countries    country_forbidden",
        ]
    );
    let ran = Run::at(&stub).run(&[&args[..], &["--json"]].concat());
    assert_eq!(serde_json::from_str::<Value>(&ran.out).unwrap(), answer);
    assert!(Main::try_parse_from(["keystile", "route", "test", "GET", "/x"]).is_err(), "without a key");
}

#[test]
fn what_cannot_be_undone_is_confirmed_first() {
    let stub = Stub::new(|_| (204, String::new()));
    for args in [["key", "revoke"], ["key", "delete"], ["project", "delete"], ["api", "delete"]] {
        let id = match args[0] {
            "key" => key(),
            "project" => project(),
            _ => api(),
        };
        let args = [args[0], args[1], &id];
        let ran = Run::at(&stub).run(&args);
        assert_eq!(ran.exit, Exit::Usage, "{args:?}");
        assert!(ran.err.contains("--yes"), "{}", ran.err);
        assert_eq!(Run::at(&stub).with_input(b"n\n").on_a_terminal().run(&args).exit, Exit::Failure);
        assert_eq!(Run::at(&stub).with_input(b"").on_a_terminal().run(&args).exit, Exit::Failure);
        assert_eq!(stub.seen().len(), 0, "{args:?}");
    }
    assert_eq!(Run::at(&stub).with_input(b"yes\n").on_a_terminal().run(&["key", "revoke", &key()]).exit, Exit::Ok);
    assert_eq!(Run::at(&stub).run(&["--yes", "key", "delete", &key()]).exit, Exit::Ok);
    assert_eq!(stub.lines(), [format!("POST /v1/keys/{}/revoke", key()), format!("DELETE /v1/keys/{}", key())]);
}

#[test]
fn an_api_is_published_with_its_document() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("openapi.yaml");
    std::fs::write(&file, "openapi: 3.1.0\n").unwrap();
    let stub = Stub::new(|_| (201, json!({"id": api(), "active": true}).to_string()));
    let args = [
        "api",
        "create",
        "--name",
        "Pets",
        "--upstream",
        "http://127.0.0.1:9000",
        "--host",
        "Pets.example.com",
        "--path-prefix",
        "/pets",
        "--strip-prefix",
        "--key-location",
        "header:X-Key",
        "--key-days",
        "30",
        "--openapi",
        file.to_str().unwrap(),
        "-q",
    ];
    assert_eq!(Run::at(&stub).run(&args).out, format!("{}\n", api()));
    assert_eq!(
        stub.seen()[0].json(),
        json!({
            "name": "Pets", "upstream": "http://127.0.0.1:9000", "hosts": ["pets.example.com"], "path_prefix": "/pets",
            "strip_prefix": true, "key_locations": ["header:x-key"], "key_days": 30, "openapi": "openapi: 3.1.0\n",
        })
    );
    Run::at(&stub).run(&["api", "update", &api(), "--no-openapi", "--any-host", "--strip-prefix", "false"]);
    assert_eq!(stub.seen()[1].json(), json!({"openapi": null, "hosts": [], "strip_prefix": false}));
    Run::at(&stub).run(&["api", "disable", &api()]);
    assert_eq!(stub.lines()[2], format!("POST /v1/apis/{}/disable", api()));
    assert!(Main::try_parse_from(["keystile", "api", "create", "--name", "x", "--upstream", "ftp://x"]).is_err());
}

#[test]
fn a_key_to_verify_is_read_from_standard_input_only() {
    let stub = Stub::new(|seen| {
        let refused = seen.json()["api"] == "Other";
        let code = if refused { "not_activated" } else { "allowed" };
        (200, json!({"allowed": !refused, "code": code, "key_id": key(), "limits": [{"name": "minute", "limit": 10, "remaining": 4, "reset": 3}]}).to_string())
    });
    let input = format!("{KEY_TEXT}\r\nmore");
    let ran = Run::at(&stub)
        .with_input(input.as_bytes())
        .run(&["key", "verify", "--api", "Pets", "--method", "get", "--path", "/pets/7"]);
    assert_eq!(ran.exit, Exit::Ok);
    assert!(ran.out.starts_with("allowed\n") && ran.out.contains("minute: 4 of 10 left"), "{}", ran.out);
    let seen = stub.seen();
    assert_eq!(seen[0].line(), "POST /v1/verify");
    assert_eq!(
        seen[0].json(),
        json!({"key": KEY_TEXT, "api": "Pets", "operation": {"method": "GET", "path": "/pets/7"}})
    );

    let subject = ["--end-user", "ada", "--tag", "region=eu", "--tag", "model=a=b", "--cost", "0"];
    Run::at(&stub).with_input(input.as_bytes()).run(&[&["key", "verify"][..], &subject].concat());
    let tags = json!({"region": "eu", "model": "a=b"});
    assert_eq!(stub.seen()[1].json(), json!({"key": KEY_TEXT, "end_user": "ada", "tags": tags, "cost": 0}));

    let ran = Run::at(&stub).with_input(input.as_bytes()).run(&["key", "verify", "--api", "Other"]);
    assert_eq!(ran.exit, Exit::Findings);
    assert!(ran.out.starts_with("refused: not_activated The key is good, but"), "{}", ran.out);
    assert!(!ran.out.contains(KEY_TEXT) && !ran.err.contains(KEY_TEXT));
    let mut run = Run::at(&stub).with_input(input.as_bytes());
    run.env.pop();
    assert_eq!(run.run(&["key", "verify"]).exit, Exit::Ok, "it needs no management key");
    assert_eq!(Run::at(&stub).run(&["key", "verify"]).exit, Exit::Usage, "an empty input is no key");
    assert!(Main::try_parse_from(["keystile", "key", "verify", KEY_TEXT]).is_err());
}

#[test]
fn usage_is_asked_by_what_people_say_and_told_with_names() {
    let stub = Stub::new(|seen| {
        if seen.target.starts_with("/v1/projects") {
            items(&[json!({"id": project(), "name": "Weather\u{1b}[31m app"})])
        } else {
            items(&[
                json!({"project_id": project(), "code": "allowed", "calls": 12_345, "latency_us": 24_690_000, "bytes_in": 0, "bytes_out": 2_048, "cost": -1_500}),
                json!({"project_id": null, "code": "key_unknown", "calls": 1, "latency_us": 40, "bytes_in": 0, "bytes_out": 0}),
            ])
        }
    });
    let ran = Run::at(&stub).run(&[
        "usage",
        "--by",
        "project,code",
        "--since",
        "7d",
        "--until",
        "2027-01-07",
        "--key",
        &key(),
    ]);
    assert_eq!(
        stub.lines()[0],
        format!(
            "GET /v1/usage?group_by=project%2Ccode&from=2027-01-01T00%3A00%3A00Z&until=2027-01-07T00%3A00%3A00Z&key_id={}&limit=10000",
            key()
        )
    );
    assert_eq!(
        ran.out,
        "PROJECT           CODE          CALLS    COST    MEAN   IN      OUT\n\
         Weather\u{fffd}[31m app  allowed      12,345  -1,500  2.0 ms  0 B  2.0 KiB\n\
         -                 key_unknown       1       0  0.0 ms  0 B      0 B\n"
    );
    let ran = Run::at(&stub).run(&["usage", "--since", "1h", "--until", "2h"]);
    assert_eq!(ran.exit, Exit::Usage);
    let ran = Run::at(&stub).run(&["usage", "--json", "--bucket", "hour"]);
    assert_eq!(serde_json::from_str::<Value>(&ran.out).unwrap()["items"].as_array().unwrap().len(), 2);
    assert!(stub.lines().last().unwrap().contains("group_by=api%2Ccode&bucket=hour"));
}

#[test]
fn activations_are_granted_and_withdrawn() {
    let stub = Stub::new(|_| (200, json!({"id": "act_1", "state": "suspended"}).to_string()));
    let act = keystile_core::id::ActivationId::from_entropy([4; 16]).to_string();
    Run::at(&stub).run(&["activation", "create", "--project", &project(), "--api", &api()]);
    Run::at(&stub).run(&["activation", "suspend", &act, "--reason", "unpaid"]);
    Run::at(&stub).run(&["activation", "approve", &act]);
    Run::at(&stub).run(&[
        "activation",
        "approve",
        &act,
        "--permission",
        "a.b",
        "--permission",
        "c.*",
        "--reason",
        "ok",
    ]);
    Run::at(&stub).run(&["activation", "approve", &act, "--any-permission"]);
    Run::at(&stub).run(&["activation", "request", &act, "--permission", "a.b", "--note", "For the shop"]);
    let seen = stub.seen();
    assert_eq!(seen[0].json(), json!({"project_id": project(), "api_id": api()}));
    assert_eq!(
        (seen[1].line(), seen[1].json()),
        (format!("POST /v1/activations/{act}/suspend"), json!({"reason": "unpaid"}))
    );
    assert_eq!((seen[2].line(), seen[2].json()), (format!("POST /v1/activations/{act}/approve"), json!({})));
    assert_eq!(seen[3].json(), json!({"permissions": ["a.b", "c.*"], "reason": "ok"}));
    assert_eq!(seen[4].json(), json!({"permissions": null}), "everything is said outright");
    assert_eq!(seen[5].line(), format!("POST /v1/activations/{act}/request"));
    assert_eq!(seen[5].json(), json!({"permissions": ["a.b"], "note": "For the shop"}));
}

#[test]
fn several_keys_are_one_request_and_each_result_is_told() {
    let keys = [key(), "key_0000000000000000000000".to_owned()];
    let report = json!({
        "items": [
            { "id": keys[0], "status": 200 },
            { "id": keys[1], "status": 404, "code": "not_found", "detail": "There is no such key." },
        ],
        "done": 1,
        "refused": 1,
    });
    let text = report.to_string();
    let stub = Stub::new(move |_| (200, text.clone()));
    let ran = Run::at(&stub).run(&["key", "revoke", &keys[0], &keys[1], "--yes"]);
    assert_eq!((ran.exit, ran.out.as_str()), (Exit::Findings, format!("{}\n", keys[0]).as_str()), "{}", ran.err);
    assert!(ran.err.contains("not_found: There is no such key."), "{}", ran.err);
    // What is only tried needs nobody's word.
    Run::at(&stub).run(&["key", "delete", &keys[0], &keys[1], "--dry-run"]);
    let seen = stub.seen();
    assert_eq!(seen[0].line(), "POST /v1/keys/bulk");
    assert_eq!(seen[0].json(), json!({ "action": "revoke", "ids": keys }));
    assert_eq!(seen[1].line(), "POST /v1/keys/bulk?dry_run=true");
}
