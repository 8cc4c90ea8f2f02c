//! Reads what a request says: bodies, queries and ids, each with an error that says what to do.

use std::fmt;

use axum::body::HttpBody;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::response::IntoResponse;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{Method, StatusCode, Uri};
use serde::de::{Deserialize, DeserializeOwned, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::app::App;
use super::condition::without_dry_run;
use super::problem::{invalid, not_found, too_large, unsupported};
use crate::problem::Problem;

/// SHA-256 over what a request asks for, by which a repeated request is recognised.
#[derive(Debug, Clone, Copy)]
pub(super) struct RequestHash(pub(super) [u8; 32]);

impl RequestHash {
    /// Of a request without a body.
    pub(super) fn of(method: &str, path: &str) -> Self {
        Self(Sha256::new_with_prefix(method).chain_update(path).finalize().into())
    }
}

/// A JSON body. Unknown fields are refused by the types.
pub(super) struct Json<T> {
    pub(super) value: T,
    pub(super) hash: RequestHash,
}

impl<T: DeserializeOwned> FromRequest<App> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let media_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let is_json =
            media_type.split(';').next().is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"));
        if !is_json {
            return Err(unsupported("Send the body as application/json."));
        }
        let mut hash = Sha256::new_with_prefix(request.method().as_str());
        hash.update(request.uri().path());
        let bytes = body(request, app).await?;
        hash.update(&bytes);
        let value = read(&bytes)?;
        Ok(Self { value, hash: RequestHash(hash.finalize().into()) })
    }
}

/// A JSON object. Lists pass for objects with the derived readers, so they are refused here.
fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    if bytes.trim_ascii_start().first().is_some_and(|first| *first != b'{') {
        return Err(invalid("The body is a JSON object."));
    }
    let read = serde_json::from_slice(bytes).or_else(|error| match whole_numbers(bytes) {
        Some(bytes) => serde_json::from_slice(&bytes),
        None => Err(error),
    });
    read.map_err(|error| {
        let said = error.to_string();
        // Where it is helps with what is no JSON at all; what is wrong with a field says which.
        let place = format!(" at line {} column {}", error.line(), error.column());
        let said = if error.is_data() { said.strip_suffix(&place).unwrap_or(&said) } else { &said };
        invalid(format!("The body can't be read: {}.", in_json(said)))
    })
}

/// A message of a reader in the words of JSON: it names types that nobody outside knows. What it quotes is left as it is.
fn in_json(message: &str) -> String {
    let said =
        [("invalid type: map,", "invalid type: an object,"), ("invalid type: sequence,", "invalid type: a list,")];
    let found = said.iter().find_map(|(own, json)| Some(format!("{json}{}", message.strip_prefix(own)?)));
    let message = found.unwrap_or_else(|| message.to_owned());
    let Some((before, wanted)) = message.rsplit_once(", expected ") else { return message };
    let wanted = if let Some(rest) = wanted.strip_prefix("struct ") {
        // The name of the type.
        format!("an object{}", rest.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_'))
    } else if let Some(rest) = wanted.strip_prefix("a map") {
        format!("an object{rest}")
    } else if let Some(rest) = wanted.strip_prefix("a sequence") {
        format!("a list{rest}")
    } else if wanted.strip_prefix(['u', 'i']).is_some_and(|bits| bits.parse::<u8>().is_ok()) {
        let least = if wanted.starts_with('u') { " that is not below 0" } else { "" };
        format!("a whole number{least}")
    } else {
        wanted.to_owned()
    };
    format!("{before}, expected {wanted}")
}

/// The same JSON with `23.0` written as `23`, which is the same number, and an integer as JSON Schema has it; `None` if there
/// is no such number in it.
fn whole_numbers(json: &[u8]) -> Option<Vec<u8>> {
    let mut written = Vec::with_capacity(json.len());
    let (mut place, mut is_text) = (0, false);
    while let Some(&byte) = json.get(place) {
        let rest = &json[place + 1..];
        if is_text && byte == b'\\' {
            // What is escaped ends no text.
            written.extend(json[place..].iter().take(2));
            place += 2;
            continue;
        }
        is_text ^= byte == b'"';
        let zeros = rest.iter().take_while(|byte| **byte == b'0').count();
        let is_over = rest.get(zeros).is_none_or(|next| !matches!(next, b'0'..=b'9' | b'e' | b'E'));
        if !is_text && byte == b'.' && zeros > 0 && is_over {
            place += 1 + zeros;
        } else {
            written.push(byte);
            place += 1;
        }
    }
    (written.len() < json.len()).then_some(written)
}

/// The fields of an object as they came, none of them twice.
pub(super) struct Fields(pub(super) Map<String, Value>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Fields, A::Error> {
                let mut fields = Map::new();
                while let Some((name, value)) = access.next_entry::<String, Value>()? {
                    if fields.contains_key(&name) {
                        return Err(A::Error::custom(format!("duplicate field `{name}`")));
                    }
                    fields.insert(name, value);
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(Object)
    }
}

/// No body, or an empty object: for requests whose path says it all.
pub(super) struct Nothing;

impl FromRequest<App> for Nothing {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        #[derive(serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Empty {}
        let bytes = body(request, app).await?;
        if !bytes.is_empty() {
            read::<Empty>(&bytes)?;
        }
        Ok(Self)
    }
}

/// The whole body, within the bound of its route.
pub(super) async fn body(request: Request, app: &App) -> Result<Bytes, Problem> {
    Bytes::from_request(request, app).await.map_err(|rejection| match rejection.into_response().status() {
        StatusCode::PAYLOAD_TOO_LARGE => too_large(),
        _ => invalid("The body did not arrive whole; send it again."),
    })
}

/// The query string.
pub(super) struct Query<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequestParts<App> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        // Whoever reads has nothing to try; everybody else's `dry_run` is read by the caller.
        let query = parts.uri.query().unwrap_or_default();
        let said = if parts.method == Method::GET { query.to_owned() } else { without_dry_run(query) };
        let uri = Uri::try_from(format!("/?{said}")).map_err(|_| invalid("The query can't be read."))?;
        axum::extract::Query::try_from_uri(&uri).map(|query| Self(query.0)).map_err(|error| {
            let text = error.body_text();
            let said = text.strip_prefix("Failed to deserialize query string: ").unwrap_or(&text);
            invalid(format!("The query can't be read: {said}."))
        })
    }
}

/// The id in the path.
pub(super) struct Id<T>(pub(super) T);

impl<T: std::str::FromStr + Send> FromRequestParts<App> for Id<T>
where
    T::Err: std::fmt::Display,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let Path(text) = Path::<String>::from_request_parts(parts, app).await.map_err(|_| not_found("thing"))?;
        text.parse()
            .map(Self)
            .map_err(|error: T::Err| not_found("thing").because(format!("There is no such thing: {error}.")))
    }
}

/// The id in the path, and the name of what is below it.
pub(super) struct Pair<T>(pub(super) T, pub(super) String);

impl<T: std::str::FromStr + Send> FromRequestParts<App> for Pair<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let both = Path::<(String, String)>::from_request_parts(parts, app).await;
        let Path((text, name)) = both.map_err(|_| not_found("thing"))?;
        text.parse().map(|id| Self(id, name)).map_err(|_| not_found("thing"))
    }
}

/// For fields that may be left out, and for which `null` says nothing: it is refused instead of passed over.
pub(super) fn said<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// For fields where `null` says something else than silence.
pub(super) fn spoken<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl<T: DeserializeOwned> axum::extract::OptionalFromRequest<App> for Json<T> {
    type Rejection = Problem;

    /// Nothing is said where no body is sent, whatever its media type would be.
    async fn from_request(request: Request, app: &App) -> Result<Option<Self>, Problem> {
        if request.body().size_hint().exact() == Some(0) {
            return Ok(None);
        }
        if request.headers().contains_key(CONTENT_TYPE) {
            <Self as FromRequest<App>>::from_request(request, app).await.map(Some)
        } else {
            let bytes = body(request, app).await?;
            if bytes.is_empty() { Ok(None) } else { Err(unsupported("Send the body as application/json.")) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_readers_say_is_said_in_the_words_of_json() {
        for (message, said) in [
            (
                "invalid type: sequence, expected struct KeyCreate at line 1",
                "invalid type: a list, expected an object at line 1",
            ),
            ("invalid type: map, expected a string at line 1", "invalid type: an object, expected a string at line 1"),
            (
                "invalid type: string \"x\", expected a sequence at line 1",
                "invalid type: string \"x\", expected a list at line 1",
            ),
            ("invalid type: null, expected a map at line 1", "invalid type: null, expected an object at line 1"),
            (
                "invalid type: string \"a sequence, struct Foo\", expected a map",
                "invalid type: string \"a sequence, struct Foo\", expected an object",
            ),
            (
                "invalid type: floating point `1.5`, expected i64",
                "invalid type: floating point `1.5`, expected a whole number",
            ),
            (
                "invalid value: integer `-1`, expected u32",
                "invalid value: integer `-1`, expected a whole number that is not below 0",
            ),
            ("unknown field `structure`, expected `name`", "unknown field `structure`, expected `name`"),
        ] {
            assert_eq!(in_json(message), said);
        }
    }

    #[test]
    fn whole_numbers_are_integers_however_they_are_written() {
        for (json, written) in [
            (r#"{"a":23.0,"b":-1.00}"#, Some(r#"{"a":23,"b":-1}"#)),
            (r#"[1.0]"#, Some("[1]")),
            (r#"{"a":"1.0","b":"\\\"2.0"}"#, None),
            (r#"{"a":1.05,"b":1.0e3,"c":10}"#, None),
            ("1.", None),
            ("", None),
        ] {
            let read = whole_numbers(json.as_bytes()).map(|bytes| String::from_utf8(bytes).unwrap());
            assert_eq!(read.as_deref(), written, "{json}");
        }
    }
}
