//! What is known of one call when it is judged. Whoever asks (gateway, verification) fills in what it knows.

use std::borrow::Cow;
use std::net::IpAddr;

use crate::content::Content;
use crate::method::Method;
use crate::permission::PermissionQuery;
use crate::source::Source;
use crate::time::Moment;

/// The facts of one call.
#[derive(Debug, Clone)]
pub struct Facts<'a> {
    /// When it came.
    pub at: Moment,
    /// The address it came from, if known.
    pub client: Option<IpAddr>,
    /// SHA-256 of the client certificate that it came with, if one was accepted.
    pub certificate: Option<[u8; 32]>,
    /// Its method, if known.
    pub method: Option<Method>,
    /// Its canonical path, if known.
    pub path: Option<&'a str>,
    /// What it sends and takes, if known.
    pub content: Option<&'a dyn Content>,
    /// Which page made it and from which country it comes, if anybody can tell.
    pub source: Option<&'a dyn Source>,
    /// Permissions that it needs.
    pub needs: Option<&'a PermissionQuery>,
    /// What it counts against limits; an ordinary call costs 1.
    pub cost: u32,
    /// Whether whoever asks said that; otherwise it is what its operation costs, and the plan of its project may say something else.
    pub cost_is_told: bool,
    /// Whether the limits of its API are asked: not if somebody else than its owner only says that it was made.
    pub charges_api: bool,
    /// Whether what it really costs is told when it has ended.
    pub reports: bool,
    /// The number of its operation, if it calls one.
    pub operation: Option<u32>,
    /// Who uses the program that calls, if anybody can tell.
    pub end_user: Option<&'a str>,
    /// What else is said of it: names and values, no name twice.
    pub tags: &'a [(Cow<'a, str>, Cow<'a, str>)],
}

impl Facts<'_> {
    /// The facts of a call of which only the moment is known.
    pub const fn at(at: Moment) -> Self {
        Self {
            at,
            client: None,
            certificate: None,
            method: None,
            path: None,
            content: None,
            source: None,
            needs: None,
            cost: 1,
            cost_is_told: false,
            charges_api: true,
            reports: false,
            operation: None,
            end_user: None,
            tags: &[],
        }
    }

    /// What is said of it under this name.
    pub fn tag(&self, name: &str) -> Option<&str> {
        self.tags.iter().find(|(own, _)| own == name).map(|(_, value)| &**value)
    }
}
