//! Custom sections at the top level of a component: reading one, appending one.
//!
//! After the 8-byte header, sections of one byte id, LEB128 length and content follow one another; a custom section has id 0
//! and begins with its name (WebAssembly core specification, section 5.5.3; components have the same). A parser of the whole
//! format is not needed for one section.

/// The last two bytes of the header: layer 1 is a component, layer 0 a core module.
const COMPONENT_LAYER: &[u8] = &[1, 0];

/// The content of the first custom section of this name; none where there is none.
///
/// # Errors
/// In words: what of the bytes is not as a component's are.
pub fn custom_section<'a>(bytes: &'a [u8], wanted: &str) -> Result<Option<&'a [u8]>, String> {
    let mut rest = match bytes.split_at_checked(8) {
        Some((header, rest)) if header.starts_with(b"\0asm") && header.ends_with(COMPONENT_LAYER) => rest,
        Some((header, _)) if header.starts_with(b"\0asm") => {
            return Err("it is a core module: it was compiled, but not made into a component".into());
        }
        _ => return Err("it does not begin as WebAssembly does".into()),
    };
    while let Some((&id, after_id)) = rest.split_first() {
        let (length, content) = read_leb128(after_id).ok_or("a section's length is broken")?;
        let (section, after) = content.split_at_checked(length).ok_or("a section is longer than the file")?;
        if id == 0 {
            let (name_length, name) = read_leb128(section).ok_or("a custom section's name is broken")?;
            let (name, data) = name.split_at_checked(name_length).ok_or("a custom section's name is broken")?;
            if name == wanted.as_bytes() {
                return Ok(Some(data));
            }
        }
        rest = after;
    }
    Ok(None)
}

/// Appends a custom section: it may stand after any other. At most 4 GiB of name and content.
pub fn append_section(component: &mut Vec<u8>, name: &str, content: &[u8]) {
    let mut body = leb128(name.len());
    body.extend_from_slice(name.as_bytes());
    body.extend_from_slice(content);
    component.push(0);
    component.extend(leb128(body.len()));
    component.extend(body);
}

/// An unsigned number in LEB128: seven bits a byte, lowest first, the top bit set on all but the last.
fn leb128(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = (number & 0x7f) as u8;
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

fn read_leb128(bytes: &[u8]) -> Option<(usize, &[u8])> {
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
    fn what_was_appended_is_found_again() {
        let mut bytes = COMPONENT.to_vec();
        append_section(&mut bytes, "ab", b"xyz");
        assert_eq!(bytes[8..], [0, 6, 2, b'a', b'b', b'x', b'y', b'z']);
        let long = vec![7; 100_000];
        append_section(&mut bytes, "long", &long);
        assert_eq!(custom_section(&bytes, "long"), Ok(Some(&long[..])));
        assert_eq!(custom_section(&bytes, "ab"), Ok(Some(&b"xyz"[..])));
    }

    #[test]
    fn numbers_are_written_as_the_specification_shows() {
        assert_eq!(leb128(0), [0]);
        assert_eq!(leb128(128), [0x80, 0x01]);
        assert_eq!(leb128(624_485), [0xe5, 0x8e, 0x26]);
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
