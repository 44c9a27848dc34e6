//! `$select`, typed.

use super::{Planner, Select, Shape};
use crate::Error;
use crate::model::{Type, is_identifier};
use crate::plan::{characters, parse_option};
use crate::select::{SelectItem, parse_select};
use crate::url::RawOption;

impl Planner<'_, '_> {
    pub(super) fn select(&mut self, option: &RawOption, place: usize) -> Result<Select, Error> {
        let (items, text) = parse_option(option, "$select", parse_select)?;
        let mut select = Select::default();
        for item in &items {
            self.selected(item, &item.path, place, &text, &mut select)?;
        }
        Ok(select)
    }

    fn selected(
        &mut self,
        item: &SelectItem,
        path: &[String],
        place: usize,
        text: &str,
        select: &mut Select,
    ) -> Result<(), Error> {
        let wrong = |message: String| Error::Type { target: "$select".into(), at: characters(text, item.at), message };
        let (name, rest) = path.split_first().expect("a path is never empty");
        if name == "*" {
            select.star = true;
            return Ok(());
        }
        // Annotations there are none; all operations of a schema are none, too.
        if name.starts_with('@') || name.ends_with(".*") {
            return Ok(());
        }
        if !is_identifier(name) {
            let cast = self.types.model().type_of_name(name).and_then(Type::structure);
            return match cast.filter(|cast| self.types.is_a(*cast, place) || self.types.is_a(place, *cast)) {
                Some(cast) if !rest.is_empty() => self.selected(item, rest, cast, text, select),
                Some(_) => Err(wrong(format!("a property is expected after `{name}`"))),
                None => Err(wrong(format!("`{name}` is no type derived from `{}`", self.types.structured(place).name))),
            };
        }
        let structured = self.types.structured(place);
        let property = structured.position(name).map(|position| structured.properties[position].ty);
        let inner = property.and_then(Type::structure);
        if property.is_none() && structured.navigation_position(name).is_none() {
            let near = structured.near_name(name).map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
            return Err(wrong(format!("`{}` has no property `{name}`{near}", structured.name)));
        }
        if !rest.is_empty() && inner.is_none() {
            return Err(wrong(format!("`{name}` has no parts that could be selected: use $expand for navigation")));
        }
        let index = match select.items.iter().position(|(known, _)| known == name) {
            Some(index) => index,
            None => {
                select.items.push((name.clone(), Shape::default()));
                select.items.len() - 1
            }
        };
        if let Some(inner) = inner.filter(|_| !rest.is_empty()) {
            let mut nested = select.items[index].1.select.take().unwrap_or_default();
            let result = self.selected(item, rest, inner, text, &mut nested);
            select.items[index].1.select = Some(nested);
            return result;
        }
        if let Some(options) = &item.parentheses {
            let mut options = Self::nested_options(options)?;
            if let (Some(inner), Some(option)) = (inner, options.take("select")) {
                select.items[index].1.select = Some(self.select(&option, inner)?);
            }
            options.nothing_left("a selected property here").map_err(|error| match error {
                Error::Invalid { target, message } => Error::Unsupported { target, message },
                other => other,
            })?;
        }
        Ok(())
    }
}
