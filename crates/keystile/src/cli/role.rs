//! `keystile role …`: permissions under a name.

use clap::{Args, Subcommand};
use keystile_core::permission::Permission;
use keystile_core::role::RoleName;
use serde_json::Value;
use ureq::http::Method;

use super::fault::{Exit, Fault};
use super::server::Payload;
use super::session::{Fields, ROLE, Session};
use super::table::{Column, field};

/// What to do with roles.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List the roles, newest first.
    List,
    /// Make a role.
    Create(Create),
    /// Show one role.
    Show {
        /// Its id or name.
        role: String,
    },
    /// Change a role, and with it what the keys that have it may do.
    Update(Update),
    /// Delete a role that no key has.
    Delete {
        /// Its id or name.
        role: String,
        /// Take it from the keys that have it, too.
        #[arg(long)]
        from_keys: bool,
    },
}

/// A new role.
#[derive(Debug, Args)]
pub struct Create {
    /// Its name, a word such as reader.
    #[arg(long)]
    name: RoleName,
    #[command(flatten)]
    about: About,
}

/// Changes of a role. What is given replaces what was there; the rest stays.
#[derive(Debug, Args)]
pub struct Update {
    /// Its id or name.
    role: String,
    /// Its name.
    #[arg(long)]
    name: Option<RoleName>,
    #[command(flatten)]
    about: About,
    /// Let it grant nothing.
    #[arg(long, conflicts_with = "permissions")]
    no_permissions: bool,
}

#[derive(Debug, Args)]
struct About {
    /// What it is for.
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// A right that it grants, such as pets.read or pets.*; repeat for several.
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
        Verb::List => session.list(ROLE, &[], &COLUMNS),
        Verb::Create(ask) => {
            let fields = ask.about.fields().with("name", Some(ask.name.as_str()));
            session.create(ROLE, fields.0)
        }
        Verb::Show { role } => {
            let id = session.role(&role)?;
            session.show(ROLE, &id)
        }
        Verb::Update(ask) => {
            let id = session.role(&ask.role)?;
            let none = ask.no_permissions.then(|| Value::Array(Vec::new()));
            let fields = ask.about.fields().with("name", ask.name.as_ref().map(RoleName::as_str));
            session.update(ROLE, &id, fields.with("permissions", none).0)
        }
        Verb::Delete { role, from_keys } => {
            let id = session.role(&role)?;
            if !from_keys {
                return session.delete(ROLE, &id, "");
            }
            session.confirm(&format!("Delete the role {id}, and take what it grants from the keys that have it?"))?;
            let path = format!("{}/{id}", ROLE.path);
            let query = [("from_keys", "true")];
            session.server.send(&format!("delete the role {id}"), Method::DELETE, &path, &query, &Payload::Nothing)?;
            session.screen.note(&format!("deleted {id}"));
            Ok(Exit::Ok)
        }
    }
}

const COLUMNS: [Column; 4] = [
    Column::left("ID", |role, _| field(role, "id")),
    Column::left("NAME", |role, _| field(role, "name")),
    Column::left("PERMISSIONS", |role, _| field(role, "permissions")),
    Column::left("DESCRIPTION", |role, _| field(role, "description")),
];
