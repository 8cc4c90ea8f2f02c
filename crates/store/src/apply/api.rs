//! Changes of APIs.

use keystile_core::api::ApiSettings;
use keystile_core::id::ApiId;

use super::{Done, Work, number_of, or_exists, refuse_stale, text};
use crate::catalog::apis::find;
use crate::db::{Columns, Connection, signed, sql, to_json};
use crate::records::{Api, Document};
use crate::{ApplyError, Subject};

const NO_SUCH: ApplyError = ApplyError::NotFound("API");

pub(super) async fn create(
    work: Work<'_>,
    id: ApiId,
    name: &str,
    settings: &ApiSettings,
    document: Option<&Document>,
) -> Result<Done, ApplyError> {
    refuse_taken_route(work.db, settings, None).await?;
    let number = sql(
        "INSERT INTO apis (id, organization, name, active, settings, document, operations, created_at, updated_at, revision) \
         VALUES (?, ?, ?, 1, ?, ?, ?, ?, ?, ?) RETURNING number",
    )
    .bind(id.to_bytes())
    .bind(work.tenant.number)
    .bind(name)
    .bind(to_json(settings)?)
    .bind(document.map(|document| to_json(&document.info)).transpose()?)
    .bind(document.map(|document| document.operations.as_str()))
    .bind(work.at.as_micros())
    .bind(work.at.as_micros())
    .bind(signed(work.revision))
    .fetch_one(&mut *work.db)
    .await
    .map_err(or_exists("an API with this id is there already"))?;
    let api = find(work.db, work.tenant.id, id).await?.ok_or(NO_SUCH)?;
    Ok(Done::made("api.create", id, &api, Subject::Api(number_of(&number)?)))
}

/// Routes are the whole installation's: of two APIs with the same one, the calls of the second would go to the first.
async fn refuse_taken_route(db: &mut Connection, settings: &ApiSettings, own: Option<u32>) -> Result<(), ApplyError> {
    let others = sql("SELECT number, settings FROM apis WHERE deleted_at IS NULL").fetch_all(db).await?;
    for row in &others {
        let mut row = Columns::of(row);
        let (number, other): (u32, ApiSettings) = (row.number()?, row.json()?);
        if own != Some(number) && settings.shares_route(&other) {
            return Err(ApplyError::Exists(
                "another API answers to this host and path; give this one its own hosts or path_prefix",
            ));
        }
    }
    Ok(())
}

/// What an API becomes.
pub(super) struct Update<'a> {
    pub(super) name: &'a str,
    pub(super) active: bool,
    pub(super) settings: &'a ApiSettings,
    pub(super) document: Option<&'a Option<Document>>,
}

pub(super) async fn update(work: Work<'_>, id: ApiId, was: u64, to: Update<'_>) -> Result<Done, ApplyError> {
    let before = find(work.db, work.tenant.id, id).await?.ok_or(NO_SUCH)?;
    refuse_stale(before.revision, was)?;
    let is_moved =
        |before: &ApiSettings| to.settings.hosts != before.hosts || to.settings.path_prefix != before.path_prefix;
    if is_moved(&before.settings) {
        refuse_taken_route(work.db, to.settings, Some(before.number)).await?;
    }
    sql("UPDATE apis SET name = ?, active = ?, settings = ?, updated_at = ?, revision = ? WHERE number = ?")
        .bind(to.name)
        .bind(to.active)
        .bind(to_json(to.settings)?)
        .bind(work.at.as_micros())
        .bind(signed(work.revision))
        .bind(before.number)
        .execute(&mut *work.db)
        .await?;
    if before.settings.recoverable_keys && !to.settings.recoverable_keys {
        text::wipe_of_api(work.db, before.number).await?;
    }
    if let Some(document) = to.document {
        sql("UPDATE apis SET document = ?, operations = ? WHERE number = ?")
            .bind(document.as_ref().map(|document| to_json(&document.info)).transpose()?)
            .bind(document.as_ref().map(|document| document.operations.as_str()))
            .bind(before.number)
            .execute(&mut *work.db)
            .await?;
    }
    let after = find(work.db, work.tenant.id, id).await?.ok_or(NO_SUCH)?;
    Ok(Done::changed("api.update", id, [&before, &after], Subject::Api(before.number)))
}

pub(super) async fn delete(work: Work<'_>, id: ApiId) -> Result<Done, ApplyError> {
    let before: Api = find(work.db, work.tenant.id, id).await?.ok_or(NO_SUCH)?;
    sql("UPDATE apis SET deleted_at = ?, revision = ? WHERE number = ?")
        .bind(work.at.as_micros())
        .bind(signed(work.revision))
        .bind(before.number)
        .execute(&mut *work.db)
        .await?;
    // Of what nobody can use any more nothing is kept.
    sql("DELETE FROM api_secrets WHERE api = ?").bind(before.number).execute(&mut *work.db).await?;
    sql("UPDATE plans SET deleted_at = ?, revision = ? WHERE api = ? AND deleted_at IS NULL")
        .bind(work.at.as_micros())
        .bind(signed(work.revision))
        .bind(before.number)
        .execute(&mut *work.db)
        .await?;
    // Projects of other organizations lose their links as well; what nodes hold of them changes.
    let linked: Vec<u32> = sql(
        "UPDATE activations SET deleted_at = ?, revision = ? WHERE api = ? AND deleted_at IS NULL RETURNING project",
    )
    .bind(work.at.as_micros())
    .bind(signed(work.revision))
    .bind(before.number)
    .fetch_numbers(&mut *work.db)
    .await?;
    let touched = [Subject::Api(before.number)].into_iter().chain(linked.into_iter().map(Subject::Project)).collect();
    Ok(Done::deleted("api.delete", id, &before, touched))
}
