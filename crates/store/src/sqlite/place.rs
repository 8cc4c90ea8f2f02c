//! Whether a path still leads to the file that is open. SQLite goes on with the open file when its name is taken away or
//! given to another one; what is written then is lost at the latest when the process ends. So it is looked at before
//! anything is written, and nothing is written to a file that has lost its name.

use std::ffi::OsString;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// What a database file has beside it while it is open.
const COMPANIONS: [&str; 2] = ["-wal", "-shm"];

/// A database file and its companions, by name and by what the names led to when the file was opened.
pub(super) struct Place {
    path: PathBuf,
    opened: OnceLock<Vec<(PathBuf, Inode)>>,
}

/// A file, whatever it is called: its device and number.
type Inode = (u64, u64);

impl Place {
    /// A place that is not known yet.
    pub(super) fn of(path: &Path) -> Self {
        Self { path: path.to_owned(), opened: OnceLock::new() }
    }

    /// Takes what the names lead to now for what is open.
    pub(super) fn remember(&self) -> io::Result<()> {
        let companion = |end| {
            let mut name = OsString::from(&self.path);
            name.push(end);
            PathBuf::from(name)
        };
        let names = std::iter::once(self.path.clone()).chain(COMPANIONS.map(companion));
        let found: io::Result<Vec<_>> = names.map(|name| inode(&name).map(|inode| (name, inode))).collect();
        let _ = self.opened.set(found?);
        Ok(())
    }

    /// Refuses if a name leads elsewhere by now, or nowhere.
    pub(super) fn check(&self) -> io::Result<()> {
        for (name, was) in self.opened.get().into_iter().flatten() {
            let how = match inode(name) {
                Ok(is) if is == *was => continue,
                Ok(_) => "is another file than the one that is open; restart to use it, or put the first one back",
                Err(error) if error.kind() == io::ErrorKind::NotFound => "is gone; put it back",
                Err(error) => return Err(error),
            };
            return Err(io::Error::other(format!("{} {how}", name.display())));
        }
        Ok(())
    }
}

fn inode(path: &Path) -> io::Result<Inode> {
    path.metadata().map(|metadata| (metadata.dev(), metadata.ino()))
}
