//! What a call draws when it is let through: of quotas and of credits, both or neither. More of them is taken from the ledger
//! ahead of use, so it may be that a call waits for some.

use std::time::Duration;

use keystile_core::time::Timestamp;
use tokio::sync::watch;

use super::{credits, quotas};

/// How long a call waits for what has to be taken for it.
const PATIENCE: Duration = Duration::from_secs(1);

/// Why nothing was drawn.
#[derive(Debug)]
pub enum Denied {
    /// A quota is used up, until then.
    Exhausted(Timestamp),
    /// There are not enough credits left.
    NoCredits,
    /// More has to be taken from the ledger first.
    Short(Supply),
    /// The same, and the ledger can't be asked.
    CutOff,
}

/// What is taken for an account next.
#[derive(Debug)]
pub struct Supply(watch::Receiver<()>);

impl Supply {
    /// Told by this.
    pub(super) const fn new(told: watch::Receiver<()>) -> Self {
        Self(told)
    }

    /// Waits for it; whether it came in time.
    pub async fn has_come(mut self) -> bool {
        matches!(tokio::time::timeout(PATIENCE, self.0.changed()).await, Ok(Ok(())))
    }
}

/// What a call has drawn: it may turn out to cost something else, or nothing.
#[derive(Debug)]
pub struct Drawn {
    quotas: Option<quotas::Drawn>,
    credits: Option<credits::Drawn>,
}

impl Drawn {
    /// This, if it is anything.
    pub(super) fn of(quotas: Option<quotas::Drawn>, credits: Option<credits::Drawn>) -> Option<Self> {
        (quotas.is_some() || credits.is_some()).then_some(Self { quotas, credits })
    }

    /// It costs this and not what was thought.
    pub fn costs(&mut self, cost: u32) {
        if let Some(drawn) = &mut self.quotas {
            drawn.costs(cost);
        }
        if let Some(drawn) = &mut self.credits {
            drawn.costs(cost);
        }
    }

    /// It came to nothing: all is given back, once.
    pub fn void(&mut self) {
        if let Some(drawn) = &mut self.quotas {
            drawn.void();
        }
        if let Some(drawn) = &mut self.credits {
            drawn.void();
        }
    }
}
