//! How many header fields an API takes, and how many bytes of them, where that is less than the server does.

use http::HeaderMap;
use keystile_core::api::{ApiSettings, MAX_HEADER_BYTES, MAX_HEADER_FIELDS};

/// What a field costs besides its name and its value: over HTTP/1.1 a colon, a space and the end of the line.
const FIELD_BYTES: usize = 4;

/// The bounds of one API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeaderLimits {
    bytes: usize,
    fields: usize,
}

impl HeaderLimits {
    /// Those that an owner set; `None` if none was, and nothing is to be looked at.
    pub fn of(settings: &ApiSettings) -> Option<Self> {
        let (bytes, fields) = (settings.max_header_bytes, settings.max_header_fields);
        (bytes.is_some() || fields.is_some()).then(|| Self {
            bytes: bytes.unwrap_or(MAX_HEADER_BYTES) as usize,
            fields: fields.unwrap_or(MAX_HEADER_FIELDS) as usize,
        })
    }

    /// Whether a call with these fields is within them. The same over HTTP/1.1 and HTTP/2: judged is the list that both
    /// are brought to.
    pub fn allow(&self, headers: &HeaderMap) -> bool {
        let bytes =
            || headers.iter().map(|(name, value)| name.as_str().len() + value.len() + FIELD_BYTES).sum::<usize>();
        headers.len() <= self.fields && bytes() <= self.bytes
    }
}
