//! The hardware's own prices: what no gateway can go below.
use crate::{args::Args, keys, stats, sys};
use std::hint::black_box;
use std::io::{Read, Write};

/// Best of five, in ns per operation.
fn time(n: u64, mut f: impl FnMut(u64)) -> f64 {
    (0..5)
        .map(|_| {
            let t = sys::now_ns();
            for i in 0..n {
                f(i);
            }
            (sys::now_ns() - t) as f64 / n as f64
        })
        .fold(f64::MAX, f64::min)
}

pub fn micro() {
    let mut out: Vec<(String, f64)> = Vec::new();
    let mut key = *b"gk_live_0123456789abcdefghijklmnopqrstuv";
    out.push((
        "sha256_40B_ns".into(),
        time(1_000_000, |i| {
            key[39] = i as u8;
            black_box(keys::digest(black_box(&key)));
        }),
    ));
    for n in [10_000u64, 1_000_000] {
        let path = std::env::temp_dir().join(format!("gwbench-micro-{}-{n}", std::process::id()));
        let mut rng = stats::Rng::new(7);
        let mut s = String::with_capacity(n as usize * 50);
        for i in 0..n {
            s.push_str(&format!("gk_live_{:016x}{:016x} c{:07}\n", rng.next(), rng.next(), i));
        }
        std::fs::write(&path, s).unwrap();
        let k = keys::Keys::open(path.to_str().unwrap());
        let t0 = sys::now_ns();
        let t = keys::Table::build(&k);
        out.push((format!("table_build_{n}_ms"), (sys::now_ns() - t0) as f64 / 1e6));
        out.push((format!("table_bytes_per_key_{n}"), t.bytes() as f64 / n as f64));
        let d: Vec<[u8; 32]> = (0..100_000).map(|_| keys::digest(k.key(rng.below(n)))).collect();
        out.push((
            format!("table_find_{n}_ns"),
            time(d.len() as u64, |i| {
                black_box(t.find(&d[i as usize]));
            }),
        ));
        out.push((
            format!("sha256_and_find_{n}_ns"),
            time(100_000, |_| {
                let i = rng.below(n);
                black_box(t.find(&keys::digest(k.key(i))));
            }),
        ));
        let _ = std::fs::remove_file(path);
    }
    let src = vec![1u8; 256 << 20];
    let mut dst = vec![0u8; 256 << 20];
    for (label, len) in [("memcpy_512B_ns", 512usize), ("memcpy_4KiB_ns", 4096)] {
        out.push((
            label.into(),
            time(1_000_000, |_| {
                dst[..len].copy_from_slice(black_box(&src[..len]));
                black_box(&dst);
            }),
        ));
    }
    let big = time(2, |_| {
        dst.copy_from_slice(black_box(&src));
        black_box(&dst);
    });
    out.push(("memcpy_256MiB_GBps".into(), (256u64 << 20) as f64 / big));
    out.push((
        "syscall_getppid_ns".into(),
        time(1_000_000, |_| unsafe {
            black_box(libc::syscall(libc::SYS_getppid));
        }),
    ));
    out.push((
        "clock_monotonic_ns".into(),
        time(1_000_000, |_| {
            black_box(sys::now_ns());
        }),
    ));
    let body: Vec<String> = out.iter().map(|(k, v)| format!("\"{k}\":{v:.2}")).collect();
    println!("{{{}}}", body.join(","));
}

/// Blocking 64-byte round trips over loopback TCP between two threads.
pub fn pingpong(a: &Args) {
    let size = a.num("size", 64.0) as usize;
    let secs = a.num("secs", 2.0);
    let (c0, c1) = (a.num("cpu-a", 0.0) as usize, a.num("cpu-b", 1.0) as usize);
    let l = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = l.local_addr().unwrap().port();
    std::thread::spawn(move || {
        sys::pin(c1);
        let (mut s, _) = l.accept().unwrap();
        s.set_nodelay(true).unwrap();
        let mut b = vec![0u8; size];
        while s.read_exact(&mut b).is_ok() && s.write_all(&b).is_ok() {}
    });
    sys::pin(c0);
    let mut s = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    s.set_nodelay(true).unwrap();
    let mut b = vec![0u8; size];
    let mut h = stats::Hist::new();
    let end = sys::now_ns() + (secs * 1e9) as u64;
    loop {
        let t = sys::now_ns();
        if t > end {
            break;
        }
        s.write_all(&b).unwrap();
        s.read_exact(&mut b).unwrap();
        h.add(sys::now_ns() - t);
    }
    println!(
        "{{\"trips_per_s\":{:.0},\"p50_us\":{:.2},\"p99_us\":{:.2},\"p999_us\":{:.2}}}",
        h.n as f64 / secs,
        h.pct(50.0) as f64 / 1e3,
        h.pct(99.0) as f64 / 1e3,
        h.pct(99.9) as f64 / 1e3
    );
}
