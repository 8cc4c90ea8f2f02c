//! Base62 in the order `0-9A-Za-z`: the alphabet of ids and key texts, so that a double click selects the whole of them.

/// The 62 digits in order of value.
pub(crate) const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Writes `value` into the whole of `into`, most significant digit first, and returns it as text.
pub(crate) fn encode_u128(mut value: u128, into: &mut [u8]) -> &str {
    // Ten digits at a time: dividing 128 bits is slow, and ids are written on every call.
    const TEN_DIGITS: u128 = 62u128.pow(10);
    for group in into.rchunks_mut(10) {
        let mut part = (value % TEN_DIGITS) as u64;
        value /= TEN_DIGITS;
        for slot in group.iter_mut().rev() {
            *slot = DIGITS[(part % 62) as usize];
            part /= 62;
        }
    }
    std::str::from_utf8(into).expect("base62 digits are ASCII")
}

/// The six digits of a checksum; 62^6 is above 2^32. Apart from the wide form because it runs on every call.
pub(crate) fn encode_u32(mut value: u32) -> [u8; 6] {
    let mut digits = [0; 6];
    for slot in digits.iter_mut().rev() {
        *slot = DIGITS[(value % 62) as usize];
        value /= 62;
    }
    digits
}

/// Reads digits back; `None` if one is no base62 digit or the value passes 2^128.
pub(crate) fn decode_u128(text: &str) -> Option<u128> {
    text.bytes().try_fold(0u128, |value, byte| {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'A'..=b'Z' => byte - b'A' + 10,
            b'a'..=b'z' => byte - b'a' + 36,
            _ => return None,
        };
        value.checked_mul(62)?.checked_add(u128::from(digit))
    })
}
