//! `Readings` and `LatestReadings`: typed queries as SQL over the log's tables, rows as OData values.

use super::points_filter::{self, Parts, matching};
use super::row::properties;
use super::service::explain;
use super::statement::{Statement, all_of, items, token};
use crate::limits::PAGE_MAX_BYTES;
use bulkhead_log::{Log, Query as Sql, QueryRow, SqlValue};
use bulkhead_odata::{Error, Node, Page, Query};
use std::cell::Cell;
use std::ops::ControlFlow;

/// Columns of a row before those it is sorted by.
const FIXED_COLUMNS: &str = "r.seq, r.point, r.time, r.status, r.value";
const FIXED_COLUMNS_COUNT: usize = 5;
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
    fn name(self) -> &'static str {
        match self {
            Table::Readings => "readings",
            Table::Latest => "latest_readings",
        }
    }
}

/// Where SQL finds a property; none for those that are computed from a row afterwards.
fn column(name: &str) -> Option<String> {
    let of_kind = |kind: &str| Some(format!("CASE WHEN p.kind = '{kind}' THEN r.value END"));
    match name {
        "Seq" => Some("r.seq".into()),
        "PointId" => Some("r.point".into()),
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
fn sources(table: Table, needs_points: bool) -> String {
    let join = if needs_points { " CROSS JOIN points p ON p.id = r.point" } else { "" };
    format!("{} r{join}", table.name())
}

/// Conditions of a query apart from those on points, as SQL.
struct Conditions<'f> {
    parts: Parts<'f>,
    /// The points that are left; none: no condition, or too many to list.
    points: Option<Vec<i64>>,
}

impl<'f> Conditions<'f> {
    fn of(sql: &Sql, query: &'f Query<'_>) -> Result<Self, Error> {
        let mut parts = Parts::of(query.filter.as_ref(), query.entity_type);
        let mut points = None;
        if !parts.points.is_empty() {
            points = matching(sql, &parts.points, query.entity_type, explain)?;
            if points.is_none() {
                parts.rest.append(&mut parts.points);
            }
        }
        Ok(Self { parts, points })
    }

    fn write(&self, statement: &mut Statement<'_>) -> Result<Vec<String>, Error> {
        self.parts.rest.iter().map(|condition| statement.filter(condition)).collect()
    }
}

/// The condition that a row is of one of these points. Of none: a constant, at which SQLite does not begin to read.
fn of_points(column: &str, points: &[i64]) -> String {
    match points {
        [] => "0".to_owned(),
        [id] => format!("{column} = {id}"),
        several => format!("{column} IN ({})", several.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
    }
}

/// Counts the rows of a filter.
pub(super) fn count(sql: &Sql, table: Table, query: &Query<'_>) -> Result<u64, Error> {
    let conditions = Conditions::of(sql, query)?;
    let needs_points = Cell::new(false);
    let columns = noting(&needs_points);
    let mut statement = Statement::new(query.entity_type, &columns);
    let mut texts = conditions.write(&mut statement)?;
    if let Some(points) = &conditions.points {
        texts.push(of_points("r.point", points));
    }
    let text = format!("SELECT count(*) FROM {} WHERE {}", sources(table, needs_points.get()), all_of(&texts));
    let rows = sql.collect(&text, &statement.parameters, 1).map_err(explain)?;
    match rows.first().and_then(|row| row.first()) {
        Some(SqlValue::Integer(number)) => Ok(u64::try_from(*number).unwrap_or(0)),
        _ => Err(Error::Internal("the rows could not be counted".into())),
    }
}

/// The columns, with a note whether one of them is of the point.
fn noting(needs_points: &Cell<bool>) -> impl Fn(&str) -> Option<String> {
    |name| {
        let column = column(name)?;
        needs_points.set(needs_points.get() || column.contains("p."));
        Some(column)
    }
}

/// Reads a page.
pub(super) fn read(sql: &Sql, table: Table, query: &Query<'_>, log: &Log) -> Result<Page, Error> {
    let count = if query.count { Some(count(sql, table, query)?) } else { None };
    let mut page = Page { count, ..Page::default() };
    if query.page_max_rows == 0 {
        return Ok(page);
    }
    let (text, parameters, order_count) = page_statement(sql, table, query)?;
    let mut last_order = Vec::new();
    let (mut bytes, mut failed) = (0, None);
    let take = |row: &QueryRow<'_>| {
        if page.rows.len() == query.page_max_rows || bytes >= PAGE_MAX_BYTES {
            page.next_token = Some(token(std::mem::take(&mut last_order)));
            return ControlFlow::Break(());
        }
        last_order = order_of(row, order_count);
        match properties(row, query, log) {
            Ok((values, weight)) => {
                bytes += weight;
                page.rows.push(values);
                ControlFlow::Continue(())
            }
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        }
    };
    sql.rows(&text, &parameters, take).map_err(explain)?;
    failed.map_or(Ok(page), Err)
}

/// The values a row is sorted by: what is behind the fixed columns.
fn order_of(row: &QueryRow<'_>, count: usize) -> Vec<SqlValue> {
    (FIXED_COLUMNS_COUNT..FIXED_COLUMNS_COUNT + count).map(|column| row.value(column)).collect()
}

/// The statement of a page, with one row more than the page takes: it says whether there is another. With its parameters
/// and the number of values a row is sorted by.
fn page_statement(sql: &Sql, table: Table, query: &Query<'_>) -> Result<(String, Vec<SqlValue>, usize), Error> {
    let conditions = Conditions::of(sql, query)?;
    let needs_points = Cell::new(false);
    let columns = noting(&needs_points);
    let mut statement = Statement::new(query.entity_type, &columns);
    let mut texts = conditions.write(&mut statement)?;
    texts.extend(statement.place(query)?);
    let order_values = statement.order_values(query)?;
    let order = statement.order(query)?;
    let select = |condition: Option<String>, limit: u64| {
        let conditions: Vec<String> = condition.into_iter().chain(texts.iter().cloned()).collect();
        let sources = sources(table, needs_points.get());
        let condition = all_of(&conditions);
        format!(
            "SELECT {FIXED_COLUMNS}, {order_values} FROM {sources} WHERE {condition} ORDER BY {order} LIMIT {limit}"
        )
    };
    let skip = query.skip.unwrap_or(0);
    let rows = query.page_max_rows as u64 + 1;
    let reach = rows.saturating_add(skip).min(i64::MAX.unsigned_abs());
    let text = match &conditions.points {
        None => format!("{} OFFSET {skip}", select(None, rows)),
        Some(points) => match (seq_order(query), points.len()) {
            (Some(direction), 2..=MERGE_MAX_POINTS) => {
                let one = |id: &i64| format!("SELECT * FROM ({})", select(Some(of_points("r.point", &[*id])), reach));
                let all = points.iter().map(one).collect::<Vec<_>>().join(" UNION ALL ");
                format!("{all} ORDER BY 1 {direction} LIMIT {rows} OFFSET {skip}")
            }
            // In the order of the log the first rows are found soonest by reading in that order; the plus keeps SQLite
            // from collecting all rows of all points first.
            (Some(_), count) if count > MERGE_MAX_POINTS => {
                format!("{} OFFSET {skip}", select(Some(of_points("+r.point", points)), rows))
            }
            _ => format!("{} OFFSET {skip}", select(Some(of_points("r.point", points)), rows)),
        },
    };
    Ok((text, statement.parameters, items(&order_values)))
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
