//! The audit chain, read and walked.

use std::cmp::Ordering;
use std::net::IpAddr;

use keystile_core::id::{OrganizationId, RequestId};
use keystile_core::time::Timestamp;

use crate::audit::{self, Hash};
use crate::cipher::SecretKey;
use crate::db::{Columns, Connection, Row, signed, sql, word};
use crate::records::{AuditEntry, AuditPage, AuditQuery, History};
use crate::root::hex;
use crate::{Catalog, StoreError};

/// Entries that are read at a time when all are.
const ENTRIES: u32 = 1_000;

const SELECT: &str = "SELECT sequence, at, organization, actor, address, request, action, subject, before, after, hash, \
     erased FROM audit";

/// An entry, its hash, and the seal of what is left of it if details were taken out.
fn read(row: &Row) -> Result<(AuditEntry, Hash, Option<String>), StoreError> {
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
    let (hash, erased) = (row.bytes()?, row.text_if_any()?);
    entry.is_erased = erased.is_some();
    Ok((entry, hash, erased))
}

fn if_any<T: std::str::FromStr>(text: &str) -> Result<Option<T>, StoreError> {
    if text.is_empty() { Ok(None) } else { word(text).map(Some) }
}

/// The entries in these places, in their order.
pub(crate) async fn entries(db: &mut Connection, sequences: &[u64]) -> Result<Vec<AuditEntry>, StoreError> {
    let mut query = sql(SELECT).seldom();
    query.push(" WHERE sequence IN ").push_list(sequences.iter().map(|sequence| signed(*sequence)));
    query.push(" ORDER BY sequence");
    query.fetch_all(db).await?.iter().map(|row| Ok(read(row)?.0)).collect()
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
            let Ok((entry, kept, erased)) = read(row) else { return Ok(Err(expected)) };
            let is_sound = match (&erased, seed) {
                (None, _) => audit::follow(&hash, &entry) == kept,
                (Some(seal), Some(seed)) => *seal == hex(&audit::seal_erased(seed, &kept, &entry)),
                // Only whoever has the root key can tell.
                (Some(_), None) => true,
            };
            if entry.sequence != expected || !is_sound {
                return Ok(Err(expected));
            }
            (last, hash) = (expected, kept);
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

/// Which entries are meant.
#[derive(Clone, Copy)]
pub(crate) enum Which<'a> {
    /// Those of these ids; what they are of is SQL that ends with `IN`.
    Of(&'static str, &'a [String]),
    /// Those of before this moment.
    Before(Timestamp),
}

/// Takes the details out of the entries that `which` names, at most so many: the address, and unless only that is to go, how the thing was before
/// and after. Says how many there were.
pub(crate) async fn erase(
    db: &mut Connection,
    seed: &SecretKey,
    which: Which<'_>,
    (only_address, limit): (bool, u32),
) -> Result<u32, StoreError> {
    let mut query = sql(SELECT).seldom();
    query.push(if only_address {
        " WHERE address <> ''"
    } else {
        " WHERE (address <> '' OR before <> '' OR after <> '')"
    });
    match which {
        Which::Of(of, ids) => drop(query.push(of).push_list(ids.iter().map(String::as_str))),
        Which::Before(moment) => drop(query.push(" AND at < ").push_bind(moment.as_micros())),
    }
    query.push(" ORDER BY sequence LIMIT ").push_bind(limit);
    let rows = query.fetch_all(&mut *db).await?;
    for row in &rows {
        let (mut entry, hash, _) = read(row)?;
        entry.address = None;
        if !only_address {
            (entry.before, entry.after) = (String::new(), String::new());
        }
        sql("UPDATE audit SET address = '', before = ?, after = ?, erased = ? WHERE sequence = ?")
            .bind(&entry.before)
            .bind(&entry.after)
            .bind(hex(&audit::seal_erased(seed, &hash, &entry)))
            .bind(signed(entry.sequence))
            .execute(&mut *db)
            .await?;
    }
    Ok(rows.len() as u32)
}

impl Catalog {
    /// Takes the details out of entries of before this moment, at most so many; says how many. The chain stays whole.
    ///
    /// # Errors
    /// If the store failed.
    pub async fn erase_audit_before(&self, before: Timestamp, limit: u32) -> Result<u32, StoreError> {
        let mut transaction = self.0.base.write().await?;
        let erased = erase(&mut transaction, self.0.ring().seed(), Which::Before(before), (false, limit)).await?;
        transaction.commit().await?;
        Ok(erased)
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
        rows.iter().map(|row| Ok(read(row)?.0)).collect()
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
            let (entry, hash, _) = read(row)?;
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
