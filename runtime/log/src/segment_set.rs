//! The segments of a log in order, as a list that is replaced whole: whoever holds a copy reads on undisturbed.

use crate::segment::Segment;
use bulkhead_model::Seq;
use parking_lot::RwLock;
use std::sync::Arc;

/// The segments by rising start. The last one is being appended to.
pub(crate) type Segments = Arc<Vec<Arc<Segment>>>;

/// The current list.
#[derive(Debug, Default)]
pub(crate) struct SegmentSet {
    list: RwLock<Segments>,
}

impl SegmentSet {
    pub(crate) fn new(mut segments: Vec<Arc<Segment>>) -> Self {
        segments.sort_by_key(|segment| segment.start);
        Self { list: RwLock::new(Arc::new(segments)) }
    }

    /// The list as it is now.
    pub(crate) fn now(&self) -> Segments {
        Arc::clone(&self.list.read())
    }

    /// Puts a new segment at the end.
    pub(crate) fn push(&self, segment: Arc<Segment>) {
        Arc::make_mut(&mut *self.list.write()).push(segment);
    }

    /// Puts what is now known of the newest segment in its place; the file stays the same.
    pub(crate) fn resume(&self, segment: Arc<Segment>) {
        if let Some(newest) = Arc::make_mut(&mut *self.list.write()).last_mut() {
            *newest = segment;
        }
    }

    /// Puts a sealed segment in its open twin's place and retires the twin.
    pub(crate) fn replace(&self, sealed: Arc<Segment>) {
        let mut list = self.list.write();
        if let Some(place) = Arc::make_mut(&mut *list).iter_mut().find(|segment| segment.start == sealed.start) {
            place.retire();
            *place = sealed;
        }
    }

    /// Puts what was salvaged in a damaged segment's place, or takes it out; its file is gone or the new one's already.
    pub(crate) fn swap(&self, start: Seq, salvaged: Option<Arc<Segment>>) {
        let mut list = self.list.write();
        let list = Arc::make_mut(&mut *list);
        if let Some(place) = list.iter().position(|segment| segment.start == start) {
            match salvaged {
                Some(salvaged) => list[place] = salvaged,
                None => drop(list.remove(place)),
            }
        } else if let Some(salvaged) = salvaged {
            // The old one was dropped meanwhile: nobody would ever drop this one.
            salvaged.retire();
        }
    }

    /// Where the segment behind the one of a start begins.
    pub(crate) fn next_start(&self, start: Seq) -> Option<Seq> {
        self.list.read().iter().map(|segment| segment.start).find(|next| *next > start)
    }

    /// Puts a sealed segment that was written anew in the place of the one whose name it has.
    pub(crate) fn supersede(&self, new: Arc<Segment>) {
        let mut list = self.list.write();
        if let Some(place) = Arc::make_mut(&mut *list).iter_mut().find(|segment| segment.start == new.start) {
            place.supersede();
            *place = new;
        }
    }

    /// Takes a segment out and retires it.
    pub(crate) fn remove(&self, start: Seq) {
        let mut list = self.list.write();
        Arc::make_mut(&mut *list).retain(|segment| {
            if segment.start == start {
                segment.retire();
            }
            segment.start != start
        });
    }

    /// How many wait to be sealed; the one being appended to does not count.
    pub(crate) fn backlog(&self) -> usize {
        self.list.read().iter().rev().skip(1).filter(|segment| !segment.is_sealed()).count()
    }
}
