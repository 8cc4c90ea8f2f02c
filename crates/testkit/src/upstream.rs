//! An upstream that remembers every request to the byte and answers by a script.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use crate::message::{Body, Framing, Wire, values, wrong};
use crate::{PATIENCE, eventually};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// A request as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// Its head, from the first byte to the empty line.
    pub head: Vec<u8>,
    /// Its method.
    pub method: String,
    /// Its target.
    pub target: String,
    /// Its fields, in their order and as they were written.
    pub fields: Vec<(String, String)>,
    /// What came of its body, without its framing.
    pub body: Vec<u8>,
    /// Whether all of the body has come.
    pub complete: bool,
    /// Which of the upstream's connections it came on, from 0.
    pub connection: usize,
}

impl Recorded {
    /// The first value of a field.
    pub fn field(&self, name: &str) -> Option<&str> {
        values(&self.fields, name).first().copied()
    }

    /// Every value of a field.
    pub fn all(&self, name: &str) -> Vec<&str> {
        values(&self.fields, name)
    }

    /// Everything that came, head and body.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&[&*self.head, &*self.body].concat()).into_owned()
    }
}

/// One thing that the upstream does for a request. After the last one, what is left of the body is read and the next
/// request of the connection is waited for.
#[derive(Debug, Clone)]
pub enum Step {
    /// Reads the body to its end.
    ReadBody,
    /// Sends every piece of the body back as a chunk, as it comes, and the last chunk.
    EchoBody,
    /// Writes bytes.
    Send(Vec<u8>),
    /// Rests.
    Pause(Duration),
    /// Waits until the test calls [`Upstream::open_gate`] once more.
    Gate,
    /// Sends back what comes, as it comes, until the other end closes.
    Echo,
    /// Does nothing until the other end closes.
    UntilClosed,
    /// Closes the connection.
    Close,
}

/// A listening upstream. Its threads end with it.
#[derive(Debug)]
pub struct Upstream {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    script: Vec<Step>,
    next: VecDeque<Vec<Step>>,
    requests: Vec<Recorded>,
    faults: Vec<String>,
    streams: Vec<Option<TcpStream>>,
    passes: usize,
    stopped: bool,
}

impl Upstream {
    /// Starts one that answers `200` with `ok`.
    ///
    /// # Panics
    /// If there is no free port.
    pub fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("there is a free port");
        let address = listener.local_addr().expect("it is bound");
        let upstream = Self { address, shared: Arc::default() };
        upstream.answer_with(OK);
        let shared = upstream.shared.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let number = {
                    let mut state = shared.lock();
                    if state.stopped {
                        return;
                    }
                    state.streams.push(stream.try_clone().ok());
                    state.streams.len() - 1
                };
                let shared = shared.clone();
                std::thread::spawn(move || shared.carry(stream, number));
            }
        });
        upstream
    }

    /// Its URL, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on every request is read to its end and answered with these bytes.
    pub fn answer_with(&self, bytes: impl Into<Vec<u8>>) {
        self.script([Step::ReadBody, Step::Send(bytes.into())]);
    }

    /// From now on every request is treated like this, from the end of its head on.
    pub fn script(&self, steps: impl Into<Vec<Step>>) {
        self.shared.lock().script = steps.into();
    }

    /// One further request is treated like this, before the script that holds for all.
    pub fn script_once(&self, steps: impl Into<Vec<Step>>) {
        self.shared.lock().next.push_back(steps.into());
    }

    /// Lets one [`Step::Gate`] pass.
    pub fn open_gate(&self) {
        self.shared.lock().passes += 1;
        self.shared.changed.notify_all();
    }

    /// What has come so far.
    pub fn requests(&self) -> Vec<Recorded> {
        self.shared.lock().requests.clone()
    }

    /// What has come so far, which is then forgotten.
    pub fn take_requests(&self) -> Vec<Recorded> {
        std::mem::take(&mut self.shared.lock().requests)
    }

    /// The requests, when there are at least so many.
    ///
    /// # Panics
    /// If there are not in time.
    pub fn wait_for(&self, count: usize) -> Vec<Recorded> {
        let state = self.shared.lock();
        let waited = self.shared.changed.wait_timeout_while(state, PATIENCE, |state| state.requests.len() < count);
        let (state, _) = waited.expect("no holder panics");
        assert!(state.requests.len() >= count, "{count} requests were expected: {:?}", state.requests);
        state.requests.clone()
    }

    /// What came that is not sound HTTP/1.1, or ended before its end.
    pub fn faults(&self) -> Vec<String> {
        self.shared.lock().faults.clone()
    }

    /// The same, which is then forgotten.
    pub fn take_faults(&self) -> Vec<String> {
        std::mem::take(&mut self.shared.lock().faults)
    }

    /// Connections so far.
    pub fn connections(&self) -> usize {
        self.shared.lock().streams.len()
    }

    /// Connections that are open.
    pub fn open_connections(&self) -> usize {
        self.shared.lock().streams.iter().flatten().count()
    }

    /// Waits until every connection was closed.
    pub fn wait_until_left(&self) {
        eventually("every connection to the upstream is closed", || self.open_connections() == 0);
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        {
            let mut state = self.shared.lock();
            state.stopped = true;
            for stream in state.streams.iter().flatten() {
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
        self.shared.changed.notify_all();
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder panics")
    }

    fn carry(&self, stream: TcpStream, number: usize) {
        let _ = stream.set_nodelay(true);
        let mut wire = Wire::new(stream);
        let ended = loop {
            match self.answer(&mut wire, number) {
                Ok(true) => {}
                Ok(false) => break None,
                Err(error) => break Some(error),
            }
        };
        let _ = wire.stream.socket().shutdown(Shutdown::Both);
        let mut state = self.lock();
        state.streams[number] = None;
        if let Some(error) = ended
            && !state.stopped
        {
            state.faults.push(error.to_string());
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Reads one request and does as the script says; `false` when the connection is done.
    fn answer(&self, wire: &mut Wire, connection: usize) -> io::Result<bool> {
        let head = match wire.head() {
            Ok(Some(head)) => head,
            Ok(None) => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(false),
            Err(error) => return Err(error),
        };
        let mut words = head.first_line.split(' ');
        let (Some(method), Some(target), Some("HTTP/1.1"), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(wrong(format!("no request line: {:?}", head.first_line)));
        };
        if head.values("host").len() != 1 {
            return Err(wrong("not exactly one Host"));
        }
        let mut body = Body::new(head.framing()?.unwrap_or(Framing::Nothing));
        let recorded = Recorded {
            method: method.to_owned(),
            target: target.to_owned(),
            fields: head.fields,
            head: head.bytes,
            body: Vec::new(),
            complete: false,
            connection,
        };
        let (index, steps) = {
            let mut state = self.lock();
            state.requests.push(recorded);
            let steps = state.next.pop_front().unwrap_or_else(|| state.script.clone());
            (state.requests.len() - 1, steps)
        };
        self.changed.notify_all();
        for step in steps {
            match step {
                Step::ReadBody => while self.piece(wire, &mut body, index)?.is_some() {},
                Step::EchoBody => {
                    while let Some(piece) = self.piece(wire, &mut body, index)? {
                        let size = format!("{:x}\r\n", piece.len());
                        wire.stream.write_all(&[size.as_bytes(), &piece, b"\r\n"].concat())?;
                    }
                    wire.stream.write_all(b"0\r\n\r\n")?;
                }
                // Whoever leaves in the middle of an answer is not at fault.
                Step::Send(bytes) => match wire.stream.write_all(&bytes) {
                    Ok(()) => {}
                    Err(_) => return Ok(false),
                },
                Step::Pause(time) => std::thread::sleep(time),
                Step::Gate => {
                    let waited = self.changed.wait_while(self.lock(), |state| state.passes == 0 && !state.stopped);
                    let mut state = waited.expect("no holder panics");
                    state.passes = state.passes.saturating_sub(1);
                }
                Step::Echo => loop {
                    let bytes = std::mem::take(&mut wire.ahead);
                    if wire.stream.write_all(&bytes).is_err() || !matches!(wire.more(), Ok(true)) {
                        return Ok(false);
                    }
                },
                Step::UntilClosed => {
                    while let Ok(true) = wire.more() {}
                    return Ok(false);
                }
                Step::Close => return Ok(false),
            }
        }
        while self.piece(wire, &mut body, index)?.is_some() {}
        Ok(true)
    }

    fn piece(&self, wire: &mut Wire, body: &mut Body, index: usize) -> io::Result<Option<Vec<u8>>> {
        let piece = wire.piece(body)?;
        {
            let mut state = self.lock();
            // It may have been taken away meanwhile.
            if let Some(request) = state.requests.get_mut(index) {
                match &piece {
                    Some(bytes) => request.body.extend_from_slice(bytes),
                    None => request.complete = true,
                }
            }
        }
        self.changed.notify_all();
        Ok(piece)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raw::Client;

    const HOST: &str = "Host: a\r\n";

    #[test]
    fn requests_are_recorded_to_the_byte() {
        let upstream = Upstream::start();
        let mut client = Client::connect(upstream.address());
        let sized = format!("POST /a?b HTTP/1.1\r\n{HOST}X-Own:  1 \r\ncontent-length: 3\r\n\r\nabc");
        let chunked =
            format!("PUT / HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n");
        for request in [&sized, &chunked] {
            client.write(request).unwrap();
            assert_eq!(client.answer().unwrap().text(), "ok");
        }
        let seen = upstream.requests();
        assert_eq!(seen[0].text(), sized);
        assert_eq!((&*seen[0].method, &*seen[0].target, seen[0].field("x-own")), ("POST", "/a?b", Some("1")));
        assert_eq!((&*seen[1].body, seen[1].complete), (&b"abc"[..], true));
        assert_eq!((upstream.connections(), upstream.faults()), (1, vec![]));
    }

    #[test]
    fn what_is_not_sound_is_a_fault() {
        for request in [
            "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.0\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nName : 1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nX: 1\nY: 2\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\ncontent-length: 1\r\ncontent-length: 1\r\n\r\na",
            "GET / HTTP/1.1\r\nHost: a\r\ncontent-length: +1\r\n\r\na",
            "GET / HTTP/1.1\r\nHost: a\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\ntransfer-encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\ntransfer-encoding: chunked\r\n\r\n1;a\r\na\r\n0\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\nX: 1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\ncontent-length: 5\r\n\r\nabc",
            "GET / HTTP/1.1\r\nHost",
        ] {
            let upstream = Upstream::start();
            let mut client = Client::connect(upstream.address());
            client.write(request).unwrap();
            client.finish_writing();
            let _ = client.until_closed();
            eventually("it is a fault", || upstream.faults().len() == 1);
            assert!(!upstream.requests().iter().any(|request| request.complete), "{request:?}");
        }
    }

    #[test]
    fn a_client_takes_no_answer_that_is_not_sound() {
        let upstream = Upstream::start();
        for answer in [
            "",
            "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nab",
            "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 1\r\n\r\na",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n",
            "HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 OK\r\n\r\n",
            "HTTP/1.1 200 OK\nx: 1\n\n",
        ] {
            upstream.script([Step::ReadBody, Step::Send(answer.as_bytes().to_vec()), Step::Close]);
            let mut client = Client::connect(upstream.address());
            client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
            let got = client.answer();
            assert!(got.is_err(), "{answer:?} became {got:?}");
        }
    }
}
