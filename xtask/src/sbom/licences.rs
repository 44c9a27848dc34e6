//! Whether a licence, as an SPDX expression, is among those that `deny.toml` allows: the same question that `cargo deny` asks,
//! about what is in the bill, without that program.

use anyhow::{Context, Result};
use std::collections::BTreeSet;

/// SQLite's: public domain. No crate has it, so `deny.toml` does not list it.
const OF_SQLITE: &str = "blessing";

/// The licences that a `deny.toml` allows.
pub(super) fn allowed(deny: &str) -> Result<BTreeSet<String>> {
    let deny: toml::Table = deny.parse().context("deny.toml cannot be read")?;
    let list = deny.get("licenses").and_then(|licences| licences.get("allow")).and_then(toml::Value::as_array);
    let list = list.context("deny.toml has no licenses.allow")?.iter().filter_map(toml::Value::as_str);
    Ok(list.chain([OF_SQLITE]).map(str::to_owned).collect())
}

/// Whether what is allowed satisfies an expression: one side of each OR, both sides of each AND.
pub(super) fn is_satisfied(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ");
    let mut words = spaced.split_whitespace().peekable();
    let is_satisfied = either(&mut words, allowed);
    // What is left over was not understood.
    is_satisfied && words.next().is_none()
}

type Words<'w> = std::iter::Peekable<std::str::SplitWhitespace<'w>>;

fn either(words: &mut Words<'_>, allowed: &BTreeSet<String>) -> bool {
    let mut is_satisfied = both(words, allowed);
    while words.next_if_eq(&"OR").is_some() {
        is_satisfied |= both(words, allowed);
    }
    is_satisfied
}

fn both(words: &mut Words<'_>, allowed: &BTreeSet<String>) -> bool {
    let mut is_satisfied = one(words, allowed);
    while words.next_if_eq(&"AND").is_some() {
        is_satisfied &= one(words, allowed);
    }
    is_satisfied
}

fn one(words: &mut Words<'_>, allowed: &BTreeSet<String>) -> bool {
    if words.next_if_eq(&"(").is_some() {
        let is_satisfied = either(words, allowed);
        return words.next_if_eq(&")").is_some() && is_satisfied;
    }
    let Some(licence) = words.next() else { return false };
    match words.next_if_eq(&"WITH").and_then(|_| words.next()) {
        Some(exception) => allowed.contains(&format!("{licence} WITH {exception}")),
        None => allowed.contains(licence),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_side_of_a_choice_is_enough_and_both_of_a_sum_are_needed() {
        let deny = "[licenses]\nallow = [\"MIT\", \"ISC\", \"Apache-2.0 WITH LLVM-exception\"]\n";
        let allowed = allowed(deny).unwrap();
        for good in [
            "MIT",
            "GPL-3.0 OR MIT",
            "MIT AND ISC",
            "(GPL-3.0 OR MIT) AND ISC",
            "Apache-2.0 WITH LLVM-exception",
            "blessing",
        ] {
            assert!(is_satisfied(good, &allowed), "{good}");
        }
        for bad in [
            "",
            "GPL-3.0",
            "MIT AND GPL-3.0",
            "(MIT OR ISC) AND GPL-3.0",
            "Apache-2.0",
            "MIT WITH x",
            "(MIT",
            "MIT ISC",
            "MIT)",
        ] {
            assert!(!is_satisfied(bad, &allowed), "{bad}");
        }
    }
}
