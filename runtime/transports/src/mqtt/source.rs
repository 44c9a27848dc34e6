//! The messages of a broker as batches of frames, and their acknowledgement batch by batch: a batch is acknowledged to
//! the broker when it and all before it are committed, so that acknowledgements go out in the order the messages came
//! (MQTT 3.1.1 and 5, §4.6), and never for a batch whose own commit failed.

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
    /// Batches that owe something, in order. Bounded by the packet ids that a broker can have open, 65,535: what belongs
    /// to connections that are over is dropped.
    open: VecDeque<Open>,
}

/// A batch that has not been acknowledged to the broker.
struct Open {
    batch: u64,
    owed: Vec<Owed>,
    is_committed: bool,
}

impl MqttFrames {
    pub(crate) fn new(frames: Taker<Message>, acks: Arc<Acks>) -> Self {
        Self { frames, acks, batches: 0, open: VecDeque::new() }
    }

    /// Hands on what is committed, up to the first batch that is still waited for.
    fn release(&mut self) {
        while let Some(first) = self.open.front()
            && (first.is_committed || self.acks.is_void(&first.owed))
        {
            if let Some(first) = self.open.pop_front()
                && first.is_committed
            {
                self.acks.add(&first.owed);
            }
        }
    }
}

#[async_trait]
impl FrameSource for MqttFrames {
    async fn next(&mut self, max: usize) -> Option<FrameBatch> {
        let messages = self.frames.take(max).await?;
        self.release();
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
            self.open.push_back(Open { batch: self.batches, owed, is_committed: false });
        }
        Some(FrameBatch { frames, ticket: Ticket(self.batches) })
    }

    async fn acknowledge(&mut self, ticket: Ticket) {
        // In order of their numbers; a batch that owes nothing is not there.
        if let Ok(place) = self.open.binary_search_by_key(&ticket.0, |open| open.batch) {
            self.open[place].is_committed = true;
        }
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::{Filler, queue};
    use bulkhead_sandbox::capability::{Frame, FrameKind};
    use bytes::BytesMut;

    fn source() -> (Filler<Message>, Arc<Acks>, MqttFrames) {
        let (filler, taker) = queue();
        let acks = Arc::new(Acks::default());
        acks.begin_connection(1, 1);
        (filler, acks.clone(), MqttFrames::new(taker, acks))
    }

    async fn batch(filler: &Filler<Message>, source: &mut MqttFrames, owed: &[Owed]) -> Ticket {
        let frame = Frame {
            kind: FrameKind::Data,
            topic: "t".into(),
            payload: Vec::new(),
            received: 0,
            retained: false,
            properties: Vec::new(),
        };
        filler.push_all(&mut owed.iter().map(|&owed| Message { frame: frame.clone(), owed }).collect());
        source.next(owed.len()).await.unwrap().ticket
    }

    fn puback(connection: u64, packet_id: u16) -> Owed {
        Owed::PubAck { connection, packet_id }
    }

    /// Packet ids of the PUBACKs that go out now.
    fn sent(acks: &Acks) -> Vec<u16> {
        let mut out = BytesMut::new();
        acks.take(&mut out);
        out.chunks(4).map(|ack| u16::from_be_bytes([ack[2], ack[3]])).collect()
    }

    #[tokio::test]
    async fn a_later_ticket_acknowledges_no_earlier_batch_and_waits_for_it() {
        let (filler, acks, mut source) = source();
        let first = batch(&filler, &mut source, &[puback(1, 1), puback(1, 2)]).await;
        let nothing = batch(&filler, &mut source, &[Owed::Nothing]).await;
        let second = batch(&filler, &mut source, &[puback(1, 3)]).await;
        let third = batch(&filler, &mut source, &[puback(1, 4)]).await;
        for ticket in [third, nothing, second] {
            source.acknowledge(ticket).await;
            assert_eq!(sent(&acks), [0; 0], "the first is not committed");
        }
        source.acknowledge(first).await;
        assert_eq!(sent(&acks), [1, 2, 3, 4], "in the order they came");
        source.acknowledge(first).await;
        assert_eq!(sent(&acks), [0; 0], "each once");
    }

    #[tokio::test]
    async fn a_new_connection_voids_the_old_tickets_and_frees_those_behind_them() {
        let (filler, acks, mut source) = source();
        let failed = batch(&filler, &mut source, &[puback(1, 1), Owed::PubRec { session: 1, packet_id: 9 }]).await;
        let behind = batch(&filler, &mut source, &[puback(1, 2)]).await;
        source.acknowledge(behind).await;
        acks.void(2);
        acks.begin_connection(2, 2);
        let again = batch(&filler, &mut source, &[puback(2, 1)]).await;
        assert_eq!(source.open.len(), 1, "void batches are not kept");
        source.acknowledge(failed).await;
        source.acknowledge(behind).await;
        assert_eq!(sent(&acks), [0; 0]);
        source.acknowledge(again).await;
        assert_eq!(sent(&acks), [1]);
    }
}
