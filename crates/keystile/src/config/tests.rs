//! Promises of the settings file.

use keystile_server::telemetry::journal::Destination;

use super::*;

fn load_text(text: &str) -> Result<Loaded, ConfigErrors> {
    check(Some("keystile.toml".into()), text, std::iter::empty())
}

fn load_env(text: &str, env: &[(&str, &str)]) -> Result<Loaded, ConfigErrors> {
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    check(Some("keystile.toml".into()), text, env)
}

#[track_caller]
fn refused(text: &str, expected: &str) {
    match load_text(text) {
        Ok(_) => panic!("accepted:\n{text}"),
        Err(errors) => assert_eq!(errors.to_string(), expected, "\n--- for\n{text}\n--- said\n{errors}\n---"),
    }
}

#[test]
fn without_anything_the_defaults_hold() {
    let config = load_text("").unwrap().config;
    assert_eq!(config.data, PathBuf::from("keystile-data"));
    assert_eq!(config.root_key, RootKeyPlace::File("keystile-data/root.key".into()));
    assert_eq!(config.gateway.listen, Some("127.0.0.1:4400".parse().unwrap()));
    assert_eq!(config.admin.listen, Some("127.0.0.1:4401".parse().unwrap()));
    assert_eq!(config.check.listen, Some("127.0.0.1:4402".parse().unwrap()));
    assert_eq!(config.gateway.workers, None);
    assert!(config.gateway.worker_count() >= 1);
    assert_eq!(config.gateway.head.as_secs(), 10);
    assert_eq!(config.usage.flush.as_millis(), 100);
    assert!(!config.check.require_key);
}

#[test]
fn the_example_says_the_defaults() {
    let example = example();
    let loaded = load_text(&example).unwrap();
    assert_eq!(loaded.config, load_text("").unwrap().config);
    let (set, all) = loaded.counts();
    assert_eq!(set, all, "the example leaves out a setting");
}

#[test]
fn what_is_shown_can_be_given_back() {
    let file =
        "data = \"/srv/k\"\n[gateway]\nlisten = \"off\"\ntrusted_proxies = [\"10.0.0.0/8\", \"::1\"]\nworkers = 3\n";
    let loaded = load_env(file, &[("KEYSTILE_LOG_LEVEL", "debug")]).unwrap();
    let shown = loaded.show();
    assert_eq!(load_text(&shown).unwrap().config, loaded.config, "{shown}");
    for line in [
        r#"data = "/srv/k"                              # keystile.toml:1"#,
        r#"workers = 3                                  # keystile.toml:5"#,
        r#"level = "debug"                              # KEYSTILE_LOG_LEVEL"#,
        r#"format = "text"                              # default"#,
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line}\n---\n{shown}");
    }
}

#[test]
fn the_manual_page_names_every_setting_once() {
    let page = markdown();
    assert_eq!(page, markdown());
    for (name, variable) in [("flush_ms", "KEYSTILE_USAGE_FLUSH_MS"), ("data", "KEYSTILE_DATA")] {
        assert_eq!(page.matches(&format!("| `{name}` |")).count(), 1, "{page}");
        assert_eq!(page.matches(&format!("`{variable}`")).count(), 1, "{page}");
    }
    assert!(page.contains("`KEYSTILE_MANAGEMENT_KEY`"));
}

#[test]
fn every_wrong_line_is_named_with_its_place() {
    let gateway = "listen, tls_listen, url, http2, h2c, workers, trusted_proxies, proxy_protocol, max_connections, max_connections_per_address, max_concurrent_calls, idle_seconds, head_seconds, body_stall_seconds, write_stall_seconds, connect_seconds, drain_seconds, handover_seconds, max_staleness_seconds, country_database, upstream_authorities";
    let address = r#"an address and port, such as 127.0.0.1:4400 or [::1]:4400, or "off""#;
    let top = "data, database, root_key, previous_root_key, gateway, admin, check, limits, tls, keys, usage, log, request_log, trace, audit, login, oidc, mail, retention, usage_files, webhooks, snapshot";
    for (text, expected) in [
        ("[gateway]\n  lisen = 1\n", format!("2:3: unknown setting `lisen` in [gateway]\n    allowed: {gateway}\n    did you mean `listen`?")),
        ("[gateway]\nport = 1\n", format!("2:1: unknown setting `port` in [gateway]\n    allowed: {gateway}")),
        ("\n[gatway]\nlisten = \"off\"\nworkers = 1\n", "2:2: unknown section `gatway`\n    allowed: gateway, admin, check, limits, tls, keys, usage, log, request_log, trace, audit, login, oidc, mail, retention, usage_files, webhooks, snapshot\n    did you mean `gateway`?".to_owned()),
        ("listen = \"off\"\n", format!("1:1: unknown setting `listen`\n    allowed: {top}\n    `listen` belongs to [gateway]")),
        ("dta = \"x\"\n", format!("1:1: unknown setting `dta`\n    allowed: {top}\n    did you mean `data`?")),
        ("[usage]\ndata = \"x\"\n", "2:1: unknown setting `data` in [usage]\n    allowed: flush_ms\n    `data` belongs to the top of the file".to_owned()),
        ("[data]\nx = 1\n", "1:2: `data` is a setting, not a section\n    allowed: gateway, admin, check, limits, tls, keys, usage, log, request_log, trace, audit, login, oidc, mail, retention, usage_files, webhooks, snapshot".to_owned()),
        ("gateway = 1\n", "1:1: `gateway` is a section, not a setting\n    write [gateway] on a line of its own and its settings below it".to_owned()),
        ("gateway.listen = \"127.0.0.1\"\n", format!("1:18: gateway.listen: `127.0.0.1` is an address without a port\n    allowed: {address}")),
        ("gateway.listen = \"4400\"\n", format!("1:18: gateway.listen: `4400` is a port without an address\n    allowed: {address}")),
        ("gateway.listen = \"localhost:4400\"\n", format!("1:18: gateway.listen: `localhost:4400` is no address and port\n    allowed: {address}")),
        ("gateway.listen = false\n", format!("1:18: gateway.listen: true or false does not fit here\n    allowed: {address}")),
        ("[gateway]\nworkers = 0\n", "2:11: gateway.workers: 0 is out of range\n    allowed: \"auto\" or a whole number from 1 to 1024".to_owned()),
        ("[gateway]\nworkers = \"many\"\n", "2:11: gateway.workers: a text does not fit here\n    allowed: \"auto\" or a whole number from 1 to 1024".to_owned()),
        ("[gateway]\nidle_seconds = 1.5\n", "2:16: gateway.idle_seconds: a number with a fraction does not fit here\n    allowed: a whole number from 1 to 3600 (seconds)".to_owned()),
        ("[usage]\nflush_ms = 9\n", "2:12: usage.flush_ms: 9 is out of range\n    allowed: a whole number from 10 to 10000 (milliseconds)".to_owned()),
        ("[usage]\nflush_ms = 99999999999999999999\n", "2:12: usage.flush_ms: the number is too large\n    allowed: a whole number from 10 to 10000 (milliseconds)".to_owned()),
        ("[usage]\nflush_ms = -100\n", "2:12: usage.flush_ms: -100 is out of range\n    allowed: a whole number from 10 to 10000 (milliseconds)".to_owned()),
        ("[log]\nformat = \"jsn\"\n", "2:10: log.format: `jsn` is not known; did you mean `json`?\n    allowed: one of \"text\", \"json\"".to_owned()),
        ("[log]\nlevel = \"trace\"\n", "2:9: log.level: `trace` is not known\n    allowed: one of \"error\", \"warn\", \"info\", \"debug\"".to_owned()),
        ("data = \"\"\n", "1:8: data: the path is empty\n    allowed: a path, relative to the folder that the server is started in".to_owned()),
    ] {
        refused(text, &format!("keystile.toml:{expected}"));
    }
}

#[test]
fn a_wrong_entry_of_a_list_is_named_itself() {
    let allowed =
        r#"a list of networks or addresses, such as ["10.0.0.0/8", "2001:db8::1"]; in a variable separated by commas"#;
    for (entry, place, what) in [
        ("\"10.0.0.0/33\"", "4:3", "`10.0.0.0/33` is no network"),
        ("7", "4:3", "a number does not fit here"),
        ("\"10.1.2.3/8\"", "4:3", "`10.1.2.3/8` has address bits behind its length; write 10.0.0.0/8 or 10.1.2.3"),
    ] {
        refused(
            &format!("[gateway]\ntrusted_proxies = [\n  \"::1\",\n  {entry},\n]\n"),
            &format!("keystile.toml:{place}: gateway.trusted_proxies: {what}\n    allowed: {allowed}"),
        );
    }
}

#[test]
fn broken_toml_is_said_with_its_place_and_nothing_is_guessed_from_the_rest() {
    let errors = load_text("[gateway\nlisten = \"off\"\nnonsense = 1\n").unwrap_err();
    assert_eq!(errors.errors[0].place, Place::File { line: 1, column: 9 }, "{errors}");
    assert!(!errors.to_string().contains("nonsense"), "{errors}");

    let errors = load_text("data = \"a\"\ndata = \"b\"\n").unwrap_err();
    assert!(errors.to_string().starts_with("keystile.toml:2:1: duplicate key"), "{errors}");
}

#[test]
fn columns_count_characters() {
    let errors = load_text("gateway = { \"lüsten\" = 1, workers = 0 }\n").unwrap_err();
    let places: Vec<&Place> = errors.errors.iter().map(|error| &error.place).collect();
    assert_eq!(places, [&Place::File { line: 1, column: 13 }, &Place::File { line: 1, column: 37 }], "{errors}");
}

#[test]
fn several_errors_are_said_at_once_in_their_order() {
    let errors = load_env("[log]\nlevel = 3\n\n[gateway]\nx = 1\n", &[("KEYSTILE_USAGE_FLUSH_MS", "5")]).unwrap_err();
    let lines: Vec<String> =
        errors.to_string().lines().filter(|line| !line.starts_with(' ')).map(str::to_owned).collect();
    assert_eq!(
        lines,
        [
            "keystile.toml:2:9: log.level: a number does not fit here",
            "keystile.toml:5:1: unknown setting `x` in [gateway]",
            "environment variable KEYSTILE_USAGE_FLUSH_MS: usage.flush_ms: 5 is out of range",
        ]
    );
}

#[test]
fn a_variable_goes_before_the_file() {
    let file = "[gateway]\nlisten = \"127.0.0.1:1\"\n";
    let config = load_env(
        file,
        &[
            ("KEYSTILE_GATEWAY_LISTEN", "[::1]:2"),
            ("KEYSTILE_GATEWAY_TRUSTED_PROXIES", "10.0.0.0/8, 192.0.2.1"),
            ("KEYSTILE_GATEWAY_WORKERS", "4"),
            ("KEYSTILE_CHECK_REQUIRE_KEY", "true"),
            ("KEYSTILE_DATA", "/srv/x"),
            ("HOME", "x"),
            ("KEYSTILE_URL", "http://x"),
            ("KEYSTILE_CHECK_URL", "http://x"),
            ("KEYSTILE_MANAGEMENT_KEY", "secret"),
            ("KEYSTILE_TEST_ANYTHING", "1"),
        ],
    )
    .unwrap()
    .config;
    assert_eq!(config.gateway.listen, Some("[::1]:2".parse().unwrap()));
    assert_eq!(config.gateway.trusted_proxies.len(), 2);
    assert_eq!(config.gateway.workers, Some(4));
    assert!(config.check.require_key);
    assert_eq!(config.root_key, RootKeyPlace::File("/srv/x/root.key".into()));
}

#[test]
fn a_wrong_line_of_the_file_is_refused_even_under_a_variable() {
    let errors = load_env("[log]\nlevel = \"loud\"\n", &[("KEYSTILE_LOG_LEVEL", "info")]).unwrap_err();
    assert!(errors.to_string().starts_with("keystile.toml:2:9: log.level"), "{errors}");
}

#[test]
fn an_unknown_variable_of_ours_is_refused_without_its_value() {
    for (name, hint) in [
        ("KEYSTILE_GATEWAY_LISEN", "\n    did you mean KEYSTILE_GATEWAY_LISTEN?"),
        ("KEYSTILE_MANAGMENT_KEY", "\n    did you mean KEYSTILE_MANAGEMENT_KEY?"),
        ("KEYSTILE_GATEWAY", ""),
        ("KEYSTILE_COLOUR_OF_THE_LOGO", ""),
    ] {
        let errors = load_env("", &[(name, "s3cr3t")]).unwrap_err();
        let expected = format!(
            "environment variable {name}: unknown variable\n    allowed: the variables that `keystile config example` names{hint}"
        );
        assert_eq!(errors.to_string(), expected);
    }
}

#[test]
fn a_root_key_given_instead_of_its_file_is_not_repeated() {
    let key = "5f".repeat(32);
    let errors = load_env("", &[("KEYSTILE_ROOT_KEY", &key)]).unwrap_err().to_string();
    assert!(errors.contains("looks like a key") && !errors.contains(&key), "{errors}");
    let errors = load_text(&format!("root_key = \"{key}\"\n")).unwrap_err().to_string();
    assert!(errors.starts_with("keystile.toml:1:12: root_key: ") && !errors.contains(&key), "{errors}");
}

#[test]
fn a_client_of_a_provider_that_nobody_named_is_refused() {
    refused(
        "[oidc]\nclient_id = \"me\"\n",
        "keystile.toml:2:13: oidc.client_id: no issuer is named, so this would do nothing\n    allowed: with `issuer`, which may be \"off\"",
    );
    assert!(load_text("[oidc]\nissuer = \"off\"\nclient_id = \"me\"\n").is_ok());
}

#[test]
fn keys_can_be_tried_out_from_afar_only_by_those_who_have_one() {
    refused(
        "[check]\nlisten = \"0.0.0.0:4402\"\n",
        "keystile.toml:2:10: check.listen: 0.0.0.0:4402 can be reached from other machines, and without check.require_key anybody there could try keys out\n    allowed: a loopback address, or `require_key = true` in [check]",
    );
    let loaded = load_text("[check]\nlisten = \"0.0.0.0:4402\"\nrequire_key = true\n").unwrap();
    assert_eq!(loaded.warnings.len(), 1);
    for loopback in ["127.8.0.1:1", "[::1]:1", "[::ffff:127.0.0.1]:1", "off"] {
        assert!(load_text(&format!("check.listen = \"{loopback}\"\n")).is_ok(), "{loopback}");
    }
    let errors = load_env("", &[("KEYSTILE_CHECK_LISTEN", "192.0.2.1:1")]).unwrap_err();
    assert_eq!(errors.errors[0].place, Place::Variable("KEYSTILE_CHECK_LISTEN".to_owned()));
}

#[test]
fn what_is_allowed_but_dangerous_is_warned_about() {
    for (text, word) in [
        ("admin.listen = \"0.0.0.0:4401\"\n", "admin.listen"),
        ("gateway.trusted_proxies = [\"0.0.0.0/0\"]\n", "gateway.trusted_proxies"),
    ] {
        let warnings = load_text(text).unwrap().warnings;
        assert!(warnings.len() == 1 && warnings[0].starts_with(word), "{warnings:?}");
    }
    assert_eq!(load_text("").unwrap().warnings, Vec::<String>::new());
}

#[test]
fn listeners_do_not_share_an_address_and_not_all_are_off() {
    refused(
        "[admin]\nlisten = \"127.0.0.1:4400\"\n",
        "keystile.toml:2:10: admin.listen: 127.0.0.1:4400 is taken by gateway.listen already\n    allowed: an address and port that no other listener has",
    );
    assert!(load_text("gateway.listen = \"127.0.0.1:0\"\nadmin.listen = \"127.0.0.1:0\"\n").is_ok());
    let errors = load_text("gateway.listen = \"off\"\nadmin.listen = \"off\"\ncheck.listen = \"off\"\n").unwrap_err();
    assert!(errors.to_string().starts_with("keystile.toml:1:18: every listener is off"), "{errors}");
}

#[test]
fn the_named_file_must_be_there_and_be_text() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("k.toml");
    let errors = load(Some(&file), std::iter::empty()).unwrap_err().to_string();
    assert!(errors.contains("k.toml: the settings file can't be read"), "{errors}");

    std::fs::write(&file, b"# fine\ndata = \"a\xff\"\n").unwrap();
    let errors = load(Some(&file), std::iter::empty()).unwrap_err();
    assert_eq!(errors.errors[0].place, Place::File { line: 2, column: 10 }, "{errors}");

    std::fs::write(&file, "data = \"a\"\n").unwrap();
    let env = || std::iter::once(("KEYSTILE_CONFIG".to_owned(), file.to_string_lossy().into_owned()));
    assert_eq!(load(None, env()).unwrap().config.data, PathBuf::from("a"));
}

#[test]
fn a_listener_with_tls_needs_a_certificate_and_check_keeps_its_rule() {
    let refused_with = |text: &str, words: &[&str]| {
        let said = load_text(text).unwrap_err().to_string();
        assert!(words.iter().all(|word| said.contains(word)), "{text}\n{said}");
    };
    refused_with("[admin]\ntls_listen = \"127.0.0.1:8443\"\n", &["2:14", "admin.tls_listen", "tls.certificates"]);
    let tls = "[tls]\ncertificates = [\"/c.pem\", \"/d\"]\nmin_version = \"1.3\"\nclient_authorities = \"/a.pem\"\n";
    refused_with(
        &format!("[check]\ntls_listen = \"0.0.0.0:8443\"\n{tls}"),
        &["check.tls_listen", "`require_key = true`"],
    );
    refused_with(&format!("[gateway]\ntls_listen = \"127.0.0.1:4401\"\n{tls}"), &["taken"]);
    for (line, name) in
        [("client_authorities = \"/a.pem\"", "tls.client_authorities"), ("hsts_seconds = 60", "tls.hsts_seconds")]
    {
        for door in ["", "[admin]\ntls_listen = \"127.0.0.1:8443\"\n"] {
            let text = format!("[tls]\n{line}\ncertificates = [\"/c.pem\"]\n{door}");
            refused_with(&text, &["2:", name, "no listener with TLS", "`tls_listen` in [gateway]"]);
        }
    }
    refused_with("[tls]\ncertificates = [\"\"]\n", &["2:17", "the path is empty"]);
    refused_with("[tls]\nmin_version = \"1.1\"\n", &["1.2"]);

    let config = load_text(&format!("[gateway]\ntls_listen = \"0.0.0.0:443\"\n{tls}")).unwrap().config;
    assert_eq!(config.tls.certificates, [PathBuf::from("/c.pem"), "/d".into()]);
    assert_eq!(config.tls.client_authorities, Some("/a.pem".into()));
    let env = [("KEYSTILE_TLS_CERTIFICATES", "/c.pem, /d"), ("KEYSTILE_TLS_CLIENT_AUTHORITIES", "off")];
    let config = load_env("", &env).unwrap().config;
    assert_eq!(config.tls.certificates, [PathBuf::from("/c.pem"), "/d".into()]);
    assert_eq!(config.tls.client_authorities, None);
}

#[test]
fn traces_and_the_access_log_go_where_they_are_sent() {
    let text = "[log]\naccess = \"/var/log/k.log\"\n[trace]\nendpoint = \"http://127.0.0.1:4318\"\nsample = 0.25\n";
    let loaded = load_text(text).unwrap();
    assert_eq!(loaded.config.log.access, Destination::File("/var/log/k.log".into()));
    assert_eq!(
        loaded.config.trace.endpoint.as_ref().map(ToString::to_string).as_deref(),
        Some("http://127.0.0.1:4318")
    );
    assert_eq!(loaded.config.trace.sample.share(), 0.25);
    assert_eq!(load_text(&loaded.show()).unwrap().config, loaded.config);
    for (name, value, words) in [
        ("sample", "1.5", "1.5 is out of range"),
        ("sample", "-1", "-1 is out of range"),
        ("sample", "nan", "NaN is out of range"),
        ("sample", "\"all\"", "a text does not fit here"),
        ("service_name", "\"\"", "is no name"),
        ("endpoint", "\"127.0.0.1:4318\"", "this is no such URL"),
        ("endpoint", "\"http://me:s3cr3t@h/\"", "this is no such URL"),
    ] {
        let said = load_text(&format!("[trace]\n{name} = {value}\n")).unwrap_err().to_string();
        assert!(said.contains(words) && !said.contains("s3cr3t"), "{said}");
    }
    let env =
        [("KEYSTILE_TRACE_SAMPLE", "0.01"), ("KEYSTILE_LOG_ACCESS", "stdout"), ("KEYSTILE_TRACE_ENDPOINT", "off")];
    let config = load_env("", &env).unwrap().config;
    assert_eq!(
        (config.trace.sample.share(), config.log.access, config.trace.endpoint),
        (0.01, Destination::Stdout, None)
    );
}

#[test]
fn a_mail_server_is_shown_without_its_password_and_needs_what_letters_need() {
    let sound = "[mail]\nserver = \"smtp://keys:canary-1@mail.example.com\"\nfrom = \"Keys <keys@example.com>\"\n";
    let loaded = load_text(sound).unwrap();
    let shown = loaded.show();
    assert!(shown.contains("\"smtp://keys@mail.example.com:587\"") && !shown.contains("canary-1"), "{shown}");
    assert!(!format!("{:?}", loaded.config).contains("canary-1"));
    for text in [
        "[mail]\nserver = \"smtp://keys:canary-1@mail.example.com\"\n",
        "[mail]\nserver = \"smtp://keys@mail.example.com\"\nfrom = \"keys@example.com\"\n",
        "[mail]\nserver = \"smtp://keys:canary-1@mail.example.com\"\nfrom = \"keys@example.com\"\npassword_file = \"p\"\n",
        "[mail]\nserver = \"smtp://mail.example.com\"\nfrom = \"keys@example.com\"\npassword_file = \"p\"\n",
        "[mail]\nserver = \"http://canary-1@mail.example.com\"\nfrom = \"keys@example.com\"\n",
        "[mail]\nserver = \"smtp://mail.example.com\"\nfrom = \"keys\"\n",
        "[mail]\nfrom = \"keys@example.com\"\n",
        "[mail]\nserver = \"smtp://mail.example.com\"\nfrom = \"keys@example.com\"\n[admin]\nlisten = \"0.0.0.0:4401\"\n",
    ] {
        let told = load_text(text).unwrap_err().to_string();
        assert!(told.contains("mail.") && !told.contains("canary-1"), "{text}\n{told}");
    }
    assert!(load_text("[mail]\nserver = \"off\"\nfrom = \"keys@example.com\"\n").is_ok());
}
