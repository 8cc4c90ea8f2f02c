//! E-mail: the letters that people get, and their way to the mail server.
//!
//! A letter is what the reader is told ([`Letter`]); it becomes plain text and simple HTML in [`letter`], where what others typed
//! stays text. [`server`] is the server of the settings. Letters are sent aside, each a task of its own, some at a time; what fails
//! for now is tried again after pauses. They wait in memory alone: a letter leads to something that ends soon, and whoever did not
//! get one asks again.
//!
//! What a letter says, and to whom, is in no log. Where no server is set up nothing is sent; `keystile dev` writes the link into its
//! log instead.

mod letter;
mod server;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use data_encoding::BASE32_NOPAD;
use lettre::message::Mailbox;
use lettre::transport::smtp::Error as SmtpError;
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};

pub use letter::{About, Letter};
pub use server::{MailServer, NoMailServer, NotASender, NotAServer, Sender};

use crate::problem::causes;
use crate::telemetry::metrics::{Kind, Registry};
use crate::world::{Clock, Entropy, random};

/// Letters that wait or are on their way; of more, the newest are dropped and counted. Each is some kilobytes.
const MAX_WAITING: u32 = 1_000;
/// Letters that are on their way at once: mail servers take few connections from one client.
const AT_ONCE: usize = 4;
/// Pauses before a letter is tried again: a server that greets strangers with "later" takes it in some minutes, and later the link in it
/// has ended.
const PAUSES: [Duration; 4] =
    [Duration::from_secs(1), Duration::from_secs(10), Duration::from_secs(60), Duration::from_secs(300)];
/// How long the end of the process waits for letters that are on their way.
const LAST_PATIENCE: Duration = Duration::from_secs(2);
/// Bytes of the name of a letter.
const ID_LEN: usize = 15;

/// How letters are sent here.
#[derive(Clone)]
pub enum Means {
    /// By a server, from somebody.
    Server(Box<MailServer>, Sender),
    /// Not at all; their links are written into the log, for whoever tries Keystile out on their own machine.
    Log,
    /// Not at all.
    Nothing,
}

/// Sends letters.
pub struct Mailer {
    way: Way,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    room: Arc<Semaphore>,
    turns: Arc<Semaphore>,
    tally: Arc<Tally>,
}

enum Way {
    Server(Box<AsyncSmtpTransport<Tokio1Executor>>, Mailbox),
    Log,
    Nothing,
}

/// What became of letters since the start.
#[derive(Default)]
struct Tally {
    sent: AtomicU64,
    failed: AtomicU64,
    dropped: AtomicU64,
    no_server: AtomicU64,
}

impl Mailer {
    /// By these means.
    ///
    /// # Errors
    /// If what the server needs can't be read or used.
    pub fn new(means: Means, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Result<Self, NoMailServer> {
        let way = match means {
            Means::Server(server, from) => Way::Server(Box::new(server.transport()?), from.mailbox()),
            Means::Log => Way::Log,
            Means::Nothing => Way::Nothing,
        };
        let (room, turns) = (Semaphore::new(MAX_WAITING as usize), Semaphore::new(AT_ONCE));
        let (room, turns) = (Arc::new(room), Arc::new(turns));
        Ok(Self { way, clock, entropy, room, turns, tally: Arc::default() })
    }

    /// Whether letters reach somebody.
    pub const fn is_of_use(&self) -> bool {
        !matches!(self.way, Way::Nothing)
    }

    /// Sends a letter aside. Never waits.
    pub fn send(&self, letter: &Letter) {
        let kind = letter.about.kind();
        let (transport, from) = match &self.way {
            Way::Server(transport, from) => (AsyncSmtpTransport::clone(transport), from.clone()),
            Way::Log => {
                tracing::warn!(
                    link = letter.about.link(),
                    "no mail server is set up; a letter of the kind {kind} would hold this link"
                );
                return;
            }
            Way::Nothing => {
                self.tally.no_server.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(kind, "a letter could not be sent: no mail server is set up ([mail] server)");
                return;
            }
        };
        let Ok(room) = self.room.clone().try_acquire_owned() else {
            self.tally.dropped.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(kind, "a letter was dropped: too many wait already");
            return;
        };
        let message = match self.written(letter, from) {
            Ok(message) => message,
            Err(error) => {
                self.tally.failed.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(kind, cause = causes(&*error), "a letter could not be written");
                return;
            }
        };
        let (turns, tally) = (self.turns.clone(), self.tally.clone());
        tokio::spawn(carry(Carried { transport, message, kind, _room: room }, turns, tally));
    }

    fn written(&self, letter: &Letter, from: Mailbox) -> Result<Message, Box<dyn std::error::Error + Send + Sync>> {
        let micros = u64::try_from(self.clock.now().wall.as_micros()).unwrap_or_default();
        let id = BASE32_NOPAD.encode(&random::<ID_LEN>(&*self.entropy)?).to_lowercase();
        letter.message(from, UNIX_EPOCH + Duration::from_micros(micros), &id)
    }

    /// Waits a moment for letters that are on their way; those that are to be tried again are given up.
    pub async fn end(&self) {
        let _ = timeout(LAST_PATIENCE, self.turns.acquire_many(AT_ONCE as u32)).await;
        let left = u64::from(MAX_WAITING) - self.room.available_permits() as u64;
        if left > 0 {
            tracing::warn!(left, "letters that had not been sent yet are given up");
        }
    }

    /// Declares what became of letters.
    pub fn declare(&self, registry: &Registry) {
        let tally = self.tally.clone();
        let about = "Letters by what became of them: sent, failed for good, dropped because too many waited, not sent because no mail server is set up.";
        registry.family(Kind::Counter, "keystile_mail_letters_total", about, move |samples| {
            for (outcome, count) in [
                ("sent", &tally.sent),
                ("failed", &tally.failed),
                ("dropped", &tally.dropped),
                ("no_server", &tally.no_server),
            ] {
                samples.put(&[("outcome", outcome)], count.load(Ordering::Relaxed));
            }
        });
        let room = self.room.clone();
        registry.family(
            Kind::Gauge,
            "keystile_mail_waiting",
            "Letters that wait or are on their way.",
            move |samples| {
                samples.put(&[], u64::from(MAX_WAITING) - room.available_permits() as u64);
            },
        );
    }
}

/// A letter on its way.
struct Carried {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    message: Message,
    kind: &'static str,
    /// Its place among those that wait.
    _room: OwnedSemaphorePermit,
}

async fn carry(letter: Carried, turns: Arc<Semaphore>, tally: Arc<Tally>) {
    let kind = letter.kind;
    let mut pauses = PAUSES.into_iter();
    loop {
        let sent = {
            let Ok(_turn) = turns.acquire().await else { return };
            letter.transport.send(letter.message.clone()).await
        };
        let error = match sent {
            Ok(_) => {
                tally.sent.fetch_add(1, Ordering::Relaxed);
                return;
            }
            Err(error) => error,
        };
        let Some(pause) = pauses.next().filter(|_| !error.is_permanent()) else {
            tally.failed.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(kind, why = told(&error), "a letter could not be sent, and is given up");
            return;
        };
        tracing::info!(
            kind,
            why = told(&error),
            "a letter could not be sent; it is tried again in {} s",
            pause.as_secs()
        );
        sleep(pause).await;
    }
}

/// What went wrong, without what the server said: that can hold the address, and whatever the server makes of it.
fn told(error: &SmtpError) -> String {
    match error.status() {
        Some(code) => format!("the mail server answered {code}"),
        None if error.is_timeout() => "the mail server took too long".to_owned(),
        None if error.is_tls() => causes(error),
        None if error.is_client() || error.is_response() => "the mail server was not understood".to_owned(),
        None => causes(error),
    }
}
