//! Devices without a browser (RFC 8628): one shows a short code, somebody who is logged in elsewhere types it and lets the device in,
//! and the device, which asks every few seconds, gets a session.

use std::collections::HashMap;
use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use keystile_core::id::SessionId;
use keystile_core::key::TokenKind;
use keystile_core::time::Ticks;
use keystile_store::records::{DeviceLoginState, NewDeviceLogin, NewSession};
use keystile_store::{ApplyError, Change, Who};

use super::login::{LoginError, Opened, Visitor, shown_agent};
use super::{Identity, Token};
use crate::enforce::change::NotMade;
use crate::enforce::feed::Feed;
use crate::world::random;

/// Letters that are told apart, and that make no words (RFC 8628 §6.1).
const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
/// Letters of a code: 34 bits, which live for ten minutes.
const CODE_LEN: usize = 8;
/// Seconds for which a device waits.
pub(crate) const LIFE_SECS: i64 = 600;
/// Seconds between two questions of a device.
pub(crate) const INTERVAL_SECS: u64 = 5;
/// Devices whose last question is remembered; of more, all are forgotten.
const MAX_POLLS: usize = 10_000;

/// When devices last asked.
pub(super) type Polls = HashMap<[u8; 32], Ticks>;

/// The two codes of a device.
pub struct DeviceCodes {
    /// What it is known by; it keeps this for itself.
    pub device: Token,
    /// What people type.
    pub user: String,
}

/// What a device is told.
pub enum Polled {
    /// It is let in.
    In(Box<Opened>),
    /// Nobody has said anything yet.
    Pending,
    /// It asks too often.
    SlowDown,
    /// It is not let in.
    Denied,
    /// Its time is over, or it never waited.
    Expired,
}

impl Identity {
    /// Lets a device wait; `None` if too many do.
    ///
    /// # Errors
    /// If the store or the randomness fails.
    pub async fn begin_device(&self, visitor: &Visitor<'_>) -> Result<Option<DeviceCodes>, LoginError> {
        let device = self.token(TokenKind::Device)?;
        let mut letters = String::new();
        // Beyond 240 the first letters would come more often.
        for byte in random::<64>(&*self.entropy)?.into_iter().filter(|byte| *byte < 240).take(CODE_LEN) {
            letters.push(char::from(LETTERS[usize::from(byte) % LETTERS.len()]));
        }
        let user = format!("{}-{}", letters.get(..4).unwrap_or_default(), letters.get(4..).unwrap_or_default());
        let at = self.now().wall;
        let login = NewDeviceLogin {
            lookup: device.lookup,
            user_code: self.lookup_of_user_code(&user),
            agent: shown_agent(visitor.agent),
            ends_at: at.plus_secs(LIFE_SECS),
        };
        let waits = self.catalog.begin_device_login(&login, visitor.address, at).await?;
        Ok(waits.then_some(DeviceCodes { device, user }))
    }

    /// What is kept of a code that people type, however they write it.
    pub fn lookup_of_user_code(&self, code: &str) -> [u8; 32] {
        let mut mac: Hmac<sha2::Sha256> = KeyInit::new_from_slice(&self.code_key).expect("HMAC takes any key");
        mac.update(b"device|");
        for letter in code.bytes().filter(u8::is_ascii_alphanumeric) {
            mac.update(&[letter.to_ascii_uppercase()]);
        }
        mac.finalize().into_bytes().into()
    }

    /// What became of a device that waits.
    ///
    /// # Errors
    /// If the store or the randomness fails.
    pub async fn poll_device(&self, feed: &Arc<Feed>, visitor: &Visitor<'_>, code: &str) -> Result<Polled, LoginError> {
        let Some(lookup) = TokenKind::Device.lookup(code) else { return Ok(Polled::Expired) };
        let now = self.now();
        let Some(login) = self.catalog.device_login(lookup, now.wall).await? else { return Ok(Polled::Expired) };
        let (account, organization) = match login.state {
            DeviceLoginState::Approved { account, organization } => (account, organization),
            DeviceLoginState::Denied => return Ok(Polled::Denied),
            DeviceLoginState::Waiting if self.asks_too_often(lookup, now.ticks) => return Ok(Polled::SlowDown),
            DeviceLoginState::Waiting => return Ok(Polled::Pending),
        };
        let memberships = self.catalog.memberships(account).await?;
        let membership = memberships.into_iter().find(|one| one.organization == organization);
        let (Some(membership), Some(known)) = (membership, self.catalog.account(account).await?) else {
            return Ok(Polled::Denied);
        };
        let (token, id) = (self.token(TokenKind::Session)?, SessionId::from_entropy(random(&*self.entropy)?));
        let session = NewSession { id, account, lookup: token.lookup, agent: login.agent, replaces: None, shown: None };
        let author = self.author(visitor, organization, Who::Account(account));
        match feed.make(author, Change::FinishDeviceLogin { lookup, session }, now.ticks).await {
            Ok(_) => Ok(Polled::In(Box::new(Opened { id, account: known.account, membership, token }))),
            // The same device asked twice at once, or its person was taken away just now.
            Err(NotMade::Refused(ApplyError::NotFound(_))) => Ok(Polled::Expired),
            Err(error) => Err(error.into()),
        }
    }

    fn asks_too_often(&self, lookup: [u8; 32], now: Ticks) -> bool {
        let mut polls = self.polls.lock();
        if polls.len() >= MAX_POLLS {
            polls.clear();
        }
        let last = polls.insert(lookup, now);
        // A second less than it was told: networks are uneven.
        last.is_some_and(|last| now.nanos_since(last) < (INTERVAL_SECS - 1) * 1_000_000_000)
    }
}
