//! What calls are told apart by, and the filters of the page.

use super::table::Row;
use crate::console::visit::Visit;
use crate::ui::form::query;

/// What rows are told apart by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum By {
    /// APIs.
    #[default]
    Api,
    /// Keys.
    Key,
    /// Consumers: projects.
    Consumer,
    /// Operations of APIs.
    Operation,
    /// Reasons.
    Code,
    /// Statuses by their first digit.
    StatusClass,
    /// Where callers are.
    Country,
}

/// The filters of the API that the address may name, each with the option of the command line.
const FILTERS: [(&str, &str); 4] =
    [("api_id", "--api"), ("project_id", "--project"), ("key_id", "--key"), ("code", "--code")];

impl By {
    /// All of them, in their order on the page.
    pub(super) const ALL: [Self; 7] =
        [Self::Api, Self::Key, Self::Consumer, Self::Operation, Self::Code, Self::StatusClass, Self::Country];

    /// As the address says it.
    pub(super) fn read(text: &str) -> Self {
        Self::ALL.into_iter().find(|by| by.word() == text).unwrap_or_default()
    }

    /// Its word in addresses and in `group_by`, but for consumers, which the API calls projects.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Key => "key",
            Self::Consumer => "consumer",
            Self::Operation => "operation",
            Self::Code => "code",
            Self::StatusClass => "status_class",
            Self::Country => "country",
        }
    }

    /// What the API groups by.
    pub(super) fn group(self) -> &'static str {
        if self == Self::Consumer { "project" } else { self.word() }
    }

    /// What it is called.
    pub(super) fn called(self) -> &'static str {
        match self {
            Self::Api => "API",
            Self::Key => "Key",
            Self::Consumer => "Consumer",
            Self::Operation => "Operation",
            Self::Code => "Reason",
            Self::StatusClass => "Status",
            Self::Country => "Country",
        }
    }

    /// The value of a row; `None` for calls of which it is not known.
    pub(super) fn value(self, row: &Row) -> Option<String> {
        let item = &row.item;
        match self {
            Self::Api => item.api_id.clone(),
            Self::Key => item.key_id.clone(),
            Self::Consumer => item.project_id.clone(),
            Self::Operation => item.operation.clone(),
            Self::Code => item.code.clone(),
            Self::StatusClass => item.status_class.clone(),
            Self::Country => item.value.clone(),
        }
        .filter(|value| !value.is_empty())
    }

    /// What a row is called of which it is not known.
    pub(super) fn nothing(self) -> &'static str {
        match self {
            Self::Api => "No API",
            Self::Key => "No known key",
            Self::Consumer => "No known consumer",
            Self::Operation => "No operation",
            Self::Code | Self::StatusClass => "Not known",
            Self::Country => "Unknown country",
        }
    }

    /// The page about a value.
    pub(super) fn page(self, value: &str) -> Option<String> {
        match self {
            Self::Api => Some(format!("/apis/{value}")),
            Self::Key => Some(format!("/keys/{value}")),
            Self::Consumer => Some(format!("/projects/{value}")),
            Self::Operation => Some(format!("/requests?{}", query(&[("operation", value)]))),
            Self::Code => Some(format!("/requests?{}", query(&[("code", value)]))),
            Self::StatusClass => Some(format!("/requests?{}", query(&[("status", value)]))),
            Self::Country => None,
        }
    }

    /// The filter of the page that leaves this value alone.
    pub(super) fn filter(self) -> Option<&'static str> {
        match self {
            Self::Api => Some("api_id"),
            Self::Key => Some("key_id"),
            Self::Consumer => Some("project_id"),
            Self::Code => Some("code"),
            Self::Operation | Self::StatusClass | Self::Country => None,
        }
    }
}

/// The filters that the address says, as the API takes them.
pub(super) fn filters(visit: &Visit) -> Vec<(&'static str, &str)> {
    let said = FILTERS.iter().map(|(name, _)| (*name, visit.query.one(name)));
    said.filter(|(_, text)| !text.is_empty()).collect()
}

/// The option of the command line for a filter.
pub(super) fn option(name: &str) -> &'static str {
    FILTERS.iter().find(|(other, _)| *other == name).map_or("", |(_, option)| option)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_says_what_calls_are_told_apart_by() {
        for (text, by, group) in [
            ("", By::Api, "api"),
            ("consumer", By::Consumer, "project"),
            ("status_class", By::StatusClass, "status_class"),
            ("nonsense", By::Api, "api"),
        ] {
            assert_eq!((By::read(text), By::read(text).group()), (by, group), "{text}");
        }
        assert_eq!(By::Operation.page("GET /pets/{id}").as_deref(), Some("/requests?operation=GET+%2Fpets%2F%7Bid%7D"));
        for by in By::ALL {
            assert!(by.filter().is_none_or(|filter| !option(filter).is_empty()), "{by:?}");
        }
    }
}
