//! No secret is found where it was not shown (SECURITY.md K-4, E-2): each is driven through fields, wrong places and errors,
//! and then everything that is written, kept and answered is searched for it.

use std::fs;
use std::path::{Path, PathBuf};

use data_encoding::{BASE64, HEXLOWER};
use keystile_testkit::Api;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::process::{Server, keystile, run, settings};

/// The secrets, by what they are.
type Canaries = Vec<(&'static str, String)>;

/// Every file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries
        .flat_map(|path| match path.is_dir() {
            true => files(&path),
            false => vec![path],
        })
        .collect()
}

/// The first canary that is in these bytes: as it is, in Base64, in hexadecimal.
fn found(bytes: &[u8], canaries: &Canaries) -> Option<&'static str> {
    let holds = |text: &str| memchr::memmem::find(bytes, text.as_bytes()).is_some();
    let is_there = |secret: &str| {
        holds(secret)
            || holds(BASE64.encode(secret.as_bytes()).trim_end_matches('='))
            || holds(&HEXLOWER.encode(secret.as_bytes()))
    };
    canaries.iter().find(|(_, secret)| is_there(secret)).map(|(what, _)| *what)
}

fn text<'a>(object: &'a Value, name: &str) -> &'a str {
    object[name].as_str().unwrap_or_else(|| panic!("{name} is not in {object}"))
}

/// Presents a text of a key where none belongs, and where one does.
fn misplace(server: &Server, key: &str) {
    let gateway = Api::new(server.address("gateway"), "");
    let check = Api::new(server.address("check"), "");
    let admin = Api::new(server.address("admin"), key);
    for (path, fields) in [
        ("/pets", vec![("authorization", format!("Bearer {key}"))]),
        ("/pets", vec![("authorization", format!("Basic {key}"))]),
        ("/pets", vec![("authorization", format!("Bearer {key}")), ("x-api-key", key.to_owned())]),
        ("/pets", vec![("authorization", "none".to_owned()), ("cookie", format!("key={key}"))]),
        ("/pets", vec![("authorization", "none".to_owned()), ("user-agent", key.to_owned())]),
        ("/pets", vec![("authorization", "none".to_owned()), ("referer", format!("https://x.test/?k={key}"))]),
        (&format!("/pets?api_key={key}"), vec![("authorization", "none".to_owned())]),
        (&format!("/pets/{key}/x"), vec![("authorization", "none".to_owned())]),
        (&format!("/pets/{key}/x"), vec![("authorization", format!("Bearer {key}"))]),
    ] {
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        gateway.request("GET", path, &fields, b"");
        gateway.request(&key[..20], path, &fields, b"");
        admin.request("GET", &format!("/v1{path}"), &fields, b"");
    }
    let json = [("content-type", "application/json"), ("authorization", "none")];
    for body in [
        json!({ "key": key }).to_string(),
        json!({ "key": [key] }).to_string(),
        json!({ "key": key, "operation": { "path": format!("/x?k={key}") } }).to_string(),
        format!("{{\"key\":\"{key}\""),
        json!({ "kee": key }).to_string(),
    ] {
        check.request("POST", "/v1/verify", &json, body.as_bytes());
        check.request("POST", &format!("/v1/verify?k={key}"), &json, body.as_bytes());
        admin.request("POST", "/v1/keys", &json[..1], body.as_bytes());
    }
}

#[test]
fn k04_e02_no_secret_is_written_kept_or_answered_where_it_was_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let (access, audit) = (here.join("access.log"), here.join("audit.ndjson"));
    let phrase = "a passphrase that is a canary too";
    fs::write(here.join("phrase"), phrase).unwrap();
    let file = settings(
        here,
        &format!(
            "root_key = \"passphrase:{}\"\n[log]\nlevel = \"debug\"\naccess = {access:?}\n[audit]\nfile = {audit:?}\n[webhooks]\nnetworks = [\"127.0.0.0/8\"]\n",
            here.join("phrase").display()
        ),
    );
    let mut server = Server::serve(&file);
    let manage = server.manage();
    let mut canaries: Canaries =
        vec![("the passphrase", phrase.to_owned()), ("the management key", server.said("management_key").to_owned())];

    // Secrets of every kind, made, changed and used.
    let api = json!({ "name": "pets", "upstream": "http://127.0.0.1:9", "recoverable_keys": true });
    let api = text(&manage.create("/v1/apis", &api), "id").to_owned();
    let project = text(&manage.create("/v1/projects", &json!({ "name": "shop" })), "id").to_owned();
    manage.create("/v1/activations", &json!({ "project_id": project, "api_id": api }));
    let upstream = "canary-that-the-upstream-sees";
    let secret = format!("/v1/apis/{api}/secrets/header:x-up");
    let of_json = [("content-type", "application/json")];
    for body in [
        json!({ "value": upstream }).to_string(),
        json!({ "value": upstream, "more": 1 }).to_string(),
        json!({ "value": { "a": upstream } }).to_string(),
        format!("{{\"value\":\"{upstream}\""),
    ] {
        manage.request("PUT", &secret, &of_json, body.as_bytes());
        manage.request("PUT", &secret.replace("x-up", "bad name"), &of_json, body.as_bytes());
    }
    canaries.push(("a secret of an API", upstream.to_owned()));
    let webhook = manage.create("/v1/webhooks", &json!({ "url": "http://127.0.0.1:9/hook", "events": ["key.*"] }));
    let signing = text(&webhook, "secret").to_owned();
    let bare = signing.trim_start_matches("whsec_").to_owned();
    canaries.extend([("a webhook's secret", signing), ("a webhook's secret, bare", bare)]);
    let mut make = |what: &'static str, fields: Value| {
        let mut body = json!({ "project_id": project, "name": what.replace(' ', "-") });
        for (name, value) in fields.as_object().unwrap() {
            body[name] = value.clone();
        }
        let made = manage.create("/v1/keys", &body);
        let id = text(&made, "id").to_owned();
        match made["key"].as_str() {
            Some(key) => canaries.push((what, key.to_owned())),
            None => {
                let path = text(&made["hand_over"], "path").to_owned();
                canaries.push(("a link's token", path.rsplit('#').next().unwrap().to_owned()));
            }
        }
        id
    };
    let plain = make("a key", json!({}));
    let recoverable = make("a recoverable key", json!({ "recoverable": true }));
    let handed = make("a handed over key", json!({ "hand_over_hours": 1 }));
    for id in [&plain, &recoverable, &handed] {
        let rotated = manage.post(&format!("/v1/keys/{id}/rotate"), &json!({ "recoverable": *id == recoverable })).1;
        canaries.push(("a rotated key", text(&rotated, "key").to_owned()));
    }
    let imported = "sk_imported_9f8e7d6c5b4a39281706f5e4d3c2b1a0";
    let lines = format!("{}\n{}\nno json {imported}\n", json!({ "key": imported }), json!({ "key": imported, "x": 1 }));
    let ndjson = [("content-type", "application/x-ndjson")];
    manage.request("POST", &format!("/v1/keys/import?project_id={project}"), &ndjson, lines.as_bytes());
    canaries.push(("an imported key", imported.to_owned()));
    assert_eq!(manage.post(&format!("/v1/keys/{recoverable}/reveal"), &json!({})).0, 200);
    for path in ["/v1/encryption/rotate", "/v1/encryption/rewrap", "/v1/encryption/peppers"] {
        assert_eq!(manage.post(path, &json!({})).0, 200);
    }

    let texts: Vec<String> = canaries
        .iter()
        .map(|(_, text)| text)
        .filter(|text| text.starts_with("ks_") || *text == imported)
        .cloned()
        .collect();
    for key in &texts {
        misplace(&server, key);
    }
    for id in [&plain, &handed] {
        assert_eq!(manage.post(&format!("/v1/keys/{id}/compromised"), &json!({ "replace": false })).0, 200);
    }

    // Whatever can be read.
    let (_, document) = manage.get("/openapi.json");
    let mut looked = 0;
    for template in document["paths"].as_object().unwrap().keys() {
        for (kind, id) in [("apis", &api), ("projects", &project), ("keys", &recoverable), ("keys", &plain)] {
            if !template.contains("{id}") || template.starts_with(&format!("/v1/{kind}/")) {
                let path = template.replace("{id}", id).replace("{version}", "1").replace("{name}", "header:x-up");
                let answer = manage.request("GET", &path, &[], b"");
                looked += usize::from(answer.status == 200);
                assert_eq!(found(&answer.body, &canaries), None, "in the answer of GET {path}");
            }
        }
    }
    assert!(looked > 30, "{looked}");
    let metrics = manage.request("GET", "/metrics", &[], b"");
    assert_eq!(found(&metrics.body, &canaries), None, "in the metrics");
    assert_eq!(found(server.err().as_bytes(), &canaries), None, "in the log");
    assert_eq!(server.end(Signal::TERM).0, 0);
    assert_eq!(found(server.err().as_bytes(), &canaries), None, "in the log");
    let kept = files(here);
    assert!(kept.len() >= 6 && kept.contains(&access) && kept.contains(&audit), "{kept:?}");
    for path in kept.iter().filter(|path| path.is_file() && !path.ends_with("phrase")) {
        assert_eq!(found(&fs::read(path).unwrap(), &canaries), None, "in {}", path.display());
    }
    println!("{} secrets, {looked} answers and {} files", canaries.len(), kept.len());
    // The search finds what is there.
    assert_eq!(found(phrase.as_bytes(), &canaries), Some("the passphrase"));
    let sound = run(&mut keystile(&["db", "check", "--config", &file]));
    assert!(sound.code == 0 && sound.out.starts_with("sound: "), "{sound:?}");
}
