//! `GET /v1/apis/{id}/operations`, and the check of what operations ask of keys before it is in force.

use axum::extract::State;
use keystile_core::api::{ApiSettings, OperationPermissions};
use keystile_core::id::ApiId;
use keystile_store::records::{Api, Document};
use serde::Serialize;
use utoipa::ToSchema;

use crate::manage::app::App;
use crate::manage::caller::{Caller, ReadApis};
use crate::manage::extract::Id;
use crate::manage::list::List;
use crate::manage::problem::{internal, invalid};
use crate::openapi::ApiDocument;
use crate::problem::Problem;

/// An operation of an API's OpenAPI document.
#[derive(Serialize, ToSchema)]
pub(super) struct Operation {
    /// The method.
    #[schema(example = "GET")]
    method: &'static str,
    /// The path as documented.
    #[schema(example = "/pets/{id}")]
    path: String,
    /// What a key must be allowed to call it, by the API's `operation_permissions`; `null` for nothing.
    #[schema(example = "pets.read")]
    permission: Option<String>,
}

/// The operations of an API's OpenAPI document, in its order, and the permission that each needs. There is one page.
#[utoipa::path(get, operation_id = "listOperations", path = "/v1/apis/{id}/operations", tag = "APIs", params(("id" = String, Path)),
    security(("management_key" = [])),
    responses((status = 200, body = List<Operation>), (status = 401), (status = 403), (status = 404)))]
pub(super) async fn list(
    caller: Caller<ReadApis>,
    State(app): State<App>,
    Id(id): Id<ApiId>,
) -> Result<axum::Json<List<Operation>>, Problem> {
    let api = app.api(&caller, id).await?;
    let Some(document) = kept(&app, &api).await? else {
        return Ok(axum::Json(List { items: Vec::new(), next_cursor: None }));
    };
    let permissions = document.permissions(api.settings.operation_permissions);
    let items = document.operations.into_iter().zip(permissions).map(|(operation, needs)| Operation {
        method: operation.method.as_str(),
        path: operation.template,
        permission: needs.ok().flatten().map(|needs| needs.to_string()),
    });
    Ok(axum::Json(List { items: items.collect(), next_cursor: None }))
}

/// Refuses settings by which an operation would be open that is not meant to be, or closed to everybody.
pub(super) async fn check_permissions(
    app: &App,
    known: Option<&Api>,
    settings: &ApiSettings,
    document: Option<&Option<Document>>,
) -> Result<(), Problem> {
    if settings.operation_permissions == OperationPermissions::Off {
        return Ok(());
    }
    let document = match (document, known) {
        (Some(Some(document)), _) => Some(read(&document.operations)?),
        (None, Some(api)) => kept(app, api).await?,
        (Some(None), _) | (None, None) => None,
    };
    let Some(document) = document else {
        return Err(invalid("operation_permissions needs an OpenAPI document; send it as openapi."));
    };
    if !document.has_rights {
        return Err(invalid(
            "The document was kept by a version that did not read what it says of rights; send it again as openapi.",
        ));
    }
    match document.permissions(settings.operation_permissions).into_iter().find_map(Result::err) {
        Some(wrong) => {
            Err(invalid(format!("operation_permissions can't be used: {}: {}.", wrong.operation, wrong.what)))
        }
        None => Ok(()),
    }
}

async fn kept(app: &App, api: &Api) -> Result<Option<ApiDocument>, Problem> {
    let json = app.catalog.api_operations(api.number).await.map_err(|error| internal(&error))?;
    json.as_deref().map(read).transpose()
}

fn read(json: &str) -> Result<ApiDocument, Problem> {
    serde_json::from_str(json).map_err(|error| internal(&error))
}
