//! `$expand`, typed.

use super::{Expand, Expanded, Planner, Way};
use crate::Error;
use crate::limits::EXPAND_MAX_DEPTH;
use crate::model::{Type, is_identifier};
use crate::options::Options;
use crate::plan::{characters, parse_option};
use crate::select::{SelectItem, parse_expand};
use crate::url::RawOption;

/// Where the path of an item leads.
struct Found {
    way: Vec<Way>,
    name: String,
    /// The type that the navigation property leads to.
    target: Type,
}

impl Planner<'_, '_> {
    pub(super) fn expand(&mut self, option: &RawOption, place: usize) -> Result<Vec<Expand>, Error> {
        let (items, text) = parse_option(option, "$expand", parse_expand)?;
        let mut expansions: Vec<Expand> = Vec::new();
        for item in &items {
            let error =
                |message: String| Error::Type { target: "$expand".into(), at: characters(&text, item.at), message };
            let (path, what) = match item.path.split_last() {
                Some((last, path)) if last == "$ref" => (path, Expanded::References),
                Some((last, path)) if last == "$count" => (path, Expanded::Count),
                _ => (item.path.as_slice(), Expanded::Entities),
            };
            let (path, cast) = match path.split_last() {
                Some((last, rest)) if !rest.is_empty() && last.contains('.') => {
                    let cast = self.types.model().type_of_name(last).and_then(Type::structure);
                    (rest, Some(cast.ok_or_else(|| error(format!("the model has no type `{last}`")))?))
                }
                _ => (path, None),
            };
            for found in self.ways(path, place, &error)? {
                if expansions.iter().any(|known| known.name == found.name && known.way == found.way) {
                    if path == ["*"] {
                        continue;
                    }
                    return Err(error(format!("`{}` is expanded twice", found.name)));
                }
                expansions.push(self.expansion(item, found, what, cast, Type::structured(place), &error)?);
            }
        }
        Ok(expansions)
    }

    /// The navigation properties that a path names; several for a star.
    fn ways(&self, path: &[String], place: usize, error: &dyn Fn(String) -> Error) -> Result<Vec<Found>, Error> {
        let (mut place, mut way) = (place, Vec::new());
        let Some((last, before)) = path.split_last() else { return Err(error("a path is expected".into())) };
        for name in before {
            if !is_identifier(name) {
                let cast = self.types.model().type_of_name(name).and_then(Type::structure);
                place = cast.ok_or_else(|| error(format!("the model has no type `{name}`")))?;
                way.push(Way::Cast(place));
                continue;
            }
            let structured = self.types.structured(place);
            let inner = structured.position(name).and_then(|position| structured.properties[position].ty.structure());
            place = inner.ok_or_else(|| error(format!("`{}` has no complex property `{name}`", structured.name)))?;
            way.push(Way::Property(name.clone()));
        }
        let structured = self.types.structured(place);
        let all = last == "*";
        let found: Vec<Found> = structured
            .navigation
            .iter()
            .filter(|navigation| all || navigation.name == *last)
            .map(|navigation| Found { way: way.clone(), name: navigation.name.clone(), target: navigation.ty() })
            .collect();
        if !found.is_empty() || all {
            return Ok(found);
        }
        if last == "$value" || structured.position(last).is_some_and(|at| structured.properties[at].is_stream()) {
            return Err(Error::unsupported("streams in $expand", "read the stream at its own URL"));
        }
        let near = structured.near_name(last).map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
        Err(error(format!("`{}` has no navigation property `{last}`{near}", structured.name)))
    }

    fn expansion(
        &mut self,
        item: &SelectItem,
        found: Found,
        what: Expanded,
        cast: Option<usize>,
        row: Type,
        error: &dyn Fn(String) -> Error,
    ) -> Result<Expand, Error> {
        let mut options = match &item.parentheses {
            Some(text) => Self::nested_options(text)?,
            None => Options::default(),
        };
        let repeated = options.repeated(&["levels", "top", "skip", "skiptoken"]);
        let levels = options.take("levels").map(|option| levels(&option)).transpose()?.unwrap_or(1);
        let target = cast.map_or(found.target, |cast| Type { base: Type::structured(cast).base, ..found.target });
        if what == Expanded::Count && !target.collection {
            return Err(error(format!("`{}` leads to one entity: there is nothing to count", found.name)));
        }
        let outer = (self.it, self.depth);
        self.depth += 1;
        self.it = self.it.or(Some(row));
        let view = self.view(&mut options, target);
        (self.it, self.depth) = outer;
        options.nothing_left(match (what, target.collection) {
            (Expanded::Entities, true) => "the expansion of a collection",
            (Expanded::Entities, false) => "the expansion of a single entity",
            (Expanded::References, _) => "references",
            (Expanded::Count, _) => "a count",
        })?;
        Ok(Expand { way: found.way, name: found.name, what, cast, view: view?, levels, repeated })
    }
}

/// `$levels`: a whole number from 1, or `max`, which is the service's greatest depth.
fn levels(option: &RawOption) -> Result<usize, Error> {
    if option.value.eq_ignore_ascii_case("max") {
        return Ok(EXPAND_MAX_DEPTH);
    }
    let number: Option<usize> =
        option.value.parse().ok().filter(|number| *number > 0 && !option.value.starts_with(['0', '+']));
    match number {
        Some(number) if number <= EXPAND_MAX_DEPTH => Ok(number),
        Some(_) => Err(Error::Limit { target: "$levels".into(), limit: "expand depth", max: EXPAND_MAX_DEPTH }),
        None => {
            Err(Error::invalid("$levels", format!("a whole number from 1 or max is expected, not `{}`", option.value)))
        }
    }
}
