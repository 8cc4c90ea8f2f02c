//! What restrictions in shadow would have refused, counted by restriction. Only calls that meet one of them touch these
//! figures.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use keystile_core::restrict::{Rule, Rules};

use super::engine::Engine;
use crate::telemetry::metrics::{Kind, Registry};

/// How often, by restriction.
#[derive(Debug, Default)]
pub struct ShadowCounts([AtomicU64; Rule::ALL.len()]);

impl ShadowCounts {
    /// These would have refused a call.
    pub fn add(&self, rules: Rules) {
        for rule in rules.iter() {
            self.0[rule as usize].fetch_add(1, Ordering::Relaxed);
        }
    }

    fn of(&self, rule: Rule) -> u64 {
        self.0[rule as usize].load(Ordering::Relaxed)
    }
}

/// Declares the family.
pub fn declare(engine: Arc<Engine>, registry: &Registry) {
    let help = "Allowed calls and verifications that a restriction in shadow would have refused, by restriction.";
    registry.family(Kind::Counter, "keystile_shadow_refusals_total", help, move |samples| {
        for rule in Rule::ALL {
            samples.put(&[("rule", rule.as_str())], engine.shadow.of(*rule));
        }
    });
}
