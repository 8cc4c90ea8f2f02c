//! The form of a batch of events in its row: a version, the events at a fixed width each, a CRC-32 over all of it.
//!
//! Fixed width and little endian, so that a thousand events are written in microseconds, ten times a second. The
//! checksum is there so that a flipped byte on the disk is reported instead of counted.

use keystile_core::code::Code;
use keystile_core::time::Timestamp;
use keystile_core::usage::{Counts, Dimensions, UsageEvent};

/// The first byte of a batch of this form.
const VERSION: u8 = 1;
/// Bytes of an event: its moment, five numbers, code and status, four counts.
const EVENT_LEN: usize = 8 + 5 * 4 + 1 + 2 + 4 * 8;
/// Bytes of the checksum.
const CHECKSUM_LEN: usize = 4;

/// Why a batch can't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum BrokenBatch {
    /// Not a length that a batch can have.
    #[error("its length is not that of a batch")]
    Length,
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
    let mut bytes = Vec::with_capacity(1 + events.len() * EVENT_LEN + CHECKSUM_LEN);
    bytes.push(VERSION);
    for event in events {
        let UsageEvent { at, dimensions: of, counts } = event;
        let mut form = [0; EVENT_LEN];
        let mut rest = &mut form[..];
        put(&mut rest, &at.as_micros().to_le_bytes());
        for number in [of.organization, of.api, of.project, of.key, of.label] {
            put(&mut rest, &number.to_le_bytes());
        }
        put(&mut rest, &[of.code as u8]);
        put(&mut rest, &of.status.to_le_bytes());
        for count in [counts.calls, counts.latency_us, counts.bytes_in, counts.bytes_out] {
            put(&mut rest, &count.to_le_bytes());
        }
        bytes.extend_from_slice(&form);
    }
    let checksum = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    bytes
}

/// Reads events.
pub(super) fn decode(bytes: &[u8]) -> Result<Vec<UsageEvent>, BrokenBatch> {
    let (body, checksum) = bytes.split_last_chunk::<CHECKSUM_LEN>().ok_or(BrokenBatch::Length)?;
    if crc32fast::hash(body) != u32::from_le_bytes(*checksum) {
        return Err(BrokenBatch::Checksum);
    }
    let (version, events) = body.split_first().ok_or(BrokenBatch::Length)?;
    if *version != VERSION {
        return Err(BrokenBatch::Version(*version));
    }
    if events.len() % EVENT_LEN != 0 {
        return Err(BrokenBatch::Length);
    }
    events.chunks_exact(EVENT_LEN).map(event).collect()
}

fn event(mut form: &[u8]) -> Result<UsageEvent, BrokenBatch> {
    let form = &mut form;
    let at = Timestamp::from_micros(i64::from_le_bytes(take(form)?));
    let mut numbers = [0; 5];
    for number in &mut numbers {
        *number = u32::from_le_bytes(take(form)?);
    }
    let [organization, api, project, key, label] = numbers;
    let [code] = take(form)?;
    let code = Code::from_number(code).ok_or(BrokenBatch::Code(code))?;
    let status = u16::from_le_bytes(take(form)?);
    let mut counts = [0; 4];
    for count in &mut counts {
        *count = u64::from_le_bytes(take(form)?);
    }
    let [calls, latency_us, bytes_in, bytes_out] = counts;
    Ok(UsageEvent {
        at,
        dimensions: Dimensions { organization, api, project, key, label, code, status },
        counts: Counts { calls, latency_us, bytes_in, bytes_out },
    })
}

fn put(rest: &mut &mut [u8], bytes: &[u8]) {
    let (place, after) = std::mem::take(rest).split_at_mut(bytes.len());
    place.copy_from_slice(bytes);
    *rest = after;
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], BrokenBatch> {
    let (bytes, after) = rest.split_first_chunk::<N>().ok_or(BrokenBatch::Length)?;
    *rest = after;
    Ok(*bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn events() -> impl Strategy<Value = Vec<UsageEvent>> {
        let event = (any::<i64>(), any::<[u32; 5]>(), 0..Code::ALL.len(), any::<u16>(), any::<[u64; 4]>());
        let event = event.prop_map(|(at, [organization, api, project, key, label], code, status, counts)| UsageEvent {
            at: Timestamp::from_micros(at),
            dimensions: Dimensions { organization, api, project, key, label, code: Code::ALL[code], status },
            counts: Counts { calls: counts[0], latency_us: counts[1], bytes_in: counts[2], bytes_out: counts[3] },
        });
        proptest::collection::vec(event, 0..20)
    }

    proptest! {
        #[test]
        fn a_batch_survives_its_form(events in events()) {
            prop_assert_eq!(decode(&encode(&events)), Ok(events));
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
            let _ = decode(&bytes);
        }
    }

    #[test]
    fn a_batch_of_another_version_is_left_alone() {
        for (first, expected) in [(2, BrokenBatch::Version(2)), (0, BrokenBatch::Version(0))] {
            let mut bytes = vec![first];
            bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
            assert_eq!(decode(&bytes), Err(expected));
        }
        assert_eq!(decode(&[]), Err(BrokenBatch::Length));
    }
}
