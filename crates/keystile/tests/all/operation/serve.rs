//! `keystile serve`: settings, the first management key, and the root key without which nothing is touched (C-9).

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use keystile_testkit::Api;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::dev::one_clear_line;
use super::disk::contents;
use super::process::{Server, keystile, run, settings};

#[test]
fn wrong_settings_are_refused_with_file_line_and_column() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keystile.toml");
    for (text, place, words) in [
        ("[gateway]\nidel_seconds = 5\n", "2:1", "did you mean `idle_seconds`?"),
        ("\n[gateway]\nidle_seconds = 0\n", "3:16", "allowed:"),
        ("[gateway]\nlisten = 4400\n", "2:10", "gateway.listen"),
        ("data = \"x\n", "1:", ""),
        ("[gatway]\nlisten = \"off\"\n", "1:2", "did you mean `gateway`?"),
        ("[check]\nlisten = \"0.0.0.0:4402\"\n", "2:10", "require_key"),
    ] {
        std::fs::write(&file, text).unwrap();
        let ended = run(&mut keystile(&["serve", "--json", "--config", file.to_str().unwrap()]));
        let place = format!("{}:{place}", file.display());
        assert_eq!((ended.code, ended.out.as_str()), (2, ""), "{}", ended.err);
        assert!(ended.err.starts_with(&place) && ended.err.contains(words), "{place} {words} in {}", ended.err);
        let ended = run(&mut keystile(&["config", "check", "--config", file.to_str().unwrap()]));
        assert!(ended.code == 3 && ended.err.starts_with(&place), "{}", ended.err);
    }
    let ended = run(&mut keystile(&["serve", "--config", "/nowhere.toml"]));
    assert!(ended.code == 2 && ended.err.contains("/nowhere.toml"), "{}", ended.err);
    assert!(!folder.path().join("keystile-data").exists(), "nothing is made for wrong settings");
}

#[test]
fn variables_go_before_the_file_and_unknown_ones_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = settings(folder.path(), "");
    let elsewhere = folder.path().join("elsewhere");
    let mut command = keystile(&["serve", "--json", "--config", &file]);
    command.env("KEYSTILE_DATA", &elsewhere).env("KEYSTILE_CHECK_LISTEN", "off");
    let server = Server::start(command);
    assert!(elsewhere.join("root.key").exists() && !folder.path().join("data").exists());
    assert!(server.line["check"].is_null(), "{}", server.line["check"]);
    drop(server);
    let mut command = keystile(&["serve", "--json"]);
    command.env("KEYSTILE_CONFIG", &file);
    drop(Server::start(command));
    assert!(folder.path().join("data").exists(), "KEYSTILE_CONFIG names the file");
    for (name, value, words) in [
        ("KEYSTILE_GATEWAY_IDLE_SECONDS", "soon", "KEYSTILE_GATEWAY_IDLE_SECONDS"),
        ("KEYSTILE_GATEWAY_LISTN", "off", "did you mean KEYSTILE_GATEWAY_LISTEN?"),
    ] {
        let ended = run(keystile(&["serve", "--json", "--config", &file]).env(name, value));
        assert!(ended.code == 2 && ended.err.contains(words), "{}", ended.err);
    }
    let shown = run(keystile(&["config", "show", "--config", &file]).env("KEYSTILE_USAGE_FLUSH_MS", "250"));
    assert!(
        shown.code == 0 && shown.out.contains("250") && shown.out.contains("KEYSTILE_USAGE_FLUSH_MS"),
        "{}",
        shown.out
    );
}

#[test]
fn a05_the_management_key_is_printed_once_and_only_at_the_first_start() {
    let folder = tempfile::tempdir().unwrap();
    let file = settings(folder.path(), "");
    let mut first = Server::serve(&file);
    let key = first.said("management_key").to_owned();
    assert_eq!(first.out().matches(&key).count(), 1);
    assert_eq!(first.manage().get("/v1/projects").0, 200);
    assert_eq!(first.manage().get("/v1/apis").1["items"], json!([]), "serve makes nothing to try things out with");
    assert_eq!(first.end(Signal::TERM).0, 0);
    assert!(!first.err().contains(&key));
    let mut second = Server::serve(&file);
    assert!(second.line["management_key"].is_null(), "{}", second.line);
    let owner = Api::new(second.address("admin"), &key);
    let keys = owner.get("/v1/keys?kind=management").1;
    assert_eq!(keys["items"].as_array().unwrap().len(), 1);
    let id = keys["items"][0]["id"].as_str().unwrap();
    assert_eq!(owner.post(&format!("/v1/keys/{id}/revoke"), &json!({})).0, 200);
    assert_eq!(owner.get("/v1/keys").0, 401);
    assert_eq!(second.end(Signal::TERM).0, 0);
    assert!(!second.out().contains(&key) && !second.err().contains(&key));
    // Whoever revoked the last one would be locked out for ever.
    let third = Server::serve(&file);
    assert_ne!(third.said("management_key"), key);
    assert_eq!(third.manage().get("/v1/keys").0, 200);
}

#[test]
fn a_management_key_that_could_not_be_shown_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let file = settings(folder.path(), "");
    for json in [&["--json"][..], &[]] {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let mut command = keystile(&[&["serve", "--config", &file], json].concat());
        let ended = command.stdout(full).stderr(std::process::Stdio::piped()).output().unwrap();
        let said = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(1), "{said}");
        assert!(said.contains("the management key could not be shown") && said.contains("makes another"), "{said}");
    }
    let server = Server::serve(&file);
    let states: Vec<Value> = server.manage().get("/v1/keys?kind=management").1["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| key["state"].clone())
        .collect();
    assert_eq!(states, ["active", "revoked", "revoked"]);
}

#[test]
fn for_people_it_says_where_the_listeners_are_and_the_key_stands_alone_in_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = settings(folder.path(), "");
    let out = std::fs::File::create(folder.path().join("out")).unwrap();
    let mut child =
        keystile(&["serve", "--config", &file]).stdout(out).stderr(std::process::Stdio::null()).spawn().unwrap();
    let said = || std::fs::read_to_string(folder.path().join("out")).unwrap();
    keystile_testkit::eventually("it says its key", || said().contains("management key: ks_live_"));
    super::process::signal(child.id(), Signal::TERM);
    assert!(child.wait().unwrap().success());
    for listener in ["gateway: http://127.0.0.1:", "admin: http://127.0.0.1:", "check: http://127.0.0.1:"] {
        assert!(said().lines().any(|line| line.starts_with(listener)), "{}", said().lines().next().unwrap());
    }
}

#[test]
fn c09_data_without_its_root_key_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let file = settings(folder.path(), "");
    let data = folder.path().join("data");
    let root_key = data.join("root.key");
    let mut server = Server::serve(&file);
    let manage = server.manage();
    manage.create("/v1/projects", &json!({ "name": "kept" }));
    assert_eq!(server.end(Signal::TERM).0, 0);
    let sound = std::fs::read(&root_key).unwrap();
    let garbled: Vec<u8> = sound.iter().enumerate().map(|(n, byte)| if n == 10 { b'g' } else { *byte }).collect();
    let other: Vec<u8> = [&[if sound[0] == b'0' { b'1' } else { b'0' }], &sound[1..]].concat();
    for (what, bytes) in [
        ("missing", None),
        ("empty", Some(Vec::new())),
        ("garbled", Some(garbled)),
        ("cut", Some(sound[..40].to_vec())),
        ("doubled", Some([sound.as_slice(), &sound].concat())),
        ("binary", Some(vec![0xff; 32])),
        ("another's", Some(other)),
    ] {
        put(&root_key, bytes.as_deref());
        let before = contents(&data);
        let ended = run(&mut keystile(&["serve", "--json", "--config", &file]));
        assert_eq!((ended.code, ended.out.as_str()), (1, ""), "{what}: {}", ended.err);
        one_clear_line(&ended.err, &[root_key.to_str().unwrap()]);
        assert!(!ended.err.contains(std::str::from_utf8(&sound[..20]).unwrap()), "{what}");
        let port = super::process::free_ports().to_string();
        let ended = run(keystile(&["dev", "--json", "--port-base", &port, "--data"]).arg(&data));
        assert_eq!((ended.code, ended.out.as_str()), (1, ""), "{what}: {}", ended.err);
        let after = contents(&data);
        let differing: Vec<_> = before.iter().filter(|(path, bytes)| after.get(*path) != Some(*bytes)).collect();
        let names: Vec<_> = differing.iter().map(|(path, _)| path.display().to_string()).collect();
        assert_eq!(names, Vec::<String>::new(), "{what}: these were changed");
        let new: Vec<_> = after.keys().filter(|path| !before.contains_key(*path)).collect();
        assert!(new.is_empty(), "{what}: {new:?} were made");
    }
    put(&root_key, Some(&sound));
    let again = Server::serve(&file);
    let owner = Api::new(again.address("admin"), server.said("management_key"));
    let names = owner.get("/v1/projects").1;
    assert!(names["items"].as_array().unwrap().iter().any(|project| project["name"] == "kept"));
}

#[test]
fn a_root_key_file_elsewhere_is_made_there_and_nowhere_else() {
    let folder = tempfile::tempdir().unwrap();
    let elsewhere = folder.path().join("secrets").join("root");
    let file = settings(folder.path(), &format!("root_key = {elsewhere:?}"));
    drop(Server::serve(&file));
    assert!(elsewhere.exists() && !folder.path().join("data").join("root.key").exists());
    assert_eq!(std::fs::metadata(&elsewhere).unwrap().permissions().mode() & 0o777, 0o400);
}

/// Puts a file there, or takes it away.
fn put(path: &Path, bytes: Option<&[u8]>) {
    let _ = std::fs::remove_file(path);
    if let Some(bytes) = bytes {
        std::fs::write(path, bytes).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o400)).unwrap();
    }
}
