//! MQTT 3.1.1: rumqttc's packets to and from ours.

use super::packet::{ConnAck, Connect, Incoming, PACKET_MAX_BYTES, Publish, words};
use bytes::Bytes;
use rumqttc_v4::mqttbytes as v4;

pub(super) fn qos(qos: u8) -> v4::QoS {
    match qos {
        0 => v4::QoS::AtMostOnce,
        1 => v4::QoS::AtLeastOnce,
        _ => v4::QoS::ExactlyOnce,
    }
}

pub(super) fn connect(connect: &Connect<'_>) -> v4::v4::Packet {
    let mut packet = v4::v4::Connect::new(connect.client_id);
    packet.keep_alive = connect.keep_alive_s;
    packet.clean_session = connect.clean;
    packet.last_will = connect.will.map(|will| {
        let topic = String::from_utf8_lossy(&will.topic).into_owned();
        v4::v4::LastWill::new(topic, will.payload.to_vec(), qos(will.qos), will.retain)
    });
    match (connect.username, connect.password) {
        (Some(username), Some(password)) => {
            packet.set_credentials(username, Bytes::copy_from_slice(password.as_bytes()));
        }
        (Some(username), None) => {
            packet.set_username(username);
        }
        (None, _) => {}
    }
    v4::v4::Packet::Connect(packet)
}

pub(super) fn incoming(packet: v4::v4::Packet) -> Result<Incoming, String> {
    use v4::v4::{ConnectReturnCode, Packet, SubscribeReasonCode};
    Ok(match packet {
        Packet::ConnAck(ack) => Incoming::ConnAck(ConnAck {
            session_present: ack.session_present,
            refused: (ack.code != ConnectReturnCode::Success).then(|| words(&format!("{:?}", ack.code))),
            receive_maximum: u16::MAX,
            max_packet_bytes: PACKET_MAX_BYTES,
            keep_alive_s: None,
        }),
        Packet::Publish(publish) => Incoming::Publish(Publish {
            duplicate: publish.dup,
            qos: publish.qos as u8,
            retain: publish.retain,
            topic: publish.topic,
            packet_id: publish.pkid,
            payload: publish.payload,
            properties: Vec::new(),
        }),
        Packet::PubAck(ack) => Incoming::PubAck(ack.pkid, Ok(())),
        Packet::PubRec(ack) => Incoming::PubRec(ack.pkid, Ok(())),
        Packet::PubRel(ack) => Incoming::PubRel(ack.pkid),
        Packet::PubComp(ack) => Incoming::PubComp(ack.pkid),
        Packet::SubAck(ack) => Incoming::SubAck(
            ack.return_codes
                .into_iter()
                .map(|code| match code {
                    SubscribeReasonCode::Success(_) => Ok(()),
                    SubscribeReasonCode::Failure => Err("refused".to_owned()),
                })
                .collect(),
        ),
        Packet::PingResp | Packet::UnsubAck(_) => Incoming::Other,
        other => {
            return Err(format!("the broker sent a packet that only a client may send: {:?}", other.packet_type()));
        }
    })
}
