//! What is taken of credits: ahead of use by calls (see [`keystile_core::credit::Wallet`]), and by charges and reservations,
//! each known by an id, so that one that is asked for again is not made again. All moves of a batch are one transaction; of no
//! grant more is taken than it has, whoever takes.

use keystile_core::credit::{CreditHolder, EntryState};
use keystile_core::id::{OrganizationId, ProjectId};
use keystile_core::plan::CreditsOf;
use keystile_core::time::Timestamp;

use super::Ledger;
use crate::StoreError;
use crate::db::{Columns, Connection, Row, signed, sql};
use crate::records::CreditEntry;

/// How long what was settled is remembered, in seconds: its id can't be used again meanwhile.
const KEPT_SECS: i64 = 90 * 86_400;
/// Reservations that are given up in one go, and old entries that are forgotten.
const BATCH: u32 = 500;

/// A grant and how many credits it has.
pub type Room = (u32, u64);

/// An entry by whose API it is and by its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryName {
    /// The organization of the API.
    pub owner: OrganizationId,
    /// Its id.
    pub id: String,
}

/// What is to be done with credits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CreditMove {
    /// Takes ahead of use, as much as there is, of these grants in this order.
    Take {
        /// The grants that can be spent.
        from: Vec<Room>,
        /// How much.
        amount: u64,
    },
    /// Gives back what was taken of a grant and not used.
    GiveBack {
        /// The number of the grant.
        grant: u32,
        /// How much.
        amount: u64,
    },
    /// Charges credits, or reserves them: all of the amount or nothing.
    Enter {
        /// Under which name.
        name: EntryName,
        /// Whose.
        holder: CreditHolder,
        /// For which project.
        project: ProjectId,
        /// The grants that can be spent, in this order.
        from: Vec<Room>,
        /// How many.
        amount: u64,
        /// When.
        at: Timestamp,
        /// Until when they are reserved; `None` charges them.
        until: Option<Timestamp>,
    },
    /// Says that what was reserved was spent, or some of it; the rest is given back.
    Post {
        /// Which reservation.
        name: EntryName,
        /// How much of it; `None` for all.
        amount: Option<u64>,
        /// When.
        at: Timestamp,
    },
    /// Gives back what was reserved.
    Void {
        /// Which reservation.
        name: EntryName,
        /// When.
        at: Timestamp,
    },
    /// Says what there is under a name.
    Find {
        /// Which entry.
        name: EntryName,
    },
    /// Gives up reservations whose time is over, some hundreds at a time.
    Expire {
        /// When.
        at: Timestamp,
    },
}

/// What is taken of a grant by now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GrantTaken {
    /// The number of the grant.
    pub grant: u32,
    /// By all.
    pub total: u64,
    /// What of it was taken now, ahead of use.
    pub given: u64,
}

/// Which entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CreditEntriesOf {
    /// All of an organization's APIs.
    All,
    /// Those for which this project was charged, whoever paid.
    Project(ProjectId),
    /// Those that were paid by what this organization's projects share.
    Shared(OrganizationId),
}

/// Why nothing was moved.
#[derive(Debug)]
pub struct NotMoved {
    /// What was wrong.
    pub error: StoreError,
    /// Whether it may have been moved all the same.
    pub is_unknown: bool,
}

/// What became of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntrySaid {
    /// It is so, now.
    Done(CreditEntry),
    /// It was so before: it was asked for again.
    Before(CreditEntry),
    /// It was, and is something else: another amount or holder, or a state that this does not follow.
    Conflict(CreditEntry),
    /// There is none.
    NoSuch,
    /// There are fewer credits left than were asked for: so many.
    TooFew(u64),
}

/// What became of a move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreditMoved {
    /// What is taken of the grants that it was about.
    pub taken: Vec<GrantTaken>,
    /// Of an entry: what became of it.
    pub entry: Option<EntrySaid>,
}

impl Ledger {
    /// What was taken of all grants, by number.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn credits_taken(&self) -> Result<Vec<(u32, u64)>, StoreError> {
        let rows = sql("SELECT credit_grant, taken FROM credit_takings ORDER BY credit_grant")
            .fetch_all(&mut self.0.base.read().await?)
            .await?;
        rows.iter().map(read_taking).collect()
    }

    /// What was taken of these grants.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn credits_taken_of(&self, grants: &[u32]) -> Result<Vec<(u32, u64)>, StoreError> {
        if grants.is_empty() {
            return Ok(Vec::new());
        }
        let mut query = sql("SELECT credit_grant, taken FROM credit_takings WHERE credit_grant IN ");
        query.push_list(grants.iter().copied());
        let rows = query.seldom().fetch_all(&mut self.0.base.read().await?).await?;
        rows.iter().map(read_taking).collect()
    }

    /// Moves credits, all in one transaction; durable when this returns. What is said of each is in their order.
    ///
    /// # Errors
    /// If the store fails: then nothing was moved, unless it is not known.
    pub async fn move_credits(&self, all: &[CreditMove]) -> Result<Vec<CreditMoved>, NotMoved> {
        let nothing = |error: StoreError| NotMoved { error, is_unknown: false };
        let mut transaction = self.0.base.write().await.map_err(|error| nothing(error.into()))?;
        let mut moved = Vec::with_capacity(all.len());
        for one in all {
            moved.push(make(&mut transaction, one).await.map_err(nothing)?);
        }
        // Of a server that does not answer this it is not known what it did.
        transaction.commit().await.map_err(|error| NotMoved { error: error.into(), is_unknown: true })?;
        Ok(moved)
    }

    /// Whether the time of a reservation is over.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn has_expired_credits(&self, now: Timestamp) -> Result<bool, StoreError> {
        let found = sql(EXPIRED).bind(now.as_micros()).bind(1_u32);
        Ok(found.fetch_optional(&mut self.0.base.read().await?).await?.is_some())
    }

    /// Forgets entries that were settled so long ago that nobody asks for them again; says how many.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn forget_credit_entries(&self, now: Timestamp) -> Result<u64, StoreError> {
        let old = "SELECT owner, id FROM credit_entries WHERE settled_at < ? ORDER BY settled_at LIMIT ?";
        let before = now.plus_secs(-KEPT_SECS).as_micros();
        let rows = sql(old).bind(before).bind(BATCH).fetch_all(&mut self.0.base.read().await?).await?;
        let names = rows.iter().map(read_name).collect::<Result<Vec<_>, StoreError>>()?;
        if names.is_empty() {
            return Ok(0);
        }
        let mut transaction = self.0.base.write().await?;
        for name in &names {
            forget(&mut transaction, name).await?;
        }
        transaction.commit().await?;
        Ok(names.len() as u64)
    }

    /// All that was charged and reserved for a project, at anybody's APIs, oldest first.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn credit_entries_for(&self, project: ProjectId) -> Result<Vec<CreditEntry>, StoreError> {
        let mut query = sql(SELECT);
        query.push(" WHERE project = ").push_bind(project.to_bytes()).push(" ORDER BY made_at, id");
        query.fetch_all(&mut self.0.base.read().await?).await?.iter().map(read).collect()
    }

    /// Forgets what was charged and reserved for a project: ids of these were chosen by people. What is reserved goes back.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn forget_credit_entries_of(&self, project: ProjectId, now: Timestamp) -> Result<(), StoreError> {
        let mut transaction = self.0.base.write().await?;
        let of = "SELECT owner, id FROM credit_entries WHERE project = ?";
        let rows = sql(of).bind(project.to_bytes()).fetch_all(&mut transaction).await?;
        for name in rows.iter().map(read_name).collect::<Result<Vec<_>, StoreError>>()? {
            if let Some(entry) = find(&mut transaction, &name).await?.filter(|one| one.state == EntryState::Reserved) {
                let entry = CreditEntry { posted: Some(0), state: EntryState::Voided, settled_at: Some(now), ..entry };
                settle(&mut transaction, &name, &entry).await?;
            }
            forget(&mut transaction, &name).await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// Charges and reservations at an organization's APIs, the newest first: after this one by the moment when it
    /// was made and its id, at most so many.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn credit_entries(
        &self,
        owner: OrganizationId,
        of: CreditEntriesOf,
        before: Option<(Timestamp, String)>,
        limit: u32,
    ) -> Result<Vec<CreditEntry>, StoreError> {
        let mut query = sql(SELECT);
        query.push(" WHERE owner = ").push_bind(owner.to_bytes());
        match of {
            CreditEntriesOf::All => {}
            CreditEntriesOf::Project(id) => drop(query.push(" AND project = ").push_bind(id.to_bytes())),
            CreditEntriesOf::Shared(id) => {
                query.push(" AND held_by = 'organization' AND holder = ").push_bind(id.to_bytes());
            }
        }
        if let Some((at, id)) = before {
            query.push(" AND (made_at, id) < (").push_bind(at.as_micros()).push(", ").push_bind(id).push(")");
        }
        query.push(" ORDER BY made_at DESC, id DESC LIMIT ").push_bind(limit);
        query.fetch_all(&mut self.0.base.read().await?).await?.iter().map(read).collect()
    }
}

/// The reservations whose time is over.
const EXPIRED: &str = "SELECT owner, id FROM credit_entries WHERE state = 'reserved' AND ends_at <= ? LIMIT ?";
const SELECT: &str =
    "SELECT id, holder, held_by, project, amount, posted, state, made_at, ends_at, settled_at FROM credit_entries";

fn read(row: &Row) -> Result<CreditEntry, StoreError> {
    let mut row = Columns::of(row);
    let (id, holder, of): (_, [u8; 16], _) = (row.text()?, row.bytes()?, row.word()?);
    Ok(CreditEntry {
        id,
        holder: match of {
            CreditsOf::Project => CreditHolder::Project(ProjectId::from_entropy(holder)),
            CreditsOf::Organization => CreditHolder::Organization(OrganizationId::from_entropy(holder)),
        },
        project: row.id(ProjectId::from_slice)?,
        amount: row.number()?,
        posted: row.number_if_any()?,
        state: row.word()?,
        made_at: row.moment()?,
        ends_at: row.moment_if_any()?,
        settled_at: row.moment_if_any()?,
    })
}

fn read_taking(row: &Row) -> Result<(u32, u64), StoreError> {
    let mut row = Columns::of(row);
    Ok((row.number()?, row.number()?))
}

fn read_name(row: &Row) -> Result<EntryName, StoreError> {
    let mut row = Columns::of(row);
    Ok(EntryName { owner: row.id(OrganizationId::from_slice)?, id: row.text()? })
}

const fn columns(holder: CreditHolder) -> ([u8; 16], CreditsOf) {
    match holder {
        CreditHolder::Project(id) => (id.to_bytes(), CreditsOf::Project),
        CreditHolder::Organization(id) => (id.to_bytes(), CreditsOf::Organization),
    }
}

async fn find(db: &mut Connection, name: &EntryName) -> Result<Option<CreditEntry>, StoreError> {
    let mut query = sql(SELECT);
    query.push(" WHERE owner = ").push_bind(name.owner.to_bytes()).push(" AND id = ").push_bind(name.id.as_str());
    query.fetch_optional(db).await?.as_ref().map(read).transpose()
}

async fn forget(db: &mut Connection, name: &EntryName) -> Result<(), StoreError> {
    for table in ["credit_parts", "credit_entries"] {
        let mut query = sql("DELETE FROM ");
        query.push(table).push(" WHERE owner = ").push_bind(name.owner.to_bytes());
        query.push(" AND id = ").push_bind(name.id.as_str());
        query.execute(&mut *db).await?;
    }
    Ok(())
}

async fn make(db: &mut Connection, one: &CreditMove) -> Result<CreditMoved, StoreError> {
    let of_grants = |taken| CreditMoved { taken, entry: None };
    match one {
        CreditMove::Take { from, amount } => Ok(of_grants(take(db, from, *amount).await?)),
        CreditMove::GiveBack { grant, amount } => {
            let total = give_back(db, *grant, *amount).await?;
            Ok(of_grants(vec![GrantTaken { grant: *grant, total, given: 0 }]))
        }
        CreditMove::Enter { name, holder, project, from, amount, at, until } => {
            let state = if until.is_some() { EntryState::Reserved } else { EntryState::Posted };
            let is_charge = until.is_none();
            let entry = CreditEntry {
                id: name.id.clone(),
                holder: *holder,
                project: *project,
                amount: *amount,
                posted: is_charge.then_some(*amount),
                state,
                made_at: *at,
                ends_at: *until,
                settled_at: is_charge.then_some(*at),
            };
            enter(db, name, entry, from).await
        }
        CreditMove::Post { name, amount, at } => {
            let Some(entry) = find(db, name).await? else { return Ok(said(EntrySaid::NoSuch)) };
            let wanted = amount.unwrap_or(entry.amount);
            match entry.state {
                EntryState::Posted if entry.posted == Some(wanted) => return Ok(said(EntrySaid::Before(entry))),
                EntryState::Reserved if wanted <= entry.amount && entry.ends_at.is_none_or(|end| *at < end) => {}
                _ => return Ok(said(EntrySaid::Conflict(entry))),
            }
            let entry = CreditEntry { posted: Some(wanted), state: EntryState::Posted, settled_at: Some(*at), ..entry };
            Ok(CreditMoved { taken: settle(db, name, &entry).await?, entry: Some(EntrySaid::Done(entry)) })
        }
        CreditMove::Find { name } => {
            let found = find(db, name).await?;
            Ok(said(found.map_or(EntrySaid::NoSuch, EntrySaid::Before)))
        }
        CreditMove::Expire { at } => {
            let names = sql(EXPIRED).bind(at.as_micros()).bind(BATCH).fetch_all(&mut *db).await?;
            let names = names.iter().map(read_name).collect::<Result<Vec<_>, StoreError>>()?;
            let mut taken = Vec::new();
            for name in &names {
                if let Some(entry) = find(db, name).await? {
                    let entry =
                        CreditEntry { posted: Some(0), state: EntryState::Expired, settled_at: Some(*at), ..entry };
                    taken.extend(settle(db, name, &entry).await?);
                }
            }
            Ok(of_grants(taken))
        }
        CreditMove::Void { name, at } => {
            let Some(entry) = find(db, name).await? else { return Ok(said(EntrySaid::NoSuch)) };
            match entry.state {
                // It comes to the same.
                EntryState::Voided | EntryState::Expired => return Ok(said(EntrySaid::Before(entry))),
                EntryState::Posted => return Ok(said(EntrySaid::Conflict(entry))),
                EntryState::Reserved => {}
            }
            let entry = CreditEntry { posted: Some(0), state: EntryState::Voided, settled_at: Some(*at), ..entry };
            Ok(CreditMoved { taken: settle(db, name, &entry).await?, entry: Some(EntrySaid::Done(entry)) })
        }
    }
}

const fn said(entry: EntrySaid) -> CreditMoved {
    CreditMoved { taken: Vec::new(), entry: Some(entry) }
}

/// Makes an entry, unless one of its name is there.
async fn enter(
    db: &mut Connection,
    name: &EntryName,
    entry: CreditEntry,
    from: &[Room],
) -> Result<CreditMoved, StoreError> {
    if let Some(before) = find(db, name).await? {
        let is_same = before.holder == entry.holder
            && before.project == entry.project
            && before.amount == entry.amount
            && before.ends_at.is_some() == entry.ends_at.is_some()
            // What was given back is not there for whoever asks again.
            && matches!(before.state, EntryState::Reserved | EntryState::Posted);
        return Ok(said(if is_same { EntrySaid::Before(before) } else { EntrySaid::Conflict(before) }));
    }
    let mut rooms = Vec::with_capacity(from.len());
    for (grant, amount) in from {
        rooms.push((*grant, *amount, taken_of(db, *grant).await?));
    }
    let left: u64 = rooms.iter().map(|(_, amount, taken)| amount.saturating_sub(*taken)).sum();
    if left < entry.amount {
        let taken = rooms.into_iter().map(|(grant, _, total)| GrantTaken { grant, total, given: 0 }).collect();
        return Ok(CreditMoved { taken, entry: Some(EntrySaid::TooFew(left)) });
    }
    sql(
        "INSERT INTO credit_entries (owner, id, holder, held_by, project, amount, posted, state, made_at, ends_at, settled_at) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(name.owner.to_bytes())
    .bind(name.id.as_str())
    .bind(columns(entry.holder).0)
    .bind(columns(entry.holder).1.as_str())
    .bind(entry.project.to_bytes())
    .bind(signed(entry.amount))
    .bind(entry.posted.map(signed))
    .bind(entry.state.as_str())
    .bind(entry.made_at.as_micros())
    .bind(entry.ends_at.map(Timestamp::as_micros))
    .bind(entry.settled_at.map(Timestamp::as_micros))
    .execute(&mut *db)
    .await?;
    let (mut rest, mut taken) = (entry.amount, Vec::new());
    for (place, (grant, amount, before)) in (0_u32..).zip(rooms) {
        let part = rest.min(amount.saturating_sub(before));
        if part == 0 {
            continue;
        }
        put(db, grant, before + part).await?;
        sql("INSERT INTO credit_parts (owner, id, place, credit_grant, amount) VALUES (?, ?, ?, ?, ?)")
            .bind(name.owner.to_bytes())
            .bind(name.id.as_str())
            .bind(place)
            .bind(grant)
            .bind(signed(part))
            .execute(&mut *db)
            .await?;
        rest -= part;
        taken.push(GrantTaken { grant, total: before + part, given: 0 });
    }
    Ok(CreditMoved { taken, entry: Some(EntrySaid::Done(entry)) })
}

/// Settles a reservation as this entry says: what of it was not spent goes back, that of the last grants first.
async fn settle(db: &mut Connection, name: &EntryName, entry: &CreditEntry) -> Result<Vec<GrantTaken>, StoreError> {
    sql("UPDATE credit_entries SET posted = ?, state = ?, settled_at = ? WHERE owner = ? AND id = ?")
        .bind(entry.posted.map(signed))
        .bind(entry.state.as_str())
        .bind(entry.settled_at.map(Timestamp::as_micros))
        .bind(name.owner.to_bytes())
        .bind(name.id.as_str())
        .execute(&mut *db)
        .await?;
    let mut rest = entry.amount.saturating_sub(entry.posted.unwrap_or(0));
    if rest == 0 {
        return Ok(Vec::new());
    }
    let parts =
        sql("SELECT place, credit_grant, amount FROM credit_parts WHERE owner = ? AND id = ? ORDER BY place DESC")
            .bind(name.owner.to_bytes())
            .bind(name.id.as_str())
            .fetch_all(&mut *db)
            .await?;
    let mut taken = Vec::new();
    for row in &parts {
        let mut row = Columns::of(row);
        let (place, grant, amount): (u32, u32, u64) = (row.number()?, row.number()?, row.number()?);
        let part = rest.min(amount);
        if part == 0 {
            break;
        }
        rest -= part;
        sql("UPDATE credit_parts SET amount = ? WHERE owner = ? AND id = ? AND place = ?")
            .bind(signed(amount - part))
            .bind(name.owner.to_bytes())
            .bind(name.id.as_str())
            .bind(place)
            .execute(&mut *db)
            .await?;
        taken.push(GrantTaken { grant, total: give_back(db, grant, part).await?, given: 0 });
    }
    Ok(taken)
}

async fn take(db: &mut Connection, from: &[Room], amount: u64) -> Result<Vec<GrantTaken>, StoreError> {
    let (mut rest, mut taken) = (amount, Vec::with_capacity(from.len()));
    for (grant, amount) in from {
        if rest == 0 {
            break;
        }
        let before = taken_of(db, *grant).await?;
        let given = rest.min(amount.saturating_sub(before));
        if given > 0 {
            put(db, *grant, before + given).await?;
        }
        rest -= given;
        taken.push(GrantTaken { grant: *grant, total: before + given, given });
    }
    Ok(taken)
}

async fn taken_of(db: &mut Connection, grant: u32) -> Result<u64, StoreError> {
    let taken = sql("SELECT taken FROM credit_takings WHERE credit_grant = ?").bind(grant);
    Ok(taken.fetch_number_if_any(db).await?.unwrap_or(0))
}

async fn put(db: &mut Connection, grant: u32, taken: u64) -> Result<(), StoreError> {
    sql("INSERT INTO credit_takings (credit_grant, taken) VALUES (?, ?) \
         ON CONFLICT (credit_grant) DO UPDATE SET taken = excluded.taken")
    .bind(grant)
    .bind(signed(taken))
    .execute(db)
    .await?;
    Ok(())
}

/// Gives back of a grant; says what is taken of it by now.
async fn give_back(db: &mut Connection, grant: u32, amount: u64) -> Result<u64, StoreError> {
    let taken = taken_of(db, grant).await?.saturating_sub(amount);
    put(db, grant, taken).await?;
    Ok(taken)
}
