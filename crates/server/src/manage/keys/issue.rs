//! Making the text of a key, or of a further version of one.

use keystile_core::api::KeyRules;
use keystile_core::id::{KeyId, OrganizationId};
use keystile_core::key::{Environment, KeyKind, KeyText, Prefix};
use keystile_store::records::NewVersion;

use crate::manage::app::App;
use crate::manage::problem::{internal, invalid};
use crate::problem::Problem;
use crate::world::random;

/// Whether the text of a key is kept, so that it can be had back: if that is wanted, and its owner allows it.
pub(super) fn keep_text(wanted: bool, kind: KeyKind, rules: &KeyRules) -> Result<bool, Problem> {
    if wanted && kind == KeyKind::Management {
        return Err(invalid(
            "The text of a management key is never kept; leave recoverable out, and rotate it if it is lost.",
        ));
    }
    if wanted && !rules.recoverable {
        return Err(invalid(
            "Texts of keys are kept only where every API that the project may call allows it, and there is one; set \
             recoverable_keys of the API, or leave recoverable out.",
        ));
    }
    Ok(wanted)
}

/// A fresh text, and what is stored of it. `keep` is whose key and which version of it the text becomes, if it is to be had back.
pub(super) fn issue(
    app: &App,
    prefix: &Prefix,
    environment: Environment,
    keep: Option<(OrganizationId, KeyId, u16)>,
) -> Result<(KeyText, NewVersion), Problem> {
    let entropy = random(&*app.entropy).map_err(|error| internal(&error))?;
    let text = KeyText::issue(prefix, environment, &entropy).map_err(|error| internal(&error))?;
    let pepper = app.feed.engine().pepper();
    let sealed = match keep {
        Some((owner, key, version)) => {
            let salt = random(&*app.entropy).map_err(|error| internal(&error))?;
            Some(app.catalog.seal_key_text(owner, (key, version), text.expose(), &salt))
        }
        None => None,
    };
    let digest = pepper.digest(text.expose());
    let kept = NewVersion { hint: text.hint(), digest, pepper_version: pepper.version(), text: sealed };
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
