//! Up to which entry something was told, in a file: whole or as it was before, whenever the process ends.

use std::fs;
use std::io;
use std::path::PathBuf;

use data_encoding::HEXLOWER;
use keystile_store::records::History;

pub(super) struct Place(PathBuf);

impl Place {
    pub(super) const fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// The beginning where nothing was told yet, or nobody knows: then everything is told again.
    pub(super) fn read(&self) -> History {
        let text = fs::read_to_string(&self.0).unwrap_or_default();
        let place = text.trim().split_once(' ').and_then(|(sequence, hash)| {
            let hash = HEXLOWER.decode(hash.as_bytes()).ok()?.try_into().ok()?;
            Some(History { sequence: sequence.parse().ok()?, hash })
        });
        place.unwrap_or(BEGINNING)
    }

    pub(super) fn write(&self, place: &History) -> io::Result<()> {
        let draft = self.0.with_extension("new");
        fs::write(&draft, format!("{} {}\n", place.sequence, HEXLOWER.encode(&place.hash)))?;
        fs::rename(&draft, &self.0)
    }
}

/// Where nothing was told yet.
pub(super) const BEGINNING: History = History { sequence: 0, hash: [0; 32] };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_found_again_and_what_is_none_begins_anew() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("audit-file.place");
        let place = Place::new(file.clone());
        assert_eq!(place.read(), BEGINNING);
        place.write(&History { sequence: 7, hash: [1; 32] }).unwrap();
        let last = History { sequence: 1_000, hash: [0xab; 32] };
        place.write(&last).unwrap();
        assert_eq!(Place::new(file.clone()).read(), last);
        for nowhere in ["somewhere", "7", "7 ab", ""] {
            fs::write(&file, nowhere).unwrap();
            assert_eq!(place.read(), BEGINNING, "{nowhere}");
        }
    }
}
