//! A secret that is shown this once, whatever it is of.

use askama::Template;

/// The dialog.
#[derive(Template, Default)]
#[template(path = "console/once.html")]
pub(super) struct Once {
    /// What was made.
    pub(super) title: &'static str,
    /// Of what it is.
    pub(super) about: String,
    /// What the secret is called.
    pub(super) label: &'static str,
    /// The secret; `None` if it was shown before.
    pub(super) secret: Option<String>,
    /// What it is for.
    pub(super) hint: String,
    /// A command that uses it or tries what it belongs to.
    pub(super) snippet: Option<String>,
    /// What else was made, a name and a text each.
    pub(super) facts: Vec<(&'static str, String)>,
    /// Where to go then.
    pub(super) then: String,
}
