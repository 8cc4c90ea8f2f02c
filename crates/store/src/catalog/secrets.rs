//! Secrets of APIs: what there is, and for nodes their values.

use keystile_core::api::SecretName;
use keystile_core::id::ApiId;

use crate::db::{Columns, damaged, sql};
use crate::records::Api;
use crate::secret::{OpenSecret, SecretInfo};
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
        let rows = sql("SELECT name, sealed FROM api_secrets WHERE api = ? ORDER BY name")
            .bind(number)
            .fetch_all(&mut self.0.base.read().await?)
            .await?;
        let open = |row| {
            let mut row = Columns::of(row);
            self.open_api_secret(api, name(&row.text()?)?, row.blob()?)
        };
        Ok(rows.iter().map(open).collect())
    }
}

fn name(text: &str) -> Result<SecretName, StoreError> {
    text.parse().map_err(|_| damaged(format_args!("the name of a secret, {text}")))
}
