//! Every page of consumers, access, plans, webhooks, alerts, anomalies and leaks, over an API that answers with what is written
//! here: that it renders, and that its HTML keeps the rules that no type can.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::{Method, StatusCode};
use http_body_util::BodyExt;
use keystile_core::time::Timestamp;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::{Site, console};

const NOW: &str = "2026-11-27T12:00:00Z";

fn project() -> Value {
    json!({
        "id": "prj_1", "name": "app & co", "description": "What it does", "environment": "live", "contact": "ada@example.com",
        "labels": ["team-a"], "max_keys": 5, "patterns": [], "state": "suspended", "suspended_at": NOW,
        "suspended_reason": "late", "created_at": NOW, "updated_at": NOW, "metadata": {}, "organization_id": "org_1",
    })
}

fn key() -> Value {
    json!({
        "id": "key_1", "project_id": "prj_1", "name": "worker", "kind": "secret", "state": "active", "environment": "live",
        "hint": "ks_live_Ab3d••••9f3a", "permissions": [], "labels": [], "rate_limits": [], "restrictions": {}, "version": 1,
        "created_at": NOW, "expires_at": null, "last_used_at": null, "rotated_at": null, "exposed_at": NOW,
    })
}

fn activation(state: &str) -> Value {
    json!({
        "id": "act_1", "state": state, "project_id": "prj_1", "api_id": "api_1", "note": "For <trials>", "reason": "", "plan": "Free",
        "plan_id": "pln_1", "plan_since": NOW, "requested_plan_id": "pln_1", "requested_permissions": ["pets.read"],
        "granted_permissions": null, "ceilings": [{"name": "month", "limit": 5_000, "period": "month"}], "judged_by": "acc_1",
        "judged_at": NOW, "created_at": NOW, "updated_at": NOW,
    })
}

fn access(state: &str) -> Value {
    json!({
        "id": "act_1", "state": state, "project_id": "prj_1", "project_name": "app & co", "project_organization_id": "org_2",
        "project_organization_name": "Others", "project_suspended": false, "environment": "test", "api_id": "api_1", "api_name": "Pets",
        "api_organization_id": "org_1", "active_keys": 2, "calls_30_days": 1_234, "last_used_at": NOW, "judged_by": null, "since": NOW,
        "granted_permissions": null,
    })
}

fn api() -> Value {
    json!({
        "id": "api_1", "name": "Pets", "active": true, "upstream": "http://127.0.0.1:1", "hosts": [], "path_prefix": "/pets",
        "key_prefix": "ks", "key_days": 90, "approval": "manual", "document": null, "created_at": NOW,
    })
}

fn plan() -> Value {
    json!({
        "id": "pln_1", "api_id": "api_1", "name": "Free", "description": "To try it", "standard": true, "version": 1,
        "created_at": NOW, "updated_at": NOW, "versions": [{
            "version": 1, "from": NOW, "created_at": NOW, "time_zone": "UTC",
            "rate_limits": [{"name": "minute", "limit": 60, "window_seconds": 60}],
            "quotas": [{"name": "month", "limit": 10_000, "period": "month"}],
            "operation_costs": [{"operation": "POST /images/{id}", "cost": 10}],
            "price": {"currency": "EUR", "base_fee": "9.90"}, "credits": {"of": "project", "trial": {"amount": 100, "days": 30}},
        }],
    })
}

fn webhook() -> Value {
    json!({
        "id": "whk_1", "url": "https://hooks.example.com/a", "description": "", "events": ["key.*"], "active": true,
        "failing_since": NOW, "created_at": NOW, "updated_at": NOW,
        "usage": {"sent_until": NOW, "next_at": NOW, "attempts": 2, "error": "no answer", "part": 1},
    })
}

fn list(item: Value) -> Value {
    json!({"items": [item], "next_cursor": "abc"})
}

/// What the API answers. `is_empty`: every list is.
fn answer(method: &Method, path: &str, query: &str, is_empty: bool) -> Option<Value> {
    let state =
        ["requested", "suspended", "refused"].into_iter().find(|state| query.contains(state)).unwrap_or("approved");
    let usage = json!({"items": [{
        "start": NOW, "project_id": "prj_1", "key_id": "key_1", "code": "key_unknown", "operation": "GET /a", "calls": 40,
        "before": {"calls": 3},
    }]});
    let empty = json!({"items": []});
    let one = |item: Value| Some(if is_empty { empty.clone() } else { list(item) });
    match (method.as_str(), path) {
        ("GET", "/v1/whoami") => Some(json!({
            "organization_id": "org_1", "role": "owner", "permissions": ["*"],
            "account": {"email": "ada@example.com", "name": "Ada", "has_second_factor": false, "has_password": true,
                "organizations": [{"organization_id": "org_1", "name": "Acme", "role": "owner"}]},
        })),
        ("GET", "/v1/projects") => one(project()),
        ("GET", "/v1/keys") => one(key()),
        ("GET", "/v1/access") => one(access(state)),
        ("GET", "/v1/activations") => one(activation(state)),
        ("GET", "/v1/apis") => one(api()),
        ("GET", "/v1/plans") => one(plan()),
        ("GET", "/v1/webhooks") => one(webhook()),
        ("GET", "/v1/audit") => one(json!({
            "sequence": 7, "type": "plan.update", "actor": "acc_1", "address": null, "created_at": NOW,
        })),
        ("GET", "/v1/events") => one(json!({"subject_id": "key_1", "actor": "acc_1", "created_at": NOW})),
        ("GET", "/v1/usage") => Some(if is_empty { empty.clone() } else { usage }),
        ("GET", "/v1/webhooks/whk_1/deliveries") => one(json!({
            "event_id": "evt_1", "type": "key.create", "state": "pending", "attempts": 2, "status": 500, "error": "Oops",
            "created_at": NOW, "last_at": NOW, "next_at": NOW,
        })),
        ("GET" | "PATCH", "/v1/projects/prj_1") => Some(project()),
        ("GET", "/v1/keys/key_1") => Some(key()),
        ("GET", "/v1/apis/api_1") => Some(api()),
        ("GET" | "PATCH", "/v1/plans/pln_1") => Some(plan()),
        ("GET" | "PATCH", "/v1/webhooks/whk_1") => Some(webhook()),
        ("GET", "/v1/activations/act_1") => Some(activation("approved")),
        ("GET", "/v1/activations/act_1/quotas") => Some(json!({
            "credits": 12, "rate_limits": [{"name": "minute", "limit": 60, "window_seconds": 60}],
            "quotas": [{"name": "month", "of": "plan", "used": 9_000, "limit": 10_000, "remaining": 1_000, "period": "month",
                "counts": "cost", "on_exhausted": "refuse", "starts_at": NOW, "ends_at": NOW}],
        })),
        ("DELETE", _) => Some(json!({})),
        ("POST", "/v1/webhooks" | "/v1/webhooks/whk_1/rotate_secret") => {
            let mut made = webhook();
            made["secret"] = "whsec_c2VjcmV0".into();
            Some(made)
        }
        ("POST", "/v1/webhooks/whk_1/test") => {
            Some(json!({"delivered": true, "duration_ms": 3, "event_id": "evt_1", "status": 204}))
        }
        ("POST", "/v1/keys/key_1/compromised") => Some(json!({
            "key": key(), "replacement": {"id": "key_2", "name": "worker", "key": "ks_live_new"},
            "activity": {"allowed": 3, "refused": 1, "since": NOW},
        })),
        ("POST", "/v1/webhooks/whk_1/replay") => Some(json!({"replayed": 12, "next_since": "evt_9"})),
        ("POST", "/v1/plans") => Some(plan()),
        ("POST", "/v1/projects") => Some(project()),
        ("POST", path) if path.starts_with("/v1/") => Some(json!({"items": []})),
        _ => None,
    }
}

fn site(is_empty: bool, refuses: bool) -> Router {
    let fallback = move |request: Request| async move {
        let path = request.uri().path().to_owned();
        let query = request.uri().query().unwrap_or_default().to_owned();
        let is_read = request.method() == Method::GET;
        if refuses && !is_read {
            let problem =
                json!({"status": 422, "code": "invalid", "title": "Invalid", "detail": "It is <not> possible."});
            return (StatusCode::UNPROCESSABLE_ENTITY, problem.to_string()).into_response();
        }
        match answer(request.method(), &path, &query, is_empty) {
            Some(value) => value.to_string().into_response(),
            None => (
                StatusCode::NOT_FOUND,
                json!({"status": 404, "code": "not_found", "title": "Not found", "detail": path}).to_string(),
            )
                .into_response(),
        }
    };
    let now: Timestamp = NOW.parse().unwrap();
    console(Site {
        api: Router::new().fallback(fallback),
        now: Arc::new(move || now),
        gateway: "http://127.0.0.1:4400".into(),
    })
}

async fn ask(
    site: &Router,
    method: Method,
    path: &str,
    body: &str,
    is_partial: bool,
) -> (StatusCode, String, Response<()>) {
    let mut request = http::Request::builder().method(method).uri(path).header("host", "127.0.0.1:4401");
    if is_partial {
        request = request.header("hx-request", "true");
    }
    let response = site.clone().oneshot(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap();
    let (head, body) = response.into_parts();
    let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
    (head.status, text, Response::from_parts(head, ()))
}

/// What a page may not have, and what it must have.
fn check(path: &str, html: &str) {
    assert!(
        !html.contains(" style=") && !html.contains("<style") && !html.contains(" onclick="),
        "{path}: style or script"
    );
    assert!(!html.contains("<script>"), "{path}: script in the page");
    for (at, _) in html.match_indices("<th") {
        let tag = html[at..].split('>').next().unwrap();
        assert!(tag.starts_with("<thead") || tag.contains("scope="), "{path}: {tag}");
    }
    for name in ["<input", "<select", "<textarea"] {
        for (at, _) in html.match_indices(name) {
            let tag = html[at..].split('>').next().unwrap();
            let id = tag.split(" id=\"").nth(1).and_then(|rest| rest.split('"').next());
            let is_labelled = tag.contains("type=\"hidden\"")
                || tag.contains("aria-label=")
                || id.is_some_and(|id| html.contains(&format!("for=\"{id}\"")))
                || html[..at].rfind("<label") > html[..at].rfind("</label>");
            assert!(is_labelled, "{path}: {tag}> has no label");
        }
    }
    let mut ids: Vec<&str> = html.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), all, "{path}: an id is there twice");
    for (at, _) in html.match_indices("aria-describedby=\"") {
        let id = html[at..].split('"').nth(1).unwrap();
        assert!(ids.contains(&id), "{path}: nothing is called {id}");
    }
}

const PAGES: [&str; 27] = [
    "/projects",
    "/projects?name=other",
    "/projects/prj_1",
    "/projects/prj_1?tab=keys",
    "/projects/prj_1?tab=access",
    "/projects/prj_1?tab=usage",
    "/projects/prj_1?tab=history",
    "/access",
    "/access?state=approved",
    "/access?state=suspended&api_id=api_1",
    "/access?state=refused",
    "/access/act_1",
    "/access/act_1?tab=history",
    "/plans",
    "/plans?api_id=api_1",
    "/plans/pln_1",
    "/plans/pln_1?tab=projects",
    "/plans/pln_1?tab=history",
    "/webhooks",
    "/webhooks/whk_1",
    "/webhooks/whk_1?state=failed",
    "/webhooks/whk_1?tab=facts",
    "/webhooks/whk_1?tab=history",
    "/alerts",
    "/anomalies",
    "/leaks",
    "/plans/new?preset=growth",
];

/// Forms, and what is sent by them.
const FORMS: [(&str, &str, &str); 16] = [
    ("/projects/new", "/projects", "name=a&api_id=api_1"),
    ("/projects/prj_1/edit", "/projects/prj_1/edit", "name=b"),
    ("/projects/prj_1/suspend", "/projects/prj_1/suspend", "reason=late"),
    ("/projects/prj_1/delete", "/projects/prj_1/delete", "confirm=app+%26+co"),
    ("/access/act_1/approve", "/access/act_1/approve", "plan=none&rights=any"),
    ("/access/act_1/refuse", "/access/act_1/refuse", "reason=no"),
    ("/access/act_1/suspend", "/access/act_1/suspend", "reason=no"),
    ("/access/act_1/remove", "/access/act_1/remove", "confirm=app+%26+co"),
    ("/access/act_1/plan", "/access/act_1/plan", "plan=pln_1"),
    ("/plans/new", "/plans", "api_id=api_1&name=A&limit.1=5&window.1=60"),
    ("/plans/pln_1/edit", "/plans/pln_1/edit", "name=B"),
    ("/plans/pln_1/delete", "/plans/pln_1/delete", "confirm=Free"),
    ("/webhooks/whk_1/edit", "/webhooks/whk_1/edit", "url=https%3A%2F%2Fb.example&which=all"),
    ("/webhooks/whk_1/disable", "/webhooks/whk_1/disable", ""),
    ("/webhooks/whk_1/delete", "/webhooks/whk_1/delete", "confirm=hooks.example.com"),
    ("/webhooks/whk_1/replay", "/webhooks/whk_1/replay", "since=2026-11-01T00%3A00"),
];

#[tokio::test]
async fn every_page_renders_full_and_empty_and_keeps_the_rules() {
    for is_empty in [false, true] {
        let site = site(is_empty, false);
        for path in PAGES {
            let (status, html, _) = ask(&site, Method::GET, path, "", false).await;
            assert_eq!(status, StatusCode::OK, "{path}: {html}");
            assert!(html.contains("<h1") || html.contains("dialog-title"), "{path} has no heading");
            assert!(!html.contains("<trials>") && !html.contains("app & co"), "{path} shows a text as HTML");
            check(path, &html);
        }
    }
}

#[tokio::test]
async fn every_form_opens_as_a_page_and_as_a_dialog_and_leads_on() {
    let site = site(false, false);
    for (form, action, body) in FORMS {
        for is_partial in [false, true] {
            let (status, html, _) = ask(&site, Method::GET, form, "", is_partial).await;
            assert_eq!(status, StatusCode::OK, "{form}: {html}");
            assert!(html.contains(&format!("method=\"post\" action=\"{action}\" hx-post=\"{action}\"")), "{form}");
            check(form, &html);
        }
        let (status, html, _) = ask(&site, Method::POST, action, body, false).await;
        assert!(status == StatusCode::SEE_OTHER, "{action}: {status} {html}");
    }
}

#[tokio::test]
async fn what_the_api_refuses_stands_above_the_form() {
    let site = site(false, true);
    for (_, action, body) in FORMS.into_iter().chain([
        ("", "/webhooks", "url=https%3A%2F%2Fb.example&which=all"),
        ("", "/webhooks/whk_1/rotate", "overlap_hours=0"),
        ("", "/access/act_1/ceilings", "quota.1=5&period.1=day"),
        ("", "/leaks/key_1/report", "confirm=worker"),
    ]) {
        let (status, html, _) = ask(&site, Method::POST, action, body, true).await;
        assert_eq!(status, StatusCode::OK, "{action}");
        assert!(html.contains("role=\"alert\"") && html.contains("It is &#60;not&#62; possible."), "{action}: {html}");
    }
}

#[tokio::test]
async fn a_thing_is_not_deleted_without_its_name() {
    let site = site(false, false);
    for action in [
        "/projects/prj_1/delete",
        "/access/act_1/remove",
        "/plans/pln_1/delete",
        "/webhooks/whk_1/delete",
        "/leaks/key_1/report",
    ] {
        let (status, html, _) = ask(&site, Method::POST, action, "confirm=other", true).await;
        assert_eq!(status, StatusCode::OK, "{action}");
        assert!(html.contains("Type the name"), "{action}");
    }
}

#[tokio::test]
async fn secrets_are_shown_once_in_a_dialog_that_guards_them() {
    let site = site(false, false);
    for (action, body, secret) in [
        ("/webhooks", "url=https%3A%2F%2Fb.example&which=all", "whsec_c2VjcmV0"),
        ("/webhooks/whk_1/rotate", "overlap_hours=0", "whsec_c2VjcmV0"),
        ("/leaks/key_1/report", "confirm=worker", "ks_live_new"),
    ] {
        let (_, html, _) = ask(&site, Method::POST, action, body, true).await;
        assert!(
            html.contains("data-guard") && html.contains("closedby=\"none\"") && html.contains(secret),
            "{action}: {html}"
        );
        check(action, &html);
    }
}

#[tokio::test]
async fn a_key_that_was_found_is_found_by_what_may_be_shown_of_it_and_never_shown() {
    let site = site(false, false);
    let (_, html, _) =
        ask(&site, Method::POST, "/leaks", "found=ks_live_Ab3d%E2%80%A2%E2%80%A2%E2%80%A2%E2%80%A29f3a", false).await;
    assert!(html.contains("It could be one of these") || html.contains("It looks like this key"), "{html}");
    let (_, html, _) = ask(&site, Method::POST, "/leaks", "found=another_vendor_0123456789abcdefghij", false).await;
    assert!(html.contains("No key of yours") && !html.contains("0123456789abcdefghij"), "{html}");
}

#[tokio::test]
async fn lists_come_as_files_and_forms_as_code() {
    let site = site(true, false);
    for path in ["/projects.csv", "/access.csv?state=requested", "/plans.csv"] {
        let (status, text, response) = ask(&site, Method::GET, path, "", false).await;
        assert_eq!(status, StatusCode::OK, "{path}");
        assert!(
            response.headers()["content-type"].to_str().unwrap().starts_with("text/csv") && text.starts_with("id,"),
            "{path}"
        );
    }
    for (path, body, command) in [
        ("/projects/code", "name=a&api_id=api_1", "keystile activation create --project a --api api_1"),
        ("/projects/code", "id=prj_1&name=b", "keystile project update prj_1 --name b"),
        ("/access/act_1/code", "plan=none", "keystile activation approve act_1 --no-plan"),
        ("/plans/code", "api_id=api_1&name=A&quota.1=5&period.1=day", "--quota 5/day"),
        ("/webhooks/code", "url=https%3A%2F%2Fa.example&which=all", "keystile webhook create --url https://a.example"),
    ] {
        let (status, html, _) = ask(&site, Method::POST, path, body, true).await;
        assert_eq!(status, StatusCode::OK, "{path}");
        assert!(html.contains(command) && html.contains("id=\"code\""), "{path}: {html}");
    }
}
