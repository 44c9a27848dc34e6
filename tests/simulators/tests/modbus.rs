//! The Modbus devices over real sockets and pseudo-terminals: by hand, byte by byte, and with `mbpoll`.

#![allow(clippy::unwrap_used, reason = "the helpers of tests may panic like the tests")]

use bulkhead_simulators::{
    Pty,
    modbus::{
        Bank, BankLayout, DEFAULT_SILENT_INTERVAL, Device, Fault, FaultRule, Generator, RtuDevice, Signal, Table,
        WordOrder, crc16,
    },
};
use std::{future::Future, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, unix::pipe},
    process::Command,
    time::timeout,
};

const PATIENCE: Duration = Duration::from_secs(20);

async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what} took longer than {PATIENCE:?}"))
}

/// A read of `count` holding registers from `address` of unit 1.
fn read_request(transaction: u16, address: u16, count: u16) -> Vec<u8> {
    let [a, b, c, d] = [address.to_be_bytes(), count.to_be_bytes()].concat().try_into().unwrap();
    [&transaction.to_be_bytes()[..], &[0, 0, 0, 6, 1, 3, a, b, c, d]].concat()
}

async fn read_frame(stream: &mut TcpStream) -> Vec<u8> {
    soon("an answer", async {
        let mut frame = vec![0; 6];
        stream.read_exact(&mut frame).await.unwrap();
        let mut rest = vec![0; usize::from(u16::from_be_bytes([frame[4], frame[5]]))];
        stream.read_exact(&mut rest).await.unwrap();
        [frame, rest].concat()
    })
    .await
}

async fn device() -> (Device, Bank) {
    let bank = Bank::new(BankLayout::uniform(200).holding([0..100, 110..200]));
    bank.set(Table::HoldingRegister, 7, &[0x1234, 0x5678]).unwrap();
    let device = Device::builder().unit(1, bank.clone()).start().await.unwrap();
    (device, bank)
}

#[tokio::test]
async fn pipelined_and_torn_requests_are_answered_in_order() {
    let (device, bank) = device().await;
    bank.count_reads(Table::HoldingRegister);
    let mut stream = TcpStream::connect(device.address()).await.unwrap();
    let requests: Vec<u8> = (0..500).flat_map(|transaction| read_request(transaction, 7, 2)).collect();
    for piece in requests.chunks(1001) {
        stream.write_all(piece).await.unwrap();
    }
    for transaction in 0..500_u16 {
        let expected = [&transaction.to_be_bytes()[..], &[0, 0, 0, 7, 1, 3, 4, 0x12, 0x34, 0x56, 0x78]].concat();
        assert_eq!(read_frame(&mut stream).await, expected);
    }
    soon("counting", device.counters().wait_until(|counters| counters.requests() == 500)).await;
    assert_eq!((device.counters().registers_read(), device.counters().connections()), (1000, 1));
    assert_eq!(bank.reads(Table::HoldingRegister)[6..10], [0, 500, 500, 0]);
}

#[tokio::test]
async fn holes_and_absent_units_are_refused() {
    let (device, _bank) = device().await;
    let mut stream = TcpStream::connect(device.address()).await.unwrap();
    stream.write_all(&read_request(1, 95, 20)).await.unwrap();
    assert_eq!(read_frame(&mut stream).await, [0, 1, 0, 0, 0, 3, 1, 0x83, 2]);
    let mut other_unit = read_request(2, 0, 1);
    other_unit[6] = 9;
    stream.write_all(&other_unit).await.unwrap();
    assert_eq!(read_frame(&mut stream).await, [0, 2, 0, 0, 0, 3, 9, 0x83, 11]);
    assert_eq!(device.counters().exceptions(), 2);
}

#[tokio::test]
async fn faults_befall_the_requests_they_name() {
    let (device, _bank) = device().await;
    let right = |transaction: u8| vec![0, transaction, 0, 0, 0, 5, 1, 3, 2, 0x12, 0x34];
    let mut stream = TcpStream::connect(device.address()).await.unwrap();
    for (fault, expected) in [
        (Fault::WrongTransaction, vec![0, 6, 0, 0, 0, 5, 1, 3, 2, 0x12, 0x34]),
        (Fault::WrongUnit, vec![0, 5, 0, 0, 0, 5, 2, 3, 2, 0x12, 0x34]),
        (Fault::WrongFunction, vec![0, 5, 0, 0, 0, 5, 1, 2, 2, 0x12, 0x34]),
        (Fault::Exception(6), vec![0, 5, 0, 0, 0, 3, 1, 0x83, 6]),
        (Fault::Delay(Duration::from_millis(1)), right(5)),
    ] {
        device.faults().next(fault, 1);
        stream.write_all(&read_request(5, 7, 1)).await.unwrap();
        assert_eq!(read_frame(&mut stream).await, expected, "{fault:?}");
    }
    // Late: the answer to 6 comes after that to 7. Dropped: that to 8 never comes.
    device.faults().next(Fault::Late(Duration::from_millis(50)), 1);
    device.faults().add(FaultRule { times: Some(1), addresses: Some(8..=8), ..Fault::DropAnswer.into() });
    for (transaction, address) in [(6, 7), (7, 7), (8, 8), (9, 7)] {
        stream.write_all(&read_request(transaction, address, 1)).await.unwrap();
    }
    for transaction in [7, 9, 6] {
        assert_eq!(read_frame(&mut stream).await, right(transaction));
    }
}

#[tokio::test]
async fn torn_garbled_and_closed() {
    let (device, _bank) = device().await;
    for (fault, expected) in [(Fault::Torn, vec![0, 5, 0, 0, 0]), (Fault::Close, vec![])] {
        let mut stream = TcpStream::connect(device.address()).await.unwrap();
        device.faults().next(fault, 1);
        stream.write_all(&read_request(5, 7, 1)).await.unwrap();
        let mut got = Vec::new();
        soon("the close", stream.read_to_end(&mut got)).await.unwrap();
        assert_eq!(got, expected, "{fault:?}");
    }
    let mut stream = TcpStream::connect(device.address()).await.unwrap();
    device.faults().next(Fault::Garbage, 1);
    stream.write_all(&read_request(5, 7, 1)).await.unwrap();
    let mut got = [0; 11];
    soon("garbage", stream.read_exact(&mut got)).await.unwrap();
    assert_eq!(got[2..4], [0xFF, 0xFF]);
    // What is no Modbus closes the connection and is counted.
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut rest = Vec::new();
    let _ = soon("the close", stream.read_to_end(&mut rest)).await;
    soon("counting", device.counters().wait_until(|counters| counters.bad_frames() == 1)).await;
}

#[tokio::test]
async fn it_can_be_stopped_and_comes_back_on_the_same_port() {
    let (mut device, bank) = device().await;
    let address = device.address();
    let mut stream = TcpStream::connect(address).await.unwrap();
    soon("accepting", device.counters().wait_until(|counters| counters.open_connections() == 1)).await;
    device.stop().await;
    assert_eq!(soon("the close", stream.read(&mut [0; 1])).await.unwrap_or(0), 0);
    assert!(TcpStream::connect(address).await.is_err());
    device.restart().await.unwrap();
    bank.set(Table::HoldingRegister, 7, &[99]).unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(&read_request(1, 7, 1)).await.unwrap();
    assert_eq!(read_frame(&mut stream).await[9..], [0, 99]);
    device.disconnect_all();
    assert_eq!(soon("the close", stream.read(&mut [0; 1])).await.unwrap_or(0), 0);
    TcpStream::connect(address).await.unwrap();
    drop(device);
    soon("the end", async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn signals_move() {
    let bank = Bank::new(BankLayout::uniform(10));
    let (table, order) = (Table::HoldingRegister, WordOrder::Abcd);
    let signals = vec![
        Signal::Counter { table, address: 0, count: 3 },
        Signal::Sine { table, address: 4, order, offset: 5.0, amplitude: 1.0, period: Duration::from_millis(100) },
    ];
    let mut generator = Generator::start(bank.clone(), Duration::from_millis(1), signals).unwrap();
    let words = soon("counting", bank.wait_for(table, 0, 3, |words| words[0] >= 5)).await.unwrap();
    assert_eq!(words, [words[0]; 3]);
    soon("a wave", bank.wait_for(table, 4, 2, |words| words != order.words(5.0_f32.to_be_bytes()))).await.unwrap();
    generator.stop().await;
    let signals = vec![Signal::Counter { table, address: 9, count: 2 }];
    assert!(Generator::start(bank, Duration::from_millis(1), signals).is_err());
}

async fn mbpoll(arguments: &[&str]) -> String {
    let output = Command::new("mbpoll").args(arguments).kill_on_drop(true).output();
    let output = soon("mbpoll", output).await.expect("this test needs the tool `mbpoll`: install it");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "mbpoll {arguments:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

#[tokio::test]
async fn mbpoll_reads_and_writes_over_tcp() {
    let (device, bank) = device().await;
    let port = device.address().port().to_string();
    let common = ["-m", "tcp", "-p", &port, "-a", "1", "-0", "-1"];
    let text = mbpoll(&[&common[..], &["-r", "7", "-c", "2", "-t", "4:hex", "127.0.0.1"]].concat()).await;
    assert!(text.contains("[7]: \t0x1234") && text.contains("[8]: \t0x5678"), "{text}");
    mbpoll(&[&common[..7], &["-r", "20", "-t", "4", "127.0.0.1", "11", "22", "33"]].concat()).await;
    assert_eq!(bank.get(Table::HoldingRegister, 20, 3).unwrap(), [11, 22, 33]);
    mbpoll(&[&common[..7], &["-r", "3", "-t", "0", "127.0.0.1", "1", "0", "1"]].concat()).await;
    assert_eq!(bank.get(Table::Coil, 3, 3).unwrap(), [1, 0, 1]);
}

#[tokio::test]
async fn mbpoll_reads_and_writes_over_a_serial_line() {
    let bank = Bank::new(BankLayout::uniform(200));
    bank.set(Table::InputRegister, 7, &[0x1234, 0x5678]).unwrap();
    let pty = Pty::open().unwrap();
    let device = RtuDevice::serve(pty.master, [(5, bank.clone())], DEFAULT_SILENT_INTERVAL);
    let path = pty.path.to_str().unwrap();
    let common = ["-m", "rtu", "-b", "19200", "-P", "none", "-a", "5", "-0", "-o", "5"];
    let text = mbpoll(&[&common[..], &["-1", "-r", "7", "-c", "2", "-t", "3:hex", path]].concat()).await;
    assert!(text.contains("[7]: \t0x1234") && text.contains("[8]: \t0x5678"), "{text}");
    mbpoll(&[&common[..], &["-r", "20", "-t", "4", path, "11", "22"]].concat()).await;
    assert_eq!(bank.get(Table::HoldingRegister, 20, 2).unwrap(), [11, 22]);
    assert!(device.counters().requests() >= 2);
}

#[tokio::test]
async fn an_rtu_device_keeps_silent_about_what_is_not_for_it() {
    let bank = Bank::new(BankLayout::uniform(200));
    let pty = Pty::open().unwrap();
    let mut line = pipe::OpenOptions::new().unchecked(true).open_sender(&pty.path).unwrap();
    let mut answers = pipe::OpenOptions::new().unchecked(true).open_receiver(&pty.path).unwrap();
    let device = RtuDevice::serve(pty.master, [(5, bank.clone())], DEFAULT_SILENT_INTERVAL);
    let counters = device.counters().clone();
    let framed = |body: &[u8]| [body, &crc16(body)].concat();
    // A wrong checksum, counted; then a broadcast, carried out and not answered.
    line.write_all(&[5, 3, 0, 0, 0, 1, 0, 0]).await.unwrap();
    soon("counting", counters.wait_until(|counters| counters.bad_frames() == 1)).await;
    line.write_all(&framed(&[0, 6, 0, 9, 0, 77])).await.unwrap();
    soon("the broadcast", bank.wait_for(Table::HoldingRegister, 9, 1, |words| words == [77])).await.unwrap();
    soon("counting", counters.wait_until(|counters| counters.registers_written() == 1 && counters.requests() == 1))
        .await;
    // A torn answer, then a whole one: nothing else was on the line.
    let expected = framed(&[5, 3, 2, 0, 77]);
    device.faults().next(Fault::Torn, 1);
    let mut torn = vec![0; expected.len() / 2];
    line.write_all(&framed(&[5, 3, 0, 9, 0, 1])).await.unwrap();
    soon("half an answer", answers.read_exact(&mut torn)).await.unwrap();
    assert_eq!(torn, expected[..expected.len() / 2]);
    let mut whole = vec![0; expected.len()];
    line.write_all(&framed(&[5, 3, 0, 9, 0, 1])).await.unwrap();
    soon("an answer", answers.read_exact(&mut whole)).await.unwrap();
    assert_eq!(whole, expected);
}
