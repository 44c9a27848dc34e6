//! Keys in a path: between parentheses, and as segments of their own.

use super::{Resolver, Rest, Step, syntax};
use crate::expr::{self, Argument, Expr};
use crate::limits::Limits;
use crate::model::Type;
use crate::plan::mismatch;
use crate::typed::{self, Context};
use crate::{Error, Value};

impl Resolver<'_> {
    /// A key in parentheses.
    pub(super) fn key(&mut self, text: &str) -> Result<(), Error> {
        let Some(ty) = self.target.ty.filter(|ty| ty.collection) else { return Ok(()) };
        let place = ty.structure().expect("sets and navigation are of structured types");
        let arguments = expr::parse_key(text, Limits::default()).map_err(|error| syntax(text, error))?;
        let structured = self.types.structured(place);
        let all: Vec<usize> = structured.key_positions().collect();
        let needed = self.needed(&all);
        let positions = if arguments.len() == needed.len() { &needed } else { &all };
        let form = key_form(&structured.key);
        let mut key: Vec<(usize, Value)> = Vec::new();
        for Argument { name, value } in &arguments {
            let position = match name {
                None if positions.len() == 1 => Some(positions[0]),
                None => None,
                Some(name) => structured.position(name).filter(|position| all.contains(position)),
            };
            let position = position.filter(|position| key.iter().all(|(known, _)| known != position));
            let position = position.ok_or_else(|| Error::invalid("key", format!("a key is written as `({form})`")))?;
            let value = typed::constant(value, structured.properties[position].ty, self.context(None));
            key.push((position, value.map_err(|found| mismatch("key", text, found))?));
        }
        if !needed.iter().all(|position| key.iter().any(|(known, _)| known == position)) {
            return Err(Error::invalid("key", format!("a key is written as `({form})`")));
        }
        self.found_by(key, ty);
        Ok(())
    }

    /// The parts of a key that a path has to tell: those that a referential constraint ties to the entity before are known
    /// (Part 2 §4.3.3). Where that are all, it has to tell all.
    fn needed(&self, all: &[usize]) -> Vec<usize> {
        let needed: Vec<usize> = all.iter().copied().filter(|position| !self.implied.contains(position)).collect();
        if needed.is_empty() { all.to_vec() } else { needed }
    }

    fn found_by(&mut self, mut key: Vec<(usize, Value)>, ty: Type) {
        key.sort_by_key(|(position, _)| *position);
        self.implied.clear();
        self.target.steps.push(Step::Key(key));
        self.target.ty = Some(ty.item());
    }

    /// A key whose parts are segments of their own.
    pub(super) fn key_segments<'s>(&mut self, first: &str, rest: &'s [String], place: usize) -> Rest<'s> {
        let structured = self.types.structured(place);
        let all: Vec<usize> = structured.key_positions().collect();
        let positions = self.needed(&all);
        let more = positions.len() - 1;
        if rest.len() < more {
            return Err(Error::NotFound("the key is not complete: each part is a segment".into()));
        }
        let texts = std::iter::once(first).chain(rest.iter().map(String::as_str));
        let mut key = Vec::new();
        for (position, text) in positions.iter().zip(texts) {
            let ty = structured.properties[*position].ty;
            key.push((*position, key_segment(text, ty, self.context(None))?));
        }
        self.found_by(key, Type::structured(place).many());
        Ok(&rest[more..])
    }
}

/// The value of a key segment, which has no quotes.
fn key_segment(text: &str, ty: Type, context: Context<'_>) -> Result<Value, Error> {
    let literal = crate::literal::Literal::String(text.to_owned());
    let as_text = Expr { kind: expr::ExprKind::Literal(literal), at: 0 };
    let value = typed::constant(&as_text, ty, context).or_else(|refused| {
        let parsed = expr::parse(text, Limits::default()).map_err(|_| refused)?;
        typed::constant(&parsed, ty, context)
    });
    // What can be no key names nothing.
    value.map_err(|_| Error::NotFound(format!("there is no `{text}` here: neither a key nor a resource")))
}

fn key_form(names: &[String]) -> String {
    match names {
        [only] => format!("value) or ({only}=value"),
        several => several.iter().map(|name| format!("{name}=value")).collect::<Vec<_>>().join(","),
    }
}
