//! API keys as texts: `bk_<id>_<secret>`. The id is shown in lists; of the secret only a digest is kept. The secret has 256
//! random bits, so a plain digest is as good as a slow one: there is nothing to guess.

use super::random;
use crate::error::ApiError;
use sha2::{Digest, Sha256};

/// What every key begins with, so that one that leaked is recognised.
pub(crate) const PREFIX: &str = "bk_";
/// Random bytes of an id; it is not secret.
const ID_BYTES: usize = 4;
/// Random bytes of a secret.
const SECRET_BYTES: usize = 32;

/// A new key: its id and the whole text, which is shown once.
pub(crate) fn make() -> Result<(String, String), ApiError> {
    let id = random::hex(&random::bytes::<ID_BYTES>()?);
    let text = format!("{PREFIX}{id}_{}", random::text::<SECRET_BYTES>()?);
    Ok((id, text))
}

/// The id of a text that looks like a key.
pub(crate) fn id_of(text: &str) -> Option<&str> {
    let (id, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
    let is_id = id.len() == 2 * ID_BYTES && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    (is_id && !secret.is_empty()).then_some(id)
}

/// What is kept of a key.
pub(crate) fn digest(text: &str) -> String {
    random::hex(&Sha256::digest(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_its_id_and_no_two_are_alike() {
        let (id, text) = make().unwrap();
        assert_eq!(id_of(&text), Some(id.as_str()));
        assert!(text.len() > 40 && !digest(&text).contains(&text[12..]));
        assert_ne!(make().unwrap().1, text);
        for none in ["", "bk_", "bk_12_x", "bk_1234567g_x", "bk_12345678_", "12345678_x", "bk_12345678"] {
            assert_eq!(id_of(none), None, "{none}");
        }
    }
}
