//! Text encodings that devices use, decoded without tables of other languages.

use serde::Deserialize;
use std::borrow::Cow;

/// How a device encodes text.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
pub enum Encoding {
    /// UTF-8.
    #[default]
    #[serde(rename = "utf-8")]
    Utf8,
    /// Windows-1251, Cyrillic.
    #[serde(rename = "cp1251")]
    Cp1251,
    /// ISO 8859-1, Western European: every byte is the code point of the same number.
    #[serde(rename = "latin-1")]
    Latin1,
}

/// Where bytes are not text in their encoding.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Malformed {
    /// Index of the first byte that is wrong.
    pub at: usize,
    /// The byte.
    pub byte: u8,
}

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "byte {:#04x} at position {} is not text", self.byte, self.at)
    }
}

/// The upper half of Windows-1251 (bytes 0x80 to 0xBF); 0xC0 to 0xFF are А to я in order. 0x98 is unassigned.
const CP1251_80_TO_BF: &str = "ЂЃ‚ѓ„…†‡€‰Љ‹ЊЌЋЏђ‘’“”•–—\u{98}™љ›њќћџ\u{A0}ЎўЈ¤Ґ¦§Ё©Є«¬\u{AD}®Ї°±Ііґµ¶·ё№є»јЅѕї";

impl Encoding {
    /// The text that these bytes are. ASCII and UTF-8 are borrowed.
    ///
    /// # Errors
    /// [`Malformed`] where the bytes are not text in this encoding.
    pub fn decode(self, bytes: &[u8]) -> Result<Cow<'_, str>, Malformed> {
        match std::str::from_utf8(bytes) {
            Ok(text) if self == Encoding::Utf8 || text.is_ascii() => return Ok(Cow::Borrowed(text)),
            Err(error) if self == Encoding::Utf8 => {
                let at = error.valid_up_to();
                return Err(Malformed { at, byte: bytes[at] });
            }
            _ => {}
        }
        let characters = bytes.iter().enumerate().map(|(at, &byte)| match self {
            Encoding::Cp1251 => cp1251(byte).ok_or(Malformed { at, byte }),
            Encoding::Utf8 | Encoding::Latin1 => Ok(char::from(byte)),
        });
        characters.collect::<Result<String, Malformed>>().map(Cow::Owned)
    }

    /// The bytes of a text; none where it has a character that this encoding lacks.
    #[must_use]
    pub fn encode(self, text: &str) -> Option<Vec<u8>> {
        match self {
            Encoding::Utf8 => Some(text.as_bytes().to_vec()),
            Encoding::Latin1 => text.chars().map(|character| u8::try_from(u32::from(character)).ok()).collect(),
            Encoding::Cp1251 => text.chars().map(to_cp1251).collect(),
        }
    }
}

fn to_cp1251(character: char) -> Option<u8> {
    (0..=u8::MAX).find(|byte| cp1251(*byte) == Some(character))
}

fn cp1251(byte: u8) -> Option<char> {
    match byte {
        0..=0x7F => Some(char::from(byte)),
        0x98 => None,
        0x80..=0xBF => CP1251_80_TO_BF.chars().nth(usize::from(byte - 0x80)),
        0xC0..=0xFF => char::from_u32(0x0410 + u32::from(byte - 0xC0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_decode_what_devices_send() {
        assert_eq!(Encoding::Utf8.decode("Вес".as_bytes()).unwrap(), "Вес");
        assert_eq!(Encoding::Cp1251.decode(&[0xC2, 0xE5, 0xF1, b':', 0xA8, 0xB9, 0xB0, 0x88]).unwrap(), "Вес:Ё№°€");
        assert_eq!(Encoding::Latin1.decode(&[b'2', b'1', 0xB0, b'C']).unwrap(), "21°C");
    }

    #[test]
    fn bytes_that_are_no_text_are_named() {
        assert_eq!(Encoding::Utf8.decode(b"ab\xff"), Err(Malformed { at: 2, byte: 0xFF }));
        assert_eq!(Encoding::Cp1251.decode(&[0x41, 0x98]), Err(Malformed { at: 1, byte: 0x98 }));
    }

    #[test]
    fn every_byte_that_is_text_comes_back() {
        for encoding in [Encoding::Cp1251, Encoding::Latin1] {
            for byte in 0..=u8::MAX {
                if let Ok(text) = encoding.decode(&[byte]) {
                    assert_eq!(encoding.encode(&text), Some(vec![byte]), "{encoding:?} {byte:#x}");
                }
            }
        }
        assert_eq!(Encoding::Latin1.encode("€"), None);
    }

    #[test]
    fn the_table_of_cp1251_is_whole() {
        assert_eq!(CP1251_80_TO_BF.chars().count(), 0x40);
        assert_eq!(cp1251(0xFF), Some('я'));
        assert_eq!(cp1251(0xBF), Some('ї'));
    }
}
