//! Whether what is kept is sound: looked through from end to end, beside a server or without one, and nothing is changed.
//!
//! What can be told: pages and references of the files, whether every value can be read, whether every row that is decided
//! by is as it was sealed and every secret opens in its place under its root key, whether the audit is whole, whether batches
//! that wait to be added up are as they were counted. What can't: the name of a key that was changed behind Keystile's back,
//! and counts that were added up.

use keystile_core::id::{KeyId, OrganizationId};

use crate::apply::encryption::{self as records, Record};
use crate::catalog::encryption::{kept_keys, kept_ring, peppers};
use crate::catalog::{activations, apis, audit, credits, keys, patterns, plans, projects, roles, webhooks};
use crate::db::{Base, Columns, Engine, Row, sql};
use crate::root::RootKey;
use crate::seal::Sealer;
use crate::upkeep::{self, Kept};
use crate::{OpenError, RootKeys, StoreError, audit as chain, ledger, open, schema};

/// Rows that are read at a time.
const ROWS: i64 = 10_000;
/// Things of one kind that are named; of more there is the number.
const MAX_NAMED: usize = 10;

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checked {
    /// How many of each there were.
    pub counts: Vec<(&'static str, u64)>,
    /// What is wrong.
    pub wrong: Vec<Wrong>,
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// What it is about, a word.
    pub id: &'static str,
    /// What is wrong with it.
    pub what: String,
}

impl Checked {
    fn add(&mut self, id: &'static str, what: impl Into<String>) {
        let named = self.wrong.iter().filter(|wrong| wrong.id == id).count();
        if named < MAX_NAMED {
            self.wrong.push(Wrong { id, what: what.into() });
        } else if named == MAX_NAMED {
            self.wrong.push(Wrong { id, what: "and more of the same kind".to_owned() });
        }
    }
}

/// Looks through an installation; `None` if there is none. A server may use it meanwhile.
///
/// # Errors
/// If it can't be opened at all, or there is no root key.
pub async fn check(kept: &Kept, root_keys: &RootKeys) -> Result<Option<Checked>, OpenError> {
    let Some([catalog, usage]) = open::existing(kept).await? else { return Ok(None) };
    let checked = checked(&catalog, &usage, root_keys).await;
    upkeep::close([catalog, usage]).await;
    checked.map(Some)
}

async fn checked(catalog: &Base, usage: &Base, root_keys: &RootKeys) -> Result<Checked, OpenError> {
    let mut checked = Checked::default();
    for (base, name, steps) in [(catalog, "catalogue", &schema::CATALOG), (usage, "ledger", &schema::USAGE)] {
        let looked = async {
            files(base, name, &mut checked).await?;
            schema::version(&mut base.read().await?).await
        };
        match looked.await {
            Ok(version) if version == steps.known() => {}
            Ok(version) => {
                let known = steps.known();
                checked.add(
                    "tables",
                    format!("the {name} has tables of version {version}, and this program knows {known}"),
                );
            }
            Err(error) => checked.add("file", format!("the {name} can't be read: {}", error.cause())),
        }
    }
    if checked.wrong.iter().any(|wrong| wrong.id != "references") {
        // What comes next would fail for the same reason.
        return Ok(checked);
    }
    match open::told_by(catalog).await {
        Ok(Some((installation, check))) => match root_keys.belonging_to(&installation, &check)? {
            Some(root) => {
                if let Err(error) = secrets(catalog, &root, installation, &mut checked).await {
                    checked.add("secrets", error.cause());
                }
            }
            None => checked.add("root_key", "the root key is another one than that of this installation"),
        },
        Ok(None) => checked.add("meta", "it says of no installation"),
        Err(error) => checked.add("meta", error.cause()),
    }
    if let Err(error) = rows(catalog, &mut checked).await {
        checked.add("rows", error.cause());
    }
    if let Err(error) = batches(usage, &mut checked).await {
        checked.add("batches", error.cause());
    }
    Ok(checked)
}

/// Pages, indexes and references. PostgreSQL sees to its own.
async fn files(base: &Base, name: &str, checked: &mut Checked) -> Result<(), StoreError> {
    if !matches!(base.engine(), Engine::Sqlite(_)) {
        return Ok(());
    }
    let mut db = base.read().await?;
    for row in &sql("PRAGMA integrity_check(20)").seldom().fetch_all(&mut db).await? {
        let said = Columns::of(row).text()?;
        if said != "ok" {
            checked.add("file", format!("the {name}: {said}"));
        }
    }
    for row in &sql("PRAGMA foreign_key_check").seldom().fetch_all(&mut db).await? {
        let mut row = Columns::of(row);
        let (table, _, parent) = (row.text()?, row.number_if_any::<i64>()?, row.text()?);
        checked.add("references", format!("the {name}: a row of {table} names one of {parent} that is not there"));
    }
    Ok(())
}

/// Whether every secret opens in its place, and the audit ends where it was sealed.
async fn secrets(
    catalog: &Base,
    root: &RootKey,
    installation: [u8; 16],
    checked: &mut Checked,
) -> Result<(), StoreError> {
    let mut view = catalog.view().await?;
    if kept_keys(&mut view).await?.is_empty() {
        checked.add("secrets", "there is no encryption key");
        return Ok(());
    }
    let ring = kept_ring(&mut view, root, installation).await?;
    if let Err(error) = peppers(&mut view, &ring).await {
        checked.add("secrets", error.cause());
    }
    let mut count = 0;
    let mut judge = |record: &Record, checked: &mut Checked| {
        count += 1;
        if let Err(error) = record.place.open(&ring, &record.sealed) {
            checked.add("secrets", error.cause());
        }
    };
    for record in records::all(&mut view, &installation).await? {
        judge(&record, checked);
    }
    let last: u32 = sql("SELECT coalesce(max(key), 0) FROM key_texts").fetch_number(&mut view).await?;
    for first in (0..=last).step_by(ROWS as usize) {
        for record in records::key_texts_from(&mut view, &installation, first, ROWS).await? {
            judge(&record, checked);
        }
    }
    checked.counts.push(("secrets", count));
    if let Some(strange) = schema::CATALOG.strange(&mut view).await? {
        checked.add("schema", format!("{strange:?} is none of Keystile's triggers, functions and views"));
    }
    let marks = sql("SELECT count(*) FROM meta WHERE name = ?").bind(open::SEALED);
    if marks.fetch_number::<u32>(&mut view).await? == 0 {
        checked.add("seals", "what says that rows are sealed is missing");
    }
    let mut altered = Vec::new();
    let sealed = Sealer::new(ring.seed()).each_altered(&mut view, true, &mut |what| altered.push(what)).await?;
    for what in altered {
        checked.add("seals", format!("{what} was altered"));
    }
    checked.counts.push(("sealed rows", sealed));
    match audit::walk(&mut view, &installation, Some(ring.seed())).await? {
        Err(broken) => checked.add("audit", format!("entry {broken} was altered, moved or taken out")),
        Ok(Some((last, hash, seal))) if seal != chain::seal(ring.seed(), last, &hash) => {
            checked.add("audit", format!("entry {last} is not the end that was sealed"));
        }
        Ok(end) => checked.counts.push(("audit entries", end.map_or(0, |(last, ..)| last))),
    }
    Ok(())
}

/// What tells whether a row can be read.
type Reader = fn(&Row) -> Result<(), StoreError>;

/// Whether every row can be read as what it is.
async fn rows(catalog: &Base, checked: &mut Checked) -> Result<(), StoreError> {
    let mut view = catalog.view().await?;
    let kinds: [(&'static str, &str, Reader); 8] = [
        ("APIs", apis::SELECT, |row| apis::read(row).map(drop)),
        ("projects", projects::SELECT, |row| projects::read(row).map(drop)),
        ("activations", activations::SELECT, |row| activations::read(row).map(drop)),
        ("roles", roles::SELECT, |row| roles::read(row).map(drop)),
        ("plans", plans::SELECT, |row| plans::read(row).map(drop)),
        ("credit grants", credits::SELECT, |row| credits::read(row).map(drop)),
        ("patterns", patterns::SELECT, |row| patterns::read(row).map(drop)),
        ("webhooks", webhooks::SELECT, |row| webhooks::read(row).map(drop)),
    ];
    for (name, select, read) in kinds {
        let found = sql(select.to_owned()).seldom().fetch_all(&mut view).await?;
        for row in &found {
            if let Err(error) = read(row) {
                checked.add("rows", format!("one of the {name} ({}): {}", place(row), error.cause()));
            }
        }
        checked.counts.push((name, found.len() as u64));
    }
    let last: u32 = sql("SELECT coalesce(max(number), 0) FROM keys").fetch_number(&mut view).await?;
    let mut count = 0;
    for first in (0..=last).step_by(ROWS as usize) {
        for row in &keys::rows_from(&mut view, first, ROWS).await? {
            count += 1;
            if let Err(error) = keys::read(row) {
                checked.add("rows", format!("a key ({}): {}", key_of(row), error.cause()));
            }
        }
    }
    checked.counts.push(("keys", count));
    Ok(())
}

fn place(row: &Row) -> String {
    let mut row = Columns::of(row);
    match row.blob() {
        Ok(id) => OrganizationId::from_slice(id).map_or_else(|_| "its id can't be read".to_owned(), |id| bare(&id)),
        Err(_) => "its id can't be read".to_owned(),
    }
}

/// An id without what it begins with: that tells of what it is, which is said already.
fn bare(id: &OrganizationId) -> String {
    let text = id.to_string();
    text.split_once('_').map_or(text.clone(), |(_, rest)| format!("…_{rest}"))
}

fn key_of(row: &Row) -> String {
    Columns::of(row).id(KeyId::from_slice).map_or_else(|_| "its id can't be read".to_owned(), |id| id.to_string())
}

/// Whether what waits to be added up is as it was counted, and what was kept of it afterwards.
async fn batches(usage: &Base, checked: &mut Checked) -> Result<(), StoreError> {
    let mut view = usage.view().await?;
    for row in &sql("SELECT node, sequence, events FROM batches").fetch_all(&mut view).await? {
        let mut row = Columns::of(row);
        let (node, sequence, events) = (row.integer()?, row.integer()?, row.blob()?);
        if let Some(error) = ledger::unsound(events) {
            checked.add("batches", format!("batch {sequence} of node {node}: {error}"));
        }
    }
    // One at a time: there may be gigabytes of them.
    let mut after = (i64::MIN, i64::MIN, i64::MIN, i64::MIN);
    loop {
        let row = sql("SELECT hour, node, sequence, place, events FROM kept_events \
             WHERE (hour, node, sequence, place) > (?, ?, ?, ?) ORDER BY hour, node, sequence, place LIMIT 1")
        .bind(after.0)
        .bind(after.1)
        .bind(after.2)
        .bind(after.3)
        .fetch_optional(&mut view)
        .await?;
        let Some(row) = row else { break };
        let mut row = Columns::of(&row);
        after = (row.integer()?, row.integer()?, row.integer()?, row.integer()?);
        if let Some(error) = ledger::unsound_kept(row.blob()?) {
            checked.add("batches", format!("kept events of batch {} of node {}: {error}", after.2, after.1));
        }
    }
    let broken: u64 = sql("SELECT count(*) FROM broken_batches").fetch_number(&mut view).await?;
    if broken > 0 {
        checked.add("batches", format!("{broken} batches were set aside because they could not be read"));
    }
    Ok(())
}
