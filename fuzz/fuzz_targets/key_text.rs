//! Fuzzes the text of a key.
#![no_main]

#[path = "../properties/key_text.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| property::holds(bytes));
