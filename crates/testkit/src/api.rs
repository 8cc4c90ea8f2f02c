//! A client of the management API and of verification, with JSON in and out.

use std::net::SocketAddr;

use serde_json::Value;

use crate::raw::{Answer, Client};

/// Calls one listener with one key. A connection a call: nothing is shared between threads.
#[derive(Debug, Clone)]
pub struct Api {
    address: SocketAddr,
    key: String,
}

impl Api {
    /// A client of this listener.
    pub fn new(address: SocketAddr, key: &str) -> Self {
        Self { address, key: key.to_owned() }
    }

    /// Reads.
    pub fn get(&self, path: &str) -> (u16, Value) {
        shown(&self.request("GET", path, &[], b""))
    }

    /// Makes, or acts.
    pub fn post(&self, path: &str, json: &Value) -> (u16, Value) {
        shown(&self.send("POST", path, json))
    }

    /// Changes.
    pub fn patch(&self, path: &str, json: &Value) -> (u16, Value) {
        shown(&self.send("PATCH", path, json))
    }

    /// Removes.
    pub fn delete(&self, path: &str) -> (u16, Value) {
        shown(&self.request("DELETE", path, &[], b""))
    }

    /// Makes something and gives it; the test fails if that was refused.
    ///
    /// # Panics
    /// If the answer is not 201.
    pub fn create(&self, path: &str, json: &Value) -> Value {
        let (status, made) = self.post(path, json);
        assert_eq!(status, 201, "POST {path} {json}: {made}");
        made
    }

    fn send(&self, method: &str, path: &str, json: &Value) -> Answer {
        self.request(method, path, &[("content-type", "application/json")], json.to_string().as_bytes())
    }

    /// Sends anything, with the key unless `fields` hold an `authorization` of their own.
    ///
    /// # Panics
    /// If no sound answer comes.
    pub fn request(&self, method: &str, path: &str, fields: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n", self.address);
        if !fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("authorization")) {
            head.push_str(&format!("authorization: Bearer {}\r\n", self.key));
        }
        for (name, value) in fields {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() {
            head.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        let mut client = Client::connect(self.address);
        // A refusal may come before the whole body is written.
        let _ = client.write([head.as_bytes(), body].concat());
        client.answer_to(method).unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }
}

fn shown(answer: &Answer) -> (u16, Value) {
    (answer.status, answer.json())
}
