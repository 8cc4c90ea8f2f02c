//! Links that let somebody in who gets them by e-mail. The token of one is seen by its reader alone; kept is its hash.

use keystile_core::id::AccountId;
use keystile_core::time::Timestamp;
use serde_json::json;

use super::account::NO_SUCH;
use super::factor::NO_PROOF;
use super::{Done, Work, session};
use crate::catalog::accounts::number;
use crate::db::{Connection, sql};
use crate::{ApplyError, Subject};

/// Open links of an account at a time: whoever waits for a letter asks again, and opens the newest.
const MAX_OF_ACCOUNT: u32 = 5;

pub(super) async fn offer(
    work: Work<'_>,
    id: AccountId,
    lookup: [u8; 32],
    ends_at: Timestamp,
) -> Result<Done, ApplyError> {
    let account = number(work.db, id).await?.ok_or(NO_SUCH)?;
    session::refuse_stranger(work.db, account, work.tenant.number).await?;
    sql("INSERT INTO sign_in_links (lookup, account, created_at, ends_at) VALUES (?, ?, ?, ?)")
        .bind(&lookup[..])
        .bind(account)
        .bind(work.at.as_micros())
        .bind(ends_at.as_micros())
        .execute(&mut *work.db)
        .await?;
    sql("DELETE FROM sign_in_links WHERE account = ? AND (ends_at <= ? OR lookup NOT IN \
         (SELECT lookup FROM sign_in_links WHERE account = ? ORDER BY created_at DESC, lookup LIMIT ?))")
    .bind(account)
    .bind(work.at.as_micros())
    .bind(account)
    .bind(MAX_OF_ACCOUNT)
    .execute(&mut *work.db)
    .await?;
    let shown = json!({ "ends_at": ends_at }).to_string();
    Ok(Done::new("account.offer_link", id, String::new(), shown, vec![Subject::Organization]))
}

/// Uses a link up: of two who show the same one the second is refused.
pub(super) async fn use_up(
    db: &mut Connection,
    account: u32,
    lookup: [u8; 32],
    at: Timestamp,
) -> Result<(), ApplyError> {
    let used = sql("DELETE FROM sign_in_links WHERE lookup = ? AND account = ? AND ends_at > ?")
        .bind(&lookup[..])
        .bind(account)
        .bind(at.as_micros())
        .execute(db)
        .await?;
    if used == 0 { Err(NO_PROOF) } else { Ok(()) }
}
