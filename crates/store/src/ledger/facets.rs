//! What calls are counted by besides: countries, end users and tags. Added up together with the counts, by hour and day.
//!
//! Whoever calls chooses what end users and tags are called, so only so many are told apart of a key on one day; calls of others are
//! counted all the same, as calls of which none is known.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use keystile_core::time::Timestamp;
use keystile_core::usage::{Bucket, Counts, Dimensions, Facet, Latencies, UsageEvent};

use super::Ledger;
use super::counts::{Added, Kind, add};
use crate::db::{Columns, Connection, Row, Sql, Value, sql};
use crate::{EndUserUse, FacetUse, StoreError};

/// Values that are told apart of a facet of a key on one day.
const MAX_VALUES: u64 = 1_000;
/// Tags that are told apart of a key on one day, whatever their values.
const MAX_TAGS: usize = 32;
/// Values that are looked up in one statement.
const VALUES: usize = 500;
/// Projects in one statement.
const PROJECTS: usize = 500;
/// Rows that are forgotten in one transaction.
const FORGOTTEN: u64 = 2_000;

/// A value of a facet of a key on a day.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Seen<'a> {
    day: Timestamp,
    organization: u32,
    project: u32,
    key: u32,
    facet: Facet,
    value: &'a str,
}

/// Whose values are bounded together: the day, and the organization, project and key.
type Holder = (Timestamp, [u32; 3]);

impl Seen<'_> {
    fn holder(&self) -> Holder {
        (self.day, [self.organization, self.project, self.key])
    }

    /// As it stands in `facet_values`.
    fn values(&self) -> [Value<'static>; 6] {
        let [organization, project, key] = [self.organization, self.project, self.key].map(Value::from);
        let (facet, value) = (self.facet.to_string().into(), self.value.to_owned().into());
        [self.day.as_micros().into(), organization, project, key, facet, value]
    }
}

/// What else rows are told apart by.
type Rest = (Timestamp, u32, u8, u16);

/// Adds the facets of events. Calls of nobody who is known are told apart by country alone: what else they say of themselves is nobody's.
pub(super) async fn add_facets(db: &mut Connection, events: &[UsageEvent]) -> Result<(), StoreError> {
    let mut rows: BTreeMap<(Seen<'_>, Rest), (Counts, Latencies)> = BTreeMap::new();
    for event in events {
        let Dimensions { organization, project, key, api, code, status, .. } = event.dimensions;
        let [day, start] = [Bucket::Day, Bucket::Hour].map(|bucket| event.at.floor_secs(bucket.secs()));
        let each = event.facets.iter().flat_map(|facets| facets.each());
        // PostgreSQL keeps no NUL.
        let each = each.filter(|(facet, value)| (project != 0 || *facet == Facet::Country) && !value.contains('\0'));
        for (facet, value) in each {
            let seen = Seen { day, organization, project, key, facet, value };
            let (counts, latencies) = rows.entry((seen, (start, api, code as u8, status))).or_default();
            counts.add(&event.counts);
            if let Some(mean) = event.counts.mean_latency() {
                latencies.add(mean, event.counts.calls);
            }
        }
    }
    let values: BTreeSet<Seen<'_>> = rows.keys().map(|(seen, _)| seen.clone()).collect();
    let told = told_apart(db, values).await?;
    let mut days: BTreeMap<(Seen<'_>, Rest), (Counts, Latencies)> = BTreeMap::new();
    rows.retain(|(seen, _), _| told.contains(seen));
    for ((seen, (_, api, code, status)), (counts, latencies)) in &rows {
        let (sum, of_day) = days.entry((seen.clone(), (seen.day, *api, *code, *status))).or_default();
        sum.add(counts);
        of_day.merge(latencies);
    }
    for (bucket, rows) in [(Bucket::Hour, rows), (Bucket::Day, days)] {
        let added = rows.into_iter().map(|((seen, rest), (counts, latencies))| Added {
            key: key(&seen, rest),
            counts,
            latencies,
        });
        add(db, Kind::Facets, bucket, added.collect()).await?;
    }
    Ok(())
}

/// What a row of the tables of facets is told apart by.
fn key(seen: &Seen<'_>, (start, api, code, status): Rest) -> Vec<Value<'static>> {
    let numbers = [seen.organization, seen.project, seen.key, api, code.into(), status.into()];
    let mut key = vec![Value::from(seen.facet.to_string()), start.as_micros().into()];
    key.extend(numbers.map(Value::from));
    key.push(seen.value.to_owned().into());
    key
}

/// Which of these values are told apart: those that were already on that day, and others while there is room.
async fn told_apart<'a>(db: &mut Connection, values: BTreeSet<Seen<'a>>) -> Result<HashSet<Seen<'a>>, StoreError> {
    let values: Vec<Seen<'a>> = values.into_iter().collect();
    let mut told = HashSet::with_capacity(values.len());
    for some in values.chunks(VALUES) {
        let known = known(db, some).await?;
        let is_known = |place: &usize| known.contains(place);
        let (known, new): (Vec<usize>, Vec<usize>) = (0..some.len()).partition(is_known);
        told.extend(known.into_iter().map(|place| some[place].clone()));
        let mut counted = counted(db, new.iter().map(|place| some[*place].holder()).collect()).await?;
        let mut fresh = Vec::new();
        for seen in new.into_iter().map(|place| &some[place]) {
            let of_holder = counted.entry(seen.holder()).or_default();
            let is_tag = |facet: &Facet| matches!(facet, Facet::Tag(_));
            let is_new_tag = is_tag(&seen.facet) && !of_holder.contains_key(&seen.facet);
            if is_new_tag && of_holder.keys().filter(|facet| is_tag(facet)).count() >= MAX_TAGS {
                continue;
            }
            let count = of_holder.entry(seen.facet.clone()).or_default();
            if *count < MAX_VALUES {
                *count += 1;
                fresh.push(seen.clone());
            }
        }
        if !fresh.is_empty() {
            let values = vec!["(?, ?, ?, ?, ?, ?)"; fresh.len()].join(", ");
            let mut query = sql(format!(
                "INSERT INTO facet_values (start, organization, project, key, facet, value) VALUES {values} \
                 ON CONFLICT DO NOTHING"
            ))
            .seldom();
            for seen in &fresh {
                query = seen.values().into_iter().fold(query, Sql::bind);
            }
            query.execute(&mut *db).await?;
        }
        told.extend(fresh);
    }
    Ok(told)
}

/// The places of those that are told apart already.
async fn known(db: &mut Connection, values: &[Seen<'_>]) -> Result<HashSet<usize>, StoreError> {
    let mut query = sql(format!(
        "SELECT wanted.column1 FROM (VALUES {}) AS wanted CROSS JOIN facet_values AS known \
         WHERE known.start = wanted.column2 AND known.organization = wanted.column3 \
         AND known.project = wanted.column4 AND known.key = wanted.column5 \
         AND known.facet = wanted.column6 AND known.value = wanted.column7",
        vec!["(?, ?, ?, ?, ?, ?, ?)"; values.len()].join(", ")
    ))
    .seldom();
    for (place, seen) in (0_i64..).zip(values) {
        query = seen.values().into_iter().fold(query.bind(place), Sql::bind);
    }
    Ok(query.fetch_numbers(db).await?.into_iter().collect())
}

/// How many values of each facet of these holders are told apart already.
async fn counted(
    db: &mut Connection,
    holders: BTreeSet<Holder>,
) -> Result<HashMap<Holder, HashMap<Facet, u64>>, StoreError> {
    if holders.is_empty() {
        return Ok(HashMap::new());
    }
    let holders: Vec<Holder> = holders.into_iter().collect();
    let mut query = sql(format!(
        "SELECT wanted.column1, known.facet, count(*) FROM (VALUES {}) AS wanted CROSS JOIN facet_values AS known \
         WHERE known.start = wanted.column2 AND known.organization = wanted.column3 \
         AND known.project = wanted.column4 AND known.key = wanted.column5 GROUP BY wanted.column1, known.facet",
        vec!["(?, ?, ?, ?, ?)"; holders.len()].join(", ")
    ))
    .seldom();
    for (place, (day, numbers)) in (0_i64..).zip(&holders) {
        query = numbers.iter().fold(query.bind(place).bind(day.as_micros()), |query, number| query.bind(*number));
    }
    let mut all: HashMap<Holder, HashMap<Facet, u64>> = HashMap::new();
    for row in &query.fetch_all(db).await? {
        let mut row = Columns::of(row);
        let (place, facet, count) = (row.number::<usize>()?, row.word()?, row.number()?);
        if let Some(holder) = holders.get(place) {
            all.entry(*holder).or_default().insert(facet, count);
        }
    }
    Ok(all)
}

impl Ledger {
    /// What is known of the facets of a project's calls: a row for each value, with its calls, by facet and value. End users and tags
    /// only of calls that are counted for this organization, which are those that it was told itself.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn facet_use(&self, project: u32, organization: u32) -> Result<Vec<FacetUse>, StoreError> {
        self.roll_up().await?;
        let rows = sql("SELECT facet, value, CAST(sum(calls) AS BIGINT), min(start), max(start) FROM facet_day \
             WHERE project = ? AND (organization = ? OR facet = ?) GROUP BY facet, value ORDER BY facet, value")
        .bind(project)
        .bind(organization)
        .bind(Facet::Country.to_string())
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

    /// What is known of the calls of an end user that are counted for an organization: a row for each project, key and API after this one, in
    /// their order, at most so many. Calls [`Ledger::roll_up`] before the first.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn end_user_use(
        &self,
        organization: u32,
        name: &str,
        after: Option<&EndUserUse>,
        limit: u32,
    ) -> Result<Vec<EndUserUse>, StoreError> {
        if after.is_none() {
            self.roll_up().await?;
        }
        let mut query = sql(
            "SELECT project, key, api, CAST(sum(calls) AS BIGINT), CAST(sum(cost) AS BIGINT), min(start), max(start) \
             FROM facet_day WHERE facet = ",
        );
        query.push_bind(Facet::EndUser.to_string()).push(" AND organization = ").push_bind(organization);
        query.push(" AND value = ").push_bind(name);
        if let Some(after) = after {
            query.push(" AND (project, key, api) > ").push_list([after.project, after.key, after.api]);
        }
        query.push(" GROUP BY project, key, api ORDER BY project, key, api LIMIT ").push_bind(limit);
        let rows = query.fetch_all(&mut self.0.base.read().await?).await?;
        let each = rows.iter().map(|row| {
            let mut row = Columns::of(row);
            Ok(EndUserUse {
                project: row.number()?,
                key: row.number()?,
                api: row.number()?,
                calls: row.number()?,
                cost: row.integer()?,
                first_day: row.moment()?,
                last_day: row.moment()?,
            })
        });
        each.collect()
    }

    /// Forgets which calls were an end user's, of those that are counted for an organization, and sees to it that the name is nowhere
    /// in the file; says of how many rows. They are looked for day by day, and nobody waits for that.
    ///
    /// # Errors
    /// If the store fails, or somebody reads for a long time; what was forgotten until then is.
    pub async fn forget_end_user(&self, organization: u32, name: &str) -> Result<u64, StoreError> {
        self.roll_up().await?;
        let facet = Facet::EndUser.to_string();
        let ends = sql("SELECT min(start), max(start) FROM facet_hour WHERE facet = ?").bind(facet.clone());
        let ends = ends.fetch_one(&mut self.0.base.read().await?).await?;
        let mut ends = Columns::of(&ends);
        let (first, last) = (ends.moment_if_any()?, ends.moment_if_any()?);
        let mut forgotten = 0;
        let mut day = first.map(|first| first.floor_secs(Bucket::Day.secs()));
        while let Some(from) = day.filter(|day| Some(*day) <= last) {
            let next = from.plus_secs(Bucket::Day.secs());
            for table in TABLES {
                let key = key_of(table);
                let mut query = sql(format!("SELECT {key} FROM {table} WHERE facet = ")).seldom();
                query.push_bind(facet.clone()).push(" AND start >= ").push_bind(from.as_micros());
                query.push(" AND start < ").push_bind(next.as_micros());
                query.push(" AND organization = ").push_bind(organization).push(" AND value = ").push_bind(name);
                let rows = query.fetch_all(&mut self.0.base.read().await?).await?;
                let rows = rows.iter().map(|row| key_values(table, row)).collect::<Result<Vec<_>, StoreError>>()?;
                for some in rows.chunks(VALUES) {
                    forgotten += some.len() as u64;
                    self.forget_these(table, some).await?;
                }
            }
            day = Some(next);
        }
        // In any case: of calls that nobody made who is known, names were in what was added up.
        self.0.base.wipe().await?;
        Ok(forgotten)
    }

    /// Forgets the rows of a table with these keys.
    async fn forget_these(&self, table: &str, keys: &[Vec<Value<'static>>]) -> Result<(), StoreError> {
        let mut query = sql(format!("DELETE FROM {table} WHERE ({}) IN (VALUES ", key_of(table))).seldom();
        for (place, key) in keys.iter().enumerate() {
            query.push(if place == 0 { "" } else { ", " }).push_list(key.iter().cloned());
        }
        query.push(")");
        let mut transaction = self.0.base.write().await?;
        query.execute(&mut transaction).await?;
        Ok(transaction.commit().await?)
    }

    /// Forgets the facets of the calls of these projects, and sees to it that they are nowhere in the file.
    ///
    /// # Errors
    /// If the store fails, or somebody reads for a long time; what was forgotten until then is.
    pub async fn forget_facets_of(&self, projects: &[u32]) -> Result<(), StoreError> {
        self.roll_up().await?;
        for some in projects.chunks(PROJECTS) {
            for table in TABLES {
                while self
                    .forget_some(table, |query| {
                        query.push("project IN ").push_list(some.iter().copied());
                    })
                    .await?
                {}
            }
        }
        Ok(self.0.base.wipe().await?)
    }

    /// Forgets the facets of calls on days before this moment.
    ///
    /// # Errors
    /// If the store fails; what was forgotten until then is.
    pub async fn forget_facets_before(&self, before: Timestamp) -> Result<(), StoreError> {
        let before = before.floor_secs(Bucket::Day.secs()).as_micros();
        // Each facet by itself: their rows are in order of it first.
        let mut last = String::new();
        loop {
            let next = sql("SELECT min(facet) FROM facet_day WHERE facet > ?").bind(&last);
            let next = next.fetch_one(&mut self.0.base.read().await?).await?;
            let Some(facet) = Columns::of(&next).text_if_any()? else { break };
            for table in ["facet_hour", "facet_day"] {
                while self
                    .forget_some(table, |query| {
                        query.push("facet = ").push_bind(facet.clone()).push(" AND start < ").push_bind(before);
                    })
                    .await?
                {}
            }
            last = facet;
        }
        while self
            .forget_some("facet_values", |query| {
                query.push("start < ").push_bind(before);
            })
            .await?
        {}
        Ok(())
    }

    /// Forgets some rows of a table; whether there may be more.
    async fn forget_some(&self, table: &str, which: impl Fn(&mut Sql<'_>) + Send) -> Result<bool, StoreError> {
        let key = key_of(table);
        let mut query = sql(format!("DELETE FROM {table} WHERE ({key}) IN (SELECT {key} FROM {table} WHERE ")).seldom();
        which(&mut query);
        query.push(" LIMIT ").push_bind(i64::try_from(FORGOTTEN).unwrap_or(i64::MAX)).push(")");
        let mut transaction = self.0.base.write().await?;
        let gone = query.execute(&mut transaction).await?;
        transaction.commit().await?;
        Ok(gone == FORGOTTEN)
    }
}

/// The columns that tell the rows of a table apart.
fn key_of(table: &str) -> &'static str {
    match table {
        "facet_values" => "start, organization, project, key, facet, value",
        _ => "facet, start, organization, project, key, api, code, status, value",
    }
}

/// The same of a row.
fn key_values(table: &str, row: &Row) -> Result<Vec<Value<'static>>, StoreError> {
    let mut row = Columns::of(row);
    let value = |column: &str| {
        Ok(match column {
            "facet" | "value" => Value::from(row.text()?),
            _ => Value::from(row.integer()?),
        })
    };
    key_of(table).split(", ").map(value).collect()
}

/// Where values of facets are.
const TABLES: [&str; 3] = ["facet_hour", "facet_day", "facet_values"];
