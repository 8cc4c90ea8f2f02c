//! Every key in memory: digest → record, 64 bytes a record and 8 bytes a slot of the table.
//!
//! Readers take no lock and wait for nobody. One writer at a time (the feed) appends records and publishes them
//! in the table; a record is complete before its slot points to it. Records of deleted keys are marked gone and
//! their space returns at the next start.
//!
//! A key that was never rotated is one record. One that was has a record of its own, in which all that holds for the
//! whole key stands, and one for each version, which its text leads to: so what is done to a key is done to all its
//! versions in one place, and they share its limits.

mod record;
mod table;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use arc_swap::ArcSwap;
use keystile_core::id::KeyId;
use keystile_core::key::{Environment, KeyDigest, KeyKind, Standing};
use keystile_core::time::Timestamp;

use super::arena::Arena;
use record::{Record, Version, digest_words};
use table::Table;

pub use record::MAX_POLICIES;
pub(super) use record::{flags, moment, of_flags, seconds};

/// Slots of an empty table.
const FIRST_SLOTS: usize = 1 << 10;
/// The table doubles when it is fuller than 5/8: short probes, at most 25 bytes a key.
const FULL_NUMERATOR: usize = 5;
const FULL_DENOMINATOR: usize = 8;

/// A key as the feed brings it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyEntry {
    /// Its number in the catalogue, under which it is counted.
    pub number: u32,
    /// What is looked up, if it has one version.
    pub digest: KeyDigest,
    /// Its public name.
    pub id: KeyId,
    /// Its project's index.
    pub project: u32,
    /// Its policy's index.
    pub policy: u32,
    /// When it ends; whole seconds.
    pub expires_at: Option<Timestamp>,
    /// What was done to it.
    pub standing: Standing,
    /// What it is for.
    pub kind: KeyKind,
    /// Where it lives.
    pub environment: Environment,
}

/// The text of a version of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Text {
    /// Which version, from 1.
    pub version: u16,
    /// What is looked up.
    pub digest: KeyDigest,
    /// Until when it is good; `None` for as long as the key is. Whole seconds.
    pub ends_at: Option<Timestamp>,
}

/// A key, as a text of it opens it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opened {
    /// The place of the key: all its texts have this one.
    pub place: u32,
    /// Which version the text is of; 0 if the key was never rotated.
    pub version: u16,
    /// The key, which ends when the version does, if that is earlier.
    pub entry: KeyEntry,
}

/// A record as it is saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// A key.
    Key(KeyEntry),
    /// A version of the key with this id, in this place.
    Version {
        /// The key's id.
        id: KeyId,
        /// The key's place.
        key: u32,
        /// Its text.
        text: Text,
    },
}

/// Every key of the installation.
pub struct Keys {
    records: Arena<Record>,
    table: ArcSwap<Table>,
    count: AtomicU32,
}

impl Keys {
    /// No keys, with room for so many without growing.
    pub fn with_capacity(keys: usize) -> Self {
        let slots = (keys * FULL_DENOMINATOR / FULL_NUMERATOR + 1).next_power_of_two().max(FIRST_SLOTS);
        Self { records: Arena::new(), table: ArcSwap::from_pointee(Table::with_slots(slots)), count: AtomicU32::new(0) }
    }

    /// Finds the record that a text's digest leads to: its place.
    pub fn find(&self, digest: &KeyDigest) -> Option<u32> {
        let table = self.table.load();
        table.find(&self.records, &digest_words(digest)).map(|(_, place)| place)
    }

    /// The key that the record in this place is, or is a version of; `None` when it was deleted.
    pub fn open(&self, place: u32) -> Option<Opened> {
        let record = self.records.get(place)?;
        let Some(Version { key, text }) = record.version() else {
            return record.read().map(|entry| Opened { place, version: 0, entry });
        };
        let entry = self.records.get(key)?.read()?;
        let expires_at = match (entry.expires_at, text.ends_at) {
            (Some(end), Some(earlier)) => Some(end.min(earlier)),
            (end, other) => end.or(other),
        };
        Some(Opened { place: key, version: text.version, entry: KeyEntry { expires_at, ..entry } })
    }

    /// The record that the text of the record in a place leads to now: another one, if the key was rotated for the first time
    /// since it was found; `None` if the text belongs to another key.
    pub fn current(&self, place: u32) -> Option<u32> {
        let record = self.records.get(place)?;
        let (_, now) = self.table.load().find(&self.records, &record.digest_words())?;
        self.records.get(now).filter(|found| found.id() == record.id()).map(|_| now)
    }

    /// The record in a place, unless its key was deleted.
    pub fn kept(&self, place: u32) -> Option<Kept> {
        let record = self.records.get(place)?;
        match record.version() {
            None => record.read().map(Kept::Key),
            Some(Version { key, text }) => {
                self.records.get(key)?.read().map(|entry| Kept::Version { id: entry.id, key, text })
            }
        }
    }

    /// Records, those of deleted keys among them.
    pub fn len(&self) -> u32 {
        self.count.load(Ordering::Acquire)
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds or changes a key that has one version. Only the feed calls this, one call at a time.
    pub fn put(&self, entry: &KeyEntry) {
        match self.place_of(&entry.digest, entry.id) {
            Some(place) => self.records.make(place).update(entry),
            None => {
                let place = self.append(|record| record.write(entry));
                self.lead(&entry.digest, place);
            }
        }
    }

    /// Adds or changes a key that has several versions, with all of them. Only the feed calls this.
    pub fn put_versions(&self, entry: &KeyEntry, texts: &[Text]) {
        let known = texts.iter().find_map(|text| self.place_of(&text.digest, entry.id));
        let key = match known {
            Some(place) => {
                self.records.make(place).update(entry);
                place
            }
            // No text leads to it but those of its versions.
            None => self.append(|record| record.write(entry)),
        };
        // The newest first: from then on both are good, until the end of the other one is known.
        for text in texts.iter().rev() {
            self.put_version(entry.id, &Version { key, text: *text });
        }
    }

    /// Puts back what was saved, in the order in which it was: each record takes the next place, for versions name the places
    /// of their keys. A text may have several records of versions, when another key had it for a while; the last one counts.
    pub fn restore(&self, kept: &Kept) {
        match kept {
            Kept::Key(entry) => {
                let place = self.append(|record| record.write(entry));
                self.lead(&entry.digest, place);
            }
            Kept::Version { id, key, text } => self.append_version(*id, &Version { key: *key, text: *text }),
        }
    }

    fn put_version(&self, id: KeyId, version: &Version) {
        let known = self.find(&version.text.digest).and_then(|place| self.records.get(place));
        if let Some(record) = known
            && record.id() == id
            && record.version().is_some_and(|known| known.key == version.key)
        {
            record.end(version.text.ends_at);
            return;
        }
        self.append_version(id, version);
    }

    fn append_version(&self, id: KeyId, version: &Version) {
        let place = self.append(|record| record.write_version(id, version));
        self.lead(&version.text.digest, place);
    }

    /// Marks a key gone, unless its text belongs to another key by now.
    pub fn remove(&self, digest: &KeyDigest, id: KeyId) {
        if let Some(record) = self.place_of(digest, id).and_then(|place| self.records.get(place)) {
            record.remove();
        }
    }

    /// Marks the key with this number gone, whatever its texts are. Looks at every record.
    pub fn remove_number(&self, number: u32) {
        for record in (0..self.len()).filter_map(|place| self.records.get(place)) {
            if record.read().is_some_and(|entry| entry.number == number) {
                record.remove();
            }
        }
    }

    /// Every key that is not gone.
    pub fn iter(&self) -> impl Iterator<Item = KeyEntry> {
        (0..self.len()).filter_map(|place| self.records.get(place)?.read())
    }

    /// Every text that leads to a key: the key with the version that it is of.
    pub fn texts(&self) -> impl Iterator<Item = Opened> {
        let is_led_to = |place: &u32| {
            let words = self.records.get(*place).map(Record::digest_words);
            words.is_some_and(|words| self.table.load().find(&self.records, &words).is_some_and(|(_, at)| at == *place))
        };
        (0..self.len()).filter(is_led_to).filter_map(|place| self.open(place))
    }

    /// The place of the key with this id. Looks at every record.
    pub fn place_of_id(&self, id: KeyId) -> Option<u32> {
        (0..self.len())
            .find(|place| self.records.get(*place).is_some_and(|record| record.id() == id && record.read().is_some()))
    }

    /// The place of the key with this id, if the text of this digest is one of its own.
    fn place_of(&self, digest: &KeyDigest, id: KeyId) -> Option<u32> {
        let place = self.find(digest)?;
        let record = self.records.get(place).filter(|record| record.id() == id)?;
        Some(record.version().map_or(place, |version| version.key))
    }

    fn append(&self, write: impl FnOnce(&Record)) -> u32 {
        let place = self.len();
        write(self.records.make(place));
        self.count.store(place + 1, Ordering::Release);
        place
    }

    /// Lets a text lead to a record, whatever it led to before: its key was deleted and it was imported anew, or the key
    /// was rotated.
    fn lead(&self, digest: &KeyDigest, place: u32) {
        let words = digest_words(digest);
        let table = self.table.load();
        match table.find(&self.records, &words) {
            Some((slot, _)) => table.set(slot, &words, place),
            None if (place as usize + 1) * FULL_DENOMINATOR > table.len() * FULL_NUMERATOR => {
                self.grow(table.len() * 2);
            }
            None => table.put(&words, place),
        }
    }

    fn grow(&self, slots: usize) {
        let table = Table::with_slots(slots);
        for place in 0..self.len() {
            if let Some(words) = self.records.get(place).map(Record::digest_words) {
                match table.find(&self.records, &words) {
                    // A later record of the same digest replaces the earlier one.
                    Some((slot, _)) => table.set(slot, &words, place),
                    None => table.put(&words, place),
                }
            }
        }
        self.table.store(Arc::new(table));
    }
}

#[cfg(test)]
mod tests;
