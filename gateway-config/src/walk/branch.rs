//! `oneOf` and `anyOf`: finding the branch that was meant, so that messages are about that one.

use super::describe::found;
use super::parts::{Part, Parts};
use super::{Outcome, Walker, did_you_mean, is_secret};
use crate::tree::{KeyPath, Node, Value as Toml};
use serde_json::Value;

/// How far branches inside of branches are looked into to see which could be meant.
const LOOK_AHEAD_MAX: u32 = 4;

/// A property that tells branches apart: its key, and the value it has in each branch.
struct Tag<'s> {
    key: &'s str,
    values: Vec<&'s Value>,
}

impl<'s> Walker<'s> {
    /// The parts of a schema with those of the branches that were meant. None when no branch fits: then the reason is in
    /// `out`, and there is nothing more to check.
    pub(super) fn choose(
        &mut self,
        parts: Parts<'s>,
        node: &Node,
        path: &KeyPath,
        depth: u32,
        out: &mut Outcome,
    ) -> Option<Parts<'s>> {
        let mut chosen = parts.clone();
        for part in parts {
            let Some(branches) = self.branches(part) else { continue };
            if branches.is_empty() || depth == 0 || self.literals(&branches).is_some() {
                continue;
            }
            let branch = self.meant(&branches, is_secret(&chosen), node, path, out)?;
            chosen.extend(self.choose(branch, node, path, depth - 1, out)?);
        }
        Some(chosen)
    }

    /// The branch that was meant.
    fn meant(
        &mut self,
        branches: &[Parts<'s>],
        secret: bool,
        node: &Node,
        path: &KeyPath,
        out: &mut Outcome,
    ) -> Option<Parts<'s>> {
        let possible: Vec<&Parts<'s>> =
            branches.iter().filter(|branch| self.could_take(branch, node, LOOK_AHEAD_MAX)).collect();
        match possible.as_slice() {
            [] => {
                let expected = self.describe_branches(branches, 1);
                out.error(&node.span, path, format!("found {}, expected {expected}", found(node, secret)));
                None
            }
            [one] => Some((*one).clone()),
            many => match self.tag(many) {
                Some(tag) => self.by_tag(many, &tag, node, path, out),
                None => self.by_trial(many, secret, node, path, out),
            },
        }
    }

    /// The property that tells branches apart: required in each, with one value each.
    fn tag(&self, branches: &[&Parts<'s>]) -> Option<Tag<'s>> {
        let keys = self.property_names(branches.first()?);
        keys.into_iter().find_map(|key| {
            let value = |branch: &&Parts<'s>| {
                let schema = *self.property(branch, key).first()?;
                let allowed = self.allowed(&self.parts(schema))?;
                (allowed.len() == 1 && self.required(branch).contains(&key)).then(|| allowed[0])
            };
            let values: Option<Vec<&Value>> = branches.iter().map(value).collect();
            values.map(|values| Tag { key, values })
        })
    }

    fn by_tag(
        &self,
        branches: &[&Parts<'s>],
        tag: &Tag<'s>,
        node: &Node,
        path: &KeyPath,
        out: &mut Outcome,
    ) -> Option<Parts<'s>> {
        let expected = super::describe::one_of(&tag.values);
        let Some(given) = node.get(tag.key) else {
            let near = nearest_key(node, &[tag.key]);
            let message = format!("found no key `{}`, expected {expected}", tag.key);
            out.error(&node.span, path, message).hint = near;
            return None;
        };
        let json = given.to_json();
        match tag.values.iter().position(|value| **value == json) {
            Some(index) => Some(branches[index].clone()),
            None => {
                let names: Vec<&str> = tag.values.iter().filter_map(|value| value.as_str()).collect();
                let message = format!("found {}, expected {expected}", found(given, false));
                out.error(&given.span, &path.key(tag.key), message).hint =
                    given.text().and_then(|text| did_you_mean(text, &names));
                None
            }
        }
    }

    /// The first branch without a mistake, else the one that knows most of the keys, needs fewest others and has fewest
    /// mistakes. Where no branch knows any key, all of them are named.
    fn by_trial(
        &mut self,
        branches: &[&Parts<'s>],
        secret: bool,
        node: &Node,
        path: &KeyPath,
        out: &mut Outcome,
    ) -> Option<Parts<'s>> {
        if self.trials >= super::BRANCH_DEPTH_MAX {
            return branches.first().map(|branch| (*branch).clone());
        }
        self.trials += 1;
        let chosen = self.try_each(branches, secret, node, path, out);
        self.trials -= 1;
        chosen
    }

    fn try_each(
        &mut self,
        branches: &[&Parts<'s>],
        secret: bool,
        node: &Node,
        path: &KeyPath,
        out: &mut Outcome,
    ) -> Option<Parts<'s>> {
        let mut best: Option<(usize, usize, usize)> = None;
        for (index, branch) in branches.iter().enumerate() {
            let mut trial = Outcome::default();
            self.node((*branch).clone(), node, path, &mut trial);
            if trial.diagnostics.is_empty() {
                return Some((*branch).clone());
            }
            let unknown = node.entries().len() - self.known_keys(branch, node);
            let missing = self.required(branch).iter().filter(|key| node.get(key).is_none()).count();
            let cost = (unknown + missing, trial.diagnostics.len(), index);
            best = Some(best.map_or(cost, |best| best.min(cost)));
        }
        let all: Vec<Parts<'s>> = branches.iter().map(|branch| (*branch).clone()).collect();
        if node.text().is_none() && branches.iter().all(|branch| self.known_keys(branch, node) == 0) {
            let keys: Vec<&str> = branches.iter().flat_map(|branch| self.property_names(branch)).collect();
            let message = format!("found {}, expected {}", keys_found(node, secret), self.describe_branches(&all, 1));
            out.error(&node.span, path, message).hint = nearest_key(node, &keys);
            return None;
        }
        best.map(|(_, _, index)| all[index].clone())
    }

    fn known_keys(&self, branch: &[Part<'s>], node: &Node) -> usize {
        node.entries().iter().filter(|entry| !self.property(branch, &entry.key).is_empty()).count()
    }
}

/// A hint for the first key that is nearly one of these.
fn nearest_key(node: &Node, keys: &[&str]) -> Option<String> {
    node.entries().iter().find_map(|entry| did_you_mean(&entry.key, keys))
}

/// A table by its keys, anything else as it is.
fn keys_found(node: &Node, secret: bool) -> String {
    let keys: Vec<String> = node.entries().iter().map(|entry| format!("`{}`", entry.key)).collect();
    match (&node.value, keys.as_slice()) {
        (Toml::Table(_), []) => "an empty table".into(),
        (Toml::Table(_), keys) => format!("a table with {}", keys.join(", ")),
        _ => found(node, secret),
    }
}
