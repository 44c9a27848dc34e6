//! Shapes: read from well-known text as literals have it, written as that and as GeoJSON, and what the functions `geo.*`
//! compute of them.

use crate::limits::EXPRESSION_MAX_DEPTH;
use crate::model::{GeoKind, PrimitiveType};
use std::fmt;

/// A position: longitude and latitude in degrees, or x and y.
pub type Position = [f64; 2];

/// A shape without its reference system.
#[derive(Clone, PartialEq, Debug)]
pub enum Shape {
    /// A point.
    Point(Position),
    /// Points joined by lines.
    LineString(Vec<Position>),
    /// An outer ring and holes in it.
    Polygon(Vec<Vec<Position>>),
    /// Points.
    MultiPoint(Vec<Position>),
    /// Lines.
    MultiLineString(Vec<Vec<Position>>),
    /// Areas.
    MultiPolygon(Vec<Vec<Vec<Position>>>),
    /// Shapes of any kind.
    Collection(Vec<Shape>),
}

/// A shape in its reference system.
#[derive(Clone, PartialEq, Debug)]
pub struct Geo {
    /// Whether it is on the earth.
    pub geography: bool,
    /// The reference system's EPSG number: 4326 for the earth, 0 for a plane, unless said otherwise.
    pub srid: u32,
    /// The shape.
    pub shape: Shape,
}

const EARTH_SRID: u32 = 4326;
/// Mean radius of the earth, metres (IUGG).
const EARTH_RADIUS_M: f64 = 6_371_008.8;

impl Geo {
    /// Reads `SRID=4326;Point(1 2)`; the part before the semicolon may be missing. None for anything else.
    #[must_use]
    pub fn parse(text: &str, geography: bool) -> Option<Self> {
        let srid_default = if geography { EARTH_SRID } else { 0 };
        let (srid, text) = match text.split_once(';') {
            Some((srid, rest)) => {
                let (name, number) = srid.split_once('=')?;
                (name.trim().eq_ignore_ascii_case("srid").then(|| number.trim().parse().ok())??, rest)
            }
            None => (srid_default, text),
        };
        let mut reader = Reader { rest: text.trim(), depth: 0 };
        let shape = reader.shape()?;
        reader.rest.trim().is_empty().then_some(Self { geography, srid, shape })
    }

    /// Its type.
    #[must_use]
    pub fn ty(&self) -> PrimitiveType {
        let kind = match self.shape {
            Shape::Point(_) => GeoKind::Point,
            Shape::LineString(_) => GeoKind::LineString,
            Shape::Polygon(_) => GeoKind::Polygon,
            Shape::MultiPoint(_) => GeoKind::MultiPoint,
            Shape::MultiLineString(_) => GeoKind::MultiLineString,
            Shape::MultiPolygon(_) => GeoKind::MultiPolygon,
            Shape::Collection(_) => GeoKind::Collection,
        };
        if self.geography { PrimitiveType::Geography(kind) } else { PrimitiveType::Geometry(kind) }
    }

    /// As GeoJSON (RFC 7946), with the reference system where it is not the earth's usual one.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        let mut json = shape_json(&self.shape);
        if self.srid != EARTH_SRID {
            let name = format!("EPSG:{}", self.srid);
            json["crs"] = serde_json::json!({ "type": "name", "properties": { "name": name } });
        }
        json
    }

    /// The shortest way between two points: metres on the earth, units in a plane. None for other shapes.
    #[must_use]
    pub fn distance(&self, other: &Self) -> Option<f64> {
        match (&self.shape, &other.shape) {
            (Shape::Point(a), Shape::Point(b)) => Some(self.step(*a, *b)),
            _ => None,
        }
    }

    /// The length of a line: metres on the earth, units in a plane. None for other shapes.
    #[must_use]
    pub fn length(&self) -> Option<f64> {
        let of_line = |line: &[Position]| line.windows(2).map(|pair| self.step(pair[0], pair[1])).sum::<f64>();
        match &self.shape {
            Shape::LineString(line) => Some(of_line(line)),
            Shape::MultiLineString(lines) => Some(lines.iter().map(|line| of_line(line)).sum()),
            _ => None,
        }
    }

    /// Whether a point lies in an area, its border included, whichever of the two comes first. None for other shapes.
    #[must_use]
    pub fn intersects(&self, other: &Self) -> Option<bool> {
        match (&self.shape, &other.shape) {
            (Shape::Point(point), Shape::Polygon(rings)) | (Shape::Polygon(rings), Shape::Point(point)) => {
                Some(covers(rings, *point))
            }
            _ => None,
        }
    }

    fn step(&self, a: Position, b: Position) -> f64 {
        if !self.geography {
            return (a[0] - b[0]).hypot(a[1] - b[1]);
        }
        let (longitude, latitude) = ((b[0] - a[0]).to_radians(), (b[1] - a[1]).to_radians());
        let (from, to) = (a[1].to_radians(), b[1].to_radians());
        let half = (latitude / 2.0).sin().powi(2) + from.cos() * to.cos() * (longitude / 2.0).sin().powi(2);
        2.0 * EARTH_RADIUS_M * half.sqrt().min(1.0).asin()
    }
}

/// In the outer ring and in none of the holes; on a border counts as in.
fn covers(rings: &[Vec<Position>], point: Position) -> bool {
    if rings.iter().any(|ring| ring.windows(2).any(|pair| on_segment(pair[0], pair[1], point))) {
        return true;
    }
    let mut rings = rings.iter().map(|ring| inside(ring, point));
    rings.next().unwrap_or(false) && !rings.any(|in_hole| in_hole)
}

fn on_segment(a: Position, b: Position, p: Position) -> bool {
    let cross = (b[0] - a[0]) * (p[1] - a[1]) - (b[1] - a[1]) * (p[0] - a[0]);
    let within = |axis: usize| p[axis] >= a[axis].min(b[axis]) && p[axis] <= a[axis].max(b[axis]);
    cross == 0.0 && within(0) && within(1)
}

/// A ray from the point crosses the ring an odd number of times.
fn inside(ring: &[Position], point: Position) -> bool {
    ring.windows(2).fold(false, |inside, pair| {
        let (a, b) = (pair[0], pair[1]);
        let crosses = (a[1] > point[1]) != (b[1] > point[1])
            && point[0] < (b[0] - a[0]) * (point[1] - a[1]) / (b[1] - a[1]) + a[0];
        inside != crosses
    })
}

fn shape_json(shape: &Shape) -> serde_json::Value {
    use serde_json::json;
    match shape {
        Shape::Point(at) => json!({ "type": "Point", "coordinates": at }),
        Shape::LineString(line) => json!({ "type": "LineString", "coordinates": line }),
        Shape::Polygon(rings) => json!({ "type": "Polygon", "coordinates": rings }),
        Shape::MultiPoint(points) => json!({ "type": "MultiPoint", "coordinates": points }),
        Shape::MultiLineString(lines) => json!({ "type": "MultiLineString", "coordinates": lines }),
        Shape::MultiPolygon(areas) => json!({ "type": "MultiPolygon", "coordinates": areas }),
        Shape::Collection(shapes) => {
            json!({ "type": "GeometryCollection", "geometries": shapes.iter().map(shape_json).collect::<Vec<_>>() })
        }
    }
}

/// As well-known text with the reference system: `SRID=4326;Point(1 2)`.
impl fmt::Display for Geo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SRID={};{}", self.srid, shape_text(&self.shape))
    }
}

fn list<T>(items: &[T], write: impl Fn(&T) -> String) -> String {
    format!("({})", items.iter().map(write).collect::<Vec<_>>().join(","))
}

fn shape_text(shape: &Shape) -> String {
    let position = |at: &Position| format!("{} {}", at[0], at[1]);
    let line = |line: &Vec<Position>| list(line, position);
    let area = |rings: &Vec<Vec<Position>>| list(rings, line);
    match shape {
        Shape::Point(at) => format!("Point({})", position(at)),
        Shape::LineString(points) => format!("LineString{}", line(points)),
        Shape::Polygon(rings) => format!("Polygon{}", area(rings)),
        Shape::MultiPoint(points) => format!("MultiPoint{}", list(points, |at| format!("({})", position(at)))),
        Shape::MultiLineString(lines) => format!("MultiLineString{}", area(lines)),
        Shape::MultiPolygon(areas) => format!("MultiPolygon{}", list(areas, area)),
        Shape::Collection(shapes) => {
            format!("GeometryCollection{}", list(shapes, shape_text))
        }
    }
}

struct Reader<'a> {
    rest: &'a str,
    depth: usize,
}

impl Reader<'_> {
    fn shape(&mut self) -> Option<Shape> {
        self.depth += 1;
        if self.depth > EXPRESSION_MAX_DEPTH {
            return None;
        }
        let end = self.rest.find('(')?;
        let name = self.rest[..end].trim().to_ascii_lowercase();
        self.rest = &self.rest[end..];
        let shape = match name.as_str() {
            "point" => Shape::Point(self.items(Self::position)?.first().copied()?),
            "linestring" => Shape::LineString(self.line()?),
            "polygon" => Shape::Polygon(self.items(Self::line)?),
            "multipoint" => Shape::MultiPoint(self.perhaps(Self::wrapped_position)?),
            "multilinestring" => Shape::MultiLineString(self.perhaps(Self::line)?),
            "multipolygon" => Shape::MultiPolygon(self.perhaps(|reader| reader.items(Self::line))?),
            "collection" | "geometrycollection" => Shape::Collection(self.perhaps(Self::shape)?),
            _ => return None,
        };
        self.depth -= 1;
        Some(shape)
    }

    fn take(&mut self, mark: char) -> bool {
        self.rest = self.rest.trim_start();
        let rest = self.rest.strip_prefix(mark);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// `(item,item)`, or `()`.
    fn perhaps<T>(&mut self, item: impl Fn(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let before = self.rest;
        if self.take('(') && self.take(')') {
            return Some(Vec::new());
        }
        self.rest = before;
        self.items(item)
    }

    /// `(item,item)`
    fn items<T>(&mut self, item: impl Fn(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        if !self.take('(') {
            return None;
        }
        let mut found = vec![item(self)?];
        while self.take(',') {
            found.push(item(self)?);
        }
        self.take(')').then_some(found)
    }

    fn line(&mut self) -> Option<Vec<Position>> {
        self.items(Self::position)
    }

    fn wrapped_position(&mut self) -> Option<Position> {
        if self.rest.trim_start().starts_with('(') {
            return self.items(Self::position)?.first().copied();
        }
        self.position()
    }

    /// Two numbers; a height and a measure behind them are left out.
    fn position(&mut self) -> Option<Position> {
        self.rest = self.rest.trim_start();
        let end = self.rest.find([',', ')'])?;
        let numbers: Option<Vec<f64>> = self.rest[..end].split_whitespace().map(|part| part.parse().ok()).collect();
        self.rest = &self.rest[end..];
        match numbers?.as_slice() {
            [x, y] | [x, y, _] | [x, y, _, _] if x.is_finite() && y.is_finite() => Some([*x, *y]),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn geo(text: &str) -> Geo {
        Geo::parse(text, true).unwrap_or_else(|| panic!("{text}"))
    }

    #[test]
    fn shapes_are_read_and_written() {
        for text in [
            "SRID=4326;Point(142.1 64.1)",
            "SRID=0;LineString(1 1,3 3)",
            "SRID=4326;Polygon((0 0,4 0,4 4,0 0),(1 1,2 1,2 2,1 1))",
            "SRID=4326;MultiPoint((0 0),(1 1))",
            "SRID=4326;GeometryCollection(Point(1 2),MultiLineString((0 0,1 1)))",
            "SRID=0;MultiPoint()",
        ] {
            assert_eq!(geo(text).to_string(), text);
        }
        assert_eq!(geo("POINT(1 2)").srid, 4326);
        for text in ["Point(1)", "Point(1 2", "Cube(1 2)", "SRID=x;Point(1 2)", "Point(1 2) x", ""] {
            assert_eq!(Geo::parse(text, true), None, "{text}");
        }
        assert_eq!(geo("Point(1 2)").json()["coordinates"], serde_json::json!([1.0, 2.0]));
    }

    #[test]
    fn distances_lengths_and_intersections_are_computed() {
        let metres = geo("Point(0 0)").distance(&geo("Point(0 1)")).unwrap();
        assert!((metres - 111_195.0).abs() < 10.0, "{metres}");
        assert_eq!(Geo::parse("LineString(0 0,3 4,3 5)", false).unwrap().length(), Some(6.0));
        let area = geo("Polygon((0 0,4 0,4 4,0 4,0 0),(1 1,2 1,2 2,1 2,1 1))");
        let within = |text: &str| area.intersects(&geo(text));
        assert_eq!(within("Point(3 3)"), Some(true));
        assert_eq!(within("Point(1.5 1.5)"), Some(false));
        assert_eq!(within("Point(0 2)"), Some(true));
        assert_eq!(within("Point(5 2)"), Some(false));
        assert_eq!(within("LineString(0 0,1 1)"), None);
    }
}
