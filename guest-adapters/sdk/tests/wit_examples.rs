//! An example of every function of the interfaces. What stands between `// example:` and `// end` is shown in docs/wit.md; here it runs
//! on a scripted host.

#![allow(clippy::unwrap_used, reason = "a test that fails is what it is for")]

use bulkhead_sdk::prelude::*;
use bulkhead_sdk::testing::{self, Host};

/// A boiler over Modbus, with everything else an adapter can have.
struct Boiler {
    settings: Settings,
    flow: Point,
}

#[derive(Deserialize)]
struct Settings {
    address: u16,
}

impl Adapter for Boiler {
    type Settings = Settings;

    // example: adapter.start
    fn start(settings: Settings) -> Result<Self, Fault> {
        // Settings that do not fit the struct never get here: the SDK answers with `bad-settings` and their path.
        let flow = points::declare_one(NewPoint::new("flow_temp", Kind::Real).unit(Some("°C")))?;
        Ok(Boiler { settings, flow })
    }
    // end

    // example: adapter.check
    fn check(&mut self) -> Result<String, Fault> {
        let serial_number = read_words(&[900])?[0];
        match serial_number {
            0 => Err(Fault::reconfigure("wrong-device", "register 900 is 0: expected a serial number")),
            number => Ok(format!("a boiler with the serial number {number}")),
        }
    }
    // end

    // example: adapter.stop
    fn stop(&mut self) {
        log::info("the connection ends");
    }
    // end
}

impl Poller for Boiler {
    // example: poller.poll
    fn poll(&mut self, _group: &str) -> Result<Vec<Reading>, Fault> {
        let tenths = read_words(&[self.settings.address])?[0];
        Ok(vec![Reading::at(self.flow, f64::from(tenths) / 10.0)])
    }
    // end
}

fn read_words(addresses: &[u16]) -> Result<Vec<u16>, Fault> {
    // example: modbus.read
    let span = |address: &u16| modbus::Span { table: modbus::Table::HoldingRegister, address: *address, count: 1 };
    let spans: Vec<_> = addresses.iter().map(span).collect();
    let answer = modbus::read("device", &spans)?;
    if let Some(failed) = answer.faults.into_iter().next() {
        return Err(failed.fault);
    }
    // end
    Ok(answer.words)
}

impl Listener for Boiler {
    // example: listener.receive
    fn receive(&mut self, _transport: &str, frames: &[Frame]) -> Result<Vec<Reading>, Fault> {
        let degrees = |frame: &Frame| String::from_utf8_lossy(&frame.payload).trim().parse::<f64>();
        let data = frames.iter().filter(|frame| frame.kind == FrameKind::Data);
        data.map(|frame| match degrees(frame) {
            // Without a time of its own a reading gets the one at which its frame arrived.
            Ok(degrees) => Ok(Reading::new(&frame.topic, degrees)),
            Err(_) => Err(Fault::reject("bad-payload", format!("{} brought no number", frame.topic))),
        })
        .collect()
    }
    // end
}

impl Writer for Boiler {
    // example: writer.write
    fn write(&mut self, command: &Command) -> Result<(), Fault> {
        let Value::Real(degrees) = command.value else {
            return Err(Fault::reject("bad-value", "expected a number"));
        };
        write_word(200, (degrees * 10.0) as u16)
    }
    // end
}

fn write_word(address: u16, word: u16) -> Result<(), Fault> {
    // example: modbus.write
    let change = modbus::Change { table: modbus::Table::HoldingRegister, address, words: vec![word] };
    let results = modbus::write("device", &[change]);
    // One result for each change, in order.
    results.into_iter().collect()
    // end
}

impl Sink for Boiler {
    // example: sink.deliver
    fn deliver(&mut self, batch: &Batch) -> Result<Outcome, Fault> {
        let body = format!("{} readings of route {}", batch.entries.len(), batch.route);
        // The key is the same at each try: an upstream that knows it drops a repetition.
        let headers = vec![("idempotency-key".to_owned(), batch.key.clone())];
        match post("/readings", headers, body.into_bytes())? {
            200..=299 => Ok(Outcome::all(batch)),
            status => Err(Fault::retry("refused", format!("the upstream answered {status}"))),
        }
    }
    // end
}

fn post(path: &str, headers: Vec<(String, String)>, body: Vec<u8>) -> Result<u16, Fault> {
    // example: http.request
    let request = http::Outgoing { method: "POST".into(), path: path.into(), headers, body };
    // The host adds base URL and credentials.
    let answer = http::request("upstream", &request)?;
    // end
    Ok(answer.status)
}

impl Responder for Boiler {
    // example: responder.respond
    fn respond(&mut self, request: &Request) -> Result<Reply, Fault> {
        let text = String::from_utf8_lossy(&request.body);
        let degrees: f64 = text.trim().parse().map_err(|_| Fault::reject("bad-body", "expected a number"))?;
        let readings = vec![Reading::at(self.flow, degrees)];
        // It is sent once the readings are committed.
        Ok(Reply { status: 204, headers: Vec::new(), body: Vec::new(), readings })
    }
    // end
}

fn started(host: &Host) -> testing::Running<Boiler> {
    host.set_registers(modbus::Table::HoldingRegister, 100, &[615]);
    host.set_registers(modbus::Table::HoldingRegister, 200, &[0]);
    host.set_registers(modbus::Table::HoldingRegister, 900, &[4711]);
    testing::start(serde_json::json!({ "address": 100 })).unwrap()
}

#[test]
fn what_an_adapter_exports() {
    let host = Host::install();
    let mut boiler = started(&host);
    assert_eq!(boiler.check().unwrap(), "a boiler with the serial number 4711");
    assert_eq!(boiler.poll("default").unwrap()[0].value, Some(Value::Real(61.5)));
    assert_eq!(boiler.receive("broker", &[Frame::message("return_temp", "40.5")]).unwrap()[0].name, "return_temp");
    assert_eq!(boiler.receive("broker", &[Frame::message("x", "?")]).unwrap_err().remedy, Remedy::Reject);
    boiler.write("flow_temp", 62.5).unwrap();
    assert_eq!(host.register(modbus::Table::HoldingRegister, 200), Some(625));
    boiler.adapter.stop();
    assert_eq!(host.lines(), [(log::Level::Info, "the connection ends".to_owned())]);
}

#[test]
fn what_goes_upstream_and_what_comes_from_there() {
    let host = Host::install();
    host.on_http(|_, _| Ok(http::Incoming { status: 200, headers: Vec::new(), body: Vec::new() }));
    let mut boiler = started(&host);
    let batch = Batch { key: "k".into(), route: "up".into(), points: Vec::new(), entries: Vec::new() };
    assert_eq!(boiler.deliver(&batch).unwrap(), Outcome::all(&batch));
    assert_eq!(host.http_requests()[0].headers, [("idempotency-key".to_owned(), "k".to_owned())]);
    let request = Request {
        method: "POST".into(),
        path: "/".into(),
        query: String::new(),
        headers: Vec::new(),
        body: b"40.5".to_vec(),
        received: 0,
    };
    let (reply, readings) = boiler.respond(&request).unwrap();
    assert_eq!((reply.status, readings[0].value.clone()), (204, Some(Value::Real(40.5))));
}

#[test]
fn points_journal_clock_and_state() -> Result<(), Fault> {
    let host = Host::install();
    // example: points.declare
    let limits = WriteLimits { min: Some(5.0), max: Some(90.0) };
    let setpoint = NewPoint::new("setpoint", Kind::Real).unit(Some("°C")).writable(Some(limits));
    let pump = NewPoint::new("pump", Kind::Boolean).group(Some("fast"));
    let numbers = points::declare(vec![setpoint, pump])?;
    // end
    assert_eq!((numbers.len(), host.points().len()), (2, 2));

    // example: log.write
    log::write(log::Level::Warn, "the device answers in an old format");
    // end
    // example: log.report
    log::report(Some(numbers[0]), &Fault::reject("bad-payload", "expected a number, got \"n/a\""));
    // end
    assert_eq!((host.lines().len(), host.reports().len()), (1, 1));

    host.set_now(1_767_225_600_000_000_000);
    // example: clock.now
    let reading = Reading::at(numbers[1], true).time(clock::now());
    // end
    assert_eq!(reading.time, Some(1_767_225_600_000_000_000));
    // example: clock.monotonic
    let began = clock::monotonic();
    // …
    let took_ms = (clock::monotonic() - began) / 1_000_000;
    // end
    assert_eq!(took_ms, 0);
    // example: clock.set-timer
    // In ten minutes the listener gets a frame of kind `timer` with this name as its topic.
    let is_set = clock::set_timer("report", 600_000);
    // end
    assert!(is_set && host.timers() == [("report".to_owned(), 600_000)]);

    // example: state.get
    let counted = state::get("count")?.and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes);
    // end
    // example: state.set
    state::set("count", &(counted + 1).to_le_bytes())?;
    // end
    assert_eq!(state::get("count")?, Some(1u64.to_le_bytes().to_vec()));
    // example: state.remove
    state::remove("count")?;
    // end
    assert_eq!(state::get("count")?, None);
    Ok(())
}

#[test]
fn lines_and_brokers() -> Result<(), Fault> {
    let host = Host::install();
    host.on_exchange(|_, request| Ok(if request.is_empty() { b"tare".to_vec() } else { b"12.5 kg".to_vec() }));
    // example: serial.exchange
    // The transport's own framing, timeout and line settings.
    let answer = serial::exchange("device", b"READ\r\n", None, None, None)?;
    // end
    assert_eq!(answer, b"12.5 kg");
    // example: serial.send
    serial::send("device", b"TARE\r\n")?;
    // end
    // example: tcp.exchange
    // Sends nothing and listens for one frame of eight bytes, at most two seconds.
    let frame = tcp::exchange("device", b"", Some(&Framing::Length(8)), Some(2000))?;
    // end
    assert_eq!(frame, b"tare");
    // example: tcp.send
    tcp::send("device", b"BYE\r\n")?;
    // end
    assert_eq!(host.sent(), [b"TARE\r\n".to_vec(), b"BYE\r\n".to_vec()]);

    // example: mqtt.publish
    let message = |payload: &str| mqtt::Message {
        topic: "plant/boiler/state".into(),
        payload: payload.into(),
        qos: mqtt::Qos::AtLeastOnce,
        retain: true,
        properties: Vec::new(),
    };
    mqtt::publish("broker", &message("online"))?;
    // end
    // example: mqtt.set-will
    mqtt::set_will("broker", &message("offline"))?;
    // end
    assert_eq!((host.published().len(), host.will().unwrap().payload), (1, b"offline".to_vec()));
    Ok(())
}
