//! What pages are made of besides HTML: style, script, icons and fonts, all in the binary. Each has its content's hash in its
//! name, so browsers keep it for good, and is there compressed.

use std::collections::HashMap;
use std::io::Write;
use std::sync::LazyLock;

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, VARY, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderValue, StatusCode};
use sha2::{Digest, Sha256};

/// A file, named in others as `asset:NAME`. Those that others name come first.
macro_rules! files {
    ($($name:literal: $kind:literal = [$($path:literal),+];)*) => {
        [$(($name, $kind, &[$(include_bytes!(concat!("../assets/", $path)) as &[u8]),+] as &[&[u8]])),*]
    };
}

type Source = (&'static str, &'static str, &'static [&'static [u8]]);

const FILES: [Source; 15] = files! {
    "sans.woff2": "font/woff2" = ["fonts/geist-latin-wght-normal.woff2"];
    "mono.woff2": "font/woff2" = ["fonts/geist-mono-latin-wght-normal.woff2"];
    "icons.svg": "image/svg+xml" = ["icons.svg"];
    "mark.svg": "image/svg+xml" = ["mark.svg"];
    "chevron.svg": "image/svg+xml" = ["chevron.svg"];
    "chevron-dark.svg": "image/svg+xml" = ["chevron-dark.svg"];
    "app.css": "text/css; charset=utf-8" = [
        "css/tokens.css", "css/base.css", "css/layout.css", "css/controls.css", "css/tables.css", "css/charts.css",
        "css/dialogs.css", "css/pages.css", "css/rooms.css", "css/narrow.css"
    ];
    "htmx.js": "text/javascript; charset=utf-8" = ["htmx.min.js"];
    "command-palette.js": "text/javascript; charset=utf-8" = ["elements/command-palette.js"];
    "app.js": "text/javascript; charset=utf-8" = ["app.js"];
    "usage-chart.js": "text/javascript; charset=utf-8" = ["elements/usage-chart.js"];
    "live-tail.js": "text/javascript; charset=utf-8" = ["elements/live-tail.js"];
    "first-call.js": "text/javascript; charset=utf-8" = ["elements/first-call.js"];
    "passkey.js": "text/javascript; charset=utf-8" = ["elements/passkey.js"];
    "theme.js": "text/javascript; charset=utf-8" = ["theme.js"];
};

struct Asset {
    kind: &'static str,
    plain: Bytes,
    gzip: Option<Bytes>,
}

struct Assets {
    /// Address by name.
    urls: HashMap<&'static str, String>,
    /// Asset by the name with the hash.
    by_file: HashMap<String, Asset>,
}

/// Letters of the hash that names have.
const HASH_LETTERS: usize = 12;

static ASSETS: LazyLock<Assets> = LazyLock::new(|| {
    let mut all = Assets { urls: HashMap::new(), by_file: HashMap::new() };
    for (name, kind, parts) in FILES {
        let content = all.resolved(kind, parts);
        let hash: String = Sha256::digest(&content).iter().map(|byte| format!("{byte:02x}")).collect();
        let (stem, ending) = name.rsplit_once('.').unwrap_or((name, ""));
        let file = format!("{stem}.{}.{ending}", &hash[..HASH_LETTERS]);
        all.urls.insert(name, format!("/assets/{file}"));
        let gzip = (!kind.starts_with("font/")).then(|| compressed(&content, Compression::best()));
        all.by_file.insert(file, Asset { kind, plain: content.into(), gzip });
    }
    all
});

impl Assets {
    /// The parts as one, with the addresses of the files that they name.
    fn resolved(&self, kind: &str, parts: &[&[u8]]) -> Vec<u8> {
        let content = parts.concat();
        if !kind.starts_with("text/") {
            return content;
        }
        let mut text = String::from_utf8_lossy(&content).into_owned();
        for (name, url) in &self.urls {
            text = text.replace(&format!("asset:{name}"), url);
        }
        text.into_bytes()
    }
}

/// A text, smaller.
pub(crate) fn compressed(content: &[u8], how: Compression) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), how);
    // Memory takes everything.
    let _ = encoder.write_all(content);
    encoder.finish().unwrap_or_default().into()
}

/// Whether a browser takes gzip.
pub(crate) fn accepts_gzip(headers: &HeaderMap) -> bool {
    let accepts = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    accepts.flat_map(|text| text.split(',')).any(|word| word.trim() == "gzip")
}

/// The address of a file.
///
/// # Panics
/// If there is none of this name, which the tests of templates find.
pub(crate) fn url(name: &str) -> &'static str {
    ASSETS.urls.get(name).unwrap_or_else(|| panic!("no asset is called {name}"))
}

/// A file, which never changes under its name.
pub(crate) async fn serve(Path(file): Path<String>, headers: HeaderMap) -> Response {
    let Some(asset) = ASSETS.by_file.get(&file) else { return StatusCode::NOT_FOUND.into_response() };
    let head = [
        (CONTENT_TYPE, HeaderValue::from_static(asset.kind)),
        (CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable")),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (VARY, HeaderValue::from_static("accept-encoding")),
    ];
    match &asset.gzip {
        Some(gzip) if accepts_gzip(&headers) => {
            (head, [(CONTENT_ENCODING, HeaderValue::from_static("gzip"))], gzip.clone()).into_response()
        }
        _ => (head, asset.plain.clone()).into_response(),
    }
}
