//! The form of events in their row, of a batch or kept: a version, the events, a CRC-32 over all of it.
//!
//! Numbers have as many bytes as they need (seven bits a byte, lowest first, as in LEB128), and a moment is its
//! distance from the one before: some 20 bytes an event instead of 63, which is what the disk and SQLite's own
//! checksums are paid for. The checksum is there so that a flipped byte is reported instead of counted.

use std::net::IpAddr;

use keystile_core::code::Code;
use keystile_core::time::Timestamp;
use keystile_core::usage::{Counts, Dimensions, Facet, Facets, UsageEvent};

/// The first byte of a batch of this form.
const VERSION: u8 = 4;
/// Of one without facets.
const WITHOUT_FACETS: u8 = 3;
/// Of one without costs: each call that was let through cost 1.
const WITHOUT_COSTS: u8 = 2;
/// Of one without versions of keys and addresses of clients as well.
const FIRST_VERSION: u8 = 1;
/// Bytes of an ordinary event, for making room.
const USUAL_EVENT_LEN: usize = 24;
/// Bytes of the checksum.
const CHECKSUM_LEN: usize = 4;

/// Why a batch can't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum BrokenBatch {
    /// It ends in the middle, or holds a number that is too large for its place.
    #[error("it is no whole batch")]
    Form,
    /// The checksum does not fit.
    #[error("its checksum does not fit: bytes were altered")]
    Checksum,
    /// Written by a version that this one does not know.
    #[error("its form {0} is not known to this version")]
    Version(u8),
    /// A code that this version does not know.
    #[error("its code {0} is not known to this version")]
    Code(u8),
}

/// Writes events.
pub(super) fn encode(events: &[UsageEvent]) -> Vec<u8> {
    let mut bytes = begin(events.len());
    let mut before = 0;
    for event in events {
        put_event(&mut bytes, &mut before, event);
    }
    end(bytes)
}

/// An event that is kept: where it came from, when it was recorded, and what was counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Kept {
    /// The sequence of its batch.
    pub(super) sequence: u64,
    /// Its place in that batch.
    pub(super) place: u64,
    pub(super) recorded_at: Timestamp,
    pub(super) event: UsageEvent,
}

/// Writes events that are kept, without the addresses of their clients and without facets.
pub(super) fn encode_kept(events: &[Kept]) -> Vec<u8> {
    let mut bytes = begin(events.len());
    let (mut before, mut recorded_before, mut sequence_before) = (0, 0, 0_u64);
    for kept in events {
        put_signed(&mut bytes, kept.sequence.wrapping_sub(sequence_before).cast_signed());
        sequence_before = kept.sequence;
        put(&mut bytes, kept.place);
        put_distance(&mut bytes, &mut recorded_before, kept.recorded_at);
        put_event(&mut bytes, &mut before, &UsageEvent { client: None, facets: None, ..kept.event });
    }
    end(bytes)
}

/// Reads events.
pub(super) fn decode(bytes: &[u8]) -> Result<Vec<UsageEvent>, BrokenBatch> {
    let (version, mut rest) = opened(bytes)?;
    let (mut before, mut read) = (0, Vec::new());
    while !rest.is_empty() {
        read.push(event(version, &mut rest, &mut before)?);
    }
    Ok(read)
}

/// Reads events that were kept.
pub(super) fn decode_kept(bytes: &[u8]) -> Result<Vec<Kept>, BrokenBatch> {
    let (version, mut rest) = opened(bytes)?;
    let (mut before, mut recorded_before, mut sequence, mut read) = (0, 0, 0_u64, Vec::new());
    while !rest.is_empty() {
        sequence = sequence.wrapping_add(take_signed(&mut rest)?.cast_unsigned());
        let place = take(&mut rest)?;
        let recorded_at = take_distance(&mut rest, &mut recorded_before)?;
        read.push(Kept { sequence, place, recorded_at, event: event(version, &mut rest, &mut before)? });
    }
    Ok(read)
}

fn begin(events: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(1 + events * USUAL_EVENT_LEN + CHECKSUM_LEN);
    bytes.push(VERSION);
    bytes
}

fn end(mut bytes: Vec<u8>) -> Vec<u8> {
    let checksum = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    bytes
}

/// The version and the events of a batch that is whole.
fn opened(bytes: &[u8]) -> Result<(u8, &[u8]), BrokenBatch> {
    let (body, checksum) = bytes.split_last_chunk::<CHECKSUM_LEN>().ok_or(BrokenBatch::Form)?;
    if crc32fast::hash(body) != u32::from_le_bytes(*checksum) {
        return Err(BrokenBatch::Checksum);
    }
    let (version, events) = body.split_first().ok_or(BrokenBatch::Form)?;
    if !(FIRST_VERSION..=VERSION).contains(version) {
        return Err(BrokenBatch::Version(*version));
    }
    Ok((*version, events))
}

fn put_event(bytes: &mut Vec<u8>, before: &mut i64, event: &UsageEvent) {
    let UsageEvent { at, dimensions: of, client, facets, counts } = event;
    put_distance(bytes, before, *at);
    for number in [of.organization, of.api, of.project, of.key, of.label] {
        put(bytes, number.into());
    }
    bytes.push(of.code as u8);
    put(bytes, of.status.into());
    for count in [counts.calls, counts.latency_us, counts.bytes_in, counts.bytes_out] {
        put(bytes, count);
    }
    put_signed(bytes, counts.cost);
    put(bytes, of.version.into());
    match client {
        None => bytes.push(0),
        Some(IpAddr::V4(address)) => {
            bytes.push(4);
            bytes.extend_from_slice(&address.octets());
        }
        Some(IpAddr::V6(address)) => {
            bytes.push(16);
            bytes.extend_from_slice(&address.octets());
        }
    }
    put_facets(bytes, facets.as_deref());
}

/// How many texts there are, then each facet's name and value.
fn put_facets(bytes: &mut Vec<u8>, facets: Option<&Facets>) {
    let Some(facets) = facets else { return bytes.push(0) };
    let each: Vec<_> = facets.each().collect();
    put(bytes, each.len() as u64);
    for (facet, value) in each {
        for text in [&facet.to_string(), value] {
            put(bytes, text.len() as u64);
            bytes.extend_from_slice(text.as_bytes());
        }
    }
}

fn facets(rest: &mut &[u8]) -> Result<Option<Box<Facets>>, BrokenBatch> {
    fn text<'a>(rest: &mut &'a [u8]) -> Result<&'a str, BrokenBatch> {
        let length = usize::try_from(take(rest)?).map_err(|_| BrokenBatch::Form)?;
        let (text, after) = rest.split_at_checked(length).ok_or(BrokenBatch::Form)?;
        *rest = after;
        str::from_utf8(text).map_err(|_| BrokenBatch::Form)
    }
    let (mut facets, mut tags) = (Facets::default(), Vec::new());
    let count = take(rest)?;
    for _ in 0..count {
        let (name, value) = (text(rest)?, text(rest)?);
        match name.parse().map_err(|_| BrokenBatch::Form)? {
            Facet::Country => facets.country = Some(value.parse().map_err(|_| BrokenBatch::Form)?),
            Facet::EndUser => facets.end_user = Some(value.into()),
            Facet::Tag(name) => tags.push((name, value.into())),
        }
    }
    facets.tags = tags.into();
    Ok((count > 0).then(|| Box::new(facets)))
}

/// A moment by its distance from the one before.
fn put_distance(bytes: &mut Vec<u8>, before: &mut i64, moment: Timestamp) {
    put_signed(bytes, moment.as_micros().wrapping_sub(*before));
    *before = moment.as_micros();
}

fn take_distance(rest: &mut &[u8], before: &mut i64) -> Result<Timestamp, BrokenBatch> {
    *before = before.wrapping_add(take_signed(rest)?);
    Ok(Timestamp::from_micros(*before))
}

fn event(form: u8, rest: &mut &[u8], before: &mut i64) -> Result<UsageEvent, BrokenBatch> {
    let at = take_distance(rest, before)?;
    let mut numbers = [0; 5];
    for number in &mut numbers {
        *number = u32::try_from(take(rest)?).map_err(|_| BrokenBatch::Form)?;
    }
    let [organization, api, project, key, label] = numbers;
    let (code, after) = rest.split_first().ok_or(BrokenBatch::Form)?;
    *rest = after;
    let code = Code::from_number(*code).ok_or(BrokenBatch::Code(*code))?;
    let status = u16::try_from(take(rest)?).map_err(|_| BrokenBatch::Form)?;
    let mut counts = [0; 4];
    for count in &mut counts {
        *count = take(rest)?;
    }
    let [calls, latency_us, bytes_in, bytes_out] = counts;
    let cost = match (form, code) {
        (FIRST_VERSION | WITHOUT_COSTS, Code::Allowed) => i64::try_from(calls).unwrap_or(i64::MAX),
        (FIRST_VERSION | WITHOUT_COSTS, _) => 0,
        _ => take_signed(rest)?,
    };
    let (version, client) = if form == FIRST_VERSION {
        (0, None)
    } else {
        (u16::try_from(take(rest)?).map_err(|_| BrokenBatch::Form)?, address(rest)?)
    };
    let facets = if form <= WITHOUT_FACETS { None } else { facets(rest)? };
    Ok(UsageEvent {
        at,
        dimensions: Dimensions { organization, api, project, key, version, label, code, status },
        client,
        facets,
        counts: Counts { calls, latency_us, bytes_in, bytes_out, cost },
    })
}

fn address(rest: &mut &[u8]) -> Result<Option<IpAddr>, BrokenBatch> {
    fn octets<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], BrokenBatch> {
        let (octets, after) = rest.split_first_chunk().ok_or(BrokenBatch::Form)?;
        *rest = after;
        Ok(*octets)
    }
    let (length, after) = rest.split_first().ok_or(BrokenBatch::Form)?;
    *rest = after;
    match length {
        0 => Ok(None),
        4 => Ok(Some(octets::<4>(rest)?.into())),
        16 => Ok(Some(octets::<16>(rest)?.into())),
        _ => Err(BrokenBatch::Form),
    }
}

fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// Forwards even, backwards odd, so that what is near zero is a short number either way.
fn put_signed(bytes: &mut Vec<u8>, number: i64) {
    put(bytes, ((number << 1) ^ (number >> 63)) as u64);
}

fn take_signed(rest: &mut &[u8]) -> Result<i64, BrokenBatch> {
    let number = take(rest)?;
    Ok((number >> 1) as i64 ^ -((number & 1) as i64))
}

fn take(rest: &mut &[u8]) -> Result<u64, BrokenBatch> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first().ok_or(BrokenBatch::Form)?;
        *rest = after;
        let bits = u64::from(byte & 0x7F);
        if bits << shift >> shift != bits {
            return Err(BrokenBatch::Form);
        }
        number |= bits << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(BrokenBatch::Form)
}

#[cfg(test)]
mod tests {
    use super::*;
    use keystile_core::limit::TagName;
    use proptest::prelude::*;

    fn events() -> impl Strategy<Value = Vec<UsageEvent>> {
        let client = proptest::option::of(any::<IpAddr>());
        let event = (
            any::<i64>(),
            any::<[u32; 5]>(),
            0..Code::ALL.len(),
            any::<[u16; 2]>(),
            any::<([u64; 4], i64)>(),
            (client, facets()),
        );
        let event =
            event.prop_map(|(at, numbers, code, [status, version], (counts, cost), (client, facets))| UsageEvent {
                at: Timestamp::from_micros(at),
                dimensions: dimensions(numbers, version, Code::ALL[code], status),
                client,
                facets,
                counts: Counts {
                    calls: counts[0],
                    latency_us: counts[1],
                    bytes_in: counts[2],
                    bytes_out: counts[3],
                    cost,
                },
            });
        proptest::collection::vec(event, 0..20)
    }

    fn facets() -> impl Strategy<Value = Option<Box<Facets>>> {
        let tags = proptest::collection::vec((0..9_u32, any::<String>()), 0..3);
        let some = (0..3_usize, any::<Option<String>>(), tags).prop_map(|(country, end_user, tags)| {
            let tag = |(name, value): (u32, String)| (TagName::of(&format!("t-{name}")).unwrap(), value.into());
            let facets = Facets {
                country: [None, "DE".parse().ok(), "US".parse().ok()][country],
                end_user: end_user.map(Into::into),
                tags: tags.into_iter().map(tag).collect(),
            };
            (facets != Facets::default()).then(|| Box::new(facets))
        });
        some.boxed()
    }

    fn dimensions(numbers: [u32; 5], version: u16, code: Code, status: u16) -> Dimensions {
        let [organization, api, project, key, label] = numbers;
        Dimensions { organization, api, project, key, version, label, code, status }
    }

    #[test]
    fn a_batch_of_the_first_form_is_read_without_what_it_does_not_have() {
        let mut bytes = vec![1];
        // At 5 µs; organization to label 1 to 5; allowed, 200; one call that took 7 µs.
        bytes.extend_from_slice(&[10, 1, 2, 3, 4, 5, 0, 0xC8, 1, 1, 7, 0, 0]);
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
        let event = UsageEvent {
            at: Timestamp::from_micros(5),
            dimensions: dimensions([1, 2, 3, 4, 5], 0, Code::Allowed, 200),
            client: None,
            facets: None,
            counts: Counts { calls: 1, latency_us: 7, bytes_in: 0, bytes_out: 0, cost: 1 },
        };
        assert_eq!(decode(&bytes), Ok(vec![event.clone()]));
        // The second form has the version 6 of the key and no address behind that; a refused call cost nothing.
        let mut bytes = vec![2];
        bytes.extend_from_slice(&[10, 1, 2, 3, 4, 5, Code::KeyRevoked as u8, 0x91, 3, 1, 7, 0, 0, 6, 0]);
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
        let refused = UsageEvent {
            dimensions: dimensions([1, 2, 3, 4, 5], 6, Code::KeyRevoked, 401),
            counts: Counts { cost: 0, ..event.counts },
            ..event.clone()
        };
        assert_eq!(decode(&bytes), Ok(vec![refused]));
    }

    proptest! {
        #[test]
        fn a_batch_survives_its_form(events in events()) {
            prop_assert_eq!(decode(&encode(&events)), Ok(events));
        }

        #[test]
        fn what_is_kept_survives_its_form_but_for_addresses(events in events(), of: Vec<(i64, u64, u64)>) {
            let of = of.into_iter().chain(std::iter::repeat((7, 1, 2)));
            let kept: Vec<_> = of
                .zip(events)
                .map(|((at, sequence, place), event)| {
                    let recorded_at = Timestamp::from_micros(at);
                    Kept { sequence, place, recorded_at, event: UsageEvent { client: None, facets: None, ..event } }
                })
                .collect();
            let with_client = |kept: &Kept| {
                let client = Some(IpAddr::from([192, 0, 2, 1]));
                Kept { event: UsageEvent { client, ..kept.event.clone() }, ..*kept }
            };
            let told: Vec<_> = kept.iter().map(with_client).collect();
            prop_assert_eq!(decode_kept(&encode_kept(&told)), Ok(kept));
        }

        #[test]
        fn a_flipped_bit_is_found(events in events(), at: prop::sample::Index, bit in 0..8_u8) {
            let mut bytes = encode(&events);
            let place = at.index(bytes.len());
            bytes[place] ^= 1 << bit;
            prop_assert_eq!(decode(&bytes), Err(BrokenBatch::Checksum));
        }

        #[test]
        fn no_bytes_bring_it_down(bytes: Vec<u8>) {
            let _ = (decode(&bytes), decode_kept(&bytes));
        }
    }

    #[test]
    fn a_batch_of_another_version_is_left_alone() {
        for (first, expected) in [(5, BrokenBatch::Version(5)), (0, BrokenBatch::Version(0))] {
            let mut bytes = vec![first];
            bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
            assert_eq!(decode(&bytes), Err(expected));
        }
        assert_eq!(decode(&[]), Err(BrokenBatch::Form));
    }
}
