//! `POST /v1/keys/{id}/explain`

use std::borrow::Cow;
use std::net::IpAddr;

use axum::extract::State;
use keystile_core::Code;
use keystile_core::api::UnknownOperations;
use keystile_core::country::Country;
use keystile_core::decide::Step;
use keystile_core::facts::Facts;
use keystile_core::id::{ApiId, KeyId};
use keystile_core::pattern::PatternSaid;
use keystile_core::permission::PermissionQuery;
use keystile_core::restrict::{Rules, Said};
use keystile_core::time::{Moment, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::enforce::engine::{Door, Recognised};
use crate::enforce::snapshot::{ApiView, Router};
use crate::gateway::below;
use crate::manage::app::App;
use crate::manage::caller::{Asker, Caller, ReadKeys};
use crate::manage::extract::{Id, Json};
use crate::manage::problem::{internal, invalid, not_found};
use crate::problem::Problem;
use crate::verify::answer::Answered;
use crate::verify::described::Described;
use crate::verify::question::{Client, Operation, OwnTags};
use crate::verify::told_headers::ToldHeaders;

/// A call that nobody makes. What is not said is not known.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyExplain {
    /// The API that would be called, by id or name; then the path is one of its own. Without it the API is found as the
    /// gateway finds it, by `host` and the path, and without an operation the key alone is judged.
    api: Option<String>,
    /// The host that would be called, for finding the API.
    host: Option<String>,
    /// What would be called.
    #[schema(value_type = Option<Operation<'static>>)]
    operation: Option<OperationShape>,
    /// Who would call.
    #[schema(value_type = Option<Client<'static>>)]
    client: Option<ClientShape>,
    /// Who would use the program that calls, for limits that are counted by end user.
    end_user: Option<String>,
    /// What else limits are counted by: an object of names, each with a text.
    #[serde(default)]
    #[schema(value_type = Object)]
    tags: OwnTags,
    /// Permissions that it would need besides those of its operation, such as `a AND (b OR c)`.
    permissions: Option<String>,
    /// When; now if nothing is said. Limits are as they are now.
    #[schema(value_type = Option<String>, format = DateTime)]
    at: Option<Timestamp>,
}

/// An [`Operation`] that is kept.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OperationShape {
    method: String,
    path: String,
    content_type: Option<String>,
    body_bytes: Option<u64>,
    accept: Option<String>,
    headers: Option<ToldHeaders>,
}

/// A [`Client`] that is kept.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClientShape {
    ip: Option<IpAddr>,
    certificate: Option<String>,
    origin: Option<String>,
    referrer: Option<String>,
    country: Option<Country>,
}

/// What would become of a call, and why.
#[derive(Serialize, ToSchema)]
#[schema(as = KeyExplanation)]
pub(super) struct ExplanationView {
    /// Whether it would be let through.
    allowed: bool,
    /// `allowed`, or why not.
    #[schema(value_type = String, example = "country_forbidden")]
    code: Code,
    /// What to do.
    detail: &'static str,
    /// The API that it would go to; `null` if none answers, or none was asked about.
    #[schema(value_type = Option<String>)]
    api_id: Option<ApiId>,
    /// The path as the key's restrictions see it.
    path: Option<String>,
    /// The permissions that the key lacks.
    #[serde(skip_serializing_if = "Option::is_none")]
    missing_permissions: Option<String>,
    /// Restrictions in shadow that would refuse it.
    #[schema(value_type = Vec<String>)]
    shadow: Rules,
    /// The questions that were asked, up to the first no.
    #[schema(value_type = Vec<Answered<'static>>)]
    trace: Vec<AnsweredView>,
}

/// An [`Answered`] that is kept.
#[derive(Serialize)]
struct AnsweredView {
    step: Step,
    code: Code,
    #[serde(skip_serializing_if = "Option::is_none")]
    restrictions: Option<Vec<Said>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patterns: Option<Vec<PatternSaid>>,
}

/// Say what would become of a call with this key, without making it: nothing is counted, no limit is charged, and the text
/// of the key is not needed. Calls are taken for encrypted.
#[utoipa::path(post, operation_id = "explainKey", path = "/v1/keys/{id}/explain", tag = "Keys", params(("id" = String, Path)),
    request_body = KeyExplain, security(("management_key" = [])),
    responses((status = 200, body = ExplanationView), (status = 400), (status = 401), (status = 404)))]
pub(super) async fn explain(
    caller: Caller<ReadKeys>,
    State(app): State<App>,
    Id(id): Id<KeyId>,
    body: Json<KeyExplain>,
) -> Result<axum::Json<ExplanationView>, Problem> {
    // Whether it is the asker's; what is in force stands in memory.
    app.key(&caller, id).await?;
    let engine = app.feed.engine().clone();
    // A walk over all keys.
    let known = tokio::task::spawn_blocking(move || engine.known(id)).await.map_err(|error| internal(&error))?;
    let now = app.clock.now();
    explained(&app, &caller, known.ok_or_else(|| not_found("key"))?, &body.value, now).map(axum::Json)
}

fn explained(
    app: &App,
    asker: &Asker,
    key: Recognised,
    wanted: &KeyExplain,
    now: Moment,
) -> Result<ExplanationView, Problem> {
    let engine = app.feed.engine();
    let needs: Option<PermissionQuery> = wanted
        .permissions
        .as_deref()
        .map(str::parse)
        .transpose()
        .map_err(|error: keystile_core::permission::PermissionError| invalid(format!("permissions: {error}.")))?;
    let operation = wanted.operation.as_ref().map(OperationShape::as_asked);
    let client = wanted.client.as_ref().map(ClientShape::as_asked);
    let described = Described::new(operation.as_ref(), client.as_ref())?;
    let router = engine.snapshot.router.load();
    // Those of others do not exist, unless the key's project has to do with them.
    let is_seen =
        |api: &ApiView| api.organization == asker.organization || key.project.activation(api.number).is_some();
    let (api, path) = match (&wanted.api, described.path()) {
        (Some(name), path) => {
            let api = named(&router, name, is_seen);
            let api =
                api.ok_or_else(|| invalid("There is no such API, or several of this name; name it by its id."))?;
            (Some(api), path)
        }
        (None, Some(path)) => {
            let host = wanted.host.as_deref().unwrap_or_default().to_ascii_lowercase();
            let api = router.find(&host, path).map(|api| &**api).filter(|api| is_seen(api));
            (api, Some(api.map_or(path, |api| below(api, path))))
        }
        (None, None) => (None, None),
    };
    let refused = described.refused(api).or_else(|| {
        let is_routed = wanted.api.is_none() && path.is_some();
        (is_routed && api.is_none()).then_some(Code::RouteUnknown)
    });
    let source = described.source(&engine.countries, api);
    let at = Moment { wall: wanted.at.unwrap_or(now.wall), ..now };
    let facts = Facts { path, needs: needs.as_ref(), ..described.facts(at, &source) };
    let label = api.and_then(|api| Some(api.operations.label(facts.method?, path?).number()));
    let cost = api.and_then(|api| Some(api.costs.of(facts.method?, path?))).unwrap_or(1);
    let facts = Facts { cost, operation: label, end_user: wanted.end_user.as_deref(), tags: &wanted.tags.0, ..facts };
    let of_operation = facts.method.zip(path).zip(api);
    let (code, shadow, missing, trace) = match refused {
        Some(code) => (code, Rules::NONE, None, Vec::new()),
        None => {
            let of_api = of_operation.and_then(|((method, path), api)| api.operations.needs(method, path));
            let granted = key.policy.clone();
            let (verdict, explanation) = engine.foresee(key, api.map_or(Door::KeyAlone, Door::Api), &facts);
            let missing = PermissionQuery::All([needs.as_ref(), of_api].into_iter().flatten().cloned().collect());
            let missing = missing.missing(&granted.policy.permissions).map(|missing| missing.to_string());
            let is_unknown = of_operation.is_some_and(|((method, path), api)| {
                api.unknown_operations == UnknownOperations::Refuse && api.operations.is_unknown(method, path)
            });
            // The gateway asks that last.
            let code = if verdict.code.is_allowed() && is_unknown { Code::OperationUnknown } else { verdict.code };
            let shadow = if code.is_allowed() { verdict.shadow } else { Rules::NONE };
            let (mut restrictions, mut patterns) = (Some(explanation.restrictions), Some(explanation.patterns));
            let steps = explanation.steps.into_iter().map(|(step, code)| AnsweredView {
                step,
                code,
                restrictions: if step == Step::Restrictions { restrictions.take() } else { None },
                patterns: if step == Step::Patterns { patterns.take() } else { None },
            });
            (code, shadow, missing.filter(|_| code == Code::PermissionMissing), steps.collect())
        }
    };
    Ok(ExplanationView {
        allowed: code.is_allowed(),
        code,
        detail: code.detail(),
        api_id: api.map(|api| api.id),
        path: path.map(str::to_owned),
        missing_permissions: missing,
        shadow,
        trace,
    })
}

/// The API of this id, or the only one of this name.
fn named<'a>(router: &'a Router, wanted: &str, is_seen: impl Fn(&ApiView) -> bool) -> Option<&'a ApiView> {
    let mut seen = router.apis().map(|api| &**api).filter(|api| is_seen(api));
    match wanted.parse::<ApiId>() {
        Ok(id) => seen.find(|api| api.id == id),
        Err(_) => {
            let mut named = seen.filter(|api| &*api.name == wanted);
            named.next().filter(|_| named.next().is_none())
        }
    }
}

fn borrowed(text: &Option<String>) -> Option<Cow<'_, str>> {
    text.as_deref().map(Cow::Borrowed)
}

impl OperationShape {
    fn as_asked(&self) -> Operation<'_> {
        Operation {
            method: Cow::Borrowed(&self.method),
            path: Cow::Borrowed(&self.path),
            content_type: borrowed(&self.content_type),
            body_bytes: self.body_bytes,
            accept: borrowed(&self.accept),
            headers: self.headers.as_ref().map(Cow::Borrowed),
        }
    }
}

impl ClientShape {
    fn as_asked(&self) -> Client<'_> {
        Client {
            ip: self.ip,
            certificate: borrowed(&self.certificate),
            origin: borrowed(&self.origin),
            referrer: borrowed(&self.referrer),
            country: self.country,
        }
    }
}
