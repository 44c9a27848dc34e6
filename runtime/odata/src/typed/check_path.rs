//! The type checker: paths, segment by segment.

use super::check::{Checked, Checker, boolean, hint, unsupported, wrong};
use super::{Mismatch, Node, SLOT_IT, SLOT_THIS, SLOT_VARIABLES, TypedExpr, constant};
use crate::expr::{Argument, Expr, Segment};
use crate::limits::EXPRESSION_MAX_DEPTH;
use crate::model::{Base, PrimitiveType, Type, nearest};

impl Checker<'_> {
    pub(super) fn path(&mut self, segments: &[Segment], at: usize) -> Checked {
        let (mut value, rest) = self.first(segments, at)?;
        let mut rest = rest.iter();
        while let Some(segment) = rest.next() {
            value = self.next(value, segment, at)?;
            if matches!(segment, Segment::Lambda { .. }) && rest.len() > 0 {
                return wrong(at, "nothing may follow `any` and `all`");
            }
        }
        Ok(value)
    }

    /// What the first segment means, and the segments that are left.
    fn first<'s>(&mut self, segments: &'s [Segment], at: usize) -> Result<(TypedExpr, &'s [Segment]), Mismatch> {
        let (head, rest) = segments.split_first().expect("a path is never empty");
        let found = match head {
            Segment::Name(name) if name.starts_with('@') => self.alias(name, at)?,
            Segment::Name(name) => match name.as_str() {
                "$it" if self.context.it.is_some() => variable(SLOT_IT, self.context.it),
                "$it" => variable(SLOT_THIS, self.context.this),
                "$this" => variable(self.current.0, self.current.1),
                "$root" => return self.root(rest, at),
                name if name.starts_with('$') => return unsupported(name, "it cannot be evaluated here"),
                name => match self.variables.iter().rposition(|(variable, _)| variable == name) {
                    Some(index) => variable(SLOT_VARIABLES + index, Some(self.variables[index].1)),
                    None => return self.of_current(segments, at),
                },
            },
            Segment::Call(name, arguments) if self.context.types.model().operation(name, None).is_some() => {
                self.function_of_model(name, arguments, at)?
            }
            Segment::Call(name, _) if !name.contains('.') && self.property_or_way(name).is_none() => {
                return self.unknown_function(name, at).map(|found| (found, rest));
            }
            _ => return self.of_current(segments, at),
        };
        Ok((found, rest))
    }

    /// A path that begins with a member of the row at hand.
    fn of_current<'s>(&mut self, segments: &'s [Segment], at: usize) -> Result<(TypedExpr, &'s [Segment]), Mismatch> {
        let (slot, ty) = self.current;
        if ty.is_none() {
            return wrong(at, "there is no entity here whose properties could be named");
        }
        Ok((variable(slot, ty), segments))
    }

    fn property_or_way(&self, name: &str) -> Option<()> {
        let ty = self.context.types.structured(self.current.1?.structure()?);
        (ty.position(name).is_some() || ty.navigation_position(name).is_some()).then_some(())
    }

    /// `$root/Set`, `$root/Set(key)`, `$root/Singleton`
    fn root<'s>(&mut self, rest: &'s [Segment], at: usize) -> Result<(TypedExpr, &'s [Segment]), Mismatch> {
        let model = self.context.types.model();
        let (name, key) = match rest.first() {
            Some(Segment::Name(name)) => (name, None),
            Some(Segment::Call(name, arguments)) => (name, Some(arguments)),
            _ => return wrong(at, "`$root/` and an entity set or a singleton are expected"),
        };
        if let Some(place) = model.entity_sets().iter().position(|set| set.name == *name) {
            let ty =
                model.type_place(&model.entity_sets()[place].entity_type).map(|place| Type::structured(place).many());
            let set = TypedExpr { node: Node::Set(place), ty, nullable: false };
            let found = match key {
                Some(arguments) => self.find(set, arguments, at)?,
                None => set,
            };
            return Ok((found, &rest[1..]));
        }
        let Some(place) = model.singletons().iter().position(|singleton| singleton.name == *name) else {
            return wrong(at, format!("there is no entity set or singleton `{name}`"));
        };
        let ty = model.type_place(&model.singletons()[place].entity_type).map(Type::structured);
        Ok((TypedExpr { node: Node::Singleton(place), ty, nullable: false }, &rest[1..]))
    }

    fn alias(&mut self, name: &str, at: usize) -> Checked {
        if name.contains('.') {
            return unsupported(name, "annotations cannot be evaluated here");
        }
        let Some(expression) = self.context.aliases.get(name) else {
            // An alias without a value is null (Part 2 §5.1.1.15).
            return Ok(TypedExpr { node: Node::Literal(crate::Value::Null), ty: None, nullable: true });
        };
        self.depth += 1;
        if self.depth > EXPRESSION_MAX_DEPTH {
            return wrong(at, format!("the parameter alias {name} refers to itself"));
        }
        let typed = self.expression(expression).map_err(|mismatch| match mismatch {
            Mismatch::Wrong { message, .. } => Mismatch::Wrong { at, message: format!("in {name}: {message}") },
            other => other,
        });
        self.depth -= 1;
        typed
    }

    /// Goes one segment on.
    fn next(&mut self, value: TypedExpr, segment: &Segment, at: usize) -> Checked {
        let collection = value.ty.is_some_and(|ty| ty.collection);
        match segment {
            Segment::Name(name) if name == "$count" => match collection {
                true => {
                    let ty = Some(PrimitiveType::Int64.into());
                    Ok(TypedExpr { node: Node::Count(Box::new(value)), ty, nullable: false })
                }
                false => wrong(at, format!("{} has no `$count`: it is no collection", self.describe(&value))),
            },
            Segment::Name(name) if name.starts_with(['$', '@']) => unsupported(name, "it cannot be evaluated here"),
            Segment::Name(name) if name.contains('.') => self.derived(value, name, at),
            Segment::Name(name) => self.member(value, name, at),
            Segment::Call(name, arguments) => {
                if name.contains('.') && self.context.types.model().type_of_name(name).is_none() {
                    return unsupported(name, "the model has no such function");
                }
                let collection =
                    if name.contains('.') { self.derived(value, name, at)? } else { self.member(value, name, at)? };
                self.find(collection, arguments, at)
            }
            Segment::Key(arguments) => self.find(value, arguments, at),
            Segment::Filter(condition) => self.filtered(value, condition, at),
            Segment::Count { filter, search } => self.count_of(value, filter.as_deref(), search.as_deref(), at),
            Segment::Lambda { all, body } => self.lambda(value, *all, body.as_ref(), at),
            Segment::Aggregate(text) => self.aggregated(value, text, at),
        }
    }

    fn filtered(&mut self, value: TypedExpr, condition: &Expr, at: usize) -> Checked {
        let item = self.items(&value, "$filter", at)?;
        let slot = self.next_slot();
        self.variables.push((String::new(), item));
        let before = std::mem::replace(&mut self.current, (slot, Some(item)));
        let typed = self.expression(condition);
        self.current = before;
        self.variables.pop();
        let typed = typed?;
        self.expect_boolean(&typed, condition.at, "a path filter")?;
        let ty = value.ty;
        Ok(TypedExpr { node: Node::Filter(Box::new(value), slot, Box::new(typed)), ty, nullable: false })
    }

    /// `aggregate(Price with sum)` of a collection; its paths begin at the items.
    fn aggregated(&mut self, value: TypedExpr, text: &str, at: usize) -> Checked {
        let item = self.items(&value, "aggregate", at)?;
        let count = |value| {
            let ty = Some(PrimitiveType::Int64.into());
            Ok(TypedExpr { node: Node::Count(Box::new(value)), ty, nullable: false })
        };
        let text = text.trim();
        if text == "$count" {
            return count(value);
        }
        let refused = |error: crate::Error| Mismatch::Wrong { at, message: error.to_string() };
        let Some((expression, method)) = text.rsplit_once(" with ") else {
            return wrong(at, format!("`… with sum`, or another method, is expected in `aggregate`, not `{text}`"));
        };
        let method = match method.contains('.') {
            true => return unsupported(format!("aggregate with {method}"), "the model has no such method"),
            false => crate::apply::method_of(method.trim()).map_err(refused)?,
        };
        let parsed = crate::expr::parse(expression.trim(), crate::Limits::default());
        let parsed = parsed.map_err(|error| Mismatch::Wrong { at, message: error.message })?;
        let slot = self.next_slot();
        self.variables.push((String::new(), item));
        let before = std::mem::replace(&mut self.current, (slot, Some(item)));
        let through = std::mem::replace(&mut self.context.through_collections, true);
        let typed = self.expression(&parsed);
        self.context.through_collections = through;
        self.current = before;
        self.variables.pop();
        let of = typed?;
        let ty = crate::apply::aggregated_type(method, &of, expression).map_err(refused)?;
        let node = Node::Aggregate(Box::new(value), slot, method, Box::new(of));
        Ok(TypedExpr { node, ty: Some(ty), nullable: true })
    }

    /// `$count($filter=…;$search=…)`
    fn count_of(&mut self, value: TypedExpr, filter: Option<&Expr>, search: Option<&str>, at: usize) -> Checked {
        self.items(&value, "$count", at)?;
        let mut found = value;
        if let Some(condition) = filter {
            found = self.filtered(found, condition, at)?;
        }
        if let Some(text) = search {
            let wanted = crate::search::parse(text).map_err(|error| Mismatch::Wrong { at, message: error.message })?;
            let ty = found.ty;
            found = TypedExpr { node: Node::Search(Box::new(found), wanted), ty, nullable: false };
        }
        Ok(TypedExpr { node: Node::Count(Box::new(found)), ty: Some(PrimitiveType::Int64.into()), nullable: false })
    }

    fn items(&self, value: &TypedExpr, what: &str, at: usize) -> Result<Type, Mismatch> {
        match value.ty.filter(|ty| ty.collection) {
            Some(ty) => Ok(ty.item()),
            None => wrong(at, format!("`{what}` needs a collection before it, not {}", self.describe(value))),
        }
    }

    fn lambda(&mut self, value: TypedExpr, all: bool, body: Option<&(String, Box<Expr>)>, at: usize) -> Checked {
        let item = self.items(&value, if all { "all" } else { "any" }, at)?;
        let slot = self.next_slot();
        let condition = match body {
            None => None,
            Some((name, condition)) => {
                if self.variables.iter().any(|(variable, _)| variable == name) {
                    return wrong(at, format!("the variable `{name}` is already one of an outer lambda"));
                }
                self.variables.push((name.clone(), item));
                let typed = self.expression(condition);
                self.variables.pop();
                let typed = typed?;
                self.expect_boolean(&typed, condition.at, "the condition of a lambda")?;
                Some(Box::new(typed))
            }
        };
        Ok(boolean(Node::Lambda { all, collection: Box::new(value), slot, condition }, false))
    }

    /// A type cast.
    fn derived(&mut self, value: TypedExpr, name: &str, at: usize) -> Checked {
        let types = self.context.types;
        let Some(place) = types.model().type_of_name(name).and_then(Type::structure) else {
            return wrong(at, format!("the model has no structured type `{name}`"));
        };
        let Some(ty) = value.ty else { return Ok(value) };
        let related = ty.structure().is_some_and(|from| types.is_a(place, from) || types.is_a(from, place));
        if !related {
            return wrong(at, format!("{} is never a {name}", types.name(ty)));
        }
        let ty = Type { base: Base::Structured(place), ..ty };
        Ok(TypedExpr { node: Node::As(Box::new(value), place), ty: Some(ty), nullable: true })
    }

    fn member(&mut self, value: TypedExpr, name: &str, at: usize) -> Checked {
        let types = self.context.types;
        let Some(ty) = value.ty else { return Ok(value) };
        let Some(place) = ty.structure() else {
            let near = hint(nearest(name, [].into_iter()));
            return wrong(at, format!("{} has no property `{name}`{near}", types.name(ty)));
        };
        if ty.collection && !self.context.through_collections {
            return wrong(at, format!("a collection has no property `{name}`: use `any`, `all` or `$count`"));
        }
        let structured = types.structured(place);
        if let Some(position) = structured.position(name) {
            let property = &structured.properties[position];
            let found = Type { collection: property.ty.collection || ty.collection, ..property.ty };
            let nullable = property.nullable || value.nullable;
            let node = match value.node {
                Node::Variable(SLOT_THIS) => Node::Property(position),
                _ => Node::Member(Box::new(value), position),
            };
            return Ok(TypedExpr { node, ty: Some(found), nullable });
        }
        if let Some(position) = structured.navigation_position(name) {
            let way = structured.navigation[position].ty();
            let found = Type { collection: way.collection || ty.collection, ..way };
            return Ok(TypedExpr { node: Node::Navigate(Box::new(value), position), ty: Some(found), nullable: true });
        }
        let near = hint(structured.near_name(name));
        wrong(at, format!("`{}` has no property `{name}`{near}", structured.called()))
    }

    /// `collection(key)`
    fn find(&mut self, collection: TypedExpr, arguments: &[Argument], at: usize) -> Checked {
        let item = self.items(&collection, "a key", at)?;
        let Some(place) = item.structure() else { return wrong(at, "only entities have keys") };
        let types = self.context.types;
        let positions: Vec<usize> = types.structured(place).key_positions().collect();
        let mut key = Vec::with_capacity(positions.len());
        for argument in arguments {
            let position = match &argument.name {
                None if positions.len() == 1 => positions[0],
                None => return wrong(at, "this key has several parts: name each"),
                Some(name) => match types.structured(place).position(name).filter(|found| positions.contains(found)) {
                    Some(position) => position,
                    None => return wrong(at, format!("`{name}` is no part of the key")),
                },
            };
            let typed = self.expression(&argument.value)?;
            let Node::Literal(value) = &typed.node else { return unsupported("key", "keys must be literals here") };
            let ty = types.structured(place).properties[position].ty;
            let Some(value) = constant::convert(value, ty, types) else {
                return wrong(at, format!("a value of type {} is expected in the key", types.name(ty)));
            };
            key.push((position, value));
        }
        if key.len() != positions.len() {
            return wrong(at, "the key is not complete");
        }
        Ok(TypedExpr { node: Node::Find(Box::new(collection), key), ty: Some(item), nullable: true })
    }
}

fn variable(slot: usize, ty: Option<Type>) -> TypedExpr {
    TypedExpr { node: Node::Variable(slot), ty, nullable: false }
}
