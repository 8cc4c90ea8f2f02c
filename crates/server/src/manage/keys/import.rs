//! `POST /v1/keys/import`: keys that exist already, a line a key.

use axum::extract::{Request, State};
use http::header::CONTENT_TYPE;
use keystile_core::api::KeyRules;
use keystile_core::id::{KeyId, ProjectId};
use keystile_core::key::{
    KeyDigest, KeyKind, MIN_IMPORT_BITS, NotAKey, Pepper, Presented, TextHash, estimated_bits, hint,
};
use keystile_core::limit::LimitRule;
use keystile_core::permission::Permission;
use keystile_core::policy::Policy;
use keystile_core::restrict::Restrictions;
use keystile_core::role::RoleRef;
use keystile_core::time::Timestamp;
use keystile_store::Change;
use keystile_store::records::NewKey;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::policy::checked;
use super::rules::{checked_end, end_in_days, rules_of, within};
use crate::manage::app::App;
use crate::manage::caller::{Asker, Caller, WriteKeys};
use crate::manage::extract::{Query, body, spoken};
use crate::manage::problem::{internal, invalid, unsupported};
use crate::manage::projects::checked_name;
use crate::manage::roles::ids_of;
use crate::problem::Problem;

/// Largest body: 100,000 lines of a long key with a name and an end.
pub(super) const BODY_LIMIT_BYTES: usize = 64 << 20;
/// Most keys of one request.
const MAX_LINES: usize = 100_000;
/// Keys of one transaction: long enough to be fast, short enough that another change waits half a second at most.
const BATCH: usize = 50_000;
/// Refused lines that an answer names; all are counted.
const MAX_REPORTED: usize = 1_000;

/// What holds for all keys of an import.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Asked {
    /// The project that gets the keys.
    #[param(value_type = String)]
    project_id: ProjectId,
    /// Days until they end. Imported keys do not end if nothing is said, unless an API of the project says otherwise:
    /// whoever holds them does not know of this.
    expires_in_days: Option<u32>,
    /// Permissions, roles (by id or name), restrictions and rate limits of all of them, as JSON.
    policy: Option<String>,
}

/// A policy as people say it: they may name roles, of which a policy holds the ids.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyAsked {
    #[serde(default)]
    permissions: Vec<Permission>,
    #[serde(default)]
    roles: Vec<RoleRef>,
    #[serde(default)]
    restrictions: Restrictions,
    #[serde(default)]
    rate_limits: Vec<LimitRule>,
}

/// A line: `key` or `sha256`, and what belongs to this key alone.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ImportLine)]
pub(super) struct Line<'a> {
    /// The text of the key.
    #[serde(borrow)]
    key: Option<std::borrow::Cow<'a, str>>,
    /// The SHA-256 of the text, 64 hexadecimal digits, where the text is not known.
    #[serde(borrow)]
    sha256: Option<std::borrow::Cow<'a, str>>,
    /// Its name.
    name: Option<String>,
    /// When it ends; `null` for never.
    #[serde(default, deserialize_with = "spoken")]
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Option<Timestamp>>,
}

/// What became of an import.
#[derive(Default, Serialize, ToSchema)]
pub(super) struct ImportReport {
    /// Keys that are known now.
    imported: usize,
    /// The first 1,000 lines that were refused.
    refused: Vec<RefusedLine>,
    /// How many lines were refused.
    refused_count: usize,
}

/// A line that was refused.
#[derive(Serialize, ToSchema)]
struct RefusedLine {
    /// Its number, from 1.
    line: usize,
    /// `duplicate`, `weak`, `malformed`, `checksum` or `invalid`.
    reason: &'static str,
    /// What to do.
    detail: String,
}

impl ImportReport {
    fn refuse(&mut self, line: usize, refusal: Refusal) {
        self.refused_count += 1;
        if self.refused.len() < MAX_REPORTED {
            self.refused.push(RefusedLine { line, reason: refusal.reason, detail: refusal.detail });
        }
    }
}

#[derive(Debug)]
struct Refusal {
    reason: &'static str,
    detail: String,
}

fn refusal(reason: &'static str, detail: impl Into<String>) -> Refusal {
    Refusal { reason, detail: detail.into() }
}

/// Add keys that exist already, as text or as SHA-256, in any format; NDJSON, a line a key. Lines that can't be used
/// are reported and do not stop the others.
#[utoipa::path(post, operation_id = "importKeys", path = "/v1/keys/import", tag = "Keys", params(Asked),
    request_body(content = Line<'_>, content_type = "application/x-ndjson"), security(("management_key" = [])),
    responses((status = 200, body = ImportReport), (status = 400), (status = 401), (status = 403), (status = 404), (status = 413)))]
pub(super) async fn import(
    caller: Caller<WriteKeys>,
    State(app): State<App>,
    Query(asked): Query<Asked>,
    request: Request,
) -> Result<axum::Json<ImportReport>, Problem> {
    let media_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !media_type.starts_with("application/x-ndjson") {
        return Err(unsupported("Send the keys as application/x-ndjson, a JSON object a line."));
    }
    let policy = read_policy(&app, &caller, asked.policy.as_deref()).await?;
    let (now, rules) = (app.now(), rules_of(&app, caller.organization, asked.project_id).await?);
    let end = match asked.expires_in_days {
        Some(days) => Some(end_in_days(days, now)?),
        None => rules.bounded(None, now),
    };
    within(&rules, KeyKind::Secret, end, now)?;
    let body = body(request, &app).await?;
    let text = std::str::from_utf8(&body).map_err(|_| invalid("The body is not UTF-8."))?;
    if text.lines().nth(MAX_LINES).is_some() {
        return Err(invalid(format!("One request takes {MAX_LINES} lines; send the rest in another.")));
    }
    let reader = Reader { pepper: app.feed.engine().pepper(), end, now, rules };
    let mut report = ImportReport::default();
    let (mut keys, mut numbers) = (Vec::new(), Vec::new());
    let mut lines = text.lines().enumerate().peekable();
    while let Some((index, line)) = lines.next() {
        if !line.trim().is_empty() {
            match reader.read(line, KeyId::from_entropy(app.id()?)) {
                Ok(key) => {
                    keys.push(key);
                    numbers.push(index + 1);
                }
                Err(refusal) => report.refuse(index + 1, refusal),
            }
        }
        if keys.len() == BATCH || (lines.peek().is_none() && !keys.is_empty()) {
            let batch = std::mem::take(&mut keys);
            let change = Change::ImportKeys { project: asked.project_id, keys: batch, policy: policy.clone() };
            let known = app.import(&caller, change).await?;
            report.imported += numbers.len() - known.len();
            for place in known {
                report.refuse(numbers[place], refusal("duplicate", "This key is known already."));
            }
            numbers.clear();
        }
    }
    if report.imported >= BATCH {
        // Large transactions leave a large log and cache behind; what is left of them is given back here.
        app.catalog.settle().await.map_err(|error| internal(&error))?;
    }
    report.refused.sort_by_key(|refused| refused.line);
    Ok(axum::Json(report))
}

async fn read_policy(app: &App, asker: &Asker, text: Option<&str>) -> Result<Policy, Problem> {
    let policy = match text {
        None => Policy::default(),
        Some(text) => {
            let asked: PolicyAsked =
                serde_json::from_str(text).map_err(|error| invalid(format!("policy can't be used: {error}.")))?;
            Policy {
                permissions: asked.permissions,
                roles: ids_of(app, asker, &asked.roles).await?,
                restrictions: asked.restrictions,
                rate_limits: asked.rate_limits,
            }
        }
    };
    checked(asker, KeyKind::Secret, policy, None)
}

/// Reads lines, each for itself.
struct Reader {
    pepper: Pepper,
    end: Option<Timestamp>,
    now: Timestamp,
    rules: KeyRules,
}

impl Reader {
    fn read(&self, line: &str, id: KeyId) -> Result<NewKey, Refusal> {
        // The error's place is told, its text is not: it may quote the key.
        let line: Line<'_> = serde_json::from_str(line).map_err(|error| {
            refusal("invalid", format!("This is no JSON object with key or sha256 (column {}).", error.column()))
        })?;
        let (digest, hint) = match (&line.key, &line.sha256) {
            (Some(text), None) => self.of_text(text)?,
            (None, Some(hash)) => self.of_hash(hash)?,
            (Some(_), Some(_)) | (None, None) => return Err(refusal("invalid", "Say key or sha256.")),
        };
        let expires_at = match line.expires_at {
            None => self.end,
            Some(None) => None,
            Some(Some(end)) => Some(checked_end(end, self.now).map_err(|problem| refusal("invalid", problem.detail))?),
        };
        within(&self.rules, KeyKind::Secret, expires_at, self.now)
            .map_err(|problem| refusal("invalid", problem.detail))?;
        let name = match line.name {
            None => "imported".to_owned(),
            Some(name) => checked_name(name).map_err(|problem| refusal("invalid", problem.detail))?,
        };
        let pepper_version = self.pepper.version();
        Ok(NewKey { id, name, kind: KeyKind::Secret, hint, digest, pepper_version, expires_at })
    }

    fn of_text(&self, text: &str) -> Result<(KeyDigest, String), Refusal> {
        match Presented::parse(text) {
            Err(NotAKey::Shape) => {
                return Err(refusal("malformed", "A key is 16 to 512 visible ASCII characters without spaces."));
            }
            Err(NotAKey::Checksum) => {
                return Err(refusal("checksum", "It carries Keystile's mark but not the checksum that belongs to it."));
            }
            Ok(Presented::Marked { .. }) => {}
            // K-7: what can be guessed is no key.
            Ok(Presented::Foreign) => {
                let bits = estimated_bits(text);
                if bits < MIN_IMPORT_BITS {
                    let detail = format!(
                        "It holds about {bits} bits of chance; at least {MIN_IMPORT_BITS} are needed. Issue a new key instead."
                    );
                    return Err(refusal("weak", detail));
                }
            }
        }
        Ok((self.pepper.digest(text), hint(text)))
    }

    fn of_hash(&self, hash: &str) -> Result<(KeyDigest, String), Refusal> {
        let bytes = data_encoding::HEXLOWER_PERMISSIVE
            .decode(hash.as_bytes())
            .ok()
            .and_then(|bytes| <[u8; 32]>::try_from(bytes).ok())
            .ok_or_else(|| refusal("malformed", "sha256 is 64 hexadecimal digits."))?;
        Ok((self.pepper.digest_of_hash(&TextHash::from_bytes(bytes)), "••••".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keystile_core::key::PepperSecret;

    #[test]
    fn a_hash_that_is_none_is_refused_and_nothing_else_happens() {
        let pepper = Pepper::new(1, &PepperSecret::new([1; 32]));
        let reader = Reader { pepper, end: None, now: Timestamp::from_secs(1), rules: KeyRules::of([]) };
        let id = KeyId::from_entropy([1; 16]);
        let too_long = "0".repeat(66);
        for hash in ["", "z", "zz", "ää", "00", &too_long] {
            let refused = reader.read(&format!("{{\"sha256\":\"{hash}\"}}"), id).unwrap_err();
            assert_eq!(refused.reason, "malformed", "{hash}");
        }
        assert!(reader.read(&format!("{{\"sha256\":\"{}\"}}", "aB".repeat(32)), id).is_ok());
    }
}
