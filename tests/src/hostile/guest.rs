//! Hostile adapters, made from the text format: a core module with the functions of one role, whose bodies a case replaces.
//!
//! The layouts are those of the canonical ABI. A function that returns a result gives the address 1024; what lies there is zero
//! unless its body has written there, which means success with nothing in it. At 1024 the discriminant of the result, at 1028 what
//! it carries: of a list its address and length, of a fault the remedy, then at 1032 and 1036 its code, at 1040 and 1044 its
//! message.

use anyhow::{Context, Result, anyhow};
use std::fmt::Write as _;
use std::path::Path;
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};

/// The role that a hostile adapter has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Poller,
    Listener,
    Writer,
    Sink,
    Responder,
}

impl Role {
    fn world(self) -> &'static str {
        match self {
            Role::Poller => "poller-world",
            Role::Listener => "listener-world",
            Role::Writer => "writer-world",
            Role::Sink => "sink-world",
            Role::Responder => "responder-world",
        }
    }

    /// Interface, function and parameters of its one function.
    fn function(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Role::Poller => ("poller", "poll", "i32 i32"),
            Role::Listener => ("listener", "receive", "i32 i32 i32 i32"),
            Role::Writer => ("writer", "write", "i32 i32"),
            Role::Sink => ("sink", "deliver", "i32 i32 i32 i32 i32 i32 i32 i32"),
            Role::Responder => ("responder", "respond", "i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i64"),
        }
    }
}

/// A hostile adapter, as far as it is not like any other.
#[derive(Debug, Clone)]
pub(super) struct Guest {
    role: Role,
    /// Further WIT: a package `test:more` with a world `hostile` that includes the role's.
    wit: String,
    imports: String,
    items: String,
    memory_pages: u32,
    start: String,
    stop: String,
    body: String,
    realloc: String,
    post_return: Option<String>,
}

/// Endless computing.
pub(super) const SPIN: &str = "(loop $for_ever (br $for_ever))";
/// Says in the journal that the hostile part begins; the harness takes the time from there.
pub(super) const BEGIN: &str = "(call $log (i32.const 1) (i32.const 8) (i32.const 6))";

impl Guest {
    /// An adapter that does nothing wrong.
    pub(super) fn new(role: Role) -> Self {
        Self {
            role,
            wit: String::new(),
            imports: String::new(),
            items: String::new(),
            memory_pages: 2,
            start: String::new(),
            stop: String::new(),
            body: String::new(),
            realloc: String::new(),
            post_return: None,
        }
    }

    /// A poller that does this in each poll, after it has said so.
    pub(super) fn polls(body: &str) -> Self {
        Self::new(Role::Poller).body(body)
    }

    /// What the function of its role does, after it has said so.
    pub(super) fn body(mut self, body: &str) -> Self {
        self.body = format!("{BEGIN} {body}");
        self
    }

    pub(super) fn start(mut self, body: &str) -> Self {
        self.start = body.to_owned();
        self
    }

    pub(super) fn stop(mut self, body: &str) -> Self {
        self.stop = body.to_owned();
        self
    }

    /// What it does before it gives the host memory to put something in.
    pub(super) fn realloc(mut self, body: &str) -> Self {
        self.realloc = body.to_owned();
        self
    }

    pub(super) fn post_return(mut self, body: &str) -> Self {
        self.post_return = Some(body.to_owned());
        self
    }

    /// Imports a function of an interface of the package under a name.
    pub(super) fn import(self, interface: &str, function: &str, name: &str, signature: &str) -> Self {
        self.import_from(&format!("bulkhead:adapter/{interface}@0.1.0"), function, name, signature)
    }

    pub(super) fn import_from(mut self, interface: &str, function: &str, name: &str, signature: &str) -> Self {
        // Writing to a text cannot fail.
        _ = write!(self.imports, "(import \"{interface}\" \"{function}\" (func ${name} {signature}))\n  ");
        self
    }

    /// Further items of the module: globals, tables, data, functions.
    pub(super) fn item(mut self, item: &str) -> Self {
        self.items.push_str(item);
        self.items.push_str("\n  ");
        self
    }

    /// Memory at the start, in pages of 64 KiB.
    pub(super) fn pages(mut self, pages: u32) -> Self {
        self.memory_pages = pages;
        self
    }

    /// Further interfaces: the items of a world `hostile`, and whole packages or interfaces beside it.
    pub(super) fn world(mut self, items: &str, beside: &str) -> Self {
        self.wit = format!(
            "package test:more;\n{beside}\nworld hostile {{ include bulkhead:adapter/{}@0.1.0; {items} }}\n",
            self.role.world()
        );
        self
    }

    /// Further packages of the WIT.
    pub(super) fn beside(mut self, packages: &str) -> Self {
        self.wit.push_str(packages);
        self
    }

    /// The component, as the file of an adapter has it.
    ///
    /// # Errors
    /// Where the text is no module, or the module does not fit the WIT.
    pub(super) fn component(&self) -> Result<Vec<u8>> {
        let mut resolve = wit_parser::Resolve::default();
        let wit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit");
        let (mut package, _) = resolve.push_dir(&wit).with_context(|| format!("{} cannot be read", wit.display()))?;
        let mut world = self.role.world();
        if !self.wit.is_empty() {
            package = resolve.push_str("more.wit", &self.wit)?;
            world = "hostile";
        }
        let world = resolve.select_world(&[package], Some(world))?;
        let text = self.module();
        let mut module = wat::parse_str(&text).map_err(|error| anyhow!("{error}\n{text}"))?;
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)?;
        ComponentEncoder::default().module(&module)?.validate(true).encode()
    }

    fn module(&self) -> String {
        let Self { imports, items, memory_pages, start, stop, body, realloc, .. } = self;
        let (interface, function, parameters) = self.role.function();
        let post_return = self.post_return.as_ref().map_or_else(String::new, |body| {
            format!("(func $cabi_post (export \"cabi_post_bulkhead:adapter/{interface}@0.1.0#{function}\") (param i32) {body})")
        });
        format!(
            r#"(module
  (import "bulkhead:adapter/log@0.1.0" "write" (func $log (param i32 i32 i32)))
  {imports}
  (memory (export "memory") {memory_pages})
  (data (i32.const 8) "begins")
  (global $top (mut i32) (i32.const 65536))
  {items}
  (func $realloc (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (local $at i32)
    {realloc}
    (local.set $at (i32.and (i32.add (global.get $top) (i32.const 7)) (i32.const -8)))
    (global.set $top (i32.add (local.get $at) (local.get 3)))
    ;; What was handed over before is not looked at any more.
    (if (i32.gt_u (global.get $top) (i32.const 130000))
      (then (local.set $at (i32.const 65536)) (global.set $top (i32.add (i32.const 65536) (local.get 3)))))
    (local.get $at))
  (func $start (export "bulkhead:adapter/adapter@0.1.0#start") (param i32 i32) (result i32) (local $i i32) {start} (i32.const 1024))
  (func (export "bulkhead:adapter/adapter@0.1.0#check") (result i32) (i32.const 1024))
  (func $stop (export "bulkhead:adapter/adapter@0.1.0#stop") {stop})
  (func ${function} (export "bulkhead:adapter/{interface}@0.1.0#{function}") (param {parameters}) (result i32) (local $i i32) (local $j i64)
    {body}
    (i32.const 1024))
  {post_return})"#
        )
    }
}

/// The bytes of a text with what is not a plain letter escaped, for a `data` item.
pub(super) fn bytes(text: &[u8]) -> String {
    text.iter().fold(String::new(), |mut escaped, byte| {
        // Writing to a text cannot fail.
        _ = write!(escaped, "\\{byte:02x}");
        escaped
    })
}
