//! Rows that something is decided by are sealed: each has an HMAC over all that it says, under a key derived from the root
//! key. What a damaged disk made of a row, or somebody who writes to the database and has no root key, is told and never
//! served (SECURITY.md R-4): not at a start, not by the feed, not by a change, which seals nothing that was altered before it.
//!
//! Every statement that writes such a row takes its seal away (triggers see to that), and the last thing that a transaction
//! does is to seal what it left without one ([`seal_changes`]). So no room has to think of it, and none can forget it.
//!
//! What can't be told: that a row is missing, or that it is the one of an earlier day. Secrets have seals of their own (see
//! `cipher`), the audit has its chain, what was counted has checksums.

use std::collections::HashMap;
use std::fmt::Display;

use hmac::{Hmac, KeyInit, Mac};
use keystile_core::id::KeyId;
use sha2::Sha256;

use crate::cipher::SecretKey;
use crate::copy::digest;
use crate::db::{Base, Connection, Row, Value, damaged, sql};
use crate::packed::{self, Packed, Which};
use crate::root::hex;
use crate::tables::{CATALOG, ROWS, Table, Values};
use crate::{StoreError, StoreFault};

/// The tables whose rows are sealed, and the columns of each that are not covered: notes that are written beside changes.
const SEALED: [(&str, &[&str]); 32] = [
    ("organizations", &[]),
    ("accounts", &[]),
    ("member_roles", &[]),
    ("members", &[]),
    ("invitations", &[]),
    ("sessions", &["seen_at"]),
    ("password_resets", &[]),
    ("sign_in_links", &[]),
    ("totps", &[]),
    ("device_logins", &[]),
    ("passkeys", &[]),
    ("identities", &[]),
    ("recovery_codes", &[]),
    ("apis", &[]),
    ("projects", &[]),
    ("plans", &[]),
    ("plan_versions", &[]),
    ("activations", &[]),
    ("activation_plans", &[]),
    ("credit_grants", &[]),
    ("policies", &[]),
    ("roles", &[]),
    ("patterns", &[]),
    ("policy_patterns", &[]),
    ("policy_roles", &[]),
    ("webhooks", &["handed_to", "failing_since"]),
    ("hand_overs", &[]),
    (KEYS, &[]),
    ("key_versions", &[]),
    ("slow_hashes", &[]),
    ("former_digests", &[]),
    ("revisions", &[]),
];
/// Of these only what is decided by is covered (see `packed`).
const KEYS: &str = "keys";
/// Tables that grow with the keys and with what is changed: looked at as they are read, not at a start as well.
const LARGE: [&str; 6] = [KEYS, "key_versions", "slow_hashes", "former_digests", "credit_grants", "revisions"];
/// In place of the seal of a row that was altered before it was changed: it fits none.
const ALTERED: &str = "altered";
/// Bytes of an HMAC-SHA-256 that are kept (RFC 2104 §5).
const SEAL_LEN: usize = 16;
/// Keys that are sealed at a time.
const KEYS_AT_ONCE: u32 = 8_192;

/// Something else than Keystile has written to a row, or the disk did.
#[derive(Debug, thiserror::Error)]
#[error("{0} is not as Keystile wrote it; see keystile db check")]
struct Altered(String);

/// What was altered, if that is why something failed.
pub(crate) fn what_was_altered(error: &StoreError) -> Option<&str> {
    error.0.downcast_ref::<Altered>().map(|Altered(what)| what.as_str())
}

pub(crate) fn altered(what: impl Display) -> StoreError {
    StoreError(Box::new(Altered(what.to_string())))
}

/// What seals rows, and tells whether they are as they were sealed.
#[derive(Clone)]
pub(crate) struct Sealer(Hmac<Sha256>);

impl Sealer {
    pub(crate) fn new(seed: &SecretKey) -> Self {
        Self(Hmac::new_from_slice(&seed.derive("rows")).expect("HMAC takes a key of any length"))
    }

    /// What a catalogue says whose rows are sealed.
    pub(crate) fn mark(&self) -> Vec<u8> {
        self.0.clone().chain_update("sealed").finalize().into_bytes().to_vec()
    }

    /// What asks for every row to be sealed as it is, at this revision: nobody can make it without the root key, nor use one of
    /// before again, for what it asked for stands in the audit and made a revision.
    pub(crate) fn request(&self, revision: u64) -> Vec<u8> {
        self.0
            .clone()
            .chain_update("seal as it is")
            .chain_update(revision.to_be_bytes())
            .finalize()
            .into_bytes()
            .to_vec()
    }

    fn row(&self, sealed: &Sealed, row: &Values) -> Seal {
        let mut mac = self.0.clone();
        digest(&mut mac, &Value::Text(Some(sealed.table.name.into())));
        for ((name, _), value) in sealed.table.columns.iter().zip(row) {
            // What is absent is left out: so a column that a later version adds, absent at first, breaks no seal.
            if sealed.covers(name) && !matches!(value, Value::Number(None) | Value::Text(None)) {
                digest(&mut mac, &Value::from(*name));
                digest(&mut mac, value);
            }
        }
        short(mac)
    }

    fn key(&self, key: &Packed<'_>) -> Seal {
        // In one piece: a million of them are looked at when a node starts. All but the last two parts are of a fixed length.
        let mut said = Vec::with_capacity(KEYS.len() + 32 + 16 + 8 + key.facts.len() + key.metadata.len());
        said.extend_from_slice(KEYS.as_bytes());
        said.extend_from_slice(key.digest);
        said.extend_from_slice(key.id);
        said.extend_from_slice(&(key.facts.len() as u64).to_be_bytes());
        said.extend_from_slice(key.facts.as_bytes());
        said.extend_from_slice(key.metadata);
        short(self.0.clone().chain_update(&said))
    }

    fn is_sound(&self, sealed: &Sealed, row: &Values) -> bool {
        let kept = sealed.table.columns.iter().zip(row).find(|((name, _), _)| *name == SEAL);
        matches!(kept, Some((_, Value::Text(Some(seal)))) if self.row(sealed, row).is(seal))
    }

    /// Refuses a key that is not as it was sealed.
    pub(crate) fn refuse_altered_key(&self, key: &Packed<'_>) -> Result<(), StoreError> {
        if self.key(key).is(key.seal) {
            return Ok(());
        }
        Err(altered(KeyId::from_entropy(*key.id)))
    }

    /// The keys of rows of a table that are not as they were sealed, of those that `condition` chooses: SQL from `WHERE` on, with
    /// its values.
    pub(crate) async fn altered_rows(
        &self,
        db: &mut Connection,
        table: &'static str,
        (condition, values): (&str, &[Value<'_>]),
    ) -> Result<Vec<Values>, StoreError> {
        let sealed = Sealed::of(table);
        let query = sql(format!("SELECT {} FROM {table} {condition}", sealed.table.names()));
        let query = values.iter().cloned().fold(query, |query, value| query.bind(value));
        let mut altered = Vec::new();
        for row in query.fetch_all(db).await? {
            let row = sealed.table.values(&row)?;
            if !self.is_sound(&sealed, &row) {
                tracing::error!("{} is not as Keystile wrote it; see keystile db check", sealed.named(&row));
                altered.push(row[..sealed.table.keys].to_vec());
            }
        }
        Ok(altered)
    }

    /// Whether one of such rows is not as it was sealed, or can't be read. Whoever asks takes it for gone: what it allowed is
    /// allowed no more, and everything else goes on.
    pub(crate) async fn is_altered(
        &self,
        db: &mut Connection,
        table: &'static str,
        which: (&str, &[Value<'_>]),
    ) -> Result<bool, StoreError> {
        match self.altered_rows(db, table, which).await {
            Ok(altered) => Ok(!altered.is_empty()),
            Err(error) if error.fault() == StoreFault::Broken => {
                tracing::error!(cause = error.cause(), table, "a row can't be read; see keystile db check");
                Ok(true)
            }
            Err(error) => Err(error),
        }
    }

    /// Refuses if one of such rows is not as it was sealed.
    pub(crate) async fn refuse_altered(
        &self,
        db: &mut Connection,
        table: &'static str,
        which: (&str, &[Value<'_>]),
    ) -> Result<(), StoreError> {
        match self.altered_rows(db, table, which).await?.first() {
            None => Ok(()),
            Some(key) => Err(altered(Sealed::of(table).named(key))),
        }
    }

    /// Tells of every row that is not as it was sealed, and of what can't be read at all; says how many it looked at.
    /// Without the large tables those alone are looked at that a start does not read in any case.
    pub(crate) async fn each_altered(
        &self,
        db: &mut Connection,
        with_large: bool,
        tell: &mut (dyn FnMut(String) + Send),
    ) -> Result<u64, StoreError> {
        let mut count = 0;
        for sealed in all().filter(|sealed| with_large || !LARGE.contains(&sealed.table.name)) {
            if sealed.table.name == KEYS {
                count += self.each_altered_key(db, tell).await?;
                continue;
            }
            let mut after = None;
            loop {
                let rows = match sealed.table.read(db, after.as_deref()).await {
                    Ok(rows) => rows,
                    Err(error) => {
                        tell(format!("{} ({})", sealed.table.name, error.cause()));
                        break;
                    }
                };
                for row in rows.iter().filter(|row| !self.is_sound(&sealed, row)) {
                    tell(sealed.named(row));
                }
                count += rows.len() as u64;
                let Some(last) = rows.last() else { break };
                after = Some(last[..sealed.table.keys].to_vec());
            }
        }
        Ok(count)
    }

    async fn each_altered_key(
        &self,
        db: &mut Connection,
        tell: &mut (dyn FnMut(String) + Send),
    ) -> Result<u64, StoreError> {
        let last = sql("SELECT coalesce(max(number), 0) FROM keys").fetch_number::<u32>(db).await?;
        let mut count = 0;
        for first in (0..=last).step_by(KEYS_AT_ONCE as usize) {
            let packed = packed::read(db, Which::Between(first, first.saturating_add(KEYS_AT_ONCE - 1))).await?;
            let read = packed::each(&packed, |key| {
                count += 1;
                if self.refuse_altered_key(&key).is_err() {
                    tell(KeyId::from_entropy(*key.id).to_string());
                }
                Ok(())
            });
            if let Err(error) = read {
                tell(format!("one of the keys behind number {first} ({})", error.cause()));
            }
        }
        Ok(count)
    }

    /// Seals every row as it is, whatever seal it had; says which had a wrong one.
    pub(crate) async fn seal_all(&self, db: &mut Connection) -> Result<Taken, StoreError> {
        let mut taken = Taken::default();
        let was_sealed = "SELECT count(*) FROM (SELECT 1 FROM organizations WHERE seal <> '' LIMIT 1) AS r";
        if sql(was_sealed).fetch_number::<u32>(db).await? > 0 {
            self.each_altered(db, true, &mut |what| taken.add(what)).await?;
        }
        if matches!(db, Connection::Postgres { .. }) {
            // However long it takes.
            db.raw("SET LOCAL statement_timeout = 0").await?;
        }
        for (table, _) in SEALED {
            sql(format!("UPDATE {table} SET seal = '' WHERE seal <> ''")).seldom().execute(db).await?;
        }
        self.seal_blank(db).await?;
        Ok(taken)
    }

    /// Seals every row that has no seal.
    pub(crate) async fn seal_blank(&self, db: &mut Connection) -> Result<(), StoreError> {
        for sealed in unsealed(db).await? {
            self.seal_table(db, None, &sealed).await?;
        }
        Ok(())
    }

    /// Seals what a transaction has changed. Of what was altered before it the change is kept, for it may be one that
    /// somebody needs right now; but it gets no seal.
    pub(crate) async fn seal_changes(&self, base: &Base, db: &mut Connection) -> Result<(), StoreError> {
        let changed = unsealed(db).await?;
        if changed.is_empty() {
            return Ok(());
        }
        // Whoever reads sees what was there before the transaction, until it is committed.
        let mut before = base.read().await?;
        for sealed in changed {
            self.seal_table(db, Some(&mut before), &sealed).await?;
        }
        Ok(())
    }

    /// Seals the rows of a table that have no seal, some at a time.
    async fn seal_table(
        &self,
        db: &mut Connection,
        mut before: Option<&mut Connection>,
        sealed: &Sealed,
    ) -> Result<(), StoreError> {
        let mut last: Option<Values> = None;
        loop {
            let mut seals = match sealed.table.name {
                KEYS => self.seals_of_keys(db, last.as_deref()).await?,
                _ => self.seals_of_rows(db, sealed, last.as_deref()).await?,
            };
            let Some(end) = seals.last().map(|(key, _)| key.clone()) else { return Ok(()) };
            // In a file that is damaged a row may be found again and again.
            if last.as_ref().is_some_and(|last| end <= *last) {
                return Err(damaged(format_args!("rows of {} that can't be sealed", sealed.table.name)));
            }
            last = Some(end);
            if let Some(before) = &mut before {
                for place in self.altered_before(before, sealed, &seals).await? {
                    let table = sealed.table.name;
                    tracing::error!(table, "a row was changed that had been altered; it gets no seal");
                    ALTERED.clone_into(&mut seals[place].1);
                }
            }
            for chunk in seals.chunks(ROWS) {
                sealed.write(db, chunk).await?;
            }
        }
    }

    /// Which of these rows were there before and not as they had been sealed.
    async fn altered_before(
        &self,
        before: &mut Connection,
        sealed: &Sealed,
        rows: &[(Values, String)],
    ) -> Result<Vec<usize>, StoreError> {
        let places: HashMap<Values, usize> = rows.iter().enumerate().map(|(at, (key, _))| (key.clone(), at)).collect();
        let mut asked: Vec<&Values> = rows.iter().map(|(key, _)| key).collect();
        if sealed.table.numbered {
            // What is new has a number of its own: an import asks for nothing.
            let last = format!("SELECT coalesce(max(number), 0) FROM {}", sealed.table.name);
            let last: i64 = sql(last).fetch_number(before).await?;
            asked.retain(|key| matches!(key[..], [Value::Number(Some(number))] if number <= last));
        }
        let mut altered = Vec::new();
        for chunk in asked.chunks(ROWS) {
            if sealed.table.name == KEYS {
                let numbers = chunk.iter().filter_map(|key| match key[..] {
                    [Value::Number(Some(number))] => u32::try_from(number).ok(),
                    _ => None,
                });
                let kept = packed::read(before, Which::Of(numbers.collect())).await?;
                packed::each(&kept, |key| {
                    if self.refuse_altered_key(&key).is_err() {
                        altered.extend(places.get(&vec![Value::from(key.number()?)]));
                    }
                    Ok(())
                })?;
                continue;
            }
            let mut query = sql(format!("SELECT {} FROM {}", sealed.table.names(), sealed.table.name)).seldom();
            query.push(" WHERE (").push(&sealed.table.key_names()).push(") IN (VALUES ");
            for (place, key) in chunk.iter().enumerate() {
                query.push(if place == 0 { "" } else { ", " }).push_list((*key).clone());
            }
            query.push(")");
            for row in query.fetch_all(before).await? {
                match sealed.table.values(&row) {
                    Ok(row) if self.is_sound(sealed, &row) => {}
                    Ok(row) => altered.extend(places.get(&row[..sealed.table.keys])),
                    // Which one it is can't be read.
                    Err(_) => altered.extend(chunk.iter().filter_map(|key| places.get(*key))),
                }
            }
        }
        Ok(altered)
    }

    /// The rows without a seal after this one. Not all of them anew: PostgreSQL would go past what this transaction has
    /// sealed each time.
    async fn seals_of_rows(
        &self,
        db: &mut Connection,
        sealed: &Sealed,
        after: Option<&[Value<'static>]>,
    ) -> Result<Vec<(Values, String)>, StoreError> {
        let (names, name, keys) = (sealed.table.names(), sealed.table.name, sealed.table.key_names());
        let mut rows = sql(format!("SELECT {names} FROM {name} WHERE seal = ''"));
        if let Some(after) = after {
            rows.push(&format!(" AND ({keys}) > ")).push_list(after.iter().cloned());
        }
        rows.push(&format!(" ORDER BY {keys} LIMIT {ROWS}"));
        let sealed_now = |row: &Row| {
            let row = sealed.table.values(row)?;
            Ok((row[..sealed.table.keys].to_vec(), self.row(sealed, &row).text()))
        };
        rows.fetch_all(db).await?.iter().map(sealed_now).collect()
    }

    async fn seals_of_keys(
        &self,
        db: &mut Connection,
        after: Option<&[Value<'static>]>,
    ) -> Result<Vec<(Values, String)>, StoreError> {
        let after = match after {
            Some([Value::Number(Some(number))]) => *number,
            _ => 0,
        };
        let packed = packed::read(db, Which::Unsealed { after, most: KEYS_AT_ONCE }).await?;
        let mut seals = Vec::new();
        packed::each(&packed, |key| {
            seals.push((vec![Value::from(key.number()?)], self.key(&key).text()));
            Ok(())
        })?;
        Ok(seals)
    }
}

/// Rows that were taken as they are.
#[derive(Default)]
pub(crate) struct Taken {
    /// How many.
    pub(crate) count: u64,
    /// The first of them.
    pub(crate) named: Vec<String>,
}

impl Taken {
    /// Of more there is the number.
    const MAX_NAMED: usize = 10;

    fn add(&mut self, what: String) {
        self.count += 1;
        if self.named.len() < Self::MAX_NAMED {
            self.named.push(what);
        }
    }
}

/// The column of the seal.
const SEAL: &str = "seal";

/// A seal, as it is kept.
struct Seal([u8; 2 * SEAL_LEN]);

fn short(mac: Hmac<Sha256>) -> Seal {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0; 2 * SEAL_LEN];
    for (pair, byte) in text.chunks_exact_mut(2).zip(mac.finalize().into_bytes()) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    Seal(text)
}

impl Seal {
    /// Whether this is what is kept. What there is to learn from how long it takes is of no use: nobody
    /// is told how long a row took.
    fn is(&self, kept: &str) -> bool {
        kept.as_bytes() == self.0
    }

    fn text(&self) -> String {
        self.0.iter().map(|digit| char::from(*digit)).collect()
    }
}

/// A table whose rows are sealed.
struct Sealed {
    table: &'static Table,
    but: &'static [&'static str],
}

fn all() -> impl Iterator<Item = Sealed> {
    SEALED.iter().map(|(name, but)| {
        let table = CATALOG.iter().find(|table| table.name == *name).expect("a table of the catalogue");
        Sealed { table, but }
    })
}

/// The tables in which there are rows without a seal.
async fn unsealed(db: &mut Connection) -> Result<Vec<Sealed>, StoreError> {
    let asked =
        SEALED.map(|(name, _)| format!("(SELECT count(*) FROM (SELECT 1 FROM {name} WHERE seal = '' LIMIT 1) AS r)"));
    let row = sql(format!("SELECT {}", asked.join(", "))).fetch_one(db).await?;
    let mut row = crate::db::Columns::of(&row);
    let mut found = Vec::new();
    for sealed in all() {
        if row.integer()? > 0 {
            found.push(sealed);
        }
    }
    Ok(found)
}

impl Sealed {
    fn of(name: &'static str) -> Self {
        all().find(|sealed| sealed.table.name == name).expect("a table whose rows are sealed")
    }

    fn covers(&self, column: &str) -> bool {
        column != SEAL && !self.but.contains(&column)
    }

    /// A row, as people are told of it, by what tells it apart.
    fn named(&self, row: &[Value<'static>]) -> String {
        let key = row[..self.table.keys].iter().map(|value| match value {
            Value::Number(number) => number.map_or_else(String::new, |number| number.to_string()),
            Value::Text(text) => text.clone().unwrap_or_default().into_owned(),
            Value::Bytes(bytes) => hex(bytes),
        });
        format!("row {} of {}", key.collect::<Vec<_>>().join(", "), self.table.name)
    }

    async fn write(&self, db: &mut Connection, seals: &[(Values, String)]) -> Result<(), StoreError> {
        let (name, keys) = (self.table.name, self.table.keys);
        let mut query = sql(format!("UPDATE {name} SET seal = new.column{} FROM (VALUES ", keys + 1));
        if seals.len() > 1 && seals.len() < ROWS {
            query = query.seldom();
        }
        for (place, (key, seal)) in seals.iter().enumerate() {
            let row = key.iter().cloned().chain([Value::from(seal.clone())]);
            query.push(if place == 0 { "" } else { ", " }).push_list(row);
        }
        query.push(") AS new WHERE ");
        for (place, (column, _)) in self.table.columns[..keys].iter().enumerate() {
            let and = if place == 0 { "" } else { " AND " };
            query.push(&format!("{and}{name}.{column} = new.column{}", place + 1));
        }
        query.execute(db).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::tables::Kind;

    #[test]
    fn every_table_that_is_sealed_has_its_column() {
        let sealed: HashSet<&str> = SEALED.iter().map(|(name, _)| *name).collect();
        for table in CATALOG {
            let has_seal = table.columns.iter().any(|(name, kind)| *name == SEAL && matches!(kind, Kind::Text));
            assert_eq!(has_seal && table.name != "audit_end", sealed.contains(table.name), "{}", table.name);
        }
        for sealed in all() {
            for column in sealed.but {
                assert!(sealed.table.columns.iter().any(|(name, _)| name == column), "{column}");
            }
        }
    }
}
