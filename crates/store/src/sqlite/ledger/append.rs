//! Taking in batches: one transaction each, one row for all its events.

use keystile_core::usage::UsageEvent;
use sqlx::QueryBuilder;

use super::super::row::signed;
use super::{Ledger, codec};
use crate::{LabelRow, StoreError};

/// Labels in one statement.
const LABELS: usize = 500;

impl Ledger {
    /// Keeps a batch of events, durable when this returns. A batch that this node sent before is left out: `sequence`
    /// rises by one from batch to batch of a node.
    ///
    /// # Errors
    /// If the file can't be written; then nothing of the batch was kept, and it can be sent again.
    pub async fn append(
        &self,
        node: u64,
        sequence: u64,
        labels: &[LabelRow],
        events: &[UsageEvent],
    ) -> Result<(), StoreError> {
        let batch = codec::encode(events);
        let mut transaction = self.0.file.write().await?;
        let db = &mut *transaction;
        let last: Option<i64> = sqlx::query_scalar("SELECT last_sequence FROM nodes WHERE node = ?")
            .bind(signed(node))
            .fetch_optional(&mut *db)
            .await?;
        if last.is_some_and(|last| sequence <= last.cast_unsigned()) {
            return Ok(());
        }
        for labels in labels.chunks(LABELS) {
            let mut query = QueryBuilder::new("INSERT OR IGNORE INTO labels (number, api, text) ");
            query.push_values(labels, |mut row, label| {
                row.push_bind(label.number).push_bind(label.api).push_bind(label.text.as_str());
            });
            query.build().persistent(false).execute(&mut *db).await?;
        }
        sqlx::query("INSERT INTO batches (node, sequence, events) VALUES (?, ?, ?)")
            .bind(signed(node))
            .bind(signed(sequence))
            .bind(batch)
            .execute(&mut *db)
            .await?;
        sqlx::query(
            "INSERT INTO nodes (node, last_sequence) VALUES (?1, ?2) \
             ON CONFLICT (node) DO UPDATE SET last_sequence = ?2",
        )
        .bind(signed(node))
        .bind(signed(sequence))
        .execute(&mut *db)
        .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// The sequence of the last batch that this node sent, to go on with after a restart; 0 if it sent none.
    pub async fn last_sequence(&self, node: u64) -> Result<u64, StoreError> {
        let last: Option<i64> = sqlx::query_scalar("SELECT last_sequence FROM nodes WHERE node = ?")
            .bind(signed(node))
            .fetch_optional(&mut *self.0.file.read().await?)
            .await?;
        Ok(last.unwrap_or(0).cast_unsigned())
    }
}
