//! What must hold for every text that is presented as a key, and for every key that is issued (K-2, K-3).

use keystile_core::key::{
    ENTROPY_LEN, Environment, KeyText, MARK, MAX_KEY_TEXT, MIN_KEY_TEXT, NotAKey, Prefix, Presented, estimated_bits,
    hint,
};

/// Panics if it does not hold.
pub(crate) fn holds(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        presented(text);
    }
    issued(bytes);
}

fn presented(text: &str) {
    let shown = hint(text).replace('•', "");
    assert!(u64::from(estimated_bits(text)) <= 7 * text.len() as u64);
    let parsed = Presented::parse(text);
    let has_shape = (MIN_KEY_TEXT..=MAX_KEY_TEXT).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
    assert_eq!(parsed == Err(NotAKey::Shape), !has_shape);
    match parsed {
        Ok(Presented::Marked { environment }) => {
            assert!(text.contains(&format!("_{}_", environment.as_str())) && text.contains(MARK));
            let (_, secret) = shown.rsplit_once('_').expect("the environment ends with _");
            assert!(secret.len() <= 8, "{shown} shows too much");
            no_neighbour_is_a_key(text);
        }
        Ok(Presented::Foreign) => assert!(shown.len() <= 4, "{shown} shows too much"),
        Err(_) => assert_eq!(shown, ""),
    }
}

/// One wrong character, and it is no key of ours.
fn no_neighbour_is_a_key(text: &str) {
    let mut bytes = text.as_bytes().to_vec();
    for at in 0..bytes.len() {
        let before = std::mem::replace(&mut bytes[at], if text.as_bytes()[at] == b'x' { b'y' } else { b'x' });
        let neighbour = std::str::from_utf8(&bytes).expect("ASCII");
        assert!(!matches!(Presented::parse(neighbour), Ok(Presented::Marked { .. })), "{neighbour}");
        bytes[at] = before;
    }
}

fn issued(bytes: &[u8]) {
    let mut entropy = [0; ENTROPY_LEN];
    let len = bytes.len().min(ENTROPY_LEN);
    entropy[..len].copy_from_slice(&bytes[..len]);
    for environment in Environment::ALL {
        let Ok(text) = KeyText::issue(&Prefix::default(), environment, &entropy) else { continue };
        assert_eq!(Presented::parse(text.expose()), Ok(Presented::Marked { environment }));
        presented(text.expose());
    }
}
