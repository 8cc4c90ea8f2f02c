//! The one list of settings. A line here is all that a new setting needs: the parser, `config show`, the example
//! file and the settings document follow.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use keystile_core::api::UpstreamUrl;
use keystile_server::audit_stream::SyslogTarget;
use keystile_server::identity::{Issuer, PagesOrigin};
use keystile_server::mail::{MailServer, Sender};
use keystile_server::telemetry::journal::Destination;
use keystile_server::telemetry::trace::Sample;
use keystile_server::tls::MinVersion;
use keystile_server::usage_files::Format as UsageFormat;
use keystile_store::postgres::Url as DatabaseUrl;

use super::given::Given;
use super::root_key::RootKeyPlace;
use super::rule::{
    Word, access_log, auto_or_whole, database_or_off, flag, issuer_or_off, listener, mail_server_or_off, millis, name,
    networks, origin_or_off, path, path_or_off, paths, root_key, root_key_or_off, seconds, sender_or_off, share,
    syslog_or_off, url_or_off, whole, whole_or_off, word,
};

macro_rules! settings {
    (
        { $($top:ident: $Top:ty = $top_name:literal, $top_rule:expr, $top_default:expr, $top_doc:literal;)* }
        $($section:ident: $Section:ident = $section_name:literal, $section_doc:literal
        { $($field:ident: $Field:ty = $name:literal, $rule:expr, $default:expr, $doc:literal;)* })*
    ) => {
        /// The settings of `keystile serve`, checked.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct Config {
            $(#[doc = $top_doc] pub $top: $Top,)*
            $(#[doc = $section_doc] pub $section: $Section,)*
        }

        $(
            #[doc = $section_doc]
            #[derive(Debug, Clone, PartialEq, Eq)]
            pub struct $Section {
                $(#[doc = $doc] pub $field: $Field,)*
            }
        )*

        /// Takes every setting out of what was given, or its default.
        pub(super) fn assemble(given: &mut Given) -> Config {
            given.begin("", "");
            $(let $top = given.take($top_name, $top_doc, $top_rule, $top_default);)*
            $(
                given.begin($section_name, $section_doc);
                let $section = $Section { $($field: given.take($name, $doc, $rule, $default),)* };
            )*
            Config { $($top,)* $($section,)* }
        }
    };
}

settings! {
    {
        data: PathBuf = "data", path(), "keystile-data".into(), "The folder that holds everything the server keeps; it is made if it is not there.";
        database: Option<DatabaseUrl> = "database", database_or_off(), None, "A PostgreSQL database that keeps everything in place of files in the data folder. The password may stand in PGPASSWORD or ~/.pgpass instead.";
        root_key: RootKeyPlace = "root_key", root_key(), RootKeyPlace::File("<data>/root.key".into()), "Where the root key is, which protects all that is stored: 64 hexadecimal digits, or a passphrase that it is stretched from. A file is made at the first start. Back it up apart from the data: without it the data is worthless, to you too.";
        previous_root_key: Option<RootKeyPlace> = "previous_root_key", root_key_or_off(), None, "Where the root key was before. Data that is under it is wrapped under root_key at the next start; then this setting can go.";
    }
    gateway: Gateway = "gateway", "The gateway, which consumers call." {
        listen: Option<SocketAddr> = "listen", listener(), loopback(4400), "Where it listens.";
        tls_listen: Option<SocketAddr> = "tls_listen", listener(), None, "Where it listens with TLS, by the certificates of [tls].";
        url: Option<UpstreamUrl> = "url", url_or_off(), None, "Where clients reach it, such as https://api.example.com: the examples that people are shown begin with it. Without it they begin with where it listens.";
        http2: bool = "http2", flag(), true, "Whether clients with TLS may speak HTTP/2.";
        h2c: bool = "h2c", flag(), false, "Whether clients in clear may begin with HTTP/2, as gRPC clients inside a network do.";
        workers: Option<u32> = "workers", auto_or_whole(1..=1_024), None, "Threads that carry calls; `auto` is one a processor core.";
        trusted_proxies: Vec<IpNet> = "trusted_proxies", networks(), Vec::new(), "Proxies in front of the gateway. Only they are believed when they say, in X-Forwarded-For, who the client is.";
        proxy_protocol: bool = "proxy_protocol", flag(), false, "Whether every connection begins with a PROXY header (version 1 or 2) that says who the client is, as load balancers for TCP send it. Only those of trusted_proxies are let in then.";
        max_connections: u32 = "max_connections", whole(1..=1_000_000), 10_000, "Connections at once; further ones wait.";
        max_connections_per_address: u32 = "max_connections_per_address", whole(1..=1_000_000), 1_000, "Connections at once from one client address.";
        max_concurrent_calls: Option<u32> = "max_concurrent_calls", whole_or_off(1..=1_000_000), Some(10_000), "Calls that are being answered at once, of all APIs together, WebSockets and other upgrades among them; further ones are refused at once with 503. An API can have a bound of its own.";
        idle: Duration = "idle_seconds", seconds(1..=3_600), Duration::from_secs(60), "How long a connection may rest between calls.";
        head: Duration = "head_seconds", seconds(1..=300), Duration::from_secs(10), "How long a client may take to send the head of a request, all of it.";
        body_stall: Duration = "body_stall_seconds", seconds(1..=3_600), Duration::from_secs(10), "How long a request body may pause, and the time in which at least 1 KiB of it must come.";
        write_stall: Duration = "write_stall_seconds", seconds(1..=3_600), Duration::from_secs(60), "How long a client may take nothing of its answer.";
        connect: Duration = "connect_seconds", seconds(1..=300), Duration::from_secs(5), "How long an upstream may take to accept a connection, with its handshake if it speaks TLS.";
        drain: Duration = "drain_seconds", seconds(1..=3_600), Duration::from_secs(3), "How long calls that are being answered may take to their end when the server is told to end; then they are cut off. Whoever ends it (systemd, Kubernetes) must wait a little longer.";
        handover: Duration = "handover_seconds", seconds(1..=3_600), Duration::from_secs(60), "How long, after an upgrade, the old process goes on answering on the connections that it has; each ends with its next answer.";
        max_staleness: Duration = "max_staleness_seconds", seconds(0..=86_400), Duration::from_secs(900), "For how long keys are answered from memory while the store can't be asked; then every key is refused. 0 refuses them at once.";
        country_database: Option<PathBuf> = "country_database", path_or_off(), None, "A MaxMind DB file (.mmdb) that says in which country an address is, such as GeoLite2-Country.mmdb. Without one, keys that are bound to countries are refused unless whoever asks for verification names the country. Taken up when it changes, as [tls] says.";
        upstream_authorities: Option<PathBuf> = "upstream_authorities", path_or_off(), None, "A PEM file of authorities whose certificates upstreams with https may show, besides those that the system trusts. Taken up when it changes, as [tls] says.";
    }
    admin: Admin = "admin", "The management API and the console, for owners." {
        listen: Option<SocketAddr> = "listen", listener(), loopback(4401), "Where it listens, in clear: for loopback, or behind a proxy that speaks TLS.";
        tls_listen: Option<SocketAddr> = "tls_listen", listener(), None, "Where it listens with TLS, by the certificates of [tls].";
        max_keys_per_project: Option<u32> = "max_keys_per_project", whole_or_off(1..=100_000_000), None, "Keys of a project that are not revoked; further ones are refused. A project can have a bound of its own, and the narrower one holds.";
        max_keys_per_organization: Option<u32> = "max_keys_per_organization", whole_or_off(1..=100_000_000), None, "Keys of an organization that are not revoked; further ones are refused.";
    }
    check: Check = "check", "Verification, for services that ask before they answer." {
        listen: Option<SocketAddr> = "listen", listener(), loopback(4402), "Where it listens, in clear.";
        tls_listen: Option<SocketAddr> = "tls_listen", listener(), None, "Where it listens with TLS, by the certificates of [tls].";
        require_key: bool = "require_key", flag(), false, "Whether callers need a management key. Must be true unless it listens on loopback addresses alone.";
    }
    limits: Limits = "limits", "Rate limits." {
        subjects: u32 = "subjects", whole(2_048..=100_000_000), 1_000_000, "For how many subjects (end users, addresses, projects and so on) limits are counted apart at once, in 32 bytes each; whoever has used least of a limit is forgotten first. Keys have counters of their own.";
    }
    tls: Tls = "tls", "TLS, as the listeners speak it." {
        certificates: Vec<PathBuf> = "certificates", paths(), Vec::new(), "Certificates: each a PEM file with chain and private key, or a folder with fullchain.pem and privkey.pem (certbot), tls.crt and tls.key (Kubernetes), or cert.pem and key.pem. A client gets the one with the name that it asks for, else the first.";
        min_version: MinVersion = "min_version", word(), MinVersion::Tls12, "The oldest version of TLS that is spoken.";
        client_authorities: Option<PathBuf> = "client_authorities", path_or_off(), None, "A PEM file of the authorities whose client certificates are accepted. An API can require one, a key can be bound to one.";
        hsts: u32 = "hsts_seconds", whole(0..=63_072_000), 0, "For how long browsers are told to use nothing but TLS for the gateway's hosts (Strict-Transport-Security); 0 says nothing.";
        reload: Duration = "reload_seconds", seconds(1..=86_400), Duration::from_secs(10), "How often certificates and authorities are looked at, to take up those that changed.";
    }
    keys: Keys = "keys", "The life of keys." {
        undelete: Duration = "undelete_seconds", seconds(0..=315_360_000), Duration::from_secs(30 * 86_400), "For how long a deleted key can be brought back; 0 for not at all.";
        round: Duration = "round_seconds", seconds(1..=86_400), Duration::from_secs(60), "How often keys are looked after: those that are about to end, have ended, are to be rotated, or are not used.";
    }
    usage: Usage = "usage", "Counting." {
        flush: Duration = "flush_ms", millis(10..=10_000), Duration::from_millis(100), "How long counted calls may wait before they are on disk: a crash loses no more than that.";
    }
    log: Log = "log", "What the server says while it runs." {
        format: LogFormat = "format", word(), LogFormat::Text, "For people or for programs.";
        level: LogLevel = "level", word(), LogLevel::Info, "The least important lines to write.";
        access: Destination = "access", access_log(), Destination::Off, "The access log: a line of JSON for every call, without its key, its query or any other secret. SIGHUP opens the file anew, as logrotate wants it.";
    }
    request_log: RequestLog = "request_log", "The request log: single calls, to be searched and followed at the management API. How long they are kept, [retention] says." {
        enabled: bool = "enabled", flag(), true, "Whether calls are written into it.";
        per_second: u32 = "per_second", whole(1..=100_000), 50, "How many calls a second are written into it, of all APIs together; of more, those that came first, and besides a quarter as many refused ones, without their paths. All are counted in any case. To write none, say enabled = false.";
    }
    trace: Trace = "trace", "Traces of calls, for OpenTelemetry. Without an endpoint, traceparent and tracestate go on as clients sent them." {
        endpoint: Option<UpstreamUrl> = "endpoint", url_or_off(), None, "The collector, which takes OTLP over HTTP as JSON. Without a path it is /v1/traces.";
        service_name: String = "service_name", name(), "keystile".to_owned(), "What the server is called there.";
        sample: Sample = "sample", share(), Sample::ALL, "The share of calls that are traced, of those about which their client has not decided.";
        follow_clients: bool = "follow_clients", flag(), true, "Whether a client decides by its traceparent whether its call is traced. If not, `sample` alone does.";
    }
    audit: Audit = "audit", "Where the audit is told to as it grows, besides the store: every change that anybody made, of all organizations." {
        file: Option<PathBuf> = "file", path_or_off(), None, "A file to whose end each entry is written as a line of JSON. One that was moved away is made anew.";
        syslog: Option<SyslogTarget> = "syslog", syslog_or_off(), None, "A receiver of syslog messages (RFC 5424). Over UDP messages can be lost.";
    }
    login: Login = "login", "People who log in at the management API." {
        origin: Option<PagesOrigin> = "origin", origin_or_off(), None, "Where browsers reach the pages of the management API. Passkeys are bound to it: with another one, those that were added let nobody in. Without it they work at http://localhost alone, and only if the management API listens on loopback.";
        idle: Duration = "session_idle_seconds", seconds(10..=604_800), Duration::from_secs(3_600), "After how long without a request a session ends.";
        lifetime: Duration = "session_seconds", seconds(10..=2_592_000), Duration::from_secs(86_400), "After how long a session ends in any case.";
        step_up: Duration = "step_up_seconds", seconds(1..=3_600), Duration::from_secs(300), "For how long somebody who proved who they are may do what is dangerous: show secrets, export, change factors, give away the leading role, change encryption keys. After that they prove it again.";
        breached: Option<PathBuf> = "breached_passwords", path_or_off(), None, "A file of passwords that were found in breaches, which nobody may choose: their SHA-1 in hexadecimal, one a line and in order, as Have I Been Pwned gives them out. It is searched here, and may be larger than the memory.";
    }
    oidc: Oidc = "oidc", "An identity provider at which people may log in (OpenID Connect). There its client has the redirect URI `ORIGIN/login/oidc/callback`, with `origin` of [login]." {
        issuer: Option<Issuer> = "issuer", issuer_or_off(), None, "Its issuer, exactly as it says it itself. Without TLS only on this machine.";
        client_id: String = "client_id", name(), "keystile".to_owned(), "What this server is called there.";
        client_secret_file: Option<PathBuf> = "client_secret_file", path_or_off(), None, "A file with the secret of that client. Without it the client is public, and proves itself by PKCE alone.";
        name: String = "name", name(), "single sign-on".to_owned(), "What people call it: the button says `Log in with …`.";
    }
    mail: Mail = "mail", "E-mail to people, such as links to sign in." {
        server: Option<MailServer> = "server", mail_server_or_off(), None, "The mail server that letters are given to. Over smtp:// the connection is encrypted before anything is said (STARTTLS), unless the server is on this machine; over smtps:// from its beginning. Without a server nobody is written to.";
        password_file: Option<PathBuf> = "password_file", path_or_off(), None, "A file with the password for the user of `server`, in place of one that stands there.";
        from: Option<Sender> = "from", sender_or_off(), None, "Who letters are from.";
        authorities: Option<PathBuf> = "authorities", path_or_off(), None, "A PEM file with an authority whose certificate the mail server may show, besides those that the system trusts. It is read at the start.";
    }
    retention: Retention = "retention", "For how long details are kept." {
        audit_days: Option<u32> = "audit_days", whole_or_off(1..=36_500), None, "After how many days the details of an entry of the audit are taken out: the address, and how the thing was before and after. Who did what and when stays, and the chain stays whole.";
        address_days: Option<u32> = "address_days", whole_or_off(1..=36_500), Some(365), "For how many days it is kept from which addresses a key was used.";
        facet_days: Option<u32> = "facet_days", whole_or_off(1..=36_500), Some(400), "For how many days calls are counted apart by country, end user and tag. How many there were in all is kept longer.";
        event_days: Option<u32> = "event_days", whole_or_off(1..=36_500), Some(90), "For how many days each call is kept as it was counted, for exports and for counting anew, and the ids of what was recorded beside calls. What they come to is kept longer.";
        event_megabytes: Option<u32> = "event_megabytes", whole_or_off(1..=100_000_000), Some(10_240), "How much of calls is kept so at most, in MiB, a call being some 20 bytes: beyond it the oldest hours are forgotten before their time, but never the newest one.";
        request_days: Option<u32> = "request_days", whole_or_off(1..=36_500), Some(7), "For how many days single calls are kept in the request log.";
        request_megabytes: Option<u32> = "request_megabytes", whole_or_off(1..=100_000_000), Some(1_024), "How much of the request log is kept at most, in MiB, a call being some 400 bytes: beyond it the oldest calls are forgotten before their time.";
    }
    usage_files: UsageFiles = "usage_files", "Usage in files, for whoever bills or looks at it elsewhere: what was recorded in an hour in each, every event in exactly one." {
        folder: Option<PathBuf> = "folder", path_or_off(), None, "The folder in which they are written, some minutes after each hour: `2027-01-31/usage-2027-01-31T14Z.parquet`. The first ones are those of all that is still kept.";
        format: UsageFormat = "format", word(), UsageFormat::Ndjson, "How they are written: lines of JSON, compressed (.ndjson.gz), or Apache Parquet.";
    }
    webhooks: Webhooks = "webhooks", "Webhooks, which tell others of changes." {
        networks: Vec<IpNet> = "networks", networks(), Vec::new(), "Networks besides the public internet to which webhooks may lead, such as those of receivers of your own. Only there they may go in clear (http://). Whoever may make webhooks can reach what is in them.";
    }
    snapshot: Snapshot = "snapshot", "The saved copy of all keys that makes starting fast." {
        save: Duration = "save_seconds", seconds(1..=86_400), Duration::from_secs(300), "How often it is saved; it is also saved when the server ends.";
    }
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// A JSON object a line.
    Json,
}

/// How important a log line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Something failed.
    Error,
    /// Something may fail.
    Warn,
    /// What an operator wants to know.
    Info,
    /// What a developer wants to know.
    Debug,
}

impl Word for MinVersion {
    const WORDS: &'static [(&'static str, Self)] = &[("1.2", Self::Tls12), ("1.3", Self::Tls13)];
}

impl Word for LogFormat {
    const WORDS: &'static [(&'static str, Self)] = &[("text", Self::Text), ("json", Self::Json)];
}

impl Word for UsageFormat {
    const WORDS: &'static [(&'static str, Self)] = &[("ndjson", Self::Ndjson), ("parquet", Self::Parquet)];
}

impl Word for LogLevel {
    const WORDS: &'static [(&'static str, Self)] =
        &[("error", Self::Error), ("warn", Self::Warn), ("info", Self::Info), ("debug", Self::Debug)];
}

impl LogLevel {
    /// The word of the settings file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
        }
    }
}

impl Gateway {
    /// Threads to start: the number that was set, or one a core.
    pub fn worker_count(&self) -> usize {
        match self.workers {
            Some(workers) => workers as usize,
            None => std::thread::available_parallelism().map_or(1, usize::from),
        }
    }
}

/// Only this machine, until somebody decides otherwise.
fn loopback(port: u16) -> Option<SocketAddr> {
    Some(SocketAddr::from(([127, 0, 0, 1], port)))
}
