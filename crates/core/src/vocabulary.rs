//! What changes are called outside: the words of the OWASP Logging Vocabulary, by which other systems sort what they are told
//! (SECURITY.md E-1). Our own words say more; these are the ones that a rule somewhere else is written for.

/// The word for an action of the audit. The vocabulary has none for what concerns no person and no token; such a change is
/// one of something sensitive, which the settings of a gatekeeper are.
pub fn owasp(action: &str) -> &'static str {
    match action {
        "key.create" | "key.import" | "key.undelete" => "authn_token_created",
        "key.rotate" | "key.hand_over" => "authn_token_created",
        "key.revoke" | "key.compromise" | "key.end_version" | "key.expired" | "key.version_ended" => {
            "authn_token_revoked"
        }
        "key.delete" => "authn_token_delete",
        "key.canary_used" | "key.expose" => "authn_token_reuse",
        "quota.warning" | "quota.exhausted" | "credits.low" | "credits.exhausted" => "excess_rate_limit_exceeded",
        "key.reveal" | "key.handed_over" => "sensitive_read",
        "session.create" => "authn_login_success",
        "session.prove" => "authn_login_success",
        "device_login.approve" => "authn_token_created",
        "device_login.deny" => "authn_token_revoked",
        "login.fail" => "authn_login_fail",
        "login.lock" => "authn_login_lock",
        "session.end" | "session.end_all" => "session_expired",
        "account.offer_link" | "account.offer_reset" => "authn_token_created",
        "account.password_change" | "account.password_reset" => "authn_password_change",
        "account.totp_add" | "account.factors_remove" | "account.recovery_codes" => "user_updated",
        "account.password_remove" => "user_updated",
        "passkey.create" | "passkey.update" | "passkey.delete" => "user_updated",
        "identity.create" | "identity.delete" => "user_updated",
        "passkey.counter_went_back" => "authn_token_reuse",
        "member.create" => "user_created",
        "member.update" => "user_updated",
        "member.delete" | "member.erase" => "user_deleted",
        "project.erase" => "sensitive_delete",
        "project.export" | "member.export" | "account.export" => "sensitive_read",
        "project.suspend" | "project.resume" | "key.enable" | "key.disable" | "key.extend_version" => "authz_change",
        _ => match action.split_once('.') {
            Some(("activation" | "role" | "pattern" | "member_role", _)) => "privilege_permissions_changed",
            Some((_, "create" | "grant")) => "sensitive_create",
            Some((_, "delete")) => "sensitive_delete",
            Some(_) | None => "sensitive_update",
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn e01_actions_have_words_of_the_vocabulary() {
        for (action, word) in [
            ("key.create", "authn_token_created"),
            ("key.rotate", "authn_token_created"),
            ("key.revoke", "authn_token_revoked"),
            ("key.compromise", "authn_token_revoked"),
            ("key.delete", "authn_token_delete"),
            ("key.canary_used", "authn_token_reuse"),
            ("key.reveal", "sensitive_read"),
            ("key.update", "sensitive_update"),
            ("activation.approve", "privilege_permissions_changed"),
            ("activation.create", "privilege_permissions_changed"),
            ("role.delete", "privilege_permissions_changed"),
            ("pattern.update", "privilege_permissions_changed"),
            ("project.suspend", "authz_change"),
            ("project.create", "sensitive_create"),
            ("api.delete", "sensitive_delete"),
            ("webhook.rotate_secret", "sensitive_update"),
            ("organization.create", "sensitive_create"),
        ] {
            assert_eq!(owasp(action), word, "{action}");
        }
    }
}
