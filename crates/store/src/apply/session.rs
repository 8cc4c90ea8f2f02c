//! Changes of sessions. A session that ends is gone; the audit tells that there was one.

use keystile_core::id::{AccountId, OrganizationId, SessionId};
use keystile_core::time::Timestamp;
use serde_json::json;

use super::account;
use super::{Done, Work, factor};
use crate::catalog::accounts::number;
use crate::db::{Columns, Connection, sql};
use crate::records::{NewSession, Shown};
use crate::{ApplyError, Subject, Who};

const NO_SUCH: ApplyError = ApplyError::NotFound("session");

/// Most sessions of an account: of more, the oldest end.
const MAX_OF_ACCOUNT: u32 = 50;

pub(super) async fn open(work: Work<'_>, session: &NewSession) -> Result<Done, ApplyError> {
    let account = number(work.db, session.account).await?.ok_or(account::NO_SUCH)?;
    refuse_stranger(work.db, account, work.tenant.number).await?;
    if let Some(replaced) = session.replaces {
        sql("DELETE FROM sessions WHERE id = ?").bind(replaced.to_bytes()).execute(&mut *work.db).await?;
    }
    if let Some(shown) = &session.shown {
        factor::hold(work.db, account, shown, work.at).await?;
    }
    sql("INSERT INTO sessions (id, account, organization, lookup, created_at, seen_at, proven_at, address, agent) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)")
    .bind(session.id.to_bytes())
    .bind(account)
    .bind(work.tenant.number)
    .bind(&session.lookup[..])
    .bind(work.at.as_micros())
    .bind(work.at.as_micros())
    .bind(proven_at(session.shown.as_ref(), work.at).as_micros())
    .bind(work.actor.address.map(|address| address.to_string()).unwrap_or_default())
    .bind(session.agent.as_str())
    .execute(&mut *work.db)
    .await?;
    sql("DELETE FROM sessions WHERE account = ? AND number NOT IN \
         (SELECT number FROM sessions WHERE account = ? ORDER BY number DESC LIMIT ?)")
    .bind(account)
    .bind(account)
    .bind(MAX_OF_ACCOUNT)
    .execute(&mut *work.db)
    .await?;
    let factor = session.shown.as_ref().map(factor::word);
    let shown = json!({ "account": session.account, "agent": session.agent, "factor": factor }).to_string();
    Ok(Done::new("session.create", session.id, String::new(), shown, vec![Subject::Organization]))
}

/// When the holder of a new session proved who they are: a device was let in by somebody who did.
fn proven_at(shown: Option<&Shown>, now: Timestamp) -> Timestamp {
    shown.map_or(now, |shown| shown.proven_at(now))
}

pub(super) async fn prove(work: Work<'_>, id: SessionId, lookup: [u8; 32], shown: &Shown) -> Result<Done, ApplyError> {
    let account = sql("SELECT account FROM sessions WHERE id = ? AND organization = ?");
    let account = account.bind(id.to_bytes()).bind(work.tenant.number);
    let account: u32 = account.fetch_number_if_any(&mut *work.db).await?.ok_or(NO_SUCH)?;
    factor::hold(work.db, account, shown, work.at).await?;
    renew(work.db, id, account, lookup, (work.at, shown.proven_at(work.at))).await?;
    let after = json!({ "factor": factor::word(shown) }).to_string();
    Ok(Done::new("session.prove", id, String::new(), after, vec![Subject::Organization]))
}

/// Gives a session another token: its holder proved just now who they are.
pub(super) async fn renew(
    db: &mut Connection,
    id: SessionId,
    account: u32,
    lookup: [u8; 32],
    (at, proven_at): (Timestamp, Timestamp),
) -> Result<(), ApplyError> {
    let renewed = sql("UPDATE sessions SET proven_at = ?, seen_at = ?, lookup = ? WHERE id = ? AND account = ?")
        .bind(proven_at.as_micros())
        .bind(at.as_micros())
        .bind(&lookup[..])
        .bind(id.to_bytes())
        .bind(account)
        .execute(db)
        .await?;
    if renewed == 0 { Err(NO_SUCH) } else { Ok(()) }
}

pub(super) async fn move_to(
    work: Work<'_>,
    id: SessionId,
    organization: OrganizationId,
    lookup: [u8; 32],
) -> Result<Done, ApplyError> {
    let row = sql("SELECT account FROM sessions WHERE id = ? AND organization = ?")
        .bind(id.to_bytes())
        .bind(work.tenant.number)
        .fetch_optional(&mut *work.db)
        .await?
        .ok_or(NO_SUCH)?;
    let account: u32 = Columns::of(&row).number()?;
    let to = super::tenant(work.db, organization).await?;
    refuse_stranger(work.db, account, to.number).await?;
    sql("UPDATE sessions SET organization = ?, lookup = ? WHERE id = ?")
        .bind(to.number)
        .bind(&lookup[..])
        .bind(id.to_bytes())
        .execute(&mut *work.db)
        .await?;
    let shown = |organization| json!({ "organization": organization }).to_string();
    let (before, after) = (shown(work.tenant.id), shown(organization));
    Ok(Done::new("session.move", id, before, after, vec![Subject::Organization]))
}

pub(super) async fn end(work: Work<'_>, id: SessionId) -> Result<Done, ApplyError> {
    let ended = sql("DELETE FROM sessions WHERE id = ? AND organization = ?")
        .bind(id.to_bytes())
        .bind(work.tenant.number)
        .execute(&mut *work.db)
        .await?;
    ended_one(id, ended)
}

/// Ends a session of an account, wherever it is.
pub(super) async fn end_own(work: Work<'_>, id: SessionId, account: AccountId) -> Result<Done, ApplyError> {
    let account = number(work.db, account).await?.ok_or(account::NO_SUCH)?;
    let ended = sql("DELETE FROM sessions WHERE id = ? AND account = ?")
        .bind(id.to_bytes())
        .bind(account)
        .execute(&mut *work.db)
        .await?;
    ended_one(id, ended)
}

fn ended_one(id: SessionId, ended: u64) -> Result<Done, ApplyError> {
    if ended == 0 {
        return Err(NO_SUCH);
    }
    Ok(Done::new("session.end", id, String::new(), String::new(), vec![Subject::Organization]))
}

/// Ends the sessions of the actor's own account, but for one.
pub(super) async fn end_all(work: Work<'_>, id: AccountId, except: Option<SessionId>) -> Result<Done, ApplyError> {
    if work.actor.who != Who::Account(id) {
        return Err(account::NO_SUCH);
    }
    let account = number(work.db, id).await?.ok_or(account::NO_SUCH)?;
    let ended = end_all_of(work.db, account, except).await?;
    let shown = json!({ "sessions_ended": ended }).to_string();
    Ok(Done::new("session.end_all", id, String::new(), shown, vec![Subject::Organization]))
}

/// Ends the sessions of an account, but for one, and lets nobody in by what was offered before: no device that was let in, no link. Says
/// how many sessions.
pub(super) async fn end_all_of(
    db: &mut Connection,
    account: u32,
    except: Option<SessionId>,
) -> Result<u64, ApplyError> {
    let mut query = sql("DELETE FROM sessions WHERE account = ");
    query.push_bind(account);
    if let Some(except) = except {
        query.push(" AND id <> ").push_bind(except.to_bytes());
    }
    let ended = query.execute(&mut *db).await?;
    sql("DELETE FROM device_logins WHERE account = ?").bind(account).execute(&mut *db).await?;
    sql("DELETE FROM sign_in_links WHERE account = ?").bind(account).execute(db).await?;
    Ok(ended)
}

/// Refuses a session where its account is no member.
pub(super) async fn refuse_stranger(db: &mut Connection, account: u32, organization: u32) -> Result<(), ApplyError> {
    let is_member: u32 =
        sql("SELECT count(*) FROM members WHERE account = ? AND organization = ? AND deleted_at IS NULL")
            .bind(account)
            .bind(organization)
            .fetch_number(db)
            .await?;
    if is_member == 0 { Err(ApplyError::NotFound("organization")) } else { Ok(()) }
}
