//! The OpenAPI document of verification. What bodies look like follows from their types; what their values must look like
//! stands in `schemas.json` (as [`crate::describe`] says), questions with their answers in `examples.json`.
//!
//! To describe a further route, give it an arm in [`Operation::of`].

use std::collections::BTreeMap;
use std::sync::LazyLock;

use hyper::body::Bytes;
use keystile_core::Code;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use utoipa::openapi::{RefOr, Schema};

use super::answer::Answer;
use super::codes::{is_of_a_refusal, is_of_a_verdict, is_of_credits};
use super::credits;
use super::limits::{self, Answers, Asked, Check, Multi, Release, Released, Report, Reported};
use super::question::Question;
use super::route::Route;
use crate::describe::{begun, headers_of, id_pattern, merge, problem_content, refine};
use crate::problem::Problem;

/// What values must look like.
const SCHEMAS: &str = include_str!("schemas.json");
/// Questions with their answers, by operation.
const EXAMPLES: &str = include_str!("examples.json");
/// The code of a question that is not understood; it is in no list, as no call ends with it.
const INVALID: &str = "invalid";

/// A route as it is told.
struct Operation {
    id: &'static str,
    tag: &'static str,
    summary: &'static str,
    about: &'static str,
    question: Shape,
    answer: Shape,
}

impl Operation {
    /// What is told of a route.
    fn of(route: Route) -> Self {
        let (question, answer) = match route {
            Route::Verify => (Shape::of::<Question<'_>>(), Shape::of::<Answer<'_>>()),
            Route::Limits(Asked::Check) => (Shape::of::<Check<'_>>(), Shape::of::<limits::Answer>()),
            Route::Limits(Asked::Multi) => (Shape::of::<Multi<'_>>(), Shape::of::<Answers<'_>>()),
            Route::Limits(Asked::Release) => (Shape::of::<Release>(), Shape::of::<Released>()),
            Route::Limits(Asked::Report) => (Shape::of::<Report>(), Shape::of::<Reported>()),
            Route::Credits(asked) => {
                let question = match asked {
                    credits::Asked::Charge => Shape::of::<credits::Charge<'_>>(),
                    credits::Asked::Reserve => Shape::of::<credits::Reserve<'_>>(),
                    credits::Asked::Post => Shape::of::<credits::Post<'_>>(),
                    credits::Asked::Void => Shape::of::<credits::Void<'_>>(),
                };
                (question, Shape::of::<credits::Answer<'_>>())
            }
        };
        let (id, tag, summary, about) = match route {
            Route::Verify => (
                "verifyKey",
                "Keys",
                "Say whether a key may make a call.",
                "The answer is the gateway's to the same call: the same rules, the same limits, the same codes. It is counted \
                 like a call and charged to the limits. What is not said of the call is not known, and a rule that asks for it \
                 refuses. The status is 200 whenever the question was understood, whatever `allowed` says.",
            ),
            Route::Limits(Asked::Check) => (
                "checkLimit",
                "Limits",
                "Say whether a limit has room, and count what is asked for if it has.",
                "For whatever you want to limit without a key. The limit is in the question: nothing is set up before, and the \
                 same name, window and algorithm mean the same count. Counts are exact, and begin anew when the server starts.",
            ),
            Route::Limits(Asked::Multi) => (
                "checkLimits",
                "Limits",
                "Say whether several limits have room, and count at all of them or at none.",
                "Like `/v1/limits/check` for each of them.",
            ),
            Route::Limits(Asked::Release) => (
                "releaseLease",
                "Limits",
                "Say that a call has ended, so that it counts as one in flight no more.",
                "For answers that had a `lease`, of a verification or of a limit. Who forgets it waits until `expires_at`.",
            ),
            Route::Limits(Asked::Report) => (
                "reportUsage",
                "Keys",
                "Say what a call has cost, once it is known.",
                "For verifications with `\"report\": true`, within ten minutes, once. Its limits, its quotas and what is counted \
                 of it are put right by the difference; it also says that the call has ended.",
            ),
            Route::Credits(credits::Asked::Charge) => (
                "chargeCredits",
                "Credits",
                "Spend credits for something that is no call.",
                "All of the amount or nothing, written down before it is answered. Asked again with the same id, as after an \
                 answer that got lost, it is made once.",
            ),
            Route::Credits(credits::Asked::Reserve) => (
                "reserveCredits",
                "Credits",
                "Set credits aside for something whose cost is known when it is done.",
                "Nobody else spends them until they are posted or voided, or their time is over. Asked again with the same id it \
                 is made once.",
            ),
            Route::Credits(credits::Asked::Post) => (
                "postCredits",
                "Credits",
                "Say that what was reserved is spent, or how much of it.",
                "The rest goes back. What has cost more than was reserved is charged under another id.",
            ),
            Route::Credits(credits::Asked::Void) => {
                ("voidCredits", "Credits", "Say that nothing of what was reserved is spent.", "All of it goes back.")
            }
        };
        Self { id, tag, summary, about, question, answer }
    }

    fn told(&self, route: Route, examples: &Value) -> Value {
        let named = |part: &str| {
            let told = |(name, example): (&String, &Value)| {
                (name.clone(), json!({ "summary": example["summary"], "value": example[part] }))
            };
            Value::Object(examples[self.id].as_object().into_iter().flatten().map(told).collect())
        };
        let body = |shape: &Shape, part: &str| json!({ "application/json": { "schema": shape.reference(), "examples": named(part) } });
        let mut answers = refusals(route);
        answers.insert(
            "200".to_owned(),
            json!({ "description": "The question was understood; this is the answer.", "content": body(&self.answer, "answer") }),
        );
        let right = route.right().replace(" OR ", "` or `");
        json!({ "post": {
            "operationId": self.id,
            "tags": [self.tag],
            "summary": self.summary,
            "description": format!("{}\n\nWhere a management key is needed: one with the right `{right}`.", self.about),
            "requestBody": { "required": true, "content": body(&self.question, "question") },
            "responses": answers,
            "security": [{ "management_key": [] }, {}],
        } })
    }
}

/// The schema of a body, with all that it leads to.
struct Shape {
    name: String,
    schemas: Vec<(String, RefOr<Schema>)>,
}

impl Shape {
    fn of<T: ToSchema>() -> Self {
        let mut schemas = vec![(T::name().into_owned(), T::schema())];
        T::schemas(&mut schemas);
        Self { name: T::name().into_owned(), schemas }
    }

    fn reference(&self) -> Value {
        json!({ "$ref": format!("#/components/schemas/{}", self.name) })
    }
}

/// The OpenAPI 3.1 document of verification.
pub fn document() -> Value {
    let begun = begun(
        "Keystile verification",
        "Ask whether a key may make a call, and limit whatever you like without one. For services that stand in front of \
         their own API: from anywhere else this listener should be out of reach.",
        "A management key with the right to what is asked, as `Authorization: Bearer TEXT`. It is needed where the server's \
         setting `require_key` of `[check]` is on; else nobody looks at it.",
    );
    let mut document = serde_json::to_value(begun).unwrap_or_default();
    let rules: Value = serde_json::from_str(SCHEMAS).unwrap_or_default();
    let examples: Value = serde_json::from_str(EXAMPLES).unwrap_or_default();
    let mut schemas = Map::new();
    for route in Route::all() {
        let operation = Operation::of(route);
        document["paths"][route.path()] = operation.told(route, &examples);
        for (name, schema) in operation.question.schemas.into_iter().chain(operation.answer.schemas) {
            schemas.insert(name, serde_json::to_value(schema).unwrap_or_default());
        }
    }
    refine(&mut schemas, &rules);
    let of_limits = |code: &Code| matches!(code, Code::Allowed | Code::RateLimited);
    for (name, says) in [
        ("KeyAnswer", (|code: &Code| is_of_a_verdict(*code)) as fn(&Code) -> bool),
        ("CreditAnswer", |code: &Code| is_of_credits(*code)),
        ("LimitAnswer", of_limits),
        ("LimitsAnswer", of_limits),
    ] {
        if let Some(schema) = schemas.get_mut(name) {
            let said = Code::ALL.iter().copied().filter(says).collect::<Vec<_>>();
            merge(&mut schema["properties"]["code"], &one_of(&said));
        }
    }
    for (schema, field) in [("Lease", "id"), ("Release", "lease"), ("UsageReport", "lease")] {
        if let Some(schema) = schemas.get_mut(schema) {
            schema["properties"][field]["pattern"] = id_pattern("lea_").into();
        }
    }
    document["components"]["schemas"] = schemas.into();
    document
}

/// The document, written once.
pub(super) fn json() -> Bytes {
    static JSON: LazyLock<Bytes> = LazyLock::new(|| Bytes::from(document().to_string()));
    JSON.clone()
}

/// Whether a problem is one that the document says of a question.
pub(super) fn has(route: Route, problem: &Problem) -> bool {
    problem.code == INVALID
        || own_refusals(route).contains(&(problem.status, problem.code))
        || Code::ALL
            .iter()
            .any(|code| code.as_str() == problem.code && code.status() == problem.status && is_of_a_refusal(*code))
}

/// What only this question is refused with.
const fn own_refusals(route: Route) -> &'static [(u16, &'static str)] {
    match route {
        Route::Credits(asked) => asked.refusals(),
        Route::Verify | Route::Limits(_) => &[],
    }
}

/// The answers that are none, by status.
fn refusals(route: Route) -> Map<String, Value> {
    let mut codes: BTreeMap<u16, Vec<&str>> = BTreeMap::from([(400, vec![INVALID])]);
    for code in Code::ALL.iter().filter(|code| is_of_a_refusal(**code)) {
        codes.entry(code.status()).or_default().push(code.as_str());
    }
    for (status, code) in own_refusals(route) {
        codes.entry(*status).or_default().push(code);
    }
    let told = |(status, codes): (u16, Vec<&str>)| {
        let status = status.to_string();
        let mut content = problem_content();
        let schema = &mut content["application/problem+json"]["schema"];
        *schema = json!({ "allOf": [schema.clone(), { "properties": { "code": { "enum": codes } } }] });
        let headers = headers_of(&status);
        let answer = json!({ "description": meaning(&status), "headers": headers, "content": content });
        (status, answer)
    };
    codes.into_iter().map(told).collect()
}

/// These codes and no other, with what they mean.
fn one_of(codes: &[Code]) -> Value {
    let lines: Vec<String> = codes.iter().map(|code| format!("* `{code}`: {}", code.title())).collect();
    json!({ "enum": codes, "description": format!("`allowed`, or why not:\n\n{}", lines.join("\n")) })
}

fn meaning(status: &str) -> &'static str {
    match status {
        "400" => "The question makes no sense; `detail` says what is wrong (problem details, RFC 9457).",
        "401" => "A management key is needed, and there is none, or one that is not in force.",
        "403" => "The management key may not ask this, or not from here.",
        "404" => "Nothing was charged or reserved under this id.",
        "409" => {
            "Something else was charged or reserved under this id, or it is settled; or the project is paid by no credits."
        }
        "408" => "The question took too long to come.",
        "413" => "The question is longer than 64 KiB, or than the management key may send.",
        "414" => "The address is too long.",
        "429" => "The management key has a limit of its own, and is over it.",
        "431" => "The header fields are too many or too long.",
        "501" => "The body has a transfer coding that is not taken.",
        "503" => "Too busy, or too long without news of changes; try again when `Retry-After` says.",
        _ => "See `code` and `detail`.",
    }
}

#[cfg(test)]
mod tests;
