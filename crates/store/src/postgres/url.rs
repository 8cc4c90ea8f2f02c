//! What may stand in the URL of a database. The library leaves out what it does not know; of `sslmod=require` that would
//! be a connection in clear. Nothing that is complained of is repeated: it could be a part of the password.

/// What may stand behind the `?`.
const PARAMETERS: [&str; 6] = ["sslmode", "sslrootcert", "sslcert", "sslkey", "host", "port"];
/// How a connection may be encrypted, as PostgreSQL's own clients have it.
const MODES: [&str; 6] = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];

/// Refuses a text in which something stands that would be left out, or understood otherwise than it was meant.
pub(super) fn check(text: &str) -> Result<(), String> {
    let rest = text.strip_prefix("postgres://").or_else(|| text.strip_prefix("postgresql://"));
    let rest = rest.ok_or("a database is written postgres://user:password@host:port/name")?;
    let (place, query) = rest.split_once('?').map_or((rest, None), |(place, query)| (place, Some(query)));
    let slashes = place.matches('/').count();
    if rest.contains('#')
        || rest.matches('@').count() > 1
        || query.is_some_and(|q| q.contains(['?', '@']))
        || slashes > 1
    {
        return Err("a user, password or name with # ? @ : or / has them escaped: %23 %3F %40 %3A %2F".to_owned());
    }
    for parameter in query.into_iter().flat_map(|query| query.split('&')) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        if !PARAMETERS.contains(&name) {
            return Err(format!("behind the ? of a database only these may stand: {}", PARAMETERS.join(", ")));
        }
        if name == "sslmode" && !MODES.contains(&value) {
            return Err(format!("sslmode is one of {}", MODES.join(", ")));
        }
    }
    Ok(())
}

/// Whether it says how the connection is encrypted.
pub(super) fn says_mode(text: &str) -> bool {
    text.split_once('?').is_some_and(|(_, query)| query.split('&').any(|parameter| parameter.starts_with("sslmode=")))
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn nothing_of_a_url_is_left_out_in_silence() {
        for good in [
            "postgres://keystile@db.internal/keystile",
            "postgresql://u:p%40%2F%23@[::1]:5432/n?sslmode=verify-full&sslrootcert=/etc/ca.pem",
            "postgres:///n?host=/run/postgresql",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in [
            "mysql://u@h/n",
            "postgres://u:a@b@h/n",
            "postgres://u:a#b@h/n",
            "postgres://u:a/b@h/n",
            "postgres://u:a?b@h/n",
            "postgres://u@h/n?sslmod=require",
            "postgres://u@h/n?foo=bar",
            "postgres://u@h/n?sslmode=banana",
            "postgres://u@h/n?sslmode",
            "postgres://u@h/n?sslmode=require?sslmode=disable",
        ] {
            let told = check(bad).unwrap_err();
            assert!(!told.contains("banana") && !told.contains("foo"), "{told}");
        }
    }
}
