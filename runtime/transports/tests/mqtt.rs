//! MQTT 3.1.1 and 5 against the simulated broker, and against a socket that plays one badly.

#![allow(clippy::unwrap_used, reason = "a helper of a test may fail the test")]

mod support;

use bulkhead_sandbox::capability::{Frame, FrameKind, LinkState, Message, Qos};
use bulkhead_simulators::mqtt::{Broker, BrokerConfig, Flood, FloodConfig, QoS};
use bulkhead_transports::{Buses, Capability, Opened};
use serde_json::json;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;
use support::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const VERSIONS: [&str; 2] = ["3.1.1", "5"];

fn transport(address: SocketAddr, version: &str, extra: serde_json::Value) -> serde_json::Value {
    let mut settings = json!({
        "kind": "mqtt", "address": address.to_string(), "version": version, "subscribe": ["plant/#"],
        "publish": ["commands/+/set"], "qos": 2, "reconnect": { "first_ms": 10, "max_ms": 50 },
    });
    settings.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    settings
}

fn start(settings: serde_json::Value) -> Opened {
    let opened = opened(settings, &Buses::new());
    opened.link.start();
    opened
}

fn message(topic: &str, qos: Qos) -> Message {
    Message {
        topic: topic.into(),
        payload: b"on".to_vec(),
        qos,
        retain: false,
        properties: vec![("unit".into(), "bar".into())],
    }
}

fn is_data(frame: &Frame) -> bool {
    frame.kind == FrameKind::Data
}

#[tokio::test]
async fn messages_are_acknowledged_when_they_are_committed_and_not_before() {
    for version in VERSIONS {
        let broker = Broker::start(BrokerConfig::default()).await.unwrap();
        broker.publish("plant/old", "kept", QoS::AtLeastOnce, true);
        let opened = start(transport(broker.address(), version, json!({})));
        up(&opened.link).await;
        let mut source = opened.frames.unwrap();
        for (number, qos) in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce].into_iter().enumerate() {
            broker.publish(&format!("plant/{number}"), format!("{number}"), qos, false);
        }
        let (mut frames, mut tickets) = (Vec::new(), Vec::new());
        while frames.iter().filter(|frame| is_data(frame)).count() < 4 {
            let batch = patiently("messages", source.next(2)).await.unwrap();
            assert!(batch.frames.len() <= 2);
            frames.extend(batch.frames);
            tickets.push(batch.ticket);
        }
        assert_eq!(frames[0].kind, FrameKind::Connected);
        let seen: Vec<_> =
            frames[1..].iter().map(|frame| (frame.topic.as_str(), &frame.payload[..], frame.retained)).collect();
        let expected: [(&str, &[u8], bool); 4] = [
            ("plant/old", b"kept", true),
            ("plant/0", b"0", false),
            ("plant/1", b"1", false),
            ("plant/2", b"2", false),
        ];
        assert_eq!(seen, expected);
        // A round trip through the broker: had anything been acknowledged, it would have been seen by now.
        mqtt(&opened_again(&broker, version)).publish(message("commands/a/set", Qos::AtLeastOnce)).await.unwrap();
        assert_eq!(broker.stats().acknowledged, 0, "MQTT {version}");
        for ticket in tickets {
            source.acknowledge(ticket).await;
        }
        patiently("acknowledgements", broker.wait_until(|stats| stats.acknowledged == 3)).await;
        opened.link.stop().await;
        assert!(source.next(1).await.unwrap().frames[0].kind == FrameKind::Disconnected);
        assert!(source.next(1).await.is_none());
    }
}

fn opened_again(broker: &Broker, version: &str) -> Opened {
    start(transport(broker.address(), version, json!({ "client_id": "another", "subscribe": [] })))
}

#[tokio::test]
async fn publishing_is_granted_by_topic_and_waits_for_the_broker() {
    for version in VERSIONS {
        let broker = Broker::start(BrokerConfig::default()).await.unwrap();
        let listener = start(transport(broker.address(), version, json!({ "client_id": "l", "subscribe": ["#"] })));
        up(&listener.link).await;
        let opened = opened_again(&broker, version);
        let mqtt = mqtt(&opened);
        for qos in [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce] {
            mqtt.publish(message("commands/press/set", qos)).await.unwrap();
        }
        for topic in ["commands/press/get", "commands/a/b/set", "commands/+/set", "#", ""] {
            let code = code(mqtt.publish(message(topic, Qos::AtLeastOnce)).await).0;
            assert!(["not-granted", "bad-topic"].contains(&code.as_str()), "{topic}: {code}");
            assert!(mqtt.set_will(message(topic, Qos::AtLeastOnce)).await.is_err());
        }
        let mut source = listener.frames.unwrap();
        let frames = frames_until(&mut source, "what was published", 3, is_data).await;
        assert!(frames.iter().all(|frame| frame.payload == b"on"));
        assert_eq!(frames[0].properties.len(), usize::from(version == "5"), "user properties are of MQTT 5");
        assert_eq!(broker.stats().received, 3);
    }
}

#[tokio::test]
async fn a_restarted_broker_is_found_again_and_nothing_of_qos_1_and_2_is_lost_or_doubled() {
    for version in VERSIONS {
        let mut broker = Broker::start(BrokerConfig::default()).await.unwrap();
        let opened = start(transport(broker.address(), version, json!({})));
        up(&opened.link).await;
        let mut source = opened.frames.unwrap();
        let mut seen: Vec<String> = Vec::new();
        for round in 0..5 {
            up(&opened.link).await;
            for number in 0..20 {
                let qos = if number % 2 == 0 { QoS::AtLeastOnce } else { QoS::ExactlyOnce };
                broker.publish("plant/n", format!("{round}-{number}"), qos, false);
            }
            // Some are taken and not acknowledged when the connection ends; their tickets come too late.
            let batch = patiently("messages", source.next(10)).await.unwrap();
            seen.extend(batch.frames.iter().filter(|frame| is_data(frame)).map(text));
            if round % 2 == 0 {
                broker.stop().await;
                down(&opened.link).await;
                broker.restart().await.unwrap();
            } else {
                broker.disconnect_all();
                down(&opened.link).await;
            }
            source.acknowledge(batch.ticket).await;
            while seen.iter().collect::<BTreeSet<_>>().len() < 20 * (round + 1) {
                let batch = patiently("messages", source.next(100)).await.unwrap();
                seen.extend(batch.frames.iter().filter(|frame| is_data(frame)).map(text));
                source.acknowledge(batch.ticket).await;
            }
        }
        patiently("everything to be acknowledged", async {
            while broker.stats().outstanding > 0 {
                tokio::select! {
                    batch = source.next(100) => source.acknowledge(batch.unwrap().ticket).await,
                    _ = broker.wait_until(|stats| stats.outstanding == 0) => {}
                }
            }
        })
        .await;
        let once: Vec<_> =
            seen.iter().filter(|text| text.rsplit('-').next().unwrap().parse::<u32>().unwrap() % 2 == 1).collect();
        assert_eq!(once.len(), once.iter().collect::<BTreeSet<_>>().len(), "QoS 2 comes once: MQTT {version}");
        assert_eq!(counter(&opened.link, "connects_total"), 6, "{:?}", broker.stats());
    }
}

fn text(frame: &Frame) -> String {
    String::from_utf8(frame.payload.clone()).unwrap()
}

#[tokio::test]
async fn a_flood_of_qos_1_is_taken_in_batches_and_acknowledged_whole() {
    const MESSAGES: u64 = 100_000;
    for version in VERSIONS {
        let flood = Flood::start(FloodConfig::new(MESSAGES, QoS::AtLeastOnce, "plant/flood")).await.unwrap();
        let opened = start(transport(flood.address(), version, json!({ "qos": 1 })));
        let mut source = opened.frames.unwrap();
        let mut taken = 0;
        let mut batches = 0;
        while taken < MESSAGES {
            let batch = patiently("messages", source.next(4096)).await.unwrap();
            taken += batch.frames.iter().filter(|frame| is_data(frame)).count() as u64;
            batches += 1;
            source.acknowledge(batch.ticket).await;
        }
        let report = patiently("the acknowledgements", flood.finished()).await.unwrap();
        assert_eq!((report.messages, taken), (MESSAGES, MESSAGES));
        assert!(batches < MESSAGES / 4, "{batches} batches");
    }
}

/// Reads one packet of the client and returns its first byte.
async fn packet(stream: &mut (impl AsyncReadExt + Unpin)) -> u8 {
    let first = stream.read_u8().await.unwrap();
    let (mut length, mut shift) = (0, 0);
    loop {
        let byte = stream.read_u8().await.unwrap();
        length |= usize::from(byte & 0x7F) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            break;
        }
    }
    stream.read_exact(&mut vec![0; length]).await.unwrap();
    first
}

#[tokio::test]
async fn pings_go_on_while_a_slow_engine_lets_the_broker_wait() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = transport(listener.local_addr().unwrap(), "3.1.1", json!({ "keep_alive_s": 2, "qos": 0 }));
    let opened = start(settings);
    let (stream, _) = listener.accept().await.unwrap();
    let (mut reads, mut writes) = stream.into_split();
    assert_eq!(packet(&mut reads).await, 0x10);
    writes.write_all(&[0x20, 2, 0, 0]).await.unwrap();
    assert_eq!(packet(&mut reads).await, 0x82);
    writes.write_all(&[0x90, 3, 0, 1, 0]).await.unwrap();
    up(&opened.link).await;
    let flood = tokio::spawn(async move {
        // QoS 0 to `plant/x` with 1000 bytes, for ever; the write waits once nobody takes frames.
        let mut message = vec![0x30, 0xF1, 7, 0, 7];
        message.extend(b"plant/x");
        message.resize(message.len() + 1000, b' ');
        while writes.write_all(&message).await.is_ok() {}
    });
    for _ in 0..4 {
        assert_eq!(patiently("a ping", packet(&mut reads)).await, 0xC0);
    }
    assert_eq!(*opened.link.state().borrow(), LinkState::Up);
    assert!(!flood.is_finished(), "the broker waits");
    let taken = counter(&opened.link, "messages_total");
    assert!(taken < 20_000, "{taken} messages are a bounded number");
    let mut source = opened.frames.unwrap();
    frames_until(&mut source, "the flood goes on", 20_000, is_data).await;
    opened.link.stop().await;
    patiently("the hang-up", flood).await.unwrap();
}

#[tokio::test]
async fn a_broker_that_takes_us_in_and_hangs_up_is_met_more_and_more_seldom() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let reconnect = json!({ "reconnect": { "first_ms": 40, "max_ms": 60_000 } });
    let opened = start(transport(listener.local_addr().unwrap(), "3.1.1", reconnect));
    let took = hangs_up_on(&listener, 5, |mut stream| async move {
        assert_eq!(packet(&mut stream).await, 0x10);
        stream.write_all(&[0x20, 2, 0, 0]).await.unwrap();
        assert_eq!(packet(&mut stream).await, 0x82);
        stream.write_all(&[0x90, 3, 0, 1, 0]).await.unwrap();
    })
    .await;
    // Four waits that double, each at least half of its step: 20 + 40 + 80 + 160.
    assert!(took >= Duration::from_millis(300), "5 connects in {took:?}");
    down(&opened.link).await;
}

#[tokio::test]
async fn a_reconnect_voids_all_tickets_and_everything_comes_again() {
    for version in VERSIONS {
        let broker = Broker::start(BrokerConfig::default()).await.unwrap();
        let opened = start(transport(broker.address(), version, json!({})));
        up(&opened.link).await;
        let mut source = opened.frames.unwrap();
        for (text, qos) in [("1", QoS::AtLeastOnce), ("2", QoS::ExactlyOnce), ("3", QoS::AtLeastOnce)] {
            broker.publish("plant/n", text, qos, false);
        }
        let mut void = Vec::new();
        let mut taken = Vec::new();
        while taken.len() < 3 {
            let batch = patiently("messages", source.next(1)).await.unwrap();
            taken.extend(batch.frames.iter().filter(|frame| is_data(frame)).map(text));
            void.push(batch.ticket);
        }
        opened.link.reconnect().await;
        for ticket in void {
            source.acknowledge(ticket).await;
        }
        let (mut again, mut tickets) = (Vec::new(), Vec::new());
        while again.len() < 3 {
            let batch = patiently("the same messages", source.next(1)).await.unwrap();
            again.extend(batch.frames.iter().filter(|frame| is_data(frame)).map(text));
            tickets.push(batch.ticket);
        }
        taken.sort();
        again.sort();
        assert_eq!(again, taken, "MQTT {version}");
        let counted = |name| counter(&opened.link, name);
        assert_eq!((counted("messages_total"), counted("messages_redelivered_total")), (6, 3), "MQTT {version}");
        // A round trip on the same connection: acknowledgements would have been seen by now.
        let publisher = opened.capability.clone();
        let Capability::Mqtt(mqtt) = publisher else { panic!("no MQTT transport") };
        mqtt.publish(message("commands/a/set", Qos::AtLeastOnce)).await.unwrap();
        assert_eq!(broker.stats().acknowledged, 0, "the old tickets are void");
        for ticket in tickets {
            source.acknowledge(ticket).await;
        }
        patiently("acknowledgements", broker.wait_until(|stats| stats.acknowledged == 3)).await;
    }
}

#[tokio::test]
async fn what_the_broker_refuses_is_said() {
    let broker = Broker::start(BrokerConfig {
        credentials: Some(bulkhead_simulators::mqtt::Credentials { user: "gw".into(), password: "hunter2".into() }),
        ..BrokerConfig::default()
    })
    .await
    .unwrap();
    for version in VERSIONS {
        let wrong = json!({ "username": "gw", "password": "wrong-one" });
        let opened = start(transport(broker.address(), version, wrong));
        let reason = down(&opened.link).await;
        assert!(reason.contains(&broker.address().to_string()) && reason.contains("refused"), "{reason}");
        assert!(!reason.contains("wrong-one"));
        let opened = start(transport(broker.address(), version, json!({ "username": "gw", "password": "hunter2" })));
        up(&opened.link).await;
    }
}

#[tokio::test]
async fn the_last_will_is_published_when_we_vanish_and_not_when_we_leave() {
    for version in VERSIONS {
        let broker = Broker::start(BrokerConfig::default()).await.unwrap();
        let listener =
            start(transport(broker.address(), version, json!({ "client_id": "l", "subscribe": ["#"], "qos": 1 })));
        up(&listener.link).await;
        let mut source = listener.frames.unwrap();
        let will = json!({ "client_id": "w", "subscribe": [],
            "last_will": { "topic": "plant/gone", "payload": "settings", "qos": 1 } });
        let polite = start(transport(broker.address(), version, will.clone()));
        up(&polite.link).await;
        polite.link.stop().await;
        let opened = opened(transport(broker.address(), version, will), &Buses::new());
        mqtt(&opened).set_will(message("commands/w/set", Qos::AtLeastOnce)).await.unwrap();
        opened.link.start();
        up(&opened.link).await;
        // Dropping every handle closes the socket without a good-bye.
        drop(opened);
        let frames = frames_until(&mut source, "the will", 1, is_data).await;
        assert_eq!((frames[0].topic.as_str(), &frames[0].payload[..]), ("commands/w/set", &b"on"[..]));
    }
}

#[tokio::test]
async fn nobody_to_listen_means_nothing_subscribed_and_too_long_messages_do_not_block_the_others() {
    for version in VERSIONS {
        let broker = Broker::start(BrokerConfig::default()).await.unwrap();
        let mut opened = opened(transport(broker.address(), version, json!({})), &Buses::new());
        opened.frames = None;
        opened.link.start();
        up(&opened.link).await;
        mqtt(&opened).publish(message("commands/a/set", Qos::AtLeastOnce)).await.unwrap();
        assert_eq!(broker.stats().subscriptions, 0);
        opened.link.stop().await;

        let listener =
            start(transport(broker.address(), version, json!({ "client_id": "l", "max_message_bytes": 100 })));
        up(&listener.link).await;
        broker.publish("plant/a", vec![b'x'; 101], QoS::ExactlyOnce, false);
        broker.publish("plant/a", vec![b'y'; 100], QoS::ExactlyOnce, false);
        let mut source = listener.frames.unwrap();
        let frames = frames_until(&mut source, "the shorter one", 1, is_data).await;
        assert_eq!(frames[0].payload, vec![b'y'; 100]);
        patiently("both to be acknowledged", broker.wait_until(|stats| stats.acknowledged == 2)).await;
        assert_eq!(counter(&listener.link, "messages_too_long_total"), 1);
    }
}
