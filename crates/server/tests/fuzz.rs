//! The fuzz targets' properties on their corpora, as ordinary tests. `cargo fuzz run headers` goes on from there.

#[path = "../../../fuzz/properties/client_address.rs"]
mod client_address;
#[path = "../../../fuzz/properties/corpus.rs"]
mod corpus;
#[path = "../../../fuzz/properties/headers.rs"]
mod headers;

#[test]
fn g08_no_field_goes_on_that_ends_at_the_gateway() {
    corpus::each("headers", headers::holds);
}

#[test]
fn g10_nobody_moves_an_address_from_further_left() {
    corpus::each("client_address", client_address::holds);
}
