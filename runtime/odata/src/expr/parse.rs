//! The precedence parser: tokens to a syntax tree, with a position in every error and bounds on size and depth. Operands
//! and paths are in `operand`.

use super::lexer::{Token, TokenKind, tokens};
use super::{BinaryOp, Expr, ExprKind, UNARY_PRECEDENCE, UnaryOp};
use crate::limits::{LIST_MAX_ITEMS, Limits};
use crate::literal::Literal;
use thiserror::Error;

/// Why a text is no expression.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("at {at}: {message}")]
pub struct ParseError {
    /// Offset in bytes, from 0, into the text.
    pub at: usize,
    /// What was expected and what was found.
    pub message: String,
}

/// An item of `$orderby`.
#[derive(Clone, PartialEq, Debug)]
pub struct OrderItem {
    /// What to sort by.
    pub expression: Expr,
    /// Whether `desc` was written.
    pub descending: bool,
}

/// Parses a `commonExpr` (percent-encoding undone before).
///
/// # Errors
/// [`ParseError`] at the first byte that does not fit, or that passes a limit.
pub fn parse(text: &str, limits: Limits) -> Result<Expr, ParseError> {
    let mut parser = Parser::new(text, limits)?;
    let expression = parser.expression(0)?;
    parser.end()?;
    Ok(expression)
}

/// Parses the items of `$orderby`.
///
/// # Errors
/// As [`parse`].
pub fn parse_order(text: &str, limits: Limits) -> Result<Vec<OrderItem>, ParseError> {
    let mut parser = Parser::new(text, limits)?;
    let mut items = Vec::new();
    loop {
        let expression = parser.expression(0)?;
        let descending = parser.eat_keyword("desc");
        if !descending {
            parser.eat_keyword("asc");
        }
        items.push(OrderItem { expression, descending });
        if items.len() > LIST_MAX_ITEMS {
            return Err(parser.error(format!("more than {LIST_MAX_ITEMS} items")));
        }
        if !parser.eat(',') {
            parser.end()?;
            return Ok(items);
        }
    }
}

/// Parses the items of `$compute`: expressions with the names of their results.
///
/// # Errors
/// As [`parse`].
pub fn parse_compute(text: &str, limits: Limits) -> Result<Vec<(Expr, String)>, ParseError> {
    let mut parser = Parser::new(text, limits)?;
    let mut items = Vec::new();
    loop {
        let expression = parser.expression(0)?;
        if !parser.eat_keyword("as") {
            return Err(parser.error(format!("`as` and a name are expected, not {}", parser.found())));
        }
        let TokenKind::Name(name) = parser.advance().kind else { return Err(parser.error("a name is expected")) };
        items.push((expression, name));
        if items.len() > LIST_MAX_ITEMS {
            return Err(parser.error(format!("more than {LIST_MAX_ITEMS} items")));
        }
        if !parser.eat(',') {
            parser.end()?;
            return Ok(items);
        }
    }
}

/// Parses what stands between the parentheses of a key: `1`, `'a'`, `Id=1,Name='b'`.
///
/// # Errors
/// As [`parse`].
pub fn parse_key(text: &str, limits: Limits) -> Result<Vec<super::Argument>, ParseError> {
    let mut parser = Parser::new(text, limits)?;
    let arguments = parser.arguments_until(None)?;
    parser.end()?;
    Ok(arguments)
}

pub(super) struct Parser<'a> {
    pub(super) text: &'a str,
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
    nodes: usize,
    /// How many JSON arrays and objects are open.
    pub(super) in_json: usize,
    limits: Limits,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str, limits: Limits) -> Result<Self, ParseError> {
        if text.len() > limits.bytes {
            return Err(ParseError { at: limits.bytes, message: format!("more than {} bytes", limits.bytes) });
        }
        let parser = Self { text, tokens: tokens(text), at: 0, depth: 0, nodes: 0, in_json: 0, limits };
        if parser.peek().spaced {
            return Err(ParseError { at: 0, message: "an expression does not begin with a space".into() });
        }
        Ok(parser)
    }

    pub(super) fn peek(&self) -> &Token {
        &self.tokens[self.at]
    }

    pub(super) fn peek_second(&self) -> &Token {
        &self.tokens[(self.at + 1).min(self.tokens.len() - 1)]
    }

    /// The token before the next one ends here.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    pub(super) fn rewind(&mut self, position: usize) {
        self.at = position;
    }

    pub(super) fn advance(&mut self) -> Token {
        let token = self.peek().clone();
        self.at = (self.at + 1).min(self.tokens.len() - 1);
        token
    }

    pub(super) fn at_punct(&self, mark: char) -> bool {
        self.peek().kind == TokenKind::Punct(mark)
    }

    pub(super) fn eat(&mut self, mark: char) -> bool {
        let found = self.at_punct(mark);
        if found {
            self.advance();
        }
        found
    }

    pub(super) fn expect(&mut self, mark: char) -> Result<(), ParseError> {
        if self.eat(mark) { Ok(()) } else { Err(self.error(format!("`{mark}` is expected, not {}", self.found()))) }
    }

    /// Takes a word that must stand apart from what is before it.
    pub(super) fn eat_keyword(&mut self, word: &str) -> bool {
        let token = self.peek();
        let found = token.spaced && matches!(&token.kind, TokenKind::Name(name) if name.eq_ignore_ascii_case(word));
        if found {
            self.advance();
        }
        found
    }

    pub(super) fn error(&self, message: impl Into<String>) -> ParseError {
        let token = self.peek();
        let message = match &token.kind {
            TokenKind::Invalid(reason) => reason.clone(),
            _ => message.into(),
        };
        ParseError { at: token.at, message }
    }

    /// What stands where something else was expected.
    pub(super) fn found(&self) -> String {
        let token = self.peek();
        match token.kind {
            TokenKind::End => "the end".into(),
            // Its own message takes the place of any that would name it.
            TokenKind::Invalid(_) => String::new(),
            _ => format!("`{}`", &self.text[token.at..token.end]),
        }
    }

    fn end(&self) -> Result<(), ParseError> {
        if matches!(self.peek().kind, TokenKind::Invalid(_)) && !self.peek().spaced {
            // Whatever it was to be, it cannot begin here.
            let message = "an operator or the end is expected".to_owned();
            return Err(ParseError { at: self.peek().end, message });
        }
        if self.peek().kind != TokenKind::End {
            return Err(self.error(format!("an operator or the end is expected, not {}", self.found())));
        }
        if self.peek().spaced {
            return Err(self.error("an expression does not end with a space"));
        }
        Ok(())
    }

    /// Makes a node, counting it.
    pub(super) fn node(&mut self, at: usize, kind: ExprKind) -> Result<Expr, ParseError> {
        self.nodes += 1;
        if self.nodes > self.limits.nodes {
            return Err(ParseError { at, message: format!("more than {} nodes", self.limits.nodes) });
        }
        Ok(Expr { kind, at })
    }

    /// Runs a rule one level deeper.
    pub(super) fn deeper<T>(&mut self, rule: impl FnOnce(&mut Self) -> Result<T, ParseError>) -> Result<T, ParseError> {
        self.depth += 1;
        if self.depth > self.limits.depth {
            return Err(self.error(format!("nested more than {} deep", self.limits.depth)));
        }
        let result = rule(self);
        self.depth -= 1;
        result
    }

    /// An expression whose operators all bind more strongly than `above`.
    pub(super) fn expression(&mut self, above: u8) -> Result<Expr, ParseError> {
        self.deeper(|parser| {
            let mut left = parser.unary()?;
            while let Some(op) = parser.operator(above)? {
                let at = left.at;
                let right =
                    if op == BinaryOp::In { parser.membership()? } else { parser.expression(op.precedence())? };
                left = parser.node(at, ExprKind::Binary(op, Box::new(left), Box::new(right)))?;
            }
            Ok(left)
        })
    }

    /// Takes the operator that comes next, if it binds more strongly than `above`. The grammar wants whitespace on both
    /// sides; next to parentheses its absence is forgiven, because clients leave it out.
    fn operator(&mut self, above: u8) -> Result<Option<BinaryOp>, ParseError> {
        let token = self.peek();
        let TokenKind::Name(name) = &token.kind else { return Ok(None) };
        let Some(op) = BinaryOp::from_keyword(name).filter(|op| op.precedence() > above) else { return Ok(None) };
        let after_parenthesis = self.text[..token.at].ends_with(')');
        if !token.spaced && !after_parenthesis {
            return Ok(None);
        }
        self.advance();
        if !self.peek().spaced && !self.at_punct('(') {
            return Err(self.error(format!("a space and an operand are expected after `{}`", op.keyword())));
        }
        Ok(Some(op))
    }

    fn unary(&mut self) -> Result<Expr, ParseError> {
        let at = self.peek().at;
        let op = if self.eat('-') {
            UnaryOp::Negate
        } else if self.at_not() {
            self.advance();
            UnaryOp::Not
        } else {
            return self.operand();
        };
        // `not` and `-` bind less than `in` and `has`, more than all others.
        let operand = self.expression(UNARY_PRECEDENCE)?;
        self.node(at, ExprKind::Unary(op, Box::new(operand)))
    }

    fn at_not(&self) -> bool {
        let next = self.peek_second();
        let apart = (next.spaced && next.kind != TokenKind::End) || next.kind == TokenKind::Punct('(');
        apart
            && matches!(&self.peek().kind, TokenKind::Name(name) if name.eq_ignore_ascii_case("not"))
            && !matches!(&next.kind, TokenKind::Name(name) if BinaryOp::from_keyword(name).is_some())
    }

    /// What may stand after `in`: `(literal,…)`, a list, or a collection.
    fn membership(&mut self) -> Result<Expr, ParseError> {
        let at = self.peek().at;
        if !self.at_punct('(') {
            return self.expression(BinaryOp::In.precedence());
        }
        let start = self.position();
        self.advance();
        let mut items = Vec::new();
        while let Some(literal) = self.take_literal()? {
            items.push(literal);
            if self.eat(')') {
                return self.node(at, ExprKind::List(items));
            }
            if items.len() == 1 && !self.at_punct(',') {
                // An expression in parentheses that begins with a literal.
                items.clear();
                break;
            }
            self.expect(',')?;
        }
        if !items.is_empty() {
            return Err(self.error(format!("a literal is expected, not {}", self.found())));
        }
        self.rewind(start);
        self.operand()
    }

    /// A literal if one comes next; `null`, `true` and `false` are literals unless used as a path or function.
    pub(super) fn take_literal(&mut self) -> Result<Option<Expr>, ParseError> {
        let at = self.peek().at;
        let literal = match &self.peek().kind {
            TokenKind::Literal(literal) => literal.clone(),
            TokenKind::Name(name) => {
                let next = self.peek_second();
                if matches!(next.kind, TokenKind::Punct('/' | '(' | '=')) {
                    return Ok(None);
                }
                match name.to_ascii_lowercase().as_str() {
                    "null" => Literal::Null,
                    "true" => Literal::Boolean(true),
                    "false" => Literal::Boolean(false),
                    _ => return Ok(None),
                }
            }
            _ => return Ok(None),
        };
        self.advance();
        self.node(at, ExprKind::Literal(literal)).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ok(text: &str) -> String {
        parse(text, Limits::default()).unwrap_or_else(|error| panic!("{text}: {error}")).to_string()
    }

    fn fails_at(text: &str) -> usize {
        parse(text, Limits::default()).expect_err(text).at
    }

    #[test]
    fn operators_bind_as_the_standard_says() {
        assert_eq!(ok("a or b and c eq 1 add 2 mul 3"), "a or b and c eq 1 add 2 mul 3");
        assert_eq!(ok("(a or b) and c"), "(a or b) and c");
        assert_eq!(ok("(a and b) or c"), "a and b or c");
        assert_eq!(ok("a sub (b sub c)"), "a sub (b sub c)");
        assert_eq!(ok("NOT a Eq b"), "not a eq b");
        assert_eq!(ok("not (a eq b)"), "not (a eq b)");
        assert_eq!(ok("not(a in (1,2))"), "not a in [1,2]");
        assert_eq!(ok("-a add - 5"), "-a add -(5)");
    }

    #[test]
    fn paths_functions_and_lambdas_are_kept() {
        for text in [
            "Products/any(p:p/Price gt 5 and p/Name ne null)",
            "Products/any()",
            "Items/Model.Near(place='x',km=@d)/Name",
            "contains(tolower(Name),'x')",
            "Name in ['a','b']",
            "Orders/$count gt 0",
            "Products/$filter(Age gt 3)(ID='Sugar')",
            "cast(a,Edm.String)",
            "case(a gt 1:'x',true:'y')",
            "{\"a\":[1,2]}",
        ] {
            assert_eq!(ok(text), text);
        }
    }

    #[test]
    fn errors_say_where() {
        assert_eq!(fails_at(""), 0);
        assert_eq!(fails_at("any()"), 3);
        assert_eq!(fails_at("Products/all()"), 13);
        assert_eq!(fails_at("FirstName in (FirstName,LastName)"), 23);
        assert_eq!(fails_at("a eq"), 4);
        assert_eq!(fails_at("a eq 1 b"), 7);
        assert_eq!(fails_at("(a eq 1"), 7);
        assert_eq!(fails_at("a / b"), 2);
        assert_eq!(fails_at("contains(a)"), 10);
    }

    #[test]
    fn size_and_depth_are_bounded() {
        let deep = format!("{}a{}", "(".repeat(65), ")".repeat(65));
        assert!(parse(&deep, Limits::default()).unwrap_err().message.contains("deep"));
        let wide = vec!["a"; 600].join(" or ");
        assert!(parse(&wide, Limits::default()).unwrap_err().message.contains("nodes"));
        let long = "a".repeat(9_000);
        assert!(parse(&long, Limits::default()).unwrap_err().message.contains("bytes"));
    }

    #[test]
    fn order_items_take_asc_and_desc_in_any_case() {
        let items = parse_order("Name ASC,Rating,Day(Date) desc", Limits::default());
        let items = items.unwrap();
        assert_eq!(items.iter().map(|item| item.descending).collect::<Vec<_>>(), [false, false, true]);
        assert!(parse_order("Name up", Limits::default()).is_err());
    }
}
