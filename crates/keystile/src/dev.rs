//! `keystile dev`: everything at once, on a folder of its own, with a first key and a `curl` line that works.

use crate::config::RootKeyPlace;
use std::fs::Permissions;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use ipnet::IpNet;
use keystile_core::api::UpstreamUrl;
use keystile_server::openapi::ApiDocument;
use keystile_server::setup::{Developer, Trial};

use crate::cli::Screen;
use crate::config::{self, Config, LogFormat, LogLevel};
use crate::echo;
use crate::process::{Listeners, Opened, Process};
use crate::serve::{Signals, claim, harden, log, run_on_control_plane};

/// Ports from the base: gateway, admin, check, portal, built-in upstream.
const DEFAULT_PORT_BASE: u16 = 4400;
const ECHO_PORT: u16 = 4;

/// Runs everything at once to try it out.
#[derive(Args)]
pub(crate) struct Options {
    /// Where calls go; a built-in upstream that answers with what it got, if nothing is said.
    #[arg(long, value_name = "URL")]
    upstream: Option<UpstreamUrl>,
    /// An OpenAPI document of the API: calls are counted by its operations.
    #[arg(long, value_name = "FILE")]
    openapi: Option<PathBuf>,
    /// A folder to keep everything in; a temporary one if nothing is said.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The first of five ports: gateway N, admin N+1, check N+2, portal N+3, built-in upstream N+4.
    #[arg(long, value_name = "N", default_value_t = DEFAULT_PORT_BASE, value_parser = clap::value_parser!(u16).range(1..=65_531))]
    port_base: u16,
    /// Make nobody its first member: whoever opens the link that is printed is.
    #[arg(long)]
    unclaimed: bool,
}

pub(crate) fn run(options: &Options, json: bool) -> ExitCode {
    log(LogFormat::Text, LogLevel::Warn);
    harden();
    run_on_control_plane(&mut Screen::of_process(), async |screen| {
        let mut signals = Signals::listen()?;
        let document = options.openapi.as_ref().map(read_document).transpose()?;
        // Kept until the end: a temporary folder goes with it.
        let (folder, _temporary) = match &options.data {
            Some(folder) => (folder.clone(), None),
            None => {
                let temporary = tempfile::Builder::new()
                    .prefix("keystile-dev-")
                    .permissions(Permissions::from_mode(0o700))
                    .tempdir()?;
                (temporary.path().to_owned(), Some(temporary))
            }
        };
        let at = |offset| SocketAddr::from((Ipv4Addr::LOCALHOST, options.port_base + offset));
        let mut config = defaults()?;
        // Whoever tries it out wants to see every call.
        config.request_log.per_second = 1_000;
        config.root_key = RootKeyPlace::File(folder.join("root.key"));
        config.data = folder;
        config.gateway.listen = Some(at(0));
        config.admin.listen = Some(at(1));
        config.check.listen = Some(at(2));
        // What somebody tries out listens here.
        config.webhooks.networks =
            vec![IpNet::from(IpAddr::from(Ipv4Addr::LOCALHOST)), IpNet::from(IpAddr::from(Ipv6Addr::LOCALHOST))];
        let echo: UpstreamUrl = format!("http://{}", at(ECHO_PORT)).parse()?;
        if options.upstream.is_none() {
            tokio::spawn(echo::run(echo::bind(at(ECHO_PORT)).await?));
        }
        let listeners = Listeners::bind(&config, None).await?;
        let mut opened = Opened::open(&config).await?;
        // Whoever tries it out has no mail server, and is the only one who reads the log.
        opened.shows_links = true;
        let owner = opened.owner.organization;
        let trial = opened.setup().trial(owner, options.upstream.clone(), &echo, document.as_ref()).await?;
        let process = Process::start(opened, listeners, &config, None).await?;
        let developer = match options.unclaimed {
            true => None,
            false => process.developer().await?,
        };
        process.hand_over_the_key(announce(&process, &trial, (at(3), developer.as_ref()), json, screen)).await?;
        signals.wait().await;
        process.end().await;
        Ok(())
    })
}

/// The defaults of `keystile serve`, whatever file or variables are there.
fn defaults() -> Result<Config, Box<dyn std::error::Error>> {
    config::defaults().map_err(|errors| errors.to_string().into())
}

fn read_document(file: &PathBuf) -> Result<ApiDocument, Box<dyn std::error::Error>> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{} can't be read: {error}", file.display()))?;
    ApiDocument::read(&text).map_err(|error| format!("{}: {error}", file.display()).into())
}

fn announce(
    process: &Process,
    trial: &Trial,
    (portal, developer): (SocketAddr, Option<&Developer>),
    json: bool,
    screen: &mut Screen,
) -> std::io::Result<()> {
    let url = |address: Option<SocketAddr>| address.map(|address| format!("http://{address}")).unwrap_or_default();
    let (gateway, admin, check) =
        (url(process.addresses.gateway.clear), url(process.addresses.admin.clear), url(process.addresses.check.clear));
    let management_key = process.owner.management_key.as_ref().map(|(_, key)| key.expose());
    let claim = if developer.is_some() { None } else { claim(&process.owner) };
    // By this name browsers take passkeys without TLS.
    let pages = admin.replace("127.0.0.1", "localhost");
    let console = developer.map(|developer| format!("{pages}/enter#{}", developer.link.expose()));
    let key = trial.text.as_ref().map(|key| key.expose());
    if json {
        let line = serde_json::json!({
            "gateway": gateway, "admin": admin, "check": check, "portal": format!("http://{portal}"),
            "management_key": management_key, "api_id": trial.api, "project_id": trial.project, "key_id": trial.key, "key": key,
            "claim": claim, "console": console, "email": developer.map(|developer| developer.email.as_str()),
            "password": developer.and_then(|developer| developer.password.as_deref()),
        });
        return screen.deliver(&format!("{line}\n"));
    }
    let shown_once = "(shown when it was made)";
    screen.deliver(&format!(
        "Keystile is running.\n\n  gateway         {gateway}\n  management API  {admin}\n  verification    {check}\n\n  \
         API             {}\n  project         {}\n  key             {}\n  its secret      {}\n  management key  {}\n",
        trial.api,
        trial.project,
        trial.key,
        key.unwrap_or(shown_once),
        management_key.unwrap_or(shown_once),
    ))?;
    let shown = key.unwrap_or("YOUR_KEY");
    screen.out(&format!("\nA call:\n\n  curl -i {gateway}/hello -H 'Authorization: Bearer {shown}'\n"));
    if let Some(key) = management_key {
        screen.out(&format!(
            "\nUsage, when you have made some calls:\n\n  KEYSTILE_MANAGEMENT_KEY={key} keystile --server {admin} usage\n"
        ));
    }
    if let Some(link) = console {
        screen.out(&format!("\nThe console, signed in (this link works once):\n\n  {link}\n"));
    }
    if let Some(developer) = developer {
        let password = developer.password.as_deref().unwrap_or("(shown when it was made)");
        screen.out(&format!("\nTo sign in again: {}, password {password}\n", developer.email.as_str()));
    }
    if let Some(path) = claim {
        screen.out(&format!("\nTo log in as a person, open this once:\n\n  {admin}{path}\n"));
    }
    screen.deliver("\nCtrl-C ends it.\n")
}
