//! A call as somebody describes it: a service that has it in front of itself, or an owner who wants to know what would
//! become of it.

use std::net::IpAddr;

use keystile_core::Code;
use keystile_core::content::Content;
use keystile_core::country::Country;
use keystile_core::facts::Facts;
use keystile_core::method::Method;
use keystile_core::restrict::fingerprint;
use keystile_core::source::{Field, Source};
use keystile_core::target::{CanonicalTarget, TargetError};
use keystile_core::time::Moment;

use super::invalid;
use super::question::{Client, Operation};
use crate::countries::Countries;
use crate::enforce::snapshot::{ApiView, KeyPlace};
use crate::gateway::source::holds_keys;
use crate::problem::Problem;

/// What was said, in its canonical form.
pub(crate) struct Described<'a> {
    operation: Option<&'a Operation<'a>>,
    client: Option<&'a Client<'a>>,
    method: Option<Method>,
    target: Option<CanonicalTarget<'a>>,
    certificate: Option<[u8; 32]>,
    /// Why no call can be like this.
    unsound: Option<Code>,
}

impl<'a> Described<'a> {
    /// Reads what was said.
    ///
    /// # Errors
    /// If it is not understood.
    pub(crate) fn new(operation: Option<&'a Operation<'a>>, client: Option<&'a Client<'a>>) -> Result<Self, Problem> {
        let target = operation.map(|operation| CanonicalTarget::parse(&operation.path)).transpose();
        let method = operation.map(|operation| operation.method.parse()).transpose();
        let (unsound, target, method) = match (target, method) {
            (Err(TargetError::TooLong), _) => (Some(Code::TargetTooLong), None, None),
            (Err(_), _) => (Some(Code::RequestMalformed), None, None),
            (_, Err(_)) => (Some(Code::MethodNotAllowed), None, None),
            (Ok(target), Ok(method)) => (None, target, method),
        };
        let certificate = client.and_then(|client| client.certificate.as_deref()).map(fingerprint).transpose();
        let certificate = certificate.map_err(|error| invalid(format!("client.certificate: {error}.")))?;
        Ok(Self { operation, client, method, target, certificate, unsound })
    }

    /// Its canonical path.
    pub(crate) fn path(&self) -> Option<&str> {
        self.target.as_ref().map(CanonicalTarget::path)
    }

    /// Why such a call is refused whatever its key is. That it is encrypted is for those to see to who have the
    /// connection.
    pub(crate) fn refused(&self, api: Option<&ApiView>) -> Option<Code> {
        self.unsound.or_else(|| {
            let lacks_certificate = self.certificate.is_none() && api.is_some_and(|api| api.require_client_certificate);
            lacks_certificate.then_some(Code::CertificateMissing)
        })
    }

    /// Where it comes from, as a rule for this API may know it.
    pub(crate) fn source<'b>(&'b self, countries: &'b Countries, api: Option<&'b ApiView>) -> ToldSource<'b> {
        let key_places = api.map_or(&[][..], |api| &api.key_places);
        ToldSource { operation: self.operation, client: self.client, countries, key_places }
    }

    /// What is known of it at this moment.
    pub(crate) fn facts<'b>(&'b self, at: Moment, source: &'b ToldSource<'b>) -> Facts<'b> {
        Facts {
            client: self.address(),
            certificate: self.certificate,
            method: self.method,
            path: self.path(),
            content: self.operation.map(|operation| operation as &dyn Content),
            source: Some(source),
            ..Facts::at(at)
        }
    }

    fn address(&self) -> Option<IpAddr> {
        self.client.and_then(|client| client.ip)
    }
}

/// Where a call comes from, as it was told. What the country is that nobody named, the address says.
#[derive(Debug)]
pub(crate) struct ToldSource<'a> {
    operation: Option<&'a Operation<'a>>,
    client: Option<&'a Client<'a>>,
    countries: &'a Countries,
    key_places: &'a [KeyPlace],
}

impl Source for ToldSource<'_> {
    fn origin(&self) -> Option<&[u8]> {
        self.client?.origin.as_ref().map(|value| value.as_bytes())
    }

    fn referrer(&self) -> Option<&[u8]> {
        self.client?.referrer.as_ref().map(|value| value.as_bytes())
    }

    fn country(&self) -> Option<Country> {
        let client = self.client?;
        client.country.or_else(|| self.countries.of(client.ip?))
    }

    fn field(&self, name: &str) -> Field<'_> {
        if holds_keys(self.key_places, name) {
            return Field::Unknown;
        }
        let headers = self.operation.and_then(|operation| operation.headers.as_ref());
        headers.map_or(Field::Unknown, |headers| headers.field(name))
    }
}
