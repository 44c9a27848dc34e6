//! The types of a request: those of the model, and those that the request makes for itself with `$compute` or `$apply`.

use crate::Model;
use crate::model::{Base, EnumType, StructuredType, Type};

/// The types of the model and those made since.
#[derive(Clone, Debug)]
pub struct Types<'m> {
    model: &'m Model,
    made: Vec<StructuredType>,
}

impl<'m> Types<'m> {
    /// The types of the model.
    #[must_use]
    pub fn new(model: &'m Model) -> Self {
        Self { model, made: Vec::new() }
    }

    /// The model.
    #[must_use]
    pub fn model(&self) -> &'m Model {
        self.model
    }

    /// Adds a type and gives its place.
    pub fn make(&mut self, ty: StructuredType) -> usize {
        self.made.push(ty);
        self.model.types().len() + self.made.len() - 1
    }

    /// The places of all structured types.
    pub fn places(&self) -> std::ops::Range<usize> {
        0..self.model.types().len() + self.made.len()
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
