//! The catalogue of points as a value: what has been declared, by number and by name.

use bulkhead_model::{PointId, PointInfo};
use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// A declared point.
#[derive(Clone, PartialEq, Debug)]
pub struct Point {
    /// Its number.
    pub id: PointId,
    /// Its connection.
    pub connection: Arc<str>,
    /// What was declared; whoever else knows the point shares it.
    pub info: Arc<PointInfo>,
}

/// A point in the order of its name, which is found by the name alone and so stands in memory once.
#[derive(Clone, Debug)]
struct Named(Arc<Point>);

impl Named {
    fn name(&self) -> &str {
        &self.0.info.name
    }
}

impl Borrow<str> for Named {
    fn borrow(&self) -> &str {
        self.name()
    }
}

impl PartialEq for Named {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Named {}

impl PartialOrd for Named {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Named {
    fn cmp(&self, other: &Self) -> Ordering {
        self.name().cmp(other.name())
    }
}

/// Every point ever declared. Snapshots are cheap: points and the names of untouched connections are shared.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    by_id: Vec<Option<Arc<Point>>>,
    current: Vec<bool>,
    by_name: HashMap<Arc<str>, Arc<BTreeSet<Named>>>,
}

impl Catalogue {
    /// The point of a number, also when its name has since been declared with another kind.
    #[must_use]
    pub fn by_id(&self, id: PointId) -> Option<&Arc<Point>> {
        self.by_id.get(id.0 as usize)?.as_ref()
    }

    /// The point that has a name in a connection now.
    #[must_use]
    pub fn by_name(&self, connection: &str, name: &str) -> Option<&Arc<Point>> {
        self.by_name.get(connection)?.get(name).map(|named| &named.0)
    }

    /// The points of a connection, by name; those whose name has moved on to another kind are left out.
    pub fn of_connection(&self, connection: &str) -> impl Iterator<Item = &Arc<Point>> {
        self.by_name.get(connection).into_iter().flat_map(|names| names.iter()).map(|named| &named.0)
    }

    /// The connections that have declared points, in no order.
    pub fn connections(&self) -> impl Iterator<Item = &Arc<str>> {
        self.by_name.keys()
    }

    /// Every point, by rising number.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Point>> {
        self.by_id.iter().flatten()
    }

    /// How many points there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether nothing was ever declared.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a point's name still stands for it.
    #[must_use]
    pub fn is_current(&self, id: PointId) -> bool {
        self.current.get(id.0 as usize).copied().unwrap_or(false)
    }

    /// How many points a connection has.
    pub(crate) fn count_of(&self, connection: &str) -> usize {
        self.by_name.get(connection).map_or(0, |names| names.len())
    }

    /// A point that once had this name and kind, current or not. Looks through all points: only for a name whose kind
    /// has changed.
    pub(crate) fn former(&self, connection: &str, info: &PointInfo) -> Option<&Arc<Point>> {
        self.iter().find(|point| {
            &*point.connection == connection && point.info.name == info.name && point.info.kind == info.kind
        })
    }

    /// The next number to give.
    pub(crate) fn next_id(&self) -> PointId {
        PointId(u32::try_from(self.by_id.len()).unwrap_or(u32::MAX))
    }

    /// Takes points in; each becomes the one its name stands for when it is `current`.
    pub(crate) fn insert_all(&mut self, points: impl IntoIterator<Item = (Arc<Point>, bool)>) {
        for (point, current) in points {
            let index = point.id.0 as usize;
            if self.by_id.len() <= index {
                self.by_id.resize(index + 1, None);
                self.current.resize(index + 1, false);
            }
            self.by_id[index] = Some(Arc::clone(&point));
            if current {
                let names = self.by_name.entry(Arc::clone(&point.connection)).or_default();
                if let Some(former) = Arc::make_mut(names).replace(Named(point)) {
                    self.current[former.0.id.0 as usize] = false;
                }
                self.current[index] = true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_model::Kind;

    fn point(id: u32, name: &str, kind: Kind) -> Arc<Point> {
        Arc::new(Point { id: PointId(id), connection: "press".into(), info: PointInfo::new(name, kind).into() })
    }

    #[test]
    fn a_name_stands_for_the_point_declared_last_and_the_former_one_stays_known() {
        let mut catalogue = Catalogue::default();
        catalogue.insert_all([(point(0, "force", Kind::Integer), true), (point(1, "state", Kind::Text), true)]);
        catalogue.insert_all([(point(2, "force", Kind::Real), true)]);
        assert_eq!(catalogue.by_name("press", "force").unwrap().id, PointId(2));
        assert!(!catalogue.is_current(PointId(0)) && catalogue.is_current(PointId(2)));
        assert_eq!(catalogue.by_id(PointId(0)).unwrap().info.kind, Kind::Integer);
        assert_eq!(catalogue.former("press", &PointInfo::new("force", Kind::Integer)).unwrap().id, PointId(0));
        catalogue.insert_all([(point(0, "force", Kind::Integer), true)]);
        assert!(
            catalogue.is_current(PointId(0)) && !catalogue.is_current(PointId(2)) && catalogue.is_current(PointId(1))
        );
        assert_eq!((catalogue.len(), catalogue.count_of("press")), (3, 2));
    }
}
