//! Typed expressions to SQL, in SQLite's dialect, with bound parameters only: no text of a client ever becomes SQL.
//!
//! The host names the SQL expression behind each property. How values must be stored: `Edm.Boolean` as 0 and 1, integers
//! as INTEGER, `Edm.Double` as REAL, `Edm.String` as TEXT, `Edm.DateTimeOffset`, `Edm.Duration` and `Edm.TimeOfDay` as
//! INTEGER nanoseconds, `Edm.Date` as INTEGER days since 1970-01-01, `Edm.Guid` as TEXT in lower case with dashes,
//! `Edm.Binary` as BLOB. `Edm.Decimal` may be TEXT or a number and is compared as a REAL.

mod functions;
mod keyset;

pub use keyset::{decode_token, encode_token};

use crate::limits::SQL_MAX_BYTES;
use crate::typed::{Comparison, Node};
use crate::{EntityType, Error, PrimitiveType, TypedExpr, Value};

/// A value to bind.
#[derive(Clone, PartialEq, Debug)]
pub enum SqlValue {
    /// NULL
    Null,
    /// INTEGER
    Integer(i64),
    /// REAL; never NaN
    Real(f64),
    /// TEXT
    Text(String),
    /// BLOB
    Blob(Vec<u8>),
}

impl SqlValue {
    /// The value as one of a property's type; null for one that cannot be.
    #[must_use]
    pub fn into_value(self, ty: Option<PrimitiveType>) -> Value {
        use PrimitiveType as T;
        match (self, ty) {
            (Self::Null, _) => Value::Null,
            (Self::Integer(number), Some(T::Boolean)) => Value::Boolean(number != 0),
            (Self::Integer(number), Some(T::DateTimeOffset)) => Value::DateTimeOffset(number),
            (Self::Integer(number), Some(T::Duration)) => Value::Duration(number),
            (Self::Integer(number), Some(T::TimeOfDay)) => Value::TimeOfDay(number),
            (Self::Integer(days), Some(T::Date)) => i32::try_from(days).map_or(Value::Null, Value::Date),
            #[allow(clippy::cast_precision_loss, reason = "the property is a floating-point number")]
            (Self::Integer(number), Some(T::Double | T::Single)) => Value::Double(number as f64),
            (Self::Integer(number), Some(T::Decimal)) => Value::Decimal(number.to_string()),
            (Self::Integer(number), _) => Value::Int(number),
            (Self::Real(number), Some(T::Decimal)) if number.is_finite() => Value::Decimal(number.to_string()),
            #[allow(clippy::cast_possible_truncation, reason = "a sum of whole numbers that SQLite made a real")]
            (Self::Real(number), Some(ty)) if ty.is_integer() => Value::Int(number as i64),
            (Self::Real(number), _) => Value::Double(number),
            (Self::Text(digits), Some(T::Decimal)) => Value::Decimal(digits),
            (Self::Text(text), _) => Value::String(text),
            (Self::Blob(bytes), _) => Value::Binary(bytes),
        }
    }
}

impl From<&Value> for SqlValue {
    fn from(value: &Value) -> Self {
        match value {
            Value::Null => SqlValue::Null,
            Value::Boolean(value) => SqlValue::Integer(i64::from(*value)),
            Value::Int(number) | Value::DateTimeOffset(number) | Value::Duration(number) | Value::TimeOfDay(number) => {
                SqlValue::Integer(*number)
            }
            Value::Date(days) => SqlValue::Integer(i64::from(*days)),
            Value::Double(number) if number.is_nan() => SqlValue::Null,
            Value::Double(number) => SqlValue::Real(*number),
            // A decimal of any length is a valid floating-point text, if perhaps an infinite one.
            Value::Decimal(digits) => digits.parse().map_or(SqlValue::Null, SqlValue::Real),
            Value::String(text) => SqlValue::Text(text.clone()),
            Value::Guid(_) => SqlValue::Text(value.to_string()),
            Value::Binary(bytes) => SqlValue::Blob(bytes.clone()),
            // Nothing in SQL is of these; expressions with them are refused before.
            Value::Geo(_) | Value::Record(_) | Value::Collection(_) => SqlValue::Null,
        }
    }
}

/// A piece of SQL with the values of its parameters.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct SqlFragment {
    /// The SQL. Parameters are numbered, `?1`, from [`SqlTranslator::first_parameter`] on; one may occur several times.
    pub text: String,
    /// Their values: the first is that of the first number.
    pub parameters: Vec<SqlValue>,
}

/// Whether a function can be written as SQL.
pub(crate) fn is_in_sql(function: crate::typed::Function) -> bool {
    use crate::typed::Function as F;
    !matches!(
        function,
        F::MatchesPattern | F::HasSubset | F::HasSubsequence | F::GeoDistance | F::GeoLength | F::GeoIntersects
    )
}

/// Gives the SQL expression of a property by its name; none for one that cannot be used in SQL.
pub type Columns<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Writes SQL for expressions over one entity type.
#[derive(Clone, Copy)]
pub struct SqlTranslator<'a> {
    entity_type: &'a EntityType,
    columns: Columns<'a>,
    first: usize,
    /// All types, to name what navigation to one entity leads to; none where the database has no way there.
    types: &'a [EntityType],
}

impl<'a> SqlTranslator<'a> {
    /// A translator whose parameters begin with `?1`.
    #[must_use]
    pub fn new(entity_type: &'a EntityType, columns: Columns<'a>) -> Self {
        Self { entity_type, columns, first: 1, types: &[] }
    }

    /// The same with the types of the model: a property behind a navigation to one entity is then asked for by its path, such
    /// as `Point/Unit`.
    #[must_use]
    pub fn with_types(mut self, types: &'a [EntityType]) -> Self {
        self.types = types;
        self
    }

    /// The same with another number for the first parameter, for a statement that has parameters before.
    #[must_use]
    pub fn first_parameter(mut self, number: usize) -> Self {
        self.first = number;
        self
    }

    /// A condition for WHERE that holds for exactly the rows whose `$filter` is true.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a property without an SQL expression.
    pub fn filter(&self, filter: &TypedExpr) -> Result<SqlFragment, Error> {
        let mut writer = Writer::new(self);
        let text = writer.expression(filter, Truth::OrNull)?;
        Ok(SqlFragment { text, parameters: writer.parameters })
    }

    /// The value of an expression, for SELECT and GROUP BY.
    ///
    /// # Errors
    /// As [`SqlTranslator::filter`].
    pub fn value(&self, expression: &TypedExpr) -> Result<SqlFragment, Error> {
        let mut writer = Writer::new(self);
        let text = writer.expression(expression, Truth::Exact)?;
        Ok(SqlFragment { text, parameters: writer.parameters })
    }

    /// A condition for WHERE that holds for the entity of a key ([`crate::Query::key`]).
    ///
    /// # Errors
    /// As [`SqlTranslator::filter`].
    pub fn key(&self, key: &[(usize, Value)]) -> Result<SqlFragment, Error> {
        let mut writer = Writer::new(self);
        let mut parts = Vec::with_capacity(key.len());
        for (position, value) in key {
            let column = writer.property(*position)?;
            parts.push(format!("{column} = {}", writer.bind(SqlValue::from(value))));
        }
        Ok(SqlFragment { text: parts.join(" AND "), parameters: writer.parameters })
    }
}

/// What an SQL NULL in place of false would do here.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Truth {
    /// Nothing: null and false both leave the row out, so that the plain operator, which an index serves, is right.
    OrNull,
    /// Harm: the value goes on into `not` or a comparison, so that a comparison must really be false.
    Exact,
}

/// Collects parameters while it writes.
struct Writer<'a, 't> {
    translator: &'t SqlTranslator<'a>,
    parameters: Vec<SqlValue>,
}

type Written = Result<String, Error>;

impl<'a, 't> Writer<'a, 't> {
    fn new(translator: &'t SqlTranslator<'a>) -> Self {
        Self { translator, parameters: Vec::new() }
    }

    fn bind(&mut self, value: SqlValue) -> String {
        self.parameters.push(value);
        format!("?{}", self.translator.first + self.parameters.len() - 1)
    }

    fn property(&self, position: usize) -> Written {
        let property = &self.translator.entity_type.properties[position];
        let Some(column) = (self.translator.columns)(&property.name) else {
            return Err(Error::unsupported(&property.name, "this property can be neither filtered nor sorted by"));
        };
        Ok(if property.ty == PrimitiveType::Decimal { format!("CAST({column} AS REAL)") } else { column })
    }

    /// A property of what a navigation of the row leads to, by its path.
    fn beyond(&self, operand: &TypedExpr, position: usize) -> Written {
        let here = self.translator.entity_type;
        let way = match &operand.node {
            Node::Navigate(from, way) if matches!(from.node, Node::Variable(crate::typed::SLOT_THIS)) => {
                here.navigation.get(*way).filter(|way| !way.collection)
            }
            _ => None,
        };
        let found = way.and_then(|way| {
            let property = self.translator.types.get(way.target_type)?.properties.get(position)?;
            (self.translator.columns)(&format!("{}/{}", way.name, property.name))
        });
        found.ok_or_else(|| Error::unsupported("path", "this path is not in SQL here"))
    }

    /// Writes an operand: an SQL expression that binds more strongly than any operator around it.
    fn expression(&mut self, expression: &TypedExpr, truth: Truth) -> Written {
        let text = match &expression.node {
            Node::Literal(value) => self.bind(SqlValue::from(value)),
            Node::Property(position) => self.property(*position)?,
            Node::Compare(comparison, left, right) => self.comparison(*comparison, left, right, truth)?,
            Node::And(..) | Node::Or(..) | Node::Arithmetic(..) => self.chain(expression, truth)?,
            Node::Not(operand) => format!("(NOT {})", self.expression(operand, Truth::Exact)?),
            Node::In(operand, items) => self.membership(operand, items, truth)?,
            Node::Call(function, arguments) => self.call(*function, arguments)?,
            Node::Negate(operand) => format!("(-{})", self.expression(operand, Truth::Exact)?),
            Node::Has(operand, flags) => {
                let (value, flags) = (self.expression(operand, Truth::Exact)?, self.expression(flags, Truth::Exact)?);
                format!("(({value} & {flags}) = {flags})")
            }
            Node::Case(branches) => self.case(branches)?,
            Node::Member(operand, position) => self.beyond(operand, *position)?,
            Node::List(_)
            | Node::Object(..)
            | Node::Search(..)
            | Node::Aggregate(..)
            | Node::Variable(_)
            | Node::Navigate(..)
            | Node::As(..)
            | Node::Set(_)
            | Node::Singleton(_)
            | Node::Find(..)
            | Node::Count(_)
            | Node::Filter(..)
            | Node::Lambda { .. }
            | Node::InCollection(..)
            | Node::Cast(..)
            | Node::IsOf(..) => {
                return Err(Error::unsupported(
                    "expression",
                    "paths, lambdas, casts and collections are not in SQL here",
                ));
            }
        };
        bounded(text)
    }

    /// Operators group from the left, in chains that may be long: they are gone through without going deeper.
    fn chain(&mut self, expression: &TypedExpr, truth: Truth) -> Written {
        let mut links = Vec::new();
        let (mut innermost, mut inner_truth) = (expression, truth);
        loop {
            let left = match &innermost.node {
                Node::And(left, _) | Node::Or(left, _) => left,
                Node::Arithmetic(_, left, _) => {
                    links.push((innermost, inner_truth));
                    (innermost, inner_truth) = (left, Truth::Exact);
                    continue;
                }
                _ => break,
            };
            links.push((innermost, inner_truth));
            innermost = left;
        }
        let mut text = self.expression(innermost, inner_truth)?;
        for (link, truth) in links.into_iter().rev() {
            text = bounded(match &link.node {
                Node::And(_, right) => format!("({text} AND {})", self.expression(right, truth)?),
                Node::Or(_, right) => format!("({text} OR {})", self.expression(right, truth)?),
                Node::Arithmetic(op, left, right) => self.arithmetic(*op, &text, (left, right), link.primitive())?,
                _ => text,
            })?;
        }
        Ok(text)
    }

    fn case(&mut self, branches: &[(TypedExpr, TypedExpr)]) -> Written {
        let mut text = String::from("(CASE");
        for (condition, value) in branches {
            let condition = self.expression(condition, Truth::OrNull)?;
            text.push_str(&format!(" WHEN {condition} THEN {}", self.expression(value, Truth::Exact)?));
        }
        Ok(text + " END)")
    }

    fn comparison(&mut self, op: Comparison, left: &TypedExpr, right: &TypedExpr, truth: Truth) -> Written {
        if is_nan(left) || is_nan(right) {
            return Ok(constant(op == Comparison::Ne));
        }
        match (is_null(left), is_null(right)) {
            (true, true) => return Ok(constant(matches!(op, Comparison::Eq | Comparison::Ge | Comparison::Le))),
            (true, false) => return self.with_null(op, right),
            (false, true) => return self.with_null(op, left),
            (false, false) => {}
        }
        let (a, b) = (self.expression(left, Truth::Exact)?, self.expression(right, Truth::Exact)?);
        let (either, both) = (left.nullable || right.nullable, left.nullable && right.nullable);
        let plain = match op {
            Comparison::Eq if both || (either && truth == Truth::Exact) => return Ok(format!("({a} IS {b})")),
            Comparison::Ne if either => return Ok(format!("({a} IS NOT {b})")),
            Comparison::Eq => format!("({a} = {b})"),
            Comparison::Ne => format!("({a} <> {b})"),
            Comparison::Gt => format!("({a} > {b})"),
            Comparison::Lt => format!("({a} < {b})"),
            Comparison::Ge if both => format!("({a} >= {b} OR ({a} IS NULL AND {b} IS NULL))"),
            Comparison::Le if both => format!("({a} <= {b} OR ({a} IS NULL AND {b} IS NULL))"),
            Comparison::Ge => format!("({a} >= {b})"),
            Comparison::Le => format!("({a} <= {b})"),
        };
        Ok(exact(plain, either, truth))
    }

    /// A comparison with the literal null.
    fn with_null(&mut self, op: Comparison, operand: &TypedExpr) -> Written {
        let text = self.expression(operand, Truth::Exact)?;
        Ok(match op {
            Comparison::Eq | Comparison::Ge | Comparison::Le => format!("({text} IS NULL)"),
            Comparison::Ne => format!("({text} IS NOT NULL)"),
            // The operand's parameters stay bound, so it stays in the text, too.
            Comparison::Gt | Comparison::Lt => format!("({text} IS NULL AND 0)"),
        })
    }

    fn membership(&mut self, operand: &TypedExpr, items: &[TypedExpr], truth: Truth) -> Written {
        let (literals, others): (Vec<_>, Vec<_>) =
            items.iter().partition(|item| matches!(item.node, Node::Literal(_)) && !is_null(item));
        let mut parts = Vec::new();
        let values: Vec<_> = literals.into_iter().filter(|item| !is_nan(item)).collect();
        if !values.is_empty() {
            let text = self.expression(operand, Truth::Exact)?;
            let list: Vec<_> =
                values.into_iter().map(|item| self.expression(item, Truth::Exact)).collect::<Result<_, _>>()?;
            parts.push(exact(format!("({text} IN ({}))", list.join(", ")), operand.nullable, truth));
        }
        for item in others {
            parts.push(self.comparison(Comparison::Eq, operand, item, truth)?);
        }
        Ok(match parts.as_slice() {
            [] => constant(false),
            [only] => only.clone(),
            several => format!("({})", several.join(" OR ")),
        })
    }
}

/// Checked at every node: a chain of functions that repeat their arguments would double at each.
fn bounded(text: String) -> Written {
    if text.len() > SQL_MAX_BYTES {
        return Err(Error::Limit { target: "expression".into(), limit: "sql bytes", max: SQL_MAX_BYTES });
    }
    Ok(text)
}

/// Makes a null false where that matters.
fn exact(text: String, nullable: bool, truth: Truth) -> String {
    if nullable && truth == Truth::Exact { format!("({text} IS TRUE)") } else { text }
}

/// Not `1` and `0`: a whole number in ORDER BY would be the number of a column.
fn constant(truth: bool) -> String {
    if truth { "(1 = 1)".into() } else { "(1 = 0)".into() }
}

fn is_null(expression: &TypedExpr) -> bool {
    matches!(expression.node, Node::Literal(Value::Null))
}

fn is_nan(expression: &TypedExpr) -> bool {
    matches!(expression.node, Node::Literal(Value::Double(number)) if number.is_nan())
}
