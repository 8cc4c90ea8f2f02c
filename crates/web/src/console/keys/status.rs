//! How a key stands, in one badge: what matters most comes first.

use jiff::Timestamp;

use crate::console::model::Key;
use crate::ui::html::Badge;
use crate::ui::time::until;

/// A key that ends within so long is said to end soon.
pub(super) const SOON_SECS: i64 = 14 * 86_400;
/// A key that nobody used for so long is said to be unused.
const UNUSED_SECS: i64 = 90 * 86_400;
/// One that was never used is not said to be unused before so long.
const NEW_SECS: i64 = 7 * 86_400;

/// The badge of a key.
pub(in crate::console) fn status(key: &Key, now: Timestamp) -> Badge {
    let ago = |at: Timestamp| now.duration_since(at).as_secs();
    let left = key.expires_at.map(|end| end.duration_since(now).as_secs());
    let unused = key.last_used_at.map_or(ago(key.created_at) > NEW_SECS, |at| ago(at) > UNUSED_SECS);
    match left {
        _ if key.state == "revoked" => Badge::new("off", "Revoked"),
        _ if key.exposed_at.is_some() => Badge::new("bad", "Leaked"),
        Some(left) if left <= 0 => Badge::new("off", "Expired"),
        _ if key.state == "disabled" => Badge::new("off", "Disabled"),
        Some(left) if left <= 86_400 => Badge::new("bad", ends(key, now)),
        Some(left) if left <= SOON_SECS => Badge::new("warn", ends(key, now)),
        _ if unused && key.last_used_at.is_none() => Badge::new("off", "Never used"),
        _ if unused => Badge::new("off", "Unused"),
        _ => Badge::new("ok", "Active"),
    }
}

fn ends(key: &Key, now: Timestamp) -> String {
    format!("Expires in {}", key.expires_at.map(|end| until(now, end)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_badge_says_what_matters_most() {
        let now: Timestamp = "2026-11-27T12:00:00Z".parse().unwrap();
        let key = |change: serde_json::Value| -> Key {
            let mut value = serde_json::json!({
                "id": "key_1", "project_id": "prj_1", "name": "a", "kind": "secret", "state": "active", "environment": "live",
                "hint": "ks_live_", "permissions": [], "labels": [], "rate_limits": [], "restrictions": {}, "recoverable": false,
                "version": 1, "created_at": "2026-11-26T12:00:00Z", "expires_at": null, "last_used_at": null, "rotated_at": null,
                "exposed_at": null, "state_since": null,
            });
            value.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
            serde_json::from_value(value).unwrap()
        };
        for (change, tone, text) in [
            (serde_json::json!({}), "ok", "Active"),
            (serde_json::json!({"created_at": "2026-11-01T12:00:00Z"}), "off", "Never used"),
            (serde_json::json!({"last_used_at": "2026-06-01T12:00:00Z"}), "off", "Unused"),
            (serde_json::json!({"expires_at": "2026-11-30T12:00:00Z"}), "warn", "Expires in 3 days"),
            (serde_json::json!({"expires_at": "2026-11-28T07:00:00Z"}), "bad", "Expires in 19 h"),
            (serde_json::json!({"expires_at": "2026-11-27T11:00:00Z", "state": "disabled"}), "off", "Expired"),
            (serde_json::json!({"expires_at": "2027-11-27T11:00:00Z", "state": "disabled"}), "off", "Disabled"),
            (serde_json::json!({"exposed_at": "2026-11-27T11:00:00Z", "state": "disabled"}), "bad", "Leaked"),
            (serde_json::json!({"exposed_at": "2026-11-27T11:00:00Z", "state": "revoked"}), "off", "Revoked"),
        ] {
            assert_eq!(status(&key(change.clone()), now), Badge::new(tone, text), "{change}");
        }
    }
}
