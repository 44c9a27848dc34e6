//! Sessions of people who logged in: kept in memory, so a restart of the gateway ends them. What a browser holds is random;
//! here is only its digest. Each has a second secret that a page must repeat in a header to change anything (CSRF).

use super::random;
use crate::error::ApiError;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::time::Duration;
use subtle::ConstantTimeEq;

/// Sessions in all; beyond it the one that was used longest ago ends.
pub(crate) const SESSIONS_MAX: usize = 256;
/// Sessions of one user.
pub(crate) const SESSIONS_PER_USER_MAX: usize = 16;
/// Random bytes of a session and of its second secret.
const SECRET_BYTES: usize = 32;

/// How long sessions last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Lengths {
    /// Without a request.
    pub(crate) idle: Duration,
    /// In all.
    pub(crate) most: Duration,
}

type Hash = [u8; 32];

/// A session, as the gateway keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Session {
    /// The user's name.
    pub(crate) user: String,
    /// Tells the password that it began with; with another one it is over.
    pub(crate) stamp: Hash,
    /// What a page must repeat.
    pub(crate) csrf: String,
    begun_ns: u64,
    used_ns: u64,
}

/// All sessions.
#[derive(Default)]
pub(crate) struct Sessions(Mutex<HashMap<Hash, Session>>);

/// A digest for comparing.
pub(crate) fn stamp(text: &str) -> Hash {
    Sha256::digest(text.as_bytes()).into()
}

impl Session {
    fn is_over(&self, now_ns: u64, lengths: Lengths) -> bool {
        let is_beyond = |since: u64, most: Duration| u128::from(now_ns.saturating_sub(since)) >= most.as_nanos();
        is_beyond(self.used_ns, lengths.idle) || is_beyond(self.begun_ns, lengths.most)
    }

    /// Whether a header repeats its second secret.
    pub(crate) fn is_repeated_by(&self, header: Option<&[u8]>) -> bool {
        header.is_some_and(|given| bool::from(given.ct_eq(self.csrf.as_bytes())))
    }
}

impl Sessions {
    /// Begins a session: what the browser is to hold, and the second secret.
    pub(crate) fn begin(
        &self,
        user: &str,
        stamp: Hash,
        now_ns: u64,
        lengths: Lengths,
    ) -> Result<(String, Session), ApiError> {
        let token = random::text::<SECRET_BYTES>()?;
        let csrf = random::text::<SECRET_BYTES>()?;
        let session = Session { user: user.to_owned(), stamp, csrf, begun_ns: now_ns, used_ns: now_ns };
        let mut all = self.0.lock();
        all.retain(|_, session| !session.is_over(now_ns, lengths));
        let of_user = all.values().filter(|session| session.user == user).count();
        if of_user >= SESSIONS_PER_USER_MAX {
            end_oldest(&mut all, |session| session.user == user);
        }
        if all.len() >= SESSIONS_MAX {
            end_oldest(&mut all, |_| true);
        }
        all.insert(self::stamp(&token), session.clone());
        Ok((token, session))
    }

    /// The session of what a browser holds, used once more.
    pub(crate) fn find(&self, token: &str, now_ns: u64, lengths: Lengths) -> Option<Session> {
        let mut all = self.0.lock();
        let hash = stamp(token);
        if all.get(&hash)?.is_over(now_ns, lengths) {
            all.remove(&hash);
            return None;
        }
        let session = all.get_mut(&hash)?;
        session.used_ns = now_ns;
        Some(session.clone())
    }

    /// Ends one.
    pub(crate) fn end(&self, token: &str) {
        self.0.lock().remove(&stamp(token));
    }
}

fn end_oldest(all: &mut HashMap<Hash, Session>, which: impl Fn(&Session) -> bool) {
    let oldest = all.iter().filter(|(_, session)| which(session)).min_by_key(|(_, session)| session.used_ns);
    if let Some(oldest) = oldest.map(|(hash, _)| *hash) {
        all.remove(&oldest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE_NS: u64 = 60_000_000_000;
    const LENGTHS: Lengths = Lengths { idle: Duration::from_secs(30 * 60), most: Duration::from_secs(12 * 3_600) };

    #[test]
    fn a_session_ends_when_nobody_uses_it_and_after_its_longest_time() {
        let sessions = Sessions::default();
        let (token, begun) = sessions.begin("anna", stamp("h"), 0, LENGTHS).unwrap();
        assert_eq!(sessions.find(&token, 29 * MINUTE_NS, LENGTHS).unwrap().csrf, begun.csrf);
        assert!(sessions.find(&token, 58 * MINUTE_NS, LENGTHS).is_some(), "each use lengthens it");
        assert!(sessions.find(&token, 88 * MINUTE_NS, LENGTHS).is_none());
        let (token, _) = sessions.begin("anna", stamp("h"), 0, LENGTHS).unwrap();
        for minute in (0..12 * 60).step_by(20) {
            assert!(sessions.find(&token, minute * MINUTE_NS, LENGTHS).is_some());
        }
        assert!(sessions.find(&token, 12 * 60 * MINUTE_NS, LENGTHS).is_none());
    }

    #[test]
    fn what_is_kept_is_not_what_a_browser_holds() {
        let sessions = Sessions::default();
        let (token, session) = sessions.begin("anna", stamp("h"), 0, LENGTHS).unwrap();
        assert!(token.len() > 40 && token != session.csrf);
        assert!(sessions.find(&session.csrf, 0, LENGTHS).is_none());
        assert!(session.is_repeated_by(Some(session.csrf.as_bytes())));
        assert!(
            !session.is_repeated_by(Some(b""))
                && !session.is_repeated_by(None)
                && !session.is_repeated_by(Some(token.as_bytes()))
        );
        sessions.end(&token);
        assert!(sessions.find(&token, 0, LENGTHS).is_none());
    }

    #[test]
    fn there_are_no_more_than_the_bounds_say_and_the_oldest_go() {
        let sessions = Sessions::default();
        let (first, _) = sessions.begin("anna", stamp("h"), 0, LENGTHS).unwrap();
        for n in 1..=SESSIONS_PER_USER_MAX as u64 {
            sessions.begin("anna", stamp("h"), n, LENGTHS).unwrap();
        }
        assert!(sessions.find(&first, 20, LENGTHS).is_none());
        assert_eq!(sessions.0.lock().len(), SESSIONS_PER_USER_MAX);
        for n in 0..2 * SESSIONS_MAX {
            sessions.begin(&format!("u{n}"), stamp("h"), 30, LENGTHS).unwrap();
        }
        assert_eq!(sessions.0.lock().len(), SESSIONS_MAX);
    }
}
