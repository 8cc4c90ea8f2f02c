//! Countries by their codes of two letters (ISO 3166-1 alpha-2).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Every code that is assigned, and XK, which databases use for Kosovo.
const CODES: &str = "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW \
BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA \
GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH \
KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY \
MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH \
SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI \
VN VU WF WS XK YE YT ZA ZM ZW";

/// A country.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Country([u8; 2]);

/// The text is the code of no country.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotACountry(String);

impl fmt::Display for NotACountry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` is no country; write its code of two letters (ISO 3166-1 alpha-2), such as DE, or GB for the United Kingdom",
            self.0.escape_default()
        )
    }
}

impl std::error::Error for NotACountry {}

impl Country {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        CODES.split(' ').filter_map(|code| code.as_bytes().try_into().ok().map(Self))
    }

    /// The country of a code in letters of any size.
    pub fn of(code: &str) -> Option<Self> {
        let letters: [u8; 2] = code.as_bytes().try_into().ok()?;
        let wanted = Self(letters.map(|letter| letter.to_ascii_uppercase()));
        // Each takes three bytes, and they are in order.
        let codes = CODES.as_bytes();
        let (mut low, mut high) = (0, codes.len().div_ceil(3));
        while low < high {
            let middle = low.midpoint(high);
            match codes[middle * 3..middle * 3 + 2].cmp(&wanted.0[..]) {
                std::cmp::Ordering::Equal => return Some(wanted),
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        None
    }
}

impl Country {
    /// Its code.
    pub fn code(&self) -> &str {
        // It is one of ours, so it is ASCII.
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl FromStr for Country {
    type Err = NotACountry;

    fn from_str(text: &str) -> Result<Self, NotACountry> {
        Self::of(text).ok_or_else(|| NotACountry(text.to_owned()))
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl Serialize for Country {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Country {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_found_and_no_other_pair_of_letters() {
        let all: Vec<Country> = Country::all().collect();
        assert_eq!(all.len(), 249 + 1, "ISO 3166-1 has 249");
        assert!(all.is_sorted());
        let mut found = 0;
        for first in b'a'..=b'z' {
            for second in b'a'..=b'z' {
                let code = String::from_utf8(vec![first, second]).unwrap();
                let upper = code.to_uppercase();
                assert_eq!(Country::of(&code), Country::of(&upper));
                if let Some(country) = Country::of(&code) {
                    assert!(all.contains(&country) && country.to_string() == upper);
                    found += 1;
                }
            }
        }
        assert_eq!(found, all.len());
        for wrong in ["", "D", "DEU", "UK", "EU", "XX", "T1", "ö", "D "] {
            assert!(wrong.parse::<Country>().is_err(), "{wrong}");
        }
    }
}
