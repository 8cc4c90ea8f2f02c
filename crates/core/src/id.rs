//! Ids: one type for each noun, so that a project can't be passed where a key is meant.
//!
//! An id is 128 random bits. Outside it is text, `<prefix>_<22 base62>`, fixed in length and safe in a URL;
//! inside it is a `u128`. Ids are public: they name a thing and open nothing.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::base62;

/// Characters of an id after its prefix: 62^22 is just above 2^128.
const ID_DIGITS: usize = 22;

/// The text is no id of the kind that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotAnId {
    /// What the id should begin with, such as `key_`.
    pub prefix: &'static str,
}

impl fmt::Display for NotAnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an id here looks like `{}…` with {ID_DIGITS} letters and digits after it", self.prefix)
    }
}

impl std::error::Error for NotAnId {}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(u128);

        impl $name {
            /// What the text form begins with.
            pub const PREFIX: &'static str = $prefix;

            /// The id made of these random bytes.
            pub const fn from_entropy(bytes: [u8; 16]) -> Self {
                Self(u128::from_be_bytes(bytes))
            }

            /// The sixteen bytes that a store keeps.
            pub const fn to_bytes(self) -> [u8; 16] {
                self.0.to_be_bytes()
            }

            /// The id as a number, for compact tables in memory.
            pub const fn to_u128(self) -> u128 {
                self.0
            }

            /// The text form, without a detour through formatting: ids are written on every call.
            pub fn to_ascii(self) -> [u8; $prefix.len() + ID_DIGITS] {
                let mut text = [0; $prefix.len() + ID_DIGITS];
                let (prefix, digits) = text.split_at_mut($prefix.len());
                prefix.copy_from_slice($prefix.as_bytes());
                base62::encode_u128(self.0, digits);
                text
            }

            /// Reads sixteen stored bytes; any other length is no id.
            pub fn from_slice(bytes: &[u8]) -> Result<Self, NotAnId> {
                let bytes = bytes.try_into().map_err(|_| NotAnId { prefix: $prefix })?;
                Ok(Self(u128::from_be_bytes(bytes)))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut digits = [0; ID_DIGITS];
                f.write_str($prefix)?;
                f.write_str(base62::encode_u128(self.0, &mut digits))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = NotAnId;

            fn from_str(text: &str) -> Result<Self, NotAnId> {
                text.strip_prefix($prefix)
                    .filter(|digits| digits.len() == ID_DIGITS)
                    .and_then(base62::decode_u128)
                    .map(Self)
                    .ok_or(NotAnId { prefix: $prefix })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

ids! {
    /// A tenant: publishes APIs, owns projects.
    OrganizationId = "org_";
    /// Something protected.
    ApiId = "api_";
    /// The program that calls.
    ProjectId = "prj_";
    /// The link of a project to an API.
    ActivationId = "act_";
    /// What an API's owner offers to those who call it.
    PlanId = "pln_";
    /// Credits that were granted.
    CreditGrantId = "crg_";
    /// The public name of a key, safe to log and show.
    KeyId = "key_";
    /// One call or one management request.
    RequestId = "req_";
    /// The place of a call among those in flight, of which somebody else sees the end.
    LeaseId = "lea_";
    /// Where an organization is told of events.
    WebhookId = "whk_";
    /// A change that was made, as those are told who were not there.
    EventId = "evt_";
    /// Permissions under a name.
    RoleId = "rol_";
    /// A named filter.
    PatternId = "pat_";
    /// Somebody who logs in.
    AccountId = "acc_";
    /// A person in an organization.
    MemberId = "mbr_";
    /// Rights of members under a name.
    MemberRoleId = "mrl_";
    /// What lets somebody become a member.
    InvitationId = "inv_";
    /// A person logged in.
    SessionId = "ses_";
    /// A passkey: what somebody's device or password manager proves who they are with.
    PasskeyId = "psk_";
    /// What somebody is known by at an identity provider.
    IdentityId = "idn_";
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_id_survives_its_text(bytes: [u8; 16]) {
            let id = KeyId::from_entropy(bytes);
            prop_assert_eq!(id.to_string().parse::<KeyId>(), Ok(id));
            prop_assert_eq!(id.to_string().len(), 26);
            prop_assert_eq!(id.to_string().into_bytes(), id.to_ascii());
        }
    }

    #[test]
    fn an_id_of_another_kind_is_refused() {
        let api = ApiId::from_entropy([7; 16]).to_string();
        assert!(api.parse::<KeyId>().is_err());
        assert!("key_".parse::<KeyId>().is_err());
        assert!("key_zzzzzzzzzzzzzzzzzzzzzz".parse::<KeyId>().is_err(), "above 2^128");
        assert!("key_00000000000000000000-0".parse::<KeyId>().is_err());
    }
}
