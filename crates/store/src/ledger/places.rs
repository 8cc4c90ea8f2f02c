//! How far usage was told to webhooks: of each that names it the hour that is next, by when it was recorded, and the part of that.
//! It is moved by whoever tells, as long as nobody has put it elsewhere meanwhile.

use keystile_core::time::Timestamp;
use keystile_core::usage::Bucket;

use super::Ledger;
use crate::StoreError;
use crate::db::{Columns, Row, sql};

/// How far usage was told to a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsagePlace {
    /// The webhook's number.
    pub webhook: u32,
    /// The hour that is told next: all that was recorded before it was.
    pub hour: Timestamp,
    /// The part of it that is next; 1 is the first.
    pub part: u32,
    /// How often that was tried in vain.
    pub attempts: u32,
    /// When it is tried next, once its hour is over.
    pub next_at: Timestamp,
    /// The status of the last answer, if there was one.
    pub status: Option<u16>,
    /// Why the last attempt failed; empty if it did not.
    pub error: String,
    /// When it was tried last.
    pub last_at: Option<Timestamp>,
    /// When something arrived last.
    pub delivered_at: Option<Timestamp>,
    /// From which hour on some were forgotten before they were told, as long as nobody was told of it.
    pub missed_from: Option<Timestamp>,
}

impl UsagePlace {
    /// That of a webhook which names usage since this moment: it begins with the hour of that.
    pub fn beginning(webhook: u32, at: Timestamp) -> Self {
        Self {
            webhook,
            hour: at.floor_secs(Bucket::Hour.secs()),
            part: 1,
            attempts: 0,
            next_at: at,
            status: None,
            error: String::new(),
            last_at: None,
            delivered_at: None,
            missed_from: None,
        }
    }
}

const SELECT: &str = "SELECT webhook, hour, part, attempts, next_at, status, error, last_at, delivered_at, missed_from \
     FROM usage_places";

fn read(row: &Row) -> Result<UsagePlace, StoreError> {
    let mut row = Columns::of(row);
    Ok(UsagePlace {
        webhook: row.number()?,
        hour: row.moment()?,
        part: row.number()?,
        attempts: row.number()?,
        next_at: row.moment()?,
        status: row.number_if_any()?,
        error: row.text()?,
        last_at: row.moment_if_any()?,
        delivered_at: row.moment_if_any()?,
        missed_from: row.moment_if_any()?,
    })
}

impl Ledger {
    /// How far usage was told to all webhooks that name it.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn usage_places(&self) -> Result<Vec<UsagePlace>, StoreError> {
        let mut query = sql(SELECT);
        query.push(" ORDER BY webhook");
        query.fetch_all(&mut self.0.base.read().await?).await?.iter().map(read).collect()
    }

    /// How far usage was told to the webhook of this number.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn usage_place(&self, webhook: u32) -> Result<Option<UsagePlace>, StoreError> {
        let mut query = sql(SELECT);
        query.push(" WHERE webhook = ").push_bind(webhook);
        query.fetch_optional(&mut self.0.base.read().await?).await?.as_ref().map(read).transpose()
    }

    /// Keeps the place of a webhook that has none yet.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn begin_usage_place(&self, place: &UsagePlace) -> Result<(), StoreError> {
        let mut transaction = self.0.base.write().await?;
        sql("INSERT INTO usage_places (webhook, hour, part, attempts, next_at, error) VALUES (?, ?, ?, ?, ?, ?) \
             ON CONFLICT (webhook) DO NOTHING")
        .bind(place.webhook)
        .bind(place.hour.as_micros())
        .bind(place.part)
        .bind(place.attempts)
        .bind(place.next_at.as_micros())
        .bind(&place.error)
        .execute(&mut transaction)
        .await?;
        Ok(transaction.commit().await?)
    }

    /// Forgets the place of a webhook that names usage no more, or is gone.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn end_usage_place(&self, webhook: u32) -> Result<(), StoreError> {
        let mut transaction = self.0.base.write().await?;
        sql("DELETE FROM usage_places WHERE webhook = ?").bind(webhook).execute(&mut transaction).await?;
        Ok(transaction.commit().await?)
    }

    /// Moves a webhook on, from where it was read; whether it was still there.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn move_usage_place(&self, was: &UsagePlace, to: &UsagePlace) -> Result<bool, StoreError> {
        let mut transaction = self.0.base.write().await?;
        let moved = sql("UPDATE usage_places SET hour = ?, part = ?, attempts = ?, next_at = ?, status = ?, error = ?, \
             last_at = ?, delivered_at = ?, missed_from = ? WHERE webhook = ? AND hour = ? AND part = ? AND attempts = ? AND next_at = ?")
        .bind(to.hour.as_micros())
        .bind(to.part)
        .bind(to.attempts)
        .bind(to.next_at.as_micros())
        .bind(to.status.map(i64::from))
        .bind(&to.error)
        .bind(to.last_at.map(Timestamp::as_micros))
        .bind(to.delivered_at.map(Timestamp::as_micros))
        .bind(to.missed_from.map(Timestamp::as_micros))
        .bind(was.webhook)
        .bind(was.hour.as_micros())
        .bind(was.part)
        .bind(was.attempts)
        .bind(was.next_at.as_micros())
        .execute(&mut transaction)
        .await?;
        transaction.commit().await?;
        Ok(moved > 0)
    }

    /// Puts a webhook back to the hour of `since`, if it is further, and has it try at once; says to which hour. One without a place
    /// gets this one.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn put_usage_place_back(
        &self,
        webhook: u32,
        since: Timestamp,
        now: Timestamp,
    ) -> Result<Timestamp, StoreError> {
        let back = UsagePlace { next_at: now, ..UsagePlace::beginning(webhook, since) };
        self.begin_usage_place(&back).await?;
        let mut transaction = self.0.base.write().await?;
        sql("UPDATE usage_places SET part = CASE WHEN hour < ? THEN part ELSE 1 END, \
             hour = CASE WHEN hour < ? THEN hour ELSE ? END, attempts = 0, next_at = ? WHERE webhook = ?")
        .bind(back.hour.as_micros())
        .bind(back.hour.as_micros())
        .bind(back.hour.as_micros())
        .bind(now.as_micros())
        .bind(webhook)
        .execute(&mut transaction)
        .await?;
        let hour = sql("SELECT hour FROM usage_places WHERE webhook = ?").bind(webhook);
        let hour = Columns::of(&hour.fetch_one(&mut transaction).await?).moment()?;
        transaction.commit().await?;
        Ok(hour)
    }
}
