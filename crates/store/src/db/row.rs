//! Reading rows: a cursor over the columns of one row, in the order of the SELECT, into types that mean something.
//!
//! A value that can't be read is a failure of the store, never a default: what we don't understand is not served.

use std::fmt::Display;
use std::str::FromStr;

use keystile_core::id::NotAnId;
use keystile_core::key::{KeyState, Standing};
use keystile_core::time::Timestamp;
use serde::de::DeserializeOwned;
use sqlx::{Decode, Postgres, Row as _, Sqlite, Type};

use super::Row;
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
pub(crate) struct Columns<'r> {
    row: &'r Row,
    next: usize,
}

impl<'r> Columns<'r> {
    pub(crate) fn of(row: &'r Row) -> Self {
        Self { row, next: 0 }
    }

    fn take<T>(&mut self) -> Result<T, StoreError>
    where
        T: Decode<'r, Sqlite> + Type<Sqlite> + Decode<'r, Postgres> + Type<Postgres>,
    {
        let place = self.next;
        self.next += 1;
        Ok(match self.row {
            Row::Sqlite(row) => row.try_get(place)?,
            Row::Postgres(row) => row.try_get(place)?,
        })
    }

    pub(crate) fn integer(&mut self) -> Result<i64, StoreError> {
        self.take()
    }

    /// An integer that fits the type asked for.
    pub(crate) fn number<T: TryFrom<i64>>(&mut self) -> Result<T, StoreError> {
        let value: i64 = self.take()?;
        T::try_from(value).map_err(|_| damaged(format_args!("the number {value}")))
    }

    pub(crate) fn number_if_any<T: TryFrom<i64>>(&mut self) -> Result<Option<T>, StoreError> {
        let value: Option<i64> = self.take()?;
        value.map(|value| T::try_from(value).map_err(|_| damaged(format_args!("the number {value}")))).transpose()
    }

    pub(crate) fn flag(&mut self) -> Result<bool, StoreError> {
        Ok(self.integer()? != 0)
    }

    pub(crate) fn moment(&mut self) -> Result<Timestamp, StoreError> {
        Ok(Timestamp::from_micros(self.take()?))
    }

    pub(crate) fn moment_if_any(&mut self) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.take::<Option<i64>>()?.map(Timestamp::from_micros))
    }

    pub(crate) fn text(&mut self) -> Result<String, StoreError> {
        self.take()
    }

    pub(crate) fn text_if_any(&mut self) -> Result<Option<String>, StoreError> {
        self.take()
    }

    pub(crate) fn blob_if_any(&mut self) -> Result<Option<Vec<u8>>, StoreError> {
        self.take()
    }

    pub(crate) fn blob(&mut self) -> Result<&'r [u8], StoreError> {
        self.take()
    }

    pub(crate) fn bytes<const N: usize>(&mut self) -> Result<[u8; N], StoreError> {
        self.blob()?.try_into().map_err(|_| damaged("bytes of another length"))
    }

    pub(crate) fn id<T>(&mut self, read: fn(&[u8]) -> Result<T, NotAnId>) -> Result<T, StoreError> {
        read(self.blob()?).map_err(damaged)
    }

    /// An enum by its word.
    pub(crate) fn id_if_any<T>(&mut self, read: fn(&[u8]) -> Result<T, NotAnId>) -> Result<Option<T>, StoreError> {
        self.blob_if_any()?.map(|bytes| read(&bytes).map_err(damaged)).transpose()
    }

    pub(crate) fn word_if_any<T: FromStr>(&mut self) -> Result<Option<T>, StoreError> {
        self.text_if_any()?.map(|text| word(&text)).transpose()
    }

    pub(crate) fn word<T: FromStr>(&mut self) -> Result<T, StoreError> {
        word(self.take()?)
    }

    pub(crate) fn json<T: DeserializeOwned>(&mut self) -> Result<T, StoreError> {
        json(self.take()?)
    }

    pub(crate) fn json_if_any<T: DeserializeOwned>(&mut self) -> Result<Option<T>, StoreError> {
        self.take::<Option<&str>>()?.map(json).transpose()
    }

    /// A key's state, of two columns.
    pub(crate) fn key_state(&mut self) -> Result<KeyState, StoreError> {
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
pub(crate) fn word<T: FromStr>(text: &str) -> Result<T, StoreError> {
    text.parse().map_err(|_| damaged(format_args!("the word {text:?}")))
}

/// Reads a JSON document of our own.
fn json<T: DeserializeOwned>(text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(damaged)
}

/// Writes a JSON document of our own.
pub(crate) fn to_json(value: &impl serde::Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError(Box::new(error)))
}

/// The word of a standing in rows.
pub(crate) const fn standing_word(standing: Standing) -> &'static str {
    match standing {
        Standing::Active => "active",
        Standing::Disabled => "disabled",
        Standing::Revoked => "revoked",
    }
}

/// Reads the word of a standing.
pub(crate) fn standing(word: &str) -> Result<Standing, StoreError> {
    [Standing::Active, Standing::Disabled, Standing::Revoked]
        .into_iter()
        .find(|standing| standing_word(*standing) == word)
        .ok_or_else(|| damaged(format_args!("the word {word:?}")))
}

/// The two columns of a key's state.
pub(crate) fn state_columns(state: KeyState) -> (&'static str, Option<i64>) {
    let moment = match state {
        KeyState::Active => None,
        KeyState::Disabled { since } => Some(since.as_micros()),
        KeyState::Revoked { at } => Some(at.as_micros()),
    };
    (standing_word(state.standing()), moment)
}

/// An unsigned number as databases keep it: the same 64 bits.
pub(crate) const fn signed(number: u64) -> i64 {
    number.cast_signed()
}
