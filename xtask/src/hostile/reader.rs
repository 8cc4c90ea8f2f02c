//! The simplest reader of requests: no guess, no repair, nothing trimmed but the blanks round a value. It reads what a
//! client sent, and what came to an upstream; it shares nothing with the gateway, so that a mistake there shows.

/// A request as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    /// Its method.
    pub method: Vec<u8>,
    /// Its target, as it came.
    pub target: Vec<u8>,
    /// Its fields, in their order; names as they came.
    pub fields: Vec<(Vec<u8>, Vec<u8>)>,
    /// Its body, without the framing.
    pub body: Vec<u8>,
}

/// What stands at the beginning of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A request of so many bytes.
    Whole(Message, usize),
    /// The beginning of one, or nothing.
    More,
    /// No request.
    Malformed(&'static str),
}

/// Some bytes, read to their end.
#[derive(Debug)]
pub(super) struct Reading {
    /// The requests that are whole.
    pub messages: Vec<Message>,
    /// How it ended: behind the last of them, within one (`More`), or at something else.
    pub end: Step,
}

/// Reads what a client sends.
pub(super) fn read(mut bytes: &[u8]) -> Reading {
    let mut messages = Vec::new();
    loop {
        // One empty line may stand before a request (RFC 9112 §2.2).
        let skipped = if bytes.starts_with(b"\r\n") { &bytes[2..] } else { bytes };
        match step(skipped) {
            Step::Whole(message, len) => {
                messages.push(message);
                bytes = &skipped[len..];
            }
            end => return Reading { messages, end },
        }
    }
}

impl Message {
    /// The values of a field.
    pub(super) fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let own = move |field: &&(Vec<u8>, Vec<u8>)| field.0.eq_ignore_ascii_case(name.as_bytes());
        self.fields.iter().filter(own).map(|(_, value)| &**value)
    }

    /// The value of a field that stands there once.
    pub(super) fn one<'a>(&'a self, name: &'a str) -> Option<&'a [u8]> {
        let mut values = self.values(name);
        values.next().filter(|_| values.next().is_none())
    }

    /// All of it, escaped, in one line.
    pub(super) fn shown(&self) -> String {
        let fields = self.fields.iter().map(|(name, value)| [name, &b": "[..], value].concat());
        let lines: Vec<Vec<u8>> = [[&self.method[..], b" ", &self.target].concat()].into_iter().chain(fields).collect();
        [lines.join(&b"\r\n"[..]), self.body.clone()].join(&b"\r\n\r\n"[..]).escape_ascii().to_string()
    }

    /// The path and the query of the target, without the authority of an absolute form.
    pub(super) fn path_and_query(&self) -> (&[u8], Option<&[u8]>) {
        let after_scheme = find(&self.target, b"://").map(|at| at + 3);
        let origin = match after_scheme.filter(|_| !self.target.starts_with(b"/")) {
            None => &self.target[..],
            Some(at) => find(&self.target[at..], b"/").map_or(&b"/"[..], |slash| &self.target[at + slash..]),
        };
        match origin.iter().position(|byte| *byte == b'?') {
            None => (origin, None),
            Some(at) => (&origin[..at], Some(&origin[at + 1..])),
        }
    }

    /// The path as it means to a server that decodes it, and reads many slashes as one.
    pub(super) fn meaning(&self) -> Vec<u8> {
        let (path, _) = self.path_and_query();
        let mut decoded = Vec::with_capacity(path.len());
        let mut at = 0;
        while at < path.len() {
            let byte = escaped(&path[at..]);
            at += if byte.is_some() { 3 } else { 1 };
            decoded.push(byte.unwrap_or(path[at - 1]));
        }
        decoded.dedup_by(|a, b| *a == b'/' && *b == b'/');
        decoded
    }
}

fn escaped(text: &[u8]) -> Option<u8> {
    let [b'%', digits @ ..] = text else { return None };
    let digits = digits.get(..2).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// Reads one request.
pub(super) fn step(bytes: &[u8]) -> Step {
    match message(bytes) {
        Ok(Some((message, len))) => Step::Whole(message, len),
        Ok(None) => Step::More,
        Err(why) => Step::Malformed(why),
    }
}

fn message(bytes: &[u8]) -> Result<Option<(Message, usize)>, &'static str> {
    let mut lines = Lines { bytes, at: 0 };
    let Some(first) = lines.next()? else { return Ok(None) };
    let (method, target) = request_line(first)?;
    let mut fields = Vec::new();
    loop {
        match lines.next()? {
            None => return Ok(None),
            Some(b"") => break,
            Some(line) => fields.push(field(line)?),
        }
    }
    let mut message = Message { method, target, fields, body: Vec::new() };
    match framing(&message)? {
        Framing::Length(length) => {
            let Some(body) = bytes[lines.at..].get(..length) else { return Ok(None) };
            message.body = body.to_vec();
            lines.at += length;
        }
        Framing::Chunked => match chunks(&mut lines)? {
            None => return Ok(None),
            Some(body) => message.body = body,
        },
    }
    Ok(Some((message, lines.at)))
}

enum Framing {
    Length(usize),
    Chunked,
}

fn framing(head: &Message) -> Result<Framing, &'static str> {
    if head.one("host").is_none() {
        return Err("not one Host");
    }
    let codings: Vec<&[u8]> = head.values("transfer-encoding").collect();
    let lengths: Vec<&[u8]> = head.values("content-length").collect();
    match (&codings[..], &lengths[..]) {
        ([], []) => Ok(Framing::Length(0)),
        ([], [digits]) => {
            let text = std::str::from_utf8(digits).ok().filter(|_| digits.iter().all(u8::is_ascii_digit));
            text.and_then(|text| text.parse().ok()).map(Framing::Length).ok_or("no length")
        }
        ([coding], []) if coding.eq_ignore_ascii_case(b"chunked") => Ok(Framing::Chunked),
        _ => Err("not one framing"),
    }
}

/// Lines that end with CRLF.
struct Lines<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Lines<'a> {
    fn next(&mut self) -> Result<Option<&'a [u8]>, &'static str> {
        let rest = &self.bytes[self.at..];
        let Some(end) = rest.iter().position(|byte| *byte == b'\n') else { return Ok(None) };
        let line = rest[..end].strip_suffix(b"\r").ok_or("a line ends with LF alone")?;
        if line.contains(&b'\r') {
            return Err("a CR within a line");
        }
        self.at += end + 1;
        Ok(Some(line))
    }
}

fn request_line(line: &[u8]) -> Result<(Vec<u8>, Vec<u8>), &'static str> {
    let parts: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
    let [method, target, b"HTTP/1.1" | b"HTTP/1.0"] = parts[..] else { return Err("no request line") };
    let sound = is_token(method) && !target.is_empty() && target.iter().all(u8::is_ascii_graphic);
    if sound { Ok((method.to_vec(), target.to_vec())) } else { Err("no method and target") }
}

fn field(line: &[u8]) -> Result<(Vec<u8>, Vec<u8>), &'static str> {
    let colon = line.iter().position(|byte| *byte == b':').ok_or("no colon")?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    if !is_token(name) {
        return Err("no name of a field");
    }
    if value.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
        return Err("a control character in a value");
    }
    Ok((name.to_vec(), blanks_off(value).to_vec()))
}

fn chunks(lines: &mut Lines<'_>) -> Result<Option<Vec<u8>>, &'static str> {
    let mut body = Vec::new();
    loop {
        let Some(line) = lines.next()? else { return Ok(None) };
        let digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
        let sound = !digits.is_empty() && digits.iter().all(u8::is_ascii_hexdigit);
        let text = std::str::from_utf8(digits).ok().filter(|_| sound);
        let size = text.and_then(|text| usize::from_str_radix(text, 16).ok()).ok_or("no chunk size")?;
        if size == 0 {
            return match lines.next()? {
                None => Ok(None),
                Some(b"") => Ok(Some(body)),
                Some(_) => Err("a trailer"),
            };
        }
        let rest = &lines.bytes[lines.at..];
        let Some(data) = rest.get(..size) else { return Ok(None) };
        body.extend_from_slice(data);
        match &rest[size..] {
            [b'\r', b'\n', ..] => lines.at += size + 2,
            [] | [b'\r'] => return Ok(None),
            _ => return Err("a chunk longer than its size"),
        }
    }
}

fn is_token(text: &[u8]) -> bool {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !text.is_empty() && text.iter().all(is_part)
}

/// A value without the blanks round it.
fn blanks_off(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// Where a piece stands first.
pub(super) fn find(text: &[u8], piece: &[u8]) -> Option<usize> {
    text.windows(piece.len()).position(|window| window == piece)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_one_after_the_other() {
        let reading = read(
            b"\r\nGET /a//%62?c HTTP/1.1\r\nHost: h\r\nX: \t y \r\n\r\nPOST http://h/p HTTP/1.0\r\nhost:h\r\nContent-Length: 2\r\n\r\nhi\
              PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3;x\r\nabc\r\n0\r\n\r\nGET / HTTP",
        );
        assert_eq!(reading.end, Step::More);
        let [first, second, third] = &reading.messages[..] else { panic!("{reading:?}") };
        assert_eq!((first.meaning(), first.path_and_query().1), (b"/a/b".to_vec(), Some(&b"c"[..])));
        assert_eq!(first.one("x"), Some(&b"y"[..]));
        assert_eq!((second.meaning(), &second.body[..]), (b"/p".to_vec(), &b"hi"[..]));
        assert_eq!(third.body, b"abc");
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_not_read() {
        for bytes in [
            "GET / HTTP/1.1\nHost: h\r\n\r\n",
            "GET  / HTTP/1.1\r\nHost: h\r\n\r\n",
            "GET / HTTP/1.1\r\nHost : h\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: h\r\n x\r\n\r\n",
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
            "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: +1\r\n\r\na",
            "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n\r\n",
        ] {
            let reading = read(bytes.as_bytes());
            assert!(reading.messages.is_empty() && matches!(reading.end, Step::Malformed(_)), "{bytes:?}");
        }
    }
}
