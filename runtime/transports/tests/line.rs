//! Serial lines and TCP streams against simulated devices on pseudo-terminals and real sockets.

#![allow(clippy::unwrap_used, reason = "a helper of a test may fail the test")]

mod support;

use bulkhead_sandbox::capability::{Frame, FrameKind, Framing, LineSettings, LinkState, Parity};
use bulkhead_simulators::scale::{Scale, ScaleMode, Weight};
use bulkhead_transports::Buses;
use serde_json::json;
use std::time::Duration;
use support::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const WEIGHT: Weight = Weight { kilograms: 123.4, is_stable: true };

fn serial(scale: &Scale) -> serde_json::Value {
    json!({
        "kind": "serial", "port": scale.path(), "baud": 9600, "framing": { "delimiter": "\r\n" }, "timeout_ms": 300,
        "reconnect": { "first_ms": 20, "max_ms": 50 },
    })
}

fn tcp(listener: &TcpListener, extra: serde_json::Value) -> serde_json::Value {
    let mut settings = json!({
        "kind": "tcp", "address": listener.local_addr().unwrap().to_string(), "framing": { "delimiter": "\n" },
        "timeout_ms": 200, "reconnect": { "first_ms": 20, "max_ms": 50 },
    });
    settings.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    settings
}

fn is_data(frame: &Frame) -> bool {
    frame.kind == FrameKind::Data
}

#[tokio::test]
async fn a_scale_that_talks_is_heard_and_a_vanished_one_is_named() {
    let mut scale = Scale::start(ScaleMode::Continuous(Duration::from_millis(5)), WEIGHT).unwrap();
    let opened = opened(serial(&scale), &Buses::new());
    let mut source = opened.frames.unwrap();
    opened.link.start();
    let frames = frames_until(&mut source, "lines", 5, |_| true).await;
    assert_eq!(frames[0].kind, FrameKind::Connected);
    let lines = frames_until(&mut source, "lines", 5, is_data).await;
    // The first may have been cut by the opening; the others are whole, without their line end.
    assert!(lines[1..].iter().all(|frame| frame.payload == b"ST,GS,+00123.4kg" && frame.received > 0), "{lines:?}");
    scale.stop().await;
    let reason = down(&opened.link).await;
    assert!(reason.contains("serial port"), "{reason}");
    frames_until(&mut source, "the disconnect", 1, |frame| frame.kind == FrameKind::Disconnected).await;
    opened.link.stop().await;
    while source.next(10).await.is_some() {}
    assert_eq!(*opened.link.state().borrow(), LinkState::Stopped);
}

#[tokio::test]
async fn an_exchange_reads_one_frame_by_its_own_rule() {
    let scale = Scale::start(ScaleMode::Polled(b"P\r\n".to_vec()), WEIGHT).unwrap();
    let opened = opened(serial(&scale), &Buses::new());
    opened.link.start();
    let line = line(&opened);
    up(&opened.link).await;
    for framing in [None, Some(Framing::Delimiter(b"\r\n".to_vec())), Some(Framing::IdleGapMs(30))] {
        let by_gap = matches!(framing, Some(Framing::IdleGapMs(_)));
        let answer = line.exchange(b"P\r\n".to_vec(), framing, None, None).await.unwrap();
        let expected: &[u8] = if by_gap { b"ST,GS,+00123.4kg\r\n" } else { b"ST,GS,+00123.4kg" };
        assert_eq!(answer, expected);
    }
    let answer = line.exchange(b"P\r\n".to_vec(), Some(Framing::Length(5)), None, None).await.unwrap();
    assert_eq!(answer, b"ST,GS");
    let other = LineSettings { baud: 19_200, parity: Parity::None, data_bits: 8, stop_bits: 1 };
    let answer = line.exchange(b"P\r\n".to_vec(), None, None, Some(other)).await.unwrap();
    assert_eq!(answer, b"ST,GS,+00123.4kg");
    let wrong = LineSettings { baud: 19_200, parity: Parity::None, data_bits: 9, stop_bits: 1 };
    assert_eq!(code(line.exchange(b"P\r\n".to_vec(), None, None, Some(wrong)).await).0, "bad-setting");
    assert_eq!(code(line.exchange(b"x".to_vec(), Some(Framing::Length(0)), None, None).await).0, "bad-setting");
    let (timeout, message) = code(line.exchange(b"?\r\n".to_vec(), None, Some(50), None).await);
    assert_eq!(timeout, "timeout");
    assert!(message.contains("press") && message.contains("50 ms"), "{message}");
    // The line is not lost by that.
    assert!(line.exchange(b"P\r\n".to_vec(), None, None, None).await.is_ok());
}

#[tokio::test]
async fn a_late_answer_over_tcp_is_not_taken_for_the_next_one() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let opened = opened(tcp(&listener, json!({})), &Buses::new());
    opened.link.start();
    let line = line(&opened);
    let server = tokio::spawn(async move {
        let (mut first, _) = listener.accept().await.unwrap();
        let mut request = [0; 2];
        first.read_exact(&mut request).await.unwrap();
        assert_eq!(&request, b"a\n");
        // Says nothing until we hang up, then the answer has nowhere to go.
        assert_eq!(first.read(&mut request).await.unwrap_or(0), 0);
        let (mut second, _) = listener.accept().await.unwrap();
        second.read_exact(&mut request).await.unwrap();
        second.write_all(b"answer to b\nunasked\n").await.unwrap();
        (request, second)
    });
    assert_eq!(code(line.exchange(b"a\n".to_vec(), None, None, None).await).0, "timeout");
    let answer = loop {
        match line.exchange(b"b\n".to_vec(), None, None, None).await {
            Ok(answer) => break answer,
            Err(fault) => assert_eq!(fault.code, "not-connected"),
        }
        up(&opened.link).await;
    };
    assert_eq!(answer, b"answer to b");
    let (request, _open) = patiently("the server", server).await.unwrap();
    assert_eq!(&request, b"b\n");
    let mut source = opened.frames.unwrap();
    let frames = frames_until(&mut source, "what came unasked", 1, is_data).await;
    assert_eq!(frames[0].payload, b"unasked", "what follows the answer goes to the listener");
}

#[tokio::test]
async fn a_listener_that_is_slow_lets_a_tcp_sender_wait_and_loses_nothing() {
    const LINES: usize = 60_000;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let opened = opened(tcp(&listener, json!({ "max_frame_bytes": 300 })), &Buses::new());
    opened.link.start();
    let (mut stream, _) = listener.accept().await.unwrap();
    let sender = tokio::spawn(async move {
        for number in 0..LINES {
            let line = format!("{number:0>250}\n");
            stream.write_all(line.as_bytes()).await.unwrap();
        }
        stream
    });
    let mut source = opened.frames.unwrap();
    let mut next = 0;
    while next < LINES {
        // Nobody takes anything while the sender fills queue and sockets: it is the sender that waits.
        tokio::task::yield_now().await;
        let batch = patiently("lines", source.next(500)).await.unwrap();
        for frame in batch.frames.iter().filter(|frame| is_data(frame)) {
            assert_eq!(frame.payload, format!("{next:0>250}").as_bytes());
            next += 1;
        }
    }
    drop(patiently("the sender", sender).await.unwrap());
    assert_eq!(counter(&opened.link, "frames_lost_total"), 0);
}

#[tokio::test]
async fn torn_and_over_long_frames_over_tcp() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let opened = opened(tcp(&listener, json!({ "max_frame_bytes": 8 })), &Buses::new());
    opened.link.start();
    let (mut stream, _) = listener.accept().await.unwrap();
    stream.set_nodelay(true).unwrap();
    for piece in ["on", "e\ntw", "o\n", "much too long", " a frame\nthree\n", "torn"] {
        stream.write_all(piece.as_bytes()).await.unwrap();
        tokio::task::yield_now().await;
    }
    let mut source = opened.frames.unwrap();
    let frames = frames_until(&mut source, "frames", 3, is_data).await;
    let texts: Vec<_> = frames.iter().map(|frame| std::str::from_utf8(&frame.payload).unwrap()).collect();
    assert_eq!(texts, ["one", "two", "three"]);
    assert_eq!(counter(&opened.link, "frames_too_long_total"), 1);
    drop(stream);
    let (mut again, _) = patiently("the reconnect", listener.accept()).await.unwrap();
    again.write_all(b"four\n").await.unwrap();
    let frames = frames_until(&mut source, "frames", 1, is_data).await;
    assert_eq!(frames[0].payload, b"four", "the torn rest of the old connection is forgotten");
}

#[tokio::test]
async fn a_peer_that_says_a_byte_and_hangs_up_is_met_more_and_more_seldom() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = tcp(&listener, json!({ "reconnect": { "first_ms": 40, "max_ms": 60_000 } }));
    let opened = opened(settings, &Buses::new());
    opened.link.start();
    let took = hangs_up_on(&listener, 5, |mut stream| async move { stream.write_all(b"x").await.unwrap() }).await;
    // Four waits that double, each at least half of its step: 20 + 40 + 80 + 160.
    assert!(took >= Duration::from_millis(300), "5 connects in {took:?}");
    assert!(down(&opened.link).await.contains("closed the connection"));
}

#[tokio::test]
async fn what_is_down_refuses_at_once_and_says_why() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = tcp(&listener, json!({ "reconnect": { "first_ms": 60_000, "max_ms": 60_000 } }));
    let address = listener.local_addr().unwrap();
    drop(listener);
    let opened = opened(settings, &Buses::new());
    assert_eq!(code(line(&opened).send(vec![1]).await).0, "not-connected", "not started");
    opened.link.start();
    let reason = down(&opened.link).await;
    assert!(reason.contains(&address.to_string()) && reason.contains("refused"), "{reason}");
    let (fault, message) = code(line(&opened).exchange(b"x".to_vec(), None, None, None).await);
    assert_eq!(fault, "not-connected");
    assert!(message.contains("refused"), "{message}");
    let listener = TcpListener::bind(address).await.unwrap();
    opened.link.reconnect().await;
    let _stream: (TcpStream, _) = patiently("the reconnect on request", listener.accept()).await.unwrap();
    up(&opened.link).await;
}

#[tokio::test]
async fn a_serial_device_cannot_wait_so_what_is_lost_is_counted() {
    const LINES: u64 = 12_000;
    let scale = Scale::start(ScaleMode::Polled(b"?".to_vec()), WEIGHT).unwrap();
    let opened = opened(serial(&scale), &Buses::new());
    opened.link.start();
    up(&opened.link).await;
    for _ in 0..LINES / 100 {
        scale.write_raw("x\r\n".repeat(100).as_bytes()).await.unwrap();
    }
    let heard = async {
        while counter(&opened.link, "frames_total") + counter(&opened.link, "frames_lost_total") < LINES {
            tokio::task::yield_now().await;
        }
    };
    patiently("every line", heard).await;
    let (kept, lost) = (counter(&opened.link, "frames_total"), counter(&opened.link, "frames_lost_total"));
    assert!(lost > 0 && kept < LINES, "{kept} kept, {lost} lost");
    let mut source = opened.frames.unwrap();
    let frames = frames_until(&mut source, "what was kept", usize::try_from(kept).unwrap(), is_data).await;
    assert!(frames.iter().all(|frame| frame.payload == b"x"));
}
