//! `keystile member …`, `invitation …`, `member-role …` and `organization …`: people, what they may do, and where.

use clap::{Args, Subcommand};
use keystile_core::id::{InvitationId, MemberId, MemberRoleId, OrganizationId, SessionId};
use keystile_core::member::{MemberRoleName, OrganizationKind};
use keystile_core::permission::Permission;
use serde_json::{Value, json};
use ureq::http::Method;

use super::account::SESSIONS;
use super::fault::{Exit, Fault};
use super::server::Payload;
use super::session::{Fields, INVITATION, MEMBER, MEMBER_ROLE, ORGANIZATION, Session};
use super::table::{Column, away, field};

/// What to do with members.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List the members, newest first.
    List,
    /// Show one member.
    Show {
        /// Its id, or the e-mail address.
        member: String,
    },
    /// Give a member another role.
    Update {
        /// Its id, or the e-mail address.
        member: String,
        /// The role: owner, admin, developer, support, auditor, consumer_admin, consumer_developer, or one of your own.
        #[arg(long)]
        role: String,
    },
    /// Take a member away.
    Delete {
        /// Its id, or the e-mail address.
        member: String,
    },
    /// Make a link by which a member chooses a new password.
    ResetPassword {
        /// Its id, or the e-mail address.
        member: String,
    },
    /// Take the second factor from a member who lost it.
    RemoveFactors {
        /// Its id, or the e-mail address.
        member: String,
    },
    /// List who is logged in.
    Sessions,
    /// End a session.
    EndSession {
        /// Its id.
        id: SessionId,
    },
}

pub(super) fn run(verb: Verb, session: &mut Session<'_>) -> Result<Exit, Fault> {
    match verb {
        Verb::List => session.list(MEMBER, &[], &MEMBERS),
        Verb::Show { member } => {
            let id = find(session, &member)?;
            session.show(MEMBER, &id)
        }
        Verb::Update { member, role } => {
            let id = find(session, &member)?;
            session.update(MEMBER, &id, Fields::default().with("role", Some(role)).0)
        }
        Verb::Delete { member } => {
            let id = find(session, &member)?;
            session.delete(MEMBER, &id, ", whose sessions end")
        }
        Verb::ResetPassword { member } => {
            let id = find(session, &member)?;
            let path = format!("/v1/members/{id}/reset_password");
            let link = session.server.send("make a link", Method::POST, &path, &[], &Payload::Nothing)?;
            linked(session, &link);
            Ok(Exit::Ok)
        }
        Verb::RemoveFactors { member } => {
            let id = find(session, &member)?;
            session.confirm(&format!("Let the password of {member} be all that is asked for?"))?;
            let path = format!("/v1/members/{id}/remove_factors");
            session.server.send("remove the second factor", Method::POST, &path, &[], &Payload::Nothing)?;
            session.screen.note(&format!("removed; the sessions of {member} have ended"));
            Ok(Exit::Ok)
        }
        Verb::Sessions => session.list_at("sessions", "/v1/sessions", &[], &SESSIONS),
        Verb::EndSession { id } => {
            let path = format!("/v1/sessions/{id}");
            session.server.send("end the session", Method::DELETE, &path, &[], &Payload::Nothing)?;
            session.screen.note(&format!("ended {id}"));
            Ok(Exit::Ok)
        }
    }
}

/// The member of this id or address.
fn find(session: &Session<'_>, text: &str) -> Result<MemberId, Fault> {
    if let Ok(id) = text.parse() {
        return Ok(id);
    }
    let what = format!("find the member `{text}`");
    let page = session.server.get(&what, MEMBER.path, &[("email", text)])?;
    let id = page["items"][0]["id"].as_str().and_then(|id| id.parse().ok());
    id.ok_or_else(|| {
        Fault::new(
            Exit::NotFound,
            format!("could not {what}"),
            "no member has this id or e-mail address",
            "look at `keystile member list`",
        )
    })
}

/// A link that was made: for people with the address of the server before it, for scripts alone.
fn linked(session: &mut Session<'_>, made: &Value) {
    if session.global.json {
        session.screen.out(&format!("{made}\n"));
        return;
    }
    let path = field(made, "path");
    let base = session.server.base().to_owned();
    session.screen.out(&format!("{base}{path}\n"));
    session.screen.note(&format!(
        "Send that link only to whom it is for: it works once, until {}. It is shown this one time.",
        field(made, "expires_at")
    ));
}

const MEMBERS: [Column; 5] = [
    Column::left("ID", |member, _| field(member, "id")),
    Column::left("E-MAIL", |member, _| field(member, "email")),
    Column::left("NAME", |member, _| field(member, "name")),
    Column::left("ROLE", |member, _| field(member, "role")),
    Column::left("JOINED", |member, now| away(member, "created_at", now)),
];

/// What to do with invitations.
#[derive(Debug, Subcommand)]
pub enum Inviting {
    /// List who was invited, newest first.
    List,
    /// Invite somebody; prints the link, this one time.
    Create(Invite),
    /// Show one invitation.
    Show {
        /// Its id.
        id: InvitationId,
    },
    /// Take an invitation back.
    Withdraw {
        /// Its id.
        id: InvitationId,
    },
}

/// Who is invited, and as what.
#[derive(Debug, Args)]
pub struct Invite {
    /// The role: owner, admin, developer, support, auditor, consumer_admin, consumer_developer, or one of your own.
    #[arg(long)]
    role: String,
    /// Only an account with this e-mail address can accept it.
    #[arg(long)]
    email: Option<String>,
    /// For how many hours it is good; a week unless something else is said.
    #[arg(long, value_name = "HOURS")]
    hours: Option<u32>,
    /// Invite the first member of another organization; for whoever runs the installation.
    #[arg(long, value_name = "ID")]
    organization: Option<OrganizationId>,
}

pub(super) fn invitations(verb: Inviting, session: &mut Session<'_>) -> Result<Exit, Fault> {
    match verb {
        Inviting::List => session.list(INVITATION, &[], &INVITATIONS),
        Inviting::Create(ask) => {
            let fields = Fields::default()
                .with("role", Some(ask.role))
                .with("email", ask.email)
                .with("expires_in_hours", ask.hours)
                .with("organization_id", ask.organization.map(|id| id.to_string()));
            let body = Value::Object(fields.0);
            let path = INVITATION.path;
            let made = session.server.send("invite somebody", Method::POST, path, &[], &Payload::Json(&body))?;
            linked(session, &made);
            Ok(Exit::Ok)
        }
        Inviting::Show { id } => session.show(INVITATION, &id),
        Inviting::Withdraw { id } => {
            let path = format!("{}/{id}", INVITATION.path);
            session.server.send("withdraw the invitation", Method::DELETE, &path, &[], &Payload::Nothing)?;
            session.screen.note(&format!("withdrawn {id}"));
            Ok(Exit::Ok)
        }
    }
}

const INVITATIONS: [Column; 5] = [
    Column::left("ID", |one, _| field(one, "id")),
    Column::left("E-MAIL", |one, _| field(one, "email")),
    Column::left("ROLE", |one, _| field(one, "role")),
    Column::left("STATE", |one, _| field(one, "state")),
    Column::left("EXPIRES", |one, now| away(one, "expires_at", now)),
];

/// What to do with roles of members.
#[derive(Debug, Subcommand)]
pub enum RoleVerb {
    /// List the roles that you made, newest first.
    List,
    /// List the permissions that there are, and the roles that are built in.
    Permissions,
    /// Make a role.
    Create {
        /// Its name, a word such as night-shift.
        #[arg(long)]
        name: MemberRoleName,
        #[command(flatten)]
        about: About,
    },
    /// Show one role.
    Show {
        /// Its id or name.
        role: String,
    },
    /// Change a role, and with it what the members that have it may do.
    Update {
        /// Its id or name.
        role: String,
        /// Its name.
        #[arg(long)]
        name: Option<MemberRoleName>,
        #[command(flatten)]
        about: About,
        /// Let it grant nothing.
        #[arg(long, conflicts_with = "permissions")]
        no_permissions: bool,
    },
    /// Delete a role that nobody has.
    Delete {
        /// Its id or name.
        role: String,
    },
}

/// What is said of a role.
#[derive(Debug, Args)]
pub struct About {
    /// What it is for.
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// A permission that it grants, such as keys.read or keys.*; repeat for several.
    #[arg(long = "permission", value_name = "PERMISSION")]
    permissions: Vec<Permission>,
}

impl About {
    fn fields(self) -> Fields {
        let permissions: Vec<&str> = self.permissions.iter().map(Permission::as_str).collect();
        Fields::default().with("description", self.description).with_list("permissions", &permissions)
    }
}

pub(super) fn roles(verb: RoleVerb, session: &mut Session<'_>) -> Result<Exit, Fault> {
    match verb {
        RoleVerb::List => session.list(MEMBER_ROLE, &[], &ROLES),
        RoleVerb::Permissions => {
            let all = session.server.get("list the permissions", "/v1/permissions", &[])?;
            if session.global.json {
                session.screen.out(&format!("{all}\n"));
                return Ok(Exit::Ok);
            }
            for right in all["rights"].as_array().into_iter().flatten() {
                session.screen.out(&format!("{:22}{}\n", field(right, "name"), field(right, "description")));
            }
            for role in all["built_in_roles"].as_array().into_iter().flatten() {
                session.screen.out(&format!(
                    "\n{} ({})\n  {}\n",
                    field(role, "name"),
                    field(role, "kind"),
                    field(role, "permissions")
                ));
            }
            Ok(Exit::Ok)
        }
        RoleVerb::Create { name, about } => {
            session.create(MEMBER_ROLE, about.fields().with("name", Some(name.as_str())).0)
        }
        RoleVerb::Show { role } => {
            let id = session.named::<MemberRoleId>(MEMBER_ROLE, &role, &[])?;
            session.show(MEMBER_ROLE, &id)
        }
        RoleVerb::Update { role, name, about, no_permissions } => {
            let id = session.named::<MemberRoleId>(MEMBER_ROLE, &role, &[])?;
            let none = no_permissions.then(|| Value::Array(Vec::new()));
            let fields = about.fields().with("name", name.as_ref().map(MemberRoleName::as_str));
            session.update(MEMBER_ROLE, &id, fields.with("permissions", none).0)
        }
        RoleVerb::Delete { role } => {
            let id = session.named::<MemberRoleId>(MEMBER_ROLE, &role, &[])?;
            session.delete(MEMBER_ROLE, &id, "")
        }
    }
}

const ROLES: [Column; 4] = [
    Column::left("ID", |role, _| field(role, "id")),
    Column::left("NAME", |role, _| field(role, "name")),
    Column::left("PERMISSIONS", |role, _| field(role, "permissions")),
    Column::left("DESCRIPTION", |role, _| field(role, "description")),
];

/// What to do with organizations.
#[derive(Debug, Subcommand)]
pub enum Tenants {
    /// List the organizations, newest first.
    List,
    /// Make an organization; for whoever runs the installation.
    Create {
        /// Its name.
        #[arg(long)]
        name: String,
        /// What it is there for: consumer calls APIs, owner publishes them.
        #[arg(long, default_value = "consumer")]
        kind: OrganizationKind,
    },
    /// Show one organization.
    Show {
        /// Its id.
        id: OrganizationId,
    },
    /// Give an organization another name.
    Update {
        /// Its id.
        id: OrganizationId,
        /// Its name.
        #[arg(long)]
        name: String,
    },
}

pub(super) fn organizations(verb: Tenants, session: &mut Session<'_>) -> Result<Exit, Fault> {
    match verb {
        Tenants::List => session.list(ORGANIZATION, &[], &ORGANIZATIONS),
        Tenants::Create { name, kind } => {
            let fields = json!({ "name": name, "kind": kind });
            session.create(ORGANIZATION, fields.as_object().cloned().unwrap_or_default())
        }
        Tenants::Show { id } => session.show(ORGANIZATION, &id),
        Tenants::Update { id, name } => session.update(ORGANIZATION, &id, Fields::default().with("name", Some(name)).0),
    }
}

const ORGANIZATIONS: [Column; 4] = [
    Column::left("ID", |one, _| field(one, "id")),
    Column::left("NAME", |one, _| field(one, "name")),
    Column::left("KIND", |one, _| field(one, "kind")),
    Column::left("MADE", |one, now| away(one, "created_at", now)),
];
