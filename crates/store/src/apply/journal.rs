//! What every change leaves behind besides its rows: revisions for the nodes, an entry for the audit.

use keystile_core::id::OrganizationId;

use super::Done;
use crate::audit::{self, Hash};
use crate::catalog::CatalogParts;
use crate::db::{Columns, Connection, signed, sql};
use crate::records::AuditEntry;
use crate::{Author, StoreError, Subject};

/// The revision that the next change will be. Nothing can come between: the transaction has the file to itself.
pub(super) async fn next_revision(db: &mut Connection, parts: &CatalogParts) -> Result<u64, StoreError> {
    Ok(parts.newest(db).await? + 1)
}

/// Keeps what was touched, beginning with this revision; returns the last one.
pub(super) async fn keep_revisions(db: &mut Connection, first: u64, touched: &[Subject]) -> Result<u64, StoreError> {
    let mut revision = first;
    for (place, subject) in (0_u64..).zip(touched) {
        revision = first + place;
        let (word, from, to) = match *subject {
            Subject::Organization => ("organization", 0, 0),
            Subject::Api(number) => ("api", number, number),
            Subject::Project(number) => ("project", number, number),
            Subject::Keys(first, last) => ("keys", first, last),
            Subject::Role(number) => ("role", number, number),
            Subject::Pattern(number) => ("pattern", number, number),
            Subject::Credits(number) => ("credits", number, number),
        };
        sql("INSERT INTO revisions (revision, subject, first, last) VALUES (?, ?, ?, ?)")
            .bind(signed(revision))
            .bind(word)
            .bind(from)
            .bind(to)
            .execute(&mut *db)
            .await?;
    }
    Ok(revision)
}

/// Adds an entry to the audit chain and seals its new end. After an end that does not fit its seal a place stays empty: the
/// change is made all the same, for it may be one that somebody needs right now, and whoever walks the chain finds the break
/// for ever (E-5).
pub(super) async fn keep_entry(
    db: &mut Connection,
    parts: &CatalogParts,
    author: &Author,
    organization: OrganizationId,
    (is_first, done): (bool, &Done),
) -> Result<(), StoreError> {
    let end = sql("SELECT sequence, hash FROM audit ORDER BY sequence DESC LIMIT 1").fetch_optional(&mut *db).await?;
    let (sequence, previous): (u64, Hash) = match &end {
        None => (0, audit::beginning(&parts.installation)),
        Some(row) => {
            let mut row = Columns::of(row);
            (row.number()?, row.bytes()?)
        }
    };
    let is_sound = is_sealed(db, parts, is_first, (sequence, &previous)).await?;
    if !is_sound {
        tracing::error!(entry = sequence, "the audit's end was altered; the place after it stays empty");
    }
    let entry = AuditEntry {
        sequence: sequence + if is_sound { 1 } else { 2 },
        at: author.at,
        organization,
        actor: audit::actor_text(&author.actor),
        address: author.actor.address,
        request: author.actor.request,
        action: done.action.clone(),
        subject: done.subject.clone(),
        before: done.before.clone(),
        after: done.after.clone(),
        is_erased: false,
    };
    let salt = audit::salt(parts.ring().seed(), entry.sequence, &previous);
    let hash = audit::follow(&previous, &entry, &salt);
    sql(
        "INSERT INTO audit (sequence, at, organization, actor, address, request, action, subject, before, after, hash, salt) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(signed(entry.sequence))
    .bind(entry.at.as_micros())
    .bind(organization.to_bytes())
    .bind(&entry.actor)
    .bind(entry.address.map(|address| address.to_string()).unwrap_or_default())
    .bind(entry.request.map(|request| request.to_string()).unwrap_or_default())
    .bind(&entry.action)
    .bind(&entry.subject)
    .bind(&entry.before)
    .bind(&entry.after)
    .bind(hash)
    .bind(salt)
    .execute(&mut *db)
    .await?;
    sql("INSERT INTO audit_end (one, sequence, seal) VALUES (1, ?, ?) \
         ON CONFLICT (one) DO UPDATE SET sequence = excluded.sequence, seal = excluded.seal")
    .bind(signed(entry.sequence))
    .bind(audit::seal(parts.ring().seed(), entry.sequence, &hash))
    .execute(db)
    .await?;
    Ok(())
}

/// Whether the chain ends where it was sealed. Only before an installation's first change is there no end.
async fn is_sealed(
    db: &mut Connection,
    parts: &CatalogParts,
    is_first: bool,
    (last, hash): (u64, &Hash),
) -> Result<bool, StoreError> {
    match sql("SELECT sequence, seal FROM audit_end").fetch_optional(db).await? {
        None => Ok(is_first && last == 0),
        Some(row) => {
            let mut row = Columns::of(&row);
            Ok(row.integer()? == signed(last) && row.bytes::<32>()? == audit::seal(parts.ring().seed(), last, hash))
        }
    }
}
