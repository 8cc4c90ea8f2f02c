//! Changes of invitations. The token of one is seen by whoever made it, once; kept is its hash.

use keystile_core::id::{InvitationId, MemberId};
use keystile_core::member::{BuiltInRole, MemberRole};

use super::account::insert;
use super::{Done, Work, factor, member, member_role, or_exists, organization};
use crate::audit;
use crate::catalog::invitations::{find, find_open};
use crate::catalog::{accounts, members, organizations};
use crate::db::{signed, sql};
use crate::records::{InvitationState, Invite, Joining};
use crate::{ApplyError, Subject};

const NO_SUCH: ApplyError = ApplyError::NotFound("invitation");

/// Most open invitations to an organization at a time: whoever sends more has lost sight of them.
const MAX_OPEN: u32 = 1_000;

pub(super) async fn create(work: Work<'_>, invite: &Invite) -> Result<Done, ApplyError> {
    let into = organizations::find(work.db, work.tenant.id, invite.organization).await?;
    let into = into.ok_or(organization::NO_SUCH)?;
    if let MemberRole::BuiltIn(role) = invite.role
        && role.kind() != into.kind
    {
        return Err(ApplyError::Conflict(format!(
            "an organization of the kind {} has no role {role}; GET /v1/permissions lists those of each kind",
            into.kind
        )));
    }
    if into.id != work.tenant.id {
        let members: u32 = sql("SELECT count(*) FROM members WHERE organization = ? AND deleted_at IS NULL")
            .bind(into.number)
            .fetch_number(&mut *work.db)
            .await?;
        if members > 0 {
            return Err(ApplyError::Conflict(
                "that organization has members by now, who invite others themselves".to_owned(),
            ));
        }
    }
    let open: u32 = sql("SELECT count(*) FROM invitations WHERE organization = ? AND state = 'open' AND ends_at > ?")
        .bind(into.number)
        .bind(work.at.as_micros())
        .fetch_number(&mut *work.db)
        .await?;
    if open >= MAX_OPEN {
        return Err(ApplyError::Exists("there are as many open invitations as there can be; withdraw some first"));
    }
    let (word, custom) = member_role::columns(work.db, into.id, invite.role).await?;
    sql(
        "INSERT INTO invitations (id, organization, email, role, custom_role, lookup, created_at, updated_at, ends_at, \
         made_by, state, revision) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'open', ?)",
    )
    .bind(invite.id.to_bytes())
    .bind(into.number)
    .bind(invite.email.as_ref().map(|email| email.as_str().to_owned()))
    .bind(word)
    .bind(custom)
    .bind(&invite.lookup[..])
    .bind(work.at.as_micros())
    .bind(work.at.as_micros())
    .bind(invite.ends_at.as_micros())
    .bind(audit::actor_text(&work.actor))
    .bind(signed(work.revision))
    .execute(&mut *work.db)
    .await?;
    let made = find(work.db, work.tenant.id, invite.id).await?.ok_or(NO_SUCH)?;
    Ok(Done::made("invitation.create", invite.id, &made, Subject::Organization))
}

/// Where it is noted which invitation is the claim, that the next one takes its place.
const CLAIM: &str = "claim";

async fn withdraw_claim(work: &mut Work<'_>) -> Result<(), ApplyError> {
    sql("UPDATE invitations SET state = 'withdrawn', updated_at = ?, revision = ? \
         WHERE state = 'open' AND id = (SELECT value FROM meta WHERE name = ?)")
    .bind(work.at.as_micros())
    .bind(signed(work.revision))
    .bind(CLAIM)
    .execute(&mut *work.db)
    .await?;
    Ok(())
}

pub(super) async fn offer_claim(mut work: Work<'_>, invite: &Invite) -> Result<Done, ApplyError> {
    withdraw_claim(&mut work).await?;
    sql("INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value")
        .bind(CLAIM)
        .bind(invite.id.to_bytes())
        .execute(&mut *work.db)
        .await?;
    create(work, invite).await
}

pub(super) async fn withdraw(work: Work<'_>, id: InvitationId) -> Result<Done, ApplyError> {
    let before = find(work.db, work.tenant.id, id).await?.ok_or(NO_SUCH)?;
    if before.state == InvitationState::Accepted {
        return Err(ApplyError::Conflict(
            "it was accepted; take the member away instead, with DELETE /v1/members/{id}".to_owned(),
        ));
    }
    sql("UPDATE invitations SET state = 'withdrawn', updated_at = ?, revision = ? WHERE number = ?")
        .bind(work.at.as_micros())
        .bind(signed(work.revision))
        .bind(before.number)
        .execute(&mut *work.db)
        .await?;
    let after = find(work.db, work.tenant.id, id).await?.ok_or(NO_SUCH)?;
    Ok(Done::changed("invitation.withdraw", id, [&before, &after], Subject::Organization))
}

pub(super) async fn accept(
    mut work: Work<'_>,
    lookup: [u8; 32],
    id: MemberId,
    joining: &Joining,
) -> Result<Done, ApplyError> {
    let invitation = find_open(work.db, &work.parts.sealer, lookup, work.at).await?.ok_or(NO_SUCH)?;
    if invitation.organization != work.tenant.id {
        return Err(NO_SUCH);
    }
    let account = match joining {
        Joining::New(account) => {
            refuse_other_address(&invitation, account.email.as_str())?;
            insert(work.db, account, work.at, work.revision).await?
        }
        Joining::Known(account, shown) => {
            let found = accounts::find(work.db, *account).await?.ok_or(super::account::NO_SUCH)?;
            refuse_other_address(&invitation, found.account.email.as_str())?;
            let number = accounts::number(work.db, *account).await?.ok_or(super::account::NO_SUCH)?;
            if let Some(shown) = shown {
                factor::hold(work.db, number, shown, work.at).await?;
            }
            number
        }
    };
    sql("UPDATE invitations SET state = 'accepted', updated_at = ?, revision = ? WHERE number = ?")
        .bind(work.at.as_micros())
        .bind(signed(work.revision))
        .bind(invitation.number)
        .execute(&mut *work.db)
        .await?;
    if work.tenant.number == organizations::FIRST && invitation.role == MemberRole::BuiltIn(BuiltInRole::Owner) {
        // There is somebody who can let others in; the claim is no longer needed.
        withdraw_claim(&mut work).await?;
    }
    let (word, custom) = member_role::columns(work.db, work.tenant.id, invitation.role).await?;
    sql("INSERT INTO members (id, organization, account, role, custom_role, created_at, updated_at, revision) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)")
    .bind(id.to_bytes())
    .bind(work.tenant.number)
    .bind(account)
    .bind(word)
    .bind(custom)
    .bind(work.at.as_micros())
    .bind(work.at.as_micros())
    .bind(signed(work.revision))
    .execute(&mut *work.db)
    .await
    .map_err(or_exists("this account is a member of the organization already"))?;
    let made = members::find(work.db, work.tenant.id, id).await?.ok_or(member::NO_SUCH)?;
    Ok(Done::made("member.create", id, &made, Subject::Organization))
}

fn refuse_other_address(invitation: &crate::records::Invitation, email: &str) -> Result<(), ApplyError> {
    match &invitation.email {
        Some(invited) if invited.as_str() != email => Err(ApplyError::Conflict(
            "the invitation is for another e-mail address; use that one, or ask for another invitation".to_owned(),
        )),
        _ => Ok(()),
    }
}
