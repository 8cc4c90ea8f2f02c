//! Every room before a management API that answers as the real one does: that pages come out whole, that what is typed is text, and
//! that what everybody relies on holds for each of them.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, COOKIE};
use http::{Method, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::{Site, console};

/// What a name is that somebody chose to do harm with.
const EVIL: &str = "<script>\"'&";
const AT: &str = "2026-11-27T10:00:00Z";

fn key(id: &str, kind: &str) -> Value {
    json!({
        "id": id, "project_id": "prj_1", "name": EVIL, "kind": kind, "state": "active", "environment": "live",
        "hint": "ks_live_ab••••cd", "permissions": ["*"], "labels": [], "rate_limits": [], "restrictions": {}, "roles": [],
        "version": 1, "created_at": "2026-01-01T00:00:00Z", "updated_at": AT, "expires_at": null, "last_used_at": null,
        "rotated_at": null, "exposed_at": null, "metadata": {}, "patterns": [], "recoverable": false,
    })
}

fn list(items: Value) -> Value {
    json!({"items": items, "next_cursor": "more"})
}

/// The last page of a list.
fn last(items: Value) -> Value {
    json!({"items": items, "next_cursor": null})
}

fn member() -> Value {
    json!({
        "id": "mem_1", "account_id": "acc_1", "name": EVIL, "email": "ada@example.com", "role": "owner", "permissions": ["*"],
        "has_second_factor": false, "created_at": AT, "updated_at": AT,
    })
}

fn invitation() -> Value {
    json!({
        "id": "inv_1", "organization_id": "org_1", "email": null, "role": "developer", "state": "open", "made_by": "acc_1",
        "created_at": AT, "updated_at": AT, "expires_at": AT, "path": "/join#secret",
    })
}

fn session(is_current: bool) -> Value {
    json!({
        "id": if is_current { "ses_1" } else { "ses_2" }, "account_id": "acc_1", "organization_id": "org_1", "agent": EVIL,
        "address": null, "created_at": AT, "seen_at": AT, "proven_at": AT, "ends_at": AT, "is_current": is_current,
    })
}

fn usage(query: &str) -> Value {
    let sums = json!({"calls": 5, "latency_us": 9, "bytes_in": 0, "bytes_out": 0, "cost": 5});
    let mut item = sums.clone();
    let fields = item.as_object_mut().unwrap();
    if query.contains("bucket=") {
        fields.insert("start".into(), json!(AT));
    }
    if query.contains("group_by=code") {
        fields.insert("code".into(), json!("allowed"));
    }
    if query.contains("group_by=key") {
        fields.insert("key_id".into(), json!("key_1"));
    }
    if query.contains("percentiles=") {
        fields.insert("latency_percentiles_us".into(), json!({"95": 1_500}));
    }
    if query.contains("compare=") {
        fields.insert("before".into(), sums);
    }
    json!({"from": AT, "until": AT, "items": [item], "next_cursor": null})
}

/// What is answered; `None` if there is no such thing.
fn answer(method: &Method, path: &str, query: &str) -> Option<Value> {
    let role = json!({
        "id": "mrl_1", "name": "night-shift", "description": EVIL, "permissions": ["keys.read"], "created_at": AT, "updated_at": AT,
    });
    let entry = json!({
        "id": "aud_1", "sequence": 7, "type": "key.update", "actor": "acc_1", "subject_id": "key_1", "address": "::1",
        "request_id": "req_1", "before": {"name": "a"}, "after": {"name": EVIL}, "is_erased": false, "created_at": AT,
        "vocabulary": "sensitive_update",
    });
    Some(match (method.as_str(), path) {
        ("GET", "/v1/whoami") => json!({
            "organization_id": "org_1", "role": "owner", "permissions": ["*"], "account": {
                "email": "ada@example.com", "name": EVIL, "has_second_factor": true, "has_password": true,
                "organizations": [{"organization_id": "org_1", "name": EVIL, "role": "owner"}],
            },
        }),
        ("GET", "/readyz") => {
            json!({"status": "degraded", "revision": 3, "checks": [{"name": "store", "ok": false, "reason": EVIL}]})
        }
        ("GET", "/openapi.json") => json!({"info": {"version": "0.1.0"}, "paths": {}}),
        ("GET", "/v1/permissions") => json!({
            "rights": [{"name": "keys.read", "description": "See keys.", "step_up": false}],
            "built_in_roles": [{"name": "developer", "kind": "owner", "permissions": ["keys.*"]}],
        }),
        ("GET", "/v1/usage") => usage(query),
        ("GET", "/v1/apis") => last(json!([])),
        ("GET", "/v1/projects") => last(json!([{
            "id": "prj_1", "name": EVIL, "description": "", "environment": "live", "state": "active", "contact": "",
            "created_at": AT,
        }])),
        ("GET", "/v1/keys") if query.contains("cursor=more") => last(json!([])),
        ("GET", "/v1/keys") => {
            list(json!([key("key_1", if query.contains("management") { "management" } else { "secret" })]))
        }
        ("POST", "/v1/keys") => {
            let mut made = key("key_9", "management");
            made["key"] = json!("ksm_live_secret");
            made
        }
        ("POST", "/v1/keys/bulk") => json!({"done": 1, "refused": 0, "items": [{"id": "key_1", "status": 200}]}),
        ("GET", "/v1/audit") if query.contains("cursor=more") => last(json!([])),
        ("GET", "/v1/audit") => list(json!([entry])),
        ("GET", "/v1/audit/verify") => json!({"intact": false, "broken_at": 7, "entries": 1_200}),
        ("GET", "/v1/members") => list(json!([member()])),
        ("GET" | "PATCH" | "DELETE", "/v1/members/mem_1") => member(),
        ("POST", "/v1/members/mem_1/reset_password") => json!({"path": "/password#secret", "expires_at": AT}),
        ("GET", "/v1/invitations") => list(json!([invitation()])),
        ("GET" | "DELETE", "/v1/invitations/inv_1") | ("POST", "/v1/invitations") => invitation(),
        ("GET", "/v1/member_roles") => last(json!([role])),
        ("GET" | "PATCH" | "DELETE", "/v1/member_roles/mrl_1") | ("POST", "/v1/member_roles") => role,
        ("GET", "/v1/sessions") => list(json!([session(true), session(false)])),
        ("GET", "/v1/account/sessions") => last(json!([session(true), session(false)])),
        ("DELETE", "/v1/sessions/ses_2") | ("POST", "/v1/account/sessions/end_others") => json!({}),
        ("GET" | "PATCH", "/v1/organizations/org_1") => json!({
            "id": "org_1", "name": EVIL, "kind": "owner", "created_at": AT, "updated_at": AT,
        }),
        ("GET", "/v1/encryption")
        | ("POST", "/v1/encryption/rotate" | "/v1/encryption/rewrap" | "/v1/encryption/peppers") => {
            json!({
                "keys": [{"version": 2, "algorithm": "aes-256-gcm", "created_at": AT, "records": 3}], "older_records": 1,
                "peppers": [{"version": 1, "created_at": AT, "digests": 9}],
            })
        }
        _ => return None,
    })
}

async fn management(request: Request) -> Response {
    let (path, query) = (request.uri().path().to_owned(), request.uri().query().unwrap_or_default().to_owned());
    if path.ends_with("/remove_factors") {
        let body =
            json!({"status": 403, "code": "step_up_required", "title": "Prove it", "detail": "Prove who you are."});
        return (StatusCode::FORBIDDEN, axum::Json(body)).into_response();
    }
    match answer(request.method(), &path, &query) {
        Some(value) => axum::Json(value).into_response(),
        None => {
            let detail = format!("{} {path} is not there.", request.method());
            let body = json!({"status": 404, "code": "not_found", "title": "Not found", "detail": detail});
            (StatusCode::NOT_FOUND, axum::Json(body)).into_response()
        }
    }
}

async fn asked(method: Method, path: &str, form: &str) -> (StatusCode, String) {
    let site = Site {
        api: Router::new().fallback(management),
        now: Arc::new(|| keystile_core::time::Timestamp::from_micros(1_795_780_800_000_000)),
        gateway: "http://127.0.0.1:4400".into(),
        calls: Arc::new(|_| Box::pin(async { Err("There is no gateway.".to_owned()) })),
        connection: |all| all.clone(),
    };
    let mut request = axum::http::Request::builder().method(method).uri(path).header(COOKIE, "session=1");
    if !form.is_empty() {
        request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
    }
    let response = console(site).oneshot(request.body(Body::from(form.to_owned())).unwrap()).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

/// What holds for every page.
fn check(path: &str, html: &str) {
    assert!(!html.contains(EVIL) && !html.contains("<script>"), "{path}: what was typed is no HTML");
    assert!(!html.contains(" style=") && !html.contains("onclick="), "{path}: nothing is inline");
    for (at, _) in html.match_indices("<th ") {
        assert!(html[at..].starts_with("<th scope="), "{path}: {}", &html[at..at + 40]);
    }
    assert!(!html.contains("<th>"), "{path}: a header says of what it is");
    let headings: Vec<u8> = html
        .match_indices("<h")
        .filter_map(|(at, _)| Some(html.as_bytes()[at + 2]).filter(u8::is_ascii_digit))
        .collect();
    assert!(headings.windows(2).all(|pair| pair[1] <= pair[0] + 1), "{path}: headings in order: {headings:?}");
    let ids: Vec<&str> = html.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    for (at, id) in ids.iter().enumerate() {
        assert!(!ids[..at].contains(id), "{path}: two things are {id}");
    }
    // Every field has a label: round it, for it, or said of it.
    for (at, _) in html.match_indices("<input ").chain(html.match_indices("<select ")) {
        let tag = &html[at..at + html[at..].find('>').unwrap()];
        let is_hidden = tag.contains("type=\"hidden\"");
        let id = tag.split("id=\"").nth(1).and_then(|rest| rest.split('"').next());
        let is_for = id.is_some_and(|id| html.contains(&format!("for=\"{id}\"")));
        let before = &html[..at];
        let is_inside =
            before.rfind("<label").is_some_and(|label| before.rfind("</label>").is_none_or(|end| end < label));
        assert!(is_hidden || is_for || is_inside || tag.contains("aria-label="), "{path}: {tag}");
    }
}

#[tokio::test]
async fn every_room_is_shown_whole() {
    for path in [
        "/usage",
        "/usage?by=key&range=30d&p95=on",
        "/usage?by=country&key_id=key_1",
        "/audit",
        "/audit?type=key.*&from=2026-11-01&until=2026-11-27",
        "/audit?entry=aud_1",
        "/audit?entry=999",
        "/audit/verify",
        "/team",
        "/team/invite",
        "/team/invitations/inv_1/withdraw",
        "/team/members/mem_1/role",
        "/team/members/mem_1/password",
        "/team/members/mem_1/factors",
        "/team/members/mem_1/remove",
        "/team/roles/new",
        "/team/roles/mrl_1/edit",
        "/team/roles/mrl_1/delete",
        "/tokens",
        "/tokens?state=active",
        "/tokens/new",
        "/sessions",
        "/sessions/ses_2/end",
        "/sessions/end-others",
        "/settings",
        "/settings/organization",
        "/settings/encryption/rotate",
        "/settings/encryption/pepper",
        "/hygiene",
        "/hygiene?rule=wildcard",
        "/hygiene?rule=leaked",
    ] {
        let (status, html) = asked(Method::GET, path, "").await;
        assert_eq!(status, StatusCode::OK, "{path}: {html}");
        check(path, &html);
    }
}

#[tokio::test]
async fn every_form_does_what_it_says_or_asks_again() {
    for (path, form, status, holds) in [
        ("/team/invite", "role=developer", 200, "/join#secret"),
        ("/team/invite", "role=developer&hours=many", 200, "whole number"),
        ("/team/invite/code", "role=admin", 200, "keystile invitation create --role admin"),
        ("/team/invitations/inv_1/withdraw", "", 303, ""),
        ("/team/members/mem_1/role", "role=developer", 303, ""),
        ("/team/members/mem_1/password", "", 200, "/password#secret"),
        ("/team/members/mem_1/factors", "confirm=somebody", 200, "Type the e-mail address"),
        ("/team/members/mem_1/remove", "confirm=ada%40example.com", 303, ""),
        ("/team/roles/new", "name=night-shift&permission=keys.read", 303, ""),
        ("/team/roles/code", "name=a&permission=keys.read", 200, "--permission keys.read"),
        ("/team/roles/mrl_1/edit", "name=night-shift", 303, ""),
        ("/team/roles/mrl_1/delete", "confirm=other", 200, "Type the name of the role"),
        ("/tokens", "name=", 200, "Give the token a name"),
        ("/tokens", "name=deploy&project_id=prj_1&preset=chosen", 200, "Tick what the token may do"),
        ("/tokens", "name=deploy&project_id=prj_1&preset=read", 200, "ksm_live_secret"),
        ("/tokens/code", "name=deploy&preset=all", 200, "--permission"),
        ("/sessions/ses_2/end", "", 303, ""),
        ("/sessions/end-others", "", 303, ""),
        ("/settings/organization", "name=New", 303, ""),
        ("/settings/organization/code", "name=New", 200, "--name New"),
        ("/settings/encryption/rotate", "", 303, ""),
        ("/settings/encryption/rewrap", "", 303, ""),
        ("/hygiene/disable", "rule=wildcard&which=ticked", 303, ""),
        ("/hygiene/disable", "rule=wildcard&which=all", 200, "Disable 1 key?"),
        ("/hygiene/disable", "rule=wildcard&ids=key_1&confirm=2", 200, "Type the number of keys"),
        ("/hygiene/disable", "rule=wildcard&ids=key_1&confirm=1", 303, ""),
    ] {
        let (was, html) = asked(Method::POST, path, form).await;
        assert_eq!(was.as_u16(), status, "{path} {form}: {html}");
        assert!(html.contains(holds), "{path} {form}: {html}");
        check(path, &html);
    }
}

/// Rooms whose links are followed.
const ROOMS: [&str; 7] = ["/usage", "/audit", "/team", "/tokens", "/sessions", "/settings", "/hygiene"];

#[tokio::test]
async fn every_link_between_the_rooms_leads_somewhere() {
    let mut known: Vec<String> = ROOMS.iter().map(|room| (*room).to_owned()).collect();
    let mut next = 0;
    while let Some(path) = known.get(next).cloned() {
        next += 1;
        assert!(next < 400, "links without end: {path}");
        let (status, html) = asked(Method::GET, &path, "").await;
        assert_eq!(status, StatusCode::OK, "{path}");
        for link in html.split(" href=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
            // Askama writes & as a number.
            let link = link.replace("&#38;", "&").replace("&amp;", "&");
            let link = link.split('#').next().unwrap_or_default();
            let own = ROOMS.iter().any(|room| link.starts_with(room)) && !link.contains("cursor=");
            if own && !known.iter().any(|other| other == link) {
                known.push(link.to_owned());
            }
        }
    }
    assert!(known.len() > 40, "{known:?}");
}

#[tokio::test]
async fn what_is_dangerous_asks_who_one_is_and_keeps_what_was_typed() {
    let path = "/team/members/mem_1/factors";
    let (status, html) = asked(Method::POST, path, "confirm=ada%40example.com").await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert!(
        html.contains("Confirm it is you") && html.contains("name=\"confirm\" value=\"ada@example.com\""),
        "{html}"
    );
    check(path, &html);
}

#[tokio::test]
async fn files_are_told_line_by_line() {
    for (path, first, rows) in [
        ("/usage.csv?by=key", "key,name,calls,calls_before,latency_p95_us", 1),
        ("/audit.csv", "sequence,id,created_at,type,actor,subject_id,address,request_id,before,after", 1),
        ("/hygiene.csv?rule=wildcard", "id,name,project_id,kind,created_at,last_used_at,findings", 1),
    ] {
        let (status, text) = asked(Method::GET, path, "").await;
        assert_eq!(status, StatusCode::OK, "{path}");
        let lines: Vec<&str> = text.split("\r\n").collect();
        assert_eq!((lines[0], lines.len()), (first, rows + 2), "{path}: {text}");
    }
}
