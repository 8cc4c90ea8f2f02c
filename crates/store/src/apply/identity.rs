//! Changes of what people are known by at identity providers (OpenID Connect). What a provider vouched for is taken once.

use keystile_core::id::{AccountId, IdentityId, SessionId};
use keystile_core::time::Timestamp;
use serde_json::json;

use super::account::NO_SUCH as NO_ACCOUNT;
use super::factor::{NO_PROOF, remove_way, spend};
use super::{Done, Work, or_exists};
use crate::catalog::accounts::number;
use crate::db::{Connection, sql};
use crate::records::{NewIdentity, UsedIdentity, Ways};
use crate::{ApplyError, Subject};

const NO_SUCH: ApplyError = ApplyError::NotFound("identity");

/// Most of them of an account: each is of another provider, or of another person there.
const MAX_OF_ACCOUNT: u32 = 20;

/// The audit learns the provider, and not who somebody is there.
pub(super) async fn add(work: Work<'_>, identity: &NewIdentity) -> Result<Done, ApplyError> {
    let account = number(work.db, identity.account).await?.ok_or(NO_ACCOUNT)?;
    let all = sql("SELECT count(*) FROM identities WHERE account = ?").bind(account);
    if all.fetch_number::<u32>(&mut *work.db).await? >= MAX_OF_ACCOUNT {
        return Err(ApplyError::Conflict(format!("an account has at most {MAX_OF_ACCOUNT} of them; remove one first")));
    }
    insert(work.db, account, identity, work.at).await?;
    let shown = json!({ "account": identity.account, "issuer": identity.named.issuer }).to_string();
    Ok(Done::new("identity.create", identity.id, String::new(), shown, vec![Subject::Organization]))
}

pub(super) async fn insert(
    db: &mut Connection,
    account: u32,
    identity: &NewIdentity,
    at: Timestamp,
) -> Result<(), ApplyError> {
    spend(db, identity.challenge).await?;
    sql("INSERT INTO identities (id, account, issuer, subject, created_at) VALUES (?, ?, ?, ?, ?)")
        .bind(identity.id.to_bytes())
        .bind(account)
        .bind(identity.named.issuer.as_str())
        .bind(identity.named.subject.as_str())
        .bind(at.as_micros())
        .execute(db)
        .await
        .map_err(or_exists("this identity is connected with an account already"))?;
    Ok(())
}

pub(super) async fn remove(
    mut work: Work<'_>,
    (id, holder): (IdentityId, AccountId),
    except: SessionId,
    ways: &Ways,
) -> Result<Done, ApplyError> {
    let shown = remove_way(&mut work, ("identities", NO_SUCH), (id.to_bytes(), holder), (except, ways)).await?;
    Ok(Done::new("identity.delete", id, String::new(), shown.to_string(), vec![Subject::Organization]))
}

/// Takes what was vouched for, if it is about this account.
pub(super) async fn use_up(
    db: &mut Connection,
    account: u32,
    used: &UsedIdentity,
    at: Timestamp,
) -> Result<(), ApplyError> {
    spend(db, used.challenge).await?;
    let known = sql("UPDATE identities SET used_at = ? WHERE account = ? AND issuer = ? AND subject = ?")
        .bind(at.as_micros())
        .bind(account)
        .bind(used.named.issuer.as_str())
        .bind(used.named.subject.as_str())
        .execute(db)
        .await?;
    if known == 0 { Err(NO_PROOF) } else { Ok(()) }
}
