//! What an installation holds that somebody should look at: for a check of the whole deployment, beside a server or without
//! one. It looks and changes nothing.

use std::collections::HashSet;

use keystile_core::id::{ApiId, KeyId, MemberId, WebhookId};
use keystile_core::key::KeyKind;
use keystile_core::policy::Policy;
use keystile_core::time::Timestamp;

use crate::catalog::apis;
use crate::copy::CopyError;
use crate::db::{Base, Columns, Connection, sql};
use crate::records::Api;
use crate::upkeep::{self, Kept};
use crate::{OpenError, StoreError, open, schema};

/// Keys that are read at a time.
const ROWS: u32 = 10_000;
/// Things that are named at most; of more there is the number.
pub const MAX_NAMED: usize = 20;
/// Days without a call after which a key counts as unused here.
pub const UNUSED_DAYS: i64 = 90;

/// Some of many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found<T> {
    /// How many there are.
    pub count: u64,
    /// At most [`MAX_NAMED`] of them.
    pub named: Vec<T>,
}

impl<T> Default for Found<T> {
    fn default() -> Self {
        Self { count: 0, named: Vec::new() }
    }
}

impl<T> Found<T> {
    fn add(&mut self, one: T) {
        self.count += 1;
        if self.named.len() < MAX_NAMED {
            self.named.push(one);
        }
    }
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Survey {
    /// Whether the tables are those that this program knows; if not, nothing else was looked at.
    pub is_current: bool,
    /// Active keys that never end, of those that call APIs.
    pub endless: Found<KeyId>,
    /// Active keys that others could read, and that were not rotated since.
    pub exposed: Found<KeyId>,
    /// Active keys that call APIs and were not used for [`UNUSED_DAYS`], or never in that time.
    pub unused: Found<KeyId>,
    /// Active management keys that may do everything, from everywhere.
    pub all_powerful: Found<KeyId>,
    /// Active management keys that never end.
    pub endless_management: Found<KeyId>,
    /// Members who can let others in and log in with a password alone.
    pub single_factor: Found<MemberId>,
    /// APIs whose keys may live for ever.
    pub lax: Found<ApiId>,
    /// APIs that keep texts of keys.
    pub recoverable: Found<ApiId>,
    /// APIs whose calls go on in clear to another machine.
    pub plain_upstreams: Found<ApiId>,
    /// Webhooks that are switched off, by their owner or because nothing arrived.
    pub silent_webhooks: Found<WebhookId>,
    /// When the newest entry of the audit was written.
    pub newest: Option<Timestamp>,
}

/// A key as it is looked at.
struct Looked {
    id: KeyId,
    number: u32,
    kind: KeyKind,
    policy: u32,
    expires_at: Option<Timestamp>,
    exposed_at: Option<Timestamp>,
    created_at: Timestamp,
}

impl Survey {
    /// Notes what is to be said of a key that is in force.
    async fn judge(&mut self, db: &mut Connection, key: &Looked, is_unused: bool) -> Result<(), StoreError> {
        let is_endless = key.expires_at.is_none();
        match key.kind {
            KeyKind::Secret | KeyKind::Publishable => {
                if is_endless {
                    self.endless.add(key.id);
                }
                if is_unused {
                    self.unused.add(key.id);
                }
            }
            KeyKind::Management => {
                if is_endless {
                    self.endless_management.add(key.id);
                }
                let row = sql("SELECT document FROM policies WHERE number = ?").bind(key.policy).fetch_one(db).await?;
                let policy: Policy = Columns::of(&row).json()?;
                let may_all = policy.permissions.iter().any(|permission| permission.as_str() == "*");
                if may_all && policy.restrictions.networks.is_none() {
                    self.all_powerful.add(key.id);
                }
            }
            KeyKind::Canary => return Ok(()),
        }
        if key.exposed_at.is_some() {
            self.exposed.add(key.id);
        }
        Ok(())
    }
}

/// Looks through an installation; `None` if there is none.
///
/// # Errors
/// If it can't be opened or read.
pub async fn look(kept: &Kept, now: Timestamp) -> Result<Option<Survey>, OpenError> {
    let Some([catalog, usage]) = open::existing(kept).await? else {
        return match kept {
            Kept::Folder(folder) if open::is_half_there(folder) => {
                Err(OpenError::CatalogMissing { folder: folder.display().to_string() })
            }
            Kept::Folder(_) | Kept::Database(_) => Ok(None),
        };
    };
    let seen = seen(&catalog, &usage, now).await;
    upkeep::close([catalog, usage]).await;
    seen.map(Some).map_err(|error| OpenError::unreadable(kept, error.cause()))
}

async fn seen(catalog: &Base, usage: &Base, now: Timestamp) -> Result<Survey, StoreError> {
    let mut survey = Survey::default();
    let versions =
        (schema::version(&mut catalog.read().await?).await?, schema::version(&mut usage.read().await?).await?);
    if versions.0 == 0 && versions.1 > 0 {
        return Err(StoreError(Box::new(CopyError::Unfinished("the place".to_owned()))));
    }
    survey.is_current = versions == (schema::CATALOG.known(), schema::USAGE.known());
    if !survey.is_current {
        return Ok(survey);
    }
    let since = now.plus_secs(-UNUSED_DAYS * 86_400);
    let used = sql("SELECT DISTINCT key FROM last_use WHERE last >= ?").bind(since.as_micros());
    let used: HashSet<u32> = used.fetch_numbers(&mut usage.read().await?).await?.into_iter().collect();
    let mut view = catalog.view().await?;
    let mut last = 0_u32;
    loop {
        let rows = sql("SELECT id, number, kind, policy, expires_at, exposed_at, created_at FROM keys \
             WHERE number > ? AND deleted_at IS NULL AND state = 'active' ORDER BY number LIMIT ?")
        .bind(last)
        .bind(ROWS)
        .fetch_all(&mut view)
        .await?;
        for row in &rows {
            let mut row = Columns::of(row);
            let key = Looked {
                id: row.id(KeyId::from_slice)?,
                number: row.number()?,
                kind: row.word()?,
                policy: row.number()?,
                expires_at: row.moment_if_any()?,
                exposed_at: row.moment_if_any()?,
                created_at: row.moment()?,
            };
            last = key.number;
            if key.expires_at.is_none_or(|end| end > now) {
                survey.judge(&mut view, &key, key.created_at < since && !used.contains(&key.number)).await?;
            }
        }
        if rows.len() < ROWS as usize {
            break;
        }
    }
    for row in &sql(apis::SELECT).fetch_all(&mut view).await? {
        let Api { id, settings, .. } = apis::read(row)?;
        if settings.max_key_days.is_none() {
            survey.lax.add(id);
        }
        if settings.recoverable_keys {
            survey.recoverable.add(id);
        }
        let host = settings.upstream.host();
        let is_here = host == "localhost" || host.starts_with("127.") || host == "[::1]";
        if !(settings.upstream.is_tls() || is_here && settings.targets.is_empty()) {
            survey.plain_upstreams.add(id);
        }
    }
    let leading = "SELECT m.id FROM members m JOIN accounts a ON a.number = m.account WHERE m.deleted_at IS NULL \
         AND m.role IN ('owner', 'consumer_admin') AND a.password IS NOT NULL AND NOT \
         EXISTS (SELECT 1 FROM totps t WHERE t.account = m.account AND t.confirmed_at IS NOT NULL) ORDER BY m.number";
    for row in &sql(leading).fetch_all(&mut view).await? {
        survey.single_factor.add(Columns::of(row).id(MemberId::from_slice)?);
    }
    let silent = sql("SELECT id FROM webhooks WHERE state <> 'active' AND deleted_at IS NULL ORDER BY number");
    for row in &silent.fetch_all(&mut view).await? {
        survey.silent_webhooks.add(Columns::of(row).id(WebhookId::from_slice)?);
    }
    let newest = sql("SELECT max(at) FROM audit").fetch_number_if_any::<i64>(&mut view).await?;
    survey.newest = newest.map(Timestamp::from_micros);
    Ok(survey)
}
