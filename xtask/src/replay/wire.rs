//! A client that sends what it is told: HTTP/1.1 on a kept connection, with targets that no library would send.
//!
//! Answers are read strictly, because bytes left over or missing would be a fault of the gateway. Requests have no
//! bodies; TLS and pipelining are left out.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longer than the gateway's own upstream timeout, so that its answer is seen instead.
const TIMEOUT: Duration = Duration::from_secs(70);

/// A head larger than this is not one.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// One call, as it goes onto the wire.
pub(super) struct Call<'a> {
    /// The method.
    pub method: &'a str,
    /// The target, byte for byte.
    pub target: &'a [u8],
    /// The text of the key.
    pub key: &'a str,
    /// The user agent, if there is one.
    pub user_agent: Option<&'a str>,
    /// The status that the echo upstream shall answer with.
    pub echo_status: u16,
}

/// A connection that opens itself again when it was closed between two calls.
pub(super) struct Connection {
    address: SocketAddr,
    host: String,
    stream: Option<TcpStream>,
    request: Vec<u8>,
    answer: Vec<u8>,
    /// How often a kept connection turned out to be closed, and the call was sent again on a new one.
    pub resent: u64,
}

/// How an exchange failed.
enum Failure {
    /// The kept connection was closed before a byte of the answer came.
    Closed,
    Other(io::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Other(error)
    }
}

impl Connection {
    /// To this address, with this text in `Host`.
    pub(super) fn new(address: SocketAddr, host: String) -> Self {
        Self { address, host, stream: None, request: Vec::new(), answer: Vec::new(), resent: 0 }
    }

    /// Makes the call and returns the status of its answer.
    ///
    /// # Errors
    /// If there is no answer, or one that breaks HTTP.
    pub(super) fn call(&mut self, call: &Call<'_>) -> io::Result<u16> {
        self.write(call);
        let was_open = self.stream.is_some();
        match self.exchange(call.method) {
            Ok(status) => Ok(status),
            Err(Failure::Closed) if was_open => {
                self.resent += 1;
                match self.exchange(call.method) {
                    Ok(status) => Ok(status),
                    Err(Failure::Closed) => Err(self.fail("closed without an answer, twice")),
                    Err(Failure::Other(error)) => Err(self.drop_after(error)),
                }
            }
            Err(Failure::Closed) => Err(self.fail("closed without an answer")),
            Err(Failure::Other(error)) => Err(self.drop_after(error)),
        }
    }

    fn write(&mut self, call: &Call<'_>) {
        let out = &mut self.request;
        out.clear();
        out.extend_from_slice(call.method.as_bytes());
        out.push(b' ');
        out.extend_from_slice(call.target);
        out.extend_from_slice(b" HTTP/1.1\r\nHost: ");
        out.extend_from_slice(self.host.as_bytes());
        out.extend_from_slice(b"\r\nX-Api-Key: ");
        out.extend_from_slice(call.key.as_bytes());
        if let Some(user_agent) = call.user_agent {
            out.extend_from_slice(b"\r\nUser-Agent: ");
            out.extend_from_slice(user_agent.as_bytes());
        }
        out.extend_from_slice(format!("\r\nX-Keystile-Echo-Status: {}\r\n", call.echo_status).as_bytes());
        if !matches!(call.method, "GET" | "HEAD" | "DELETE" | "OPTIONS") {
            out.extend_from_slice(b"Content-Length: 0\r\n");
        }
        out.extend_from_slice(b"\r\n");
    }

    fn exchange(&mut self, method: &str) -> Result<u16, Failure> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            none => none.insert(open(self.address)?),
        };
        if stream.write_all(&self.request).is_err() {
            self.stream = None;
            return Err(Failure::Closed);
        }
        self.answer.clear();
        loop {
            let head = read_head(stream, &mut self.answer)?;
            let Some((head_bytes, head)) = head else {
                self.stream = None;
                return Err(Failure::Closed);
            };
            self.answer.drain(..head_bytes);
            if head.status < 200 {
                continue;
            }
            let bodiless = method == "HEAD" || matches!(head.status, 204 | 304);
            let keeps = match head.framing {
                _ if bodiless => true,
                Framing::Length(length) => {
                    fill(stream, &mut self.answer, length)?;
                    self.answer.drain(..length);
                    true
                }
                Framing::Chunked => {
                    skip_chunks(stream, &mut self.answer)?;
                    true
                }
                Framing::UntilClose => {
                    stream.read_to_end(&mut self.answer)?;
                    self.answer.clear();
                    false
                }
            };
            if !self.answer.is_empty() {
                return Err(Failure::Other(broken("bytes follow the answer")));
            }
            if head.close || !keeps {
                self.stream = None;
            }
            return Ok(head.status);
        }
    }

    fn fail(&mut self, what: &'static str) -> io::Error {
        self.drop_after(io::Error::new(io::ErrorKind::UnexpectedEof, what))
    }

    /// After a failure nothing is known about what the connection still holds.
    fn drop_after(&mut self, error: io::Error) -> io::Error {
        self.stream = None;
        error
    }
}

fn open(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    Ok(stream)
}

fn broken(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// How long the body is.
#[derive(Debug, PartialEq, Eq)]
enum Framing {
    Length(usize),
    Chunked,
    UntilClose,
}

#[derive(Debug, PartialEq, Eq)]
struct Head {
    status: u16,
    framing: Framing,
    close: bool,
}

/// Reads more; `false` at the end.
fn more(stream: &mut impl io::Read, buffer: &mut Vec<u8>) -> io::Result<bool> {
    let mut piece = [0; 8 * 1024];
    let read = stream.read(&mut piece)?;
    buffer.extend_from_slice(&piece[..read]);
    Ok(read > 0)
}

fn fill(stream: &mut impl io::Read, buffer: &mut Vec<u8>, bytes: usize) -> io::Result<()> {
    while buffer.len() < bytes {
        if !more(stream, buffer)? {
            return Err(broken("the answer breaks off"));
        }
    }
    Ok(())
}

/// The head and its length, or nothing if the connection ended before it began.
fn read_head(stream: &mut impl io::Read, buffer: &mut Vec<u8>) -> io::Result<Option<(usize, Head)>> {
    loop {
        if let Some(at) = find(buffer, b"\r\n\r\n") {
            return Ok(Some((at + 4, head(&buffer[..at])?)));
        }
        if buffer.len() > MAX_HEAD_BYTES {
            return Err(broken("the head of the answer has no end"));
        }
        match more(stream, buffer) {
            Ok(true) => {}
            Ok(false) if buffer.is_empty() => return Ok(None),
            Err(error) if buffer.is_empty() && error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
            Ok(false) => return Err(broken("the head of the answer breaks off")),
            Err(error) => return Err(error),
        }
    }
}

fn find(text: &[u8], mark: &[u8]) -> Option<usize> {
    text.windows(mark.len()).position(|window| window == mark)
}

fn head(raw: &[u8]) -> io::Result<Head> {
    let text = std::str::from_utf8(raw).map_err(|_| broken("the head of the answer is not ASCII"))?;
    let mut lines = text.split("\r\n");
    let first = lines.next().unwrap_or_default();
    let status = first.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)).and_then(|status| status.parse().ok());
    let mut head = Head { status: status.ok_or(broken("no status line"))?, framing: Framing::UntilClose, close: false };
    for line in lines {
        let (name, value) = line.split_once(':').ok_or(broken("a header field without a colon"))?;
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "content-length" if head.framing == Framing::UntilClose => {
                head.framing = Framing::Length(value.parse().map_err(|_| broken("a bad Content-Length"))?);
            }
            "transfer-encoding" if head.framing == Framing::UntilClose && value.eq_ignore_ascii_case("chunked") => {
                head.framing = Framing::Chunked;
            }
            "content-length" | "transfer-encoding" => return Err(broken("two framings in one answer")),
            "connection" => head.close = value.eq_ignore_ascii_case("close"),
            _ => {}
        }
    }
    Ok(head)
}

fn skip_chunks(stream: &mut impl io::Read, buffer: &mut Vec<u8>) -> io::Result<()> {
    loop {
        let line = read_line(stream, buffer)?;
        let digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
        let digits = std::str::from_utf8(digits).map_err(|_| broken("a bad chunk size"))?;
        let size = usize::from_str_radix(digits.trim(), 16).map_err(|_| broken("a bad chunk size"))?;
        if size == 0 {
            // Trailer fields, up to an empty line.
            while !read_line(stream, buffer)?.is_empty() {}
            return Ok(());
        }
        fill(stream, buffer, size + 2)?;
        if !buffer[size..].starts_with(b"\r\n") {
            return Err(broken("a chunk is longer than it says"));
        }
        buffer.drain(..size + 2);
    }
}

fn read_line(stream: &mut impl io::Read, buffer: &mut Vec<u8>) -> io::Result<Vec<u8>> {
    loop {
        if let Some(at) = find(buffer, b"\r\n") {
            let line = buffer[..at].to_vec();
            buffer.drain(..at + 2);
            return Ok(line);
        }
        if buffer.len() > MAX_HEAD_BYTES || !more(stream, buffer)? {
            return Err(broken("a chunk breaks off"));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// A server that answers each request with the next of these texts, and closes after those marked so. It returns
    /// the request lines it saw.
    fn scripted(answers: Vec<(&'static str, bool)>) -> (SocketAddr, thread::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let served = thread::spawn(move || {
            let mut seen = Vec::new();
            let mut answers = answers.into_iter().peekable();
            while answers.peek().is_some() {
                let (stream, _) = listener.accept().expect("a connection");
                let mut reader = BufReader::new(stream.try_clone().expect("a clone"));
                let mut stream = stream;
                loop {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") && reader.read_until(b'\n', &mut head).expect("a line") > 0 {}
                    if head.is_empty() {
                        break;
                    }
                    let Some((answer, close)) = answers.next() else { break };
                    seen.push(String::from_utf8_lossy(&head).into_owned());
                    stream.write_all(answer.as_bytes()).expect("written");
                    if close {
                        break;
                    }
                }
            }
            seen
        });
        (address, served)
    }

    fn call(method: &'static str) -> Call<'static> {
        Call { method, target: b"/../\"<\xff", key: "ks", user_agent: Some("UA"), echo_status: 404 }
    }

    #[test]
    fn every_framing_is_read_to_its_end_and_the_request_is_sent_byte_for_byte() {
        let (address, served) = scripted(vec![
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", false),
            ("HTTP/1.1 404 X\r\nTransfer-Encoding: chunked\r\n\r\n3;x\r\nabc\r\n0\r\nT: v\r\n\r\n", false),
            ("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n", false),
            ("HTTP/1.1 304 X\r\n\r\n", false),
            ("HTTP/1.1 100 C\r\n\r\nHTTP/1.1 400 X\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx", true),
            ("HTTP/1.1 200 OK\r\n\r\nuntil the end", true),
            ("HTTP/1.1 204 X\r\n\r\n", false),
        ]);
        let mut connection = Connection::new(address, "h.test".into());
        let methods = ["GET", "POST", "HEAD", "GET", "PROPFIND", "GET", "DELETE"];
        let statuses: Vec<u16> = methods.iter().map(|m| connection.call(&call(m)).expect("an answer")).collect();
        assert_eq!(statuses, [200, 404, 200, 304, 400, 200, 204]);
        assert_eq!(connection.resent, 0);
        drop(connection);
        let seen = served.join().expect("the server");
        assert!(
            seen[0].starts_with("GET /../\"<\u{fffd} HTTP/1.1\r\nHost: h.test\r\nX-Api-Key: ks\r\nUser-Agent: UA\r\n")
        );
        assert!(seen[0].contains("\r\nX-Keystile-Echo-Status: 404\r\n"));
        assert!(seen[1].contains("\r\nContent-Length: 0\r\n") && !seen[0].contains("Content-Length"));
    }

    #[test]
    fn a_connection_closed_in_between_is_opened_again() {
        let (address, served) = scripted(vec![
            ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true),
            ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false),
        ]);
        let mut connection = Connection::new(address, "h.test".into());
        assert_eq!(connection.call(&call("GET")).expect("first"), 200);
        assert_eq!(connection.call(&call("GET")).expect("second"), 200);
        assert_eq!(connection.resent, 1);
        drop(connection);
        assert_eq!(served.join().expect("the server").len(), 2);
    }

    #[test]
    fn an_answer_that_breaks_http_is_an_error() {
        for answer in [
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab",
            "HTTP/1.1 304 X\r\n\r\nbody",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\na",
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n",
            "HTTP/2 200\r\n\r\n",
        ] {
            let (address, served) = scripted(vec![(answer, true)]);
            let mut connection = Connection::new(address, "h.test".into());
            assert!(connection.call(&call("GET")).is_err(), "{answer:?}");
            drop(connection);
            served.join().expect("the server");
        }
    }
}
