//! It makes no difference in which pieces bytes come.

use proptest::collection::vec;
use proptest::prelude::*;

use super::differential::{mutated, mutations, requests};
use super::harness::{judged, judged_in_pieces, many_cases};

proptest! {
    #![proptest_config(many_cases())]

    #[test]
    fn any_pieces_give_what_one_read_gives(
        requests in requests(),
        mutations in mutations(),
        sizes in vec(1..200_usize, 1..8),
    ) {
        let input = mutated(&requests, &mutations);
        prop_assume!(!input.is_empty());
        let whole = judged(&input);
        prop_assert_eq!(&whole, &judged_in_pieces(&input, &sizes));
        prop_assert_eq!(&whole, &judged_in_pieces(&input, &[1]));
    }

    #[test]
    fn bytes_without_any_meaning_give_the_same_in_any_pieces(
        input in vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b' '), Just(b':'), any::<u8>()], 1..300),
        sizes in vec(1..20_usize, 1..8),
    ) {
        prop_assert_eq!(judged(&input), judged_in_pieces(&input, &sizes));
    }
}

#[test]
fn a_head_at_its_limits_gives_the_same_in_any_pieces() {
    for line in [8_190, 32_600, 32_768, 32_769, 40_000] {
        for (before, after) in
            [("GET /", " HTTP/1.1\r\nHost: a\r\n\r\n"), ("GET / HTTP/1.1\r\nHost: a\r\nX: ", "\r\n\r\n")]
        {
            for end in ["", "\x01", "\n"] {
                let input = format!("{before}{}{end}{after}", "a".repeat(line)).into_bytes();
                let whole = judged(&input);
                for sizes in [&[1][..], &[7, 4096], &[32_767, 1], &[32_768, 1], &[16_384]] {
                    assert_eq!(judged_in_pieces(&input, sizes), whole, "{line} {before:?} {end:?}");
                }
            }
        }
    }
}
