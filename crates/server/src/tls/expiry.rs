//! When a certificate begins and ends (RFC 5280 §4.1.2.5). What verifies certificates does not say it, so its place in
//! the DER is walked to: the two times of the fifth or sixth thing in what is signed.

use keystile_core::time::Timestamp;

const SEQUENCE: u8 = 0x30;
/// `[0] EXPLICIT`, in which the version stands unless it is the first.
const VERSION: u8 = 0xA0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// The last second of a certificate, since 1970; `None` if it can't be read.
pub(super) fn not_after(certificate: &[u8]) -> Option<i64> {
    validity(certificate).map(|(_, end)| end)
}

/// The first and the last second of a certificate, since 1970; `None` if they can't be read.
pub(super) fn validity(certificate: &[u8]) -> Option<(i64, i64)> {
    let (whole, _) = inside(SEQUENCE, certificate)?;
    let (mut rest, _) = inside(SEQUENCE, whole)?;
    if rest.first() == Some(&VERSION) {
        rest = element(rest)?.2;
    }
    // Serial number, signature algorithm, issuer.
    for _ in 0..3 {
        rest = element(rest)?.2;
    }
    let (validity, _) = inside(SEQUENCE, rest)?;
    let (begin_tag, begin, after_begin) = element(validity)?;
    let (end_tag, end, _) = element(after_begin)?;
    let text = |bytes| std::str::from_utf8(bytes).ok();
    Some((seconds(begin_tag, text(begin)?)?, seconds(end_tag, text(end)?)?))
}

/// What stands in the element at the beginning, which must be of this kind, and what follows it.
fn inside(wanted: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (tag, content, rest) = element(der)?;
    (tag == wanted).then_some((content, rest))
}

/// The element at the beginning: its tag, what is in it, what follows it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = der.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (len, rest) = match *first {
        short @ 0..0x80 => (usize::from(short), rest),
        long => {
            let (bytes, rest) = rest.split_at_checked(usize::from(long & 0x7F))?;
            // Certificates are shorter than 16 MiB.
            let len = (bytes.len() <= 3).then(|| bytes.iter().fold(0, |len, byte| len << 8 | usize::from(*byte)))?;
            (len, rest)
        }
    };
    let (content, rest) = rest.split_at_checked(len)?;
    Some((*tag, content, rest))
}

/// `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ`.
fn seconds(tag: u8, text: &str) -> Option<i64> {
    let digits = text.strip_suffix('Z').filter(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()))?;
    let (century, rest) = match tag {
        // Years of two digits are of 1950 to 2049.
        UTC_TIME if digits.len() == 12 => (if digits < "5" { "20" } else { "19" }, digits),
        GENERALIZED_TIME if digits.len() == 14 => digits.split_at(2),
        _ => return None,
    };
    let two = |at: usize| &rest[at..at + 2];
    let text = format!("{century}{}-{}-{}T{}:{}:{}Z", two(0), two(2), two(4), two(6), two(8), two(10));
    Some(text.parse::<Timestamp>().ok()?.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn begin_and_end_of_a_certificate_are_found() {
        for (year, seconds) in [(2_031, 1_924_992_000 + 86_400), (2_061, 2_871_763_200 + 86_400)] {
            let mut params = rcgen::CertificateParams::new(vec!["a.test".to_owned()]).unwrap();
            params.not_before = rcgen::date_time_ymd(2_020, 1, 1);
            params.not_after = rcgen::date_time_ymd(year, 1, 2);
            let made = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
            assert_eq!(validity(made.der()), Some((1_577_836_800, seconds)), "{year}");
        }
    }

    #[test]
    fn whatever_the_bytes_are_nothing_breaks() {
        let made = rcgen::generate_simple_self_signed(vec!["a.test".to_owned()]).unwrap();
        let der = made.cert.der().to_vec();
        for at in 0..der.len() {
            let _ = not_after(&der[..at]);
            let mut broken = der.clone();
            broken[at] ^= 0xFF;
            let _ = not_after(&broken);
        }
        assert_eq!(seconds(UTC_TIME, "000230000000Z"), None);
        assert_eq!(seconds(UTC_TIME, "ü00101000000Z"), None);
    }
}
