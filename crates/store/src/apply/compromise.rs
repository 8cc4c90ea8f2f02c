//! A key that others know: it ends, and another one takes its place, in one step.

use keystile_core::id::KeyId;
use serde_json::json;

use super::key::{NO_SUCH, insert};
use super::{Done, Work, policy, refuse_stale, text};
use crate::audit::Shown;
use crate::catalog::keys::find;
use crate::catalog::projects;
use crate::db::{signed, sql, state_columns};
use crate::records::NewKey;
use crate::{ApplyError, Subject};

pub(super) async fn compromise(
    mut work: Work<'_>,
    id: KeyId,
    was: u64,
    replacement: Option<&NewKey>,
    reason: &str,
) -> Result<Done, ApplyError> {
    let before = find(work.db, work.tenant.id, id).await?.ok_or(NO_SUCH)?;
    refuse_stale(before.revision, was)?;
    // One that was revoked already stays so since then.
    let (word, moment) = state_columns(before.state.revoke(work.at));
    sql("UPDATE keys SET state = ?, state_at = ?, updated_at = ?, revision = ? WHERE number = ?")
        .bind(word)
        .bind(moment)
        .bind(work.at.as_micros())
        .bind(signed(work.revision))
        .bind(before.number)
        .execute(&mut *work.db)
        .await?;
    text::wipe(work.db, before.number).await?;
    let mut touched = vec![Subject::Keys(before.number, before.number)];
    if let Some(key) = replacement {
        let project = projects::find(work.db, work.tenant.id, before.project).await?.ok_or(super::project::NO_SUCH)?;
        let policy = policy::intern(work.db, work.tenant, &before.policy).await?;
        // The change's second revision is that of the second key.
        work.revision += 1;
        let number = insert(&mut work, &project, key, policy).await?;
        touched.push(Subject::Keys(number, number));
    }
    let after = find(work.db, work.tenant.id, id).await?.ok_or(NO_SUCH)?;
    let mut shown = after.shown();
    shown["reason"] = json!(reason);
    shown["replacement"] = json!(replacement.map(|key| key.id));
    Ok(Done::new("key.compromise", id, before.shown().to_string(), shown.to_string(), touched))
}
