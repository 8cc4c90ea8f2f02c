//! Waiting has limits (G-16). The clock of these tests jumps to the next deadline when there is nothing to do.

use std::time::Duration;

use keystile_core::Code;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep};

use super::harness::{count_answers, run, serve, served};
use crate::gateway::wire::{Patience, guard};

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// About so long: timers have milliseconds, and the steps of the tests add up.
#[track_caller]
fn about(since: Instant, expected: u64) {
    let elapsed = since.elapsed();
    assert!(elapsed >= seconds(expected) && elapsed < seconds(expected + 2), "{elapsed:?} instead of {expected} s");
}

/// An idle connection is noticed a quarter of a minute late at most.
#[track_caller]
fn about_a_minute(since: Instant) {
    let elapsed = since.elapsed();
    assert!(elapsed >= seconds(59) && elapsed <= seconds(76), "{elapsed:?}");
}

#[test]
fn g16_an_idle_connection_is_closed_after_a_minute_without_a_word() {
    for (before, answers) in [(&b""[..], 0), (b"\r\n", 0), (GET, 1)] {
        run(async {
            let (mut client, _) = served(4096);
            client.write_all(before).await.expect("room");
            let start = Instant::now();
            let mut got = Vec::new();
            client.read_to_end(&mut got).await.expect("an end");
            about_a_minute(start);
            assert_eq!(count_answers(&got), answers);
        });
    }
}

#[test]
fn g16_requests_keep_a_connection_alive() {
    run(async {
        let (mut client, seen) = served(4096);
        let mut answer = [0; 1024];
        for _ in 0..10 {
            sleep(seconds(59)).await;
            client.write_all(GET).await.expect("room");
            let read = client.read(&mut answer).await.expect("an answer");
            assert_eq!(count_answers(&answer[..read]), 1);
        }
        let start = Instant::now();
        assert_eq!(client.read(&mut answer).await.expect("an end"), 0);
        about_a_minute(start);
        assert_eq!(seen.borrow().len(), 10);
    });
}

#[test]
fn g16_a_head_must_be_there_ten_seconds_after_its_first_byte() {
    for (start_after, pause) in [(0, 3), (30, 1), (59, 9)] {
        run(async {
            let (client, seen) = served(4096);
            let (mut from, mut to) = tokio::io::split(client);
            tokio::task::spawn_local(async move {
                to.write_all(GET).await.expect("room");
                sleep(seconds(start_after)).await;
                for byte in GET {
                    if to.write_all(&[*byte]).await.is_err() {
                        break;
                    }
                    sleep(seconds(pause)).await;
                }
            });
            let start = Instant::now();
            let mut got = Vec::new();
            from.read_to_end(&mut got).await.expect("an end");
            // The client goes on sending, so we read a little longer before we close; the answer came before.
            assert!(start.elapsed() >= seconds(start_after + 10) && start.elapsed() < seconds(start_after + 14));
            let seen = seen.take();
            assert_eq!((seen.len(), count_answers(&got)), (2, 2));
            assert_eq!(seen[1].refusal.map(|refusal| refusal.code), Some(Code::RequestTimeout));
        });
    }
}

#[test]
fn g16_a_slow_head_that_arrives_in_time_is_served() {
    run(async {
        let (mut client, seen) = served(4096);
        for byte in GET.chunks(3) {
            client.write_all(byte).await.expect("room");
            sleep(seconds(1)).await;
        }
        let mut answer = [0; 1024];
        let read = client.read(&mut answer).await.expect("an answer");
        assert_eq!((seen.borrow().len(), count_answers(&answer[..read])), (1, 1));
    });
}

/// Sends a body of this many bytes in pieces of these sizes, one a second.
async fn send_body(length: usize, piece: usize) -> (Option<Code>, bool, Duration) {
    let (client, seen) = served(64 * 1024);
    let (mut from, mut to) = tokio::io::split(client);
    let start = Instant::now();
    tokio::task::spawn_local(async move {
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
        to.write_all(head.as_bytes()).await.expect("room");
        let mut left = length;
        while left > 0 {
            sleep(seconds(1)).await;
            if to.write_all(&vec![b'x'; piece.min(left)]).await.is_err() {
                break;
            }
            left -= piece.min(left);
        }
    });
    let mut got = Vec::new();
    from.read_to_end(&mut got).await.expect("an end");
    assert_eq!(count_answers(&got), 1);
    let seen = seen.take();
    (seen[0].body_refusal.map(|refusal| refusal.code), seen[0].message.whole, start.elapsed())
}

#[test]
fn g16_a_body_comes_at_least_at_a_kibibyte_in_ten_seconds() {
    for (length, piece, is_in_time) in [
        (50_000, 128, true),
        (50_000, 1024, true),
        (50_000, 100, false),
        (50_000, 1, false),
        (900, 100, true),
        (1100, 100, false),
        (9, 1, true),
        (11, 1, false),
    ] {
        let (refusal, whole, took) = run(send_body(length, piece));
        assert_eq!((refusal, whole), if is_in_time { (None, true) } else { (Some(Code::RequestTimeout), false) });
        if !is_in_time {
            assert!(took >= seconds(10) && took < seconds(13), "{took:?}: {length} {piece}");
        }
    }
}

#[test]
fn g16_a_body_that_we_do_not_want_yet_is_not_slow() {
    run(async {
        let (mut client, server) = tokio::io::duplex(4096);
        let (mut stream, _exchanges) = guard(server, Patience::default());
        client.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n1").await.expect("room");
        let mut bytes = [0; 100];
        let read = stream.read(&mut bytes).await.expect("the head");
        assert!(bytes[..read].ends_with(b"\r\n\r\n1"));
        for byte in [b"2", b"3"] {
            // Nobody reads for a minute, then somebody waits for three seconds.
            sleep(seconds(60)).await;
            let late = async {
                sleep(seconds(3)).await;
                client.write_all(byte).await.expect("room");
            };
            let (read, ()) = tokio::join!(stream.read(&mut bytes), late);
            assert_eq!(&bytes[..read.expect("a byte")], byte);
        }
        sleep(seconds(60)).await;
        let start = Instant::now();
        let error = stream.read(&mut bytes).await.expect_err("six seconds are used up");
        assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
        about(start, 4);
    });
}

#[test]
fn g16_a_long_answer_is_not_idle() {
    run(async {
        let (mut client, server) = tokio::io::duplex(4096);
        let (mut stream, exchanges) = guard(server, Patience::default());
        client.write_all(GET).await.expect("room");
        let mut bytes = [0; 100];
        assert_eq!(stream.read(&mut bytes).await.expect("a head"), GET.len());
        let exchange = exchanges.begin();
        let start = Instant::now();
        let end_later = async {
            sleep(seconds(600)).await;
            drop(exchange);
        };
        let (read, ()) = tokio::join!(stream.read(&mut bytes), end_later);
        assert_eq!(read.expect("an end"), 0);
        about_a_minute(start + seconds(600));
    });
}

#[test]
fn g16_who_does_not_take_the_answer_is_cut_off() {
    run(async {
        let (client, server) = tokio::io::duplex(16);
        let (stream, exchanges) = guard(server, Patience::default());
        let (mut from, mut to) = tokio::io::split(client);
        let start = Instant::now();
        let serving = serve(stream, exchanges, std::rc::Rc::default());
        let client = async {
            to.write_all(GET).await.expect("room");
            // A byte every ten seconds is progress for nobody.
            let mut byte = [0];
            for _ in 0..20 {
                sleep(seconds(10)).await;
                if from.read(&mut byte).await.unwrap_or(0) == 0 {
                    break;
                }
            }
        };
        tokio::select! {
            () = serving => about(start, 60),
            () = client => panic!("the client outlasted the server"),
        }
    });
}

#[test]
fn g16_who_takes_the_answer_slowly_but_steadily_gets_it() {
    run(async {
        let (client, server) = tokio::io::duplex(512);
        let (mut stream, _exchanges) = guard(server, Patience::default());
        let (mut from, _to) = tokio::io::split(client);
        let take = async {
            let mut piece = [0; 256];
            let mut taken = 0;
            while taken < 20_000 {
                sleep(seconds(10)).await;
                taken += from.read(&mut piece).await.expect("more");
            }
        };
        let answer = vec![0; 20_000];
        let (sent, ()) = tokio::join!(stream.write_all(&answer), take);
        sent.expect("all of it");
    });
}
