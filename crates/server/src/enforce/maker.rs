//! Which process makes the changes of the catalogue: this one, until another takes its place.
//!
//! Between the two nobody does. A change that is asked for then waits until it is known who will.

use tokio::sync::watch;

/// Which process makes changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Maker {
    /// This one.
    Here,
    /// Another one prepares to.
    Undecided,
    /// Another one. This one never will again.
    Elsewhere,
}

/// Which process makes changes, for those who want some made.
pub struct Makers(watch::Sender<Maker>);

impl Default for Makers {
    /// Changes are made here.
    fn default() -> Self {
        Self(watch::channel(Maker::Here).0)
    }
}

impl Makers {
    /// From now on it is this one.
    pub fn hand_to(&self, maker: Maker) {
        self.0.send_replace(maker);
    }

    /// Which one it is at this moment.
    pub fn now(&self) -> Maker {
        *self.0.borrow()
    }

    /// Waits until it is decided. Whether changes are made here.
    pub async fn are_here(&self) -> bool {
        let mut seen = self.0.subscribe();
        match seen.wait_for(|maker| *maker != Maker::Undecided).await {
            Ok(maker) => *maker == Maker::Here,
            // Only where `self` is gone, which is held here.
            Err(_) => false,
        }
    }
}
