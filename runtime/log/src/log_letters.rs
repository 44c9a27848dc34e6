//! Dead letters as the users of the log see them. Those of a route are stored by [`Log::finish_batch`], with the cursor.

use crate::letters::Listing;
use crate::{DeadLetter, LetterCount, LetterError, Log, LogError, LostFrame, Origin};

impl Log {
    /// Keeps frames that a connection's adapter failed on as dead letters (as many as of a route); durable when it
    /// returns, so that the frames can be acknowledged. Blocks.
    ///
    /// # Errors
    /// As [`Log::set_cursor`].
    pub fn keep_frames(&self, connection: &str, lost: Vec<(LostFrame, LetterError)>) -> Result<(), LogError> {
        self.shared.state.keep_frames(connection, lost)
    }

    /// Dead letters of an origin or of all, the newest first: those with a number below `before`, at most `limit`, ending
    /// with the one that reaches `max_bytes`. Blocks.
    ///
    /// # Errors
    /// As [`Log::cursor`].
    pub fn dead_letters(
        &self,
        origin: Option<Origin<'_>>,
        before: Option<u64>,
        limit: usize,
        max_bytes: usize,
    ) -> Result<Vec<DeadLetter>, LogError> {
        self.shared.state.dead_letters(Listing { origin, before, limit, max_bytes })
    }

    /// The dead letter of a number; none when it was never given, or is replayed, discarded or dropped. Blocks.
    ///
    /// # Errors
    /// As [`Log::cursor`].
    pub fn dead_letter(&self, id: u64) -> Result<Option<DeadLetter>, LogError> {
        self.shared.state.dead_letter(id)
    }

    /// The numbers of the dead letters of an origin, the oldest first, at most `limit`. Blocks.
    ///
    /// # Errors
    /// As [`Log::cursor`].
    pub fn dead_letter_numbers(&self, origin: Origin<'_>, limit: usize) -> Result<Vec<u64>, LogError> {
        self.shared.state.dead_letter_numbers(origin, limit)
    }

    /// How many dead letters of an origin are kept, and how many were dropped for newer ones. Blocks.
    ///
    /// # Errors
    /// As [`Log::cursor`].
    pub fn dead_letter_count(&self, origin: Origin<'_>) -> Result<LetterCount, LogError> {
        self.shared.state.dead_letter_count(origin)
    }

    /// Takes note that a dead letter was tried again in vain; nothing happens where it is gone. Blocks.
    ///
    /// # Errors
    /// As [`Log::set_cursor`].
    pub fn dead_letter_failed(&self, id: u64, error: LetterError) -> Result<(), LogError> {
        self.shared.state.dead_letter_failed(id, error)
    }

    /// Removes a dead letter. False: it was not there. Blocks.
    ///
    /// # Errors
    /// As [`Log::set_cursor`].
    pub fn remove_dead_letter(&self, id: u64) -> Result<bool, LogError> {
        self.shared.state.remove_dead_letter(id)
    }

    /// Removes the dead letters of an origin with numbers up to one, and says how many there were. Blocks.
    ///
    /// # Errors
    /// As [`Log::set_cursor`].
    pub fn remove_dead_letters(&self, origin: Origin<'_>, up_to: u64) -> Result<u64, LogError> {
        self.shared.state.remove_dead_letters(origin, up_to)
    }
}
