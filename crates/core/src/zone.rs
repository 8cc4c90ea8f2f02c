//! Time zones by their names. The zones of IANA are data inside the program ([`jiff`] with its own copy), so an answer does not
//! hang on what the machine has installed.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp as Instant;
use jiff::civil::Date;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::time::Timestamp;

/// A time zone by its name in the database of IANA, such as `Europe/Vienna`; UTC unless said otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    zone: TimeZone,
    name: String,
}

/// There is no time zone of this name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoSuchZone(String);

impl fmt::Display for NoSuchZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.0.escape_default();
        write!(f, "`{name}` is no time zone; write a name of the IANA database such as Europe/Berlin, or UTC")
    }
}

impl std::error::Error for NoSuchZone {}

impl Zone {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How far its clocks are ahead of UTC, in seconds; `None` beyond the years that a calendar has.
    pub fn offset_secs(&self, moment: Timestamp) -> Option<i64> {
        let instant = Instant::from_second(moment.as_secs()).ok()?;
        Some(self.zone.to_offset(instant).seconds().into())
    }

    /// The day there.
    pub fn day_of(&self, moment: Timestamp) -> Option<Date> {
        Some(self.zone.to_datetime(Instant::from_microsecond(moment.as_micros()).ok()?).date())
    }

    /// The first moment of a day there.
    pub fn begin(&self, day: Date) -> Option<Timestamp> {
        // Where midnight is left out, the moment at which clocks are set forward.
        let first = self.zone.to_timestamp(day.at(0, 0, 0, 0)).ok()?;
        Some(Timestamp::from_micros(first.as_microsecond()))
    }
}

impl Default for Zone {
    fn default() -> Self {
        Self { zone: TimeZone::UTC, name: "UTC".to_owned() }
    }
}

impl FromStr for Zone {
    type Err = NoSuchZone;

    fn from_str(text: &str) -> Result<Self, NoSuchZone> {
        let zone = TimeZoneDatabase::bundled().get(text).map_err(|_| NoSuchZone(text.to_owned()))?;
        // As the database writes it, however it was typed.
        let name = zone.iana_name().ok_or_else(|| NoSuchZone(text.to_owned()))?.to_owned();
        Ok(Self { zone, name })
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Serialize for Zone {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.name)
    }
}

impl<'de> Deserialize<'de> for Zone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
