//! What is weak in what is kept.

use std::fmt::Display;

use keystile_core::time::Timestamp;
use keystile_store::survey::{Found, Survey, UNUSED_DAYS};

use super::{Finding, Severity};

/// Things that are named in one finding: a person reads them.
const NAMED: usize = 5;
/// How far clocks may be apart before it is said.
const SLACK_SECS: i64 = 60;

pub(super) fn judge(survey: &Survey, now: Timestamp) -> Vec<Finding> {
    use Severity::{High, Low, Medium};
    if !survey.is_current {
        return vec![Finding::new(
            "tables_not_current",
            High,
            "the tables are not those of this program's version, and what is in them was not looked at",
            "use the version that the server runs, or bring them up to date: keystile db migrate",
        )];
    }
    let mut findings = Vec::new();
    let mut of = |id, severity, found: Option<String>, what: &str, mend: &str| {
        if let Some(found) = found {
            findings.push(Finding::new(id, severity, format!("{found} {what}"), mend));
        }
    };
    of(
        "keys_exposed",
        High,
        counted(&survey.exposed, "active key"),
        "sent where others could read it: in an address, or in clear where TLS is required",
        "replace each: keystile key compromised KEY, or keystile key rotate KEY --overlap 0",
    );
    of(
        "management_key_may_do_everything",
        Medium,
        counted(&survey.all_powerful, "management key"),
        "with the permission `*` from everywhere",
        "give programs narrow keys (--permission keys.read …) and bind this one to your networks (--network)",
    );
    of(
        "owner_without_second_factor",
        Medium,
        counted(&survey.single_factor, "member"),
        "who can let others in and log in with a password alone",
        "have each of them add one-time codes: keystile account add-totp",
    );
    of(
        "management_key_never_expires",
        Medium,
        counted(&survey.endless_management, "management key"),
        "without an end",
        "give it one: keystile key update KEY --expires-in-days 90",
    );
    of(
        "keys_never_expire",
        Medium,
        counted(&survey.endless, "active key"),
        "without an end",
        "give them one (keystile key update KEY --expires-in-days 90), and APIs a longest life (--max-key-days)",
    );
    of(
        "no_expiry_policy",
        Medium,
        counted(&survey.lax, "API"),
        "whose keys may be made to live for ever",
        "say how long they may: keystile api update API --max-key-days 365",
    );
    of(
        "keys_unused",
        Low,
        counted(&survey.unused, "active key"),
        &format!("not used for {UNUSED_DAYS} days"),
        "take away what nobody needs, or let that happen: keystile api update API --unused-key-days 90 --unused-keys disable",
    );
    of(
        "keys_recoverable",
        Low,
        counted(&survey.recoverable, "API"),
        "that lets texts of keys be had back",
        "leave it off where you can: keystile api update API --recoverable-keys false",
    );
    of(
        "upstream_in_clear",
        Medium,
        counted(&survey.plain_upstreams, "API"),
        "whose calls go on to another machine in clear",
        "use https for the upstream, or a network that nobody else is on",
    );
    of(
        "webhooks_silent",
        Low,
        counted(&survey.silent_webhooks, "webhook"),
        "switched off, by its owner or because nothing arrived",
        "enable or delete it: keystile webhook update WEBHOOK --enable",
    );
    if survey.newest.is_some_and(|newest| newest > now.plus_secs(SLACK_SECS)) {
        findings.push(Finding::new(
            "clock_behind",
            High,
            "this machine's clock is behind the newest entry of the audit: keys that have ended would be let in",
            "set the clock, and keep it right (chrony, systemd-timesyncd)",
        ));
    }
    findings
}

/// `2 active keys (key_…, key_…)`; nothing for none.
fn counted<T: Display>(found: &Found<T>, one: &str) -> Option<String> {
    if found.count == 0 {
        return None;
    }
    let names: Vec<String> = found.named.iter().take(NAMED).map(ToString::to_string).collect();
    let rest = if found.count > names.len() as u64 { ", …" } else { "" };
    let plural = if found.count == 1 { "" } else { "s" };
    Some(format!("{} {one}{plural} ({}{rest})", found.count, names.join(", ")))
}

#[cfg(test)]
mod tests {
    use keystile_core::id::{ApiId, KeyId, MemberId};

    use super::*;

    fn found<T>(named: Vec<T>) -> Found<T> {
        Found { count: named.len() as u64, named }
    }

    #[test]
    fn what_is_weak_is_named_and_what_is_not_is_not() {
        let now = Timestamp::from_secs(1_000);
        let well = Survey { is_current: true, newest: Some(now), ..Survey::default() };
        assert_eq!(judge(&well, now), []);
        let key = KeyId::from_entropy([1; 16]);
        let weak = Survey {
            exposed: found(vec![key]),
            all_powerful: found(vec![key]),
            single_factor: found(vec![MemberId::from_entropy([3; 16])]),
            endless: Found { count: 30, named: vec![key, key] },
            lax: found(vec![ApiId::from_entropy([2; 16])]),
            newest: Some(now.plus_secs(61)),
            ..well.clone()
        };
        let ids: Vec<&str> = judge(&weak, now).iter().map(|finding| finding.id).collect();
        assert_eq!(
            ids,
            [
                "keys_exposed",
                "management_key_may_do_everything",
                "owner_without_second_factor",
                "keys_never_expire",
                "no_expiry_policy",
                "clock_behind"
            ]
        );
        let endless = &judge(&weak, now)[3];
        assert!(endless.what.starts_with("30 active keys (key_") && endless.what.contains(", …) without an end"));
        let old = judge(&Survey { is_current: false, ..weak }, now);
        assert_eq!(old.iter().map(|finding| finding.id).collect::<Vec<_>>(), ["tables_not_current"]);
    }
}
