//! MQTT 5: rumqttc's packets to and from ours.

use super::packet::{ConnAck, Connect, Incoming, PACKET_MAX_BYTES, Publish, words};
use bytes::Bytes;
use rumqttc_v5::mqttbytes as v5;

pub(super) fn qos(qos: u8) -> v5::QoS {
    match qos {
        0 => v5::QoS::AtMostOnce,
        1 => v5::QoS::AtLeastOnce,
        _ => v5::QoS::ExactlyOnce,
    }
}

pub(super) fn connect(connect: &Connect<'_>, max_incoming_bytes: u32) -> v5::v5::Packet {
    let properties = v5::v5::ConnectProperties {
        session_expiry_interval: Some(connect.session_expiry_s),
        receive_maximum: Some(connect.receive_maximum),
        max_packet_size: Some(max_incoming_bytes),
        ..v5::v5::ConnectProperties::new()
    };
    let packet = v5::v5::Connect {
        keep_alive: connect.keep_alive_s,
        client_id: connect.client_id.to_owned(),
        clean_start: connect.clean,
        properties: Some(properties),
    };
    let will = connect.will.map(|will| {
        let properties = (!will.properties.is_empty()).then(|| v5::v5::LastWillProperties {
            delay_interval: None,
            payload_format_indicator: None,
            message_expiry_interval: None,
            content_type: None,
            response_topic: None,
            correlation_data: None,
            user_properties: will.properties.clone(),
        });
        let topic = String::from_utf8_lossy(&will.topic).into_owned();
        v5::v5::LastWill::new(topic, will.payload.to_vec(), qos(will.qos), will.retain, properties)
    });
    let auth = match (connect.username, connect.password) {
        (Some(username), Some(password)) => v5::v5::ConnectAuth::UsernamePassword {
            username: username.to_owned(),
            password: Bytes::copy_from_slice(password.as_bytes()),
        },
        (Some(username), None) => v5::v5::ConnectAuth::Username { username: username.to_owned() },
        (None, _) => v5::v5::ConnectAuth::None,
    };
    v5::v5::Packet::Connect(packet, will, auth)
}

pub(super) fn incoming(packet: v5::v5::Packet) -> Result<Incoming, String> {
    use v5::v5::{ConnectReturnCode, Packet, PubAckReason, PubRecReason, SubscribeReasonCode};
    Ok(match packet {
        Packet::ConnAck(ack) => {
            let properties = ack.properties.as_ref();
            let receive_maximum = properties.and_then(|properties| properties.receive_max);
            let max_packet_bytes = properties.and_then(|properties| properties.max_packet_size);
            Incoming::ConnAck(ConnAck {
                session_present: ack.session_present,
                refused: (ack.code != ConnectReturnCode::Success).then(|| words(&format!("{:?}", ack.code))),
                receive_maximum: receive_maximum.unwrap_or(u16::MAX).max(1),
                max_packet_bytes: max_packet_bytes.unwrap_or(PACKET_MAX_BYTES),
                keep_alive_s: properties.and_then(|properties| properties.server_keep_alive),
            })
        }
        Packet::Publish(publish) => Incoming::Publish(Publish {
            duplicate: publish.dup,
            qos: publish.qos as u8,
            retain: publish.retain,
            topic: publish.topic,
            packet_id: publish.pkid,
            payload: publish.payload,
            properties: publish.properties.map(|properties| properties.user_properties).unwrap_or_default(),
        }),
        Packet::PubAck(ack) => Incoming::PubAck(
            ack.pkid,
            match ack.reason {
                PubAckReason::Success | PubAckReason::NoMatchingSubscribers => Ok(()),
                reason => Err(words(&format!("{reason:?}"))),
            },
        ),
        Packet::PubRec(ack) => Incoming::PubRec(
            ack.pkid,
            match ack.reason {
                PubRecReason::Success | PubRecReason::NoMatchingSubscribers => Ok(()),
                reason => Err(words(&format!("{reason:?}"))),
            },
        ),
        Packet::PubRel(ack) => Incoming::PubRel(ack.pkid),
        Packet::PubComp(ack) => Incoming::PubComp(ack.pkid),
        Packet::SubAck(ack) => Incoming::SubAck(
            ack.return_codes
                .into_iter()
                .map(|code| match code {
                    SubscribeReasonCode::Success(_) => Ok(()),
                    code => Err(words(&format!("{code:?}"))),
                })
                .collect(),
        ),
        Packet::Disconnect(disconnect) => Incoming::Disconnect(words(&format!("{:?}", disconnect.reason_code))),
        Packet::PingResp | Packet::UnsubAck(_) => Incoming::Other,
        other => return Err(format!("the broker sent a packet that was not expected: {:?}", other.packet_type())),
    })
}
