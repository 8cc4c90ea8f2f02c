//! What active checks make of a target: it changes its mind after some answers in a row, not after one.

use crate::api::HealthCheck;

/// How the checks of one target went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checks {
    healthy: bool,
    /// In a row that say the opposite.
    against: u32,
}

impl Default for Checks {
    /// Healthy until something else is known.
    fn default() -> Self {
        Self { healthy: true, against: 0 }
    }
}

impl Checks {
    /// Whether calls should go to it.
    pub const fn is_healthy(&self) -> bool {
        self.healthy
    }

    /// A check went well or did not. Returns whether that changes anything.
    pub fn note(&mut self, went_well: bool, check: &HealthCheck) -> bool {
        if went_well == self.healthy {
            self.against = 0;
            return false;
        }
        self.against += 1;
        let needed = if self.healthy { check.unhealthy_after } else { check.healthy_after };
        let changes = self.against >= needed;
        if changes {
            *self = Self { healthy: went_well, against: 0 };
        }
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_takes_some_in_a_row_to_change() {
        let check = HealthCheck { unhealthy_after: 3, healthy_after: 2, ..HealthCheck::default() };
        let mut checks = Checks::default();
        for (went_well, healthy) in [
            (false, true),
            (false, true),
            (true, true),
            (false, true),
            (false, true),
            (false, false),
            (true, false),
            (false, false),
            (true, false),
            (true, true),
        ] {
            let was = checks.is_healthy();
            assert_eq!(checks.note(went_well, &check), was != healthy);
            assert_eq!(checks.is_healthy(), healthy);
        }
    }
}
