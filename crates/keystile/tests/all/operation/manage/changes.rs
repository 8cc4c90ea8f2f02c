//! Changes at the same moment: none of them is lost, and who came too late is told so.

use keystile_testkit::raw::Answer;
use serde_json::{Value, json};

use super::super::world::{id, name, shared};

/// How many change the same thing at once.
const HANDS: usize = 8;

#[test]
fn of_changes_at_the_same_moment_each_is_made_or_refused_and_none_undoes_another() {
    let world = shared();
    let project = world.project();
    for turn in 0..10 {
        let (key, _) = world.key(&project, &json!({}));
        let path = format!("/v1/keys/{key}");
        // Each hand changes another field; a change that is answered with 200 must be there at the end.
        let changes: Vec<(&str, Value)> = vec![
            ("name", json!("changed")),
            ("permissions", json!(["a.b"])),
            ("restrictions", json!({ "methods": ["GET"] })),
            ("rate_limits", json!([{ "name": "a", "limit": 1, "window_seconds": 1, "algorithm": "sliding_window" }])),
            ("expires_at", json!("2100-01-31T12:00:00Z")),
        ];
        let answers: Vec<(u16, Value)> = std::thread::scope(|scope| {
            let hands: Vec<_> = changes
                .iter()
                .map(|(field, value)| {
                    let (path, manage) = (&path, world.manage());
                    scope.spawn(move || manage.patch(path, &json!({ *field: value })))
                })
                .collect();
            hands.into_iter().map(|hand| hand.join().unwrap()).collect()
        });
        let kept = world.manage().get(&path).1;
        for ((field, value), (status, answer)) in changes.iter().zip(&answers) {
            assert!(matches!(status, 200 | 409), "turn {turn}: {field}: {answer}");
            if *status == 200 {
                assert_eq!(&kept[*field], value, "turn {turn}: {field} was undone");
            }
        }
        assert!(answers.iter().any(|(status, _)| *status == 200), "turn {turn}");
    }
}

#[test]
fn a_revoke_wins_against_everything_at_the_same_moment() {
    let world = shared();
    let caller = world.caller(&json!({}));
    for turn in 0..20 {
        let (key, text) = world.key(&caller.project, &json!({}));
        let statuses: Vec<u16> = std::thread::scope(|scope| {
            let hands: Vec<_> = ["enable", "disable", "revoke", "enable", "disable"]
                .map(|action| {
                    let (path, manage) = (format!("/v1/keys/{key}/{action}"), world.manage());
                    scope.spawn(move || {
                        // Whoever wants a key gone tries again until it is.
                        loop {
                            let (status, _) = manage.post(&path, &json!({}));
                            if action != "revoke" || status == 200 {
                                return status;
                            }
                            assert_eq!(status, 409);
                        }
                    })
                })
                .into_iter()
                .collect();
            hands.into_iter().map(|hand| hand.join().unwrap()).collect()
        });
        assert!(statuses.iter().all(|status| matches!(status, 200 | 409)), "turn {turn}: {statuses:?}");
        assert_eq!(world.manage().get(&format!("/v1/keys/{key}")).1["state"], "revoked", "turn {turn}");
        assert_eq!(world.call(&text, "GET", &caller.path).code(), "key_revoked", "turn {turn}");
    }
}

#[test]
fn many_creates_at_once_make_exactly_as_many_things() {
    let world = shared();
    let project = world.project();
    let made: Vec<String> = std::thread::scope(|scope| {
        let hands: Vec<_> = (0..HANDS)
            .map(|_| scope.spawn(|| (0..10).map(|_| world.key(&project, &json!({})).0).collect::<Vec<_>>()))
            .collect();
        hands.into_iter().flat_map(|hand| hand.join().unwrap()).collect()
    });
    let listed = world.manage().get(&format!("/v1/keys?project_id={project}&limit=200")).1;
    let mut listed: Vec<String> = listed["items"].as_array().unwrap().iter().map(id).collect();
    let mut made = made;
    made.sort_unstable();
    listed.sort_unstable();
    assert_eq!(made, listed);
}

#[test]
fn two_who_link_the_same_project_make_one_link() {
    let world = shared();
    for _ in 0..5 {
        let ((api, _), project) = (world.api(), world.project());
        let body = json!({ "project_id": project, "api_id": api });
        let statuses: Vec<u16> = std::thread::scope(|scope| {
            let hands: Vec<_> =
                (0..4).map(|_| scope.spawn(|| world.manage().post("/v1/activations", &body).0)).collect();
            hands.into_iter().map(|hand| hand.join().unwrap()).collect()
        });
        assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1, "{statuses:?}");
        assert_eq!(statuses.iter().filter(|status| **status == 409).count(), 3, "{statuses:?}");
    }
}

#[test]
fn a_client_that_hangs_up_leaves_nothing_half_done() {
    let world = shared();
    let project = world.project();
    for turn in 0..10 {
        let body = json!({ "project_id": project, "name": name("abandoned") }).to_string();
        let mut client = keystile_testkit::raw::Client::connect(world.installation.admin);
        let head = format!(
            "POST /v1/keys HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            world.management_key(),
            body.len()
        );
        client.write([head.as_bytes(), body.as_bytes()].concat()).unwrap();
        drop(client);
        // Whether it was made or not, the next change is in force and the server is ready.
        let (key, text) = world.key(&project, &json!({}));
        assert_eq!(world.manage().post(&format!("/v1/keys/{key}/disable"), &json!({})).0, 200);
        assert_eq!(world.verify(&json!({ "key": text })).code(), "key_disabled", "turn {turn}");
    }
    let ready: Answer = world.manage().request("GET", "/readyz", &[], b"");
    assert_eq!(ready.status, 200, "{}", ready.text());
}
