//! What a running process does when another one comes to take its place.

use std::convert::Infallible;
use std::fs::{self, Permissions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

use super::{BUSY, GIVE, GIVEN, GO_ON, Line, SERVING, TAKE_OVER, descriptors, socket};
use crate::process::Process;

/// How long whoever comes may take to say what it wants.
const AT_ONCE: Duration = Duration::from_secs(5);
/// How long a successor may take to read its settings.
const PREPARING: Duration = Duration::from_secs(30);
/// How long it may take to open the store and to fill its snapshot. Calls are answered meanwhile, changes wait.
const OPENING: Duration = Duration::from_secs(120);
/// How often the folder is tried to be taken again, if a successor that failed still has it.
const TRY_AGAIN: Duration = Duration::from_millis(200);

/// Where successors come in.
pub(crate) struct Successors(UnixListener);

/// A process that takes this one's place.
pub(crate) struct Successor {
    line: Line,
    /// Its number, as the system says.
    pub(crate) pid: Option<i32>,
}

impl Successors {
    /// Waits for them in the data folder, which this process owns.
    ///
    /// # Errors
    /// If there can be no socket.
    pub(crate) fn listen(data: &Path) -> io::Result<Self> {
        let (path, _folder) = socket(data)?;
        // The last owner's.
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let listener = UnixListener::bind(&path)?;
        fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        Ok(Self(listener))
    }

    /// Tells whoever comes that this one is taking over at the moment. It has no end.
    pub(crate) async fn turn_away(&self, for_whom: Option<i32>) -> Infallible {
        loop {
            let mut late = self.next().await;
            tracing::warn!(pid = late.pid, "another process came while one is taking over; it was turned away");
            let number = for_whom.map(|pid| pid.to_string()).unwrap_or_default();
            let _ = late.line.say(&format!("{BUSY} {number}")).await;
        }
    }

    /// The next one that says that it wants to take over.
    pub(crate) async fn next(&self) -> Successor {
        loop {
            match self.0.accept().await {
                Ok((stream, _)) => match timeout(AT_ONCE, Successor::greet(stream)).await {
                    Ok(Ok(successor)) => return successor,
                    Ok(Err(_)) | Err(_) => {
                        tracing::warn!("somebody came to the data folder's socket and wanted nothing")
                    }
                },
                Err(error) => {
                    tracing::warn!(%error, "a successor could not be let in");
                    tokio::time::sleep(AT_ONCE).await;
                }
            }
        }
    }
}

impl Successor {
    async fn greet(stream: UnixStream) -> io::Result<Self> {
        let pid = stream.peer_cred()?.pid();
        let mut line = Line::of(stream);
        line.hear_only(TAKE_OVER).await?;
        Ok(Self { line, pid })
    }

    /// Gives it the place. When this returns, it serves and `process` lets nobody in any more.
    ///
    /// # Errors
    /// If it did not come to serve; then `process` has its place as before.
    pub(crate) async fn install(&mut self, process: &Process) -> io::Result<()> {
        let listeners = process.listeners()?;
        let names: Vec<&str> = listeners.iter().map(|(name, _)| name.as_str()).collect();
        let given: Vec<_> = listeners.iter().map(|(_, listener)| listener.as_fd()).collect();
        descriptors::send(self.line.0.get_ref(), &names.join(" "), &given).await?;
        drop(listeners);
        timeout(PREPARING, self.line.hear_only(GIVE)).await??;
        process.without_changes(self.give(process)).await
    }

    /// Gives it the folder and waits until it serves.
    async fn give(&mut self, process: &Process) -> io::Result<()> {
        if let Err(error) = process.pause().await {
            process.go_on().await;
            let _ = self.line.say(&error.to_string()).await;
            return Err(io::Error::other(error.to_string()));
        }
        let installed = async {
            self.line.say(GIVEN).await?;
            timeout(OPENING, self.line.hear_only(SERVING)).await??;
            self.line.say(GO_ON).await
        };
        if let Err(error) = installed.await {
            // It may still be there, and will find out that nobody listens to it.
            let _ = tokio::io::AsyncWriteExt::shutdown(&mut self.line.0).await;
            while let Err(error) = process.take_back().await {
                tracing::warn!(%error, "the data folder can't be taken back yet");
                tokio::time::sleep(TRY_AGAIN).await;
            }
            process.go_on().await;
            return Err(error);
        }
        process.leave();
        Ok(())
    }

    /// Follows its changes until it ends, or until one can't be followed: then nothing may be answered any more.
    pub(crate) async fn follow(&mut self, process: &Process) {
        while let Ok(heard) = self.line.hear().await {
            let Some(revision) = heard.strip_prefix("revision ").and_then(|text| text.parse().ok()) else { return };
            if let Err(error) = process.catch_up(revision).await {
                tracing::error!(cause = ?error, "a change of the new process can't be read here");
                return;
            }
            if self.line.say(&format!("known {revision}")).await.is_err() {
                return;
            }
        }
    }
}

/// Starts the program anew, as this process was started: it will come and take over. The file may be another one by now.
pub(crate) fn start_successor() {
    let mut arguments = std::env::args_os();
    let Some(program) = arguments.next() else { return };
    let arguments = arguments.filter(|argument| argument != "--take-over");
    let child = Command::new(&program).args(arguments).arg("--take-over").stdin(std::process::Stdio::null()).spawn();
    match child {
        Ok(mut child) => {
            tracing::info!(pid = child.id(), "a new process was started to take over");
            std::thread::spawn(move || match child.wait() {
                Ok(status) if !status.success() => tracing::error!(%status, "the new process did not take over"),
                Ok(_) | Err(_) => {}
            });
        }
        Err(error) => tracing::error!(%error, "no new process could be started"),
    }
}
