//! Changes of passkeys (WebAuthn). What one answers is taken once.

use keystile_core::id::{AccountId, PasskeyId, SessionId};
use keystile_core::time::Timestamp;
use serde_json::json;

use super::account::NO_SUCH as NO_ACCOUNT;
use super::factor::{NO_PROOF, remove_way, spend};
use super::{Done, Work, or_exists};
use crate::catalog::accounts::number;
use crate::db::{Connection, sql};
use crate::records::{NewPasskey, UsedPasskey, Ways};
use crate::{ApplyError, Subject};

const NO_SUCH: ApplyError = ApplyError::NotFound("passkey");

/// Most passkeys of an account.
const MAX_OF_ACCOUNT: u32 = 20;

pub(super) async fn add(work: Work<'_>, passkey: &NewPasskey) -> Result<Done, ApplyError> {
    let account = number(work.db, passkey.account).await?.ok_or(NO_ACCOUNT)?;
    spend(work.db, passkey.challenge).await?;
    let all = sql("SELECT count(*) FROM passkeys WHERE account = ?").bind(account);
    if all.fetch_number::<u32>(&mut *work.db).await? >= MAX_OF_ACCOUNT {
        return Err(ApplyError::Conflict(format!(
            "an account has at most {MAX_OF_ACCOUNT} passkeys; remove one first"
        )));
    }
    sql("INSERT INTO passkeys (id, account, credential_id, credential, name, created_at) VALUES (?, ?, ?, ?, ?, ?)")
        .bind(passkey.id.to_bytes())
        .bind(account)
        .bind(&passkey.credential_id[..])
        .bind(passkey.credential.as_str())
        .bind(passkey.name.as_str())
        .bind(work.at.as_micros())
        .execute(&mut *work.db)
        .await
        .map_err(or_exists("this passkey was added before"))?;
    Ok(done("passkey.create", passkey.id, &json!({ "account": passkey.account })))
}

/// The audit learns that there is another name, not which.
pub(super) async fn rename(
    work: Work<'_>,
    (id, holder): (PasskeyId, AccountId),
    name: &str,
) -> Result<Done, ApplyError> {
    let account = number(work.db, holder).await?.ok_or(NO_ACCOUNT)?;
    let renamed = sql("UPDATE passkeys SET name = ? WHERE id = ? AND account = ?")
        .bind(name)
        .bind(id.to_bytes())
        .bind(account)
        .execute(&mut *work.db)
        .await?;
    if renamed == 0 {
        return Err(NO_SUCH);
    }
    Ok(done("passkey.update", id, &json!({ "account": holder })))
}

pub(super) async fn remove(
    mut work: Work<'_>,
    (id, holder): (PasskeyId, AccountId),
    except: SessionId,
    ways: &Ways,
) -> Result<Done, ApplyError> {
    let shown = remove_way(&mut work, ("passkeys", NO_SUCH), (id.to_bytes(), holder), (except, ways)).await?;
    Ok(done("passkey.delete", id, &shown))
}

/// Takes an answer, if the passkey still is as it was when it was looked at.
pub(super) async fn use_up(
    db: &mut Connection,
    account: u32,
    used: &UsedPasskey,
    at: Timestamp,
) -> Result<(), ApplyError> {
    spend(db, used.challenge).await?;
    let went_on =
        sql("UPDATE passkeys SET credential = ?, used_at = ? WHERE id = ? AND account = ? AND credential = ?")
            .bind(used.is.as_str())
            .bind(at.as_micros())
            .bind(used.id.to_bytes())
            .bind(account)
            .bind(used.was.as_str())
            .execute(db)
            .await?;
    if went_on == 0 { Err(NO_PROOF) } else { Ok(()) }
}

fn done(action: &'static str, id: PasskeyId, after: &serde_json::Value) -> Done {
    Done::new(action, id, String::new(), after.to_string(), vec![Subject::Organization])
}
