//! The rule of links: what a document points to inside the checkout is there.

use std::path::Path;

/// Complaints about the links of one Markdown document that lies in `folder`.
pub(crate) fn check(shown: &str, text: &str, folder: &Path) -> Vec<String> {
    let mut complaints = Vec::new();
    for (number, line) in prose_lines(text) {
        for target in targets(line) {
            let file = target.split('#').next().unwrap_or_default();
            if is_relative(target) && !file.is_empty() && !folder.join(unescaped(file)).exists() {
                complaints.push(format!("{shown}:{number}: the link {target} leads nowhere"));
            }
        }
    }
    complaints
}

/// The lines outside of fenced blocks, with their numbers from 1.
fn prose_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    text.lines().enumerate().filter_map(move |(index, line)| {
        let fence = line.trim_start().starts_with("```") || line.trim_start().starts_with("~~~");
        fenced ^= fence;
        (!fenced && !fence).then_some((index + 1, line))
    })
}

/// The targets of inline links `[text](target)` and of definitions `[name]: target`; what stands in backticks is code.
fn targets(line: &str) -> Vec<&str> {
    let prose: Vec<&str> = line.split('`').step_by(2).collect();
    // A link's text may itself be code: then `](` opens the piece after it.
    let inline = prose.iter().flat_map(|piece| piece.split("](").skip(1).filter_map(|rest| rest.split(')').next()));
    let definition = line.strip_prefix('[').and_then(|rest| rest.split_once("]: ")).map(|(_, target)| target);
    inline.chain(definition).filter_map(|target| target.split_whitespace().next()).collect()
}

fn is_relative(target: &str) -> bool {
    !target.contains("://") && !target.starts_with("mailto:") && !target.starts_with('#')
}

/// Blanks in paths are written `%20`, and a path can stand in angle brackets.
fn unescaped(path: &str) -> String {
    path.trim_matches(['<', '>']).replace("%20", " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn complaints(text: &str) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("there.md"), "").unwrap();
        check("README.md", text, folder.path())
    }

    #[test]
    fn links_to_files_that_are_there_pass() {
        let text = "[a](there.md), [`b`](./there.md#part), [c](https://example.org/x), [d](#below)\n[e]: there.md";
        assert_eq!(complaints(text), Vec::<String>::new());
    }

    #[test]
    fn a_broken_link_is_named_with_its_line() {
        let found = complaints("fine\nsee [a](gone.md) and [`b`](gone/b.md#x)\n[c]: gone.md");
        assert_eq!(found.len(), 3);
        assert!(found[0].starts_with("README.md:2:") && found[0].contains("gone.md"), "{found:?}");
    }

    #[test]
    fn code_is_not_a_link() {
        assert_eq!(complaints("```\n[a](gone.md)\n```\nand `[b](gone.md)`"), Vec::<String>::new());
    }
}
