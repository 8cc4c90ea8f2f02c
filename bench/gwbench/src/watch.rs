//! Watches one key die. Two paced connections: one uses the key about to be revoked, the other a key
//! that stays. Prints, on the monotonic clock, when the last accepted and first refused request of the
//! dying key were sent, and how long the other traffic was ever held up.
use crate::{args::Args, http, sys};

struct Side {
    fd: i32,
    req: Vec<u8>,
    buf: Vec<u8>,
    sent: u64,
    next: u64,
    busy: bool,
}

pub fn run(a: &Args) {
    let port = a.num("port", 9100.0) as u16;
    let gap = (a.num("gap-us", 200.0) * 1000.0) as u64;
    let hard_end = sys::now_ns() + (a.num("secs", 60.0) * 1e9) as u64;
    let calm = (a.num("calm-ms", 500.0) * 1e6) as u64;
    let open = || sys::connect(port).unwrap_or(-1);
    let mut ep = sys::Epoll::new();
    let mut sides: Vec<Side> = ["victim", "other"]
        .iter()
        .enumerate()
        .map(|(i, n)| {
            let req = std::fs::read(a.str(n, "")).unwrap_or_else(|e| {
                eprintln!("--{n} must name a file with a request: {e}");
                std::process::exit(1)
            });
            let fd = open();
            ep.add(fd, i as u64);
            Side { fd, req, buf: Vec::new(), sent: 0, next: sys::now_ns() + 1_000_000 * i as u64, busy: false }
        })
        .collect();
    let timer = sys::Timer::new();
    ep.add(timer.0, u64::MAX);
    let (mut last_ok, mut first_no, mut last_no) = (0u64, 0u64, 0u64);
    let (mut oks, mut nos) = (0u64, 0u64);
    let (mut worst, mut worst_at, mut bad, mut lost, mut other_ok) = (0u64, 0u64, 0u64, 0u64, 0u64);
    let mut ready = Vec::new();
    let mut tmp = vec![0u8; 65536];
    println!("ready");
    loop {
        let now = sys::now_ns();
        // The end: refusals only, for a calm while after the last acceptance.
        if now > hard_end || (first_no > 0 && now > first_no + calm && now > last_ok + calm) {
            break;
        }
        for i in 0..2 {
            let s = &mut sides[i];
            if !s.busy && now >= s.next {
                s.sent = now;
                s.next = now + gap;
                s.buf.clear();
                if s.fd < 0 || !sys::write_all(s.fd, &s.req) {
                    sys::close(s.fd);
                    s.fd = open();
                    if s.fd < 0 || !sys::write_all(s.fd, &s.req) {
                        lost += 1;
                        s.fd = -1;
                        continue;
                    }
                    ep.add(s.fd, i as u64);
                }
                s.busy = true;
            }
        }
        let due = sides.iter().filter(|s| !s.busy).map(|s| s.next).min().unwrap_or(now + 1_000_000);
        timer.at(due.max(1));
        ep.wait(50, &mut ready);
        for &t in &ready {
            if t == u64::MAX {
                timer.ack();
                continue;
            }
            let s = &mut sides[t as usize];
            let (mut status, mut drop) = (0u16, false);
            match sys::read(s.fd, &mut tmp) {
                sys::Io::Again => continue,
                sys::Io::Gone => drop = true,
                sys::Io::Done(n) => {
                    s.buf.extend_from_slice(&tmp[..n]);
                    if let Some(h) = http::response_head(&s.buf) {
                        let whole = match h.body {
                            http::Body::Length(b) => s.buf.len() >= h.len + b,
                            http::Body::Chunked => http::chunked_done(&s.buf[h.len..]),
                        };
                        if whole {
                            status = h.status;
                            // A verification service says no inside a 200.
                            if http::find(&s.buf, b"\"valid\":false").is_some() {
                                status = 401;
                            }
                            drop = h.close;
                        }
                    }
                }
            }
            let now = sys::now_ns();
            if status > 0 {
                s.busy = false;
                let (ok, no) = (status == 200, status == 401 || status == 403);
                if t == 0 {
                    if ok {
                        last_ok = s.sent;
                        oks += 1;
                    } else if no {
                        nos += 1;
                        last_no = s.sent;
                        if first_no == 0 {
                            first_no = s.sent;
                        }
                    } else {
                        bad += 1;
                    }
                } else {
                    if ok {
                        other_ok += 1
                    } else {
                        bad += 1
                    }
                    if now - s.sent > worst {
                        worst = now - s.sent;
                        worst_at = s.sent;
                    }
                }
            }
            if drop {
                sys::close(s.fd);
                s.fd = open();
                if s.fd >= 0 {
                    ep.add(s.fd, t);
                }
                if s.busy {
                    lost += 1;
                    s.busy = false;
                }
            }
        }
    }
    println!(
        "{{\"last_ok_ns\":{last_ok},\"first_no_ns\":{first_no},\"last_no_ns\":{last_no},\"oks\":{oks},\"nos\":{nos},\"other_ok\":{other_ok},\"other_worst_us\":{:.1},\"other_worst_at_ns\":{worst_at},\"bad\":{bad},\"lost\":{lost}}}",
        worst as f64 / 1000.0
    );
}
