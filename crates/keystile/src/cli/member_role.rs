//! `keystile member-role …`: permissions at the management API under a name, for members.

use clap::{Args, Subcommand};
use keystile_core::id::MemberRoleId;
use keystile_core::member::MemberRoleName;
use keystile_core::permission::Permission;
use serde_json::Value;

use super::fault::{Exit, Fault};
use super::session::{Fields, MEMBER_ROLE, Session};
use super::table::{Column, field};

/// What to do with roles of members.
#[derive(Debug, Subcommand)]
pub enum Verb {
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

pub(super) fn run(verb: Verb, session: &mut Session<'_>) -> Result<Exit, Fault> {
    match verb {
        Verb::List => session.list(MEMBER_ROLE, &[], &ROLES),
        Verb::Permissions => {
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
        Verb::Create { name, about } => session.create(MEMBER_ROLE, about.fields().with("name", Some(name.as_str())).0),
        Verb::Show { role } => {
            let id = session.named::<MemberRoleId>(MEMBER_ROLE, &role, &[])?;
            session.show(MEMBER_ROLE, &id)
        }
        Verb::Update { role, name, about, no_permissions } => {
            let id = session.named::<MemberRoleId>(MEMBER_ROLE, &role, &[])?;
            let none = no_permissions.then(|| Value::Array(Vec::new()));
            let fields = about.fields().with("name", name.as_ref().map(MemberRoleName::as_str));
            session.update(MEMBER_ROLE, &id, fields.with("permissions", none).0)
        }
        Verb::Delete { role } => {
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
