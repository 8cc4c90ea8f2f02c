//! By what calls are chosen. Queries can't be put together of several types, so the fields that they share are written here.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use keystile_core::id::{ApiId, KeyId, ProjectId};
use keystile_store::{RequestDoor, RequestsOf, RequestsQuery};
use serde::{Deserialize, Deserializer};

use crate::manage::app::App;
use crate::manage::caller::Asker;
use crate::manage::problem::invalid;
use crate::manage::usage::filters;
use crate::problem::Problem;

/// Longest text that paths and operations are compared with, in characters. No path is kept that is longer.
const MAX_TEXT: usize = 2_048;

/// A query with these fields and those by which calls are chosen.
macro_rules! asked {
    ($(#[$about:meta])* struct $name:ident { $($(#[$doc:meta])* $field:ident: $kind:ty,)* }) => {
        $(#[$about])*
        #[derive(serde::Deserialize, utoipa::IntoParams)]
        #[serde(deny_unknown_fields)]
        #[into_params(parameter_in = Query)]
        pub(super) struct $name {
            $($(#[$doc])* $field: $kind,)*
            /// Only calls of this API.
            #[param(value_type = Option<String>)]
            api_id: Option<keystile_core::id::ApiId>,
            /// Only calls of this project, at the APIs of others too.
            #[param(value_type = Option<String>)]
            project_id: Option<keystile_core::id::ProjectId>,
            /// Only calls with this key, at the APIs of others too.
            #[param(value_type = Option<String>)]
            key_id: Option<keystile_core::id::KeyId>,
            /// Only calls with this code, such as `rate_limited`.
            #[param(value_type = Option<String>)]
            code: Option<keystile_core::code::Code>,
            /// Only calls with this status, such as `404`, or of this class, such as `4xx`.
            #[param(value_type = Option<String>)]
            status: Option<crate::manage::statuses::Statuses>,
            /// Only calls with this method.
            #[param(value_type = Option<String>)]
            method: Option<keystile_core::method::Method>,
            /// Only calls whose path begins so.
            path: Option<String>,
            /// Only calls of this operation, such as `GET /pets/{id}`.
            operation: Option<String>,
            /// Only calls from this address, or from this network, such as `192.0.2.0/24`. Where an API keeps networks in place of
            /// addresses, ask about the network.
            #[param(value_type = Option<String>)]
            address: Option<crate::manage::requests::asked::Addresses>,
            /// Only calls through the `gateway`, or only those of which `verification` was asked.
            #[param(value_type = Option<String>)]
            door: Option<crate::manage::requests::asked::Door>,
        }

        impl $name {
            /// What is asked of the log, all of it the asker's.
            async fn query(
                &self,
                app: &crate::manage::app::App,
                asker: &crate::manage::caller::Asker,
            ) -> Result<keystile_store::RequestsQuery, crate::problem::Problem> {
                let query = keystile_store::RequestsQuery {
                    code: self.code,
                    status: self.status.map(crate::manage::statuses::Statuses::range),
                    method: self.method,
                    path: self.path.clone(),
                    operation: self.operation.clone(),
                    clients: self.address.map(crate::manage::requests::asked::Addresses::range),
                    door: self.door.map(|door| door.0),
                    ..keystile_store::RequestsQuery::all(keystile_store::RequestsOf::Organization(asker.owner))
                };
                crate::manage::requests::asked::of_asker(app, asker, query, (self.api_id, self.project_id, self.key_id)).await
            }
        }
    };
}

/// The same, of these things; whatever is not the asker's is not there.
pub(super) async fn of_asker(
    app: &App,
    asker: &Asker,
    query: RequestsQuery,
    (api, project, key): (Option<ApiId>, Option<ProjectId>, Option<KeyId>),
) -> Result<RequestsQuery, Problem> {
    if query.path.as_ref().is_some_and(|path| !path.starts_with('/')) {
        return Err(invalid("path is how paths begin; it starts with /."));
    }
    // No path has a NUL, and PostgreSQL takes none.
    let is_unsound = |text: &String| text.contains('\0') || text.chars().count() > MAX_TEXT;
    if [&query.path, &query.operation].into_iter().flatten().any(is_unsound) {
        return Err(invalid(format!("path and operation have at most {MAX_TEXT} characters, and none is a NUL.")));
    }
    let only = filters(app, asker, (api, project, key)).await?;
    // What was found to be the asker's own is shown wherever it called; all else only as far as it is counted for the asker.
    let of = match (only.key, only.project) {
        (Some(key), _) => RequestsOf::Key(key),
        (None, Some(project)) => RequestsOf::Project(project),
        (None, None) => RequestsOf::Organization(asker.owner),
    };
    Ok(RequestsQuery { of, project: only.project, api: only.api, ..query })
}

macro_rules! from_text {
    ($($name:ident),*) => {$(
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

from_text!(Addresses, Door);

/// The text says nothing that calls are chosen by.
#[derive(Debug)]
pub(super) struct Unclear(&'static str);

impl fmt::Display for Unclear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// One address, or a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Addresses(IpAddr, IpAddr);

impl Addresses {
    /// From the first one to the last one.
    pub(super) const fn range(self) -> (IpAddr, IpAddr) {
        (self.0, self.1)
    }
}

impl FromStr for Addresses {
    type Err = Unclear;

    fn from_str(text: &str) -> Result<Self, Unclear> {
        if let Ok(address) = text.parse::<IpAddr>() {
            let address = address.to_canonical();
            return Ok(Self(address, address));
        }
        let network: IpNet =
            text.parse().map_err(|_| Unclear("address is an IP address, or a network such as 192.0.2.0/24"))?;
        Ok(Self(network.network(), network.broadcast()))
    }
}

/// By which door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Door(pub(super) RequestDoor);

impl FromStr for Door {
    type Err = Unclear;

    fn from_str(text: &str) -> Result<Self, Unclear> {
        let found = RequestDoor::ALL.into_iter().find(|door| door.as_str() == text);
        found.map(Self).ok_or(Unclear("door is gateway or verification"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_one_or_a_network() {
        for (text, range) in [
            ("192.0.2.7", Some(("192.0.2.7", "192.0.2.7"))),
            ("::ffff:192.0.2.7", Some(("192.0.2.7", "192.0.2.7"))),
            ("192.0.2.7/24", Some(("192.0.2.0", "192.0.2.255"))),
            ("2001:db8::/126", Some(("2001:db8::", "2001:db8::3"))),
            ("0.0.0.0/0", Some(("0.0.0.0", "255.255.255.255"))),
            ("192.0.2", None),
            ("192.0.2.0/33", None),
            ("here", None),
        ] {
            let range = range.map(|(first, last)| (first.parse().unwrap(), last.parse().unwrap()));
            assert_eq!(text.parse::<Addresses>().ok().map(Addresses::range), range, "{text}");
        }
    }
}
