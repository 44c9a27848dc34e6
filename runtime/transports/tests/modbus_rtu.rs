//! Modbus RTU against a simulated device on a pseudo-terminal, and over a pair of them made by socat.

#![allow(clippy::unwrap_used, reason = "a helper of a test may fail the test")]

mod support;

use bulkhead_sandbox::capability::{Change, LinkState, Span, Table};
use bulkhead_simulators::Pty;
use bulkhead_simulators::modbus::{Bank, BankLayout, DEFAULT_SILENT_INTERVAL, Fault, RtuDevice, Table as DeviceTable};
use bulkhead_transports::Buses;
use serde_json::json;
use std::path::Path;
use std::time::Duration;
use support::*;

fn holding(address: u16, count: u16) -> Span {
    Span { table: Table::HoldingRegister, address, count }
}

fn transport(port: &Path, unit: u8) -> serde_json::Value {
    json!({
        "kind": "modbus-rtu", "port": port, "baud": 115_200, "unit_id": unit, "timeout_ms": 400,
        "reconnect": { "first_ms": 50, "max_ms": 100 }, "allow_write": ["holding-register:0-9"],
    })
}

fn bank(value: u16) -> Bank {
    let bank = Bank::new(BankLayout::uniform(300));
    bank.set(DeviceTable::HoldingRegister, 0, &[value; 300]).unwrap();
    bank
}

#[tokio::test]
async fn two_connections_share_a_bus_and_a_dead_unit_does_not_stall_the_other() {
    let pty = Pty::open().unwrap();
    let device = RtuDevice::serve(pty.master, [(1, bank(11)), (2, bank(22))], DEFAULT_SILENT_INTERVAL);
    let buses = Buses::new();
    let mut dead = transport(&pty.path, 9);
    dead["timeout_ms"] = json!(100);
    dead["reconnect"] = json!({ "first_ms": 60_000, "max_ms": 60_000 });
    let settings = [transport(&pty.path, 1), transport(&pty.path, 2), dead];
    let opened: Vec<_> = settings.map(|settings| opened(settings, &buses)).into();
    for opened in &opened {
        opened.link.start();
        up(&opened.link).await;
    }
    let devices: Vec<_> = opened.iter().map(modbus).collect();
    let reads = (0..5).map(|_| async {
        tokio::join!(devices[0].read(vec![holding(0, 200)]), devices[1].read(vec![holding(0, 1), holding(150, 1)]))
    });
    for (one, two) in patiently("shared reads", futures_util::future::join_all(reads)).await {
        assert_eq!(one.unwrap().faults.len(), 1, "200 registers are no span that one request carries");
        assert_eq!(two.unwrap().words, [22, 22]);
    }
    // Unit 9 is not there. Its first requests time out, then it rests and costs the bus nothing.
    for _ in 0..2 {
        assert_eq!(devices[2].read(vec![holding(0, 1)]).await.unwrap().faults[0].fault.code, "timeout");
    }
    let (code, message) = code(devices[2].read(vec![holding(0, 1)]).await);
    assert_eq!(code, "not-connected");
    assert!(message.contains("unit 9 has not answered"), "{message}");
    assert!(matches!(*opened[2].link.state().borrow(), LinkState::Down { .. }));
    assert_eq!(*opened[0].link.state().borrow(), LinkState::Up);
    assert_eq!(devices[0].read(vec![holding(0, 1)]).await.unwrap().words, [11]);
    assert!(device.counters().requests() > 10);

    let change = Change { table: Table::HoldingRegister, address: 3, words: vec![5] };
    assert_eq!(devices[1].write(vec![change]).await, [Ok(())]);
    assert_eq!(devices[1].read(vec![holding(3, 1)]).await.unwrap().words, [5]);

    let mut other = transport(&pty.path, 3);
    other["baud"] = json!(9600);
    let Err(error) = try_open(other, &buses) else { panic!("other line settings on the same port") };
    assert!(error.to_string().contains("115200 8N1"), "{error}");
}

#[tokio::test]
async fn a_late_or_torn_answer_never_answers_the_next_request() {
    let pty = Pty::open().unwrap();
    let bank = bank(11);
    bank.set(DeviceTable::HoldingRegister, 200, &[22]).unwrap();
    let device = RtuDevice::serve(pty.master, [(1, bank)], DEFAULT_SILENT_INTERVAL);
    let opened = opened(transport(&pty.path, 1), &Buses::new());
    opened.link.start();
    let modbus = modbus(&opened);
    for fault in [
        Fault::Late(Duration::from_millis(410)),
        Fault::WrongTransaction,
        Fault::WrongUnit,
        Fault::Torn,
        Fault::Garbage,
        Fault::DropAnswer,
    ] {
        let name = format!("{fault:?}");
        device.faults().next(fault, 1);
        let words = modbus.read(vec![holding(0, 1)]).await.unwrap();
        assert_eq!(words.faults.len(), 1, "{name}");
        let after = modbus.read(vec![holding(200, 1)]).await.unwrap();
        assert_eq!((after.words, after.faults.len()), (vec![22], 0), "{name}");
    }
}

#[tokio::test]
async fn a_port_that_vanishes_is_named_and_opened_again_when_it_is_back() {
    let socat = need("socat");
    let folder = tempfile::tempdir().unwrap();
    let (ours, theirs) = (folder.path().join("gateway"), folder.path().join("device"));
    let opened = opened(transport(&ours, 1), &Buses::new());
    opened.link.start();
    let reason = down(&opened.link).await;
    assert!(reason.contains("gateway") && reason.contains("plugged in"), "{reason}");
    for round in 0..2 {
        let end = |path: &Path| format!("pty,raw,echo=0,link={}", path.display());
        let mut cable =
            tokio::process::Command::new(&socat).arg(end(&ours)).arg(end(&theirs)).kill_on_drop(true).spawn().unwrap();
        up(&opened.link).await;
        let line = serial2_tokio::SerialPort::open(&theirs, |mut settings: serial2_tokio::Settings| {
            settings.set_raw();
            Ok(settings)
        });
        let device = RtuDevice::serve(line.unwrap(), [(1, bank(33))], DEFAULT_SILENT_INTERVAL);
        let words = modbus(&opened).read(vec![holding(0, 1)]).await.unwrap();
        assert_eq!((words.words, words.faults.len()), (vec![33], 0), "round {round}");
        drop(device);
        cable.kill().await.unwrap();
        let answer = modbus(&opened).read(vec![holding(0, 1)]).await;
        assert!(answer.is_err() || !answer.unwrap().faults.is_empty(), "unplugged");
        down(&opened.link).await;
    }
    assert!(counter(&opened.link, "connects_total") >= 2);
}

#[tokio::test]
async fn a_call_given_up_half_way_leaves_no_answer_behind() {
    let pty = Pty::open().unwrap();
    let bank = bank(11);
    bank.set(DeviceTable::HoldingRegister, 200, &[22]).unwrap();
    let device = RtuDevice::serve(pty.master, [(1, bank)], DEFAULT_SILENT_INTERVAL);
    let opened = opened(transport(&pty.path, 1), &Buses::new());
    opened.link.start();
    let modbus = modbus(&opened);
    assert_eq!(modbus.read(vec![holding(0, 1)]).await.unwrap().words, [11]);
    device.faults().next(Fault::Delay(Duration::from_millis(150)), 1);
    let given_up = tokio::time::timeout(Duration::from_millis(20), modbus.read(vec![holding(0, 1)])).await;
    assert!(given_up.is_err());
    let words = modbus.read(vec![holding(200, 1)]).await.unwrap();
    assert_eq!((words.words, words.faults.len()), (vec![22], 0));
}
