//! The labels under which calls are counted, each a number in the events and a text in the ledger.
//!
//! An API with an OpenAPI document counts by the document's operations. Without one it counts by method and
//! first two path segments, bounded in number, so that nobody can fill the ledger with invented paths.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use keystile_core::method::Method;
use keystile_core::operation::{OperationTable, segments_label, undocumented_label};
use keystile_core::permission::PermissionQuery;
use keystile_store::{LabelRow, RecordedUsage};
use parking_lot::Mutex;

use super::arena::Arena;

/// Labels that one API may have without a document; more share `(other)`.
pub const MAX_LABELS: usize = 1_000;

/// Operations without a word in the API's document that are told apart; more are just `(undocumented)`.
pub const MAX_UNDOCUMENTED: usize = 200;
/// What their labels begin with: `(undocumented) GET /dogs`. The label of those that are not told apart is no more.
pub const UNDOCUMENTED: &str = "(undocumented) ";

/// The number of a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Label(u32);

impl Label {
    /// Calls to a host and path under which no API is published, and calls of which nothing more is known.
    pub const UNROUTED: Self = Self(0);
    /// Calls whose target or method was refused.
    pub const INVALID: Self = Self(1);
    /// Calls beyond the bound of an API's labels.
    pub const OTHER: Self = Self(2);
    /// Calls that the API's document does not have.
    pub const UNDOCUMENTED: Self = Self(3);
    /// Verifications that name no operation.
    pub const UNNAMED: Self = Self(4);

    /// The number, as events carry it.
    pub const fn number(self) -> u32 {
        self.0
    }
}

/// The fixed labels, by their numbers.
const FIXED: [&str; 6] = ["(unrouted)", "(invalid)", "(other)", "(undocumented)", "(unnamed)", RecordedUsage::LABEL.1];
const _: () = assert!(FIXED.len() == RecordedUsage::LABEL.0 as usize + 1);
/// Where the numbers of other labels begin; the room between is for fixed ones of later versions.
const FIRST_OWN: u32 = 16;

/// All labels of the process. The ledger keeps them under the same numbers.
pub struct Labels {
    texts: Arena<OnceLock<(u32, Arc<str>)>>,
    /// The next number.
    next: AtomicU32,
    adding: Mutex<()>,
    /// Whether another process gives out the numbers.
    is_frozen: AtomicBool,
}

impl Labels {
    /// The fixed ones.
    pub fn new() -> Self {
        let labels = Self {
            texts: Arena::new(),
            next: AtomicU32::new(FIRST_OWN),
            adding: Mutex::new(()),
            is_frozen: AtomicBool::new(false),
        };
        for (number, text) in FIXED.into_iter().enumerate() {
            let _ = labels.texts.make(number as u32).set((0, text.into()));
        }
        labels
    }

    /// Takes over a label that the ledger kept.
    pub fn restore(&self, row: &LabelRow) {
        if row.number >= FIRST_OWN {
            let _ = self.texts.make(row.number).set((row.api, row.text.as_str().into()));
            self.next.fetch_max(row.number + 1, Ordering::Relaxed);
        }
    }

    fn add(&self, api: u32, text: Arc<str>) -> Label {
        // One at a time, so that a number is never seen before its text.
        let _held = self.adding.lock();
        if self.is_frozen.load(Ordering::Relaxed) {
            return Label::OTHER;
        }
        let number = self.next.load(Ordering::Relaxed);
        let _ = self.texts.make(number).set((api, text));
        self.next.store(number + 1, Ordering::Release);
        Label(number)
    }

    /// Gives out no new number until `false` is said: another process does. What would need one is `(other)` meanwhile.
    pub fn freeze(&self, freeze: bool) {
        let _held = self.adding.lock();
        self.is_frozen.store(freeze, Ordering::Relaxed);
    }

    /// The labels from this number on, for the ledger; and the number to begin with next time.
    pub fn rows_from(&self, first: u32) -> (Vec<LabelRow>, u32) {
        let next = self.next.load(Ordering::Acquire);
        let row = |number: u32| {
            let (api, text) = self.texts.get(number)?.get()?;
            Some(LabelRow { number, api: *api, text: text.to_string() })
        };
        ((first..next).filter_map(row).collect(), next)
    }

    /// What a number stands for.
    pub fn text(&self, number: u32) -> Option<Arc<str>> {
        self.texts.get(number)?.get().map(|(_, text)| text.clone())
    }

    fn of_api(&self, api: u32) -> HashMap<Box<str>, Label> {
        let (rows, _) = self.rows_from(FIRST_OWN);
        rows.into_iter().filter(|row| row.api == api).map(|row| (row.text.into(), Label(row.number))).collect()
    }
}

impl Default for Labels {
    fn default() -> Self {
        Self::new()
    }
}

/// The labels of one API; they outlive changes of the API, so that counts go on under the same numbers.
pub struct ApiLabels {
    api: u32,
    labels: Arc<Labels>,
    known: ArcSwap<HashMap<Box<str>, Label>>,
    adding: Mutex<()>,
}

impl ApiLabels {
    /// Those that the API has already.
    pub fn new(api: u32, labels: Arc<Labels>) -> Self {
        let known = ArcSwap::from_pointee(labels.of_api(api));
        Self { api, labels, known, adding: Mutex::new(()) }
    }

    /// The label of this text; past the bound, the label of the rest.
    fn intern(&self, text: &str) -> Label {
        self.intern_within(text, MAX_LABELS)
    }

    /// The same with a bound on those that begin as undocumented ones do, if this is one.
    fn intern_within(&self, text: &str, most: usize) -> Label {
        if let Some(label) = self.known.load().get(text) {
            return *label;
        }
        let _held = self.adding.lock();
        let known = self.known.load_full();
        if let Some(label) = known.get(text) {
            return *label;
        }
        let is_undocumented = text.starts_with(UNDOCUMENTED);
        let alike = known.keys().filter(|other| !is_undocumented || other.starts_with(UNDOCUMENTED)).count();
        if alike >= most {
            return Label::OTHER;
        }
        let label = self.labels.add(self.api, text.into());
        if label == Label::OTHER {
            return label;
        }
        let mut known = HashMap::clone(&known);
        known.insert(text.into(), label);
        self.known.store(Arc::new(known));
        label
    }
}

impl ApiLabels {
    /// The labels of a document's operations, which are bounded by the document.
    fn intern_all<'a>(&self, texts: impl Iterator<Item = &'a Arc<str>>) -> Box<[Label]> {
        let _held = self.adding.lock();
        let mut known = HashMap::clone(&self.known.load());
        let label = |text: &Arc<str>| {
            *known.entry(text.as_ref().into()).or_insert_with(|| self.labels.add(self.api, text.clone()))
        };
        let labels = texts.map(label).collect();
        self.known.store(Arc::new(known));
        labels
    }
}

/// How one API's calls are told apart.
pub enum Operations {
    /// By the owner's document.
    Documented {
        /// What the document describes.
        table: OperationTable,
        /// The label of each operation, in the table's order.
        labels: Box<[Label]>,
        /// What each asks of a key, in the same order; empty if none asks for anything.
        needs: Box<[Option<PermissionQuery>]>,
        /// Of what it does not describe.
        others: Arc<ApiLabels>,
    },
    /// By method and first segments.
    Segments(Arc<ApiLabels>),
}

impl Operations {
    /// Tells calls apart by a document.
    pub fn documented(table: OperationTable, needs: Vec<Option<PermissionQuery>>, others: &Arc<ApiLabels>) -> Self {
        let labels = others.intern_all(table.labels());
        // Where nothing is asked for nobody looks.
        let needs = if needs.iter().all(Option::is_none) { Vec::new() } else { needs };
        Self::Documented { table, labels, needs: needs.into(), others: others.clone() }
    }

    /// What the operation of a call asks of its key.
    pub fn needs(&self, method: Method, path: &str) -> Option<&PermissionQuery> {
        match self {
            Self::Documented { table, needs, .. } if !needs.is_empty() => {
                needs.get(table.find(method, path)?.to_usize())?.as_ref()
            }
            Self::Documented { .. } | Self::Segments(_) => None,
        }
    }

    /// The label of each operation with what it asks of a key; `None` if nobody says what any of them does.
    pub fn asking(&self) -> Option<impl Iterator<Item = (&Arc<str>, Option<&PermissionQuery>)>> {
        match self {
            Self::Documented { table, needs, .. } if !needs.is_empty() => {
                Some(table.labels().zip(needs.iter().map(Option::as_ref)))
            }
            Self::Documented { .. } | Self::Segments(_) => None,
        }
    }

    /// Whether the API has a document, and a call is none of its operations.
    pub fn is_unknown(&self, method: Method, path: &str) -> bool {
        match self {
            Self::Documented { table, .. } => table.find(method, path).is_none(),
            Self::Segments(_) => false,
        }
    }

    /// The label of a call.
    pub fn label(&self, method: Method, path: &str) -> Label {
        match self {
            Self::Documented { table, labels, others, .. } => match table.find(method, path) {
                Some(operation) => labels[operation.to_usize()],
                None => with_text(|text| {
                    text.push_str(UNDOCUMENTED);
                    undocumented_label(method, path, text);
                    match others.intern_within(text, MAX_UNDOCUMENTED) {
                        Label::OTHER => Label::UNDOCUMENTED,
                        label => label,
                    }
                }),
            },
            Self::Segments(labels) => with_text(|text| {
                segments_label(method, path, text);
                labels.intern(text)
            }),
        }
    }
}

/// With an empty text that is used again.
fn with_text(label: impl FnOnce(&mut String) -> Label) -> Label {
    thread_local! {
        static TEXT: std::cell::RefCell<String> = const { std::cell::RefCell::new(String::new()) };
    }
    TEXT.with_borrow_mut(|text| {
        text.clear();
        label(text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(labels: &Labels) -> Vec<String> {
        labels.rows_from(FIRST_OWN).0.into_iter().map(|row| row.text).collect()
    }

    #[test]
    fn labels_without_a_document_are_bounded() {
        let labels = Arc::new(Labels::new());
        let operations = Operations::Segments(Arc::new(ApiLabels::new(1, labels.clone())));
        let seen: Vec<Label> = (0..2_000).map(|n| operations.label(Method::Get, &format!("/p{n}"))).collect();
        assert_eq!(texts(&labels)[0], "GET /p0");
        assert_eq!(texts(&labels).len(), MAX_LABELS);
        assert_eq!(seen[999], operations.label(Method::Get, "/p999"));
        assert!(seen[1_000..].iter().all(|label| *label == Label::OTHER));
    }

    #[test]
    fn what_the_document_does_not_have_is_told_apart_within_a_bound() {
        let labels = Arc::new(Labels::new());
        let table = OperationTable::build([(Method::Get, "/pets/{id}")]).unwrap();
        let operations = Operations::documented(table, Vec::new(), &Arc::new(ApiLabels::new(1, labels.clone())));
        for n in 0..500 {
            operations.label(Method::Get, &format!("/p{n}"));
        }
        assert_eq!(operations.label(Method::Get, "/more"), Label::UNDOCUMENTED);
        assert_eq!(operations.label(Method::Get, "/p7"), operations.label(Method::Get, "/p7"));
        assert_eq!(texts(&labels)[..2], ["GET /pets/{id}", "(undocumented) GET /p0"]);
        assert_eq!(texts(&labels).len(), 1 + MAX_UNDOCUMENTED);
        assert!(operations.is_unknown(Method::Post, "/pets/1") && !operations.is_unknown(Method::Get, "/pets/1"));
    }

    #[test]
    fn frozen_labels_give_out_no_number_and_remember_nothing_of_it() {
        let labels = Arc::new(Labels::new());
        let api = ApiLabels::new(1, labels.clone());
        let known = api.intern("GET /a");
        labels.freeze(true);
        assert_eq!((api.intern("GET /a"), api.intern("GET /b")), (known, Label::OTHER));
        labels.freeze(false);
        assert_ne!(api.intern("GET /b"), Label::OTHER);
        assert_eq!(texts(&labels), ["GET /a", "GET /b"]);
    }

    #[test]
    fn labels_go_on_under_their_numbers_after_a_restart() {
        let first = Arc::new(Labels::new());
        let label = ApiLabels::new(7, first.clone()).intern("GET /pets");
        let again = Arc::new(Labels::new());
        for row in first.rows_from(0).0 {
            again.restore(&row);
        }
        assert_eq!(ApiLabels::new(7, again.clone()).intern("GET /pets"), label);
        assert_ne!(ApiLabels::new(8, again.clone()).intern("GET /pets"), label, "another API has its own");
        assert_eq!(again.rows_from(0).0.len(), FIXED.len() + 2);
    }
}
