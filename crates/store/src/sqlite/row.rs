//! Reading rows: a cursor over the columns of one row, in the order of the SELECT, into types that mean something.
//!
//! A value that can't be read is a failure of the store, never a default: what we don't understand is not served.

use std::fmt::Display;
use std::str::FromStr;

use keystile_core::id::NotAnId;
use keystile_core::key::{KeyState, Standing};
use keystile_core::time::Timestamp;
use serde::de::DeserializeOwned;
use sqlx::sqlite::SqliteRow;
use sqlx::{Decode, Row, Sqlite, Type};

use crate::StoreError;

/// A row holds what it may not hold.
#[derive(Debug, thiserror::Error)]
#[error("a stored value can't be read: {0}")]
struct Damaged(String);

/// A failure of the store that names what can't be read.
pub(crate) fn damaged(what: impl Display) -> StoreError {
    StoreError(Box::new(Damaged(what.to_string())))
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        Self(Box::new(error))
    }
}

/// The columns of a row, taken one after the other.
pub(super) struct Columns<'r> {
    row: &'r SqliteRow,
    next: usize,
}

impl<'r> Columns<'r> {
    pub(super) fn of(row: &'r SqliteRow) -> Self {
        Self { row, next: 0 }
    }

    fn take<T: Decode<'r, Sqlite> + Type<Sqlite>>(&mut self) -> Result<T, StoreError> {
        let place = self.next;
        self.next += 1;
        Ok(self.row.try_get(place)?)
    }

    pub(super) fn integer(&mut self) -> Result<i64, StoreError> {
        self.take()
    }

    /// An integer that fits the type asked for.
    pub(super) fn number<T: TryFrom<i64>>(&mut self) -> Result<T, StoreError> {
        let value: i64 = self.take()?;
        T::try_from(value).map_err(|_| damaged(format_args!("the number {value}")))
    }

    pub(super) fn number_if_any<T: TryFrom<i64>>(&mut self) -> Result<Option<T>, StoreError> {
        let value: Option<i64> = self.take()?;
        value.map(|value| T::try_from(value).map_err(|_| damaged(format_args!("the number {value}")))).transpose()
    }

    pub(super) fn flag(&mut self) -> Result<bool, StoreError> {
        Ok(self.integer()? != 0)
    }

    pub(super) fn moment(&mut self) -> Result<Timestamp, StoreError> {
        Ok(Timestamp::from_micros(self.take()?))
    }

    pub(super) fn moment_if_any(&mut self) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.take::<Option<i64>>()?.map(Timestamp::from_micros))
    }

    pub(super) fn text(&mut self) -> Result<String, StoreError> {
        self.take()
    }

    pub(super) fn text_if_any(&mut self) -> Result<Option<String>, StoreError> {
        self.take()
    }

    pub(super) fn blob(&mut self) -> Result<&'r [u8], StoreError> {
        self.take()
    }

    pub(super) fn bytes<const N: usize>(&mut self) -> Result<[u8; N], StoreError> {
        self.blob()?.try_into().map_err(|_| damaged("bytes of another length"))
    }

    pub(super) fn id<T>(&mut self, read: fn(&[u8]) -> Result<T, NotAnId>) -> Result<T, StoreError> {
        read(self.blob()?).map_err(damaged)
    }

    /// An enum by its word.
    pub(super) fn word<T: FromStr>(&mut self) -> Result<T, StoreError> {
        word(self.take()?)
    }

    pub(super) fn json<T: DeserializeOwned>(&mut self) -> Result<T, StoreError> {
        json(self.take()?)
    }

    pub(super) fn json_if_any<T: DeserializeOwned>(&mut self) -> Result<Option<T>, StoreError> {
        self.take::<Option<&str>>()?.map(json).transpose()
    }

    /// A key's state, of two columns.
    pub(super) fn key_state(&mut self) -> Result<KeyState, StoreError> {
        let standing = standing(self.take()?)?;
        match (standing, self.moment_if_any()?) {
            (Standing::Active, None) => Ok(KeyState::Active),
            (Standing::Disabled, Some(since)) => Ok(KeyState::Disabled { since }),
            (Standing::Revoked, Some(at)) => Ok(KeyState::Revoked { at }),
            (standing, at) => Err(damaged(format_args!("the state {standing:?} with the moment {at:?}"))),
        }
    }
}

/// Reads an enum by its word.
pub(super) fn word<T: FromStr>(text: &str) -> Result<T, StoreError> {
    text.parse().map_err(|_| damaged(format_args!("the word {text:?}")))
}

/// Reads a JSON document of our own.
pub(super) fn json<T: DeserializeOwned>(text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(damaged)
}

/// Writes a JSON document of our own.
pub(super) fn to_json(value: &impl serde::Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError(Box::new(error)))
}

/// The word of a standing in rows.
pub(super) const fn standing_word(standing: Standing) -> &'static str {
    match standing {
        Standing::Active => "active",
        Standing::Disabled => "disabled",
        Standing::Revoked => "revoked",
    }
}

/// Reads the word of a standing.
pub(super) fn standing(word: &str) -> Result<Standing, StoreError> {
    [Standing::Active, Standing::Disabled, Standing::Revoked]
        .into_iter()
        .find(|standing| standing_word(*standing) == word)
        .ok_or_else(|| damaged(format_args!("the word {word:?}")))
}

/// The two columns of a key's state.
pub(super) fn state_columns(state: KeyState) -> (&'static str, Option<i64>) {
    let moment = match state {
        KeyState::Active => None,
        KeyState::Disabled { since } => Some(since.as_micros()),
        KeyState::Revoked { at } => Some(at.as_micros()),
    };
    (standing_word(state.standing()), moment)
}

/// An unsigned number as SQLite keeps it: the same 64 bits.
pub(super) const fn signed(number: u64) -> i64 {
    number.cast_signed()
}
