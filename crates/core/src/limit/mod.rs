//! Limits: how many calls fit into a time. Pure arithmetic over a slot that somebody else keeps.
//!
//! A [`LimitRule`] says how much, in which time, by which algorithm, and for whom it is counted apart ([`Dimension`]). For one
//! subject that makes [`Terms`], which weigh a call against the subject's [`Slot`].
//!
//! Every algorithm is exact in its own terms: with one keeper of the slot, `n` calls at once against a limit of
//! `L` admit exactly `L`. All but the fixed window follow [`Ticks`](crate::time::Ticks), so the wall clock can jump without
//! granting or resetting anything.

mod concurrency;
mod fixed_window;
mod overrides;
mod sliding_window;
mod subject;
mod token_bucket;

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

use crate::time::Moment;

pub use overrides::{MAX_OVERRIDES, Override};
pub use subject::{Dimension, MAX_DIMENSIONS, MAX_SUBJECT_LEN, MAX_TAGS, NoSuchDimension, Subject, TagName};

/// Most rate limits of one list: people use two or three windows.
pub const MAX_RULES: usize = 8;
/// Longest name of a limit; it stands in response headers.
pub const MAX_NAME_LEN: usize = 32;
/// Longest window: beyond 31 days a quota is meant, which survives restarts.
pub const MAX_WINDOW_SECS: u32 = 31 * 86_400;
/// Most calls of one window; keeps every product of the arithmetic inside 128 bits and every count inside 32.
pub const MAX_LIMIT: u32 = 1_000_000_000;
/// Longest time in which an empty bucket is full again: a hundred years.
const MAX_FILL_SECS: u64 = 100 * 366 * 86_400;
/// Seconds for which a call counts as in flight unless said otherwise, if nobody tells of its end.
pub const DEFAULT_LEASE_SECS: u32 = 60;

/// How calls are counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    /// The calls of this window plus the share of the last one that still overlaps: no burst at a window's edge.
    #[default]
    SlidingWindow,
    /// A bucket that refills evenly (GCRA): `burst` calls at once, `limit` per window in the long run.
    TokenBucket,
    /// The calls of this window of the calendar (UTC): all of the limit is there again when the next one begins.
    FixedWindow,
    /// The calls that are being answered. The window is how long one counts of which nobody says that it has ended.
    Concurrency,
}

impl Algorithm {
    /// The window in seconds if nothing is said, where that is possible.
    pub const fn default_window(self) -> Option<u32> {
        match self {
            Self::Concurrency => Some(DEFAULT_LEASE_SECS),
            Self::SlidingWindow | Self::TokenBucket | Self::FixedWindow => None,
        }
    }
}

/// What of a call is counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Counted {
    /// What it costs; an ordinary call costs 1.
    #[default]
    Cost,
    /// That it was made, whatever it costs.
    Calls,
}

impl std::str::FromStr for Counted {
    type Err = crate::key::UnknownWord;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let all = [Self::Cost, Self::Calls];
        all.into_iter().find(|one| one.as_str() == text).ok_or(crate::key::UnknownWord { allowed: "cost, calls" })
    }
}

impl Counted {
    /// The word on the wire and in rows.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cost => "cost",
            Self::Calls => "calls",
        }
    }

    /// What is counted of a call that costs so much.
    pub const fn of(self, cost: u32) -> u32 {
        match self {
            Self::Calls if cost > 1 => 1,
            Self::Cost | Self::Calls => cost,
        }
    }

    const fn is_cost(&self) -> bool {
        matches!(self, Self::Cost)
    }
}

/// One rate limit.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct LimitRule {
    /// Its name in headers and answers.
    pub name: LimitName,
    /// Calls per window.
    pub limit: u32,
    /// The window in seconds.
    pub window_seconds: u32,
    /// How calls are counted.
    pub algorithm: Algorithm,
    /// For a token bucket: calls at once; the limit itself unless said otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub burst: Option<u32>,
    /// What of a call is counted.
    #[serde(skip_serializing_if = "Counted::is_cost")]
    pub counts: Counted,
    /// For whom it is counted apart; nobody, when empty: all calls that it is asked for count together.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub by: Vec<Dimension>,
    /// Other limits for some of those; the first that fits is theirs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub overrides: Vec<Override>,
    /// Whether it is only tried out: it counts, and what it would refuse is told and let through.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub shadow: bool,
}

/// A limit's name: 1 to 32 of `a-z A-Z 0-9 - _ .`, so that it can stand in a header field.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct LimitName(String);

impl LimitName {
    /// A checked name.
    ///
    /// # Errors
    /// [`LimitError::Name`].
    pub fn new(name: &str) -> Result<Self, LimitError> {
        let is_sound = (1..=MAX_NAME_LEN).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        if is_sound { Ok(Self(name.to_owned())) } else { Err(LimitError::Name) }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Where a list of limits stands, which says what they are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// On a key: for its calls.
    Key,
    /// In a plan: for the calls of a project at an API.
    Plan,
    /// On an API: for its calls, whoever makes them.
    Api,
    /// On an API: for its calls without a key, by address.
    Anonymous,
}

impl Scope {
    /// For whom a limit of this scope is counted apart.
    pub fn dimensions(self, rule: &LimitRule) -> &[Dimension] {
        match self {
            Self::Key | Self::Plan | Self::Api => &rule.by,
            Self::Anonymous => &[Dimension::ClientAddress],
        }
    }

    fn takes(self, dimension: &Dimension) -> bool {
        match (self, dimension) {
            (Self::Api, _) => true,
            // A key's limits are its own: these are the same for all of its calls.
            (Self::Key, Dimension::Key | Dimension::Project | Dimension::Organization) => false,
            (Self::Key, _) => true,
            (Self::Plan, Dimension::Project | Dimension::Organization) => false,
            (Self::Plan, _) => true,
            (Self::Anonymous, _) => false,
        }
    }
}

/// The values are no rate limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitError {
    /// The name can't stand in a header.
    Name,
    /// The limit is 0 or too large.
    Limit,
    /// The window is 0, too long, or not said.
    Window,
    /// A burst without a token bucket, or 0, or too large.
    Burst,
    /// Two limits of one list share a name, or there are too many.
    Rules,
    /// `by` names too many, or one twice.
    Dimensions,
    /// `by` names what such a limit can't be counted by.
    Dimension(Scope),
    /// Overrides of a limit that is not counted by one thing that has a name.
    Overrides,
    /// An override is none.
    Override,
    /// A bucket that takes too long to fill.
    Bucket,
    /// An override is about nobody: no id or address where the limit is counted by such.
    Subject,
}

impl fmt::Display for LimitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name => write!(f, "a limit's name is 1 to {MAX_NAME_LEN} of a-z, A-Z, 0-9, `-`, `_` and `.`"),
            Self::Limit => write!(f, "a limit is 1 to {MAX_LIMIT} calls"),
            Self::Window => write!(f, "window_seconds is 1 to {MAX_WINDOW_SECS}"),
            Self::Burst => write!(f, "burst belongs to the algorithm token_bucket and is 1 to {MAX_LIMIT}"),
            Self::Rules => write!(f, "there are at most {MAX_RULES} rate limits, each with a name of its own"),
            Self::Dimensions => write!(f, "`by` names at most {MAX_DIMENSIONS}, none of them twice"),
            Self::Dimension(Scope::Key) => f.write_str(
                "a limit of a key is counted by end_user, operation, client_address and tag:NAME; one that several keys share stands on the API, by project or organization",
            ),
            Self::Dimension(Scope::Plan) => f.write_str(
                "a limit of a plan is counted by key, end_user, operation, client_address and tag:NAME; it is each project's own already",
            ),
            Self::Dimension(_) => {
                f.write_str("limits of calls without a key are counted by address; leave `by` out, or use rate_limits")
            }
            Self::Bucket => f.write_str("an empty bucket has to be full again within a hundred years: burst × window_seconds / limit is too long"),
            Self::Subject => f.write_str(
                "an override names an id (key_…, prj_…, org_…) where the limit is counted by such, and an address or network where it is counted by address; or it has a * in it",
            ),
            Self::Overrides => f.write_str(
                "overrides belong to a limit that is counted by exactly one of key, project, organization, end_user, client_address and tag:NAME",
            ),
            Self::Override => write!(
                f,
                "a limit has at most {MAX_OVERRIDES} overrides, each with a subject of 1 to {MAX_SUBJECT_LEN} bytes and a limit of 0 to {MAX_LIMIT} (0 lets nothing through)"
            ),
        }
    }
}

impl std::error::Error for LimitError {}

impl LimitRule {
    /// A checked rule that counts all calls together.
    ///
    /// # Errors
    /// [`LimitError`] names the value that is out of bounds.
    pub fn new(
        name: &str,
        limit: u32,
        window_seconds: u32,
        algorithm: Algorithm,
        burst: Option<u32>,
    ) -> Result<Self, LimitError> {
        let name = LimitName::new(name)?;
        if !(1..=MAX_LIMIT).contains(&limit) {
            return Err(LimitError::Limit);
        }
        if !(1..=MAX_WINDOW_SECS).contains(&window_seconds) {
            return Err(LimitError::Window);
        }
        let burst_fits = burst.is_none_or(|burst| (1..=MAX_LIMIT).contains(&burst));
        if !burst_fits || (burst.is_some() && algorithm != Algorithm::TokenBucket) {
            return Err(LimitError::Burst);
        }
        let fills_in = u64::from(burst.unwrap_or(0)) * u64::from(window_seconds) / u64::from(limit);
        if fills_in > MAX_FILL_SECS {
            return Err(LimitError::Bucket);
        }
        let (counts, by, overrides, shadow) = (Counted::Cost, Vec::new(), Vec::new(), false);
        Ok(Self { name, limit, window_seconds, algorithm, burst, counts, by, overrides, shadow })
    }

    /// The same rule, counted apart for each of these.
    ///
    /// # Errors
    /// [`LimitError::Dimensions`].
    pub fn by(self, mut by: Vec<Dimension>) -> Result<Self, LimitError> {
        by.sort();
        let named = by.len();
        by.dedup();
        if by.len() < named || named > MAX_DIMENSIONS {
            return Err(LimitError::Dimensions);
        }
        Ok(Self { by, ..self })
    }

    /// Checks what no single rule can know: distinct names, not too many, and that each fits where they stand.
    ///
    /// # Errors
    /// [`LimitError`] says what is out of bounds.
    pub fn check_together(rules: &[Self], scope: Scope) -> Result<(), LimitError> {
        let shared = rules.iter().enumerate().any(|(i, rule)| rules[..i].iter().any(|other| other.name == rule.name));
        if shared || rules.len() > MAX_RULES {
            return Err(LimitError::Rules);
        }
        for rule in rules {
            if !rule.by.iter().all(|dimension| scope.takes(dimension)) {
                return Err(LimitError::Dimension(scope));
            }
            let has_names = matches!(scope.dimensions(rule), [one] if *one != Dimension::Operation);
            if !rule.overrides.is_empty() && !has_names {
                return Err(LimitError::Overrides);
            }
            if let [one] = scope.dimensions(rule)
                && !rule.overrides.iter().all(|other| other.can_be(one))
            {
                return Err(LimitError::Subject);
            }
        }
        Ok(())
    }

    /// What it counts of a call that costs so much.
    pub const fn counted(&self, cost: u32) -> u32 {
        self.counts.of(cost)
    }

    /// What tells its counts from those of others at the same place; not how much it allows. Of calls in flight the window
    /// says no more than when one is forgotten.
    pub fn identity(&self) -> (&LimitName, Algorithm, Option<u32>) {
        let window = (self.algorithm != Algorithm::Concurrency).then_some(self.window_seconds);
        (&self.name, self.algorithm, window)
    }

    /// What it means for most.
    pub fn terms(&self) -> Terms {
        self.terms_of(self.limit)
    }

    /// What it means for whom there is another limit; 0 lets nothing through.
    pub fn terms_of(&self, limit: u32) -> Terms {
        let burst = self.burst.map_or(limit, |burst| if limit < self.limit { burst.min(limit) } else { burst });
        Terms { limit, window_seconds: self.window_seconds, algorithm: self.algorithm, burst }
    }
}

impl<'de> Deserialize<'de> for LimitRule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Wire {
            name: String,
            limit: u32,
            #[serde(default)]
            window_seconds: Option<u32>,
            #[serde(default)]
            algorithm: Algorithm,
            #[serde(default)]
            burst: Option<u32>,
            #[serde(default)]
            counts: Counted,
            #[serde(default)]
            by: Vec<Dimension>,
            #[serde(default)]
            overrides: Vec<Override>,
            #[serde(default)]
            shadow: bool,
        }
        use serde::de::Error;
        let wire = Wire::deserialize(deserializer)?;
        let window = wire.window_seconds.or(wire.algorithm.default_window());
        let window = window.ok_or_else(|| D::Error::missing_field("window_seconds"))?;
        if wire.overrides.len() > MAX_OVERRIDES {
            return Err(D::Error::custom(LimitError::Override));
        }
        let rule =
            Self::new(&wire.name, wire.limit, window, wire.algorithm, wire.burst).and_then(|rule| rule.by(wire.by));
        let rule = rule.map_err(D::Error::custom)?;
        Ok(Self { counts: wire.counts, overrides: wire.overrides, shadow: wire.shadow, ..rule })
    }
}

/// What a rule means for one subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// Calls per window; 0 lets nothing through.
    limit: u32,
    window_seconds: u32,
    algorithm: Algorithm,
    /// For a token bucket: calls at once.
    burst: u32,
}

impl Terms {
    /// What one call of this cost would find, without counting it. One that costs nothing fits, unless nothing does.
    pub fn weigh(&self, slot: Slot, cost: u32, now: Moment) -> Weighed {
        if self.limit == 0 {
            return Weighed::Over { reading: Reading { limit: 0, remaining: 0, reset_nanos: 0 }, retry_nanos: None };
        }
        match self.weigh_any(slot, cost, now) {
            Weighed::Over { reading, .. } if cost == 0 => Weighed::Fits { slot, reading },
            weighed => weighed,
        }
    }

    fn weigh_any(&self, slot: Slot, cost: u32, now: Moment) -> Weighed {
        match self.algorithm {
            Algorithm::SlidingWindow => sliding_window::weigh(self, slot, cost, now.ticks),
            Algorithm::TokenBucket => token_bucket::weigh(self, slot, cost, now.ticks),
            Algorithm::FixedWindow => fixed_window::weigh(self, slot, cost, now.wall),
            Algorithm::Concurrency => concurrency::weigh(self, slot, cost),
        }
    }

    /// What is left right now, without asking for anything.
    pub fn peek(&self, slot: Slot, now: Moment) -> Reading {
        match self.weigh(slot, 0, now) {
            Weighed::Fits { reading, .. } | Weighed::Over { reading, .. } => reading,
        }
    }

    /// The slot once it turned out that a call that was counted costs so much more, or less. Whatever the limit says: it
    /// was let through.
    #[must_use]
    pub fn corrected(&self, slot: Slot, more: i64, now: Moment) -> Slot {
        match self.algorithm {
            _ if self.limit == 0 => slot,
            Algorithm::SlidingWindow => sliding_window::corrected(self, slot, more, now.ticks),
            Algorithm::TokenBucket => token_bucket::corrected(self, slot, more, now.ticks),
            Algorithm::FixedWindow => fixed_window::corrected(self, slot, more, now.wall),
            Algorithm::Concurrency => slot,
        }
    }

    /// The slot once a call that it counts as in flight has ended.
    #[must_use]
    pub fn released(&self, slot: Slot) -> Slot {
        if self.algorithm == Algorithm::Concurrency { concurrency::released(slot) } else { slot }
    }

    /// Calls at once, of a token bucket.
    pub const fn burst(&self) -> u32 {
        self.burst
    }

    /// How much is there at most.
    pub const fn whole(&self) -> u32 {
        match self.algorithm {
            Algorithm::TokenBucket => self.burst,
            Algorithm::SlidingWindow | Algorithm::FixedWindow | Algorithm::Concurrency => self.limit,
        }
    }

    /// Whether calls count until they end.
    pub fn counts_in_flight(&self) -> bool {
        self.algorithm == Algorithm::Concurrency
    }

    /// How long a call counts as in flight of which nobody says that it has ended.
    pub fn lease_nanos(&self) -> u64 {
        self.window_nanos()
    }

    const fn window_nanos(&self) -> u64 {
        self.window_seconds as u64 * 1_000_000_000
    }
}

/// The state of one rule for one subject: two words, zero when nothing was counted yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Slot(pub [u64; 2]);

/// What a call would find at one rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weighed {
    /// It fits; this is the slot with the call counted.
    Fits {
        /// The slot to keep if every other rule fits too.
        slot: Slot,
        /// What the client may be told.
        reading: Reading,
    },
    /// It does not fit; nothing changes.
    Over {
        /// What the client may be told.
        reading: Reading,
        /// Nanoseconds after which the same call fits, if nobody else calls; `None` if it never does, because its
        /// cost is above the whole limit.
        retry_nanos: Option<u64>,
    },
}

/// What is left of one rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// What the limit is for whom it was read.
    pub limit: u32,
    /// Calls of cost 1 that would still fit.
    pub remaining: u32,
    /// Nanoseconds until all of the limit is there again, if nobody calls meanwhile. Never earlier than the moment at
    /// which a refused call fits.
    pub reset_nanos: u64,
}

#[cfg(test)]
mod tests;
