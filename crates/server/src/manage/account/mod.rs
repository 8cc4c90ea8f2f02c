//! `/v1/account`: what somebody who is logged in does about themselves, and `/v1/whoami`, which programs ask too. No right is
//! needed for one's own.

mod change;
mod factor;
mod identity;
mod passkey;
mod password;
mod prove;
mod session;
mod whoami;

pub(super) use identity::IdentityView;
pub(super) use passkey::PasskeyView;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
pub(super) use whoami::{WhoAmIView, of as who};

use super::app::App;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(whoami::whoami))
        .routes(routes!(whoami::permissions))
        .routes(routes!(change::update))
        .routes(routes!(change::join))
        .routes(routes!(password::change, password::remove))
        .routes(routes!(prove::prove))
        .routes(routes!(passkey::begin))
        .routes(routes!(passkey::add, passkey::list))
        .routes(routes!(passkey::rename, passkey::remove))
        .routes(routes!(passkey::prove))
        .routes(routes!(identity::connect))
        .routes(routes!(identity::list))
        .routes(routes!(identity::remove))
        .routes(routes!(identity::prove))
        .routes(routes!(factor::offer, factor::remove))
        .routes(routes!(factor::confirm))
        .routes(routes!(factor::renew))
        .routes(routes!(session::switch))
        .routes(routes!(session::logout))
        .routes(routes!(session::list))
        .routes(routes!(session::end))
        .routes(routes!(session::end_others))
}
