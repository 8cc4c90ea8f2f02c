//! Apps that may use a key: for keys that are built into them (PRODUCT.md K18). An app says which one it is in header
//! fields, as those of other platforms' keys do; whoever is no app says the same, so it keeps other people's apps from using
//! a key, and nobody else.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::source::{Field, Source};

/// Most apps of one key: the check is a walk over them.
const MAX_APPS: usize = 64;
/// Longest name of a package or bundle.
const MAX_NAME_LEN: usize = 255;
/// Where an Android app says its package, and the SHA-1 of the certificate that it was signed with.
const ANDROID: [&str; 2] = ["x-android-package", "x-android-cert"];
/// Where an app of iOS, iPadOS or macOS says its bundle identifier.
const IOS: &str = "x-ios-bundle-identifier";

/// Android and iOS apps; at least one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Lists", into = "Lists")]
pub struct Apps(Lists);

/// The wire form.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Lists {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    android: Vec<AndroidApp>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    ios: Vec<String>,
}

/// An app by its package and the certificate that it is signed with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AndroidApp {
    package: String,
    /// SHA-1 in hexadecimal; kept in lower case without colons.
    certificate: String,
}

/// The lists name no apps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AppsError {
    /// There is none, or more than [`MAX_APPS`].
    Count,
    /// This is no name of an app.
    NotAName(String),
    /// This is no SHA-1.
    NotAFingerprint(String),
}

impl fmt::Display for AppsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count => {
                write!(f, "apps takes 1 to {MAX_APPS} entries in `android` and `ios`; leave it out for no restriction")
            }
            Self::NotAName(text) => write!(
                f,
                "`{}` is no package or bundle identifier; write one such as com.example.app",
                text.escape_default()
            ),
            Self::NotAFingerprint(text) => write!(
                f,
                "`{}` is no fingerprint; write the SHA-1 of the certificate in hexadecimal, as `keytool -list -v` prints it",
                text.escape_default()
            ),
        }
    }
}

impl std::error::Error for AppsError {}

impl Apps {
    /// Whether a call of such an app may pass.
    pub fn admit(&self, source: &dyn Source) -> bool {
        let says = |name: &str| match source.field(name) {
            Field::Value(value) => std::str::from_utf8(value).ok(),
            Field::Unknown | Field::Absent | Field::Several => None,
        };
        let android = ANDROID.map(says);
        let is_android = |app: &AndroidApp| {
            android[0].is_some_and(|package| package == app.package)
                && android[1].and_then(sha1).is_some_and(|certificate| certificate == app.certificate)
        };
        self.0.android.iter().any(is_android)
            || says(IOS).is_some_and(|bundle| self.0.ios.iter().any(|app| app == bundle))
    }

    /// Whether each of these is one of those.
    pub fn is_within(&self, outer: &Self) -> bool {
        self.0.android.iter().all(|app| outer.0.android.contains(app))
            && self.0.ios.iter().all(|app| outer.0.ios.contains(app))
    }
}

/// A SHA-1 in lower case, with or without colons between its bytes.
fn sha1(text: &str) -> Option<String> {
    let digits: String = match text.len() {
        40 => text.to_ascii_lowercase(),
        59 if text.bytes().skip(2).step_by(3).all(|b| b == b':') => text.replace(':', "").to_ascii_lowercase(),
        _ => return None,
    };
    (digits.len() == 40 && digits.bytes().all(|b| b.is_ascii_hexdigit())).then_some(digits)
}

/// Parts of letters, digits, `-` and `_` with dots between them, two at least.
fn is_name(text: &str) -> bool {
    let is_part =
        |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    text.len() <= MAX_NAME_LEN && text.contains('.') && text.split('.').all(is_part)
}

impl TryFrom<Lists> for Apps {
    type Error = AppsError;

    fn try_from(mut lists: Lists) -> Result<Self, AppsError> {
        if !(1..=MAX_APPS).contains(&(lists.android.len() + lists.ios.len())) {
            return Err(AppsError::Count);
        }
        let names = lists.android.iter().map(|app| &app.package).chain(&lists.ios);
        if let Some(wrong) = names.into_iter().find(|name| !is_name(name)) {
            return Err(AppsError::NotAName(wrong.clone()));
        }
        for app in &mut lists.android {
            app.certificate =
                sha1(&app.certificate).ok_or_else(|| AppsError::NotAFingerprint(app.certificate.clone()))?;
        }
        Ok(Self(lists))
    }
}

impl From<Apps> for Lists {
    fn from(apps: Apps) -> Self {
        apps.0
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::tests::From as Call;
    use super::*;

    const CERTIFICATE: &str = "da39a3ee5e6b4b0d3255bfef95601890afd80709";

    fn apps(value: &Value) -> Result<Apps, String> {
        serde_json::from_value(value.clone()).map_err(|error| error.to_string())
    }

    #[test]
    fn an_app_says_which_one_it_is() {
        let colons = "DA:39:A3:EE:5E:6B:4B:0D:32:55:BF:EF:95:60:18:90:AF:D8:07:09";
        let apps = apps(&json!({
            "android": [{ "package": "com.example.app", "certificate": colons }], "ios": ["com.example.App"],
        }))
        .unwrap();
        let upper = "DA39A3EE5E6B4B0D3255BFEF95601890AFD80709";
        let other = "da39a3ee5e6b4b0d3255bfef95601890afd80708";
        for (fields, admitted) in [
            (&[("x-android-package", "com.example.app"), ("x-android-cert", CERTIFICATE)][..], true),
            (&[("x-android-package", "com.example.app"), ("x-android-cert", upper)], true),
            (&[("x-android-package", "com.example.app"), ("x-android-cert", colons)], true),
            (&[("x-android-package", "com.example.app"), ("x-android-cert", other)], false),
            (&[("x-android-package", "com.example.app")], false),
            (&[("x-android-package", "com.example.App"), ("x-android-cert", CERTIFICATE)], false),
            (&[("x-android-cert", CERTIFICATE)], false),
            (&[("x-ios-bundle-identifier", "com.example.App")], true),
            (&[("x-ios-bundle-identifier", "com.example.app")], false),
            (&[("x-ios-bundle-identifier", "com.example.App"), ("x-ios-bundle-identifier", "com.example.App")], false),
            (&[], false),
        ] {
            let call = Call { fields: fields.to_vec(), ..Call::default() };
            assert_eq!(apps.admit(&call), admitted, "{fields:?}");
        }
    }

    #[test]
    fn what_is_no_app_is_refused() {
        let android = |package: &str, certificate: &str| json!({ "android": [{ "package": package, "certificate": certificate }] });
        for (wrong, why) in [
            (json!({}), "1 to 64 entries"),
            (json!({ "ios": [] }), "1 to 64 entries"),
            (json!({ "ios": vec!["com.example"; 65] }), "1 to 64 entries"),
            (json!({ "ios": ["app"] }), "`app` is no package"),
            (json!({ "ios": ["com.example.*"] }), "is no package"),
            (json!({ "ios": ["com..app"] }), "is no package"),
            (android("com.example", &CERTIFICATE[1..]), "is no fingerprint"),
            (android("com.example", &CERTIFICATE.replace('d', "g")), "is no fingerprint"),
            (android("com.example", &"a:".repeat(30)[..59]), "is no fingerprint"),
            (json!({ "web": ["com.example"] }), "unknown field"),
        ] {
            let error = apps(&wrong).expect_err(&wrong.to_string());
            assert!(error.contains(why), "{wrong}: {error}");
        }
    }
}
