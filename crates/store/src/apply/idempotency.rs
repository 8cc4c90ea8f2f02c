//! Requests that may be sent again. What a request made is kept with the change itself, so that neither can be without
//! the other.

use keystile_core::id::OrganizationId;
use keystile_core::time::Timestamp;

use crate::db::{Columns, Connection, sql};
use crate::{ApplyError, Idempotency, StoreError};

/// How long a request is remembered: a client that still repeats it after a day has forgotten it itself.
const KEPT_SECS: i64 = 24 * 3_600;

/// Refuses a request that was made before, and another request under the same key. Forgets old ones.
pub(super) async fn refuse_repeated(
    db: &mut Connection,
    organization: OrganizationId,
    request: &Idempotency,
    at: Timestamp,
) -> Result<(), ApplyError> {
    sql("DELETE FROM idempotency WHERE at < ?").bind(at.plus_secs(-KEPT_SECS).as_micros()).execute(&mut *db).await?;
    let row = sql("SELECT request, subject FROM idempotency WHERE organization = ? AND key = ?")
        .bind(organization.to_bytes())
        .bind(request.key)
        .fetch_optional(db)
        .await?;
    let Some(row) = row else { return Ok(()) };
    let mut row = Columns::of(&row);
    if row.bytes()? == request.request {
        Err(ApplyError::Repeated { subject: row.text()? })
    } else {
        Err(ApplyError::KeyReused)
    }
}

/// Remembers a request.
pub(super) async fn keep(
    db: &mut Connection,
    organization: OrganizationId,
    request: &Idempotency,
    at: Timestamp,
) -> Result<(), StoreError> {
    sql("INSERT INTO idempotency (organization, key, request, subject, at) VALUES (?, ?, ?, ?, ?)")
        .bind(organization.to_bytes())
        .bind(request.key)
        .bind(request.request)
        .bind(&request.subject)
        .bind(at.as_micros())
        .execute(db)
        .await?;
    Ok(())
}
