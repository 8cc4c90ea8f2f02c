//! The saved snapshot: every key in one file, so that a node with 10⁶ keys serves within a second of its start.
//!
//! Layout: a head (magic, installation, revision, count, the audit entry that was the newest), 68 bytes a record, HMAC-SHA-256
//! over all of it under a key derived from the root key. A file that is cut, altered, of another installation or from the
//! future of the catalogue is not used, nor is one whose audit entry the catalogue does not have: it was put back to an
//! earlier day, and has gone on to another history. Then the keys are read from the catalogue. Whatever the file says, the
//! revisions after its own are read on top, and revocations are monotone, so an old file brings no revoked key back.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use hmac::{Hmac, KeyInit, Mac};
use keystile_core::id::KeyId;
use keystile_core::key::KeyDigest;
use keystile_store::{Catalog, History};
use sha2::Sha256;

use super::keys::{Kept, KeyEntry, Keys, MAX_POLICIES, Text, flags, moment, of_flags, seconds};

const MAGIC: &[u8; 8] = b"KSTLSNP3";
const HEAD_LEN: usize = 8 + 16 + 8 + 8 + 8 + 32;
const ENTRY_LEN: usize = 32 + 16 + 4 * 5;
const SEAL_LEN: usize = 32;
/// Entries read or written at a time.
const BLOCK: usize = 4_096;

/// Where a snapshot is saved, and what seals it.
pub struct SnapshotFile {
    path: PathBuf,
    installation: [u8; 16],
    seal: Hmac<Sha256>,
}

/// What a file held.
pub struct Saved {
    /// The keys.
    pub keys: Keys,
    /// The revision that they hold everything of.
    pub revision: u64,
    /// The newest audit entry at that time.
    pub history: History,
}

impl SnapshotFile {
    /// The file of an installation.
    pub fn new(path: PathBuf, catalog: &Catalog) -> Self {
        Self::sealed(path, catalog.installation(), &catalog.derive("snapshot"))
    }

    fn sealed(path: PathBuf, installation: [u8; 16], seal: &[u8; 32]) -> Self {
        let seal = Hmac::new_from_slice(seal).expect("HMAC takes a key of any length");
        Self { path, installation, seal }
    }

    /// Reads the file if it is there, sound, and not newer than the catalogue.
    pub fn load(&self, newest: u64) -> Option<Saved> {
        match self.read(newest) {
            Ok(saved) => Some(saved),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                self.forget(&error.to_string());
                None
            }
        }
    }

    /// Removes a file that can't be used. Gone for good: a catalogue that was put back to an earlier day goes on to another
    /// history, and must not meet this one again when its revisions have caught up.
    pub fn forget(&self, why: &str) {
        tracing::warn!(why, "the saved snapshot is not used; keys are read from the catalogue");
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::error!(%error, path = %self.path.display(), "the snapshot could not be removed; remove it");
        }
    }

    fn read(&self, newest: u64) -> io::Result<Saved> {
        let file = File::open(&self.path)?;
        let len = file.metadata()?.len() as usize;
        let mut file = BufReader::with_capacity(1 << 20, file);
        let mut seal = self.seal.clone();
        let mut head = [0; HEAD_LEN];
        file.read_exact(&mut head)?;
        seal.update(&head);
        let word = |at: usize| u64::from_le_bytes(head[at..at + 8].try_into().expect("eight bytes"));
        let (revision, count) = (word(24), word(32) as usize);
        let history = History { sequence: word(40), hash: head[48..80].try_into().expect("32 bytes") };
        if &head[..8] != MAGIC || head[8..24] != self.installation {
            return Err(broken("it belongs to another version or installation"));
        }
        if revision > newest {
            return Err(broken("it is newer than the catalogue"));
        }
        if len != count.saturating_mul(ENTRY_LEN).saturating_add(HEAD_LEN + SEAL_LEN) {
            return Err(broken("its length is wrong"));
        }
        let keys = Keys::with_capacity(count);
        let mut block = vec![0; BLOCK * ENTRY_LEN];
        let mut left = count;
        while left > 0 {
            let bytes = &mut block[..left.min(BLOCK) * ENTRY_LEN];
            file.read_exact(bytes)?;
            seal.update(bytes);
            for entry in bytes.chunks_exact(ENTRY_LEN) {
                let kept = decode(entry).filter(|kept| match kept {
                    Kept::Key(_) => true,
                    Kept::Version { key, .. } => *key < keys.len(),
                });
                keys.restore(&kept.ok_or_else(|| broken("an entry makes no sense"))?);
            }
            left -= bytes.len() / ENTRY_LEN;
        }
        let mut stored = [0; SEAL_LEN];
        file.read_exact(&mut stored)?;
        seal.verify_slice(&stored).map_err(|_| broken("its seal does not fit"))?;
        Ok(Saved { keys, revision, history })
    }

    /// Writes the keys; `revision` and `history` must have been read before the keys are, so that they claim no more than
    /// those hold. The old file stays until the new one is complete on disk.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn save(&self, keys: &Keys, revision: u64, history: &History) -> io::Result<()> {
        let fresh = self.path.with_extension("new");
        let mut seal = self.seal.clone();
        let mut file = BufWriter::with_capacity(1 << 20, owners_own(&fresh)?);
        // Counted first: keys that come meanwhile belong to later revisions.
        let records = keys.len();
        let gone: Vec<u32> = (0..records).filter(|place| keys.kept(*place).is_none()).collect();
        let present = records as usize - gone.len();
        let mut head = [0; HEAD_LEN];
        head[..8].copy_from_slice(MAGIC);
        head[8..24].copy_from_slice(&self.installation);
        head[24..32].copy_from_slice(&revision.to_le_bytes());
        head[32..40].copy_from_slice(&(present as u64).to_le_bytes());
        head[40..48].copy_from_slice(&history.sequence.to_le_bytes());
        head[48..].copy_from_slice(&history.hash);
        let mut put = |bytes: &[u8]| {
            seal.update(bytes);
            file.write_all(bytes)
        };
        put(&head)?;
        let mut still_gone = gone.iter().peekable();
        for place in 0..records {
            if still_gone.next_if_eq(&&place).is_some() {
                continue;
            }
            // Deleted meanwhile; the next save finds it calm.
            let kept =
                keys.kept(place).ok_or_else(|| io::Error::other("keys were deleted while the snapshot was written"))?;
            put(&encode(&moved_up(kept, &gone)))?;
        }
        file.write_all(&seal.finalize().into_bytes())?;
        let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        fs::rename(&fresh, &self.path)
    }
}

/// A new file that only its owner reads.
fn owners_own(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

fn broken(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// As it is kept when the places of keys that are gone are taken by those after them.
fn moved_up(kept: Kept, gone: &[u32]) -> Kept {
    match kept {
        Kept::Key(_) => kept,
        Kept::Version { id, key, text } => {
            let before = gone.partition_point(|place| *place < key);
            Kept::Version { id, key: key - before as u32, text }
        }
    }
}

/// Set in the flags of a version; no key has it.
const VERSION_FLAG: u32 = 1 << 31;

fn encode(kept: &Kept) -> [u8; ENTRY_LEN] {
    let (digest, id, words) = match kept {
        Kept::Key(entry) => {
            let words = [entry.number, entry.project, entry.policy, seconds(entry.expires_at), flags(entry)];
            (entry.digest, entry.id, words)
        }
        Kept::Version { id, key, text } => {
            (text.digest, *id, [text.version.into(), *key, 0, seconds(text.ends_at), VERSION_FLAG])
        }
    };
    let mut bytes = [0; ENTRY_LEN];
    bytes[..32].copy_from_slice(digest.as_bytes());
    bytes[32..48].copy_from_slice(&id.to_bytes());
    for (slot, word) in bytes[48..].chunks_exact_mut(4).zip(words) {
        slot.copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

fn decode(bytes: &[u8]) -> Option<Kept> {
    let word = |place: usize| {
        let at = 48 + 4 * place;
        u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
    };
    let [number, project, policy, expires, bits] = std::array::from_fn(word);
    let digest = KeyDigest::from_bytes(bytes[..32].try_into().ok()?);
    let id = KeyId::from_slice(&bytes[32..48]).ok()?;
    let ends_at = moment(expires);
    if bits == VERSION_FLAG {
        let text = Text { version: u16::try_from(number).ok()?, digest, ends_at };
        return Some(Kept::Version { id, key: project, text });
    }
    let (standing, kind, environment) = of_flags(bits)?;
    let entry = KeyEntry { number, digest, id, project, policy, expires_at: ends_at, standing, kind, environment };
    (policy < MAX_POLICIES && flags(&entry) == bits).then_some(Kept::Key(entry))
}

#[cfg(test)]
mod tests {
    use super::*;
    use keystile_core::key::{Environment, KeyKind, Standing};
    use keystile_core::time::Timestamp;

    fn entry(n: u32) -> KeyEntry {
        let mut digest = [0; 32];
        digest[..4].copy_from_slice(&n.wrapping_mul(2_654_435_761).to_le_bytes());
        digest[28..].copy_from_slice(&n.to_le_bytes());
        KeyEntry {
            number: n,
            digest: KeyDigest::from_bytes(digest),
            id: KeyId::from_entropy([n as u8; 16]),
            project: n % 7,
            policy: n % 11,
            expires_at: n.is_multiple_of(2).then(|| Timestamp::from_secs(i64::from(n) + 1)),
            standing: [Standing::Active, Standing::Disabled, Standing::Revoked][n as usize % 3],
            kind: if n.is_multiple_of(5) { KeyKind::Management } else { KeyKind::Secret },
            environment: if n.is_multiple_of(3) { Environment::Test } else { Environment::Live },
        }
    }

    /// A folder with a saved snapshot of 5,000 keys at revision 9.
    fn saved() -> (tempfile::TempDir, SnapshotFile) {
        let folder = tempfile::tempdir().unwrap();
        let file = SnapshotFile::sealed(folder.path().join("snapshot"), [1; 16], &[2; 32]);
        let keys = Keys::with_capacity(0);
        (1..=5_000).for_each(|n| keys.put(&entry(n)));
        keys.remove(&entry(77).digest, entry(77).id);
        file.save(&keys, 9, &History { sequence: 7, hash: [7; 32] }).unwrap();
        (folder, file)
    }

    #[test]
    fn a_snapshot_comes_back_as_it_was_saved() {
        let (_folder, file) = saved();
        let back = file.load(9).unwrap();
        assert_eq!((back.revision, back.history), (9, History { sequence: 7, hash: [7; 32] }));
        let wanted: Vec<KeyEntry> = (1..=5_000).filter(|n| *n != 77).map(entry).collect();
        assert_eq!(back.keys.iter().collect::<Vec<_>>(), wanted);
    }

    #[test]
    fn k10_versions_come_back_with_their_keys_and_their_ends() {
        let (_folder, file) = saved();
        let keys = Keys::with_capacity(0);
        (1..=100).for_each(|n| keys.put(&entry(n)));
        let text = |version: u16, ends_at: Option<i64>| {
            let digest = KeyDigest::from_bytes([version as u8 + 100; 32]);
            Text { version, digest, ends_at: ends_at.map(Timestamp::from_secs) }
        };
        // A key that was here, one that came with its versions, and one that is gone by now.
        let own = Text { version: 1, digest: entry(50).digest, ends_at: Some(Timestamp::from_secs(7)) };
        keys.put_versions(&entry(50), &[own, text(2, None)]);
        let late = KeyEntry { digest: text(4, None).digest, ..entry(7_000) };
        keys.put_versions(&late, &[text(3, Some(9)), text(4, None)]);
        keys.put_versions(&entry(60), &[Text { digest: entry(60).digest, ..own }, text(5, None)]);
        for n in [1, 49, 60] {
            keys.remove(&entry(n).digest, entry(n).id);
        }
        file.save(&keys, 9, &History { sequence: 7, hash: [7; 32] }).unwrap();
        let back = file.load(9).unwrap().keys;
        let facts = |keys: &Keys| {
            let facts = keys.texts().map(|opened| (opened.entry.id, opened.version, opened.entry.expires_at));
            let mut facts: Vec<_> = facts.collect();
            facts.sort();
            facts
        };
        assert_eq!(facts(&back), facts(&keys));
        assert_eq!(back.texts().count(), 97 + 1 + 2);
        // They are one key still: what is done to it is done to each.
        back.put_versions(&KeyEntry { standing: Standing::Revoked, ..entry(50) }, &[own, text(2, None)]);
        let of_the_key = back.texts().filter(|opened| opened.entry.id == entry(50).id);
        let standings: Vec<_> = of_the_key.map(|opened| opened.entry.standing).collect();
        assert_eq!(standings, [Standing::Revoked; 2]);
    }

    #[test]
    fn keys_whose_texts_belonged_to_others_for_a_while_come_back_as_they_were() {
        let (_folder, file) = saved();
        let keys = Keys::with_capacity(0);
        let text = |n: u8| Text { version: n.into(), digest: KeyDigest::from_bytes([n + 100; 32]), ends_at: None };
        let (first, other) = ([text(1), text(2)], [text(3), text(4)]);
        let one = KeyEntry { digest: text(1).digest, ..entry(1) };
        keys.put_versions(&one, &first);
        // Deleted, its first text given to another key for a while, and back again: that text has two records.
        keys.remove(&text(2).digest, one.id);
        let taker = KeyEntry { digest: text(1).digest, ..entry(2) };
        keys.put(&taker);
        keys.remove(&taker.digest, taker.id);
        keys.put_versions(&one, &first);
        // The versions of a key that comes later name its place.
        let late = KeyEntry { digest: text(3).digest, ..entry(4) };
        keys.put_versions(&late, &other);
        file.save(&keys, 9, &History { sequence: 7, hash: [7; 32] }).unwrap();
        let back = file.load(9).unwrap().keys;
        for (text, owner) in first.iter().map(|text| (text, one.id)).chain(other.iter().map(|text| (text, late.id))) {
            let opened = back.find(&text.digest).and_then(|place| back.open(place));
            assert_eq!(opened.map(|opened| (opened.entry.id, opened.version)), Some((owner, text.version)));
        }
    }

    #[test]
    fn a_snapshot_of_the_future_or_of_another_installation_is_not_used() {
        let (folder, file) = saved();
        assert!(file.load(8).is_none(), "the catalogue was put back to an earlier day");
        assert!(file.load(9).is_none(), "and never meets this history again");
        for (installation, seal) in [([9; 16], [2; 32]), ([1; 16], [3; 32])] {
            let (folder, _) = saved();
            let other = SnapshotFile::sealed(folder.path().join("snapshot"), installation, &seal);
            assert!(other.load(9).is_none(), "another installation or root key");
        }
        assert!(SnapshotFile::sealed(folder.path().join("none"), [1; 16], &[2; 32]).load(9).is_none());
    }

    //
    #[test]
    fn r04_no_altered_or_cut_snapshot_is_used() {
        let (folder, file) = saved();
        let path = folder.path().join("snapshot");
        let sound = fs::read(&path).unwrap();
        let places = (0..sound.len()).step_by(sound.len() / 97).chain([sound.len() - 1]);
        for place in places {
            let mut altered = sound.clone();
            altered[place] ^= 1 << (place % 8);
            fs::write(&path, &altered).unwrap();
            assert!(file.load(u64::MAX).is_none(), "byte {place} was altered");
            fs::write(&path, &sound[..place]).unwrap();
            assert!(file.load(u64::MAX).is_none(), "cut at {place}");
        }
        fs::write(&path, [&sound[..], b"x"].concat()).unwrap();
        assert!(file.load(u64::MAX).is_none());
        fs::write(&path, &sound).unwrap();
        assert!(file.load(9).is_some());
    }
}
