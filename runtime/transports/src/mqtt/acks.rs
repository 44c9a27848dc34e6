//! Acknowledgements on their way from the engine's commits to the socket: thousands at once, as encoded bytes.

use super::packet::{ACK_BYTES, Ack, put_ack};
use bytes::BytesMut;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// What a delivered message needs: where it came from and how it is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owed {
    /// QoS 0: nothing.
    Nothing,
    /// QoS 1, on one connection: after a reconnect the broker sends it again, under whatever id.
    PubAck { connection: u64, packet_id: u16 },
    /// QoS 2, in one session, whichever connection carries it, until somebody asks for a new connection.
    PubRec { session: u64, packet_id: u16 },
}

/// Connections are numbered from 1.
const NO_CONNECTION: u64 = 0;
/// Sessions are counted upwards.
const NO_SESSION: u64 = u64::MAX;

/// Committed acknowledgements that have not been sent.
#[derive(Default)]
pub(crate) struct Acks {
    inner: Mutex<Inner>,
    notify: Notify,
}

#[derive(Default)]
struct Inner {
    connection: u64,
    session: u64,
    /// PUBACKs of this connection, encoded. Bounded by the packet ids a connection can have open.
    encoded: BytesMut,
    /// Sessions and ids of QoS 2 messages. Bounded likewise.
    qos2: Vec<(u64, u16)>,
}

impl Acks {
    /// A new connection: what belongs to older ones must not be sent on it.
    pub(crate) fn begin_connection(&self, connection: u64, session: u64) {
        let mut inner = self.inner.lock();
        inner.connection = connection;
        inner.session = session;
        inner.encoded.clear();
    }

    /// From now on until the next connection nothing is owed; what is committed already is still sent.
    pub(crate) fn close(&self) {
        let mut inner = self.inner.lock();
        inner.connection = NO_CONNECTION;
        inner.session = NO_SESSION;
    }

    /// Nothing that came so far is owed any more; `session` is the number from now on.
    pub(crate) fn void(&self, session: u64) {
        let mut inner = self.inner.lock();
        // Until the next connection begins there is none, and nothing has this number.
        inner.connection = NO_CONNECTION;
        inner.session = session;
        inner.encoded.clear();
    }

    /// Whether none of these is owed any more: their connections and sessions are over, and the broker sends them again.
    pub(crate) fn is_void(&self, owed: &[Owed]) -> bool {
        let inner = self.inner.lock();
        owed.iter().all(|owed| match *owed {
            Owed::Nothing => true,
            Owed::PubAck { connection, .. } => connection != inner.connection,
            Owed::PubRec { session, .. } => session != inner.session,
        })
    }

    /// Notes that messages are committed. Those of older connections and sessions are forgotten.
    pub(crate) fn add(&self, owed: &[Owed]) {
        let mut inner = self.inner.lock();
        let inner = &mut *inner;
        inner.encoded.reserve(owed.len() * ACK_BYTES);
        for owed in owed {
            match *owed {
                Owed::PubAck { connection, packet_id } if connection == inner.connection => {
                    put_ack(&mut inner.encoded, Ack::Publish, packet_id);
                }
                Owed::PubRec { session, packet_id } if session == inner.session => {
                    inner.qos2.push((session, packet_id));
                }
                Owed::PubAck { .. } | Owed::PubRec { .. } | Owed::Nothing => {}
            }
        }
        self.notify.notify_one();
    }

    /// Waits until something has been added. Safe to drop and call again.
    pub(crate) async fn added(&self) {
        self.notify.notified().await;
    }

    /// Moves the encoded ones to `out` and returns the QoS 2 ones.
    pub(crate) fn take(&self, out: &mut BytesMut) -> Vec<(u64, u16)> {
        let mut inner = self.inner.lock();
        if !inner.encoded.is_empty() {
            out.extend_from_slice(&inner.encoded);
            inner.encoded.clear();
        }
        std::mem::take(&mut inner.qos2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acknowledgements_of_an_old_connection_are_not_sent_on_a_new_one() {
        let acks = Acks::default();
        acks.begin_connection(1, 1);
        acks.add(&[Owed::PubAck { connection: 1, packet_id: 5 }]);
        acks.begin_connection(2, 1);
        acks.add(&[
            Owed::PubAck { connection: 1, packet_id: 6 },
            Owed::Nothing,
            Owed::PubAck { connection: 2, packet_id: 0x0107 },
            Owed::PubRec { session: 1, packet_id: 8 },
        ]);
        let mut out = BytesMut::new();
        assert_eq!(acks.take(&mut out), [(1, 8)], "the session decides about QoS 2");
        assert_eq!(&out[..], [0x40, 2, 1, 7]);
        assert!(acks.take(&mut BytesMut::new()).is_empty());
    }

    #[test]
    fn what_was_owed_is_void_when_its_connection_or_session_is_over() {
        let acks = Acks::default();
        acks.begin_connection(1, 1);
        let publish = |connection| Owed::PubAck { connection, packet_id: 5 };
        let receive = |session| Owed::PubRec { session, packet_id: 6 };
        assert!(!acks.is_void(&[publish(1)]) && !acks.is_void(&[receive(1), publish(0)]));
        acks.begin_connection(2, 1);
        assert!(acks.is_void(&[publish(1)]) && !acks.is_void(&[publish(1), receive(1)]));
        acks.add(&[publish(2)]);
        acks.close();
        assert!(acks.is_void(&[publish(2), receive(1)]));
        acks.add(&[publish(2), receive(1)]);
        let mut out = BytesMut::new();
        assert!(acks.take(&mut out).is_empty());
        assert_eq!(out.len(), ACK_BYTES, "what was committed before is sent");
        acks.void(2);
        assert!(acks.is_void(&[publish(2), receive(1)]));
        acks.add(&[publish(2)]);
        let mut out = BytesMut::new();
        assert!(acks.take(&mut out).is_empty() && out.is_empty());
    }
}
