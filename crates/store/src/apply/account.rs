//! Changes of accounts: made, given another password, tried in vain. The audit learns neither addresses nor names: an account's
//! id says who it is for as long as there is the account.

use keystile_core::account::TRIES;
use keystile_core::code::Code;
use keystile_core::id::{AccountId, KeyId, MemberId, SessionId};
use keystile_core::time::Timestamp;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::{Done, Work, factor, identity, or_exists, refuse_stale, session};
use crate::catalog::accounts::number;
use crate::catalog::members;
use crate::catalog::organizations::FIRST;
use crate::db::{Connection, signed, sql};
use crate::records::{Entry, Failure, NewAccount, PasswordHash, Ways};
use crate::{ApplyError, PasswordBy, Subject};

pub(super) const NO_SUCH: ApplyError = ApplyError::NotFound("account");

/// What stands in the audit where nobody has the address.
const NOBODY: &str = "unknown";

pub(super) async fn insert(
    db: &mut Connection,
    account: &NewAccount,
    at: Timestamp,
    revision: u64,
) -> Result<u32, ApplyError> {
    let password = match &account.entry {
        Entry::Password(hash) => Some(hash.expose().to_owned()),
        Entry::Identity(_) | Entry::Links => None,
    };
    let row =
        sql("INSERT INTO accounts (id, email, name, password, password_at, alone, created_at, updated_at, revision) \
         VALUES (?, ?, ?, ?, ?, 1, ?, ?, ?) RETURNING number")
        .bind(account.id.to_bytes())
        .bind(account.email.as_str())
        .bind(account.name.as_str())
        .bind(password.as_deref())
        .bind(password.as_ref().map(|_| at.as_micros()))
        .bind(at.as_micros())
        .bind(at.as_micros())
        .bind(signed(revision))
        .fetch_one(&mut *db)
        .await
        .map_err(or_exists(
            "there is an account with this e-mail address by now; accept the invitation with its password",
        ))?;
    let number = super::number_of(&row)?;
    if let Entry::Identity(new) = &account.entry {
        identity::insert(db, number, new, at).await?;
    }
    Ok(number)
}

/// The audit learns that there is another name, not which.
pub(super) async fn rename(work: Work<'_>, id: AccountId, name: &str) -> Result<Done, ApplyError> {
    let renamed = sql("UPDATE accounts SET name = ?, updated_at = ?, revision = ? WHERE id = ?")
        .bind(name)
        .bind(work.at.as_micros())
        .bind(signed(work.revision))
        .bind(id.to_bytes())
        .execute(&mut *work.db)
        .await?;
    if renamed == 0 {
        return Err(NO_SUCH);
    }
    Ok(Done::new("account.update", id, String::new(), String::new(), vec![Subject::Organization]))
}

pub(super) async fn set_password(
    work: Work<'_>,
    id: AccountId,
    (password, alone): (&PasswordHash, bool),
    by: &PasswordBy,
) -> Result<Done, ApplyError> {
    let account = number(work.db, id).await?.ok_or(NO_SUCH)?;
    let (except, action) = match by {
        PasswordBy::Holder { shown, session, lookup } => {
            match shown {
                Some(shown) => factor::hold(work.db, account, shown, work.at).await?,
                None => refuse_second(work.db, account).await?,
            }
            session::renew(work.db, *session, account, *lookup, (work.at, work.at)).await?;
            (Some(*session), "account.password_change")
        }
        PasswordBy::Link { lookup, forgives } => {
            let standing = standing(work.db, account).await?;
            let opened =
                sql("DELETE FROM password_resets WHERE lookup = ? AND account = ? AND ends_at > ? AND standing = ?")
                    .bind(&lookup[..])
                    .bind(account)
                    .bind(work.at.as_micros())
                    .bind(&standing[..])
                    .execute(&mut *work.db)
                    .await?;
            if opened == 0 {
                return Err(ApplyError::NotFound("link"));
            }
            forgive(work.db, *forgives).await?;
            (None, "account.password_reset")
        }
    };
    if !alone && !factor::has_totp(work.db, account).await? {
        return Err(ApplyError::Conflict(
            "the second factor was removed meanwhile; choose a longer password".to_owned(),
        ));
    }
    sql("UPDATE accounts SET password = ?, password_at = ?, alone = ?, updated_at = ?, revision = ? WHERE number = ?")
        .bind(password.expose())
        .bind(work.at.as_micros())
        .bind(i64::from(alone))
        .bind(work.at.as_micros())
        .bind(signed(work.revision))
        .bind(account)
        .execute(&mut *work.db)
        .await?;
    sql("DELETE FROM password_resets WHERE account = ?").bind(account).execute(&mut *work.db).await?;
    let ended = session::end_all_of(work.db, account, except).await?;
    let shown = json!({ "sessions_ended": ended }).to_string();
    Ok(Done::new(action, id, String::new(), shown, vec![Subject::Organization]))
}

/// Refuses a password without the one before where there is one.
async fn refuse_second(db: &mut Connection, account: u32) -> Result<(), ApplyError> {
    if has_password(db, account).await? {
        return Err(ApplyError::Conflict("there is a password by now; send it as current".to_owned()));
    }
    Ok(())
}

/// Whether there is a password to log in with.
pub(super) async fn has_password(db: &mut Connection, account: u32) -> Result<bool, ApplyError> {
    let found = sql("SELECT count(*) FROM accounts WHERE number = ? AND password IS NOT NULL").bind(account);
    Ok(found.fetch_number::<u32>(db).await? > 0)
}

/// Takes the password away, and the codes that were asked for with it.
pub(super) async fn remove_password(
    work: Work<'_>,
    id: AccountId,
    except: SessionId,
    ways: &Ways,
) -> Result<Done, ApplyError> {
    let account = number(work.db, id).await?.ok_or(NO_SUCH)?;
    if !has_password(work.db, account).await? {
        return Err(ApplyError::NotFound("password"));
    }
    sql("UPDATE accounts SET password = NULL, password_at = NULL, alone = 1, updated_at = ?, revision = ? WHERE number = ?")
        .bind(work.at.as_micros())
        .bind(signed(work.revision))
        .bind(account)
        .execute(&mut *work.db)
        .await?;
    factor::refuse_shut_out(work.db, account, ways).await?;
    factor::remove_codes(work.db, account).await?;
    sql("DELETE FROM password_resets WHERE account = ?").bind(account).execute(&mut *work.db).await?;
    let ended = session::end_all_of(work.db, account, Some(except)).await?;
    let shown = json!({ "sessions_ended": ended }).to_string();
    Ok(Done::new("account.password_remove", id, String::new(), shown, vec![Subject::Organization]))
}

/// Makes a link to a new password. Whoever manages one organization gets no hold of somebody who is a member of others too, but
/// for the one that runs the installation; nor of what somebody becomes later.
pub(super) async fn offer_reset(
    mut work: Work<'_>,
    (member, was): (MemberId, u64),
    lookup: [u8; 32],
    ends_at: Timestamp,
) -> Result<Done, ApplyError> {
    let id = unchanged(&mut work, member, was).await?;
    let account = number(work.db, id).await?.ok_or(NO_SUCH)?;
    refuse_shared(&mut work, account).await?;
    if factor::has_other_way(work.db, account).await? {
        return Err(ApplyError::Conflict(
            "this person has passkeys or is known by an identity provider, and a link would be a way in beside those that they would not \
             notice. If they lost them, remove their factors first"
                .to_owned(),
        ));
    }
    let standing = standing(work.db, account).await?;
    sql("DELETE FROM password_resets WHERE account = ?").bind(account).execute(&mut *work.db).await?;
    sql("INSERT INTO password_resets (lookup, account, standing, created_at, ends_at) VALUES (?, ?, ?, ?, ?)")
        .bind(&lookup[..])
        .bind(account)
        .bind(&standing[..])
        .bind(work.at.as_micros())
        .bind(ends_at.as_micros())
        .execute(&mut *work.db)
        .await?;
    let shown = json!({ "ends_at": ends_at }).to_string();
    Ok(Done::new("account.offer_reset", id, String::new(), shown, vec![Subject::Organization]))
}

/// The account of a member that nobody changed meanwhile.
pub(super) async fn unchanged(work: &mut Work<'_>, member: MemberId, was: u64) -> Result<AccountId, ApplyError> {
    let found = members::find(work.db, work.tenant.id, member).await?.ok_or(super::member::NO_SUCH)?;
    refuse_stale(found.revision, was)?;
    Ok(found.account.id)
}

/// What an account is in all its organizations, as one value: another one as soon as anything of it changes.
async fn standing(db: &mut Connection, account: u32) -> Result<[u8; 32], ApplyError> {
    let mut query = sql(members::SELECT);
    query.push(" AND a.number = ").push_bind(account).push(" ORDER BY m.number");
    let mut hash = Sha256::new();
    for row in query.fetch_all(db).await? {
        let member = members::read(&row)?;
        hash.update(member.id.to_bytes());
        for permission in &member.granted {
            hash.update(permission.as_str());
            hash.update(b"|");
        }
    }
    Ok(hash.finalize().into())
}

/// Refuses to lay hands on how somebody logs in who is a member of others as well.
pub(super) async fn refuse_shared(work: &mut Work<'_>, account: u32) -> Result<(), ApplyError> {
    let (here, elsewhere): (u32, u32) = (
        sql("SELECT count(*) FROM members WHERE account = ? AND organization = ? AND deleted_at IS NULL")
            .bind(account)
            .bind(work.tenant.number)
            .fetch_number(&mut *work.db)
            .await?,
        sql("SELECT count(*) FROM members WHERE account = ? AND organization <> ? AND deleted_at IS NULL")
            .bind(account)
            .bind(work.tenant.number)
            .fetch_number(&mut *work.db)
            .await?,
    );
    if here == 0 {
        return Err(NO_SUCH);
    }
    if elsewhere > 0 && work.tenant.number != FIRST {
        return Err(ApplyError::Conflict(
            "this person is a member of other organizations too; only whoever runs the installation can change how they log \
             in"
                .to_owned(),
        ));
    }
    Ok(())
}

/// Notes that something was wrong. Addresses without an account are noted as well, so that nothing tells them apart.
pub(super) fn fail(account: Option<AccountId>, failure: Failure) -> Done {
    let (action, shown) = match failure {
        Failure::Password { in_a_row } if in_a_row.is_multiple_of(TRIES) => {
            ("login.lock", json!({ "in_a_row": in_a_row }))
        }
        Failure::Password { in_a_row } => ("login.fail", json!({ "in_a_row": in_a_row })),
        Failure::Passkey => ("login.fail", json!({ "factor": "passkey" })),
        Failure::Link => ("login.fail", json!({ "factor": "link" })),
        Failure::Identity => ("login.fail", json!({ "factor": "identity" })),
        Failure::Counter => ("passkey.counter_went_back", json!({ "factor": "passkey" })),
    };
    let subject = account.map_or_else(|| NOBODY.to_owned(), |id| id.to_string());
    Done::new(action, subject, String::new(), shown.to_string(), vec![Subject::Organization])
}

/// Notes that a key was refused at the management API.
pub(super) fn fail_key(id: KeyId, code: Code) -> Done {
    let shown = json!({ "code": code.as_str() }).to_string();
    Done::new("login.fail", id, String::new(), shown, vec![Subject::Organization])
}

/// Forgets what went wrong.
pub(super) async fn forgive(db: &mut Connection, lookup: [u8; 32]) -> Result<(), ApplyError> {
    sql("DELETE FROM login_failures WHERE lookup = ?").bind(&lookup[..]).execute(db).await?;
    Ok(())
}
