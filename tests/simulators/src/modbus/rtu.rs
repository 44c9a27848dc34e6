//! A Modbus RTU device on any byte stream. Serial Line Guide V1.02, section 2.5.1: a frame ends with a silence, and
//! with a checksum over it.

use super::{
    Bank, Counters, Fault, Faults,
    pdu::{self, Done},
    tcp::Units,
};
use crate::service::Tasks;
use std::{future::pending, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::{sleep, timeout},
};

/// How long a line is quiet before a frame counts as complete: 3.5 characters are 1.75 ms above 19,200 baud, and the
/// timer counts in whole milliseconds.
pub const DEFAULT_SILENT_INTERVAL: Duration = Duration::from_millis(3);

/// Longest frame: unit id, protocol data unit, checksum.
const MAX_FRAME_BYTES: usize = 256;

/// Unit id of a broadcast: it is carried out and not answered.
const BROADCAST: u8 = 0;

/// The checksum of a frame (section 6.2.2 of the guide), as it is sent: low byte first.
#[must_use]
pub fn crc16(bytes: &[u8]) -> [u8; 2] {
    let crc = bytes.iter().fold(0xFFFF_u16, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xA001 } else { crc >> 1 })
    });
    crc.to_le_bytes()
}

/// A Modbus RTU device that serves its line until it is stopped or dropped.
#[derive(Debug)]
pub struct RtuDevice {
    tasks: Tasks,
    counters: Arc<Counters>,
    faults: Faults,
}

impl RtuDevice {
    /// Serves units on a line, such as [`crate::PtyMaster`]. Must be called inside a tokio runtime.
    pub fn serve<L>(line: L, units: impl IntoIterator<Item = (u8, Bank)>, silent_interval: Duration) -> Self
    where
        L: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut served = Units::default();
        units.into_iter().for_each(|(unit, bank)| served.insert(unit, bank));
        let device = Self { tasks: Tasks::default(), counters: Arc::default(), faults: Faults::default() };
        let (counters, faults) = (device.counters.clone(), device.faults.clone());
        let slave = Slave { line, units: served, silent_interval, counters, faults };
        device.tasks.spawn(async move {
            if let Err(error) = slave.run().await {
                tracing::warn!(%error, "simulated RTU line broke");
            }
        });
        device
    }

    /// What it has done. It has no connections.
    #[must_use]
    pub fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// How it misbehaves.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Leaves the line, which is closed, and waits until its task is gone.
    pub async fn stop(&mut self) {
        self.tasks.stop().await;
    }
}

struct Slave<L> {
    line: L,
    units: Units,
    silent_interval: Duration,
    counters: Arc<Counters>,
    faults: Faults,
}

impl<L: AsyncRead + AsyncWrite + Unpin> Slave<L> {
    async fn run(mut self) -> std::io::Result<()> {
        let mut answer = Vec::with_capacity(MAX_FRAME_BYTES);
        while let Some(frame) = self.read_frame().await? {
            let Some((body, _)) = frame.split_last_chunk::<2>().filter(|(body, crc)| crc16(body) == **crc) else {
                self.counters.count_bad_frame();
                continue;
            };
            let Some((unit, request)) = body.split_first().filter(|(_, request)| !request.is_empty()) else {
                self.counters.count_bad_frame();
                continue;
            };
            answer.clear();
            self.answer(*unit, request, &mut answer).await?;
            self.counters.notify();
        }
        Ok(())
    }

    /// The bytes up to a silence; none at the end of the stream. What is too long for a frame is cut, and then fails
    /// its checksum.
    async fn read_frame(&mut self) -> std::io::Result<Option<Vec<u8>>> {
        let mut frame = Vec::with_capacity(MAX_FRAME_BYTES);
        let mut chunk = [0; MAX_FRAME_BYTES];
        let mut count = self.line.read(&mut chunk).await?;
        while count > 0 {
            let room = (MAX_FRAME_BYTES + 1).saturating_sub(frame.len());
            frame.extend_from_slice(&chunk[..count.min(room)]);
            match timeout(self.silent_interval, self.line.read(&mut chunk)).await {
                Ok(read) => count = read?,
                Err(_) => return Ok(Some(frame)),
            }
        }
        Ok(None)
    }

    async fn answer(&mut self, unit: u8, request: &[u8], answer: &mut Vec<u8>) -> std::io::Result<()> {
        if unit == BROADCAST {
            self.counters.count_request();
            self.broadcast(request, answer);
            return Ok(());
        }
        let Some(bank) = self.units.bank(unit).cloned() else { return Ok(()) };
        self.counters.count_request();
        let fault = self.faults.take(unit, pdu::first_address(request));
        match fault {
            Some(Fault::DropAnswer) => return Ok(()),
            // The device is gone, its line stays.
            Some(Fault::Close) => pending().await,
            _ => {}
        }
        answer.push(unit);
        if let Some(Fault::Exception(code)) = fault {
            pdu::refuse(request[0], code, answer);
            self.counters.record(Done::Refused(code));
        } else {
            self.execute(&bank, request, answer);
        }
        self.send(fault, answer).await
    }

    fn broadcast(&mut self, request: &[u8], scratch: &mut Vec<u8>) {
        for bank in self.units.all().cloned().collect::<Vec<_>>() {
            scratch.clear();
            self.execute(&bank, request, scratch);
        }
    }

    fn execute(&mut self, bank: &Bank, request: &[u8], answer: &mut Vec<u8>) {
        let done = pdu::answer(request, &mut bank.lock(), answer);
        self.counters.record(done);
        if matches!(done, Done::Wrote(_)) {
            bank.notify_written();
        }
    }

    async fn send(&mut self, fault: Option<Fault>, answer: &mut Vec<u8>) -> std::io::Result<()> {
        match fault {
            Some(Fault::WrongUnit) => answer[0] = answer[0].wrapping_add(1),
            Some(Fault::WrongFunction) => answer[1] ^= 1,
            _ => {}
        }
        let crc = crc16(answer);
        answer.extend_from_slice(&crc);
        match fault {
            Some(Fault::WrongTransaction) => {
                let last = answer.len() - 1;
                answer[last] ^= 0xFF;
            }
            Some(Fault::Garbage) => answer.iter_mut().for_each(|byte| *byte = !*byte),
            Some(Fault::Torn) => answer.truncate(answer.len() / 2),
            // A bus carries one exchange at a time: late and delayed are the same here.
            Some(Fault::Delay(duration) | Fault::Late(duration)) => sleep(duration).await,
            _ => {}
        }
        self.line.write_all(answer).await
    }
}

#[cfg(test)]
mod tests {
    use super::crc16;

    #[test]
    fn checksums_of_known_frames() {
        // The read of ten registers from unit 1 that every Modbus text prints.
        assert_eq!(crc16(&[0x01, 0x03, 0x00, 0x00, 0x00, 0x0A]), [0xC5, 0xCD]);
        // The standard's own: 02 07 gives 1241 (hexadecimal), sent as 41 12.
        assert_eq!(crc16(&[0x02, 0x07]), [0x41, 0x12]);
    }
}
