//! `POST /v1/webhooks/{id}/deliveries/{delivery}/replay` and `POST /v1/webhooks/{id}/replay`: sending anew what was sent.
//! An event keeps its id, so whoever took it already can tell.

use axum::extract::State;
use keystile_core::id::{EventId, WebhookId};
use keystile_core::time::Timestamp;
use keystile_core::webhook::{USAGE_HOUR, event_id, sequence_of};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::view::DeliveryView;
use crate::manage::app::{App, found};
use crate::manage::caller::{Caller, ReadEvents, ReadUsage, WriteWebhooks};
use crate::manage::extract::{Id, Json, Nothing, Pair};
use crate::manage::problem::{internal, invalid, not_found};
use crate::problem::Problem;

/// From where on events are sent anew.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Replay {
    /// A moment, or the id of the first event: all from there on of which the webhook tells, those too from before it was
    /// made. If it names usage and this is a moment, all that was recorded since the hour of that is sent anew, too.
    #[schema(value_type = String, required = true, example = "2027-01-31T12:00:00Z")]
    since: Option<String>,
}

/// What is sent anew.
#[derive(Serialize, ToSchema)]
pub(super) struct Replayed {
    /// How many events.
    replayed: u64,
    /// `since` of the next request, if there were more than one request takes (10,000).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    next_since: Option<EventId>,
    /// From which hour on usage is sent anew, if the webhook names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    usage_since: Option<Timestamp>,
}

/// Send an event to a webhook anew.
#[utoipa::path(post, operation_id = "replayDelivery", path = "/v1/webhooks/{id}/deliveries/{delivery}/replay", tag = "Webhooks",
    params(("id" = String, Path), ("delivery" = String, Path, description = "The event's id, `evt_…`")),
    security(("management_key" = [])), responses((status = 200, body = DeliveryView), (status = 401), (status = 404)))]
pub(super) async fn one(
    caller: Caller<WriteWebhooks>,
    State(app): State<App>,
    Pair(id, event): Pair<WebhookId>,
    _: Nothing,
) -> Result<axum::Json<DeliveryView>, Problem> {
    caller.refuse_dry_run()?;
    let webhook = app.webhook(&caller, id).await?;
    let installation = app.catalog.installation();
    let event = event.parse::<EventId>().map_err(|_| not_found("delivery"))?;
    let sequence = sequence_of(&installation, event).ok_or_else(|| not_found("delivery"))?;
    app.writes_here().await?;
    if !app.catalog.replay(&webhook, sequence, app.now()).await.map_err(|error| internal(&error))? {
        return Err(not_found("delivery")
            .because("This event was not sent to this webhook, or long ago; send it with /replay and `since`."));
    }
    app.webhooks.wake();
    let delivery = found(app.catalog.delivery(&webhook, sequence).await, "delivery")?;
    Ok(axum::Json(DeliveryView::of(&installation, delivery)))
}

/// Send all events since then to a webhook anew, oldest first. It shows what happened before, so it needs `events.read` too, and
/// `usage.read` if the webhook names usage and `since` is a moment.
#[utoipa::path(post, operation_id = "replayEvents", path = "/v1/webhooks/{id}/replay", tag = "Webhooks", params(("id" = String, Path)),
    request_body = Replay, security(("management_key" = [])),
    responses((status = 200, body = Replayed), (status = 400), (status = 401), (status = 403), (status = 404)))]
pub(super) async fn since(
    caller: Caller<WriteWebhooks>,
    State(app): State<App>,
    Id(id): Id<WebhookId>,
    body: Json<Replay>,
) -> Result<axum::Json<Replayed>, Problem> {
    caller.refuse_dry_run()?;
    let webhook = app.webhook(&caller, id).await?;
    let installation = app.catalog.installation();
    let text = body.value.since.ok_or_else(|| invalid("since is missing; say from where on events are sent anew."))?;
    caller.needs::<ReadEvents>()?;
    let event = text.parse::<EventId>().ok().and_then(|event| sequence_of(&installation, event));
    let (first, moment) = match (event, text.parse::<Timestamp>()) {
        (Some(sequence), _) => (sequence, None),
        (None, Ok(moment)) => {
            let first = app.catalog.first_event_since(caller.organization, moment).await;
            (first.map_err(|error| internal(&error))?, Some(moment))
        }
        (None, Err(_)) => {
            return Err(invalid("since is a moment such as 2027-01-31T12:00:00Z, or the id of an event, evt_…"));
        }
    };
    let usage_from = moment.filter(|_| webhook.events.names(USAGE_HOUR));
    if usage_from.is_some() {
        caller.needs::<ReadUsage>()?;
    }
    app.writes_here().await?;
    let replayed = app.catalog.replay_since(&webhook, first, app.now()).await.map_err(|error| internal(&error))?;
    app.webhooks.wake();
    let next_since = replayed.next.map(|sequence| event_id(&installation, sequence));
    let usage_since = match usage_from {
        None => None,
        Some(moment) => {
            // What is not kept any more nobody waits for.
            let kept_from = app.ledger.events_kept_from().await.map_err(|error| internal(&error))?;
            let moment = kept_from.map_or(moment, |kept_from| kept_from.max(moment));
            let put_back = app.ledger.put_usage_place_back(webhook.number, moment, app.now()).await;
            app.webhooks.wake_usage();
            Some(put_back.map_err(|error| internal(&error))?)
        }
    };
    Ok(axum::Json(Replayed { replayed: replayed.count, next_since, usage_since }))
}
