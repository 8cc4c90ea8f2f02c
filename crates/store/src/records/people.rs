//! People: accounts, what they are in which organization, how they come in, and that they are logged in.

use keystile_core::account::{EmailAddress, SessionTimes};
use keystile_core::id::{AccountId, InvitationId, MemberId, MemberRoleId, OrganizationId, SessionId};
use keystile_core::member::{MemberRole, MemberRoleName, OrganizationKind};
use keystile_core::permission::Permission;
use keystile_core::time::Timestamp;

use super::proof::{NewIdentity, PasswordHash, Shown};

/// Somebody who logs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its id.
    pub id: AccountId,
    /// What it is found by.
    pub email: EmailAddress,
    /// What its holder is called; may be empty.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// Whether one-time codes are asked of it.
    pub has_totp: bool,
    /// Whether there is a password to log in with.
    pub has_password: bool,
    /// How many passkeys there are to log in with.
    pub passkeys: u32,
}

impl Account {
    /// Whether a password is all that is asked for.
    pub const fn lets_password_alone_in(&self) -> bool {
        self.has_password && !self.has_totp
    }
}

/// An account, and what it is proved with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The account.
    pub account: Account,
    /// Its password, if it has one.
    pub password: Option<PasswordHash>,
}

/// An account to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAccount {
    /// Its id.
    pub id: AccountId,
    /// What it is found by.
    pub email: EmailAddress,
    /// What its holder is called.
    pub name: String,
    /// What lets its holder in.
    pub entry: Entry,
}

/// What lets the holder of a new account in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A password.
    Password(PasswordHash),
    /// What an identity provider vouches for.
    Identity(NewIdentity),
    /// Links that come by e-mail alone.
    Links,
}

/// Who joins an organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Joining {
    /// Somebody who was not known before.
    New(NewAccount),
    /// Somebody who has an account, with what they showed of it if they are not logged in.
    Known(AccountId, Option<Shown>),
}

/// A person in an organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its id.
    pub id: MemberId,
    /// Its number.
    pub number: u32,
    /// Where.
    pub organization: OrganizationId,
    /// Who.
    pub account: Account,
    /// The role.
    pub role: MemberRole,
    /// The name of the role, if it is one that the organization made.
    pub role_name: Option<MemberRoleName>,
    /// What the role grants; what an organization of this kind can't do at all is in it.
    pub granted: Vec<Permission>,
    /// When the person joined.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// The revision of its last change.
    pub revision: u64,
}

/// An organization that an account is a member of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// The organization.
    pub organization: OrganizationId,
    /// The number of that organization.
    pub organization_number: u32,
    /// Its name.
    pub organization_name: String,
    /// What it is there for.
    pub kind: OrganizationKind,
    /// What the account is there.
    pub member: Member,
}

/// A role that an organization made for its members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomRole {
    /// Its id.
    pub id: MemberRoleId,
    /// Its number.
    pub number: u32,
    /// Whose it is.
    pub organization: OrganizationId,
    /// Its name.
    pub name: MemberRoleName,
    /// What it is for.
    pub description: String,
    /// What members that have it may do.
    pub permissions: Vec<Permission>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// The revision of its last change.
    pub revision: u64,
}

/// An invitation to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invite {
    /// Its id.
    pub id: InvitationId,
    /// Where to: the actor's own organization, or any for the one that runs the installation.
    pub organization: OrganizationId,
    /// Whom; `None` leaves it to whoever accepts it.
    pub email: Option<EmailAddress>,
    /// As what.
    pub role: MemberRole,
    /// What its token is found by.
    pub lookup: [u8; 32],
    /// Until when it can be accepted.
    pub ends_at: Timestamp,
}

/// What lets somebody become a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    /// Its id.
    pub id: InvitationId,
    /// Its number.
    pub number: u32,
    /// Where to.
    pub organization: OrganizationId,
    /// The name of that organization.
    pub organization_name: String,
    /// Whom.
    pub email: Option<EmailAddress>,
    /// As what.
    pub role: MemberRole,
    /// The name of the role, if it is one that the organization made.
    pub role_name: Option<MemberRoleName>,
    /// Who made it: a management key, an account, or the installation itself.
    pub made_by: String,
    /// What became of it.
    pub state: InvitationState,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Until when it can be accepted.
    pub ends_at: Timestamp,
    /// The revision of its last change.
    pub revision: u64,
}

/// What became of an invitation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum InvitationState {
    /// Nothing yet.
    Open,
    /// Somebody became a member by it.
    Accepted,
    /// It was taken back.
    Withdrawn,
}

impl std::str::FromStr for InvitationState {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        match word {
            "open" => Ok(Self::Open),
            "accepted" => Ok(Self::Accepted),
            "withdrawn" => Ok(Self::Withdrawn),
            _ => Err(()),
        }
    }
}

/// A session to open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSession {
    /// Its id.
    pub id: SessionId,
    /// Whose.
    pub account: AccountId,
    /// What its token is found by.
    pub lookup: [u8; 32],
    /// What the program calls itself.
    pub agent: String,
    /// A session that ends with it: its token was shown.
    pub replaces: Option<SessionId>,
    /// What its holder showed; nothing for a device that somebody else let in.
    pub shown: Option<Shown>,
}

/// A login of a device that has no browser, to begin (RFC 8628).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDeviceLogin {
    /// What the device's code is found by.
    pub lookup: [u8; 32],
    /// What is kept of what people type.
    pub user_code: [u8; 32],
    /// What the program calls itself.
    pub agent: String,
    /// Until when it waits.
    pub ends_at: Timestamp,
}

/// A login of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceLogin {
    /// What the program calls itself.
    pub agent: String,
    /// From where it asks; empty if unknown.
    pub address: String,
    /// When it began.
    pub created_at: Timestamp,
    /// Until when it waits.
    pub ends_at: Timestamp,
    /// What was said to it.
    pub state: DeviceLoginState,
}

/// What was said to a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceLoginState {
    /// Nothing yet.
    Waiting,
    /// That it is let in, as whom and where.
    Approved {
        /// As whom.
        account: AccountId,
        /// Where.
        organization: OrganizationId,
    },
    /// That it is not.
    Denied,
}

/// A person logged in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// Its number.
    pub number: u32,
    /// Who.
    pub account: Account,
    /// Where.
    pub organization: OrganizationId,
    /// Its moments.
    pub times: SessionTimes,
    /// From which address it began, as text; empty if unknown.
    pub address: String,
    /// What the program calls itself.
    pub agent: String,
}
