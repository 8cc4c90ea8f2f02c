//! Erasing: nothing stays of what was written about somebody (K43). Ids and counts do; the audit's chain goes on, with what is left of its
//! entries sealed.

use keystile_core::id::{AccountId, ActivationId, CreditGrantId, KeyId, MemberId, ProjectId};
use keystile_core::key::KeyKind;
use keystile_core::policy::Policy;
use serde_json::json;

use super::{Done, Work, member, policy, project, session};
use crate::catalog::audit::{self, Parts};
use crate::db::{Columns, Connection, signed, sql};
use crate::{ApplyError, StoreError, Subject};

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
    let (subjects, managers) = subjects(work.db, id, of).await?;
    sql("UPDATE projects SET name = '', description = '', contact = '', suspended_reason = '', labels = '[]', metadata = '{}' \
         WHERE number = ?")
    .bind(of)
    .execute(&mut *work.db)
    .await?;
    sql("UPDATE activations SET reason = '', note = '', wanted = NULL, granted = NULL WHERE project = ?")
        .bind(of)
        .execute(&mut *work.db)
        .await?;
    sql("UPDATE credit_grants SET note = '' WHERE project = ?").bind(of).execute(&mut *work.db).await?;
    let of_keys = "key IN (SELECT number FROM keys WHERE project = ";
    for what in
        ["UPDATE key_versions SET hint = '' WHERE ", "DELETE FROM slow_hashes WHERE ", "DELETE FROM hand_overs WHERE "]
    {
        let mut query = sql(what);
        query.push(of_keys).push_bind(of).push(")");
        query.execute(&mut *work.db).await?;
    }
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
    policy::blank_unused(work.db, &policies, none).await?;
    let mut entries = 0;
    for some in subjects.chunks(IDS) {
        entries += audit::erase(
            work.db,
            work.parts,
            work.tenant.id,
            (" AND action <> 'project.erase' AND subject IN ", some),
            Parts::TEXTS,
        )
        .await?;
    }
    for some in managers.chunks(IDS) {
        entries += audit::erase(work.db, work.parts, work.tenant.id, (" AND actor IN ", some), Parts::ADDRESS).await?;
    }
    let shown = json!({ "keys": keys, "entries": entries }).to_string();
    Ok(Done::new("project.erase", id, String::new(), shown, touched))
}

/// The ids under which a project stands in the audit: its own, and those of its keys and activations; and those of its keys that could do something.
async fn subjects(db: &mut Connection, id: ProjectId, of: u32) -> Result<(Vec<String>, Vec<String>), StoreError> {
    let (mut all, mut managers) = (vec![id.to_string()], Vec::new());
    for row in sql("SELECT id, kind FROM keys WHERE project = ?").bind(of).fetch_all(&mut *db).await? {
        let mut row = Columns::of(&row);
        all.push(row.id(KeyId::from_slice)?.to_string());
        if row.text()? == KeyKind::Management.as_str() {
            managers.extend(all.last().cloned());
        }
    }
    for row in sql("SELECT id FROM credit_grants WHERE project = ?").bind(of).fetch_all(&mut *db).await? {
        all.push(Columns::of(&row).id(CreditGrantId::from_slice)?.to_string());
    }
    for row in sql("SELECT id FROM activations WHERE project = ?").bind(of).fetch_all(db).await? {
        all.push(Columns::of(&row).id(ActivationId::from_slice)?.to_string());
    }
    Ok((all, managers))
}

pub(super) async fn member(mut work: Work<'_>, id: MemberId, was: u64) -> Result<Done, ApplyError> {
    let row =
        sql("SELECT m.account, m.deleted_at, a.id, a.email FROM members m JOIN accounts a ON a.number = m.account \
         WHERE m.id = ? AND m.organization = ?")
        .bind(id.to_bytes())
        .bind(work.tenant.number)
        .fetch_optional(&mut *work.db)
        .await?
        .ok_or(member::NO_SUCH)?;
    let mut row = Columns::of(&row);
    let (account, deleted_at): (u32, _) = (row.number()?, row.moment_if_any()?);
    let (who, address): (AccountId, String) = (row.id(AccountId::from_slice)?, row.text()?);
    // Whoever was taken away before is erased as well.
    let touched = match deleted_at {
        None => member::delete(work.again(), id, was).await?.touched,
        Some(_) => vec![Subject::Organization],
    };
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
    for what in ["password_resets", "sign_in_links", "totps", "recovery_codes", "passkeys", "identities"] {
        let mut query = sql("DELETE FROM ");
        query.push(what).push(" WHERE account = ").push_bind(account);
        query.execute(&mut *work.db).await?;
    }
    // One that is open would be anybody's without its address.
    sql("UPDATE invitations SET state = 'withdrawn', updated_at = ?, revision = ? WHERE email = ? AND state = 'open'")
        .bind(work.at.as_micros())
        .bind(signed(work.revision))
        .bind(address.as_str())
        .execute(&mut *work.db)
        .await?;
    sql("UPDATE invitations SET email = NULL WHERE email = ?").bind(address.as_str()).execute(&mut *work.db).await?;
    sql("UPDATE accounts SET email = ?, name = '', password = NULL, password_at = NULL, alone = 1, updated_at = ?, revision = ? \
         WHERE number = ?")
    .bind(format!("{who}@erased.invalid").to_lowercase())
    .bind(work.at.as_micros())
    .bind(signed(work.revision))
    .bind(account)
    .execute(&mut *work.db)
    .await?;
    let ids = [who.to_string()];
    let mut entries = 0;
    // What programs call themselves is in those of sessions; what went wrong at logins is about the account.
    for (of, parts) in [
        (" AND action = 'session.create' AND actor IN ", Parts::ALL),
        (" AND actor IN ", Parts::ADDRESS),
        (" AND actor = 'system:login' AND subject IN ", Parts::ADDRESS),
    ] {
        entries += audit::erase(work.db, work.parts, work.tenant.id, (of, &ids), parts).await?;
    }
    let shown = json!({ "account": who, "entries": entries }).to_string();
    Ok(Done::new("member.erase", id, String::new(), shown, touched))
}
