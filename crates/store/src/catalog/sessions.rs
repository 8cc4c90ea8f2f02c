//! Sessions: who is logged in, and what the person may do, read together for each request. What changes of either holds for the
//! next one (Z-7, S-5).

use keystile_core::account::{SessionLimits, SessionTimes};
use keystile_core::id::{AccountId, OrganizationId, SessionId};
use keystile_core::time::Timestamp;

use super::accounts::account;
use super::members::read_membership;
use super::{accounts, push_page};
use crate::db::{Columns, Row, Sql, sql};
use crate::records::{Membership, Page, Session};
use crate::{Catalog, StoreError};

const SELECT: &str = concat!(
    "SELECT s.id, s.number, ",
    account!(),
    ", o.id, s.created_at, s.seen_at, s.proven_at, s.address, s.agent FROM sessions s \
     JOIN accounts a ON a.number = s.account JOIN organizations o ON o.number = s.organization WHERE 1 = 1"
);

/// Seconds after which wrong passwords for an address without an account are forgotten.
const STRANGERS_SECS: i64 = 24 * 3_600;

fn read(row: &Row) -> Result<Session, StoreError> {
    let mut row = Columns::of(row);
    let (id, number) = (row.id(SessionId::from_slice)?, row.number()?);
    let account = accounts::columns(&mut row)?;
    let organization = row.id(OrganizationId::from_slice)?;
    let times = SessionTimes { created_at: row.moment()?, seen_at: row.moment()?, proven_at: row.moment()? };
    Ok(Session { id, number, account, organization, times, address: row.text()?, agent: row.text()? })
}

/// Keeps those that last.
fn push_lasting(query: &mut Sql<'_>, limits: &SessionLimits, now: Timestamp) {
    query.push(" AND s.seen_at > ").push_bind(now.plus_secs(-limits.idle_secs).as_micros());
    query.push(" AND s.created_at > ").push_bind(now.plus_secs(-limits.lifetime_secs).as_micros());
}

impl Catalog {
    /// The session of this token with what its account is where it is; `None` if it has ended or never was, or if the account
    /// is no member there any more.
    pub async fn session(
        &self,
        lookup: [u8; 32],
        limits: &SessionLimits,
        now: Timestamp,
    ) -> Result<Option<(Session, Membership)>, StoreError> {
        let mut db = self.0.base.read().await?;
        let mut query = sql(SELECT);
        query.push(" AND s.lookup = ").push_bind(&lookup[..]);
        let Some(row) = query.fetch_optional(&mut db).await? else { return Ok(None) };
        let session = read(&row)?;
        if !session.times.lasts(limits, now) {
            return Ok(None);
        }
        let mut query = sql(super::members::SELECT);
        query.push(" AND a.id = ").push_bind(session.account.id.to_bytes());
        query.push(" AND o.id = ").push_bind(session.organization.to_bytes());
        let row = query.fetch_optional(&mut db).await?;
        let membership = row.as_ref().map(read_membership).transpose()?;
        Ok(membership.map(|membership| (session, membership)))
    }

    /// The sessions of an account that last, newest first.
    pub async fn sessions_of(
        &self,
        account: AccountId,
        (limits, now): (&SessionLimits, Timestamp),
        page: Page,
    ) -> Result<Vec<Session>, StoreError> {
        let mut query = sql(SELECT);
        query.push(" AND a.id = ").push_bind(account.to_bytes());
        push_lasting(&mut query, limits, now);
        push_page(&mut query, "s.number", page);
        query.fetch_all(&mut self.0.base.read().await?).await?.iter().map(read).collect()
    }

    /// The sessions in an organization that last, newest first.
    pub async fn sessions(
        &self,
        organization: OrganizationId,
        (limits, now): (&SessionLimits, Timestamp),
        page: Page,
    ) -> Result<Vec<Session>, StoreError> {
        let mut query = sql(SELECT);
        query.push(" AND o.id = ").push_bind(organization.to_bytes());
        push_lasting(&mut query, limits, now);
        push_page(&mut query, "s.number", page);
        query.fetch_all(&mut self.0.base.read().await?).await?.iter().map(read).collect()
    }

    /// Notes that a session was used: no change of anything, so no audit entry.
    ///
    /// # Errors
    /// If the store failed.
    pub async fn note_session_used(&self, id: SessionId, at: Timestamp) -> Result<(), StoreError> {
        let mut transaction = self.0.base.write().await?;
        sql("UPDATE sessions SET seen_at = ? WHERE id = ? AND seen_at < ?")
            .bind(at.as_micros())
            .bind(id.to_bytes())
            .bind(at.as_micros())
            .execute(&mut transaction)
            .await?;
        Ok(transaction.commit().await?)
    }

    /// Forgets sessions and links that have ended, and what went wrong at addresses without an account; says how many.
    ///
    /// # Errors
    /// If the store failed.
    pub async fn forget_sessions(&self, limits: &SessionLimits, now: Timestamp) -> Result<u64, StoreError> {
        let mut transaction = self.0.base.write().await?;
        let sessions = sql("DELETE FROM sessions WHERE seen_at <= ? OR created_at <= ?")
            .bind(now.plus_secs(-limits.idle_secs).as_micros())
            .bind(now.plus_secs(-limits.lifetime_secs).as_micros())
            .execute(&mut transaction)
            .await?;
        let resets = sql("DELETE FROM password_resets WHERE ends_at <= ?")
            .bind(now.as_micros())
            .execute(&mut transaction)
            .await?;
        let devices =
            sql("DELETE FROM device_logins WHERE ends_at <= ?").bind(now.as_micros()).execute(&mut transaction).await?;
        let strangers = sql("DELETE FROM login_failures WHERE known = 0 AND last_at <= ?")
            .bind(now.plus_secs(-STRANGERS_SECS).as_micros())
            .execute(&mut transaction)
            .await?;
        transaction.commit().await?;
        Ok(sessions + resets + devices + strangers)
    }
}
