//! The messages of a broker as batches of frames, and their acknowledgement batch by batch.

use super::acks::{Acks, Owed};
use super::options::Message;
use crate::queue::Taker;
use async_trait::async_trait;
use bulkhead_sandbox::capability::{FrameBatch, FrameSource, Ticket};
use std::collections::VecDeque;
use std::sync::Arc;

/// The listener's end of an MQTT transport.
pub(crate) struct MqttFrames {
    frames: Taker<Message>,
    acks: Arc<Acks>,
    batches: u64,
    /// What batches not yet acknowledged owe. Bounded by the packet ids that a broker can have open, 65,535.
    open: VecDeque<(u64, Vec<Owed>)>,
}

impl MqttFrames {
    pub(crate) fn new(frames: Taker<Message>, acks: Arc<Acks>) -> Self {
        Self { frames, acks, batches: 0, open: VecDeque::new() }
    }
}

#[async_trait]
impl FrameSource for MqttFrames {
    async fn next(&mut self, max: usize) -> Option<FrameBatch> {
        let messages = self.frames.take(max).await?;
        self.batches += 1;
        let mut owed = Vec::new();
        let frames = messages
            .into_iter()
            .map(|message| {
                if message.owed != Owed::Nothing {
                    owed.push(message.owed);
                }
                message.frame
            })
            .collect();
        if !owed.is_empty() {
            self.open.push_back((self.batches, owed));
        }
        Some(FrameBatch { frames, ticket: Ticket(self.batches) })
    }

    async fn acknowledge(&mut self, ticket: Ticket) {
        while let Some((batch, _)) = self.open.front()
            && *batch <= ticket.0
        {
            if let Some((_, owed)) = self.open.pop_front() {
                self.acks.add(&owed);
            }
        }
    }
}
