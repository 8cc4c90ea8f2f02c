//! `POST /v1/keys/import`: keys that exist already, a line a key.
//!
//! [`line`](mod@line) reads a line, [`report`] says what became of all of them. A request that comes again with the same
//! `Idempotency-Key` is answered as it was the first time, so a client whose connection broke loses nothing and counts
//! nothing twice.

mod line;
mod report;

use std::collections::{HashMap, HashSet};

use axum::extract::{Request, State};
use http::header::CONTENT_TYPE;
use keystile_core::id::{KeyId, ProjectId};
use keystile_core::key::{KeyKind, Lookup, MAX_CANDIDATES};
use keystile_core::limit::LimitRule;
use keystile_core::pattern::PatternRef;
use keystile_core::permission::Permission;
use keystile_core::policy::Policy;
use keystile_core::restrict::Restrictions;
use keystile_core::role::RoleRef;
use keystile_store::records::ImportKey;
use keystile_store::{Change, Idempotency};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use utoipa::{IntoParams, ToSchema};

use super::policy::checked;
use super::rules::{end_in_days, rules_of, within};
use crate::enforce::slow::{SALT_LEN, fits, stretched};
use crate::manage::app::{App, Imported};
use crate::manage::caller::{Asker, Caller, WriteKeys};
use crate::manage::extract::{Query, body};
use crate::manage::problem::{internal, invalid, unsupported};
use crate::manage::{patterns, roles};
use crate::problem::Problem;
use crate::world::random;
use line::{Line, Read, Reader, Weak};
use report::{Class, ImportReport, Refusal, refusal};

/// Largest body: 100,000 lines of a long key with a name and an end.
pub(super) const BODY_LIMIT_BYTES: usize = 64 << 20;
/// Most keys of one request.
const MAX_LINES: usize = 100_000;
/// Keys of one transaction: long enough to be fast, short enough that another change waits half a second at most.
const BATCH: usize = 50_000;
/// Texts of one request that get a slow hash: some ten seconds of one core.
const MAX_WEAK: usize = 200;

/// Why a key is not taken over twice.
const DUPLICATE: &str = "This key is known already.";

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
    /// Permissions, roles and patterns (by id or name), restrictions and rate limits of all of them, as JSON.
    policy: Option<String>,
    /// `argon2id`: texts that could be guessed (less than 112 bits of chance by our estimate) are taken over all the same
    /// and kept under Argon2id for good; at most 200 in a request. Without it they are refused.
    #[param(value_type = Option<String>)]
    weak: Option<KeepWeak>,
}

/// What becomes of texts that could be guessed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum KeepWeak {
    /// They are kept under a slow hash.
    Argon2id,
}

/// Add keys that exist already: as text in any format, or as another system keeps them (SHA-256, `prefixed-api-key`,
/// bcrypt, Argon2); NDJSON, a line a key. Lines that can't be used are reported and do not stop the others.
#[utoipa::path(post, operation_id = "importKeys", path = "/v1/keys/import", tag = "Keys", params(Asked),
    request_body(content = Line<'_>, content_type = "application/x-ndjson"), security(("management_key" = [])),
    responses((status = 200, body = ImportReport), (status = 400), (status = 401), (status = 403), (status = 404), (status = 409), (status = 413)))]
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
    let mut hash = Sha256::new_with_prefix(request.uri().path_and_query().map_or("", |target| target.as_str()));
    let body = body(request, &app).await?;
    hash.update(&body);
    let text = std::str::from_utf8(&body).map_err(|_| invalid("The body is not UTF-8."))?;
    if text.lines().nth(MAX_LINES).is_some() {
        return Err(invalid(format!("One request takes {MAX_LINES} lines; send the rest in another.")));
    }
    let dry_run = caller.conditions.dry_run;
    if dry_run {
        // What would be said of the change itself.
        app.project(&caller, asked.project_id).await?;
    }
    let reader = Reader { peppers: app.feed.engine().peppers(), end, now, rules };
    let mut import = Import {
        app: &app,
        caller: &caller,
        project: asked.project_id,
        policy,
        request: hash.finalize().into(),
        report: ImportReport::of(dry_run),
        batches: 0,
        waiting: Vec::new(),
        seen: HashSet::new(),
        crowds: HashMap::new(),
    };
    let mut weak = 0;
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let read = match reader.read(line) {
            Ok(Read::Weak(refusal, _)) if asked.weak.is_none() => Err(refusal),
            Ok(Read::Weak(..)) if weak == MAX_WEAK => Err(refusal(
                "weak",
                format!("One request takes {MAX_WEAK} texts that could be guessed; send it in another."),
            )),
            Ok(Read::Weak(_, text)) => {
                weak += 1;
                import.stretch(&reader, text).await?.map(|key| (key, Class::Argon2id))
            }
            Ok(Read::Key(key, class)) => Ok((key, class)),
            Err(refusal) => Err(refusal),
        };
        match read {
            Ok((key, class)) => import.waiting.push((key, class, index + 1)),
            Err(refusal) => import.report.refuse(index + 1, refusal),
        }
        if import.waiting.len() == BATCH {
            import.settle().await?;
        }
    }
    import.settle().await?;
    let mut report = import.report;
    if report.imported >= BATCH && !report.dry_run {
        // Large transactions leave a large log and cache behind; what is left of them is given back here.
        app.catalog.settle().await.map_err(|error| internal(&error))?;
    }
    report.refused.sort_by_key(|refused| refused.line);
    Ok(axum::Json(report))
}

/// A policy as people say it: they may name roles and patterns, of which a policy holds the ids.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyAsked {
    #[serde(default)]
    permissions: Vec<Permission>,
    #[serde(default)]
    roles: Vec<RoleRef>,
    #[serde(default)]
    patterns: Vec<PatternRef>,
    #[serde(default)]
    restrictions: Restrictions,
    #[serde(default)]
    rate_limits: Vec<LimitRule>,
}

async fn read_policy(app: &App, asker: &Asker, text: Option<&str>) -> Result<Policy, Problem> {
    let policy = match text {
        None => Policy::default(),
        Some(text) => {
            let asked: PolicyAsked =
                serde_json::from_str(text).map_err(|error| invalid(format!("policy can't be used: {error}.")))?;
            Policy {
                permissions: asked.permissions,
                roles: roles::ids_of(app, asker, &asked.roles).await?,
                patterns: patterns::ids_of(app, asker, &asked.patterns).await?,
                restrictions: asked.restrictions,
                rate_limits: asked.rate_limits,
            }
        }
    };
    checked(asker, KeyKind::Secret, policy, None)
}

/// An import under way.
struct Import<'a> {
    app: &'a App,
    caller: &'a Asker,
    project: ProjectId,
    policy: Policy,
    /// SHA-256 of the request.
    request: [u8; 32],
    report: ImportReport,
    batches: u64,
    /// Keys of the next transaction, each with its line.
    waiting: Vec<(ImportKey, Class, usize)>,
    /// Of a trial: digests that were there, and how many hashes the lookups lead to.
    seen: HashSet<[u8; 32]>,
    crowds: HashMap<Lookup, usize>,
}

impl Import<'_> {
    /// Adds the keys that wait, and notes what became of each.
    async fn settle(&mut self) -> Result<(), Problem> {
        let waiting = std::mem::take(&mut self.waiting);
        if waiting.is_empty() {
            return Ok(());
        }
        let (mut keys, lines): (Vec<ImportKey>, Vec<(Class, usize)>) =
            waiting.into_iter().map(|(key, class, line)| (key, (class, line))).unzip();
        let (duplicates, ambiguous) =
            if self.report.dry_run { self.tried(&keys).await? } else { self.added(&mut keys).await? };
        let refused: HashSet<usize> = duplicates.iter().chain(&ambiguous).copied().collect();
        for place in duplicates {
            self.report.refuse(lines[place].1, refusal("duplicate", DUPLICATE));
        }
        for place in ambiguous {
            let detail = format!(
                "{MAX_CANDIDATES} other keys have this lookup, and no more are tried for one text; give a longer beginning of the key."
            );
            self.report.refuse(lines[place].1, refusal("ambiguous", detail));
        }
        for (_, (class, _)) in lines.iter().enumerate().filter(|(place, _)| !refused.contains(place)) {
            self.report.take(*class);
        }
        Ok(())
    }

    /// The places of duplicates and of ambiguous ones, after the others were added, now or when the same request came
    /// before.
    async fn added(&mut self, keys: &mut [ImportKey]) -> Result<(Vec<usize>, Vec<usize>), Problem> {
        let seed = self.app.id()?;
        give_ids(keys, &seed);
        let idempotency = self.caller.idempotency_key.map(|key| {
            let key = Sha256::new_with_prefix(key).chain_update(self.batches.to_le_bytes()).finalize().into();
            // What names the keys that it made.
            let subject = data_encoding::HEXLOWER.encode(&seed);
            Idempotency { key, request: self.request, subject }
        });
        self.batches += 1;
        let change = Change::ImportKeys { project: self.project, keys: keys.to_vec(), policy: self.policy.clone() };
        match self.app.import(self.caller, change, idempotency).await? {
            Imported::Now(applied) => Ok((applied.duplicates, applied.ambiguous)),
            Imported::Before(seed) => {
                let seed = data_encoding::HEXLOWER.decode(seed.as_bytes()).ok().and_then(|seed| seed.try_into().ok());
                give_ids(keys, &seed.unwrap_or_default());
                let ids: Vec<KeyId> = keys.iter().map(|one| one.key.id).collect();
                let there = self.app.catalog.known_ids(&ids).await.map_err(|error| internal(&error))?;
                let gone = ids.iter().enumerate().filter(|(_, id)| !there.contains(id)).map(|(place, _)| place);
                Ok((gone.collect(), Vec::new()))
            }
        }
    }

    /// The same for a trial: what would be duplicates and ambiguous.
    async fn tried(&mut self, keys: &[ImportKey]) -> Result<(Vec<usize>, Vec<usize>), Problem> {
        let digests: Vec<_> = keys.iter().flat_map(|one| one.older.iter().copied().chain([one.key.digest])).collect();
        let known = self.app.catalog.known_digests(&digests).await.map_err(|error| internal(&error))?;
        let (mut duplicates, mut ambiguous) = (Vec::new(), Vec::new());
        for (place, one) in keys.iter().enumerate() {
            let digest = *one.key.digest.as_bytes();
            let is_older = one.older.iter().any(|digest| known.contains(digest.as_bytes()));
            if is_older || known.contains(&digest) || !self.seen.insert(digest) {
                duplicates.push(place);
            } else if let Some(slow) = &one.slow {
                let engine = self.app.feed.engine();
                let count = self.crowds.entry(slow.lookup).or_insert_with(|| engine.slow.count(slow.lookup));
                *count += 1;
                if *count > MAX_CANDIDATES {
                    ambiguous.push(place);
                }
            }
        }
        Ok((duplicates, ambiguous))
    }

    /// A text that could be guessed, under a slow hash of its own. The same text has another hash each time, so it is
    /// compared with those that are there.
    async fn stretch(&self, reader: &Reader, weak: Weak) -> Result<Result<ImportKey, Refusal>, Problem> {
        let engine = self.app.feed.engine();
        let known = self.app.catalog.known_digests(&reader.every_digest(&weak.text)).await;
        if !known.map_err(|error| internal(&error))?.is_empty() {
            return Ok(Err(refusal("duplicate", DUPLICATE)));
        }
        let lookup = reader.pepper().lookup_of_whole(&weak.text);
        let known = engine.slow.candidates(&weak.text, &engine.peppers()).into_iter();
        let mut hashes: Vec<String> = known.map(|candidate| candidate.hash.to_string()).collect();
        let here = self.waiting.iter().filter_map(|(one, ..)| one.slow.as_ref());
        hashes.extend(here.filter(|slow| slow.lookup == lookup).map(|slow| slow.hash.clone()));
        let salt: [u8; SALT_LEN] = random(&*self.app.entropy).map_err(|error| internal(&error))?;
        // Off the threads that answer others.
        let text = weak.text.clone();
        let work =
            move || if hashes.iter().any(|hash| fits(&text, hash)) { None } else { Some(stretched(&text, &salt)) };
        let done = tokio::task::spawn_blocking(work).await.map_err(|error| internal(&error))?;
        match done {
            None => Ok(Err(refusal("duplicate", DUPLICATE))),
            Some(Some(hash)) => Ok(Ok(reader.stretched(weak, lookup, hash))),
            Some(None) => Err(internal(&std::io::Error::other("there is no memory for a slow hash"))),
        }
    }
}

/// Gives keys ids that follow from a seed, so that a request that comes again finds those that it made.
fn give_ids(keys: &mut [ImportKey], seed: &[u8; 16]) {
    for (place, one) in keys.iter_mut().enumerate() {
        let hash: [u8; 32] = Sha256::new_with_prefix(seed).chain_update((place as u64).to_le_bytes()).finalize().into();
        one.key.id = KeyId::from_slice(&hash[..16]).unwrap_or(one.key.id);
    }
}
