//! Accounts: whose they are, what proves it, and what went wrong at their logins.

use keystile_core::account::{EmailAddress, Failures, Locked};
use keystile_core::id::AccountId;
use keystile_core::member::BuiltInRole;
use keystile_core::time::Timestamp;

use super::members::read_membership;
use super::organizations::FIRST;
use crate::db::{Columns, Connection, Row, sql};
use crate::records::{Account, Credentials, Membership, PasswordHash, Totp, Try};
use crate::secret::Place;
use crate::{Catalog, StoreError};

/// The columns of an account, as `a`, that [`columns`] takes.
macro_rules! account {
    () => {
        "a.id, a.email, a.name, a.created_at, \
         (SELECT count(*) FROM totps t WHERE t.account = a.number AND t.confirmed_at IS NOT NULL), \
         (SELECT count(*) FROM accounts b WHERE b.number = a.number AND b.password IS NOT NULL), (SELECT count(*) FROM passkeys k WHERE k.account = a.number)"
    };
}
pub(crate) use account;

const SELECT: &str = concat!("SELECT ", account!(), ", a.password FROM accounts a WHERE ");

/// Reads the columns of an account.
pub(crate) fn columns(row: &mut Columns<'_>) -> Result<Account, StoreError> {
    Ok(Account {
        id: row.id(AccountId::from_slice)?,
        email: row.word()?,
        name: row.text()?,
        created_at: row.moment()?,
        has_totp: row.flag()?,
        has_password: row.flag()?,
        passkeys: row.number()?,
    })
}

fn read(row: &Row) -> Result<Credentials, StoreError> {
    let mut row = Columns::of(row);
    Ok(Credentials { account: columns(&mut row)?, password: row.text_if_any()?.map(PasswordHash::new) })
}

/// One account.
pub(crate) async fn find(db: &mut Connection, id: AccountId) -> Result<Option<Credentials>, StoreError> {
    let mut query = sql(SELECT);
    query.push("a.id = ").push_bind(id.to_bytes());
    query.fetch_optional(db).await?.as_ref().map(read).transpose()
}

/// The number of an account.
pub(crate) async fn number(db: &mut Connection, id: AccountId) -> Result<Option<u32>, StoreError> {
    sql("SELECT number FROM accounts WHERE id = ?").bind(id.to_bytes()).fetch_number_if_any(db).await
}

impl Catalog {
    /// The account of an address.
    pub async fn account_of(&self, email: &EmailAddress) -> Result<Option<Credentials>, StoreError> {
        let mut db = self.0.base.view().await?;
        if self.0.sealer.is_altered(&mut db, "accounts", ("WHERE email = ?", &[email.as_str().into()])).await? {
            return Ok(None);
        }
        let mut query = sql(SELECT);
        query.push("a.email = ").push_bind(email.as_str());
        query.fetch_optional(&mut db).await?.as_ref().map(read).transpose()
    }

    /// One account.
    pub async fn account(&self, id: AccountId) -> Result<Option<Credentials>, StoreError> {
        find(&mut self.0.base.read().await?, id).await
    }

    /// Whether somebody can log in who runs the installation.
    pub async fn has_owner(&self) -> Result<bool, StoreError> {
        let any = sql("SELECT number FROM members WHERE organization = ? AND role = ? AND deleted_at IS NULL LIMIT 1")
            .bind(FIRST)
            .bind(BuiltInRole::Owner.as_str())
            .fetch_optional(&mut self.0.base.read().await?)
            .await?;
        Ok(any.is_some())
    }

    /// Whether this is a recovery code that somebody has left.
    pub async fn has_recovery_code(&self, account: AccountId, lookup: [u8; 32]) -> Result<bool, StoreError> {
        let found = sql("SELECT count(*) FROM recovery_codes c JOIN accounts a ON a.number = c.account \
             WHERE a.id = ? AND c.lookup = ?");
        let found = found.bind(account.to_bytes()).bind(&lookup[..]);
        Ok(found.fetch_number::<u32>(&mut self.0.base.read().await?).await? > 0)
    }

    /// What an account is a member of, the oldest first.
    pub async fn memberships(&self, account: AccountId) -> Result<Vec<Membership>, StoreError> {
        let mut query = sql(super::members::SELECT);
        query.push(" AND a.id = ").push_bind(account.to_bytes()).push(" ORDER BY m.number");
        query.fetch_all(&mut self.0.base.read().await?).await?.iter().map(read_membership).collect()
    }

    /// Counts a try at the login of an address before it is made, so that of many at once none is uncounted; or says that none is made
    /// now. No change of anything, so no audit entry; what was wrong gets one.
    ///
    /// # Errors
    /// If the store failed.
    pub async fn reserve_try(&self, lookup: [u8; 32], at: Timestamp) -> Result<Result<Try, Locked>, StoreError> {
        let mut transaction = self.0.base.write().await?;
        let row = sql("SELECT count, last_at FROM login_failures WHERE lookup = ?")
            .bind(&lookup[..])
            .fetch_optional(&mut transaction)
            .await?;
        let before = match &row {
            None => Failures::default(),
            Some(row) => {
                let mut row = Columns::of(row);
                Failures { count: row.number()?, last: Some(row.moment()?) }
            }
        };
        if let Some(locked) = before.locked_until(at) {
            return Ok(Err(locked));
        }
        let in_a_row = before.and_one(at).count;
        sql("INSERT INTO login_failures (lookup, count, last_at) VALUES (?, ?, ?) \
             ON CONFLICT (lookup) DO UPDATE SET count = excluded.count, last_at = excluded.last_at")
        .bind(&lookup[..])
        .bind(in_a_row)
        .bind(at.as_micros())
        .execute(&mut transaction)
        .await?;
        transaction.commit().await?;
        Ok(Ok(Try { lookup, in_a_row, before: before.last }))
    }

    /// Takes a try back that was neither right nor wrong: as if it had not been made.
    ///
    /// # Errors
    /// If the store failed.
    pub async fn release_try(&self, tried: Try) -> Result<(), StoreError> {
        let mut transaction = self.0.base.write().await?;
        sql("UPDATE login_failures SET count = count - 1, last_at = ? WHERE lookup = ? AND count > 0")
            .bind(tried.before.map_or(0, Timestamp::as_micros))
            .bind(&tried.lookup[..])
            .execute(&mut transaction)
            .await?;
        Ok(transaction.commit().await?)
    }

    /// The account that a link to a new password leads to, if it is open at this moment.
    pub async fn account_to_reset(&self, lookup: [u8; 32], now: Timestamp) -> Result<Option<Credentials>, StoreError> {
        let mut db = self.0.base.view().await?;
        let account = "WHERE number IN (SELECT account FROM password_resets WHERE lookup = ?)";
        for (table, condition) in [("password_resets", "WHERE lookup = ?"), ("accounts", account)] {
            if self.0.sealer.is_altered(&mut db, table, (condition, &[lookup.into()])).await? {
                return Ok(None);
            }
        }
        let mut query = sql(SELECT);
        query.push("a.number = (SELECT account FROM password_resets WHERE lookup = ").push_bind(&lookup[..]);
        query.push(" AND ends_at > ").push_bind(now.as_micros()).push(")");
        query.fetch_optional(&mut db).await?.as_ref().map(read).transpose()
    }

    /// The account that a link lets in, if it is open at this moment.
    pub async fn account_of_link(&self, lookup: [u8; 32], now: Timestamp) -> Result<Option<Credentials>, StoreError> {
        let mut db = self.0.base.view().await?;
        let account = "WHERE number IN (SELECT account FROM sign_in_links WHERE lookup = ?)";
        for (table, condition) in [("sign_in_links", "WHERE lookup = ?"), ("accounts", account)] {
            if self.0.sealer.is_altered(&mut db, table, (condition, &[lookup.into()])).await? {
                return Ok(None);
            }
        }
        let mut query = sql(SELECT);
        query.push("a.number = (SELECT account FROM sign_in_links WHERE lookup = ").push_bind(&lookup[..]);
        query.push(" AND ends_at > ").push_bind(now.as_micros()).push(")");
        query.fetch_optional(&mut db).await?.as_ref().map(read).transpose()
    }

    /// Whether somebody has a way in that is safer than a link: a passkey, or what an identity provider vouches for.
    pub async fn has_other_way(&self, account: AccountId) -> Result<bool, StoreError> {
        let ways: u32 = sql("SELECT (SELECT count(*) FROM passkeys k WHERE k.account = a.number) + \
             (SELECT count(*) FROM identities i WHERE i.account = a.number) FROM accounts a WHERE a.id = ?")
        .bind(account.to_bytes())
        .fetch_number_if_any(&mut self.0.base.read().await?)
        .await?
        .unwrap_or_default();
        Ok(ways > 0)
    }

    /// The seed of somebody's one-time codes, if there is one.
    ///
    /// # Errors
    /// If the store fails, or it was altered.
    pub async fn totp(&self, account: AccountId) -> Result<Option<Totp>, StoreError> {
        let row =
            sql("SELECT t.sealed, t.confirmed_at, t.last_step, t.created_at FROM totps t JOIN accounts a ON a.number = t.account \
             WHERE a.id = ?")
            .bind(account.to_bytes())
            .fetch_optional(&mut self.0.base.read().await?)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let mut row = Columns::of(&row);
        let sealed = row.blob()?;
        let (confirmed_at, last_step, created_at) = (row.moment_if_any()?, row.number()?, row.moment()?);
        let ring = self.ring_for([sealed]).await?;
        let seed = Place::of_totp(&self.0.installation, account).open(&ring, sealed)?;
        Ok(Some(Totp { seed, is_confirmed: confirmed_at.is_some(), last_step, created_at }))
    }

    /// How many recovery codes somebody has left.
    pub async fn recovery_codes_left(&self, account: AccountId) -> Result<u32, StoreError> {
        sql("SELECT count(*) FROM recovery_codes c JOIN accounts a ON a.number = c.account WHERE a.id = ?")
            .bind(account.to_bytes())
            .fetch_number(&mut self.0.base.read().await?)
            .await
    }

    /// Keeps another hash of the same password, made in today's way; nothing if the password was changed meanwhile.
    ///
    /// # Errors
    /// If the store failed.
    pub async fn rehash_password(
        &self,
        account: AccountId,
        was: &PasswordHash,
        hash: &PasswordHash,
    ) -> Result<(), StoreError> {
        let mut transaction = self.0.base.write().await?;
        sql("UPDATE accounts SET password = ? WHERE id = ? AND password = ?")
            .bind(hash.expose())
            .bind(account.to_bytes())
            .bind(was.expose())
            .execute(&mut transaction)
            .await?;
        self.0.commit(transaction).await
    }
}
