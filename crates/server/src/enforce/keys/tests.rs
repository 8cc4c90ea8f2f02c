//! What is put is found, whatever became of it before.

use super::*;

fn digest(n: u32, version: u8) -> KeyDigest {
    let mut digest = [0; 32];
    digest[..4].copy_from_slice(&n.wrapping_mul(2_654_435_761).to_le_bytes());
    digest[8] = version;
    digest[28..].copy_from_slice(&n.to_le_bytes());
    KeyDigest::from_bytes(digest)
}

fn entry(n: u32, standing: Standing) -> KeyEntry {
    let mut id = [0; 16];
    id[..4].copy_from_slice(&n.to_le_bytes());
    KeyEntry {
        number: n,
        digest: digest(n, 1),
        id: KeyId::from_entropy(id),
        project: n,
        policy: n % 1_000,
        expires_at: n.is_multiple_of(2).then(|| Timestamp::from_secs(i64::from(n) + 1)),
        standing,
        kind: if n.is_multiple_of(3) { KeyKind::Management } else { KeyKind::Secret },
        environment: if n.is_multiple_of(5) { Environment::Test } else { Environment::Live },
    }
}

fn text(n: u32, version: u8, ends_at: Option<i64>) -> Text {
    Text { version: version.into(), digest: digest(n, version), ends_at: ends_at.map(Timestamp::from_secs) }
}

/// What the text of a version opens.
fn opened(keys: &Keys, n: u32, version: u8) -> Option<Opened> {
    keys.find(&digest(n, version)).and_then(|place| keys.open(place))
}

#[test]
fn every_key_is_found_as_it_was_put_while_the_table_grows() {
    let keys = Keys::with_capacity(0);
    for n in 0..50_000 {
        keys.put(&entry(n, Standing::Active));
        assert!(keys.find(&digest(n, 1)).is_some(), "{n}");
    }
    for n in 0..50_000 {
        let opened = opened(&keys, n, 1).unwrap();
        assert_eq!((opened.entry, opened.version), (entry(n, Standing::Active), 0));
    }
    assert_eq!(keys.find(&digest(50_001, 1)), None);
}

#[test]
fn a_revoked_key_never_comes_back() {
    let keys = Keys::with_capacity(0);
    keys.put(&entry(1, Standing::Revoked));
    keys.put(&entry(1, Standing::Active));
    assert_eq!(opened(&keys, 1, 1).unwrap().entry.standing, Standing::Revoked);
    keys.put_versions(&entry(1, Standing::Active), &[text(1, 1, Some(5)), text(1, 2, None)]);
    for version in [1, 2] {
        assert_eq!(opened(&keys, 1, version).unwrap().entry.standing, Standing::Revoked, "nor by another version");
    }
}

#[test]
fn a_removed_key_is_gone_and_its_text_can_be_used_anew() {
    let keys = Keys::with_capacity(0);
    keys.put(&entry(1, Standing::Active));
    keys.remove(&digest(1, 1), entry(1, Standing::Active).id);
    assert_eq!(opened(&keys, 1, 1), None);
    let anew = KeyEntry { id: KeyId::from_entropy([9; 16]), ..entry(1, Standing::Active) };
    keys.put(&anew);
    assert_eq!(opened(&keys, 1, 1).unwrap().entry, anew);
    keys.remove(&digest(1, 1), entry(1, Standing::Active).id);
    assert_eq!(opened(&keys, 1, 1).unwrap().entry, anew, "the other key's end is not this one's");
}

#[test]
fn a_removed_key_comes_back_where_it_was() {
    let keys = Keys::with_capacity(0);
    keys.put(&entry(1, Standing::Active));
    let place = opened(&keys, 1, 1).unwrap().place;
    keys.remove(&digest(1, 1), entry(1, Standing::Active).id);
    keys.put(&entry(1, Standing::Disabled));
    let back = opened(&keys, 1, 1).unwrap();
    assert_eq!((back.place, back.entry.standing), (place, Standing::Disabled));
}

#[test]
fn k10_versions_of_a_key_are_one_key_each_with_an_end_of_its_own() {
    let keys = Keys::with_capacity(0);
    keys.put(&entry(2, Standing::Active));
    let before = opened(&keys, 2, 1).unwrap();
    let rotated = KeyEntry { digest: digest(2, 2), expires_at: Some(Timestamp::from_secs(90)), ..before.entry };
    keys.put_versions(&rotated, &[text(2, 1, Some(50)), text(2, 2, None)]);
    let ends = |version: u8| {
        let opened = opened(&keys, 2, version).unwrap();
        assert_eq!((opened.place, opened.entry.id), (before.place, before.entry.id), "limits go on being counted");
        assert_eq!(opened.version, u16::from(version));
        opened.entry.expires_at.map(Timestamp::as_secs)
    };
    assert_eq!((ends(1), ends(2)), (Some(50), Some(90)));
    // Its end is moved; then the key itself ends before.
    keys.put_versions(&rotated, &[text(2, 1, Some(40)), text(2, 2, None)]);
    assert_eq!((ends(1), ends(2)), (Some(40), Some(90)));
    let shorter = KeyEntry { expires_at: Some(Timestamp::from_secs(30)), ..rotated };
    keys.put_versions(&shorter, &[text(2, 1, Some(40)), text(2, 2, None)]);
    assert_eq!((ends(1), ends(2)), (Some(30), Some(30)));
    // A third one; nothing is recorded twice.
    keys.put_versions(&rotated, &[text(2, 1, Some(40)), text(2, 2, Some(60)), text(2, 3, None)]);
    assert_eq!((ends(1), ends(2), ends(3)), (Some(40), Some(60), Some(90)));
    assert_eq!((keys.len(), keys.iter().count(), keys.texts().count()), (4, 1, 3));
    // What is done to the key is done to all of them.
    keys.put_versions(&KeyEntry { standing: Standing::Revoked, ..rotated }, &[text(2, 3, None)]);
    for version in 1..=3 {
        assert_eq!(opened(&keys, 2, version).unwrap().entry.standing, Standing::Revoked);
    }
    keys.remove(&digest(2, 3), rotated.id);
    assert_eq!([1, 2, 3].map(|version| opened(&keys, 2, version)), [None; 3]);
}

#[test]
fn a_key_that_is_loaded_with_its_versions_is_like_one_that_was_rotated_here() {
    let loaded = Keys::with_capacity(0);
    let texts = |n| [text(n, 1, Some(50)), text(n, 2, Some(60)), text(n, 3, None)];
    for n in 0..2_000 {
        // Loaded, its digest is the newest one's; it must be found by every other one, also after the table has grown.
        loaded.put_versions(&KeyEntry { digest: digest(n, 3), ..entry(n, Standing::Active) }, &texts(n));
    }
    let rotated = Keys::with_capacity(0);
    for n in 0..2_000 {
        rotated.put(&entry(n, Standing::Active));
        rotated.put_versions(&entry(n, Standing::Active), &texts(n)[..2]);
        rotated.put_versions(&entry(n, Standing::Active), &texts(n));
    }
    for (n, version) in (0..2_000).flat_map(|n| [1, 2, 3].map(|version| (n, version))) {
        let [one, other] = [&loaded, &rotated].map(|keys| {
            let opened = opened(keys, n, version).unwrap();
            (opened.version, opened.entry.id, opened.entry.expires_at, opened.entry.number)
        });
        assert_eq!(one, other);
    }
    assert_eq!(loaded.texts().count(), 6_000);
}

#[test]
fn a_text_of_a_deleted_key_may_be_given_to_another_whichever_version_it_was() {
    let keys = Keys::with_capacity(0);
    keys.put_versions(&entry(1, Standing::Active), &[text(1, 1, Some(50)), text(1, 2, None)]);
    keys.remove(&digest(1, 2), entry(1, Standing::Active).id);
    let other = KeyEntry { id: KeyId::from_entropy([9; 16]), number: 7, ..entry(1, Standing::Active) };
    keys.put(&other);
    assert_eq!(opened(&keys, 1, 1).unwrap().entry, other);
    assert_eq!(opened(&keys, 1, 2), None);
}
