//! What the data folder takes on its disk, and what is left there: a full disk is the one outage that announces itself.

use std::path::PathBuf;

use keystile_server::telemetry::metrics::{Kind, Registry};
use rustix::fs::statvfs;

use super::SNAPSHOT_FILE;

/// The files that grow. What is written to a database last is in its WAL.
const FILES: [&str; 5] = ["catalog.db", "catalog.db-wal", "usage.db", "usage.db-wal", SNAPSHOT_FILE];

/// Declares the families of a data folder.
pub(super) fn declare(registry: &Registry, folder: PathBuf) {
    let of_files = folder.clone();
    registry.family(Kind::Gauge, "keystile_data_bytes", "Length of a file of the data folder.", move |samples| {
        for file in FILES {
            if let Ok(known) = std::fs::metadata(of_files.join(file)) {
                samples.put(&[("file", file)], known.len());
            }
        }
    });
    let help = "What may still be written to the disk of the data folder.";
    registry.family(Kind::Gauge, "keystile_data_free_bytes", help, move |samples| {
        if let Ok(disk) = statvfs(&folder) {
            samples.put(&[], disk.f_bavail.saturating_mul(disk.f_frsize));
        }
    });
}
