//! What reading an ordinary request costs. Printed, not asserted: run with `--release -- --nocapture`.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::gateway::wire::framing::Framing;
use crate::gateway::wire::{Patience, guard};

const ROUNDS: u32 = if cfg!(debug_assertions) { 1_000 } else { 1_000_000 };

const HEAD: &[u8] = b"GET /v1/customers/42/orders?limit=20&after=2026-01-01 HTTP/1.1\r\nHost: gateway.example.com:4400\r\n\
User-Agent: example-client/1.4.2 (linux; x86_64)\r\nAccept: application/json\r\nAccept-Encoding: gzip, deflate\r\n\
Authorization: Bearer ks_live_4jH2kd93kLms01Xb7dPq5Zt8Rw2Yc6Vn\r\nX-Request-Id: 8f14e45f-ceea-467f-a0e6-1f2a3b4c5d6e\r\n\r\n";

/// A socket on which the same request comes, again and again, and then nothing for a moment.
struct Repeating {
    comes: bool,
}

impl AsyncRead for Repeating {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        self.comes = !self.comes;
        if self.comes {
            out.put_slice(HEAD);
            return Poll::Ready(Ok(()));
        }
        Poll::Pending
    }
}

impl AsyncWrite for Repeating {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[allow(clippy::disallowed_methods, reason = "this measures the machine, not the program's time")]
fn time(name: &str, mut round: impl FnMut()) {
    let start = std::time::Instant::now();
    for _ in 0..ROUNDS {
        round();
    }
    println!("{name}: {} ns", start.elapsed().as_nanos() / u128::from(ROUNDS));
}

#[test]
fn the_cost_of_an_ordinary_head() {
    println!("a head of {} bytes", HEAD.len());
    let mut framing = Framing::new();
    time("framing", || assert_eq!(std::hint::black_box(framing.judge(std::hint::black_box(HEAD))).pass, HEAD.len()));

    let read_round = |name: &str, stream: &mut (dyn AsyncRead + Unpin), after: &mut dyn FnMut()| {
        let mut space = vec![0; 8192];
        let mut cx = Context::from_waker(Waker::noop());
        time(name, || {
            let mut out = ReadBuf::new(&mut space);
            assert!(Pin::new(&mut *stream).poll_read(&mut cx, &mut out).is_ready());
            assert!(Pin::new(&mut *stream).poll_read(&mut cx, &mut out).is_pending());
            assert_eq!(out.filled().len(), HEAD.len());
            after();
        });
    };
    // With the machine's clock, as in the server.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(async {
        read_round("a read and a wait, bare", &mut Repeating { comes: false }, &mut || {});
        let (mut guarded, exchanges) = guard(Repeating { comes: false }, Patience::default());
        read_round("a read and a wait, guarded, answering", &mut guarded, &mut || {});
        drop(exchanges);
        let (mut guarded, exchanges) = guard(Repeating { comes: false }, Patience::default());
        read_round("a read and a wait, guarded, with its exchange", &mut guarded, &mut || drop(exchanges.begin()));
    });
}
