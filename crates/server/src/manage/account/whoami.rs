//! `GET /v1/whoami`, `GET /v1/permissions`

use axum::extract::State;
use keystile_core::id::{AccountId, KeyId, OrganizationId, SessionId};
use keystile_core::member::{BuiltInRole, OrganizationKind};
use keystile_core::permission::Permission;
use keystile_core::time::Timestamp;
use keystile_store::Who;
use keystile_store::records::Membership;
use serde::Serialize;
use utoipa::ToSchema;

use crate::manage::app::App;
use crate::manage::caller::{Anybody, Asker, Caller, RIGHTS};
use crate::manage::members::view::role_text;
use crate::manage::problem::internal;
use crate::problem::Problem;

/// Who asks.
#[derive(Serialize, ToSchema)]
#[schema(as = WhoAmI)]
pub(in crate::manage) struct WhoAmIView {
    /// `management_key` or `session`.
    kind: &'static str,
    /// The organization for which it asks.
    #[schema(value_type = String)]
    organization_id: OrganizationId,
    /// The management key; `null` for a person.
    #[schema(value_type = Option<String>)]
    key_id: Option<KeyId>,
    /// The session; `null` for a program.
    #[schema(value_type = Option<String>)]
    session_id: Option<SessionId>,
    /// The person; `null` for a program.
    account: Option<AccountView>,
    /// The person's role here; `null` for a program.
    role: Option<String>,
    /// What it may do here.
    #[schema(value_type = Vec<String>)]
    permissions: Vec<Permission>,
    /// When the key or the session ends, if nobody uses it meanwhile.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
}

/// A person.
#[derive(Serialize, ToSchema)]
#[schema(as = Account)]
pub(super) struct AccountView {
    /// Its id, `acc_…`.
    #[schema(value_type = String)]
    id: AccountId,
    /// What it logs in with.
    email: String,
    /// What it is called.
    name: String,
    /// Whether one-time codes are asked for with the password.
    has_second_factor: bool,
    /// Whether there is a password to log in with.
    has_password: bool,
    /// How many passkeys there are to log in with.
    passkeys: u32,
    /// How many recovery codes are left.
    recovery_codes_left: u32,
    /// The organizations that it is a member of.
    organizations: Vec<MembershipView>,
}

/// An organization that somebody is a member of.
#[derive(Serialize, ToSchema)]
#[schema(as = Membership)]
pub(super) struct MembershipView {
    /// The organization.
    #[schema(value_type = String)]
    organization_id: OrganizationId,
    /// Its name.
    name: String,
    /// What it is there for: `owner` or `consumer`.
    #[schema(value_type = String)]
    kind: OrganizationKind,
    /// The role there.
    role: String,
}

impl From<Membership> for MembershipView {
    fn from(one: Membership) -> Self {
        let role = role_text(one.member.role, one.member.role_name.as_ref());
        Self { organization_id: one.organization, name: one.organization_name, kind: one.kind, role }
    }
}

/// Who the asker is.
pub(in crate::manage) async fn of(app: &App, asker: &Asker) -> Result<WhoAmIView, Problem> {
    let account = match &asker.session {
        None => None,
        Some(person) => {
            // As it is now: it may have been changed by this very request.
            let known = app.catalog.account(person.account()).await.map_err(|error| internal(&error))?;
            let all = app.catalog.memberships(person.account()).await.map_err(|error| internal(&error))?;
            let left = app.catalog.recovery_codes_left(person.account()).await.map_err(|error| internal(&error))?;
            let organizations = all.into_iter().map(MembershipView::from).collect();
            known.map(|known| AccountView {
                id: known.account.id,
                email: known.account.email.as_str().to_owned(),
                name: known.account.name,
                has_second_factor: known.account.has_totp,
                has_password: known.account.has_password,
                passkeys: known.account.passkeys,
                recovery_codes_left: left,
                organizations,
            })
        }
    };
    let session = asker.session.as_deref();
    let member = session.map(|person| &person.membership.member);
    Ok(WhoAmIView {
        kind: if session.is_some() { "session" } else { "management_key" },
        organization_id: asker.organization,
        key_id: match asker.who {
            Who::ManagementKey(id) => Some(id),
            Who::Account(_) | Who::System(_) => None,
        },
        session_id: session.map(|person| person.id()),
        account,
        role: member.map(|member| role_text(member.role, member.role_name.as_ref())),
        permissions: asker.policy.permissions.clone(),
        expires_at: match session {
            Some(person) => Some(person.session.times.ends_at(&app.identity.limits)),
            None => asker.expires_at,
        },
    })
}

/// Who asks, and what it may do.
#[utoipa::path(get, operation_id = "whoAmI", path = "/v1/whoami", tag = "Accounts", security(("management_key" = [])),
    responses((status = 200, body = WhoAmIView), (status = 401)))]
pub(super) async fn whoami(caller: Caller<Anybody>, State(app): State<App>) -> Result<axum::Json<WhoAmIView>, Problem> {
    Ok(axum::Json(of(&app, &caller).await?))
}

/// What there is to be permitted.
#[derive(Serialize, ToSchema)]
#[schema(as = Permissions)]
pub(super) struct PermissionsView {
    /// The rights at this API, of which permissions of management keys and roles of members are made.
    rights: Vec<RightView>,
    /// The roles that every organization has for its members.
    built_in_roles: Vec<BuiltInRoleView>,
}

/// A right.
#[derive(Serialize, ToSchema)]
#[schema(as = Right)]
pub(super) struct RightView {
    /// Its name, such as `keys.write`.
    name: &'static str,
    /// What it lets its holder do.
    description: &'static str,
    /// Whether a person must prove just before who they are.
    step_up: bool,
}

/// A role that is built in.
#[derive(Serialize, ToSchema)]
#[schema(as = BuiltInRole)]
pub(super) struct BuiltInRoleView {
    /// Its name.
    #[schema(value_type = String)]
    name: BuiltInRole,
    /// The kind of organizations that have it: `owner` or `consumer`.
    #[schema(value_type = String)]
    kind: OrganizationKind,
    /// What members that have it may do.
    #[schema(value_type = Vec<String>)]
    permissions: Vec<Permission>,
}

/// The rights that there are at this API, and the roles that are built in.
#[utoipa::path(get, operation_id = "listPermissions", path = "/v1/permissions", tag = "Members",
    security(("management_key" = [])), responses((status = 200, body = PermissionsView), (status = 401)))]
pub(super) async fn permissions(_: Caller<Anybody>) -> axum::Json<PermissionsView> {
    let right = |(name, about, step_up): &(&'static str, &'static str, bool)| RightView {
        name,
        description: about.trim(),
        step_up: *step_up,
    };
    let role = |role: &BuiltInRole| BuiltInRoleView { name: *role, kind: role.kind(), permissions: role.permissions() };
    axum::Json(PermissionsView {
        rights: RIGHTS.iter().map(right).collect(),
        built_in_roles: BuiltInRole::ALL.iter().map(role).collect(),
    })
}
