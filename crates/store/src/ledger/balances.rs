//! What is taken of amounts for periods of the calendar, ahead of use (see [`keystile_core::plan::Balance`]).

use keystile_core::limit::Counted;
use keystile_core::plan::{Period, Span};

use super::Ledger;
use crate::StoreError;
use crate::db::{Columns, Connection, signed, sql};

/// Which amount: of a project at an API, for a period, and what is counted. It is not the activation's, which a project may
/// delete and ask for anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Amount {
    /// The number of the project.
    pub project: u32,
    /// The number of the API.
    pub api: u32,
    /// For how long it is.
    pub period: Period,
    /// What of calls is counted.
    pub counts: Counted,
    /// Which of these periods.
    pub span: Span,
}

/// What is wanted of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taking {
    /// Which one.
    pub amount: Amount,
    /// What is taken of it at least, by what was taken of a period that it overlaps, by another clock.
    pub carried: u64,
    /// What was used already and not taken before: it is taken whatever there is.
    pub owed: u64,
    /// What is to be used from now on, as far as there is that much.
    pub ahead: u64,
    /// How much there is at most; `None` if that refuses nothing.
    pub limit: Option<u64>,
}

/// What became of that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// What is taken by now, by all.
    pub total: u64,
    /// What of it was taken now.
    pub given: u64,
}

impl Ledger {
    /// What was taken of all amounts whose period is not long over.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn balances(&self) -> Result<Vec<(Amount, u64)>, StoreError> {
        let rows = sql("SELECT project, api, period, counts, starts_at, ends_at, taken FROM balances")
            .fetch_all(&mut self.0.base.read().await?)
            .await?;
        let each = rows.iter().map(|row| {
            let mut row = Columns::of(row);
            let (project, api, period, counts) = (row.number()?, row.number()?, row.word()?, row.word()?);
            let span = Span { start: row.moment()?, end: row.moment()? };
            Ok((Amount { project, api, period, counts, span }, row.number()?))
        });
        each.collect()
    }

    /// Takes of these amounts, all in one transaction; durable when this returns. What is said of each is in their order.
    ///
    /// # Errors
    /// If the store fails; then nothing was taken.
    pub async fn take(&self, all: &[Taking]) -> Result<Vec<Taken>, StoreError> {
        let mut transaction = self.0.base.write().await?;
        let mut taken = Vec::with_capacity(all.len());
        for one in all {
            taken.push(take(&mut transaction, one).await?);
        }
        transaction.commit().await?;
        Ok(taken)
    }

    /// Gives back what was taken of these amounts and not used.
    ///
    /// # Errors
    /// If the store fails; then nothing was given back.
    pub async fn give_back(&self, all: &[(Amount, u64)]) -> Result<(), StoreError> {
        let mut transaction = self.0.base.write().await?;
        for (amount, unused) in all {
            sql("UPDATE balances SET taken = taken - ? WHERE project = ? AND api = ? AND period = ? AND counts = ? \
                 AND starts_at = ? AND taken >= ?")
            .bind(signed(*unused))
            .bind(amount.project)
            .bind(amount.api)
            .bind(amount.period.as_str())
            .bind(amount.counts.as_str())
            .bind(amount.span.start.as_micros())
            .bind(signed(*unused))
            .execute(&mut transaction)
            .await?;
        }
        transaction.commit().await?;
        Ok(())
    }
}

async fn take(db: &mut Connection, one: &Taking) -> Result<Taken, StoreError> {
    let Amount { project, api, period, counts, span } = one.amount;
    let row =
        sql("SELECT taken FROM balances WHERE project = ? AND api = ? AND period = ? AND counts = ? AND starts_at = ?")
            .bind(project)
            .bind(api)
            .bind(period.as_str())
            .bind(counts.as_str())
            .bind(span.start.as_micros())
            .fetch_optional(&mut *db)
            .await?;
    let kept: Option<u64> = row.map(|row| Columns::of(&row).number()).transpose()?;
    let before = kept.unwrap_or(0).max(one.carried);
    let left = one.limit.map_or(u64::MAX, |limit| limit.saturating_sub(before.saturating_add(one.owed)));
    let given = one.owed.saturating_add(one.ahead.min(left));
    let total = before.saturating_add(given);
    if kept.unwrap_or(0) == total {
        return Ok(Taken { total, given });
    }
    sql("INSERT INTO balances (project, api, period, counts, starts_at, ends_at, taken) VALUES (?, ?, ?, ?, ?, ?, ?) \
         ON CONFLICT (project, api, period, counts, starts_at) DO UPDATE SET ends_at = excluded.ends_at, \
         taken = excluded.taken")
    .bind(project)
    .bind(api)
    .bind(period.as_str())
    .bind(counts.as_str())
    .bind(span.start.as_micros())
    .bind(span.end.as_micros())
    .bind(signed(total))
    .execute(&mut *db)
    .await?;
    if kept.is_none() {
        // Those of before the last one are asked for by nobody any more.
        let length = span.end.as_micros().saturating_sub(span.start.as_micros());
        sql("DELETE FROM balances WHERE project = ? AND api = ? AND period = ? AND counts = ? AND ends_at < ?")
            .bind(project)
            .bind(api)
            .bind(period.as_str())
            .bind(counts.as_str())
            .bind(span.start.as_micros().saturating_sub(length))
            .execute(&mut *db)
            .await?;
    }
    Ok(Taken { total, given })
}
