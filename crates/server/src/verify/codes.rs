//! Which of all codes are said here, and where. Every code is looked at, so that a new one has to be put somewhere.

use keystile_core::Code;

/// Whether a question about a key can be answered with this code, at status 200.
pub(super) const fn is_of_a_verdict(code: Code) -> bool {
    use Code::*;
    match code {
        Allowed | KeyMalformed | KeyUnknown | KeyRevoked | KeyDisabled | KeyExpired | ApiInactive | NotActivated
        | PermissionMissing | OperationForbidden | NetworkForbidden | OriginForbidden | FormatForbidden
        | TimeForbidden | CountryForbidden | KeyKindForbidden | Suspended | EnvironmentForbidden | AppForbidden
        | PatternForbidden | CertificateMissing | CertificateForbidden | RateLimited | QuotaExhausted
        | CreditsExhausted | Stale | RequestMalformed | MethodNotAllowed | ContentTooLarge | TargetTooLong
        | MediaTypeUnsupported => true,
        // The key is in the question: where it came from, and what becomes of the call, is for those who ask to see.
        KeyMissing | KeyExposed | KeyMisplaced | Unidentified | CredentialsAmbiguous | Overloaded | RouteUnknown
        | OperationUnknown | RequestTimeout | HeadersTooLarge | NotImplemented | TlsRequired | UpstreamUnreachable
        | UpstreamTimeout | UpstreamDown | LoopDetected | ClientGone => false,
    }
}

/// Whether a question about credits can be answered with this code, at status 200.
pub(super) const fn is_of_credits(code: Code) -> bool {
    matches!(code, Code::Allowed | Code::ApiInactive | Code::NotActivated | Code::Suspended | Code::CreditsExhausted)
}

/// Whether a question can be refused with this code: because of HTTP, of the management key of whoever asks, or of the moment.
/// Besides there is `invalid`.
pub(super) const fn is_of_a_refusal(code: Code) -> bool {
    use Code::*;
    match code {
        // What is wrong with the request.
        RequestMalformed | RequestTimeout | ContentTooLarge | TargetTooLong | HeadersTooLarge | NotImplemented
        // The management key.
        | KeyMissing | KeyMalformed | KeyUnknown | KeyRevoked | KeyDisabled | KeyExpired | CredentialsAmbiguous
        | KeyKindForbidden | Suspended | PermissionMissing | OperationForbidden | NetworkForbidden | OriginForbidden
        | AppForbidden | FormatForbidden | TimeForbidden | CountryForbidden | CertificateForbidden | RateLimited
        // The moment.
        | Overloaded | Stale => true,
        // A management key calls no API, and there is none here.
        Allowed | KeyExposed | KeyMisplaced | Unidentified | ApiInactive | NotActivated | EnvironmentForbidden
        | PatternForbidden | CertificateMissing | QuotaExhausted | CreditsExhausted | RouteUnknown | OperationUnknown
        | MethodNotAllowed | MediaTypeUnsupported | TlsRequired | UpstreamUnreachable | UpstreamTimeout | UpstreamDown
        | LoopDetected | ClientGone => false,
    }
}
