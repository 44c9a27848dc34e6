//! The wasmtime engine with its settings, the linker with every capability, and the ticking that lets neighbours run.

use crate::adapter::Adapter;
use crate::bindings::EveryRole;
use crate::compiler::Compiler;
use crate::error::SandboxError;
use crate::host::HostState;
use crate::limits::{EPOCH_TICK, GUEST_STACK_BYTES};
use crate::precompiled::{Cache, load_machine_code};
use crate::waits::limit_waits;
use bulkhead_bundle::Trust;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use wasmtime::component::{Component, HasSelf, Linker};
use wasmtime::{Config, Engine};

/// How the code of adapters is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CodeKind {
    /// As machine code of this processor.
    #[default]
    Native,
    /// By wasmtime's interpreter Pulley, on any processor.
    Pulley,
}

impl From<bool> for CodeKind {
    /// Pulley where it is true.
    fn from(is_pulley: bool) -> Self {
        if is_pulley { CodeKind::Pulley } else { CodeKind::Native }
    }
}

/// Settings of the sandbox as a whole.
#[derive(Debug, Clone, Default)]
pub struct SandboxConfig {
    /// Where compiled components are kept; none: compiled anew at each start.
    pub cache_dir: Option<PathBuf>,
    /// What compiles adapters.
    pub compiler: Compiler,
    /// Which adapters may be loaded: judged before any byte of them is parsed.
    pub trust: Trust,
    /// How their code is run.
    pub code: CodeKind,
}

impl SandboxConfig {
    /// Sets the sandbox up and starts its ticking thread, which ends with the last clone of the sandbox.
    ///
    /// # Errors
    /// [`SandboxError::Setup`] where wasmtime does not run on this machine.
    pub fn build(self) -> Result<Sandbox, SandboxError> {
        let setup = |error: wasmtime::Error| SandboxError::Setup(format!("{error:#}"));
        let engine = Engine::new(&engine_config(self.code)?).map_err(setup)?;
        let mut linker = Linker::new(&engine);
        EveryRole::add_to_linker::<_, HasSelf<HostState>>(&mut linker, |state| state).map_err(setup)?;
        #[cfg(feature = "wit-next")]
        crate::next::EveryRole::add_to_linker::<_, HasSelf<HostState>>(&mut linker, |state| state).map_err(setup)?;
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).map_err(setup)?;
        limit_waits(&mut linker, HostState::waits).map_err(setup)?;
        let cache = self.cache_dir.map(Cache::new);
        let compiler = self.compiler;
        let trust = self.trust;
        let inner =
            Inner { engine, linker, cache, compiler, trust, loaded: Mutex::default(), compiling: Mutex::default() };
        start_ticking(&inner.engine)?;
        Ok(Sandbox { inner: Arc::new(inner) })
    }
}

/// Loads adapters. Cheap to clone.
#[derive(Clone)]
pub struct Sandbox {
    inner: Arc<Inner>,
}

/// One adapter's place: locked while it is being loaded, empty again when its last connection has gone.
type Slot = Arc<Mutex<Weak<Adapter>>>;

struct Inner {
    engine: Engine,
    linker: Linker<HostState>,
    cache: Option<Cache>,
    compiler: Compiler,
    trust: Trust,
    /// Adapters in use, by name and hash: connections with the same adapter share its code. Whoever wants one that is
    /// being loaded waits for it. Bounded by the adapters of the config.
    loaded: Mutex<HashMap<(String, String), Slot>>,
    /// One adapter is compiled at a time: compiling takes tens of MB.
    compiling: Mutex<()>,
}

impl Sandbox {
    /// Loads an adapter from its file: reads, judges, compiles (or takes from the cache), finds its roles and checks that all it
    /// imports is on offer. One that is in use already is shared. Takes tenths of a second where it compiles: call it off
    /// the async threads.
    ///
    /// # Errors
    /// Any [`SandboxError`] but `Setup` and `NotGranted`.
    pub fn load(&self, name: &str, path: &Path) -> Result<Arc<Adapter>, SandboxError> {
        let (bytes, vouched) = self.inner.trust.read(name, path)?;
        let hash = vouched.sha256;
        let slot = self.slot(name, &hash);
        let mut shared = slot.lock();
        if let Some(adapter) = shared.upgrade() {
            return Ok(adapter);
        }
        let component = self.component(path, &bytes, &hash)?;
        let adapter = Arc::new(Adapter::link(name, hash, &component, &self.inner.linker)?);
        *shared = Arc::downgrade(&adapter);
        Ok(adapter)
    }

    /// Where an adapter is shared. Places of those that nobody uses any more are cleared away.
    fn slot(&self, name: &str, hash: &str) -> Arc<Mutex<Weak<Adapter>>> {
        let mut loaded = self.inner.loaded.lock();
        loaded.retain(|_, slot| Arc::strong_count(slot) > 1 || slot.lock().strong_count() > 0);
        loaded.entry((name.to_owned(), hash.to_owned())).or_default().clone()
    }

    /// The component of these bytes: from the cache, or compiled.
    fn component(&self, path: &Path, bytes: &[u8], hash: &str) -> Result<Component, SandboxError> {
        let Inner { engine, cache, compiler, .. } = &*self.inner;
        if let Some(component) = cache.as_ref().and_then(|cache| cache.find(engine, hash)) {
            return Ok(component);
        }
        let _alone = self.inner.compiling.lock();
        tracing::info!(adapter = %path.display(), "compiling an adapter; the next start finds it in the cache");
        let code = compiler.compile(engine, path, bytes)?;
        if let Some(cache) = cache {
            cache.keep(engine, hash, &code);
        }
        let component = load_machine_code(engine, &code);
        drop(code);
        crate::memory::give_back();
        component.map_err(|error| SandboxError::NotAComponent { path: path.to_owned(), cause: format!("{error:#}") })
    }
}

/// The target whose code Pulley runs on this machine.
const PULLEY: &str = match (cfg!(target_pointer_width = "64"), cfg!(target_endian = "little")) {
    (true, true) => "pulley64",
    (true, false) => "pulley64be",
    (false, true) => "pulley32",
    (false, false) => "pulley32be",
};

/// The settings of every engine: code compiled under others is not taken.
pub(crate) fn engine_config(code: CodeKind) -> Result<Config, SandboxError> {
    let mut config = Config::new();
    if code == CodeKind::Pulley {
        config.target(PULLEY).map_err(|error| SandboxError::Setup(format!("{error:#}")))?;
    }
    config
        .concurrency_support(false)
        .epoch_interruption(true)
        .wasm_component_model(true)
        .max_wasm_stack(GUEST_STACK_BYTES)
        .async_stack_size(2 * GUEST_STACK_BYTES);
    Ok(config)
}

/// Advances the epoch so that computing guests yield. A plain thread: a guest that keeps every async thread busy must not
/// keep the tick from coming.
fn start_ticking(engine: &Engine) -> Result<(), SandboxError> {
    let engine = engine.weak();
    let tick = move || {
        while let Some(engine) = engine.upgrade() {
            engine.increment_epoch();
            drop(engine);
            std::thread::sleep(EPOCH_TICK);
        }
    };
    std::thread::Builder::new()
        .name("guest-tick".into())
        .spawn(tick)
        .map(drop)
        .map_err(|error| SandboxError::Setup(format!("the ticking thread cannot be started: {error}")))
}
