//! The traits an author implements: [`Adapter`] always, and one for each role.

use crate::{Batch, Command, Fault, Frame, Outcome, Reading, Reply, Request};
use serde::de::DeserializeOwned;

/// An adapter: what it is made of, and how it starts. One value of it lives for the life of an instance, so state kept in
/// its fields is there at the next call.
pub trait Adapter: Sized + 'static {
    /// The settings of the connection, as the author describes them. Settings that do not fit end in a fault
    /// `bad-settings` that names the field.
    type Settings: DeserializeOwned;

    /// Makes ready: checks what the type of the settings cannot, declares points. Called once.
    ///
    /// # Errors
    /// A fault; [`Fault::reconfigure`] for settings that cannot work.
    fn start(settings: Self::Settings) -> Result<Self, Fault>;

    /// Asks the device or system whether it is there and right, and says in a sentence what it found. Without it a check
    /// only shows that the settings are right.
    ///
    /// # Errors
    /// A fault that says what is wrong.
    fn check(&mut self) -> Result<String, Fault> {
        Ok("the settings are right; the adapter has no check of its own".into())
    }

    /// The connection ends; the last call an instance gets.
    fn stop(&mut self) {}
}

/// Reads when the host says so.
pub trait Poller: Adapter {
    /// Reads the points of one group.
    ///
    /// # Errors
    /// A fault for the whole group; what failed for one point is that reading's status.
    fn poll(&mut self, group: &str) -> Result<Vec<Reading>, Fault>;
}

/// Turns what arrives into readings.
pub trait Listener: Adapter {
    /// Takes frames of one transport, named by its role, in order of arrival. They are acknowledged to their source once
    /// the readings are committed.
    ///
    /// # Errors
    /// A fault for the whole call: the frames come again. What one frame brought wrong is a Bad reading or a report.
    fn receive(&mut self, transport: &str, frames: &[Frame]) -> Result<Vec<Reading>, Fault>;
}

/// Writes values to the device. Runs in an instance of its own.
pub trait Writer: Adapter {
    /// Carries out one command. The host has checked kind and limits.
    ///
    /// # Errors
    /// A fault for this command.
    fn write(&mut self, command: &Command) -> Result<(), Fault>;

    /// Carries out commands in order, one result each; for devices that take several at once.
    fn write_all(&mut self, commands: &[Command]) -> Vec<Result<(), Fault>> {
        commands.iter().map(|command| self.write(command)).collect()
    }
}

/// Takes readings upstream.
pub trait Sink: Adapter {
    /// Delivers a batch.
    ///
    /// # Errors
    /// A fault for the whole of it: nothing was taken.
    fn deliver(&mut self, batch: &Batch) -> Result<Outcome, Fault>;
}

/// Answers requests from upstream: webhooks.
pub trait Responder: Adapter {
    /// Answers one request.
    ///
    /// # Errors
    /// A fault becomes status 400 (reject) or 503 (any other remedy).
    fn respond(&mut self, request: &Request) -> Result<Reply, Fault>;
}

impl Outcome {
    /// Everything was taken.
    #[must_use]
    pub fn all(batch: &Batch) -> Self {
        Self { accepted: u32::try_from(batch.entries.len()).unwrap_or(u32::MAX), rejected: Vec::new(), rest: None }
    }
}
