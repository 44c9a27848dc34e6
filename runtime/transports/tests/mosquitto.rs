//! MQTT against mosquitto, a broker that others wrote: plain, restarted during the test, and with TLS.

#![allow(clippy::unwrap_used, reason = "a helper of a test may fail the test")]

mod support;

use bulkhead_sandbox::capability::{FrameKind, Message, Mqtt, Qos};
use bulkhead_transports::{Buses, Opened};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::path::Path;
use std::sync::Arc;
use support::*;
use tokio::net::TcpStream;
use tokio::process::Child;

struct Mosquitto {
    folder: tempfile::TempDir,
    address: SocketAddr,
    child: Option<Child>,
}

impl Mosquitto {
    /// A broker that keeps sessions over a restart. Mosquitto cannot be asked for a free port, so one is found first.
    async fn start(extra: &str, files: impl FnOnce(&Path)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        files(folder.path());
        let address = StdListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let place = folder.path().display();
        let config = format!(
            "listener {} 127.0.0.1\nallow_anonymous true\npersistence true\npersistence_location {place}/\nuser {}\n{}\n",
            address.port(),
            std::env::var("USER").unwrap_or_else(|_| "root".into()),
            extra.replace("{folder}", &place.to_string()),
        );
        std::fs::write(folder.path().join("mosquitto.conf"), config).unwrap();
        let mut broker = Self { folder, address, child: None };
        broker.run().await;
        broker
    }

    async fn run(&mut self) {
        let mut command = tokio::process::Command::new(need("mosquitto"));
        command.arg("-c").arg(self.folder.path().join("mosquitto.conf")).kill_on_drop(true);
        let log = std::fs::File::create(self.folder.path().join("log")).unwrap();
        command.stdout(log.try_clone().unwrap()).stderr(log);
        self.child = Some(command.spawn().unwrap());
        let listening = async {
            while TcpStream::connect(self.address).await.is_err() {
                let exited = self.child.as_mut().unwrap().try_wait().unwrap();
                let log = || std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
                assert!(exited.is_none(), "mosquitto ended: {}", log());
                tokio::task::yield_now().await;
            }
        };
        patiently("mosquitto to listen", listening).await;
    }

    /// Ends it in order, so that it saves its sessions.
    async fn stop(&mut self) {
        let mut child = self.child.take().unwrap();
        kill(Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()), Signal::SIGTERM).unwrap();
        patiently("mosquitto to end", child.wait()).await.unwrap();
    }
}

fn transport(broker: &Mosquitto, client_id: &str, extra: serde_json::Value) -> serde_json::Value {
    let mut settings = json!({
        "kind": "mqtt", "address": broker.address.to_string(), "client_id": client_id, "publish": ["plant/#"],
        "reconnect": { "first_ms": 10, "max_ms": 100 },
    });
    settings.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    settings
}

fn start(settings: serde_json::Value) -> Opened {
    let opened = opened(settings, &Buses::new());
    opened.link.start();
    opened
}

fn message(text: &str, qos: Qos) -> Message {
    Message {
        topic: "plant/press".into(),
        payload: text.into(),
        qos,
        retain: false,
        properties: vec![("n".into(), text.into())],
    }
}

/// Publishes until the broker has taken it.
async fn publish(mqtt: &Arc<dyn Mqtt>, text: &str, qos: Qos) {
    while mqtt.publish(message(text, qos)).await.is_err() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_qos_1_is_lost_when_the_broker_is_restarted() {
    const MESSAGES: usize = 600;
    for version in ["3.1.1", "5"] {
        let mut broker = Mosquitto::start("", |_| ()).await;
        let listener = start(transport(&broker, "listener", json!({ "version": version, "subscribe": ["plant/+"] })));
        up(&listener.link).await;
        let mut source = listener.frames.unwrap();
        let publisher = start(transport(&broker, "publisher", json!({ "version": version })));
        let mqtt = mqtt(&publisher);
        let sending = tokio::spawn(async move {
            for number in 0..MESSAGES {
                let qos = if number % 3 == 0 { Qos::ExactlyOnce } else { Qos::AtLeastOnce };
                publish(&mqtt, &number.to_string(), qos).await;
            }
        });
        let mut seen = BTreeSet::new();
        let mut restarts = 0;
        while seen.len() < MESSAGES {
            let batch = patiently("messages", source.next(50)).await.unwrap();
            for frame in batch.frames.iter().filter(|frame| frame.kind == FrameKind::Data) {
                assert_eq!(frame.topic, "plant/press");
                assert_eq!(frame.properties.len(), usize::from(version == "5"));
                seen.insert(String::from_utf8(frame.payload.clone()).unwrap());
            }
            // With messages taken and not acknowledged, and others on the way.
            if seen.len() > 150 * (restarts + 1) && restarts < 3 {
                restarts += 1;
                broker.stop().await;
                down(&listener.link).await;
                broker.run().await;
                up(&listener.link).await;
            }
            source.acknowledge(batch.ticket).await;
        }
        patiently("the publisher", sending).await.unwrap();
        assert_eq!(restarts, 3);
        assert!(counter(&listener.link, "connects_total") >= 4);
        listener.link.stop().await;
        publisher.link.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_with_certificates_on_both_sides_and_what_is_said_when_they_are_wrong() {
    let extra =
        "cafile {folder}/ca.pem\ncertfile {folder}/server.pem\nkeyfile {folder}/server.key\nrequire_certificate true";
    let broker = Mosquitto::start(extra, certificates).await;
    let file = |name: &str| broker.folder.path().join(name);
    let address = format!("localhost:{}", broker.address.port());
    let tls = |tls: serde_json::Value| json!({ "address": address, "subscribe": ["plant/#"], "tls": tls, "version": "5", "timeout_ms": 2000 });
    let right =
        json!({ "ca_file": file("ca.pem"), "certificate_file": file("client.pem"), "key_file": file("client.key") });
    let opened = start(transport(&broker, "right", tls(right.clone())));
    up(&opened.link).await;
    let mqtt = mqtt(&opened);
    let mut source = opened.frames.unwrap();
    publish(&mqtt, "over TLS", Qos::AtLeastOnce).await;
    let frames = frames_until(&mut source, "a message", 1, |frame| frame.kind == FrameKind::Data).await;
    assert_eq!(frames[0].payload, b"over TLS");

    let with = |key: &str, value: serde_json::Value| {
        let mut tls = right.clone();
        tls[key] = value;
        tls
    };
    for (settings, word) in [
        (with("ca_file", json!(file("other.pem"))), "certificate"),
        (with("server_name", json!("elsewhere")), "certificate"),
        (json!({ "ca_file": file("ca.pem") }), "broker"),
    ] {
        let opened = start(transport(&broker, "wrong", tls(settings)));
        let reason = down(&opened.link).await;
        assert!(reason.contains(&address) && reason.contains(word), "{reason}");
    }
    let Err(error) = try_open(transport(&broker, "x", tls(json!({ "key_file": file("client.key") }))), &Buses::new())
    else {
        panic!("a key without a certificate")
    };
    assert!(error.to_string().contains("certificate_file"), "{error}");
}
