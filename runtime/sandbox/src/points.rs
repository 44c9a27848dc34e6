//! The points a connection's guests have declared: their numbers inside the guest and in the log.
//!
//! A guest's number is an index into this table, so that no guest can name a point of another connection. The instances
//! of one connection share the table.

use bulkhead_model::{Kind, PointId, PointInfo};
use parking_lot::RwLock;
use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// One declared point.
#[derive(Debug, Clone)]
pub struct Declared {
    /// Its number in the log.
    pub id: PointId,
    /// As it was declared; shared with the log's catalogue, since there may be many.
    pub info: Arc<PointInfo>,
}

/// A point that is found by its name, which so stands in memory once.
#[derive(Debug)]
struct Named(Arc<PointInfo>);

impl Borrow<str> for Named {
    fn borrow(&self) -> &str {
        &self.0.name
    }
}

impl PartialEq for Named {
    fn eq(&self, other: &Self) -> bool {
        self.0.name == other.0.name
    }
}

impl Eq for Named {}

impl Hash for Named {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // As `str` does it, which is looked up.
        self.0.name.as_str().hash(state);
    }
}

/// The points of one connection.
#[derive(Debug, Default)]
pub struct PointTable {
    inner: RwLock<Inner>,
}

/// How much a table holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size {
    /// Points, those of former kinds included.
    pub(crate) points: usize,
    /// Bytes of their texts.
    pub(crate) bytes: usize,
}

/// Bytes of a point's name, unit, group and description.
fn text_bytes(info: &PointInfo) -> usize {
    let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    info.name.len() + length(&info.unit) + length(&info.group) + length(&info.description)
}

#[derive(Debug, Default)]
struct Inner {
    points: Vec<Declared>,
    /// Of the texts of all points.
    bytes: usize,
    latest_by_name: HashMap<Named, u32>,
    /// Points whose name has since been declared with another kind; few.
    former: HashMap<(String, Kind), u32>,
}

impl PointTable {
    /// Takes points that the log has numbered and returns their numbers inside the guest, in order.
    pub(crate) fn add(&self, declared: Vec<Declared>) -> Vec<u32> {
        let mut inner = self.inner.write();
        declared.into_iter().map(|point| inner.put(point)).collect()
    }

    /// How many points there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.inner.read().points.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What the table would hold after a declaration; of a name that comes twice in it, both count.
    pub(crate) fn size_with(&self, infos: &[PointInfo]) -> Size {
        let inner = self.inner.read();
        let mut size = Size { points: inner.points.len(), bytes: inner.bytes };
        for info in infos {
            match inner.number(info) {
                Some(known) => {
                    size.bytes += text_bytes(info).saturating_sub(text_bytes(&inner.points[known as usize].info));
                }
                None => {
                    size.points += 1;
                    size.bytes += text_bytes(info);
                }
            }
        }
        size
    }

    /// The number inside the guest of the point that was last declared under a name, and the point.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<(u32, Declared)> {
        let inner = self.inner.read();
        let number = *inner.latest_by_name.get(name)?;
        Some((number, inner.points[number as usize].clone()))
    }

    /// Every point in force: of points declared anew with another kind only the newest.
    #[must_use]
    pub fn all(&self) -> Vec<Declared> {
        let inner = self.inner.read();
        let mut numbers: Vec<u32> = inner.latest_by_name.values().copied().collect();
        numbers.sort_unstable();
        numbers.into_iter().map(|number| inner.points[number as usize].clone()).collect()
    }

    /// Runs `work` with a look-up of points by their number inside the guest, under one lock for a whole batch.
    pub(crate) fn with<R>(&self, work: impl FnOnce(&[Declared]) -> R) -> R {
        work(&self.inner.read().points)
    }

    /// The name of a point by its number inside the guest.
    pub(crate) fn name(&self, number: u32) -> Option<String> {
        self.inner.read().points.get(number as usize).map(|point| point.info.name.clone())
    }
}

impl Inner {
    /// The number of the point with this name and kind.
    fn number(&self, info: &PointInfo) -> Option<u32> {
        let latest = self.latest_by_name.get(info.name.as_str()).copied();
        latest
            .filter(|&number| self.points[number as usize].info.kind == info.kind)
            .or_else(|| self.former.get(&(info.name.clone(), info.kind)).copied())
    }

    fn put(&mut self, declared: Declared) -> u32 {
        let (info, known) = (Arc::clone(&declared.info), self.number(&declared.info));
        self.bytes += text_bytes(&info);
        let number = match known {
            Some(number) => {
                self.bytes -= text_bytes(&self.points[number as usize].info);
                self.points[number as usize] = declared;
                number
            }
            None => {
                let number = u32::try_from(self.points.len()).expect("bounded by POINTS_MAX");
                self.points.push(declared);
                number
            }
        };
        // A map keeps the key it has: that of the name's first declaration, whose point it would keep in memory.
        let before = self.latest_by_name.remove(info.name.as_str());
        if let Some(before) = before
            && before != number
        {
            self.former.insert((info.name.clone(), self.points[before as usize].info.kind), before);
        }
        self.latest_by_name.insert(Named(info), number);
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared(id: u32, info: PointInfo) -> Declared {
        Declared { id: PointId(id), info: info.into() }
    }

    #[test]
    fn the_same_name_and_kind_keep_their_number_and_another_kind_gets_a_new_one() {
        let table = PointTable::default();
        let real = PointInfo::new("level", Kind::Real);
        assert_eq!(table.add(vec![declared(7, real.clone())]), [0]);
        assert_eq!(table.add(vec![declared(7, real)]), [0]);
        assert_eq!(table.add(vec![declared(9, PointInfo::new("level", Kind::Text))]), [1]);
        assert_eq!(table.find("level").map(|(number, point)| (number, point.id)), Some((1, PointId(9))));
        assert_eq!(table.add(vec![declared(7, PointInfo::new("level", Kind::Real))]), [0], "the former one is known");
        assert_eq!(table.add(vec![declared(9, PointInfo::new("level", Kind::Text))]), [1]);
        assert_eq!(table.all().len(), 1);
    }

    #[test]
    fn the_size_counts_texts_once_and_follows_what_is_declared_anew() {
        let table = PointTable::default();
        let described =
            |text: &str| PointInfo { description: Some(text.into()), ..PointInfo::new("level", Kind::Real) };
        assert_eq!(table.size_with(&[described("abc")]), Size { points: 1, bytes: 8 });
        table.add(vec![declared(7, described("abc"))]);
        assert_eq!(table.size_with(&[described("abcde")]), Size { points: 1, bytes: 10 });
        table.add(vec![declared(7, described("a"))]);
        assert_eq!(table.size_with(&[]), Size { points: 1, bytes: 6 });
    }
}
