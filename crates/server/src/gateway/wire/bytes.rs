//! What a byte may be, and where. Every byte of a head passes one of these once.

/// What a byte is in a field name or a method (RFC 9110 §5.6.2).
pub(super) fn is_token(byte: u8) -> bool {
    TOKEN[usize::from(byte)]
}

const TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0x21;
    while byte < 0x7F {
        table[byte] = matches!(
            byte as u8,
            b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
        ) || (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    table
};

/// How many bytes of the line make up the field name: everything up to the first byte that no name may hold. `_` is
/// a token character, but many servers read it as `-`, so it ends a name here.
pub(super) fn name_len(line: &[u8]) -> usize {
    line.iter().position(|byte| !NAME[usize::from(*byte)]).unwrap_or(line.len())
}

const NAME: [bool; 256] = {
    let mut table = TOKEN;
    table[b'_' as usize] = false;
    table
};

/// Whether a field value holds only visible characters, spaces, tabs and bytes from 0x80 on.
pub(super) fn is_value(value: &[u8]) -> bool {
    let (words, rest) = value.as_chunks::<8>();
    words.iter().all(|word| !may_hold_control(u64::from_le_bytes(*word)) || word.iter().all(is_value_byte))
        && rest.iter().all(is_value_byte)
}

fn is_value_byte(byte: &u8) -> bool {
    matches!(byte, b'\t' | 0x20..=0x7E | 0x80..)
}

/// Eight bytes at a time. It may say yes to a word of sound bytes, never no to one with a control character: those
/// below 0x20 borrow into their highest bit, and DEL becomes 0 when it is turned over.
fn may_hold_control(word: u64) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    let below_space = word.wrapping_sub(ONES * 0x20) & !word;
    let turned = word ^ (ONES * 0x7F);
    let is_delete = turned.wrapping_sub(ONES) & !turned;
    (below_space | is_delete) & HIGHS != 0
}

/// Without the spaces and tabs around it.
pub(super) fn trimmed(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_control_character_is_found_wherever_it_stands() {
        for byte in 0..=255_u8 {
            let sound = byte == b'\t' || (byte >= 0x20 && byte != 0x7F);
            for around in [b'a', b' ', 0x7E, 0x80, 0xFF, b'\t'] {
                for length in 1..20 {
                    for at in 0..length {
                        let mut value = vec![around; length];
                        value[at] = byte;
                        assert_eq!(is_value(&value), sound, "{byte:#x} at {at} of {length}");
                    }
                }
            }
        }
    }
}
