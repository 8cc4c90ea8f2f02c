//! Who is at the other end of a connection.

use std::net::IpAddr;

use http::HeaderValue;
use keystile_core::time::Timestamp;

use super::tunnel::Slot;
use crate::tls::ClientCertificate;

/// What a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1 (RFC 9112).
    Http1,
    /// HTTP/2 (RFC 9113).
    Http2,
}

/// What is the same for all calls of a connection.
pub struct Caller {
    /// The other end.
    pub address: IpAddr,
    /// The same as a header.
    pub forwarded_for: HeaderValue,
    /// Whether what it says is encrypted on its way here.
    pub encrypted: bool,
    /// What it speaks.
    pub speaks: Protocol,
    /// The certificate that it showed, if it did.
    pub certificate: Option<ClientCertificate>,
    /// What becomes of the connection when it has switched to another protocol.
    pub tunnel: Slot,
}

impl Caller {
    /// The other end of a connection, and what is known of it by how the connection began.
    pub fn new(address: IpAddr, speaks: Protocol, encrypted: bool, certificate: Option<ClientCertificate>) -> Self {
        let address = address.to_canonical();
        Self {
            address,
            forwarded_for: address_header(address),
            speaks,
            encrypted,
            certificate,
            tunnel: Slot::default(),
        }
    }

    /// The SHA-256 of its certificate, if that counts at this moment.
    pub(super) fn certificate_at(&self, now: Timestamp) -> Option<[u8; 32]> {
        self.certificate.as_ref()?.at(now)
    }
}

/// An address as a field.
pub(super) fn address_header(address: IpAddr) -> HeaderValue {
    HeaderValue::try_from(address.to_string()).expect("addresses are visible ASCII")
}
