//! Texts of keys that can be had back. What is kept is the text of the latest version, until the key is revoked or deleted, or
//! its project may call an API whose owner does not want that; the audit learns that it was shown, never the text.

use keystile_core::id::KeyId;
use keystile_core::key::KeyState;
use serde_json::json;

use super::key::NO_SUCH;
use super::{Done, Work, encryption};
use crate::catalog::keys::find;
use crate::db::{Connection, sql};
use crate::secret::Sealed;
use crate::{ApplyError, StoreError, Subject};

/// Keeps the text of a key's latest version, or nothing of any.
pub(super) async fn keep(db: &mut Connection, key: u32, version: u16, text: Option<&Sealed>) -> Result<(), ApplyError> {
    if version > 1 {
        wipe(db, key).await?;
    }
    let Some(text) = text else { return Ok(()) };
    encryption::refuse_retired(db, text).await?;
    sql("INSERT INTO key_texts (key, version, sealed) VALUES (?, ?, ?)")
        .bind(key)
        .bind(u32::from(version))
        .bind(&text.0[..])
        .execute(db)
        .await?;
    Ok(())
}

/// Wipes the text of a key, if it is kept.
pub(super) async fn wipe(db: &mut Connection, key: u32) -> Result<(), StoreError> {
    sql("DELETE FROM key_texts WHERE key = ?").bind(key).execute(db).await?;
    Ok(())
}

/// Those of a project's keys.
pub(super) async fn wipe_of_project(db: &mut Connection, project: u32) -> Result<(), StoreError> {
    sql("DELETE FROM key_texts WHERE key IN (SELECT number FROM keys WHERE project = ?)")
        .bind(project)
        .execute(db)
        .await?;
    Ok(())
}

/// Those of the keys of all projects that may call an API.
pub(super) async fn wipe_of_api(db: &mut Connection, api: u32) -> Result<(), StoreError> {
    sql("DELETE FROM key_texts WHERE key IN (SELECT k.number FROM keys k JOIN activations a ON a.project = k.project \
         WHERE a.api = ? AND a.state = 'approved' AND a.deleted_at IS NULL)")
    .bind(api)
    .execute(db)
    .await?;
    Ok(())
}

pub(super) async fn reveal(work: Work<'_>, id: KeyId, version: u16) -> Result<Done, ApplyError> {
    let key = find(work.db, work.tenant.id, id).await?.ok_or(NO_SUCH)?;
    if key.version != version {
        return Err(ApplyError::Stale);
    }
    if matches!(key.state, KeyState::Revoked { .. }) {
        return Err(ApplyError::Exists("the key was revoked, and its text is gone for good"));
    }
    if !key.recoverable {
        return Err(ApplyError::Exists("the text of this key is not kept; rotate the key to get another one"));
    }
    let shown = json!({ "version": key.version }).to_string();
    // Nothing that nodes hold was changed.
    Ok(Done::new("key.reveal", id, String::new(), shown, vec![Subject::Organization]))
}
