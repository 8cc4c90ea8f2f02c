//! `cargo xtask overload`: what becomes of calls when there are too many of them, or when clients are slow on purpose, in
//! figures. The tests say that it works; this says how well, on the machine that it runs on.
//!
//! Four parts: an upstream that bears so many calls a second gets three times as many, with and without a bound on
//! calls at once (R-9); keys are made and revoked while callers take all that the gateway has; and Debian's
//! `slowhttptest` holds 2,000 connections while an ordinary client calls (G-16), or others open streams of HTTP/2 and take
//! them back as fast as they can (G-14).

mod callers;
mod resets;
mod server;
mod sink;
mod upstream;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use clap::Args;

use crate::{clock, gateway, say};
use callers::{Figures, Plan, call_by_plan};
use server::Server;
use upstream::Upstream;

/// What the upstream bears: so many calls at a time, each for so long. That is 1,000 a second.
const AT_ONCE: usize = 20;
const EACH: Duration = Duration::from_millis(20);
const CAPACITY: u32 = 1_000;
/// The bound on calls at once that is measured: what the upstream bears, and as many again that wait.
const BOUND: u32 = 40;
/// Connections of callers; each has one call under way.
const CALLERS: usize = 600;
/// Connections that `slowhttptest` holds.
const SLOW: &str = "2000";
/// Calls a second of the ordinary client beside it.
const ORDINARY: u32 = 200;

/// Measures overload.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Measure this binary instead of building one.
    #[arg(long)]
    binary: Option<PathBuf>,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
}

/// Measures and prints the tables.
///
/// # Errors
/// If something can't be built, started or called.
pub(crate) fn main(options: &Options) -> io::Result<bool> {
    let binary = match &options.binary {
        Some(binary) => binary.clone(),
        None => gateway::build()?,
    };
    let time = Duration::from_secs(options.seconds);
    too_many(&binary, time)?;
    management(&binary, time)?;

    slow_clients(&binary, time)?;
    resets(&binary, time)?;
    Ok(true)
}

/// Three times what the upstream bears.
fn too_many(binary: &std::path::Path, time: Duration) -> io::Result<()> {
    say::result(format_args!(
        "An upstream that bears {CAPACITY} calls a second ({AT_ONCE} at once, {} ms each), {CALLERS} connections, {} s:\n",
        EACH.as_millis(),
        time.as_secs(),
    ));
    say::result(
        "| offered a second | bound | answered 200 a second | p50 ms | p99 ms | refused a second | refused p99 ms |",
    );
    say::result("| ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    for (bound, times) in [(None, 1), (None, 3), (Some(BOUND), 1), (Some(BOUND), 3)] {
        let upstream = Upstream::start(AT_ONCE, EACH)?;
        let bound_text = bound.map_or_else(|| "off".to_owned(), |bound: u32| bound.to_string());
        let setting = bound.map_or_else(|| "\"off\"".to_owned(), |bound| bound.to_string());
        let server = Server::start(binary, &format!("max_concurrent_calls = {setting}"), &upstream.url())?;
        // A little below what it bears, where nothing should be refused.
        let rate = if times == 1 { CAPACITY * 9 / 10 } else { CAPACITY * times };
        let plan = Plan { address: server.gateway, key: &server.key, callers: CALLERS, rate, time };
        let Figures { mut allowed, in_time, mut refused, failed } = call_by_plan(&plan);
        let seconds = time.as_secs_f64();
        say::result(format_args!(
            "| {rate} | {bound_text} | {:.0} | {} | {} | {:.0} | {} |",
            in_time as f64 / seconds,
            allowed.percentile(0.5),
            allowed.percentile(0.99),
            refused.count() as f64 / seconds,
            refused.percentile(0.99),
        ));
        if failed > 0 {
            say::result(format_args!("{failed} calls failed otherwise"));
        }
    }
    say::result("");
    Ok(())
}

/// Keys are made and revoked while callers take what they can get.
fn management(binary: &std::path::Path, time: Duration) -> io::Result<()> {
    say::result(
        "A key made and a key revoked, ms each:\n\n| callers | calls a second | p50 | p99 | longest |\n| --- | ---: | ---: | ---: | ---: |",
    );
    for callers in [0, 64] {
        let upstream = Upstream::start(usize::MAX, Duration::ZERO)?;
        let server = Server::start(binary, "", &upstream.url())?;
        let plan = Plan { address: server.gateway, key: &server.key, callers, rate: u32::MAX, time };
        let (figures, mut changes) = std::thread::scope(|scope| {
            let calling = scope.spawn(|| call_by_plan(&plan));
            let mut changes = callers::Times::default();
            let began = clock::now();
            while began.elapsed() < time {
                let asked = clock::now();
                server.make_and_revoke_a_key()?;
                changes.add(asked.elapsed());
            }
            let lost = || io::Error::other("the callers panicked");
            Ok::<_, io::Error>((calling.join().map_err(|_| lost())?, changes))
        })?;
        say::result(format_args!(
            "| {} | {:.0} | {} | {} | {} |",
            if callers == 0 { "none".to_owned() } else { format!("{callers}, as fast as they can") },
            figures.in_time as f64 / time.as_secs_f64(),
            changes.percentile(0.5),
            changes.percentile(0.99),
            changes.percentile(1.0),
        ));
    }
    say::result("");
    Ok(())
}

/// An ordinary client beside slow ones, who turn to the gateway or past it to the upstream.
fn slow_clients(binary: &std::path::Path, time: Duration) -> io::Result<()> {
    say::result(format_args!(
        "An ordinary client ({ORDINARY} calls a second) beside `slowhttptest -c {SLOW}`, ms:\n\n{BESIDE_HEAD}"
    ));
    let upstream = Upstream::start(usize::MAX, Duration::ZERO)?;
    let server = Server::start(binary, "max_connections_per_address = 5000", &upstream.url())?;
    let past = upstream.address();
    let beside = |name: &str, attack: Option<(&str, SocketAddr)>| {
        let slow = attack.map(|(flag, target)| {
            let seconds = (time.as_secs() + 4).to_string();
            Command::new("slowhttptest")
                .args([
                    flag,
                    "-c",
                    SLOW,
                    "-r",
                    "1000",
                    "-i",
                    "5",
                    "-l",
                    &seconds,
                    "-u",
                    &format!("http://{target}/slow"),
                ])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
        });
        let mut slow = slow.transpose()?;
        // Until all of them are there.
        std::thread::sleep(Duration::from_secs(3));
        let figures = call_by_plan(&ordinary(&server, time));
        if let Some(slow) = &mut slow {
            let _ = slow.kill();
            let _ = slow.wait();
        }
        say_beside(name, figures);
        Ok::<_, io::Error>(())
    };
    beside("nothing", None)?;
    for (flag, name) in [("-H", "slow heads"), ("-B", "slow bodies"), ("-X", "slow reading")] {
        beside(&format!("{name}, past the gateway"), Some((flag, past)))?;
        beside(&format!("{name}, at the gateway"), Some((flag, server.gateway)))?;
    }
    Ok(())
}

/// An ordinary client beside those who take their streams back, at the gateway or at a server that only takes.
fn resets(binary: &std::path::Path, time: Duration) -> io::Result<()> {
    say::result(format_args!(
        "\nAn ordinary client ({ORDINARY} calls a second) beside streams that are taken back, ms:\n\n{BESIDE_HEAD}"
    ));
    let upstream = Upstream::start(usize::MAX, Duration::ZERO)?;
    let server = Server::start(binary, "h2c = true", &upstream.url())?;
    let sink = sink::start()?;
    let beside = |connections: usize, target: SocketAddr, place: &str| {
        let (stop, count) = (AtomicBool::new(false), AtomicU64::new(0));
        let figures = std::thread::scope(|scope| {
            for _ in 0..connections {
                scope.spawn(|| resets::reset(target, &server.key, &stop, &count));
            }
            let figures = call_by_plan(&ordinary(&server, time));
            stop.store(true, Ordering::Relaxed);
            figures
        });
        let streams = count.load(Ordering::Relaxed) / (time + callers::WARM_UP).as_secs().max(1);
        say_beside(&format!("{connections} connections{place}, {streams} streams a second"), figures);
    };
    beside(0, server.gateway, "");
    for connections in [1, 8] {
        beside(connections, sink, " elsewhere");
        beside(connections, server.gateway, " at the gateway");
    }
    Ok(())
}

const BESIDE_HEAD: &str = "| beside | p50 | p99 | longest | failed |\n| --- | ---: | ---: | ---: | ---: |";

fn ordinary(server: &Server, time: Duration) -> Plan<'_> {
    Plan { address: server.gateway, key: &server.key, callers: 8, rate: ORDINARY, time }
}

fn say_beside(beside: &str, mut figures: Figures) {
    say::result(format_args!(
        "| {beside} | {} | {} | {} | {} |",
        figures.allowed.percentile(0.5),
        figures.allowed.percentile(0.99),
        figures.allowed.percentile(1.0),
        figures.failed + figures.refused.count(),
    ));
}
