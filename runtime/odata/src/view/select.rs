//! `$select`, typed.

use super::{Planner, Select, Shape};
use crate::Error;
use crate::model::{Type, is_identifier};
use crate::plan::{characters, parse_option};
use crate::select::{SelectItem, parse_select};
use crate::url::RawOption;

/// Where an item of `$select` is looked for.
#[derive(Clone, Copy)]
struct At<'i> {
    item: &'i SelectItem,
    /// The text of the option, for places in errors.
    text: &'i str,
    /// The type that the path has come to.
    place: usize,
    /// The derived type that it has been cast to.
    cast: Option<usize>,
}

impl At<'_> {
    fn wrong<T>(&self, message: String) -> Result<T, Error> {
        Err(Error::Type { target: "$select".into(), at: characters(self.text, self.item.at), message })
    }
}

impl Planner<'_, '_> {
    pub(super) fn select(&mut self, option: &RawOption, place: usize) -> Result<Select, Error> {
        let (items, text) = parse_option(option, "$select", parse_select)?;
        let mut select = Select::default();
        for item in &items {
            let at = At { item, text: &text, place, cast: None };
            self.selected(at, &item.path, &mut select)?;
        }
        Ok(select)
    }

    fn selected(&mut self, at: At<'_>, path: &[String], select: &mut Select) -> Result<(), Error> {
        let (name, rest) = path.split_first().expect("a path is never empty");
        if name == "*" {
            select.star = true;
            return Ok(());
        }
        if let Some(namespace) = name.strip_suffix(".*") {
            if namespace != self.types.model().namespace() {
                return at.wrong(format!("there is no namespace `{namespace}`"));
            }
            select.operations.push(name.clone());
            return Ok(());
        }
        // Annotations there are none.
        if name.starts_with('@') {
            return Ok(());
        }
        if !is_identifier(name) {
            return self.selected_of_type(at, name, rest, select);
        }
        let structured = self.types.structured(at.place);
        let property = structured.position(name).map(|position| structured.properties[position].ty);
        let inner = property.and_then(Type::structure);
        if property.is_none() && structured.navigation_position(name).is_none() {
            let near = structured.near_name(name).map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
            return at.wrong(format!("`{}` has no property `{name}`{near}", structured.called()));
        }
        let takes_options = inner.is_some() || property.is_some_and(|ty| ty.collection);
        if (!rest.is_empty() && inner.is_none()) || (at.item.parentheses.is_some() && !takes_options) {
            return at.wrong(format!("`{name}` has no parts that could be selected: use $expand for navigation"));
        }
        let known = select.items.iter().position(|(known, _)| known == name);
        narrow(select, name, at.cast, known.is_some());
        let Some(place) = inner.filter(|_| !rest.is_empty()) else {
            let shape = match (&at.item.parentheses, property) {
                (Some(options), Some(ty)) => self.selected_with(options, ty, at.place)?,
                _ => Shape::default(),
            };
            // What is selected as a whole stays whole, whatever else is said of its parts.
            match known {
                Some(index) => select.items[index].1 = shape,
                None => select.items.push((name.clone(), shape)),
            }
            return Ok(());
        };
        let whole = known.is_some_and(|index| select.items[index].1.select.is_none());
        let before = known.map(|index| select.items[index].1.clone());
        let mut nested = before.as_ref().and_then(|shape| shape.select.clone()).unwrap_or_default();
        self.selected(At { place, cast: None, ..at }, rest, &mut nested)?;
        let shape = Shape { select: (!whole).then_some(nested), ..before.unwrap_or_default() };
        match known {
            Some(index) => select.items[index].1 = shape,
            None => select.items.push((name.clone(), shape)),
        }
        Ok(())
    }

    /// A qualified name: a type that the rest of the path belongs to, or an operation.
    fn selected_of_type(&mut self, at: At<'_>, name: &str, rest: &[String], select: &mut Select) -> Result<(), Error> {
        let model = self.types.model();
        let cast = model.type_of_name(name).and_then(Type::structure);
        let base = self.types.of_model(at.place).unwrap_or(at.place);
        let related = |cast: &usize| self.types.is_a(*cast, base) || self.types.is_a(base, *cast);
        match cast.filter(related) {
            Some(cast) if !rest.is_empty() => {
                let narrower = !self.types.is_a(base, cast);
                // Computed properties are those of the type that has them.
                let place = if narrower { self.made_from(at.place, cast) } else { at.place };
                self.selected(At { place, cast: narrower.then_some(cast), ..at }, rest, select)
            }
            Some(_) => at.wrong(format!("a property is expected after `{name}`")),
            // An operation that cannot be bound here is no error (Part 2 §5.1.4).
            None if cast.is_none() && model.has_operation(name) => Ok(()),
            None => {
                let structured = self.types.structured(at.place);
                at.wrong(format!("`{name}` is no type derived from `{}`", structured.name))
            }
        }
    }

    /// The type that rows of a derived type are of, where a request has made another of theirs.
    fn made_from(&self, place: usize, cast: usize) -> usize {
        self.types.family(place).into_iter().find(|made| self.types.is_a(*made, cast)).unwrap_or(cast)
    }

    /// What is wanted of a property with options: of a collection, which items and what of each; of a complex value, what of
    /// it.
    fn selected_with(&mut self, options: &str, ty: Type, row: usize) -> Result<Shape, Error> {
        let mut options = Self::nested_options(options)?;
        if options.take("expand").is_some() {
            return Err(Error::invalid("$expand", "it does not go with a selected property: expand the path to it"));
        }
        options.take("apply").map_or(Ok(()), |_| Err(Error::invalid("$apply", "it goes with entities")))?;
        let view = self.nested_view(&mut options, ty, Type::structured(row))?;
        options.nothing_left("this selected property")?;
        let select = view.shape.select.clone();
        let plain = !ty.collection && view.compute.is_empty();
        Ok(Shape { select, expand: Vec::new(), inner: (!plain).then(|| Box::new(view)) })
    }
}

/// Keeps which records of are wanted to have a property: those of the derived type, or all if it is named without one, too.
fn narrow(select: &mut Select, name: &str, cast: Option<usize>, known: bool) {
    match cast {
        Some(cast) if !known || select.only_of(name).next().is_some() => select.narrowed.push((name.to_owned(), cast)),
        Some(_) => {}
        None => select.narrowed.retain(|(narrowed, _)| narrowed != name),
    }
}
