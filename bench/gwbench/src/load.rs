//! The load generator. Closed loop (`--rate 0`): every connection always has one request out.
//! Open loop (`--rate N`): arrivals are fixed beforehand, constant or Poisson, and latency counts from
//! the intended arrival, so a stalled server cannot hide its queue (no coordinated omission).
use crate::{args::Args, http, keys::Keys, stats, sys};
use std::collections::VecDeque;

struct Conn {
    fd: i32,
    buf: Vec<u8>,
    due: u64,
    busy: bool,
}

struct Gen {
    port: u16,
    before: Vec<u8>,
    after: Vec<u8>,
    keys: Option<Keys>,
    split: usize,
    bad: f64,
    rng: stats::Rng,
    out: Vec<u8>,
}

impl Gen {
    fn request(&mut self) {
        self.out.clear();
        self.out.extend_from_slice(&self.before);
        if let Some(k) = &self.keys {
            let at = self.out.len();
            let i = self.rng.below(k.count());
            let key = k.key(i);
            if self.split > 0 {
                // Some gateways want `id:secret`.
                self.out.extend_from_slice(&key[..self.split]);
                self.out.push(b':');
                self.out.extend_from_slice(&key[self.split..]);
            } else {
                self.out.extend_from_slice(key);
            }
            if self.bad > 0.0 && self.rng.unit() <= self.bad {
                // Same shape, not in the set.
                for b in self.out[at + 8..].iter_mut().filter(|b| **b != b':') {
                    *b = b"abcdefghijklmnopqrstuvwxyzABCDEF"[(self.rng.next() & 31) as usize];
                }
            }
        }
        self.out.extend_from_slice(&self.after);
    }
}

/// CPU time used so far in ns, from `cpuacct.usage` (cgroup v1) or `cpu.stat` (v2).
fn read_meter(path: &str) -> u64 {
    let s = std::fs::read_to_string(path).unwrap_or_default();
    match s.strip_prefix("usage_usec ") {
        Some(v) => http::dec(v.as_bytes()) as u64 * 1000,
        None => http::dec(s.as_bytes()) as u64,
    }
}

/// This process's own CPU time in seconds.
fn self_cpu() -> f64 {
    unsafe {
        let mut r: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &mut r);
        let s = |t: libc::timeval| t.tv_sec as f64 + t.tv_usec as f64 / 1e6;
        s(r.ru_utime) + s(r.ru_stime)
    }
}

/// (busy, steal) in clock ticks for each cpu.
fn cpu_ticks() -> Vec<(u64, u64)> {
    let s = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    s.lines()
        .filter(|l| l.starts_with("cpu") && l.as_bytes()[3].is_ascii_digit())
        .map(|l| {
            let v: Vec<u64> = l.split_whitespace().skip(1).map(|x| x.parse().unwrap_or(0)).collect();
            (v[0] + v[1] + v[2] + v[5] + v[6], v[7])
        })
        .collect()
}

pub fn run(a: &Args) {
    let port = a.num("port", 9100.0) as u16;
    let conns_n = a.num("conns", 64.0) as usize;
    let rate = a.num("rate", 0.0);
    let secs = a.num("secs", 3.0);
    let warm = a.num("warm", 1.0);
    let poisson = a.str("arrivals", "poisson") == "poisson";
    let keys = a.get("keys").map(Keys::open);
    let name = a.str("header", "X-Api-Key");
    let path = a.str("path", "/v1/items?page=2");
    let host = "Host: api.example.test\r\nUser-Agent: gwbench/0.1\r\nAccept: */*\r\n";
    let (before, after) = match a.get("post-json") {
        // A verification call: the key stands where the template has an @.
        Some(tpl) => {
            let (l, r) = tpl.split_once('@').expect("--post-json needs an @");
            let klen = keys.as_ref().map_or(0, |k| k.key(0).len());
            let head = format!(
                "POST {path} HTTP/1.1\r\n{host}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{l}",
                l.len() + r.len() + klen
            );
            (head, r.to_string())
        }
        None => {
            let h = format!("GET {path} HTTP/1.1\r\n{host}");
            if keys.is_some() {
                (format!("{h}{name}: {}", a.str("prefix", "")), "\r\n\r\n".to_string())
            } else {
                (h, "\r\n".to_string())
            }
        }
    };
    let mut g = Gen {
        port,
        before: before.into_bytes(),
        after: after.into_bytes(),
        keys,
        split: a.num("split", 0.0) as usize,
        bad: a.num("bad", 0.0),
        rng: stats::Rng::new(a.num("seed", 1.0) as u64),
        out: Vec::with_capacity(1024),
    };
    if let Some(c) = a.get("pin") {
        sys::pin(c.parse().expect("--pin CPU"));
    }
    let meters = a.all("cpuacct");

    let mut ep = sys::Epoll::new();
    let mut conns: Vec<Conn> = Vec::new();
    let mut idle: Vec<usize> = Vec::new();
    for i in 0..conns_n {
        let fd = sys::connect(g.port).unwrap_or_else(|e| {
            eprintln!("connect: {e}");
            std::process::exit(1)
        });
        ep.add(fd, i as u64);
        conns.push(Conn { fd, buf: Vec::with_capacity(8192), due: 0, busy: false });
        idle.push(i);
    }
    let timer = sys::Timer::new();
    ep.add(timer.0, u64::MAX);

    let start = sys::now_ns();
    let from = start + (warm * 1e9) as u64;
    let to = from + (secs * 1e9) as u64;
    let mut hist = stats::Hist::new();
    let mut by_class = [0u64; 6];
    let (mut c401, mut c429, mut errors, mut reconnects, mut done) = (0u64, 0u64, 0u64, 0u64, 0u64);
    let mut waiting: VecDeque<u64> = VecDeque::new();
    let mut next_due = start;
    let mut metered: Option<(Vec<u64>, Vec<(u64, u64)>, u64, f64)> = None;
    let mut ready = Vec::new();
    let mut tmp = vec![0u8; 65536];
    let mut backlog_max = 0usize;

    macro_rules! fire {
        ($i:expr, $due:expr) => {{
            g.request();
            let c = &mut conns[$i];
            c.due = $due;
            c.busy = true;
            c.buf.clear();
            if !sys::write_all(c.fd, &g.out) {
                // The server closed a kept connection between requests: open a new one and resend.
                reconnects += 1;
                sys::close(c.fd);
                match sys::connect(g.port) {
                    Ok(fd) => {
                        c.fd = fd;
                        ep.add(fd, $i as u64);
                        if !sys::write_all(fd, &g.out) {
                            errors += 1;
                        }
                    }
                    Err(_) => {
                        errors += 1;
                        c.fd = -1;
                    }
                }
            }
        }};
    }

    if rate == 0.0 {
        while let Some(i) = idle.pop() {
            fire!(i, sys::now_ns());
        }
        timer.at(from);
    } else {
        timer.at(next_due);
    }

    loop {
        ep.wait(100, &mut ready);
        let mut now = sys::now_ns();
        if metered.is_none() && now >= from {
            metered = Some((meters.iter().map(|p| read_meter(p)).collect(), cpu_ticks(), now, self_cpu()));
            if rate == 0.0 {
                timer.at(to);
            }
        }
        if now >= to {
            break;
        }
        for &t in &ready {
            if t == u64::MAX {
                timer.ack();
                continue;
            }
            let i = t as usize;
            let c = &mut conns[i];
            let mut finished = false;
            let mut broken = false;
            match sys::read(c.fd, &mut tmp) {
                sys::Io::Again => continue,
                sys::Io::Gone => broken = true,
                sys::Io::Done(n) => {
                    c.buf.extend_from_slice(&tmp[..n]);
                    if let Some(h) = http::response_head(&c.buf) {
                        finished = match h.body {
                            http::Body::Length(b) => c.buf.len() >= h.len + b,
                            http::Body::Chunked => http::chunked_done(&c.buf[h.len..]),
                        };
                        if finished {
                            now = sys::now_ns();
                            if c.due >= from {
                                by_class[(h.status / 100).min(5) as usize] += 1;
                                c401 += (h.status == 401) as u64;
                                c429 += (h.status == 429) as u64;
                                hist.add(now - c.due);
                            }
                            if now >= from {
                                done += 1;
                            }
                            broken = h.close;
                        }
                    }
                }
            }
            if broken {
                reconnects += 1;
                sys::close(c.fd);
                match sys::connect(g.port) {
                    Ok(fd) => {
                        c.fd = fd;
                        ep.add(fd, i as u64);
                    }
                    Err(_) => {
                        errors += 1;
                        c.fd = -1;
                        c.busy = true;
                        continue;
                    }
                }
                if c.busy && !finished {
                    // Lost while a request was out: count it and go on.
                    errors += 1;
                    finished = true;
                }
            }
            if finished {
                c.busy = false;
                if rate == 0.0 {
                    fire!(i, now);
                } else if let Some(due) = waiting.pop_front() {
                    fire!(i, due);
                } else {
                    idle.push(i);
                }
            }
        }
        if rate > 0.0 {
            now = sys::now_ns();
            while next_due <= now {
                match idle.pop() {
                    Some(i) => fire!(i, next_due),
                    None => waiting.push_back(next_due),
                }
                let gap = if poisson { -g.rng.unit().ln() / rate } else { 1.0 / rate };
                next_due += (gap * 1e9) as u64;
            }
            backlog_max = backlog_max.max(waiting.len());
            timer.at(next_due);
        }
    }
    let end = sys::now_ns();
    let own1 = self_cpu();
    let (m0, t0, s0, own0) = metered.unwrap_or((vec![0; meters.len()], cpu_ticks(), end, own1));
    let m1: Vec<u64> = meters.iter().map(|p| read_meter(p)).collect();
    let t1 = cpu_ticks();
    let dur = (end - s0) as f64 / 1e9;
    let hz = unsafe { libc::sysconf(libc::_SC_CLK_TCK) } as f64;
    let us = |v: u64| v as f64 / 1000.0;
    // Requests still unanswered at the end, and past their time, count as late.
    let stuck = waiting.iter().filter(|&&d| d >= from).count() as u64
        + if rate > 0.0 { conns.iter().filter(|c| c.busy && c.due >= from).count() as u64 } else { 0 };
    let cpu: Vec<String> = m0.iter().zip(&m1).map(|(a, b)| format!("{:.6}", (b - a) as f64 / 1e9)).collect();
    let cores: Vec<String> = t0
        .iter()
        .zip(&t1)
        .map(|(a, b)| {
            format!("{{\"busy\":{:.3},\"steal\":{:.4}}}", (b.0 - a.0) as f64 / hz / dur, (b.1 - a.1) as f64 / hz / dur)
        })
        .collect();
    println!(
        "{{\"secs\":{:.4},\"done\":{done},\"rps\":{:.1},\"ok\":{},\"c401\":{c401},\"c429\":{c429},\"c4xx\":{},\"c5xx\":{},\"errors\":{errors},\
\"reconnects\":{reconnects},\"stuck\":{stuck},\"backlog_max\":{backlog_max},\"mean_us\":{:.1},\"p50_us\":{:.1},\"p90_us\":{:.1},\"p99_us\":{:.1},\
\"p999_us\":{:.1},\"max_us\":{:.1},\"self_cpu_s\":{:.4},\"cpu_s\":[{}],\"cores\":[{}]}}",
        dur, done as f64 / dur, by_class[2], by_class[4], by_class[5],
        hist.mean() / 1000.0, us(hist.pct(50.0)), us(hist.pct(90.0)), us(hist.pct(99.0)), us(hist.pct(99.9)), us(hist.max),
        own1 - own0, cpu.join(","), cores.join(",")
    );
}
