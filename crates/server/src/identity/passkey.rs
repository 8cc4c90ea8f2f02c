//! Passkeys (WebAuthn level 3): a key pair of somebody's device or password manager, which signs what this server asks. Nothing that
//! is kept here opens anything, and no page of another origin gets an answer that is good here.
//!
//! What is asked is kept by whoever is asked, under our seal, so that asking writes nothing and any node takes the answer; that it was
//! answered is kept until its time is over, in the transaction that it opens, so that it is answered once. Each answer must be of
//! somebody whom the device knows (user verification), so a passkey is both factors in one, and wrong passwords lock it out of nothing
//!

use std::sync::Arc;
use std::time::Duration;

use keystile_core::id::{AccountId, OrganizationId, PasskeyId, SessionId};
use keystile_core::time::Timestamp;
use keystile_store::StoreError;
use keystile_store::records::{Account, Challenge, Failure, Membership, NewPasskey, Page, Passkey, Shown, UsedPasskey};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use webauthn_rs::prelude::{
    DiscoverableAuthentication, Passkey as Credential, PasskeyRegistration, PublicKeyCredential,
    RegisterPublicKeyCredential, Uuid, WebauthnError,
};
use webauthn_rs::{Webauthn, WebauthnBuilder};

use super::login::{LoginError, Opened, Proven, Tried, Visitor, Wrong};
use super::origin::Pages;
use super::seal::Seal;
use super::{Identity, Token};
use crate::enforce::change::NotMade;
use crate::enforce::feed::Feed;
use crate::world::{NoEntropy, random};

/// Seconds for which something that was asked can be answered.
const LIFE_SECS: i64 = 300;
/// Passkeys of which an authenticator is told that they are there: as many as an account has.
const KNOWN: Page = Page { before: None, limit: 20 };

/// Why there is no passkey.
#[derive(Debug, thiserror::Error)]
pub enum PasskeyError {
    /// Nobody said where browsers reach this server.
    #[error("passkeys need login.origin in the settings: where browsers reach this server")]
    Unavailable,
    /// What was asked has ended, or was asked otherwise.
    #[error("what was asked has ended, or is of something else; begin again")]
    Ended,
    /// The answer is none.
    #[error("credential is not what a browser answers to this: {0}")]
    NotAnAnswer(String),
    /// The answer does not fit.
    #[error("the passkey does not answer what was asked at this server: {0}")]
    Unfit(WebauthnError),
    /// There is no randomness.
    #[error(transparent)]
    Entropy(#[from] NoEntropy),
    /// The store can't be asked.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a browser is asked.
pub struct Asked {
    /// To be sent back with the answer: what was asked, under our seal.
    pub ceremony: String,
    /// What `navigator.credentials` takes, as JSON.
    pub public_key: Value,
}

/// What a browser answered.
pub struct Answer<'a> {
    /// What was asked.
    pub ceremony: &'a str,
    /// The answer.
    pub credential: Value,
}

/// What the questions are for, and whom.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Purpose {
    Login,
    Add(AccountId),
}

#[derive(Serialize, Deserialize)]
struct Ceremony<S> {
    purpose: Purpose,
    state: S,
}

/// Who asks for passkeys.
pub(super) struct Passkeys {
    webauthn: Option<Webauthn>,
    seal: Seal,
}

impl Passkeys {
    pub(super) fn new(pages: &Pages, seal: Seal) -> Self {
        let built = pages.url().and_then(|url| {
            let name = url.domain()?;
            let builder = WebauthnBuilder::new(name, &url).ok()?.rp_name("Keystile");
            let builder = builder.timeout(Duration::from_secs(LIFE_SECS.unsigned_abs()));
            builder.allow_any_port(matches!(pages, Pages::Here)).build().ok()
        });
        Self { webauthn: built, seal }
    }

    fn here(&self) -> Result<&Webauthn, PasskeyError> {
        self.webauthn.as_ref().ok_or(PasskeyError::Unavailable)
    }

    /// What was asked for this purpose, if that is not over.
    fn open<S: DeserializeOwned>(
        &self,
        text: &str,
        purpose: &Purpose,
        now: Timestamp,
    ) -> Result<(S, Challenge), PasskeyError> {
        let (ceremony, challenge) = self.seal.open::<Ceremony<S>>(text, now).ok_or(PasskeyError::Ended)?;
        if ceremony.purpose == *purpose { Ok((ceremony.state, challenge)) } else { Err(PasskeyError::Ended) }
    }
}

fn answered<T: DeserializeOwned>(credential: Value) -> Result<T, PasskeyError> {
    serde_json::from_value(credential).map_err(|error| PasskeyError::NotAnAnswer(error.to_string()))
}

fn kept(credential: &Credential) -> String {
    serde_json::to_string(credential).unwrap_or_default()
}

fn read(passkey: &Passkey) -> Result<Credential, StoreError> {
    serde_json::from_str(&passkey.credential).map_err(|error| StoreError(Box::new(error)))
}

impl Identity {
    /// Whether there can be passkeys here.
    pub fn has_passkeys(&self) -> bool {
        self.passkeys.webauthn.is_some()
    }

    /// Asks for any passkey of anybody: whose it is, the answer says.
    ///
    /// # Errors
    /// If there can be none here.
    pub fn ask_for_passkey(&self) -> Result<Asked, PasskeyError> {
        let (asked, state) = self.passkeys.here()?.start_discoverable_authentication().map_err(PasskeyError::Unfit)?;
        let ceremony = Ceremony { purpose: Purpose::Login, state };
        let public_key = serde_json::to_value(asked.public_key).unwrap_or_default();
        Ok(Asked { ceremony: self.passkeys.seal.seal(ceremony, self.ceremony_end()), public_key })
    }

    /// Asks for a new passkey of somebody. One that its device finds by itself, so that no address is typed.
    ///
    /// # Errors
    /// If there can be none here, or the store can't be asked.
    pub async fn offer_passkey(&self, account: &Account) -> Result<Asked, PasskeyError> {
        let webauthn = self.passkeys.here()?;
        let known = self.catalog.passkeys(account.id, KNOWN).await?;
        let known: Result<Vec<_>, _> = known.iter().map(|one| read(one).map(|one| one.cred_id().clone())).collect();
        let (email, name) = (account.email.as_str(), account.name.as_str());
        let shown = if name.is_empty() { email } else { name };
        let user = Uuid::from_bytes(account.id.to_bytes());
        let (asked, state) =
            webauthn.start_passkey_registration(user, email, shown, Some(known?)).map_err(PasskeyError::Unfit)?;
        let ceremony = Ceremony { purpose: Purpose::Add(account.id), state };
        let mut public_key = serde_json::to_value(asked.public_key).unwrap_or_default();
        if let Some(selection) = public_key.get_mut("authenticatorSelection").and_then(Value::as_object_mut) {
            selection.insert("residentKey".to_owned(), "required".into());
            selection.insert("requireResidentKey".to_owned(), true.into());
        }
        Ok(Asked { ceremony: self.passkeys.seal.seal(ceremony, self.ceremony_end()), public_key })
    }

    /// The new passkey that a browser answered with.
    ///
    /// # Errors
    /// If the answer does not fit.
    pub fn new_passkey(
        &self,
        account: AccountId,
        answer: Answer<'_>,
        name: String,
    ) -> Result<NewPasskey, PasskeyError> {
        let webauthn = self.passkeys.here()?;
        let purpose = Purpose::Add(account);
        let (state, challenge): (PasskeyRegistration, _) =
            self.passkeys.open(answer.ceremony, &purpose, self.now().wall)?;
        let answer: RegisterPublicKeyCredential = answered(answer.credential)?;
        let credential = webauthn.finish_passkey_registration(&answer, &state).map_err(PasskeyError::Unfit)?;
        let id = PasskeyId::from_entropy(random(&*self.entropy)?);
        let credential_id = credential.cred_id().to_vec();
        Ok(NewPasskey { id, account, credential_id, credential: kept(&credential), name, challenge })
    }

    fn ceremony_end(&self) -> Timestamp {
        self.now().wall.plus_secs(LIFE_SECS)
    }

    /// Lets somebody in by a passkey: into this organization, else into the one that the account joined first.
    ///
    /// # Errors
    /// [`LoginError`] says why not.
    pub async fn log_in_by_passkey(
        &self,
        feed: &Arc<Feed>,
        visitor: &Visitor<'_>,
        answer: Answer<'_>,
        organization: Option<OrganizationId>,
    ) -> Result<Opened, LoginError> {
        let (proven, memberships) = self.prove_by_passkey(feed, visitor, answer).await?;
        self.open(feed, visitor, (&proven, memberships), organization).await
    }

    /// Proves once more who holds a session, by a passkey of the same account: its new token.
    ///
    /// # Errors
    /// [`LoginError`] says why not.
    pub async fn prove_again_by_passkey(
        &self,
        feed: &Arc<Feed>,
        visitor: &Visitor<'_>,
        of: (SessionId, AccountId, OrganizationId),
        answer: Answer<'_>,
    ) -> Result<Token, LoginError> {
        let (proven, _) = self.prove_by_passkey(feed, visitor, answer).await?;
        if proven.account.id != of.1 {
            return self.failed(feed, visitor, &proven).await;
        }
        self.renew(feed, visitor, of, &proven).await
    }

    /// Looks at the answer of a passkey. What was wrong is noted before this is answered.
    async fn prove_by_passkey(
        &self,
        feed: &Arc<Feed>,
        visitor: &Visitor<'_>,
        answer: Answer<'_>,
    ) -> Result<(Proven, Vec<Membership>), LoginError> {
        let webauthn = self.passkeys.here()?;
        if !feed.makers.are_here().await {
            return Err(NotMade::Elsewhere.into());
        }
        let (state, challenge): (DiscoverableAuthentication, _) =
            self.passkeys.open(answer.ceremony, &Purpose::Login, self.now().wall)?;
        let answer: PublicKeyCredential = answered(answer.credential)?;
        let home = self.first_organization().await?;
        let mut wrong = Wrong { home, account: None, tried: Tried::Other(Failure::Passkey) };
        let Ok((user, credential_id)) = webauthn.identify_discoverable_authentication(&answer) else {
            return self.note(feed, visitor, wrong).await;
        };
        let known = self.catalog.passkey_of(credential_id).await?;
        let known = known.filter(|known| known.account.to_bytes() == *user.as_bytes());
        let Some(passkey) = known else { return self.note(feed, visitor, wrong).await };
        let memberships = self.catalog.memberships(passkey.account).await?;
        wrong.home = memberships.first().map_or(home, |first| first.organization);
        wrong.account = Some(passkey.account);
        let mut credential = read(&passkey)?;
        let seen = match webauthn.finish_discoverable_authentication_v2(&answer, state, &credential) {
            Ok(seen) if seen.user_verified() => seen,
            Err(WebauthnError::CredentialPossibleCompromise) => {
                tracing::warn!(passkey = %passkey.id, "the counter of a passkey did not go on; there may be a copy of it");
                return self.note_as(feed, visitor, wrong, Failure::Counter).await;
            }
            Ok(_) | Err(_) => return self.note(feed, visitor, wrong).await,
        };
        credential.update_credential(&seen);
        let Some(account) = self.catalog.account(passkey.account).await?.map(|known| known.account) else {
            return self.note(feed, visitor, wrong).await;
        };
        let used = UsedPasskey { id: passkey.id, is: kept(&credential), was: passkey.credential, challenge };
        Ok((Proven { account, shown: Shown::Passkey(used), wrong }, memberships))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a06_what_was_asked_is_good_for_its_purpose_and_whom_it_was_asked() {
        let passkeys = Passkeys::new(&Pages::Here, Seal::new([1; 32]));
        let (at, id) = (Timestamp::from_secs(1_000), |n| AccountId::from_entropy([n; 16]));
        let asked = Ceremony { purpose: Purpose::Add(id(1)), state: "state".to_owned() };
        let text = passkeys.seal.seal(asked, at.plus_secs(1));
        assert_eq!(passkeys.open::<String>(&text, &Purpose::Add(id(1)), at).unwrap().0, "state");
        for purpose in [Purpose::Login, Purpose::Add(id(2))] {
            assert!(passkeys.open::<String>(&text, &purpose, at).is_err(), "{purpose:?}");
        }
    }

    #[test]
    fn a06_a_question_has_128_bits_of_randomness_at_least_and_asks_for_a_verified_person() {
        let webauthn = Passkeys::new(&Pages::Here, Seal::new([1; 32])).webauthn.unwrap();
        let mut seen = std::collections::HashSet::new();
        for _ in 0..100 {
            let (asked, _) = webauthn.start_discoverable_authentication().unwrap();
            assert!(asked.public_key.challenge.len() >= 16, "eight bytes are the least (A-6)");
            assert!(seen.insert(asked.public_key.challenge.clone()));
            let json = serde_json::to_value(&asked.public_key).unwrap();
            assert_eq!((&json["rpId"], &json["userVerification"]), (&"localhost".into(), &"required".into()));
            assert_eq!(json["allowCredentials"].as_array().unwrap().len(), 0, "nobody learns who has one");
        }
    }
}
