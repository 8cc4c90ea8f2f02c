//! What became of an import.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

/// Refused lines that an answer names; all are counted.
const MAX_REPORTED: usize = 1_000;

/// What became of an import.
#[derive(Default, Serialize, ToSchema)]
pub(in crate::manage::keys) struct ImportReport {
    /// Keys that are known now; of a trial, that would be.
    pub(super) imported: usize,
    /// Those among them of which only a hash was sent, so that nobody can tell whether they could be guessed.
    unchecked: usize,
    /// How many of them came as what: `key`, `sha256`, `prefixed`, `bcrypt`, `argon2`, or, texts that could be guessed,
    /// `argon2id`.
    classes: BTreeMap<&'static str, usize>,
    /// Whether it was a trial, which changed nothing.
    pub(super) dry_run: bool,
    /// The first 1,000 lines that were refused.
    pub(super) refused: Vec<RefusedLine>,
    /// How many lines were refused.
    refused_count: usize,
    /// How many of them for which reason.
    reasons: BTreeMap<&'static str, usize>,
}

/// A line that was refused.
#[derive(Serialize, ToSchema)]
pub(super) struct RefusedLine {
    /// Its number, from 1.
    pub(super) line: usize,
    /// `duplicate`, `weak`, `malformed`, `checksum`, `ambiguous`, `no_lookup`, `unsupported`, `too_dear` or `invalid`.
    reason: &'static str,
    /// What to do.
    detail: String,
}

/// What a key came as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// Its text.
    Text,
    /// The SHA-256 of its text.
    Sha256,
    /// A short token, and the SHA-256 of the long one.
    Prefixed,
    /// The bcrypt hash of its text.
    Bcrypt,
    /// The Argon2 hash of its text.
    Argon2,
    /// A text that could be guessed.
    Argon2id,
}

impl Class {
    const fn word(self) -> &'static str {
        match self {
            Self::Text => "key",
            Self::Sha256 => "sha256",
            Self::Prefixed => "prefixed",
            Self::Bcrypt => "bcrypt",
            Self::Argon2 => "argon2",
            Self::Argon2id => "argon2id",
        }
    }

    /// Whether it was looked at how strong the text is.
    const fn is_checked(self) -> bool {
        match self {
            Self::Text | Self::Argon2id => true,
            Self::Sha256 | Self::Prefixed | Self::Bcrypt | Self::Argon2 => false,
        }
    }
}

/// Why a line is refused.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) reason: &'static str,
    pub(super) detail: String,
}

pub(super) fn refusal(reason: &'static str, detail: impl Into<String>) -> Refusal {
    Refusal { reason, detail: detail.into() }
}

impl ImportReport {
    pub(super) fn of(dry_run: bool) -> Self {
        Self { dry_run, ..Self::default() }
    }

    pub(super) fn refuse(&mut self, line: usize, refusal: Refusal) {
        self.refused_count += 1;
        *self.reasons.entry(refusal.reason).or_default() += 1;
        if self.refused.len() < MAX_REPORTED {
            self.refused.push(RefusedLine { line, reason: refusal.reason, detail: refusal.detail });
        }
    }

    pub(super) fn take(&mut self, class: Class) {
        self.imported += 1;
        *self.classes.entry(class.word()).or_default() += 1;
        if !class.is_checked() {
            self.unchecked += 1;
        }
    }
}
