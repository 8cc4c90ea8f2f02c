//! Changes of the secrets that APIs have for their upstreams. The audit learns their names, never their values.

use keystile_core::api::{MAX_SECRETS, SecretName};
use keystile_core::id::ApiId;
use serde_json::json;

use super::{Done, Work, encryption};
use crate::catalog::apis::find;
use crate::db::sql;
use crate::secret::Sealed;
use crate::{ApplyError, Subject};

pub(super) async fn set(work: Work<'_>, api: ApiId, name: &SecretName, sealed: &Sealed) -> Result<Done, ApplyError> {
    let api = find(work.db, work.tenant.id, api).await?.ok_or(ApplyError::NotFound("API"))?;
    encryption::refuse_retired(work.db, sealed).await?;
    let others: usize = sql("SELECT count(*) FROM api_secrets WHERE api = ? AND name != ?")
        .bind(api.number)
        .bind(name.to_string())
        .fetch_number(&mut *work.db)
        .await?;
    if others >= MAX_SECRETS {
        return Err(ApplyError::Exists("this API has as many secrets as one can have; remove one first"));
    }
    sql("INSERT INTO api_secrets (api, name, sealed, set_at) VALUES (?, ?, ?, ?) \
         ON CONFLICT (api, name) DO UPDATE SET sealed = excluded.sealed, set_at = excluded.set_at")
    .bind(api.number)
    .bind(name.to_string())
    .bind(&sealed.0[..])
    .bind(work.at.as_micros())
    .execute(&mut *work.db)
    .await?;
    let shown = json!({ "secret": name }).to_string();
    Ok(Done::new("api.secret.set", api.id, String::new(), shown, vec![Subject::Api(api.number)]))
}

pub(super) async fn remove(work: Work<'_>, api: ApiId, name: &SecretName) -> Result<Done, ApplyError> {
    let api = find(work.db, work.tenant.id, api).await?.ok_or(ApplyError::NotFound("API"))?;
    let removed = sql("DELETE FROM api_secrets WHERE api = ? AND name = ?")
        .bind(api.number)
        .bind(name.to_string())
        .execute(&mut *work.db)
        .await?;
    if removed == 0 {
        return Err(ApplyError::NotFound("secret"));
    }
    let shown = json!({ "secret": name }).to_string();
    Ok(Done::new("api.secret.remove", api.id, shown, String::new(), vec![Subject::Api(api.number)]))
}
