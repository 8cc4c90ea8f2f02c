//! The one list of answers: every decision, log line, metric and document uses these codes.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $text:literal, $status:literal, $title:literal, $detail:literal;)*) => {
        /// The outcome of a call. The numbers are kept in stored usage and never change their meaning.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[repr(u8)]
        pub enum Code {
            $($(#[$doc])* #[serde(rename = $text)] $name = $number,)*
        }

        impl Code {
            /// Every code, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The code as it is written everywhere.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The HTTP status that the gateway answers with.
            pub const fn status(self) -> u16 {
                match self { $(Self::$name => $status,)* }
            }

            /// A short name of the kind of problem.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }

            /// One sentence that says what to do. It holds nothing of the call.
            pub const fn detail(self) -> &'static str {
                match self { $(Self::$name => $detail,)* }
            }

            /// Reads the number of a stored event; `None` for one that this version does not know.
            pub const fn from_number(number: u8) -> Option<Self> {
                match number { $($number => Some(Self::$name),)* _ => None }
            }
        }
    };
}

codes! {
    /// Let through.
    Allowed = 0, "allowed", 200, "Allowed", "The call was let through.";

    /// No key where the API looks for one.
    KeyMissing = 1, "key_missing", 401, "A key is needed", "Send your key in the Authorization header as `Bearer KEY`, or where this API's documentation says.";
    /// Not the shape of a key, or a wrong checksum.
    KeyMalformed = 2, "key_malformed", 401, "This is not a key", "The text sent as key can't be one; check that all of it was copied.";
    /// No such key.
    KeyUnknown = 3, "key_unknown", 401, "Unknown key", "No such key is known here; check that it belongs to this API.";
    /// Ended for good.
    KeyRevoked = 4, "key_revoked", 401, "Key revoked", "This key was revoked; use another key of the project or create one.";
    /// Switched off.
    KeyDisabled = 5, "key_disabled", 401, "Key disabled", "This key is switched off; ask its owner to enable it.";
    /// Past its end.
    KeyExpired = 6, "key_expired", 401, "Key expired", "This key, or the version of it that was sent, has ended; use its latest version or create a new key.";
    /// Sent where others could read it.
    KeyExposed = 7, "key_exposed", 400, "Key exposed", "A key in the query string ends up in logs; send it in a header, and replace this key.";
    /// In a cookie or in a field in which its API does not look for keys.
    KeyMisplaced = 9, "key_misplaced", 400, "A key where none belongs", "A key stands in a cookie, or in a header field in which this API does not look for keys; send it in the Authorization header as `Bearer KEY`, or where this API's documentation says.";
    /// Neither a key nor an operation that is open.
    Unidentified = 8, "unidentified", 401, "Not identified", "This call could not be attributed to anybody; send a key.";

    /// The API is switched off.
    ApiInactive = 20, "api_inactive", 403, "API not active", "This API is switched off at the moment; ask its owner.";
    /// The project has no approved activation.
    NotActivated = 21, "not_activated", 403, "API not activated for this project", "The key is good, but its project has no access to this API; request an activation.";
    /// A needed permission is not granted.
    PermissionMissing = 22, "permission_missing", 403, "Permission missing", "The key, or its project at this API, lacks a permission that this operation needs; ask for it.";
    /// The method or path is not among those the key may call.
    OperationForbidden = 23, "operation_forbidden", 403, "Operation not allowed for this key", "The key may not call this method or path; use one that its restrictions allow.";
    /// The address is not among those the key may be used from.
    NetworkForbidden = 24, "network_forbidden", 403, "Network not allowed for this key", "The key may not be used from this address; call from an allowed network.";
    /// The origin or referrer is not allowed.
    OriginForbidden = 25, "origin_forbidden", 403, "Origin not allowed for this key", "The key may not be used from this origin or page, or the call does not say from which it comes; call from one that its restrictions allow.";
    /// The content type is not allowed.
    FormatForbidden = 26, "format_forbidden", 403, "Format not allowed for this key", "The key may not send this content type, or not receive the one that would be the answer; use one that its restrictions allow.";
    /// Outside the hours of the key.
    TimeForbidden = 27, "time_forbidden", 403, "Not at this time", "The key may not be used at this time; call in the hours that its restrictions allow.";
    /// The country is not allowed.
    CountryForbidden = 28, "country_forbidden", 403, "Country not allowed for this key", "The key may not be used from this country, or it is not known from which the call comes; call from one that its restrictions allow.";
    /// A key of this kind does not open this.
    KeyKindForbidden = 29, "key_kind_forbidden", 403, "Wrong kind of key", "A key of this kind can't be used here: secret keys call APIs, publishable keys call the operations that an API opens to them, management keys call the management API.";
    /// The activation is suspended, or the project as a whole.
    Suspended = 30, "suspended", 403, "Access suspended", "The project, or its access to this API, is suspended; ask the API's owner.";
    /// The API does not take keys of this environment.
    EnvironmentForbidden = 35, "environment_forbidden", 403, "Wrong environment", "This API does not take keys of this environment (live or test); use a key of a project of the other one.";
    /// The app is not among those that may use the key.
    AppForbidden = 36, "app_forbidden", 403, "App not allowed for this key", "The key may not be used by this app, or the call does not say which app makes it; call from one that its restrictions allow.";
    /// A pattern of the key or of its project does not let the call pass.
    PatternForbidden = 37, "pattern_forbidden", 403, "Call not allowed for this key", "A rule for calls of this kind does not let the key make this one; ask the owner of the key what it may do, where and when.";

    /// The API wants a client certificate and there was none.
    CertificateMissing = 31, "certificate_missing", 403, "A client certificate is needed", "This API is called with a client certificate (mutual TLS); configure your client with the one that its owner accepts.";
    /// The certificate is not among those the key is bound to.
    CertificateForbidden = 32, "certificate_forbidden", 403, "Certificate not allowed for this key", "The key is bound to a client certificate; call with that certificate over TLS.";

    /// Over a rate limit.
    RateLimited = 40, "rate_limited", 429, "Too many requests", "Wait as long as Retry-After says, then try again.";
    /// Over a quota.
    QuotaExhausted = 41, "quota_exhausted", 429, "Quota exhausted", "The quota of this period is used up; wait for the next or ask for more.";
    /// No credits left.
    CreditsExhausted = 42, "credits_exhausted", 402, "Credits exhausted", "The prepaid credits are used up; add credits to go on.";

    /// Too busy.
    Overloaded = 50, "overloaded", 503, "Too busy", "The gateway is at its limit; try again in a moment.";
    /// Too long without news.
    Stale = 51, "stale", 503, "Not up to date", "The gateway has not heard of changes for too long to answer safely; try again in a moment.";

    /// The request breaks HTTP or can't be brought to a canonical form.
    RequestMalformed = 60, "request_malformed", 400, "Malformed request", "The request is not sound HTTP/1.1; send it through an ordinary HTTP client.";
    /// More than one credential.
    CredentialsAmbiguous = 61, "credentials_ambiguous", 400, "More than one credential", "Send exactly one key, in one place.";
    /// No API answers to this host and path.
    RouteUnknown = 62, "route_unknown", 404, "No API here", "No API is published under this host and path; check the address.";
    /// The API's document has no such operation, and its owner lets none of these through.
    OperationUnknown = 76, "operation_unknown", 404, "No such operation", "This API has no operation with this method and path; see its documentation.";
    /// A method that no API takes.
    MethodNotAllowed = 63, "method_not_allowed", 405, "Method not allowed", "Use one of GET, HEAD, POST, PUT, PATCH, DELETE and OPTIONS.";
    /// The client was too slow.
    RequestTimeout = 64, "request_timeout", 408, "Request took too long", "The request did not arrive in time; send it again without pauses.";
    /// The body is too large.
    ContentTooLarge = 65, "content_too_large", 413, "Body too large", "The request body is larger than this API or this key accepts; send less.";
    /// The target is too long.
    TargetTooLong = 66, "target_too_long", 414, "Address too long", "The request target is longer than 8 KiB; send the data in the body.";
    /// The header block is too large.
    HeadersTooLarge = 67, "headers_too_large", 431, "Headers too large", "Send at most 100 header fields and 32 KiB of them.";
    /// The API does not take the content type.
    MediaTypeUnsupported = 75, "media_type_unsupported", 415, "Content type not taken", "This API does not take a body of this content type; send one that the Accept header of this answer names.";
    /// Something of HTTP that the gateway does not do.
    NotImplemented = 68, "not_implemented", 501, "Not implemented", "Send the body with Content-Length or as plain chunked, without other transfer codings.";
    /// The API is for encrypted calls alone.
    TlsRequired = 69, "tls_required", 403, "TLS is required", "This API is called over https alone; use its https address.";
    /// The upstream could not be reached or broke off.
    UpstreamUnreachable = 70, "upstream_unreachable", 502, "Upstream unreachable", "The API behind the gateway could not be reached, or gave no answer that can be passed on; try again in a moment.";
    /// The upstream did not answer in time.
    UpstreamTimeout = 71, "upstream_timeout", 504, "Upstream too slow", "The API behind the gateway did not answer in time; try again in a moment.";
    /// It failed so often that it gets no calls for a while.
    UpstreamDown = 74, "upstream_down", 503, "Upstream down", "The API behind the gateway has failed several times in a row and is given a rest; try again as soon as Retry-After says.";
    /// The call came back to the gateway that had sent it on.
    LoopDetected = 73, "loop_detected", 508, "The call goes round in a circle", "This call came back to the gateway that had sent it on; its API's upstream must be the API, not this gateway.";
    /// The client left before it had the whole answer.
    ClientGone = 72, "client_gone", 499, "Client went away", "The client closed the connection before the answer was complete.";
}

impl Code {
    /// Whether the call was let through.
    pub const fn is_allowed(self) -> bool {
        matches!(self, Self::Allowed)
    }

    /// Whether the call was turned away, in contrast to one that was let through and came to nothing further on.
    pub const fn is_refusal(self) -> bool {
        use Code::{Allowed, ClientGone, UpstreamDown, UpstreamTimeout, UpstreamUnreachable};
        !matches!(self, Allowed | UpstreamUnreachable | UpstreamTimeout | UpstreamDown | ClientGone)
    }

    /// Whether an answer with this code should tell how to authenticate (RFC 9110 §11.6.1).
    pub const fn wants_challenge(self) -> bool {
        self.status() == 401
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_survives_its_number_and_says_what_to_do() {
        for code in Code::ALL {
            assert_eq!(Code::from_number(*code as u8), Some(*code));
            assert!(code.detail().ends_with('.'), "{code}");
            assert!((200..=599).contains(&code.status()), "{code}");
        }
        assert_eq!(Code::from_number(255), None);
    }
}
