//! Changes of logins of devices (RFC 8628): somebody lets one in that waits, and it is logged in, once.

use keystile_core::id::AccountId;

use super::account::NO_SUCH as NO_ACCOUNT;
use super::{Done, Work, session};
use crate::catalog::accounts::number;
use crate::db::sql;
use crate::records::NewSession;
use crate::{ApplyError, Subject};

const NO_SUCH: ApplyError = ApplyError::NotFound("device");

pub(super) async fn judge(
    work: Work<'_>,
    user_code: [u8; 32],
    id: AccountId,
    approve: bool,
) -> Result<Done, ApplyError> {
    let account = number(work.db, id).await?.ok_or(NO_ACCOUNT)?;
    let (state, action) = if approve { ("approved", "device_login.approve") } else { ("denied", "device_login.deny") };
    let judged = sql("UPDATE device_logins SET state = ?, account = ?, organization = ? \
         WHERE user_code = ? AND state = 'waiting' AND ends_at > ?")
    .bind(state)
    .bind(account)
    .bind(work.tenant.number)
    .bind(&user_code[..])
    .bind(work.at.as_micros())
    .execute(&mut *work.db)
    .await?;
    if judged == 0 {
        return Err(NO_SUCH);
    }
    Ok(Done::new(action, id, String::new(), String::new(), vec![Subject::Organization]))
}

/// Only where it was let in, and as whom.
pub(super) async fn finish(work: Work<'_>, lookup: [u8; 32], session: &NewSession) -> Result<Done, ApplyError> {
    let finished = sql("DELETE FROM device_logins WHERE lookup = ? AND state = 'approved' AND ends_at > ? \
         AND organization = ? AND account = (SELECT number FROM accounts WHERE id = ?)")
    .bind(&lookup[..])
    .bind(work.at.as_micros())
    .bind(work.tenant.number)
    .bind(session.account.to_bytes())
    .execute(&mut *work.db)
    .await?;
    if finished == 0 {
        return Err(NO_SUCH);
    }
    session::open(work, session).await
}
