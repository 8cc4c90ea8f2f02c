//! A client that sends a case and hears all that comes back.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use super::answer::{self, Answer};
use super::reader::{Reading, Step};

/// How long the gateway may say nothing where it owes an answer, or the end of the connection.
const PATIENCE: Duration = Duration::from_secs(8);
/// How long it has to close by itself where our reader sees no request. It may wait for more, where it reads by lines.
const A_MOMENT: Duration = Duration::from_millis(40);
/// Between pieces that shall come one by one.
const PAUSE: Duration = Duration::from_millis(1);

/// What came back.
#[derive(Debug)]
pub(super) struct Heard {
    /// The answers.
    pub answers: Vec<Answer>,
    /// What is wrong with the bytes that came, or with their not coming.
    pub fault: Option<String>,
}

/// Sends the bytes in pieces, hears the answers, and the end.
///
/// # Errors
/// If there is no connection.
pub(super) fn send(
    gateway: SocketAddr,
    bytes: &[u8],
    cuts: &[usize],
    slowly: bool,
    reading: &Reading,
) -> io::Result<Heard> {
    let mut stream = TcpStream::connect(gateway)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut from = 0;
    for end in cuts.iter().copied().chain([bytes.len()]) {
        // Who was refused already may not be able to go on; the answer is what counts.
        if stream.write_all(&bytes[from..end]).is_err() {
            break;
        }
        from = end;
        if slowly {
            thread::sleep(PAUSE);
        }
    }
    let mut hearing = Hearing { reading, answers: Vec::new(), unread: Vec::new() };
    let fault = hearing.hear(&mut stream).err();
    Ok(Heard { answers: hearing.answers, fault })
}

struct Hearing<'a> {
    reading: &'a Reading,
    answers: Vec<Answer>,
    unread: Vec<u8>,
}

impl Hearing<'_> {
    /// Hears all, to the end of the connection.
    fn hear(&mut self, stream: &mut TcpStream) -> Result<(), String> {
        let mut piece = [0; 8 << 10];
        let mut is_told = false;
        loop {
            // Where nothing more is owed, the gateway is told that nothing more comes.
            if !is_told && self.owed() == 0 {
                if matches!(self.reading.end, Step::Malformed(_)) {
                    let _ = stream.set_read_timeout(Some(A_MOMENT));
                } else {
                    is_told = true;
                    let _ = stream.shutdown(Shutdown::Write);
                }
            }
            match stream.read(&mut piece) {
                Ok(len @ 1..) => {
                    self.unread.extend_from_slice(&piece[..len]);
                    self.read_answers(false)?;
                }
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    if is_told || self.owed() > 0 {
                        return Err(format!("the gateway neither answers nor closes; it owes {} answers", self.owed()));
                    }
                    is_told = true;
                    let _ = stream.shutdown(Shutdown::Write);
                    let _ = stream.set_read_timeout(Some(PATIENCE));
                }
                // A reset ends a connection like any other end.
                Ok(_) | Err(_) => return self.read_answers(true),
            }
        }
    }

    fn owed(&self) -> usize {
        self.reading.messages.len().saturating_sub(self.answers.len())
    }

    fn read_answers(&mut self, at_end: bool) -> Result<(), String> {
        let is_head = |index: usize| self.reading.messages.get(index).is_some_and(|asked| asked.method == b"HEAD");
        loop {
            let count = self.answers.len();
            // A HEAD of which nothing could be believed is refused like any request, with a body, and then it ends.
            if self.unread.first() == Some(&b'{') && count > 0 && is_head(count - 1) {
                return Ok(());
            }
            match answer::step(&self.unread, is_head(count), at_end) {
                answer::Step::Whole(answer, len) => {
                    self.unread.drain(..len);
                    self.answers.push(answer);
                }
                answer::Step::More => return Ok(()),
                answer::Step::Broken(why) => return Err(format!("{why}: {}", self.unread.escape_ascii())),
            }
        }
    }
}
