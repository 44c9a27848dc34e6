//! MQTT packets of both versions as one: what the session needs of them, decoded and encoded by rumqttc's codecs.
//!
//! Acknowledgements are encoded here, because both versions write them alike (a success without reason and properties)
//! and they come by the thousand.

use super::{v5_packets, v311_packets};
use bytes::{BufMut, Bytes, BytesMut};
use rumqttc_v4::mqttbytes as v4;
use rumqttc_v5::mqttbytes as v5;

/// The version spoken, and the longest packet taken.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Codec {
    pub(crate) is_v5: bool,
    pub(crate) max_incoming_bytes: u32,
}

/// A packet from the broker.
#[derive(Debug)]
pub(crate) enum Incoming {
    ConnAck(ConnAck),
    Publish(Publish),
    /// A QoS 1 message of ours has arrived, or was refused.
    PubAck(u16, Result<(), String>),
    /// A QoS 2 message of ours has arrived, or was refused.
    PubRec(u16, Result<(), String>),
    PubRel(u16),
    PubComp(u16),
    /// For each filter in order, why it was refused.
    SubAck(Vec<Result<(), String>>),
    /// The broker ends the connection; why.
    Disconnect(String),
    /// Something that needs no reaction.
    Other,
}

/// The broker's answer to a connect.
#[derive(Debug)]
pub(crate) struct ConnAck {
    pub(crate) session_present: bool,
    pub(crate) refused: Option<String>,
    /// Most QoS 1 and 2 messages of ours on the way.
    pub(crate) receive_maximum: u16,
    /// Longest packet the broker takes.
    pub(crate) max_packet_bytes: u32,
    /// The keep-alive the broker wants instead of ours.
    pub(crate) keep_alive_s: Option<u16>,
}

/// A message, in or out.
#[derive(Debug, Clone)]
pub(crate) struct Publish {
    pub(crate) duplicate: bool,
    /// 0 to 2.
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    pub(crate) topic: Bytes,
    /// 0 at QoS 0.
    pub(crate) packet_id: u16,
    pub(crate) payload: Bytes,
    pub(crate) properties: Vec<(String, String)>,
}

/// What a connect says.
pub(crate) struct Connect<'a> {
    pub(crate) client_id: &'a str,
    pub(crate) clean: bool,
    pub(crate) keep_alive_s: u16,
    pub(crate) username: Option<&'a str>,
    pub(crate) password: Option<&'a str>,
    pub(crate) will: Option<&'a Publish>,
    pub(crate) session_expiry_s: u32,
    pub(crate) receive_maximum: u16,
}

/// The acknowledgements that are nothing but a packet id; the numbers are the first byte on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Ack {
    /// PUBACK: a QoS 1 message has arrived.
    Publish = 0x40,
    /// PUBREC: a QoS 2 message has arrived.
    Received = 0x50,
    /// PUBREL: its id may be let go of.
    Release = 0x62,
    /// PUBCOMP: it has been.
    Complete = 0x70,
}

/// Bytes of an acknowledgement.
pub(crate) const ACK_BYTES: usize = 4;

/// Encodes an acknowledgement.
pub(crate) fn put_ack(out: &mut BytesMut, ack: Ack, packet_id: u16) {
    let [high, low] = packet_id.to_be_bytes();
    out.put_slice(&[ack as u8, 2, high, low]);
}

/// Encodes a ping.
pub(crate) fn put_ping(out: &mut BytesMut) {
    out.put_slice(&[0xC0, 0]);
}

/// Encodes a good-bye, after which the broker does not publish the last will.
pub(crate) fn put_disconnect(out: &mut BytesMut) {
    out.put_slice(&[0xE0, 0]);
}

impl Codec {
    /// Takes one packet off the front; none while it is not whole. The error is a sentence and final.
    pub(crate) fn decode(self, stream: &mut BytesMut) -> Result<Option<Incoming>, String> {
        if self.is_v5 {
            match v5::v5::Packet::read(stream, Some(self.max_incoming_bytes)) {
                Ok(packet) => v5_packets::incoming(packet).map(Some),
                Err(v5::Error::InsufficientBytes(_)) => Ok(None),
                Err(error) => Err(format!("the broker sent what is no MQTT 5 packet, or too long a one: {error}")),
            }
        } else {
            match v4::v4::Packet::read(stream, usize::try_from(self.max_incoming_bytes).unwrap_or(usize::MAX)) {
                Ok(packet) => v311_packets::incoming(packet).map(Some),
                Err(v4::Error::InsufficientBytes(_)) => Ok(None),
                Err(error) => Err(format!("the broker sent what is no MQTT 3.1.1 packet, or too long a one: {error}")),
            }
        }
    }

    /// Encodes a connect. The error is a sentence.
    pub(crate) fn put_connect(self, out: &mut BytesMut, connect: &Connect<'_>) -> Result<(), String> {
        let result = if self.is_v5 {
            v5_packets::connect(connect, self.max_incoming_bytes).write(out, None).map_err(|error| error.to_string())
        } else {
            v311_packets::connect(connect).write(out, usize::MAX).map_err(|error| error.to_string())
        };
        result.map(|_| ()).map_err(|error| format!("the connect cannot be written: {error}"))
    }

    /// Encodes a message. The error is a sentence; nothing has been written then.
    pub(crate) fn put_publish(self, out: &mut BytesMut, publish: &Publish, max_bytes: u32) -> Result<(), String> {
        let mut encoded = BytesMut::new();
        let result = if self.is_v5 {
            let properties = (!publish.properties.is_empty()).then(|| v5::v5::PublishProperties {
                user_properties: publish.properties.clone(),
                ..Default::default()
            });
            let packet = v5::v5::Publish {
                dup: publish.duplicate,
                qos: v5_packets::qos(publish.qos),
                retain: publish.retain,
                topic: publish.topic.clone(),
                pkid: publish.packet_id,
                payload: publish.payload.clone(),
                properties,
            };
            v5::v5::Packet::Publish(packet).write(&mut encoded, Some(max_bytes)).map_err(|error| error.to_string())
        } else {
            let packet = v4::v4::Publish {
                dup: publish.duplicate,
                qos: v311_packets::qos(publish.qos),
                retain: publish.retain,
                topic: publish.topic.clone(),
                pkid: publish.packet_id,
                payload: publish.payload.clone(),
            };
            let max = usize::try_from(max_bytes).unwrap_or(usize::MAX);
            v4::v4::Packet::Publish(packet).write(&mut encoded, max).map_err(|error| error.to_string())
        };
        result.map_err(|error| format!("the message cannot be sent: {error}"))?;
        out.unsplit(encoded);
        Ok(())
    }

    /// Encodes a subscription to all filters.
    pub(crate) fn put_subscribe(
        self,
        out: &mut BytesMut,
        packet_id: u16,
        filters: &[String],
        qos: u8,
    ) -> Result<(), String> {
        let result = if self.is_v5 {
            let filter = |path: &String| v5::v5::SubscribeFilter {
                // Retained messages are sent when the subscription is new, not at each reconnect.
                retain_forward_rule: v5::v5::RetainForwardRule::OnNewSubscribe,
                preserve_retain: true,
                ..v5::v5::SubscribeFilter::new(path.clone(), v5_packets::qos(qos))
            };
            let mut subscribe = v5::v5::Subscribe::new_many(filters.iter().map(filter), None);
            subscribe.pkid = packet_id;
            v5::v5::Packet::Subscribe(subscribe).write(out, None).map_err(|error| error.to_string())
        } else {
            let filter = |path: &String| v4::v4::SubscribeFilter { path: path.clone(), qos: v311_packets::qos(qos) };
            let subscribe = v4::v4::Subscribe { pkid: packet_id, filters: filters.iter().map(filter).collect() };
            v4::v4::Packet::Subscribe(subscribe).write(out, usize::MAX).map_err(|error| error.to_string())
        };
        result.map(|_| ()).map_err(|error| format!("the subscription cannot be written: {error}"))
    }
}

/// Longest packet where the broker names no limit: what the length field can say (MQTT §2.1.4).
pub(super) const PACKET_MAX_BYTES: u32 = 268_435_460;

/// `NotAuthorized` as `not authorized`.
pub(super) fn words(name: &str) -> String {
    let mut words = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !words.is_empty() && !words.ends_with(' ') {
            words.push(' ');
        }
        words.extend(letter.to_lowercase());
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_go_out_and_in_again_in_both_versions() {
        for is_v5 in [false, true] {
            let codec = Codec { is_v5, max_incoming_bytes: 1000 };
            let publish = Publish {
                duplicate: false,
                qos: 1,
                retain: true,
                topic: Bytes::from_static(b"plant/press"),
                packet_id: 7,
                payload: Bytes::from_static(b"{}"),
                properties: vec![("unit".into(), "bar".into())],
            };
            let mut out = BytesMut::new();
            codec.put_publish(&mut out, &publish, 1000).unwrap();
            put_ack(&mut out, Ack::Release, 9);
            let mut torn = out.split_to(5);
            assert!(codec.decode(&mut torn).unwrap().is_none(), "not whole yet");
            torn.unsplit(out);
            let Some(Incoming::Publish(read)) = codec.decode(&mut torn).unwrap() else { panic!("a message") };
            assert_eq!((&read.topic[..], read.packet_id, read.qos, read.retain), (&b"plant/press"[..], 7, 1, true));
            assert_eq!(read.properties.len(), usize::from(is_v5), "3.1.1 has none");
            assert!(matches!(codec.decode(&mut torn).unwrap(), Some(Incoming::PubRel(9))));
        }
    }

    #[test]
    fn a_message_that_is_too_long_leaves_nothing_behind() {
        for is_v5 in [false, true] {
            let codec = Codec { is_v5, max_incoming_bytes: 20 };
            let publish = Publish {
                duplicate: false,
                qos: 0,
                retain: false,
                topic: Bytes::from_static(b"t"),
                packet_id: 0,
                payload: Bytes::from(vec![0; 100]),
                properties: Vec::new(),
            };
            let mut out = BytesMut::new();
            assert!(codec.put_publish(&mut out, &publish, 50).is_err());
            assert!(out.is_empty());
            codec.put_publish(&mut out, &publish, 1000).unwrap();
            assert!(codec.decode(&mut out).is_err(), "longer than what is taken");
        }
    }

    #[test]
    fn reasons_read_as_words() {
        assert_eq!(words("BadUserNamePassword"), "bad user name password");
    }
}
