//! What a process does that takes the place of a running one.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use keystile_server::enforce::feed::Follower;
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::{BUSY, GIVE, GIVEN, GO_ON, Line, SERVING, TAKE_OVER, descriptors, socket};

/// How long the running process may take to answer what costs nothing.
const AT_ONCE: Duration = Duration::from_secs(5);
/// How long it may take to finish the changes that it is making, to write its counts and to save its keys.
const GIVING: Duration = Duration::from_secs(90);

/// The process whose place is to be taken.
pub(crate) struct Predecessor {
    line: Line,
    listeners: Vec<(String, TcpListener)>,
    changes: mpsc::Receiver<(u64, oneshot::Sender<()>)>,
}

/// Why nothing is given: another process, which has this number if that is known, came before.
fn busy(other: &str) -> io::Error {
    let number = if other.is_empty() { String::new() } else { format!(" ({other})") };
    io::Error::other(format!(
        "another process{number} is taking over at this moment; wait until it serves or has failed, then try again if this one is still to run"
    ))
}

impl Predecessor {
    /// Asks the process that owns the folder for its listeners; `None` if none does.
    ///
    /// # Errors
    /// If it does not give them.
    pub(crate) async fn ask(data: &Path) -> io::Result<Option<(Self, Follower)>> {
        let (path, _folder) = match socket(data) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            found => found?,
        };
        let stream = match UnixStream::connect(&path).await {
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
                return Ok(None);
            }
            connected => connected?,
        };
        let mut line = Line::of(stream);
        let asking = async {
            line.say(TAKE_OVER).await?;
            descriptors::receive(line.0.get_ref()).await
        };
        let (names, given) = timeout(AT_ONCE, asking).await?.map_err(|error| match error.kind() {
            // It ended before it looked who came.
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => busy(""),
            _ => error,
        })?;
        if let Some(other) = names.trim_end().strip_prefix(BUSY) {
            return Err(busy(other.trim_start()));
        }
        let names: Vec<&str> = names.split_whitespace().collect();
        if names.len() != given.len() {
            return Err(io::Error::other("the running process does not give its listeners; is it ending?"));
        }
        let listeners = names.into_iter().map(str::to_owned).zip(given.into_iter().map(TcpListener::from)).collect();
        let (follower, changes) = mpsc::channel(1);
        Ok(Some((Self { line, listeners, changes }, follower)))
    }

    /// The listener of this name, if it is at this address. Port 0 is any.
    pub(crate) fn listener(&mut self, name: &str, wanted: SocketAddr) -> Option<TcpListener> {
        let fits = |is: SocketAddr| is.ip() == wanted.ip() && (wanted.port() == 0 || is.port() == wanted.port());
        let at =
            self.listeners.iter().position(|(of, listener)| of == name && listener.local_addr().is_ok_and(fits))?;
        Some(self.listeners.swap_remove(at).1)
    }

    /// Waits until the folder is free. From here on it takes no change in.
    ///
    /// # Errors
    /// If it can't let go, and why; then it goes on as if nothing had been.
    pub(crate) async fn give(&mut self) -> io::Result<()> {
        self.line.say(GIVE).await?;
        match timeout(GIVING, self.line.hear()).await?? {
            heard if heard == GIVEN => Ok(()),
            why => Err(io::Error::other(format!("the running process keeps its place: {why}"))),
        }
    }

    /// Says that this process serves; from then on the other one hears of every change until its last client has left.
    ///
    /// # Errors
    /// If it has taken its place back meanwhile. Then this one must end.
    pub(crate) async fn serving(mut self) -> io::Result<()> {
        self.line.say(SERVING).await?;
        timeout(AT_ONCE, self.line.hear_only(GO_ON)).await??;
        tokio::spawn(self.lead());
        Ok(())
    }

    /// Tells it of changes until it has ended. Where it does not follow, the conversation ends, and with it the other
    /// process.
    async fn lead(mut self) {
        loop {
            let (revision, done) = tokio::select! {
                change = self.changes.recv() => match change {
                    Some(change) => change,
                    None => return,
                },
                // It has nothing to say of its own accord: it has ended.
                _ = self.line.hear() => return,
            };
            if self.line.say(&format!("revision {revision}")).await.is_err() {
                return;
            }
            let known = format!("known {revision}");
            let heard = tokio::select! {
                heard = self.line.hear_only(&known) => heard,
                // Whoever waits for it has stopped waiting.
                None = self.changes.recv() => return,
            };
            if heard.is_err() {
                return;
            }
            let _ = done.send(());
        }
    }
}
