//! What must hold for every target that has a canonical form (G-11): the form is its own, it means what came, and it
//! holds nothing that some server reads in another way.

use keystile_core::target::{CanonicalTarget, MAX_TARGET_BYTES};

/// Panics if it does not hold.
pub(crate) fn holds(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(target) = CanonicalTarget::parse(text) else { return };
    let mut form = String::new();
    target.write_to(&mut form);
    assert!(form.len() <= text.len() && text.len() <= MAX_TARGET_BYTES);

    let again = CanonicalTarget::parse(&form).expect("a canonical form is a target");
    assert!(again.is_verbatim(), "{form}");
    assert_eq!((again.path(), again.query()), (target.path(), target.query()));

    let (path, query) = text.split_once('?').map_or((text, None), |(path, query)| (path, Some(query)));
    assert_eq!(target.query(), query);
    let mut meant = decoded(path);
    meant.dedup_by(|a, b| *a == b'/' && *b == b'/');
    assert_eq!(decoded(target.path()), meant, "{form} means something else than {text}");
    assert_eq!(target.is_verbatim(), target.path() == path);

    let path = target.path();
    assert!(path.starts_with('/') && !path.contains("//"));
    assert!(path.bytes().all(|byte| byte.is_ascii_graphic() && !b"\\;?#<>\"{}|^`[]".contains(&byte)), "{path}");
    for segment in path.split('/') {
        assert!(!segment.ends_with('.') && !segment.starts_with("%20") && !segment.ends_with("%20"), "{path}");
    }
    let once = decoded(path);
    assert_eq!(once.iter().filter(|byte| **byte == b'/').count(), path.matches('/').count(), "a hidden slash: {path}");
    assert!(!once.iter().any(|byte| byte.is_ascii_control() || *byte == b'\\'), "{path}");
    let once = String::from_utf8(once).expect("UTF-8");
    assert_eq!(decoded(&once), once.as_bytes(), "{path} can be decoded twice");
}

/// Decoded as most servers do it: an escape is a byte, everything else is itself.
fn decoded(path: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = path.as_bytes();
    while let [byte, after @ ..] = rest {
        let digit = |at: usize| after.get(at).and_then(|digit| char::from(*digit).to_digit(16));
        match (byte, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                rest = &after[2..];
            }
            _ => {
                out.push(*byte);
                rest = after;
            }
        }
    }
    out
}
