//! Header fields of a call as somebody describes it: an object of names, each with a text or a list of texts.

use std::fmt;

use keystile_core::source::Field;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// Names and values, as they were told; a name may come several times.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ToldHeaders(Vec<(String, String)>);

impl ToldHeaders {
    /// A field by its name, in whichever case that was told.
    pub(crate) fn field(&self, name: &str) -> Field<'_> {
        let of_name = self.0.iter().filter(|(own, _)| own.eq_ignore_ascii_case(name));
        // As a gateway reads them: spaces and tabs at the ends are not part of the value (RFC 9110 §5.5).
        let mut values = of_name.map(|(_, value)| value.trim_matches([' ', '\t']).as_bytes());
        Field::of(values.next(), values.next().is_some())
    }
}

/// A value, or several.
struct Values(Vec<String>);

impl<'de> Deserialize<'de> for Values {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Texts;
        impl<'de> Visitor<'de> for Texts {
            type Value = Values;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a header field's value: a text or a list of texts")
            }

            fn visit_str<E>(self, text: &str) -> Result<Values, E> {
                Ok(Values(vec![text.to_owned()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Values, A::Error> {
                let mut all = Vec::new();
                while let Some(text) = seq.next_element()? {
                    all.push(text);
                }
                Ok(Values(all))
            }
        }
        deserializer.deserialize_any(Texts)
    }
}

impl<'de> Deserialize<'de> for ToldHeaders {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = ToldHeaders;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of header fields, each a text or a list of texts")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ToldHeaders, A::Error> {
                let mut fields = Vec::new();
                while let Some((name, values)) = map.next_entry::<String, Values>()? {
                    fields.extend(values.0.into_iter().map(|value| (name.clone(), value)));
                }
                Ok(ToldHeaders(fields))
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_in_any_case_and_of_several_values_none_is_meant() {
        let told: ToldHeaders = serde_json::from_str(
            r#"{"X-A":"1","x-b":["1","2"],"x-c":["3"],"x-d":"4","X-D":"4","x-e":[],"x-g":" \t5 "}"#,
        )
        .unwrap();
        for (name, expected) in [
            ("x-a", Field::Value(b"1")),
            ("x-b", Field::Several),
            ("x-c", Field::Value(b"3")),
            ("x-d", Field::Several),
            ("x-e", Field::Absent),
            ("x-f", Field::Absent),
            ("x-g", Field::Value(b"5")),
        ] {
            assert_eq!(told.field(name), expected, "{name}");
        }
        assert!(serde_json::from_str::<ToldHeaders>(r#"{"x-a":1}"#).is_err());
        assert!(serde_json::from_str::<ToldHeaders>("[]").is_err());
    }
}
