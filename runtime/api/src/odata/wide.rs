//! Wide sets: of a connection one row for each time at which it acquired something, with its points beside each other.
//!
//! A point without a reading at a row's time is null there; with the query option `carry=true` it keeps the value it had.
//! A reading without a value, as Bad ones are, is null, and null is then carried, too. Of several readings of a point at the
//! same time the one committed last counts. Rows come by SQL in the order of time; conditions on the time go into it, others
//! are tried on the rows.

use super::names::{identifier, identifiers};
use super::row::typed;
use super::service::{GatewayService, explain};
use crate::limits::{ODATA_WIDE_POINTS_MAX, ODATA_WIDE_READINGS};
use bulkhead_engine::Engine;
use bulkhead_log::{Query as Sql, QueryRow, SqlValue, value_of};
use bulkhead_model::{Kind, PointId};
use bulkhead_odata::model::{Abilities, Parts};
use bulkhead_odata::typed::Comparison;
use bulkhead_odata::{
    EntitySet, EntityType, Error, Home, Node, Page, PrimitiveType, Property, Query, Record, Row, TypedExpr, Value,
};
use std::collections::HashMap;
use std::ops::ControlFlow;

/// The property that every wide set has, its key.
pub(super) const TIME: &str = "time";

/// The set of a connection.
#[derive(Clone, Debug)]
pub(super) struct WideSet {
    /// The set's name: that of the connection as an identifier.
    pub(super) name: String,
    /// Its points, in the order of its properties behind the time.
    points: Vec<(PointId, Kind)>,
}

/// The wide sets that the config asks for, put into the parts of a model.
pub(super) fn add_to(parts: &mut Parts, engine: &Engine) -> Vec<WideSet> {
    let (config, catalogue) = (engine.config(), engine.log().catalogue());
    let mut sets = Vec::new();
    for (connection, _) in config.connections.iter().filter(|(_, connection)| connection.wide_set) {
        let points: Vec<_> = catalogue
            .of_connection(connection)
            .filter(|point| catalogue.is_current(point.id))
            .take(ODATA_WIDE_POINTS_MAX)
            .collect();
        let names = identifiers(points.iter().map(|point| point.info.name.as_str()), &[TIME]);
        let name = identifier(connection);
        let time = Property::required(TIME, PrimitiveType::DateTimeOffset).described("When the values were acquired");
        let mut ty = EntityType::new(format!("{name}_row"), [TIME]).with(time);
        for (point, name) in points.iter().zip(names) {
            let unit = point.info.unit.as_ref().map(|unit| format!(" [{unit}]")).unwrap_or_default();
            let told = point.info.description.as_ref().unwrap_or(&point.info.name);
            ty = ty.with(Property::optional(name, type_of(point.info.kind)).described(format!("{told}{unit}")));
        }
        parts.types.push(ty);
        let told = format!("The points of {connection} beside each other, a row for each time of acquisition");
        let unsortable = parts
            .types
            .last()
            .map_or_else(Vec::new, |ty| ty.properties.iter().skip(1).map(|property| property.name.clone()).collect());
        let abilities = Abilities { unsortable, ..Abilities::default() };
        parts.entity_sets.push(EntitySet::new(&name, format!("{name}_row")).described(told).able(abilities));
        let points = points.iter().map(|point| (point.id, point.info.kind)).collect();
        sets.push(WideSet { name, points });
    }
    sets
}

fn type_of(kind: Kind) -> PrimitiveType {
    match kind {
        Kind::Boolean => PrimitiveType::Boolean,
        Kind::Integer => PrimitiveType::Int64,
        Kind::Real => PrimitiveType::Double,
        Kind::Decimal => PrimitiveType::Decimal,
        Kind::Text | Kind::File => PrimitiveType::String,
        Kind::Time => PrimitiveType::DateTimeOffset,
        Kind::Duration => PrimitiveType::Duration,
        Kind::Bytes => PrimitiveType::Binary,
    }
}

/// The times that a query can be about: from the first to the second, both included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Span {
    from: i64,
    to: i64,
}

impl Span {
    const ALL: Self = Self { from: i64::MIN, to: i64::MAX };

    fn of(filter: Option<&TypedExpr>) -> Self {
        let mut span = Self::ALL;
        if let Some(filter) = filter {
            span.take(filter);
        }
        span
    }

    /// Narrows it by a condition, if that is about the time.
    fn take(&mut self, condition: &TypedExpr) {
        match &condition.node {
            Node::And(left, right) => {
                self.take(left);
                self.take(right);
            }
            Node::Compare(op, left, right) => match (&left.node, &right.node) {
                (Node::Property(0), Node::Literal(Value::DateTimeOffset(ns))) => self.narrow(*op, *ns),
                (Node::Literal(Value::DateTimeOffset(ns)), Node::Property(0)) => self.narrow(turned(*op), *ns),
                _ => {}
            },
            _ => {}
        }
    }

    fn narrow(&mut self, op: Comparison, ns: i64) {
        let (from, to) = match op {
            Comparison::Eq => (ns, ns),
            Comparison::Ge => (ns, i64::MAX),
            Comparison::Gt => (ns.saturating_add(1), i64::MAX),
            Comparison::Le => (i64::MIN, ns),
            Comparison::Lt => (i64::MIN, ns.saturating_sub(1)),
            Comparison::Ne => return,
        };
        (self.from, self.to) = (self.from.max(from), self.to.min(to));
    }
}

fn turned(op: Comparison) -> Comparison {
    match op {
        Comparison::Gt => Comparison::Lt,
        Comparison::Ge => Comparison::Le,
        Comparison::Lt => Comparison::Gt,
        Comparison::Le => Comparison::Ge,
        same => same,
    }
}

/// What is carried from one row to the next, and the time of that row.
pub(super) type Carried = (i64, Vec<Value>);

/// Reads of one set.
struct Reading<'q> {
    service: &'q GatewayService,
    set: &'q WideSet,
    query: &'q Query<'q>,
    descending: bool,
    carry: bool,
    ty: usize,
    place: usize,
    /// When it has taken too long, by the monotonic clock.
    until_ns: u64,
}

impl<'q> Reading<'q> {
    fn new(service: &'q GatewayService, set: &'q WideSet, query: &'q Query<'q>) -> Result<Self, Error> {
        let descending = match query.orderby.as_slice() {
            [] => false,
            [first, ..] if first.expression.node == Node::Property(0) => first.descending,
            _ => return Err(Error::unsupported("$orderby", format!("`{}` comes in the order of time", set.name))),
        };
        let carry = match query.host_option("carry").map(str::to_ascii_lowercase).as_deref() {
            None | Some("false") => false,
            Some("true") => true,
            Some(other) => return Err(Error::invalid("carry", format!("true or false is expected, not `{other}`"))),
        };
        if carry && descending {
            return Err(Error::unsupported(
                "carry with $orderby",
                "values are carried in the order of time: ascending",
            ));
        }
        let ty = service.model.type_place(&query.entity_type.name).unwrap_or_default();
        let place = service.model.entity_sets().iter().position(|found| found.name == set.name).unwrap_or_default();
        Ok(Self { service, set, query, descending, carry, ty, place, until_ns: service.until_ns() })
    }

    /// What is left of the times for this page.
    fn span(&self) -> Result<Span, Error> {
        let mut span = Span::of(self.query.filter.as_ref());
        if let Some(key) = &self.query.key {
            let Some((_, Value::DateTimeOffset(ns))) = key.first() else { return Ok(Span { from: 1, to: 0 }) };
            span = Span { from: *ns, to: *ns };
        }
        if let Some(token) = &self.query.page_token {
            let refused = || Error::invalid("$skiptoken", "this is no token of this service: follow the link as given");
            let last: i64 = token.parse().map_err(|_| refused())?;
            span.narrow(if self.descending { Comparison::Lt } else { Comparison::Gt }, last);
        }
        Ok(span)
    }

    fn keeps(&self, row: &Row) -> Result<bool, Error> {
        let record = Record { ty: self.ty, home: Home::Set(self.place), values: row.clone() };
        self.service.keeps(record, self.query.search.as_ref(), self.query.filter.iter(), self.until_ns)
    }

    /// The readings of a span, in its order, at most so many.
    fn statement(&self, span: Span, limit: usize) -> (String, Vec<SqlValue>) {
        let ids = self.set.points.iter().map(|(id, _)| id.0.to_string()).collect::<Vec<_>>().join(", ");
        let direction = if self.descending { "DESC" } else { "ASC" };
        let text = format!(
            "SELECT r.seq, r.point, r.time, r.value FROM readings r WHERE r.point IN ({ids}) AND r.time >= ?1 \
             AND r.time <= ?2 ORDER BY r.time {direction}, r.seq LIMIT {limit}"
        );
        (text, vec![SqlValue::Integer(span.from), SqlValue::Integer(span.to)])
    }

    /// What each point had before a time.
    fn before(&self, sql: &Sql, time: i64) -> Result<Vec<Value>, Error> {
        let text = "SELECT r.value FROM readings r WHERE r.point = ?1 AND r.time < ?2 ORDER BY r.time DESC, r.seq DESC LIMIT 1";
        let value = |(id, kind): &(PointId, Kind)| {
            let parameters = [SqlValue::Integer(i64::from(id.0)), SqlValue::Integer(time)];
            let found = sql.collect(text, &parameters, 1).map_err(explain)?;
            let stored = found.into_iter().next().and_then(|row| row.into_iter().next());
            Ok(stored.map_or(Value::Null, |stored| value_in(*kind, &stored)))
        };
        self.set.points.iter().map(value).collect()
    }
}

fn value_in(kind: Kind, stored: &SqlValue) -> Value {
    value_of(kind, stored).flatten().map_or(Value::Null, |value| typed(&value))
}

/// Reads a page.
pub(super) fn read(service: &GatewayService, set: &WideSet, query: &Query<'_>) -> Result<Page, Error> {
    let count = if query.count { Some(count(service, set, query)?) } else { None };
    let mut page = Page { count, ..Page::default() };
    let reading = Reading::new(service, set, query)?;
    let span = reading.span()?;
    if query.page_max_rows == 0 || set.points.is_empty() || span.from > span.to {
        return Ok(page);
    }
    let wanted = query.page_max_rows.saturating_add(1).saturating_mul(set.points.len());
    let limit = wanted.min(ODATA_WIDE_READINGS.max(set.points.len() * 2));
    let sql = service.sql()?;
    let start = match &reading {
        reading if !reading.carry => None,
        reading => Some(carried(reading, &sql, span.from)?),
    };
    let mut fold = Fold::new(&reading, start, query.skip.unwrap_or(0));
    let (text, parameters) = reading.statement(span, limit);
    let mut found = 0;
    let take = |row: &QueryRow<'_>| {
        found += 1;
        fold.take(row, &mut page)
    };
    sql.rows(&text, &parameters, take).map_err(explain)?;
    fold.end(found < limit, &mut page)?;
    Ok(page)
}

/// What is carried into the first row: from the page before, or looked up.
fn carried(reading: &Reading<'_>, sql: &Sql, from: i64) -> Result<Vec<Value>, Error> {
    let known = reading.service.carried.lock().take();
    match known {
        Some((time, values)) if time.saturating_add(1) == from => Ok(values),
        _ => reading.before(sql, from),
    }
}

/// Readings in the order of time become rows.
struct Fold<'r> {
    reading: &'r Reading<'r>,
    /// Where a point stands in a row.
    columns: HashMap<i64, (usize, Kind)>,
    /// The row being made, with its time and the seqs that its values have.
    row: Option<(i64, Vec<Value>, Vec<i64>)>,
    carried: Option<Vec<Value>>,
    /// The time of the last row that was made, kept or not.
    last: Option<i64>,
    skip: u64,
    full: bool,
    failed: Option<Error>,
}

impl<'r> Fold<'r> {
    fn new(reading: &'r Reading<'r>, carried: Option<Vec<Value>>, skip: u64) -> Self {
        let column = |(at, (id, kind)): (usize, &(PointId, Kind))| (i64::from(id.0), (at, *kind));
        let columns = reading.set.points.iter().enumerate().map(column).collect();
        Self { reading, columns, row: None, carried, last: None, skip, full: false, failed: None }
    }

    fn take(&mut self, row: &QueryRow<'_>, page: &mut Page) -> ControlFlow<()> {
        let (Some(seq), Some(point), Some(time)) = (row.integer(0), row.integer(1), row.integer(2)) else {
            return ControlFlow::Continue(());
        };
        if self.row.as_ref().is_some_and(|(known, ..)| *known != time) {
            self.finish(page);
            if self.full || self.failed.is_some() {
                return ControlFlow::Break(());
            }
        }
        let width = self.reading.set.points.len();
        let (_, values, seqs) = self.row.get_or_insert_with(|| {
            let values = self.carried.clone().unwrap_or_else(|| vec![Value::Null; width]);
            (time, values, vec![0; width])
        });
        if let Some((at, kind)) = self.columns.get(&point).filter(|(at, _)| seqs[*at] < seq) {
            (values[*at], seqs[*at]) = (value_in(*kind, &row.value(3)), seq);
        }
        ControlFlow::Continue(())
    }

    /// The row is whole.
    fn finish(&mut self, page: &mut Page) {
        let Some((time, values, _)) = self.row.take() else { return };
        if page.rows.len() == self.reading.query.page_max_rows {
            self.full = true;
            return;
        }
        self.last = Some(time);
        if self.carried.is_some() {
            self.carried = Some(values.clone());
        }
        let mut all = Vec::with_capacity(values.len() + 1);
        all.push(Value::DateTimeOffset(time));
        all.extend(values);
        match self.reading.keeps(&all) {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                self.failed = Some(error);
                return;
            }
        }
        if self.skip > 0 {
            self.skip -= 1;
            return;
        }
        let columns = &self.reading.query.columns;
        page.rows.push(match columns.len() == all.len() {
            true => all,
            false => columns.iter().map(|column| std::mem::replace(&mut all[*column], Value::Null)).collect(),
        });
    }

    /// There are no more readings; `exhausted` says that there are none behind these either.
    fn end(mut self, exhausted: bool, page: &mut Page) -> Result<(), Error> {
        // Else the last row may not be whole: it begins the next page. A time with more readings than are folded at once has no
        // page to begin: its row is made of those.
        if exhausted || self.last.is_none() {
            self.finish(page);
        }
        if let Some(error) = self.failed {
            return Err(error);
        }
        if !exhausted || self.full {
            page.next_token = self.last.map(|time| time.to_string());
            if let (Some(values), Some(time)) = (self.carried, self.last) {
                *self.reading.service.carried.lock() = Some((time, values));
            }
        }
        Ok(())
    }
}

/// Counts the rows that a query keeps.
pub(super) fn count(service: &GatewayService, set: &WideSet, query: &Query<'_>) -> Result<u64, Error> {
    let mut all = Query {
        count: false,
        skip: None,
        page_token: None,
        orderby: Vec::new(),
        columns: (0..query.entity_type.properties.len()).collect(),
        page_max_rows: bulkhead_odata::limits::CHUNK_ROWS,
        ..query.clone()
    };
    let mut counted = 0;
    loop {
        let page = read(service, set, &all)?;
        counted += page.rows.len() as u64;
        if page.next_token.is_none() {
            return Ok(counted);
        }
        all.page_token = page.next_token;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_come_from_conditions_on_the_time() {
        let ty = EntityType::new("x_row", [TIME])
            .with(Property::required(TIME, PrimitiveType::DateTimeOffset))
            .with(Property::optional("a", PrimitiveType::Double));
        let compare = |op, position, value| {
            let mut condition = TypedExpr::equals(&ty, position, value);
            if let Node::Compare(found, ..) = &mut condition.node {
                *found = op;
            }
            condition
        };
        let from = compare(Comparison::Gt, 0, Value::DateTimeOffset(9));
        let to = compare(Comparison::Le, 0, Value::DateTimeOffset(20));
        let other = compare(Comparison::Gt, 1, Value::Double(1.0));
        let all = TypedExpr::both(TypedExpr::both(from, other.clone()), to);
        assert_eq!(Span::of(Some(&all)), Span { from: 10, to: 20 });
        assert_eq!(Span::of(Some(&other)), Span::ALL);
        assert_eq!(Span::of(None), Span::ALL);
    }
}
