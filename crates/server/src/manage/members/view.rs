//! A member as it is shown.

use keystile_core::id::{AccountId, MemberId};
use keystile_core::member::{MemberRole, MemberRoleName};
use keystile_core::permission::Permission;
use keystile_core::time::Timestamp;
use keystile_store::records::Member;
use serde::Serialize;
use utoipa::ToSchema;

/// A person in an organization.
#[derive(Serialize, ToSchema)]
#[schema(as = Member)]
pub(in crate::manage) struct MemberView {
    /// Its id, `mbr_…`.
    #[schema(value_type = String, example = "mbr_2Zk9mQ4tR7vX1bN6cL8dF3")]
    id: MemberId,
    /// The account, which stands in the audit for what the person did.
    #[schema(value_type = String)]
    account_id: AccountId,
    /// What the person logs in with.
    email: String,
    /// What the person is called.
    name: String,
    /// Whether a password alone does not let the person in: a one-time code is asked for as well, or there is no password.
    has_second_factor: bool,
    /// The role: the word of one that is built in, or the name of one of your own.
    #[schema(example = "developer")]
    role: String,
    /// What the role grants.
    #[schema(value_type = Vec<String>)]
    permissions: Vec<Permission>,
    /// When the person joined.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it was last changed.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

/// A role as people say it.
pub(in crate::manage) fn role_text(role: MemberRole, name: Option<&MemberRoleName>) -> String {
    name.map_or_else(|| role.to_string(), |name| name.as_str().to_owned())
}

impl From<Member> for MemberView {
    fn from(member: Member) -> Self {
        Self {
            has_second_factor: !member.account.lets_password_alone_in(),
            id: member.id,
            account_id: member.account.id,
            email: member.account.email.as_str().to_owned(),
            name: member.account.name,
            role: role_text(member.role, member.role_name.as_ref()),
            permissions: member.granted,
            created_at: member.created_at,
            updated_at: member.updated_at,
        }
    }
}
