//! The operations of an API: which documented operation a call belongs to, and what it is called in the usage.
//!
//! Matching is by segment and literal before parameter, as OpenAPI asks ("concrete before templated"). It takes the
//! canonical path and looks at nothing else: no query, no header, no case folding. Reading a document is the
//! server's work; what an operation requires is a restriction's.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::key::MARK;
use crate::method::Method;

mod template;
#[cfg(test)]
mod tests;

pub use template::{MAX_TEMPLATE_BYTES, PathTemplate, TemplateError};
use template::{Pattern, Segment};

/// An API has at most this many operations: eight times GitHub's, one of the largest documents there is.
pub const MAX_OPERATIONS: usize = 10_000;

/// Which operation of its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OperationIndex(u16);

impl OperationIndex {
    /// The place in the list that the table was built from.
    pub fn to_usize(self) -> usize {
        usize::from(self.0)
    }
}

/// The documented operations of an API, ready for matching.
#[derive(Debug, Clone)]
pub struct OperationTable {
    /// A tree with one level a segment; the first node is the root.
    nodes: Vec<Node>,
    labels: Vec<Arc<str>>,
}

/// A list of operations that can't be a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OperationsError {
    /// There are more than [`MAX_OPERATIONS`].
    TooMany,
    /// A path is no template.
    Template {
        /// The path as documented.
        path: String,
        /// What is wrong with it.
        problem: TemplateError,
    },
    /// Two operations would be reached by the same calls.
    Duplicate {
        /// The label of the first.
        first: String,
        /// The label of the second.
        second: String,
    },
}

impl fmt::Display for OperationsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooMany => write!(f, "an API has at most {MAX_OPERATIONS} operations; split it into several"),
            Self::Template { path, problem } => write!(f, "the path `{path}` can't be used: {problem}"),
            Self::Duplicate { first, second } => {
                write!(f, "`{first}` and `{second}` are reached by the same calls; keep one of them")
            }
        }
    }
}

impl std::error::Error for OperationsError {}

#[derive(Debug, Clone, Default)]
struct Node {
    literals: BTreeMap<Box<str>, u32>,
    /// Partly literal segments, the most literal first.
    patterns: Vec<(Pattern, u32)>,
    parameter: Option<u32>,
    operations: [Option<OperationIndex>; Method::ALL.len()],
}

impl OperationTable {
    /// Builds the table of these operations: method, and path template as documented.
    ///
    /// # Errors
    /// If there are too many, one can't be reached by any call, or two by the same calls.
    pub fn build<T: AsRef<str>>(operations: impl IntoIterator<Item = (Method, T)>) -> Result<Self, OperationsError> {
        let mut table = Self { nodes: vec![Node::default()], labels: Vec::new() };
        for (method, path) in operations {
            table.insert(method, path.as_ref())?;
        }
        Ok(table)
    }

    /// The operation that a call with this method and canonical path belongs to, if one is documented.
    ///
    /// The method is part of the match: `DELETE /pets/mine` belongs to `DELETE /pets/{id}` even when a `GET
    /// /pets/mine` is documented beside it.
    pub fn find(&self, method: Method, path: &str) -> Option<OperationIndex> {
        self.descend(0, Some(path.strip_prefix('/')?), method)
    }

    /// What the operation is called in the usage: `GET /pets/{id}`.
    pub fn label(&self, operation: OperationIndex) -> &Arc<str> {
        &self.labels[operation.to_usize()]
    }

    /// The labels of all operations, in the order of the list that the table was built from.
    pub fn labels(&self) -> impl Iterator<Item = &Arc<str>> {
        self.labels.iter()
    }

    /// How many operations there are.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    fn insert(&mut self, method: Method, path: &str) -> Result<(), OperationsError> {
        if self.labels.len() == MAX_OPERATIONS {
            return Err(OperationsError::TooMany);
        }
        let template = PathTemplate::parse(path)
            .map_err(|problem| OperationsError::Template { path: path.to_owned(), problem })?;
        let label = format!("{method} {path}");
        let mut node = 0;
        for segment in template.into_segments() {
            node = self.child(node, segment);
        }
        let slot = &mut self.nodes[node].operations[method.slot()];
        if let Some(first) = *slot {
            return Err(OperationsError::Duplicate { first: self.labels[first.to_usize()].to_string(), second: label });
        }
        *slot = Some(OperationIndex(self.labels.len() as u16));
        self.labels.push(label.into());
        Ok(())
    }

    fn child(&mut self, node: usize, segment: Segment) -> usize {
        let next = self.nodes.len() as u32;
        let node = &mut self.nodes[node];
        let child = match segment {
            Segment::Literal(text) => *node.literals.entry(text).or_insert(next),
            Segment::Parameter => *node.parameter.get_or_insert(next),
            Segment::Pattern(pattern) => match node.patterns.binary_search_by(|(known, _)| known.cmp(&pattern)) {
                Ok(found) => node.patterns[found].1,
                Err(place) => {
                    node.patterns.insert(place, (pattern, next));
                    next
                }
            },
        };
        if child == next {
            self.nodes.push(Node::default());
        }
        child as usize
    }

    /// Tries the most literal way first and goes back when it leads nowhere. No node is visited twice, because there
    /// is one way to it and it stands for one place in the path.
    fn descend(&self, node: u32, rest: Option<&str>, method: Method) -> Option<OperationIndex> {
        let node = &self.nodes[node as usize];
        let Some(rest) = rest else { return node.operations[method.slot()] };
        let (segment, rest) = match rest.split_once('/') {
            Some((segment, rest)) => (segment, Some(rest)),
            None => (rest, None),
        };
        if let Some(found) = node.literals.get(segment).and_then(|child| self.descend(*child, rest, method)) {
            return Some(found);
        }
        for (pattern, child) in &node.patterns {
            if pattern.matches(segment)
                && let Some(found) = self.descend(*child, rest, method)
            {
                return Some(found);
            }
        }
        // An empty segment is the end of a path with a trailing slash, which is no value of a parameter.
        let child = node.parameter.filter(|_| !segment.is_empty())?;
        self.descend(child, rest, method)
    }
}

/// Appends the label of a call that the API's document does not have: as for an API without one, but with `*` for
/// segments that look like somebody's id, so that those who are called by number are one.
pub fn undocumented_label(method: Method, path: &str, out: &mut String) {
    let is_id = |segment: &str| {
        segment.len() > LONGEST_WORD || (!segment.is_empty() && segment.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let plain: Vec<&str> = path.split('/').take(4).map(|part| if is_id(part) { "*" } else { part }).collect();
    segments_label(method, &plain.join("/"), out);
}

/// What is longer is hardly a word of a path.
const LONGEST_WORD: usize = 32;

/// A run of letters and digits that is at least so long and has both is chance: a key, and no word of a path.
const LONGEST_NAME: usize = 20;

fn may_be_key(segment: &str) -> bool {
    let is_chance = |run: &[u8]| {
        run.len() >= LONGEST_NAME && run.iter().any(u8::is_ascii_digit) && run.iter().any(u8::is_ascii_alphabetic)
    };
    segment.len() >= LONGEST_NAME
        && (segment.contains(MARK) || segment.as_bytes().split(|byte| !byte.is_ascii_alphanumeric()).any(is_chance))
}

/// Appends the label of a call to an API without a document: the method and the first two segments of its canonical
/// path, with `/*` for what follows. A segment that holds the mark of a key, or looks like a key of another system, is `*`
/// too: a label is kept and shown.
pub fn segments_label(method: Method, path: &str, out: &mut String) {
    out.push_str(method.as_str());
    out.push(' ');
    let trimmed = path.strip_suffix('/').unwrap_or(path);
    let mut segments = trimmed.split('/').skip(1);
    let first_two = [segments.next(), segments.next()];
    for segment in first_two.into_iter().flatten() {
        out.push('/');
        out.push_str(if may_be_key(segment) { "*" } else { segment });
    }
    match (first_two, segments.next()) {
        ([None, None], _) => out.push('/'),
        (_, Some(_)) => out.push_str("/*"),
        (_, None) => {}
    }
}
