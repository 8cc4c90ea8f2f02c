//! Verifies texts on threads of its own: a slow hash takes longer than a thousand calls, and calls are never to wait for
//! one.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use keystile_core::key::KeyDigest;
use keystile_core::time::Ticks;
use parking_lot::{Mutex, RwLock};
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use super::Candidate;
use super::hash::fits;
use super::memory::Memory;
use crate::enforce::engine::Engine;
use crate::enforce::rehash::{Rehash, Rehashes};

/// Hashes that are computed at once in the process: as many as leave the cores of a small machine to calls half of the time.
const THREADS: usize = 2;
/// Texts that wait for one of them.
const MAX_WAITING: usize = 64;
/// How long a call waits for what comes of its text. What comes later is remembered for the next one.
const PATIENCE: Duration = Duration::from_secs(10);

/// What came of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// It is a key's; it opens it from now on.
    Fits,
    /// It is nobody's, or was tried too often.
    Fails,
    /// There is no room to find out.
    Overloaded,
}

/// A text to be verified.
struct Job {
    text: Zeroizing<String>,
    digest: KeyDigest,
    pepper_version: u32,
    candidates: Vec<Candidate>,
}

/// The threads, which begin with the first text, and what they found.
#[derive(Default)]
pub(super) struct Prover {
    jobs: OnceLock<Option<SyncSender<Job>>>,
    /// Who waits for what comes of which text.
    waiting: Mutex<HashMap<[u8; 32], Vec<oneshot::Sender<Proof>>>>,
    /// Read by calls, written by the threads.
    pub(super) memory: RwLock<Memory>,
    pub(super) rehashes: Rehashes,
}

impl Prover {
    /// What comes of a text.
    async fn prove(self: &Arc<Self>, job: Job, at: Ticks) -> Proof {
        let digest = *job.digest.as_bytes();
        let (told, waits) = oneshot::channel();
        match self.waiting.lock().entry(digest) {
            // Another call presents the same text; whoever joins it asks for no work.
            Entry::Occupied(mut others) => others.get_mut().push(told),
            Entry::Vacant(first) => {
                if !self.memory.write().may_try(&job.candidates, at) {
                    return Proof::Fails;
                }
                let jobs = self.jobs.get_or_init(|| start(self).ok());
                if jobs.as_ref().is_none_or(|jobs| jobs.try_send(job).is_err()) {
                    return Proof::Overloaded;
                }
                first.insert(vec![told]);
            }
        }
        match tokio::time::timeout(PATIENCE, waits).await {
            Ok(Ok(proof)) => proof,
            Ok(Err(_)) | Err(_) => Proof::Overloaded,
        }
    }

    fn work(&self, jobs: &Mutex<Receiver<Job>>) {
        loop {
            // One thread waits for a text, the other for its turn to.
            let Ok(job) = jobs.lock().recv() else { return };
            let fitting = || job.candidates.iter().find(|candidate| fits(&job.text, &candidate.hash));
            // A hash that breaks its library must not end the thread.
            let found = catch_unwind(AssertUnwindSafe(fitting)).unwrap_or_else(|_| {
                tracing::error!("a slow hash could not be verified; the key that it belongs to can't be used");
                None
            });
            self.memory.write().note(&job.digest, found.map(|candidate| candidate.placeholder));
            // A text of which all was known here can be guessed: it stays under its slow hash (K-7).
            if let Some(candidate) = found.filter(|candidate| candidate.lookup.chars() > 0) {
                let (version, was) = (candidate.version, candidate.placeholder);
                let (digest, pepper_version) = (job.digest, job.pepper_version);
                self.rehashes.ask(Rehash { version, was, digest, pepper_version, slow: true });
            }
            let proof = if found.is_some() { Proof::Fits } else { Proof::Fails };
            for told in self.waiting.lock().remove(job.digest.as_bytes()).unwrap_or_default() {
                let _ = told.send(proof);
            }
        }
    }
}

/// The threads live as long as the process does.
fn start(prover: &Arc<Prover>) -> std::io::Result<SyncSender<Job>> {
    let (sender, receiver) = sync_channel(MAX_WAITING);
    let receiver = Arc::new(Mutex::new(receiver));
    for _ in 0..THREADS {
        let (receiver, prover) = (receiver.clone(), prover.clone());
        std::thread::Builder::new().name("slow-hash".to_owned()).spawn(move || prover.work(&receiver))?;
    }
    Ok(sender)
}

impl Engine {
    /// Whether a text by which nobody is known may be a key's of which a slow hash is known.
    pub fn may_prove(&self, text: &str) -> bool {
        self.slow.is_any() && !self.slow.candidates(text, &self.peppers()).is_empty()
    }

    /// Finds out whose key it is. From then on, if it is somebody's, it is known to [`Engine::check`].
    pub async fn prove(&self, text: &str, at: Ticks) -> Proof {
        let (slow, peppers) = (&self.slow, self.peppers());
        let Some(pepper) = peppers.first() else { return Proof::Fails };
        let digest = pepper.digest(text);
        {
            let memory = slow.prover.memory.read();
            if memory.proven(&digest).is_some() {
                return Proof::Fits;
            } else if memory.was_refused(&digest) {
                return Proof::Fails;
            }
        }
        let candidates = slow.candidates(text, &peppers);
        if candidates.is_empty() {
            return Proof::Fails;
        }
        let text = Zeroizing::new(text.to_owned());
        slow.prover.prove(Job { text, digest, pepper_version: pepper.version(), candidates }, at).await
    }
}
