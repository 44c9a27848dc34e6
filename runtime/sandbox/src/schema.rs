//! An adapter file's own JSON Schema of its settings, read without compiling the component.

use crate::error::SandboxError;
use crate::limits::ADAPTER_FILE_MAX_BYTES;
use crate::precompiled::component_hash;
use std::io::Read;
use std::path::Path;

/// The custom section of a component that holds the JSON Schema of its settings.
const SETTINGS_SCHEMA_SECTION: &str = "bulkhead:settings-schema";
/// The last two bytes of the header: layer 1 is a component, layer 0 a core module.
const COMPONENT_LAYER: &[u8] = &[1, 0];

/// The schema in an adapter file; none where the adapter carries none.
///
/// # Errors
/// The file is absent, too long, not a WebAssembly component, or its schema is not JSON.
pub fn settings_schema(path: &Path) -> Result<Option<serde_json::Value>, SandboxError> {
    let bytes = read_adapter_file(path)?;
    settings_schema_in(&bytes).map_err(|cause| SandboxError::NotAComponent { path: path.to_owned(), cause })
}

/// The schema in the bytes of an adapter file, as [`settings_schema`].
///
/// # Errors
/// In words: what of the bytes is not as a component's are.
pub fn settings_schema_in(bytes: &[u8]) -> Result<Option<serde_json::Value>, String> {
    let Some(json) = custom_section(bytes, SETTINGS_SCHEMA_SECTION)? else { return Ok(None) };
    let schema = serde_json::from_slice(json);
    schema.map(Some).map_err(|error| format!("its section {SETTINGS_SCHEMA_SECTION} is not JSON: {error}"))
}

/// The SHA-256 of an adapter file in hexadecimal, as [`Adapter::hash`](crate::Adapter::hash) of one loaded from it.
///
/// # Errors
/// The file is absent or too long.
pub fn adapter_hash(path: &Path) -> Result<String, SandboxError> {
    read_adapter_file(path).map(|bytes| component_hash(&bytes))
}

/// The bytes of an adapter file, read once: whatever becomes of the file, these are the ones that are hashed and compiled.
pub(crate) fn read_adapter_file(path: &Path) -> Result<Vec<u8>, SandboxError> {
    let unreadable = |cause| SandboxError::Unreadable { path: path.to_owned(), cause };
    let too_large = |bytes| SandboxError::TooLarge { path: path.to_owned(), bytes, limit: ADAPTER_FILE_MAX_BYTES };
    let metadata = std::fs::metadata(path).map_err(unreadable)?;
    if !metadata.is_file() {
        let cause = std::io::Error::new(std::io::ErrorKind::InvalidInput, "it is no regular file");
        return Err(unreadable(cause));
    }
    if metadata.len() > ADAPTER_FILE_MAX_BYTES {
        return Err(too_large(metadata.len()));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or_default());
    let file = std::fs::File::open(path).map_err(unreadable)?;
    // It may have grown meanwhile.
    file.take(ADAPTER_FILE_MAX_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    match bytes.len() as u64 > ADAPTER_FILE_MAX_BYTES {
        true => Err(too_large(bytes.len() as u64)),
        false => Ok(bytes),
    }
}

/// The content of a custom section at the top level of a component: after the 8-byte header, sections of one byte
/// id, LEB128 length and content follow one another; a custom section has id 0 and begins with its name.
fn custom_section<'a>(bytes: &'a [u8], wanted: &str) -> Result<Option<&'a [u8]>, String> {
    let mut rest = match bytes.split_at_checked(8) {
        Some((header, rest)) if header.starts_with(b"\0asm") && header.ends_with(COMPONENT_LAYER) => rest,
        Some((header, _)) if header.starts_with(b"\0asm") => {
            return Err("it is a core module: it was compiled, but not made into a component".into());
        }
        _ => return Err("it does not begin as WebAssembly does".into()),
    };
    while let Some((&id, after_id)) = rest.split_first() {
        let (length, content) = leb128(after_id).ok_or("a section's length is broken")?;
        let (section, after) = content.split_at_checked(length).ok_or("a section is longer than the file")?;
        if id == 0 {
            let (name_length, name) = leb128(section).ok_or("a custom section's name is broken")?;
            let (name, data) = name.split_at_checked(name_length).ok_or("a custom section's name is broken")?;
            if name == wanted.as_bytes() {
                return Ok(Some(data));
            }
        }
        rest = after;
    }
    Ok(None)
}

fn leb128(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0usize;
    for (index, byte) in bytes.iter().enumerate().take(5) {
        value |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((value, &bytes[index + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

    #[test]
    fn a_section_is_found_by_its_name_among_others() {
        let mut bytes = COMPONENT.to_vec();
        bytes.extend(b"\x07\x01x\x00\x03\x01ayy\x00\x05\x02bcde");
        assert_eq!(custom_section(&bytes, "bc"), Err("a section is longer than the file".into()));
        let mut bytes = COMPONENT.to_vec();
        bytes.extend(b"\x07\x01x\x00\x04\x01ayy\x00\x05\x02bcde");
        assert_eq!(custom_section(&bytes, "bc"), Ok(Some(&b"de"[..])));
        assert_eq!(custom_section(&bytes, "none"), Ok(None));
    }

    #[test]
    fn torn_files_are_errors_not_panics() {
        for bytes in
            [&b""[..], b"\0asm", b"not wasm at all", b"\0asm\x01\0\0\0", b"\0asm\x0d\0\x01\0\x00\xff\xff\xff\xff\xff"]
        {
            assert!(custom_section(bytes, "x").is_err());
        }
    }
}
