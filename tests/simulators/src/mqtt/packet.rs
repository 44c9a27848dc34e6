//! MQTT control packets on the wire: 3.1.1 (OASIS, 2014) and 5.0 (OASIS, 2019). What a broker reads, and what it and
//! the simulated publisher write.

use super::property::Properties;
use bytes::{Buf, Bytes, BytesMut};

/// Quality of service of a message.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum QoS {
    /// Sent once, not acknowledged.
    #[default]
    AtMostOnce,
    /// Acknowledged, may come twice.
    AtLeastOnce,
    /// Exactly once.
    ExactlyOnce,
}

impl QoS {
    /// From its two bits; none for the value 3, which is malformed.
    #[must_use]
    pub fn from_bits(bits: u8) -> Option<Self> {
        [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce].get(usize::from(bits)).copied()
    }
}

/// Protocol levels (section 3.1.2.2).
pub(crate) const LEVEL_3_1_1: u8 = 4;
/// See [`LEVEL_3_1_1`].
pub(crate) const LEVEL_5: u8 = 5;

/// Longest packet taken, in bytes.
pub(crate) const MAX_PACKET_BYTES: usize = 1 << 20;

/// Packet types that carry nothing but a packet id (and, in 5.0, a reason).
pub(crate) mod kind {
    pub(crate) const CONNACK: u8 = 2;
    pub(crate) const PUBLISH: u8 = 3;
    pub(crate) const PUBACK: u8 = 4;
    pub(crate) const PUBREC: u8 = 5;
    pub(crate) const PUBREL: u8 = 6;
    pub(crate) const PUBCOMP: u8 = 7;
    pub(crate) const SUBACK: u8 = 9;
    pub(crate) const UNSUBACK: u8 = 11;
    pub(crate) const DISCONNECT: u8 = 14;
}

/// Why bytes are no packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Malformed(pub(crate) &'static str);

impl From<Malformed> for std::io::Error {
    fn from(malformed: Malformed) -> Self {
        std::io::Error::new(std::io::ErrorKind::InvalidData, malformed.0)
    }
}

/// A message, apart from how it is sent to one client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Message {
    pub(crate) topic: String,
    pub(crate) payload: Bytes,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) properties: Properties,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Connect {
    pub(crate) level: u8,
    pub(crate) clean_start: bool,
    pub(crate) keep_alive_seconds: u16,
    pub(crate) properties: Properties,
    pub(crate) client_id: String,
    pub(crate) will: Option<Message>,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<Bytes>,
}

/// What a subscriber asked of one filter (5.0, section 3.8.3.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SubscribeOptions {
    pub(crate) qos: QoS,
    pub(crate) no_local: bool,
    pub(crate) retain_as_published: bool,
    /// 0: send retained messages; 1: only for a new subscription; 2: none.
    pub(crate) retain_handling: u8,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Packet {
    Connect(Connect),
    ConnAck {
        code: u8,
    },
    Publish {
        message: Message,
        packet_id: u16,
    },
    /// PUBACK, PUBREC, PUBREL or PUBCOMP, by `kind`; `failed` when its reason is an error.
    Acknowledge {
        kind: u8,
        packet_id: u16,
        failed: bool,
    },
    Subscribe {
        packet_id: u16,
        filters: Vec<(String, SubscribeOptions)>,
    },
    Unsubscribe {
        packet_id: u16,
        filters: Vec<String>,
    },
    PingRequest,
    Disconnect {
        with_will: bool,
        session_expiry_seconds: Option<u32>,
    },
    Other,
}

/// A position in a packet's bytes.
pub(crate) struct Reader(Bytes);

impl Reader {
    pub(crate) fn new(bytes: Bytes) -> Self {
        Self(bytes)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn take(&mut self, count: usize) -> Result<Bytes, Malformed> {
        if count > self.0.len() { Err(Malformed("a packet shorter than it says")) } else { Ok(self.0.split_to(count)) }
    }

    pub(crate) fn byte(&mut self) -> Result<u8, Malformed> {
        self.take(1).map(|bytes| bytes[0])
    }

    pub(crate) fn two(&mut self) -> Result<u16, Malformed> {
        self.take(2).map(|mut bytes| bytes.get_u16())
    }

    pub(crate) fn four(&mut self) -> Result<u32, Malformed> {
        self.take(4).map(|mut bytes| bytes.get_u32())
    }

    pub(crate) fn data(&mut self) -> Result<Bytes, Malformed> {
        let count = self.two()?;
        self.take(usize::from(count))
    }

    pub(crate) fn string(&mut self) -> Result<String, Malformed> {
        String::from_utf8(self.data()?.to_vec()).map_err(|_| Malformed("a string that is not UTF-8"))
    }

    pub(crate) fn varint(&mut self) -> Result<u32, Malformed> {
        let mut value = 0;
        for shift in [0, 7, 14, 21] {
            let byte = self.byte()?;
            value |= u32::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed("a length of more than four bytes"))
    }

    fn properties(&mut self, level: u8) -> Result<Properties, Malformed> {
        if level >= LEVEL_5 { Properties::read(self) } else { Ok(Properties::default()) }
    }
}

/// Takes the first complete packet off the input; none while there is none. The level is the connection's, and does not
/// matter for CONNECT, which names it.
pub(crate) fn take_packet(input: &mut BytesMut, level: u8) -> Result<Option<Packet>, Malformed> {
    let Some((header_bytes, body_bytes)) = lengths(input)? else { return Ok(None) };
    if body_bytes > MAX_PACKET_BYTES {
        return Err(Malformed("a packet longer than this broker takes"));
    }
    if input.len() < header_bytes + body_bytes {
        return Ok(None);
    }
    let first = input[0];
    input.advance(header_bytes);
    decode(first, Reader::new(input.split_to(body_bytes).freeze()), level).map(Some)
}

/// Bytes of the fixed header and of the rest, once the header is complete.
fn lengths(input: &[u8]) -> Result<Option<(usize, usize)>, Malformed> {
    let mut length = 0;
    for index in 0..4 {
        let Some(byte) = input.get(1 + index) else { return Ok(None) };
        length |= usize::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            return Ok(Some((index + 2, length)));
        }
    }
    Err(Malformed("a length of more than four bytes"))
}

fn decode(first: u8, mut body: Reader, level: u8) -> Result<Packet, Malformed> {
    match first >> 4 {
        1 => connect(&mut body).map(Packet::Connect),
        kind::CONNACK => {
            body.byte()?;
            Ok(Packet::ConnAck { code: body.byte()? })
        }
        kind::PUBLISH => publish(first, body, level),
        kind @ (kind::PUBACK | kind::PUBREC | kind::PUBREL | kind::PUBCOMP) => {
            let packet_id = body.two()?;
            let failed = !body.is_empty() && body.byte()? >= 0x80;
            Ok(Packet::Acknowledge { kind, packet_id, failed })
        }
        8 => subscribe(&mut body, level),
        10 => unsubscribe(&mut body, level),
        12 => Ok(Packet::PingRequest),
        kind::DISCONNECT => disconnect(&mut body, level),
        _ => Ok(Packet::Other),
    }
}

fn connect(body: &mut Reader) -> Result<Connect, Malformed> {
    if body.string()? != "MQTT" {
        return Err(Malformed("a protocol that is not MQTT"));
    }
    let (level, flags) = (body.byte()?, body.byte()?);
    let keep_alive_seconds = body.two()?;
    let properties = body.properties(level)?;
    let client_id = body.string()?;
    let will = if flags & 0x04 != 0 { Some(will(body, flags, level)?) } else { None };
    let user = if flags & 0x80 != 0 { Some(body.string()?) } else { None };
    let password = if flags & 0x40 != 0 { Some(body.data()?) } else { None };
    let clean_start = flags & 0x02 != 0;
    Ok(Connect { level, clean_start, keep_alive_seconds, properties, client_id, will, user, password })
}

fn will(body: &mut Reader, flags: u8, level: u8) -> Result<Message, Malformed> {
    // Will properties are will delay, which is not waited for, and a message's own.
    let properties = body.properties(level)?;
    let (topic, payload) = (body.string()?, body.data()?);
    let qos = QoS::from_bits(flags >> 3 & 3).ok_or(Malformed("a will with QoS 3"))?;
    let properties = if properties.number(0x18).is_some() { Properties::default() } else { properties };
    Ok(Message { topic, payload, qos, retain: flags & 0x20 != 0, properties })
}

fn publish(first: u8, mut body: Reader, level: u8) -> Result<Packet, Malformed> {
    let qos = QoS::from_bits(first >> 1 & 3).ok_or(Malformed("a message with QoS 3"))?;
    let topic = body.string()?;
    let packet_id = if qos == QoS::AtMostOnce { 0 } else { body.two()? };
    if qos != QoS::AtMostOnce && packet_id == 0 {
        return Err(Malformed("packet id 0"));
    }
    let properties = body.properties(level)?.forwarded();
    let message = Message { topic, payload: body.0, qos, retain: first & 1 != 0, properties };
    Ok(Packet::Publish { message, packet_id })
}

fn subscribe(body: &mut Reader, level: u8) -> Result<Packet, Malformed> {
    let packet_id = body.two()?;
    body.properties(level)?;
    let mut filters = Vec::new();
    while !body.is_empty() {
        let (filter, bits) = (body.string()?, body.byte()?);
        let options = SubscribeOptions {
            qos: QoS::from_bits(bits & 3).ok_or(Malformed("a subscription with QoS 3"))?,
            no_local: bits & 0x04 != 0,
            retain_as_published: bits & 0x08 != 0,
            retain_handling: bits >> 4 & 3,
        };
        filters.push((filter, options));
    }
    Ok(Packet::Subscribe { packet_id, filters })
}

fn unsubscribe(body: &mut Reader, level: u8) -> Result<Packet, Malformed> {
    let packet_id = body.two()?;
    body.properties(level)?;
    let mut filters = Vec::new();
    while !body.is_empty() {
        filters.push(body.string()?);
    }
    Ok(Packet::Unsubscribe { packet_id, filters })
}

fn disconnect(body: &mut Reader, level: u8) -> Result<Packet, Malformed> {
    let reason = if body.is_empty() { 0 } else { body.byte()? };
    let properties = if body.is_empty() { Properties::default() } else { body.properties(level)? };
    let session_expiry_seconds = properties.number(super::property::id::SESSION_EXPIRY_SECONDS);
    Ok(Packet::Disconnect { with_will: reason == 0x04, session_expiry_seconds })
}

pub(crate) fn put_varint(mut value: u32, out: &mut Vec<u8>) {
    loop {
        let low = (value & 0x7F) as u8;
        value >>= 7;
        out.push(if value > 0 { low | 0x80 } else { low });
        if value == 0 {
            return;
        }
    }
}

/// Appends a string or binary data, of at most 65,535 bytes.
pub(crate) fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    let count = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    out.extend_from_slice(&count.to_be_bytes());
    out.extend_from_slice(&bytes[..usize::from(count)]);
}

/// Appends a packet of a type byte and a body.
pub(crate) fn put_packet(first: u8, body: &[u8], out: &mut Vec<u8>) {
    out.push(first);
    put_varint(body.len() as u32, out);
    out.extend_from_slice(body);
}

/// Appends a PUBLISH; `packet_id` matters from QoS 1 on.
pub(crate) fn put_publish(message: &Message, packet_id: u16, is_duplicate: bool, level: u8, out: &mut Vec<u8>) {
    let mut head = Vec::with_capacity(message.topic.len() + 8);
    put_bytes(message.topic.as_bytes(), &mut head);
    if message.qos != QoS::AtMostOnce {
        head.extend_from_slice(&packet_id.to_be_bytes());
    }
    if level >= LEVEL_5 {
        message.properties.write(&mut head);
    }
    out.push(kind::PUBLISH << 4 | u8::from(is_duplicate) << 3 | (message.qos as u8) << 1 | u8::from(message.retain));
    put_varint((head.len() + message.payload.len()) as u32, out);
    out.extend_from_slice(&head);
    out.extend_from_slice(&message.payload);
}

/// Appends PUBACK, PUBREC, PUBREL or PUBCOMP in its short form, which both versions share.
pub(crate) fn put_acknowledge(kind: u8, packet_id: u16, out: &mut Vec<u8>) {
    let flags = if kind == kind::PUBREL { 2 } else { 0 };
    put_packet(kind << 4 | flags, &packet_id.to_be_bytes(), out);
}

/// Appends a CONNECT.
pub(crate) fn put_connect(connect: &Connect, out: &mut Vec<u8>) {
    let mut body = Vec::new();
    put_bytes(b"MQTT", &mut body);
    let flags = u8::from(connect.clean_start) << 1
        | u8::from(connect.password.is_some()) << 6
        | u8::from(connect.user.is_some()) << 7;
    body.extend_from_slice(&[connect.level, flags]);
    body.extend_from_slice(&connect.keep_alive_seconds.to_be_bytes());
    if connect.level >= LEVEL_5 {
        connect.properties.write(&mut body);
    }
    put_bytes(connect.client_id.as_bytes(), &mut body);
    let credentials = [connect.user.as_ref().map(|user| user.as_bytes()), connect.password.as_deref()];
    credentials.into_iter().flatten().for_each(|bytes| put_bytes(bytes, &mut body));
    put_packet(0x10, &body, out);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(qos: QoS) -> Message {
        let properties = Properties::default();
        Message { topic: "a/ü".into(), payload: Bytes::from_static(b"\x00\xff"), qos, retain: true, properties }
    }

    #[test]
    fn a_publish_survives_the_wire_whole_and_torn() {
        for (level, qos) in [(4, QoS::AtMostOnce), (4, QoS::ExactlyOnce), (5, QoS::AtLeastOnce)] {
            let packet_id = if qos == QoS::AtMostOnce { 0 } else { 513 };
            let mut bytes = Vec::new();
            put_publish(&message(qos), packet_id, true, level, &mut bytes);
            for cut in 0..bytes.len() {
                assert_eq!(take_packet(&mut BytesMut::from(&bytes[..cut]), level), Ok(None), "cut at {cut}");
            }
            let mut input = BytesMut::from(&bytes[..]);
            let expected = Packet::Publish { message: message(qos), packet_id };
            assert_eq!(take_packet(&mut input, level), Ok(Some(expected)));
            assert!(input.is_empty());
        }
    }

    #[test]
    fn varints_of_the_standards_table() {
        for (value, bytes) in [
            (0, &[0][..]),
            (127, &[0x7F]),
            (128, &[0x80, 1]),
            (16_383, &[0xFF, 0x7F]),
            (268_435_455, &[0xFF, 0xFF, 0xFF, 0x7F]),
        ] {
            let mut out = Vec::new();
            put_varint(value, &mut out);
            assert_eq!(out, bytes);
            assert_eq!(Reader::new(Bytes::from(out)).varint(), Ok(value));
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_the_decoder_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200), level in 3u8..6) {
            let mut input = BytesMut::from(&bytes[..]);
            while let Ok(Some(_)) = take_packet(&mut input, level) {}
        }
    }
}
