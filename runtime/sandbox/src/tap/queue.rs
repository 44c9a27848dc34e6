//! The queue of one listener: bounded in events and bytes; what finds no room is counted, and the count stands in its place.

use super::event::{Kinds, TapEvent};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::Notify;

/// Most events that wait for one listener.
pub const TAP_QUEUE_MAX_EVENTS: usize = 4096;
/// Most bytes of all of them, roughly.
pub const TAP_QUEUE_MAX_BYTES: usize = 2 << 20;

/// What a listener hears next.
#[derive(Debug, Clone)]
pub enum Heard {
    /// Something that happened.
    Event(Arc<TapEvent>),
    /// So many events found no room here.
    Dropped(u64),
}

pub(super) struct Queue {
    kinds: Kinds,
    waiting: Mutex<Waiting>,
    more: Notify,
}

#[derive(Default)]
struct Waiting {
    heard: VecDeque<(Heard, usize)>,
    bytes: usize,
    /// Behind the last of `heard`.
    dropped: u64,
}

impl Queue {
    pub(super) fn new(kinds: Kinds) -> Self {
        Self { kinds, waiting: Mutex::default(), more: Notify::new() }
    }

    pub(super) fn put(&self, event: &Arc<TapEvent>) {
        if !self.kinds.meet(event.kinds()) {
            return;
        }
        self.waiting.lock().put(event);
        self.more.notify_one();
    }

    pub(super) async fn next(&self) -> Heard {
        loop {
            if let Some(heard) = self.waiting.lock().take() {
                return heard;
            }
            self.more.notified().await;
        }
    }
}

impl Waiting {
    fn put(&mut self, event: &Arc<TapEvent>) {
        let bytes = event.weight();
        let has_room = self.heard.len() < TAP_QUEUE_MAX_EVENTS
            && (self.heard.is_empty() || self.bytes + bytes <= TAP_QUEUE_MAX_BYTES);
        if !has_room {
            self.dropped += 1;
            return;
        }
        if self.dropped > 0 {
            self.heard.push_back((Heard::Dropped(std::mem::take(&mut self.dropped)), 0));
        }
        self.bytes += bytes;
        self.heard.push_back((Heard::Event(event.clone()), bytes));
    }

    fn take(&mut self) -> Option<Heard> {
        let Some((heard, bytes)) = self.heard.pop_front() else {
            return (self.dropped > 0).then(|| Heard::Dropped(std::mem::take(&mut self.dropped)));
        };
        self.bytes -= bytes;
        Some(heard)
    }
}
