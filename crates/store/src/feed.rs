//! What nodes must know, by number: everything at a start, and after that what each revision touched.

use std::collections::HashSet;
use std::ops::RangeInclusive;

use futures_util::{StreamExt, TryStreamExt, stream};
use keystile_core::id::{ActivationId, KeyId};
use keystile_core::key::{Environment, KeyDigest, KeyKind, Lookup, SlowHash, Standing};
use keystile_core::metadata::Metadata;
use keystile_core::policy::Policy;
use keystile_core::time::Timestamp;

use crate::catalog::{apis, credits, patterns, plans, projects, roles};
use crate::db::{Columns, Connection, Row, Value, damaged, signed, sql, standing, word};
use crate::packed::{self, Packed, Which};
use crate::records::{
    Api, CreditGrant, FeedActivation, FeedKey, FeedProject, FeedSlow, FeedVersion, Pattern, Plan, Role,
};
use crate::seal::altered;
use crate::tables::ROWS;
use crate::{Catalog, StoreError, Subject};

/// Keys in one read. Large enough that the way to the connection's thread and back does not count.
const CHUNK: u32 = 8_192;
/// Reads under way at a time, each on a connection of its own: one is taken apart while the next one is made.
const AHEAD: usize = 2;

/// Everything that stands, or stood, for the digest of a text.
const ALL_STAND_INS: &str = "(SELECT key, version, digest, lookup, hash FROM slow_hashes \
     UNION ALL SELECT key, version, digest, NULL, NULL FROM former_digests)";

impl Catalog {
    /// What the revisions after this one touched, oldest first, at most so many.
    pub async fn feed_after(&self, revision: u64, limit: u32) -> Result<Vec<(u64, Subject)>, StoreError> {
        let mut db = self.0.base.view().await?;
        let rows =
            sql("SELECT revision, subject, first, last FROM revisions WHERE revision > ? ORDER BY revision LIMIT ?")
                .bind(i64::try_from(revision).unwrap_or(i64::MAX))
                .bind(limit)
                .fetch_all(&mut db)
                .await?;
        let mut expected = revision;
        let told = rows.iter().map(|row| {
            let mut row = Columns::of(row);
            let revision = row.number()?;
            expected += 1;
            if revision != expected {
                return Err(altered(format_args!("revision {expected}")));
            }
            let (subject, first, last) = (row.text()?, row.number()?, row.number()?);
            let subject = match subject.as_str() {
                "organization" => Subject::Organization,
                "api" => Subject::Api(first),
                "project" => Subject::Project(first),
                "keys" => Subject::Keys(first, last),
                "role" => Subject::Role(first),
                "pattern" => Subject::Pattern(first),
                "credits" => Subject::Credits(first),
                other => return Err(damaged(format_args!("the word {other:?}"))),
            };
            Ok((revision, subject))
        });
        let told: Vec<(u64, Subject)> = told.collect::<Result<_, StoreError>>()?;
        if let Some(((first, _), (last, _))) = told.first().zip(told.last()) {
            let these = ("WHERE revision BETWEEN ? AND ?", &[signed(*first).into(), signed(*last).into()][..]);
            self.0.sealer.refuse_altered(&mut db, "revisions", these).await?;
        }
        Ok(told)
    }

    /// Every API that is not deleted, by number.
    pub async fn feed_apis(&self) -> Result<Vec<Api>, StoreError> {
        let mut query = sql(apis::SELECT);
        query.push(" ORDER BY a.number");
        let mut db = self.0.base.view().await?;
        self.0.sealer.refuse_altered(&mut db, "apis", ("", &[])).await?;
        query.fetch_all(&mut db).await?.iter().map(apis::read).collect()
    }

    /// The plans of an API, by number.
    ///
    /// # Errors
    /// If the store fails, or if one was altered: without it calls would have no limits.
    pub async fn feed_plans(&self, api: u32) -> Result<Vec<Plan>, StoreError> {
        let mut db = self.0.base.view().await?;
        let sealer = &self.0.sealer;
        sealer.refuse_altered(&mut db, "plans", ("WHERE api = ?", &[api.into()])).await?;
        let these = ("WHERE plan IN (SELECT number FROM plans WHERE api = ?)", &[api.into()][..]);
        sealer.refuse_altered(&mut db, "plan_versions", these).await?;
        plans::of_api(&mut db, api).await
    }

    /// An API by number; `None` when it was deleted.
    pub async fn feed_api(&self, number: u32) -> Result<Option<Api>, StoreError> {
        let mut query = sql(apis::SELECT);
        query.push(" AND a.number = ").push_bind(number);
        let mut db = self.0.base.view().await?;
        if self.0.sealer.is_altered(&mut db, "apis", ("WHERE number = ?", &[number.into()])).await? {
            return Ok(None);
        }
        query.fetch_optional(&mut db).await?.as_ref().map(apis::read).transpose()
    }

    /// Every project that is not deleted, by number.
    pub async fn feed_projects(&self) -> Result<Vec<FeedProject>, StoreError> {
        let mut db = self.0.base.view().await?;
        for table in ["projects", "activations"] {
            self.0.sealer.refuse_altered(&mut db, table, ("", &[])).await?;
        }
        let mut query = sql(projects::SELECT);
        query.push(" ORDER BY p.number");
        let rows = query.fetch_all(&mut db).await?;
        let mut links = activations(&mut db, None).await?.into_iter().peekable();
        let mut all = Vec::with_capacity(rows.len());
        for row in &rows {
            let project = projects::read(row)?;
            // Both lists are in the order of the projects' numbers.
            while links.next_if(|(of, _)| *of < project.number).is_some() {}
            let mut activations = Vec::new();
            while let Some((_, link)) = links.next_if(|(of, _)| *of == project.number) {
                activations.push(link);
            }
            all.push(FeedProject { project, activations });
        }
        Ok(all)
    }

    /// A project by number; `None` when it was deleted.
    pub async fn feed_project(&self, number: u32) -> Result<Option<FeedProject>, StoreError> {
        let mut db = self.0.base.view().await?;
        let mut query = sql(projects::SELECT);
        query.push(" AND p.number = ").push_bind(number);
        let sealer = &self.0.sealer;
        if sealer.is_altered(&mut db, "projects", ("WHERE number = ?", &[number.into()])).await?
            || sealer.is_altered(&mut db, "activations", ("WHERE project = ?", &[number.into()])).await?
        {
            return Ok(None);
        }
        let Some(row) = query.fetch_optional(&mut db).await? else { return Ok(None) };
        let links = activations(&mut db, Some(number)).await?;
        let activations = links.into_iter().map(|(_, link)| link).collect();
        Ok(Some(FeedProject { project: projects::read(&row)?, activations }))
    }

    /// Policies with a number above this one, in order; without those that were altered, so that whoever has one has none.
    /// Policies are never changed: a new one gets a new number.
    pub async fn feed_policies(&self, above: u32) -> Result<Vec<(u32, Policy)>, StoreError> {
        let mut db = self.0.base.view().await?;
        let rows = sql("SELECT number, document FROM policies WHERE number > ? ORDER BY number")
            .bind(above)
            .fetch_all(&mut db)
            .await?;
        let altered = match rows.is_empty() {
            true => Vec::new(),
            false => self.0.sealer.altered_rows(&mut db, "policies", ("WHERE number > ?", &[above.into()])).await?,
        };
        rows.iter()
            .filter_map(|row| {
                let mut row = Columns::of(row);
                let number: u32 = match row.number() {
                    Ok(number) => number,
                    Err(error) => return Some(Err(error)),
                };
                let is_sound = !altered.contains(&vec![number.into()]);
                is_sound.then(|| Ok((number, row.json()?)))
            })
            .collect()
    }

    /// What owners wrote on keys for their programs, by number: of these keys, those that have any.
    pub async fn feed_metadata(&self, numbers: RangeInclusive<u32>) -> Result<Vec<(u32, Metadata)>, StoreError> {
        let mut db = self.0.base.view().await?;
        let numbers = sql("SELECT number FROM keys WHERE number BETWEEN ? AND ? AND metadata <> '{}' \
             AND deleted_at IS NULL ORDER BY number")
        .bind(*numbers.start())
        .bind(*numbers.end())
        .fetch_numbers::<u32>(&mut db)
        .await?;
        let mut all = Vec::with_capacity(numbers.len());
        for numbers in numbers.chunks(ROWS) {
            // With all that its seal covers: a program decides by it.
            let packed = packed::read(&mut db, Which::Of(numbers.to_vec())).await?;
            packed::each(&packed, |packed| {
                if self.0.sealer.refuse_altered_key(&packed).is_ok() {
                    all.push((packed.number()?, serde_json::from_slice(packed.metadata).map_err(damaged)?));
                }
                Ok(())
            })?;
        }
        Ok(all)
    }

    /// Every role that is not deleted, by number.
    pub async fn feed_roles(&self) -> Result<Vec<Role>, StoreError> {
        let mut query = sql(roles::SELECT);
        query.push(" ORDER BY r.number");
        let mut db = self.0.base.view().await?;
        self.0.sealer.refuse_altered(&mut db, "roles", ("", &[])).await?;
        query.fetch_all(&mut db).await?.iter().map(roles::read).collect()
    }

    /// A role by number; `None` when it was deleted.
    pub async fn feed_role(&self, number: u32) -> Result<Option<Role>, StoreError> {
        let mut query = sql(roles::SELECT);
        query.push(" AND r.number = ").push_bind(number);
        let mut db = self.0.base.view().await?;
        if self.0.sealer.is_altered(&mut db, "roles", ("WHERE number = ?", &[number.into()])).await? {
            return Ok(None);
        }
        query.fetch_optional(&mut db).await?.as_ref().map(roles::read).transpose()
    }

    /// Every pattern that is not deleted, by number.
    pub async fn feed_patterns(&self) -> Result<Vec<Pattern>, StoreError> {
        let mut query = sql(patterns::SELECT);
        query.push(" ORDER BY t.number");
        let mut db = self.0.base.view().await?;
        self.0.sealer.refuse_altered(&mut db, "patterns", ("", &[])).await?;
        query.fetch_all(&mut db).await?.iter().map(patterns::read).collect()
    }

    /// A pattern by number; `None` when it was deleted.
    pub async fn feed_pattern(&self, number: u32) -> Result<Option<Pattern>, StoreError> {
        let mut query = sql(patterns::SELECT);
        query.push(" AND t.number = ").push_bind(number);
        let mut db = self.0.base.view().await?;
        if self.0.sealer.is_altered(&mut db, "patterns", ("WHERE number = ?", &[number.into()])).await? {
            return Ok(None);
        }
        query.fetch_optional(&mut db).await?.as_ref().map(patterns::read).transpose()
    }

    /// Credits that have not ended by a moment, by number; without those that were altered, so that nobody has these.
    pub async fn feed_credits(&self, now: Timestamp) -> Result<Vec<CreditGrant>, StoreError> {
        let mut query = sql(credits::SELECT);
        query.push(" AND c.revoked_at IS NULL AND (c.ends_at IS NULL OR c.ends_at > ").push_bind(now.as_micros());
        query.push(") ORDER BY c.number");
        let mut db = self.0.base.view().await?;
        let these = ("WHERE revoked_at IS NULL AND (ends_at IS NULL OR ends_at > ?)", &[now.as_micros().into()][..]);
        let altered = self.0.sealer.altered_rows(&mut db, "credit_grants", these).await?;
        let mut grants =
            query.fetch_all(&mut db).await?.iter().map(credits::read).collect::<Result<Vec<_>, StoreError>>()?;
        grants.retain(|grant| !altered.contains(&vec![grant.number.into()]));
        Ok(grants)
    }

    /// Credits by their number, whatever became of them; `None` if they were altered.
    pub async fn feed_credit(&self, number: u32) -> Result<Option<CreditGrant>, StoreError> {
        let mut query = sql(credits::SELECT);
        query.push(" AND c.number = ").push_bind(number);
        let mut db = self.0.base.view().await?;
        if self.0.sealer.is_altered(&mut db, "credit_grants", ("WHERE number = ?", &[number.into()])).await? {
            return Ok(None);
        }
        query.fetch_optional(&mut db).await?.as_ref().map(credits::read).transpose()
    }

    /// The highest number of a key; 0 if there is none.
    pub async fn last_key_number(&self) -> Result<u32, StoreError> {
        let last = sql("SELECT max(number) FROM keys");
        Ok(last.fetch_number_if_any(&mut self.0.base.read().await?).await?.unwrap_or(0))
    }

    /// Keys by number in order, deleted ones among them. Of one that was altered, or a former version of which was, nothing
    /// counts but its number.
    ///
    /// Read [`Catalog::revision`] before, and then the feed from there on: what is changed while this reads is told by
    /// the feed again.
    pub async fn feed_keys(
        &self,
        numbers: RangeInclusive<u32>,
        each: &mut (dyn FnMut(FeedKey) + Send),
    ) -> Result<(), StoreError> {
        // The upper end may be beyond the last key.
        let (first, last) = (*numbers.start(), (*numbers.end()).min(self.last_key_number().await?));
        if first > last {
            return Ok(());
        }
        let starts = (first..=last).step_by(CHUNK as usize);
        let mut chunks = stream::iter(starts)
            .map(|start| self.keys_and_versions(start, last.min(start.saturating_add(CHUNK - 1))))
            .buffered(AHEAD);
        while let Some(Chunk { packed, former, altered }) = chunks.try_next().await? {
            let mut former = former.into_iter().peekable();
            packed::each(&packed, |packed| {
                let number = packed.number()?;
                let is_sound = self.0.sealer.refuse_altered_key(&packed).is_ok();
                if !is_sound {
                    let id = KeyId::from_entropy(*packed.id);
                    tracing::error!(key = %id, "a key is not as Keystile wrote it, and is refused; see keystile db check");
                }
                let mut key = match is_sound && !altered.contains(&number) {
                    true => key(&packed)?,
                    false => altered_key(&packed, number),
                };
                // Both are in the order of the keys' numbers.
                while let Some((_, version)) = former.next_if(|(of, _)| *of <= key.number) {
                    key.former.push(version);
                }
                each(key);
                Ok(())
            })?;
        }
        Ok(())
    }

    /// The versions of keys that came with a slow hash, by the keys' numbers in order; of deleted keys none. With `all`
    /// those too whose text was presented since.
    pub async fn feed_slow_hashes(
        &self,
        numbers: RangeInclusive<u32>,
        all: bool,
        each: &mut (dyn FnMut(FeedSlow) + Send),
    ) -> Result<(), StoreError> {
        let (mut first, last) = (*numbers.start(), *numbers.end());
        loop {
            let mut query = sql("SELECT s.key, s.version, s.digest, s.lookup, s.hash FROM ");
            query.push(if all { ALL_STAND_INS } else { "slow_hashes" });
            query.push(" s JOIN keys k ON k.number = s.key WHERE k.deleted_at IS NULL");
            query.push(if all { "" } else { " AND s.lookup IS NOT NULL" });
            query.push(" AND s.key >= ").push_bind(first).push(" AND s.key <= ").push_bind(last);
            query.push(" ORDER BY s.key, s.version LIMIT ").push_bind(CHUNK);
            let mut db = self.0.base.view().await?;
            let rows = query.fetch_all(&mut db).await?;
            let mut altered = HashSet::new();
            if let Some(until) = rows.last().map(|row| Columns::of(row).number::<u32>()).transpose()? {
                for table in ["slow_hashes", "former_digests"] {
                    let these = ("WHERE key BETWEEN ? AND ?", &[first.into(), until.into()][..]);
                    for key in self.0.sealer.altered_rows(&mut db, table, these).await? {
                        altered.extend(number_in(&key));
                    }
                }
            }
            let mut told = 0;
            for row in &rows {
                let slow = slow(row)?;
                // A chunk may end amid the versions of a key: then they come again with the next one.
                told = slow.key;
                if !altered.contains(&slow.key) {
                    each(slow);
                }
            }
            if rows.len() < CHUNK as usize {
                return Ok(());
            }
            first = if told == first { told.saturating_add(1) } else { told };
        }
    }

    /// Whether there is a key that is found by its short token and the SHA-256 of the long one.
    pub async fn has_keys_with_token(&self) -> Result<bool, StoreError> {
        let any = sql("SELECT (SELECT count(*) FROM (SELECT 1 FROM keys WHERE algorithm = 4 LIMIT 1) AS k) + \
             (SELECT count(*) FROM (SELECT 1 FROM key_versions WHERE algorithm = 4 LIMIT 1) AS v)");
        Ok(any.fetch_number::<u32>(&mut self.0.base.read().await?).await? > 0)
    }

    /// Keys and their former versions, as they were at one moment.
    async fn keys_and_versions(&self, first: u32, last: u32) -> Result<Chunk, StoreError> {
        let mut db = self.0.base.view().await?;
        let packed = packed::read(&mut db, Which::Between(first, last)).await?;
        let rows = sql("SELECT key, version, digest, ends_at FROM key_versions WHERE key BETWEEN ? AND ? \
             ORDER BY key, version")
        .bind(first)
        .bind(last)
        .fetch_all(&mut db)
        .await?;
        let mut altered = HashSet::new();
        if !rows.is_empty() {
            let these = ("WHERE key BETWEEN ? AND ?", &[first.into(), last.into()][..]);
            for key in self.0.sealer.altered_rows(&mut db, "key_versions", these).await? {
                altered.extend(number_in(&key));
            }
        }
        let former = rows.iter().map(|row| {
            let mut row = Columns::of(row);
            let key = row.number()?;
            let version = row.number()?;
            let digest = KeyDigest::from_bytes(row.bytes()?);
            Ok((key, FeedVersion { version, digest, ends_at: row.moment()? }))
        });
        Ok(Chunk { packed, former: former.collect::<Result<_, StoreError>>()?, altered })
    }
}

/// Keys in one read, with their former versions, both in the order of the keys' numbers.
struct Chunk {
    packed: Vec<u8>,
    former: Vec<(u32, FeedVersion)>,
    /// Of which a former version was altered.
    altered: HashSet<u32>,
}

/// The number that a row's key begins with.
fn number_in(key: &[Value<'static>]) -> Option<u32> {
    match key.first() {
        Some(Value::Number(Some(number))) => u32::try_from(*number).ok(),
        _ => None,
    }
}

/// The activations that are in force or could be, each with the number of its project, in the order of these.
async fn activations(db: &mut Connection, project: Option<u32>) -> Result<Vec<(u32, FeedActivation)>, StoreError> {
    let mut query = sql(
        "SELECT project, number, id, api, state, granted, plan, plan_since, ceilings FROM activations WHERE deleted_at IS NULL",
    );
    if let Some(project) = project {
        query.push(" AND project = ").push_bind(project);
    }
    query.push(" ORDER BY project, api");
    query
        .fetch_all(db)
        .await?
        .iter()
        .map(|row| {
            let mut row = Columns::of(row);
            let project = row.number()?;
            let activation = FeedActivation {
                number: row.number()?,
                id: row.id(ActivationId::from_slice)?,
                api: row.number()?,
                state: row.word()?,
                granted: row.json_if_any()?,
                plan: row.number_if_any()?.zip(row.moment_if_any()?),
                ceilings: row.json_if_any()?.unwrap_or_default(),
            };
            Ok((project, activation))
        })
        .collect()
}

fn slow(row: &Row) -> Result<FeedSlow, StoreError> {
    let mut row = Columns::of(row);
    let (key, version, digest) = (row.number()?, row.number()?, KeyDigest::from_bytes(row.bytes()?));
    let lookup = row.number_if_any::<i64>()?.map(|number| Lookup::from_number(number.cast_unsigned()));
    let slow = lookup.zip(row.text_if_any()?).map(|(lookup, hash)| SlowHash { lookup, hash });
    Ok(FeedSlow { key, version, digest, slow })
}

fn key(packed: &Packed<'_>) -> Result<FeedKey, StoreError> {
    let mut facts = packed.facts.split(',');
    let mut next = || facts.next().ok_or_else(|| damaged("a key that is cut short"));
    let (number, project) = (word(next()?)?, word(next()?)?);
    // What a key may do is its project's business, whose organization it is.
    next()?;
    Ok(FeedKey {
        digest: KeyDigest::from_bytes(*packed.digest),
        id: KeyId::from_entropy(*packed.id),
        number,
        project,
        policy: word(next()?)?,
        expires_at: match next()? {
            "" => None,
            micros => Some(Timestamp::from_micros(word(micros)?)),
        },
        standing: standing(next()?)?,
        kind: word(next()?)?,
        environment: word(next()?)?,
        version: word(next()?)?,
        former: Vec::new(),
        deleted: next()? == "1",
        altered: false,
    })
}

/// What is told of a key that was altered: that there is none.
fn altered_key(packed: &Packed<'_>, number: u32) -> FeedKey {
    FeedKey {
        digest: KeyDigest::from_bytes(*packed.digest),
        id: KeyId::from_entropy(*packed.id),
        number,
        project: 0,
        policy: 0,
        expires_at: None,
        standing: Standing::Revoked,
        kind: KeyKind::Secret,
        environment: Environment::Live,
        version: 1,
        former: Vec::new(),
        deleted: true,
        altered: true,
    }
}
