//! Sends the lines of a log: in the order of the file, each client's calls on one connection.

use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::Duration;

use indicatif::ProgressBar;

use super::expected::echoed;
use super::log::{Line, Log};
use super::stage::Caller;
use super::wire::{Call, Connection};
use crate::clock;

/// Lines that wait for their connection; enough to keep it busy, few enough to keep the order of the file.
const AHEAD: usize = 16;

/// What came of the calls.
#[derive(Debug)]
pub(super) struct Outcome {
    /// The status of each line, or what went wrong, in the order of the log.
    pub of_line: Vec<Result<u16, String>>,
    /// Calls sent again because a kept connection was closed.
    pub resent: u64,
    /// How long it took.
    pub took: Duration,
}

/// How fast and how wide.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// Log time is divided by this; `None`: as fast as possible.
    pub speed: Option<f64>,
    /// The connections that the clients share.
    pub connections: usize,
}

/// Sends every line and waits for every answer.
pub(super) fn run(
    log: &Log,
    callers: &[Caller],
    address: SocketAddr,
    host: &str,
    pace: Pace,
    bar: &ProgressBar,
) -> Outcome {
    let started = clock::now();
    let mut of_line: Vec<Result<u16, String>> = Vec::new();
    of_line.resize_with(log.lines.len(), || Err("not sent".into()));
    let mut resent = 0;
    thread::scope(|scope| {
        let mut senders = Vec::new();
        let mut workers = Vec::new();
        for _ in 0..pace.connections.max(1) {
            let (sender, receiver) = sync_channel(AHEAD);
            let connection = Connection::new(address, host.to_owned());
            senders.push(sender);
            workers.push(scope.spawn(move || work(&receiver, callers, connection, bar)));
        }
        let mut due_ms = 0;
        for (index, line) in log.lines.iter().enumerate() {
            if let Some(speed) = pace.speed {
                // A log that goes back in time does not wait for it.
                due_ms = due_ms.max(line.at_ms);
                let due = Duration::from_secs_f64(due_ms as f64 / 1_000.0 / speed);
                thread::sleep(due.saturating_sub(started.elapsed()));
            }
            if senders[line.client % senders.len()].send((index, line)).is_err() {
                break;
            }
        }
        drop(senders);
        for worker in workers {
            if let Ok((results, again)) = worker.join() {
                resent += again;
                for (index, result) in results {
                    of_line[index] = result;
                }
            }
        }
    });
    Outcome { of_line, resent, took: started.elapsed() }
}

type Results = Vec<(usize, Result<u16, String>)>;

fn work(
    lines: &Receiver<(usize, &Line)>,
    callers: &[Caller],
    mut connection: Connection,
    bar: &ProgressBar,
) -> (Results, u64) {
    let mut results = Vec::new();
    for (index, line) in lines {
        let call = Call {
            method: &line.method,
            target: &line.target,
            key: &callers[line.client].key,
            user_agent: line.user_agent.as_deref(),
            echo_status: echoed(line.status),
        };
        results.push((index, connection.call(&call).map_err(|error| error.to_string())));
        bar.inc(1);
    }
    (results, connection.resent)
}
