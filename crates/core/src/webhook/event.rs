//! How an event is named: by its installation and its place in the audit chain. So an event needs no row of its own, has
//! the same name however often it is sent, and leads back to its entry. What is no change, but an hour of usage, is named by
//! what it is of.

use sha2::{Digest, Sha256};

use super::filter::USAGE_HOUR;
use crate::id::{EventId, OrganizationId};
use crate::time::Timestamp;

/// The id of the event that this entry of an installation's audit chain is.
pub fn event_id(installation: &[u8; 16], sequence: u64) -> EventId {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&installation[..8]);
    bytes[8..].copy_from_slice(&sequence.to_be_bytes());
    EventId::from_entropy(bytes)
}

/// The place in the chain of an event of this installation; `None` for one of another.
pub fn sequence_of(installation: &[u8; 16], event: EventId) -> Option<u64> {
    let (home, sequence) = (event.to_u128() >> 64, event.to_u128() as u64);
    let mut own = [0; 8];
    own.copy_from_slice(&installation[..8]);
    (home == u128::from(u64::from_be_bytes(own))).then_some(sequence)
}

/// The id of a part of what an organization's usage was in the hour that begins then: the same however often it is sent, and to
/// whom. It leads back to nothing.
pub fn usage_hour_id(installation: &[u8; 16], organization: OrganizationId, hour: Timestamp, part: u32) -> EventId {
    let mut hash = Sha256::new();
    hash.update(USAGE_HOUR);
    hash.update(installation);
    hash.update(organization.to_bytes());
    hash.update(hour.as_micros().to_be_bytes());
    hash.update(part.to_be_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.finalize()[..16]);
    EventId::from_entropy(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_leads_back_to_its_entry_in_its_own_installation_only() {
        let (here, there) = ([0xA7; 16], [0xA8; 16]);
        for sequence in [0, 1, 7_000_000_000, u64::MAX] {
            let id = event_id(&here, sequence);
            assert_eq!(sequence_of(&here, id), Some(sequence));
            assert_eq!(sequence_of(&there, id), None);
            assert_eq!(id.to_string().parse(), Ok(id));
        }
        assert_ne!(event_id(&here, 1), event_id(&here, 2));
    }

    #[test]
    fn a_part_of_an_hour_has_an_id_of_its_own_and_always_the_same() {
        let (installation, hour) = ([7; 16], Timestamp::from_secs(3_600));
        let (mine, theirs) = (OrganizationId::from_entropy([1; 16]), OrganizationId::from_entropy([2; 16]));
        let id = usage_hour_id(&installation, mine, hour, 1);
        assert_eq!(id, usage_hour_id(&installation, mine, hour, 1));
        for other in [
            usage_hour_id(&[8; 16], mine, hour, 1),
            usage_hour_id(&installation, theirs, hour, 1),
            usage_hour_id(&installation, mine, hour.plus_secs(3_600), 1),
            usage_hour_id(&installation, mine, hour, 2),
        ] {
            assert_ne!(id, other);
        }
        assert_eq!(sequence_of(&installation, id), None);
    }
}
