//! The question before something that can't be taken back lightly: what it will do, in numbers, and what is wanted for it. One
//! template for all rooms, so that all of them ask alike.

use askama::Template;

use super::shell::Place;
use super::visit::Visit;
use crate::ui::html::AsCode;
use crate::ui::number::exact;

use axum::response::Response;
use serde::de::IgnoredAny;

use super::model::List;

/// The dialog.
#[derive(Template, Default)]
#[template(path = "console/confirm.html")]
pub(super) struct Confirm {
    /// Why it was not done.
    pub(super) fault: Option<String>,
    /// What is asked.
    pub(super) title: String,
    /// What it will do.
    pub(super) about: String,
    /// What it will do in numbers.
    pub(super) numbers: Option<String>,
    /// What is to be known besides.
    pub(super) notes: Vec<String>,
    /// What the form holds besides.
    pub(super) hidden: Vec<(&'static str, String)>,
    /// Whether a reason is asked for: who reads it, and what was typed.
    pub(super) reason: Option<(&'static str, String)>,
    /// The name that has to be typed.
    pub(super) name: Option<String>,
    /// Where the answer goes.
    pub(super) path: String,
    /// Where to go without one.
    pub(super) back: String,
    /// What the button says.
    pub(super) button: &'static str,
    /// Whether something is lost by it.
    pub(super) is_danger: bool,
    /// The same as code.
    pub(super) code: Option<AsCode>,
}

impl Confirm {
    /// Whether what must be typed was typed.
    pub(super) fn is_confirmed(&self, visit: &Visit) -> bool {
        self.name.as_ref().is_none_or(|wanted| visit.form.one("confirm") == wanted.trim())
    }

    /// The same with a reason why it was not done.
    pub(super) fn with_fault(mut self, fault: impl Into<String>) -> Self {
        self.fault = Some(fault.into());
        self
    }

    /// Shows it.
    pub(super) fn shown(&self, visit: &Visit, place: Place) -> Response {
        visit.modal(place, &self.title, self)
    }
}

/// Whether the name that had to be typed is another one.
pub(super) fn is_other_name(visit: &Visit, name: &str) -> bool {
    visit.form.one("confirm") != name.trim()
}

/// What is said when it is.
pub(super) const OTHER_NAME: &str = "Type the name, so that it is the one you mean.";

/// Rows of a page of the API at most.
const PAGE: usize = 200;

/// How many rows a list has, in words; `None` if that can't be told. `path` has a query that asks for no other limit.
pub(super) async fn count(visit: &Visit, path: &str, one: &str, many: &str) -> Option<String> {
    let list: List<IgnoredAny> = visit.get(&format!("{path}&limit={PAGE}")).await.ok()?;
    let rows = list.items.len();
    Some(match (rows, &list.next_cursor) {
        (_, Some(_)) => format!("more than {} {many}", exact(rows as u64)),
        (1, None) => format!("1 {one}"),
        (_, None) => format!("{} {many}", exact(rows as u64)),
    })
}

/// Parts of a sentence, those that are there: `a, b and c`.
pub(super) fn listed(parts: impl IntoIterator<Item = Option<String>>) -> Option<String> {
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    match parts.as_slice() {
        [] => None,
        [one] => Some(one.clone()),
        [first @ .., last] => Some(format!("{} and {last}", first.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_listed_in_a_sentence() {
        let said = |parts: &[Option<&str>]| listed(parts.iter().map(|part| part.map(str::to_owned)));
        assert_eq!(said(&[None, None]), None);
        assert_eq!(said(&[Some("1 key"), None]).as_deref(), Some("1 key"));
        assert_eq!(said(&[Some("a"), Some("b"), Some("c")]).as_deref(), Some("a, b and c"));
    }

    #[test]
    fn a_question_wants_the_name_and_a_reason_and_escapes_both() {
        let confirm = Confirm {
            title: "Delete <b>?".into(),
            name: Some("<b>".into()),
            reason: Some(("kept", "\"so\"".into())),
            path: "/x/delete".into(),
            is_danger: true,
            button: "Delete",
            ..Confirm::default()
        };
        let html = confirm.render().unwrap();
        assert!(html.contains("name=\"confirm\"") && html.contains("for=\"reason\""), "{html}");
        assert!(!html.contains("<b>") && !html.contains("style="), "{html}");
    }
}
