//! The certificate with which a client came, for as long as it counts. A handshake looks at it once and a connection may
//! live for weeks: until the certificate has ended, or its authority is taken out of `client_authorities`.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use keystile_core::time::Timestamp;
use rustls::pki_types::{CertificateDer, UnixTime};
use sha2::{Digest, Sha256};

use super::{Tls, expiry};

/// A certificate that was accepted when its connection began.
pub struct ClientCertificate {
    tls: Arc<Tls>,
    /// As the client showed it: its own certificate, then those of the authorities between.
    chain: Vec<CertificateDer<'static>>,
    /// SHA-256, by which a key can be bound to it (as in RFC 8705 §3.1).
    fingerprint: [u8; 32],
    /// Its last second.
    not_after: i64,
    judged: Cell<Judged>,
}

/// What was said of a certificate, and by which authorities.
#[derive(Clone, Copy)]
struct Judged {
    accepted: bool,
    /// As [`Tls::authorities_version`] counts them.
    version: u64,
}

impl ClientCertificate {
    /// What a client showed in a handshake that went well; `version` is that of the authorities before it began.
    pub fn new(tls: &Arc<Tls>, version: u64, chain: Option<&[CertificateDer<'static>]>) -> Option<Self> {
        let leaf = chain?.first()?;
        Some(Self {
            tls: tls.clone(),
            chain: chain?.to_vec(),
            fingerprint: Sha256::digest(leaf).into(),
            // What can't be read was verified by nobody.
            not_after: expiry::not_after(leaf)?,
            judged: Cell::new(Judged { accepted: true, version }),
        })
    }

    /// Its SHA-256, if it counts at this moment.
    pub fn at(&self, now: Timestamp) -> Option<[u8; 32]> {
        let mut judged = self.judged.get();
        let version = self.tls.authorities_version();
        if judged.version != version {
            // Once for each change of the authorities, not for each call.
            judged = Judged { accepted: self.is_accepted(now), version };
            self.judged.set(judged);
        }
        if now.as_secs() > self.not_after {
            self.judged.set(Judged { accepted: false, ..judged });
            return None;
        }
        judged.accepted.then_some(self.fingerprint)
    }

    /// Whether it counted when it was looked at last.
    pub fn counted(&self) -> bool {
        self.judged.get().accepted
    }

    fn is_accepted(&self, now: Timestamp) -> bool {
        let (Some(verifier), Some((leaf, between))) = (self.tls.client_verifier(), self.chain.split_first()) else {
            return false;
        };
        let now = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(now.as_secs()).unwrap_or_default()));
        verifier.verify_client_cert(leaf, between, now).is_ok()
    }
}

impl std::fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientCertificate").field("not_after", &self.not_after).finish_non_exhaustive()
    }
}
