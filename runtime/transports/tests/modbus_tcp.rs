//! Modbus TCP against a simulated device on a real socket.

#![allow(clippy::unwrap_used, reason = "a helper of a test may fail the test")]

mod support;

use bulkhead_sandbox::capability::{Change, LinkState, Span, Table, Words};
use bulkhead_sandbox::tap::{Heard, Kinds, Told};
use bulkhead_simulators::modbus::{Bank, BankLayout, Device, Fault, Table as DeviceTable};
use bulkhead_transports::Buses;
use serde_json::json;
use std::path::Path;
use std::time::Duration;
use support::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

fn holding(address: u16, count: u16) -> Span {
    Span { table: Table::HoldingRegister, address, count }
}

fn transport(device: &Device, extra: serde_json::Value) -> serde_json::Value {
    let mut settings = json!({
        "kind": "modbus-tcp", "address": device.address().to_string(), "timeout_ms": 300,
        "reconnect": { "first_ms": 10, "max_ms": 50 },
    });
    settings.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    settings
}

fn values(words: &Words) -> &[u16] {
    assert_eq!(words.faults, [], "all were read");
    &words.words
}

#[tokio::test]
async fn a_thousand_registers_are_eight_requests_and_come_in_the_order_asked() {
    let bank = Bank::new(BankLayout::uniform(2000));
    for address in 0..1000 {
        bank.set(DeviceTable::HoldingRegister, address, &[address * 3]).unwrap();
    }
    bank.set(DeviceTable::Coil, 7, &[1]).unwrap();
    let device = Device::builder().unit(1, bank).start().await.unwrap();
    let opened = opened(transport(&device, json!({})), &Buses::new());
    opened.link.start();
    let modbus = modbus(&opened);
    let spans: Vec<Span> = (0..1000).rev().map(|address| holding(address, 1)).collect();
    let words = modbus.read(spans).await.unwrap();
    let expected: Vec<u16> = (0..1000).rev().map(|address| address * 3).collect();
    assert_eq!(values(&words), expected);
    assert_eq!(device.counters().requests(), 8);

    let coils = Span { table: Table::Coil, address: 5, count: 4 };
    let words = modbus.read(vec![coils, holding(10, 2)]).await.unwrap();
    assert_eq!(values(&words), [0, 0, 1, 0, 30, 33]);
    opened.link.stop().await;
    assert_eq!(*opened.link.state().borrow(), LinkState::Stopped);
    assert_eq!(code(modbus.read(vec![holding(0, 1)]).await).0, "not-connected");
}

#[tokio::test]
async fn whoever_looks_on_sees_each_request_with_what_came_of_it() {
    let bank = Bank::new(BankLayout::uniform(200));
    let device = Device::builder().unit(1, bank).start().await.unwrap();
    let context = context_in("press", Path::new("/"));
    let mut listening = context.tap.listen(Kinds { frames: true, ..Kinds::NONE });
    let grant = json!({ "allow_write": ["coil:0-9"] });
    let opened = bulkhead_transports::open(&settings(transport(&device, grant)), context, &Buses::new()).unwrap();
    opened.link.start();
    let modbus = modbus(&opened);
    // Two spans that lie close, one far away, one that the device does not have.
    modbus.read(vec![holding(10, 1), holding(12, 2), holding(150, 1), holding(900, 1)]).await.unwrap();
    modbus.write(vec![Change { table: Table::Coil, address: 3, words: vec![1] }]).await;
    let mut seen = Vec::new();
    for _ in 0..4 {
        let Heard::Event(event) = listening.next().await else { panic!("nothing was dropped") };
        let Told::Sends { transport, request, fault, .. } = &event.told else { panic!("{event:?}") };
        let Span { address, count, .. } = request.span;
        let fault = fault.as_ref().map_or("", |fault| fault.code.as_str());
        seen.push(format!("{transport} {} {} {address} {count} {fault}", request.unit, request.function));
    }
    assert_eq!(
        seen,
        ["device 1 3 10 4 ", "device 1 3 150 1 ", "device 1 3 900 1 illegal-data-address", "device 1 5 3 1 "]
    );
    opened.link.stop().await;
}

#[tokio::test]
async fn what_a_device_does_not_have_is_found_once_and_the_rest_is_read() {
    // 100 to 109 are missing, in the middle of what is asked for.
    let bank = Bank::new(BankLayout::uniform(0).holding([0..100, 110..200]));
    bank.set(DeviceTable::HoldingRegister, 115, &[9]).unwrap();
    let device = Device::builder().unit(1, bank).start().await.unwrap();
    let opened = opened(transport(&device, json!({ "gap_fill_registers": 20 })), &Buses::new());
    opened.link.start();
    let modbus = modbus(&opened);
    let spans = vec![holding(90, 2), holding(104, 2), holding(115, 1), holding(98, 2)];
    for round in 0..3 {
        let before = device.counters().requests();
        let words = modbus.read(spans.clone()).await.unwrap();
        assert_eq!(words.words[4], 9);
        let faults: Vec<_> = words.faults.iter().map(|fault| (fault.index, fault.fault.code.as_str())).collect();
        assert_eq!(faults, [(1, "illegal-data-address")]);
        let message = &words.faults[0].fault.message;
        assert!(message.contains("press") && message.contains("holding-register 104-105"), "{message}");
        let requests = device.counters().requests() - before;
        assert!(if round == 0 { requests > 4 } else { requests == 3 }, "round {round}: {requests} requests");
    }
    assert_eq!(*opened.link.state().borrow(), LinkState::Up, "a refusal is an answer");
}

#[tokio::test]
async fn a_busy_device_is_a_fault_and_never_a_value() {
    let device = Device::builder().unit(1, Bank::new(BankLayout::uniform(500))).start().await.unwrap();
    let opened = opened(transport(&device, json!({})), &Buses::new());
    opened.link.start();
    device.faults().next(Fault::Exception(6), 1);
    let words = modbus(&opened).read(vec![holding(0, 2), holding(300, 1)]).await.unwrap();
    let faults: Vec<_> = words.faults.iter().map(|fault| (fault.index, fault.fault.code.as_str())).collect();
    assert_eq!(faults, [(0, "busy")], "only the request that was refused, and not split");
    assert_eq!(device.counters().requests(), 2);
}

#[tokio::test]
async fn a_late_answer_never_answers_the_next_request() {
    let bank = Bank::new(BankLayout::uniform(300));
    bank.set(DeviceTable::HoldingRegister, 0, &[11]).unwrap();
    bank.set(DeviceTable::HoldingRegister, 200, &[22]).unwrap();
    let device = Device::builder().unit(1, bank).start().await.unwrap();
    let opened = opened(transport(&device, json!({ "timeout_ms": 300 })), &Buses::new());
    opened.link.start();
    let modbus = modbus(&opened);
    assert_eq!(values(&modbus.read(vec![holding(0, 1)]).await.unwrap()), [11]);
    for fault in [
        Fault::Late(Duration::from_millis(350)),
        Fault::WrongTransaction,
        Fault::WrongUnit,
        Fault::WrongFunction,
        Fault::Torn,
        Fault::Garbage,
        Fault::Close,
        Fault::DropAnswer,
    ] {
        let name = format!("{fault:?}");
        device.faults().next(fault, 1);
        let words = modbus.read(vec![holding(0, 1), holding(200, 1)]).await.unwrap();
        assert_eq!(words.faults.len(), 2, "{name}: the rest of the call is not asked for");
        let code = &words.faults[1].fault.code;
        assert!(["timeout", "bad-answer"].contains(&code.as_str()), "{name}: {code}");
        let after = modbus.read(vec![holding(200, 1), holding(0, 1)]).await.unwrap();
        assert_eq!(values(&after), [22, 11], "{name}: the next call is answered rightly");
    }
}

#[tokio::test]
async fn a_connection_the_device_closed_while_idle_costs_nothing() {
    let mut device = Device::builder().unit(1, Bank::new(BankLayout::uniform(10))).start().await.unwrap();
    let opened = opened(transport(&device, json!({ "allow_write": ["holding-register:0"] })), &Buses::new());
    opened.link.start();
    let modbus = modbus(&opened);
    for _ in 0..5 {
        values(&modbus.read(vec![holding(0, 1)]).await.unwrap());
        device.disconnect_all();
        patiently("the hang-up", device.counters().wait_until(|counters| counters.open_connections() == 0)).await;
        let change = Change { table: Table::HoldingRegister, address: 0, words: vec![1] };
        assert_eq!(modbus.write(vec![change]).await, [Ok(())]);
    }
    device.stop().await;
    let words = modbus.read(vec![holding(0, 1)]).await;
    assert!(words.is_err() || !words.unwrap().faults.is_empty());
    let reason = down(&opened.link).await;
    assert!(reason.contains(&device.address().to_string()), "{reason}");
    device.restart().await.unwrap();
    up(&opened.link).await;
    values(&modbus.read(vec![holding(0, 1)]).await.unwrap());
}

#[tokio::test]
async fn a_device_that_accepts_and_says_nothing_is_down_with_a_reason() {
    let device = Device::builder().unit(1, Bank::new(BankLayout::uniform(10))).start().await.unwrap();
    device.faults().always(Fault::DropAnswer);
    let opened = opened(transport(&device, json!({ "timeout_ms": 50 })), &Buses::new());
    opened.link.start();
    let modbus = modbus(&opened);
    let (fault, message) = {
        let words = modbus.read(vec![holding(0, 1)]).await.unwrap();
        (words.faults[0].fault.code.clone(), words.faults[0].fault.message.clone())
    };
    assert_eq!(fault, "timeout");
    assert!(message.contains("unit 1"), "{message}");
    let reason = down(&opened.link).await;
    assert!(reason.contains("unit 1 does not answer"), "{reason}");
    device.faults().clear();
    let answered = async {
        loop {
            if let Ok(words) = modbus.read(vec![holding(0, 1)]).await
                && words.faults.is_empty()
            {
                break;
            }
            tokio::task::yield_now().await;
        }
    };
    patiently("an answer", answered).await;
    up(&opened.link).await;
}

#[tokio::test]
async fn a_device_that_hangs_up_after_each_answer_is_read_and_met_once_a_first_wait() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = json!({
        "kind": "modbus-tcp", "address": listener.local_addr().unwrap().to_string(), "timeout_ms": 5000,
        "reconnect": { "first_ms": 100, "max_ms": 60_000 },
    });
    let opened = opened(settings, &Buses::new());
    opened.link.start();
    let modbus = modbus(&opened);
    let device = tokio::spawn(async move {
        hangs_up_on(&listener, 5, |mut stream| async move {
            let mut request = [0; 12];
            stream.read_exact(&mut request).await.unwrap();
            let answer = [request[0], request[1], 0, 0, 0, 5, request[6], 3, 2, 0, 7];
            stream.write_all(&answer).await.unwrap();
        })
        .await
    });
    for _ in 0..5 {
        assert_eq!(values(&modbus.read(vec![holding(0, 1)]).await.unwrap()), [7]);
    }
    let took = patiently("the device", device).await.unwrap();
    assert!(took >= Duration::from_millis(400), "5 connects in {took:?}");
}

#[tokio::test]
async fn writes_are_checked_against_the_grant_and_come_between_two_requests_of_a_read() {
    let bank = Bank::new(BankLayout::uniform(5000));
    let device = Device::builder().unit(1, bank.clone()).start().await.unwrap();
    let grants = json!({ "allow_write": ["holding-register:10-12", "coil:3"], "timeout_ms": 5000 });
    let opened = opened(transport(&device, grants), &Buses::new());
    opened.link.start();
    let modbus = modbus(&opened);
    let change = |table, address, words: &[u16]| Change { table, address, words: words.to_vec() };
    let results = modbus
        .write(vec![
            change(Table::HoldingRegister, 10, &[1, 2, 3]),
            change(Table::HoldingRegister, 12, &[4]),
            change(Table::Coil, 3, &[1]),
            change(Table::HoldingRegister, 12, &[1, 2]),
            change(Table::Coil, 4, &[1]),
            change(Table::Coil, 3, &[2]),
            change(Table::InputRegister, 10, &[1]),
        ])
        .await;
    let codes: Vec<_> = results.iter().map(|result| result.as_ref().map_err(|fault| fault.code.as_str())).collect();
    assert_eq!(codes[..3], [Ok(&()), Ok(&()), Ok(&())]);
    assert_eq!(codes[3..], [Err("not-granted"), Err("not-granted"), Err("bad-value"), Err("bad-span")]);
    assert_eq!(bank.get(DeviceTable::HoldingRegister, 10, 3).unwrap(), [1, 2, 4]);
    assert_eq!(bank.get(DeviceTable::Coil, 3, 1).unwrap(), [1]);

    // 40 requests, each answered after 20 ms: the write must not wait for all of them.
    device.faults().always(Fault::Delay(Duration::from_millis(20)));
    let spans: Vec<Span> = (0..40).map(|index| holding(index * 125, 125)).collect();
    let before = device.counters().requests();
    let reading = tokio::spawn({
        let modbus = modbus.clone();
        async move { modbus.read(spans).await }
    });
    patiently("the read", device.counters().wait_until(|counters| counters.requests() > before + 2)).await;
    assert_eq!(modbus.write(vec![change(Table::HoldingRegister, 10, &[7])]).await, [Ok(())]);
    assert!(device.counters().requests() < before + 30, "the write came in between");
    let words = patiently("the read", reading).await.unwrap().unwrap();
    assert_eq!(words.faults, []);
}

#[tokio::test]
async fn a_call_given_up_half_way_leaves_no_answer_behind() {
    let bank = Bank::new(BankLayout::uniform(300));
    bank.set(DeviceTable::HoldingRegister, 200, &[22]).unwrap();
    let device = Device::builder().unit(1, bank).start().await.unwrap();
    let opened = opened(transport(&device, json!({ "timeout_ms": 5000 })), &Buses::new());
    opened.link.start();
    let modbus = modbus(&opened);
    values(&modbus.read(vec![holding(0, 1)]).await.unwrap());
    device.faults().next(Fault::Delay(Duration::from_millis(100)), 1);
    let given_up = tokio::time::timeout(Duration::from_millis(20), modbus.read(vec![holding(0, 1)])).await;
    assert!(given_up.is_err());
    assert_eq!(values(&modbus.read(vec![holding(200, 1)]).await.unwrap()), [22]);
}

#[tokio::test]
async fn settings_that_cannot_work_are_named_and_nothing_is_opened() {
    let buses = Buses::new();
    for (settings, part) in [
        (json!({ "kind": "modbus-tcp", "address": "plc:99999" }), "address"),
        (json!({ "kind": "modbus-tcp", "address": "plc", "allow_write": ["input-register:1"] }), "allow_write"),
        (json!({ "kind": "modbus-tcp", "address": "plc", "max_read_registers": 200 }), "max_read_registers"),
        (json!({ "kind": "modbus-rtu", "port": "/dev/ttyX", "unit_id": 0 }), "unit_id"),
        (json!({ "kind": "modbus-rtu", "port": "/dev/ttyX", "stop_bits": 3 }), "stop_bits"),
    ] {
        let Err(error) = try_open(settings, &buses) else { panic!("{part}") };
        let text = error.to_string();
        assert!(text.contains("press") && text.contains("device") && text.contains(part), "{text}");
    }
}
