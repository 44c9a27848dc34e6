//! The client's side of an MQTT session (MQTT 3.1.1 and 5, §4.3 and §4.4): which messages of ours await what, and which
//! QoS 2 messages from the broker have been seen. Pure.
//!
//! A QoS 2 message is delivered once as long as this process lives: when the broker sends it again after a lost
//! connection, it is not delivered again, and acknowledged once the readings of its one delivery are committed.

use super::packet::Publish;
use std::collections::{BTreeMap, VecDeque};

/// Most QoS 1 and 2 messages of ours on their way.
const OUTGOING_MAX: usize = 256;

/// What a message of ours waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The PUBACK.
    Acknowledged,
    /// The PUBREC.
    Received,
    /// The PUBCOMP.
    Completed,
}

#[derive(Debug)]
struct Outgoing<W> {
    publish: Publish,
    stage: Stage,
    waiter: Option<W>,
}

/// Whether a QoS 2 message's readings are committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Delivery {
    Delivered,
    Committed,
}

/// What to do with a QoS 2 message that has arrived.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// It is new: deliver it.
    Deliver,
    /// It has been delivered and is not committed yet.
    Wait,
    /// It has been delivered and committed: acknowledge it again.
    Acknowledge,
}

/// What to send again after a reconnect.
#[derive(Debug)]
pub(crate) enum Again {
    Publish(Publish),
    PubRel(u16),
}

/// The state of a session. `W` is whatever waits for a message's acknowledgement.
#[derive(Debug)]
pub(crate) struct Session<W> {
    number: u64,
    next_id: u16,
    limit: usize,
    outgoing: VecDeque<Outgoing<W>>,
    incoming: BTreeMap<u16, Delivery>,
}

impl<W> Session<W> {
    pub(crate) fn new() -> Self {
        Self { number: 0, next_id: 1, limit: OUTGOING_MAX, outgoing: VecDeque::new(), incoming: BTreeMap::new() }
    }

    /// Which session of the broker's this is, or which part of it since uncommitted messages were last forgotten; what
    /// is owed from another one means nothing in it.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Whether one more message above QoS 0 may be sent.
    pub(crate) fn has_room(&self) -> bool {
        self.outgoing.len() < self.limit
    }

    /// A packet id that nothing uses.
    pub(crate) fn free_id(&mut self) -> u16 {
        loop {
            let id = self.next_id;
            self.next_id = self.next_id.checked_add(1).unwrap_or(1);
            if !self.outgoing.iter().any(|outgoing| outgoing.publish.packet_id == id) {
                return id;
            }
        }
    }

    /// Notes a message above QoS 0 that is being sent; its packet id is set.
    pub(crate) fn sent(&mut self, publish: Publish, waiter: W) {
        let stage = if publish.qos == 1 { Stage::Acknowledged } else { Stage::Received };
        self.outgoing.push_back(Outgoing { publish, stage, waiter: Some(waiter) });
    }

    /// A QoS 1 message has arrived. Returns who waits for it.
    pub(crate) fn acknowledged(&mut self, id: u16) -> Option<W> {
        self.take(id, Stage::Acknowledged)
    }

    /// A QoS 2 message has arrived: its PUBREL is to be sent. False: nothing of the kind was sent, or it was refused.
    pub(crate) fn received(&mut self, id: u16) -> bool {
        let found = self.find(id).map(|index| &mut self.outgoing[index]);
        match found {
            Some(outgoing) if outgoing.stage != Stage::Acknowledged => {
                outgoing.stage = Stage::Completed;
                true
            }
            _ => false,
        }
    }

    /// A QoS 2 message was refused. Returns who waits for it.
    pub(crate) fn refused(&mut self, id: u16) -> Option<W> {
        self.take(id, Stage::Received)
    }

    /// A QoS 2 message is done with. Returns who waits for it.
    pub(crate) fn completed(&mut self, id: u16) -> Option<W> {
        self.take(id, Stage::Completed)
    }

    fn find(&self, id: u16) -> Option<usize> {
        self.outgoing.iter().position(|outgoing| outgoing.publish.packet_id == id)
    }

    fn take(&mut self, id: u16, stage: Stage) -> Option<W> {
        let index = self.find(id).filter(|&index| self.outgoing[index].stage == stage)?;
        self.outgoing.remove(index)?.waiter
    }

    /// The broker has taken a connect: what to send again, in the order first sent. `limit` is how many messages it
    /// takes at once, `is_gone` whether somebody has stopped waiting; what at QoS 1 nobody waits for is not sent again,
    /// because whoever waited was told that it failed.
    pub(crate) fn resume(&mut self, present: bool, limit: u16, is_gone: impl Fn(&W) -> bool) -> Vec<Again> {
        self.limit = OUTGOING_MAX.min(limit.into());
        if !present {
            self.number += 1;
            self.incoming.clear();
            // Without a session the broker has forgotten what it had received: done, or begun anew.
            self.outgoing.retain(|outgoing| outgoing.stage != Stage::Completed);
        }
        self.outgoing.retain(|outgoing| outgoing.publish.qos == 2 || !outgoing.waiter.as_ref().is_none_or(&is_gone));
        let again = |outgoing: &Outgoing<W>| match outgoing.stage {
            Stage::Completed => Again::PubRel(outgoing.publish.packet_id),
            _ => Again::Publish(Publish { duplicate: present, ..outgoing.publish.clone() }),
        };
        self.outgoing.iter().map(again).collect()
    }

    /// A QoS 2 message has arrived.
    pub(crate) fn arrived(&mut self, id: u16) -> Arrival {
        match self.incoming.get(&id) {
            None => {
                self.incoming.insert(id, Delivery::Delivered);
                Arrival::Deliver
            }
            Some(Delivery::Delivered) => Arrival::Wait,
            Some(Delivery::Committed) => Arrival::Acknowledge,
        }
    }

    /// The readings of a QoS 2 message are committed. Whether its PUBREC is to be sent: not where the message belongs to
    /// a session that is over.
    pub(crate) fn committed(&mut self, session: u64, id: u16) -> bool {
        match self.incoming.get_mut(&id) {
            Some(delivery) if session == self.number => {
                *delivery = Delivery::Committed;
                true
            }
            _ => false,
        }
    }

    /// Nobody will commit the QoS 2 messages delivered so far: when the broker sends them again, they are delivered
    /// again, and what comes late for their first delivery means nothing.
    pub(crate) fn forget_uncommitted(&mut self) {
        self.number += 1;
        self.incoming.retain(|_, delivery| *delivery == Delivery::Committed);
    }

    /// The broker has let go of a QoS 2 message: its id is free.
    pub(crate) fn released(&mut self, id: u16) {
        self.incoming.remove(&id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn message(session: &mut Session<u32>, qos: u8, waiter: u32) -> u16 {
        let packet_id = session.free_id();
        let publish = Publish {
            duplicate: false,
            qos,
            retain: false,
            topic: Bytes::from_static(b"t"),
            packet_id,
            payload: Bytes::new(),
            properties: Vec::new(),
        };
        session.sent(publish, waiter);
        packet_id
    }

    #[test]
    fn messages_are_matched_with_their_acknowledgements() {
        let mut session = Session::new();
        let (one, two) = (message(&mut session, 1, 10), message(&mut session, 2, 20));
        assert_eq!(session.acknowledged(two), None, "a PUBACK does not end a QoS 2 message");
        assert_eq!(session.completed(two), None, "nor does a PUBCOMP before the PUBREC");
        assert!(session.received(two) && session.received(two) && !session.received(one));
        assert_eq!(session.completed(two), Some(20));
        assert_eq!(session.acknowledged(one), Some(10));
        assert_eq!(session.acknowledged(one), None);
    }

    #[test]
    fn after_a_reconnect_what_is_open_is_sent_again_in_order() {
        let mut session = Session::new();
        let ids = [message(&mut session, 1, 1), message(&mut session, 2, 2), message(&mut session, 2, 3)];
        message(&mut session, 1, 99);
        session.received(ids[1]);
        let again: Vec<_> = session
            .resume(true, 10, |waiter| *waiter == 99)
            .into_iter()
            .map(|again| match again {
                Again::Publish(publish) => (publish.packet_id, publish.duplicate),
                Again::PubRel(id) => (id, false),
            })
            .collect();
        assert_eq!(again, [(ids[0], true), (ids[1], false), (ids[2], true)]);
        assert_eq!(session.resume(false, 10, |_| false).len(), 2, "without a session the received one is done");
    }

    #[test]
    fn a_message_sent_again_is_delivered_once_and_acknowledged_when_committed() {
        let mut session = Session::<()>::new();
        let _ = session.resume(false, 10, |()| false);
        let number = session.number();
        assert_eq!(session.arrived(5), Arrival::Deliver);
        let _ = session.resume(true, 10, |()| false);
        assert_eq!(session.arrived(5), Arrival::Wait);
        assert!(session.committed(number, 5));
        assert_eq!(session.arrived(5), Arrival::Acknowledge);
        session.released(5);
        assert_eq!(session.arrived(5), Arrival::Deliver, "the id is free again");
        let _ = session.resume(false, 10, |()| false);
        assert_eq!(session.arrived(5), Arrival::Deliver, "another session's message");
        assert!(!session.committed(number, 5), "the ticket is of the old session");
    }

    #[test]
    fn what_nobody_will_commit_is_delivered_again_and_what_is_committed_is_not() {
        let mut session = Session::<()>::new();
        let _ = session.resume(false, 10, |()| false);
        let number = session.number();
        assert_eq!([session.arrived(5), session.arrived(6)], [Arrival::Deliver, Arrival::Deliver]);
        assert!(session.committed(number, 6));
        session.forget_uncommitted();
        let _ = session.resume(true, 10, |()| false);
        assert_eq!([session.arrived(5), session.arrived(6)], [Arrival::Deliver, Arrival::Acknowledge]);
        assert!(!session.committed(number, 5), "the first delivery's ticket is void");
        assert!(session.committed(session.number(), 5));
    }

    #[test]
    fn ids_in_use_are_not_given_again() {
        let mut session = Session::new();
        let first = message(&mut session, 1, 0);
        let ids: std::collections::HashSet<u16> = (0..65_534).map(|_| session.free_id()).collect();
        assert!(!ids.contains(&first) && !ids.contains(&0));
    }
}
