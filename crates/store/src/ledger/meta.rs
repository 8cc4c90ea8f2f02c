//! Moments that are noted once for the whole ledger.

use keystile_core::time::Timestamp;

use crate::StoreError;
use crate::db::{Columns, Connection, sql};

/// The moment under this name; `None` if none was noted.
pub(super) async fn moment(db: &mut Connection, name: &'static str) -> Result<Option<Timestamp>, StoreError> {
    let row = sql("SELECT value FROM meta WHERE name = ?").bind(name).fetch_optional(db).await?;
    row.map(|row| Ok(Timestamp::from_micros(i64::from_be_bytes(Columns::of(&row).bytes()?)))).transpose()
}

/// Notes a moment under this name.
pub(super) async fn note_moment(db: &mut Connection, name: &'static str, moment: Timestamp) -> Result<(), StoreError> {
    sql("INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value")
        .bind(name)
        .bind(moment.as_micros().to_be_bytes().to_vec())
        .execute(db)
        .await?;
    Ok(())
}
