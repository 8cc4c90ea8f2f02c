//! The fuzz targets' properties on their corpora, as ordinary tests. `cargo fuzz run target` goes on from there.

#[path = "../../../fuzz/properties/corpus.rs"]
mod corpus;
#[path = "../../../fuzz/properties/key_text.rs"]
mod key_text;
#[path = "../../../fuzz/properties/target.rs"]
mod target;

#[test]
fn k03_no_text_that_is_near_a_key_is_one() {
    corpus::each("key_text", key_text::holds);
}

#[test]
fn g11_a_canonical_target_has_one_meaning() {
    corpus::each("target", target::holds);
}
