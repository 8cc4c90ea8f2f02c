//! Secrets of APIs: what there is, and for nodes their values.

use keystile_core::api::SecretName;
use keystile_core::id::{ApiId, OrganizationId};

use crate::db::{Columns, damaged, sql};
use crate::records::Api;
use crate::secret::{OpenSecret, Place, SecretInfo};
use crate::{Catalog, StoreError};

impl Catalog {
    /// What secrets an API has, by name.
    pub async fn api_secrets(&self, api: &Api) -> Result<Vec<SecretInfo>, StoreError> {
        let rows = sql("SELECT name, set_at FROM api_secrets WHERE api = ? ORDER BY name")
            .bind(api.number)
            .fetch_all(&mut self.0.base.read().await?)
            .await?;
        let read = |row| {
            let mut row = Columns::of(row);
            Ok(SecretInfo { name: name(&row.text()?)?, set_at: row.moment()? })
        };
        rows.iter().map(read).collect()
    }

    /// The secrets of an API, open. The inner error is that one of them was altered: reading again does not help.
    ///
    /// # Errors
    /// If the file failed: reading again may help.
    pub async fn feed_api_secrets(
        &self,
        number: u32,
        api: ApiId,
    ) -> Result<Result<Vec<OpenSecret>, StoreError>, StoreError> {
        let rows = sql("SELECT o.id, s.name, s.sealed FROM api_secrets s JOIN apis a ON a.number = s.api \
             JOIN organizations o ON o.number = a.organization WHERE s.api = ? ORDER BY s.name")
        .bind(number)
        .fetch_all(&mut self.0.base.read().await?)
        .await?;
        let read = |row| {
            let mut row = Columns::of(row);
            Ok((row.id(OrganizationId::from_slice)?, name(&row.text()?)?, row.blob()?))
        };
        let kept: Vec<(OrganizationId, SecretName, &[u8])> = match rows.iter().map(read).collect() {
            Ok(kept) => kept,
            Err(error) => return Ok(Err(error)),
        };
        let ring = self.ring_for(kept.iter().map(|(_, _, sealed)| *sealed)).await?;
        let open = |(owner, name, sealed)| {
            let value = Place::of_api_secret(&self.0.installation, owner, api, &name).open(&ring, sealed)?;
            Ok(OpenSecret { name, value })
        };
        Ok(kept.into_iter().map(open).collect())
    }
}

fn name(text: &str) -> Result<SecretName, StoreError> {
    text.parse().map_err(|_| damaged(format_args!("the name of a secret, {text}")))
}
