//! What an adapter exports, whichever version of the WIT package it is made for: where its functions are, and how they are called.
//! An adapter is of one version as a whole.

use crate::bindings::exports::bulkhead::adapter as current;
use crate::capability::Fault;
use crate::host::HostState;
#[cfg(feature = "wit-next")]
use crate::next;
use crate::{adapter::Role, wit};
use wasmtime::component::{Instance, InstancePre};
use wasmtime::{Result, Store};

/// A version of the WIT package that this gateway runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Version {
    /// The version in use.
    Current,
    /// The draft of the one to come.
    #[cfg(feature = "wit-next")]
    Next,
}

impl Version {
    /// Those that are offered.
    pub(crate) const ALL: &[Version] = &[
        Version::Current,
        #[cfg(feature = "wit-next")]
        Version::Next,
    ];

    /// As it stands behind the `@` of an interface's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Version::Current => "0.1.0",
            #[cfg(feature = "wit-next")]
            Version::Next => "0.2.0-draft",
        }
    }

    /// Whether it has a role: a draft has not all of them.
    pub(crate) fn has(self, role: Role) -> bool {
        match self {
            Version::Current => Role::ALL.contains(&role),
            #[cfg(feature = "wit-next")]
            Version::Next => role == Role::Poller,
        }
    }
}

/// Where the functions are that every adapter exports.
pub(crate) enum AdapterIndices {
    Current(current::adapter::GuestIndices),
    #[cfg(feature = "wit-next")]
    Next(next::exports::adapter::GuestIndices),
}

impl AdapterIndices {
    pub(crate) fn find(pre: &InstancePre<HostState>, version: Version) -> Result<Self> {
        match version {
            Version::Current => current::adapter::GuestIndices::new(pre).map(Self::Current),
            #[cfg(feature = "wit-next")]
            Version::Next => next::exports::adapter::GuestIndices::new(pre).map(Self::Next),
        }
    }

    pub(crate) fn load(&self, store: &mut Store<HostState>, instance: &Instance) -> Result<AdapterExport> {
        match self {
            Self::Current(indices) => indices.load(store, instance).map(AdapterExport::Current),
            #[cfg(feature = "wit-next")]
            Self::Next(indices) => indices.load(store, instance).map(next::AdapterExport).map(AdapterExport::Next),
        }
    }
}

/// What every adapter exports.
pub(crate) enum AdapterExport {
    Current(current::adapter::Guest),
    #[cfg(feature = "wit-next")]
    Next(next::AdapterExport),
}

impl AdapterExport {
    pub(crate) async fn call_start(&self, store: &mut Store<HostState>, settings: &str) -> Result<Result<(), Fault>> {
        match self {
            Self::Current(adapter) => adapter.call_start(store, settings).await,
            #[cfg(feature = "wit-next")]
            Self::Next(adapter) => adapter.start(store, settings).await,
        }
    }

    pub(crate) async fn call_check(&self, store: &mut Store<HostState>) -> Result<Result<String, Fault>> {
        match self {
            Self::Current(adapter) => adapter.call_check(store).await,
            #[cfg(feature = "wit-next")]
            Self::Next(adapter) => adapter.check(store).await,
        }
    }

    pub(crate) async fn call_stop(&self, store: &mut Store<HostState>) -> Result<()> {
        match self {
            Self::Current(adapter) => adapter.call_stop(store).await,
            #[cfg(feature = "wit-next")]
            Self::Next(adapter) => adapter.stop(store).await,
        }
    }
}

/// Where a poller's function is.
pub(crate) enum PollerIndices {
    Current(current::poller::GuestIndices),
    #[cfg(feature = "wit-next")]
    Next(next::exports::poller::GuestIndices),
}

impl PollerIndices {
    pub(crate) fn find(pre: &InstancePre<HostState>, version: Version) -> Result<Self> {
        match version {
            Version::Current => current::poller::GuestIndices::new(pre).map(Self::Current),
            #[cfg(feature = "wit-next")]
            Version::Next => next::exports::poller::GuestIndices::new(pre).map(Self::Next),
        }
    }

    pub(crate) fn load(&self, store: &mut Store<HostState>, instance: &Instance) -> Result<PollerExport> {
        match self {
            Self::Current(indices) => indices.load(store, instance).map(PollerExport::Current),
            #[cfg(feature = "wit-next")]
            Self::Next(indices) => indices.load(store, instance).map(next::PollerExport).map(PollerExport::Next),
        }
    }
}

/// A poller.
#[derive(Clone)]
pub(crate) enum PollerExport {
    Current(current::poller::Guest),
    #[cfg(feature = "wit-next")]
    Next(next::PollerExport),
}

impl PollerExport {
    pub(crate) async fn call_poll(
        &self,
        store: &mut Store<HostState>,
        group: &str,
    ) -> Result<Result<Vec<wit::Reading>, Fault>> {
        match self {
            Self::Current(poller) => poller.call_poll(store, group).await,
            #[cfg(feature = "wit-next")]
            Self::Next(poller) => poller.poll(store, group).await,
        }
    }
}
