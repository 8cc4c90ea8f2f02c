//! Something that is shown this once and that somebody must take with them: a secret, the link of an invitation. Its dialog does not
//! close before it was copied.

use askama::Template;

/// The dialog.
#[derive(Template, Default)]
#[template(path = "console/once.html")]
pub(super) struct Once {
    /// What the dialog is called.
    pub(super) title: String,
    /// Of what it is.
    pub(super) about: String,
    /// What the text is: `Link`, `Secret`.
    pub(super) label: &'static str,
    /// The text; `None` if it was shown before.
    pub(super) secret: Option<String>,
    /// What holds for it; that this is the only time, if nothing is said.
    pub(super) note: String,
    /// What it is for.
    pub(super) hint: String,
    /// A command that uses it or tries what it belongs to.
    pub(super) snippet: Option<String>,
    /// What else was made, a name and a text each.
    pub(super) facts: Vec<(&'static str, String)>,
    /// What to do with it; to store it in a secret manager, if nothing is said.
    pub(super) advice: &'static str,
    /// Where to go then.
    pub(super) then: String,
}
