//! Of which events webhooks tell, as forms offer them.

/// Types of events that a box stands for: the pattern, and what is said of it.
pub(super) type Offer = (&'static str, &'static str);

/// The boxes, in groups.
pub(super) const GROUPS: [(&str, &[Offer]); 4] = [
    (
        "Keys",
        &[
            ("key.*", "Everything about keys"),
            ("key.expiring", "A key ends soon"),
            ("key.expired", "A key ended"),
            ("key.rotation_due", "A key should be rotated"),
            ("key.unused", "A key was not used for long"),
            ("key.expose", "A key was seen where others could read it"),
            ("key.canary_used", "A canary key was used"),
            ("key.revoke", "A key was revoked"),
        ],
    ),
    (
        "Quotas and credits",
        &[
            ("quota.warning", "A quota is nearly used up"),
            ("quota.exhausted", "A quota is used up"),
            ("credits.low", "Credits are nearly used up"),
            ("credits.exhausted", "Credits are used up"),
        ],
    ),
    (
        "Changes",
        &[
            ("api.*", "APIs"),
            ("project.*", "Consumers"),
            ("activation.*", "Access: asked for, approved, refused, suspended"),
            ("plan.*", "Plans"),
            ("role.*", "Roles of keys"),
            ("member.*", "Members"),
            ("webhook.*", "Webhooks"),
        ],
    ),
    (
        "Signing in, and usage",
        &[
            ("login.*", "Failed and locked logins"),
            ("session.*", "Sessions"),
            ("usage.hour", "What was counted in each hour: the one event that is no change"),
        ],
    ),
];

/// What somebody wants to be alerted of: the type, and what it means.
pub(in crate::console) const OF_ALERTS: [Offer; 9] = [
    ("quota.warning", "A quota is nearly used up"),
    ("quota.exhausted", "A quota is used up"),
    ("credits.low", "Credits are nearly used up"),
    ("credits.exhausted", "Credits are used up"),
    ("key.expiring", "A key ends soon"),
    ("key.expose", "A key was seen where others could read it"),
    ("key.canary_used", "A canary key was used"),
    ("key.unused", "A key was not used for long"),
    ("login.lock", "Somebody tried too many passwords"),
];

/// Whether a webhook that names these tells of this type of changes. None named are all of them.
pub(in crate::console) fn admits(patterns: &[String], kind: &str) -> bool {
    let is_meant = |pattern: &String| match pattern.strip_suffix('*') {
        Some(beginning) => kind.starts_with(beginning),
        None => pattern == kind,
    };
    patterns.is_empty() || patterns.iter().any(is_meant)
}

/// Whether a box stands for this pattern.
pub(super) fn is_offered(pattern: &str) -> bool {
    GROUPS.iter().flat_map(|(_, offers)| *offers).any(|(offered, _)| *offered == pattern)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_is_told_of() {
        let patterns = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        assert!(admits(&[], "key.expiring"));
        assert!(admits(&patterns(&["key.*"]), "key.expiring"));
        assert!(admits(&patterns(&["api.update", "key.expiring"]), "key.expiring"));
        assert!(!admits(&patterns(&["key.expired", "keys.*"]), "key.expiring"));
    }
}
