//! Cells of CSV for a spreadsheet: which texts it would take for a formula, and how they are kept from it.

use std::borrow::Cow;

/// What a spreadsheet takes for the beginning of a formula, full-width forms included, and what hides one from a look at the
/// file.
const BEGINNINGS: [char; 11] = ['=', '+', '-', '@', '\t', '\r', '\n', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}'];

/// What is put before such a text: a spreadsheet shows what follows as it is.
const GUARD: char = '\'';

/// A cell as a spreadsheet can be given it: with an apostrophe before it where it would be a formula. Numbers are none, whatever
/// their sign.
#[must_use]
pub fn guarded(cell: &str) -> Cow<'_, str> {
    if !cell.starts_with(BEGINNINGS) || is_number(cell) {
        return Cow::Borrowed(cell);
    }
    Cow::Owned(format!("{GUARD}{cell}"))
}

/// Digits with at most a sign, a point and an exponent: nothing that could be computed.
fn is_number(cell: &str) -> bool {
    let unsigned = |text: &str| text.strip_prefix(['+', '-']).unwrap_or(text).to_owned();
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let cell = unsigned(cell);
    let (mantissa, exponent) = match cell.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(unsigned(exponent))),
        None => (&*cell, None),
    };
    let is_mantissa = match mantissa.split_once('.') {
        Some((whole, part)) => digits(whole) && digits(part),
        None => digits(mantissa),
    };
    is_mantissa && exponent.is_none_or(|exponent| digits(&exponent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_be_a_formula_is_guarded() {
        for cell in [
            "=HYPERLINK(\"http://a\")",
            "+1+cmd|' /C calc'!A0",
            "-2+3",
            "@SUM(A1)",
            "\t=1",
            "\r=1",
            "\n=1",
            "-",
            "+.5",
            "-1e",
            "--1",
            "-INF",
            "\u{ff1d}1",
        ] {
            assert_eq!(guarded(cell), format!("'{cell}"));
        }
    }

    #[test]
    fn numbers_and_other_texts_are_as_they_were() {
        for cell in
            ["", "-1", "+1.5", "-12.50", "-1e-7", "1E+9", "open", "a=b", "'=1", "2026-11-22T10:00:00Z", "°C", " =1"]
        {
            assert_eq!(guarded(cell), cell);
        }
    }
}
