//! A request head, line by line (G-1, G-2, G-4 to G-8, G-17). A line is judged when all of it is there, so it makes
//! no difference in which pieces a head comes.

use std::ops::Range;

use keystile_core::Code;

use super::bytes::{is_token, is_value, name_len, trimmed};
use super::target::{self, Fault, Form};
use super::{MAX_FIELDS, MAX_HEAD_BYTES, Refused, Scope, field};

/// The longest method: twice the longest that is registered (`UPDATEREDIRECTREF`).
const MAX_METHOD_BYTES: usize = 34;

const LINE_END: Refused = Refused::malformed("Every line of the header must end with CRLF.");
const REQUEST_LINE: Refused =
    Refused::malformed("The request line must be a method, a target and HTTP/1.1, with one space between.");

/// How the body that follows a head is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyFraming {
    /// By its length, which may be 0.
    Length(u64),
    Chunked,
}

/// What was found in the bytes of a head.
pub(super) enum Progress {
    /// It goes on.
    More,
    /// So many bytes are a sound head.
    Done(usize, BodyFraming),
    Refused(Refused),
}

/// The reading of one head. All places are counted from its first byte, at which every call begins again.
#[derive(Debug, Default)]
pub(super) struct Head {
    /// Up to here there is no line end that was not seen.
    scanned: usize,
    /// Here the line begins that is not judged yet.
    line: usize,
    /// Here the request line begins: behind the one empty line that is allowed before it (RFC 9112 §2.2).
    start: usize,
    request: Option<RequestLine>,
    fields: usize,
    host: Option<Range<usize>>,
    length: Option<u64>,
    chunked: bool,
    expect: bool,
}

#[derive(Debug)]
struct RequestLine {
    method: Range<usize>,
    target: Range<usize>,
    form: Result<Form, Fault>,
    is_http_11: bool,
    /// Where the fields begin.
    end: usize,
}

impl Head {
    /// Whether anything of the request itself has come.
    pub(super) fn has_begun(&self, head: &[u8]) -> bool {
        !matches!(head, [] | [b'\r'] | [b'\r', b'\n'])
    }

    /// Reads on; `head` begins where the head begins, and is at least as long as at the last call.
    pub(super) fn read(&mut self, head: &[u8]) -> Progress {
        match self.read_lines(head) {
            Ok(None) => Progress::More,
            Ok(Some(end)) => match self.finish(head) {
                Ok(framing) => Progress::Done(end, framing),
                Err(refused) => Progress::Refused(refused),
            },
            Err(refused) => Progress::Refused(refused),
        }
    }

    /// Where the head ends, if all of it is there.
    fn read_lines(&mut self, head: &[u8]) -> Result<Option<usize>, Refused> {
        self.check_first_byte(head)?;
        let from = self.scanned;
        for line_end in memchr::memchr_iter(b'\n', &head[from..]) {
            let end = from + line_end + 1;
            if end - self.start > MAX_HEAD_BYTES {
                break;
            }
            let start = std::mem::replace(&mut self.line, end);
            let Some(line) = head[start..end].strip_suffix(b"\r\n") else {
                return Err(LINE_END);
            };
            if self.request.is_some() {
                if line.is_empty() {
                    return Ok(Some(end));
                }
                self.read_field(line, start)?;
            } else if line.is_empty() && start == 0 {
                self.start = end;
                self.check_first_byte(head)?;
            } else {
                self.request = Some(read_request_line(line, start, end)?);
            }
        }
        self.scanned = head.len();
        if head.len() - self.start > MAX_HEAD_BYTES {
            let code = if self.request.is_none() { Code::TargetTooLong } else { Code::HeadersTooLarge };
            return Err(Refused::message(code));
        }
        Ok(None)
    }

    /// Something that is no HTTP at all, such as TLS, is refused without waiting for a line of it.
    fn check_first_byte(&self, head: &[u8]) -> Result<(), Refused> {
        match head.get(self.start) {
            None => Ok(()),
            Some(byte) if is_token(*byte) => Ok(()),
            // The empty line that is allowed before the request line.
            Some(b'\r' | b'\n') if self.start == 0 => Ok(()),
            Some(_) => Err(REQUEST_LINE),
        }
    }

    fn read_field(&mut self, line: &[u8], start: usize) -> Result<(), Refused> {
        self.fields += 1;
        if self.fields > MAX_FIELDS {
            return Err(Refused::message(Code::HeadersTooLarge));
        }
        let name = &line[..name_len(line)];
        if name.is_empty() || line.get(name.len()) != Some(&b':') {
            return Err(Refused::malformed(fault_of_name(line, name.len())));
        }
        let value = &line[name.len() + 1..];
        if !is_value(value) {
            return Err(Refused::malformed("A header field holds a control character."));
        }
        // The length tells the few names apart that matter here from nearly all others.
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => self.read_host(value, start + name.len() + 1),
            6 if name.eq_ignore_ascii_case(b"expect") => {
                once(std::mem::replace(&mut self.expect, true), "Expect may be sent only once.")?;
                field::expect(value)
            }
            10 if name.eq_ignore_ascii_case(b"connection") => field::connection(value),
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                once(self.length.is_some(), "Content-Length may be sent only once.")?;
                self.length = Some(field::content_length(value)?);
                Ok(())
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                once(std::mem::replace(&mut self.chunked, true), "Transfer-Encoding may be sent only once.")?;
                field::transfer_encoding(value)
            }
            _ => Ok(()),
        }
    }

    fn read_host(&mut self, value: &[u8], start: usize) -> Result<(), Refused> {
        once(self.host.is_some(), "Host may be sent only once.")?;
        let host = trimmed(value);
        if !target::is_authority(host) {
            return Err(Refused::malformed("Host must be a host name or address, with a port if it needs one."));
        }
        let blanks = value.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        self.host = Some(start + blanks..start + blanks + host.len());
        Ok(())
    }

    /// What only the whole head can tell.
    fn finish(&self, head: &[u8]) -> Result<BodyFraming, Refused> {
        // A head can't end before its request line.
        let Some(request) = &self.request else { return Err(REQUEST_LINE) };
        let Some(host) = self.host.clone() else {
            return Err(Refused::malformed("The Host field is missing."));
        };
        let framing = match (self.length, self.chunked) {
            (Some(_), true) => {
                return Err(Refused::malformed("Send either Content-Length or Transfer-Encoding, not both."));
            }
            (None, true) if !request.is_http_11 => {
                return Err(Refused::malformed("HTTP/1.0 has no Transfer-Encoding; send Content-Length."));
            }
            (None, true) => BodyFraming::Chunked,
            (length, false) => BodyFraming::Length(length.unwrap_or(0)),
        };
        let of_target = |(code, detail): Fault| Refused { code, detail, scope: Scope::Target };
        match request.form.map_err(of_target)? {
            Form::Origin => {}
            Form::Absolute { start, end } => {
                target::agrees(&head[request.target.clone()][start..end], &head[host]).map_err(of_target)?;
            }
        }
        Ok(framing)
    }

    /// The head with `/` instead of its target, without a body and with the end of the connection behind it. Only for
    /// a head whose target alone is at fault.
    pub(super) fn with_plain_target(&self, head: &[u8]) -> Option<Vec<u8>> {
        let request = self.request.as_ref()?;
        let mut out = Vec::with_capacity(self.line + 32);
        out.extend_from_slice(&head[request.method.clone()]);
        out.extend_from_slice(if request.is_http_11 { b" / HTTP/1.1\r\n" } else { b" / HTTP/1.0\r\n" });
        let mut rest = &head[request.end..self.line];
        while let Some(end) = memchr::memchr(b'\n', rest).filter(|end| *end > 1) {
            let (line, after) = rest.split_at(end + 1);
            if !is_about_the_body_or_connection(&line[..name_len(line)]) {
                out.extend_from_slice(line);
            }
            rest = after;
        }
        out.extend_from_slice(b"connection: close\r\n\r\n");
        Some(out)
    }
}

fn read_request_line(line: &[u8], start: usize, end: usize) -> Result<RequestLine, Refused> {
    if memchr::memchr(b'\r', line).is_some() {
        return Err(LINE_END);
    }
    let method = memchr::memchr(b' ', line).ok_or(REQUEST_LINE)?;
    if method == 0 || method > MAX_METHOD_BYTES || !line[..method].iter().copied().all(is_token) {
        return Err(REQUEST_LINE);
    }
    let rest = &line[method + 1..];
    let (target, is_http_11) = match rest.split_last_chunk::<9>() {
        Some((target, b" HTTP/1.1")) => (target, true),
        Some((target, b" HTTP/1.0")) => (target, false),
        _ if rest.ends_with(b" HTTP/2.0") => {
            return Err(Refused::malformed("HTTP/2 is not spoken here; use HTTP/1.1."));
        }
        _ => return Err(REQUEST_LINE),
    };
    let form = if &line[..method] == b"CONNECT" {
        Err((Code::MethodNotAllowed, Code::MethodNotAllowed.detail()))
    } else {
        target::judge(target)
    };
    let at = start + method + 1;
    Ok(RequestLine { method: start..start + method, target: at..at + target.len(), form, is_http_11, end })
}

fn fault_of_name(line: &[u8], end: usize) -> &'static str {
    match line.get(end) {
        Some(b' ' | b'\t') if end == 0 => "A header field is folded over two lines; send it in one.",
        Some(b' ' | b'\t') => "A space stands before the colon of a header field.",
        Some(b'_') => "A header name holds _; use -.",
        Some(b':') => "A header field has no name.",
        None => "A header line has no colon.",
        Some(_) => "A header name holds a character that no name may hold.",
    }
}

fn once(again: bool, detail: &'static str) -> Result<(), Refused> {
    if again { Err(Refused::malformed(detail)) } else { Ok(()) }
}

fn is_about_the_body_or_connection(name: &[u8]) -> bool {
    let names: [&[u8]; 5] = [b"connection", b"content-length", b"transfer-encoding", b"expect", b"upgrade"];
    names.iter().any(|known| name.eq_ignore_ascii_case(known))
}
