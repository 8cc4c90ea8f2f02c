//! An alternative of a pattern as an option: `method=GET,HEAD; path=/pets/**; country=DE; hours=mon-fri 08:00-18:00;
//! zone=Europe/Berlin; header=x-client: mobile/*`.

use keystile_core::pattern::Conditions;
use serde_json::{Map, Value, json};

use super::hours::hours;

const FORM: &str = "write conditions with semicolons between them, such as \"method=POST,PUT; path=/pets/**; network=10.0.0.0/8; \
                    country=DE; hours=mon-fri 08:00-18:00; zone=Europe/Berlin; header=x-client: mobile/*\"";

/// An alternative as the API reads it, checked here so that a typing error costs no journey.
///
/// # Errors
/// What is wrong with it, and how it is written.
pub(super) fn conditions(text: &str) -> Result<Value, String> {
    let mut read = Read::default();
    for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once('=').ok_or_else(|| format!("`{part}` says nothing; {FORM}"))?;
        read.take(name.trim(), value.trim())?;
    }
    let value = read.finished()?;
    serde_json::from_value::<Conditions>(value.clone()).map(|_| value).map_err(|error| error.to_string())
}

#[derive(Default)]
struct Read {
    fields: Map<String, Value>,
    windows: Vec<Value>,
    zone: Option<String>,
    headers: Vec<(String, Vec<String>)>,
}

impl Read {
    fn take(&mut self, name: &str, value: &str) -> Result<(), String> {
        let mut list = value.split(',').map(str::trim);
        match name {
            "method" => self.add("methods", None, list.map(str::to_uppercase).collect()),
            "path" => self.add("paths", None, list.map(str::to_owned).collect()),
            "network" => self.add("networks", Some("allow"), list.map(str::to_owned).collect()),
            "deny-network" => self.add("networks", Some("deny"), list.map(str::to_owned).collect()),
            "country" => self.add("countries", Some("allow"), list.map(str::to_uppercase).collect()),
            "deny-country" => self.add("countries", Some("deny"), list.map(str::to_uppercase).collect()),
            // Days have commas between them, so each window is a condition of its own.
            "hours" => self.windows.push(hours(value)?),
            "zone" => self.zone = list.next().map(str::to_owned),
            "header" => {
                let (field, said) = match value.split_once(':') {
                    Some((field, said)) => (field.trim(), Some(said.trim().to_owned())),
                    None => (value, None),
                };
                let field = field.to_ascii_lowercase();
                match self.headers.iter_mut().find(|(own, _)| *own == field) {
                    Some((_, values)) => values.extend(said),
                    None => self.headers.push((field, said.into_iter().collect())),
                }
            }
            _ => return Err(format!("`{name}` is no condition; {FORM}")),
        }
        Ok(())
    }

    fn add(&mut self, field: &str, below: Option<&str>, values: Vec<String>) {
        let place = match below {
            None => self.fields.entry(field).or_insert_with(|| json!([])),
            Some(below) => &mut self.fields.entry(field).or_insert_with(|| json!({}))[below],
        };
        match place {
            Value::Array(list) => list.extend(values.into_iter().map(Value::String)),
            place => *place = json!(values),
        }
    }

    fn finished(mut self) -> Result<Value, String> {
        match (self.windows.is_empty(), self.zone) {
            (true, None) => {}
            (false, Some(zone)) => {
                self.fields.insert("times".to_owned(), json!({ "time_zone": zone, "windows": self.windows }));
            }
            (true, Some(_)) => return Err("zone needs hours, such as hours=mon-fri 08:00-18:00".to_owned()),
            (false, None) => return Err("hours need zone, such as zone=Europe/Berlin, or zone=UTC".to_owned()),
        }
        if !self.headers.is_empty() {
            let headers = self.headers.into_iter().map(|(name, values)| {
                if values.is_empty() { json!({ "name": name }) } else { json!({ "name": name, "values": values }) }
            });
            self.fields.insert("headers".to_owned(), headers.collect());
        }
        Ok(Value::Object(self.fields))
    }
}

/// An alternative as people read it: what [`conditions`] takes.
pub(super) fn shown(alternative: &Value) -> String {
    let texts = |value: &Value| -> Vec<String> {
        let list = value.as_array().map_or(&[][..], Vec::as_slice);
        list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let mut parts = Vec::new();
    for (name, place) in [
        ("method", "/methods"),
        ("path", "/paths"),
        ("network", "/networks/allow"),
        ("deny-network", "/networks/deny"),
        ("country", "/countries/allow"),
        ("deny-country", "/countries/deny"),
    ] {
        let values = alternative.pointer(place).map(texts).unwrap_or_default();
        if !values.is_empty() {
            parts.push(format!("{name}={}", values.join(",")));
        }
    }
    let text = |value: &Value, name: &str| value[name].as_str().unwrap_or_default().to_owned();
    for window in alternative["times"]["windows"].as_array().into_iter().flatten() {
        let days = texts(&window["days"]).join(",");
        let space = if days.is_empty() { "" } else { " " };
        parts.push(format!("hours={days}{space}{}-{}", text(window, "from"), text(window, "until")));
    }
    if let Some(zone) = alternative["times"]["time_zone"].as_str() {
        parts.push(format!("zone={zone}"));
    }
    for header in alternative["headers"].as_array().into_iter().flatten() {
        let (name, values) = (text(header, "name"), texts(&header["values"]));
        if values.is_empty() {
            parts.push(format!("header={name}"));
        }
        parts.extend(values.iter().map(|value| format!("header={name}: {value}")));
    }
    parts.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alternative_is_written_as_it_is_read() {
        let text = "method=post,PUT; path=/pets/**; deny-network=10.0.0.0/8; network=10.1.0.0/16,::1; country=de; \
                    hours=mon-wed 08:00-18:00; hours=sat,sun 10:00-14:00; zone=Europe/Berlin; header=X-Client: mobile/*; \
                    header=x-client: web; header=x-there";
        let read = conditions(text).unwrap();
        assert_eq!(
            read,
            json!({
                "methods": ["POST", "PUT"], "paths": ["/pets/**"],
                "networks": { "deny": ["10.0.0.0/8"], "allow": ["10.1.0.0/16", "::1"] },
                "countries": { "allow": ["DE"] },
                "times": { "time_zone": "Europe/Berlin", "windows": [
                    { "days": ["mon", "tue", "wed"], "from": "08:00", "until": "18:00" },
                    { "days": ["sat", "sun"], "from": "10:00", "until": "14:00" },
                ] },
                "headers": [{ "name": "x-client", "values": ["mobile/*", "web"] }, { "name": "x-there" }],
            })
        );
        assert_eq!(conditions(&shown(&read)).unwrap(), read);
    }

    #[test]
    fn what_is_no_condition_is_said_with_how_to_write_one() {
        for (wrong, why) in [
            ("", "at least one of methods"),
            ("GET", "`GET` says nothing"),
            ("verb=GET", "`verb` is no condition"),
            ("method=FETCH", "a method here is one of"),
            ("hours=08:00-18:00", "hours need zone"),
            ("zone=UTC", "zone needs hours"),
            ("country=XX", "XX"),
            ("header=cookie", "cookie holds secrets"),
        ] {
            let error = conditions(wrong).expect_err(wrong);
            assert!(error.contains(why), "{wrong}: {error}");
        }
    }
}
