//! What proves who somebody is: passwords, one-time and recovery codes, passkeys, what identity providers vouch for.

use std::fmt;

use keystile_core::id::{AccountId, IdentityId, PasskeyId};
use keystile_core::time::Timestamp;
use zeroize::Zeroizing;

/// A password as it is kept: a keyed Argon2id hash as a PHC string. It hides itself.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(Zeroizing<String>);

impl PasswordHash {
    /// A hash in its text form.
    pub fn new(phc: String) -> Self {
        Self(Zeroizing::new(phc))
    }

    /// The text form.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

/// The seed of one-time codes.
pub struct Totp {
    /// It. It is wiped when dropped.
    pub seed: Zeroizing<Vec<u8>>,
    /// Whether codes are asked for.
    pub is_confirmed: bool,
    /// The step of the last code that was taken.
    pub last_step: u64,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A second factor that was shown, and is used up by that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsedFactor {
    /// A one-time code of this step: no code of it or of a step before is taken again.
    Totp {
        /// Which.
        step: u64,
    },
    /// A recovery code.
    RecoveryCode {
        /// What it is found by.
        lookup: [u8; 32],
    },
}

/// A try at a login that was counted before it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Try {
    /// Of which address.
    pub lookup: [u8; 32],
    /// How many there were with it since it last went right.
    pub in_a_row: u32,
    /// When the one before was.
    pub before: Option<Timestamp>,
}

/// What somebody showed of who they are. It must still be so when it is used: a password that was changed meanwhile, or a factor
/// that came, is another proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// A password, and what is asked for besides.
    Password {
        /// The one that fitted, as it was kept.
        hash: PasswordHash,
        /// The second factor.
        factor: Option<UsedFactor>,
        /// The tries that are forgotten now.
        forgives: [u8; 32],
    },
    /// An answer of a passkey.
    Passkey(UsedPasskey),
    /// What an identity provider vouched for.
    Identity(UsedIdentity),
    /// A link that came by e-mail.
    Link(UsedLink),
}

impl Shown {
    /// When it was proven, if that is not now: a provider vouches for whoever logged in there hours ago, too.
    pub fn proven_at(&self, now: Timestamp) -> Timestamp {
        match self {
            Self::Password { .. } | Self::Passkey(_) | Self::Link(_) => now,
            Self::Identity(used) => used.proven_at.map_or(Timestamp::from_secs(0), |at| at.min(now)),
        }
    }
}

/// Who somebody is at an identity provider (OpenID Connect Core 1.0 §2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The provider.
    pub issuer: String,
    /// Who, as the provider says it.
    pub subject: String,
}

/// What somebody is known by at a provider from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewIdentity {
    /// Its id.
    pub id: IdentityId,
    /// Whose.
    pub account: AccountId,
    /// Who that is there.
    pub named: Named,
    /// What was answered with it.
    pub challenge: Challenge,
}

/// What somebody is known by at a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Its id.
    pub id: IdentityId,
    /// Its number.
    pub number: u32,
    /// Whose.
    pub account: AccountId,
    /// Who that is there.
    pub named: Named,
    /// When it was added.
    pub created_at: Timestamp,
    /// When it last let somebody in.
    pub used_at: Option<Timestamp>,
}

/// What a provider vouched for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsedIdentity {
    /// Who that is there.
    pub named: Named,
    /// When its holder proved it there, if the provider says.
    pub proven_at: Option<Timestamp>,
    /// What was answered with it.
    pub challenge: Challenge,
}

/// A passkey to keep (WebAuthn level 3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPasskey {
    /// Its id.
    pub id: PasskeyId,
    /// Whose.
    pub account: AccountId,
    /// What authenticators know it by.
    pub credential_id: Vec<u8>,
    /// The public key, the counter and what else it says of itself, as JSON.
    pub credential: String,
    /// What its holder calls it.
    pub name: String,
    /// What it answered.
    pub challenge: Challenge,
}

/// A passkey that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passkey {
    /// Its id.
    pub id: PasskeyId,
    /// Its number.
    pub number: u32,
    /// Whose.
    pub account: AccountId,
    /// The public key, the counter and what else it says of itself, as JSON.
    pub credential: String,
    /// What its holder calls it.
    pub name: String,
    /// When it was added.
    pub created_at: Timestamp,
    /// When it last let somebody in.
    pub used_at: Option<Timestamp>,
}

/// A passkey that answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsedPasskey {
    /// Which.
    pub id: PasskeyId,
    /// As it was kept when it was looked at.
    pub was: String,
    /// As it is to be kept: its counter went on.
    pub is: String,
    /// What it answered.
    pub challenge: Challenge,
}

/// A link that somebody showed, and what is asked for besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsedLink {
    /// What its token is found by.
    pub lookup: [u8; 32],
    /// The second factor.
    pub factor: Option<UsedFactor>,
    /// The tries that are forgotten if there was one.
    pub forgives: [u8; 32],
}

/// What was asked once, and is answered once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Challenge {
    /// What it is found by.
    pub lookup: [u8; 32],
    /// Until when it could be answered.
    pub ends_at: Timestamp,
}

/// Which ways in lead somewhere: what is bound to an address or a provider that the settings name no more lets nobody in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ways {
    /// Whether passkeys do.
    pub passkeys: bool,
    /// The provider that does.
    pub issuer: Option<String>,
}

/// What went wrong at a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// A password or a code, so many in a row.
    Password {
        /// How many.
        in_a_row: u32,
    },
    /// The answer of a passkey.
    Passkey,
    /// What an identity provider vouched for.
    Identity,
    /// A link.
    Link,
    /// The counter of a passkey did not go on: there may be a copy of it.
    Counter,
}
