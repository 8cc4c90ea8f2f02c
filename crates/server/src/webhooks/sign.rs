//! How deliveries are signed, after Standard Webhooks: HMAC-SHA-256 over id, moment and body, so that none of them can be
//! changed, and so that a receiver which looks at the moment takes no delivery that somebody recorded long ago (C-8).

use data_encoding::BASE64;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

/// Bytes of a secret.
pub const SECRET_BYTES: usize = 32;
/// What the text of a secret begins with.
const PREFIX: &str = "whsec_";

/// A secret as it is shown, once.
pub fn shown_secret(secret: &[u8]) -> Zeroizing<String> {
    Zeroizing::new(format!("{PREFIX}{}", *Zeroizing::new(BASE64.encode(secret))))
}

/// The value of `webhook-signature`: a signature by each of the secrets, the newest first.
pub(super) fn signatures(secrets: &[Zeroizing<Vec<u8>>], id: &str, moment: i64, body: &[u8]) -> String {
    let sign = |secret: &Zeroizing<Vec<u8>>| {
        let mut mac: Hmac<Sha256> = KeyInit::new_from_slice(secret).expect("HMAC takes a key of any length");
        mac.update(format!("{id}.{moment}.").as_bytes());
        mac.update(body);
        format!("v1,{}", BASE64.encode(&mac.finalize().into_bytes()))
    };
    secrets.iter().map(sign).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c08_a_signature_is_that_of_the_published_example() {
        // From the text of Standard Webhooks.
        let secret = BASE64.decode(b"MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let body = br#"{"test": 2432232314}"#;
        let signed = signatures(&[Zeroizing::new(secret)], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn c08_nothing_can_be_changed_and_each_secret_signs() {
        let secrets = [Zeroizing::new(vec![1; 32]), Zeroizing::new(vec![2; 32])];
        let signed = signatures(&secrets, "evt_1", 1_000, b"{}");
        assert_eq!(signed.split(' ').count(), 2);
        for other in [
            signatures(&secrets, "evt_2", 1_000, b"{}"),
            signatures(&secrets, "evt_1", 1_001, b"{}"),
            signatures(&secrets, "evt_1", 1_000, b"{ }"),
            signatures(&[secrets[1].clone(), secrets[0].clone()], "evt_1", 1_000, b"{}"),
        ] {
            assert_ne!(signed.split(' ').next(), other.split(' ').next());
        }
        assert_eq!(&**shown_secret(&[0; 3]), "whsec_AAAA");
    }
}
