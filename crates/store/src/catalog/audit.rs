//! The audit chain, read and walked.

use std::cmp::Ordering;
use std::net::IpAddr;

use keystile_core::id::{OrganizationId, RequestId};
use keystile_core::time::Timestamp;

use crate::audit::{self, Hash};
use crate::catalog::CatalogParts;
use crate::cipher::SecretKey;
use crate::db::{Columns, Connection, Row, signed, sql, word};
use crate::records::{AuditEntry, AuditPage, AuditQuery, History};
use crate::root::hex;
use crate::{Catalog, StoreError};

/// Entries that are read at a time when all are.
const ENTRIES: u32 = 1_000;

const SELECT: &str = "SELECT sequence, at, organization, actor, address, request, action, subject, before, after, hash, \
     erased, salt FROM audit";

/// An entry, as it is kept.
struct Kept {
    entry: AuditEntry,
    hash: Hash,
    /// The seal of what is left of it, if details were taken out.
    erased: Option<String>,
    /// Empty if they were, or if it is of before there were any.
    salt: String,
}

fn read(row: &Row) -> Result<Kept, StoreError> {
    let mut row = Columns::of(row);
    let mut entry = AuditEntry {
        sequence: row.number()?,
        at: row.moment()?,
        organization: row.id(OrganizationId::from_slice)?,
        actor: row.text()?,
        address: if_any::<IpAddr>(&row.text()?)?,
        request: if_any::<RequestId>(&row.text()?)?,
        action: row.text()?,
        subject: row.text()?,
        before: row.text()?,
        after: row.text()?,
        is_erased: false,
    };
    let (hash, erased, salt) = (row.bytes()?, row.text_if_any()?, row.text()?);
    entry.is_erased = erased.is_some();
    Ok(Kept { entry, hash, erased, salt })
}

fn if_any<T: std::str::FromStr>(text: &str) -> Result<Option<T>, StoreError> {
    if text.is_empty() { Ok(None) } else { word(text).map(Some) }
}

/// The entries in these places, in their order.
pub(crate) async fn entries(db: &mut Connection, sequences: &[u64]) -> Result<Vec<AuditEntry>, StoreError> {
    let mut query = sql(SELECT).seldom();
    query.push(" WHERE sequence IN ").push_list(sequences.iter().map(|sequence| signed(*sequence)));
    query.push(" ORDER BY sequence");
    query.fetch_all(db).await?.iter().map(|row| Ok(read(row)?.entry)).collect()
}

/// Where a chain ends in which each entry follows the one before it: there, with this hash, and sealed so.
pub(crate) type End = (u64, Hash, Hash);

/// Walks the chain; its end, if there were any changes. What can be told without the root key is looked at, all but the seals;
/// `Err` has the first broken entry.
pub(crate) async fn walk(
    view: &mut Connection,
    installation: &[u8; 16],
    seed: Option<&SecretKey>,
) -> Result<Result<Option<End>, u64>, StoreError> {
    let end = sql("SELECT sequence, seal FROM audit_end").fetch_optional(&mut *view).await?;
    let (mut last, mut hash) = (0, audit::beginning(installation));
    loop {
        let mut query = sql(SELECT);
        query.push(" WHERE sequence > ").push_bind(signed(last));
        query.push(" ORDER BY sequence LIMIT ").push_bind(ENTRIES);
        let rows = query.fetch_all(&mut *view).await?;
        for row in &rows {
            let expected = last + 1;
            // An entry that can't even be read was altered.
            let Ok(kept) = read(row) else { return Ok(Err(expected)) };
            if kept.entry.sequence != expected || !is_sound(seed, &hash, &kept) {
                return Ok(Err(expected));
            }
            (last, hash) = (expected, kept.hash);
        }
        if rows.is_empty() {
            break;
        }
    }
    let Some(row) = &end else {
        // Every change leaves a revision, an entry and a seal.
        let changes: Option<u64> = sql("SELECT max(revision) FROM revisions").fetch_number_if_any(view).await?;
        let is_new = last == 0 && changes.unwrap_or(0) == 0;
        return Ok(if is_new { Ok(None) } else { Err(last.max(1)) });
    };
    let mut row = Columns::of(row);
    let (sealed, seal) = (row.integer()?, row.bytes()?);
    Ok(match sealed.cmp(&signed(last)) {
        Ordering::Greater => Err(last + 1),
        Ordering::Less => Err(last),
        Ordering::Equal => Ok(Some((last, hash, seal))),
    })
}

/// Whether an entry follows the hash before it: whole by its own hash, erased by the seal of what is left of it, which only whoever has the root
/// key can tell.
fn is_sound(seed: Option<&SecretKey>, previous: &Hash, kept: &Kept) -> bool {
    let Kept { entry, hash, erased, salt } = kept;
    match (erased, seed) {
        (None, _) => audit::follow(previous, entry, salt) == *hash,
        (Some(_), _) if !salt.is_empty() => false,
        (Some(seal), Some(seed)) => *seal == hex(&audit::seal_erased(seed, previous, hash, entry)),
        (Some(_), None) => true,
    }
}

/// What is taken out of an entry.
#[derive(Clone, Copy)]
pub(crate) struct Parts {
    /// From where it was done.
    pub(crate) address: bool,
    /// How the thing was before and after.
    pub(crate) texts: bool,
}

impl Parts {
    /// Both.
    pub(crate) const ALL: Self = Self { address: true, texts: true };
    /// From where it was done.
    pub(crate) const ADDRESS: Self = Self { address: true, texts: false };
    /// How the thing was.
    pub(crate) const TEXTS: Self = Self { address: false, texts: true };
}

/// The entries of these rows without these parts. One that is not sound is left as it is, for whoever walks the chain: nothing is sealed that
/// somebody altered.
async fn take_out(db: &mut Connection, parts: &CatalogParts, rows: &[Row], of: Parts) -> Result<u32, StoreError> {
    let (ring, mut count) = (parts.ring(), 0);
    for row in rows {
        let kept = read(row)?;
        let place = kept.entry.sequence;
        let before = sql("SELECT hash FROM audit WHERE sequence = ?").bind(signed(place.saturating_sub(1)));
        let previous = match before.fetch_optional(&mut *db).await? {
            Some(row) => Columns::of(&row).bytes()?,
            None => audit::beginning(&parts.installation),
        };
        if !is_sound(Some(ring.seed()), &previous, &kept) {
            tracing::error!(entry = place, "an entry of the audit was altered; it is not erased");
            continue;
        }
        let Kept { mut entry, hash, .. } = kept;
        let has_texts = !entry.before.is_empty() || !entry.after.is_empty();
        if !(of.address && entry.address.is_some() || of.texts && has_texts) {
            continue;
        }
        if of.address {
            entry.address = None;
        }
        if of.texts {
            (entry.before, entry.after) = (String::new(), String::new());
        }
        sql("UPDATE audit SET address = ?, before = ?, after = ?, erased = ?, salt = '' WHERE sequence = ?")
            .bind(entry.address.map(|address| address.to_string()).unwrap_or_default())
            .bind(&entry.before)
            .bind(&entry.after)
            .bind(hex(&audit::seal_erased(ring.seed(), &previous, &hash, &entry)))
            .bind(signed(place))
            .execute(&mut *db)
            .await?;
        count += 1;
    }
    Ok(count)
}

/// Takes parts out of all entries of an organization that have one of these ids where `of`, SQL that ends with `IN`, says; says of how many.
/// What other organizations noted is theirs.
pub(crate) async fn erase(
    db: &mut Connection,
    parts: &CatalogParts,
    organization: OrganizationId,
    (of, ids): (&'static str, &[String]),
    what: Parts,
) -> Result<u32, StoreError> {
    let (mut count, mut last) = (0, 0_u64);
    loop {
        let mut query = sql(SELECT).seldom();
        query.push(" WHERE sequence > ").push_bind(signed(last));
        query.push(" AND organization = ").push_bind(organization.to_bytes());
        query.push(of).push_list(ids.iter().map(String::as_str));
        query.push(" ORDER BY sequence LIMIT ").push_bind(ENTRIES);
        let rows = query.fetch_all(&mut *db).await?;
        let Some(row) = rows.last() else { return Ok(count) };
        last = read(row)?.entry.sequence;
        count += take_out(db, parts, &rows, what).await?;
    }
}

/// Where the place is kept up to which details of the audit went by their time.
const ERASED_TO: &str = "audit_erased_to";

impl Catalog {
    /// Takes the details out of entries of before this moment, the oldest first and at most so many; says how many it looked at. The chain stays
    /// whole.
    ///
    /// # Errors
    /// If the store failed.
    pub async fn erase_audit_before(&self, before: Timestamp, limit: u32) -> Result<u32, StoreError> {
        let mut transaction = self.0.base.write().await?;
        let kept =
            sql("SELECT value FROM meta WHERE name = ?").bind(ERASED_TO).fetch_optional(&mut transaction).await?;
        let to = kept.map(|row| Columns::of(&row).bytes::<8>()).transpose()?.map_or(0, u64::from_be_bytes);
        let mut query = sql(SELECT);
        query.push(" WHERE sequence > ").push_bind(signed(to)).push(" ORDER BY sequence LIMIT ").push_bind(limit);
        let mut rows = query.fetch_all(&mut transaction).await?;
        // They are in the order in which they were made.
        let mut due = 0;
        for row in &rows {
            if read(row)?.entry.at >= before {
                break;
            }
            due += 1;
        }
        rows.truncate(due);
        let Some(last) = rows.last() else { return Ok(0) };
        let last = read(last)?.entry.sequence;
        take_out(&mut transaction, &self.0, &rows, Parts::ALL).await?;
        sql("INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value")
            .bind(ERASED_TO)
            .bind(&last.to_be_bytes()[..])
            .execute(&mut transaction)
            .await?;
        transaction.commit().await?;
        Ok(due as u32)
    }

    /// Entries of an organization that fit a query.
    pub async fn audit_entries(
        &self,
        organization: OrganizationId,
        asked: &AuditQuery,
        page: AuditPage,
        limit: u32,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        let mut query = sql(SELECT);
        query.push(" WHERE organization = ").push_bind(organization.to_bytes());
        match asked.kind.as_ref().map(|kind| (kind.as_str(), kind.prefix())) {
            None => {}
            Some((kind, None)) => drop(query.push(" AND action = ").push_bind(kind)),
            Some((_, Some(prefix))) => {
                // A prefix ends with a dot, after which comes the slash.
                query.push(" AND action >= ").push_bind(prefix);
                query.push(" AND action < ").push_bind(format!("{}/", prefix.trim_end_matches('.')));
            }
        }
        let texts = [
            (" AND subject = ", asked.subject.clone()),
            (" AND actor = ", asked.actor.clone()),
            (" AND address = ", asked.address.map(|address| address.to_string())),
            (" AND request = ", asked.request.map(|request| request.to_string())),
        ];
        for (condition, text) in texts {
            if let Some(text) = text {
                query.push(condition).push_bind(text);
            }
        }
        for (condition, moment) in [(" AND at >= ", asked.from), (" AND at < ", asked.until)] {
            if let Some(moment) = moment {
                query.push(condition).push_bind(moment.as_micros());
            }
        }
        let order = match page {
            AuditPage::Before(None) => " ORDER BY sequence DESC LIMIT ",
            AuditPage::Before(Some(before)) => {
                query.push(" AND sequence < ").push_bind(i64::try_from(before).unwrap_or(i64::MAX));
                " ORDER BY sequence DESC LIMIT "
            }
            AuditPage::After(after) => {
                query.push(" AND sequence > ").push_bind(i64::try_from(after).unwrap_or(i64::MAX));
                " ORDER BY sequence LIMIT "
            }
        };
        query.push(order).push_bind(i64::from(limit));
        let rows = query.fetch_all(&mut self.0.base.read().await?).await?;
        rows.iter().map(|row| Ok(read(row)?.entry)).collect()
    }

    /// Entries of the whole installation after this place, oldest first, and where the last of them stands: for whoever runs it.
    pub async fn audit_after(&self, after: &History, limit: u32) -> Result<(Vec<AuditEntry>, History), StoreError> {
        let mut query = sql(SELECT);
        query.push(" WHERE sequence > ").push_bind(i64::try_from(after.sequence).unwrap_or(i64::MAX));
        query.push(" ORDER BY sequence LIMIT ").push_bind(limit);
        let rows = query.fetch_all(&mut self.0.base.read().await?).await?;
        let mut place = *after;
        let mut entries = Vec::with_capacity(rows.len());
        for row in &rows {
            let Kept { entry, hash, .. } = read(row)?;
            place = History { sequence: entry.sequence, hash };
            entries.push(entry);
        }
        Ok((entries, place))
    }

    /// Audit entries of an organization, newest first.
    pub async fn audit(
        &self,
        organization: OrganizationId,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        self.audit_entries(organization, &AuditQuery::default(), AuditPage::Before(before), limit).await
    }

    /// The newest entry of the installation. Its hash covers all before it: where it is found again the history is the same.
    pub async fn history(&self) -> Result<History, StoreError> {
        let newest = sql("SELECT sequence, hash FROM audit ORDER BY sequence DESC LIMIT 1");
        match newest.fetch_optional(&mut self.0.base.read().await?).await? {
            None => Ok(History { sequence: 0, hash: [0; 32] }),
            Some(row) => {
                let mut row = Columns::of(&row);
                Ok(History { sequence: row.number()?, hash: row.bytes()? })
            }
        }
    }

    /// Whether this entry is in the catalogue's history.
    pub async fn has(&self, history: &History) -> Result<bool, StoreError> {
        if history.sequence == 0 {
            return Ok(true);
        }
        let entry = sql("SELECT hash FROM audit WHERE sequence = ?").bind(signed(history.sequence));
        let row = entry.fetch_optional(&mut self.0.base.read().await?).await?;
        row.map_or(Ok(false), |row| Ok(Columns::of(&row).bytes::<32>()? == history.hash))
    }

    /// Walks the audit chain of the whole installation; the first broken entry's sequence, if any (E-5). Of entries
    /// that are missing it is the first missing one's; of a chain that is whole but not sealed, the last one's.
    pub async fn verify_audit(&self) -> Result<Option<u64>, StoreError> {
        // One view of entries and end: changes may be made meanwhile.
        let mut view = self.0.base.view().await?;
        Ok(match walk(&mut view, &self.0.installation, Some(self.0.ring().seed())).await? {
            Err(broken) => Some(broken),
            Ok(None) => None,
            Ok(Some((last, hash, seal))) => (seal != audit::seal(self.0.ring().seed(), last, &hash)).then_some(last),
        })
    }
}
