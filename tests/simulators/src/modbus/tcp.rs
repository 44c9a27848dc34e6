//! A Modbus TCP device: many clients, many units. Messaging on TCP/IP Guide V1.0b.

use super::{
    Bank, Counters, Fault, Faults,
    counters::OpenConnection,
    pdu::{self, Done, MAX_PDU_BYTES, exception},
};
use crate::{
    SimulatorError,
    service::{ANY_LOOPBACK_PORT, TcpService},
};
use std::{collections::HashMap, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, sleep, sleep_until},
};

/// Bytes of the header: transaction id, protocol id, length, unit id.
const HEADER_BYTES: usize = 7;

/// Bytes read from a socket at once: room for over a thousand pipelined read requests.
const INPUT_BYTES: usize = 16 * 1024;

/// Answers wait in memory up to this many bytes before they are written, while more requests are at hand.
const OUTPUT_BYTES: usize = 64 * 1024;

/// Late answers that one connection holds; further ones are dropped.
const MAX_LATE_ANSWERS: usize = 64;

/// The units of a device.
#[derive(Clone, Debug, Default)]
pub(crate) struct Units {
    by_id: HashMap<u8, Bank>,
    any: Option<Bank>,
}

impl Units {
    pub(crate) fn bank(&self, unit: u8) -> Option<&Bank> {
        self.by_id.get(&unit).or(self.any.as_ref())
    }

    pub(crate) fn insert(&mut self, unit: u8, bank: Bank) {
        self.by_id.insert(unit, bank);
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Bank> {
        self.by_id.values().chain(&self.any)
    }
}

/// What a device is made of, before it is started.
#[derive(Clone, Debug, Default)]
pub struct DeviceBuilder {
    address: Option<SocketAddr>,
    units: Units,
}

impl DeviceBuilder {
    /// Listens here instead of on a free loopback port.
    #[must_use]
    pub fn address(mut self, address: SocketAddr) -> Self {
        self.address = Some(address);
        self
    }

    /// Serves a bank as this unit. A unit that is not served answers exception 11, as a gateway does for an absent one.
    #[must_use]
    pub fn unit(mut self, unit: u8, bank: Bank) -> Self {
        self.units.insert(unit, bank);
        self
    }

    /// Serves a bank as every unit that has none of its own.
    #[must_use]
    pub fn any_unit(mut self, bank: Bank) -> Self {
        self.units.any = Some(bank);
        self
    }

    /// Listens.
    ///
    /// # Errors
    /// [`SimulatorError::Bind`] where the address is taken.
    pub async fn start(self) -> Result<Device, SimulatorError> {
        let shared = Shared { units: self.units, faults: Faults::default(), counters: Arc::default() };
        let mut device = Device { address: self.address.unwrap_or(ANY_LOOPBACK_PORT), shared, service: None };
        device.restart().await?;
        Ok(device)
    }
}

#[derive(Clone, Debug)]
struct Shared {
    units: Units,
    faults: Faults,
    counters: Arc<Counters>,
}

/// A Modbus TCP device that listens until it is stopped or dropped.
#[derive(Debug)]
pub struct Device {
    address: SocketAddr,
    shared: Shared,
    service: Option<TcpService>,
}

impl Device {
    /// A device to be configured and started.
    #[must_use]
    pub fn builder() -> DeviceBuilder {
        DeviceBuilder::default()
    }

    /// Where it listens, or listened before it was stopped.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it has done.
    #[must_use]
    pub fn counters(&self) -> &Arc<Counters> {
        &self.shared.counters
    }

    /// How it misbehaves.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    /// Closes all connections; new ones are accepted.
    pub fn disconnect_all(&self) {
        if let Some(service) = &self.service {
            service.disconnect_all();
        }
    }

    /// Closes the listening socket and all connections, and waits until its tasks are gone. Banks, counters and faults stay.
    pub async fn stop(&mut self) {
        if let Some(service) = self.service.take() {
            service.stop().await;
        }
    }

    /// Listens again on the same port; stops first if it runs.
    ///
    /// # Errors
    /// [`SimulatorError::Bind`] where somebody else took the port meanwhile.
    pub async fn restart(&mut self) -> Result<(), SimulatorError> {
        self.stop().await;
        let shared = self.shared.clone();
        let service = TcpService::start(self.address, move |stream| {
            let connection = Connection::new(stream, shared.clone());
            async move {
                // A peer that goes away ends its connection, nothing more.
                let _ = connection.run().await;
            }
        })
        .await?;
        self.address = service.address();
        self.service = Some(service);
        Ok(())
    }
}

/// What follows a request, beyond bytes in the output.
enum Next {
    Continue,
    /// Write what there is, wait, then write these bytes.
    Delay(Duration, Vec<u8>),
    Close,
}

struct Connection {
    stream: TcpStream,
    shared: Shared,
    output: Vec<u8>,
    late: Vec<(Instant, Vec<u8>)>,
    _open: OpenConnection,
}

impl Connection {
    fn new(stream: TcpStream, shared: Shared) -> Self {
        let _open = OpenConnection::new(shared.counters.clone());
        Self { stream, shared, output: Vec::with_capacity(OUTPUT_BYTES), late: Vec::new(), _open }
    }

    async fn run(mut self) -> std::io::Result<()> {
        let mut input = vec![0; INPUT_BYTES];
        let mut filled = 0;
        loop {
            let Some(used) = self.answer_all(&input[..filled]).await? else { return Ok(()) };
            self.flush().await?;
            input.copy_within(used..filled, 0);
            filled -= used;
            let due = self.late.iter().map(|(due, _)| *due).min();
            tokio::select! {
                read = self.stream.read(&mut input[filled..]) => match read? {
                    0 => return Ok(()),
                    count => filled += count,
                },
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => self.queue_due(),
            }
        }
    }

    /// Answers the complete frames in the input; returns the bytes used, none when the connection is to be closed.
    async fn answer_all(&mut self, input: &[u8]) -> std::io::Result<Option<usize>> {
        let mut used = 0;
        while let Some(frame) = match complete_frame(&input[used..]) {
            Ok(frame) => frame,
            Err(BadFrame) => {
                self.shared.counters.count_bad_frame();
                return Ok(None);
            }
        } {
            used += frame.len();
            match self.answer_one(frame) {
                Next::Continue => {}
                Next::Delay(duration, answer) => {
                    self.flush().await?;
                    sleep(duration).await;
                    self.output.extend_from_slice(&answer);
                }
                Next::Close => {
                    self.flush().await?;
                    return Ok(None);
                }
            }
            if self.output.len() >= OUTPUT_BYTES {
                self.flush().await?;
            }
        }
        if used > 0 {
            self.shared.counters.notify();
        }
        Ok(Some(used))
    }

    fn answer_one(&mut self, frame: &[u8]) -> Next {
        let (unit, request) = (frame[6], &frame[HEADER_BYTES..]);
        self.shared.counters.count_request();
        match self.shared.faults.take(unit, pdu::first_address(request)) {
            None => {
                append_answer(&self.shared, frame, None, &mut self.output);
                Next::Continue
            }
            Some(fault) => self.misbehave(fault, frame),
        }
    }

    fn misbehave(&mut self, fault: Fault, frame: &[u8]) -> Next {
        let forced = if let Fault::Exception(code) = fault { Some(code) } else { None };
        if matches!(fault, Fault::DropAnswer) {
            return Next::Continue;
        }
        if matches!(fault, Fault::Close) {
            return Next::Close;
        }
        let mut answer = Vec::new();
        append_answer(&self.shared, frame, forced, &mut answer);
        match fault {
            Fault::Delay(duration) => return Next::Delay(duration, answer),
            Fault::Late(duration) => {
                if self.late.len() < MAX_LATE_ANSWERS {
                    self.late.push((Instant::now() + duration, answer));
                }
                return Next::Continue;
            }
            Fault::Torn => {
                self.output.extend_from_slice(&answer[..answer.len() / 2]);
                return Next::Close;
            }
            Fault::WrongTransaction => answer[1] = answer[1].wrapping_add(1),
            Fault::WrongUnit => answer[6] = answer[6].wrapping_add(1),
            Fault::WrongFunction => answer[HEADER_BYTES] ^= 1,
            Fault::Garbage => answer.iter_mut().for_each(|byte| *byte = !*byte),
            Fault::Exception(_) | Fault::DropAnswer | Fault::Close => {}
        }
        self.output.extend_from_slice(&answer);
        Next::Continue
    }

    fn queue_due(&mut self) {
        let now = Instant::now();
        let output = &mut self.output;
        self.late.retain(|(due, answer)| {
            let is_due = *due <= now;
            if is_due {
                output.extend_from_slice(answer);
            }
            !is_due
        });
    }

    async fn flush(&mut self) -> std::io::Result<()> {
        if !self.output.is_empty() {
            self.stream.write_all(&self.output).await?;
            self.output.clear();
        }
        Ok(())
    }
}

/// Bytes that are no Modbus TCP frame: the stream cannot be brought back into step.
struct BadFrame;

/// The first frame, header included; none while it is not complete.
fn complete_frame(input: &[u8]) -> Result<Option<&[u8]>, BadFrame> {
    let Some(header) = input.get(..HEADER_BYTES) else { return Ok(None) };
    let length = usize::from(u16::from_be_bytes([header[4], header[5]]));
    if header[2..4] != [0, 0] || !(2..=MAX_PDU_BYTES + 1).contains(&length) {
        return Err(BadFrame);
    }
    Ok(input.get(..HEADER_BYTES - 1 + length))
}

/// Appends header and answer to a request's frame.
fn append_answer(shared: &Shared, frame: &[u8], forced: Option<u8>, out: &mut Vec<u8>) {
    let (unit, request) = (frame[6], &frame[HEADER_BYTES..]);
    let start = out.len();
    out.extend_from_slice(&frame[..HEADER_BYTES]);
    let bank = shared.units.bank(unit);
    let done = match (forced, bank) {
        (Some(code), _) => refused(request, code, out),
        (None, Some(bank)) => pdu::answer(request, &mut bank.lock(), out),
        (None, None) => refused(request, exception::GATEWAY_TARGET_FAILED_TO_RESPOND, out),
    };
    shared.counters.record(done);
    if let (Done::Wrote(_), Some(bank)) = (done, bank) {
        bank.notify_written();
    }
    let length = (out.len() - start - HEADER_BYTES + 1) as u16;
    out[start + 4..start + 6].copy_from_slice(&length.to_be_bytes());
}

fn refused(request: &[u8], code: u8, out: &mut Vec<u8>) -> Done {
    pdu::refuse(request[0], code, out);
    Done::Refused(code)
}
