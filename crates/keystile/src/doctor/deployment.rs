//! What is weak in how the server is set up: its settings and the files that they name.

use std::collections::BTreeSet;
use std::fs;
use std::iter;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::UNIX_EPOCH;

use keystile_core::time::Timestamp;
use keystile_server::tls::UpstreamTls;
use keystile_store::OpenError;
use keystile_store::upkeep::{self, Kept};

use super::{Finding, Severity};
use crate::config::{Config, root_keys};
use crate::db::LAST_BACKUP;
use crate::process::handshake;

/// Days after which a backup is old.
const BACKUP_DAYS: i64 = 7;
/// Days before its end in which a certificate should have been renewed: those that are renewed by themselves are so earlier.
const CERTIFICATE_DAYS: i64 = 14;
/// Seconds after which nobody works in the folder of a backup or a restore any more.
const LEFT_SECS: i64 = 3_600;
/// Free space below which a disk is nearly full: an import of a million keys takes as much.
const LEAST_FREE_BYTES: u64 = 1 << 30;
/// What `statfs` says of a file system that is in memory (linux/magic.h).
const IN_MEMORY: [i64; 2] = [0x0102_1994, 0x8584_58f6];

pub(super) fn look(config: &Config, now: Timestamp) -> Vec<Finding> {
    let mut findings = Vec::new();
    listeners(config, &mut findings);
    root_key(config, &mut findings);
    data(config, &mut findings);
    backup(config, now, &mut findings);
    certificates(config, now, &mut findings);
    private_keys(config, &mut findings);
    leftovers(config, now, &mut findings);
    audit_file(config, &mut findings);
    mail(config, &mut findings);
    findings
}

fn listeners(config: &Config, findings: &mut Vec<Finding>) {
    let others_can_reach = |listen: &Option<SocketAddr>| listen.filter(|listen| !listen.ip().is_loopback());
    for (section, listen) in
        [("gateway", &config.gateway.listen), ("admin", &config.admin.listen), ("check", &config.check.listen)]
    {
        let Some(listen) = others_can_reach(listen) else { continue };
        // A gateway behind a proxy that speaks TLS is named by that.
        if section == "gateway" && !config.gateway.trusted_proxies.is_empty() {
            continue;
        }
        findings.push(Finding::new(
            "plain_http",
            Severity::High,
            format!(
                "[{section}] listens on {listen} in clear, and others can reach that: keys can be read on their way"
            ),
            format!(
                "set tls_listen and [tls] certificates and leave listen on a loopback address, or put a proxy that \
                 speaks TLS in front{}",
                if section == "gateway" { " and name it in trusted_proxies" } else { "" }
            ),
        ));
    }
    for listen in [&config.admin.listen, &config.admin.tls_listen].into_iter().filter_map(others_can_reach) {
        findings.push(Finding::new(
            "management_reachable",
            Severity::Medium,
            format!("[admin] listens on {listen}: others can reach the management API, and /metrics without a key"),
            "let it listen on a loopback address or a network of your own, or filter the port",
        ));
    }
    if config.gateway.trusted_proxies.iter().any(|network| network.prefix_len() == 0) {
        findings.push(Finding::new(
            "everybody_is_a_trusted_proxy",
            Severity::High,
            "trusted_proxies names every address there is: whoever calls says from where, and no restriction of networks holds",
            "name the proxies in front of the gateway, and nobody else",
        ));
    }
}

fn root_key(config: &Config, findings: &mut Vec<Finding>) {
    for place in iter::once(&config.root_key).chain(&config.previous_root_key) {
        let file = place.file();
        if let Some((file, mode)) =
            file.as_ref().and_then(|file| Some((file, mode(file)?)).filter(|(_, mode)| mode & 0o077 != 0))
        {
            findings.push(Finding::new(
                "root_key_readable",
                Severity::High,
                format!("{} may be used by others than its owner (mode {mode:03o})", file.display()),
                format!("chmod go= {}", file.display()),
            ));
        }
        if let Some(file) = file.filter(|file| file.starts_with(&config.data) && file.exists()) {
            findings.push(Finding::new(
                "root_key_beside_the_data",
                Severity::Medium,
                format!("the root key is in the data folder ({}): whoever copies that has both", file.display()),
                "move it elsewhere, such as /etc/keystile/root.key, name it in `root_key`, and back it up apart from the data",
            ));
        }
        if let Some(name) = place.variable() {
            findings.push(Finding::new(
                "root_key_in_environment",
                Severity::Medium,
                format!("the root key is in the environment variable {name}: whoever may look at the process may read it, and so may what it starts"),
                "give it as a file of mode 0400 or as a credential of systemd (LoadCredential=), and name that in `root_key`",
            ));
        }
    }
    if let Some(previous) = &config.previous_root_key {
        findings.push(Finding::new(
            "previous_root_key_named",
            Severity::Low,
            format!("previous_root_key still names {previous}, which nothing needs once the server was started with it"),
            "take `previous_root_key` out of the settings, and keep the key itself for as long as you keep backups of that time",
        ));
    }
}

/// Where something is kept, its root key must be there and its own: the server would not start again, and nothing opens what
/// is kept.
pub(super) async fn root_key_unfit(config: &Config, kept: &Kept) -> Result<Option<Finding>, OpenError> {
    let named = root_keys(&config.root_key, config.previous_root_key.as_ref()).map_err(OpenError::from);
    let mut id = "root_key_missing";
    let unfit = match named {
        Ok(root_keys) => match upkeep::belongs(kept, &root_keys).await {
            Ok(true) => return Ok(None),
            Ok(false) => {
                id = "root_key_of_other_data";
                format!("the root key that the settings name ({}) is not that of what is kept", config.root_key)
            }
            Err(OpenError::Root(error)) => error.to_string(),
            Err(error) => return Err(error),
        },
        Err(error) => error.to_string(),
    };
    Ok(Some(Finding::new(
        id,
        Severity::High,
        unfit,
        "put the root key back from where you keep it apart, or correct `root_key`; nothing makes another one",
    )))
}

fn data(config: &Config, findings: &mut Vec<Finding>) {
    let folder = &config.data;
    if let Some(mode) = mode(folder).filter(|mode| mode & 0o077 != 0) {
        findings.push(Finding::new(
            "data_readable",
            Severity::Medium,
            format!("{} may be used by others than its owner (mode {mode:03o})", folder.display()),
            format!("chmod go= {}", folder.display()),
        ));
    }
    if config.database.is_some() {
        return;
    }
    if let Ok(system) = rustix::fs::statfs(folder)
        && IN_MEMORY.contains(&system.f_type)
    {
        findings.push(Finding::new(
            "data_in_memory",
            Severity::High,
            format!("{} is in memory: what is kept there is gone when the machine stops", folder.display()),
            "let `data` name a folder on a disk",
        ));
    }
    if let Ok(space) = rustix::fs::statvfs(folder)
        && space.f_bavail.saturating_mul(space.f_frsize) < LEAST_FREE_BYTES
    {
        findings.push(Finding::new(
            "disk_nearly_full",
            Severity::High,
            format!("less than 1 GiB is free where {} is: when it is full, changes are refused", folder.display()),
            "make room, or move the data folder to a larger disk",
        ));
    }
}

fn backup(config: &Config, now: Timestamp, findings: &mut Vec<Finding>) {
    let last = fs::read_to_string(config.data.join(LAST_BACKUP)).ok();
    let last: Option<Timestamp> = last.and_then(|text| text.trim().parse().ok());
    let what = match last {
        Some(last) if last >= now.plus_secs(-BACKUP_DAYS * 86_400) => return,
        Some(last) => format!("the last backup is of {last}"),
        None => "no backup was made with `keystile db backup`".to_owned(),
    };
    findings.push(Finding::new(
        "no_recent_backup",
        Severity::High,
        what,
        "make one every day, keep it elsewhere, and restore one now and then: keystile db backup FILE --recipient age1…",
    ));
}

fn certificates(config: &Config, now: Timestamp, findings: &mut Vec<Finding>) {
    let read = UpstreamTls::new(config.gateway.upstream_authorities.clone()).and(handshake::certificates(config));
    let tls = match read {
        Ok(Some(tls)) => tls,
        Ok(None) => return,
        Err(error) => {
            findings.push(Finding::new(
                "certificate",
                Severity::High,
                error.to_string(),
                "correct [tls]; the server would not start again with it",
            ));
            return;
        }
    };
    let mend = "renew it; it is taken up while the server runs";
    let wrong = tls.warnings(now).into_iter();
    findings.extend(wrong.map(|warning| Finding::new("certificate", Severity::High, warning.to_string(), mend)));
    let soon = now.as_secs()..now.as_secs() + CERTIFICATE_DAYS * 86_400;
    let ending: BTreeSet<_> = tls.endings().into_iter().filter(|(_, _, end)| soon.contains(end)).collect();
    findings.extend(ending.into_iter().map(|(path, name, end)| {
        let end = Timestamp::from_secs(end);
        let what = format!("the certificate of {name} in {path} ends at {end}");
        Finding::new("certificate_ends_soon", Severity::High, what, mend)
    }));
}

/// Files of certificates may be read by others, those with the private key may not.
fn private_keys(config: &Config, findings: &mut Vec<Finding>) {
    for named in &config.tls.certificates {
        let inside = ["privkey.pem", "tls.key", "key.pem"].map(|name| named.join(name));
        for file in iter::once(named).chain(&inside).filter(|file| file.is_file()) {
            let holds_key = fs::read_to_string(file).is_ok_and(|text| text.contains("PRIVATE KEY-----"));
            let Some(mode) = mode(file).filter(|mode| holds_key && mode & 0o077 != 0) else { continue };
            findings.push(Finding::new(
                "private_key_readable",
                Severity::High,
                format!(
                    "{} holds a private key and may be used by others than its owner (mode {mode:03o})",
                    file.display()
                ),
                format!("chmod go= {}", file.display()),
            ));
        }
    }
}

/// What a killed `keystile db backup` or `restore` left: everything, unencrypted.
fn leftovers(config: &Config, now: Timestamp, findings: &mut Vec<Finding>) {
    let is_leftover = |name: &str| name.starts_with(".keystile-backup-") || name.starts_with(".keystile-restore-");
    let folders = [config.data.clone(), std::env::temp_dir()];
    for entry in folders.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten() {
        let touched = entry.metadata().and_then(|about| about.modified()).ok();
        let age = touched.and_then(|touched| i64::try_from(touched.duration_since(UNIX_EPOCH).ok()?.as_secs()).ok());
        // One that is being made now is not left.
        let is_old = age.is_some_and(|since| since < now.as_secs() - LEFT_SECS);
        if is_old && entry.file_name().to_str().is_some_and(is_leftover) {
            let path = entry.path();
            findings.push(Finding::new(
                "unfinished_backup_left",
                Severity::Medium,
                format!(
                    "{} was left by a backup or a restore that was killed, and holds everything unencrypted",
                    path.display()
                ),
                format!("if none is running: rm -r {}", path.display()),
            ));
        }
    }
}

fn audit_file(config: &Config, findings: &mut Vec<Finding>) {
    let Some(folder) = config.audit.file.as_deref().and_then(Path::parent) else { return };
    if folder.as_os_str().is_empty() || folder.is_dir() {
        return;
    }
    findings.push(Finding::new(
        "audit_file_nowhere",
        Severity::High,
        format!("[audit] file names a folder that is not there ({}): the audit is told to nobody", folder.display()),
        "make the folder, or name another file; what was not told is told then",
    ));
}

fn mail(config: &Config, findings: &mut Vec<Finding>) {
    if config.mail.server.is_none() {
        findings.push(Finding::new(
            "no_mail_server",
            Severity::Low,
            "no mail server is set up: nobody can be sent a link to sign in",
            "name one in [mail]: server = \"smtps://user@mail.example.com\", password_file and from",
        ));
    }
    let Some(file) = &config.mail.password_file else { return };
    match mode(file) {
        None => findings.push(Finding::new(
            "mail_password_missing",
            Severity::High,
            format!(
                "[mail] password_file names a file that is not there ({}): the server would not start again",
                file.display()
            ),
            "put the file there, or correct `password_file`",
        )),
        Some(mode) if mode & 0o077 != 0 => findings.push(Finding::new(
            "mail_password_readable",
            Severity::Medium,
            format!("{} may be used by others than its owner (mode {mode:03o})", file.display()),
            format!("chmod go= {}", file.display()),
        )),
        Some(_) => {}
    }
}

fn mode(path: &Path) -> Option<u32> {
    Some(fs::metadata(path).ok()?.permissions().mode() & 0o777)
}
