//! `Readings` and `LatestReadings`: typed queries as SQL over the log's tables, rows as OData values. Conditions that SQL
//! does not have are tried on the rows that the others leave.

use super::changes::{check_kept, seq_of};
use super::points_filter::{self, Parts, matching};
use super::row::Rows;
use super::service::{GatewayService, explain};
use super::statement::{Statement, all_of, items, token};
use crate::limits::PAGE_MAX_BYTES;
use bulkhead_log::{Query as Sql, QueryRow, SqlValue};
use bulkhead_odata::{EntityType, Error, Given, Home, Node, Page, Query, Record, Row, Take, TypedExpr, Value};
use std::cell::Cell;
use std::ops::{ControlFlow, Range};

/// Columns of a row before those it is sorted by: seq, point, time, status, value.
const FIXED_COLUMNS_COUNT: usize = 5;
/// The column by which rows are sorted if nobody says otherwise, and its place.
const SEQ: &str = "r.seq";
const SEQ_COLUMN: usize = 0;
/// The column of the point.
const POINT: &str = "r.point";
/// With at most so many points each is read by itself in the order of its seqs and the results are merged; with more the
/// log is read in order and other points' rows are left out.
const MERGE_MAX_POINTS: usize = 16;
/// The lowest status that is not Good (OPC 10000-4 §7.39).
const FIRST_NOT_GOOD: u32 = 0x4000_0000;

/// Which of the log's tables.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Table {
    Readings,
    Latest,
}

impl Table {
    pub(super) fn name(self) -> &'static str {
        match self {
            Table::Readings => "readings",
            Table::Latest => "latest_readings",
        }
    }
}

/// A filter, and the points that its part about points lets through; none: too many to list.
pub(super) type PointsOfFilter = (TypedExpr, Option<Vec<i64>>);

/// Where SQL finds a property; none for those that are computed from a row afterwards.
pub(super) fn column(name: &str) -> Option<String> {
    let of_kind = |kind: &str| Some(format!("CASE WHEN p.kind = '{kind}' THEN r.value END"));
    match name {
        "Seq" => Some(SEQ.into()),
        "PointId" => Some(POINT.into()),
        "Time" => Some("r.time".into()),
        "Status" => Some("r.status".into()),
        "Good" => Some(format!("(r.status < {FIRST_NOT_GOOD})")),
        "NumericValue" => {
            Some("CASE WHEN p.kind IN ('integer', 'real', 'decimal') THEN CAST(r.value AS REAL) END".into())
        }
        "BooleanValue" => of_kind("boolean"),
        "IntegerValue" => of_kind("integer"),
        "DecimalValue" => of_kind("decimal"),
        "TextValue" => of_kind("text"),
        "TimeValue" => of_kind("time"),
        "DurationValue" => of_kind("duration"),
        "BytesValue" => of_kind("bytes"),
        name => points_filter::column(name).map(str::to_owned),
    }
}

/// The statement's sources: readings, and their points where a condition needs them. The cross join fixes the order of the
/// two loops, so that readings come by their index and in their order.
pub(super) fn sources(table: Table, needs_points: bool) -> String {
    let join = if needs_points { " CROSS JOIN points p ON p.id = r.point" } else { "" };
    format!("{} r{join}", table.name())
}

/// Conditions of a query, taken apart.
pub(super) struct Conditions<'f> {
    /// For SQL.
    sql: Vec<&'f TypedExpr>,
    /// Not for SQL.
    pub(super) later: Vec<&'f TypedExpr>,
    /// The points that are left; none: no condition, or too many to list.
    pub(super) points: Option<Vec<i64>>,
    /// Behind and up to which seqs.
    seqs: (Option<u64>, Option<u64>),
}

impl<'f> Conditions<'f> {
    pub(super) fn of(service: &GatewayService, sql: &Sql, table: Table, query: &'f Query<'_>) -> Result<Self, Error> {
        let types = service.model.types();
        let mut parts = Parts::of(query.filter.as_ref(), query.entity_type, types);
        let mut points = None;
        if !parts.points.is_empty() {
            points = points_of(service, sql, query, &parts)?;
            if points.is_none() {
                parts.rest.append(&mut parts.points);
            }
        }
        let columns = |name: &str| column(name);
        let is_sql = |condition: &&TypedExpr| {
            Statement::new(query.entity_type, &columns).with_types(types).filter(condition).is_ok()
        };
        let (for_sql, later) = parts.rest.into_iter().partition(is_sql);
        let log = service.engine().log();
        let seq = |state: &Option<String>| state.as_ref().map(|state| seq_of(state, log)).transpose();
        let seqs = (seq(&query.since)?, seq(&query.until)?);
        if let (Some(since), Table::Readings) = (seqs.0, table) {
            check_kept(since, log)?;
        }
        Ok(Self { sql: for_sql, later, points, seqs })
    }

    pub(super) fn write(&self, statement: &mut Statement<'_>) -> Result<Vec<String>, Error> {
        let mut texts: Vec<String> =
            self.sql.iter().map(|condition| statement.filter(condition)).collect::<Result<_, _>>()?;
        texts.extend(self.seqs.0.map(|since| format!("r.seq > {since}")));
        texts.extend(self.seqs.1.map(|until| format!("r.seq <= {until}")));
        Ok(texts)
    }
}

/// The points of a filter. They are looked for once a request, which asks for page after page.
fn points_of(
    service: &GatewayService,
    sql: &Sql,
    query: &Query<'_>,
    parts: &Parts<'_>,
) -> Result<Option<Vec<i64>>, Error> {
    let Some(filter) = &query.filter else { return Ok(None) };
    let mut known = service.points.lock();
    if let Some((same, points)) = known.as_ref().filter(|(same, _)| same == filter) {
        debug_assert!(same == filter, "they were compared");
        return Ok(points.clone());
    }
    let types = service.model.types();
    let points = matching(sql, &parts.points, (query.entity_type, types), explain)?;
    *known = Some((filter.clone(), points.clone()));
    Ok(points)
}

/// The condition that a row is of one of these points. Of none: a constant, at which SQLite does not begin to read.
pub(super) fn of_points(column: &str, points: &[i64]) -> String {
    match points {
        [] => "0".to_owned(),
        [id] => format!("{column} = {id}"),
        several => format!("{column} IN ({})", several.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
    }
}

/// The columns, with a note whether one of them is of the point.
pub(super) fn noting(needs_points: &Cell<bool>) -> impl Fn(&str) -> Option<String> {
    |name| {
        let column = column(name)?;
        needs_points.set(needs_points.get() || column.contains("p."));
        Some(column)
    }
}

/// Tries what SQL did not on rows that have all their properties.
struct Later<'q> {
    service: &'q GatewayService,
    query: &'q Query<'q>,
    conditions: &'q [&'q TypedExpr],
    ty: usize,
    set: usize,
    /// When it has taken too long, by the monotonic clock.
    until_ns: u64,
}

impl<'q> Later<'q> {
    fn of(service: &'q GatewayService, query: &'q Query<'q>, conditions: &'q [&'q TypedExpr]) -> Option<Self> {
        if conditions.is_empty() && query.search.is_none() {
            return None;
        }
        let model = &service.model;
        let set = model.entity_sets().iter().position(|set| set.name == query.set.name)?;
        let (ty, until_ns) = (model.type_place(&query.entity_type.name)?, service.until_ns());
        Some(Self { service, query, conditions, ty, set, until_ns })
    }

    fn keeps(&self, row: &Row) -> Result<bool, Error> {
        let record = Record { ty: self.ty, home: Home::Set(self.set), values: row.clone() };
        self.service.keeps(record, self.query.search.as_ref(), self.conditions.iter().copied(), self.until_ns)
    }
}

/// Counts the rows of a filter.
pub(super) fn count(service: &GatewayService, table: Table, query: &Query<'_>) -> Result<u64, Error> {
    let sql = service.sql()?;
    let conditions = Conditions::of(service, &sql, table, query)?;
    if let Some(later) = Later::of(service, query, &conditions.later) {
        return count_later(service, &sql, table, query, &conditions, &later);
    }
    let needs_points = Cell::new(false);
    let columns = noting(&needs_points);
    let mut statement = Statement::new(query.entity_type, &columns).with_types(service.model.types());
    let mut texts = conditions.write(&mut statement)?;
    texts.extend(conditions.points.as_ref().map(|points| of_points(POINT, points)));
    let text = format!("SELECT count(*) FROM {} WHERE {}", sources(table, needs_points.get()), all_of(&texts));
    let rows = sql.collect(&text, &statement.parameters, 1).map_err(explain)?;
    match rows.first().and_then(|row| row.first()) {
        Some(SqlValue::Integer(number)) => Ok(u64::try_from(*number).unwrap_or(0)),
        _ => Err(Error::Internal("the rows could not be counted".into())),
    }
}

fn count_later(
    service: &GatewayService,
    sql: &Sql,
    table: Table,
    query: &Query<'_>,
    conditions: &Conditions<'_>,
    later: &Later<'_>,
) -> Result<u64, Error> {
    let plain = Query { orderby: Vec::new(), skip: None, page_token: None, ..query.clone() };
    let (text, parameters, _) = page_statement(service, table, &plain, conditions, None)?;
    let all = all_columns(query.entity_type);
    let rows = Rows::new(query.entity_type, &all, service.engine().log())?;
    let (mut counted, mut failed, mut values) = (0, None, Row::new());
    let take = |row: &QueryRow<'_>| match rows.fill(row, &mut values) {
        Ok(_) => match later.keeps(&values) {
            Ok(keeps) => {
                counted += u64::from(keeps);
                ControlFlow::Continue(())
            }
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        },
        Err(error) => {
            failed = Some(error);
            ControlFlow::Break(())
        }
    };
    sql.rows(&text, &parameters, take).map_err(explain)?;
    failed.map_or(Ok(counted), Err)
}

fn all_columns(entity_type: &EntityType) -> Vec<usize> {
    (0..entity_type.properties.len()).collect()
}

/// Reads a page.
pub(super) fn read(service: &GatewayService, table: Table, query: &Query<'_>) -> Result<Page, Error> {
    let count = if query.count { Some(count(service, table, query)?) } else { None };
    let mut rows = Vec::new();
    let given = each(service, table, query, &mut |row| {
        rows.push(std::mem::take(row));
        ControlFlow::Continue(())
    })?;
    Ok(Page { rows, count, next_token: given.next_token })
}

/// Hands over the rows of a page; where the next one begins.
pub(super) fn each(service: &GatewayService, table: Table, query: &Query<'_>, give: Take<'_>) -> Result<Given, Error> {
    if query.page_max_rows == 0 {
        return Ok(Given { next_token: None });
    }
    let sql = service.sql()?;
    let conditions = Conditions::of(service, &sql, table, query)?;
    let later = Later::of(service, query, &conditions.later);
    // What is left out here is not counted by SQL: then neither its limit nor its offset can be used.
    let limits = if later.is_some() { None } else { Some((query.page_max_rows as u64 + 1, query.skip.unwrap_or(0))) };
    let (text, parameters, order_columns) = page_statement(service, table, query, &conditions, limits)?;
    let all = all_columns(query.entity_type);
    let columns = if later.is_some() { &all } else { &query.columns };
    let rows = Rows::new(query.entity_type, columns, service.engine().log())?;
    let skip = if later.is_some() { query.skip.unwrap_or(0) } else { 0 };
    let mut taken = Taken { order: None, next_token: None, rows: 0, bytes: 0, skip, values: Row::new() };
    let mut failed = None;
    let take = |row: &QueryRow<'_>| match taken.take(row, &rows, later.as_ref(), query, &order_columns, give) {
        Ok(flow) => flow,
        Err(error) => {
            failed = Some(error);
            ControlFlow::Break(())
        }
    };
    sql.rows(&text, &parameters, take).map_err(explain)?;
    failed.map_or(Ok(Given { next_token: taken.next_token }), Err)
}

/// What has been taken of a page.
struct Taken {
    /// The values that the last row is sorted by.
    order: Option<Vec<SqlValue>>,
    next_token: Option<String>,
    rows: usize,
    bytes: usize,
    /// Rows that are still to be left out.
    skip: u64,
    /// The row that is given now; the place is used again for the next.
    values: Row,
}

impl Taken {
    fn take(
        &mut self,
        row: &QueryRow<'_>,
        rows: &Rows<'_>,
        later: Option<&Later<'_>>,
        query: &Query<'_>,
        order_columns: &Range<usize>,
        give: Take<'_>,
    ) -> Result<ControlFlow<()>, Error> {
        let is_full = self.rows == query.page_max_rows || self.bytes >= PAGE_MAX_BYTES;
        if is_full && later.is_none() {
            self.next_token = self.order.take().map(token);
            return Ok(ControlFlow::Break(()));
        }
        let weight = rows.fill(row, &mut self.values)?;
        if let Some(later) = later {
            let values = &mut self.values;
            if !later.keeps(values)? {
                return Ok(ControlFlow::Continue(()));
            }
            if self.skip > 0 {
                self.skip -= 1;
                return Ok(ControlFlow::Continue(()));
            }
            if is_full {
                self.next_token = self.order.take().map(token);
                return Ok(ControlFlow::Break(()));
            }
            if query.columns.len() < values.len() {
                *values =
                    query.columns.iter().map(|column| std::mem::replace(&mut values[*column], Value::Null)).collect();
            }
        }
        // Only the last row of a page is asked for it.
        if self.rows + 1 == query.page_max_rows || self.bytes + weight >= PAGE_MAX_BYTES {
            self.order = Some(order_of(row, order_columns.clone()));
        }
        self.bytes += weight;
        self.rows += 1;
        let wants_more = give(&mut self.values).is_continue();
        // Of the last row of a page the next one says whether there are more.
        if wants_more || self.order.is_some() {
            return Ok(ControlFlow::Continue(()));
        }
        self.next_token = Some(token(order_of(row, order_columns.clone())));
        Ok(ControlFlow::Break(()))
    }
}

/// The values a row is sorted by.
fn order_of(row: &QueryRow<'_>, columns: Range<usize>) -> Vec<SqlValue> {
    columns.map(|column| row.value(column)).collect()
}

/// The statement of a page, its parameters, and the columns that a row is sorted by. The limits are its rows, one more
/// than the page takes because it says whether there is another, and those left out before.
fn page_statement(
    service: &GatewayService,
    table: Table,
    query: &Query<'_>,
    conditions: &Conditions<'_>,
    limits: Option<(u64, u64)>,
) -> Result<(String, Vec<SqlValue>, Range<usize>), Error> {
    let needs_points = Cell::new(false);
    let columns = noting(&needs_points);
    let mut statement = Statement::new(query.entity_type, &columns).with_types(service.model.types());
    let mut texts = conditions.write(&mut statement)?;
    texts.extend(statement.place(query)?);
    let order_values = statement.order_values(query)?;
    let order = statement.order(query)?;
    // Every column of every row is a call: what is known already is not asked for.
    let (order_columns, selected_order) = if order_values == SEQ {
        (SEQ_COLUMN..SEQ_COLUMN + 1, String::new())
    } else {
        (FIXED_COLUMNS_COUNT..FIXED_COLUMNS_COUNT + items(&order_values), format!(", {order_values}"))
    };
    let limit = |reach: bool| match limits {
        None => String::new(),
        Some((rows, skip)) if reach => format!(" LIMIT {}", rows.saturating_add(skip).min(i64::MAX.unsigned_abs())),
        Some((rows, skip)) => format!(" LIMIT {rows} OFFSET {skip}"),
    };
    let select = |condition: Option<String>, point: &str, limit: String| {
        let conditions: Vec<String> = condition.into_iter().chain(texts.iter().cloned()).collect();
        let sources = sources(table, needs_points.get());
        let condition = all_of(&conditions);
        let columns = format!("{SEQ}, {point}, r.time, r.status, r.value{selected_order}");
        format!("SELECT {columns} FROM {sources} WHERE {condition} ORDER BY {order}{limit}")
    };
    let text = match &conditions.points {
        None => select(None, POINT, limit(false)),
        Some(points) => match (seq_order(query), points.as_slice()) {
            (_, [id]) => select(Some(of_points(POINT, points)), &id.to_string(), limit(false)),
            (Some(direction), several) if (2..=MERGE_MAX_POINTS).contains(&several.len()) => {
                let one = |id: &i64| {
                    format!("SELECT * FROM ({})", select(Some(of_points(POINT, &[*id])), &id.to_string(), limit(true)))
                };
                let all = several.iter().map(one).collect::<Vec<_>>().join(" UNION ALL ");
                format!("{all} ORDER BY 1 {direction}{}", limit(false))
            }
            // In the order of the log the first rows are found soonest by reading in that order; the plus keeps SQLite
            // from collecting all rows of all points first.
            (Some(_), [_, ..]) => select(Some(of_points("+r.point", points)), POINT, limit(false)),
            _ => select(Some(of_points(POINT, points)), POINT, limit(false)),
        },
    };
    Ok((text, statement.parameters, order_columns))
}

/// The direction when the order is that of the log.
fn seq_order(query: &Query<'_>) -> Option<&'static str> {
    let seq = query.entity_type.position("Seq")?;
    match query.orderby.first() {
        None if query.entity_type.key == ["Seq"] => Some("ASC"),
        Some(first) if first.expression.node == Node::Property(seq) => {
            Some(if first.descending { "DESC" } else { "ASC" })
        }
        _ => None,
    }
}
