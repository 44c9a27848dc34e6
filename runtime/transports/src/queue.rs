//! The bounded queue between a transport's task and whoever takes its frames: bounded by number and by bytes, filled
//! and emptied many at a time.

use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::Notify;

/// Most frames that wait to be taken.
pub(crate) const FRAMES_MAX: usize = 8192;
/// Most bytes of frames that wait to be taken; one more read of the transport may come on top.
pub(crate) const BYTES_MAX: usize = 4 * 1024 * 1024;
/// Frames without payload that tell of a connect or disconnect may come on top of a full queue, up to this many.
const NOTICES_MAX: usize = 64;

/// What knows its size in the queue.
pub(crate) trait Weighed {
    fn bytes(&self) -> usize;
}

struct Inner<T> {
    items: VecDeque<T>,
    bytes: usize,
    /// The transport has stopped: nothing more comes.
    ended: bool,
    /// Nobody takes frames any more.
    abandoned: bool,
}

struct Shared<T> {
    inner: Mutex<Inner<T>>,
    filled: Notify,
    emptied: Notify,
}

/// The transport's end. Dropping it ends the queue.
pub(crate) struct Filler<T: Weighed>(Arc<Shared<T>>);

/// The taker's end. Dropping it throws the queue's content away, now and from now on.
pub(crate) struct Taker<T: Weighed>(Arc<Shared<T>>);

/// A new queue.
pub(crate) fn queue<T: Weighed>() -> (Filler<T>, Taker<T>) {
    let inner = Inner { items: VecDeque::new(), bytes: 0, ended: false, abandoned: false };
    let shared = Arc::new(Shared { inner: Mutex::new(inner), filled: Notify::new(), emptied: Notify::new() });
    (Filler(shared.clone()), Taker(shared))
}

impl<T> Inner<T> {
    fn has_room(&self) -> bool {
        self.abandoned || self.items.len() < FRAMES_MAX && self.bytes < BYTES_MAX
    }
}

impl<T: Weighed> Filler<T> {
    /// Whether nobody takes frames.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.0.inner.lock().abandoned
    }

    pub(crate) fn has_room(&self) -> bool {
        self.0.inner.lock().has_room()
    }

    /// Waits until there is room. Safe to drop and call again.
    pub(crate) async fn room(&self) {
        loop {
            // A permit stored by `notify_one` between the check and the wait ends the wait at once.
            if self.has_room() {
                return;
            }
            self.0.emptied.notified().await;
        }
    }

    /// Appends items, room or not: ask [`Filler::has_room`] before reading what they are made from.
    pub(crate) fn push_all(&self, items: &mut Vec<T>) {
        if items.is_empty() {
            return;
        }
        let mut inner = self.0.inner.lock();
        if inner.abandoned {
            items.clear();
            return;
        }
        inner.bytes += items.iter().map(Weighed::bytes).sum::<usize>();
        inner.items.extend(items.drain(..));
        drop(inner);
        self.0.filled.notify_one();
    }

    /// Appends an item that tells of a connect or disconnect, unless even those have filled the queue.
    pub(crate) fn push_notice(&self, item: T) {
        let mut inner = self.0.inner.lock();
        if !inner.abandoned && inner.items.len() < FRAMES_MAX * 2 + NOTICES_MAX {
            inner.bytes += item.bytes();
            inner.items.push_back(item);
            drop(inner);
            self.0.filled.notify_one();
        }
    }
}

impl<T: Weighed> Taker<T> {
    /// Waits for items and takes at most `max` of those there. None: the queue has ended and is empty.
    pub(crate) async fn take(&mut self, max: usize) -> Option<Vec<T>> {
        loop {
            {
                let mut inner = self.0.inner.lock();
                if !inner.items.is_empty() {
                    let count = inner.items.len().min(max.max(1));
                    let taken: Vec<T> = inner.items.drain(..count).collect();
                    inner.bytes -= taken.iter().map(Weighed::bytes).sum::<usize>();
                    drop(inner);
                    self.0.emptied.notify_one();
                    return Some(taken);
                }
                if inner.ended {
                    return None;
                }
            }
            self.0.filled.notified().await;
        }
    }
}

impl<T: Weighed> Drop for Filler<T> {
    fn drop(&mut self) {
        self.0.inner.lock().ended = true;
        self.0.filled.notify_one();
    }
}

impl<T: Weighed> Drop for Taker<T> {
    fn drop(&mut self) {
        let mut inner = self.0.inner.lock();
        inner.abandoned = true;
        inner.items = VecDeque::new();
        inner.bytes = 0;
        drop(inner);
        self.0.emptied.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    impl Weighed for Vec<u8> {
        fn bytes(&self) -> usize {
            self.len()
        }
    }

    #[tokio::test]
    async fn it_is_full_by_number_and_by_bytes_and_has_room_again_when_taken_from() {
        for (count, size) in [(FRAMES_MAX, 0), (5, BYTES_MAX / 4)] {
            let (filler, mut taker) = queue::<Vec<u8>>();
            filler.push_all(&mut vec![vec![0; size]; count]);
            assert!(!filler.has_room());
            let taken = taker.take(2).await.unwrap();
            assert_eq!(taken.len(), 2);
            tokio::time::timeout(Duration::from_secs(5), filler.room()).await.unwrap();
        }
    }

    #[tokio::test]
    async fn what_is_there_is_taken_before_the_end_is_told() {
        let (filler, mut taker) = queue::<Vec<u8>>();
        filler.push_all(&mut vec![vec![1], vec![2]]);
        drop(filler);
        assert_eq!(taker.take(100).await, Some(vec![vec![1], vec![2]]));
        assert_eq!(taker.take(100).await, None);
    }

    #[tokio::test]
    async fn an_abandoned_queue_takes_everything_and_keeps_nothing() {
        let (filler, taker) = queue::<Vec<u8>>();
        filler.push_all(&mut vec![vec![0]; FRAMES_MAX]);
        drop(taker);
        tokio::time::timeout(Duration::from_secs(5), filler.room()).await.unwrap();
        filler.push_all(&mut vec![vec![0]; FRAMES_MAX]);
        assert!(filler.is_abandoned() && filler.has_room());
    }
}
