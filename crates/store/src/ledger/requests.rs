//! The request log: calls as they were answered, one a row, kept for a while and up to a size.
//!
//! Each row has a sequence that is given in the transaction which writes it. Transactions that write wait for each other, on one
//! node and on several, so rows become visible in the order of their sequences: whoever has read up to one has missed none below it.
//! Rows that follow each other make a part, which is forgotten as a whole; what a part takes is counted as its rows come and go, so
//! that nobody has to add up a log of a gigabyte.

use std::net::{IpAddr, Ipv6Addr};

use keystile_core::code::Code;
use keystile_core::id::RequestId;
use keystile_core::method::Method;
use keystile_core::restrict::Rules;
use keystile_core::time::Timestamp;

use super::Ledger;
use crate::StoreError;
use crate::db::{Columns, Connection, Row, Sql, damaged, signed, sql};

/// Rows in one statement.
const ROWS: usize = 100;
/// A part with so many rows or bytes takes no more in: it is forgotten in a moment, and little of a small log goes with it.
const PART_CALLS: u64 = 1_000;
const PART_BYTES: u64 = 256 << 10;
/// How long a part takes rows in: what is forgotten by age goes to this exactly.
const PART_SECS: i64 = 3_600;
/// What a row takes besides its texts, with its indexes.
const ROW_BYTES: usize = 250;
/// Rows that are looked at in one statement when few of them may be meant.
const SCANNED: u32 = 20_000;
/// Such statements for one page: some seconds at most. Whoever wants more asks for the next page.
const SCANS: u32 = 25;
/// Rows of a project that are forgotten in one transaction.
const ERASED: u32 = 1_000;

/// By which door a call came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestDoor {
    /// Through the gateway.
    Gateway,
    /// Somebody asked about it.
    Verification,
}

impl RequestDoor {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Gateway, Self::Verification];

    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Verification => "verification",
        }
    }
}

/// A call, as it is written down. Numbers are those of the catalogue; 0 where it had none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedRequest {
    /// Its id, which no other one has.
    pub id: RequestId,
    /// When it began.
    pub at: Timestamp,
    /// How it came.
    pub door: RequestDoor,
    /// Whose it is: the organization that it is counted for, and the first one if that is none.
    pub organization: u32,
    /// The API.
    pub api: u32,
    /// The project.
    pub project: u32,
    /// The key.
    pub key: u32,
    /// The label of its operation.
    pub label: u32,
    /// The decision.
    pub code: Code,
    /// The status that the client got.
    pub status: u16,
    /// Its method.
    pub method: Option<Method>,
    /// The host that was called.
    pub host: Option<String>,
    /// The canonical path.
    pub path: Option<String>,
    /// From where, as far as that is kept.
    pub client: Option<IpAddr>,
    /// What the client calls itself.
    pub user_agent: Option<String>,
    /// Restrictions in shadow that would have refused it.
    pub shadow: Rules,
    /// Microseconds from its head to the end of the answer.
    pub latency_us: u64,
    /// Microseconds that the upstream took to begin its answer.
    pub upstream_us: Option<u32>,
    /// Bytes of its body.
    pub bytes_in: u64,
    /// Bytes of the answer's body.
    pub bytes_out: u64,
    /// The trace that it belongs to, in hexadecimal.
    pub trace: Option<String>,
}

impl LoggedRequest {
    fn size(&self) -> u64 {
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        (ROW_BYTES + [&self.host, &self.path, &self.user_agent, &self.trace].map(text).iter().sum::<usize>()) as u64
    }
}

/// A call that was read, with its place in the log and the text of its operation's label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptRequest {
    /// Its place among all.
    pub sequence: u64,
    /// What was written down.
    pub request: LoggedRequest,
    /// The operation.
    pub operation: Option<String>,
}

/// A place in the log as it is searched, newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestsAt {
    /// The moment.
    pub at: Timestamp,
    /// The sequence.
    pub sequence: u64,
}

/// Whose calls are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestsOf {
    /// Those of the organization of this number.
    Organization(u32),
    /// Those of this project, wherever they went.
    Project(u32),
    /// Those with this key, wherever they went.
    Key(u32),
    /// The one of this id, whoever's it is.
    Request(RequestId),
}

/// Which calls are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestsQuery {
    /// Whose.
    pub of: RequestsOf,
    /// Of this project.
    pub project: Option<u32>,
    /// With this key.
    pub key: Option<u32>,
    /// At this API.
    pub api: Option<u32>,
    /// With this decision.
    pub code: Option<Code>,
    /// With a status from this to that one.
    pub status: Option<(u16, u16)>,
    /// With this method.
    pub method: Option<Method>,
    /// With a path that begins so.
    pub path: Option<String>,
    /// Of this operation.
    pub operation: Option<String>,
    /// From an address from this to that one.
    pub clients: Option<(IpAddr, IpAddr)>,
    /// By this door.
    pub door: Option<RequestDoor>,
}

impl RequestsQuery {
    /// All of somebody's.
    pub const fn all(of: RequestsOf) -> Self {
        Self {
            of,
            project: None,
            key: None,
            api: None,
            code: None,
            status: None,
            method: None,
            path: None,
            operation: None,
            clients: None,
            door: None,
        }
    }

    /// The same of the call of this id alone, whoever's it is.
    #[must_use]
    pub fn of_request(self, id: RequestId) -> Self {
        let (project, key) = match self.of {
            RequestsOf::Project(project) => (Some(project), self.key),
            RequestsOf::Key(key) => (self.project, Some(key)),
            RequestsOf::Organization(_) | RequestsOf::Request(_) => (self.project, self.key),
        };
        Self { of: RequestsOf::Request(id), project, key, ..self }
    }

    fn is_for_all(&self) -> bool {
        *self == Self::all(self.of)
    }

    /// Whose, by their index.
    fn push_of<'v>(&self, query: &mut Sql<'v>) {
        match self.of {
            RequestsOf::Organization(number) => query.push("r.organization = ").push_bind(number),
            RequestsOf::Project(number) => query.push("r.project <> 0 AND r.project = ").push_bind(number),
            RequestsOf::Key(number) => query.push("r.key <> 0 AND r.key = ").push_bind(number),
            RequestsOf::Request(id) => query.push("r.id = ").push_bind(id.to_bytes()),
        };
    }

    /// The same without an index: where rows are found by their sequences.
    fn push_of_some<'v>(&self, query: &mut Sql<'v>) {
        match self.of {
            RequestsOf::Organization(number) => query.push("+r.organization = ").push_bind(number),
            RequestsOf::Project(number) => query.push("+r.project = ").push_bind(number),
            RequestsOf::Key(number) => query.push("+r.key = ").push_bind(number),
            RequestsOf::Request(id) => query.push("r.id = ").push_bind(id.to_bytes()),
        };
    }

    fn push_rest<'v>(&'v self, query: &mut Sql<'v>) {
        // With a sign before them no index is made use of; the one that was chosen gives rows in their order.
        let numbers = [
            (" AND +r.project = ", self.project),
            (" AND +r.key = ", self.key),
            (" AND r.api = ", self.api),
            (" AND r.code = ", self.code.map(|code| u32::from(code as u8))),
        ];
        for (condition, number) in numbers {
            if let Some(number) = number {
                query.push(condition).push_bind(number);
            }
        }
        if let Some((least, most)) = self.status {
            query.push(" AND r.status BETWEEN ").push_bind(least).push(" AND ").push_bind(most);
        }
        let words = [
            (" AND r.method = ", self.method.map(Method::as_str)),
            (" AND r.door = ", self.door.map(RequestDoor::as_str)),
        ];
        for (condition, word) in words {
            if let Some(word) = word {
                query.push(condition).push_bind(word);
            }
        }
        if let Some(path) = &self.path {
            let characters = i64::try_from(path.chars().count()).unwrap_or(i64::MAX);
            query.push(" AND substr(r.path, 1, CAST(").push_bind(characters).push(" AS INTEGER)) = ").push_bind(path);
        }
        if let Some(operation) = &self.operation {
            query.push(" AND r.label IN (SELECT number FROM labels WHERE text = ").push_bind(operation).push(")");
        }
        if let Some((first, last)) = self.clients {
            query.push(" AND r.client BETWEEN ").push_bind(address_bytes(first));
            query.push(" AND ").push_bind(address_bytes(last));
        }
    }
}

/// A page of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestsPage {
    /// Its calls, newest first.
    pub requests: Vec<KeptRequest>,
    /// How far was looked; `None` if that was everything. There may be calls further on even if none was found up to here.
    pub next: Option<RequestsAt>,
}

impl Ledger {
    /// Writes calls down, durable when this returns; says what the last one's sequence is. Calls that were written before are left
    /// as they are, if all of these are the same as then.
    ///
    /// # Errors
    /// If the store fails; then none of them was written, as far as is known here.
    pub async fn log_requests(&self, now: Timestamp, requests: &[LoggedRequest]) -> Result<u64, StoreError> {
        let mut transaction = self.0.base.write().await?;
        let db = &mut *transaction;
        let Some(first) = requests.first() else { return last_sequence(db).await };
        // They are written together or not at all, so one of them tells of all.
        let known = sql("SELECT sequence FROM requests WHERE id = ?").bind(first.id.to_bytes());
        if known.fetch_number_if_any::<u64>(db).await?.is_some() {
            return last_sequence(db).await;
        }
        let calls = requests.len() as u64;
        let last: u64 = sql("INSERT INTO request_sequence (one, last) VALUES (1, ?) \
             ON CONFLICT (one) DO UPDATE SET last = request_sequence.last + excluded.last RETURNING last")
        .bind(signed(calls))
        .fetch_number(db)
        .await?;
        let mut sequence = last - calls;
        let size: u64 = requests.iter().map(LoggedRequest::size).sum();
        add_to_part(db, now, (sequence + 1, calls, size)).await?;
        for some in requests.chunks(ROWS) {
            insert(db, sequence, some).await?;
            sequence += some.len() as u64;
        }
        transaction.commit().await?;
        Ok(last)
    }

    /// The sequence of the last call that was written; 0 if there was none.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn last_request(&self) -> Result<u64, StoreError> {
        last_sequence(&mut self.0.base.read().await?).await
    }

    /// Calls of this time, newest first: those before this place, at most so many. It looks through so many that a page takes some
    /// seconds at most, and says how far it came.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn requests(
        &self,
        query: &RequestsQuery,
        (from, until): (Option<Timestamp>, Option<Timestamp>),
        before: Option<RequestsAt>,
        limit: u32,
    ) -> Result<RequestsPage, StoreError> {
        let db = &mut self.0.base.read().await?;
        let until = until.map(|at| RequestsAt { at, sequence: 0 });
        let end = RequestsAt { at: Timestamp::from_micros(i64::MAX), sequence: 0 };
        let mut before = [before, until].into_iter().flatten().min().unwrap_or(end);
        let from = RequestsAt { at: from.unwrap_or(Timestamp::from_micros(i64::MIN)), sequence: 0 };
        let (mut found, mut scans) = (Vec::new(), 0);
        loop {
            // Where few of many may be meant, they are looked through some at a time.
            let bound = if query.is_for_all() { None } else { place_after(db, query, from, before).await? };
            let room = limit - found.len() as u32;
            found.extend(search(db, query, bound.unwrap_or(from), before, room).await?);
            scans += 1;
            if found.len() as u32 == limit {
                let next = found.last().map(|last| RequestsAt { at: last.request.at, sequence: last.sequence });
                return Ok(RequestsPage { requests: found, next });
            }
            match bound {
                None => return Ok(RequestsPage { requests: found, next: None }),
                Some(bound) if scans == SCANS => return Ok(RequestsPage { requests: found, next: Some(bound) }),
                Some(bound) => before = bound,
            }
        }
    }

    /// Calls after one sequence up to another one, in their order; at most so many.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn requests_after(
        &self,
        query: &RequestsQuery,
        (after, until): (u64, u64),
        limit: u32,
    ) -> Result<Vec<KeptRequest>, StoreError> {
        let mut select = sql(SELECT).seldom();
        query.push_of_some(&mut select);
        query.push_rest(&mut select);
        select.push(" AND r.sequence > ").push_bind(signed(after)).push(" AND r.sequence <= ").push_bind(signed(until));
        select.push(" ORDER BY r.sequence LIMIT ").push_bind(limit);
        select.fetch_all(&mut self.0.base.read().await?).await?.iter().map(read).collect()
    }

    /// The call of this id, whoever's it is.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn request(&self, id: RequestId) -> Result<Option<KeptRequest>, StoreError> {
        let mut select = sql(SELECT);
        select.push("r.id = ").push_bind(id.to_bytes());
        select.fetch_optional(&mut self.0.base.read().await?).await?.as_ref().map(read).transpose()
    }

    /// Forgets parts of the log whose last call was written before this moment, and further ones, the oldest first, until those that
    /// stay take at most so many bytes; says how many calls that were.
    ///
    /// # Errors
    /// If the store fails; what was forgotten until then is.
    pub async fn forget_requests(&self, before: Option<Timestamp>, bytes: Option<u64>) -> Result<u64, StoreError> {
        let rows = sql("SELECT first, last_at, size FROM request_parts ORDER BY first DESC");
        let rows = rows.fetch_all(&mut self.0.base.read().await?).await?;
        let (mut room, mut forgotten, mut next) = (bytes.unwrap_or(u64::MAX), Vec::new(), i64::MAX);
        for row in &rows {
            let mut row = Columns::of(row);
            let (first, last_at, size) = (row.integer()?, row.moment()?, row.number::<u64>()?);
            // Once there was no room for a part, there is none for those before it.
            let fits = size <= room;
            room = if fits { room - size } else { 0 };
            if !fits || before.is_some_and(|before| last_at < before) {
                forgotten.push((first, next));
            }
            next = first;
        }
        let mut calls = 0;
        // The oldest first, a part at a time: whoever counts does not wait for long.
        for (first, next) in forgotten.into_iter().rev() {
            let mut transaction = self.0.base.write().await?;
            let db = &mut *transaction;
            // The newest one may have grown meanwhile, or been followed by another one.
            let follower = sql("SELECT min(first) FROM request_parts WHERE first > ?").bind(first);
            let next = follower.fetch_number_if_any::<i64>(db).await?.unwrap_or(next);
            let gone = sql("DELETE FROM requests WHERE sequence >= ? AND sequence < ?").bind(first).bind(next);
            calls += gone.execute(db).await?;
            sql("DELETE FROM request_parts WHERE first = ?").bind(first).execute(db).await?;
            transaction.commit().await?;
        }
        Ok(calls)
    }

    /// Forgets the calls of a project, wherever they went, and sees to it that they are nowhere in the file; says how many.
    ///
    /// # Errors
    /// If the store fails, or somebody reads for a long time.
    pub async fn forget_requests_of(&self, project: u32) -> Result<u64, StoreError> {
        let mut calls = 0;
        loop {
            let mut transaction = self.0.base.write().await?;
            let db = &mut *transaction;
            let rows = sql("SELECT sequence, size FROM requests WHERE project <> 0 AND project = ? \
                 ORDER BY at, sequence LIMIT ?");
            let rows = rows.bind(project).bind(ERASED).fetch_all(db).await?;
            if rows.is_empty() {
                break;
            }
            let mut gone = Vec::with_capacity(rows.len());
            for row in &rows {
                let mut row = Columns::of(row);
                gone.push((row.integer()?, row.number::<u64>()?));
            }
            let mut delete = sql("DELETE FROM requests WHERE sequence IN ").seldom();
            delete.push_list(gone.iter().map(|(sequence, _)| *sequence));
            calls += delete.execute(db).await?;
            take_from_parts(db, gone).await?;
            transaction.commit().await?;
        }
        self.0.base.wipe().await?;
        Ok(calls)
    }
}

async fn last_sequence(db: &mut Connection) -> Result<u64, StoreError> {
    Ok(sql("SELECT last FROM request_sequence").fetch_number_if_any(db).await?.unwrap_or(0))
}

/// Counts rows that begin with this sequence to the newest part, or to a new one.
async fn add_to_part(
    db: &mut Connection,
    now: Timestamp,
    (first, calls, size): (u64, u64, u64),
) -> Result<(), StoreError> {
    let newest = sql("SELECT first, began_at, calls, size FROM request_parts ORDER BY first DESC LIMIT 1");
    let open = match newest.fetch_optional(&mut *db).await? {
        None => None,
        Some(row) => {
            let mut row = Columns::of(&row);
            let (part, began_at) = (row.integer()?, row.moment()?);
            let has_room = row.number::<u64>()? < PART_CALLS && row.number::<u64>()? < PART_BYTES;
            // By a clock that was set back nothing is kept for longer.
            let age = now.as_secs() - began_at.as_secs();
            (has_room && (0..PART_SECS).contains(&age)).then_some(part)
        }
    };
    let (now, calls, size) = (now.as_micros(), signed(calls), signed(size));
    match open {
        Some(part) => {
            let add = sql("UPDATE request_parts SET calls = calls + ?, size = size + ?, last_at = ? WHERE first = ?");
            add.bind(calls).bind(size).bind(now).bind(part).execute(db).await?;
        }
        None => {
            let new = sql("INSERT INTO request_parts (first, began_at, last_at, calls, size) VALUES (?, ?, ?, ?, ?)");
            new.bind(signed(first)).bind(now).bind(now).bind(calls).bind(size).execute(db).await?;
        }
    }
    Ok(())
}

/// Rows of these sequences and sizes are gone.
async fn take_from_parts(db: &mut Connection, mut gone: Vec<(i64, u64)>) -> Result<(), StoreError> {
    let firsts = sql("SELECT first FROM request_parts ORDER BY first").fetch_numbers::<i64>(&mut *db).await?;
    gone.sort_unstable();
    let part_of = |sequence: i64| firsts[..firsts.partition_point(|first| *first <= sequence)].last().copied();
    for of_part in gone.chunk_by(|one, other| part_of(one.0) == part_of(other.0)) {
        let Some(part) = part_of(of_part[0].0) else { continue };
        let size: u64 = of_part.iter().map(|(_, size)| size).sum();
        let take = sql("UPDATE request_parts SET calls = calls - ?, size = size - ? WHERE first = ?");
        take.bind(signed(of_part.len() as u64)).bind(signed(size)).bind(part).execute(&mut *db).await?;
    }
    Ok(())
}

async fn insert(db: &mut Connection, last: u64, requests: &[LoggedRequest]) -> Result<(), StoreError> {
    let mut query = sql(
        "INSERT INTO requests (sequence, id, at, organization, api, project, key, label, code, status, \
         door, method, host, path, client, user_agent, shadow, latency_us, upstream_us, bytes_in, bytes_out, trace, size) \
         VALUES ",
    );
    if requests.len() != ROWS {
        query = query.seldom();
    }
    for (place, request) in (1..).zip(requests) {
        query.push(if place == 1 { "(" } else { ", (" });
        query.push_bind(signed(last + place)).push(", ").push_bind(request.id.to_bytes());
        query.push(", ").push_bind(request.at.as_micros());
        let numbers = [request.organization, request.api, request.project, request.key, request.label];
        for number in numbers {
            query.push(", ").push_bind(number);
        }
        query.push(", ").push_bind(request.code as u8).push(", ").push_bind(request.status);
        query.push(", ").push_bind(request.door.as_str());
        query.push(", ").push_bind(request.method.map(Method::as_str));
        query.push(", ").push_bind(storable(request.host.as_deref()));
        query.push(", ").push_bind(storable(request.path.as_deref()));
        query.push(", ").push_bind(request.client.map_or_else(Vec::new, |client| address_bytes(client).to_vec()));
        query.push(", ").push_bind(storable(request.user_agent.as_deref()));
        query.push(", ").push_bind(shadow_text(request.shadow));
        query.push(", ").push_bind(signed(request.latency_us)).push(", ").push_bind(request.upstream_us);
        query.push(", ").push_bind(signed(request.bytes_in)).push(", ").push_bind(signed(request.bytes_out));
        query.push(", ").push_bind(request.trace.as_deref()).push(", ").push_bind(signed(request.size()));
        query.push(")");
    }
    query.execute(db).await?;
    Ok(())
}

/// Text as both engines take it: PostgreSQL has none with a NUL, and a row that can't be written would hold up all others.
fn storable(text: Option<&str>) -> Option<String> {
    text.map(|text| text.replace('\0', "\u{fffd}"))
}

fn shadow_text(rules: Rules) -> Option<String> {
    let names: Vec<&str> = rules.iter().map(|rule| rule.as_str()).collect();
    (!names.is_empty()).then(|| names.join(","))
}

fn address_bytes(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

/// The place of the last of the rows that one statement looks through, if there are so many.
async fn place_after(
    db: &mut Connection,
    query: &RequestsQuery,
    from: RequestsAt,
    before: RequestsAt,
) -> Result<Option<RequestsAt>, StoreError> {
    let mut select = sql("SELECT r.at, r.sequence FROM requests r WHERE ").seldom();
    query.push_of(&mut select);
    push_range(&mut select, from, before);
    select.push(" ORDER BY r.at DESC, r.sequence DESC LIMIT 1 OFFSET ").push_bind(SCANNED - 1);
    let row = select.fetch_optional(db).await?;
    row.map(|row| {
        let mut row = Columns::of(&row);
        Ok(RequestsAt { at: row.moment()?, sequence: row.number()? })
    })
    .transpose()
}

/// From one place on, and before the other one.
fn push_range(query: &mut Sql<'_>, from: RequestsAt, before: RequestsAt) {
    // The moments alone are what an index is entered by; both together say which of the same moment are meant.
    query.push(" AND r.at >= ").push_bind(from.at.as_micros()).push(" AND r.at <= ").push_bind(before.at.as_micros());
    query.push(" AND (r.at, r.sequence) >= (").push_bind(from.at.as_micros());
    query.push(", ").push_bind(signed(from.sequence)).push(")");
    query.push(" AND (r.at, r.sequence) < (").push_bind(before.at.as_micros());
    query.push(", ").push_bind(signed(before.sequence)).push(")");
}

async fn search(
    db: &mut Connection,
    query: &RequestsQuery,
    from: RequestsAt,
    before: RequestsAt,
    limit: u32,
) -> Result<Vec<KeptRequest>, StoreError> {
    let mut select = sql(SELECT).seldom();
    query.push_of(&mut select);
    push_range(&mut select, from, before);
    query.push_rest(&mut select);
    select.push(" ORDER BY r.at DESC, r.sequence DESC LIMIT ").push_bind(limit);
    select.fetch_all(db).await?.iter().map(read).collect()
}

const SELECT: &str = "SELECT r.sequence, r.id, r.at, r.organization, r.api, r.project, r.key, r.label, r.code, r.status, \
     r.door, r.method, r.host, r.path, r.client, r.user_agent, r.shadow, r.latency_us, r.upstream_us, r.bytes_in, \
     r.bytes_out, r.trace, (SELECT text FROM labels WHERE number = r.label) FROM requests r WHERE ";

fn read(row: &Row) -> Result<KeptRequest, StoreError> {
    let mut row = Columns::of(row);
    let sequence = row.number()?;
    let request = LoggedRequest {
        id: row.id(RequestId::from_slice)?,
        at: row.moment()?,
        organization: row.number()?,
        api: row.number()?,
        project: row.number()?,
        key: row.number()?,
        label: row.number()?,
        code: code(row.number()?)?,
        status: row.number()?,
        door: door(&row.text()?)?,
        method: row.word_if_any()?,
        host: row.text_if_any()?,
        path: row.text_if_any()?,
        client: address(row.blob()?)?,
        user_agent: row.text_if_any()?,
        shadow: shadow(row.text_if_any()?.as_deref())?,
        latency_us: row.number()?,
        upstream_us: row.number_if_any()?,
        bytes_in: row.number()?,
        bytes_out: row.number()?,
        trace: row.text_if_any()?,
    };
    Ok(KeptRequest { sequence, request, operation: row.text_if_any()? })
}

fn code(number: u8) -> Result<Code, StoreError> {
    Code::from_number(number).ok_or_else(|| damaged(format_args!("the code {number}")))
}

fn door(word: &str) -> Result<RequestDoor, StoreError> {
    let found = RequestDoor::ALL.into_iter().find(|door| door.as_str() == word);
    found.ok_or_else(|| damaged(format_args!("the door {word:?}")))
}

fn address(bytes: &[u8]) -> Result<Option<IpAddr>, StoreError> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let octets: [u8; 16] = bytes.try_into().map_err(|_| damaged("an address of another length"))?;
    Ok(Some(IpAddr::V6(Ipv6Addr::from(octets)).to_canonical()))
}

fn shadow(text: Option<&str>) -> Result<Rules, StoreError> {
    let names = text.into_iter().flat_map(|text| text.split(','));
    names.map(|name| name.parse().map_err(damaged)).collect()
}
