//! Passwords: what is kept of one (Argon2id, RFC 9106) and how one is verified, off the async threads and few at a time,
//! because each verification takes memory and time on purpose.

use super::random;
use crate::error::ApiError;
use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use std::sync::Arc;
use std::time::Duration;
use subtle::ConstantTimeEq;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Memory of one verification in KiB, its passes and lanes: of the settings that OWASP's Password Storage Cheat Sheet calls
/// equally strong, the one with the least memory, for machines that have little.
pub(crate) const ARGON2_MEMORY_KIB: u32 = 7 * 1024;
/// Passes over that memory.
pub(crate) const ARGON2_PASSES: u32 = 5;
/// Lanes.
pub(crate) const ARGON2_LANES: u32 = 1;
/// Random bytes that make equal passwords look different.
const SALT_BYTES: usize = 16;
/// Bytes of what is kept.
const HASH_BYTES: usize = 32;
/// Most memory and passes that a stored hash may ask for: a file that was made elsewhere does not fill the memory.
const STORED_MEMORY_MAX_KIB: u32 = 64 * 1024;
/// Most passes that a stored hash may ask for.
const STORED_PASSES_MAX: u32 = 16;
/// Fewest characters of a new password.
pub(crate) const PASSWORD_MIN_CHARS: usize = 8;
/// Most bytes of a password; more is not even looked at.
pub(crate) const PASSWORD_MAX_BYTES: usize = 1024;
/// Verifications at the same time.
pub(crate) const VERIFICATIONS_MAX: usize = 1;
/// Longest wait of a request for its turn.
pub(crate) const VERIFICATION_WAIT_MAX: Duration = Duration::from_secs(5);

/// What is kept of a password, in the form other programs write it: `$argon2id$v=19$m=…,t=…,p=…$salt$hash`.
pub(crate) fn hash(password: &str) -> Result<String, ApiError> {
    let salt = random::bytes::<SALT_BYTES>()?;
    let settings = (ARGON2_MEMORY_KIB, ARGON2_PASSES, ARGON2_LANES);
    let hash = derive(password, &salt, settings).ok_or_else(|| ApiError::Random { reason: "Argon2 failed".into() })?;
    let (memory, passes, lanes) = settings;
    let (salt, hash) = (STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(hash));
    Ok(format!("$argon2id$v=19$m={memory},t={passes},p={lanes}${salt}${hash}"))
}

/// Whether it is the password of which this is kept. Takes tens of milliseconds.
pub(crate) fn is_right(password: &str, stored: &str) -> bool {
    let Some(stored) = Stored::parse(stored) else { return false };
    password.len() <= PASSWORD_MAX_BYTES
        && derive(password, &stored.salt, stored.settings)
            .is_some_and(|hash| bool::from(hash.as_slice().ct_eq(&stored.hash)))
}

fn derive(password: &str, salt: &[u8], (memory, passes, lanes): (u32, u32, u32)) -> Option<[u8; HASH_BYTES]> {
    let params = Params::new(memory, passes, lanes, Some(HASH_BYTES)).ok()?;
    let mut hash = [0; HASH_BYTES];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(password.as_bytes(), salt, &mut hash)
        .ok()?;
    Some(hash)
}

struct Stored {
    settings: (u32, u32, u32),
    salt: Vec<u8>,
    hash: Vec<u8>,
}

impl Stored {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('$');
        let ["", "argon2id", "v=19", settings, salt, hash] = std::array::from_fn(|_| parts.next().unwrap_or("?"))
        else {
            return None;
        };
        let mut numbers =
            settings.split(',').zip(["m=", "t=", "p="]).map(|(part, name)| part.strip_prefix(name)?.parse().ok());
        let settings = (numbers.next()??, numbers.next()??, numbers.next()??);
        let is_bounded = settings.0 <= STORED_MEMORY_MAX_KIB && settings.1 <= STORED_PASSES_MAX && settings.2 <= 4;
        let (salt, hash) = (STANDARD_NO_PAD.decode(salt).ok()?, STANDARD_NO_PAD.decode(hash).ok()?);
        (is_bounded && parts.next().is_none()).then_some(Self { settings, salt, hash })
    }
}

/// Verifies passwords, few at a time.
pub(crate) struct Verifier {
    turns: Arc<Semaphore>,
}

/// There was no turn in time.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NoTurn;

impl Default for Verifier {
    fn default() -> Self {
        Self { turns: Arc::new(Semaphore::new(VERIFICATIONS_MAX)) }
    }
}

/// Somebody's turn to have a password verified; it ends when it is dropped and nothing is being computed for it.
pub(crate) struct Turn(Arc<OwnedSemaphorePermit>);

impl Verifier {
    /// Waits for a turn.
    pub(crate) async fn turn(&self) -> Result<Turn, NoTurn> {
        let turn = tokio::time::timeout(VERIFICATION_WAIT_MAX, Arc::clone(&self.turns).acquire_owned()).await;
        turn.map_err(|_| NoTurn)?.map(|turn| Turn(Arc::new(turn))).map_err(|_| NoTurn)
    }
}

impl Turn {
    /// Whether it is the password of which `stored` is kept. Without `stored` (there is no such user) it takes as long, and
    /// the answer is no.
    pub(crate) async fn verify(&self, password: String, stored: Option<String>) -> bool {
        // Whoever gives up waiting for the answer has not made room for another computation.
        let turn = Arc::clone(&self.0);
        let work = move || {
            let right = match stored {
                Some(stored) => is_right(&password, &stored),
                None => derive(&password, &[0; SALT_BYTES], (ARGON2_MEMORY_KIB, ARGON2_PASSES, ARGON2_LANES))
                    .is_none_or(|_| false),
            };
            drop(turn);
            right
        };
        // A task that cannot be run verifies nothing.
        tokio::task::spawn_blocking(work).await.unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_password_fits_what_is_kept_of_it() {
        let kept = hash("correct horse").unwrap();
        assert!(kept.starts_with("$argon2id$v=19$m=7168,t=5,p=1$") && !kept.contains("horse"), "{kept}");
        assert!(is_right("correct horse", &kept));
        assert!(!is_right("correct hors", &kept) && !is_right("", &kept));
        assert_ne!(hash("correct horse").unwrap(), kept, "every one has a salt of its own");
    }

    #[test]
    fn what_is_no_hash_of_ours_fits_nothing() {
        for stored in [
            "",
            "x",
            "$argon2i$v=19$m=7168,t=5,p=1$c2FsdHNhbHQ$aGFzaA",
            "$argon2id$v=19$m=4000000,t=5,p=1$c2FsdHNhbHQ$aGFzaA",
            "$argon2id$v=19$m=7168,t=5,p=1$c2FsdHNhbHQ$",
            "$argon2id$v=19$m=7168,t=5,p=1$c2FsdHNhbHQ$aGFzaA$more",
        ] {
            assert!(!is_right("", stored), "{stored}");
        }
        assert!(Stored::parse("$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$aGFzaA").is_some());
    }

    #[tokio::test]
    async fn nobody_is_let_in_whose_name_is_not_known() {
        let verifier = Verifier::default();
        let turn = verifier.turn().await.unwrap();
        assert!(!turn.verify("anything".into(), None).await);
        let kept = hash("anything").unwrap();
        assert!(turn.verify("anything".into(), Some(kept)).await);
    }
}
