//! The request target (G-5, G-11): what the service can bring to its canonical form is passed on, nothing else.
//!
//! The service parses the target again as a [`CanonicalTarget`]; here it is only made sure that hyper takes every
//! target that is passed on, and that the authority of an absolute form says the same as Host.

use keystile_core::Code;
use keystile_core::api::is_host;
use keystile_core::target::{CanonicalTarget, MAX_TARGET_BYTES, TargetError};

/// What is wrong with a target: a fault of it alone.
pub(super) type Fault = (Code, &'static str);

const FORM: Fault = (Code::RequestMalformed, "The request target must begin with /.");
const SCHEME: Fault = (Code::RequestMalformed, "An absolute request target must begin with http:// or https://.");
const AUTHORITY: Fault =
    (Code::RequestMalformed, "The host of an absolute request target must be the one in the Host field.");

/// A target that is not at fault by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// `/path?query`.
    Origin,
    /// `http://authority/path?query`: from here to there in the target stands the authority.
    Absolute { start: usize, end: usize },
}

/// Judges a target without looking at Host.
pub(super) fn judge(target: &[u8]) -> Result<Form, Fault> {
    if target.len() > MAX_TARGET_BYTES {
        return Err(fault(TargetError::TooLong));
    }
    if target.first() == Some(&b'/') {
        return judge_path(target).map(|()| Form::Origin);
    }
    let Some(after_scheme) = memchr::memmem::find(target, b"://").map(|at| at + 3) else {
        return Err(FORM);
    };
    let scheme = &target[..after_scheme - 3];
    if !scheme.eq_ignore_ascii_case(b"http") && !scheme.eq_ignore_ascii_case(b"https") {
        return Err(SCHEME);
    }
    let rest = &target[after_scheme..];
    let authority = memchr::memchr(b'/', rest).unwrap_or(rest.len());
    // With user and password, a query right behind it or anything else odd, it is no authority.
    if !is_authority(&rest[..authority]) {
        return Err(AUTHORITY);
    }
    if authority < rest.len() {
        judge_path(&rest[authority..])?;
    }
    Ok(Form::Absolute { start: after_scheme, end: after_scheme + authority })
}

/// Whether the authority of an absolute form is the one that Host names.
pub(super) fn agrees(authority: &[u8], host: &[u8]) -> Result<(), Fault> {
    if authority.eq_ignore_ascii_case(host) { Ok(()) } else { Err(AUTHORITY) }
}

/// `host` or `host:port`, without user and password.
pub(in crate::gateway) fn is_authority(text: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(text) else { return false };
    let port_from = memchr::memrchr(b']', text.as_bytes()).map_or(0, |bracket| bracket + 1);
    let Some(colon) = memchr::memchr(b':', &text.as_bytes()[port_from..]).map(|colon| port_from + colon) else {
        return is_host(text);
    };
    let port = &text[colon + 1..];
    let is_port = (1..=5).contains(&port.len()) && port.bytes().all(|byte| byte.is_ascii_digit());
    is_port && port.parse::<u16>().is_ok() && is_host(&text[..colon])
}

fn judge_path(target: &[u8]) -> Result<(), Fault> {
    let path = target.iter().position(|byte| PLACE[usize::from(*byte)] != Place::Anywhere).unwrap_or(target.len());
    let sound = match target.get(path) {
        None => true,
        Some(b'?') => target[path..].iter().all(|byte| PLACE[usize::from(*byte)] != Place::Nowhere),
        Some(_) => false,
    };
    if sound {
        return Ok(());
    }
    // The canonical form knows best what is wrong; it refuses every byte that is refused here.
    let reason = std::str::from_utf8(target).ok().and_then(|target| CanonicalTarget::parse(target).err());
    Err(fault(reason.unwrap_or(TargetError::UnsafeByte)))
}

fn fault(error: TargetError) -> Fault {
    let code = if error == TargetError::TooLong { Code::TargetTooLong } else { Code::RequestMalformed };
    (code, error.detail())
}

/// Where in a target a byte may stand.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In the path and in the query.
    Anywhere,
    /// In the query; `?` is where it begins.
    Query,
    /// It must be escaped.
    Nowhere,
}

/// What RFC 3986 allows, and for the query what browsers send besides. `;` has a meaning of its own in a path and is
/// left for the canonical form to refuse.
const PLACE: [Place; 256] = {
    let mut table = [Place::Nowhere; 256];
    let mut byte = 0x21;
    while byte < 0x7F {
        table[byte] = match byte as u8 {
            b'"' | b'#' | b'<' | b'>' => Place::Nowhere,
            b'?' | b'[' | b']' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' => Place::Query,
            _ => Place::Anywhere,
        };
        byte += 1;
    }
    table
};
