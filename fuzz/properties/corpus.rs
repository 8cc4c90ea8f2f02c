//! A corpus as ordinary tests run it: each file as it is, each beginning of it, and each with one byte changed.

use std::fs;
use std::path::Path;

/// Bytes that one of a file is changed into; what a parser may cut at, skip or count by.
const BYTES: &[u8] = b"\0\t\r\n %+,-./:;=?@\\_\x7f\x80\xff0Az";

/// Checks a property, which panics if it does not hold, on all that the corpus of this name gives.
pub(crate) fn each(name: &str, property: fn(&[u8])) {
    // Tests run in the folder of their crate, which is two below the workspace.
    let folder = Path::new("../../fuzz/corpus").join(name);
    let mut files = 0;
    for entry in fs::read_dir(&folder).expect("the corpus is there") {
        let whole = fs::read(entry.expect("an entry").path()).expect("a file");
        files += 1;
        property(&whole);
        let mut changed = whole.clone();
        for at in 0..whole.len() {
            property(&whole[..at]);
            for byte in BYTES {
                changed[at] = *byte;
                property(&changed);
            }
            changed[at] = whole[at];
        }
    }
    assert!(files > 0, "an empty corpus: {}", folder.display());
}
