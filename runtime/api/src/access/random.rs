//! Random texts: keys, sessions and the like, from the operating system.

use crate::error::ApiError;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Random bytes.
pub(crate) fn bytes<const N: usize>() -> Result<[u8; N], ApiError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| ApiError::Random { reason: error.to_string() })?;
    Ok(bytes)
}

/// `N` random bytes as text: letters, digits, `-` and `_`.
pub(crate) fn text<const N: usize>() -> Result<String, ApiError> {
    bytes::<N>().map(|bytes| URL_SAFE_NO_PAD.encode(bytes))
}

/// Bytes as small hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
