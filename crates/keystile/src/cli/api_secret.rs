//! `keystile api secret …`: what an API has for its upstream. Values come from standard input or a file, never from an
//! argument, and are not shown again.

use std::io::{self, Read};
use std::path::PathBuf;

use clap::Subcommand;
use keystile_core::api::{MAX_SECRET_BYTES, SecretName};
use serde_json::json;
use ureq::http::Method;

use super::fault::{Exit, Fault};
use super::server::Payload;
use super::session::{API, Session};
use super::table::{Column, away, field};

/// What to do with the secrets of an API.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List what secrets an API has, without their values.
    List {
        /// The API's id or name.
        api: String,
    },
    /// Give an API a secret, or another value; the value is read from standard input.
    Set {
        /// The API's id or name.
        api: String,
        /// header:NAME, which every call to the upstream gets, or client_certificate, chain and private key as PEM.
        name: SecretName,
        /// Read the value from this file instead.
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Take a secret of an API away.
    Remove {
        /// The API's id or name.
        api: String,
        /// header:NAME or client_certificate.
        name: SecretName,
    },
}

pub(super) fn run(verb: Verb, session: &mut Session<'_>) -> Result<Exit, Fault> {
    match verb {
        Verb::List { api } => {
            let id = session.api(&api)?;
            session.list_at("secrets", &format!("{}/{id}/secrets", API.path), &[], &COLUMNS)
        }
        Verb::Set { api, name, file } => {
            let value = match &file {
                Some(path) => read(&mut std::fs::File::open(path).map_err(|error| unread(&path.display(), &error))?),
                None => {
                    if session.screen.terminal().input {
                        session.screen.note("Paste the value (it will be visible), then press Enter and Ctrl-D:");
                    }
                    read(&mut session.input)
                }
            };
            let value = value.map_err(|error| unread(&"standard input", &error))?;
            let id = session.api(&api)?;
            let path = format!("{}/{id}/secrets/{name}", API.path);
            let body = json!({ "value": value.trim_end_matches(['\r', '\n']) });
            session.server.send(&format!("set {name}"), Method::PUT, &path, &[], &Payload::Json(&body))?;
            session.screen.note(&format!("set {name} of {id}"));
            Ok(Exit::Ok)
        }
        Verb::Remove { api, name } => {
            let id = session.api(&api)?;
            session.confirm(&format!("Remove {name} of {id}? Calls go on without it."))?;
            let path = format!("{}/{id}/secrets/{name}", API.path);
            session.server.send(&format!("remove {name}"), Method::DELETE, &path, &[], &Payload::Nothing)?;
            session.screen.note(&format!("removed {name} of {id}"));
            Ok(Exit::Ok)
        }
    }
}

/// All of it, and one byte more if it is too long: the server says so.
fn read(from: &mut impl Read) -> io::Result<String> {
    let mut text = String::new();
    from.take(MAX_SECRET_BYTES as u64 + 2).read_to_string(&mut text)?;
    Ok(text)
}

fn unread(what: &impl std::fmt::Display, error: &io::Error) -> Fault {
    Fault::usage("the value can't be read", format!("{what}: {error}"), "pipe the value in, or name a file with --file")
}

const COLUMNS: [Column; 2] = [
    Column::left("SECRET", |secret, _| field(secret, "name")),
    Column::left("SET", |secret, now| away(secret, "set_at", now)),
];
