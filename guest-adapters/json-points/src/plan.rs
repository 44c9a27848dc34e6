//! Settings checked and compiled: paths parsed into trees, times and types ready to convert.

use crate::path::Path;
use crate::scalar::Conversion;
use crate::settings::{Mapping, PointSettings, PointType, TimeSettings};
use crate::tree::{Goal, Node};
use crate::{Encoding, TimeFormat};
use bulkhead_sdk::{Kind, NewPoint};

/// Most points of one mapping.
pub const POINTS_MAX: usize = 5_000;

/// A mapping ready to read payloads with.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) points: Vec<PlannedPoint>,
    /// What is wanted of the payload as a whole.
    pub(crate) root: Node,
    /// Whether what its payloads have in common is learned.
    pub(crate) is_direct: bool,
    pub(crate) each: Option<Each>,
    pub(crate) time: Option<PayloadTime>,
    /// How the times of the payload and its elements are written.
    pub(crate) time_format: TimeFormat,
    /// Whether payloads and elements may leave out the time they should have.
    pub(crate) time_is_optional: bool,
    pub(crate) encoding: Encoding,
}

/// A listed point.
#[derive(Clone, Debug)]
pub(crate) struct PlannedPoint {
    pub(crate) path: String,
    pub(crate) name: String,
    pub(crate) conversion: Conversion,
    pub(crate) optional: bool,
    unit: Option<String>,
    description: Option<String>,
}

impl PlannedPoint {
    /// The point to declare under its full name.
    pub(crate) fn declaration(&self, full_name: &str) -> NewPoint {
        NewPoint::new(full_name, self.conversion.kind)
            .unit(self.unit.as_deref())
            .description(self.description.as_deref())
    }
}

/// The time that stands for the whole payload.
#[derive(Clone, Debug)]
pub(crate) struct PayloadTime {
    pub(crate) path: String,
}

/// How the elements of an array are read.
#[derive(Clone, Debug)]
pub(crate) struct Each {
    pub(crate) path: String,
    pub(crate) element: Node,
    pub(crate) name_path: Option<String>,
    pub(crate) value_path: Option<String>,
    pub(crate) time_path: Option<String>,
}

impl Plan {
    /// Checks and compiles.
    ///
    /// # Errors
    /// Every mistake at once, each a sentence that names its key.
    pub(crate) fn compile(mapping: &Mapping) -> Result<Plan, Vec<String>> {
        let mut mistakes = keys_that_need_others(mapping);
        let time_format = compile_format(mapping.time.as_ref(), &mut mistakes);
        let points: Vec<PlannedPoint> = (mapping.points.iter().enumerate())
            .filter_map(|(index, point)| keep(compile_point(index, point), &mut mistakes))
            .collect();
        mistakes.extend(repeated_names(&points));
        let mut plan = Plan {
            points,
            root: Node::default(),
            is_direct: false,
            each: None,
            time: None,
            time_format,
            time_is_optional: mapping.time.as_ref().is_some_and(|time| time.optional),
            encoding: mapping.encoding,
        };
        let mut to_points = Node::default();
        if mapping.value_path.is_none() {
            plan.add_points(mapping, &mut to_points);
        }
        match &mapping.each {
            None => plan.root = to_points,
            Some(text) => plan.each = keep(compile_each(text, mapping, to_points, &mut plan.root), &mut mistakes),
        }
        if let Some(text) = mapping.time.as_ref().and_then(|time| time.path.as_ref())
            && let Some(path) = keep(parse("time.path", text), &mut mistakes)
        {
            plan.root.add(&path, Goal::Time);
            plan.time = Some(PayloadTime { path: path.to_string() });
        }
        plan.is_direct = crate::direct::is_possible(&plan);
        if mistakes.is_empty() { Ok(plan) } else { Err(mistakes) }
    }

    fn add_points(&self, mapping: &Mapping, node: &mut Node) {
        for (index, point) in mapping.points.iter().enumerate() {
            if let Ok(path) = Path::parse(&point.path) {
                node.add(&path, Goal::Point { index, exact: point.kind == PointType::Decimal });
            }
        }
    }
}

fn keep<T>(result: Result<T, String>, mistakes: &mut Vec<String>) -> Option<T> {
    result.map_err(|mistake| mistakes.push(mistake)).ok()
}

fn parse(key: &str, text: &str) -> Result<Path, String> {
    Path::parse(text).map_err(|error| format!("{key}: {error}"))
}

fn keys_that_need_others(mapping: &Mapping) -> Vec<String> {
    let mut mistakes = Vec::new();
    let has_time_path = mapping.time.as_ref().is_some_and(|time| time.path.is_some());
    for (is_wrong, mistake) in [
        (mapping.points.len() > POINTS_MAX, "points: more than 5000"),
        (mapping.each.is_none() && mapping.name_path.is_some(), "name_path needs `each`, the array it is in"),
        (
            mapping.each.is_none() && mapping.time_path.is_some(),
            "time_path needs `each`; use time.path for the payload's",
        ),
        (
            mapping.value_path.is_some() && mapping.name_path.is_none(),
            "value_path needs `name_path`, or nobody knows whose value it is",
        ),
        (
            mapping.time.is_some() && !has_time_path && mapping.time_path.is_none(),
            "time: `path` is missing: where the time of the payload is",
        ),
    ] {
        if is_wrong {
            mistakes.push(mistake.to_owned());
        }
    }
    mistakes
}

/// The format the settings name; RFC 3339 where they name none, or where they are wrong.
fn compile_format(time: Option<&TimeSettings>, mistakes: &mut Vec<String>) -> TimeFormat {
    time.and_then(|time| {
        let format = TimeFormat::compile(&time.format, time.zone.as_deref());
        keep(format.map_err(|mistake| format!("time: {mistake}")), mistakes)
    })
    .unwrap_or_default()
}

fn compile_point(index: usize, point: &PointSettings) -> Result<PlannedPoint, String> {
    let key = format!("points[{index}]");
    let path = parse(&format!("{key}.path"), &point.path)?.to_string();
    let kind = point.kind.kind();
    if (point.scale != 1.0 || point.offset != 0.0) && kind != Kind::Real {
        return Err(format!("{key} `{path}`: scale and offset make a number that only type real can hold"));
    }
    if !point.scale.is_finite() || !point.offset.is_finite() || point.scale == 0.0 {
        return Err(format!("{key} `{path}`: scale must be a finite number other than 0, offset a finite number"));
    }
    let time = match (kind, &point.format, &point.zone) {
        (Kind::Time, format, zone) => {
            let format = format.as_deref().unwrap_or("rfc3339");
            Some(TimeFormat::compile(format, zone.as_deref()).map_err(|mistake| format!("{key} `{path}`: {mistake}"))?)
        }
        (_, None, None) => None,
        _ => return Err(format!("{key} `{path}`: format and zone need type time")),
    };
    let name = point.name.clone().unwrap_or_else(|| path.clone());
    if name.is_empty() {
        return Err(format!("{key} `{path}`: the name is empty"));
    }
    let conversion = Conversion { kind, scale: point.scale, offset: point.offset, time };
    let (unit, description) = (point.unit.clone(), point.description.clone());
    Ok(PlannedPoint { path, name, conversion, optional: point.optional, unit, description })
}

fn repeated_names(points: &[PlannedPoint]) -> Vec<String> {
    let mut seen = std::collections::HashSet::new();
    (points.iter().filter(|point| !seen.insert(point.name.as_str())))
        .map(|point| format!("points: `{}` is the name of two; give one another `name`", point.name))
        .collect()
}

fn compile_each(text: &str, mapping: &Mapping, mut element: Node, root: &mut Node) -> Result<Each, String> {
    let array = Path::parse_each(text).map_err(|error| format!("each: {error}"))?;
    root.add(&array, Goal::Each);
    let mut add = |key: &str, text: &Option<String>, goal| match text {
        None => Ok(None),
        Some(text) => {
            let path = parse(key, text)?;
            element.add(&path, goal);
            Ok::<_, String>(Some(path.to_string()))
        }
    };
    let name_path = add("name_path", &mapping.name_path, Goal::Name)?;
    let value_path = add("value_path", &mapping.value_path, Goal::Value)?;
    let time_path = add("time_path", &mapping.time_path, Goal::Time)?;
    Ok(Each { path: array.to_string(), element, name_path, value_path, time_path })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistakes(json: &str) -> String {
        let mapping: Mapping = serde_json::from_str(json).expect("settings");
        Plan::compile(&mapping).expect_err("mistakes").join("; ")
    }

    #[test]
    fn every_mistake_is_said_at_once_with_its_key() {
        let all = mistakes(
            r#"{"points":[{"path":"a[*]"},{"path":"b","type":"text","scale":2},{"path":"c","zone":"UTC"},{"path":"d","scale":0}],
                "time":{"path":"t","zone":"Mars/Olympus"},"name_path":"n"}"#,
        );
        for part in [
            "points[0].path: ",
            "points[1] `b`: scale",
            "points[2] `c`: format and zone",
            "points[3] `d`: scale",
            "Mars/Olympus",
            "name_path needs `each`",
        ] {
            assert!(all.contains(part), "{part} is not in: {all}");
        }
    }

    #[test]
    fn two_points_of_one_name_are_refused() {
        assert!(mistakes(r#"{"points":[{"path":"a"},{"path":"b","name":"a"}]}"#).contains("`a` is the name of two"));
    }

    #[test]
    fn keys_of_arrays_need_each_other() {
        assert!(mistakes(r#"{"each":"$.m"}"#).contains("does not end in `[*]`"));
        assert!(mistakes(r#"{"each":"$.m[*]","value_path":"v"}"#).contains("value_path needs `name_path`"));
        assert!(mistakes(r#"{"time":{"format":"unix-s"}}"#).contains("`path` is missing"));
    }
}
