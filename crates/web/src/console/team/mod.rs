//! The team: members, who is invited, and the roles that they have. What gives somebody rights, or takes them, asks first who one
//! is: such a refusal becomes a question at the entrance.

mod invite;
mod list;
mod member;
mod roles;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};
use jiff::Timestamp;
use serde::Deserialize;

use super::Console;
use super::model::List;
use super::rights::Rights;
use super::visit::Visit;
use crate::api::Asked;

pub(super) fn routes() -> Router<Arc<Console>> {
    Router::new()
        .route("/team", get(list::list))
        .route("/team/invite", get(invite::form).post(invite::invite))
        .route("/team/invite/code", post(invite::code))
        .route("/team/invitations/{id}/withdraw", get(invite::withdraw_form).post(invite::withdraw))
        .route("/team/members/{id}/role", get(member::role_form).post(member::role))
        .route("/team/members/{id}/role/code", post(member::code))
        .route("/team/members/{id}/password", get(member::password_form).post(member::password))
        .route("/team/members/{id}/factors", get(member::factors_form).post(member::factors))
        .route("/team/members/{id}/remove", get(member::remove_form).post(member::remove))
        .route("/team/roles/new", get(roles::new_form).post(roles::create))
        .route("/team/roles/code", post(roles::code))
        .route("/team/roles/{id}/edit", get(roles::edit_form).post(roles::edit))
        .route("/team/roles/{id}/delete", get(roles::delete_form).post(roles::delete))
}

/// A role that the organization made.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct MemberRole {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) description: String,
    pub(super) permissions: Vec<String>,
}

/// An invitation.
#[derive(Debug, Deserialize)]
pub(super) struct Invitation {
    pub(super) id: String,
    #[serde(default)]
    pub(super) email: Option<String>,
    pub(super) role: String,
    pub(super) state: String,
    pub(super) made_by: String,
    pub(super) expires_at: Timestamp,
}

/// The organization.
#[derive(Debug, Default, Deserialize)]
struct Organization {
    kind: String,
}

/// A role that somebody can be given.
pub(super) struct Choice {
    pub(super) name: String,
    pub(super) about: String,
    pub(super) is_chosen: bool,
}

/// The roles that members of this organization can have: those that are built in for its kind, and its own.
pub(super) async fn choices(visit: &Visit, chosen: &str) -> Asked<Vec<Choice>> {
    let rights = Rights::of(visit).await?;
    let own: List<MemberRole> = visit.aside("/v1/member_roles?limit=200").await;
    let organization: Organization = visit.aside(&format!("/v1/organizations/{}", visit.who.organization_id)).await;
    let fits = |kind: &str| organization.kind.is_empty() || organization.kind == kind;
    let built_in = rights.built_in_roles.into_iter().filter(|role| fits(&role.kind));
    let built_in = built_in.map(|role| (role.name, rights_told(&role.permissions)));
    let own = own.items.into_iter().map(|role| {
        let about = if role.description.is_empty() { rights_told(&role.permissions) } else { role.description };
        (role.name, about)
    });
    let all = built_in.chain(own);
    Ok(all.map(|(name, about)| Choice { is_chosen: name == chosen, name, about }).collect())
}

/// Rights in a few words.
pub(super) fn rights_told(permissions: &[String]) -> String {
    const SHOWN: usize = 6;
    match permissions {
        [] => "May do nothing".to_owned(),
        [all] if all == "*" => "May do everything".to_owned(),
        few if few.len() <= SHOWN => few.join(", "),
        many => format!("{} and {} more", many[..SHOWN].join(", "), many.len() - SHOWN),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_are_told_in_a_few_words() {
        let list = |count: usize| (0..count).map(|n| format!("r{n}")).collect::<Vec<_>>();
        assert_eq!(rights_told(&[]), "May do nothing");
        assert_eq!(rights_told(&["*".into()]), "May do everything");
        assert_eq!(rights_told(&list(2)), "r0, r1");
        assert_eq!(rights_told(&list(9)), "r0, r1, r2, r3, r4, r5 and 3 more");
    }
}
