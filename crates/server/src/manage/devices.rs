//! Logging in a device that has no browser (RFC 8628): `/v1/device/…` for the device, `/v1/account/device…` for whoever lets it in.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use keystile_core::time::Timestamp;
use keystile_store::Change;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::app::App;
use super::authenticate::Newcomer;
use super::caller::{Anybody, Caller};
use super::extract::{Json, Nothing};
use super::login::{LoggedInView, Secret, refused};
use super::problem::{device_problem, internal, not_found, overloaded};
use crate::identity::{DEVICE_INTERVAL_SECS, DEVICE_LIFE_SECS, DeviceCodes, Polled};
use crate::problem::Problem;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(authorize)).routes(routes!(token)).routes(routes!(look)).routes(routes!(judge))
}

/// A device that waits to be let in.
#[derive(Serialize, ToSchema)]
#[schema(as = DeviceAuthorization)]
pub(super) struct AuthorizationView {
    /// What the device shows at `/v1/device/token`, and nobody else.
    device_code: String,
    /// What people type.
    #[schema(example = "WDJB-MJHT")]
    user_code: String,
    /// Where they type it: to be added to the address of this server.
    #[schema(example = "/device")]
    verification_path: &'static str,
    /// The same with the code in it.
    #[schema(example = "/device#WDJB-MJHT")]
    verification_path_complete: String,
    /// Seconds for which it waits.
    expires_in: i64,
    /// Seconds between two questions of the device.
    interval: u64,
}

/// Begin to log in a device that has no browser (RFC 8628, in JSON). It shows a code that somebody types who is logged in elsewhere.
#[utoipa::path(post, operation_id = "authorizeDevice", path = "/v1/device/authorize", tag = "Accounts", security(()),
    responses((status = 200, body = AuthorizationView), (status = 400)))]
pub(super) async fn authorize(newcomer: Newcomer, State(app): State<App>, _: Nothing) -> Result<Response, Problem> {
    app.writes_here().await?;
    let codes = match app.identity.begin_device(&newcomer.visitor(None)).await {
        Ok(Some(codes)) => codes,
        Ok(None) => return Err(overloaded("Too many devices wait to be let in; try again in some minutes.")),
        Err(error) => return Ok(refused(&app, error)),
    };
    let DeviceCodes { device, user } = codes;
    let view = AuthorizationView {
        device_code: device.text.expose().to_owned(),
        verification_path: "/device",
        verification_path_complete: format!("/device#{user}"),
        user_code: user,
        expires_in: DEVICE_LIFE_SECS,
        interval: DEVICE_INTERVAL_SECS,
    };
    Ok(axum::Json(view).into_response())
}

/// Which device asks.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DeviceQuestion {
    /// Its `device_code`.
    #[schema(value_type = String)]
    device_code: Secret,
}

/// Ask whether the device was let in. As long as nobody said so, the answer is 400 with the code `authorization_pending`; then
/// `access_denied` or `expired_token`, or a session. One that asks more often than `interval` says is told `slow_down`.
#[utoipa::path(post, operation_id = "deviceToken", path = "/v1/device/token", tag = "Accounts", request_body = DeviceQuestion,
    security(()), responses((status = 200, body = LoggedInView), (status = 400)))]
pub(super) async fn token(
    newcomer: Newcomer,
    State(app): State<App>,
    body: Json<DeviceQuestion>,
) -> Result<Response, Problem> {
    let visitor = newcomer.visitor(None);
    let code = body.value.device_code;
    let polled = match app.identity.poll_device(&app.feed, &visitor, code.expose()).await {
        Ok(polled) => polled,
        Err(error) => return Ok(refused(&app, error)),
    };
    match polled {
        Polled::In(opened) => {
            app.webhooks.wake();
            Ok(axum::Json(LoggedInView::with_token(*opened)).into_response())
        }
        Polled::Pending => {
            Err(device_problem("authorization_pending", "Nobody has let this device in yet; ask again."))
        }
        Polled::SlowDown => Err(device_problem("slow_down", "Ask less often: wait five seconds longer each time.")),
        Polled::Denied => Err(device_problem("access_denied", "This device was not let in.")),
        Polled::Expired => {
            Err(device_problem("expired_token", "Its time is over, or it was let in before; begin again."))
        }
    }
}

/// The code that a device shows.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UserCode {
    /// It.
    #[schema(example = "WDJB-MJHT")]
    user_code: String,
}

/// A device that wants in.
#[derive(Serialize, ToSchema)]
#[schema(as = WaitingDevice)]
pub(super) struct WaitingView {
    /// What its program calls itself.
    agent: String,
    /// From where it asks; `null` if that is not known.
    address: Option<String>,
    /// When it began to wait.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

/// See which device wants in, before you let it.
#[utoipa::path(post, operation_id = "lookAtDevice", path = "/v1/account/device/look", tag = "Accounts", request_body = UserCode,
    security(("management_key" = [])),
    responses((status = 200, body = WaitingView), (status = 400), (status = 401), (status = 403), (status = 404)))]
pub(super) async fn look(
    caller: Caller<Anybody>,
    State(app): State<App>,
    body: Json<UserCode>,
) -> Result<axum::Json<WaitingView>, Problem> {
    caller.refuse_conditions()?;
    caller.person()?;
    let lookup = app.identity.lookup_of_user_code(&body.value.user_code);
    let found = app.catalog.device_login_to_judge(lookup, app.now()).await.map_err(|error| internal(&error))?;
    let login = found.ok_or_else(no_device)?;
    let address = Some(login.address).filter(|address| !address.is_empty());
    Ok(axum::Json(WaitingView { agent: login.agent, address, created_at: login.created_at }))
}

/// Whether a device is let in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Judgement {
    /// The code that it shows.
    #[schema(example = "WDJB-MJHT")]
    user_code: String,
    /// Whether it is.
    approve: bool,
}

/// Let a device in as yourself, where you are, or refuse it. Do so only for one that shows its code before your eyes. Prove first who
/// you are.
#[utoipa::path(post, operation_id = "judgeDevice", path = "/v1/account/device", tag = "Accounts", request_body = Judgement,
    security(("management_key" = [])),
    responses((status = 204), (status = 400), (status = 401), (status = 403), (status = 404)))]
pub(super) async fn judge(
    caller: Caller<Anybody>,
    State(app): State<App>,
    body: Json<Judgement>,
) -> Result<StatusCode, Problem> {
    caller.refuse_conditions()?;
    let account = caller.person()?.account();
    caller.proven()?;
    let Judgement { user_code, approve } = body.value;
    let user_code = app.identity.lookup_of_user_code(&user_code);
    let change = Change::JudgeDeviceLogin { user_code, account, approve };
    app.apply(&caller, change).await.map_err(|problem| if problem.status == 404 { no_device() } else { problem })?;
    Ok(StatusCode::NO_CONTENT)
}

fn no_device() -> Problem {
    not_found("device").because("No device shows this code now; look once more, or begin again there.")
}
