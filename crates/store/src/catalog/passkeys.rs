//! Passkeys, as they are kept.

use keystile_core::id::{AccountId, PasskeyId};

use super::push_page;
use crate::db::{Columns, Row, sql};
use crate::records::{Page, Passkey};
use crate::{Catalog, StoreError};

const SELECT: &str = "SELECT p.id, p.number, a.id, p.credential, p.name, p.created_at, p.used_at FROM passkeys p \
     JOIN accounts a ON a.number = p.account WHERE 1 = 1";

fn read(row: &Row) -> Result<Passkey, StoreError> {
    let mut row = Columns::of(row);
    Ok(Passkey {
        id: row.id(PasskeyId::from_slice)?,
        number: row.number()?,
        account: row.id(AccountId::from_slice)?,
        credential: row.text()?,
        name: row.text()?,
        created_at: row.moment()?,
        used_at: row.moment_if_any()?,
    })
}

impl Catalog {
    /// The passkey that authenticators know by this id, whoever's it is.
    pub async fn passkey_of(&self, credential_id: &[u8]) -> Result<Option<Passkey>, StoreError> {
        let mut db = self.0.base.view().await?;
        if self.0.sealer.is_altered(&mut db, "passkeys", ("WHERE credential_id = ?", &[credential_id.into()])).await? {
            return Ok(None);
        }
        let mut query = sql(SELECT);
        query.push(" AND p.credential_id = ").push_bind(credential_id);
        query.fetch_optional(&mut db).await?.as_ref().map(read).transpose()
    }

    /// The passkeys of an account, newest first.
    pub async fn passkeys(&self, account: AccountId, page: Page) -> Result<Vec<Passkey>, StoreError> {
        let mut query = sql(SELECT);
        query.push(" AND a.id = ").push_bind(account.to_bytes());
        push_page(&mut query, "p.number", page);
        query.fetch_all(&mut self.0.base.read().await?).await?.iter().map(read).collect()
    }

    /// One passkey of an account.
    pub async fn passkey(&self, account: AccountId, id: PasskeyId) -> Result<Option<Passkey>, StoreError> {
        let mut query = sql(SELECT);
        query.push(" AND a.id = ").push_bind(account.to_bytes());
        query.push(" AND p.id = ").push_bind(id.to_bytes());
        query.fetch_optional(&mut self.0.base.read().await?).await?.as_ref().map(read).transpose()
    }
}
