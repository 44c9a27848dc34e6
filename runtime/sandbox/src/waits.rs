//! How long a WASI guest may wait in one call: the interface `wasi:io/poll` with the same limit as every other host call.
//!
//! It is the only one in which a guest can wait: there is no file, no socket and no standard input, and what is printed is taken at
//! once.

use std::time::Duration;
use wasmtime::Result;
use wasmtime::component::{HasData, Linker, Resource, ResourceTable};
use wasmtime_wasi::p2::DynPollable;
use wasmtime_wasi_io::bindings::wasi::io::poll;

/// The resources of an instance, and how long it may wait for them.
pub(crate) struct Waits<'a> {
    pub(crate) resources: &'a mut ResourceTable,
    pub(crate) limit: Duration,
}

struct HasWaits;

impl HasData for HasWaits {
    type Data<'a> = Waits<'a>;
}

/// Puts the limited interface in the place of the unlimited one.
pub(crate) fn limit_waits<T: Send + 'static>(linker: &mut Linker<T>, waits: fn(&mut T) -> Waits<'_>) -> Result<()> {
    linker.allow_shadowing(true);
    poll::add_to_linker::<T, HasWaits>(linker, waits)?;
    linker.allow_shadowing(false);
    Ok(())
}

async fn within<T>(limit: Duration, wait: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(limit, wait).await.unwrap_or_else(|_| {
        let ms = limit.as_millis();
        Err(wasmtime::format_err!("it waited for more than {ms} ms, the limit of one host call"))
    })
}

impl poll::Host for Waits<'_> {
    async fn poll(&mut self, pollables: Vec<Resource<DynPollable>>) -> Result<Vec<u32>> {
        within(self.limit, poll::Host::poll(self.resources, pollables)).await
    }
}

impl poll::HostPollable for Waits<'_> {
    async fn block(&mut self, pollable: Resource<DynPollable>) -> Result<()> {
        within(self.limit, poll::HostPollable::block(self.resources, pollable)).await
    }

    async fn ready(&mut self, pollable: Resource<DynPollable>) -> Result<bool> {
        poll::HostPollable::ready(self.resources, pollable).await
    }

    fn drop(&mut self, pollable: Resource<DynPollable>) -> Result<()> {
        poll::HostPollable::drop(self.resources, pollable)
    }
}
