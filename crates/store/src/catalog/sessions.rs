//! Sessions: who is logged in, and what the person may do, read together for each request. What changes of either holds for the
//! next one (Z-7, S-5).

use keystile_core::account::{SessionLimits, SessionTimes};
use keystile_core::id::{AccountId, OrganizationId, SessionId};
use keystile_core::time::Timestamp;

use super::accounts::account;
use super::members::read_membership;
use super::{accounts, push_page};
use crate::db::{Columns, Row, Sql, sql};
use crate::records::{Member, Membership, Page, Session};
use crate::{Catalog, StoreError};

const SELECT: &str = concat!(
    "SELECT s.id, s.number, ",
    account!(),
    ", o.id, s.created_at, s.seen_at, s.proven_at, s.address, s.agent FROM sessions s \
     JOIN accounts a ON a.number = s.account JOIN organizations o ON o.number = s.organization WHERE 1 = 1"
);

/// The rows that say whose a session is and what may be done with it, by the lookup of its token.
const DECIDES: [(&str, &str); 4] = [
    ("sessions", "WHERE lookup = ?"),
    ("accounts", "WHERE number IN (SELECT account FROM sessions WHERE lookup = ?)"),
    (
        "members",
        "WHERE deleted_at IS NULL AND (account, organization) IN \
         (SELECT account, organization FROM sessions WHERE lookup = ?)",
    ),
    (
        "member_roles",
        "WHERE number IN (SELECT m.custom_role FROM members m JOIN sessions s ON s.account = m.account \
         AND s.organization = m.organization WHERE m.deleted_at IS NULL AND s.lookup = ?)",
    ),
];

/// Seconds after which wrong passwords are forgotten, whether there is an account or not.
const FAILURES_SECS: i64 = 30 * 24 * 3_600;
/// Seconds for which it is known beyond its time that something was answered.
const SPENT_SECS: i64 = 24 * 3_600;
/// Addresses of which wrong passwords are counted; of more, those that were tried longest ago are forgotten.
const MAX_FAILURES: u32 = 100_000;

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
        let mut db = self.0.base.view().await?;
        let mut query = sql(SELECT);
        query.push(" AND s.lookup = ").push_bind(&lookup[..]);
        let Some(row) = query.fetch_optional(&mut db).await? else { return Ok(None) };
        for (table, condition) in DECIDES {
            if self.0.sealer.is_altered(&mut db, table, (condition, &[lookup.into()])).await? {
                return Ok(None);
            }
        }
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

    /// The member whose session at an organization this is.
    pub async fn member_of_session(
        &self,
        organization: OrganizationId,
        id: SessionId,
    ) -> Result<Option<Member>, StoreError> {
        let mut query = sql(super::members::SELECT);
        query.push(" AND o.id = ").push_bind(organization.to_bytes());
        query.push(" AND a.number = (SELECT account FROM sessions WHERE id = ").push_bind(id.to_bytes());
        query.push(" AND organization = o.number)");
        let row = query.fetch_optional(&mut self.0.base.read().await?).await?;
        row.as_ref().map(super::members::read).transpose()
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

    /// Forgets sessions, links and challenges that have ended, and what went wrong at logins long ago; says how many.
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
        let links =
            sql("DELETE FROM sign_in_links WHERE ends_at <= ?").bind(now.as_micros()).execute(&mut transaction).await?;
        let devices =
            sql("DELETE FROM device_logins WHERE ends_at <= ?").bind(now.as_micros()).execute(&mut transaction).await?;
        let spent = sql("DELETE FROM spent_challenges WHERE ends_at <= ?")
            // Clocks of nodes differ, and are set back.
            .bind(now.plus_secs(-SPENT_SECS).as_micros())
            .execute(&mut transaction)
            .await?;
        // Whoever did not come is nobody's to know for ever; whoever did has an account.
        sql("UPDATE invitations SET email = NULL WHERE email IS NOT NULL AND ends_at <= ?")
            .bind(now.plus_secs(-FAILURES_SECS).as_micros())
            .execute(&mut transaction)
            .await?;
        let failures = sql("DELETE FROM login_failures WHERE last_at <= ? OR last_at < \
             (SELECT last_at FROM login_failures ORDER BY last_at DESC LIMIT 1 OFFSET ?)")
        .bind(now.plus_secs(-FAILURES_SECS).as_micros())
        .bind(MAX_FAILURES)
        .execute(&mut transaction)
        .await?;
        self.0.commit(transaction).await?;
        Ok(sessions + resets + links + devices + spent + failures)
    }
}
