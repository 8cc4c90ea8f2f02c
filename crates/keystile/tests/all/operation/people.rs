//! People for tests: they are invited, accept, and are logged in.

use std::sync::{Mutex, PoisonError};

use keystile_testkit::raw::Answer;
use keystile_testkit::{Api, Authenticator, eventually};
use serde_json::{Value, json};

use super::world::{World, id, name};

/// A password that nobody guesses.
pub(super) const PASSWORD: &str = "seven purple lemons dance";

/// Somebody who is logged in.
#[derive(Clone)]
pub(super) struct Person {
    /// The address to log in with.
    pub(super) email: String,
    /// The account.
    pub(super) account: String,
    /// The member.
    pub(super) member: String,
    /// The session.
    pub(super) session: String,
    /// Its token.
    pub(super) token: String,
}

impl World {
    /// Asks without any key.
    pub(super) fn anonymously(&self, path: &str, body: &Value) -> Answer {
        self.anonymously_with(path, &[], body)
    }

    /// The same with further fields.
    pub(super) fn anonymously_with(&self, path: &str, fields: &[(&str, &str)], body: &Value) -> Answer {
        // A field that stands for none, so that the client sends no key of its own.
        let mut client = keystile_testkit::raw::Client::connect(self.installation.admin);
        let fields: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let body = body.to_string();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-type: application/json\r\n{fields}content-length: {}\r\n\r\n",
            self.installation.admin,
            body.len()
        );
        client.write([head.as_bytes(), body.as_bytes()].concat()).unwrap();
        client.answer_to("POST").unwrap()
    }

    /// The token of a new invitation.
    pub(super) fn invitation(&self, inviting: &Api, wish: &Value) -> String {
        let made = inviting.create("/v1/invitations", wish);
        made["path"].as_str().expect("a new invitation shows its link").split_once('#').unwrap().1.to_owned()
    }

    /// A new member of the first organization, logged in.
    pub(super) fn person(&self, role: &str) -> Person {
        self.person_by(&self.manage(), &json!({ "role": role }))
    }

    /// Somebody who accepts this invitation and logs in.
    pub(super) fn person_by(&self, inviting: &Api, wish: &Value) -> Person {
        let token = self.invitation(inviting, wish);
        let email = format!("{}@example.com", name("person"));
        let wish = json!({ "token": token, "email": email, "password": PASSWORD });
        let made = self.anonymously("/v1/invitations/accept", &wish);
        assert_eq!(made.status, 201, "{}", made.text());
        let (account, member) = (made.json()["account_id"].as_str().unwrap().to_owned(), id(&made.json()));
        let (session, token) = self.log_in(&email);
        Person { email, account, member, session, token }
    }

    /// A session of an account: its id and its token.
    pub(super) fn log_in(&self, email: &str) -> (String, String) {
        let answer = self.anonymously("/v1/login", &json!({ "email": email, "password": PASSWORD }));
        assert_eq!(answer.status, 200, "{}", answer.text());
        let text = |field: &str| answer.json()[field].as_str().unwrap().to_owned();
        (text("session_id"), text("token"))
    }

    /// The token of a new link to sign in, of an account without passkeys. Without a mail server `keystile dev` has it in its log, where
    /// nothing says whose it is: one is asked for after the other.
    pub(super) fn link_of(&self, email: &str) -> String {
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let links = || -> Vec<String> {
            let log = self.installation.log();
            let after = log.split("/enter#").skip(1);
            after.map(|rest| rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()).collect()
        };
        let before = links().len();
        assert_eq!(self.anonymously("/v1/login/link/begin", &json!({ "email": email })).status, 202);
        eventually("the link is in the log", || links().len() > before);
        links().pop().unwrap()
    }

    /// Another organization with its first member.
    pub(super) fn tenant(&self, kind: &str) -> (String, Person) {
        let made = self.manage().create("/v1/organizations", &json!({ "name": name("tenant"), "kind": kind }));
        let organization = id(&made);
        let role = if kind == "owner" { "owner" } else { "consumer_admin" };
        let first = self.person_by(&self.manage(), &json!({ "role": role, "organization_id": organization }));
        (organization, first)
    }

    /// A passkey of somebody: the device that has it, and its id.
    pub(super) fn passkey_of(&self, api: &Api) -> (Authenticator, String) {
        let mut device = Authenticator::new("http://localhost:4401");
        let (status, asked) = api.post("/v1/account/passkeys/begin", &json!({}));
        assert_eq!(status, 200, "{asked}");
        let credential = device.create(&asked["public_key"]);
        let wish = json!({ "name": "Laptop", "ceremony": asked["ceremony"], "credential": credential });
        let (status, made) = api.post("/v1/account/passkeys", &wish);
        assert_eq!(status, 201, "{made}");
        (device, id(&made))
    }

    /// What a device answers to a new question.
    pub(super) fn answer_of(&self, device: &mut Authenticator) -> Value {
        let asked = self.anonymously("/v1/login/passkey/begin", &json!({})).json();
        json!({ "ceremony": asked["ceremony"], "credential": device.answer(&asked["public_key"]) })
    }

    /// What somebody may ask.
    pub(super) fn as_person(&self, person: &Person) -> Api {
        self.manage_as(&person.token)
    }
}
