//! The properties of MQTT 5 packets (section 2.2.2): which a packet carries, in order.

use super::packet::{Malformed, Reader, put_bytes, put_varint};
use bytes::Bytes;

/// Identifiers of the properties that the broker itself reads or sets (table 2-4).
pub(crate) mod id {
    pub(crate) const SESSION_EXPIRY_SECONDS: u8 = 0x11;
    pub(crate) const ASSIGNED_CLIENT_ID: u8 = 0x12;
    pub(crate) const RECEIVE_MAXIMUM: u8 = 0x21;
    pub(crate) const TOPIC_ALIAS: u8 = 0x23;
    pub(crate) const USER_PROPERTY: u8 = 0x26;
    pub(crate) const MAXIMUM_PACKET_BYTES: u8 = 0x27;
    pub(crate) const SUBSCRIPTION_IDS_AVAILABLE: u8 = 0x29;
    pub(crate) const SHARED_SUBSCRIPTIONS_AVAILABLE: u8 = 0x2A;
}

/// What a property holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Held {
    Byte(u8),
    Two(u16),
    Four(u32),
    Variable(u32),
    /// A string or binary data.
    Data(Bytes),
    Pair(Bytes, Bytes),
}

/// The properties of one packet.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Properties(Vec<(u8, Held)>);

impl Properties {
    pub(crate) fn with(mut self, id: u8, held: Held) -> Self {
        self.0.push((id, held));
        self
    }

    pub(crate) fn number(&self, wanted: u8) -> Option<u32> {
        self.0.iter().find(|(id, _)| *id == wanted).and_then(|(_, held)| match *held {
            Held::Byte(value) => Some(u32::from(value)),
            Held::Two(value) => Some(u32::from(value)),
            Held::Four(value) | Held::Variable(value) => Some(value),
            Held::Data(_) | Held::Pair(..) => None,
        })
    }

    /// Without those that concern one hop only: a publisher's topic alias means nothing to a subscriber.
    pub(crate) fn forwarded(mut self) -> Self {
        self.0.retain(|(id, _)| *id != id::TOPIC_ALIAS);
        self
    }

    pub(crate) fn read(from: &mut Reader) -> Result<Self, Malformed> {
        let length = from.varint()? as usize;
        let mut from = Reader::new(from.take(length)?);
        let mut properties = Vec::new();
        while !from.is_empty() {
            let id = from.byte()?;
            properties.push((id, read_held(id, &mut from)?));
        }
        Ok(Self(properties))
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let mut body = Vec::new();
        for (id, held) in &self.0 {
            body.push(*id);
            match held {
                Held::Byte(value) => body.push(*value),
                Held::Two(value) => body.extend_from_slice(&value.to_be_bytes()),
                Held::Four(value) => body.extend_from_slice(&value.to_be_bytes()),
                Held::Variable(value) => put_varint(*value, &mut body),
                Held::Data(data) => put_bytes(data, &mut body),
                Held::Pair(name, value) => {
                    put_bytes(name, &mut body);
                    put_bytes(value, &mut body);
                }
            }
        }
        put_varint(body.len() as u32, out);
        out.extend_from_slice(&body);
    }
}

fn read_held(id: u8, from: &mut Reader) -> Result<Held, Malformed> {
    Ok(match id {
        0x01 | 0x17 | 0x19 | 0x24 | 0x25 | 0x28 | 0x29 | 0x2A => Held::Byte(from.byte()?),
        0x13 | 0x21 | 0x22 | 0x23 => Held::Two(from.two()?),
        0x02 | 0x11 | 0x18 | 0x27 => Held::Four(from.four()?),
        0x0B => Held::Variable(from.varint()?),
        0x03 | 0x08 | 0x09 | 0x12 | 0x15 | 0x16 | 0x1A | 0x1C | 0x1F => Held::Data(from.data()?),
        id::USER_PROPERTY => Held::Pair(from.data()?, from.data()?),
        _ => return Err(Malformed("a property that the standard does not have")),
    })
}
