//! Asking for what is not granted. Each guest hands the refusal on as its own fault; were it let through, it would trap.

use crate::hostile::case::{Case, Expect, File, Grants};
use crate::hostile::guest::{Guest, bytes};

/// A call whose result lies at 1024, and a trap where that is a success.
pub(super) fn or_trap(call: &str) -> String {
    format!("{call} (if (i32.eqz (i32.load8_u (i32.const 1024))) (then unreachable))")
}

/// A guest that makes this call in each poll and hands the refusal on.
pub(super) fn told(guest: Guest, call: &str) -> Guest {
    guest.body(&or_trap(call))
}

const DEVICE: &str = r#"(data (i32.const 200) "device")"#;

/// A guest that reads or writes one span of its device under a role.
fn modbus(role: &str, data: &str, body: &str) -> Guest {
    Guest::polls(body)
        .import("modbus", "read", "read", "(param i32 i32 i32 i32 i32)")
        .import("modbus", "write", "write", "(param i32 i32 i32 i32 i32)")
        .item(&format!(r#"(data (i32.const 200) "{role}") (data (i32.const 256) "{data}")"#))
}

/// Hands the first fault of a read's spans on.
const SPAN_FAULT: &str = "
  (call $read (i32.const 200) (i32.const 6) (i32.const 256) (i32.const 1) (i32.const 1024))
  (if (i32.eqz (i32.load8_u (i32.const 1024)))
    (then
      (if (i32.eqz (i32.load (i32.const 1040))) (then unreachable))
      (memory.copy (i32.const 1028) (i32.add (i32.load (i32.const 1036)) (i32.const 4)) (i32.const 28))
      (i32.store8 (i32.const 1024) (i32.const 1))))";

/// Hands the fault of a write's first change on.
const CHANGE_FAULT: &str = "
  (call $write (i32.const 200) (i32.const 6) (i32.const 256) (i32.const 1) (i32.const 2048))
  (memory.copy (i32.const 1024) (i32.load (i32.const 2048)) (i32.const 32))
  (if (i32.eqz (i32.load8_u (i32.const 1024))) (then unreachable))";

/// A guest that sends one request: method, path, one header.
fn http(method: &str, path: &str, header: (&str, &str)) -> Guest {
    let text = |at: u32, text: &str| format!(r#"(data (i32.const {at}) "{}") "#, bytes(text.as_bytes()));
    let has_header = u32::from(!header.0.is_empty());
    let call = format!(
        "(call $request (i32.const 200) (i32.const 6) (i32.const 256) (i32.const {}) (i32.const 2048) (i32.const {})
                        (i32.const 272) (i32.const {has_header}) (i32.const 0) (i32.const 0) (i32.const 1024))",
        method.len(),
        path.len()
    );
    let fields = format!(
        "(i32.store (i32.const 272) (i32.const 3072)) (i32.store (i32.const 276) (i32.const {}))
         (i32.store (i32.const 280) (i32.const 3584)) (i32.store (i32.const 284) (i32.const {}))",
        header.0.len(),
        header.1.len()
    );
    Guest::polls(&format!("{fields} {}", or_trap(&call)))
        .import("http", "request", "request", "(param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)")
        .item(DEVICE)
        .item(&(text(256, method) + &text(2048, path) + &text(3072, header.0) + &text(3584, header.1)))
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = device_cases();
    cases.extend(http_cases());
    cases
}

fn device_cases() -> Vec<Case> {
    let case = |name, guest, grants, code| Case::new(7, name, File::Guest(guest), Expect::Told { code }).grants(grants);
    let read = or_trap("(call $read (i32.const 200) (i32.const 6) (i32.const 256) (i32.const 1) (i32.const 1024))");
    let publish = or_trap(
        "(call $publish (i32.const 200) (i32.const 6) (i32.const 256) (i32.const 5) (i32.const 0) (i32.const 0)
                        (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 1024))",
    );
    let granted = "allow_read = [\"holding-register:0-9\"]\nallow_write = [\"holding-register:0-9\"]";
    // Table, address and words of a change: one word at 300.
    let change = r"\03\00\14\00\2c\01\00\00\01\00\00\00";
    vec![
        case(
            "reads a transport that it does not have",
            modbus("secret", r"\03\00\01\00\01\00", &read),
            Grants::Modbus(""),
            "no-such-transport",
        ),
        case(
            "reads a register out of its grant",
            modbus("device", r"\03\00\14\00\01\00", SPAN_FAULT),
            Grants::Modbus(granted),
            "not-granted",
        ),
        case(
            "reads a span that leaves its grant",
            modbus("device", r"\03\00\09\00\02\00", SPAN_FAULT),
            Grants::Modbus(granted),
            "not-granted",
        ),
        case(
            "reads a table out of its grant",
            modbus("device", r"\00\00\01\00\01\00", SPAN_FAULT),
            Grants::Modbus(granted),
            "not-granted",
        ),
        case(
            "writes a register out of its grant",
            modbus("device", change, CHANGE_FAULT),
            Grants::Modbus(granted),
            "not-granted",
        ),
        case(
            "writes where nothing may be written",
            modbus("device", change, CHANGE_FAULT),
            Grants::Modbus(""),
            "not-granted",
        ),
        case(
            "publishes on a topic out of its grant",
            Guest::polls(&publish)
                .import("mqtt", "publish", "publish", "(param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)")
                .item(DEVICE)
                .item(r#"(data (i32.const 256) "bad/x")"#),
            Grants::Mqtt,
            "not-granted",
        ),
    ]
}

fn http_cases() -> Vec<Case> {
    let case = |name, guest, grants, code| Case::new(7, name, File::Guest(guest), Expect::Told { code }).grants(grants);
    const NONE: (&str, &str) = ("", "");
    let local = |keys| Grants::Http("http://127.0.0.1:{port}/api", keys);
    let get = |path| http("GET", path, NONE);
    let orders = "allow_paths = [\"/orders\"]";
    vec![
        case("climbs out of its URL with `..`", get("/../secret"), local(""), "not-granted"),
        case("climbs out of it with encoded dots", get("/%2e%2e/secret"), local(""), "not-granted"),
        case("climbs out of it with encoded slashes", get("/a%2f..%2f..%2fsecret"), local(""), "not-granted"),
        case("names another host with `//`", get("//evil.example/x"), local(""), "not-granted"),
        case("names another host with `@`", get("@evil.example/x"), local(""), "not-granted"),
        case("names another host with a whole URL", get("http://evil.example/x"), local(""), "not-granted"),
        case("asks for a path out of its grant", get("/invoices"), local(orders), "not-granted"),
        case("asks for a path that only begins like one", get("/orders-secret"), local(orders), "not-granted"),
        case(
            "hides the end of its path in an encoded slash",
            get("/orders%2f..%2finvoices"),
            local(orders),
            "not-granted",
        ),
        case("uses a method out of its grant", http("POST", "/orders", NONE), local(""), "not-granted"),
        case(
            "uses a method that no server knows",
            http("CONNECT", "/orders", NONE),
            local("allow_methods = [\"GET\"]"),
            "not-granted",
        ),
        case(
            "puts a line break into a header",
            http("GET", "/x", ("x-a", "1\r\nhost: evil.example")),
            local(""),
            "bad-request",
        ),
        case(
            "sets the header that names the host",
            http("GET", "/x", ("Host", "evil.example")),
            local(""),
            "not-granted",
        ),
        case("is redirected to another host", get("/x"), Grants::Redirecting("http://evil.example/x"), "not-granted"),
        case(
            "is redirected to another port",
            get("/x"),
            Grants::Redirecting("http://127.0.0.1:1/api/x"),
            "not-granted",
        ),
        case(
            "is redirected out of its URL",
            get("/x"),
            Grants::Redirecting("http://127.0.0.1:{port}/secret"),
            "not-granted",
        ),
        case(
            "is redirected to a decimal address",
            get("/x"),
            Grants::Redirecting("http://2852039166/latest"),
            "not-granted",
        ),
        case(
            "is redirected to a mapped address",
            get("/x"),
            Grants::Redirecting("http://[::ffff:169.254.169.254]/latest"),
            "not-granted",
        ),
        case(
            "asks a name that leads to this machine",
            get("/x"),
            Grants::Http("http://localhost:{port}/api", ""),
            "not-granted",
        ),
    ]
}
