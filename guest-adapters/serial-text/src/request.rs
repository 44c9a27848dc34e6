//! Requests as people write them: escapes for bytes that have no key.

use bulkhead_sdk::text::Encoding;

/// The bytes of a request.
///
/// # Errors
/// A sentence that names the escape or the character that is none.
pub(crate) fn bytes(request: &str, encoding: Encoding) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(request.len());
    let mut rest = request.chars();
    while let Some(character) = rest.next() {
        if character == '\\' {
            bytes.push(escape(&mut rest)?);
            continue;
        }
        let encoded = encoding.encode(character.encode_utf8(&mut [0; 4]));
        bytes.extend(encoded.ok_or_else(|| format!("`{character}` is no character of the connection's encoding"))?);
    }
    Ok(bytes)
}

fn escape(rest: &mut std::str::Chars<'_>) -> Result<u8, String> {
    match rest.next() {
        Some('r') => Ok(b'\r'),
        Some('n') => Ok(b'\n'),
        Some('t') => Ok(b'\t'),
        Some('0') => Ok(0),
        Some('\\') => Ok(b'\\'),
        Some('x') => {
            let digits: String = rest.take(2).collect();
            let is_hex = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
            u8::from_str_radix(&digits, 16)
                .ok()
                .filter(|_| is_hex)
                .ok_or_else(|| format!("`\\x{digits}`: expected two hexadecimal digits"))
        }
        Some(other) => Err(format!("`\\{other}` is no escape: expected \\r, \\n, \\t, \\0, \\\\ or \\x05")),
        None => Err("a single `\\` at the end: write `\\\\` for a backslash".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_and_plain_characters_become_bytes() {
        for (request, encoding, expected) in [
            (r"P\r\n", Encoding::Utf8, &b"P\r\n"[..]),
            ("P\r\n", Encoding::Utf8, b"P\r\n"),
            (r"\x05\x1B\0\t\\", Encoding::Utf8, b"\x05\x1b\0\t\\"),
            ("Вес", Encoding::Cp1251, b"\xC2\xE5\xF1"),
        ] {
            assert_eq!(bytes(request, encoding).unwrap(), expected);
        }
    }

    #[test]
    fn what_is_no_escape_is_said() {
        for (request, part) in
            [(r"\q", "no escape"), (r"\x5", "two hexadecimal"), (r"\x+5", "two hexadecimal"), ("\\", "single")]
        {
            assert!(bytes(request, Encoding::Utf8).unwrap_err().contains(part), "{request}");
        }
        assert!(bytes("€", Encoding::Latin1).unwrap_err().contains("`€` is no character"));
    }
}
