//! A tap between the gateway and an upstream: bytes go through unchanged, and both directions are read. So what was sent
//! is known without asking anybody, and each answer is judged before the gateway has it.

use std::collections::HashMap;
use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use super::answer::{self, Answer};
use super::judge::{Arrival, Law};
use super::parsed::{FIELD, Parsed};
use super::reader::{self, Message, Step};

/// What is read at once.
const PIECE: usize = 32 << 10;

/// What came to one upstream.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Requests by their ids, until somebody asks.
    arrivals: Mutex<HashMap<Vec<u8>, Arrival>>,
    /// Faults of connections, where no request can be named.
    faults: Mutex<Vec<String>>,
}

impl Seen {
    /// Takes out the request of this id.
    pub(super) fn take(&self, id: &[u8]) -> Option<Arrival> {
        self.arrivals.lock().unwrap_or_else(PoisonError::into_inner).remove(id)
    }

    /// Takes out all that nobody has asked for.
    pub(super) fn rest(&self) -> (Vec<Arrival>, Vec<String>) {
        let mut arrivals = self.arrivals.lock().unwrap_or_else(PoisonError::into_inner);
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        (arrivals.drain().map(|(_, arrival)| arrival).collect(), std::mem::take(&mut faults))
    }

    fn put(&self, arrival: Arrival) {
        match arrival.sent.one("x-request-id") {
            Some(id) => {
                let id = id.to_vec();
                self.arrivals.lock().unwrap_or_else(PoisonError::into_inner).insert(id, arrival);
            }
            None => self.fault(format!("a request without an id: {}", arrival.sent.shown())),
        }
    }

    fn fault(&self, fault: String) {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).push(fault);
    }
}

/// Opens a tap before an upstream and says where.
///
/// # Errors
/// If it can't listen.
pub(super) fn open(upstream: SocketAddr, law: Arc<Law>) -> io::Result<(SocketAddr, Arc<Seen>)> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let address = listener.local_addr()?;
    let seen = Arc::new(Seen::default());
    let shared = seen.clone();
    thread::spawn(move || {
        for near in listener.incoming().flatten() {
            let Ok(far) = TcpStream::connect(upstream) else { continue };
            let connection = Arc::new(Connection {
                law: law.clone(),
                host: address.to_string(),
                seen: shared.clone(),
                sent: Mutex::default(),
            });
            let (Ok(near_again), Ok(far_again)) = (near.try_clone(), far.try_clone()) else { continue };
            let other = connection.clone();
            thread::spawn(move || connection.up(near, far));
            thread::spawn(move || other.down(far_again, near_again));
        }
    });
    Ok((address, seen))
}

struct Connection {
    law: Arc<Law>,
    host: String,
    seen: Arc<Seen>,
    sent: Mutex<Sent>,
}

/// What the gateway has sent, as far as it is not answered.
#[derive(Default)]
struct Sent {
    unread: Vec<u8>,
    messages: Vec<Message>,
    answered: usize,
}

impl Connection {
    /// From the gateway to the upstream.
    fn up(&self, mut near: TcpStream, mut far: TcpStream) {
        let _ = far.set_nodelay(true);
        let mut piece = vec![0; PIECE];
        while let Ok(len @ 1..) = near.read(&mut piece) {
            self.read_requests(&piece[..len]);
            if far.write_all(&piece[..len]).is_err() {
                break;
            }
        }
        let _ = far.shutdown(Shutdown::Write);
    }

    fn read_requests(&self, piece: &[u8]) {
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        sent.unread.extend_from_slice(piece);
        loop {
            match reader::step(&sent.unread) {
                Step::Whole(message, len) => {
                    sent.unread.drain(..len);
                    sent.messages.push(message);
                }
                Step::More => return,
                Step::Malformed(why) => {
                    self.seen
                        .fault(format!("the gateway sent what is no request ({why}): {}", sent.unread.escape_ascii()));
                    sent.unread.clear();
                    return;
                }
            }
        }
    }

    /// From the upstream to the gateway.
    fn down(&self, mut far: TcpStream, mut near: TcpStream) {
        let _ = near.set_nodelay(true);
        let mut piece = vec![0; PIECE];
        let mut unread = Vec::new();
        while let Ok(len @ 1..) = far.read(&mut piece) {
            unread.extend_from_slice(&piece[..len]);
            self.read_answers(&mut unread, false);
            if near.write_all(&piece[..len]).is_err() {
                break;
            }
        }
        self.read_answers(&mut unread, true);
        let _ = near.shutdown(Shutdown::Write);
    }

    fn read_answers(&self, unread: &mut Vec<u8>, at_end: bool) {
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        while !unread.is_empty() {
            let to_head = sent.messages.first().is_some_and(|message| message.method == b"HEAD");
            match answer::step(unread, to_head, at_end) {
                answer::Step::Whole(answer, len) => {
                    unread.drain(..len);
                    self.answered(&mut sent, &answer);
                }
                answer::Step::More => return,
                answer::Step::Broken(why) => {
                    self.seen.fault(format!("an upstream's answer: {why}: {}", unread.escape_ascii()));
                    unread.clear();
                }
            }
        }
    }

    fn answered(&self, sent: &mut Sent, answer: &Answer) {
        let parsed = answer.one(FIELD).and_then(Parsed::read);
        if sent.messages.is_empty() {
            // Whoever is told nothing more of a request that broke off may say so, but must not have taken it for one.
            if let Some(parsed) = parsed {
                self.seen.fault(format!("an upstream parsed what was not sent: {}", parsed.message.shown()));
            }
            return;
        }
        let message = sent.messages.remove(0);
        sent.answered += 1;
        let judged = match parsed {
            Some(parsed) => self.law.arrived(&message, sent.answered, &parsed, &self.host),
            None => Err(format!("the upstream refused what was sent on, with {}: {}", answer.status, message.shown())),
        };
        self.seen.put(Arrival { sent: message, fault: judged.err() });
    }
}
