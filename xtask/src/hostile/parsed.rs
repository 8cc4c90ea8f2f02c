//! What an upstream says that it parsed: the field `X-Parsed` of its answer, hexadecimal parts with dots between.

use super::reader::Message;

/// The name of the field.
pub(super) const FIELD: &str = "x-parsed";

/// A request as an upstream parsed it.
#[derive(Debug)]
pub(super) struct Parsed {
    /// Which request of its connection it was, from 1.
    pub nth: usize,
    /// The request.
    pub message: Message,
    /// The path by which it routes.
    pub routed: Vec<u8>,
}

impl Parsed {
    /// Reads the field; `None` if an upstream wrote something else.
    pub(super) fn read(text: &[u8]) -> Option<Self> {
        let mut parts = std::str::from_utf8(text).ok()?.split('.');
        let nth = parts.next()?.parse().ok()?;
        let mut next = || unhex(parts.next()?);
        let (method, target, routed, body) = (next()?, next()?, next()?, next()?);
        let field = |part: &str| {
            let (name, value) = part.split_once('=')?;
            Some((unhex(name)?, unhex(value)?))
        };
        let fields = parts.map(field).collect::<Option<_>>()?;
        Some(Self { nth, message: Message { method, target, fields, body }, routed })
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    pairs.iter().map(|[high, low]| Some((digit(*high)? * 16 + digit(*low)?) as u8)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_field_is_read_and_nothing_else() {
        let parsed = Parsed::read(b"2.474554.2f3f61.2f..486f7374=68.58=").expect("sound");
        assert_eq!((parsed.nth, &parsed.message.target[..], &parsed.routed[..]), (2, &b"/?a"[..], &b"/"[..]));
        assert_eq!(parsed.message.fields, [(b"Host".to_vec(), b"h".to_vec()), (b"X".to_vec(), Vec::new())]);
        for other in ["", "1", "1.4.2f.2f.", "1.47.2f.2f..58", "x.47.2f.2f."] {
            assert!(Parsed::read(other.as_bytes()).is_none(), "{other}");
        }
    }
}
