//! The state of one client's session: subscriptions, messages that wait, and those on their way. Values in, values out.

use super::{
    packet::{Message, QoS, SubscribeOptions, kind, put_acknowledge, put_publish},
    topic,
};
use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
};

/// Subscriptions of one client; further ones are refused.
const MAX_SUBSCRIPTIONS: usize = 10_000;

/// A message for one client.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    pub(crate) message: Arc<Message>,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
}

impl Delivery {
    fn as_sent(&self) -> Message {
        Message { qos: self.qos, retain: self.retain, ..(*self.message).clone() }
    }
}

/// A message that was sent and is not done with.
#[derive(Debug)]
struct InFlight {
    packet_id: u16,
    /// Gone once the client has confirmed that it has the message (QoS 2): then only PUBREL is repeated.
    delivery: Option<Delivery>,
}

/// One client's session.
#[derive(Debug, Default)]
pub(crate) struct Session {
    subscriptions: Vec<(String, SubscribeOptions)>,
    waiting: VecDeque<Delivery>,
    in_flight: VecDeque<InFlight>,
    /// QoS 2 messages of the client that it has not released.
    received: HashSet<u16>,
    last_packet_id: u16,
}

impl Session {
    /// Adds or replaces a subscription; whether it is new. None when there are too many.
    pub(crate) fn subscribe(&mut self, filter: String, options: SubscribeOptions) -> Option<bool> {
        let has_room = self.subscriptions.len() < MAX_SUBSCRIPTIONS;
        let known = self.subscriptions.iter_mut().find(|(known, _)| *known == filter);
        let is_new = known.is_none();
        match known {
            Some((_, known)) => *known = options,
            None if has_room => self.subscriptions.push((filter, options)),
            None => return None,
        }
        Some(is_new)
    }

    /// Whether there was such a subscription.
    pub(crate) fn unsubscribe(&mut self, filter: &str) -> bool {
        let before = self.subscriptions.len();
        self.subscriptions.retain(|(known, _)| known != filter);
        self.subscriptions.len() < before
    }

    /// The filters subscribed to.
    pub(crate) fn filters(&self) -> impl Iterator<Item = &str> {
        self.subscriptions.iter().map(|(filter, _)| filter.as_str())
    }

    /// How this session gets a message, if any of its subscriptions selects it: at the highest QoS of those that do.
    pub(crate) fn selects(&self, message: &Arc<Message>, is_own: bool) -> Option<Delivery> {
        let mut selecting = self
            .subscriptions
            .iter()
            .filter(|(filter, options)| !(is_own && options.no_local) && topic::matches(filter, &message.topic));
        let first = selecting.next()?.1;
        let granted = selecting.fold(first, |best, (_, other)| if other.qos > best.qos { *other } else { best });
        let retain = message.retain && granted.retain_as_published;
        Some(Delivery { message: message.clone(), qos: granted.qos.min(message.qos), retain })
    }

    /// Puts a message in line; false when the line is full and it is dropped.
    pub(crate) fn queue(&mut self, delivery: Delivery, most: usize) -> bool {
        let has_room = self.waiting.len() < most;
        if has_room {
            self.waiting.push_back(delivery);
        }
        has_room
    }

    /// Appends messages in line to the output, until it holds `output_bytes` or `window` are on their way; how many.
    pub(crate) fn send(&mut self, window: usize, output_bytes: usize, level: u8, out: &mut Vec<u8>) -> u64 {
        let mut sent = 0;
        while out.len() < output_bytes {
            let needs_window = match self.waiting.front() {
                None => break,
                Some(next) => next.qos != QoS::AtMostOnce,
            };
            if needs_window && self.in_flight.len() >= window {
                break;
            }
            let Some(delivery) = self.waiting.pop_front() else { break };
            let packet_id = if needs_window { self.next_packet_id() } else { 0 };
            put_publish(&delivery.as_sent(), packet_id, false, level, out);
            if needs_window {
                self.in_flight.push_back(InFlight { packet_id, delivery: Some(delivery) });
            }
            sent += 1;
        }
        sent
    }

    /// Appends what was on its way when the client left, in the order it was sent; how many messages.
    pub(crate) fn resend(&self, level: u8, out: &mut Vec<u8>) -> u64 {
        let mut sent = 0;
        for InFlight { packet_id, delivery } in &self.in_flight {
            match delivery {
                Some(delivery) => {
                    put_publish(&delivery.as_sent(), *packet_id, true, level, out);
                    sent += 1;
                }
                None => put_acknowledge(kind::PUBREL, *packet_id, out),
            }
        }
        sent
    }

    /// Takes a client's PUBACK, PUBREC or PUBCOMP; appends PUBREL where that is next. Whether a message is done with.
    pub(crate) fn acknowledged(&mut self, kind: u8, packet_id: u16, failed: bool, out: &mut Vec<u8>) -> bool {
        let Some(at) = self.in_flight.iter().position(|sent| sent.packet_id == packet_id) else {
            if kind == kind::PUBREC {
                put_acknowledge(kind::PUBREL, packet_id, out);
            }
            return false;
        };
        if kind == kind::PUBREC && !failed {
            self.in_flight[at].delivery = None;
            put_acknowledge(kind::PUBREL, packet_id, out);
            return false;
        }
        self.in_flight.remove(at);
        true
    }

    /// Notes a client's QoS 2 message; whether it is new.
    pub(crate) fn received(&mut self, packet_id: u16) -> bool {
        self.received.insert(packet_id)
    }

    /// The client released its QoS 2 message.
    pub(crate) fn released(&mut self, packet_id: u16) {
        self.received.remove(&packet_id);
    }

    /// Messages that are not acknowledged or not even sent.
    pub(crate) fn outstanding(&self) -> usize {
        self.waiting.len() + self.in_flight.len()
    }

    /// Drops waiting QoS 0 messages, which nobody keeps for a client that is away.
    pub(crate) fn client_left(&mut self) {
        self.waiting.retain(|delivery| delivery.qos != QoS::AtMostOnce);
    }

    fn next_packet_id(&mut self) -> u16 {
        loop {
            self.last_packet_id = self.last_packet_id.checked_add(1).unwrap_or(1);
            // The window is far below 65,535, so a free id is near.
            if !self.in_flight.iter().any(|sent| sent.packet_id == self.last_packet_id) {
                return self.last_packet_id;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::{Bytes, BytesMut};

    fn options(qos: QoS) -> SubscribeOptions {
        SubscribeOptions { qos, no_local: false, retain_as_published: false, retain_handling: 0 }
    }

    fn message(qos: QoS) -> Arc<Message> {
        let (topic, payload) = ("a/b".into(), Bytes::from_static(b"x"));
        Arc::new(Message { topic, payload, qos, retain: true, properties: Default::default() })
    }

    fn sent(out: &[u8]) -> Vec<(u8, u16)> {
        let mut input = BytesMut::from(out);
        std::iter::from_fn(|| {
            let first = *input.first()?;
            match super::super::packet::take_packet(&mut input, 4).unwrap()? {
                super::super::packet::Packet::Publish { packet_id, .. } => Some((first, packet_id)),
                super::super::packet::Packet::Acknowledge { packet_id, .. } => Some((first, packet_id)),
                other => panic!("unexpected {other:?}"),
            }
        })
        .collect()
    }

    #[test]
    fn overlapping_subscriptions_give_one_delivery_at_the_highest_qos_asked_and_published() {
        let mut session = Session::default();
        session.subscribe("a/+".into(), options(QoS::AtMostOnce));
        session.subscribe("#".into(), options(QoS::ExactlyOnce));
        let delivery = session.selects(&message(QoS::AtLeastOnce), false).unwrap();
        assert_eq!((delivery.qos, delivery.retain), (QoS::AtLeastOnce, false));
        assert!(session.unsubscribe("#") && session.unsubscribe("a/+") && !session.unsubscribe("#"));
        assert!(session.selects(&message(QoS::AtLeastOnce), false).is_none());
    }

    #[test]
    fn the_window_holds_and_what_is_unacknowledged_goes_again_as_duplicate() {
        let mut session = Session::default();
        let delivery = Delivery { message: message(QoS::AtLeastOnce), qos: QoS::AtLeastOnce, retain: false };
        assert!((0..3).all(|_| session.queue(delivery.clone(), 3)));
        assert!(!session.queue(delivery, 3));
        let mut out = Vec::new();
        assert_eq!(session.send(2, 1000, 4, &mut out), 2);
        assert_eq!(sent(&out), [(0x32, 1), (0x32, 2)]);
        assert!(session.acknowledged(kind::PUBACK, 1, false, &mut out));
        assert!(!session.acknowledged(kind::PUBACK, 1, false, &mut out));
        out.clear();
        assert_eq!(session.resend(4, &mut out), 1);
        assert_eq!(session.send(2, 1000, 4, &mut out), 1);
        assert_eq!(sent(&out), [(0x3A, 2), (0x32, 3)]);
    }

    #[test]
    fn nobody_keeps_qos_0_for_a_client_that_left() {
        let mut session = Session::default();
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::AtMostOnce] {
            session.queue(Delivery { message: message(qos), qos, retain: false }, 3);
        }
        session.client_left();
        assert_eq!(session.outstanding(), 1);
    }

    #[test]
    fn qos_2_repeats_the_release_and_never_the_message_once_received() {
        let mut session = Session::default();
        session.queue(Delivery { message: message(QoS::ExactlyOnce), qos: QoS::ExactlyOnce, retain: false }, 3);
        let mut out = Vec::new();
        session.send(10, 1000, 4, &mut out);
        assert!(!session.acknowledged(kind::PUBREC, 1, false, &mut out));
        out.clear();
        assert_eq!(session.resend(4, &mut out), 0);
        assert_eq!(sent(&out), [(0x62, 1)]);
        assert!(session.acknowledged(kind::PUBCOMP, 1, false, &mut out));
        assert_eq!(session.outstanding(), 0);
        assert!(session.received(7) && !session.received(7));
        session.released(7);
        assert!(session.received(7));
    }
}
