//! On which conditions a change is made: only if its thing is still as somebody knows it, or not at all, to see what would
//! become of it.

use std::fmt;

use keystile_core::id::{
    ActivationId, ApiId, CreditGrantId, InvitationId, KeyId, MemberId, MemberRoleId, OrganizationId, PatternId, PlanId,
    ProjectId, RoleId, WebhookId,
};
use keystile_core::time::Timestamp;

use crate::records::{
    Activation, Api, CreditGrant, CustomRole, Invitation, Key, Member, Organization, Pattern, Plan, Project, Role,
    Webhook,
};
use crate::{Catalog, Change};

/// A state of a thing, told apart from all others that it ever has (RFC 9110 §8.8.3). It says nothing of how many changes
/// there were: revisions are those of everybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tag([u8; 12]);

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The state in which a thing must be for a change to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// It is there, in whichever.
    There,
    /// One of these, as [`Tag`] writes them; none of them if the list is empty.
    OneOf(Vec<String>),
}

impl Expected {
    fn is_met(&self, tag: Option<Tag>) -> bool {
        match (self, tag) {
            (_, None) => false,
            (Self::There, Some(_)) => true,
            (Self::OneOf(tags), Some(tag)) => tags.contains(&tag.to_string()),
        }
    }
}

/// On which conditions a change is made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conditions {
    /// The state that its thing must be in; a thing that it makes is in none.
    pub expected: Option<Expected>,
    /// Whether it is only tried: all is checked, what it would make is told, and nothing of it is kept.
    pub dry_run: bool,
}

impl Conditions {
    /// Whether a thing that was in this state before the change may be changed.
    pub(crate) fn are_met(&self, before: Option<Tag>) -> bool {
        self.expected.as_ref().is_none_or(|expected| expected.is_met(before))
    }
}

/// The name of a thing that has states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ThingId {
    /// An API.
    Api(ApiId),
    /// A project.
    Project(ProjectId),
    /// An activation.
    Activation(ActivationId),
    /// A key.
    Key(KeyId),
    /// A role.
    Role(RoleId),
    /// A pattern.
    Pattern(PatternId),
    /// A plan.
    Plan(PlanId),
    /// Credits that were granted.
    CreditGrant(CreditGrantId),
    /// A webhook.
    Webhook(WebhookId),
    /// An organization.
    Organization(OrganizationId),
    /// A member.
    Member(MemberId),
    /// A role of members.
    CustomRole(MemberRoleId),
    /// An invitation.
    Invitation(InvitationId),
}

/// What has states.
pub trait Stated: Sized {
    /// Its name.
    fn thing_id(&self) -> ThingId;
    /// The revision that it has, and what else of it changes without one.
    fn state(&self) -> (u64, Option<Timestamp>);
    /// It, if it is of this kind.
    fn of(thing: Thing) -> Option<Self>;
}

macro_rules! things {
    ($($(#[$doc:meta])* $kind:ident, $besides:expr;)*) => {
        /// A thing that has states.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Thing {
            $($(#[$doc])* $kind(Box<$kind>),)*
        }

        impl Thing {
            /// Its name.
            pub fn id(&self) -> ThingId {
                match self {
                    $(Self::$kind(thing) => thing.thing_id(),)*
                }
            }
        }

        $(
            impl From<$kind> for Thing {
                fn from(thing: $kind) -> Self {
                    Self::$kind(Box::new(thing))
                }
            }

            impl Stated for $kind {
                fn thing_id(&self) -> ThingId {
                    ThingId::$kind(self.id)
                }

                fn state(&self) -> (u64, Option<Timestamp>) {
                    let besides: fn(&Self) -> Option<Timestamp> = $besides;
                    (self.revision, besides(self))
                }

                fn of(thing: Thing) -> Option<Self> {
                    match thing {
                        Thing::$kind(thing) => Some(*thing),
                        _ => None,
                    }
                }
            }
        )*
    };
}

things! {
    /// An API.
    Api, |_| None;
    /// A project.
    Project, |_| None;
    /// An activation.
    Activation, |_| None;
    /// A key.
    Key, |_| None;
    /// A role.
    Role, |_| None;
    /// A pattern.
    Pattern, |_| None;
    /// A plan.
    Plan, |_| None;
    /// Credits that were granted.
    CreditGrant, |_| None;
    /// A webhook: deliveries are no changes of it.
    Webhook, |webhook| webhook.failing_since;
    /// An organization.
    Organization, |_| None;
    /// A member.
    Member, |_| None;
    /// A role of members.
    CustomRole, |_| None;
    /// An invitation.
    Invitation, |_| None;
}

impl Catalog {
    /// The state that a thing is in.
    pub fn tag(&self, thing: &impl Stated) -> Tag {
        let (revision, since) = thing.state();
        let since = since.map_or(0, Timestamp::as_micros);
        let derived = self.derive(&format!("tag|{}|{revision}|{since}", thing.thing_id()));
        let mut tag = [0; 12];
        tag.copy_from_slice(&derived[..12]);
        Tag(tag)
    }

    pub(crate) fn tag_of(&self, thing: &Thing) -> Tag {
        match thing {
            Thing::Api(thing) => self.tag(&**thing),
            Thing::Project(thing) => self.tag(&**thing),
            Thing::Activation(thing) => self.tag(&**thing),
            Thing::Key(thing) => self.tag(&**thing),
            Thing::Role(thing) => self.tag(&**thing),
            Thing::Pattern(thing) => self.tag(&**thing),
            Thing::Plan(thing) => self.tag(&**thing),
            Thing::CreditGrant(thing) => self.tag(&**thing),
            Thing::Webhook(thing) => self.tag(&**thing),
            Thing::Organization(thing) => self.tag(&**thing),
            Thing::Member(thing) => self.tag(&**thing),
            Thing::CustomRole(thing) => self.tag(&**thing),
            Thing::Invitation(thing) => self.tag(&**thing),
        }
    }
}

impl fmt::Display for ThingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Api(id) => id.fmt(f),
            Self::Project(id) => id.fmt(f),
            Self::Activation(id) => id.fmt(f),
            Self::Key(id) => id.fmt(f),
            Self::Role(id) => id.fmt(f),
            Self::Pattern(id) => id.fmt(f),
            Self::Plan(id) => id.fmt(f),
            Self::CreditGrant(id) => id.fmt(f),
            Self::Webhook(id) => id.fmt(f),
            Self::Organization(id) => id.fmt(f),
            Self::Member(id) => id.fmt(f),
            Self::CustomRole(id) => id.fmt(f),
            Self::Invitation(id) => id.fmt(f),
        }
    }
}

/// The things that a change is about: the one of which a condition speaks, and another that it makes.
pub(crate) fn things(change: &Change) -> [Option<ThingId>; 2] {
    let thing = match change {
        Change::AcceptInvitation { .. }
        | Change::OpenSession { .. }
        | Change::ProveSession { .. }
        | Change::MoveSession { .. }
        | Change::EndSession { .. }
        | Change::EndOwnSession { .. }
        | Change::RenameAccount { .. }
        | Change::EndSessions { .. }
        | Change::SetPassword { .. }
        | Change::OfferReset { .. }
        | Change::OfferSignIn { .. }
        | Change::JudgeDeviceLogin { .. }
        | Change::FinishDeviceLogin { .. }
        | Change::OfferTotp { .. }
        | Change::ConfirmTotp { .. }
        | Change::SetRecoveryCodes { .. }
        | Change::RemoveFactors { .. }
        | Change::AddPasskey(_)
        | Change::RenamePasskey { .. }
        | Change::RemovePasskey { .. }
        | Change::AddIdentity(_)
        | Change::RemoveIdentity { .. }
        | Change::RemovePassword { .. }
        | Change::FailLogin { .. }
        | Change::NoteRefusedKey { .. }
        | Change::Note { .. }
        | Change::EraseProject { .. }
        | Change::RefillCredits { .. }
        | Change::NoteCredits { .. }
        | Change::EraseMember { .. }
        | Change::ImportKeys { .. }
        | Change::OpenHandOver { .. }
        | Change::RotateEncryptionKey { .. }
        | Change::Rewrap { .. }
        | Change::RetireEncryptionKey { .. }
        | Change::RotatePepper { .. }
        | Change::RehashKeys { .. }
        | Change::RetirePepper { .. }
        | Change::NoteRootChange
        | Change::NoteSeal => return [None, None],
        Change::CreateApi { id, .. }
        | Change::UpdateApi { id, .. }
        | Change::DeleteApi { id }
        | Change::SetApiSecret { api: id, .. }
        | Change::RemoveApiSecret { api: id, .. } => ThingId::Api(*id),
        Change::CreateProject { id, .. }
        | Change::UpdateProject { id, .. }
        | Change::SuspendProject { id, .. }
        | Change::DeleteProject { id } => ThingId::Project(*id),
        Change::CreateActivation { id, .. }
        | Change::RequestActivation { id, .. }
        | Change::UpdateActivation { id, .. }
        | Change::SetPlan { id, .. }
        | Change::SetCeilings { id, .. }
        | Change::NoteQuota { id, .. }
        | Change::DeleteActivation { id } => ThingId::Activation(*id),
        Change::CompromiseKey { id, replacement, .. } => {
            return [Some(ThingId::Key(*id)), replacement.as_ref().map(|key| ThingId::Key(key.id))];
        }
        Change::CreateKey { key, .. } => ThingId::Key(key.id),
        Change::UpdateKey { id, .. }
        | Change::KeyState { id, .. }
        | Change::KeyExposed { id, .. }
        | Change::RotateKey { id, .. }
        | Change::EndKeyVersion { id, .. }
        | Change::NoteKey { id, .. }
        | Change::HandOver { id, .. }
        | Change::RevealKey { id, .. }
        | Change::RehashKey { id, .. }
        | Change::DeleteKey { id }
        | Change::UndeleteKey { id } => ThingId::Key(*id),
        Change::CreateRole { id, .. } | Change::UpdateRole { id, .. } | Change::DeleteRole { id, .. } => {
            ThingId::Role(*id)
        }
        Change::CreatePattern { id, .. } | Change::UpdatePattern { id, .. } | Change::DeletePattern { id, .. } => {
            ThingId::Pattern(*id)
        }
        Change::CreatePlan { id, .. } | Change::UpdatePlan { id, .. } | Change::DeletePlan { id } => ThingId::Plan(*id),
        Change::GrantCredits { id, .. } | Change::RevokeCredits { id, .. } => ThingId::CreditGrant(*id),
        Change::CreateWebhook { id, .. }
        | Change::UpdateWebhook { id, .. }
        | Change::RotateWebhookSecret { id, .. }
        | Change::DeleteWebhook { id } => ThingId::Webhook(*id),
        Change::CreateOrganization { id, .. } | Change::UpdateOrganization { id, .. } => ThingId::Organization(*id),
        Change::CreateMemberRole { id, .. } | Change::UpdateMemberRole { id, .. } | Change::DeleteMemberRole { id } => {
            ThingId::CustomRole(*id)
        }
        Change::UpdateMember { id, .. } | Change::DeleteMember { id, .. } => ThingId::Member(*id),
        Change::Invite(invite) | Change::OfferClaim(invite) => ThingId::Invitation(invite.id),
        Change::WithdrawInvitation { id } => ThingId::Invitation(*id),
    };
    [Some(thing), None]
}
