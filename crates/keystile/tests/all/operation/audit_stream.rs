//! The audit as other systems get it: every entry at least once, over kills too, to a file and to syslog (PRODUCT.md K33).

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufReader, Read as _};
use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use keystile_testkit::{Installation, eventually};
use serde_json::{Value, json};

use super::process::end;
use super::world::{BINARY, name};

fn config(folder: &Path, audit: &str) -> String {
    let data = folder.join("data");
    format!(
        "data = {data:?}\n[gateway]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n[check]\nlisten = \"127.0.0.1:0\"\n[audit]\n{audit}"
    )
}

/// The entries of a file, by their place.
fn entries(file: &Path) -> Vec<Value> {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn project(installation: &Installation, management_key: &str) -> String {
    let manage = keystile_testkit::Api::new(installation.admin, management_key);
    let made = manage.create("/v1/projects", &json!({ "name": name("told \"so\"") }));
    made["id"].as_str().unwrap().to_owned()
}

#[test]
fn every_entry_is_in_the_file_whatever_becomes_of_the_server_and_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("audit.ndjson");
    let text = config(folder.path(), &format!("file = {file:?}\n"));
    let mut installation = Installation::serve(BINARY, &text, folder.path());
    let management_key = installation.management_key.clone().unwrap();
    let mut made = Vec::new();
    for turn in 0..3 {
        made.extend((0..20).map(|_| project(&installation, &management_key)));
        if turn == 0 {
            // As logrotate does.
            eventually("the last one is told", || {
                entries(&file).iter().any(|entry| entry["subject_id"] == made[19].as_str())
            });
            fs::rename(&file, folder.path().join("audit.1")).unwrap();
        }
        if turn < 2 {
            installation.kill();
            installation = Installation::serve(BINARY, &text, folder.path());
        }
    }
    let all = || [entries(&folder.path().join("audit.1")), entries(&file)].concat();
    let last = made.last().unwrap().as_str();
    eventually("the last one is told", || all().iter().any(|entry| entry["subject_id"] == last));
    let told: BTreeMap<u64, Value> =
        all().into_iter().map(|entry| (entry["sequence"].as_u64().unwrap(), entry)).collect();
    assert_eq!(told.keys().copied().collect::<Vec<_>>(), (1..=told.len() as u64).collect::<Vec<_>>(), "without gaps");
    for project in &made {
        let entry = told.values().find(|entry| entry["subject_id"] == project.as_str()).unwrap();
        assert_eq!((&entry["type"], &entry["vocabulary"]), (&json!("project.create"), &json!("sensitive_create")));
        assert_eq!(entry["address"], "127.0.0.1");
    }
    let before = all();
    assert!(end(&mut installation).0.success());
    let again = Installation::serve(BINARY, &text, folder.path());
    std::thread::sleep(Duration::from_millis(1_200));
    let since = all().split_off(before.len());
    let since: Vec<&str> = since.iter().map(|entry| entry["type"].as_str().unwrap()).collect();
    // Nobody can log in there, so each start makes another claim.
    assert_eq!(since, ["invitation.create"], "after an orderly end nothing is told twice");
    drop(again);
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn syslog_gets_a_message_an_entry_and_waits_for_a_receiver_that_is_away() {
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let text = config(folder.path(), &format!("syslog = \"tcp://{address}\"\n"));
    let installation = Installation::serve(BINARY, &text, folder.path());
    let management_key = installation.management_key.clone().unwrap();
    let subject = project(&installation, &management_key);
    std::thread::sleep(Duration::from_millis(800));
    let listener = TcpListener::bind(address).unwrap();
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut text = String::new();
            BufReader::new(stream.unwrap()).read_to_string(&mut text).unwrap();
            let _ = sender.send(text);
        }
    });
    let mut all = String::new();
    while !all.contains(&subject) {
        all += &receiver.recv_timeout(Duration::from_secs(20)).expect("it is told once somebody listens");
    }
    // Each message is counted in octets.
    let mut rest = all.as_bytes();
    let mut messages = Vec::new();
    while !rest.is_empty() {
        let space = rest.iter().position(|byte| *byte == b' ').unwrap();
        let length: usize = std::str::from_utf8(&rest[..space]).unwrap().parse().unwrap();
        messages.push(std::str::from_utf8(&rest[space + 1..][..length]).unwrap().to_owned());
        rest = &rest[space + 1 + length..];
    }
    let message = messages.iter().find(|message| message.contains(&subject)).unwrap();
    assert!(message.starts_with("<110>1 20") && message.contains(" - keystile - project.create - {"), "{message}");
    assert!(!message.contains('\n'));
}

#[test]
fn a_socket_of_this_machine_gets_them_too() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("log");
    let receiver = UnixDatagram::bind(&socket).unwrap();
    receiver.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let text = config(folder.path(), &format!("syslog = \"unix:{}\"\n", socket.display()));
    let installation = Installation::serve(BINARY, &text, folder.path());
    let mut buffer = vec![0; 1 << 16];
    let length = receiver.recv(&mut buffer).unwrap();
    let message = String::from_utf8_lossy(&buffer[..length]).into_owned();
    assert!(message.starts_with("<110>1 ") && message.contains("organization.create"), "{message}");
    drop(installation);
}

#[test]
fn both_at_once_and_what_takes_the_place_of_entries_that_were_cut_off_arrives_too() {
    let folder = tempfile::tempdir().unwrap();
    let (file, socket) = (folder.path().join("audit.ndjson"), folder.path().join("log"));
    let receiver = UnixDatagram::bind(&socket).unwrap();
    receiver.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let audit = format!("file = {file:?}\nsyslog = \"unix:{}\"\n", socket.display());
    let text = config(folder.path(), &audit);
    let mut installation = Installation::serve(BINARY, &text, folder.path());
    let management_key = installation.management_key.clone().unwrap();
    let made: Vec<String> = (0..5).map(|_| project(&installation, &management_key)).collect();
    let has = |subject: &str| entries(&file).iter().any(|entry| entry["subject_id"] == subject);
    eventually("the last one is told", || has(&made[4]));
    receiver.recv(&mut [0; 1 << 16]).unwrap();
    assert!(end(&mut installation).0.success());
    let cut = "DELETE FROM audit WHERE sequence > (SELECT max(sequence) FROM audit) - 4";
    let done = Command::new("sqlite3").arg(folder.path().join("data/catalog.db")).arg(cut).status();
    assert!(done.expect("sqlite3 is installed").success());
    let installation = Installation::serve(BINARY, &text, folder.path());
    // As many as were cut off, and one less.
    let after: Vec<String> = (0..3).map(|_| project(&installation, &management_key)).collect();
    eventually("those in their places are told", || after.iter().all(|subject| has(subject)));
}
