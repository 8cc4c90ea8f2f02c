//! The headers of a call as the upstream gets them: built anew, never edited (G-7, G-8). First everything is left out
//! that a client may not say, then the gateway adds what it knows; so nothing that the gateway adds can be removed,
//! doubled or forged by the client.

use http::header::{CACHE_CONTROL, CONNECTION, Entry, HOST, VARY};
use http::{HeaderMap, HeaderName, HeaderValue, Response, Version};

use super::credential::bearer;
use crate::enforce::snapshot::KeyPlace;

/// The project's id.
pub const X_CONSUMER_ID: HeaderName = HeaderName::from_static("x-consumer-id");
/// Where the project and its keys live: `live` or `test`.
pub const X_CONSUMER_ENVIRONMENT: HeaderName = HeaderName::from_static("x-consumer-environment");
/// The project's name.
pub const X_CONSUMER_USERNAME: HeaderName = HeaderName::from_static("x-consumer-username");
/// The key's id.
pub const X_CREDENTIAL_IDENTIFIER: HeaderName = HeaderName::from_static("x-credential-identifier");
/// The call's id.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The caller's address.
pub const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// The scheme of the call.
pub const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// The host of the call.
pub const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// The upstream's `Host`, then what may go on of a client's headers. `room` is how many the caller will add.
pub fn forwarded(client: &HeaderMap, places: &[KeyPlace], host: HeaderValue, room: usize) -> HeaderMap {
    let options = connection_options(client);
    let mut headers = HeaderMap::with_capacity(client.len() + room);
    headers.insert(HOST, host);
    let is_key = |name: &HeaderName| {
        places.iter().any(|place| match place {
            KeyPlace::Bearer | KeyPlace::Query(_) => false,
            KeyPlace::Header(own) => own == name,
        })
    };
    let drops_bearer = places.contains(&KeyPlace::Bearer);
    for (name, value) in client {
        let text = name.as_str();
        if ends_here(text)
            || options.iter().any(|option| option.eq_ignore_ascii_case(text))
            || is_key(name)
            || (drops_bearer && text == "authorization" && bearer(value.as_bytes()).is_some())
        {
            continue;
        }
        headers.append(name.clone(), value.clone());
    }
    headers
}

/// Fields of a client that go no further, whatever they say.
pub(super) fn ends_here(name: &str) -> bool {
    is_of_one_hop(name) || matches!(name, "host" | "content-length") || is_ours_to_say(name)
}

/// Takes off an upstream's answer, in place, what is of one hop and what is not its to say: nothing of ours is in it yet.
/// What is private is told to no network of caches either (RFC 9213): they believe that before Cache-Control.
pub fn strip_answer(headers: &mut HeaderMap, is_private: bool) {
    let options: Vec<HeaderName> =
        connection_options(headers).iter().filter_map(|option| option.parse().ok()).collect();
    for name in options {
        headers.remove(name);
    }
    let is_taken = |name: &str| is_of_one_hop(name) || is_of_the_callers(name) || (is_private && is_for_networks(name));
    let stripped: Vec<HeaderName> = headers.keys().filter(|name| is_taken(name.as_str())).cloned().collect();
    for name in stripped {
        headers.remove(name);
    }
}

/// What delivery networks go by.
fn is_for_networks(name: &str) -> bool {
    name.ends_with("cdn-cache-control") || name == "surrogate-control"
}

/// Whether the connection on which an answer came ends with it, as its head says (RFC 9112 §9.3).
pub(super) fn is_last<B>(answer: &Response<B>) -> bool {
    let fields = || answer.headers().get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let says =
        |option: &str| fields().flat_map(|text| text.split(',')).any(|said| said.trim().eq_ignore_ascii_case(option));
    says("close") || (answer.version() < Version::HTTP_11 && !says("keep-alive"))
}

/// What the gateway tells upstreams of their callers; an answer that says it again says nothing that is ours (G-20).
fn is_of_the_callers(name: &str) -> bool {
    name.strip_prefix("x-").is_some_and(|rest| {
        rest.starts_with("consumer") || rest.starts_with("credential") || rest.starts_with("keystile")
    })
}

/// Keeps caches from giving an answer to others than its caller (RFC 9111 §5.2.2.7): what it says of shared caches is
/// left out, and what it depends on is named. What speaks to networks of caches was stripped before.
pub(super) fn keep_private(headers: &mut HeaderMap, vary: &HeaderValue) {
    const PRIVATE: HeaderValue = HeaderValue::from_static("private");
    if !vary.is_empty() {
        headers.append(VARY, vary.clone());
    }
    let first = match headers.entry(CACHE_CONTROL) {
        Entry::Occupied(said) => said.into_mut(),
        Entry::Vacant(place) => {
            place.insert(PRIVATE);
            return;
        }
    };
    // Usual, and private enough.
    if matches!(first.as_bytes(), b"no-store" | b"private" | b"no-cache, no-store")
        && headers.get_all(CACHE_CONTROL).iter().nth(1).is_none()
    {
        return;
    }
    let mut kept = vec!["private".to_owned()];
    for value in headers.get_all(CACHE_CONTROL) {
        let directives = value.to_str().unwrap_or_default().split(',').map(str::trim);
        let is_kept = |directive: &&str| {
            let name = directive.split('=').next().unwrap_or_default().trim().to_ascii_lowercase();
            !matches!(&*name, "" | "public" | "private" | "s-maxage" | "proxy-revalidate")
        };
        kept.extend(directives.filter(is_kept).map(str::to_owned));
    }
    headers.insert(CACHE_CONTROL, HeaderValue::try_from(kept.join(", ")).unwrap_or(PRIVATE));
}

/// Takes off an answer's trailers what is of one hop, or the gateway's to say.
pub(super) fn strip_trailers(trailers: &mut HeaderMap) {
    let is_taken = |name: &str| is_of_one_hop(name) || is_ours_to_say(name) || belongs_into_the_head(name);
    let taken: Vec<HeaderName> = trailers.keys().filter(|name| is_taken(name.as_str())).cloned().collect();
    for name in taken {
        trailers.remove(name);
    }
}

/// Fields that must stand in the head (RFC 9110 §6.5.1).
fn belongs_into_the_head(name: &str) -> bool {
    matches!(name, "content-length" | "host" | "content-type" | "content-encoding" | "set-cookie" | "authorization")
}

/// The fields that a client's `Connection` names, which end here.
fn connection_options(headers: &HeaderMap) -> Vec<&str> {
    // Nothing is allocated for the usual `keep-alive` and `close`.
    let mut options = Vec::new();
    for value in headers.get_all(CONNECTION) {
        if matches!(value.as_bytes(), b"keep-alive" | b"close") {
            continue;
        }
        for option in value.to_str().unwrap_or_default().split(',').map(str::trim) {
            let of_the_connection = option.eq_ignore_ascii_case("keep-alive") || option.eq_ignore_ascii_case("close");
            if !of_the_connection && !option.is_empty() {
                options.push(option);
            }
        }
    }
    options
}

/// Fields between two neighbours only (RFC 9110 §7.6.1), and those that would speak to the upstream's own edge.
fn is_of_one_hop(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "keep-alive"
            | "proxy-connection"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
            | "http2-settings"
            | "expect"
    )
}

/// Fields that only the gateway says (G-8, G-10), and those that would make the upstream see another request than
/// the one that was judged (G-11, G-12).
fn is_ours_to_say(name: &str) -> bool {
    // Delivery networks call the client's address so,
    if matches!(name, "forwarded" | "via" | "true-client-ip" | "cf-connecting-ip" | "fastly-client-ip") {
        return true;
    }
    // and what ends mutual TLS the client's certificate (RFC 9440).
    if name.starts_with("client-cert") || name.starts_with("ssl-client") {
        return true;
    }
    let Some(rest) = name.strip_prefix("x-") else { return false };
    rest.starts_with("consumer")
        || rest.starts_with("credential")
        || rest.starts_with("authenticated")
        || rest.starts_with("forwarded")
        || rest.starts_with("client-cert")
        || rest.starts_with("ssl-client")
        || rest.starts_with("keystile")
            // The replay's wish to the built-in echo upstream; no other upstream knows it.
            && rest != "keystile-echo-status"
        || matches!(
            rest,
            "anonymous-consumer"
                | "request-id"
                | "real-ip"
                | "client-ip"
                | "cluster-client-ip"
                | "http-method"
                | "http-method-override"
                | "method-override"
                | "original-url"
                | "original-uri"
                | "rewrite-url"
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forward(list: &[(&'static str, &'static str)]) -> Vec<String> {
        let mut client = HeaderMap::new();
        for (name, value) in list {
            client.append(*name, HeaderValue::from_static(value));
        }
        let places = [KeyPlace::Bearer, KeyPlace::Header("x-api-key".parse().unwrap())];
        let headers = forwarded(&client, &places, HeaderValue::from_static("up"), 0);
        let texts = headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()));
        texts.skip(1).collect()
    }

    #[test]
    fn what_is_the_clients_goes_on() {
        let kept = [("accept", "*/*"), ("cookie", "a=b"), ("x-custom", "1"), ("x-custom", "2"), ("user-agent", "curl")];
        let texts: Vec<String> = kept.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        assert_eq!(forward(&kept), texts);
    }

    #[test]
    fn g07_what_connection_names_ends_here() {
        assert_eq!(
            forward(&[
                ("connection", "close, X-Gone"),
                ("x-gone", "1"),
                ("keep-alive", "5"),
                ("te", "trailers"),
                ("x-kept", "1")
            ]),
            ["x-kept: 1"]
        );
    }

    #[test]
    fn g20_an_answer_for_one_caller_is_kept_for_no_other() {
        for (said, kept) in [
            (&[][..], "private"),
            (&["no-store"], "no-store"),
            (&["private"], "private"),
            (&["public, max-age=60"], "private, max-age=60"),
            (&["s-maxage=9", "max-age=60"], "private, max-age=60"),
            (&["Public", "no-store"], "private, no-store"),
            (&["private=\"a\", max-age=1"], "private, max-age=1"),
        ] {
            let mut headers = HeaderMap::new();
            said.iter().for_each(|value| {
                headers.append(CACHE_CONTROL, HeaderValue::from_static(value));
            });
            headers.insert(VARY, HeaderValue::from_static("accept"));
            for name in ["cdn-cache-control", "cloudflare-cdn-cache-control", "surrogate-control"] {
                headers.insert(name, HeaderValue::from_static("max-age=600"));
            }
            strip_answer(&mut headers, true);
            keep_private(&mut headers, &HeaderValue::from_static("authorization"));
            assert_eq!(headers.get_all(CACHE_CONTROL).iter().collect::<Vec<_>>(), [kept], "{said:?}");
            assert_eq!(headers.get_all(VARY).iter().collect::<Vec<_>>(), ["accept", "authorization"]);
            assert_eq!(headers.keys_len(), 2, "{headers:?}");
        }
    }

    #[test]
    fn g08_nobody_else_says_who_calls() {
        for name in [
            "x-consumer-id",
            "x-consumer-username",
            "x-consumer-environment",
            "x-consumer",
            "x-consumer-custom-id",
            "x-credential-identifier",
            "x-request-id",
            "x-authenticated-scope",
            "x-anonymous-consumer",
            "x-forwarded-for",
            "x-forwarded-host",
            "x-forwarded-anything",
            "forwarded",
            "x-real-ip",
            "x-client-ip",
            "via",
        ] {
            assert_eq!(forward(&[(name, "forged")]), [] as [String; 0], "{name}");
        }
    }

    #[test]
    fn g12_no_header_changes_the_method_or_the_target() {
        for name in ["x-http-method-override", "x-http-method", "x-method-override", "x-original-url", "x-rewrite-url"]
        {
            assert_eq!(forward(&[(name, "DELETE")]), [] as [String; 0], "{name}");
        }
    }

    #[test]
    fn k36_the_key_ends_here_and_other_credentials_go_on() {
        assert_eq!(forward(&[("authorization", "Bearer abc"), ("x-api-key", "abc")]), [] as [String; 0]);
        assert_eq!(forward(&[("authorization", "Basic abc")]), ["authorization: Basic abc"]);
    }
}
