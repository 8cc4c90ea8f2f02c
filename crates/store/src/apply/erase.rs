//! Erasing: nothing stays of what was written about somebody (K43). Ids and counts do; the audit's chain goes on, with what is left of its
//! entries sealed.

use keystile_core::id::{ActivationId, KeyId, MemberId, ProjectId};
use keystile_core::policy::Policy;
use serde_json::json;

use super::account::NO_SUCH as NO_ACCOUNT;
use super::{Done, Work, member, policy, project, session};
use crate::catalog::accounts::number;
use crate::catalog::audit::{self, Which};
use crate::catalog::members;
use crate::db::{Columns, Connection, signed, sql};
use crate::{ApplyError, StoreError, Subject};

/// Entries of the audit at a time.
const ENTRIES: u32 = 1_000;
/// Ids in one question.
const IDS: usize = 500;

pub(super) async fn project(mut work: Work<'_>, id: ProjectId) -> Result<Done, ApplyError> {
    let row = sql("SELECT number, deleted_at FROM projects WHERE id = ? AND organization = ?")
        .bind(id.to_bytes())
        .bind(work.tenant.number)
        .fetch_optional(&mut *work.db)
        .await?
        .ok_or(project::NO_SUCH)?;
    let mut row = Columns::of(&row);
    let (of, deleted_at): (u32, _) = (row.number()?, row.moment_if_any()?);
    let touched = match deleted_at {
        None => project::delete(work.again(), id).await?.touched,
        Some(_) => vec![Subject::Project(of)],
    };
    let subjects = subjects(work.db, id, of).await?;
    sql("UPDATE projects SET name = '', description = '', contact = '', suspended_reason = '', labels = '[]', metadata = '{}' \
         WHERE number = ?")
    .bind(of)
    .execute(&mut *work.db)
    .await?;
    sql("UPDATE activations SET reason = '', note = '' WHERE project = ?").bind(of).execute(&mut *work.db).await?;
    let policies: Vec<u32> = sql("SELECT DISTINCT policy FROM keys WHERE project = ? ORDER BY policy")
        .bind(of)
        .fetch_numbers(&mut *work.db)
        .await?;
    // Networks and hours of a key say where somebody is.
    let none = policy::intern(work.db, work.tenant, &Policy::default()).await?;
    let keys =
        sql("UPDATE keys SET name = '', hint = '', labels = '[]', metadata = '{}', policy = ? WHERE project = ?")
            .bind(none)
            .bind(of)
            .execute(&mut *work.db)
            .await?;
    policy::forget_unused(work.db, &policies).await?;
    let mut entries = 0;
    for some in subjects.chunks(IDS) {
        entries += entries_of(&mut work, " AND subject IN ", some, false).await?;
        entries += entries_of(&mut work, " AND actor IN ", some, true).await?;
    }
    let shown = json!({ "keys": keys, "entries": entries }).to_string();
    Ok(Done::new("project.erase", id, String::new(), shown, touched))
}

/// The ids under which a project stands in the audit: its own, and those of its keys and activations.
async fn subjects(db: &mut Connection, id: ProjectId, of: u32) -> Result<Vec<String>, StoreError> {
    let mut all = vec![id.to_string()];
    for row in sql("SELECT id FROM keys WHERE project = ?").bind(of).fetch_all(&mut *db).await? {
        all.push(Columns::of(&row).id(KeyId::from_slice)?.to_string());
    }
    for row in sql("SELECT id FROM activations WHERE project = ?").bind(of).fetch_all(db).await? {
        all.push(Columns::of(&row).id(ActivationId::from_slice)?.to_string());
    }
    Ok(all)
}

pub(super) async fn member(mut work: Work<'_>, id: MemberId, was: u64) -> Result<Done, ApplyError> {
    let before = members::find(work.db, work.tenant.id, id).await?.ok_or(member::NO_SUCH)?;
    let account = number(work.db, before.account.id).await?.ok_or(NO_ACCOUNT)?;
    let touched = member::delete(work.again(), id, was).await?.touched;
    let others: u32 = sql("SELECT count(*) FROM members WHERE account = ? AND deleted_at IS NULL")
        .bind(account)
        .fetch_number(&mut *work.db)
        .await?;
    if others > 0 {
        return Err(ApplyError::Conflict(
            "this person is a member of other organizations too, whose account it is as well; take the member away instead".to_owned(),
        ));
    }
    session::end_all_of(work.db, account, None).await?;
    for what in ["password_resets", "totps", "recovery_codes", "passkeys", "identities"] {
        let mut query = sql("DELETE FROM ");
        query.push(what).push(" WHERE account = ").push_bind(account);
        query.execute(&mut *work.db).await?;
    }
    let address = before.account.email.as_str();
    // One that is open would be anybody's without its address.
    sql("UPDATE invitations SET state = 'withdrawn' WHERE email = ? AND state = 'open'")
        .bind(address)
        .execute(&mut *work.db)
        .await?;
    sql("UPDATE invitations SET email = NULL WHERE email = ?").bind(address).execute(&mut *work.db).await?;
    sql("UPDATE accounts SET email = ?, name = '', password = NULL, password_at = NULL, alone = 1, updated_at = ?, revision = ? \
         WHERE number = ?")
    .bind(format!("{}@erased.invalid", before.account.id).to_lowercase())
    .bind(work.at.as_micros())
    .bind(signed(work.revision))
    .bind(account)
    .execute(&mut *work.db)
    .await?;
    let who = [before.account.id.to_string()];
    // What programs call themselves is in those of sessions.
    let mut entries = entries_of(&mut work, " AND action = 'session.create' AND actor IN ", &who, false).await?;
    entries += entries_of(&mut work, " AND actor IN ", &who, true).await?;
    let shown = json!({ "account": before.account.id, "entries": entries }).to_string();
    Ok(Done::new("member.erase", id, String::new(), shown, touched))
}

/// Takes details out of all entries of these.
async fn entries_of(
    work: &mut Work<'_>,
    of: &'static str,
    ids: &[String],
    only_address: bool,
) -> Result<u32, ApplyError> {
    let (seed, mut all) = (work.parts.ring(), 0);
    loop {
        let erased = audit::erase(work.db, seed.seed(), Which::Of(of, ids), (only_address, ENTRIES)).await?;
        all += erased;
        if erased < ENTRIES {
            return Ok(all);
        }
    }
}
