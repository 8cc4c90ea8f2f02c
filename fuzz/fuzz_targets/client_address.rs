//! Fuzzes how a client's address is found.
#![no_main]

#[path = "../properties/client_address.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| property::holds(bytes));
