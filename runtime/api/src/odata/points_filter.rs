//! The part of a `$filter` that is about points alone. `Connection eq 'boiler' and Point eq 'flow'` is answered from the
//! few thousand points first, so that the millions of readings are looked up by the numbers of the points it leaves.

use super::statement::{Statement, all_of};
use bulkhead_log::{LogError, Query as Sql, SqlValue};
use bulkhead_odata::{EntityType, Error, Node, TypedExpr};

/// The properties of a reading that its point decides, and where SQL finds them in a point.
const OF_POINT: [(&str, &str); 12] = [
    ("PointId", "p.id"),
    ("Connection", "p.connection"),
    ("Point", "p.name"),
    ("Kind", "p.kind"),
    ("Unit", "p.unit"),
    ("PointInfo/Id", "p.id"),
    ("PointInfo/Connection", "p.connection"),
    ("PointInfo/Name", "p.name"),
    ("PointInfo/Kind", "p.kind"),
    ("PointInfo/Unit", "p.unit"),
    ("PointInfo/Description", "p.description"),
    ("ConnectionInfo/Name", "p.connection"),
];
/// With more points than this their numbers are not listed in the statement; the condition is then tried on each reading.
const POINTS_MAX: usize = 1_000;

/// A `$filter`, taken apart at its `and`s.
#[derive(Debug, Default)]
pub(super) struct Parts<'f> {
    /// About points alone.
    pub(super) points: Vec<&'f TypedExpr>,
    /// The rest.
    pub(super) rest: Vec<&'f TypedExpr>,
}

impl<'f> Parts<'f> {
    pub(super) fn of(filter: Option<&'f TypedExpr>, entity_type: &EntityType, types: &[EntityType]) -> Self {
        let mut parts = Self::default();
        if let Some(filter) = filter {
            parts.take(filter, entity_type, types);
        }
        parts
    }

    fn take(&mut self, expression: &'f TypedExpr, entity_type: &EntityType, types: &[EntityType]) {
        if let Node::And(left, right) = &expression.node {
            self.take(left, entity_type, types);
            self.take(right, entity_type, types);
        } else if is_of_points(expression, entity_type, types) {
            self.points.push(expression);
        } else {
            self.rest.push(expression);
        }
    }
}

/// Whether an expression names properties, and only those a point decides, in a way that SQL has.
pub(super) fn is_of_points(expression: &TypedExpr, entity_type: &EntityType, types: &[EntityType]) -> bool {
    let mut used = false;
    let columns = |name: &str| column(name).map(str::to_owned);
    expression.walk(&mut |part| used |= matches!(part.node, Node::Property(_) | Node::Member(..)));
    used && Statement::new(entity_type, &columns).with_types(types).filter(expression).is_ok()
}

/// Where SQL finds a property that a point decides.
pub(super) fn column(name: &str) -> Option<&'static str> {
    OF_POINT.iter().find(|(known, _)| *known == name).map(|(_, column)| *column)
}

/// The numbers of the points that conditions let through; none when there are too many to list.
pub(super) fn matching(
    sql: &Sql,
    conditions: &[&TypedExpr],
    (entity_type, types): (&EntityType, &[EntityType]),
    explain: impl Fn(LogError) -> Error,
) -> Result<Option<Vec<i64>>, Error> {
    let columns = |name: &str| column(name).map(str::to_owned);
    let mut statement = Statement::new(entity_type, &columns).with_types(types);
    let texts = conditions.iter().map(|condition| statement.filter(condition)).collect::<Result<Vec<_>, _>>()?;
    let text = format!("SELECT p.id FROM points p WHERE {}", all_of(&texts));
    let rows = sql.collect(&text, &statement.parameters, POINTS_MAX + 1).map_err(explain)?;
    if rows.len() > POINTS_MAX {
        return Ok(None);
    }
    let id = |row: Vec<SqlValue>| match row.first() {
        Some(SqlValue::Integer(id)) => Some(*id),
        _ => None,
    };
    Ok(Some(rows.into_iter().filter_map(id).collect()))
}
