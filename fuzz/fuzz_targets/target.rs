//! Fuzzes the canonical target.
#![no_main]

#[path = "../properties/target.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| property::holds(bytes));
