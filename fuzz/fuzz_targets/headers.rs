//! Fuzzes what goes on of the fields of a request and of an answer.
#![no_main]

#[path = "../properties/headers.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| property::holds(bytes));
