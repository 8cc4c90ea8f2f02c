//! Texts of keys that wait to be handed over. The audit learns that one waits and that it was opened, never the text.

use keystile_core::id::KeyId;
use keystile_core::time::Timestamp;
use serde_json::json;

use super::key::NO_SUCH;
use super::{Done, Work};
use crate::catalog::keys::find;
use crate::db::{Columns, sql};
use crate::secret::Sealed;
use crate::{ApplyError, Subject};

pub(super) async fn offer(
    work: Work<'_>,
    id: KeyId,
    lookup: [u8; 32],
    sealed: &Sealed,
    ends_at: Timestamp,
) -> Result<Done, ApplyError> {
    let key = find(work.db, work.tenant.id, id).await?.ok_or(NO_SUCH)?;
    sql("INSERT INTO hand_overs (lookup, key, sealed, created_at, ends_at) VALUES (?, ?, ?, ?, ?)")
        .bind(&lookup[..])
        .bind(key.number)
        .bind(&sealed.0[..])
        .bind(work.at.as_micros())
        .bind(ends_at.as_micros())
        .execute(&mut *work.db)
        .await?;
    let shown = json!({ "version": key.version, "ends_at": ends_at }).to_string();
    // Nothing that nodes hold was changed.
    Ok(Done::new("key.hand_over", id, String::new(), shown, vec![Subject::Organization]))
}

pub(super) async fn open(work: Work<'_>, lookup: [u8; 32]) -> Result<Done, ApplyError> {
    // Whoever comes second finds nothing: changes are made one after the other.
    let key: u32 = sql("UPDATE hand_overs SET opened_at = ?, sealed = ? WHERE lookup = ? AND opened_at IS NULL \
         AND ends_at > ? RETURNING key")
    .bind(work.at.as_micros())
    .bind(&b""[..])
    .bind(&lookup[..])
    .bind(work.at.as_micros())
    .fetch_number_if_any(&mut *work.db)
    .await?
    .ok_or(ApplyError::NotFound("hand-over"))?;
    let row = sql("SELECT k.id FROM keys k WHERE k.number = ? AND k.organization = ? AND k.deleted_at IS NULL")
        .bind(key)
        .bind(work.tenant.number)
        .fetch_optional(&mut *work.db)
        .await?
        .ok_or(NO_SUCH)?;
    let id = Columns::of(&row).id(KeyId::from_slice)?;
    let shown = json!({ "opened_at": work.at }).to_string();
    Ok(Done::new("key.handed_over", id, String::new(), shown, vec![Subject::Organization]))
}
