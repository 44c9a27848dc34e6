//! Finds the programs and folders that tests need. What is missing is named, with the command that brings it.

use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};

/// The command that prepares everything and runs the tests.
const HOW: &str = "run `cargo xtask test`, which prepares everything the tests need";

/// The folder with the adapters' `.wasm` files: `BULKHEAD_ADAPTERS`, or `target/adapters` of the checkout.
///
/// # Errors
/// Where it holds no adapter.
pub fn adapters() -> Result<PathBuf> {
    let folder = std::env::var_os("BULKHEAD_ADAPTERS").map_or_else(|| root().join("target/adapters"), PathBuf::from);
    ensure!(
        folder.join("modbus-registers.wasm").is_file(),
        "{} holds no adapters: build them with `cargo xtask build-adapters`, or {HOW}",
        folder.display()
    );
    Ok(folder)
}

/// The gateway: `BULKHEAD_GATEWAY`, or `bulkhead` beside the running test.
///
/// # Errors
/// Where there is none.
pub fn gateway_binary() -> Result<PathBuf> {
    if let Some(given) = std::env::var_os("BULKHEAD_GATEWAY") {
        let path = PathBuf::from(given);
        ensure!(path.is_file(), "BULKHEAD_GATEWAY says {}, but there is no such file: {HOW}", path.display());
        return Ok(path);
    }
    let test = std::env::current_exe().context("the running test has no path")?;
    // target/debug/deps/end_to_end-0123… and target/debug/bulkhead
    let beside = test.ancestors().skip(1).take(2).map(|folder| folder.join("bulkhead")).find(|path| path.is_file());
    beside.with_context(|| {
        format!("there is no gateway beside {}: build it with `cargo build -p bulkhead`, or {HOW}", test.display())
    })
}

/// Where compiled adapters are kept between tests, so that only the first test of all compiles them.
pub(crate) fn compiled_adapters() -> Result<PathBuf> {
    let gateway = gateway_binary()?;
    let target = gateway.ancestors().nth(2).unwrap_or(Path::new("/tmp"));
    let folder = target.join("tmp/compiled-adapters");
    std::fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    Ok(folder)
}

/// The Python with the packages of the tests: in `BULKHEAD_VENV`, or `target/venv` of the checkout.
pub(crate) fn python() -> Result<PathBuf> {
    let folder = std::env::var_os("BULKHEAD_VENV").map_or_else(|| root().join("target/venv"), PathBuf::from);
    let python = folder.join("bin/python");
    ensure!(
        python.exists(),
        "this test needs pymodbus in {}: run `cargo xtask test --only needs`, or {HOW}",
        folder.display()
    );
    Ok(python)
}

/// The folder with npm's packages of the tests: `BULKHEAD_NODE`, or `target/node` of the checkout.
pub(crate) fn node_packages() -> Result<PathBuf> {
    let folder = std::env::var_os("BULKHEAD_NODE").map_or_else(|| root().join("target/node"), PathBuf::from);
    ensure!(
        folder.join("node_modules/zpl-renderer-js").is_dir(),
        "this test needs npm's zpl-renderer-js in {}: run `cargo xtask test --only needs`, or {HOW}",
        folder.display()
    );
    Ok(folder)
}

/// A program of the system.
///
/// # Errors
/// Names it where it is not installed.
pub fn program(name: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Debian keeps mosquitto where only root looks.
    let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from));
    let found = folders.map(|folder| folder.join(name)).find(|path| path.is_file());
    found.with_context(|| format!("this test needs the program `{name}`, which is not installed: {HOW}"))
}

/// The library that lets a process see another time.
///
/// # Errors
/// Where it is not installed.
pub fn faketime_library() -> Result<PathBuf> {
    let triplets = std::fs::read_dir("/usr/lib").context("no /usr/lib")?.filter_map(|entry| Some(entry.ok()?.path()));
    let found = triplets.map(|folder| folder.join("faketime/libfaketime.so.1")).find(|path| path.is_file());
    found.with_context(|| format!("this test needs the library libfaketime, which is not installed: {HOW}"))
}

/// The root of the checkout.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests' crate lies in the checkout").to_path_buf()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_missing_program_is_named() {
        let error = super::program("no-such-program-anywhere").unwrap_err().to_string();
        assert!(error.contains("`no-such-program-anywhere`") && error.contains("cargo xtask test"), "{error}");
    }
}
