//! A scripted server, and runs of the command line in a world of the test's making.

use std::io::{BufRead, BufReader, Cursor, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use clap::Parser;
use keystile_core::time::{Moment, Ticks};
use serde_json::Value;

use super::super::*;

pub(super) const MANAGEMENT_KEY: &str = "ks_live_ManagementKeyOfTheTestsKSTL000000";

#[derive(Debug, Parser)]
#[command(name = "keystile")]
pub(super) struct Main {
    #[command(flatten)]
    pub(super) client: Client,
}

/// A request that the scripted server saw.
#[derive(Debug, Clone)]
pub(in crate::cli) struct Seen {
    pub(in crate::cli) method: String,
    pub(in crate::cli) target: String,
    pub(in crate::cli) headers: String,
    pub(in crate::cli) body: Vec<u8>,
}

impl Seen {
    pub(in crate::cli) fn line(&self) -> String {
        format!("{} {}", self.method, self.target)
    }

    pub(in crate::cli) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }
}

type Script = dyn Fn(&Seen) -> (u16, String) + Send + Sync;

/// A server that answers as scripted, and remembers what it was asked.
pub(in crate::cli) struct Stub {
    pub(in crate::cli) url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    connections: Arc<AtomicUsize>,
}

impl Stub {
    pub(in crate::cli) fn new(script: impl Fn(&Seen) -> (u16, String) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (seen, connections) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicUsize::new(0)));
        let script: Arc<Script> = Arc::new(script);
        let (log, count) = (Arc::clone(&seen), Arc::clone(&connections));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                count.fetch_add(1, Ordering::SeqCst);
                let (script, log) = (Arc::clone(&script), Arc::clone(&log));
                std::thread::spawn(move || serve(stream.unwrap(), &*script, &log));
            }
        });
        Self { url, seen, connections }
    }

    pub(in crate::cli) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub(in crate::cli) fn lines(&self) -> Vec<String> {
        self.seen().iter().map(Seen::line).collect()
    }

    pub(in crate::cli) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

fn serve(stream: TcpStream, script: &Script, log: &Mutex<Vec<Seen>>) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).unwrap_or(0) == 0 {
                return;
            }
        }
        let (first, headers) = head.split_once("\r\n").unwrap();
        let mut words = first.split(' ').map(str::to_owned);
        let (method, target) = (words.next().unwrap(), words.next().unwrap());
        let headers = headers.to_ascii_lowercase();
        let length =
            headers.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |n| n.parse().unwrap());
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let seen = Seen { method, target, headers, body };
        log.lock().unwrap().push(seen.clone());
        let (status, answer) = script(&seen);
        let extra = if status == 429 { "retry-after: 7\r\n" } else { "" };
        let extra = if status == 307 { "location: http://127.0.0.1:9/\r\n" } else { extra };
        let head = format!("HTTP/1.1 {status} X\r\n{extra}content-length: {}\r\n\r\n", answer.len());
        let stream = reader.get_mut();
        if stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(answer.as_bytes())).is_err() {
            return;
        }
    }
}

#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Paper {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

pub(in crate::cli) struct Closed;

impl Write for Closed {
    fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
        Err(std::io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What a run said, and how it ended.
#[derive(Debug, PartialEq)]
pub(in crate::cli) struct Ran {
    pub(in crate::cli) exit: Exit,
    pub(in crate::cli) out: String,
    pub(in crate::cli) err: String,
}

/// A run of the command line in a world of the test's making.
pub(in crate::cli) struct Run<'a> {
    pub(in crate::cli) env: Vec<(&'a str, &'a str)>,
    input: &'a [u8],
    terminal: Terminal,
    pub(in crate::cli) out: Option<Box<dyn Write + Send>>,
}

impl<'a> Run<'a> {
    pub(in crate::cli) fn at(stub: &'a Stub) -> Self {
        let env = vec![
            ("KEYSTILE_URL", stub.url.as_str()),
            ("KEYSTILE_CHECK_URL", &stub.url),
            ("KEYSTILE_MANAGEMENT_KEY", MANAGEMENT_KEY),
        ];
        Self { env, input: b"", terminal: Terminal::default(), out: None }
    }

    pub(in crate::cli) fn with_input(mut self, input: &'a [u8]) -> Self {
        self.input = input;
        self
    }

    pub(in crate::cli) fn on_a_terminal(mut self) -> Self {
        self.terminal = Terminal { out: false, err: true, input: true };
        self
    }

    pub(in crate::cli) fn run(self, args: &[&str]) -> Ran {
        let main =
            Main::try_parse_from(std::iter::once(&"keystile").chain(args)).unwrap_or_else(|e| panic!("{args:?}: {e}"));
        let (out, err) = (Paper::default(), Paper::default());
        let ticks = AtomicUsize::new(0);
        let clock = || Moment {
            wall: "2027-01-08T00:00:00Z".parse().unwrap(),
            ticks: Ticks::from_nanos(ticks.fetch_add(1_000_000_000, Ordering::SeqCst) as u64),
        };
        let env = |name: &str| self.env.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        let writer = self.out.unwrap_or_else(|| Box::new(out.clone()));
        let world = World {
            clock: &clock,
            env: &env,
            input: Box::new(Cursor::new(self.input.to_vec())),
            screen: Screen::new(writer, Box::new(err.clone()), self.terminal),
        };
        let exit = run_in(world, main.client);
        let ran = Ran { exit, out: out.text(), err: err.text() };
        assert!(!ran.err.contains(MANAGEMENT_KEY) && !ran.out.contains(MANAGEMENT_KEY), "{ran:?}");
        ran
    }
}
