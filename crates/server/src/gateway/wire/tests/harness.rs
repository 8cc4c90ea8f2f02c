//! Readers of bytes and a server behind the guard, for the tests beside.

use std::cell::RefCell;
use std::convert::Infallible;
use std::rc::Rc;

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use keystile_core::Code;
use proptest::prelude::ProptestConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};

use crate::gateway::wire::framing::{Framing, Stop};
use crate::gateway::wire::{Exchanges, Guarded, Patience, Refused, guard};

/// What the answer of the tests' service begins with; hyper never answers like this by itself.
pub(super) const ANSWER: &[u8] = b"HTTP/1.1 299 ";

/// More cases than the default, because each is small; `PROPTEST_CASES` asks for still more.
pub(super) fn many_cases() -> ProptestConfig {
    let default = ProptestConfig::default();
    ProptestConfig { cases: default.cases.max(3_000), ..default }
}

/// What the framing makes of bytes that come at once: how many pass, how many heads those hold, what is refused.
pub(super) fn judged(input: &[u8]) -> (usize, u64, Option<Stop>) {
    let mut framing = Framing::new();
    let verdict = framing.judge(input);
    (verdict.pass, framing.heads(), verdict.stop)
}

/// The same for bytes that come in pieces of these sizes, again and again.
pub(super) fn judged_in_pieces(input: &[u8], sizes: &[usize]) -> (usize, u64, Option<Stop>) {
    let mut framing = Framing::new();
    let (mut pass, mut come) = (0, 0);
    for size in sizes.iter().cycle() {
        let more = (*size).clamp(1, input.len() - come);
        come += more;
        let verdict = framing.judge(&input[pass..come]);
        pass += verdict.pass;
        if verdict.stop.is_some() || come == input.len() {
            return (pass, framing.heads(), verdict.stop);
        }
    }
    (pass, framing.heads(), None)
}

/// A sound head with these fields, each with its line end.
pub(super) fn with_fields(fields: &str) -> Vec<u8> {
    format!("POST /a HTTP/1.1\r\nHost: api.test\r\n{fields}\r\n").into_bytes()
}

/// A sound head with this target.
pub(super) fn with_target(target: &[u8]) -> Vec<u8> {
    [b"GET ", target, b" HTTP/1.1\r\nHost: api.test\r\n\r\n"].concat()
}

#[track_caller]
pub(super) fn passes(input: &[u8], heads: u64) {
    let found = judged(input);
    assert_eq!(found, (input.len(), heads, None), "{}", input.escape_ascii());
}

#[track_caller]
pub(super) fn head_refused(input: &[u8]) -> Refused {
    match judged(input) {
        (0, 0, Some(Stop::Head(refusal))) => refusal,
        found => panic!("{found:?}: {}", input.escape_ascii()),
    }
}

#[track_caller]
pub(super) fn malformed(input: &[u8]) -> Refused {
    let refusal = head_refused(input);
    assert_eq!(refusal.code, Code::RequestMalformed, "{}", input.escape_ascii());
    refusal
}

/// A request as somebody read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) method: String,
    /// Path and query.
    pub(super) target: String,
    /// Names in lower case, in the order of the names, equal names in the order of the message.
    pub(super) fields: Vec<(String, Vec<u8>)>,
    pub(super) body: Vec<u8>,
    /// Whether all of the body came.
    pub(super) whole: bool,
}

impl Message {
    fn sorted(mut self) -> Self {
        self.fields.sort_by(|a, b| a.0.cmp(&b.0));
        self
    }
}

/// The simplest reading of HTTP/1.1 there is, for bytes that are sound: it knows one way to do everything. It stops
/// where the connection ends, or where bytes are missing.
pub(super) fn plainly_read(mut input: &[u8]) -> Vec<Message> {
    let mut messages = Vec::new();
    loop {
        input = input.strip_prefix(b"\r\n").unwrap_or(input);
        let Some(end) = input.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { return messages };
        let (head, rest) = (&input[..end], &input[end + 4..]);
        let lines: Vec<&[u8]> = head.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end).collect();
        let line = String::from_utf8_lossy(lines[0]).into_owned();
        let words: Vec<&str> = line.split(' ').collect();
        let [method, target, version] = words[..] else { panic!("{line:?}") };
        let fields: Vec<(String, Vec<u8>)> = lines[1..].iter().map(|line| plain_field(line)).collect();
        let value = |name: &str| fields.iter().find(|field| field.0 == name).map(|field| field.1.clone());
        let text = |name: &str| value(name).map(|value| String::from_utf8_lossy(&value).to_ascii_lowercase());
        let (body, used, whole) = match text("content-length") {
            _ if text("transfer-encoding").as_deref() == Some("chunked") => plain_chunks(rest),
            Some(length) => {
                let length: usize = length.parse().unwrap_or(usize::MAX);
                let here = length.min(rest.len());
                (rest[..here].to_vec(), here, here == length)
            }
            None => (Vec::new(), 0, true),
        };
        let options: Vec<String> = fields.iter().filter(|field| field.0 == "connection").map(option_text).collect();
        let has = |option: &str| options.iter().flat_map(|list| list.split(',')).any(|one| one.trim() == option);
        let goes_on = whole && !has("close") && (version == "HTTP/1.1" || has("keep-alive"));
        let target = match target.split_once("://") {
            Some((_, rest)) if !target.starts_with('/') => rest.find('/').map_or("/", |at| &rest[at..]),
            _ => target,
        };
        messages.push(Message { method: method.into(), target: target.into(), fields, body, whole }.sorted());
        if !goes_on {
            return messages;
        }
        input = &rest[used..];
    }
}

fn option_text(field: &(String, Vec<u8>)) -> String {
    String::from_utf8_lossy(&field.1).to_ascii_lowercase()
}

fn plain_field(line: &[u8]) -> (String, Vec<u8>) {
    let colon = line.iter().position(|byte| *byte == b':').expect("a colon");
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let value = &line[colon + 1..];
    let start = value.iter().position(|byte| !blank(byte)).unwrap_or(value.len());
    let end = value.iter().rposition(|byte| !blank(byte)).map_or(start, |last| last + 1);
    (String::from_utf8_lossy(&line[..colon]).to_ascii_lowercase(), value[start..end].to_vec())
}

/// The data, how many bytes it took, and whether the end was there.
fn plain_chunks(input: &[u8]) -> (Vec<u8>, usize, bool) {
    let (mut data, mut at) = (Vec::new(), 0);
    loop {
        let rest = &input[at..];
        let Some(line) = rest.windows(2).position(|bytes| bytes == b"\r\n") else { return (data, at, false) };
        let size = String::from_utf8_lossy(&rest[..line]);
        let size = u64::from_str_radix(size.split(';').next().expect("one"), 16).expect("a size");
        let size = usize::try_from(size).expect("a size");
        let rest = &rest[line + 2..];
        if size == 0 {
            return if rest.starts_with(b"\r\n") { (data, at + line + 4, true) } else { (data, at, false) };
        }
        data.extend_from_slice(&rest[..size.min(rest.len())]);
        if rest.len() < size + 2 {
            return (data, at, false);
        }
        assert_eq!(&rest[size..size + 2], b"\r\n");
        at += line + 2 + size + 2;
    }
}

/// A request as the service behind hyper saw it.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) message: Message,
    pub(super) refusal: Option<Refused>,
    pub(super) body_refusal: Option<Refused>,
}

/// Reads every request to its end and answers it; what it saw is put in the list when it answers.
pub(super) async fn serve<S>(stream: Guarded<S>, exchanges: Exchanges, seen: Rc<RefCell<Vec<Seen>>>)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let exchange = exchanges.begin();
        let seen = Rc::clone(&seen);
        async move {
            let (head, mut body) = request.into_parts();
            let (mut data, mut whole) = (Vec::new(), true);
            while let Some(frame) = body.frame().await {
                match frame.map(|frame| frame.into_data().expect("no trailers pass")) {
                    Ok(bytes) => data.extend_from_slice(&bytes),
                    Err(_) => {
                        whole = false;
                        break;
                    }
                }
            }
            let fields = head.headers.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()));
            let target = head.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
            let method = head.method.to_string();
            let message = Message { method, target, fields: fields.collect(), body: data, whole }.sorted();
            let (refusal, body_refusal) = (exchange.refused(), exchange.body_refused());
            seen.borrow_mut().push(Seen { message, refusal, body_refusal });
            let mut answer = Response::new(Empty::<Bytes>::new());
            *answer.status_mut() = hyper::StatusCode::from_u16(299).expect("a status");
            Ok::<_, Infallible>(answer)
        }
    });
    let mut connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    // Errors are the client's leaving; what the client got is looked at instead.
    let _ = (&mut connection).await;
    let _ = connection.into_parts().io.into_inner().shutdown().await;
}

/// Runs with a clock that jumps whenever there is nothing to do.
pub(super) fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime.expect("a runtime"), future)
}

/// A guarded server on one end of a pipe that holds so many bytes; the other end, and what the service sees.
pub(super) fn served(pipe: usize) -> (DuplexStream, Rc<RefCell<Vec<Seen>>>) {
    let (client, server) = tokio::io::duplex(pipe);
    let (stream, exchanges) = guard(server, Patience::default());
    let seen = Rc::default();
    tokio::task::spawn_local(serve(stream, exchanges, Rc::clone(&seen)));
    (client, seen)
}

/// Sends all of the input through a pipe that holds so many bytes, and waits until the server closes. Gives what the
/// service saw and the bytes of the answers.
pub(super) async fn exchange(input: &[u8], pipe: usize) -> (Vec<Seen>, Vec<u8>) {
    let (client, seen) = served(pipe);
    let (mut from, mut to) = tokio::io::split(client);
    let mut answers = Vec::new();
    let send = async {
        // The server may close before it has all.
        let _ = to.write_all(input).await;
    };
    let (_, read) = tokio::join!(send, from.read_to_end(&mut answers));
    read.expect("an end");
    (seen.take(), answers)
}

/// How many answers there are, each of them the service's own.
pub(super) fn count_answers(answers: &[u8]) -> usize {
    let starts = memchr::memmem::find_iter(answers, b"HTTP/1.").map(|at| &answers[at..]);
    let finals = starts.filter(|answer| !answer.starts_with(b"HTTP/1.1 100 "));
    let own = |answer: &&[u8]| {
        assert!(
            answer[5..].starts_with(&ANSWER[5..]) || answer.starts_with(b"HTTP/1.0 299"),
            "{}",
            answers.escape_ascii()
        );
        true
    };
    finals.filter(own).count()
}
