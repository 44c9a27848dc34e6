//! What the steps of a path lead to.

use super::Job;
use super::queried::Queried;
use crate::eval::{Slots, find};
use crate::resource::{Root, Step, Target};
use crate::typed::Types;
use crate::value::{Record, Value};
use crate::{Error, resource};
use std::sync::Arc;

/// What a path leads to.
pub(super) struct Reached {
    /// The value.
    pub(super) value: Value,
    /// The entity it belongs to, if it is not an entity itself.
    pub(super) owner: Option<Arc<Record>>,
    /// The names of the properties behind that entity.
    pub(super) properties: Vec<String>,
    /// The property it is, in the record before it.
    pub(super) last: Option<(Arc<Record>, usize)>,
    /// Whether it was found by navigation, so that nothing there is no error.
    pub(super) may_be_nothing: bool,
    /// Rows of a set that the service is asked for; there is no value then.
    pub(super) queried: Option<Queried>,
}

impl Reached {
    /// No value.
    pub(super) fn nothing() -> Self {
        let (owner, properties, last) = (None, Vec::new(), None);
        Self { value: Value::Null, owner, properties, last, may_be_nothing: false, queried: None }
    }
}

impl Job<'_> {
    /// Follows a path.
    pub(super) fn reach(&self, target: &Target, types: &Types<'_>) -> Result<Reached, Error> {
        let mut queried = None;
        let value = match target.root {
            Root::Set(place) if self.service.is_queried(place) => {
                queried = Some(Queried::new(place));
                Value::Null
            }
            Root::Set(place) => self.store.set(place),
            Root::Singleton(place) => self.store.singleton(place),
            _ => self.all()?,
        };
        let (owner, properties, last) = (None, Vec::new(), None);
        let mut reached = Reached { value, owner, properties, last, may_be_nothing: false, queried };
        for (index, step) in target.steps.iter().enumerate() {
            self.step(step, &mut reached, types)?;
            let is_last = index + 1 == target.steps.len();
            let tail = target.tail != resource::Tail::None && target.tail != resource::Tail::Value;
            if reached.queried.is_none()
                && reached.value == Value::Null
                && (!is_last || tail || !reached.may_be_nothing)
            {
                return Err(Error::NotFound("there is nothing at this address".into()));
            }
        }
        Ok(reached)
    }

    /// Every entity of every set, and every singleton.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where a set is not in memory.
    pub(super) fn all(&self) -> Result<Value, Error> {
        let sets = 0..self.service.model().entity_sets().len();
        if sets.clone().any(|place| self.service.is_queried(place)) {
            return Err(Error::unsupported("$all", "ask each entity set"));
        }
        let entities = sets.flat_map(|place| self.store.set(place).items().to_vec());
        let singletons = 0..self.service.model().singletons().len();
        let singletons = singletons.flat_map(|place| self.store.singleton(place).items().to_vec());
        Ok(Value::Collection(Arc::new(entities.chain(singletons).collect())))
    }

    fn step(&self, step: &Step, reached: &mut Reached, types: &Types<'_>) -> Result<(), Error> {
        let evaluator = self.evaluator(types);
        let items = |kept: Vec<Value>| Value::Collection(Arc::new(kept));
        reached.may_be_nothing = false;
        if let Some(queried) = reached.queried.take() {
            match self.narrow(queried, step)? {
                Ok(queried) => reached.queried = Some(queried),
                Err(row) => reached.value = row,
            }
            return Ok(());
        }
        reached.value = match step {
            Step::Key(key) => find(&reached.value, key),
            Step::Item(position) => {
                let all = reached.value.items();
                let index = if *position < 0 { all.len() as i64 + position } else { *position };
                usize::try_from(index).ok().and_then(|index| all.get(index)).cloned().unwrap_or(Value::Null)
            }
            Step::Cast(place) => {
                let is = |value: &Value| value.record().is_some_and(|record| types.is_a(record.ty, *place));
                match &reached.value {
                    Value::Collection(all) => items(all.iter().filter(|value| is(value)).cloned().collect()),
                    single if is(single) => single.clone(),
                    _ => Value::Null,
                }
            }
            Step::Filter(condition) => {
                let holds = |value: &&Value| evaluator.holds(condition, &mut Slots::of((*value).clone()));
                items(reached.value.items().iter().filter(holds).cloned().collect())
            }
            Step::Navigate(position) => {
                let Some(record) = reached.value.record().cloned() else { return Ok(()) };
                reached.queried = self.queried_beyond(&record, *position, types)?;
                let found = match reached.queried {
                    Some(_) => Value::Null,
                    None => evaluator.follow(&reached.value, *position),
                };
                reached.owner = Some(record);
                reached.properties.clear();
                reached.may_be_nothing = true;
                found
            }
            Step::Property(position) => {
                let Some(record) = reached.value.record().cloned() else { return Ok(()) };
                let structured = types.structured(record.ty);
                if reached.properties.is_empty() {
                    reached.owner = Some(record.clone());
                }
                reached.properties.push(structured.properties[*position].name.clone());
                reached.may_be_nothing = true;
                let found = record.values.get(*position).cloned().unwrap_or(Value::Null);
                reached.last = Some((record, *position));
                found
            }
        };
        Ok(())
    }
}
