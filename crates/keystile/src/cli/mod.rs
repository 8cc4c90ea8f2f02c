//! The commands that talk to a running server over its management API, for people and for scripts.
//!
//! Results go to standard output, everything else to standard error; `--json` gives the API's own objects; the exit
//! codes are [`Exit`]. A key never stands in an argument and is never printed but by the command that made it.
//!
//! Not here: `serve`, `dev` and `config`, which need no running server. Begin with [`run`].

mod access;
mod account;
mod activation;
mod api;
mod api_operations;
mod api_secret;
mod audit;
mod conditions;
mod credit;
mod csv;
mod described;
mod encryption;
mod end_user;
mod fault;
mod hours;
mod import;
mod invitation;
mod kept;
mod key;
mod lines;
mod login;
mod logs;
mod member;
mod member_role;
mod organization;
mod pattern;
mod plan;
mod policy;
mod price;
mod project;
mod prompt;
mod quotas;
mod role;
mod route;
mod screen;
mod secret;
mod server;
mod session;
mod simulate;
mod statement;
mod table;
mod tags;
#[cfg(test)]
mod tests;
mod usage;
mod values;
mod verify;
mod webhook;

use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use keystile_core::time::Moment;

pub use fault::Exit;
pub use screen::{Screen, Terminal};

use fault::Fault;
use kept::Kept;
use login::Door;
use secret::Secret;
use server::Server;
use session::Session;

/// Where the management API listens unless something else is said.
const DEFAULT_SERVER: &str = "http://127.0.0.1:4401";

/// A command for a running server.
#[derive(Debug, Args)]
pub struct Client {
    /// What holds for all commands.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of all commands that talk to a server.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Options of all commands")]
pub struct Global {
    /// The management API of the server; else KEYSTILE_URL, else http://127.0.0.1:4401.
    #[arg(long, global = true, value_name = "URL")]
    pub server: Option<String>,
    /// A file that holds the management key; else it is taken from KEYSTILE_MANAGEMENT_KEY.
    #[arg(long, global = true, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    /// Print the API's JSON, and errors as problem details (RFC 9457).
    #[arg(long, global = true)]
    pub json: bool,
    /// Print ids only, and no remarks.
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// No colours and no bold type; so does NO_COLOR.
    #[arg(long, global = true)]
    pub no_color: bool,
    /// Revoke and delete without asking.
    #[arg(long, global = true)]
    pub yes: bool,
    /// At most so many items of a list.
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,
}

/// What to do with a running server.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Log in as a person; the commands that follow need no management key.
    Login(login::Login),
    /// Accept an invitation, choose a password, and log in.
    Join(login::Join),
    /// End the session.
    Logout,
    /// Who the commands are carried out as, and what that may do.
    Whoami,
    /// Your own account: password, sessions, organizations.
    Account {
        /// What to do.
        #[command(subcommand)]
        verb: account::Verb,
    },
    /// Members: the people of your organization.
    Member {
        /// What to do.
        #[command(subcommand)]
        verb: member::Verb,
    },
    /// Invitations: how people become members.
    Invitation {
        /// What to do.
        #[command(subcommand)]
        verb: invitation::Verb,
    },
    /// Roles of members: permissions at the management API under a name.
    MemberRole {
        /// What to do.
        #[command(subcommand)]
        verb: member_role::Verb,
    },
    /// Organizations: tenants.
    Organization {
        /// What to do.
        #[command(subcommand)]
        verb: organization::Verb,
    },
    /// APIs: what is protected.
    Api {
        /// What to do.
        #[command(subcommand)]
        verb: api::Verb,
    },
    /// Projects: the programs that call.
    Project {
        /// What to do.
        #[command(subcommand)]
        verb: project::Verb,
    },
    /// Activations: which project may call which API.
    Activation {
        /// What to do.
        #[command(subcommand)]
        verb: activation::Verb,
    },
    /// Keys: create, change, end, import, verify.
    Key {
        /// What to do.
        #[command(subcommand)]
        verb: key::Verb,
    },
    /// Roles: permissions under a name, which keys have by naming it.
    Role {
        /// What to do.
        #[command(subcommand)]
        verb: role::Verb,
    },
    /// Plans: what an API's owner offers to those who call it.
    Plan {
        /// What to do.
        #[command(subcommand)]
        verb: plan::Verb,
    },
    /// Credits: what is prepaid, and what is left of it.
    Credit {
        /// What to do.
        #[command(subcommand)]
        verb: credit::Verb,
    },
    /// Statements: what projects used in a period, and what that costs by their plans.
    Statement(statement::Ask),
    /// Patterns: filters under a name, for calls of keys and projects.
    Pattern {
        /// What to do.
        #[command(subcommand)]
        verb: pattern::Verb,
    },
    /// What would become of a call, and why.
    Route {
        /// What to do.
        #[command(subcommand)]
        verb: route::Verb,
    },
    /// Which project may call which API, since when, granted by whom, last used.
    Access(access::Ask),
    /// What was called, by whom, and how it ended.
    Usage(Box<usage::Usage>),
    /// End users: what is kept about those who use the programs that call, exported and erased.
    EndUser {
        /// What to do.
        #[command(subcommand)]
        verb: end_user::Verb,
    },
    /// The request log: single calls, who made them, from where, and what was answered.
    Logs {
        /// What to do.
        #[command(subcommand)]
        verb: Box<logs::Verb>,
    },
    /// Webhooks: where others are told of changes.
    Webhook {
        /// What to do.
        #[command(subcommand)]
        verb: webhook::Verb,
    },
    /// The audit: who did what, when, from where; and whether anything of it was altered.
    Audit {
        /// What to do.
        #[command(subcommand)]
        verb: audit::Verb,
    },
    /// The keys that secrets are encrypted under, and the peppers that keys are hashed with.
    Encryption {
        /// What to do.
        #[command(subcommand)]
        verb: encryption::Verb,
    },
    /// Events: what was changed, and by whom.
    Event {
        /// What to do.
        #[command(subcommand)]
        verb: webhook::EventVerb,
    },
}

/// The world as the commands see it.
pub struct World<'a> {
    /// Tells the time.
    pub clock: &'a dyn Fn() -> Moment,
    /// Looks up an environment variable.
    pub env: &'a dyn Fn(&str) -> Option<String>,
    /// Standard input.
    pub input: Box<dyn Read + Send>,
    /// Where results and remarks go.
    pub screen: Screen,
}

/// Runs a command in this process.
pub fn run(client: Client, clock: &dyn Fn() -> Moment) -> ExitCode {
    let env = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let world = World { clock, env: &env, input: Box::new(std::io::stdin()), screen: Screen::of_process() };
    run_in(world, client).into()
}

/// Runs a command in this world.
pub fn run_in(world: World<'_>, client: Client) -> Exit {
    let World { clock, env, input, screen } = world;
    let Client { global, command } = client;
    let as_json = global.json;
    let mut screen = screen.with(global.quiet, !global.no_color && env("NO_COLOR").is_none());
    let done = match command {
        // The one command that needs no management key.
        Command::Key { verb: key::Verb::Verify(ask) } => verify::run(*ask, &global, env, input, &mut screen),
        // Nor does a plan that is only thought of.
        Command::Plan { verb: plan::Verb::Simulate(ask) } if !ask.is_of_server() => {
            simulate::alone(*ask, &global, input, &mut screen)
        }
        // Nor do those by which a person comes and goes.
        Command::Login(ask) => Door { global: &global, env, input, screen: &mut screen }.login(ask),
        Command::Join(ask) => Door { global: &global, env, input, screen: &mut screen }.join(ask),
        Command::Logout => Door { global: &global, env, input, screen: &mut screen }.logout(),
        command => open(&global, env, &mut screen).and_then(|(server, kept)| {
            let mut session = Session { server, screen: &mut screen, input, clock, global, kept };
            match command {
                Command::Login(_) | Command::Join(_) | Command::Logout => unreachable!("they were carried out"),
                Command::Whoami => account::whoami(&mut session),
                Command::Account { verb } => account::run(verb, &mut session),
                Command::Member { verb } => member::run(verb, &mut session),
                Command::Invitation { verb } => invitation::run(verb, &mut session),
                Command::MemberRole { verb } => member_role::run(verb, &mut session),
                Command::Organization { verb } => organization::run(verb, &mut session),
                Command::Api { verb } => api::run(verb, &mut session),
                Command::Project { verb } => project::run(verb, &mut session),
                Command::Activation { verb } => activation::run(verb, &mut session),
                Command::Key { verb } => key::run(verb, &mut session),
                Command::Role { verb } => role::run(verb, &mut session),
                Command::Pattern { verb } => pattern::run(verb, &mut session),
                Command::Plan { verb } => plan::run(verb, &mut session),
                Command::Credit { verb } => credit::run(verb, &mut session),
                Command::Statement(ask) => statement::run(ask, &mut session),
                Command::Route { verb } => route::run(verb, &mut session),
                Command::Access(ask) => access::run(ask, &mut session),
                Command::Usage(usage) => usage::run(*usage, &mut session),
                Command::EndUser { verb } => end_user::run(verb, &mut session),
                Command::Logs { verb } => logs::run(*verb, &mut session),
                Command::Webhook { verb } => webhook::run(verb, &mut session),
                Command::Audit { verb } => audit::run(&verb, &mut session),
                Command::Encryption { verb } => encryption::run(&verb, &mut session),
                Command::Event { verb } => webhook::events(verb, &mut session),
            }
        }),
    };
    let exit = done.unwrap_or_else(|fault| {
        fault.tell(&mut screen, as_json);
        fault.exit
    });
    screen.ended(exit)
}

/// The server that is meant, with the key to it or the session that is kept for it.
fn open(
    global: &Global,
    env: &dyn Fn(&str) -> Option<String>,
    screen: &mut Screen,
) -> Result<(Server, Option<Kept>), Fault> {
    let url = login::server_url(global, env);
    let mut kept = None;
    let key = match management_key(global, env)? {
        Some(key) => Some(key),
        None => {
            let place = Kept::new(env).ok();
            let base = Server::at(&url, None)?.base().to_owned();
            let token = place.as_ref().map(|place| place.token(&base)).transpose()?.flatten();
            kept = place.filter(|_| token.is_some());
            token
        }
    };
    let key = key.ok_or_else(|| {
        Fault::new(
            Exit::Authentication,
            "no management key is given, and nobody is logged in",
            "commands need one of both to be let in",
            "log in with `keystile login`, or put a key into KEYSTILE_MANAGEMENT_KEY or into a file for --key-file",
        )
    })?;
    let server = Server::at(&url, Some(key))?;
    if server.is_exposed() {
        screen
            .note("warning: the management key crosses the network unencrypted; use https:// to reach another machine");
    }
    Ok((server, kept))
}

fn management_key(global: &Global, env: &dyn Fn(&str) -> Option<String>) -> Result<Option<Secret>, Fault> {
    match &global.key_file {
        Some(file) => Secret::from_file(file).map(Some),
        None => env("KEYSTILE_MANAGEMENT_KEY").map(|text| Secret::new(text, "KEYSTILE_MANAGEMENT_KEY")).transpose(),
    }
}
