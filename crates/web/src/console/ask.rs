//! A question before something that can't be undone, or that is felt at once: what will happen, and for the worst of it, what it is
//! done to, typed by hand.

use askama::Template;

use super::visit::Visit;
use crate::ui::html::AsCode;

/// The dialog.
#[derive(Template, Default)]
#[template(path = "console/ask.html")]
pub(super) struct Ask {
    /// Why it was not done.
    pub(super) fault: Option<String>,
    /// The question.
    pub(super) title: String,
    /// What will happen.
    pub(super) about: String,
    /// What is to be known besides.
    pub(super) notes: Vec<String>,
    /// Where the form is sent.
    pub(super) path: String,
    /// The page that it belongs to.
    pub(super) back: &'static str,
    /// What must be typed.
    pub(super) confirm: Option<String>,
    /// What the form holds besides.
    pub(super) hidden: Vec<(&'static str, String)>,
    /// What the button says.
    pub(super) button: &'static str,
    /// Whether it ends something.
    pub(super) is_danger: bool,
    /// The same for programs.
    pub(super) code: Option<AsCode>,
}

impl Ask {
    /// Whether what must be typed was typed.
    pub(super) fn is_confirmed(&self, visit: &Visit) -> bool {
        self.confirm.as_ref().is_none_or(|wanted| visit.form.one("confirm") == wanted.trim())
    }

    /// The same with a reason why it was not done.
    pub(super) fn with_fault(mut self, fault: impl Into<String>) -> Self {
        self.fault = Some(fault.into());
        self
    }
}

/// The request that a form makes, as it is filled in: what its preview is replaced by.
#[derive(Template)]
#[template(path = "console/code.html")]
pub(super) struct Preview {
    /// For programs.
    pub(super) code: AsCode,
}
