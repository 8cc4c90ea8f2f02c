//! Changes of second factors: one-time codes, and recovery codes for whoever lost them. Each code is taken once.

use keystile_core::id::{AccountId, MemberId, SessionId};
use keystile_core::time::Timestamp;
use serde_json::json;

use super::account::{NO_SUCH, forgive, has_password, refuse_shared, unchanged};
use super::encryption::refuse_retired;
use super::{Done, Work, identity, link, passkey, session};
use crate::catalog::accounts::number;
use crate::db::{Connection, signed, sql};
use crate::records::{Challenge, Shown, UsedFactor, UsedLink, Ways};
use crate::secret::Sealed;
use crate::{ApplyError, Subject};

/// What was shown is not what is asked for, or was used before.
pub(super) const NO_PROOF: ApplyError = ApplyError::NotFound("proof");

pub(super) async fn offer_totp(work: Work<'_>, id: AccountId, sealed: &Sealed) -> Result<Done, ApplyError> {
    refuse_retired(work.db, sealed).await?;
    let account = number(work.db, id).await?.ok_or(NO_SUCH)?;
    let kept = sql("INSERT INTO totps (account, sealed, created_at, last_step) VALUES (?, ?, ?, 0) \
         ON CONFLICT (account) DO UPDATE SET sealed = excluded.sealed, created_at = excluded.created_at \
         WHERE totps.confirmed_at IS NULL")
    .bind(account)
    .bind(&sealed.0[..])
    .bind(work.at.as_micros())
    .execute(&mut *work.db)
    .await?;
    if kept == 0 {
        return Err(ApplyError::Conflict("one-time codes are asked for already; remove them first".to_owned()));
    }
    Ok(done("account.totp_offer", id, String::new()))
}

pub(super) async fn confirm_totp(
    work: Work<'_>,
    id: AccountId,
    (made_at, step): (Timestamp, u64),
    (codes, except): (&[[u8; 32]], SessionId),
) -> Result<Done, ApplyError> {
    let account = number(work.db, id).await?.ok_or(NO_SUCH)?;
    let confirmed = sql("UPDATE totps SET confirmed_at = ?, last_step = ? WHERE account = ? AND created_at = ? \
         AND confirmed_at IS NULL")
    .bind(work.at.as_micros())
    .bind(signed(step))
    .bind(account)
    .bind(made_at.as_micros())
    .execute(&mut *work.db)
    .await?;
    if confirmed == 0 {
        return Err(ApplyError::Conflict(
            "no one-time codes wait to be confirmed, or others do by now; begin anew".to_owned(),
        ));
    }
    replace_codes(work.db, account, codes).await?;
    let ended = session::end_all_of(work.db, account, Some(except)).await?;
    Ok(done("account.totp_add", id, json!({ "sessions_ended": ended }).to_string()))
}

pub(super) async fn set_codes(work: Work<'_>, id: AccountId, codes: &[[u8; 32]]) -> Result<Done, ApplyError> {
    let account = number(work.db, id).await?.ok_or(NO_SUCH)?;
    if !has_totp(work.db, account).await? {
        return Err(ApplyError::Conflict(
            "recovery codes are for whoever has one-time codes; add those first".to_owned(),
        ));
    }
    replace_codes(work.db, account, codes).await?;
    Ok(done("account.recovery_codes", id, json!({ "codes": codes.len() }).to_string()))
}

pub(super) async fn remove(
    mut work: Work<'_>,
    id: AccountId,
    except: Option<SessionId>,
    of: Option<(MemberId, u64)>,
) -> Result<Done, ApplyError> {
    let account = number(work.db, id).await?.ok_or(NO_SUCH)?;
    if let Some((member, was)) = of {
        unchanged(&mut work, member, was).await?;
        refuse_shared(&mut work, account).await?;
    }
    let alone: u32 =
        sql("SELECT alone FROM accounts WHERE number = ?").bind(account).fetch_number(&mut *work.db).await?;
    if alone == 0 {
        return Err(ApplyError::Conflict(
            "the password is too short to be all that is asked for: first there must be one of 15 characters, chosen by its \
             holder or by a link to a new password"
                .to_owned(),
        ));
    }
    let mut removed = remove_codes(work.db, account).await?;
    let (mut passkeys, mut identities) = (0, 0);
    // Whoever lost a device lost its passkey as well, and what it is logged in at.
    if of.is_some() {
        passkeys = sql("DELETE FROM passkeys WHERE account = ?").bind(account).execute(&mut *work.db).await?;
        identities = sql("DELETE FROM identities WHERE account = ?").bind(account).execute(&mut *work.db).await?;
        removed += passkeys + identities;
    }
    if removed == 0 {
        return Err(ApplyError::NotFound("second factor"));
    }
    let ended = session::end_all_of(work.db, account, except).await?;
    let shown = json!({ "passkeys": passkeys, "identities": identities, "sessions_ended": ended });
    Ok(done("account.factors_remove", id, shown.to_string()))
}

/// Whether one-time codes are asked for.
pub(super) async fn has_totp(db: &mut Connection, account: u32) -> Result<bool, ApplyError> {
    let confirmed = sql("SELECT count(*) FROM totps WHERE account = ? AND confirmed_at IS NOT NULL").bind(account);
    Ok(confirmed.fetch_number::<u32>(db).await? > 0)
}

/// Uses up what somebody showed, if it still is what is asked for: another password, or a factor that came meanwhile, wants another
/// proof.
pub(super) async fn hold(db: &mut Connection, account: u32, shown: &Shown, at: Timestamp) -> Result<(), ApplyError> {
    let (hash, factor, forgives) = match shown {
        Shown::Password { hash, factor, forgives } => (hash, *factor, *forgives),
        Shown::Passkey(used) => return passkey::use_up(db, account, used, at).await,
        Shown::Identity(used) => return identity::use_up(db, account, used, at).await,
        Shown::Link(used) => return hold_link(db, account, used, at).await,
    };
    let same = sql("SELECT count(*) FROM accounts WHERE number = ? AND password = ?");
    let same: u32 = same.bind(account).bind(hash.expose()).fetch_number(&mut *db).await?;
    if same == 0 || (factor.is_none() && has_totp(db, account).await?) {
        return Err(NO_PROOF);
    }
    use_up(db, account, factor).await?;
    forgive(db, forgives).await
}

/// A link is used up as well, and is not all where one-time codes are asked for.
async fn hold_link(db: &mut Connection, account: u32, used: &UsedLink, at: Timestamp) -> Result<(), ApplyError> {
    if used.factor.is_none() && has_totp(db, account).await? {
        return Err(NO_PROOF);
    }
    link::use_up(db, account, used.lookup, at).await?;
    use_up(db, account, used.factor).await?;
    match used.factor {
        Some(_) => forgive(db, used.forgives).await,
        // Nothing that somebody could guess was shown.
        None => Ok(()),
    }
}

/// Notes that a challenge was answered; nobody answers it again.
pub(super) async fn spend(db: &mut Connection, challenge: Challenge) -> Result<(), ApplyError> {
    let spent = sql("INSERT INTO spent_challenges (lookup, ends_at) VALUES (?, ?) ON CONFLICT (lookup) DO NOTHING")
        .bind(&challenge.lookup[..])
        .bind(challenge.ends_at.as_micros())
        .execute(db)
        .await?;
    if spent == 0 { Err(NO_PROOF) } else { Ok(()) }
}

/// Whether an account has a way in that takes no password.
pub(super) async fn has_other_way(db: &mut Connection, account: u32) -> Result<bool, ApplyError> {
    let ways = sql(
        "SELECT (SELECT count(*) FROM passkeys WHERE account = ?) + (SELECT count(*) FROM identities WHERE account = ?)",
    );
    Ok(ways.bind(account).bind(account).fetch_number::<u32>(db).await? > 0)
}

/// Whether an account has one of these.
async fn leads_in(db: &mut Connection, account: u32, ways: &Ways) -> Result<bool, ApplyError> {
    let passkeys: u32 =
        sql("SELECT count(*) FROM passkeys WHERE account = ?").bind(account).fetch_number(&mut *db).await?;
    let identities = sql("SELECT count(*) FROM identities WHERE account = ? AND issuer = ?").bind(account);
    let identities: u32 = identities.bind(ways.issuer.as_deref().unwrap_or_default()).fetch_number(db).await?;
    Ok(ways.passkeys && passkeys > 0 || identities > 0)
}

/// Refuses to leave somebody without any way in.
pub(super) async fn refuse_shut_out(db: &mut Connection, account: u32, ways: &Ways) -> Result<(), ApplyError> {
    if !has_password(db, account).await? && !leads_in(db, account, ways).await? {
        return Err(ApplyError::Conflict(
            "nothing else would let you in: add another passkey, or choose a password, first".to_owned(),
        ));
    }
    Ok(())
}

/// Takes a way in that is a row of this table away from its holder, whose other sessions end; what the audit is told of it.
pub(super) async fn remove_way(
    work: &mut Work<'_>,
    (table, no_such): (&'static str, ApplyError),
    (id, holder): ([u8; 16], AccountId),
    (except, ways): (SessionId, &Ways),
) -> Result<serde_json::Value, ApplyError> {
    let account = number(work.db, holder).await?.ok_or(NO_SUCH)?;
    let mut query = sql("DELETE FROM ");
    query.push(table).push(" WHERE id = ").push_bind(id).push(" AND account = ").push_bind(account);
    if query.execute(&mut *work.db).await? == 0 {
        return Err(no_such);
    }
    refuse_shut_out(work.db, account, ways).await?;
    let ended = session::end_all_of(work.db, account, Some(except)).await?;
    Ok(json!({ "account": holder, "sessions_ended": ended }))
}

/// What was shown in place of a password, or besides it, for the audit.
pub(super) const fn word(shown: &Shown) -> Option<&'static str> {
    match shown {
        Shown::Passkey(_) => Some("passkey"),
        Shown::Identity(_) => Some("identity"),
        Shown::Link(UsedLink { factor: None, .. }) => Some("link"),
        Shown::Link(UsedLink { factor: Some(UsedFactor::Totp { .. }), .. }) => Some("link_and_totp"),
        Shown::Link(UsedLink { factor: Some(UsedFactor::RecoveryCode { .. }), .. }) => Some("link_and_recovery_code"),
        Shown::Password { factor: None, .. } => None,
        Shown::Password { factor: Some(UsedFactor::Totp { .. }), .. } => Some("totp"),
        Shown::Password { factor: Some(UsedFactor::RecoveryCode { .. }), .. } => Some("recovery_code"),
    }
}

/// Takes the one-time codes and the recovery codes of an account away; says whether there were any.
pub(super) async fn remove_codes(db: &mut Connection, account: u32) -> Result<u64, ApplyError> {
    let removed = sql("DELETE FROM totps WHERE account = ?").bind(account).execute(&mut *db).await?;
    sql("DELETE FROM recovery_codes WHERE account = ?").bind(account).execute(db).await?;
    Ok(removed)
}

/// Takes a code, once: of two who show the same one the second is refused.
async fn use_up(db: &mut Connection, account: u32, factor: Option<UsedFactor>) -> Result<(), ApplyError> {
    let used = match factor {
        None => return Ok(()),
        Some(UsedFactor::Totp { step }) => {
            sql("UPDATE totps SET last_step = ? WHERE account = ? AND last_step < ? AND confirmed_at IS NOT NULL")
                .bind(signed(step))
                .bind(account)
                .bind(signed(step))
                .execute(db)
                .await?
        }
        Some(UsedFactor::RecoveryCode { lookup }) => {
            sql("DELETE FROM recovery_codes WHERE account = ? AND lookup = ?")
                .bind(account)
                .bind(&lookup[..])
                .execute(db)
                .await?
        }
    };
    if used == 0 { Err(NO_PROOF) } else { Ok(()) }
}

async fn replace_codes(db: &mut Connection, account: u32, codes: &[[u8; 32]]) -> Result<(), ApplyError> {
    sql("DELETE FROM recovery_codes WHERE account = ?").bind(account).execute(&mut *db).await?;
    for lookup in codes {
        sql("INSERT INTO recovery_codes (account, lookup) VALUES (?, ?)")
            .bind(account)
            .bind(&lookup[..])
            .execute(&mut *db)
            .await?;
    }
    Ok(())
}

fn done(action: &'static str, id: AccountId, after: String) -> Done {
    Done::new(action, id, String::new(), after, vec![Subject::Organization])
}
