//! Which plans a project had at an API, from when.

use keystile_core::time::Timestamp;

use crate::db::{Columns, sql};
use crate::records::{Had, Plan};
use crate::{Catalog, StoreError};

impl Catalog {
    /// The plans that an activation of this number had, in order; the last one counts until now.
    ///
    /// # Errors
    /// If the store fails, or if one was altered: by these bills are written.
    pub async fn plans_had(&self, activation: u32) -> Result<Vec<Had>, StoreError> {
        let mut db = self.0.base.view().await?;
        let these = ("WHERE activation = ?", &[activation.into()][..]);
        self.0.sealer.refuse_altered(&mut db, "activation_plans", these).await?;
        let rows = sql("SELECT since_at, plan, anchor_at FROM activation_plans WHERE activation = ? ORDER BY since_at")
            .bind(activation)
            .fetch_all(&mut db)
            .await?;
        let had = rows.iter().map(|row| {
            let mut row = Columns::of(row);
            let since: Timestamp = row.moment()?;
            Ok(Had { since, plan: row.number_if_any::<u32>()?.zip(row.moment_if_any()?) })
        });
        had.collect()
    }

    /// The numbers of all activations that a project ever had at an API, in order, and when each was taken away.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn activations_had(&self, project: u32, api: u32) -> Result<Vec<(u32, Option<Timestamp>)>, StoreError> {
        let rows = sql("SELECT number, deleted_at FROM activations WHERE project = ? AND api = ? ORDER BY number")
            .bind(project)
            .bind(api)
            .fetch_all(&mut self.0.base.read().await?)
            .await?;
        let each = rows.iter().map(|row| {
            let mut row = Columns::of(row);
            Ok((row.number()?, row.moment_if_any()?))
        });
        each.collect()
    }

    /// The plan of a number, whatever became of it.
    ///
    /// # Errors
    /// If the store fails, or if it was altered.
    pub async fn plan_of_number(&self, number: u32) -> Result<Option<Plan>, StoreError> {
        let mut db = self.0.base.view().await?;
        let (sealer, number_of) = (&self.0.sealer, [number.into()]);
        sealer.refuse_altered(&mut db, "plans", ("WHERE number = ?", &number_of)).await?;
        sealer.refuse_altered(&mut db, "plan_versions", ("WHERE plan = ?", &number_of)).await?;
        super::plans::ever(&mut db, number).await
    }
}
