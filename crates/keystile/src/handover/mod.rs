//! One process takes the place of another: an upgrade without a call lost or cut, or a count, or a revocation.
//!
//! The new process asks the old one over a socket in the data folder, which only their user can reach. The old one gives
//! it the listening sockets themselves, so that no connection is ever turned away; finishes and writes down what it has,
//! lets go of the folder and goes on answering calls from memory until the new one serves; then lets its clients go,
//! each with its next answer. [`predecessor`] is what the new one does, [`successor`] what the old one does.
//!
//! ```text
//! new                     old
//! take over 1        ──►
//!                    ◄──  the listeners, by name, with their descriptors
//! give               ──►  no change is taken in any more, counts are written, the folder is let go
//!                    ◄──  given
//! (opens, serves)
//! serving            ──►  lets nobody in any more
//!                    ◄──  go on
//! revision 17        ──►  reads what was changed, so that what is revoked there is refused here
//!                    ◄──  known 17
//! ```
//!
//! Whoever comes while another one is being given the place hears `busy` and that one's number instead.
//!
//! Whatever breaks before `serving`, the old one takes the folder again and goes on; after it, the old one ends.
//!
//! [`notify`] tells systemd. Not here: who may own the folder (the store's lock), how connections end (`gateway`).

mod descriptors;
pub(crate) mod notify;
pub(crate) mod predecessor;
pub(crate) mod successor;

use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

/// The socket's name in the data folder.
const SOCKET_FILE: &str = "keystile.sock";
/// Longest path of a socket that every system takes.
const MAX_SOCKET_PATH: usize = 100;
/// Longest line; none is longer than a name of each listener.
const MAX_LINE: usize = 512;

const TAKE_OVER: &str = "take over 1";
const BUSY: &str = "busy";
const GIVE: &str = "give";
const GIVEN: &str = "given";
const SERVING: &str = "serving";
const GO_ON: &str = "go on";

/// The socket of a data folder, and what must be kept until it was used: a path that is too long for a socket is gone by
/// way of its folder.
fn socket(data: &Path) -> io::Result<(PathBuf, Option<std::fs::File>)> {
    let path = data.join(SOCKET_FILE);
    if path.as_os_str().len() <= MAX_SOCKET_PATH {
        return Ok((path, None));
    }
    let folder = std::fs::File::open(data)?;
    let path = format!("/proc/self/fd/{}/{SOCKET_FILE}", folder.as_raw_fd());
    Ok((path.into(), Some(folder)))
}

/// A conversation in lines.
struct Line(BufReader<UnixStream>);

impl Line {
    fn of(stream: UnixStream) -> Self {
        Self(BufReader::with_capacity(MAX_LINE, stream))
    }

    async fn say(&mut self, text: &str) -> io::Result<()> {
        self.0.write_all(format!("{text}\n").as_bytes()).await
    }

    /// The next line; an error if the other end has gone.
    async fn hear(&mut self) -> io::Result<String> {
        let mut line = String::new();
        match self.0.read_line(&mut line).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(line.trim_end().to_owned()),
        }
    }

    /// Hears this and nothing else.
    async fn hear_only(&mut self, expected: &str) -> io::Result<()> {
        match self.hear().await? {
            heard if heard == expected => Ok(()),
            heard => Err(io::Error::other(format!("the other process said `{heard}` instead of `{expected}`"))),
        }
    }
}
