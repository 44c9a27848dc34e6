//! The broker, the publisher and the flood over real sockets: byte by byte, and with `mosquitto_pub` and `mosquitto_sub`.

#![allow(clippy::unwrap_used, reason = "the helpers of tests may panic like the tests")]

use bulkhead_simulators::mqtt::{
    Broker, BrokerConfig, Credentials, Flood, FloodConfig, Publisher, PublisherConfig, QoS,
};
use std::{future::Future, process::Stdio, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    process::{Child, Command},
    time::timeout,
};

const PATIENCE: Duration = Duration::from_secs(20);

async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what} took longer than {PATIENCE:?}"))
}

/// A client that speaks 3.1.1 in bytes.
struct Raw(TcpStream);

impl Raw {
    /// Connects, with or without a clean session, and checks whether the broker says that the session was there.
    async fn connect(broker: &Broker, id: &str, clean: bool, expect_present: bool) -> Self {
        let mut stream = TcpStream::connect(broker.address()).await.unwrap();
        let body = [b"\0\x04MQTT\x04", &[u8::from(clean) << 1, 0, 60, 0, id.len() as u8][..], id.as_bytes()].concat();
        stream.write_all(&[&[0x10, body.len() as u8], &body[..]].concat()).await.unwrap();
        let mut raw = Self(stream);
        raw.expect(&[0x20, 2, u8::from(expect_present), 0]).await;
        raw
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.unwrap();
    }

    async fn expect(&mut self, bytes: &[u8]) {
        let mut got = vec![0; bytes.len()];
        soon("a packet", self.0.read_exact(&mut got)).await.unwrap();
        assert_eq!(got, bytes);
    }

    async fn expect_close(&mut self) {
        assert_eq!(soon("the close", self.0.read(&mut [0; 1])).await.unwrap_or(0), 0);
    }
}

async fn broker() -> Broker {
    Broker::start(BrokerConfig::default()).await.unwrap()
}

#[tokio::test]
async fn a_session_keeps_what_was_not_acknowledged_and_sends_it_again() {
    let mut broker = broker().await;
    let mut client = Raw::connect(&broker, "c", false, false).await;
    client.send(b"\x82\x08\0\x01\0\x03a/+\x01").await;
    client.expect(b"\x90\x03\0\x01\x01").await;
    broker.publish("a/b", "1", QoS::AtLeastOnce, false);
    client.expect(b"\x32\x08\0\x03a/b\0\x01\x31").await;
    drop(client);
    soon("leaving", broker.wait_until(|stats| stats.connected == 0)).await;
    broker.publish("a/b", "2", QoS::AtLeastOnce, false);
    broker.publish("a/b", "lost", QoS::AtMostOnce, false);
    // Sessions outlive the broker's restart, too.
    broker.restart().await.unwrap();
    let mut client = Raw::connect(&broker, "c", false, true).await;
    client.expect(b"\x3A\x08\0\x03a/b\0\x01\x31").await;
    client.expect(b"\x32\x08\0\x03a/b\0\x02\x32").await;
    client.send(b"\x40\x02\0\x01\x40\x02\0\x02").await;
    soon("acknowledging", broker.wait_until(|stats| stats.acknowledged == 2 && stats.outstanding == 0)).await;
    client.send(b"\xE0\0").await;
    client.expect_close().await;
    // A clean session forgets.
    let mut client = Raw::connect(&broker, "c", true, false).await;
    client.send(b"\xC0\0").await;
    client.expect(b"\xD0\0").await;
}

#[tokio::test]
async fn a_new_subscription_gets_the_retained_messages_that_it_selects() {
    let broker = broker().await;
    for (topic, payload) in [("a/x", "1"), ("b/x", "2"), ("a/y", "3")] {
        broker.publish(topic, payload, QoS::AtLeastOnce, true);
    }
    let mut client = Raw::connect(&broker, "c", true, false).await;
    client.send(b"\x82\x08\0\x01\0\x03a/#\x00\xC0\0").await;
    client.expect(b"\x90\x03\0\x01\x00\xD0\0\x31\x06\0\x03a/x1\x31\x06\0\x03a/y3").await;
    assert_eq!(broker.stats().sent, 2);
}

#[tokio::test]
async fn qos_2_passes_once_in_each_direction() {
    let broker = broker().await;
    let mut client = Raw::connect(&broker, "c", true, false).await;
    client.send(b"\x82\x06\0\x01\0\x01t\x02").await;
    client.expect(b"\x90\x03\0\x01\x02").await;
    client.send(b"\x34\x06\0\x01t\0\x07x").await;
    client.expect(b"\x50\x02\0\x07").await;
    client.expect(b"\x34\x06\0\x01t\0\x01x").await;
    // The same again, as if PUBREC had been lost: confirmed, not passed on.
    client.send(b"\x3C\x06\0\x01t\0\x07x").await;
    client.expect(b"\x50\x02\0\x07").await;
    client.send(b"\x62\x02\0\x07\x50\x02\0\x01").await;
    client.expect(b"\x70\x02\0\x07\x62\x02\0\x01").await;
    client.send(b"\x70\x02\0\x01").await;
    soon("acknowledging", broker.wait_until(|stats| stats.acknowledged == 1)).await;
    assert_eq!((broker.stats().received, broker.stats().sent), (1, 1));
}

#[tokio::test]
async fn a_second_connection_takes_over_and_a_lost_one_leaves_its_will() {
    let broker = broker().await;
    let mut watcher = Raw::connect(&broker, "watcher", true, false).await;
    watcher.send(b"\x82\x06\0\x01\0\x01#\x00").await;
    watcher.expect(b"\x90\x03\0\x01\x00").await;
    let mut dying = TcpStream::connect(broker.address()).await.unwrap();
    // Flags 0x06: a will at QoS 0, clean session.
    dying.write_all(b"\x10\x13\0\x04MQTT\x04\x06\0\0\0\x01d\0\x01w\0\x01!").await.unwrap();
    soon("connecting", broker.wait_until(|stats| stats.connected == 2)).await;
    drop(dying);
    watcher.expect(b"\x30\x04\0\x01w!").await;
    let mut second = Raw::connect(&broker, "watcher", true, false).await;
    watcher.expect_close().await;
    second.send(b"\xC0\0").await;
    second.expect(b"\xD0\0").await;
}

#[tokio::test]
async fn malformed_packets_and_unknown_users_are_turned_away() {
    let credentials = Some(Credentials { user: "u".into(), password: "p".into() });
    let broker = Broker::start(BrokerConfig { credentials, ..BrokerConfig::default() }).await.unwrap();
    let mut stranger = TcpStream::connect(broker.address()).await.unwrap();
    stranger.write_all(b"\x10\x0D\0\x04MQTT\x04\x02\0\0\0\x01c").await.unwrap();
    let mut answer = Vec::new();
    soon("the refusal", stranger.read_to_end(&mut answer)).await.unwrap();
    assert_eq!(answer, [0x20, 2, 0, 4]);
    let mut known = TcpStream::connect(broker.address()).await.unwrap();
    known.write_all(b"\x10\x13\0\x04MQTT\x04\xC2\0\0\0\x01c\0\x01u\0\x01p").await.unwrap();
    let mut known = Raw(known);
    known.expect(&[0x20, 2, 0, 0]).await;
    known.send(b"\x36\x06\0\x01t\0\x07x").await; // QoS 3
    known.expect_close().await;
    assert_eq!((broker.stats().refused, broker.stats().accepted), (1, 1));
}

async fn publish_with(broker: &Broker, version: &str, qos: &str, more: &[&str]) {
    let port = broker.address().port().to_string();
    let mut command = Command::new("mosquitto_pub");
    command.args(["-h", "127.0.0.1", "-p", &port, "-V", version, "-q", qos]).args(more).kill_on_drop(true);
    let output = soon("mosquitto_pub", command.output()).await;
    let output = output.expect("this test needs the tool `mosquitto_pub`: install mosquitto-clients");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn subscriber(broker: &Broker, version: &str, qos: &str, more: &[&str]) -> Child {
    let port = broker.address().port().to_string();
    let mut command = Command::new("mosquitto_sub");
    command.args(["-h", "127.0.0.1", "-p", &port, "-V", version, "-q", qos, "-W", "20"]).args(more);
    let command = command.stdout(Stdio::piped()).kill_on_drop(true);
    command.spawn().expect("this test needs the tool `mosquitto_sub`: install mosquitto-clients")
}

async fn printed(child: Child) -> String {
    let output = soon("mosquitto_sub", child.wait_with_output()).await.unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn mosquitto_clients_of_both_versions_exchange_messages_at_every_qos() {
    for version in ["311", "5"] {
        let broker = broker().await;
        for (qos, name) in [("0", "zero"), ("1", "one"), ("2", "two")] {
            let filter = format!("plant/+/{name}/#");
            let child = subscriber(&broker, version, qos, &["-t", &filter, "-C", "2", "-F", "%t %q %r %p"]);
            soon("subscribing", broker.wait_for_subscription(&filter)).await;
            publish_with(&broker, version, qos, &["-t", &format!("plant/x/{name}"), "-m", "a"]).await;
            publish_with(&broker, version, "2", &["-t", &format!("plant/y/{name}/z"), "-m", "b"]).await;
            let expected = format!("plant/x/{name} {qos} 0 a\nplant/y/{name}/z {qos} 0 b\n");
            assert_eq!(printed(child).await, expected, "version {version}");
        }
        publish_with(&broker, version, "1", &["-t", "kept/a", "-m", "old", "-r"]).await;
        assert_eq!(broker.retained("kept/a").unwrap(), "old");
        let child = subscriber(&broker, version, "1", &["-t", "kept/#", "-C", "1", "-F", "%t %q %r %p"]);
        assert_eq!(printed(child).await, "kept/a 1 1 old\n", "version {version}");
        publish_with(&broker, version, "1", &["-t", "kept/a", "-n", "-r"]).await;
        assert_eq!(broker.retained("kept/a"), None);
    }
}

#[tokio::test]
async fn version_5_properties_reach_the_subscriber() {
    let broker = broker().await;
    let child = subscriber(&broker, "5", "1", &["-t", "t", "-C", "1", "-F", "%P %C %p"]);
    soon("subscribing", broker.wait_for_subscription("t")).await;
    let properties =
        ["-D", "publish", "user-property", "line", "7", "-D", "publish", "content-type", "application/json"];
    publish_with(&broker, "5", "1", &[&["-t", "t", "-m", "{}"][..], &properties].concat()).await;
    assert_eq!(printed(child).await, "line:7 application/json {}\n");
}

#[tokio::test]
async fn a_publisher_comes_back_after_the_broker_was_away() {
    let mut broker = broker().await;
    let every = Duration::from_millis(2);
    let publisher = Publisher::start(PublisherConfig::new(broker.address(), "plant/press", every));
    let stats = publisher.stats().clone();
    soon("publishing", stats.wait_until(|stats| stats.acknowledged() >= 3)).await;
    broker.stop().await;
    broker.restart().await.unwrap();
    let before = stats.acknowledged();
    soon("publishing again", stats.wait_until(|stats| stats.connections() == 2 && stats.acknowledged() > before)).await;
    let child = subscriber(&broker, "311", "1", &["-t", "plant/#", "-C", "1"]);
    let value: serde_json::Value = serde_json::from_str(printed(child).await.trim()).unwrap();
    assert!(value["temperature"].is_f64() && value["time"].as_str().unwrap().ends_with('Z'), "{value}");
}

/// Takes a flood as a subscriber does; returns the messages counted.
async fn drink(flood: &Flood, qos: u8, messages: u64) {
    let mut stream = TcpStream::connect(flood.address()).await.unwrap();
    stream.write_all(b"\x10\x0D\0\x04MQTT\x04\x02\0\0\0\x01c").await.unwrap();
    stream.write_all(&[0x82, 6, 0, 1, 0, 1, b't', qos]).await.unwrap();
    let mut raw = Raw(stream);
    raw.expect(&[0x20, 2, 0, 0, 0x90, 3, 0, 1, qos]).await;
    let message_bytes = 2 + 3 + 100 + 2 * usize::from(qos.min(1));
    let (mut left, mut buffer, mut filled, mut acknowledgements) = (messages, vec![0; 1 << 20], 0, Vec::new());
    while left > 0 {
        filled += soon("messages", raw.0.read(&mut buffer[filled..])).await.unwrap();
        let whole = filled / message_bytes * message_bytes;
        acknowledgements.clear();
        for message in buffer[..whole].chunks(message_bytes) {
            assert_eq!(message[..5], [0x30 | qos << 1, message_bytes as u8 - 2, 0, 1, b't']);
            if qos > 0 {
                acknowledgements.extend_from_slice(&[0x40, 2, message[5], message[6]]);
            }
            left -= 1;
        }
        buffer.copy_within(whole..filled, 0);
        filled -= whole;
        raw.send(&acknowledgements).await;
    }
    raw.send(b"\xC0\0").await;
    raw.expect(b"\xD0\0").await;
}

#[tokio::test]
async fn a_flood_ends_with_the_last_message_sent_or_acknowledged() {
    for (qos, bits) in [(QoS::AtMostOnce, 0), (QoS::AtLeastOnce, 1)] {
        let flood = Flood::start(FloodConfig::new(100_001, qos, "t")).await.unwrap();
        drink(&flood, bits, 100_001).await;
        let report = soon("the report", flood.finished()).await.unwrap();
        assert_eq!(report.messages, 100_001);
        assert_eq!(flood.acknowledged(), if bits == 1 { 100_001 } else { 0 });
        println!("QoS {bits}: {:.0} messages/s", report.messages as f64 / report.elapsed.as_secs_f64());
    }
}

#[tokio::test]
async fn a_flood_waits_for_acknowledgements_when_its_window_is_full() {
    let config = FloodConfig { window: 10, ..FloodConfig::new(15, QoS::AtLeastOnce, "t") };
    let flood = Flood::start(config).await.unwrap();
    let mut raw = Raw(TcpStream::connect(flood.address()).await.unwrap());
    raw.send(b"\x10\x0D\0\x04MQTT\x04\x02\0\0\0\x01c\x82\x06\0\x01\0\x01t\x01").await;
    raw.expect(b"\x20\x02\0\0\x90\x03\0\x01\x01").await;
    let mut messages = [0; 10 * 107];
    soon("a window of messages", raw.0.read_exact(&mut messages)).await.unwrap();
    // The answer to a ping comes next, and no eleventh message.
    raw.send(b"\xC0\0").await;
    raw.expect(b"\xD0\0").await;
    let acknowledgements: Vec<u8> = (1..=10).flat_map(|id| [0x40, 2, 0, id]).collect();
    raw.send(&acknowledgements).await;
    soon("the rest", raw.0.read_exact(&mut messages[..5 * 107])).await.unwrap();
    assert_eq!(flood.acknowledged(), 10);
    raw.send(&acknowledgements[..20]).await;
    assert_eq!(soon("the report", flood.finished()).await.unwrap().messages, 15);
}

#[tokio::test]
async fn mosquitto_sub_takes_a_flood_of_either_version() {
    for version in ["311", "5"] {
        let flood = Flood::start(FloodConfig::new(20_000, QoS::AtLeastOnce, "t")).await.unwrap();
        let port = flood.address().port().to_string();
        let mut command = Command::new("mosquitto_sub");
        command.args(["-h", "127.0.0.1", "-p", &port, "-V", version, "-q", "1", "-t", "t", "-C", "20000"]);
        let child = command.stdout(Stdio::piped()).kill_on_drop(true).spawn();
        let child = child.expect("this test needs the tool `mosquitto_sub`: install mosquitto-clients");
        let text = printed(child).await;
        assert_eq!(
            text.lines().filter(|line| line.len() == 100 && line.starts_with("{\"temperature\":")).count(),
            20_000
        );
    }
}
