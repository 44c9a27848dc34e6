//! What the upstream accepted: an ordered, bounded list, the entities by key, and how often each idempotency key came.

use serde_json::Value;
use std::collections::{BTreeMap, HashMap, VecDeque};

/// One accepted entity or JSON value.
#[derive(Clone, PartialEq, Debug)]
pub struct Accepted {
    /// Its number, from 1, over all that was accepted.
    pub number: u64,
    /// The method it came by.
    pub method: String,
    /// Where it went: an entity set, or `ingest`.
    pub collection: String,
    /// Its key as it stood in the URL, where it did.
    pub key: Option<String>,
    /// The idempotency key of its request.
    pub idempotency_key: Option<String>,
    /// Its body.
    pub body: Value,
}

/// An entity and its version, from which its ETag is made.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Entity {
    pub(crate) body: Value,
    pub(crate) version: u64,
}

impl Entity {
    pub(crate) fn etag(&self) -> String {
        format!("W/\"{}\"", self.version)
    }
}

type EntityKey = (String, String);

/// What is undone when a change set fails.
#[derive(Debug, Default)]
struct Undo {
    entities: Vec<(EntityKey, Option<Entity>)>,
    accepted: Vec<Accepted>,
}

/// All that was accepted, up to a bound.
#[derive(Debug)]
pub(crate) struct Store {
    most: usize,
    accepted: VecDeque<Accepted>,
    accepted_total: u64,
    entities: BTreeMap<EntityKey, Entity>,
    /// Keys of the entities from the oldest on, so that the bound drops those.
    oldest: VecDeque<EntityKey>,
    versions: u64,
    idempotency: HashMap<String, u64>,
    change_set: Option<Undo>,
}

impl Store {
    pub(crate) fn new(most: usize) -> Self {
        Self {
            most: most.max(1),
            accepted: VecDeque::new(),
            accepted_total: 0,
            entities: BTreeMap::new(),
            oldest: VecDeque::new(),
            versions: 0,
            idempotency: HashMap::new(),
            change_set: None,
        }
    }

    /// Counts a request by its key; how often it came, this time included.
    pub(crate) fn count_key(&mut self, key: &str) -> u64 {
        if self.idempotency.len() >= self.most && !self.idempotency.contains_key(key) {
            self.idempotency.clear();
        }
        let count = self.idempotency.entry(key.to_owned()).or_default();
        *count += 1;
        *count
    }

    pub(crate) fn key_counts(&self) -> &HashMap<String, u64> {
        &self.idempotency
    }

    /// Accepts; its number is given here, or when its change set is complete.
    pub(crate) fn accept(&mut self, accepted: Accepted) {
        match &mut self.change_set {
            Some(undo) => undo.accepted.push(accepted),
            None => self.append(accepted),
        }
    }

    fn append(&mut self, mut accepted: Accepted) {
        self.accepted_total += 1;
        accepted.number = self.accepted_total;
        if self.accepted.len() >= self.most {
            self.accepted.pop_front();
        }
        self.accepted.push_back(accepted);
    }

    pub(crate) fn accepted(&self) -> impl DoubleEndedIterator<Item = &Accepted> {
        self.accepted.iter()
    }

    pub(crate) fn accepted_total(&self) -> u64 {
        self.accepted_total
    }

    pub(crate) fn take_accepted(&mut self) -> Vec<Accepted> {
        std::mem::take(&mut self.accepted).into()
    }

    pub(crate) fn forget_accepted(&mut self) {
        self.accepted.clear();
    }

    pub(crate) fn entity(&self, set: &str, key: &str) -> Option<&Entity> {
        self.entities.get(&(set.to_owned(), key.to_owned()))
    }

    pub(crate) fn entities<'a>(&'a self, set: &'a str) -> impl Iterator<Item = &'a Entity> {
        self.entities.iter().filter(move |((of, _), _)| of == set).map(|(_, entity)| entity)
    }

    pub(crate) fn sets(&self) -> Vec<String> {
        let mut sets: Vec<_> = self.entities.keys().map(|(set, _)| set.clone()).collect();
        sets.dedup();
        sets
    }

    /// A key that no entity of the set has.
    pub(crate) fn free_key(&self, set: &str) -> String {
        let mut number = self.versions + 1;
        while self.entity(set, &number.to_string()).is_some() {
            number += 1;
        }
        number.to_string()
    }

    /// Creates or replaces an entity, or with no body removes it; the new version.
    pub(crate) fn put(&mut self, set: &str, key: &str, body: Option<Value>) -> Option<Entity> {
        let at = (set.to_owned(), key.to_owned());
        self.versions += 1;
        let entity = body.map(|body| Entity { body, version: self.versions });
        let before = self.replace(at.clone(), entity.clone());
        if let Some(undo) = &mut self.change_set {
            undo.entities.push((at, before));
        }
        entity
    }

    fn replace(&mut self, at: EntityKey, entity: Option<Entity>) -> Option<Entity> {
        let Some(entity) = entity else { return self.entities.remove(&at) };
        let before = self.entities.insert(at.clone(), entity);
        if before.is_none() {
            self.oldest.push_back(at);
            while self.oldest.len() > self.most {
                let oldest = self.oldest.pop_front();
                oldest.and_then(|oldest| self.entities.remove(&oldest));
            }
        }
        before
    }

    /// From here on everything is accepted together or not at all.
    pub(crate) fn begin_change_set(&mut self) {
        self.change_set = Some(Undo::default());
    }

    pub(crate) fn end_change_set(&mut self, is_accepted: bool) {
        let Some(undo) = self.change_set.take() else { return };
        if is_accepted {
            undo.accepted.into_iter().for_each(|accepted| self.append(accepted));
        } else {
            undo.entities.into_iter().rev().for_each(|(at, before)| drop(self.replace(at, before)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn accepted(body: Value) -> Accepted {
        let (method, collection) = ("POST".into(), "Readings".into());
        Accepted { number: 0, method, collection, key: None, idempotency_key: None, body }
    }

    #[test]
    fn the_oldest_go_and_the_numbers_stay() {
        let mut store = Store::new(2);
        for number in 1..=3 {
            store.accept(accepted(json!(number)));
            store.put("Readings", &number.to_string(), Some(json!(number)));
        }
        assert_eq!(store.accepted().map(|accepted| accepted.number).collect::<Vec<_>>(), [2, 3]);
        assert_eq!(store.accepted_total(), 3);
        assert!(store.entity("Readings", "1").is_none() && store.entity("Readings", "3").is_some());
    }

    #[test]
    fn a_failed_change_set_leaves_nothing() {
        let mut store = Store::new(10);
        store.put("Readings", "1", Some(json!("before")));
        store.begin_change_set();
        store.put("Readings", "1", Some(json!("after")));
        store.put("Readings", "1", None);
        store.put("Readings", "2", Some(json!("new")));
        store.accept(accepted(json!(1)));
        store.end_change_set(false);
        assert_eq!(store.entity("Readings", "1").map(|entity| &entity.body), Some(&json!("before")));
        assert!(store.entity("Readings", "2").is_none());
        assert_eq!(store.accepted_total(), 0);
        assert_eq!((store.count_key("a"), store.count_key("a")), (1, 2));
    }
}
