//! The upstream: a fixed 200 answer, and a tally of what the gateway let through.
use crate::{args::Args, http, keys, sys};

struct Conn {
    fd: i32,
    buf: Vec<u8>,
}

#[derive(Default)]
struct Tally {
    requests: u64,
    conns: u64,
    key_leaked: u64,
    no_consumer: u64,
    last_consumer: Vec<u8>,
    last_head: Vec<u8>,
}

fn serve(port: u16, mut answer: impl FnMut(&[u8], &mut Vec<u8>)) {
    let lfd = sys::listen(port);
    let mut ep = sys::Epoll::new();
    ep.add(lfd, u64::MAX);
    let mut conns: Vec<Option<Conn>> = Vec::new();
    let mut free: Vec<usize> = Vec::new();
    let mut ready = Vec::new();
    let mut out = Vec::with_capacity(4096);
    let mut tmp = vec![0u8; 65536];
    loop {
        ep.wait(-1, &mut ready);
        for &t in &ready {
            if t == u64::MAX {
                while let Some(fd) = sys::accept(lfd) {
                    let c = Some(Conn { fd, buf: Vec::new() });
                    let i = match free.pop() {
                        Some(i) => {
                            conns[i] = c;
                            i
                        }
                        None => {
                            conns.push(c);
                            conns.len() - 1
                        }
                    };
                    ep.add(fd, i as u64);
                }
                continue;
            }
            let i = t as usize;
            let Some(c) = conns[i].as_mut() else { continue };
            let mut gone = false;
            match sys::read(c.fd, &mut tmp) {
                sys::Io::Again => continue,
                sys::Io::Gone => gone = true,
                sys::Io::Done(n) => {
                    out.clear();
                    let mut close = false;
                    let mut take = |head: &[u8], out: &mut Vec<u8>| {
                        answer(head, out);
                        if let Some((v, _, _)) = http::header(head, b"connection") {
                            close |= v.eq_ignore_ascii_case(b"close");
                        }
                    };
                    // The common case is one whole request without a body in one read.
                    if c.buf.is_empty() && tmp[..n].ends_with(b"\r\n\r\n") && http::head_len(&tmp[..n]) == Some(n) {
                        take(&tmp[..n], &mut out);
                    } else {
                        c.buf.extend_from_slice(&tmp[..n]);
                        while let Some(h) = http::head_len(&c.buf) {
                            let body = http::header(&c.buf[..h], b"content-length").map_or(0, |(v, _, _)| http::dec(v));
                            if c.buf.len() < h + body {
                                break;
                            }
                            take(&c.buf[..h], &mut out);
                            c.buf.drain(..h + body);
                        }
                    }
                    if !out.is_empty() && !sys::write_all(c.fd, &out) || close {
                        gone = true;
                    }
                }
            }
            if gone {
                sys::close(c.fd);
                conns[i] = None;
                free.push(i);
            }
        }
    }
}

pub fn run(a: &Args) {
    let body = "x".repeat(a.num("body", 256.0) as usize);
    let fixed =
        format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let key_header = a.str("key-header", "x-api-key").to_lowercase();
    let mut t = Tally::default();
    serve(a.num("port", 9001.0) as u16, |head, out| {
        if head.starts_with(b"GET /__tally") {
            let s = format!(
                "{{\"requests\":{},\"key_leaked\":{},\"no_consumer\":{},\"last_consumer\":{:?},\"last_head\":{:?}}}",
                t.requests,
                t.key_leaked,
                t.no_consumer,
                String::from_utf8_lossy(&t.last_consumer),
                String::from_utf8_lossy(&t.last_head)
            );
            out.extend_from_slice(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{s}", s.len()).as_bytes());
            t = Tally::default();
            return;
        }
        t.requests += 1;
        if t.requests == 1 {
            t.last_head = head.to_vec();
            t.conns += 1;
        }
        if http::header(head, key_header.as_bytes()).is_some() {
            t.key_leaked += 1;
        }
        match http::header(head, b"x-consumer") {
            Some((v, _, _)) => {
                t.last_consumer.clear();
                t.last_consumer.extend_from_slice(v);
            }
            None => t.no_consumer += 1,
        }
        out.extend_from_slice(fixed.as_bytes());
    });
}

pub fn run_verifier(a: &Args) {
    let k = keys::Keys::open(&a.str("keys", "keys.txt"));
    let table = keys::Table::build(&k);
    let mut revoked = std::collections::HashSet::new();
    serve(a.num("port", 9002.0) as u16, move |head, out| {
        let key = http::header(head, b"x-api-key").map(|(v, _, _)| v);
        if head.starts_with(b"DELETE ") {
            if let Some(i) = key.and_then(|v| table.find(&keys::digest(v))) {
                revoked.insert(i);
            }
            out.extend_from_slice(b"HTTP/1.1 204 No Content\r\n\r\n");
            return;
        }
        match key.and_then(|v| table.find(&keys::digest(v))).filter(|i| revoked.is_empty() || !revoked.contains(i)) {
            Some(i) => {
                out.extend_from_slice(b"HTTP/1.1 204 No Content\r\nX-Consumer: ");
                out.extend_from_slice(k.consumer(i as u64));
                out.extend_from_slice(b"\r\n\r\n");
            }
            None => out.extend_from_slice(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"),
        }
    });
}
