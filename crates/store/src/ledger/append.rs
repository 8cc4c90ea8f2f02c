//! Taking in batches: one transaction each, one row for all its events.

use keystile_core::time::Timestamp;
use keystile_core::usage::UsageEvent;

use super::{Ledger, codec, kept};
use crate::db::{Columns, Connection, signed, sql};
use crate::{LabelRow, StoreError};

/// Labels in one statement.
const LABELS: usize = 500;

impl Ledger {
    /// Keeps a batch of events that are recorded at this moment, durable when this returns. A batch that this node sent before is
    /// left out: `sequence` rises by one from batch to batch of a node.
    ///
    /// # Errors
    /// If the file can't be written; then nothing of the batch was kept, and it can be sent again.
    pub async fn append(
        &self,
        node: u64,
        sequence: u64,
        recorded_at: Timestamp,
        labels: &[LabelRow],
        events: &[UsageEvent],
    ) -> Result<(), StoreError> {
        let batch = codec::encode(events);
        let mut transaction = self.0.base.write().await?;
        let db = &mut *transaction;
        let last = last_sequence(db, node).await?;
        if last.is_some_and(|last| sequence <= last) {
            return Ok(());
        }
        let recorded_at = kept::recorded_now(db, recorded_at).await?;
        for labels in labels.chunks(LABELS) {
            let mut query = sql("INSERT INTO labels (number, api, text) VALUES ").seldom();
            for (place, label) in labels.iter().enumerate() {
                query.push(if place == 0 { "(" } else { ", (" });
                query.push_bind(label.number).push(", ").push_bind(label.api).push(", ").push_bind(&label.text);
                query.push(")");
            }
            query.push(" ON CONFLICT DO NOTHING");
            query.execute(&mut *db).await?;
        }
        sql("INSERT INTO batches (node, sequence, recorded_at, events) VALUES (?, ?, ?, ?)")
            .bind(signed(node))
            .bind(signed(sequence))
            .bind(recorded_at.as_micros())
            .bind(batch)
            .execute(&mut *db)
            .await?;
        sql("INSERT INTO nodes (node, last_sequence) VALUES (?, ?) \
             ON CONFLICT (node) DO UPDATE SET last_sequence = excluded.last_sequence")
        .bind(signed(node))
        .bind(signed(sequence))
        .execute(&mut *db)
        .await?;
        let batches: Option<u64> = match &self.0.newest {
            Some(_) => Some(sql(Self::BATCHES).fetch_number(&mut *db).await?),
            None => None,
        };
        transaction.commit().await?;
        if let Some((newest, batches)) = self.0.newest.as_ref().zip(batches) {
            newest.note(batches);
        }
        Ok(())
    }

    /// The sequence of the last batch that this node sent, to go on with after a restart; 0 if it sent none.
    pub async fn last_sequence(&self, node: u64) -> Result<u64, StoreError> {
        Ok(last_sequence(&mut self.0.base.read().await?, node).await?.unwrap_or(0))
    }
}

async fn last_sequence(db: &mut Connection, node: u64) -> Result<Option<u64>, StoreError> {
    let row = sql("SELECT last_sequence FROM nodes WHERE node = ?").bind(signed(node)).fetch_optional(db).await?;
    row.map(|row| Ok(Columns::of(&row).integer()?.cast_unsigned())).transpose()
}
