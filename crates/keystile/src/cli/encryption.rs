//! `keystile encryption …`: the keys that secrets are under and the peppers that texts of keys are hashed with, changed while
//! everything goes on.

use clap::Subcommand;
use keystile_store::cipher::Algorithm;
use serde_json::{Value, json};
use ureq::http::Method;

use super::fault::{Exit, Fault};
use super::server::Payload;
use super::session::Session;
use super::table::{Column, Table, away, field, number};

const PATH: &str = "/v1/encryption";
/// Secrets that are encrypted anew in one request; other changes wait for it less than a second.
const RECORDS: u32 = 5_000;

/// What to do with them.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Say what there is, and how much is still under what is older.
    Status,
    /// Take another version of the encryption key into use.
    Rotate {
        /// What it encrypts with: aes-256-gcm or xchacha20-poly1305; else what the newest one does.
        #[arg(long, value_name = "ALGORITHM")]
        algorithm: Option<Algorithm>,
    },
    /// Encrypt all secrets of older versions anew, under the newest. Can be broken off, and goes on where it was.
    Rewrap,
    /// Retire a version of the encryption key under which nothing is any more.
    Retire {
        /// Which one.
        #[arg(id = "which", value_name = "VERSION")]
        version: u32,
    },
    /// Take another pepper into use. Keys get it when they are presented.
    RotatePepper,
    /// Retire a pepper with which no key is hashed any more that could be used.
    RetirePepper {
        /// Which one.
        #[arg(id = "which", value_name = "VERSION")]
        version: u32,
        /// Forget the texts of revoked keys and of versions that have ended: an import could bring them back as good keys.
        #[arg(long)]
        forget: bool,
    },
}

pub(super) fn run(verb: &Verb, session: &mut Session<'_>) -> Result<Exit, Fault> {
    match verb {
        Verb::Status => {
            let status = session.server.get("read how things are encrypted", PATH, &[])?;
            tell(&status, session);
        }
        Verb::Rotate { algorithm } => {
            let body = algorithm.map_or_else(|| json!({}), |algorithm| json!({ "algorithm": algorithm.name() }));
            let path = format!("{PATH}/rotate");
            let what = "rotate the encryption key";
            let status = session.server.send(what, Method::POST, &path, &[], &Payload::Json(&body))?;
            session
                .screen
                .note("everything new is under the newest version; `keystile encryption rewrap` brings the rest there");
            tell(&status, session);
        }
        Verb::Rewrap => rewrap(session)?,
        Verb::RotatePepper => {
            let path = format!("{PATH}/peppers");
            let status = session.server.send("rotate the pepper", Method::POST, &path, &[], &Payload::Nothing)?;
            session
                .screen
                .note("new keys are hashed with the newest pepper, and every other one as soon as it is presented");
            tell(&status, session);
        }
        Verb::Retire { version } => retire(session, ("keys", "version"), *version, &[])?,
        Verb::RetirePepper { version, forget } => {
            let query: &[_] = if *forget { &[("forget", "true")] } else { &[] };
            retire(session, ("peppers", "pepper"), *version, query)?;
        }
    }
    Ok(Exit::Ok)
}

fn rewrap(session: &mut Session<'_>) -> Result<(), Fault> {
    let mut status = session.server.get("read how things are encrypted", PATH, &[])?;
    let left = |status: &Value| status.get("older_records").and_then(Value::as_u64).unwrap_or(0);
    while left(&status) > 0 {
        session.screen.note(&format!("{} secrets are under older versions", number(&status, "older_records")));
        let path = format!("{PATH}/rewrap");
        let body = json!({ "limit": RECORDS });
        let before = left(&status);
        status = session.server.send("encrypt secrets anew", Method::POST, &path, &[], &Payload::Json(&body))?;
        if left(&status) >= before {
            let why = format!("{} secrets are still under older versions", number(&status, "older_records"));
            return Err(Fault::new(
                Exit::Failure,
                "could not encrypt all secrets anew",
                why,
                "look at the server's log; somebody may have rotated meanwhile, then go on with the same command",
            ));
        }
    }
    tell(&status, session);
    Ok(())
}

fn retire(
    session: &mut Session<'_>,
    (noun, word): (&str, &str),
    version: u32,
    query: &[(&str, &str)],
) -> Result<(), Fault> {
    session.confirm(&format!("Retire {word} {version}? It is wiped, and can't be had back but from a backup."))?;
    let what = format!("retire {word} {version}");
    let path = format!("{PATH}/{noun}/{version}");
    session.server.send(&what, Method::DELETE, &path, query, &Payload::Nothing)?;
    session.screen.note(&format!("retired {word} {version}"));
    Ok(())
}

fn tell(status: &Value, session: &mut Session<'_>) {
    if session.global.json {
        session.screen.out(&format!("{status}\n"));
        return;
    }
    if session.global.quiet {
        return;
    }
    let now = session.now();
    let mut part = |name: &str, columns: &[Column]| {
        let rows = status.get(name).and_then(Value::as_array);
        let row = |item: &Value| columns.iter().map(|column| (column.cell)(item, now)).collect();
        let rows: Vec<Vec<String>> = rows.into_iter().flatten().map(row).collect();
        let titles = columns.iter().map(|column| (column.title.to_owned(), column.right));
        Table::new(titles).rows(session.screen, &rows);
    };
    part("keys", &KEYS);
    part("peppers", &PEPPERS);
}

const KEYS: [Column; 4] = [
    Column::left("ENCRYPTION KEY", |key, _| field(key, "version")),
    Column::left("ALGORITHM", |key, _| field(key, "algorithm")),
    Column::left("CREATED", |key, now| away(key, "created_at", now)),
    Column { title: "SECRETS", right: true, cell: |key, _| number(key, "records") },
];
const PEPPERS: [Column; 3] = [
    Column::left("PEPPER", |pepper, _| field(pepper, "version")),
    Column::left("CREATED", |pepper, now| away(pepper, "created_at", now)),
    Column { title: "KEYS", right: true, cell: |pepper, _| number(pepper, "digests") },
];
