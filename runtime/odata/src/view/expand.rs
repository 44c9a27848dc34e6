//! `$expand`, typed.

use super::{Expand, Expanded, Planner, Way};
use crate::Error;
use crate::limits::EXPAND_MAX_DEPTH;
use crate::model::{PrimitiveType, Type, is_identifier};
use crate::options::Options;
use crate::plan::{characters, parse_option};
use crate::select::{SelectItem, parse_expand};
use crate::url::RawOption;

/// Where the path of an item leads.
struct Found {
    way: Vec<Way>,
    name: String,
    /// The type that the navigation property leads to; that of a stream for a stream.
    target: Type,
}

impl Planner<'_, '_> {
    pub(super) fn expand(&mut self, option: &RawOption, place: usize) -> Result<Vec<Expand>, Error> {
        let (items, text) = parse_option(option, "$expand", parse_expand)?;
        let mut expansions: Vec<Expand> = Vec::new();
        // What is named comes before what a star stands for.
        let is_star = |item: &&SelectItem| item.path.iter().any(|part| part == "*");
        for item in items.iter().filter(|item| !is_star(item)).chain(items.iter().filter(is_star)) {
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
                    if is_star(&item) {
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
            place =
                inner.ok_or_else(|| error(format!("`{}` has no complex property `{name}`", structured.called())))?;
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
        let media = last == "$value" && structured.has_stream;
        if media || structured.position(last).is_some_and(|at| structured.properties[at].is_stream()) {
            return Ok(vec![Found { way, name: last.clone(), target: PrimitiveType::Stream.into() }]);
        }
        // What `$apply` has put into a property of its own making.
        let made = structured.position(last).map(|at| structured.properties[at].ty);
        let entities = |ty: &Type| ty.structure().is_some_and(|place| !self.types.structured(place).key.is_empty());
        if let Some(target) = made.filter(entities) {
            return Ok(vec![Found { way, name: last.clone(), target }]);
        }
        let near = structured.near_name(last).map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
        Err(error(format!("`{}` has no navigation property `{last}`{near}", structured.called())))
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
        if found.target == PrimitiveType::Stream {
            if what != Expanded::Entities || cast.is_some() || item.parentheses.is_some() {
                return Err(error(format!("`{}` is a stream: nothing goes with it", found.name)));
            }
            let view = self.view(&mut Options::default(), found.target)?;
            let (way, name) = (found.way, found.name);
            return Ok(Expand { way, name, what: Expanded::Stream, cast, view, levels: 1, repeated: Vec::new() });
        }
        let inline = row.structure().is_some_and(|place| self.types.structured(place).position(&found.name).is_some());
        let what = if inline && found.way.is_empty() && what == Expanded::Entities { Expanded::Inline } else { what };
        let mut options = match &item.parentheses {
            Some(text) => Self::nested_options(text)?,
            None => Options::default(),
        };
        let repeated = self.repeated(&options);
        if let (Expanded::References | Expanded::Count, true) = (what, options.has("levels")) {
            return Err(Error::invalid("$levels", "this option goes with entities only"));
        }
        let levels = options.take("levels").map(|option| levels(&option)).transpose()?.unwrap_or(1);
        if let (Some(cast), Some(place)) = (cast, found.target.structure())
            && !self.types.is_a(cast, place)
            && !self.types.is_a(place, cast)
        {
            let (cast, name) = (self.types.name(Type::structured(cast)), self.types.name(Type::structured(place)));
            return Err(error(format!("`{cast}` is no type derived from `{name}`")));
        }
        if let Expanded::References | Expanded::Count = what {
            allowed(what, &options)?;
        }
        let target = cast.map_or(found.target, |cast| Type { base: Type::structured(cast).base, ..found.target });
        if what == Expanded::Count && !target.collection {
            return Err(error(format!("`{}` leads to one entity: there is nothing to count", found.name)));
        }
        let view = self.nested_view(&mut options, target, row)?;
        options.nothing_left(match (what, target.collection) {
            (Expanded::Entities | Expanded::Stream | Expanded::Inline, true) => "the expansion of a collection",
            (Expanded::Entities | Expanded::Stream | Expanded::Inline, false) => "the expansion of a single entity",
            (Expanded::References, _) => "references",
            (Expanded::Count, _) => "a count",
        })?;
        Ok(Expand { way: found.way, name: found.name, what, cast, view, levels, repeated })
    }

    /// What a link to the rest of an expansion repeats: its options, and the aliases that they use.
    fn repeated(&self, options: &Options) -> Vec<(String, String)> {
        let mut repeated = options.repeated(&["levels", "top", "skip", "skiptoken"]);
        let own = options.aliases.iter().map(|(name, option)| (name.clone(), option.value.clone()));
        let outer = self.aliases.iter().filter(|(name, _)| !options.aliases.contains_key(*name));
        repeated.extend(own.chain(outer.map(|(name, value)| (name.clone(), value.to_string()))));
        repeated
    }
}

/// References and counts have nothing that could be shaped (ABNF `expandRefOption`, `expandCountOption`).
fn allowed(what: Expanded, options: &Options) -> Result<(), Error> {
    let (shaping, of): (&[&str], _) = match what {
        Expanded::Count => (&["orderby", "skip", "top", "count", "select", "expand", "compute", "apply"], "a count"),
        _ => (&["select", "expand", "compute", "apply"], "references"),
    };
    match shaping.iter().find(|name| options.has(name)) {
        Some(name) => Err(Error::invalid(format!("${name}"), format!("this option does not go with {of}"))),
        None => Ok(()),
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
