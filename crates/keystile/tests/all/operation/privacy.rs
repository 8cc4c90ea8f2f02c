//! Privacy at the running product (K43): what is kept about a consumer is exported, and erased from every file.

use keystile_testkit::Installation;
use serde_json::{Value, json};

use super::disk::{contents, holders};
use super::process::{keystile, run_with};
use super::world::World;

/// What must not be anywhere afterwards.
const CANARY: &str = "Slartibartfast of Magrathea";
const CONTACT: &str = "slarti@magrathea.example";

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn k43_all_that_is_kept_of_a_consumer_is_exported_and_erased_from_every_file() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let settings = format!(
        "data = \"{}\"\nroot_key = \"{}\"\n[gateway]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n\
         [check]\nlisten = \"127.0.0.1:0\"\n[snapshot]\nsave_seconds = 1\n",
        data.display(),
        folder.path().join("root.key").display()
    );
    let installation = Installation::serve(env!("CARGO_BIN_EXE_keystile"), &settings, folder.path());
    let world = World::bare(installation);
    let manage = world.manage();
    let about = json!({ "name": CANARY, "contact": CONTACT, "description": format!("By {CANARY}"), "metadata": { "who": CANARY } });
    let project = manage.create("/v1/projects", &about)["id"].as_str().unwrap().to_owned();
    let named = json!({ "name": format!("Fjords of {CANARY}"), "metadata": { "who": CANARY } });
    let (key, text) = world.key(&project, &named);
    let networks = json!({ "restrictions": { "networks": { "allow": ["203.0.113.42/32", "127.0.0.0/8"] } } });
    assert_eq!(manage.patch(&format!("/v1/keys/{key}"), &networks).0, 200);
    let told = json!({ "key": text, "end_user": CANARY, "tags": { "who": CANARY } });
    assert_eq!(world.verify(&told).status, 200);
    let person = world.person_by(&manage, &json!({ "role": "auditor" }));
    let email = person.email.clone();
    assert_eq!(world.as_person(&person).patch("/v1/account", &json!({ "name": CANARY })).0, 200);

    // What is kept is had from the server before.
    let exported = manage.request("GET", &format!("/v1/privacy/projects/{project}"), &[], b"");
    assert_eq!(exported.status, 200, "{}", exported.text());
    let exported = lines(std::str::from_utf8(&exported.body).unwrap());
    let kinds: Vec<&str> = exported.iter().map(|line| line["type"].as_str().unwrap()).collect();
    for kind in ["project", "key", "request", "audit_entry", "usage_facet"] {
        assert!(kinds.contains(&kind), "{kind}: {kinds:?}");
    }
    let all = json!(exported).to_string();
    assert!(
        all.contains(CONTACT) && all.contains("203.0.113.42") && !all.contains(&text),
        "all but the text of the key"
    );
    let (status, of_member) = manage.get(&format!("/v1/privacy/members/{}", person.member));
    assert_eq!((status, &of_member["member"]["email"]), (200, &json!(email)));
    let (status, own) = world.as_person(&person).get("/v1/account/export");
    assert_eq!((status, &own["who"]["account"]["name"]), (200, &json!(CANARY)));
    assert!(own["audit_entries"].as_array().unwrap().iter().any(|entry| entry["type"] == "session.create"));
    let all = own.to_string();
    assert!(!all.contains(&person.token) && !all.contains("argon2"), "no secret is among it: {all}");

    let erase = |path: String| {
        let ended = run_with(
            keystile(&["--yes", "--json"])
                .args(path.split(' '))
                .env("KEYSTILE_URL", world.admin_url())
                .env("KEYSTILE_MANAGEMENT_KEY", world.management_key()),
            b"",
        );
        assert_eq!(ended.code, 0, "{path}: {}{}", ended.out, ended.err);
    };
    // An end user of an application, alone; the project's own facets go with it below.
    let of_one = json!({ "key": text, "end_user": "ada/7 & co" });
    assert_eq!(world.verify(&of_one).status, 200);
    let asked = "/v1/privacy/end-users?end_user=ada%2F7%20%26%20co";
    let used = lines(&manage.request("GET", asked, &[], b"").text());
    assert_eq!((used.len(), &used[0]["calls"], &used[0]["key_id"]), (1, &json!(1), &json!(key)), "{used:?}");
    // One whose cost is told after the erasure.
    let later = json!({ "key": text, "client": { "ip": "127.0.0.1" }, "end_user": "ada/7 & co", "report": true });
    let lease = world.verify(&later).json()["lease"]["id"].clone();
    let trial = manage.request("DELETE", &format!("{asked}&dry_run=true"), &[], b"");
    assert!(trial.status == 400, "{}", trial.text());
    let erase_user = ["--yes", "end-user", "erase", "ada/7 & co"];
    let ended = run_with(
        keystile(&erase_user)
            .env("KEYSTILE_URL", world.admin_url())
            .env("KEYSTILE_MANAGEMENT_KEY", world.management_key()),
        b"",
    );
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert_eq!(world.ask("/v1/usage/report", &json!({ "lease": lease, "cost": 5 })).status, 200);
    assert_eq!(manage.request("GET", asked, &[], b"").text(), "");
    let (status, unknown) = manage.delete(asked);
    assert_eq!(status, 404, "whoever is not known is not said to be erased: {unknown}");
    let counted = manage.get("/v1/usage?group_by=end_user").1;
    assert!(!counted.to_string().contains("ada/7"), "{counted}");
    let (_, noted) = manage.get("/v1/audit?type=end_user.erase");
    assert!(noted["items"].as_array().unwrap().len() == 2 && !noted.to_string().contains("ada"), "{noted}");
    let trial = manage.request("DELETE", &format!("/v1/privacy/projects/{project}?dry_run=true"), &[], b"");
    assert!(trial.status == 400 && trial.text().contains("the export shows"), "{}", trial.text());
    erase(format!("project erase {project}"));
    erase(format!("project erase {project}"));
    erase(format!("member erase {email}"));
    assert_ne!(world.verify(&json!({ "key": text })).json()["code"], json!("allowed"), "its keys are gone");
    assert_eq!(manage.get(&format!("/v1/projects/{project}")).0, 404);
    assert_eq!(world.as_person(&person).get("/v1/whoami").0, 401);
    assert_eq!(manage.get("/v1/audit/verify").1["intact"], json!(true), "E-5");
    let told = |action: &str| manage.get(&format!("/v1/audit?type={action}&limit=9")).1["items"].clone();
    assert_eq!(told("project.export")[0]["subject_id"], json!(project));
    assert_eq!(told("project.erase")[1]["after"]["keys"], json!(1), "what the first one took stays written");
    let entries = manage.get(&format!("/v1/audit?subject_id={key}")).1;
    assert!(entries["items"].as_array().unwrap().iter().all(|entry| entry["is_erased"] == json!(true)), "{entries}");
    // The snapshot of keys is saved anew every second here.
    std::thread::sleep(std::time::Duration::from_millis(2_500));
    let files = contents(&data);
    assert!(files.len() > 3, "{:?}", files.keys());
    for text in [CANARY, CONTACT, "203.0.113.42", "ada/7 & co", &email] {
        assert!(holders(&files, text).is_empty(), "{text} in {:?}", holders(&files, text));
    }
}
