//! Changes of members. An organization keeps one member at least that can let others in.

use keystile_core::id::MemberId;
use keystile_core::member::MemberRole;

use super::{Done, Work, member_role, organization, refuse_stale};
use crate::catalog::members::find;
use crate::catalog::organizations;
use crate::db::{signed, sql};
use crate::records::Member;
use crate::{ApplyError, Subject};

pub(super) const NO_SUCH: ApplyError = ApplyError::NotFound("member");

pub(super) async fn update(mut work: Work<'_>, id: MemberId, was: u64, role: MemberRole) -> Result<Done, ApplyError> {
    let before = find(work.db, work.tenant.id, id).await?.ok_or(NO_SUCH)?;
    refuse_stale(before.revision, was)?;
    if role != before.role {
        refuse_last(&mut work, &before).await?;
    }
    if role != before.role {
        withdraw_invitations(&mut work, &before).await?;
    }
    let (word, custom) = member_role::columns(work.db, work.tenant.id, role).await?;
    sql("UPDATE members SET role = ?, custom_role = ?, updated_at = ?, revision = ? WHERE number = ?")
        .bind(word)
        .bind(custom)
        .bind(work.at.as_micros())
        .bind(signed(work.revision))
        .bind(before.number)
        .execute(&mut *work.db)
        .await?;
    let after = find(work.db, work.tenant.id, id).await?.ok_or(NO_SUCH)?;
    Ok(Done::changed("member.update", id, [&before, &after], Subject::Organization))
}

pub(super) async fn delete(mut work: Work<'_>, id: MemberId, was: u64) -> Result<Done, ApplyError> {
    let before = find(work.db, work.tenant.id, id).await?.ok_or(NO_SUCH)?;
    refuse_stale(before.revision, was)?;
    refuse_last(&mut work, &before).await?;
    withdraw_invitations(&mut work, &before).await?;
    sql("DELETE FROM sessions WHERE organization = ? AND account = (SELECT account FROM members WHERE number = ?)")
        .bind(work.tenant.number)
        .bind(before.number)
        .execute(&mut *work.db)
        .await?;
    sql("UPDATE members SET deleted_at = ?, revision = ? WHERE number = ?")
        .bind(work.at.as_micros())
        .bind(signed(work.revision))
        .bind(before.number)
        .execute(&mut *work.db)
        .await?;
    Ok(Done::deleted("member.delete", id, &before, vec![Subject::Organization]))
}

/// Takes back the invitations that somebody made who may have no right to them any more.
async fn withdraw_invitations(work: &mut Work<'_>, member: &Member) -> Result<(), ApplyError> {
    sql("UPDATE invitations SET state = 'withdrawn', updated_at = ?, revision = ? \
         WHERE organization = ? AND made_by = ? AND state = 'open'")
    .bind(work.at.as_micros())
    .bind(signed(work.revision))
    .bind(work.tenant.number)
    .bind(member.account.id.to_string())
    .execute(&mut *work.db)
    .await?;
    Ok(())
}

/// Refuses to take the leading role from the last one that has it.
async fn refuse_last(work: &mut Work<'_>, member: &Member) -> Result<(), ApplyError> {
    let own = organizations::find(work.db, work.tenant.id, work.tenant.id).await?.ok_or(organization::NO_SUCH)?;
    let leading = own.kind.leading();
    if member.role != MemberRole::BuiltIn(leading) {
        return Ok(());
    }
    let others: u32 =
        sql("SELECT count(*) FROM members WHERE organization = ? AND role = ? AND number <> ? AND deleted_at IS NULL")
            .bind(work.tenant.number)
            .bind(leading.as_str())
            .bind(member.number)
            .fetch_number(&mut *work.db)
            .await?;
    if others > 0 {
        return Ok(());
    }
    Err(ApplyError::Conflict(format!(
        "this is the last member with the role {leading}, and nobody could let others in; give that role to another member \
         first"
    )))
}
