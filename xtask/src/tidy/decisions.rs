//! The rule of decisions: docs/decisions/NNNN-title.md with a date, the context, the decision, the consequences.

/// The headings of a decision, each with something under it.
const SECTIONS: [&str; 3] = ["Context", "Decision", "Consequences"];

/// Complaints about one file of docs/decisions/.
pub(crate) fn check(name: &str, text: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    if number(name).is_none() {
        complaints.push("must be called NNNN-title-in-lower-case.md".to_owned());
    }
    if !text.lines().any(|line| line.strip_prefix("Date: ").is_some_and(is_date)) {
        complaints.push("needs a line `Date: YYYY-MM-DD`".to_owned());
    }
    let empty = SECTIONS.iter().filter(|section| section_is_empty(text, section));
    complaints.extend(empty.map(|section| format!("needs a section `## {section}` with something in it")));
    complaints.into_iter().map(|complaint| format!("docs/decisions/{name}: {complaint}")).collect()
}

/// Complaints about two decisions with one number.
pub(crate) fn check_numbers(names: &[String]) -> Vec<String> {
    let twice = names.iter().enumerate().filter_map(|(index, name)| {
        let number = number(name)?;
        let earlier = names[..index].iter().find(|other| self::number(other) == Some(number))?;
        Some(format!("docs/decisions/{name}: has the number of {earlier}"))
    });
    twice.collect()
}

/// The number a well-formed file name begins with.
fn number(name: &str) -> Option<&str> {
    let (number, title) = name.strip_suffix(".md")?.split_once('-')?;
    let lower = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let well_formed = number.len() == 4 && number.chars().all(|c| c.is_ascii_digit());
    (well_formed && !title.is_empty() && title.chars().all(lower)).then_some(number)
}

fn is_date(text: &str) -> bool {
    let parts: Vec<&str> = text.trim().split('-').collect();
    let digits = |part: &str, count: usize| part.len() == count && part.chars().all(|c| c.is_ascii_digit());
    matches!(parts[..], [year, month, day] if digits(year, 4) && digits(month, 2) && digits(day, 2))
}

/// Whether a section is missing or has no text before the next heading.
fn section_is_empty(text: &str, section: &str) -> bool {
    let mut lines = text.lines().skip_while(|line| line.strip_prefix("## ").map(str::trim) != Some(section));
    lines.next();
    !lines.take_while(|line| !line.starts_with('#')).any(|line| !line.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "# Title\n\nDate: 2026-01-31\n\n## Context\n\na\n\n## Decision\n\nb\n\n## Consequences\n\nc\n";

    #[test]
    fn a_whole_decision_passes() {
        assert_eq!(check("0001-a-title.md", GOOD), Vec::<String>::new());
    }

    #[test]
    fn each_missing_part_is_named() {
        for part in ["Date: 2026-01-31", "## Context", "## Decision", "## Consequences"] {
            assert_eq!(check("0001-a.md", &GOOD.replace(part, "")).len(), 1, "{part}");
        }
        assert_eq!(check("0001-a.md", &GOOD.replace("b\n", "")).len(), 1, "an empty section");
        assert_eq!(check("0001-a.md", &GOOD.replace("2026-01-31", "January")).len(), 1);
    }

    #[test]
    fn names_and_numbers_are_checked() {
        for name in ["1-a.md", "0001.md", "0001-A.md", "title.md"] {
            assert_eq!(check(name, GOOD).len(), 1, "{name}");
        }
        let names = ["0001-a.md", "0002-b.md", "0001-c.md"].map(str::to_owned);
        assert_eq!(check_numbers(&names).len(), 1);
    }
}
