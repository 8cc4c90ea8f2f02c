//! Slow hashes themselves.

use argon2::Argon2;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use keystile_core::key::MAX_BCRYPT_TEXT;

/// Random bytes that one slow hash consumes.
pub const SALT_LEN: usize = 16;

/// Whether this is the hash of this text.
pub fn fits(text: &str, hash: &str) -> bool {
    if hash.starts_with("$argon2") {
        return Argon2::default().verify_password(text.as_bytes(), hash).is_ok();
    }
    // Of a longer text bcrypt reads the beginning: whoever knew that would have the key.
    text.len() <= MAX_BCRYPT_TEXT && bcrypt::verify(text, hash).unwrap_or(false)
}

/// The slow hash of a text that could be guessed: Argon2id with 19 MiB and two passes. `None` if there is no memory for it.
pub fn stretched(text: &str, salt: &[u8; SALT_LEN]) -> Option<String> {
    Argon2::default().hash_password_with_salt(text.as_bytes(), salt).ok().map(|hash| hash.to_string())
}

#[cfg(test)]
mod tests {
    use keystile_core::key::{DigestAlgorithm, slow_algorithm};

    use super::*;

    /// Hashes that other programs made (Python's bcrypt and argon2-cffi).
    const OTHERS: [(&str, &str); 3] = [
        ("legacy2_5up3rS3cr3tT3xt-b2", "$2a$06$O28SK5NLBM.HGXSWNIL8he9tq.QYN5YAcsCYmbELxlrCAMFlsZvcK"),
        (
            "argon-i_5up3rS3cr3tT3xt-h8",
            "$argon2i$v=19$m=1024,t=2,p=2$G5//DFlWEMx+wyRanu9mFg$3fsrJdANQI8ugIYDEoZTh2S0lMUk0HQ2dsx0hWejSdA",
        ),
        (
            "argon-d_5up3rS3cr3tT3xt-i9",
            "$argon2d$v=19$m=1024,t=2,p=2$ywm9/Wb7L4ngIT5RLj9D1A$y64pj4PjWwRHGQxDRyFN3EHQrsdCnPA+EmIPf5TJqxc",
        ),
    ];
    const TEXT: &str = "sk_legacy_5up3r53cr3t";

    #[test]
    fn what_the_core_takes_for_a_hash_is_verified_by_the_libraries() {
        let bcrypt = bcrypt::hash(TEXT, 4).unwrap();
        let argon2 = stretched(TEXT, &[7; SALT_LEN]).unwrap();
        for (hash, algorithm) in [
            (bcrypt.clone(), DigestAlgorithm::Bcrypt),
            (bcrypt.replace("$2b$", "$2a$"), DigestAlgorithm::Bcrypt),
            (bcrypt.replace("$2b$", "$2y$"), DigestAlgorithm::Bcrypt),
            (argon2, DigestAlgorithm::Argon2),
        ] {
            assert_eq!(slow_algorithm(&hash), Ok(algorithm), "{hash}");
            assert!(fits(TEXT, &hash), "{hash}");
            assert!(!fits("sk_legacy_5up3r53cr3T", &hash) && !fits("", &hash), "{hash}");
        }
        for (text, hash) in OTHERS {
            assert!(fits(text, hash) && !fits(TEXT, hash) && slow_algorithm(hash).is_ok(), "{hash}");
        }
        assert!(!fits(TEXT, "$argon2id$nonsense") && !fits(TEXT, "$2b$nonsense") && !fits(TEXT, ""));
    }

    #[test]
    fn a_text_that_bcrypt_would_cut_short_fits_nothing() {
        let long = "x".repeat(MAX_BCRYPT_TEXT);
        let hash = bcrypt::hash(&long, 4).unwrap();
        assert!(fits(&long, &hash));
        assert!(!fits(&format!("{long}y"), &hash), "its beginning alone would fit");
    }
}
