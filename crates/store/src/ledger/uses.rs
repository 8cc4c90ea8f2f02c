//! How keys are used besides how much: with which of their versions, and from where.
//!
//! Added up together with the counts, in the same transaction, so that nothing is added twice.

use std::collections::HashMap;
use std::net::IpAddr;

use keystile_core::time::Timestamp;
use keystile_core::usage::{Bucket, UsageEvent};

use super::Ledger;
use super::counts::sum;
use crate::db::{Columns, Connection, Row, damaged, sql};
use crate::{AddressUse, StoreError, VersionUse};

/// Rows in one statement.
const ROWS: usize = 500;
/// Addresses of a key that are told apart on one day: more than any program has, and no end of rows for a key that is
/// used in every browser.
const MAX_ADDRESSES: u32 = 1_000;
/// Addresses of a key that are added without a look at how many there are: most keys have few, and a look for each of
/// them would be most of the work.
const FEW: usize = 8;

/// What is known of calls that have something in common.
#[derive(Debug, Clone, Copy)]
struct Seen {
    calls: u64,
    refused: u64,
    first: Timestamp,
    last: Timestamp,
}

impl Seen {
    fn of(event: &UsageEvent) -> Self {
        let calls = event.counts.calls;
        let refused = if event.dimensions.code.is_refusal() { calls } else { 0 };
        Self { calls, refused, first: event.at, last: event.at }
    }

    fn add(&mut self, other: Self) {
        self.calls = self.calls.saturating_add(other.calls);
        self.refused = self.refused.saturating_add(other.refused);
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
    }
}

fn gather<K: std::hash::Hash + Eq + Ord + Copy>(
    events: &[UsageEvent],
    kind: impl Fn(&UsageEvent) -> Option<K>,
) -> Vec<(K, Seen)> {
    let mut all: HashMap<K, Seen> = HashMap::new();
    for event in events {
        if let Some(kind) = kind(event) {
            all.entry(kind).and_modify(|seen| seen.add(Seen::of(event))).or_insert_with(|| Seen::of(event));
        }
    }
    let mut sorted: Vec<_> = all.into_iter().collect();
    sorted.sort_unstable_by_key(|(kind, _)| *kind);
    sorted
}

/// Adds the calls with versions of keys.
pub(super) async fn add_versions(db: &mut Connection, events: &[UsageEvent]) -> Result<(), StoreError> {
    let of = |event: &UsageEvent| {
        let of = event.dimensions;
        (of.version != 0).then_some((of.key, of.version))
    };
    for chunk in gather(events, of).chunks(ROWS) {
        let values = vec!["(?, ?, ?, ?, ?)"; chunk.len()].join(", ");
        let text = format!(
            "INSERT INTO version_use (key, version, calls, refused, last_at) VALUES {values} \
             ON CONFLICT (key, version) DO UPDATE SET {}",
            sums("version_use")
        );
        let mut query = sql(text).seldom();
        for ((key, version), seen) in chunk {
            query = query.bind(*key).bind(u32::from(*version)).bind(whole(seen.calls)).bind(whole(seen.refused));
            query = query.bind(seen.last.as_micros());
        }
        query.execute(&mut *db).await?;
    }
    Ok(())
}

/// Adds the calls from addresses.
pub(super) async fn add_addresses(db: &mut Connection, events: &[UsageEvent]) -> Result<(), StoreError> {
    let of = |event: &UsageEvent| {
        let key = event.dimensions.key;
        event.client.filter(|_| key != 0).map(|client| (event.at.floor_secs(Bucket::Day.secs()), key, client))
    };
    let seen = gather(events, of);
    let mut rows: Vec<(Timestamp, u32, Option<IpAddr>, Seen)> = Vec::with_capacity(seen.len());
    for of_key in seen.chunk_by(|((day, key, _), _), ((other_day, other, _), _)| (day, key) == (other_day, other)) {
        let ((day, key, _), _) = of_key[0];
        let mut room = u32::MAX;
        let mut known = Vec::new();
        if of_key.len() > FEW {
            known = addresses(db, day, key).await?;
            room = MAX_ADDRESSES.saturating_sub(known.len() as u32);
        }
        let mut rest: Option<Seen> = None;
        for ((_, _, address), seen) in of_key {
            if known.contains(address) {
                rows.push((day, key, Some(*address), *seen));
            } else if room > 0 {
                room -= 1;
                rows.push((day, key, Some(*address), *seen));
            } else {
                rest.get_or_insert(Seen { calls: 0, refused: 0, ..*seen }).add(*seen);
            }
        }
        rows.extend(rest.map(|rest| (day, key, None, rest)));
    }
    for chunk in rows.chunks(ROWS) {
        let values = vec!["(?, ?, ?, ?, ?, ?, ?)"; chunk.len()].join(", ");
        let text = format!(
            "INSERT INTO address_use (start, key, address, calls, refused, first_at, last_at) VALUES {values} \
             ON CONFLICT (start, key, address) DO UPDATE SET {}, first_at = CASE WHEN \
             excluded.first_at < address_use.first_at THEN excluded.first_at ELSE address_use.first_at END",
            sums("address_use")
        );
        let mut query = sql(text).seldom();
        for (day, key, address, seen) in chunk {
            let address = address.map(|address| address.to_string()).unwrap_or_default();
            query = query.bind(day.as_micros()).bind(*key).bind(address);
            query = query.bind(whole(seen.calls)).bind(whole(seen.refused));
            query = query.bind(seen.first.as_micros()).bind(seen.last.as_micros());
        }
        query.execute(&mut *db).await?;
    }
    Ok(())
}

async fn addresses(db: &mut Connection, day: Timestamp, key: u32) -> Result<Vec<IpAddr>, StoreError> {
    let rows = sql("SELECT address FROM address_use WHERE start = ? AND key = ? AND address <> ''")
        .bind(day.as_micros())
        .bind(key)
        .fetch_all(db)
        .await?;
    rows.iter().map(|row| address(&Columns::of(row).text()?)).collect()
}

fn address(text: &str) -> Result<IpAddr, StoreError> {
    text.parse().map_err(|_| damaged(format_args!("the address {text:?}")))
}

fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// What becomes of counts that are there: sums that stay at the greatest that can be held, and the later moment.
fn sums(table: &str) -> String {
    let last = format!(
        "last_at = CASE WHEN excluded.last_at > {table}.last_at THEN excluded.last_at ELSE {table}.last_at END"
    );
    [sum(table, "calls"), sum(table, "refused"), last].join(", ")
}

impl Ledger {
    /// Forgets from where these keys were used, and sees to it that it is nowhere in the file.
    ///
    /// # Errors
    /// If the store fails, or somebody reads for a long time.
    pub async fn forget_addresses_of(&self, keys: &[u32]) -> Result<(), StoreError> {
        self.roll_up().await?;
        let mut transaction = self.0.base.write().await?;
        for some in keys.chunks(ROWS) {
            let mut query = sql("DELETE FROM address_use WHERE key IN ").seldom();
            query.push_list(some.iter().copied());
            query.execute(&mut transaction).await?;
        }
        transaction.commit().await?;
        Ok(self.0.base.wipe().await?)
    }

    /// Forgets from where keys were used on days before this moment; says of how many days and addresses.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn forget_addresses_before(&self, before: Timestamp) -> Result<u64, StoreError> {
        let mut transaction = self.0.base.write().await?;
        let gone = sql("DELETE FROM address_use WHERE start < ?")
            .bind(before.floor_secs(Bucket::Day.secs()).as_micros())
            .execute(&mut transaction)
            .await?;
        transaction.commit().await?;
        Ok(gone)
    }

    /// Calls with each version of a key since its first rotation, oldest version first. Versions that were not used are
    /// left out.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn version_use(&self, key: u32) -> Result<Vec<VersionUse>, StoreError> {
        self.roll_up().await?;
        let rows = sql("SELECT version, calls, refused, last_at FROM version_use WHERE key = ? ORDER BY version")
            .bind(key)
            .fetch_all(&mut self.0.base.read().await?)
            .await?;
        rows.iter()
            .map(|row| {
                let mut row = Columns::of(row);
                let version = row.number()?;
                Ok(VersionUse { version, calls: row.number()?, refused: row.number()?, last_at: row.moment()? })
            })
            .collect()
    }

    /// From where a key was used since the day of this moment (UTC): the addresses with the most calls first, at most so
    /// many.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn address_use(&self, key: u32, since: Timestamp, limit: u32) -> Result<Vec<AddressUse>, StoreError> {
        self.roll_up().await?;
        let rows = sql("SELECT address, CAST(sum(calls) AS BIGINT), CAST(sum(refused) AS BIGINT), min(first_at), \
             max(last_at) FROM address_use WHERE start >= ? AND key = ? GROUP BY address \
             ORDER BY 2 DESC, address LIMIT ?")
        .bind(since.floor_secs(Bucket::Day.secs()).as_micros())
        .bind(key)
        .bind(limit)
        .fetch_all(&mut self.0.base.read().await?)
        .await?;
        rows.iter().map(read_address).collect()
    }
}

fn read_address(row: &Row) -> Result<AddressUse, StoreError> {
    let mut row = Columns::of(row);
    let text = row.text()?;
    Ok(AddressUse {
        address: if text.is_empty() { None } else { Some(address(&text)?) },
        calls: row.number()?,
        refused: row.number()?,
        first_at: row.moment()?,
        last_at: row.moment()?,
    })
}
