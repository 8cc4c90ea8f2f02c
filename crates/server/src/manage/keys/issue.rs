//! Making the text of a key, or of a further version of one.

use keystile_core::key::{Environment, KeyText, Prefix};
use keystile_store::records::NewVersion;

use crate::manage::app::App;
use crate::manage::problem::internal;
use crate::problem::Problem;
use crate::world::random;

/// A fresh text, and what is stored of it.
pub(super) fn issue(app: &App, prefix: &Prefix, environment: Environment) -> Result<(KeyText, NewVersion), Problem> {
    let entropy = random(&*app.entropy).map_err(|error| internal(&error))?;
    let text = KeyText::issue(prefix, environment, &entropy).map_err(|error| internal(&error))?;
    let pepper = app.feed.engine().pepper();
    let kept = NewVersion { hint: text.hint(), digest: pepper.digest(text.expose()), pepper_version: pepper.version() };
    Ok((text, kept))
}

/// The prefix of a text that was issued here, by what may be shown of it; `None` for one from elsewhere.
pub(super) fn prefix_of(hint: &str, environment: Environment) -> Option<Prefix> {
    let (prefix, rest) = hint.split_once('_')?;
    rest.strip_prefix(environment.as_str())?.strip_prefix('_')?;
    prefix.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_read_from_what_is_shown_of_a_key() {
        for (hint, prefix) in [
            ("acme_live_Ab3d••••9f3a", Some("acme")),
            ("acme_test_Ab3d••••9f3a", None),
            ("••••", None),
            ("550e••••0000", None),
            ("_live_Ab3d••••", None),
        ] {
            let read = prefix_of(hint, Environment::Live);
            assert_eq!(read.as_ref().map(Prefix::as_str), prefix, "{hint}");
        }
    }
}
