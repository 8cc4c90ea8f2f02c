//! `/v1/webhooks`: where an organization is told of events, what was sent there, and sending it anew.

mod create;
mod delete;
mod deliveries;
mod get;
mod list;
mod replay;
mod rotate;
mod test;
mod update;
mod view;

use keystile_core::id::{OrganizationId, WebhookId};
use keystile_core::webhook::{EventFilter, USAGE_HOUR, WebhookUrl};
use keystile_store::UsagePlace;
use keystile_store::records::Webhook;
use keystile_store::secret::Sealed;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use zeroize::Zeroizing;

use super::app::App;
use super::caller::{Caller, ReadUsage, WriteWebhooks};
use super::problem::{internal, invalid};
use crate::problem::Problem;
use crate::webhooks::{SECRET_BYTES, shown_secret};
use crate::world::random;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(create::create, list::list))
        .routes(routes!(get::get, update::update, delete::delete))
        .routes(routes!(rotate::rotate))
        .routes(routes!(test::test))
        .routes(routes!(deliveries::list))
        .routes(routes!(replay::one))
        .routes(routes!(replay::since))
}

/// Refuses an address to which nothing would be sent anyway.
async fn reachable(app: &App, url: WebhookUrl) -> Result<WebhookUrl, Problem> {
    match app.webhooks.guard.addresses(&url).await {
        Ok(_) => Ok(url),
        Err(refused) => Err(invalid(format!("The webhook can't lead there: {refused}."))),
    }
}

/// Refuses to have usage sent somewhere to whoever may not read it.
fn tells_of_usage(caller: &Caller<WriteWebhooks>, events: &EventFilter) -> Result<(), Problem> {
    if events.names(USAGE_HOUR) { caller.needs::<ReadUsage>() } else { Ok(()) }
}

/// A webhook as it is shown by itself.
async fn shown(app: &App, webhook: Webhook) -> Result<view::WebhookView, Problem> {
    if !webhook.events.names(USAGE_HOUR) {
        return Ok(webhook.into());
    }
    let place = app.ledger.usage_place(webhook.number).await.map_err(|error| internal(&error))?;
    // It gets its place within seconds; until then it is where that will be.
    let place = place.unwrap_or_else(|| UsagePlace::beginning(webhook.number, webhook.updated_at));
    Ok(view::WebhookView::with_usage(webhook, place))
}

/// A new secret for a webhook: as it is kept, and as it is shown.
fn new_secret(app: &App, owner: OrganizationId, id: WebhookId) -> Result<(Sealed, Zeroizing<String>), Problem> {
    let secret = Zeroizing::new(random::<SECRET_BYTES>(&*app.entropy).map_err(|error| internal(&error))?);
    let salt = random(&*app.entropy).map_err(|error| internal(&error))?;
    Ok((app.catalog.seal_webhook_secret(owner, id, &secret[..], &salt), shown_secret(&secret[..])))
}
