//! Lines at the end of a file. It is opened anew for each batch, so that one that was moved away (logrotate) is made anew.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use crate::manage::AuditLine;

/// Appends them; they are on disk when it returns.
pub(super) async fn append(path: &Path, lines: &[AuditLine]) -> io::Result<()> {
    let mut text = Vec::new();
    for line in lines {
        serde_json::to_writer(&mut text, line)?;
        text.push(b'\n');
    }
    let path = path.to_owned();
    tokio::task::spawn_blocking(move || {
        let mut file = OpenOptions::new().create(true).append(true).mode(0o600).open(&path)?;
        file.write_all(&text)?;
        file.sync_data()
    })
    .await
    .map_err(io::Error::other)?
}
