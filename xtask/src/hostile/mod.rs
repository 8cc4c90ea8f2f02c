//! `cargo xtask hostile`: mutated requests through the gateway to real servers. What the gateway judged is what each of
//! them parsed, or the gateway refused (the differential rule of SECURITY.md §4).
//!
//! A [`case`] is one connection: [`requests`] of every kind, which [`mutate`] changes by [`chance`]. The [`client`] sends
//! it to an API for each of the [`upstreams`]. Before each of these stands a [`tap`], which knows what was sent on and
//! compares it with what the upstream says that it [`parsed`]; [`judge`] holds what must be. Three readers are compared
//! with the gateway: our own ([`reader`]) reads the client's bytes and what the gateway made of them, an upstream the
//! latter. [`run`] does it many times at once, [`report`] prints.
//!
//! Cases that once failed are kept in `xtask/hostile/cases/` and run first. Nothing here uses the project's own crates.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use crate::gateway::{Gateway, build, text_of};
use crate::say;

mod answer;
mod case;
mod chance;
mod client;
mod judge;
mod mutate;
mod parsed;
mod reader;
mod report;
mod requests;
mod run;
mod tap;
mod upstreams;

use case::Cases;
use judge::Law;
use run::Api;
pub(crate) use upstreams::Kind;

/// Sends mutated requests through the gateway to several servers and compares what all of them read.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Start this binary instead of building one.
    #[arg(long)]
    binary: Option<PathBuf>,
    /// How many cases; each is sent to each upstream.
    #[arg(long, default_value_t = 100_000)]
    count: u64,
    /// Where the cases come from; the same seed makes the same cases [default: another one each time].
    #[arg(long)]
    seed: Option<u64>,
    /// Only this case of the seed, shown with its bytes.
    #[arg(long, requires = "seed")]
    case: Option<u64>,
    /// The servers behind the gateway.
    #[arg(long, value_delimiter = ',', default_value = "nginx,node,h11")]
    upstreams: Vec<Kind>,
}

/// Runs all cases; `false` if there was a disagreement.
///
/// # Errors
/// If a server or the gateway can't be started.
pub(crate) fn main(options: &Options) -> io::Result<bool> {
    let binary = options.binary.clone().map_or_else(build, Ok)?;
    let seed = options.seed.unwrap_or_else(|| RandomState::new().build_hasher().finish());
    let cases = match options.case {
        None => Cases::all(&crate::root().join("xtask/hostile/cases"), seed, options.count)?,
        Some(number) => Cases::one(seed, number),
    };
    if options.case.is_some() {
        say::result(cases.get(0).kept());
    }

    let servers = options.upstreams.iter().map(|kind| kind.start()).collect::<io::Result<Vec<_>>>()?;
    let (gateway, _) = Gateway::start(&binary, None)?;
    let law = Arc::new(caller(&gateway)?);
    let mut apis = Vec::new();
    for (kind, server) in options.upstreams.iter().zip(&servers) {
        let (address, seen) = tap::open(server.address, law.clone())?;
        let host = kind.host();
        let api = json!({ "name": kind.name(), "upstream": format!("http://{address}"), "hosts": [host] });
        let id = text_of(&gateway.post("/v1/apis", &api)?, "id")?;
        gateway.activate(&law.project_id, &id)?;
        apis.push(Api { kind: *kind, host, seen });
    }

    let bar = bar(cases.count());
    let outcome = run::run(gateway.address, &law, &apis, &cases, &|| bar.inc(1));
    bar.finish_and_clear();
    Ok(report::print(&outcome, seed, &cases))
}

/// A project with a key that may call some paths by some methods.
fn caller(gateway: &Gateway) -> io::Result<Law> {
    let project_name = "hostile".to_owned();
    let project_id = text_of(&gateway.post("/v1/projects", &json!({ "name": project_name }))?, "id")?;
    let wish = json!({
        "project_id": project_id,
        "name": "some paths, some methods",
        "restrictions": { "paths": [requests::OPEN], "methods": requests::METHODS },
    });
    let made = gateway.post("/v1/keys", &wish)?;
    let key = text_of(&made, "key")?;
    if key.len() != requests::KEY.len() {
        return Err(io::Error::other("a key has another length than what stands for it in the cases"));
    }
    Ok(Law { key, key_id: text_of(&made, "id")?, project_id, project_name })
}

fn bar(length: u64) -> ProgressBar {
    let bar = ProgressBar::new(length).with_message("cases");
    match ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {per_sec} {eta}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
