//! Lists: newest first, in pages that follow each other without a gap while things come and go.

use keystile_testkit::Api;
use serde_json::{Value, json};

use super::super::form::problem;
use super::super::world::{id, name, shared};

/// More than the largest page.
const MANY: usize = 230;

#[test]
fn pages_of_many_keys_follow_each_other_without_a_gap_and_none_comes_twice() {
    let world = shared();
    let manage = world.manage();
    let project = world.project();
    let lines: String = (0..MANY).map(|n| format!("{{\"sha256\":\"{}\",\"name\":\"n{n}\"}}\n", hash(n))).collect();
    let imported = manage.request(
        "POST",
        &format!("/v1/keys/import?project_id={project}"),
        &[("content-type", "application/x-ndjson")],
        lines.as_bytes(),
    );
    assert_eq!(imported.json()["imported"], MANY, "{}", imported.text());
    // Keys of one import are equally new: among them there is an order, whichever.
    let mut all: Vec<String> = (0..MANY).map(|n| format!("n{n}")).collect();
    all.sort_unstable();
    for limit in [1, 7, 50, 199, 200] {
        if limit == 1 {
            let page = manage.get(&format!("/v1/keys?project_id={project}&limit=1")).1;
            assert_eq!(page["items"].as_array().unwrap().len(), 1);
            continue;
        }
        let seen = walk(&manage, &format!("/v1/keys?project_id={project}&limit={limit}"), || {});
        let mut seen = names(&seen);
        seen.sort_unstable();
        assert_eq!(seen, all, "limit {limit}");
    }
    let mut ids: Vec<String> = walk(&manage, &format!("/v1/keys?project_id={project}"), || {}).iter().map(id).collect();
    assert_eq!(ids.len(), MANY, "the default page is no other list");
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), MANY);
}

#[test]
fn what_comes_and_goes_meanwhile_moves_no_page() {
    let world = shared();
    let manage = world.manage();
    let project = world.project();
    let kept: Vec<String> = (0..12).map(|_| world.key(&project, &json!({})).0).collect();
    let removed = world.key(&project, &json!({})).0;
    let mut turns = 0;
    let seen = walk(&manage, &format!("/v1/keys?project_id={project}&limit=3"), || {
        turns += 1;
        if turns == 1 {
            assert_eq!(manage.delete(&format!("/v1/keys/{removed}")).0, 204);
        }
        world.key(&project, &json!({}));
    });
    let seen: Vec<String> = seen.iter().map(id).filter(|id| *id != removed).collect();
    let expected: Vec<String> = kept.into_iter().rev().collect();
    assert_eq!(seen, expected);
}

#[test]
fn lists_give_what_they_are_asked_for_and_nothing_else() {
    let world = shared();
    let manage = world.manage();
    let caller = world.caller(&json!({}));
    let (disabled, _) = world.key(&caller.project, &json!({}));
    let (revoked, _) = world.key(&caller.project, &json!({}));
    let (manager, _) = world.key(&caller.project, &json!({ "kind": "management" }));
    manage.post(&format!("/v1/keys/{disabled}/disable"), &json!({}));
    manage.post(&format!("/v1/keys/{revoked}/revoke"), &json!({}));
    let project = &caller.project;
    for (query, expected) in [
        ("&state=disabled", vec![&disabled]),
        ("&state=revoked", vec![&revoked]),
        ("&state=active", vec![&manager, &caller.id]),
        ("&kind=management", vec![&manager]),
        ("&kind=secret&state=active", vec![&caller.id]),
        ("", vec![&manager, &revoked, &disabled, &caller.id]),
    ] {
        let seen: Vec<String> =
            walk(&manage, &format!("/v1/keys?project_id={project}{query}"), || {}).iter().map(id).collect();
        assert_eq!(seen.iter().collect::<Vec<_>>(), expected, "{query}");
    }
    let api = &caller.api;
    for (query, count) in [
        (format!("project_id={project}"), 1),
        (format!("api_id={api}&state=approved"), 1),
        (format!("api_id={api}&state=suspended"), 0),
        (format!("project_id={}&api_id={api}", world.project()), 0),
    ] {
        let page = manage.get(&format!("/v1/activations?{query}")).1;
        assert_eq!(page["items"].as_array().unwrap().len(), count, "{query}");
        assert!(page.get("next_cursor").is_none(), "{query}");
    }
}

#[test]
fn every_list_has_the_newest_first_and_refuses_what_it_does_not_know() {
    let world = shared();
    let manage = world.manage();
    let (older, newer) = (name("listed"), name("listed"));
    for (path, body) in [
        ("/v1/apis", json!({ "upstream": world.echo, "path_prefix": "" })),
        ("/v1/projects", json!({})),
        ("/v1/keys", json!({ "project_id": world.installation.project_id })),
    ] {
        for name in [&older, &newer] {
            let mut body = body.clone();
            body["name"] = name.as_str().into();
            if !body["path_prefix"].is_null() {
                body["path_prefix"] = format!("/{name}").into();
            }
            manage.create(path, &body);
        }
        let listed = names(&walk(&manage, &format!("{path}?limit=200"), || {}));
        let place = |name: &String| listed.iter().position(|other| other == name).unwrap();
        assert!(place(&newer) < place(&older), "{path}");
        assert_eq!(names(&walk(&manage, &format!("{path}?name={older}"), || {})), [older.as_str()], "{path}");
    }
    for path in ["/v1/apis", "/v1/projects", "/v1/keys", "/v1/activations"] {
        for query in ["limit=0", "limit=201", "limit=x", "limit=-1", "cursor=x", "cursor=", "surprise=1"] {
            problem(&manage.request("GET", &format!("{path}?{query}"), &[], b""), 400, "invalid");
        }
    }
    for query in ["state=x", "kind=x", "project_id=x", "project_id=key_2Zk9mQ4tR7vX1bN6cL8dF3"] {
        problem(&manage.request("GET", &format!("/v1/keys?{query}"), &[], b""), 400, "invalid");
    }
    for query in
        ["limit=10001", "limit=0", "from=x", "bucket=year", "group_by=colour", "cursor=x", "code=x", "surprise=1"]
    {
        problem(&manage.request("GET", &format!("/v1/usage?{query}"), &[], b""), 400, "invalid");
    }
}

/// Every item, page by page; `between` runs after each.
fn walk(manage: &Api, path: &str, mut between: impl FnMut()) -> Vec<Value> {
    let (mut items, mut next) = (Vec::new(), path.to_owned());
    loop {
        let (status, mut page) = manage.get(&next);
        assert_eq!(status, 200, "{page}");
        let unknown: Vec<&String> =
            page.as_object().unwrap().keys().filter(|name| !matches!(name.as_str(), "items" | "next_cursor")).collect();
        assert!(unknown.is_empty(), "{unknown:?}");
        items.append(page["items"].as_array_mut().unwrap());
        let Some(cursor) = page["next_cursor"].as_str() else { return items };
        next = format!("{path}{}cursor={cursor}", if path.contains('?') { '&' } else { '?' });
        between();
    }
}

fn names(items: &[Value]) -> Vec<String> {
    items.iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
}

/// Something like a SHA-256 that no other number of any run has.
fn hash(n: usize) -> String {
    format!("{:064x}", 0xfeed_0000_0000_usize + n)
}
