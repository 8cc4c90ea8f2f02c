//! What a program calls itself, in words: `Firefox on Linux`.

/// Browsers by what only they say, those first that say what others say, too.
const BROWSERS: [(&str, &str); 8] = [
    ("Edg/", "Edge"),
    ("OPR/", "Opera"),
    ("Vivaldi/", "Vivaldi"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
];
/// Systems in the same way.
const SYSTEMS: [(&str, &str); 7] = [
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("CrOS", "ChromeOS"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
];
/// Letters of a name that is shown as it is.
const MAX_LETTERS: usize = 60;

/// In words.
pub(super) fn agent(text: &str) -> String {
    let found =
        |list: &[(&str, &'static str)]| list.iter().find(|(mark, _)| text.contains(mark)).map(|(_, name)| *name);
    let name = text.split(['/', ' ']).next().unwrap_or_default();
    match (found(&BROWSERS), found(&SYSTEMS)) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(browser), None) => browser.to_owned(),
        _ if name.eq_ignore_ascii_case("keystile") || name.eq_ignore_ascii_case("keystile-cli") => {
            "The command line".to_owned()
        }
        _ if text.trim().is_empty() => "A program that does not say".to_owned(),
        _ => text.chars().take(MAX_LETTERS).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::agent;

    #[test]
    fn a_program_is_told_in_words() {
        for (text, told) in [
            ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Linux"),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36 Edg/140.0",
                "Edge on Windows",
            ),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/19.0 Safari/605.1.15",
                "Safari on macOS",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 FxiOS/140.0 Mobile Safari/605.1.15",
                "Firefox on iPhone",
            ),
            (
                "Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Mobile Safari/537.36",
                "Chrome on Android",
            ),
            ("keystile/0.1.0", "The command line"),
            ("curl/8.9.1", "curl/8.9.1"),
            ("", "A program that does not say"),
        ] {
            assert_eq!(agent(text), told, "{text}");
        }
        assert_eq!(agent(&"x".repeat(500)).len(), super::MAX_LETTERS);
    }
}
