//! Clients that say exactly the bytes they are told to.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

use crate::message::{Body, Framing, Stream, Wire, values, wrong};
use crate::tls::Tls;
use crate::{PATIENCE, now};

/// Writes bytes and reads to the end of the connection, or until nothing came for a while.
///
/// # Panics
/// If there is nobody to connect to.
pub fn send(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = connect(address);
    // The other end may refuse before it has read everything; its answer counts.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    answer
}

/// An address where nobody listens.
///
/// # Panics
/// If there is no free port.
pub fn nobody() -> SocketAddr {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("there is a free port");
    listener.local_addr().expect("it is bound")
}

/// One whole answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The fields, in their order and as they were written.
    pub fields: Vec<(String, String)>,
    /// The body, without its framing.
    pub body: Vec<u8>,
}

impl Answer {
    /// The first value of a field.
    pub fn field(&self, name: &str) -> Option<&str> {
        values(&self.fields, name).first().copied()
    }

    /// Every value of a field.
    pub fn all(&self, name: &str) -> Vec<&str> {
        values(&self.fields, name)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; `Null` if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The `code` of a problem; empty if there is none.
    pub fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }
}

/// A connection that is kept.
#[derive(Debug)]
pub struct Client {
    wire: Wire,
}

impl Client {
    /// Connects.
    ///
    /// # Panics
    /// If there is nobody to connect to.
    pub fn connect(address: SocketAddr) -> Self {
        Self { wire: Wire::new(connect(address)) }
    }

    /// Connects with TLS, asking for the server of a name.
    ///
    /// # Errors
    /// If the handshake fails. With TLS 1.3 a server refuses a client's certificate only afterwards.
    ///
    /// # Panics
    /// If there is nobody to connect to.
    pub fn connect_tls(address: SocketAddr, tls: &Tls, name: &str) -> io::Result<Self> {
        Ok(Self { wire: Wire::new(tls.shake(connect(address), name)?) })
    }

    /// Whether an earlier session was taken up again.
    pub fn is_resumed(&self) -> bool {
        match &self.wire.stream {
            Stream::Clear(_) => false,
            Stream::Tls(stream) => stream.conn.handshake_kind() == Some(rustls::HandshakeKind::Resumed),
        }
    }

    /// The certificate that the server showed; `None` in clear.
    pub fn server_certificate(&self) -> Option<Vec<u8>> {
        match &self.wire.stream {
            Stream::Clear(_) => None,
            Stream::Tls(stream) => stream.conn.peer_certificates()?.first().map(|certificate| certificate.to_vec()),
        }
    }

    /// Writes bytes.
    ///
    /// # Errors
    /// If the other end has closed.
    pub fn write(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.wire.stream.write_all(bytes.as_ref())
    }

    /// Writes piece by piece with pauses.
    ///
    /// # Errors
    /// If the other end has closed.
    pub fn write_in_pieces(&mut self, pieces: &[&[u8]], pause: Duration) -> io::Result<()> {
        for piece in pieces {
            self.write(piece)?;
            std::thread::sleep(pause);
        }
        Ok(())
    }

    /// Reads one answer by its framing, strictly. An interim answer (`100 Continue`) is one of its own.
    ///
    /// # Errors
    /// If it is not sound HTTP/1.1, or ends before its end, or does not come.
    pub fn answer(&mut self) -> io::Result<Answer> {
        self.answer_to("GET")
    }

    /// Reads the answer to a request with this method: the one to HEAD has no body. Of a stream of events it is the head.
    ///
    /// # Errors
    /// As [`Client::answer`].
    pub fn answer_to(&mut self, method: &str) -> io::Result<Answer> {
        let (mut answer, mut body) = self.begin_answer(method)?;
        // What has no end is not waited for.
        if answer.field("content-type") == Some("text/event-stream") {
            return Ok(answer);
        }
        while let Some(piece) = self.wire.piece(&mut body)? {
            answer.body.extend_from_slice(&piece);
        }
        Ok(answer)
    }

    /// Reads the head of an answer; its body is then read with [`Client::piece`].
    ///
    /// # Errors
    /// As [`Client::answer`].
    pub fn head(&mut self) -> io::Result<(Answer, Reading)> {
        let (answer, body) = self.begin_answer("GET")?;
        Ok((answer, Reading(body)))
    }

    /// The next piece of a body as it comes; `None` at its end.
    ///
    /// # Errors
    /// As [`Client::answer`].
    pub fn piece(&mut self, reading: &mut Reading) -> io::Result<Option<Vec<u8>>> {
        self.wire.piece(&mut reading.0)
    }

    fn begin_answer(&mut self, method: &str) -> io::Result<(Answer, Body)> {
        let head = self.wire.head()?.ok_or_else(|| wrong("closed without an answer"))?;
        let status = head.first_line.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.split(' ').next());
        let status: u16 = status
            .filter(|status| status.len() == 3)
            .and_then(|status| status.parse().ok())
            .ok_or_else(|| wrong(format!("no status line: {:?}", head.first_line)))?;
        let framing = match (head.framing()?, status) {
            (None, 100..200 | 204 | 304) => Framing::Nothing,
            (Some(_), 100..200 | 204) => return Err(wrong("framing in an answer that can't have a body")),
            (_, 304) => Framing::Nothing,
            _ if method == "HEAD" => Framing::Nothing,
            (Some(framing), _) => framing,
            (None, _) => Framing::ToTheEnd,
        };
        Ok((Answer { status, fields: head.fields, body: Vec::new() }, Body::new(framing)))
    }

    /// Whether the other end closes, without having sent anything more.
    pub fn is_closed(&mut self) -> bool {
        self.wire.ahead.is_empty() && self.until_closed().is_some_and(|rest| rest.is_empty())
    }

    /// Reads until the other end closes and gives what came before; `None` if it stays open.
    pub fn until_closed(&mut self) -> Option<Vec<u8>> {
        let began = now();
        let mut rest = std::mem::take(&mut self.wire.ahead);
        let mut piece = [0; 16 << 10];
        loop {
            match self.wire.stream.read(&mut piece) {
                Ok(0) => return Some(rest),
                Ok(len) => rest.extend_from_slice(&piece[..len]),
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Some(rest),
                Err(_) => return None,
            }
            if began.elapsed() > PATIENCE {
                return None;
            }
        }
    }

    /// Whether the connection is open and silent for that long.
    ///
    /// # Panics
    /// If the time limit can't be set.
    pub fn is_silent_for(&mut self, time: Duration) -> bool {
        self.limit(time);
        let mut piece = [0; 1];
        let silent = match self.wire.stream.socket().peek(&mut piece) {
            Err(error) => matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut),
            Ok(_) => false,
        };
        self.limit(PATIENCE);
        silent && self.wire.ahead.is_empty()
    }

    /// How long to wait for anything from the other end.
    ///
    /// # Panics
    /// If the limit can't be set.
    pub fn limit(&mut self, time: Duration) {
        self.wire.stream.socket().set_read_timeout(Some(time)).expect("a limit can be set");
    }

    /// Says that nothing more will be written.
    pub fn finish_writing(&mut self) {
        let _ = self.wire.stream.socket().shutdown(Shutdown::Write);
    }

    /// The socket, to do with it what no ordinary client does.
    pub fn stream(&self) -> &TcpStream {
        self.wire.stream.socket()
    }
}

/// What is left of a body that is read piece by piece.
#[derive(Debug)]
pub struct Reading(Body);

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("somebody listens there");
    stream.set_nodelay(true).expect("a socket option can be set");
    stream.set_read_timeout(Some(PATIENCE)).expect("a limit can be set");
    stream.set_write_timeout(Some(PATIENCE)).expect("a limit can be set");
    stream
}
