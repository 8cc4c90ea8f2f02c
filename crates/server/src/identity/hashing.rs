//! Hashes of passwords: Argon2id with a key of the installation, so that whoever has the store alone can't even guess. One at a
//! time in the process, and a bounded number of others wait: a thousand logins at once leave the other cores to calls.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use keystile_store::records::PasswordHash;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

/// Hashes that are computed at once.
const AT_ONCE: usize = 1;
/// Requests that wait for their turn.
const MAX_WAITING: usize = 64;
/// How long one waits.
const PATIENCE: Duration = Duration::from_secs(10);
/// Random bytes of a salt.
const SALT_LEN: usize = 16;

/// Too many passwords are looked at already.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("too many people log in at the moment; try again in a few seconds")]
pub struct Overloaded;

/// The way to hashes.
#[derive(Clone)]
pub(super) struct Hashing {
    key: Arc<Zeroizing<[u8; 32]>>,
    turns: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
}

/// One form for what looks the same, however a keyboard writes it (NIST SP 800-63B-4 §3.1.1.2).
pub(super) fn normalized(password: &str) -> Zeroizing<String> {
    Zeroizing::new(password.nfkc().collect())
}

impl Hashing {
    pub(super) fn new(key: [u8; 32]) -> Self {
        let turns = Arc::new(Semaphore::new(AT_ONCE));
        Self { key: Arc::new(Zeroizing::new(key)), turns, waiting: Arc::default() }
    }

    /// The hash of a password.
    pub(super) async fn hash(
        &self,
        password: Zeroizing<String>,
        salt: [u8; SALT_LEN],
    ) -> Result<PasswordHash, Overloaded> {
        let key = self.key.clone();
        self.aside(move || hash(&key, &password, &salt)).await?.ok_or(Overloaded)
    }

    /// Waits for a turn.
    pub(super) async fn turn(&self) -> Result<Turn, Overloaded> {
        let place = Place::take(&self.waiting).ok_or(Overloaded)?;
        let turn = tokio::time::timeout(PATIENCE, self.turns.clone().acquire_owned()).await;
        drop(place);
        Ok(Turn(turn.map_err(|_| Overloaded)?.map_err(|_| Overloaded)?))
    }

    /// Whether a hash is that of a password; the turn goes on. Where there is none, or the password is too long to be one, the same
    /// work is done for nothing.
    pub(super) async fn fits(
        &self,
        turn: Turn,
        password: Zeroizing<String>,
        hash: Option<PasswordHash>,
    ) -> Result<(bool, Turn), Overloaded> {
        let key = self.key.clone();
        in_turn(turn, move || match hash {
            Some(hash) => fits(&key, &password, hash.expose()),
            None => self::hash(&key, &password, &[0; SALT_LEN]).is_none(),
        })
        .await
    }

    /// Does something that takes long, when it is its turn.
    pub(super) async fn aside<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Overloaded> {
        let turn = self.turn().await?;
        in_turn(turn, work).await.map(|(done, _)| done)
    }
}

/// A turn; the next one begins when it is dropped.
pub(super) struct Turn(#[allow(dead_code, reason = "it is held")] OwnedSemaphorePermit);

/// Whoever leaves meanwhile keeps the turn until the work is done.
async fn in_turn<T: Send + 'static>(
    turn: Turn,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<(T, Turn), Overloaded> {
    let done = tokio::task::spawn_blocking(move || (work(), turn)).await;
    done.map_err(|error| {
        tracing::error!(%error, "a password could not be looked at");
        Overloaded
    })
}

/// A place among those who wait, given back when dropped.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(waiting: &Arc<AtomicUsize>) -> Option<Self> {
        let place = Self(waiting.clone());
        (waiting.fetch_add(1, Ordering::Relaxed) < MAX_WAITING).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn hasher(key: &[u8; 32]) -> Option<Argon2<'_>> {
    Argon2::new_with_secret(key, Algorithm::Argon2id, Version::V0x13, Params::default()).ok()
}

fn hash(key: &[u8; 32], password: &str, salt: &[u8; SALT_LEN]) -> Option<PasswordHash> {
    let hash = hasher(key)?.hash_password_with_salt(password.as_bytes(), salt).ok()?;
    Some(PasswordHash::new(hash.to_string()))
}

fn fits(key: &[u8; 32], password: &str, hash: &str) -> bool {
    hasher(key).is_some_and(|hasher| hasher.verify_password(password.as_bytes(), hash).is_ok())
}

/// Whether a hash was made with less than what is asked for today.
pub(super) fn is_of_before(hash: &PasswordHash) -> bool {
    let today = Params::default();
    let wanted = format!("$argon2id$v=19$m={},t={},p={}$", today.m_cost(), today.t_cost(), today.p_cost());
    !hash.expose().starts_with(&wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 32] = [7; 32];

    #[test]
    fn a03_a_hash_is_argon2id_of_enough_memory_and_needs_the_key_of_the_installation() {
        let kept = hash(&KEY, "correct horse battery", &[1; SALT_LEN]).unwrap();
        assert!(kept.expose().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", kept.expose());
        assert!(!is_of_before(&kept));
        assert!(is_of_before(&PasswordHash::new(kept.expose().replace("m=19456", "m=9216"))));
        assert!(fits(&KEY, "correct horse battery", kept.expose()));
        assert!(!fits(&KEY, "correct horse batterz", kept.expose()));
        assert!(!fits(&[8; 32], "correct horse battery", kept.expose()), "the store alone can't be guessed at");
        assert!(!fits(&KEY, "x", "") && !fits(&KEY, "x", "$argon2id$nonsense"));
    }

    #[test]
    fn what_looks_the_same_is_the_same_password() {
        assert_eq!(*normalized("e\u{301}"), *normalized("\u{e9}"));
        assert_eq!(*normalized("\u{ff21}"), "A");
    }

    #[tokio::test]
    async fn a03_who_comes_when_too_many_wait_is_sent_away_at_once() {
        let hashing = Hashing::new(KEY);
        let (done, held) = std::sync::mpsc::channel::<()>();
        let busy = hashing.clone();
        let first = tokio::spawn(async move { busy.aside(move || held.recv()).await.map(drop) });
        while hashing.turns.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let waiting: Vec<_> = (0..MAX_WAITING)
            .map(|_| {
                let hashing = hashing.clone();
                tokio::spawn(async move { hashing.aside(|| ()).await })
            })
            .collect();
        while hashing.waiting.load(Ordering::Relaxed) < MAX_WAITING {
            tokio::task::yield_now().await;
        }
        assert!(hashing.aside(|| ()).await.is_err());
        done.send(()).unwrap();
        first.await.unwrap().unwrap();
        for waits in waiting {
            waits.await.unwrap().unwrap();
        }
        assert_eq!(hashing.waiting.load(Ordering::Relaxed), 0);
        hashing.aside(|| ()).await.unwrap();
    }
}
