//! The fields that decide how a message is read or who may remove what (G-1, G-2, G-5, G-7): one value, one spelling.

use keystile_core::Code;

use super::Refused;
use super::bytes::{is_token, trimmed};

/// The largest length of a body: as for chunks, no sum of lengths runs over.
const MAX_LENGTH: u64 = 1 << 62;

/// Transfer codings that exist and that we do not do.
const OTHER_CODINGS: [&[u8]; 6] = [b"gzip", b"x-gzip", b"deflate", b"compress", b"x-compress", b"identity"];

/// Fields that no client may have removed by naming them in Connection: what the gateway sets, judges or relies on.
const KEPT: [&[u8]; 13] = [
    b"authorization",
    b"cache-control",
    b"content-length",
    b"content-type",
    b"cookie",
    b"forwarded",
    b"host",
    b"transfer-encoding",
    b"via",
    b"x-api-key",
    b"x-credential-identifier",
    b"x-real-ip",
    b"x-request-id",
];
const KEPT_FAMILIES: [&[u8]; 2] = [b"x-forwarded-", b"x-consumer-"];

/// The value of Content-Length. No sign, no list, no space behind it.
pub(super) fn content_length(value: &[u8]) -> Result<u64, Refused> {
    const WRONG: Refused = Refused::malformed("Content-Length must be one plain number.");
    let digits = without_leading_spaces(value);
    // Nineteen digits always fit.
    if digits.is_empty() || digits.len() > 19 || !digits.iter().all(u8::is_ascii_digit) {
        return Err(WRONG);
    }
    let length = digits.iter().fold(0, |length, digit| length * 10 + u64::from(digit - b'0'));
    if length > MAX_LENGTH { Err(WRONG) } else { Ok(length) }
}

/// The value of Transfer-Encoding must be exactly `chunked`.
pub(super) fn transfer_encoding(value: &[u8]) -> Result<(), Refused> {
    let value = without_leading_spaces(value);
    if value.eq_ignore_ascii_case(b"chunked") {
        return Ok(());
    }
    let is_known = |coding: &[u8]| {
        coding.eq_ignore_ascii_case(b"chunked") || OTHER_CODINGS.iter().any(|known| coding.eq_ignore_ascii_case(known))
    };
    // A list of known codings is sound HTTP that we do not do; anything else is an attempt to be misread.
    let codings = || value.split(|byte| *byte == b',').map(without_leading_spaces);
    let chunked = codings().filter(|coding| coding.eq_ignore_ascii_case(b"chunked")).count();
    if codings().all(is_known) && chunked <= 1 {
        return Err(Refused::message(Code::NotImplemented));
    }
    Err(Refused::malformed("Transfer-Encoding must be exactly chunked."))
}

/// The value of Expect: there is only one that means something.
pub(super) fn expect(value: &[u8]) -> Result<(), Refused> {
    if trimmed(value).eq_ignore_ascii_case(b"100-continue") {
        return Ok(());
    }
    Err(Refused::malformed("Expect must be 100-continue."))
}

/// The value of Connection: a list of names, none of which the gateway needs.
pub(super) fn connection(value: &[u8]) -> Result<(), Refused> {
    let value = trimmed(value);
    // What nearly everybody sends.
    if value.eq_ignore_ascii_case(b"keep-alive") || value.eq_ignore_ascii_case(b"close") {
        return Ok(());
    }
    for option in value.split(|byte| *byte == b',').map(trimmed) {
        if !option.iter().copied().all(is_token) {
            return Err(Refused::malformed("Connection must be a list of names."));
        }
        if is_kept(option) {
            return Err(Refused::malformed("Connection names a field that must reach the API; remove it there."));
        }
    }
    Ok(())
}

fn is_kept(option: &[u8]) -> bool {
    KEPT.iter().any(|name| is_name(option, name))
        || KEPT_FAMILIES.iter().any(|family| option.get(..family.len()).is_some_and(|start| is_name(start, family)))
}

/// Whether an option names this field, `_` read as `-` as some servers do.
fn is_name(option: &[u8], name: &[u8]) -> bool {
    let alike = |(a, b): (&u8, &u8)| a.eq_ignore_ascii_case(b) || (*a == b'_' && *b == b'-');
    option.len() == name.len() && option.iter().zip(name).all(alike)
}

fn without_leading_spaces(mut value: &[u8]) -> &[u8] {
    while let [b' ', rest @ ..] = value {
        value = rest;
    }
    value
}
