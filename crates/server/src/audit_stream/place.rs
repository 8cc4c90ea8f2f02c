//! Up to which entry something was told, in a file: whole or as it was before, whenever the process ends.

use std::fs;
use std::io;
use std::path::PathBuf;

pub(super) struct Place(PathBuf);

impl Place {
    pub(super) const fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// 0 where nothing was told yet, or nobody knows: then everything is told again.
    pub(super) fn read(&self) -> u64 {
        fs::read_to_string(&self.0).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
    }

    pub(super) fn write(&self, place: u64) -> io::Result<()> {
        let draft = self.0.with_extension("new");
        fs::write(&draft, format!("{place}\n"))?;
        fs::rename(&draft, &self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_found_again_and_what_is_none_begins_anew() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("audit-file.place");
        let place = Place::new(file.clone());
        assert_eq!(place.read(), 0);
        place.write(7).unwrap();
        place.write(1_000).unwrap();
        assert_eq!(Place::new(file.clone()).read(), 1_000);
        fs::write(&file, "somewhere").unwrap();
        assert_eq!(place.read(), 0);
    }
}
