//! The scale and the NMEA talker through their pseudo-terminals.

#![allow(clippy::unwrap_used, reason = "the helpers of tests may panic like the tests")]

use bulkhead_simulators::scale::{NmeaTalker, Scale, ScaleMode, Weight, nmea_sentence};
use std::{path::Path, time::Duration};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    net::unix::pipe,
    time::timeout,
};

const PATIENCE: Duration = Duration::from_secs(20);

fn open(path: &Path) -> Lines<BufReader<pipe::Receiver>> {
    BufReader::new(pipe::OpenOptions::new().unchecked(true).open_receiver(path).unwrap()).lines()
}

async fn next(lines: &mut Lines<BufReader<pipe::Receiver>>) -> String {
    timeout(PATIENCE, lines.next_line()).await.expect("no line in time").unwrap().expect("the line was closed")
}

fn weight(kilograms: f64) -> Weight {
    Weight { kilograms, is_stable: true }
}

#[tokio::test]
async fn a_scale_speaks_on_its_own_and_shows_what_lies_on_it() {
    let mut scale = Scale::start(ScaleMode::Continuous(Duration::from_millis(2)), weight(123.4)).unwrap();
    let mut lines = open(scale.path());
    assert_eq!(next(&mut lines).await, "ST,GS,+00123.4kg");
    scale.set_weight(Weight { kilograms: -1.5, is_stable: false });
    while next(&mut lines).await != "US,GS,-00001.5kg" {}
    scale.write_raw(b"ST,GS,+00\xff\r\n").await.unwrap();
    // The torn line is not UTF-8, which is how it shows here.
    let torn = loop {
        match timeout(PATIENCE, lines.next_line()).await.expect("no line in time") {
            Ok(line) => assert!(line.is_some()),
            Err(error) => break error,
        }
    };
    assert_eq!(torn.kind(), std::io::ErrorKind::InvalidData);
    scale.stop().await;
    assert!(scale.write_raw(b"x").await.is_err());
}

#[tokio::test]
async fn a_polled_scale_answers_each_poll_once() {
    let scale = Scale::start(ScaleMode::Polled(b"P\r\n".to_vec()), weight(5.0)).unwrap();
    let mut lines = open(scale.path());
    let mut line = pipe::OpenOptions::new().unchecked(true).open_sender(scale.path()).unwrap();
    line.write_all(b"noiseP\r").await.unwrap();
    line.write_all(b"\nP\r\n").await.unwrap();
    assert_eq!(next(&mut lines).await, "ST,GS,+00005.0kg");
    assert_eq!(next(&mut lines).await, "ST,GS,+00005.0kg");
    scale.set_weight(weight(6.0));
    line.write_all(b"P\r\n").await.unwrap();
    assert_eq!(next(&mut lines).await, "ST,GS,+00006.0kg");
}

#[tokio::test]
async fn an_instrument_talks_with_right_and_wrong_checksums() {
    let bodies = vec!["WIMWV,045.0,R,10.5,N,A".to_owned(), "HCHDG,98.3,0.0,E,12.6,W".to_owned()];
    let talker = NmeaTalker::start(Duration::from_millis(2), bodies.clone(), Some(3)).unwrap();
    let mut lines = open(talker.path());
    let right: Vec<_> = bodies.iter().map(|body| nmea_sentence(body).trim_end().to_owned()).collect();
    let mut is_right = Vec::new();
    for number in 0..6 {
        let line = next(&mut lines).await;
        assert!(line.starts_with(&format!("${}*", bodies[number % 2])), "{line}");
        is_right.push(right.contains(&line));
    }
    assert_eq!(is_right, [true, true, false, true, true, false]);
}
