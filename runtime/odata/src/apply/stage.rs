//! One computed property: the types that have it, and the rows that get it.

use crate::eval::{Evaluator, Slots};
use crate::model::{Property, StructuredType, Type};
use crate::typed::{TypedExpr, Types};
use crate::value::Record;
use crate::{Error, PrimitiveType, Value};
use std::sync::Arc;

/// A property computed for each row.
#[derive(Clone, PartialEq, Debug)]
pub struct Stage {
    value: TypedExpr,
    /// For each type that a row can be of, the one with the property.
    made: Vec<(usize, usize)>,
    /// Its position in all of those.
    position: usize,
}

impl Stage {
    /// Makes the types. In those derived from the row's, which may have more properties, it stands at the same position:
    /// behind all, with properties without a name between where there are fewer.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a name that is taken or is none.
    pub fn make(types: &mut Types<'_>, row: Type, name: &str, value: TypedExpr) -> Result<Self, Error> {
        let refused = |message: String| Err(Error::invalid("$compute", message));
        let Some(place) = row.structure() else { return refused("only entities have properties to add to".into()) };
        if !crate::model::is_identifier(name) {
            return refused(format!("`{name}` is no name for a property"));
        }
        let family = types.family(place);
        for other in &family {
            let structured = types.structured(*other);
            if structured.position(name).is_some() || structured.navigation_position(name).is_some() {
                return refused(format!("`{}` already has a property `{name}`", structured.name));
            }
        }
        let position = family.iter().map(|other| types.structured(*other).properties.len()).max().unwrap_or(0);
        let ty = value.ty.unwrap_or_else(|| PrimitiveType::String.into());
        let mut made: Vec<(usize, usize)> = Vec::new();
        for other in family {
            let old = types.structured(other).clone();
            let mut properties = old.properties;
            properties.resize_with(position, || Property::optional("", PrimitiveType::String));
            properties.push(Property::optional(name, ty));
            let new = StructuredType { properties, base_type: Some(other), ..old };
            let place = match made.first() {
                None => types.make(new),
                Some((_, head)) => types.make_beside(new, *head),
            };
            made.push((other, place));
        }
        Ok(Self { value, made, position })
    }

    /// What is computed.
    #[must_use]
    pub fn value(&self) -> &TypedExpr {
        &self.value
    }

    /// The position of the property.
    #[must_use]
    pub fn position(&self) -> usize {
        self.position
    }

    /// The type of the rows with the property.
    #[must_use]
    pub fn row(&self, row: Type) -> Type {
        row.structure().map_or(row, |place| Type { base: Type::structured(self.new_place(place)).base, ..row })
    }

    fn new_place(&self, place: usize) -> usize {
        self.made.iter().find(|(old, _)| *old == place).map_or(place, |(_, new)| *new)
    }

    /// A row with the property.
    #[must_use]
    pub fn apply(&self, row: &Value, evaluator: &Evaluator<'_>, slots: &mut Slots) -> Value {
        if !matches!(row, Value::Record(_)) {
            return row.clone();
        }
        self.with(row, evaluator.value(&self.value, slots))
    }

    /// A row with a value of the property.
    #[must_use]
    pub fn with(&self, row: &Value, value: Value) -> Value {
        let Value::Record(record) = row else { return row.clone() };
        let mut values = record.values.clone();
        values.resize(self.position, Value::Null);
        values.push(value);
        Value::Record(Arc::new(Record { ty: self.new_place(record.ty), home: record.home, values }))
    }
}
