//! Changes of the keys that secrets are encrypted under. Who does not use them notices nothing: older records open as before,
//! until they are encrypted anew and the key that they were under is retired.

use std::sync::Arc;

use keystile_core::api::SecretName;
use keystile_core::id::{AccountId, ApiId, KeyId, OrganizationId, WebhookId};
use serde_json::json;
use zeroize::Zeroizing;

use super::{Done, Work};
use crate::catalog::CatalogParts;
use crate::catalog::encryption::{keep_key, kept_keys, learn_keys, records_under};
use crate::cipher::{Salt, SecretKey};
use crate::db::{Columns, Connection, Row, Value, damaged, sql};
use crate::keyring::{HEAD_LEN, Keyring, NewEncryptionKey};
use crate::open::SEALED_ANEW;
use crate::secret::{Place, Sealed};
use crate::{ApplyError, StoreError, Subject};

/// What the audit calls the thing that is changed here.
pub(super) const SUBJECT: &str = "encryption";

/// Refuses what was encrypted under a key that was retired before it could be kept.
pub(super) async fn refuse_retired(db: &mut Connection, sealed: &Sealed) -> Result<(), ApplyError> {
    let Some(version) = Keyring::version_of(&sealed.0) else { return Ok(()) };
    let known: u32 =
        sql("SELECT count(*) FROM encryption_keys WHERE version = ?").bind(version).fetch_number(db).await?;
    if known == 0 {
        let why = "the key that this secret was encrypted under was retired at the same moment; send the request again";
        return Err(ApplyError::Conflict(why.to_owned()));
    }
    Ok(())
}

/// Takes another version into use.
pub(super) async fn rotate(work: Work<'_>, key: &NewEncryptionKey) -> Result<Done, ApplyError> {
    // Another process may have changed the root key, and given up before it took this one's place.
    let row = sql("SELECT value FROM meta WHERE name = 'root_check'").fetch_one(&mut *work.db).await?;
    if Columns::of(&row).blob()? != work.parts.root.check(&work.parts.installation) {
        let why = "the root key was changed by another process; start the server anew with the new one first";
        return Err(ApplyError::Conflict(why.to_owned()));
    }
    let last: u32 = sql("SELECT max(version) FROM encryption_keys").fetch_number(&mut *work.db).await?;
    if key.version != last + 1 {
        return Err(ApplyError::Stale);
    }
    keep_key(work.db, key, work.at).await?;
    let shown = |version: u32| json!({ "version": version }).to_string();
    let after = json!({ "version": key.version, "algorithm": key.algorithm.name() }).to_string();
    Ok(done("encryption.rotate", shown(last), after))
}

/// Removes a version that nothing is under any more.
pub(super) async fn retire(work: Work<'_>, version: u32) -> Result<Done, ApplyError> {
    let kept = kept_keys(&mut *work.db).await?;
    if !kept.iter().any(|(known, ..)| *known == version) {
        return Err(ApplyError::NotFound("version of the encryption key"));
    }
    if kept.last().is_some_and(|(newest, ..)| *newest == version) {
        let why = "it is the newest version, under which everything new is encrypted; rotate first";
        return Err(ApplyError::Conflict(why.to_owned()));
    }
    let left = records_under(&mut *work.db, version).await?;
    if left > 0 {
        return Err(ApplyError::Conflict(format!(
            "{left} records are still under version {version}, and nobody could read them any more; rewrap first"
        )));
    }
    sql("DELETE FROM encryption_keys WHERE version = ?").bind(version).execute(&mut *work.db).await?;
    Ok(done("encryption.retire", json!({ "version": version }).to_string(), String::new()))
}

/// Notes that everything was wrapped under another root key.
pub(super) async fn root_changed(work: Work<'_>) -> Result<Done, ApplyError> {
    sql("DELETE FROM meta WHERE name = 'root_changed'").execute(&mut *work.db).await?;
    Ok(done("encryption.root_changed", String::new(), String::new()))
}

/// Notes that every row was sealed as it was.
pub(super) async fn sealed(work: Work<'_>) -> Result<Done, ApplyError> {
    let kept = sql("SELECT value FROM meta WHERE name = ?").bind(SEALED_ANEW).fetch_optional(&mut *work.db).await?;
    let taken = kept.map(|row| Columns::of(&row).blob().map(|json| String::from_utf8_lossy(json).into_owned()));
    sql("DELETE FROM meta WHERE name = ?").bind(SEALED_ANEW).execute(&mut *work.db).await?;
    Ok(done("store.seal", String::new(), taken.transpose()?.unwrap_or_default()))
}

fn done(action: &'static str, before: String, after: String) -> Done {
    // Nothing that nodes hold was changed.
    Done::new(action, SUBJECT, before, after, vec![Subject::Organization])
}

/// A record, where it is kept.
pub(crate) struct Record {
    pub(crate) place: Place,
    pub(crate) sealed: Vec<u8>,
    /// The statement that puts it back, and what tells its row.
    update: &'static str,
    row: Vec<Value<'static>>,
}

/// Encrypts as many records anew as are asked for, under the newest version.
pub(super) async fn rewrap(work: Work<'_>, limit: u32, entropy: &[u8; 32]) -> Result<Done, ApplyError> {
    let ring = newest_ring(&mut *work.db, work.parts).await?;
    let (version, _) = ring.current();
    let head = Keyring::head(version);
    let home = work.parts.installation;
    let mut records = Vec::new();
    for find in [OWN_RECORDS, API_SECRETS, WEBHOOKS, TOTPS, KEY_TEXTS] {
        let left = (limit as usize).saturating_sub(records.len());
        if left > 0 {
            records.extend(find.below(work.db, &head, left as i64, &home).await?);
        }
    }
    let salts = SecretKey::new(*entropy);
    for (number, record) in records.iter().enumerate() {
        let secret = opened(&ring, record)?;
        let mut salt: Salt = [0; 24];
        salt.copy_from_slice(&salts.derive(&number.to_string())[..24]);
        let mut update = sql(record.update).bind(record.place.seal(&ring, &secret, &salt).0);
        for value in record.row.clone() {
            update = update.bind(value);
        }
        update.execute(&mut *work.db).await?;
    }
    let shown = json!({ "version": version, "records": records.len() }).to_string();
    Ok(done("encryption.rewrap", String::new(), shown))
}

/// The keys as they are in this transaction.
async fn newest_ring(db: &mut Connection, parts: &CatalogParts) -> Result<Arc<Keyring>, StoreError> {
    let ring = parts.ring();
    let newest: u32 = sql("SELECT max(version) FROM encryption_keys").fetch_number(&mut *db).await?;
    if ring.current().0 == newest {
        return Ok(ring);
    }
    let mut fresh = Keyring::new(parts.installation, ring.seed().clone());
    learn_keys(db, &parts.root, &mut fresh).await?;
    Ok(Arc::new(fresh))
}

fn opened(ring: &Keyring, record: &Record) -> Result<Zeroizing<Vec<u8>>, ApplyError> {
    record.place.open(ring, &record.sealed).map_err(|error| {
        tracing::error!(cause = error.cause(), "a record can't be encrypted anew");
        ApplyError::Conflict(format!(
            "{} does not open: it was altered, or belongs elsewhere. Give it another value or remove it, then go on",
            record.place.what
        ))
    })
}

/// Every record but texts of keys, whatever it is under.
pub(crate) async fn all(db: &mut Connection, home: &[u8; 16]) -> Result<Vec<Record>, StoreError> {
    let above = [u8::MAX; HEAD_LEN];
    let mut records = Vec::new();
    for find in [OWN_RECORDS, API_SECRETS, WEBHOOKS, TOTPS] {
        records.extend(find.below(db, &above, i64::MAX, home).await?);
    }
    Ok(records)
}

/// Texts of keys with these numbers, whatever they are under.
pub(crate) async fn key_texts_from(
    db: &mut Connection,
    home: &[u8; 16],
    first: u32,
    count: i64,
) -> Result<Vec<Record>, StoreError> {
    let (select, _) = KEY_TEXTS.query.split_once(" WHERE ").expect("it has a condition");
    let mut query = sql(select).seldom();
    query.push(" WHERE x.key >= ").push_bind(first).push(" AND x.key < ").push_bind(i64::from(first) + count);
    let mut records = Vec::new();
    for row in query.fetch_all(db).await? {
        records.extend((KEY_TEXTS.read)(&row, home, &[u8::MAX; HEAD_LEN])?);
    }
    Ok(records)
}

type Records = Result<Vec<Record>, StoreError>;

/// How records of a kind are found, at most so many, and read.
struct Find {
    query: &'static str,
    read: fn(&Row, &[u8; 16], &[u8; HEAD_LEN]) -> Records,
}

impl Find {
    /// Those that begin with less than this, at most so many rows of them.
    async fn below(&self, db: &mut Connection, head: &[u8; HEAD_LEN], limit: i64, home: &[u8; 16]) -> Records {
        let mut found = sql(self.query);
        for _ in 0..self.query.matches("< ?").count() {
            found = found.bind(&head[..]);
        }
        let mut records = Vec::new();
        for row in found.bind(limit).fetch_all(db).await? {
            records.extend((self.read)(&row, home, head)?);
        }
        Ok(records)
    }
}

/// The installation's own: peppers and the seed.
const OWN_RECORDS: Find = Find {
    query: "SELECT CAST(0 AS BIGINT), version, wrapped FROM peppers WHERE substr(wrapped, 1, 5) < ? UNION ALL \
         SELECT CAST(1 AS BIGINT), CAST(0 AS BIGINT), value FROM meta WHERE name = 'seed' AND substr(value, 1, 5) < ? LIMIT ?",
    read: |row: &Row, home: &[u8; 16], _: &[u8; HEAD_LEN]| {
        let mut row = Columns::of(row);
        let (is_seed, version) = (row.flag()?, row.number::<u32>()?);
        let (place, update, told) = if is_seed {
            (Place::of_seed(home, true), "UPDATE meta SET value = ? WHERE name = 'seed'", Vec::new())
        } else {
            let place = Place::of_pepper(home, version);
            (place, "UPDATE peppers SET wrapped = ? WHERE version = ?", vec![version.into()])
        };
        Ok(vec![Record { place, sealed: row.blob()?.to_vec(), update, row: told }])
    },
};

const API_SECRETS: Find = Find {
    query: "SELECT o.id, a.id, a.number, s.name, s.sealed FROM api_secrets s JOIN apis a ON a.number = s.api \
         JOIN organizations o ON o.number = a.organization WHERE substr(s.sealed, 1, 5) < ? LIMIT ?",
    read: |row: &Row, home: &[u8; 16], _: &[u8; HEAD_LEN]| {
        let mut row = Columns::of(row);
        let (owner, api) = (row.id(OrganizationId::from_slice)?, row.id(ApiId::from_slice)?);
        let (number, text) = (row.number::<u32>()?, row.text()?);
        let name: SecretName =
            text.parse().map_err(|_| damaged(format_args!("the name of a secret of {api}, {text}")))?;
        let place = Place::of_api_secret(home, owner, api, &name);
        let update = "UPDATE api_secrets SET sealed = ? WHERE api = ? AND name = ?";
        Ok(vec![Record { place, sealed: row.blob()?.to_vec(), update, row: vec![number.into(), text.into()] }])
    },
};

const WEBHOOKS: Find = Find {
    query: "SELECT o.id, w.id, w.number, w.secret, w.old_secret FROM webhooks w \
         JOIN organizations o ON o.number = w.organization \
         WHERE length(w.secret) > 0 AND substr(w.secret, 1, 5) < ? \
         OR length(w.old_secret) > 0 AND substr(w.old_secret, 1, 5) < ? LIMIT ?",
    read: |row: &Row, home: &[u8; 16], head: &[u8; HEAD_LEN]| {
        let mut row = Columns::of(row);
        let (owner, webhook) = (row.id(OrganizationId::from_slice)?, row.id(WebhookId::from_slice)?);
        let number = row.number::<u32>()?;
        let mut records = Vec::new();
        for update in
            ["UPDATE webhooks SET secret = ? WHERE number = ?", "UPDATE webhooks SET old_secret = ? WHERE number = ?"]
        {
            let sealed = row.blob()?.to_vec();
            if !sealed.is_empty() && sealed[..HEAD_LEN.min(sealed.len())] < head[..] {
                let place = Place::of_webhook(home, owner, webhook);
                records.push(Record { place, sealed, update, row: vec![number.into()] });
            }
        }
        Ok(records)
    },
};

const TOTPS: Find = Find {
    query: "SELECT a.id, t.account, t.sealed FROM totps t JOIN accounts a ON a.number = t.account \
         WHERE substr(t.sealed, 1, 5) < ? LIMIT ?",
    read: |row: &Row, home: &[u8; 16], _: &[u8; HEAD_LEN]| {
        let mut row = Columns::of(row);
        let (account, number) = (row.id(AccountId::from_slice)?, row.number::<u32>()?);
        let place = Place::of_totp(home, account);
        let update = "UPDATE totps SET sealed = ? WHERE account = ?";
        Ok(vec![Record { place, sealed: row.blob()?.to_vec(), update, row: vec![number.into()] }])
    },
};

const KEY_TEXTS: Find = Find {
    query: "SELECT o.id, k.id, x.key, x.version, x.sealed FROM key_texts x JOIN keys k ON k.number = x.key \
         JOIN organizations o ON o.number = k.organization WHERE substr(x.sealed, 1, 5) < ? LIMIT ?",
    read: |row: &Row, home: &[u8; 16], _: &[u8; HEAD_LEN]| {
        let mut row = Columns::of(row);
        let (owner, key) = (row.id(OrganizationId::from_slice)?, row.id(KeyId::from_slice)?);
        let (number, version) = (row.number::<u32>()?, row.number()?);
        let place = Place::of_key_text(home, owner, key, version);
        let update = "UPDATE key_texts SET sealed = ? WHERE key = ?";
        Ok(vec![Record { place, sealed: row.blob()?.to_vec(), update, row: vec![number.into()] }])
    },
};
