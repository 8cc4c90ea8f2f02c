//! How an event is named: by its installation and its place in the audit chain. So an event needs no row of its own, has
//! the same name however often it is sent, and leads back to its entry.

use crate::id::EventId;

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
}
