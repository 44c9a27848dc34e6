//! The path of a URL, segment by segment, typed against the model: what resource a client means.

mod keys;

use crate::expr::{self, Expr};
use crate::limits::{Limits, SEGMENTS_MAX};
use crate::model::{Base, PrimitiveType, Type, nearest};
use crate::plan::mismatch;
use crate::select::split_top;
use crate::typed::{self, Context, TypedExpr, Types};
use crate::url::decode;
use crate::value::Home;
use crate::{Error, Value};
use std::collections::BTreeMap;

/// Where a path begins.
#[derive(Clone, PartialEq, Debug)]
pub enum Root {
    /// The service document.
    ServiceDocument,
    /// `$metadata`
    Metadata,
    /// `$batch`
    Batch,
    /// `$all`
    All,
    /// `$entity`, with the type it is cast to.
    EntityById(Option<usize>),
    /// `$crossjoin(…)`: the sets.
    CrossJoin(Vec<usize>),
    /// A set, by its place in the model.
    Set(usize),
    /// A singleton, by its place in the model.
    Singleton(usize),
    /// An action at the root, by its place in the model.
    Action(usize),
    /// A function at the root.
    Operation,
}

/// A step on the way.
#[derive(Clone, PartialEq, Debug)]
pub enum Step {
    /// The one with this key.
    Key(Vec<(usize, Value)>),
    /// Along a navigation property.
    Navigate(usize),
    /// To a property.
    Property(usize),
    /// To what is of a derived type.
    Cast(usize),
    /// To what a condition lets through.
    Filter(TypedExpr),
    /// To the item at a position, from the end if negative.
    Item(i64),
}

/// What a path ends in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tail {
    /// The resource itself.
    None,
    /// `$count`
    Count,
    /// `$ref`
    Ref,
    /// `$value`
    Value,
}

/// A path, typed.
#[derive(Clone, PartialEq, Debug)]
pub struct Target {
    /// Where it begins.
    pub root: Root,
    /// The steps from there.
    pub steps: Vec<Step>,
    /// What it ends in.
    pub tail: Tail,
    /// The type of what the steps lead to; none for documents.
    pub ty: Option<Type>,
    /// Where entities of that kind are found.
    pub home: Home,
    /// The operation that is called on what the steps lead to, or at the root, by its place in the model.
    pub operation: Option<usize>,
    /// The arguments of a function as they stand between parentheses.
    pub arguments: Option<String>,
}

impl Target {
    /// The set that what the path leads to is in, by its place in the model.
    #[must_use]
    pub fn home_set(&self) -> Option<usize> {
        match self.home {
            Home::Set(place) => Some(place),
            _ => None,
        }
    }
}

/// The segments of a path below the root, decoded.
///
/// # Errors
/// [`Error::Syntax`], [`Error::Limit`]
pub fn segments(path: &str) -> Result<Vec<String>, Error> {
    let path = path.strip_prefix('/').unwrap_or(path);
    let path = path.strip_suffix('/').unwrap_or(path);
    if path.is_empty() {
        return Ok(Vec::new());
    }
    // Expressions in a path have slashes of their own, which nobody encodes.
    let parts: Vec<&str> = match path.contains("$filter(") {
        true => split_top(path, '/').into_iter().map(|(_, part)| part).collect(),
        false => path.split('/').collect(),
    };
    if parts.len() > SEGMENTS_MAX {
        return Err(Error::Limit { target: "path".into(), limit: "path segments", max: SEGMENTS_MAX });
    }
    parts.into_iter().map(|part| decode(part, "path")).collect()
}

/// Types a path against the model.
///
/// # Errors
/// [`Error::NotFound`] for what the model does not have, [`Error::Syntax`], [`Error::Invalid`].
pub fn resolve(path: &str, types: &Types<'_>, aliases: &BTreeMap<String, Expr>, now_ns: i64) -> Result<Target, Error> {
    let segments = segments(path)?;
    let target = Target {
        root: Root::ServiceDocument,
        steps: Vec::new(),
        tail: Tail::None,
        ty: None,
        home: Home::None,
        operation: None,
        arguments: None,
    };
    let Some((first, rest)) = segments.split_first() else { return Ok(target) };
    let mut resolver = Resolver { types, aliases, now_ns, target, implied: Vec::new() };
    let mut rest = resolver.root(first, rest)?;
    while let Some((segment, after)) = rest.split_first() {
        if resolver.target.tail != Tail::None || resolver.target.operation.is_some() {
            return Err(Error::NotFound(format!(
                "nothing comes after `{}`",
                segments[segments.len() - after.len() - 2]
            )));
        }
        rest = resolver.segment(segment, after)?;
    }
    Ok(resolver.target)
}

struct Resolver<'a> {
    types: &'a Types<'a>,
    aliases: &'a BTreeMap<String, Expr>,
    now_ns: i64,
    target: Target,
    /// The parts of a key that are known from where the path has come from, as positions.
    implied: Vec<usize>,
}

type Rest<'s> = Result<&'s [String], Error>;

impl<'a> Resolver<'a> {
    fn context(&self, this: Option<Type>) -> Context<'a> {
        let (types, aliases, now_ns) = (self.types, self.aliases, self.now_ns);
        Context { types, this, it: None, aliases, now_ns, through_collections: false }
    }

    fn root<'s>(&mut self, first: &str, rest: &'s [String]) -> Rest<'s> {
        let alone = |name: &str| Error::NotFound(format!("there is nothing below {name}"));
        match first {
            "$metadata" => self.target.root = Root::Metadata,
            "$batch" => self.target.root = Root::Batch,
            "$entity" => {
                let cast = rest.first().map(|name| self.cast_type(name)).transpose()?;
                self.target.root = Root::EntityById(cast);
                self.target.ty = cast.map(Type::structured);
                return if rest.len() > 1 { Err(alone(first)) } else { Ok(&[]) };
            }
            "$all" => {
                self.target.root = Root::All;
                let cast =
                    rest.first().filter(|name| *name != "$count").map(|name| self.cast_type(name)).transpose()?;
                self.target.ty = cast.map(|place| Type::structured(place).many());
                self.target.steps.extend(cast.map(Step::Cast));
                let rest = &rest[usize::from(cast.is_some())..];
                return match rest {
                    [] => Ok(&[]),
                    [count] if count == "$count" => {
                        self.target.tail = Tail::Count;
                        Ok(&[])
                    }
                    _ => Err(alone(first)),
                };
            }
            _ if first.starts_with("$crossjoin") => {
                self.target.root = Root::CrossJoin(self.joined(first)?);
                return match rest {
                    [count] if count == "$count" => {
                        self.target.tail = Tail::Count;
                        Ok(&[])
                    }
                    [] => Ok(&[]),
                    _ => Err(alone("$crossjoin")),
                };
            }
            _ => return self.named(first, rest),
        }
        if rest.is_empty() { Ok(rest) } else { Err(alone(first)) }
    }

    fn joined(&self, first: &str) -> Result<Vec<usize>, Error> {
        let inner = first.strip_prefix("$crossjoin(").and_then(|rest| rest.strip_suffix(')'));
        let inner = inner.ok_or_else(|| Error::invalid("$crossjoin", "entity sets in parentheses are expected"))?;
        let sets = self.types.model().entity_sets();
        let mut found = Vec::new();
        for name in inner.split(',').map(str::trim) {
            let place = sets.iter().position(|set| set.name == name);
            let place = place.ok_or_else(|| Error::NotFound(format!("there is no entity set `{name}`")))?;
            if found.contains(&place) {
                return Err(Error::invalid("$crossjoin", format!("`{name}` is there twice")));
            }
            found.push(place);
        }
        Ok(found)
    }

    fn named<'s>(&mut self, first: &str, rest: &'s [String]) -> Rest<'s> {
        let model = self.types.model();
        let (name, key) = split_key(first)?;
        if let Some(place) = model.entity_sets().iter().position(|set| set.name == name) {
            self.target.root = Root::Set(place);
            self.target.home = Home::Set(place);
            self.target.ty =
                model.type_place(&model.entity_sets()[place].entity_type).map(|ty| Type::structured(ty).many());
            return key.map_or(Ok(()), |key| self.key(key)).map(|()| rest);
        }
        if let Some(place) = model.singletons().iter().position(|singleton| singleton.name == name) {
            self.target.root = Root::Singleton(place);
            self.target.home = Home::Singleton(place);
            self.target.ty = model.type_place(&model.singletons()[place].entity_type).map(Type::structured);
            return match key {
                None => Ok(rest),
                Some(_) => Err(Error::NotFound(format!("`{name}` is one entity and has no key"))),
            };
        }
        if let Some(place) = model.actions().iter().position(|action| action.name == name) {
            self.target.root = Root::Action(place);
            let extra = !rest.is_empty() || key.is_some_and(|key| !key.is_empty());
            return if extra { Err(Error::NotFound(format!("nothing comes after `{name}`"))) } else { Ok(rest) };
        }
        if let Some(place) = model.operations().iter().position(|found| found.bound_to.is_none() && found.name == name)
        {
            self.target.root = Root::Operation;
            self.target.operation = Some(place);
            self.target.arguments = key.map(str::to_owned);
            return if rest.is_empty() {
                Ok(rest)
            } else {
                Err(Error::NotFound(format!("nothing comes after `{name}`")))
            };
        }
        let sets = model.entity_sets().iter().map(|set| set.name.as_str());
        let near = nearest(name, sets.chain(model.singletons().iter().map(|singleton| singleton.name.as_str())));
        let hint = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
        Err(Error::NotFound(format!("there is no entity set `{name}`{hint}")))
    }

    fn cast_type(&self, name: &str) -> Result<usize, Error> {
        let found = self.types.model().type_of_name(name).and_then(Type::structure);
        found.ok_or_else(|| Error::NotFound(format!("the model has no structured type `{name}`")))
    }

    /// Goes one segment on; gives what is left.
    fn segment<'s>(&mut self, segment: &str, rest: &'s [String]) -> Rest<'s> {
        let Some(ty) = self.target.ty else { return Err(Error::NotFound(format!("there is no `{segment}` here"))) };
        let structure = ty.structure();
        match segment {
            "$count" if ty.collection => self.target.tail = Tail::Count,
            "$count" => return Err(Error::invalid("path", "`$count` needs a collection before it")),
            "$ref" => {
                if structure.is_none_or(|place| self.types.structured(place).complex) {
                    return Err(Error::NotFound("`$ref` needs an entity before it".into()));
                }
                self.target.tail = Tail::Ref;
            }
            "$value" => self.raw(ty)?,
            "$each" => return Err(Error::unsupported("path segment $each", "nothing here can be changed")),
            "$query" => return Err(Error::Method { method: "GET".into(), allowed: "POST" }),
            _ if segment.starts_with("$filter(") => self.filter(segment, ty)?,
            _ if segment.starts_with('$') => {
                return Err(Error::NotFound(format!("there is no resource `{segment}` here")));
            }
            _ => return self.name_or_key(segment, rest, ty),
        }
        Ok(rest)
    }

    /// `$value`: of a primitive property, of an enumeration, of a media entity.
    fn raw(&mut self, ty: Type) -> Result<(), Error> {
        let allowed = !ty.collection
            && match ty.base {
                Base::Primitive(primitive) => primitive != PrimitiveType::Stream,
                Base::Enum(_) => true,
                Base::Structured(place) => self.types.structured(place).has_stream,
            };
        if !allowed {
            return Err(Error::invalid("path", "`$value` needs a single primitive value or a media entity before it"));
        }
        self.target.tail = Tail::Value;
        Ok(())
    }

    fn filter(&mut self, segment: &str, ty: Type) -> Result<(), Error> {
        let condition = segment.strip_prefix("$filter(").and_then(|rest| rest.strip_suffix(')'));
        let Some(text) = condition.filter(|_| ty.collection) else {
            return Err(Error::invalid("path", "`$filter(…)` needs a collection before it"));
        };
        let parsed = expr::parse(text, Limits::default()).map_err(|error| syntax(text, error))?;
        let typed = typed::check_boolean(&parsed, self.context(Some(ty.item())), "a path filter");
        self.target.steps.push(Step::Filter(typed.map_err(|found| mismatch("path", text, found))?));
        Ok(())
    }

    fn name_or_key<'s>(&mut self, segment: &str, rest: &'s [String], ty: Type) -> Rest<'s> {
        let Some(place) = ty.structure() else {
            if ty.collection
                && let Ok(position) = segment.parse::<i64>()
            {
                self.target.steps.push(Step::Item(position));
                self.target.ty = Some(ty.item());
                return Ok(rest);
            }
            return Err(Error::NotFound(format!("{} has no part `{segment}`", self.types.name(ty))));
        };
        let (name, key) = split_key(segment).unwrap_or((segment, None));
        let operation = self.types.model().operation(name, Some(place)).filter(|_| !ty.collection);
        if let Some(operation) = operation.filter(|_| self.types.structured(place).position(name).is_none()) {
            self.target.operation = Some(operation);
            self.target.arguments = key.map(str::to_owned);
            return Ok(rest);
        }
        if name.contains('.')
            && let Some(cast) = self.types.model().type_of_name(name).and_then(Type::structure)
        {
            return self.cast(cast, place, ty, key).map(|()| rest);
        }
        let structured = self.types.structured(place);
        if ty.collection {
            return match structured.complex {
                false => self.key_segments(segment, rest, place),
                true => match segment.parse::<i64>() {
                    Ok(position) => {
                        self.target.steps.push(Step::Item(position));
                        self.target.ty = Some(ty.item());
                        Ok(rest)
                    }
                    Err(_) => Err(Error::NotFound(format!("a collection has no part `{segment}`"))),
                },
            };
        }
        if let Some(position) = structured.position(name).filter(|_| key.is_none()) {
            self.target.steps.push(Step::Property(position));
            self.target.ty = Some(structured.properties[position].ty);
            return Ok(rest);
        }
        if let Some(position) = structured.navigation_position(name) {
            let way = &structured.navigation[position];
            self.implied = self.types.model().implied_key(place, position);
            self.target.steps.push(Step::Navigate(position));
            self.target.ty = Some(way.ty());
            self.target.home = self.types.model().set_of_type(way.target_type).map_or(Home::None, Home::Set);
            return match key {
                Some(_) if !way.collection => Err(Error::NotFound(format!("`{name}` is one entity and has no key"))),
                Some(key) => self.key(key).map(|()| rest),
                None => Ok(rest),
            };
        }
        let near = structured.near_name(name).map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
        Err(Error::NotFound(format!("`{}` has no property `{name}`{near}", structured.name)))
    }

    fn cast(&mut self, cast: usize, place: usize, ty: Type, key: Option<&str>) -> Result<(), Error> {
        if !self.types.is_a(cast, place) {
            let (cast, from) = (self.types.name(Type::structured(cast)), self.types.name(Type::structured(place)));
            return Err(Error::NotFound(format!("`{cast}` is not derived from `{from}`")));
        }
        self.target.steps.push(Step::Cast(cast));
        self.target.ty = Some(Type { base: Base::Structured(cast), ..ty });
        match key {
            Some(key) if ty.collection => self.key(key),
            Some(_) => Err(Error::NotFound("a single entity has no key".into())),
            None => Ok(()),
        }
    }
}

fn syntax(text: &str, error: expr::ParseError) -> Error {
    let at = crate::plan::characters(text, error.at);
    Error::Syntax { target: "path".into(), at, message: error.message }
}

fn split_key(segment: &str) -> Result<(&str, Option<&str>), Error> {
    let Some((name, inner)) = segment.split_once('(') else { return Ok((segment, None)) };
    let inner = inner.strip_suffix(')').ok_or_else(|| Error::Syntax {
        target: "path".into(),
        at: segment.chars().count(),
        message: "`)` is expected at the end of the key".into(),
    })?;
    Ok((name, Some(inner)))
}
