//! What people are known by at identity providers.

use keystile_core::id::{AccountId, IdentityId};

use super::push_page;
use crate::db::{Columns, Row, sql};
use crate::records::{Identity, Named, Page};
use crate::{Catalog, StoreError};

const SELECT: &str = "SELECT i.id, i.number, a.id, i.issuer, i.subject, i.created_at, i.used_at FROM identities i \
     JOIN accounts a ON a.number = i.account WHERE 1 = 1";

fn read(row: &Row) -> Result<Identity, StoreError> {
    let mut row = Columns::of(row);
    Ok(Identity {
        id: row.id(IdentityId::from_slice)?,
        number: row.number()?,
        account: row.id(AccountId::from_slice)?,
        named: Named { issuer: row.text()?, subject: row.text()? },
        created_at: row.moment()?,
        used_at: row.moment_if_any()?,
    })
}

impl Catalog {
    /// Who this is here.
    pub async fn identity_of(&self, named: &Named) -> Result<Option<Identity>, StoreError> {
        let mut db = self.0.base.view().await?;
        let these =
            ("WHERE issuer = ? AND subject = ?", &[named.issuer.as_str().into(), named.subject.as_str().into()][..]);
        if self.0.sealer.is_altered(&mut db, "identities", these).await? {
            return Ok(None);
        }
        let mut query = sql(SELECT);
        query.push(" AND i.issuer = ").push_bind(named.issuer.as_str());
        query.push(" AND i.subject = ").push_bind(named.subject.as_str());
        query.fetch_optional(&mut db).await?.as_ref().map(read).transpose()
    }

    /// What an account is known by at providers, newest first.
    pub async fn identities(&self, account: AccountId, page: Page) -> Result<Vec<Identity>, StoreError> {
        let mut query = sql(SELECT);
        query.push(" AND a.id = ").push_bind(account.to_bytes());
        push_page(&mut query, "i.number", page);
        query.fetch_all(&mut self.0.base.read().await?).await?.iter().map(read).collect()
    }
}
