//! Heads of HTTP/1.1 messages, read by the strictest rules there are: what is not exactly right is an error. Used on both
//! sides of the gateway, for the requests that it sends and the answers that it gives.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use rustls::{ClientConnection, StreamOwned};

/// A head is longer than this only by mistake.
const MAX_HEAD: usize = 256 << 10;

/// A first line and fields.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) bytes: Vec<u8>,
    pub(crate) first_line: String,
    pub(crate) fields: Vec<(String, String)>,
}

/// How a body is delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    Nothing,
    Length(u64),
    Chunked,
    /// Until the end of the connection; answers only.
    ToTheEnd,
}

/// A connection, in clear or with TLS.
#[derive(Debug)]
pub(crate) enum Stream {
    Clear(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Stream {
    /// The socket below.
    pub(crate) fn socket(&self) -> &TcpStream {
        match self {
            Self::Clear(stream) => stream,
            Self::Tls(stream) => stream.get_ref(),
        }
    }
}

impl From<TcpStream> for Stream {
    fn from(stream: TcpStream) -> Self {
        Self::Clear(stream)
    }
}

impl From<StreamOwned<ClientConnection, TcpStream>> for Stream {
    fn from(stream: StreamOwned<ClientConnection, TcpStream>) -> Self {
        Self::Tls(Box::new(stream))
    }
}

impl Read for Stream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Clear(stream) => stream.read(into),
            Self::Tls(stream) => stream.read(into),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Clear(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Clear(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

/// Bytes of a connection that were read and not yet used.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) stream: Stream,
    pub(crate) ahead: Vec<u8>,
}

/// What is left of a body.
#[derive(Debug)]
pub(crate) struct Body {
    framing: Framing,
    left: u64,
    done: bool,
}

pub(crate) fn wrong(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}

impl Wire {
    pub(crate) fn new(stream: impl Into<Stream>) -> Self {
        Self { stream: stream.into(), ahead: Vec::new() }
    }

    /// Reads more; `false` at the end.
    pub(crate) fn more(&mut self) -> io::Result<bool> {
        let mut piece = [0; 16 << 10];
        let len = self.stream.read(&mut piece)?;
        self.ahead.extend_from_slice(&piece[..len]);
        Ok(len > 0)
    }

    /// The next head; `None` if the connection ended before its first byte.
    pub(crate) fn head(&mut self) -> io::Result<Option<Head>> {
        loop {
            if let Some(end) = find(&self.ahead, b"\r\n\r\n") {
                let bytes: Vec<u8> = self.ahead.drain(..end + 4).collect();
                return Head::parse(bytes).map(Some);
            }
            if self.ahead.len() > MAX_HEAD {
                return Err(wrong("the head does not end"));
            }
            if !self.more()? {
                return if self.ahead.is_empty() { Ok(None) } else { Err(wrong("it ended in the middle of a head")) };
            }
        }
    }

    /// A line without its CR LF.
    fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = find(&self.ahead, b"\r\n") {
                let line: Vec<u8> = self.ahead.drain(..end + 2).take(end).collect();
                return String::from_utf8(line).map_err(|_| wrong("a line that is no text"));
            }
            if !self.more()? {
                return Err(wrong("it ended in the middle of a line"));
            }
        }
    }

    /// The next piece of a body, as it comes; `None` at its end.
    pub(crate) fn piece(&mut self, body: &mut Body) -> io::Result<Option<Vec<u8>>> {
        if body.done {
            return Ok(None);
        }
        if body.left == 0 && body.framing == Framing::Chunked {
            let size = self.line()?;
            if size.is_empty() || size.len() > 16 || !size.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return Err(wrong(format!("a chunk size: {size:?}")));
            }
            body.left = u64::from_str_radix(&size, 16).map_err(|_| wrong("a chunk size"))?;
            if body.left == 0 {
                let trailer = self.line()?;
                body.done = true;
                return if trailer.is_empty() { Ok(None) } else { Err(wrong(format!("a trailer: {trailer:?}"))) };
            }
        }
        if self.ahead.is_empty() && !self.more()? {
            body.done = true;
            return if body.framing == Framing::ToTheEnd { Ok(None) } else { Err(wrong("it ended inside the body")) };
        }
        let len = usize::try_from(body.left).unwrap_or(usize::MAX).min(self.ahead.len());
        let piece: Vec<u8> = self.ahead.drain(..len).collect();
        if body.framing != Framing::ToTheEnd {
            body.left -= len as u64;
        }
        if body.left == 0 {
            match body.framing {
                Framing::Chunked => {
                    if !self.line()?.is_empty() {
                        return Err(wrong("no line end behind a chunk"));
                    }
                }
                Framing::Length(_) => body.done = true,
                Framing::Nothing | Framing::ToTheEnd => {}
            }
        }
        Ok(Some(piece))
    }
}

impl Body {
    pub(crate) fn new(framing: Framing) -> Self {
        let (left, done) = match framing {
            Framing::Nothing => (0, true),
            Framing::Length(length) => (length, length == 0),
            Framing::Chunked => (0, false),
            Framing::ToTheEnd => (u64::MAX, false),
        };
        Self { framing, left, done }
    }
}

impl Head {
    fn parse(bytes: Vec<u8>) -> io::Result<Self> {
        let text = std::str::from_utf8(&bytes).map_err(|_| wrong("a head that is no text"))?;
        let lines = text.strip_suffix("\r\n\r\n").ok_or_else(|| wrong("no empty line"))?;
        let mut lines = lines.split("\r\n");
        let first_line = lines.next().unwrap_or_default().to_owned();
        let mut fields = Vec::new();
        for line in lines {
            if line.bytes().any(|byte| (byte < 0x20 && byte != b'\t') || byte == 0x7f) {
                return Err(wrong(format!("a control character: {line:?}")));
            }
            let (name, value) = line.split_once(':').ok_or_else(|| wrong(format!("no field: {line:?}")))?;
            if name.is_empty() || !name.bytes().all(is_token) {
                return Err(wrong(format!("no field name: {name:?}")));
            }
            fields.push((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()));
        }
        if first_line.bytes().any(|byte| byte < 0x20 || byte == 0x7f) {
            return Err(wrong(format!("a control character: {first_line:?}")));
        }
        Ok(Self { first_line, fields, bytes })
    }

    pub(crate) fn values(&self, name: &str) -> Vec<&str> {
        values(&self.fields, name)
    }

    /// How the body is delimited, if the fields say it.
    pub(crate) fn framing(&self) -> io::Result<Option<Framing>> {
        let codings: Vec<&str> = self.values("transfer-encoding");
        let lengths: Vec<&str> = self.values("content-length");
        match (codings.as_slice(), lengths.as_slice()) {
            ([], []) => Ok(None),
            (["chunked"], []) => Ok(Some(Framing::Chunked)),
            ([], [length]) if !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit()) => {
                length.parse().map(|length| Some(Framing::Length(length))).map_err(|_| wrong("a length"))
            }
            _ => Err(wrong(format!("more than one meaning: {codings:?} {lengths:?}"))),
        }
    }
}

/// Every value of a field.
pub(crate) fn values<'a>(fields: &'a [(String, String)], name: &str) -> Vec<&'a str> {
    let own = fields.iter().filter(|(own, _)| own.eq_ignore_ascii_case(name));
    own.map(|(_, value)| value.as_str()).collect()
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
