//! The access log: a JSON object a line, in ASCII, so that nothing in it can end a line or turn a terminal (SECURITY.md
//! E-3).

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use http::Version;
use keystile_core::Code;
use keystile_core::id::{ApiId, KeyId, ProjectId, RequestId};
use keystile_core::restrict::Rules;
use keystile_core::time::Timestamp;
use serde::Serialize;

use super::super::trace::TraceId;
use super::discretion::Discretion;
use super::record::Door;
use super::sheet::Entry;
use super::{Destination, NoAccessLog};

/// For the owner and the group, which log shippers belong to.
const MODE: u32 = 0o640;

/// One line.
#[derive(Serialize)]
struct Line<'a> {
    time: Timestamp,
    request_id: RequestId,
    door: Door,
    client: IpAddr,
    encrypted: bool,
    method: Option<&'static str>,
    host: Option<&'a str>,
    path: Option<&'a str>,
    protocol: Option<&'static str>,
    status: u16,
    code: &'static str,
    api_id: Option<ApiId>,
    api: Option<&'a str>,
    operation: Option<&'a str>,
    project_id: Option<ProjectId>,
    key_id: Option<KeyId>,
    /// Restrictions in shadow that would have refused it.
    #[serde(skip_serializing_if = "Rules::is_empty")]
    shadow: Rules,
    duration_ms: f64,
    upstream_ms: Option<f64>,
    bytes_in: u64,
    bytes_out: u64,
    user_agent: Option<&'a str>,
    trace_id: Option<TraceId>,
}

/// The open log.
pub(super) struct AccessLog {
    out: Out,
    text: Vec<u8>,
    /// Complained about once, until it is well again.
    failing: bool,
}

enum Out {
    Stdout(io::Stdout),
    File(PathBuf, File),
}

impl AccessLog {
    /// Opens it; `None` if it is off.
    pub(super) fn open(to: &Destination) -> Result<Option<Self>, NoAccessLog> {
        let out = match to {
            Destination::Off => return Ok(None),
            Destination::Stdout => Out::Stdout(io::stdout()),
            Destination::File(path) => {
                let file = open(path).map_err(|cause| NoAccessLog { path: path.clone(), cause })?;
                Out::File(path.clone(), file)
            }
        };
        Ok(Some(Self { out, text: Vec::new(), failing: false }))
    }

    /// Opens the file anew. If that fails, the old one is written on.
    pub(super) fn reopen(&mut self) {
        let Out::File(path, file) = &mut self.out else { return };
        match open(path) {
            Ok(fresh) => {
                *file = fresh;
                tracing::info!("the access log was opened anew");
            }
            Err(error) => {
                tracing::error!(%error, path = %path.display(), "the access log can't be opened anew; the old file is written on");
            }
        }
    }

    /// Writes a line of each.
    ///
    /// # Errors
    /// If they can't be written; what is in the file then may end in a part of a line.
    pub(super) fn write(&mut self, entries: &[Entry], discretion: &Discretion) -> io::Result<()> {
        self.text.clear();
        for entry in entries {
            write_line(entry, discretion, &mut self.text);
        }
        let written = match &mut self.out {
            Out::Stdout(out) => out.write_all(&self.text).and_then(|()| out.flush()),
            Out::File(_, file) => file.write_all(&self.text),
        };
        if let Err(error) = &written
            && !self.failing
        {
            tracing::error!(%error, "the access log can't be written; its lines are dropped");
        }
        self.failing = written.is_err();
        written
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(MODE).open(path)
}

fn write_line(entry: &Entry, discretion: &Discretion, out: &mut Vec<u8>) {
    let (record, counted) = (&*entry.record, &entry.counted);
    let (dimensions, counts) = (&counted.dimensions, &counted.counts);
    let host = record.host.as_deref().map(|host| discretion.host(host));
    let path = record.path.as_deref().map(|path| discretion.path(path));
    let user_agent = record.user_agent.as_deref().map(|agent| discretion.words(agent));
    let operation = discretion.label(dimensions.label);
    let millis = |micros: u64| micros as f64 / 1e3;
    let line = Line {
        time: counted.at,
        request_id: record.request,
        door: record.door,
        client: record.client,
        encrypted: record.encrypted,
        method: record.method.map(|method| method.as_str()),
        host: host.as_deref(),
        path: path.as_deref(),
        protocol: record.version.map(protocol),
        status: dimensions.status,
        code: Code::as_str(dimensions.code),
        api_id: record.api.as_ref().map(|(id, _)| *id),
        api: record.api.as_ref().map(|(_, name)| &**name),
        operation: operation.as_deref(),
        project_id: record.project,
        key_id: record.key,
        shadow: record.shadow,
        duration_ms: millis(counts.latency_us),
        upstream_ms: entry.upstream_us.map(|micros| millis(micros.get().into())),
        bytes_in: counts.bytes_in,
        bytes_out: counts.bytes_out,
        user_agent: user_agent.as_deref(),
        trace_id: record.trace,
    };
    if let Ok(json) = serde_json::to_string(&line) {
        ascii(&json, out);
        out.push(b'\n');
    }
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2",
        _ => "HTTP/1.1",
    }
}

/// JSON with everything escaped that is not visible ASCII; outside of texts it has nothing else.
fn ascii(json: &str, out: &mut Vec<u8>) {
    for character in json.chars() {
        if matches!(character, ' '..='~') {
            out.push(character as u8);
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            out.extend_from_slice(format!("\\u{unit:04x}").as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_visible_ascii_and_still_the_same_json() {
        let text = "é\u{7f}\u{202e}😀\u{1b}[31m\n\"\\";
        let json = serde_json::to_string(text).unwrap();
        let mut line = Vec::new();
        ascii(&json, &mut line);
        assert!(line.iter().all(|byte| matches!(byte, b' '..=b'~')), "{}", String::from_utf8_lossy(&line));
        assert_eq!(serde_json::from_slice::<String>(&line).unwrap(), text);
    }
}
