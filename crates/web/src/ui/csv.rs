//! Cells of CSV (RFC 4180) that spreadsheets take as text.

/// A text as a cell. What a spreadsheet would take for a formula gets an apostrophe in front.
pub(crate) fn cell(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']) && text.parse::<f64>().is_err();
    let text = if is_formula { format!("'{text}") } else { text.to_owned() };
    if text.contains(['"', ',', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

#[cfg(test)]
mod tests {
    use super::cell;

    #[test]
    fn a_cell_is_no_formula() {
        for (text, written) in [
            ("plain", "plain"),
            ("a,b", "\"a,b\""),
            ("say \"hi\"", "\"say \"\"hi\"\"\""),
            ("=1+1", "'=1+1"),
            ("@cmd", "'@cmd"),
            ("-5", "-5"),
            ("-5+cmd|' /C calc'!A0", "'-5+cmd|' /C calc'!A0"),
        ] {
            assert_eq!(cell(text), written);
        }
    }
}
