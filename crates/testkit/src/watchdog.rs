//! Ends a child process when the test process ends, however that happens: a test that panics, a run that is
//! interrupted, a `static` that is never dropped.

use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A shell that waits for the end of its input, which is the end of this process, and then kills the child.
#[derive(Debug)]
pub(crate) struct Watchdog(Child);

impl Watchdog {
    /// Watches over a process and the temporary folder that goes with it.
    pub(crate) fn over(child: u32, folder: &Path) -> Self {
        let shell = Command::new("sh")
            .args(["-c", r#"read -r _; kill -9 "$1" 2>/dev/null; rm -rf -- "$2""#, "watchdog", &child.to_string()])
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Self(shell.expect("a shell can be started"))
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        // Killed and not told: the number of the child may belong to another process by now.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
