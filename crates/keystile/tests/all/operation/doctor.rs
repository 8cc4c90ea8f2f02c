//! `keystile doctor`: names what is weak and how to mend it, and has nothing to say when it was mended (PRODUCT.md K45).

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use keystile_testkit::Installation;
use keystile_testkit::tls::Authority;
use serde_json::{Value, json};

use super::process::{end, keystile, run};
use super::world::{BINARY, World};

fn settings(folder: &Path, text: &str) -> String {
    let file = folder.join("keystile.toml");
    fs::write(&file, text).unwrap();
    file.display().to_string()
}

/// A mail server, which is not asked.
const MAIL: &str = "[mail]\nserver = \"smtps://mail.example.com\"\nfrom = \"keys@example.com\"\n";

/// What it finds, by their words.
fn findings(config: &str) -> Vec<String> {
    let told = run(&mut keystile(&["doctor", "--json", "--config", config]));
    let said: Value = serde_json::from_str(&told.out).unwrap_or_else(|_| panic!("{told:?}"));
    let found = said["findings"].as_array().unwrap();
    assert_eq!(told.code, if found.is_empty() { 0 } else { 3 }, "{told:?}");
    for finding in found {
        assert!(["high", "medium", "low"].contains(&finding["severity"].as_str().unwrap()), "{finding}");
        assert!(
            finding["what"].as_str().unwrap().len() > 10 && finding["mend"].as_str().unwrap().len() > 5,
            "{finding}"
        );
    }
    let ids = found.iter().map(|finding| finding["id"].as_str().unwrap().to_owned());
    // Whether the disk of whoever runs the tests is full says nothing of them.
    ids.filter(|id| id != "disk_nearly_full").collect()
}

#[test]
fn a_weak_deployment_is_named_and_a_mended_one_is_left_alone() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let data = folder.path().join("data");
    let root_key = folder.path().join("keys/root.key");
    let weak = format!(
        "data = {data:?}\n[gateway]\nlisten = \"0.0.0.0:4400\"\ntrusted_proxies = []\n[admin]\nlisten = \"0.0.0.0:4401\"\n"
    );
    let weak = settings(folder.path(), &weak);
    assert_eq!(
        findings(&weak),
        ["no_recent_backup", "plain_http", "plain_http", "management_reachable", "no_mail_server", "nothing_kept"]
    );

    let mut world = World::of(Installation::start(BINARY, &["--data", data.to_str().unwrap()]), None);
    let manage = world.manage();
    // The first key is a program's; it gets an end, an API that says how long keys live, and narrow keys take its place.
    let (_, keys) = manage.get("/v1/keys?limit=200");
    let in_a_week = json!({ "expires_at": "2035-01-01T00:00:00Z" });
    let exposed = world.key(&world.installation.project_id, &json!({})).1;
    world.call(&exposed, "GET", &format!("/?api_key={exposed}"));
    let before = findings(&weak);
    for id in ["root_key_beside_the_data", "management_key_may_do_everything", "no_expiry_policy"] {
        assert!(before.contains(&id.to_owned()), "{id}: {before:?}");
    }
    let human = run(&mut keystile(&["doctor", "--config", &weak]));
    assert!(human.code == 3 && human.out.contains("mend: ") && human.out.contains("findings"), "{human:?}");
    assert!(!human.out.contains(&exposed));

    let api = &world.installation.api_id;
    assert_eq!(manage.patch(&format!("/v1/apis/{api}"), &json!({ "max_key_days": 3650 })).0, 200);
    for key in keys["items"].as_array().unwrap() {
        let id = key["id"].as_str().unwrap();
        let restrictions = json!({ "networks": { "allow": ["127.0.0.0/8"] } });
        let mut changes = in_a_week.clone();
        if key["kind"] == "management" {
            changes["restrictions"] = restrictions;
        }
        let (status, told) = manage.patch(&format!("/v1/keys/{id}"), &changes);
        assert_eq!(status, 200, "{told}");
    }
    let (_, all) = manage.get("/v1/keys?limit=200");
    for key in all["items"].as_array().unwrap().iter().filter(|key| key["exposed_at"].is_string()) {
        let path = format!("/v1/keys/{}/revoke", key["id"].as_str().unwrap());
        assert_eq!(manage.post(&path, &json!({})).0, 200);
    }
    assert!(end(&mut world.installation).0.success());
    fs::create_dir(root_key.parent().unwrap()).unwrap();
    fs::rename(data.join("root.key"), &root_key).unwrap();
    fs::set_permissions(&data, Permissions::from_mode(0o700)).unwrap();
    let identity = folder.path().join("identity").display().to_string();
    let recipient = run(&mut keystile(&["db", "identity", &identity])).out.trim().to_owned();
    let mended = settings(folder.path(), &format!("data = {data:?}\nroot_key = {root_key:?}\n{MAIL}"));
    let file = folder.path().join("backup.age").display().to_string();
    let made = run(&mut keystile(&["db", "backup", &file, "--recipient", &recipient, "--config", &mended]));
    assert_eq!(made.code, 0, "{made:?}");
    assert_eq!(findings(&mended), Vec::<String>::new());

    fs::set_permissions(&root_key, Permissions::from_mode(0o444)).unwrap();
    let open = settings(
        folder.path(),
        &format!("data = {data:?}\nroot_key = {root_key:?}\n{MAIL}[gateway]\ntrusted_proxies = [\"0.0.0.0/0\"]\n"),
    );
    assert_eq!(findings(&open), ["everybody_is_a_trusted_proxy", "root_key_readable"]);
    let sound = fs::read(&root_key).unwrap();
    fs::remove_file(&root_key).unwrap();
    assert_eq!(findings(&open), ["everybody_is_a_trusted_proxy", "root_key_missing"]);
    // One that is there, and is another one.
    fs::write(&root_key, format!("{}\n", "5a".repeat(32))).unwrap();
    fs::set_permissions(&root_key, Permissions::from_mode(0o600)).unwrap();
    assert_eq!(findings(&open), ["everybody_is_a_trusted_proxy", "root_key_of_other_data"]);
    fs::write(&root_key, sound).unwrap();

    // What a killed backup left, an audit that is told to nobody, a former root key that nothing needs.
    let left = data.join(".keystile-backup-x1y2z3");
    fs::create_dir(&left).unwrap();
    let hours_ago = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_800_000_000 - 1_000_000_000);
    fs::File::open(&left).unwrap().set_modified(hours_ago).unwrap();
    let more = settings(
        folder.path(),
        &format!(
            "data = {data:?}\nroot_key = {root_key:?}\nprevious_root_key = \"env:FORMER\"\n{MAIL}[audit]\nfile = {:?}\n",
            folder.path().join("nowhere/audit.ndjson")
        ),
    );
    let mut former = keystile(&["doctor", "--json", "--config", &more]);
    let told: Value = serde_json::from_str(&run(former.env("FORMER", "5a".repeat(32))).out).unwrap();
    let ids: Vec<&str> = told["findings"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect();
    assert_eq!(
        ids,
        ["audit_file_nowhere", "root_key_in_environment", "unfinished_backup_left", "previous_root_key_named"],
        "{told}"
    );
    fs::rename(data.join("catalog.db"), folder.path().join("catalog.db")).unwrap();
    let gone = run(&mut keystile(&["doctor", "--config", &mended]));
    assert!(gone.code == 1 && gone.err.contains("catalog.db is missing"), "{gone:?}");
}

#[test]
fn settings_that_are_wrong_are_said_before_anything_is_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let wrong = settings(folder.path(), "datta = \"x\"\n");
    let told = run(&mut keystile(&["doctor", "--config", &wrong]));
    assert!(told.code == 2 && told.err.contains("datta"), "{told:?}");
}

#[test]
fn it_says_whether_mail_is_set_up_and_its_password_is_kept_well() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mail-password");
    let mail = |more: &str| {
        let text = format!("data = {:?}\n{more}", folder.path().join("data"));
        let all = findings(&settings(folder.path(), &text));
        all.into_iter().filter(|id| id.contains("mail")).collect::<Vec<_>>()
    };
    assert_eq!(mail(""), ["no_mail_server"]);
    let with = format!(
        "[mail]\nserver = \"smtps://u@mail.example.com\"\nfrom = \"k@example.com\"\npassword_file = {file:?}\n"
    );
    assert_eq!(mail(&with), ["mail_password_missing"]);
    fs::write(&file, "secret\n").unwrap();
    for (mode, found) in [(0o644, vec!["mail_password_readable"]), (0o600, vec![])] {
        fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
        assert_eq!(mail(&with), found, "{mode:o}");
    }
}

#[test]
fn a_certificate_is_named_before_it_ends() {
    let folder = tempfile::tempdir().unwrap();
    let (file, authority) = (folder.path().join("certificate.pem"), Authority::new());
    let listener = "[gateway]\nlisten = \"127.0.0.1:4400\"\ntls_listen = \"127.0.0.1:4443\"\n";
    let config = settings(
        folder.path(),
        &format!("data = {:?}\n{listener}[tls]\ncertificates = [{file:?}]\n", folder.path().join("data")),
    );
    for (days, found) in [(60, None), (13, Some("certificate_ends_soon")), (-1, Some("certificate"))] {
        authority.issue_for(&["api.test"], days * 86_400).write(&file);
        fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
        let all = findings(&config);
        let of_certificates: Vec<&str> =
            all.iter().map(String::as_str).filter(|id| id.starts_with("certificate")).collect();
        assert_eq!(of_certificates, found.into_iter().collect::<Vec<_>>(), "{days} days");
        assert!(!all.contains(&"private_key_readable".to_owned()), "{all:?}");
    }
    fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
    assert!(findings(&config).contains(&"private_key_readable".to_owned()));
}
