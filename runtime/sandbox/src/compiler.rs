//! Compiling an adapter: in this process, or in a child with limits of its own, so that a component made to exhaust the
//! compiler costs the child and the memory that compiling takes is gone with it.
//!
//! The child is the gateway's own program. It reads the component from stdin and writes machine code to stdout; it opens
//! no file, has no environment and ends with its parent. What it could not do it says in one line on stderr, with exit
//! code 1; any other end is its limits' doing.

use crate::error::SandboxError;
use crate::limits::MESSAGE_MAX_BYTES;
use crate::limits::{ADAPTER_FILE_MAX_BYTES, COMPILE_MAX, COMPILE_MEMORY_MAX_BYTES, MACHINE_CODE_MAX_BYTES};
use crate::sandbox::{CodeKind, engine_config};
use crate::text::tidy;
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;
use wasmtime::Engine;

/// The child's exit code for a component that it refuses.
const REFUSED: i32 = 1;

/// What compiles adapters.
#[derive(Debug, Clone, Default)]
pub enum Compiler {
    /// This process: for tests and tools that load what they built themselves.
    #[default]
    InProcess,
    /// A child process a component, which calls [`compile_adapter`].
    Child {
        /// The program.
        program: PathBuf,
        /// Its arguments.
        arguments: Vec<OsString>,
        /// Longest time it may take.
        time_max: Duration,
    },
}

impl Compiler {
    /// A child of the program that runs now, started with these arguments, within the usual time.
    #[must_use]
    pub fn this_program(arguments: &[&str]) -> Self {
        // The link leads to the program that runs even after an upgrade has put another at its path.
        let program = PathBuf::from("/proc/self/exe");
        let arguments = arguments.iter().map(OsString::from).collect();
        Self::Child { program, arguments, time_max: COMPILE_MAX }
    }

    /// The machine code of a component. `path` is for the error.
    pub(crate) fn compile(&self, engine: &Engine, path: &Path, bytes: &[u8]) -> Result<Vec<u8>, SandboxError> {
        match self {
            Self::InProcess => engine.precompile_component(bytes).map_err(|error| refused(path, format!("{error:#}"))),
            Self::Child { program, arguments, time_max } => {
                let failed = |error: io::Error| not_compiled(path, format!("its compiler cannot be run: {error}"));
                let child = start(program, arguments).map_err(failed)?;
                let ended = converse(child, bytes, *time_max).map_err(failed)?;
                ended.judge(path, *time_max)
            }
        }
    }
}

fn refused(path: &Path, cause: String) -> SandboxError {
    SandboxError::NotAComponent { path: path.to_owned(), cause }
}

fn not_compiled(path: &Path, cause: String) -> SandboxError {
    SandboxError::NotCompiled { path: path.to_owned(), cause }
}

fn start(program: &Path, arguments: &[OsString]) -> io::Result<Child> {
    let mut command = Command::new(program);
    command.args(arguments).env_clear().stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn()
}

/// How a child ended. No status: it took too long.
struct Ended {
    status: Option<ExitStatus>,
    code: Vec<u8>,
    message: String,
}

impl Ended {
    fn judge(self, path: &Path, time_max: Duration) -> Result<Vec<u8>, SandboxError> {
        let Self { status, code, mut message } = self;
        tidy(&mut message, MESSAGE_MAX_BYTES);
        match status {
            None => Err(not_compiled(path, format!("compiling it took longer than {} s", time_max.as_secs_f32()))),
            Some(status) if status.success() && code.len() as u64 > MACHINE_CODE_MAX_BYTES => {
                Err(not_compiled(path, format!("its machine code has more than {MACHINE_CODE_MAX_BYTES} bytes")))
            }
            Some(status) if status.success() => Ok(code),
            Some(status) if status.code() == Some(REFUSED) => Err(refused(path, message)),
            Some(status) => {
                let cause = format!(
                    "its compiler ended with {status}, which is what running out of its {} MiB of memory looks like: \
                     {message}",
                    COMPILE_MEMORY_MAX_BYTES >> 20
                );
                Err(not_compiled(path, cause))
            }
        }
    }
}

/// Hands the component over and takes the code, for as long as the child may take.
fn converse(mut child: Child, bytes: &[u8], time_max: Duration) -> io::Result<Ended> {
    let code = collect(child.stdout.take(), MACHINE_CODE_MAX_BYTES + 1)?;
    let message = collect(child.stderr.take(), MESSAGE_MAX_BYTES as u64 + 1)?;
    let stdin = child.stdin.take();
    std::thread::scope(|scope| {
        // A child that ends before it has read all says why on stderr; one that never reads is ended below.
        scope.spawn(|| stdin.map(|mut stdin| stdin.write_all(bytes)));
        let code = match code.recv_timeout(time_max) {
            Ok(code) => code,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                child.kill()?;
                child.wait()?;
                return Ok(Ended { status: None, code: Vec::new(), message: String::new() });
            }
        };
        let status = Some(child.wait()?);
        let message = message.recv_timeout(time_max).unwrap_or_else(|_| Ok(Vec::new()))?;
        let message = String::from_utf8_lossy(&message);
        // Programs put this before what they complain of; here it becomes part of a sentence.
        let message = message.trim().trim_start_matches("error: ").to_owned();
        Ok(Ended { status, code: code?, message })
    })
}

/// Reads a pipe to its end in a thread of its own; what goes beyond `max` is left in it.
fn collect(pipe: Option<impl Read + Send + 'static>, max: u64) -> io::Result<Receiver<io::Result<Vec<u8>>>> {
    let (sender, receiver) = sync_channel(1);
    let read = move || {
        let mut bytes = Vec::new();
        let outcome = pipe.map_or(Ok(0), |pipe| pipe.take(max).read_to_end(&mut bytes));
        // Whoever waited may have given up.
        _ = sender.send(outcome.map(|_| bytes));
    };
    std::thread::Builder::new().name("adapter-compiler".into()).spawn(read)?;
    Ok(receiver)
}

/// The child's part: limits itself, reads a component from stdin and writes its machine code to stdout.
///
/// # Errors
/// In words, for stderr: what is wrong with the component, or what the operating system refuses.
pub fn compile_adapter(code: CodeKind) -> Result<(), String> {
    limit_this_process().map_err(|error| format!("the compiler cannot limit itself: {error}"))?;
    let mut bytes = Vec::new();
    let read = io::stdin().take(ADAPTER_FILE_MAX_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(|error| format!("the compiler cannot read: {error}"))?;
    let config = engine_config(code).map_err(|error| error.to_string())?;
    let compile = || Engine::new(&config)?.precompile_component(&bytes);
    let code = compile().map_err(|error: wasmtime::Error| format!("{error:#}"))?;
    io::stdout().write_all(&code).map_err(|error| format!("the compiler cannot write: {error}"))
}

fn limit_this_process() -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, Signal, set_parent_process_death_signal, setrlimit};
    set_parent_process_death_signal(Some(Signal::KILL))?;
    for (resource, most) in [
        (Resource::As, COMPILE_MEMORY_MAX_BYTES),
        (Resource::Core, 0),
        (Resource::Fsize, 0),
        // More than the time its parent gives it on every core it may have: for when the parent is stopped.
        (Resource::Cpu, COMPILE_MAX.as_secs().saturating_mul(16)),
    ] {
        setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of a child that runs this in a shell.
    fn compile(script: &str, time_max: Duration) -> Result<Vec<u8>, String> {
        let arguments = ["-c", script].map(OsString::from).to_vec();
        let compiler = Compiler::Child { program: "/bin/sh".into(), arguments, time_max };
        let engine = Engine::new(&engine_config(CodeKind::Native).unwrap()).unwrap();
        // More than a pipe holds: a child that does not read must hold nobody up.
        compiler.compile(&engine, Path::new("press.wasm"), &vec![7; 1 << 20]).map_err(|error| error.to_string())
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn the_code_of_a_child_that_ends_well_is_taken() {
        assert_eq!(compile("cat >/dev/null; printf code", LONG), Ok(b"code".to_vec()));
    }

    #[test]
    fn a_refusal_is_the_components_fault_and_says_why() {
        let error = compile("echo 'unknown section 99' >&2; exit 1", LONG).unwrap_err();
        assert!(error.contains("press.wasm is not a WebAssembly component") && error.contains("unknown section 99"));
    }

    #[test]
    fn a_child_that_is_killed_or_takes_too_long_is_told_apart_from_a_wrong_component() {
        let killed = compile("kill -9 $$", LONG).unwrap_err();
        assert!(killed.contains("press.wasm was not compiled") && killed.contains("signal: 9"), "{killed}");
        let late = compile("exec sleep 1000", Duration::from_millis(200)).unwrap_err();
        assert!(late.contains("took longer than 0.2 s"), "{late}");
    }

    #[test]
    fn a_compiler_that_is_not_there_is_named() {
        let program = PathBuf::from("/nowhere/bulkhead");
        let compiler = Compiler::Child { program, arguments: Vec::new(), time_max: LONG };
        let engine = Engine::new(&engine_config(CodeKind::Native).unwrap()).unwrap();
        let error = compiler.compile(&engine, Path::new("press.wasm"), &[]).unwrap_err();
        assert!(error.to_string().contains("its compiler cannot be run"), "{error}");
    }
}
