//! What lies in a folder: every file's bytes, to compare them and to look for what must not be there.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Every file below a folder with its content.
pub(super) fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).expect("a folder can be read") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let bytes = std::fs::read(&path).unwrap_or_default();
                files.insert(path, bytes);
            }
        }
    }
    files
}

/// The files that hold a text, in UTF-8 or as hexadecimal digits.
pub(super) fn holders(files: &BTreeMap<PathBuf, Vec<u8>>, text: &str) -> Vec<PathBuf> {
    let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
    let holds = |bytes: &[u8]| [text, &hex, &hex.to_uppercase()].iter().any(|form| contains(bytes, form.as_bytes()));
    files.iter().filter(|(_, bytes)| holds(bytes)).map(|(path, _)| path.clone()).collect()
}

/// Whether some bytes stand in others.
pub(super) fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}
