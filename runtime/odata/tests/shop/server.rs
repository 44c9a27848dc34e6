//! A server for the tests, and a client that sees statuses, header fields and bodies as they are.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// A request that takes longer has failed.
const ANSWER_MAX: Duration = Duration::from_secs(20);

/// What was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) bytes: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(field, _)| field == name).map(|(_, value)| value.as_str());
        let first = found.next();
        assert!(found.next().is_none(), "{name} is there twice");
        first
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.bytes.clone()).unwrap()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }
}

/// Where the one server of this process listens.
pub(crate) fn address() -> &'static str {
    static ADDRESS: OnceLock<String> = OnceLock::new();
    ADDRESS.get_or_init(start)
}

/// Runs the server of the example on a thread that ends with the process.
fn start() -> String {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let store = Arc::new(crate::shop::load(crate::shop::SHOP).unwrap());
    std::thread::spawn(move || runtime.block_on(crate::serve::serve(listener, store)));
    address
}

/// The service root.
pub(crate) fn root() -> String {
    format!("http://{}/", address())
}

/// Sends a request; `url` is below the root, with spaces as they are.
pub(crate) fn send(method: &str, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(address()).unwrap();
    stream.set_read_timeout(Some(ANSWER_MAX)).unwrap();
    let mut request = format!("{method} /{} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n", encoded(url), address());
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
    stream.write_all(request.as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    let mut raw = Vec::new();
    stream.read_to_end(&mut raw).unwrap();
    let end = raw.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let head = std::str::from_utf8(&raw[..end]).unwrap();
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers = lines.map(|line| line.split_once(": ").unwrap()).map(|(a, b)| (a.to_owned(), b.to_owned())).collect();
    Answer { status, headers, bytes: raw[end + 4..].to_vec() }
}

fn encoded(url: &str) -> String {
    let plain = |byte: u8| {
        byte.is_ascii_graphic() && !matches!(byte, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}')
    };
    url.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

pub(crate) fn get(url: &str) -> Answer {
    send("GET", url, &[], b"")
}

/// The JSON of a request that is answered with 200.
pub(crate) fn json(url: &str) -> serde_json::Value {
    let answer = get(url);
    assert_eq!(answer.status, 200, "{url}: {}", answer.text());
    answer.json()
}

/// The `Name`s of a collection.
pub(crate) fn names(url: &str) -> Vec<String> {
    let found = json(url);
    let rows = found["value"].as_array().unwrap_or_else(|| panic!("{url}: {found}"));
    rows.iter().map(|row| row["Name"].as_str().unwrap_or_default().to_owned()).collect()
}

/// The key of a product.
pub(crate) fn product(name: &str) -> String {
    let found = json(&format!("Products?$filter=Name eq '{name}'&$select=ID"));
    found["value"][0]["ID"].as_str().unwrap().to_owned()
}
