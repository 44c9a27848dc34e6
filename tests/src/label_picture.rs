//! What a label looks like: ZPL drawn by a renderer that others wrote, its QR code read by a reader that others wrote.

use crate::programs::{node_packages, program};
use crate::wait::within;
use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use std::path::Path;
use std::process::Stdio;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// A picture of a label, in dots.
#[derive(Debug, Deserialize)]
pub struct Picture {
    /// Its width.
    pub width: u32,
    /// Its height.
    pub height: u32,
    /// The columns of the dark dots of each row.
    pub rows: Vec<Vec<u32>>,
    /// The QR code on it, if one can be read.
    pub qr: Option<QrCode>,
}

/// A QR code that was read.
#[derive(Debug, Deserialize)]
pub struct QrCode {
    /// What stands in it.
    pub text: String,
    /// Its upper left corner: x and y.
    pub from: (u32, u32),
    /// Its lower right corner.
    pub to: (u32, u32),
}

impl Picture {
    /// How many dark dots lie between two corners, the second one not included.
    #[must_use]
    pub fn dark(&self, from: (u32, u32), to: (u32, u32)) -> usize {
        let rows = self.rows.iter().zip(0_u32..).filter(|(_, y)| (from.1..to.1).contains(y));
        rows.map(|(row, _)| row.iter().filter(|x| (from.0..to.0).contains(x)).count()).sum()
    }
}

/// Draws a label into a file, and looks at it.
///
/// # Errors
/// Where the packages are missing, or what the renderer says.
pub async fn picture_of(zpl: &str, width_mm: u32, height_mm: u32, dots_per_mm: u32, file: &Path) -> Result<Picture> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/label_picture.cjs");
    let mut node = Command::new(program("node")?);
    node.arg(script).arg(node_packages()?).args([width_mm, height_mm, dots_per_mm].map(|number| number.to_string()));
    node.arg(file).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = node.spawn().context("node cannot be started")?;
    let mut input = child.stdin.take().context("stdin was asked for")?;
    input.write_all(zpl.as_bytes()).await?;
    drop(input);
    let output = within("the renderer to end", child.wait_with_output()).await??;
    ensure!(output.status.success(), "the renderer: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).context("the renderer printed no JSON")
}
