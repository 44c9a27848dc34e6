//! Which readings a route takes and what it makes of them: selection by glob, new names, linear conversion, units.
//! A pure policy over the config and the catalogue.

use bulkhead_config::glob::{Selector, expand};
use bulkhead_config::{HEALTH_CONNECTION, Route};
use bulkhead_log::{Catalogue, Row};
use bulkhead_model::{Kind, PointId, Value};
use bulkhead_sandbox::{kind_to_wit, value_to_wit, wit};
use std::collections::HashMap;

/// The patterns of a route, read.
#[derive(Debug, Clone)]
pub(super) struct Selection {
    select: Vec<Selector>,
    /// The sink: a route does not lead back to it.
    to: String,
    rename: Vec<(Selector, String)>,
    convert: Vec<(Selector, Linear)>,
    /// The catalogue's points as this route sees them; none: not selected.
    seen: HashMap<PointId, Option<Selected>>,
}

#[derive(Debug, Clone, PartialEq)]
struct Linear {
    scale: f64,
    offset: f64,
    unit: Option<String>,
}

/// A selected point.
#[derive(Debug, Clone, PartialEq)]
struct Selected {
    point: wit::BatchPoint,
    linear: Option<(f64, f64)>,
}

impl Selection {
    /// Reads the patterns of a route. The config's check has refused those that cannot be read.
    pub(super) fn new(route: &Route) -> Self {
        let rename =
            route.rename.iter().filter_map(|rule| Some((Selector::parse(&rule.points).ok()?, rule.to.clone())));
        let convert = route.convert.iter().filter_map(|rule| {
            let linear = Linear { scale: rule.scale, offset: rule.offset, unit: rule.unit.clone() };
            Some((Selector::parse(&rule.points).ok()?, linear))
        });
        Self {
            select: route.select.iter().filter_map(|pattern| Selector::parse(pattern).ok()).collect(),
            to: route.to.clone(),
            rename: rename.collect(),
            convert: convert.collect(),
            seen: HashMap::new(),
        }
    }

    /// Forgets what it has worked out of points: the catalogue has changed.
    pub(super) fn forget(&mut self) {
        self.seen.clear();
    }

    /// Whether a row is for this route.
    pub(super) fn takes(&mut self, row: &Row, catalogue: &Catalogue) -> bool {
        self.look_up(row.reading.point, catalogue).is_some()
    }

    /// Rows that were taken, as a batch for a sink.
    pub(super) fn batch(
        &mut self,
        key: String,
        route: &str,
        rows: impl Iterator<Item = Row>,
        catalogue: &Catalogue,
    ) -> wit::Batch {
        let mut points = Vec::new();
        let mut numbers: HashMap<PointId, u32> = HashMap::new();
        let mut entries = Vec::with_capacity(rows.size_hint().0);
        for row in rows {
            let Some(selected) = self.look_up(row.reading.point, catalogue) else { continue };
            let linear = selected.linear;
            let number = *numbers.entry(row.reading.point).or_insert_with(|| {
                points.push(selected.point.clone());
                u32::try_from(points.len() - 1).expect("a batch is bounded")
            });
            let value = row.reading.value.map(|value| value_to_wit(converted(value, linear)));
            let (time, status) = (Some(row.reading.time.0), row.reading.status.0);
            entries.push(wit::Entry { seq: row.seq, reading: wit::Reading { point: number, time, status, value } });
        }
        wit::Batch { key, route: route.to_owned(), points, entries }
    }

    fn look_up(&mut self, id: PointId, catalogue: &Catalogue) -> Option<&Selected> {
        if !self.seen.contains_key(&id) {
            let selected = self.select_point(id, catalogue);
            self.seen.insert(id, selected);
        }
        self.seen.get(&id)?.as_ref()
    }

    fn select_point(&self, id: PointId, catalogue: &Catalogue) -> Option<Selected> {
        let point = catalogue.by_id(id)?;
        let (connection, name) = (&*point.connection, point.info.name.as_str());
        // A wildcard means the devices; the gateway's own health is taken by its name.
        let takes = |selector: &Selector| {
            selector.matches(connection, name) && (connection != HEALTH_CONNECTION || selector.is_of(connection))
        };
        if connection == self.to || !self.select.iter().any(takes) {
            return None;
        }
        let new_name = self.rename.iter().find_map(|(selector, template)| {
            selector.captures(connection, name).map(|captures| expand(template, &captures))
        });
        let rule = self.convert.iter().find(|(selector, _)| selector.matches(connection, name)).map(|(_, rule)| rule);
        let linear = rule.map(|rule| (rule.scale, rule.offset)).filter(|_| is_number(point.info.kind));
        let kind = if linear.is_some() { Kind::Real } else { point.info.kind };
        Some(Selected {
            point: wit::BatchPoint {
                connection: connection.to_owned(),
                name: new_name.unwrap_or_else(|| name.to_owned()),
                kind: kind_to_wit(kind),
                unit: rule.and_then(|rule| rule.unit.clone()).or_else(|| point.info.unit.clone()),
                description: point.info.description.clone(),
            },
            linear,
        })
    }
}

fn is_number(kind: Kind) -> bool {
    matches!(kind, Kind::Integer | Kind::Real | Kind::Decimal)
}

/// `value × scale + offset` as a real; a decimal that is no number stays as it is.
fn converted(value: Value, linear: Option<(f64, f64)>) -> Value {
    match (linear, value.as_f64()) {
        (Some((scale, offset)), Some(number)) => Value::Real(number * scale + offset),
        _ => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::test_route::route;
    use bulkhead_model::{PointInfo, Reading, Status, Timestamp};

    fn catalogue() -> (tempfile::TempDir, std::sync::Arc<Catalogue>) {
        let dir = tempfile::tempdir().unwrap();
        let log = bulkhead_log::LogConfig::new(dir.path()).open().unwrap();
        let mut level = PointInfo::new("temp_flow", Kind::Integer);
        level.unit = Some("0.1 K".into());
        log.declare("boiler", &[level, PointInfo::new("state", Kind::Text)]).unwrap();
        let catalogue = log.catalogue();
        (dir, catalogue)
    }

    fn row(catalogue: &Catalogue, name: &str, value: Value) -> Row {
        let point = catalogue.by_name("boiler", name).unwrap().id;
        Row { seq: 7, reading: Reading { point, time: Timestamp(5), status: Status::GOOD, value: Some(value) } }
    }

    #[test]
    fn points_are_selected_renamed_and_converted() {
        let (_dir, catalogue) = catalogue();
        let mut selection = Selection::new(&route(
            "select = [\"boiler/temp_*\"]\nrename = [{ points = \"boiler/temp_*\", to = \"kessel_$1\" }]\n\
             convert = [{ points = \"boiler/*\", scale = 0.1, offset = -273.15, unit = \"°C\" }]",
        ));
        let taken = row(&catalogue, "temp_flow", Value::Integer(3000));
        assert!(selection.takes(&taken, &catalogue));
        assert!(!selection.takes(&row(&catalogue, "state", Value::Text("on".into())), &catalogue));
        let batch = selection.batch("k".into(), "r", [taken].into_iter(), &catalogue);
        assert_eq!((batch.points[0].name.as_str(), batch.points[0].unit.as_deref()), ("kessel_flow", Some("°C")));
        let Some(wit::Value::Real(value)) = batch.entries[0].reading.value else { panic!("{batch:?}") };
        assert!((value - 26.85).abs() < 1e-9);
        assert_eq!((batch.entries[0].seq, batch.entries[0].reading.time), (7, Some(5)));
    }

    #[test]
    fn the_gateways_own_health_is_taken_by_its_name_only() {
        let dir = tempfile::tempdir().unwrap();
        let log = bulkhead_log::LogConfig::new(dir.path()).open().unwrap();
        let id = log.declare(HEALTH_CONNECTION, &[PointInfo::new("log.bytes", Kind::Integer)]).unwrap()[0];
        let catalogue = log.catalogue();
        let reading = Reading { point: id, time: Timestamp(5), status: Status::GOOD, value: None };
        let row = Row { seq: 1, reading };
        for (select, expected) in [("*/*", false), ("*/log.*", false), ("gateway/*", true), ("gateway/log.*", true)] {
            let mut selection = Selection::new(&route(&format!("select = [\"*/*\", {select:?}]")));
            assert_eq!(selection.takes(&row, &catalogue), expected, "{select}");
        }
    }

    #[test]
    fn what_is_no_number_is_not_converted() {
        let (_dir, catalogue) = catalogue();
        let mut selection = Selection::new(&route("select = [\"*/*\"]\nconvert = [{ points = \"*/*\", scale = 2.0 }]"));
        let rows = [row(&catalogue, "state", Value::Text("1".into()))];
        let batch = selection.batch("k".into(), "r", rows.into_iter(), &catalogue);
        assert_eq!(batch.entries[0].reading.value, Some(wit::Value::Text("1".into())));
        assert_eq!(batch.points[0].kind, wit::Kind::Text);
    }
}
