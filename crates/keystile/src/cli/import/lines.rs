//! A line of a file of keys, taken apart into key, name and end.

/// Longest line: a key has at most 512 characters, so this leaves plenty for a name, and for JSON.
pub(super) const MAX_LINE_BYTES: usize = 16 << 10;

/// One key of a file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Record<'a> {
    pub(super) key: &'a str,
    /// What finds a hash: the beginning of its key, or the short token.
    pub(super) finder: &'a str,
    pub(super) name: &'a str,
    pub(super) expires_at: &'a str,
}

/// `KEY` or `KEY NAME`.
pub(super) fn text(line: &str) -> Record<'_> {
    let line = line.trim();
    let (key, name) = line.split_once([' ', '\t']).unwrap_or((line, ""));
    Record { key, finder: "", name: name.trim(), expires_at: "" }
}

/// What stands for a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Held {
    /// Its text.
    Key,
    /// The SHA-256 of its text.
    Sha256,
    /// A slow hash of its text, and the beginning by which it is found.
    Hash,
    /// The SHA-256 of its long token, and its short token.
    Tokens,
}

impl Held {
    const ALL: [Self; 4] = [Self::Key, Self::Sha256, Self::Hash, Self::Tokens];

    /// The name of what stands for it, in files and requests.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Sha256 => "sha256",
            Self::Hash => "hash",
            Self::Tokens => "long_token_hash",
        }
    }

    /// The name of what finds it.
    pub(super) const fn finder(self) -> Option<&'static str> {
        match self {
            Self::Key | Self::Sha256 => None,
            Self::Hash => Some("lookup"),
            Self::Tokens => Some("short_token"),
        }
    }
}

/// Which column of a table holds what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Columns {
    pub(super) separator: char,
    pub(super) held: Held,
    key: usize,
    finder: Option<usize>,
    name: Option<usize>,
    expires_at: Option<usize>,
    /// Titles that mean nothing to us.
    pub(super) ignored: Vec<String>,
}

impl Columns {
    /// Reads a header; `None` if the line is none.
    pub(super) fn of_header(line: &str) -> Option<Self> {
        let separator = [',', ';', '\t'].into_iter().find(|separator| line.contains(*separator)).unwrap_or(',');
        let titles: Vec<String> =
            fields(line, separator)?.into_iter().map(|title| title.trim().to_ascii_lowercase()).collect();
        let at = |wanted: &str| titles.iter().position(|title| title == wanted);
        let mut named = Held::ALL.into_iter().filter_map(|held| Some((held, at(held.name())?)));
        // Several or none: not a header that says which column the keys are in.
        let (held, key) = named.next().filter(|_| named.next().is_none())?;
        let finder = held.finder().and_then(at);
        let known = [Some(held.name()), held.finder(), Some("name"), Some("expires_at")];
        let known: Vec<&str> = known.into_iter().flatten().collect();
        let ignored = titles.iter().filter(|title| !known.contains(&title.as_str())).cloned().collect();
        Some(Self { separator, held, key, finder, name: at("name"), expires_at: at("expires_at"), ignored })
    }

    /// The key of a line; `None` if its quotes are not closed or the key's column is not there. `store` keeps fields
    /// whose quotes had to be undone.
    pub(super) fn record<'a>(&self, line: &'a str, store: &'a mut Vec<String>) -> Option<Record<'a>> {
        if !line.contains('"') {
            let mut record = Record::default();
            let mut found = false;
            for (n, field) in line.split(self.separator).enumerate() {
                if n == self.key {
                    record.key = field.trim();
                    found = true;
                } else if Some(n) == self.finder {
                    record.finder = field.trim();
                } else if Some(n) == self.name {
                    record.name = field.trim();
                } else if Some(n) == self.expires_at {
                    record.expires_at = field.trim();
                }
            }
            return found.then_some(record);
        }
        *store = fields(line, self.separator)?;
        let store: &'a Vec<String> = store;
        let field = |n: Option<usize>| n.and_then(|n| store.get(n)).map_or("", |field| field.trim());
        store.get(self.key)?;
        let (name, expires_at) = (field(self.name), field(self.expires_at));
        Some(Record { key: field(Some(self.key)), finder: field(self.finder), name, expires_at })
    }
}

/// The fields of a line of CSV (RFC 4180); `None` if a quote is not closed or stands where none may.
fn fields(line: &str, separator: char) -> Option<Vec<String>> {
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        if let Some(quoted) = rest.strip_prefix('"') {
            let mut field = String::new();
            let mut inner = quoted;
            loop {
                let quote = inner.find('"')?;
                field.push_str(&inner[..quote]);
                inner = &inner[quote + 1..];
                match inner.strip_prefix('"') {
                    Some(after) => {
                        field.push('"');
                        inner = after;
                    }
                    None => break,
                }
            }
            fields.push(field);
            match inner.strip_prefix(separator) {
                Some(next) => rest = next,
                None => return inner.trim().is_empty().then_some(fields),
            }
        } else {
            match rest.split_once(separator) {
                Some((field, next)) => {
                    fields.push(field.to_owned());
                    rest = next;
                }
                None => {
                    fields.push(rest.to_owned());
                    return Some(fields);
                }
            }
        }
    }
}
