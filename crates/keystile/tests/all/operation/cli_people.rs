//! People at the command line: they join, log in, are known to the commands that follow, and log out.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::people::PASSWORD;
use super::process::{Ended, keystile, run_with};
use super::world::{World, name, shared};

/// Somebody with a home of their own.
struct Home<'a> {
    world: &'a World,
    folder: &'a Path,
}

impl Home<'_> {
    fn command(&self, args: &[&str]) -> Command {
        let mut command = keystile(args);
        command.env("KEYSTILE_URL", self.world.admin_url()).env("HOME", self.folder).env_remove("XDG_CONFIG_HOME");
        command
    }

    #[track_caller]
    fn exits(&self, code: i32, args: &[&str], input: &str) -> Ended {
        let ended = run_with(&mut self.command(args), input.as_bytes());
        assert_eq!(ended.code, code, "{args:?}: {}{}", ended.out, ended.err);
        ended
    }

    #[track_caller]
    fn json(&self, args: &[&str]) -> Value {
        let ended = self.exits(0, &[args, &["--json"]].concat(), "");
        serde_json::from_str(&ended.out).unwrap_or_else(|error| panic!("{args:?}: {error}: {}", ended.out))
    }
}

#[test]
fn a_person_joins_works_and_leaves_without_any_management_key() {
    let world = shared();
    let folder = tempfile::tempdir().unwrap();
    let home = Home { world, folder: folder.path() };
    let told = home.exits(4, &["whoami"], "").err;
    assert!(told.contains("keystile login"), "{told}");

    let email = format!("{}@example.com", name("cli"));
    let wish = json!({ "role": "admin", "email": email });
    let link = format!("http://x/join#{}", world.invitation(&world.manage(), &wish));
    let refused = home.exits(2, &["join"], &format!("{link}\npasswordpassword\n"));
    assert!(refused.err.contains("others would try") && !refused.err.contains("passwordpassword"), "{}", refused.err);
    let joined = home.exits(0, &["join", "--name", "Ada"], &format!("{link}\n{PASSWORD}\n"));
    assert!(joined.out.starts_with("logged in at") && joined.out.contains("admin of Owner"), "{}", joined.out);
    let kept = std::fs::read_to_string(folder.path().join(".config/keystile/sessions.json")).unwrap();
    assert!(kept.contains("session_live_") && !joined.out.contains("session_live_"));

    let me = home.json(&["whoami"]);
    assert_eq!((&me["account"]["email"], &me["role"]), (&json!(email), &json!("admin")));
    let card = home.exits(0, &["whoami"], "").out;
    assert!(card.contains(&email) && card.contains("admin"), "{card}");
    let project = home.json(&["project", "create", "--name", &name("by-person")]);
    let entry = world.manage().get(&format!("/v1/audit?subject_id={}", project["id"].as_str().unwrap())).1;
    assert_eq!(entry["items"][0]["actor"], me["account"]["id"], "it stands there as what she did");

    // Colleagues.
    let made = home.exits(0, &["invitation", "create", "--role", "support", "--hours", "2"], "");
    let token = made.out.trim().rsplit_once('#').unwrap().1.to_owned();
    assert!(
        made.out.starts_with(&format!("{}/join#", world.admin_url())) && made.err.contains("only to whom"),
        "{}",
        made.err
    );
    let there = tempfile::tempdir().unwrap();
    let bob = Home { world, folder: there.path() };
    let address = format!("{}@example.com", name("cli-bob"));
    bob.exits(0, &["join", "--email", &address], &format!("{token}\n{PASSWORD}\n"));
    bob.exits(8, &["member", "update", &address, "--role", "admin"], "");
    home.exits(0, &["member-role", "create", "--name", &name("shift"), "--permission", "keys.read"], "");
    let role = name("shift");
    home.exits(0, &["member-role", "create", "--name", &role, "--permission", "keys.read"], "");
    home.exits(0, &["member", "update", &address, "--role", &role], "");
    assert_eq!(bob.json(&["whoami"])["permissions"], json!(["keys.read"]));
    bob.exits(8, &["project", "list"], "");
    assert!(home.exits(0, &["member", "list"], "").out.contains(&address));
    let sessions = bob.json(&["account", "sessions"]);
    assert_eq!(sessions["items"].as_array().unwrap().len(), 1);
    home.exits(0, &["member", "end-session", sessions["items"][0]["id"].as_str().unwrap()], "");
    let over = bob.exits(4, &["whoami"], "");
    assert!(over.err.contains("keystile login"), "{}", over.err);
    bob.exits(4, &["login", "--email", &address], "eleven green pianos whisper\n");
    bob.exits(0, &["login"], &format!("{address}\n{PASSWORD}\n"));

    // Another password, by one's own hand and by a link.
    bob.exits(0, &["account", "prove"], &format!("{PASSWORD}\n"));
    bob.exits(0, &["account", "password"], &format!("{PASSWORD}\neleven green pianos whisper\n"));
    assert_eq!(bob.json(&["whoami"])["account"]["email"], json!(address), "the session goes on");
    let link = home.exits(0, &["member", "reset-password", &address], "").out;
    assert!(link.contains("/password#reset_live_"), "{link}");
    home.exits(0, &["member", "delete", &address, "--yes"], "");
    bob.exits(4, &["whoami"], "");
    home.exits(0, &["logout"], "");
    home.exits(4, &["whoami"], "");
    home.exits(0, &["logout"], "");
    assert_eq!(std::fs::read_to_string(folder.path().join(".config/keystile/sessions.json")).unwrap(), "{}");
}

#[test]
fn whoever_runs_the_installation_makes_organizations() {
    let world = shared();
    let folder = tempfile::tempdir().unwrap();
    let home = Home { world, folder: folder.path() };
    let key = world.management_key();
    let run = |args: &[&str]| {
        let ended = run_with(home.command(args).env("KEYSTILE_MANAGEMENT_KEY", key), b"");
        assert_eq!(ended.code, 0, "{args:?}: {}", ended.err);
        ended.out
    };
    let tenant = name("Tenant");
    let made: Value = serde_json::from_str(&run(&["organization", "create", "--name", &tenant, "--json"])).unwrap();
    let id = made["id"].as_str().unwrap();
    assert_eq!(made["kind"], "consumer");
    let link = run(&["invitation", "create", "--role", "consumer_admin", "--organization", id]);
    let address = format!("{}@example.com", name("cli-consumer"));
    home.exits(0, &["join", "--email", &address], &format!("{link}{PASSWORD}\n"));
    let listed = home.json(&["organization", "list"]);
    assert_eq!(listed["items"].as_array().unwrap().len(), 1, "a tenant sees itself alone");
    home.exits(8, &["organization", "create", "--name", "x"], "");
    home.exits(8, &["api", "list"], "");
    home.exits(0, &["project", "create", "--name", "Weather app"], "");
    assert!(run(&["organization", "update", id, "--name", "Another name"]).contains("Another name"));
    assert!(run(&["member-role", "permissions"]).contains("keys.reveal"));
}

#[test]
fn somebody_sees_and_takes_away_passkeys_at_the_command_line() {
    let world = shared();
    let folder = tempfile::tempdir().unwrap();
    let home = Home { world, folder: folder.path() };
    let person = world.person("auditor");
    let (_, id) = world.passkey_of(&world.as_person(&person));
    home.exits(0, &["login", "--email", &person.email], &format!("{PASSWORD}\n"));
    let listed = home.exits(0, &["account", "passkeys"], "").out;
    assert!(listed.contains(&id) && listed.contains("Laptop"), "{listed}");
    home.exits(0, &["account", "rename-passkey", &id, "Phone"], "");
    assert_eq!(home.json(&["account", "passkeys"])["items"][0]["name"], json!("Phone"));
    home.exits(0, &["account", "remove-password", "--yes"], "");
    let told = home.exits(2, &["account", "prove"], "").err;
    assert!(told.contains("login --device"), "{told}");
    home.exits(6, &["account", "remove-passkey", &id, "--yes"], "");
    home.exits(0, &["account", "password"], "eleven green pianos whisper\n");
    home.exits(0, &["account", "remove-passkey", &id, "--yes"], "");
    assert_eq!(home.json(&["account", "passkeys"])["items"], json!([]));
}
