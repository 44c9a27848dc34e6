//! Points and their last readings: `/api/v1/points`, `/api/v1/latest` and what is below a connection.

use crate::app::{App, Shared};
use crate::connections;
use crate::history;
use crate::json;
use crate::limits::PAGE_MAX_BYTES;
use crate::listing::{FORMAT, Form, Page, TEXT};
use crate::parameters::Parameters;
use crate::path::{Name, PointPath};
use crate::problem::Problem;
use axum::Json;
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse, Response};
use bulkhead_log::{Catalogue, Log, Point, Row};
use json::{ShownPoint, ShownReading};
use serde::Serialize;
use std::sync::Arc;

/// Points, by their numbers.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct PointsPage {
    /// What to give as `after` for the next page; null: this is the last.
    next: Option<String>,
    /// The points.
    points: Vec<ShownPoint>,
}

impl Page for PointsPage {
    type Row = ShownPoint;
    const COLUMNS: &'static [&'static str] =
        &["id", "connection", "name", "kind", "unit", "group", "writable", "write", "description"];

    fn rows(&self) -> &[ShownPoint] {
        &self.points
    }

    fn next(&self) -> Option<&str> {
        self.next.as_deref()
    }
}

/// A point with its last reading.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct PointAndLatest {
    #[serde(flatten)]
    point: ShownPoint,
    /// Its last reading; null before the first.
    latest: Option<ShownReading>,
}

/// The last readings of points, by the numbers of the points.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct LatestPage {
    /// What to give as `after` for the next page; null: this is the last.
    next: Option<String>,
    /// The readings.
    readings: Vec<LatestReading>,
}

impl Page for LatestPage {
    type Row = LatestReading;
    const COLUMNS: &'static [&'static str] =
        &["seq", "connection", "point", "time", "status", "status_name", "value", "kind", "unit"];

    fn rows(&self) -> &[LatestReading] {
        &self.readings
    }

    fn next(&self) -> Option<&str> {
        self.next.as_deref()
    }
}

/// The last reading of a point.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct LatestReading {
    #[serde(flatten)]
    reading: json::ShownNamedReading,
    /// The type of the point's values.
    #[cfg_attr(test, schemars(schema_with = "crate::contract::kind"))]
    kind: &'static str,
    /// The unit of the point's values.
    unit: Option<String>,
}

/// Points of all connections or of one, by their numbers, in pages.
pub(crate) async fn all(state: Shared, uri: Uri, headers: HeaderMap) -> Result<Response, Problem> {
    let parameters = Parameters::parse(uri.query(), &["connection", "after", "limit", FORMAT, TEXT])?;
    let connection = parameters.one("connection")?.map(str::to_owned);
    let form = Form::asked(&parameters, &headers)?;
    form.answer(&page(&state, connection.as_deref(), &parameters)?, &uri)
}

/// Points of one connection, in pages.
pub(crate) async fn of_connection(
    state: Shared,
    Name(name): Name,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let parameters = Parameters::parse(uri.query(), &["after", "limit", FORMAT, TEXT])?;
    let form = Form::asked(&parameters, &headers)?;
    form.answer(&page(&state, Some(&name), &parameters)?, &uri)
}

fn page(app: &App, connection: Option<&str>, parameters: &Parameters) -> Result<PointsPage, Problem> {
    let (after, limit) = (parameters.number("after")?, parameters.limit()?);
    let catalogue = app.engine.log().catalogue();
    if let Some(name) = connection {
        check_connection(app, &catalogue, name)?;
    }
    let mut points = catalogue
        .iter()
        .filter(|point| catalogue.is_current(point.id) && after.is_none_or(|after| u64::from(point.id.0) > after))
        .filter(|point| connection.is_none_or(|name| &*point.connection == name));
    let page: Vec<&Arc<Point>> = points.by_ref().take(limit).collect();
    let next = page.last().filter(|_| points.next().is_some()).map(|point| point.id.0.to_string());
    let points = page.iter().map(|point| json::point(point)).collect();
    Ok(PointsPage { next, points })
}

/// Refuses the name of a connection that is neither in the config nor in the log.
pub(crate) fn check_connection(app: &App, catalogue: &Catalogue, name: &str) -> Result<(), Problem> {
    let is_known = app.engine.config().connections.contains_key(name) || catalogue.of_connection(name).next().is_some();
    if is_known { Ok(()) } else { Err(connections::unknown(&app.engine, name)) }
}

/// The point of a name.
pub(crate) fn find(app: &App, connection: &str, name: &str) -> Result<Arc<Point>, Problem> {
    let catalogue = app.engine.log().catalogue();
    if let Some(point) = catalogue.by_name(connection, name) {
        return Ok(Arc::clone(point));
    }
    check_connection(app, &catalogue, connection)?;
    let names: Vec<&str> = catalogue.of_connection(connection).map(|point| point.info.name.as_str()).collect();
    let problem = Problem::not_found("no-such-point", format!("connection {connection} has no point `{name}`"));
    Err(problem.near(bulkhead_config::nearest(name, &names)))
}

/// A point with its last reading, or its history: both are below the same path.
pub(crate) async fn below(state: Shared, uri: Uri, headers: HeaderMap) -> Result<Response, Problem> {
    let path = PointPath::parse(uri.path())?;
    if path.history {
        return history::of_point(&state, &path, &uri, &headers).await;
    }
    Parameters::parse(uri.query(), &[])?;
    let point = find(&state, &path.connection, &path.point)?;
    let answer = state.with_log(move |log| {
        let latest = log.latest(point.id).as_ref().map(json::reading);
        Ok(PointAndLatest { point: json::point(&point), latest })
    });
    Ok(Json(answer.await?).into_response())
}

/// The last readings of all connections or of one, by the numbers of their points, in pages.
pub(crate) async fn latest(state: Shared, uri: Uri, headers: HeaderMap) -> Result<Response, Problem> {
    let parameters = Parameters::parse(uri.query(), &["connection", "after", "limit", FORMAT, TEXT])?;
    let form = Form::asked(&parameters, &headers)?;
    let connection = parameters.one("connection")?.map(str::to_owned);
    let (after, limit) = (parameters.number("after")?, parameters.limit()?);
    if let Some(name) = &connection {
        check_connection(&state, &state.engine.log().catalogue(), name)?;
    }
    let is_wanted = move |point: &Point| {
        after.is_none_or(|after| u64::from(point.id.0) > after)
            && connection.as_deref().is_none_or(|name| &*point.connection == name)
    };
    let page = state.with_log(move |log| Ok(latest_page(log, limit, is_wanted))).await?;
    form.answer(&page, &uri)
}

fn latest_page(log: &Log, limit: usize, is_wanted: impl Fn(&Point) -> bool) -> LatestPage {
    let catalogue = log.catalogue();
    let (mut readings, mut bytes, mut last) = (Vec::new(), 0, None);
    let mut next = None;
    let current = catalogue.iter().filter(|point| catalogue.is_current(point.id) && is_wanted(point));
    for (point, row) in current.filter_map(|point| Some((point, log.latest(point.id)?))) {
        if readings.len() == limit || bytes >= PAGE_MAX_BYTES {
            next = last;
            break;
        }
        bytes += json::weight(&row);
        last = Some(point.id.0.to_string());
        readings.push(latest_reading(&row, point));
    }
    LatestPage { next, readings }
}

fn latest_reading(row: &Row, point: &Point) -> LatestReading {
    let (reading, info) = (json::named_reading(row, point), &point.info);
    LatestReading { reading, kind: info.kind.name(), unit: info.unit.clone() }
}
