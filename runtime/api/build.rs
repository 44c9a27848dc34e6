//! Packs what the pages of `/docs` need into the binary: Swagger UI, out of the archive that a crate brings, and the API's
//! document. Each becomes one gzip member, which goes to browsers as it is.

use flate2::read::DeflateDecoder;
use std::error::Error;
use std::io::Read;
use std::num::NonZeroU64;
use std::path::Path;
use std::{env, fs};
use utoipa_swagger_ui_vendored::SWAGGER_UI_VENDORED;

/// Files of Swagger UI, by the ends of their paths in the archive, below its one folder.
const ASSETS: [(&str, &str); 4] = [
    ("/dist/swagger-ui-bundle.js", "swagger-ui-bundle.js"),
    ("/dist/swagger-ui.css", "swagger-ui.css"),
    ("/LICENSE", "LICENSE"),
    ("/NOTICE", "NOTICE"),
];
/// More rounds take longer and gain a thousandth.
const ROUNDS: zopfli::Options = zopfli::Options {
    iteration_count: NonZeroU64::new(5).unwrap(),
    iterations_without_improvement: NonZeroU64::MAX,
    maximum_block_splits: 15,
};
const DOCUMENT: &str = "../../docs/openapi.json";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed={DOCUMENT}");
    let out = env::var("OUT_DIR")?;
    let document: serde_json::Value = serde_json::from_slice(&fs::read(DOCUMENT)?)?;
    pack(document.to_string().as_bytes(), &Path::new(&out).join("openapi.json.gz"))?;
    for (path, name) in ASSETS {
        let content = unzipped(SWAGGER_UI_VENDORED, path).ok_or(format!("Swagger UI's archive has no whole {path}"))?;
        pack(&content, &Path::new(&out).join(format!("{name}.gz")))?;
    }
    Ok(())
}

/// Writes a file packed, unless it is there already: packing well takes seconds.
fn pack(content: &[u8], to: &Path) -> Result<(), Box<dyn Error>> {
    let stamp = to.with_extension("source");
    if to.exists() && fs::read(&stamp).is_ok_and(|before| before == content) {
        return Ok(());
    }
    let mut packed = Vec::new();
    zopfli::compress(ROUNDS, zopfli::Format::Gzip, content, &mut packed)?;
    fs::write(to, packed)?;
    Ok(fs::write(stamp, content)?)
}

/// A deflated file of a zip archive (APPNOTE 4.3), found in its directory by what its path is below the first folder. None: it is
/// not there, or not as long as the directory says.
fn unzipped(archive: &[u8], wanted: &str) -> Option<Vec<u8>> {
    let number = |at: usize, bytes: usize| -> Option<usize> {
        let digits = archive.get(at..at.checked_add(bytes)?)?;
        Some(digits.iter().rev().fold(0, |number, digit| number << 8 | usize::from(*digit)))
    };
    // The end of the directory: behind it only a comment.
    let end = archive.windows(4).rposition(|window| window == b"PK\x05\x06")?;
    let (entries, mut at) = (number(end + 10, 2)?, number(end + 16, 4)?);
    for _ in 0..entries {
        let (packed, length, name) = (number(at + 20, 4)?, number(at + 24, 4)?, number(at + 28, 2)?);
        let path = archive.get(at + 46..at + 46 + name)?;
        let below = path.iter().position(|byte| *byte == b'/').map(|slash| &path[slash..]);
        if below == Some(wanted.as_bytes()) {
            let header = number(at + 42, 4)?;
            let begin = header + 30 + number(header + 26, 2)? + number(header + 28, 2)?;
            let stored = archive.get(begin..begin + packed)?;
            let mut content = Vec::new();
            match number(at + 10, 2)? {
                0 => content.extend(stored),
                _ => _ = DeflateDecoder::new(stored).read_to_end(&mut content).ok()?,
            }
            return (content.len() == length).then_some(content);
        }
        at += 46 + name + number(at + 30, 2)? + number(at + 32, 2)?;
    }
    None
}
