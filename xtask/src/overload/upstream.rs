//! An upstream with an end to what it bears: so many calls at once, each for so long; further ones wait their turn.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// Connections that may wait to be taken in.
const BACKLOG: i32 = 4_096;
/// What it answers.
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// A running upstream. Its threads end with the connections of whoever calls it.
pub(super) struct Upstream(SocketAddr);

struct Places {
    free: Mutex<usize>,
    freed: Condvar,
    each: Duration,
}

impl Upstream {
    pub(super) fn start(at_once: usize, each: Duration) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        // All that the slow ones open at once.
        rustix::net::listen(&listener, BACKLOG)?;
        let address = listener.local_addr()?;
        let places = Arc::new(Places { free: Mutex::new(at_once), freed: Condvar::new(), each });
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let places = places.clone();
                thread::spawn(move || serve(stream, &places));
            }
        });
        Ok(Self(address))
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.0
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.0)
    }
}

/// Answers requests one after the other, each when all of it has come.
fn serve(mut stream: TcpStream, places: &Places) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut piece, mut begun) = ([0; 8_192], Vec::new());
    loop {
        match stream.read(&mut piece)? {
            0 => return Ok(()),
            len => begun.extend_from_slice(&piece[..len]),
        }
        let Some(end) = begun.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&begun[..end]).to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
        // Nobody sends the next request before the answer to this one.
        if begun.len() >= end + 4 + length.unwrap_or(0) {
            begun.clear();
            places.take();
            stream.write_all(ANSWER)?;
        }
    }
}

impl Places {
    fn take(&self) {
        if self.each.is_zero() {
            return;
        }
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        while *free == 0 {
            free = self.freed.wait(free).unwrap_or_else(PoisonError::into_inner);
        }
        *free -= 1;
        drop(free);
        thread::sleep(self.each);
        *self.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.freed.notify_one();
    }
}
