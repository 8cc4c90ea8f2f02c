//! Looking at a thing from within a change: as it was before, and as it would be.

use keystile_core::id::OrganizationId;

use crate::StoreError;
use crate::catalog::{
    activations, apis, credits, invitations, keys, member_roles, members, organizations, patterns, plans, projects,
    roles, webhooks,
};
use crate::condition::{Thing, ThingId};
use crate::db::Connection;

/// A thing of an organization, in the midst of a transaction.
pub(super) async fn find(
    db: &mut Connection,
    organization: OrganizationId,
    id: ThingId,
) -> Result<Option<Thing>, StoreError> {
    Ok(match id {
        ThingId::Api(id) => apis::find(db, organization, id).await?.map(Thing::from),
        ThingId::Project(id) => projects::find(db, organization, id).await?.map(Thing::from),
        ThingId::Activation(id) => activations::find(db, organization, id).await?.map(Thing::from),
        // One that was deleted has a state too: the one in which it is brought back.
        ThingId::Key(id) => match keys::find(db, organization, id).await? {
            Some(key) => Some(key),
            None => keys::find_deleted(db, organization, id).await?,
        }
        .map(Thing::from),
        ThingId::Role(id) => roles::find(db, organization, id).await?.map(Thing::from),
        ThingId::Pattern(id) => patterns::find(db, organization, id).await?.map(Thing::from),
        ThingId::Plan(id) => plans::find(db, organization, id).await?.map(Thing::from),
        ThingId::CreditGrant(id) => credits::find(db, organization, id).await?.map(Thing::from),
        ThingId::Webhook(id) => webhooks::find(db, organization, id).await?.map(Thing::from),
        ThingId::Organization(id) => organizations::find(db, organization, id).await?.map(Thing::from),
        ThingId::Member(id) => members::find(db, organization, id).await?.map(Thing::from),
        ThingId::CustomRole(id) => member_roles::find(db, organization, id).await?.map(Thing::from),
        ThingId::Invitation(id) => invitations::find(db, organization, id).await?.map(Thing::from),
    })
}
