//! Callers by a plan: each call has its moment, and its time counts from there, so that a server that keeps callers
//! waiting can't hide what it did not take in.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use crate::clock;

/// How long calls come before they are measured: until all connections are there.
pub(super) const WARM_UP: Duration = Duration::from_secs(2);
/// How long a caller waits for an answer.
const PATIENCE: Duration = Duration::from_secs(30);
const STACK: usize = 128 << 10;

/// Who calls, how often and for how long.
pub(super) struct Plan<'a> {
    pub(super) address: SocketAddr,
    pub(super) key: &'a str,
    /// Connections.
    pub(super) callers: usize,
    /// Calls a second of all together; `u32::MAX` is as fast as they are answered.
    pub(super) rate: u32,
    pub(super) time: Duration,
}

/// What became of the calls.
#[derive(Default)]
pub(super) struct Figures {
    /// Answered 200.
    pub(super) allowed: Times,
    /// Answered 200 while it was measured, also to calls that came before.
    pub(super) in_time: usize,
    /// Answered 429 or 503.
    pub(super) refused: Times,
    /// Answered otherwise, or not.
    pub(super) failed: usize,
}

/// How long calls took.
#[derive(Default)]
pub(super) struct Times(Vec<Duration>);

impl Times {
    pub(super) fn add(&mut self, time: Duration) {
        self.0.push(time);
    }

    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// Milliseconds that this share of them took at most; `-` if there are none.
    pub(super) fn percentile(&mut self, share: f64) -> String {
        self.0.sort_unstable();
        let last = self.0.len().saturating_sub(1);
        let at = self.0.get((last as f64 * share).round() as usize);
        at.map_or_else(|| "-".to_owned(), |time| format!("{:.1}", time.as_secs_f64() * 1_000.0))
    }
}

/// Calls until the time of the plan is over.
pub(super) fn call_by_plan(plan: &Plan<'_>) -> Figures {
    let begins = clock::now();
    let parts: Vec<Figures> = thread::scope(|scope| {
        let threads: Vec<_> = (0..plan.callers)
            .filter_map(|number| {
                let caller = thread::Builder::new().stack_size(STACK);
                caller.spawn_scoped(scope, move || call(plan, number, begins)).ok()
            })
            .collect();
        threads.into_iter().filter_map(|thread| thread.join().ok()).collect()
    });
    let mut all = Figures::default();
    for part in parts {
        all.allowed.0.extend(part.allowed.0);
        all.refused.0.extend(part.refused.0);
        all.in_time += part.in_time;
        all.failed += part.failed;
    }
    all
}

/// One caller: every so-manieth call of the plan is its own.
fn call(plan: &Plan<'_>, number: usize, begins: Instant) -> Figures {
    let mut figures = Figures::default();
    let request = format!("GET /open HTTP/1.1\r\nhost: x\r\nx-api-key: {}\r\n\r\n", plan.key);
    let mut connection = None;
    for turn in 0.. {
        let place = (turn * plan.callers + number) as f64;
        let is_planned = plan.rate != u32::MAX;
        let due = if is_planned { Duration::from_secs_f64(place / f64::from(plan.rate)) } else { begins.elapsed() };
        if due >= WARM_UP + plan.time {
            break;
        }
        thread::sleep(due.saturating_sub(begins.elapsed()));
        let answered = exchange(&mut connection, plan.address, request.as_bytes());
        if answered.is_err() {
            connection = None;
        }
        let (now, took) = (begins.elapsed(), begins.elapsed() - due);
        let is_allowed = matches!(answered, Ok(200));
        figures.in_time += usize::from(is_allowed && (WARM_UP..WARM_UP + plan.time).contains(&now));
        if due < WARM_UP {
            continue;
        }
        match answered {
            Ok(200) => figures.allowed.add(took),
            Ok(429 | 503) => figures.refused.add(took),
            Ok(_) | Err(_) => figures.failed += 1,
        }
    }
    figures
}

/// A request and the status of its answer, whose body has a length.
fn exchange(connection: &mut Option<TcpStream>, address: SocketAddr, request: &[u8]) -> io::Result<u16> {
    let stream = match connection {
        Some(stream) => stream,
        none => {
            let stream = TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            none.insert(stream)
        }
    };
    stream.write_all(request)?;
    let (mut piece, mut answer) = ([0; 4_096], Vec::new());
    loop {
        match stream.read(&mut piece)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            len => answer.extend_from_slice(&piece[..len]),
        }
        let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
        if answer.len() >= end + 4 + length.unwrap_or(0) {
            let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
            return status.ok_or_else(|| io::Error::other("no status"));
        }
    }
}
