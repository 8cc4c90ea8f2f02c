//! What is told of keys, quotas and credits: an entry in the audit, once.

use keystile_core::credit::{CreditNotice, CreditNoticeKind};
use keystile_core::id::{ActivationId, KeyId};
use keystile_core::key::KeyNotice;
use keystile_core::plan::QuotaNotice;
use serde_json::json;

use super::key::NO_SUCH;
use super::{Done, Work};
use crate::audit::Shown;
use crate::catalog::keys::find;
use crate::catalog::{activations, credits};
use crate::db::sql;
use crate::{ApplyError, Subject};

/// Tells an organization of a share of a quota that is used, once in each period.
pub(super) async fn note_quota(work: Work<'_>, id: ActivationId, notice: &QuotaNotice) -> Result<Done, ApplyError> {
    let activation = activations::find(work.db, work.tenant.id, id).await?.ok_or(ApplyError::NotFound("activation"))?;
    let noted = sql("INSERT INTO quota_notices (activation, organization, quota, starts_at, percent, at) \
         VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING")
    .bind(activation.number)
    .bind(work.tenant.number)
    .bind(format!("{}:{}", notice.of.as_str(), notice.name.as_str()))
    .bind(notice.starts_at.as_micros())
    .bind(u32::from(notice.percent))
    .bind(work.at.as_micros())
    .execute(&mut *work.db)
    .await?;
    if noted == 0 {
        return Err(ApplyError::Exists("this was told of the quota before"));
    }
    sql("DELETE FROM quota_notices WHERE activation = ? AND organization = ? AND quota = ? AND starts_at < ?")
        .bind(activation.number)
        .bind(work.tenant.number)
        .bind(format!("{}:{}", notice.of.as_str(), notice.name.as_str()))
        .bind(notice.starts_at.as_micros())
        .execute(&mut *work.db)
        .await?;
    let before = activation.shown();
    let mut after = before.clone();
    after["quota"] = json!(notice);
    Ok(Done::new(notice.action(), id, before.to_string(), after.to_string(), vec![Subject::Organization]))
}

/// Tells an organization of credits that run down or end, once for each grant: who granted them, or who holds them.
pub(super) async fn note_credits(work: Work<'_>, notice: &CreditNotice) -> Result<Done, ApplyError> {
    let grant = credits::of_number(work.db, work.tenant.id, notice.grant).await?;
    let grant = grant.ok_or(ApplyError::NotFound("credit grant"))?;
    // Of a later grant it was told, which has ended meanwhile and is known to nobody any more.
    let later = sql("SELECT n.at FROM credit_notices n JOIN credit_grants l ON l.number = n.credit_grant \
         JOIN credit_grants c ON c.organization = l.organization AND c.holder = l.holder \
         AND coalesce(c.project, 0) = coalesce(l.project, 0) AND (l.starts_at, l.number) > (c.starts_at, c.number) \
         WHERE c.number = ? AND n.organization = ? AND n.kind = ?")
    .bind(grant.number)
    .bind(work.tenant.number)
    .bind(notice.kind.as_str());
    let is_of_all = notice.kind != CreditNoticeKind::Ending;
    if is_of_all && later.fetch_optional(&mut *work.db).await?.is_some() {
        return Err(ApplyError::Exists("this was told of later credits"));
    }
    let noted = sql("INSERT INTO credit_notices (credit_grant, organization, kind, at) VALUES (?, ?, ?, ?) \
         ON CONFLICT DO NOTHING")
    .bind(grant.number)
    .bind(work.tenant.number)
    .bind(notice.kind.as_str())
    .bind(work.at.as_micros())
    .execute(&mut *work.db)
    .await?;
    if noted == 0 {
        return Err(ApplyError::Exists("this was told of the credits before"));
    }
    let before = grant.shown();
    let mut after = before.clone();
    after["credits"] = json!(notice);
    let touched = vec![Subject::Organization];
    Ok(Done::new(notice.kind.action(), grant.id, before.to_string(), after.to_string(), touched))
}

pub(super) async fn note(work: Work<'_>, id: KeyId, notice: &KeyNotice) -> Result<Done, ApplyError> {
    let key = find(work.db, work.tenant.id, id).await?.ok_or(NO_SUCH)?;
    let (kind, about) = notice.identity();
    let noted = sql("INSERT INTO key_notices (key, kind, about, at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING")
        .bind(key.number)
        .bind(kind)
        .bind(about)
        .bind(work.at.as_micros())
        .execute(&mut *work.db)
        .await?;
    if noted == 0 {
        return Err(ApplyError::Exists("this was told of the key before"));
    }
    let mut shown = key.shown();
    shown["notice"] = match *notice {
        KeyNotice::Expiring { ends_at, days } => json!({ "ends_at": ends_at, "days": days }),
        KeyNotice::Expired { ended_at } => json!({ "ended_at": ended_at }),
        KeyNotice::VersionEnded { version, ended_at } => json!({ "version": version, "ended_at": ended_at }),
        KeyNotice::RotationDue { version, due_at, days } => {
            json!({ "version": version, "due_at": due_at, "days": days })
        }
        KeyNotice::Unused { since, days } => json!({ "since": since, "days": days }),
    };
    // Nothing that nodes hold was changed.
    let touched = vec![Subject::Organization];
    Ok(Done::new(notice.action(), id, key.shown().to_string(), shown.to_string(), touched))
}
