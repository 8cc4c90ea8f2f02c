//! What calls are counted by besides: countries, end users and tags. Added up together with the counts, by hour and day.
//!
//! Whoever calls chooses what end users and tags are called, so only so many are told apart of a key on one day; calls of others are
//! counted all the same, as calls of which none is known.

use std::collections::{BTreeMap, HashSet};

use keystile_core::time::Timestamp;
use keystile_core::usage::{Bucket, Counts, Dimensions, Facet, Latencies, UsageEvent};

use super::counts::{Added, Kind, add};
use super::{Ledger, overwrite};
use crate::db::{Columns, Connection, Value, sql};
use crate::{FacetUse, StoreError};

/// Values that are told apart of a facet of a key on one day.
const MAX_VALUES: usize = 1_000;
/// So many are added without a look at how many there are: most keys have few, and a look for each would be most of the work.
const FEW: usize = 8;
/// Projects in one statement.
const PROJECTS: usize = 500;

/// What rows are told apart by, besides their time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Row<'a> {
    day: Timestamp,
    facet: Facet,
    organization: u32,
    project: u32,
    key: u32,
    value: &'a str,
    start: Timestamp,
    api: u32,
    code: u8,
    status: u16,
}

impl Row<'_> {
    /// Whose values are bounded together.
    fn holder(&self) -> (Timestamp, &Facet, u32, u32, u32) {
        (self.day, &self.facet, self.organization, self.project, self.key)
    }

    fn added(&self, start: Timestamp, counts: Counts, latencies: Latencies) -> Added {
        let numbers = [self.organization, self.project, self.key, self.api, self.code.into(), self.status.into()];
        let mut key = vec![Value::from(self.facet.to_string()), start.as_micros().into()];
        key.extend(numbers.map(Value::from));
        key.push(self.value.to_owned().into());
        Added { key, counts, latencies }
    }
}

/// Adds the facets of events.
pub(super) async fn add_facets(db: &mut Connection, events: &[UsageEvent]) -> Result<(), StoreError> {
    let mut rows: BTreeMap<Row<'_>, (Counts, Latencies)> = BTreeMap::new();
    for event in events {
        let Dimensions { organization, project, key, api, code, status, .. } = event.dimensions;
        let [day, start] = [Bucket::Day, Bucket::Hour].map(|bucket| event.at.floor_secs(bucket.secs()));
        for (facet, value) in event.facets.iter().flat_map(|facets| facets.each()) {
            let row = Row { day, facet, organization, project, key, value, start, api, code: code as u8, status };
            let (counts, latencies) = rows.entry(row).or_default();
            counts.add(&event.counts);
            if let Some(mean) = event.counts.latency_us.checked_div(event.counts.calls) {
                latencies.add(mean, event.counts.calls);
            }
        }
    }
    let rows: Vec<_> = rows.into_iter().collect();
    let (mut hours, mut days) = (Vec::new(), Vec::new());
    let holders: Vec<_> = rows.chunk_by(|(one, _), (other, _)| one.holder() == other.holder()).collect();
    for of_holder in holders {
        let values: HashSet<&str> = of_holder.iter().map(|(row, _)| row.value).collect();
        let told = told_apart(db, &of_holder[0].0, values).await?;
        let mut of_day: BTreeMap<Vec<Value<'static>>, Added> = BTreeMap::new();
        for (row, (counts, latencies)) in of_holder.iter().filter(|(row, _)| told.contains(row.value)) {
            hours.push(row.added(row.start, *counts, latencies.clone()));
            let added = row.added(row.day, *counts, latencies.clone());
            match of_day.entry(added.key.clone()) {
                std::collections::btree_map::Entry::Vacant(place) => {
                    place.insert(added);
                }
                std::collections::btree_map::Entry::Occupied(mut sum) => {
                    sum.get_mut().counts.add(counts);
                    sum.get_mut().latencies.merge(latencies);
                }
            }
        }
        days.extend(of_day.into_values());
    }
    add(db, Kind::Facets, Bucket::Hour, hours).await?;
    add(db, Kind::Facets, Bucket::Day, days).await
}

/// Which of these values, all of the holder of this row, are told apart: those that were already, and others while there is room.
async fn told_apart<'a>(
    db: &mut Connection,
    first: &Row<'_>,
    values: HashSet<&'a str>,
) -> Result<HashSet<&'a str>, StoreError> {
    if values.len() <= FEW || first.facet == Facet::Country {
        return Ok(values);
    }
    let known = sql("SELECT DISTINCT value FROM facet_day WHERE facet = ? AND start = ? AND organization = ? \
         AND project = ? AND key = ?")
    .bind(first.facet.to_string())
    .bind(first.day.as_micros())
    .bind(first.organization)
    .bind(first.project)
    .bind(first.key)
    .fetch_all(db)
    .await?;
    let known: HashSet<String> = known.iter().map(|row| Columns::of(row).text()).collect::<Result<_, _>>()?;
    let mut room = MAX_VALUES.saturating_sub(known.len());
    let mut has_room = || {
        let has = room > 0;
        room = room.saturating_sub(1);
        has
    };
    Ok(values.into_iter().filter(|value| known.contains(*value) || has_room()).collect())
}

impl Ledger {
    /// What is known of the facets of a project's calls: a row for each value, with its calls, by facet and value.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn facet_use(&self, project: u32) -> Result<Vec<FacetUse>, StoreError> {
        self.roll_up().await?;
        let rows = sql("SELECT facet, value, CAST(sum(calls) AS BIGINT), min(start), max(start) FROM facet_day \
             WHERE project = ? GROUP BY facet, value ORDER BY facet, value")
        .bind(project)
        .fetch_all(&mut self.0.base.read().await?)
        .await?;
        let each = rows.iter().map(|row| {
            let mut row = Columns::of(row);
            Ok(FacetUse {
                facet: row.word()?,
                value: row.text()?,
                calls: row.number()?,
                first_day: row.moment()?,
                last_day: row.moment()?,
            })
        });
        each.collect()
    }

    /// Forgets the facets of the calls of these projects, and sees to it that they are nowhere in the file.
    ///
    /// # Errors
    /// If the store fails, or somebody reads for a long time.
    pub async fn forget_facets_of(&self, projects: &[u32]) -> Result<(), StoreError> {
        self.roll_up().await?;
        let mut transaction = self.0.base.write().await?;
        overwrite(&mut transaction, true).await?;
        for some in projects.chunks(PROJECTS) {
            for table in ["facet_hour", "facet_day"] {
                let mut query = sql(format!("DELETE FROM {table} WHERE project IN ")).seldom();
                query.push_list(some.iter().copied());
                query.execute(&mut transaction).await?;
            }
        }
        overwrite(&mut transaction, false).await?;
        transaction.commit().await?;
        Ok(self.0.base.wipe().await?)
    }

    /// Forgets the facets of calls on days before this moment; says of how many rows.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn forget_facets_before(&self, before: Timestamp) -> Result<u64, StoreError> {
        let before = before.floor_secs(Bucket::Day.secs());
        let mut transaction = self.0.base.write().await?;
        let mut gone = 0;
        for table in ["facet_hour", "facet_day"] {
            let query = sql(format!("DELETE FROM {table} WHERE start < ?")).bind(before.as_micros());
            gone += query.execute(&mut transaction).await?;
        }
        transaction.commit().await?;
        Ok(gone)
    }
}
