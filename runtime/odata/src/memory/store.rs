//! Rows of a model held in memory: what a service without a database of its own serves.

use super::context::address;
use crate::eval::{Graph, compare};
use crate::service::{Media, Page, Query, Service, Store};
use crate::typed::{Comparison, Types};
use crate::value::{Home, Record, Value};
use crate::{Error, Model};
use std::collections::HashMap;
use std::sync::Arc;

/// A model with its rows, read-only.
#[derive(Clone, Debug)]
pub struct MemoryStore {
    model: Model,
    /// The entities of each set, as a collection.
    sets: Vec<Value>,
    singletons: Vec<Value>,
    /// Bytes by the address of their entity.
    media: HashMap<String, Media>,
    page_max_rows: usize,
}

impl MemoryStore {
    /// A store without rows.
    #[must_use]
    pub fn new(model: Model) -> Self {
        let sets = model.entity_sets().iter().map(|_| Value::Collection(Arc::default())).collect();
        let singletons = model.singletons().iter().map(|_| Value::Null).collect();
        Self { model, sets, singletons, media: HashMap::new(), page_max_rows: crate::limits::PAGE_MAX_ROWS }
    }

    /// The same with the rows of a set, by its place in the model: for each its type's place and a value for each property.
    #[must_use]
    pub fn with_set(mut self, set: usize, rows: Vec<(usize, Vec<Value>)>) -> Self {
        let record = |(ty, values)| Value::Record(Arc::new(Record { ty, home: Home::Set(set), values }));
        self.sets[set] = Value::Collection(Arc::new(rows.into_iter().map(record).collect()));
        self
    }

    /// The same with a singleton, by its place in the model.
    #[must_use]
    pub fn with_singleton(mut self, singleton: usize, ty: usize, values: Vec<Value>) -> Self {
        let home = Home::Singleton(singleton);
        self.singletons[singleton] = Value::Record(Arc::new(Record { ty, home, values }));
        self
    }

    /// The same with the bytes of a media entity: those of the row at a position of a set.
    #[must_use]
    pub fn with_media(mut self, set: usize, row: usize, media: Media) -> Self {
        if let Some(Value::Record(record)) = self.sets[set].items().get(row)
            && let Some(address) = address(&Types::new(&self.model), record)
        {
            self.media.insert(address, media);
        }
        self
    }

    /// The same with another size of its pages.
    #[must_use]
    pub fn with_page_max_rows(mut self, rows: usize) -> Self {
        self.page_max_rows = rows;
        self
    }
}

/// Follows the constraints of a navigation: where two properties are equal, the entities belong together. Without
/// constraints there is nobody there. `rows` gives the entities of a set by its place.
#[must_use]
pub fn follow(
    model: &Model,
    record: &Record,
    ty: usize,
    navigation: usize,
    rows: impl FnOnce(usize) -> Value,
) -> Value {
    let structured = &model.types()[ty];
    let Some(way) = structured.navigation.get(navigation) else { return Value::Null };
    let target = &model.types()[way.target_type];
    let pairs: Option<Vec<(&Value, usize)>> = way
        .constraints
        .iter()
        .map(|(here, there)| Some((record.values.get(structured.position(here)?)?, target.position(there)?)))
        .collect();
    let pairs = pairs.unwrap_or_default();
    let belongs = |row: &&Value| {
        let Value::Record(other) = row else { return false };
        !pairs.is_empty()
            && pairs.iter().all(|(value, position)| {
                **value != Value::Null && compare(Comparison::Eq, value, &other.values[*position])
            })
    };
    let all = model.set_of_type(way.target_type).map_or(Value::Null, rows);
    let mut found = all.items().iter().filter(belongs).cloned();
    if way.collection { Value::Collection(Arc::new(found.collect())) } else { found.next().unwrap_or(Value::Null) }
}

impl Graph for MemoryStore {
    fn follow(&self, record: &Record, ty: usize, navigation: usize) -> Value {
        follow(&self.model, record, ty, navigation, |set| self.sets[set].clone())
    }

    fn looked_at(&self, ty: usize, navigation: usize) -> usize {
        let way = self.model.types()[ty].navigation.get(navigation);
        let set = way.and_then(|way| self.model.set_of_type(way.target_type));
        set.map_or(1, |set| self.sets[set].items().len())
    }

    fn set(&self, place: usize) -> Value {
        self.sets[place].clone()
    }

    fn singleton(&self, place: usize) -> Value {
        self.singletons[place].clone()
    }
}

impl Store for MemoryStore {
    fn media(&self, entity: &Record) -> Option<Media> {
        // The address is that of the model's own type, whatever a request has made of it.
        let Home::Set(set) = entity.home else { return None };
        let ty = self.model.type_place(&self.model.entity_sets()[set].entity_type)?;
        let plain = Record { ty, home: entity.home, values: entity.values.clone() };
        self.media.get(&address(&Types::new(&self.model), &plain)?).cloned()
    }

    fn stream(&self, _: &Record, _: usize) -> Option<Media> {
        None
    }

    /// The rows are as they were, always.
    fn act(&self, _: usize) -> Result<(), Error> {
        Ok(())
    }
}

impl Service for MemoryStore {
    fn model(&self) -> &Model {
        &self.model
    }

    fn page_max_rows(&self) -> usize {
        self.page_max_rows
    }

    fn store(&self) -> Option<&dyn Store> {
        Some(self)
    }

    fn read(&self, _: &Query<'_>) -> Result<Page, Error> {
        Err(Error::Internal("a service with a store is not asked for pages".into()))
    }

    fn count(&self, _: &Query<'_>) -> Result<u64, Error> {
        Err(Error::Internal("a service with a store is not asked for counts".into()))
    }
}
