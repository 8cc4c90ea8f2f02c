//! What is done to the bytes of a case: single bytes and whole lines are put in, taken out, doubled, swapped, split and
//! joined, lengths and chunks are changed.

use super::chance::Chance;
use super::reader::find;

/// Bytes that some parser somewhere skips, cuts at, trims or counts by.
const BYTES: &[u8] = b"\r\n \t:;,0\0\x0b\x0c\x08\x1b\x7f\x80\x85\xa0\xff/\\.%?#@=\"'(){}+-_19aAfx";

/// Pieces that change how what follows is read.
const PIECES: &[&str] = &[
    "\r\n",
    "\n",
    "\r",
    "\r\n ",
    "\r\n\t",
    "\r\n\r\n",
    " ",
    "\t",
    "\r\nContent-Length: 5",
    "\r\nContent-Length: 0",
    "\r\nTransfer-Encoding: chunked",
    "\r\nTransfer-Encoding:\x0bchunked",
    "\r\nTransfer_Encoding: chunked",
    "\r\nHost: other.test",
    "\r\nX-Consumer-Id: forged",
    "\r\nConnection: close",
    "\r\nExpect: 100-continue",
    "\r\n0\r\n\r\n",
    "GET /closed/secret HTTP/1.1\r\n",
    " HTTP/1.1",
    " HTTP/1.1\r\nX: ",
    "%2e%2e/",
    "/../",
    "/./",
    "//",
    "%2f",
    "%00",
    "%0d%0a",
    ", chunked",
    ";q=1",
    "chunked",
];

/// Changes the bytes a little, or not at all.
pub(super) fn mutate(chance: &mut Chance, bytes: &mut Vec<u8>) {
    let changes = match chance.below(10) {
        0..=3 => 0,
        4..=7 => 1,
        8 => 2,
        _ => 3 + chance.below(3),
    };
    for _ in 0..changes {
        if !bytes.is_empty() {
            change(chance, bytes);
        }
    }
}

fn change(chance: &mut Chance, bytes: &mut Vec<u8>) {
    let at = place(chance, bytes);
    let byte = BYTES[chance.below(BYTES.len())];
    match chance.below(20) {
        0..=2 => bytes.insert(at, byte),
        3..=4 => bytes[at] = byte,
        5..=6 => {
            bytes.remove(at);
        }
        7 => bytes[at] ^= 1 << chance.below(8),
        8 => {
            bytes.drain(piece(chance, bytes, at));
        }
        9 => {
            let copy = bytes[piece(chance, bytes, at)].to_vec();
            let to = chance.below(bytes.len());
            bytes.splice(to..to, copy);
        }
        10..=12 => {
            let added = chance.pick(PIECES);
            bytes.splice(at..at, added.bytes());
        }
        13..=15 => lines(chance, bytes),
        16 => join(chance, bytes),
        17 => number(chance, bytes),
        18 => case(chance, bytes, at),
        _ => rechunk(chance, bytes),
    }
}

/// Anywhere, and half of the time where a line or a word begins or ends.
fn place(chance: &mut Chance, bytes: &[u8]) -> usize {
    let at = chance.below(bytes.len());
    if chance.one_in(2) {
        return at;
    }
    let next = bytes[at..].iter().position(|byte| b"\r\n:,; ".contains(byte)).map_or(at, |offset| at + offset);
    (next + chance.below(2)).min(bytes.len() - 1)
}

/// A short piece from here on.
fn piece(chance: &mut Chance, bytes: &[u8], at: usize) -> std::ops::Range<usize> {
    at..(at + 1 + chance.below(24)).min(bytes.len())
}

/// Doubles, swaps, takes out, or moves lines.
fn lines(chance: &mut Chance, bytes: &mut Vec<u8>) {
    let mut lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
    let (one, other) = (chance.below(lines.len()), chance.below(lines.len()));
    match chance.below(4) {
        0 => lines.insert(other, lines[one]),
        1 => lines.swap(one, other),
        2 => {
            lines.remove(one);
        }
        _ => {
            let line = lines.remove(one);
            lines.insert(other.min(lines.len()), line);
        }
    }
    *bytes = lines.concat();
}

/// Makes one line of two, or leaves one half of what ends a line.
fn join(chance: &mut Chance, bytes: &mut Vec<u8>) {
    let ends: Vec<usize> =
        bytes.windows(2).enumerate().filter(|(_, pair)| *pair == b"\r\n").map(|(at, _)| at).collect();
    let Some(at) = ends.get(chance.below(ends.len())).copied() else { return };
    match chance.below(3) {
        0 => drop(bytes.drain(at..at + 2)),
        1 => drop(bytes.remove(at)),
        _ => drop(bytes.remove(at + 1)),
    }
}

/// Makes a number another one: lengths, sizes, versions.
fn number(chance: &mut Chance, bytes: &mut [u8]) {
    let digits: Vec<usize> = bytes.iter().enumerate().filter(|(_, b)| b.is_ascii_digit()).map(|(at, _)| at).collect();
    if let Some(at) = digits.get(chance.below(digits.len())) {
        bytes[*at] = b'0' + chance.below(10) as u8;
    }
}

/// Changes the case of the word here.
fn case(chance: &mut Chance, bytes: &mut [u8], at: usize) {
    for byte in bytes[at..].iter_mut().take_while(|byte| byte.is_ascii_alphabetic() || **byte == b'-') {
        if chance.one_in(2) {
            *byte ^= if byte.is_ascii_alphabetic() { 0x20 } else { 0 };
        }
    }
}

/// Sends what follows a head in chunks, whatever the head says of it.
fn rechunk(chance: &mut Chance, bytes: &mut Vec<u8>) {
    let Some(start) = find(bytes, b"\r\n\r\n").map(|at| at + 4) else { return };
    let rest = bytes.split_off(start);
    for chunk in rest.chunks(1 + chance.below(60)) {
        // Sometimes a size that is not the chunk's.
        let size = if chance.one_in(8) { chunk.len() + chance.below(3) } else { chunk.len() };
        bytes.extend_from_slice(format!("{size:x}\r\n").as_bytes());
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_change_is_too_much_for_few_bytes() {
        for case in 0..20_000 {
            let mut chance = Chance::of_case(3, case);
            let mut bytes = [&b""[..], b"\n", b"\r\n", b"a", b"a\r\n\r\nb", b"1"][chance.below(6)].to_vec();
            mutate(&mut chance, &mut bytes);
        }
    }
}
