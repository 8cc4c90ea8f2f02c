//! hyper behind the guard: refusals are answered in their turn, and the answer arrives.

use std::io;

use keystile_core::Code;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::harness::{count_answers, exchange, run, serve, served};
use crate::gateway::wire::{Patience, Scope, guard};

const GET: &str = "GET /a HTTP/1.1\r\nHost: a\r\n\r\n";

#[test]
fn a_refusal_is_answered_after_the_requests_before_it() {
    for (bad, code, method, fields) in [
        ("GET /b HTTP/1.1\r\nHost: a\r\nX_Y: z\r\n\r\n", Code::RequestMalformed, "GET", 2),
        (
            "PUT /{ HTTP/1.1\r\nX-Api-Key: k\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
            Code::RequestMalformed,
            "PUT",
            3,
        ),
        ("CONNECT b:443 HTTP/1.1\r\nHost: b:443\r\n\r\n", Code::MethodNotAllowed, "CONNECT", 2),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", Code::NotImplemented, "GET", 2),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Code::RequestMalformed, "GET", 2),
        ("\x16\x03\x01\x02", Code::RequestMalformed, "GET", 2),
    ] {
        for before in [0, 1, 5] {
            for pipe in [1, 30, 64 * 1024] {
                let input = [GET.repeat(before), bad.to_owned(), GET.repeat(3)].concat();
                let (seen, answers) = run(exchange(input.as_bytes(), pipe));
                assert_eq!((seen.len(), count_answers(&answers)), (before + 1, before + 1), "{bad:?}");
                assert!(seen[..before].iter().all(|seen| seen.refusal.is_none() && seen.message.target == "/a"));
                let (last, refusal) = (&seen[before].message, seen[before].refusal);
                assert_eq!(refusal.map(|refusal| refusal.code), Some(code), "{bad:?}");
                assert_eq!((&last.method[..], &last.target[..], last.fields.len()), (method, "/", fields));
                assert!(last.body.is_empty() && last.whole);
                let is_known = last.fields.iter().any(|(name, value)| name == "host" && value != b"refused");
                assert_eq!(refusal.map(|refusal| refusal.scope == Scope::Target), Some(is_known), "{bad:?}");
            }
        }
    }
}

/// What stands for a refused request looks like any other; only counting tells them apart.
#[test]
fn a_refusal_can_not_be_forged() {
    let forged = "GET / HTTP/1.1\r\nhost: refused\r\nconnection: close\r\n\r\n";
    let (seen, _) = run(exchange(forged.as_bytes(), 4096));
    assert_eq!((seen.len(), seen[0].refusal), (1, None));
}

#[test]
fn a_broken_body_says_why_and_the_answer_arrives() {
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (body, good) in
        [("3\r\nabc\r\nx", "abc"), ("3\r\nabcd", "abc"), ("zz", ""), ("3\r\nabc\r\n0\r\nX: y\r\n\r\n", "abc")]
    {
        for pipe in [1, 64 * 1024] {
            let input = [GET, head, body, &GET.repeat(1_000)].concat();
            let (seen, answers) = run(exchange(input.as_bytes(), pipe));
            assert_eq!((seen.len(), count_answers(&answers)), (2, 2), "{body:?}");
            assert_eq!((seen[0].body_refusal, seen[0].refusal), (None, None));
            assert_eq!(seen[1].body_refusal.map(|refusal| refusal.code), Some(Code::RequestMalformed), "{body:?}");
            assert_eq!((&seen[1].message.body[..], seen[1].message.whole), (good.as_bytes(), false), "{body:?}");
        }
    }
}

/// Over a real socket: with megabytes on their way the client still reads the whole answer, and no reset.
#[test]
fn the_answer_to_a_refusal_is_not_lost_in_a_reset() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let server = async {
            let (socket, _) = listener.accept().await.expect("a client");
            let (stream, exchanges) = guard(socket, Patience::default());
            serve(stream, exchanges, std::rc::Rc::default()).await;
        };
        let client = async {
            let mut client = tokio::net::TcpStream::connect(address).await.expect("a server");
            let bad =
                [&b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: cow\r\n\r\n"[..], &[b'x'; 60 * 1024]].concat();
            client.write_all(&bad).await.expect("taken");
            let mut answer = Vec::new();
            client.read_to_end(&mut answer).await.expect("no reset");
            assert_eq!(count_answers(&answer), 1);
        };
        tokio::join!(server, client);
    });
}

#[test]
fn exchanges_may_go_where_a_body_goes() {
    fn is_sendable<T: Send + Sync + 'static>() {}
    is_sendable::<crate::gateway::wire::Exchange>();
    is_sendable::<crate::gateway::wire::Exchanges>();
}

#[test]
fn a_client_that_leaves_is_an_end_for_hyper_as_well() {
    for (input, answers) in [("", 0), ("GET / HT", 0), (GET, 1), ("\r\n", 0)] {
        run(async {
            let (mut client, seen) = served(4096);
            client.write_all(input.as_bytes()).await.expect("room");
            tokio::task::yield_now().await;
            tokio::task::yield_now().await;
            client.shutdown().await.expect("an end");
            let mut got = Vec::new();
            client.read_to_end(&mut got).await.expect("an end");
            assert_eq!((count_answers(&got), seen.borrow().len()), (answers, answers), "{input:?}");
        });
    }
}

#[test]
fn a_reader_with_little_room_gets_every_byte_once() {
    let input = [GET, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n12345", GET].concat();
    for room in 1..60 {
        for piece in [1, 7, 40, 1000] {
            run(async {
                let (mut client, server) = tokio::io::duplex(4096);
                let (mut stream, _exchanges) = guard(server, Patience::default());
                let send = async {
                    for bytes in input.as_bytes().chunks(piece) {
                        client.write_all(bytes).await.expect("room");
                        tokio::task::yield_now().await;
                    }
                    client.write_all(b"GET /\n").await.expect("room");
                };
                let read = async {
                    let stand_in = b"GET / HTTP/1.1\r\nhost: refused\r\nconnection: close\r\n\r\n";
                    let mut got = Vec::new();
                    let mut bytes = vec![0; room];
                    while got.len() < input.len() + stand_in.len() {
                        let read = stream.read(&mut bytes).await?;
                        got.extend_from_slice(&bytes[..read]);
                    }
                    assert_eq!(got, [input.as_bytes(), stand_in].concat());
                    io::Result::Ok(())
                };
                let ((), read) = tokio::join!(send, read);
                read.expect("no error");
            });
        }
    }
}
