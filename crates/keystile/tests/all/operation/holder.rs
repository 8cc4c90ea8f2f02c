//! Another program that holds a file of the store, as a backup or somebody with a shell does.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

/// Another program that holds a file, until it is dropped.
pub(super) struct Holder {
    child: Child,
    says: ChildStdin,
}

impl Holder {
    /// Takes hold of a file.
    pub(super) fn of(file: &Path) -> Self {
        let mut child = Command::new("sqlite3")
            .arg(file)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("sqlite3 can be started");
        let mut says = child.stdin.take().unwrap();
        says.write_all(b".timeout 10000\nBEGIN IMMEDIATE; SELECT 'held';\n").unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line.trim(), "held");
        Self { child, says }
    }

    /// Lets it go.
    pub(super) fn lets_go(mut self) {
        self.says.write_all(b"COMMIT;\n.quit\n").unwrap();
        let _ = self.child.wait();
    }
}
