//! Checks JSON against the schemas of our OpenAPI documents (JSON Schema 2020-12, as far as they use it).
//!
//! A keyword that is not understood fails the test: what a document says should be what is checked. An object whose schema
//! names its fields has no others, whether or not the schema says so.

use std::collections::HashSet;
use std::net::{Ipv4Addr, Ipv6Addr};

use keystile_core::time::Timestamp;
use regex::Regex;
use serde_json::{Map, Value};

/// What of a value is not as its schema says; nothing if all is.
pub(super) fn faults(document: &Value, schema: &Value, value: &Value) -> Vec<String> {
    let mut checking = Checking { document, faults: Vec::new() };
    checking.whole(schema, value, "");
    checking.faults
}

/// The same for a value that must be as its schema says.
#[track_caller]
pub(super) fn fits(document: &Value, schema: &Value, value: &Value, what: &str) {
    let faults = faults(document, schema, value);
    assert!(faults.is_empty(), "{what}: {}\n{value}", faults.join("; "));
}

/// A schema, or the one that it refers to.
pub(super) fn resolved<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str() {
        Some(reference) => {
            let place = reference.strip_prefix('#').and_then(|place| document.pointer(place));
            place.unwrap_or_else(|| panic!("{reference} leads nowhere"))
        }
        None => schema,
    }
}

struct Checking<'a> {
    document: &'a Value,
    faults: Vec<String>,
}

impl<'a> Checking<'a> {
    /// A value in its place, of which the schema says all.
    fn whole(&mut self, schema: &'a Value, value: &Value, place: &str) {
        let mut fields = HashSet::new();
        if let Some(object) = value.as_object().filter(|_| self.names(schema, &mut fields)) {
            let others = object.keys().filter(|name| !fields.is_empty() && !fields.contains(name.as_str()));
            self.faults.extend(others.map(|name| format!("{place}/{name} is not in the document")));
        }
        self.part(schema, value, place);
    }

    /// Collects the fields that a schema names, with those of its parts; `false` if it lets others pass.
    fn names(&self, schema: &'a Value, fields: &mut HashSet<&'a str>) -> bool {
        let schema = resolved(self.document, schema);
        fields.extend(schema["properties"].as_object().into_iter().flat_map(Map::keys).map(String::as_str));
        let parts = ["allOf", "anyOf", "oneOf"].iter().filter_map(|list| schema[list].as_array()).flatten();
        let is_closed = schema.get("additionalProperties").is_none_or(|others| *others == false);
        parts.fold(is_closed, |is_closed, part| self.names(part, fields) && is_closed)
    }

    /// What one schema says, which may not be all that is said of the value.
    fn part(&mut self, schema: &'a Value, value: &Value, place: &str) {
        for (keyword, wanted) in schema.as_object().into_iter().flatten() {
            self.keyword(schema, keyword, wanted, value, place);
        }
    }

    fn keyword(&mut self, schema: &'a Value, keyword: &str, wanted: &'a Value, value: &Value, place: &str) {
        let number = value.as_f64();
        let chars = value.as_str().map(|text| text.chars().count() as u64);
        let items = value.as_array().map(|items| items.len() as u64);
        let fields = value.as_object().map(|fields| fields.len() as u64);
        let at_least = |amount: Option<u64>| amount.is_none_or(|amount| amount >= wanted.as_u64().unwrap());
        let at_most = |amount: Option<u64>| amount.is_none_or(|amount| amount <= wanted.as_u64().unwrap());
        let is_met = match keyword {
            "description" | "example" | "examples" | "title" | "default" => true,
            "$ref" => {
                self.part(resolved(self.document, schema), value, place);
                true
            }
            "type" => match wanted {
                Value::Array(kinds) => kinds.iter().any(|kind| is_of(kind, value)),
                kind => is_of(kind, value),
            },
            "enum" => wanted.as_array().unwrap().contains(value),
            "const" => wanted == value,
            "minimum" => number.is_none_or(|number| number >= wanted.as_f64().unwrap()),
            "maximum" => number.is_none_or(|number| number <= wanted.as_f64().unwrap()),
            "minLength" => at_least(chars),
            "maxLength" => at_most(chars),
            "minItems" => at_least(items),
            "maxItems" => at_most(items),
            "minProperties" => at_least(fields),
            "maxProperties" => at_most(fields),
            "pattern" => {
                let pattern = Regex::new(wanted.as_str().unwrap()).unwrap();
                value.as_str().is_none_or(|text| pattern.is_match(text))
            }
            "format" => match (wanted.as_str().unwrap(), value) {
                ("date-time", Value::String(text)) => text.parse::<Timestamp>().is_ok(),
                ("ipv4", Value::String(text)) => text.parse::<Ipv4Addr>().is_ok(),
                ("ipv6", Value::String(text)) => text.parse::<Ipv6Addr>().is_ok(),
                ("int32", Value::Number(number)) => number.as_i64().is_none_or(|number| i32::try_from(number).is_ok()),
                ("date-time" | "ipv4" | "ipv6" | "int32" | "int64", _) => true,
                (format, _) => panic!("{format} at {place} is not checked"),
            },
            "required" => {
                let names = wanted.as_array().unwrap().iter().map(|name| name.as_str().unwrap());
                let missing = names.filter(|name| value.is_object() && value.get(name).is_none());
                self.faults.extend(missing.map(|name| format!("{place}/{name} is missing")));
                true
            }
            "properties" => {
                for (name, value) in value.as_object().into_iter().flatten() {
                    if let Some(schema) = wanted.get(name) {
                        self.whole(schema, value, &format!("{place}/{name}"));
                    }
                }
                true
            }
            "additionalProperties" => {
                let named = |name: &String| schema["properties"].get(name).is_some();
                for (name, value) in value.as_object().into_iter().flatten().filter(|(name, _)| !named(name)) {
                    match wanted {
                        Value::Bool(false) => self.faults.push(format!("{place}/{name} may not be there")),
                        Value::Bool(true) => {}
                        schema => self.whole(schema, value, &format!("{place}/{name}")),
                    }
                }
                true
            }
            "propertyNames" => {
                for name in value.as_object().into_iter().flat_map(Map::keys) {
                    self.whole(wanted, &name.as_str().into(), &format!("{place}/{name} as a name"));
                }
                true
            }
            "items" => {
                for item in value.as_array().into_iter().flatten() {
                    self.whole(wanted, item, &format!("{place}[]"));
                }
                true
            }
            "uniqueItems" => {
                let items = value.as_array().map_or(&[][..], Vec::as_slice);
                items.iter().enumerate().all(|(n, item)| !items[..n].contains(item))
            }
            "allOf" => {
                wanted.as_array().unwrap().iter().for_each(|part| self.part(part, value, place));
                true
            }
            "dependentSchemas" => {
                let named = wanted.as_object().into_iter().flatten().filter(|(name, _)| value.get(name).is_some());
                named.for_each(|(_, schema)| self.part(schema, value, place));
                true
            }
            "anyOf" => self.fitting(wanted, value, place) >= 1,
            "oneOf" => self.fitting(wanted, value, place) == 1,
            _ => panic!("{keyword} at {place} is not checked"),
        };
        if !is_met {
            self.faults
                .push(format!("{} is {value}, against {keyword} {wanted}", if place.is_empty() { "/" } else { place }));
        }
    }

    /// How many of some schemas a value fits.
    fn fitting(&self, schemas: &'a Value, value: &Value, place: &str) -> usize {
        let fits = |schema: &&'a Value| {
            let mut checking = Checking { document: self.document, faults: Vec::new() };
            checking.part(schema, value, place);
            checking.faults.is_empty()
        };
        schemas.as_array().unwrap().iter().filter(fits).count()
    }
}

fn is_of(kind: &Value, value: &Value) -> bool {
    match kind.as_str().unwrap() {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        kind => panic!("{kind} is no type"),
    }
}
