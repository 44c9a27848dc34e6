//! Operands of expressions: literals, parentheses, lists, records, functions and paths.

use super::lexer::TokenKind;
use super::parse::{ParseError, Parser};
use super::{Argument, Expr, ExprKind, FUNCTIONS, Segment};
use crate::limits::LIST_MAX_ITEMS;
use crate::literal::Literal;
use crate::model::is_identifier;

impl Parser<'_> {
    /// One operand, without operators around it.
    pub(super) fn operand(&mut self) -> Result<Expr, ParseError> {
        if let Some(literal) = self.take_literal()? {
            return Ok(literal);
        }
        let at = self.peek().at;
        match self.peek().kind.clone() {
            TokenKind::Punct('(') => {
                self.advance();
                let inner = self.expression(0)?;
                self.expect(')')?;
                Ok(inner)
            }
            TokenKind::Punct('[') => self.list(),
            TokenKind::Punct('{') => self.record(),
            // Elsewhere a text has single quotes (ABNF `arrayOrObject`).
            TokenKind::JsonString(text) if self.in_json > 0 => {
                self.advance();
                self.node(at, ExprKind::Literal(Literal::String(text)))
            }
            TokenKind::Name(name) => {
                let opens = self.peek_second().kind == TokenKind::Punct('(') && !self.peek_second().spaced;
                if opens && let Some((function, least, most)) = builtin(&name) {
                    self.function(function, least, most)
                } else {
                    self.path()
                }
            }
            _ => Err(self.error(format!("an operand is expected, not {}", self.found()))),
        }
    }

    fn list(&mut self) -> Result<Expr, ParseError> {
        let at = self.peek().at;
        self.expect('[')?;
        self.in_json += 1;
        let mut items = Vec::new();
        if !self.eat(']') {
            loop {
                items.push(self.expression(0)?);
                if self.eat(']') {
                    break;
                }
                self.expect(',')?;
            }
        }
        self.in_json -= 1;
        self.node(at, ExprKind::List(items))
    }

    fn record(&mut self) -> Result<Expr, ParseError> {
        let at = self.peek().at;
        self.expect('{')?;
        self.in_json += 1;
        let mut fields = Vec::new();
        if !self.eat('}') {
            loop {
                let TokenKind::JsonString(name) = self.peek().kind.clone() else {
                    return Err(self.error(format!("a name in double quotes is expected, not {}", self.found())));
                };
                self.advance();
                self.expect(':')?;
                fields.push((name, self.expression(0)?));
                if self.eat('}') {
                    break;
                }
                self.expect(',')?;
            }
        }
        self.in_json -= 1;
        self.node(at, ExprKind::Record(fields))
    }

    fn function(&mut self, function: &'static str, least: usize, most: usize) -> Result<Expr, ParseError> {
        let at = self.advance().at;
        self.expect('(')?;
        let mut arguments = Vec::new();
        if most > 0 && !(least == 0 && self.at_punct(')')) {
            loop {
                let last_of_cast = matches!(function, "cast" | "isof");
                arguments.push(if last_of_cast { self.type_or_expression()? } else { self.expression(0)? });
                if arguments.len() >= most || !self.eat(',') {
                    break;
                }
            }
        }
        if arguments.len() < least {
            return Err(self.error(format!("`{function}` takes {least} arguments; `,` is expected")));
        }
        self.expect(')')?;
        let kind = ExprKind::Call { function: function.to_owned(), arguments };
        self.node(at, kind)
    }

    /// In `cast` and `isof`, a name right before `)` is a type, because what is cast is never last.
    fn type_or_expression(&mut self) -> Result<Expr, ParseError> {
        let token = self.peek().clone();
        if let TokenKind::Name(name) = token.kind {
            let next = self.peek_second().kind.clone();
            if next == TokenKind::Punct(')') {
                self.advance();
                return self.node(token.at, ExprKind::TypeName(name));
            }
            if name == "Collection" && next == TokenKind::Punct('(') {
                return self.collection_type();
            }
        }
        self.expression(0)
    }

    fn collection_type(&mut self) -> Result<Expr, ParseError> {
        let at = self.advance().at;
        self.expect('(')?;
        let TokenKind::Name(name) = self.peek().kind.clone() else {
            return Err(self.error(format!("a type is expected, not {}", self.found())));
        };
        self.advance();
        self.expect(')')?;
        self.node(at, ExprKind::TypeName(format!("Collection({name})")))
    }

    fn case(&mut self) -> Result<Expr, ParseError> {
        let at = self.advance().at;
        self.expect('(')?;
        let mut branches = Vec::new();
        loop {
            let condition = self.expression(0)?;
            self.expect(':')?;
            branches.push((condition, self.expression(0)?));
            if !self.eat(',') {
                break;
            }
        }
        self.expect(')')?;
        self.node(at, ExprKind::Case(branches))
    }

    fn path(&mut self) -> Result<Expr, ParseError> {
        let at = self.peek().at;
        if matches!(&self.peek().kind, TokenKind::Name(name) if name.eq_ignore_ascii_case("case"))
            && self.peek_second().kind == TokenKind::Punct('(')
        {
            return self.case();
        }
        let mut segments = vec![self.segment(true)?];
        loop {
            if self.at_punct('(') && !self.peek().spaced && takes_key(segments.last()) {
                self.advance();
                segments.push(Segment::Key(self.arguments_until(Some(')'))?));
            } else if self.at_punct('/') {
                if self.peek().spaced || self.peek_second().spaced {
                    return Err(self.error("no space may stand beside `/`"));
                }
                self.advance();
                segments.push(self.segment(false)?);
            } else {
                break;
            }
            if segments.len() > crate::limits::SEGMENTS_MAX {
                return Err(self.error(format!("more than {} path segments", crate::limits::SEGMENTS_MAX)));
            }
        }
        self.check_last(&segments)?;
        self.node(at, ExprKind::Path(segments))
    }

    /// A type cast alone, or at the end after a collection, is no value: `Model.Type` needs something after it. Casts of
    /// single values may end a path, and whether one is single only the model knows: so only the first is refused.
    fn check_last(&self, segments: &[Segment]) -> Result<(), ParseError> {
        match segments {
            [Segment::Name(name)] if name.contains('.') && !name.starts_with(['@', '$']) => {
                Err(self.error(format!("`/` or `(` is expected after the qualified name `{name}`")))
            }
            _ => Ok(()),
        }
    }

    fn segment(&mut self, first: bool) -> Result<Segment, ParseError> {
        let TokenKind::Name(name) = self.peek().kind.clone() else {
            return Err(self.error(format!("a property or function is expected, not {}", self.found())));
        };
        self.advance();
        let opens = self.at_punct('(') && !self.peek().spaced;
        // The names of operators go in any case (4.01).
        for (word, all) in [("any", false), ("all", true)] {
            if opens && name.eq_ignore_ascii_case(word) {
                return self.lambda(all, first);
            }
        }
        match (name.as_str(), opens) {
            ("$count", true) if !first => self.count_of(),
            ("$filter", true) => {
                self.advance();
                let condition = self.expression(0)?;
                self.expect(')')?;
                Ok(Segment::Filter(Box::new(condition)))
            }
            ("aggregate", true) => self.aggregate(),
            ("$it" | "$this" | "$root" | "$these", false) if first => Ok(Segment::Name(name)),
            ("$count" | "$value" | "$ref", false) if !first => Ok(Segment::Name(name)),
            _ if name.starts_with('$') => {
                Err(ParseError { at: self.peek().at - name.len(), message: format!("`{name}` cannot stand here") })
            }
            (_, true) if !name.starts_with('@') => {
                self.advance();
                Ok(Segment::Call(name, self.arguments_until(Some(')'))?))
            }
            _ => Ok(Segment::Name(name)),
        }
    }

    /// `$count($filter=…;$search=…)`
    fn count_of(&mut self) -> Result<Segment, ParseError> {
        self.expect('(')?;
        let (mut filter, mut search) = (None, None);
        loop {
            let TokenKind::Name(name) = self.peek().kind.clone() else {
                return Err(self.error(format!("`$filter` or `$search` is expected, not {}", self.found())));
            };
            let option = name.trim_start_matches('$').to_ascii_lowercase();
            let known = option == "filter" && filter.is_none() || option == "search" && search.is_none();
            if !known {
                return Err(self.error(format!("`$filter` or `$search` is expected, once, not `{name}`")));
            }
            self.advance();
            self.expect('=')?;
            if option == "filter" {
                filter = Some(Box::new(self.expression(0)?));
            } else {
                search = Some(self.search_text()?);
            }
            if !self.eat(';') {
                break;
            }
        }
        self.expect(')')?;
        Ok(Segment::Count { filter, search })
    }

    /// The text of a `$search` between parentheses: up to the one that closes them, or to a semicolon.
    fn search_text(&mut self) -> Result<String, ParseError> {
        let (start, mut open) = (self.peek().at, 0_usize);
        loop {
            match self.peek().kind {
                TokenKind::Punct(')' | ';') if open == 0 => break,
                TokenKind::Punct('(') => open += 1,
                TokenKind::Punct(')') => open -= 1,
                TokenKind::End | TokenKind::Invalid(_) => return Err(self.error("`)` is expected, not the end")),
                _ => {}
            }
            self.advance();
        }
        let text = &self.text[start..self.peek().at];
        crate::search::check(text).map_err(|error| ParseError { at: start + error.at, ..error })?;
        Ok(text.to_owned())
    }

    fn lambda(&mut self, all: bool, first: bool) -> Result<Segment, ParseError> {
        if first {
            return Err(self.error("`any` and `all` need a collection before them"));
        }
        self.expect('(')?;
        if !all && self.eat(')') {
            return Ok(Segment::Lambda { all, body: None });
        }
        let variable = match self.peek().kind.clone() {
            TokenKind::Name(name) if is_identifier(&name) => name,
            _ => return Err(self.error(format!("a variable is expected, not {}", self.found()))),
        };
        self.advance();
        self.expect(':')?;
        let condition = self.expression(0)?;
        self.expect(')')?;
        Ok(Segment::Lambda { all, body: Some((variable, Box::new(condition))) })
    }

    /// Set aggregation has a grammar of its own; its text is kept to its closing parenthesis.
    fn aggregate(&mut self) -> Result<Segment, ParseError> {
        self.expect('(')?;
        let start = self.peek().at;
        let mut open = 1_usize;
        loop {
            let token = self.advance();
            match token.kind {
                TokenKind::Punct('(') => open += 1,
                TokenKind::Punct(')') => open -= 1,
                // Both are last: there is nothing behind them to go on to.
                TokenKind::End | TokenKind::Invalid(_) => return Err(self.error("`)` is expected, not the end")),
                _ => {}
            }
            if open == 0 {
                return Ok(Segment::Aggregate(self.text[start..token.at].to_owned()));
            }
        }
    }

    /// Arguments up to a closing mark, which is taken, or up to the end of the text.
    pub(super) fn arguments_until(&mut self, close: Option<char>) -> Result<Vec<Argument>, ParseError> {
        let mut arguments = Vec::new();
        if close.is_some_and(|mark| self.eat(mark)) {
            return Ok(arguments);
        }
        loop {
            arguments.push(self.argument()?);
            if arguments.len() > LIST_MAX_ITEMS {
                return Err(self.error(format!("more than {LIST_MAX_ITEMS} arguments")));
            }
            if !self.eat(',') {
                break;
            }
        }
        if let Some(mark) = close {
            self.expect(mark)?;
        }
        Ok(arguments)
    }

    fn argument(&mut self) -> Result<Argument, ParseError> {
        let name = match self.peek().kind.clone() {
            TokenKind::Name(name) if self.peek_second().kind == TokenKind::Punct('=') => {
                self.advance();
                self.advance();
                Some(name)
            }
            _ => None,
        };
        Ok(Argument { name, value: self.expression(0)? })
    }
}

/// A key may follow something that already ended in a parenthesis.
fn takes_key(last: Option<&Segment>) -> bool {
    matches!(last, Some(Segment::Call(..) | Segment::Filter(_)))
}

fn builtin(name: &str) -> Option<(&'static str, usize, usize)> {
    FUNCTIONS.iter().copied().find(|(function, _, _)| function.eq_ignore_ascii_case(name))
}
