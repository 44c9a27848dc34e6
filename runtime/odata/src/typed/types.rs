//! The types of a request: those of the model, and those that the request makes for itself with `$compute` or `$apply`.

use super::Work;
use crate::limits::{ENTITIES_MAX, WORK_MAX_STEPS};
use crate::model::{Base, EnumType, StructuredType, Type};
use crate::{Error, Model};
use std::cell::Cell;
use std::sync::Arc;

/// The types of the model and those made since.
#[derive(Clone, Debug)]
pub struct Types<'m> {
    model: &'m Model,
    made: Vec<StructuredType>,
    /// For each type made: the one that the others made with it are derived from.
    heads: Vec<usize>,
    /// Whether `$apply` has made more rows than may be.
    too_many_rows: Cell<bool>,
    items_taken: Cell<usize>,
    /// What evaluating over these types may cost.
    work: Arc<Work>,
}

impl<'m> Types<'m> {
    /// The types of the model.
    #[must_use]
    pub fn new(model: &'m Model) -> Self {
        Self::within(model, Arc::default())
    }

    /// The same for work that is counted with other work.
    pub(crate) fn within(model: &'m Model, work: Arc<Work>) -> Self {
        let (made, heads) = (Vec::new(), Vec::new());
        Self { model, made, heads, too_many_rows: Cell::new(false), items_taken: Cell::new(0), work }
    }

    /// Counts steps of an evaluation; whether there may be more.
    pub(crate) fn may_work(&self, steps: usize) -> bool {
        self.work.take(steps)
    }

    /// Counts another row of a stream: it may take steps of its own.
    pub(crate) fn add_row(&self) {
        self.work.add_row();
    }

    /// The model.
    #[must_use]
    pub fn model(&self) -> &'m Model {
        self.model
    }

    /// Adds a type and gives its place.
    pub fn make(&mut self, ty: StructuredType) -> usize {
        self.make_beside(ty, self.model.types().len() + self.made.len())
    }

    /// Adds a type that stands to another made type as one of the model to its base type.
    pub fn make_beside(&mut self, ty: StructuredType, head: usize) -> usize {
        self.made.push(ty);
        self.heads.push(head);
        self.model.types().len() + self.made.len() - 1
    }

    /// Says that `$apply` makes more rows than may be.
    pub(crate) fn give_up(&self) {
        self.too_many_rows.set(true);
    }

    /// Counts items that `$apply` takes into rows, over the whole request: rows of rows grow by their product. False: they are too
    /// many, and whoever makes them is to stop.
    pub(crate) fn may_take(&self, items: usize) -> bool {
        let taken = self.items_taken.get().saturating_add(items);
        self.items_taken.set(taken);
        if taken > ENTITIES_MAX {
            self.give_up();
        }
        !self.too_many_rows.get()
    }

    /// Refuses an answer whose rows were too many to be made, or took too long.
    ///
    /// # Errors
    /// [`Error::Limit`]
    pub fn check_rows(&self) -> Result<(), Error> {
        if !self.may_work(0) {
            let max = usize::try_from(WORK_MAX_STEPS).unwrap_or(usize::MAX);
            return Err(Error::Limit { target: "query".into(), limit: "steps of evaluation", max });
        }
        if self.too_many_rows.get() {
            return Err(Error::Limit { target: "$apply".into(), limit: "rows", max: ENTITIES_MAX });
        }
        Ok(())
    }

    /// The types that rows of a type can be of: itself, and then those derived from it.
    #[must_use]
    pub fn family(&self, place: usize) -> Vec<usize> {
        let of_model = self.model.types().len();
        let derived: Vec<usize> = match place < of_model {
            true => (0..of_model).filter(|other| self.is_a(*other, place)).collect(),
            false => (0..self.made.len()).filter(|made| self.heads[*made] == place).map(|at| of_model + at).collect(),
        };
        std::iter::once(place).chain(derived.into_iter().filter(|other| *other != place)).collect()
    }

    /// A structured type by its place.
    #[must_use]
    pub fn structured(&self, place: usize) -> &StructuredType {
        match place.checked_sub(self.model.types().len()) {
            None => &self.model.types()[place],
            Some(made) => &self.made[made],
        }
    }

    /// An enumeration by its place.
    #[must_use]
    pub fn enumeration(&self, place: usize) -> &'m EnumType {
        &self.model.enum_types()[place]
    }

    /// Whether a type is another or derived from it; one made by a request counts as what it was made from.
    #[must_use]
    pub fn is_a(&self, place: usize, of: usize) -> bool {
        let mut place = Some(place);
        while let Some(found) = place {
            if found == of {
                return true;
            }
            place = self.structured(found).base_type;
        }
        false
    }

    /// The type of the model that a type is or was made from.
    #[must_use]
    pub fn of_model(&self, place: usize) -> Option<usize> {
        let mut place = Some(place);
        while let Some(found) = place.filter(|place| *place >= self.model.types().len()) {
            place = self.structured(found).base_type;
        }
        place
    }

    /// The qualified name of a type.
    #[must_use]
    pub fn name(&self, ty: Type) -> String {
        match ty.base {
            Base::Structured(place) => match self.of_model(place) {
                Some(place) => self.model.type_name(Type { base: Base::Structured(place), ..ty }),
                None => self.model.type_name(ty),
            },
            _ => self.model.type_name(ty),
        }
    }
}
