//! The one adapter value of an instance, and how the exported functions reach it.
//!
//! Only wasm builds export these; on the host the tests call the same functions through [`crate::testing`].

use crate::{
    Adapter, Batch, Command, Fault, Frame, Listener, Outcome, Poller, Reading, Reply, Request, Responder, Sink,
};
use crate::{Writer, registry};
use std::any::Any;
use std::cell::RefCell;

thread_local! {
    static ADAPTER: RefCell<Option<Box<dyn Any>>> = const { RefCell::new(None) };
}

/// Parses settings and starts an adapter. Their text is gone before the adapter starts: an instance never gives memory back,
/// but uses it again.
pub(crate) fn start<A: Adapter>(text: String) -> Result<A, Fault> {
    let deserializer = &mut serde_json::Deserializer::from_str(&text);
    let settings: A::Settings = serde_path_to_error::deserialize(deserializer).map_err(|error| {
        let path = error.path().to_string();
        let place = if path == "." { "settings".to_owned() } else { format!("settings.{path}") };
        // A line and a column of the JSON that the gateway made are no place in anybody's config.
        let reason = error.inner().to_string();
        let reason = reason.rsplit_once(" at line ").map_or(&*reason, |(reason, _)| reason);
        Fault::reconfigure("bad-settings", format!("{place}: {reason}"))
    })?;
    drop(text);
    let adapter = A::start(settings)?;
    registry::settle(&mut [])?;
    Ok(adapter)
}

pub(crate) fn poll<A: Poller>(adapter: &mut A, group: &str) -> Result<Vec<Reading>, Fault> {
    settled(adapter.poll(group)?)
}

pub(crate) fn receive<A: Listener>(adapter: &mut A, transport: &str, frames: &[Frame]) -> Result<Vec<Reading>, Fault> {
    settled(adapter.receive(transport, frames)?)
}

pub(crate) fn respond<A: Responder>(adapter: &mut A, request: &Request) -> Result<Reply, Fault> {
    let mut reply = adapter.respond(request)?;
    registry::settle(&mut reply.readings)?;
    Ok(reply)
}

fn settled(mut readings: Vec<Reading>) -> Result<Vec<Reading>, Fault> {
    registry::settle(&mut readings)?;
    Ok(readings)
}

/// Gives the started adapter to `body`.
fn with<A: Adapter, T>(body: impl FnOnce(&mut A) -> Result<T, Fault>) -> Result<T, Fault> {
    ADAPTER.with_borrow_mut(|slot| match slot.as_mut().and_then(|adapter| adapter.downcast_mut::<A>()) {
        Some(adapter) => body(adapter),
        None => Err(Fault::retry("not-started", "the host called a role before `start` had succeeded")),
    })
}

/// Writes a panic's message and place to the journal, before the trap ends the instance.
fn report_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let message = panic.payload_as_str().unwrap_or("no message");
        let line = match panic.location() {
            Some(place) => format!("the adapter panicked at {place}: {message}"),
            None => format!("the adapter panicked: {message}"),
        };
        crate::host::log::error(&line);
    }));
}

/// What the exports of an adapter `A` are implemented on. Named by [`crate::export!`] only.
pub struct Exported<A>(std::marker::PhantomData<A>);

mod guests {
    use super::*;
    use crate::bindings;

    impl<A: Adapter> bindings::exports::bulkhead::adapter::adapter::Guest for Exported<A> {
        fn start(settings: String) -> Result<(), Fault> {
            report_panics();
            let adapter = start::<A>(settings)?;
            ADAPTER.set(Some(Box::new(adapter)));
            Ok(())
        }

        fn check() -> Result<String, Fault> {
            with(A::check)
        }

        fn stop() {
            if let Some(mut adapter) = ADAPTER.take().and_then(|adapter| adapter.downcast::<A>().ok()) {
                adapter.stop();
            }
        }
    }

    impl<A: Poller> bindings::poller::exports::bulkhead::adapter::poller::Guest for Exported<A> {
        fn poll(group: String) -> Result<Vec<Reading>, Fault> {
            with(|adapter: &mut A| poll(adapter, &group))
        }
    }

    impl<A: Listener> bindings::listener::exports::bulkhead::adapter::listener::Guest for Exported<A> {
        fn receive(transport: String, frames: Vec<Frame>) -> Result<Vec<Reading>, Fault> {
            with(|adapter: &mut A| receive(adapter, &transport, &frames))
        }
    }

    impl<A: Writer> bindings::writer::exports::bulkhead::adapter::writer::Guest for Exported<A> {
        fn write(commands: Vec<Command>) -> Vec<Result<(), Fault>> {
            with(|adapter: &mut A| Ok(adapter.write_all(&commands)))
                .unwrap_or_else(|fault| commands.iter().map(|_| Err(fault.clone())).collect())
        }
    }

    impl<A: Sink> bindings::sink::exports::bulkhead::adapter::sink::Guest for Exported<A> {
        fn deliver(batch: Batch) -> Result<Outcome, Fault> {
            with(|adapter: &mut A| adapter.deliver(&batch))
        }
    }

    impl<A: Responder> bindings::responder::exports::bulkhead::adapter::responder::Guest for Exported<A> {
        fn respond(request: Request) -> Result<Reply, Fault> {
            with(|adapter: &mut A| respond(adapter, &request))
        }
    }
}

/// Makes a type an adapter component with the roles it names: any of `poller`, `listener`, `writer`, `sink` and
/// `responder`. Roles that are not named are not exported, and the compiler asks for the trait of each that is.
///
/// ```ignore
/// bulkhead_sdk::export!(Thermometer: poller, writer);
/// ```
#[macro_export]
macro_rules! export {
    ($adapter:ident : $($role:ident),+ $(,)?) => {
        #[cfg(target_family = "wasm")]
        #[allow(unsafe_code, reason = "the canonical ABI's exported functions are unsafe code, all of it generated")]
        mod bulkhead_exports {
            type Exported = $crate::Exported<super::$adapter>;
            $crate::bindings::export_adapter!(Exported with_types_in $crate::bindings);
            $($crate::__export_role!($role);)+
        }

        // On the host nothing is exported, but the roles' traits are asked for all the same.
        #[cfg(not(target_family = "wasm"))]
        const _: () = {
            $($crate::__require_role!($role $adapter);)+
        };
    };
}

/// Exports one role. Called by [`export!`].
#[doc(hidden)]
#[macro_export]
macro_rules! __export_role {
    (poller) => { $crate::bindings::poller::export_poller!(Exported with_types_in $crate::bindings::poller); };
    (listener) => { $crate::bindings::listener::export_listener!(Exported with_types_in $crate::bindings::listener); };
    (writer) => { $crate::bindings::writer::export_writer!(Exported with_types_in $crate::bindings::writer); };
    (sink) => { $crate::bindings::sink::export_sink!(Exported with_types_in $crate::bindings::sink); };
    (responder) => {
        $crate::bindings::responder::export_responder!(Exported with_types_in $crate::bindings::responder);
    };
    ($other:ident) => {
        compile_error!(concat!("`", stringify!($other), "` is no role: poller, listener, writer, sink, responder"));
    };
}

/// Asks for the trait of one role. Called by [`export!`].
#[doc(hidden)]
#[macro_export]
macro_rules! __require_role {
    (poller $adapter:ident) => { $crate::__require_role!(@ Poller $adapter); };
    (listener $adapter:ident) => { $crate::__require_role!(@ Listener $adapter); };
    (writer $adapter:ident) => { $crate::__require_role!(@ Writer $adapter); };
    (sink $adapter:ident) => { $crate::__require_role!(@ Sink $adapter); };
    (responder $adapter:ident) => { $crate::__require_role!(@ Responder $adapter); };
    (@ $trait:ident $adapter:ident) => {
        const _: fn() = || {
            fn implements<A: $crate::$trait>() {}
            implements::<$adapter>();
        };
    };
    ($other:ident $adapter:ident) => {
        compile_error!(concat!("`", stringify!($other), "` is no role: poller, listener, writer, sink, responder"));
    };
}
