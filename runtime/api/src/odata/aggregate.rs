//! `$apply` over readings: groups and what is computed of them, as one SQL statement over the log's tables.
//!
//! Names of points and connections are decided by the point: groups are made by its number first, and joined under the
//! names then, so that a million rows are sorted by two numbers and not by texts.

use super::points_filter::is_of_points;
use super::readings::{Conditions, Table, column, of_points, sources};
use super::service::{GatewayService, explain};
use super::statement::{Statement, all_of, log_to_bound};
use bulkhead_log::{Catalogue, SqlValue};
use bulkhead_model::{Kind, PointId};
use bulkhead_odata::apply::Method;
use bulkhead_odata::{Error, Grouping, PrimitiveType, Query, Row, TypedExpr, Value};
use std::cell::Cell;

/// The groups of a query's rows; none where SQL cannot make them.
pub(super) fn groups(
    service: &GatewayService,
    table: Table,
    query: &Query<'_>,
    grouping: &Grouping<'_>,
    groups_max: usize,
) -> Result<Option<Vec<Row>>, Error> {
    let sql = service.sql()?;
    let conditions = Conditions::of(service, &sql, table, query)?;
    if !conditions.later.is_empty() || query.search.is_some() {
        return Ok(None);
    }
    let catalogue = service.engine().log().catalogue();
    let numbers = Numbers::of(&catalogue, conditions.points.as_deref());
    let Some((text, parameters)) = statement(service, table, query, &conditions, grouping, numbers)? else {
        return Ok(None);
    };
    let rows = sql.collect(&text, &parameters, groups_max + 1).map_err(explain)?;
    if rows.len() > groups_max {
        return Err(Error::Limit { target: "$apply".into(), limit: "groups", max: groups_max });
    }
    let types = types(grouping);
    let typed = |row: Vec<SqlValue>| -> Row {
        row.into_iter().zip(&types).map(|(value, ty)| log_to_bound(value).into_value(*ty)).collect()
    };
    Ok(Some(rows.into_iter().map(typed).collect()))
}

/// The types of what comes out: those of the keys, then those of the values.
fn types(grouping: &Grouping<'_>) -> Vec<Option<PrimitiveType>> {
    let keys = grouping.keys.iter().map(|key| key.primitive());
    let values = grouping.values.iter().map(|(method, of)| {
        let ty = of.and_then(TypedExpr::primitive);
        match method {
            Method::Count | Method::CountDistinct => Some(PrimitiveType::Int64),
            Method::Min | Method::Max => ty,
            Method::Sum if ty.is_some_and(PrimitiveType::is_integer) => Some(PrimitiveType::Int64),
            Method::Sum | Method::Average if ty == Some(PrimitiveType::Decimal) => ty,
            Method::Sum | Method::Average => Some(PrimitiveType::Double),
        }
    });
    keys.chain(values).collect()
}

/// How the values of the points at hand are numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Numbers {
    /// All are reals.
    Reals,
    /// All are reals or integers.
    Plain,
    /// Others are among them.
    Mixed,
}

impl Numbers {
    fn of(catalogue: &Catalogue, points: Option<&[i64]>) -> Self {
        let kind = |id: &i64| u32::try_from(*id).ok().and_then(|id| Some(catalogue.by_id(PointId(id))?.info.kind));
        let kinds: Vec<Option<Kind>> = match points {
            Some(points) => points.iter().map(kind).collect(),
            None => catalogue.iter().map(|point| Some(point.info.kind)).collect(),
        };
        if kinds.iter().all(|kind| *kind == Some(Kind::Real)) {
            Self::Reals
        } else if kinds.iter().all(|kind| matches!(kind, Some(Kind::Real | Kind::Integer))) {
            Self::Plain
        } else {
            Self::Mixed
        }
    }

    /// The column behind a property, without a look at the point's kind where all have the same.
    fn column(self, name: &str) -> Option<String> {
        match (name, self) {
            ("NumericValue", Self::Reals) => Some("r.value".into()),
            ("NumericValue", Self::Plain) => Some("CAST(r.value AS REAL)".into()),
            _ => column(name),
        }
    }
}

type Text = Option<(String, Vec<SqlValue>)>;

fn statement(
    service: &GatewayService,
    table: Table,
    query: &Query<'_>,
    conditions: &Conditions<'_>,
    grouping: &Grouping<'_>,
    numbers: Numbers,
) -> Result<Text, Error> {
    let types = service.model.types();
    let needs_points = Cell::new(false);
    let columns = |name: &str| {
        let column = numbers.column(name)?;
        needs_points.set(needs_points.get() || column.contains("p."));
        Some(column)
    };
    let mut statement = Statement::new(query.entity_type, &columns).with_types(types);
    let mut texts = conditions.write(&mut statement)?;
    texts.extend(conditions.points.as_ref().map(|points| of_points("r.point", points)));
    let of_point = |key: &TypedExpr| is_of_points(&condition_of(key), query.entity_type, types);
    let by_point = grouping.keys.iter().any(|key| of_point(key));
    let divisible = grouping.values.iter().all(|(method, _)| *method != Method::CountDistinct);
    let by_number = by_point && divisible;
    let mut parts = Parts::default();
    for key in grouping.keys {
        let is_named = by_number && of_point(key);
        let before = needs_points.get();
        let Ok(text) = statement.value(key) else { return Ok(None) };
        if is_named {
            // The outer statement has the points.
            needs_points.set(before);
        }
        parts.key(text, is_named);
    }
    for (method, of) in grouping.values {
        let of = match of.map(|of| statement.value(of)).transpose() {
            Ok(of) => of,
            Err(_) => return Ok(None),
        };
        parts.value(*method, of.as_deref());
    }
    let sources = sources(table, needs_points.get());
    Ok(Some((parts.text(by_number, &sources, &all_of(&texts)), statement.parameters)))
}

/// A condition that uses what an expression uses.
fn condition_of(expression: &TypedExpr) -> TypedExpr {
    let ty = expression.ty.unwrap_or_else(|| PrimitiveType::String.into());
    let node = bulkhead_odata::Node::Compare(
        bulkhead_odata::typed::Comparison::Ne,
        Box::new(expression.clone()),
        Box::new(TypedExpr::literal(Value::Null, ty)),
    );
    TypedExpr { node, ty: Some(PrimitiveType::Boolean.into()), nullable: false }
}

/// The parts of a statement over groups. Where groups are made by the point's number first, `inner` is computed of rows and
/// `outer` of those groups.
#[derive(Default)]
struct Parts {
    inner: Vec<String>,
    inner_keys: Vec<String>,
    outer: Vec<String>,
    outer_keys: Vec<String>,
    /// Expressions over rows alone, for a statement in one step.
    plain: Vec<String>,
    plain_keys: Vec<String>,
}

impl Parts {
    fn key(&mut self, text: String, is_named: bool) {
        self.plain.push(text.clone());
        self.plain_keys.push(text.clone());
        if is_named {
            // `r.point` is the same number in the outer statement, where `p` is joined to it.
            let text = text.replace("r.point", "g.point");
            self.outer.push(text.clone());
            self.outer_keys.push(text);
        } else {
            let name = format!("k{}", self.inner_keys.len());
            self.inner.push(format!("{text} AS {name}"));
            self.inner_keys.push(name.clone());
            self.outer.push(format!("g.{name}"));
            self.outer_keys.push(format!("g.{name}"));
        }
    }

    fn value(&mut self, method: Method, of: Option<&str>) {
        let name = format!("v{}", self.inner.len());
        let of = of.unwrap_or("*");
        let (plain, inner, outer) = match method {
            Method::Count => (format!("count({of})"), vec![format!("count({of})")], format!("sum(g.{name})")),
            Method::CountDistinct => (format!("count(DISTINCT {of})"), Vec::new(), String::new()),
            Method::Sum => (format!("sum({of})"), vec![format!("sum({of})")], format!("sum(g.{name})")),
            Method::Min => (format!("min({of})"), vec![format!("min({of})")], format!("min(g.{name})")),
            Method::Max => (format!("max({of})"), vec![format!("max({of})")], format!("max(g.{name})")),
            Method::Average => (
                format!("avg({of})"),
                vec![format!("total({of})"), format!("count({of})")],
                format!("sum(g.{name}) / nullif(sum(g.{name}_1), 0)"),
            ),
        };
        self.plain.push(plain);
        for (index, text) in inner.into_iter().enumerate() {
            let suffix = if index == 0 { String::new() } else { format!("_{index}") };
            self.inner.push(format!("{text} AS {name}{suffix}"));
        }
        self.outer.push(outer);
    }

    fn text(self, by_number: bool, sources: &str, condition: &str) -> String {
        let group = |keys: &[String]| match keys {
            [] => String::new(),
            // By their places: the texts may have parameters, and once is enough.
            keys => format!(" GROUP BY {}", (1..=keys.len()).map(|at| at.to_string()).collect::<Vec<_>>().join(", ")),
        };
        if !by_number {
            // Without a value, groups are what is different.
            return format!(
                "SELECT {} FROM {sources} WHERE {condition}{}",
                self.plain.join(", "),
                group(&self.plain_keys)
            );
        }
        let inner_keys: Vec<String> = std::iter::once("r.point AS point".to_owned()).chain(self.inner).collect();
        let count = 1 + self.inner_keys.len();
        let places = (1..=count).map(|at| at.to_string()).collect::<Vec<_>>().join(", ");
        format!(
            "SELECT {} FROM (SELECT {} FROM {sources} WHERE {condition} GROUP BY {places}) g \
             CROSS JOIN points p ON p.id = g.point{}",
            self.outer.join(", "),
            inner_keys.join(", "),
            group(&self.outer_keys)
        )
    }
}
