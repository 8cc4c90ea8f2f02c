//! Second factors: one-time codes of an app (RFC 6238) and recovery codes.

use data_encoding::{BASE32, BASE32_NOPAD};
use hmac::{Hmac, KeyInit, Mac};
use keystile_core::id::AccountId;
use keystile_core::time::Timestamp;
use keystile_store::StoreError;
use keystile_store::records::UsedFactor;
use keystile_store::secret::Sealed;
use totp_rs::{Builder, Secret, Totp};
use zeroize::Zeroizing;

use super::Identity;
use crate::world::{NoEntropy, random};

/// Seconds for which a code is good.
const STEP_SECS: u64 = 30;
/// Digits of a code: what every app shows.
const DIGITS: u8 = 6;
/// Bytes of a seed: as many as HMAC-SHA-1 uses (RFC 4226 §4).
const SEED_LEN: usize = 20;
/// Recovery codes of an account.
const CODES: usize = 10;
/// Bytes of one: 80 bits.
const CODE_LEN: usize = 10;

/// The seed of one-time codes that somebody is to put into an app.
pub struct Enrolment {
    /// As apps take it when it is typed: base32.
    pub secret: Zeroizing<String>,
    /// As they take it from a picture (`otpauth://`).
    pub uri: Zeroizing<String>,
    /// As it is kept.
    pub sealed: Sealed,
}

/// Recovery codes: as they are shown, once, and as they are kept.
pub struct RecoveryCodes {
    /// Shown.
    pub texts: Vec<String>,
    /// Kept.
    pub lookups: Vec<[u8; 32]>,
}

/// Digits alone are a one-time code; all else is a recovery code.
fn is_one_time(code: &str) -> bool {
    code.len() == usize::from(DIGITS) && code.bytes().all(|b| b.is_ascii_digit())
}

/// The step of a code that fits just now and is newer than the last one that was taken. Neither the one before nor the one after
/// will do.
fn fits(seed: &[u8], code: &str, now: Timestamp, last_step: u64) -> Option<u64> {
    let seconds = u64::try_from(now.as_secs()).ok()?;
    let totp: Totp = Builder::new()
        .with_secret(Secret::new(seed.into()))
        .with_digits(DIGITS)
        .with_step_duration(STEP_SECS)
        .with_skew(0)
        .build()
        .ok()?;
    totp.check(code, seconds)?;
    let step = seconds / STEP_SECS;
    (step > last_step).then_some(step)
}

impl Identity {
    /// Makes a seed for somebody. `issuer` is what the app calls this installation.
    ///
    /// # Errors
    /// If there is no randomness.
    pub fn enrol(&self, account: AccountId, email: &str, issuer: &str) -> Result<Enrolment, NoEntropy> {
        let seed = Zeroizing::new(random::<SEED_LEN>(&*self.entropy)?);
        let secret = Zeroizing::new(BASE32_NOPAD.encode(&seed[..]));
        let label = format!("{}:{}", percent(issuer), percent(email));
        let uri = format!(
            "otpauth://totp/{label}?secret={}&issuer={}&algorithm=SHA1&digits={DIGITS}&period={STEP_SECS}",
            *secret,
            percent(issuer)
        );
        let sealed = self.catalog.seal_totp(account, &seed[..], &random(&*self.entropy)?);
        Ok(Enrolment { secret, uri: Zeroizing::new(uri), sealed })
    }

    /// The step of a code of a seed that waits to be confirmed, and when that was made; `None` if it does not fit, or nothing waits.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn confirms(&self, account: AccountId, code: &str) -> Result<Option<(Timestamp, u64)>, StoreError> {
        let waiting = self.catalog.totp(account).await?.filter(|totp| !totp.is_confirmed);
        let fits = |totp: keystile_store::records::Totp| {
            fits(&totp.seed, code, self.now().wall, totp.last_step).map(|step| (totp.created_at, step))
        };
        Ok(waiting.and_then(fits))
    }

    /// Makes recovery codes.
    ///
    /// # Errors
    /// If there is no randomness.
    pub fn recovery_codes(&self, account: AccountId) -> Result<RecoveryCodes, NoEntropy> {
        let mut codes = RecoveryCodes { texts: Vec::new(), lookups: Vec::new() };
        for _ in 0..CODES {
            let plain = BASE32.encode(&random::<CODE_LEN>(&*self.entropy)?).to_lowercase();
            let parts: Vec<&str> = (0..4).filter_map(|part| plain.get(part * 4..part * 4 + 4)).collect();
            codes.lookups.push(self.lookup_of_code(account, &plain));
            codes.texts.push(parts.join("-"));
        }
        Ok(codes)
    }

    /// What somebody shows besides the password, if it could be theirs; whether it was used before is found out when it is used up.
    ///
    /// # Errors
    /// If the store fails.
    pub(super) async fn factor(&self, account: AccountId, code: &str) -> Result<Option<UsedFactor>, StoreError> {
        let code = code.trim();
        if !is_one_time(code) {
            let lookup = self.lookup_of_code(account, code);
            let is_known = self.catalog.has_recovery_code(account, lookup).await?;
            return Ok(is_known.then_some(UsedFactor::RecoveryCode { lookup }));
        }
        let totp = self.catalog.totp(account).await?.filter(|totp| totp.is_confirmed);
        let step = totp.and_then(|totp| fits(&totp.seed, code, self.now().wall, totp.last_step));
        Ok(step.map(|step| UsedFactor::Totp { step }))
    }

    /// However it is written: capitals, hyphens and spaces say nothing.
    fn lookup_of_code(&self, account: AccountId, code: &str) -> [u8; 32] {
        let mut mac: Hmac<sha2::Sha256> = KeyInit::new_from_slice(&self.code_key).expect("HMAC takes any key");
        mac.update(&account.to_bytes());
        for letter in code.bytes().filter(u8::is_ascii_alphanumeric) {
            mac.update(&[letter.to_ascii_lowercase()]);
        }
        mac.finalize().into_bytes().into()
    }
}

/// A text as a part of a URI.
fn percent(text: &str) -> String {
    text.bytes()
        .map(|b| match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(b).to_string(),
            b => format!("%{b:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a07_codes_are_those_of_rfc_6238_good_for_one_step_and_not_after_a_later_one() {
        let seed = b"12345678901234567890";
        // Appendix B, the last six digits of its eight.
        for (seconds, code) in
            [(59, "287082"), (1_111_111_109, "081804"), (2_000_000_000, "279037"), (20_000_000_000, "353130")]
        {
            let at = Timestamp::from_secs(seconds);
            let step = seconds as u64 / 30;
            assert_eq!(fits(seed, code, at, 0), Some(step), "{seconds}");
            assert_eq!(fits(seed, code, at, step - 1), Some(step));
            assert_eq!(fits(seed, code, at, step), None, "it was taken");
            let begins = at.floor_secs(30);
            assert_eq!(fits(seed, code, begins, 0), Some(step));
            assert_eq!(fits(seed, code, begins.plus_secs(29), 0), Some(step));
            for other in [begins.plus_secs(-1), begins.plus_secs(30)] {
                assert_eq!(fits(seed, code, other, 0), None, "good for its thirty seconds alone");
            }
        }
        assert_eq!(fits(seed, "287083", Timestamp::from_secs(59), 0), None);
        assert_eq!(fits(seed, "", Timestamp::from_secs(59), 0), None);
        assert!(is_one_time("012345") && !is_one_time("12345") && !is_one_time("abcd-efgh-ijkl-mnop"));
    }

    #[test]
    fn a_name_stands_in_a_uri_as_it_may() {
        assert_eq!(percent("Wetter & Söhne:x"), "Wetter%20%26%20S%C3%B6hne%3Ax");
    }
}
