//! The members of the organization, and what to call those who did something.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::Deserialize;

use super::model::List;
use super::visit::Visit;

/// A member.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Member {
    pub(super) id: String,
    pub(super) account_id: String,
    pub(super) email: String,
    pub(super) name: String,
    pub(super) role: String,
    pub(super) has_second_factor: bool,
    pub(super) created_at: Timestamp,
}

/// Names of people by the ids of their accounts.
#[derive(Debug, Default)]
pub(super) struct People(HashMap<String, String>);

impl People {
    /// Those of the organization, as far as the visitor may know them.
    pub(super) async fn of(visit: &Visit) -> Self {
        let list: List<Member> = match visit.may("members.read") {
            true => visit.aside("/v1/members?limit=200").await,
            false => List::default(),
        };
        Self(list.items.into_iter().map(|member| (member.account_id, called(&member.name, &member.email))).collect())
    }

    /// The name of whoever has this account.
    pub(super) fn name(&self, account: &str) -> Option<&str> {
        self.0.get(account).map(String::as_str)
    }

    /// Who did something: a name if there is one, the id if not.
    pub(super) fn actor(&self, actor: &str) -> String {
        match actor.split_once(':') {
            Some(("system", part)) => format!("The server ({})", part.replace('_', " ")),
            _ => self.name(actor).unwrap_or(actor).to_owned(),
        }
    }
}

/// A name, or the address of whoever has none.
fn called(name: &str, email: &str) -> String {
    if name.trim().is_empty() { email.to_owned() } else { name.to_owned() }
}

/// The page about the thing of this id, if there is one.
pub(super) fn page_of(id: &str) -> Option<String> {
    let (kind, _) = id.split_once('_')?;
    match kind {
        "key" => Some(format!("/keys/{id}")),
        "prj" => Some(format!("/projects/{id}")),
        "api" => Some(format!("/apis/{id}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_did_something_is_called_by_name_where_there_is_one() {
        let people = People(HashMap::from([("acc_1".to_owned(), called(" ", "ada@example.com"))]));
        for (actor, told) in [
            ("acc_1", "ada@example.com"),
            ("acc_2", "acc_2"),
            ("key_1", "key_1"),
            ("system:end_of_key", "The server (end of key)"),
        ] {
            assert_eq!(people.actor(actor), told);
        }
        assert_eq!(
            (page_of("key_1").as_deref(), page_of("acc_1"), page_of("nobody")),
            (Some("/keys/key_1"), None, None)
        );
    }
}
