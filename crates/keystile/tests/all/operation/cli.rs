//! The commands against a running server: each of them once, in both forms, with the exit codes that scripts rely on.

use std::process::Command;

use keystile_testkit::eventually;
use keystile_testkit::raw::nobody;
use serde_json::{Value, json};

use super::process::{Ended, keystile, run, run_with};
use super::world::{World, id, name, shared};

/// Somebody at a command line.
struct Shell<'a> {
    world: &'a World,
    key: String,
}

fn shell(world: &World) -> Shell<'_> {
    Shell { world, key: world.management_key().to_owned() }
}

impl Shell<'_> {
    fn command(&self, args: &[&str]) -> Command {
        let mut command = keystile(args);
        command.env("KEYSTILE_URL", self.world.admin_url());
        command.env("KEYSTILE_CHECK_URL", format!("http://{}", self.world.installation.check));
        command.env("KEYSTILE_MANAGEMENT_KEY", &self.key);
        command
    }

    fn run(&self, args: &[&str]) -> Ended {
        run(&mut self.command(args))
    }

    /// The one JSON document that the command prints.
    #[track_caller]
    fn json(&self, args: &[&str]) -> Value {
        let ended = self.run(&[args, &["--json"]].concat());
        assert_eq!(ended.code, 0, "{args:?}: {}", ended.err);
        serde_json::from_str(&ended.out).unwrap_or_else(|error| panic!("{args:?}: {error}: {}", ended.out))
    }

    #[track_caller]
    fn exits(&self, code: i32, args: &[&str]) -> Ended {
        let ended = self.run(args);
        assert_eq!(ended.code, code, "{args:?}: {}{}", ended.out, ended.err);
        ended
    }
}

#[test]
fn apis_and_projects_and_activations_live_from_the_command_line() {
    let world = shared();
    let (shell, manage) = (shell(world), world.manage());
    let (api_name, project_name) = (name("cli-api"), name("cli-project"));
    let path = format!("/{api_name}");
    let api = shell.json(&[
        "api",
        "create",
        "--name",
        &api_name,
        "--upstream",
        &world.echo,
        "--path-prefix",
        &path,
        "--strip-prefix",
        "--key-prefix",
        "shop",
        "--key-days",
        "7",
        "--host",
        "a.example",
        "--key-location",
        "header:x-key",
        "--body-limit-bytes",
        "1000",
        "--max-header-bytes",
        "9000",
        "--max-header-fields",
        "0",
        "--upstream-timeout-seconds",
        "9",
    ]);
    assert_eq!(manage.get(&format!("/v1/apis/{}", id(&api))).1, api, "--json gives the API's own object");
    assert_eq!((&api["max_header_bytes"], &api["max_header_fields"]), (&json!(9_000), &Value::Null));
    let settings = (&api["strip_prefix"], &api["key_days"], &api["hosts"], &api["key_locations"]);
    assert_eq!(settings, (&json!(true), &json!(7), &json!(["a.example"]), &json!(["header:x-key"])));
    let changed =
        shell.json(&["api", "update", &api_name, "--any-host", "--key-location", "bearer", "--key-days", "8"]);
    assert_eq!((&changed["hosts"], &changed["key_days"]), (&json!([]), &json!(8)));
    assert_eq!(shell.json(&["api", "show", &api_name]), changed);
    assert_eq!(shell.json(&["api", "disable", &api_name])["active"], false);
    assert_eq!(shell.json(&["api", "enable", &id(&api)])["active"], true);
    let listed = shell.json(&["api", "list"]);
    assert!(listed["items"].as_array().unwrap().iter().any(|item| item["name"] == *api_name));

    let project = shell.json(&[
        "project",
        "create",
        "--name",
        &project_name,
        "--environment",
        "test",
        "--contact",
        "a@b.example",
    ]);
    assert_eq!(project["environment"], "test");
    assert_eq!(shell.json(&["project", "update", &project_name, "--description", "Reads"])["description"], "Reads");
    assert_eq!(shell.json(&["project", "show", &project_name])["contact"], "a@b.example");
    assert_eq!(shell.json(&["project", "list", "--limit", "1"])["items"].as_array().unwrap().len(), 1);

    let link = shell.json(&["activation", "create", "--project", &project_name, "--api", &api_name]);
    let link_id = id(&link);
    assert_eq!(shell.json(&["activation", "suspend", &link_id, "--reason", "not paid"])["reason"], "not paid");
    assert_eq!(shell.json(&["activation", "refuse", &link_id])["state"], "refused");
    assert_eq!(shell.json(&["activation", "approve", &link_id])["state"], "approved");
    assert_eq!(shell.json(&["activation", "show", &link_id])["id"], link_id);
    let filtered =
        shell.json(&["activation", "list", "--project", &project_name, "--api", &api_name, "--state", "approved"]);
    assert_eq!(filtered["items"].as_array().unwrap().len(), 1);
    let keyed = shell.json(&["key", "create", "--project", &project_name, "--name", "k"]);
    assert!(keyed["key"].as_str().unwrap().starts_with("shop_test_"));

    shell.exits(0, &["activation", "delete", &link_id, "--yes"]);
    shell.exits(0, &["project", "delete", &project_name, "--yes"]);
    shell.exits(0, &["api", "delete", &api_name, "--yes"]);
    for gone in [["api", &api_name], ["project", &project_name], ["activation", &link_id]] {
        shell.exits(5, &[gone[0], "show", gone[1]]);
    }
}

#[test]
fn keys_live_from_the_command_line() {
    let world = shared();
    let shell = shell(world);
    let caller = world.caller(&json!({}));
    let name = name("cli-key");
    let made = shell.json(&[
        "key",
        "create",
        "--project",
        &caller.project,
        "--name",
        &name,
        "--permission",
        "pets.read",
        "--network",
        "127.0.0.0/8",
        "--deny-network",
        "127.9.0.0/16",
        "--method",
        "get",
        "--path",
        "/**",
        "--rate-limit",
        "60/min",
        "--rate-limit",
        "bucket:burst=10/1s,burst=20",
        "--never-expires",
    ]);
    let key = made["key"].as_str().unwrap();
    assert_eq!(world.call(key, "GET", &caller.path).status, 200);
    assert_eq!(made["expires_at"], Value::Null);
    assert_eq!(
        made["rate_limits"][1],
        json!({ "name": "burst", "limit": 10, "window_seconds": 1, "algorithm": "token_bucket", "burst": 20 })
    );
    let shown = shell.json(&["key", "show", &name, "--project", &caller.project]);
    assert!(shown.get("key").is_none() && shown["id"] == made["id"]);
    let changed = shell.json(&[
        "key",
        "update",
        &name,
        "--no-rate-limits",
        "--no-paths",
        "--method",
        "POST",
        "--expires-in-days",
        "3",
    ]);
    assert_eq!(changed["rate_limits"], json!([]));
    assert_eq!(
        changed["restrictions"],
        json!({ "methods": ["POST"], "networks": { "allow": ["127.0.0.0/8"], "deny": ["127.9.0.0/16"] } })
    );
    assert_eq!(shell.json(&["key", "disable", &name])["state"], "disabled");
    assert_eq!(shell.json(&["key", "enable", &name])["state"], "active");
    let listed = shell.json(&["key", "list", "--project", &caller.project, "--state", "active", "--kind", "secret"]);
    assert_eq!(listed["items"].as_array().unwrap().len(), 2);
    assert_eq!(shell.json(&["key", "revoke", &name, "--yes"])["state"], "revoked");
    let refused = run_with(&mut shell.command(&["key", "verify", "--api", &caller.api]), key.as_bytes());
    assert!(refused.code == 3 && refused.out.starts_with("refused: key_revoked"), "{}", refused.out);
    shell.exits(0, &["key", "delete", &name, "--yes"]);
    shell.exits(5, &["key", "show", &id(&made)]);

    let verified = run_with(
        &mut shell.command(&[
            "key",
            "verify",
            "--api",
            &caller.api,
            "--method",
            "get",
            "--path",
            &caller.path,
            "--ip",
            "10.0.0.1",
            "--explain",
            "--json",
        ]),
        format!("{}\n", caller.key).as_bytes(),
    );
    let verified_json: Value = serde_json::from_str(&verified.out).unwrap();
    assert_eq!((verified.code, &verified_json["allowed"]), (0, &json!(true)));
    assert_eq!(verified_json["trace"].as_array().unwrap().len(), 10);
    assert!(!verified.out.contains(&caller.key) && !verified.err.contains(&caller.key));
}

#[test]
fn a_call_is_tried_out_without_being_made() {
    let world = shared();
    let shell = shell(world);
    let caller = world.caller(&json!({
        "restrictions": {
            "methods": ["GET"], "networks": { "allow": ["10.0.0.0/8"] }, "shadow": ["networks"],
            "times": { "time_zone": "Europe/Berlin", "windows": [{ "from": "08:00", "until": "18:00" }] },
        },
        "rate_limits": [{ "name": "one", "limit": 1, "window_seconds": 3600 }],
    }));
    let path = format!("{}/7", caller.path);
    let at = |moment: &str, method: &str| {
        let args = ["route", "test", method, &path, "--key", &caller.id, "--ip", "11.0.0.1", "--at", moment];
        shell.run(&args)
    };
    for _ in 0..3 {
        let ended = at("2026-07-15T06:00:00Z", "GET");
        assert_eq!((ended.code, ended.out.lines().next()), (0, Some("allowed")), "{}", ended.err);
        assert!(ended.out.contains("    networks     network_forbidden (in shadow)\n"), "{}", ended.out);
        assert!(ended.out.contains(&format!("  path           {path}\n")), "{}", ended.out);
    }
    for (moment, method, code) in [
        ("2026-07-15T16:00:00Z", "GET", "time_forbidden"),
        ("2026-01-15T06:30:00Z", "GET", "time_forbidden"),
        ("2026-07-15T06:00:00Z", "POST", "operation_forbidden"),
        ("2026-07-15T06:00:00Z", "BREW", "method_not_allowed"),
    ] {
        let ended = at(moment, method);
        assert!(ended.code == 3 && ended.out.starts_with(&format!("refused: {code} ")), "{moment} {}", ended.out);
    }
    // The first API of this server answers to every other path.
    let ended = shell.run(&["route", "test", "GET", "/elsewhere", "--key", &caller.id]);
    assert!(ended.code == 3 && ended.out.starts_with("refused: not_activated "), "{}{}", ended.out, ended.err);
    let json = shell.json(&[
        "route",
        "test",
        "GET",
        "/7",
        "--api",
        &caller.api,
        "--key",
        &caller.id,
        "--at",
        "2026-07-15T06:00:00Z",
    ]);
    assert_eq!(
        (&json["api_id"], &json["path"], &json["shadow"]),
        (&json!(caller.api), &json!("/7"), &json!(["networks"]))
    );
    shell.exits(5, &["route", "test", "GET", "/7", "--key", "no such key"]);
}

#[test]
fn the_text_of_a_new_key_stands_alone_on_standard_output() {
    let world = shared();
    let shell = shell(world);
    let project = world.project();
    for flags in [&[][..], &["--quiet"], &["--no-color"]] {
        let ended = shell.exits(0, &[&["key", "create", "--project", &project, "--name", "piped"], flags].concat());
        let text = ended.out.strip_suffix('\n').unwrap();
        assert!(text.starts_with("ks_live_") && text.len() == 50 && !text.contains('\n'), "{}", ended.out.len());
        assert!(!ended.err.contains(text), "the text is in the remarks");
        assert_eq!(ended.err.is_empty(), flags == ["--quiet"], "{}", ended.err);
        let verified = run_with(&mut shell.command(&["key", "verify"]), ended.out.as_bytes());
        assert_eq!(verified.code, 0, "{}", verified.err);
    }
    // A pipe that nobody reads: the key must not stay in force unknown to all.
    let mut command = shell.command(&["key", "create", "--project", &project, "--name", "lost"]);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = command.stdout(writer).stderr(std::process::Stdio::piped()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && said.contains("keystile key revoke key_"), "{said}");
}

#[test]
fn exit_codes_say_what_happened() {
    let world = shared();
    let shell = shell(world);
    let caller = world.caller(&json!({}));
    let missing = "key_2Zk9mQ4tR7vX1bN6cL8dF3";
    shell.exits(0, &["project", "list", "--limit", "1"]);
    // 2: given wrongly.
    for wrong in [
        &["key", "create"][..],
        &["key", "surprise"],
        &["key", "create", "--project", &caller.project, "--name", "x", "--rate-limit", "often"],
        &["key", "create", "--project", &caller.project, "--name", "x", "--network", "10.0.0.0/33"],
        &["key", "create", "--project", &caller.project, "--name", "x", "--expires-in-days", "1", "--never-expires"],
        &["key", "create", "--project", &caller.project, "--name", ""],
        &["key", "update", &caller.id],
        &["key", "revoke", &caller.id],
        &["key", "delete", &caller.id],
        &["key", "import", "--project", &caller.project, "/nowhere"],
        &["usage", "--since", "yesterday"],
        &["usage", "--by", "colour"],
        &["--server", "ftp://x", "key", "list"],
    ] {
        shell.exits(2, wrong);
    }
    assert_eq!(world.call(&caller.key, "GET", &caller.path).status, 200, "without --yes nothing was revoked");
    // 3: done, and something was found.
    let refused = run_with(&mut shell.command(&["key", "verify"]), b"0123456789abcdef0123456789abcdef");
    assert_eq!(refused.code, 3);
    // 4: who are you?
    assert_eq!(run(shell.command(&["key", "list"]).env_remove("KEYSTILE_MANAGEMENT_KEY")).code, 4);
    let stranger = Shell { world, key: "0123456789abcdef0123456789abcdef".to_owned() };
    let ended = stranger.exits(4, &["key", "list"]);
    assert!(ended.err.contains("key_unknown") && !ended.err.contains(&stranger.key), "{}", ended.err);
    // 5: no such thing.
    for gone in [&["key", "show", missing][..], &["key", "revoke", missing, "--yes"], &["api", "show", "no such name"]]
    {
        shell.exits(5, gone);
    }
    // 6: it does not fit with what is there.
    shell.exits(6, &["activation", "create", "--project", &caller.project, "--api", &caller.api]);
    let (revoked, _) = world.key(&caller.project, &json!({}));
    shell.exits(0, &["key", "revoke", &revoked, "--yes"]);
    shell.exits(0, &["key", "revoke", &revoked, "--yes"]);
    shell.exits(6, &["key", "enable", &revoked]);
    // 7: nobody there.
    let nobody = format!("http://127.0.0.1:{}", super::process::free_ports());
    let ended = shell.exits(7, &["--server", &nobody, "key", "list"]);
    assert!(ended.err.contains("nothing listens at"), "{}", ended.err);
    // 8: you may not.
    let reader = Shell { world, key: world.management_key_for(&["keys.read"]) };
    reader.exits(0, &["key", "list", "--limit", "1"]);
    let ended = reader.exits(8, &["key", "create", "--project", &caller.project, "--name", "x"]);
    assert!(ended.err.contains("projects.read") || ended.err.contains("keys.write"), "{}", ended.err);
    reader.exits(8, &["api", "list"]);
    Shell { world, key: caller.key.clone() }.exits(8, &["key", "list"]);
    // 9: not so fast.
    let limits = json!({ "kind": "management", "permissions": ["keys.read"], "rate_limits": [{ "name": "a", "limit": 1, "window_seconds": 3600 }] });
    let hasty = Shell { world, key: world.key(&caller.project, &limits).1 };
    hasty.exits(0, &["key", "list", "--limit", "1"]);
    hasty.exits(9, &["key", "list", "--limit", "1"]);
}

#[test]
fn failures_are_problems_for_programs_and_three_lines_for_people() {
    let world = shared();
    let shell = shell(world);
    let missing = "key_2Zk9mQ4tR7vX1bN6cL8dF3";
    let ended = shell.exits(5, &["key", "show", missing]);
    let lines: Vec<&str> = ended.err.lines().collect();
    assert_eq!((ended.out.as_str(), lines.len()), ("", 3), "{}", ended.err);
    for (line, begin) in lines.iter().zip(["error: ", "  why: ", "  fix: "]) {
        assert!(line.starts_with(begin), "{line}");
    }
    let ended = shell.exits(5, &["key", "show", missing, "--json"]);
    let problem: Value = serde_json::from_str(&ended.err).unwrap();
    assert_eq!((&problem["status"], &problem["code"], ended.out.as_str()), (&json!(404), &json!("not_found"), ""));
    let nobody = format!("http://127.0.0.1:{}", super::process::free_ports());
    let ended = shell.exits(7, &["--server", &nobody, "key", "list", "--json"]);
    let problem: Value = serde_json::from_str(&ended.err).unwrap();
    assert_eq!((&problem["code"], ended.out.as_str()), (&json!("unreachable"), ""));
}

#[test]
fn what_is_printed_into_a_pipe_is_plain_and_ids_stand_alone_where_asked() {
    let world = shared();
    let shell = shell(world);
    let caller = world.caller(&json!({}));
    for list in [&["api", "list"][..], &["project", "list"], &["activation", "list"], &["key", "list"], &["usage"]] {
        let ended = shell.exits(0, list);
        assert!(!ended.out.contains('\x1b') && ended.out.lines().count() > 1, "{list:?}: {}", ended.out);
    }
    let ended = shell.exits(0, &["key", "list", "--project", &caller.project, "--quiet"]);
    assert_eq!((ended.out, ended.err), (format!("{}\n", caller.id), String::new()));
    let made = shell.exits(0, &["project", "create", "--name", &name("quiet"), "--quiet"]);
    assert!(made.out.starts_with("prj_") && made.out.lines().count() == 1, "{}", made.out);
    // Names of others write nothing on the terminal.
    let strange = json!({ "name": name("strange"), "description": "\u{202e}\u{200f}x" });
    let made = world.manage().create("/v1/projects", &strange);
    let ended = shell.exits(0, &["project", "show", &id(&made)]);
    assert!(!ended.out.contains('\u{202e}'), "{}", ended.out);
}

#[test]
fn the_key_comes_from_a_variable_or_a_file_and_from_no_argument() {
    let world = shared();
    let shell = shell(world);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    std::fs::write(&file, format!("{}\n", world.management_key())).unwrap();
    let mut command = shell.command(&["key", "list", "--limit", "1", "--key-file", file.to_str().unwrap()]);
    assert_eq!(run(command.env_remove("KEYSTILE_MANAGEMENT_KEY")).code, 0);
    // The file that is named goes before the variable.
    let mut command = shell.command(&["key", "list", "--limit", "1", "--key-file", file.to_str().unwrap()]);
    assert_eq!(run(command.env("KEYSTILE_MANAGEMENT_KEY", "0123456789abcdef0123456789abcdef")).code, 0);
    std::fs::write(&file, "two words\n").unwrap();
    let ended = shell.exits(2, &["key", "list", "--key-file", file.to_str().unwrap()]);
    assert!(!ended.err.contains("two words"), "{}", ended.err);
    let help = shell.exits(0, &["key", "create", "--help"]);
    assert!(!help.out.contains("--key "), "{}", help.out);
}

#[test]
fn names_stand_for_ids_where_only_one_thing_has_them() {
    let world = shared();
    let (shell, manage) = (shell(world), world.manage());
    let name = name("twin");
    let first = manage.create("/v1/projects", &json!({ "name": name }));
    assert_eq!(shell.json(&["project", "show", &name]), first);
    let second = manage.create("/v1/projects", &json!({ "name": name }));
    let ended = shell.exits(2, &["project", "show", &name]);
    assert!(ended.err.contains(&id(&first)) && ended.err.contains(&id(&second)), "{}", ended.err);
    shell.exits(0, &["project", "show", &id(&second)]);
}

#[test]
fn a_target_is_shown_with_all_that_is_wrong_with_it() {
    let world = shared();
    let (shell, caller) = (shell(world), world.caller(&json!({})));
    let down = json!({
        "upstream": format!("http://{}", nobody()), "breaker_failures": 1,
        "health_check": { "interval_seconds": 1, "unhealthy_after": 1 },
    });
    assert_eq!(world.manage().patch(&format!("/v1/apis/{}", caller.api), &down).0, 200);
    let shown = |what: &str| shell.exits(0, &["api", "targets", &caller.api]).out.contains(what);
    eventually("it is found ill", || shown("unhealthy"));
    assert_eq!(world.call(&caller.key, "GET", &caller.path).status, 502);
    assert!(shown("resting, ") && shown("; unhealthy"), "{}", shell.exits(0, &["api", "targets", &caller.api]).out);
}

#[test]
fn operations_that_a_document_does_not_have_are_listed_by_the_name_of_their_api() {
    let world = shared();
    let (shell, caller) = (shell(world), world.caller(&json!({})));
    let document =
        json!({ "openapi": "3.1.0", "info": { "title": "a", "version": "1" }, "paths": { "/pets": { "get": {} } } });
    let (status, api) = world.manage().patch(&format!("/v1/apis/{}", caller.api), &json!({ "openapi": document }));
    assert_eq!(status, 200, "{api}");
    let name = api["name"].as_str().unwrap();
    let ended = shell.exits(0, &["api", "unknown-operations", name]);
    assert_eq!((ended.out.as_str(), ended.err.trim()), ("", "no unknown operations here"));
    for _ in 0..2 {
        assert_eq!(world.call(&caller.key, "GET", &format!("{}/dogs", caller.path)).status, 200);
    }
    let listed = shell.json(&["api", "unknown-operations", name, "--since", "1h"]);
    let dogs = &listed["items"][0];
    let path = dogs["path"].as_str().unwrap();
    assert_eq!((listed["items"].as_array().unwrap().len(), &dogs["calls"]), (1, &json!(2)), "{listed}");
    let shown = shell.exits(0, &["api", "unknown-operations", name]).out;
    let words: Vec<Vec<&str>> = shown.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(words[0], ["METHOD", "PATH", "CALLS", "REFUSED", "SEEN", "LAST"]);
    assert_eq!(words[1][..4], ["GET", path, "2", "0"]);
    shell.exits(2, &["api", "unknown-operations", name, "--since", "1h", "--until", "2h"]);
    shell.exits(5, &["api", "unknown-operations", "no-such-api"]);
}

#[test]
fn usage_is_shown_by_what_is_asked_for() {
    let world = shared();
    let shell = shell(world);
    let caller = world.caller(&json!({}));
    for _ in 0..3 {
        world.call(&caller.key, "GET", &format!("{}/pets", caller.path));
    }
    let rows = shell.json(&[
        "usage",
        "--by",
        "operation,code,status",
        "--key",
        &caller.id,
        "--since",
        "1h",
        "--bucket",
        "day",
    ]);
    let row = &rows["items"][0];
    assert_eq!((&row["calls"], &row["code"], &row["status"]), (&json!(3), &json!("allowed"), &json!(200)));
    let shown = shell.exits(0, &["usage", "--by", "project,key,code", "--project", &caller.project]);
    assert!(shown.out.contains("allowed") && shown.err.contains("3 calls in 1 rows"), "{}{}", shown.out, shown.err);
    let none = shell.json(&["usage", "--key", &caller.id, "--code", "rate_limited", "--api", &caller.api]);
    assert_eq!(none["items"], json!([]));
}

#[test]
fn what_speaks_of_the_program_itself_needs_no_server() {
    for args in [
        &["--help"][..],
        &["--version"],
        &["help", "key"],
        &["key", "import", "--help"],
        &["config", "example"],
        &["docs", "codes"],
        &["docs", "settings"],
    ] {
        let ended = run(&mut keystile(args));
        assert!(ended.code == 0 && !ended.out.is_empty() && ended.err.is_empty(), "{args:?}: {}", ended.err);
    }
    let document: Value = serde_json::from_str(&run(&mut keystile(&["docs", "openapi"])).out).unwrap();
    assert_eq!(document, shared().manage().get("/openapi.json").1);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keystile.toml");
    std::fs::write(&file, run(&mut keystile(&["config", "example"])).out).unwrap();
    for verb in ["check", "show"] {
        let ended = run(&mut keystile(&["config", verb, "--config", file.to_str().unwrap()]));
        assert_eq!(ended.code, 0, "the example is not good: {}", ended.err);
    }
    assert_eq!(run(&mut keystile(&[])).code, 2);
}

#[test]
fn results_that_find_no_room_are_a_failure() {
    let world = shared();
    let shell = shell(world);
    for args in [&["key", "list"][..], &["key", "list", "--json"], &["usage"], &["config", "example"]] {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let ended = shell.command(args).stdout(full).stderr(std::process::Stdio::piped()).output().unwrap();
        let said = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(1), "{args:?}: {said}");
        assert!(said.contains("could not write the results"), "{args:?}: {said}");
    }
}

#[test]
fn a_key_is_bound_to_a_certificate_asked_about_and_let_go() {
    let world = shared();
    let shell = shell(world);
    let caller = world.caller(&json!({}));
    let (own, other) = ("ab".repeat(32), "cd".repeat(32));
    shell.exits(0, &["key", "update", &caller.id, "--certificate", &own, "--network", "127.0.0.0/8"]);
    let verify = |more: &[&str]| {
        let args = [&["key", "verify", "--api", &caller.api, "--ip", "127.0.0.1"][..], more].concat();
        let ended = run_with(&mut shell.command(&args), format!("{}\n", caller.key).as_bytes());
        (ended.code, ended.out)
    };
    assert_eq!(verify(&["--certificate", &own]).0, 0);
    for more in [&["--certificate", other.as_str()][..], &[]] {
        let (code, said) = verify(more);
        assert!(code == 3 && said.contains("certificate_forbidden"), "{more:?}: {said}");
    }
    let changed = shell.json(&["key", "update", &caller.id, "--no-certificates"]);
    assert_eq!(changed["restrictions"], json!({ "networks": { "allow": ["127.0.0.0/8"] } }), "the rest stays");
    assert_eq!(verify(&[]).0, 0);
    // The gateway would refuse a call without one, and so does verification.
    let (status, _) =
        world.manage().patch(&format!("/v1/apis/{}", caller.api), &json!({ "require_client_certificate": true }));
    assert_eq!(status, 200);
    let (code, said) = verify(&[]);
    assert!(code == 3 && said.contains("certificate_missing"), "{said}");
    assert_eq!(verify(&["--certificate", &other]).0, 0);
}

#[test]
fn a_key_and_an_api_are_bound_to_formats_asked_about_and_let_go() {
    let world = shared();
    let shell = shell(world);
    let caller = world.caller(&json!({}));
    let first = ["key", "update", &caller.id, "--request-type", "application/json", "--request-type", "text/*"];
    shell.exits(0, &first);
    let changed = shell.json(&["key", "update", &caller.id, "--max-body-bytes", "10", "--response-type", "*/*"]);
    let formats =
        json!({ "request_types": ["application/json", "text/*"], "response_types": ["*/*"], "max_body_bytes": 10 });
    assert_eq!(changed["restrictions"], json!({ "formats": formats }), "what was bound stays bound");
    let verify = |more: &[&str]| {
        let args = [&["key", "verify", "--api", &caller.api, "--method", "post", "--path", "/x"][..], more].concat();
        let ended = run_with(&mut shell.command(&args), format!("{}\n", caller.key).as_bytes());
        (ended.code, ended.out)
    };
    let json_type = ["--content-type", "application/json", "--body-bytes", "10", "--accept", "text/html"];
    assert_eq!(verify(&json_type).0, 0);
    for (more, code) in [
        (&["--content-type", "image/png"][..], "format_forbidden"),
        (&["--content-type", "text/csv", "--body-bytes", "11"], "content_too_large"),
        (&[], "format_forbidden"),
    ] {
        let (ended, said) = verify(more);
        assert!(ended == 3 && said.contains(code), "{more:?}: {said}");
    }
    let changed = shell.json(&["key", "update", &caller.id, "--no-formats"]);
    assert_eq!(changed["restrictions"], json!({}));
    assert_eq!(verify(&[]).0, 0);
    let api = |more: &[&str]| shell.json(&[&["api", "update", &caller.api][..], more].concat());
    let bound = api(&["--request-type", "application/json", "--response-type", "text/*"]);
    assert_eq!((&bound["request_types"], &bound["response_types"]), (&json!(["application/json"]), &json!(["text/*"])));
    let (ended, said) = verify(&["--content-type", "text/csv"]);
    assert!(ended == 3 && said.contains("media_type_unsupported"), "{said}");
    let free = api(&["--any-request-type", "--any-response-type"]);
    assert!(free.get("request_types").is_none() && free.get("response_types").is_none(), "{free}");
    for wrong in [["--request-type", "json"], ["--max-body-bytes", "x"]] {
        shell.exits(2, &[&["key", "update", &caller.id][..], &wrong].concat());
    }
}

#[test]
fn an_api_is_opened_for_upgrades_and_closed_for_all() {
    let world = shared();
    let shell = shell(world);
    let caller = world.caller(&json!({}));
    let update = |more: &[&str]| shell.json(&[&["api", "update", &caller.api][..], more].concat())["upgrades"].clone();
    assert_eq!(update(&["--key-days", "9"]), json!(["websocket"]));
    assert_eq!(update(&["--upgrade", "SPDY/3.1", "--upgrade", "WebSocket"]), json!(["SPDY/3.1", "websocket"]));
    assert_eq!(update(&["--key-days", "8"]), json!(["SPDY/3.1", "websocket"]), "what was said stays");
    assert_eq!(update(&["--no-upgrades"]), json!([]));
    for wrong in [&["--upgrade", "h2c"][..], &["--upgrade", ""], &["--no-upgrades", "--upgrade", "tcp"]] {
        shell.exits(2, &[&["api", "update", &caller.api][..], wrong].concat());
    }
}

#[test]
fn a_list_of_keys_says_which_are_exposed() {
    let world = shared();
    let caller = world.caller(&json!({}));
    let (_, other) = world.key(&caller.project, &json!({ "name": name("quiet") }));
    assert_eq!(world.call(&other, "GET", &format!("{}/x?key={}", caller.path, caller.key)).code(), "key_exposed");
    let shell = shell(world);
    keystile_testkit::eventually("it is listed as exposed", || {
        let list = shell.exits(0, &["key", "list", "--project", &caller.project]).out;
        let lines: Vec<&str> = list.lines().filter(|line| line.contains("exposed")).collect();
        matches!(&*lines, [line] if line.contains(&caller.id) && line.contains("active, exposed"))
    });
}

#[test]
fn a_revoked_key_gives_its_name_to_the_one_in_force() {
    let world = shared();
    let (shell, project, called) = (shell(world), world.project(), name("rotated"));
    let make = || world.key(&project, &json!({ "name": called })).0;
    let (old, new) = (make(), make());
    let ambiguous = shell.exits(2, &["key", "show", &called]);
    assert!(ambiguous.err.contains("2 keys have this name"), "{}", ambiguous.err);
    shell.exits(0, &["key", "revoke", &old, "--yes"]);
    assert_eq!(id(&shell.json(&["key", "show", &called])), new);
    shell.exits(0, &["key", "revoke", &called, "--yes"]);
    // Nothing else has the name any more.
    let ambiguous = shell.exits(2, &["key", "show", &called]);
    assert!(ambiguous.err.contains(&old) && ambiguous.err.contains(&new), "{}", ambiguous.err);
}
