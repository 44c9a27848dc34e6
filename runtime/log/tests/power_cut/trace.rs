//! What a process did to files, as `strace` wrote it down: calls in the order in which they can be counted on to have
//! happened, each with the lines where it began and ended, so that calls of several threads that overlap are known to.

use std::collections::HashMap;

/// The calls that change files, make them durable, or open and close them.
pub(crate) const CALLS: &str = "openat,open,creat,close,pwrite64,write,pwritev,writev,pwritev2,fsync,fdatasync,\
    sync_file_range,ftruncate,truncate,fallocate,rename,renameat,renameat2,link,linkat,unlink,unlinkat,mkdir,mkdirat,\
    copy_file_range,sendfile";

/// A call that did not fail.
#[derive(Debug)]
pub(crate) struct Call {
    /// The line at which it began.
    pub(crate) began: usize,
    /// The line at which it had ended.
    pub(crate) ended: usize,
    pub(crate) name: String,
    pub(crate) arguments: Vec<Argument>,
    pub(crate) result: i64,
}

/// An argument: a string's bytes, or anything else as it is printed.
#[derive(Clone, Debug)]
pub(crate) enum Argument {
    Bytes(Vec<u8>),
    Word(String),
}

impl Call {
    /// An argument that is a path.
    pub(crate) fn path(&self, at: usize) -> &str {
        std::str::from_utf8(self.bytes(at)).unwrap()
    }

    /// An argument that is a string.
    pub(crate) fn bytes(&self, at: usize) -> &[u8] {
        match &self.arguments[at] {
            Argument::Bytes(bytes) => bytes,
            Argument::Word(word) => panic!("{} has no string at {at}: {word}", self.name),
        }
    }

    /// An argument that is a number.
    pub(crate) fn number(&self, at: usize) -> i64 {
        self.word(at).parse().unwrap_or_else(|_| panic!("{} has no number at {at}: {self:?}", self.name))
    }

    /// An argument that is neither.
    pub(crate) fn word(&self, at: usize) -> &str {
        match &self.arguments[at] {
            Argument::Word(word) => word,
            Argument::Bytes(_) => panic!("{} has a string at {at}", self.name),
        }
    }
}

impl Call {
    /// The line by which it counts: its end; a `close` counts from its beginning, since the kernel gives the descriptor away
    /// before `close` returns, and another thread's `openat` may return with it first.
    fn counts_at(&self) -> usize {
        if self.name == "close" { self.began } else { self.ended }
    }
}

/// The calls of a trace that succeeded, in the order in which they count.
pub(crate) fn parse(trace: &str) -> Vec<Call> {
    let mut begun: HashMap<&str, (usize, &str)> = HashMap::new();
    let mut calls = Vec::new();
    for (number, line) in trace.lines().enumerate() {
        let Some((process, rest)) = line.split_once(' ') else { continue };
        let rest = rest.trim_start();
        if let Some(start) = rest.strip_suffix("<unfinished ...>") {
            begun.insert(process, (number, start));
        } else if let Some(resumed) = rest.strip_prefix("<... ") {
            let (began, start) = begun.remove(process).expect("what is resumed has begun");
            let (_, end) = resumed.split_once("resumed>").unwrap();
            calls.extend(call(&format!("{}{}", start.trim_end(), end), began, number));
        } else if !rest.starts_with("+++") && !rest.starts_with("---") {
            calls.extend(call(rest, number, number));
        }
    }
    calls.sort_by_key(Call::counts_at);
    calls
}

fn call(text: &str, began: usize, ended: usize) -> Option<Call> {
    let (name, rest) = text.split_once('(')?;
    let (inside, result) = rest.rsplit_once(" = ")?;
    let result = result.split_whitespace().next()?;
    let result = match result.strip_prefix("0x") {
        Some(address) => i64::from_str_radix(address, 16).ok()?,
        None => result.parse().ok()?,
    };
    let inside = inside.trim_end().strip_suffix(')')?;
    (result >= 0).then(|| Call { began, ended, name: name.to_owned(), arguments: arguments(inside), result })
}

/// Splits at commas; strings are printed in hexadecimal digits throughout, so a comma is never in one.
fn arguments(inside: &str) -> Vec<Argument> {
    inside.split(',').map(str::trim).map(argument).collect()
}

fn argument(text: &str) -> Argument {
    match text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(hex) => {
            let byte = |digits: &str| u8::from_str_radix(digits, 16).expect("two digits");
            Argument::Bytes(hex.split("\\x").skip(1).map(byte).collect())
        }
        None => {
            assert!(!text.contains("\"..."), "a string is cut short in the trace");
            Argument::Word(text.to_owned())
        }
    }
}

#[test]
fn a_descriptor_that_another_thread_gets_amid_a_close_is_the_new_file_s() {
    let calls = parse(concat!(
        "10 close(7 <unfinished ...>\n",
        "11 openat(AT_FDCWD, \"\\x61\", O_RDWR|O_CREAT, 0644) = 7\n",
        "10 <... close resumed>)              = 0\n",
        "11 fsync(7)                          = 0\n",
    ));
    let names: Vec<&str> = calls.iter().map(|call| call.name.as_str()).collect();
    assert_eq!(names, ["close", "openat", "fsync"]);
}
