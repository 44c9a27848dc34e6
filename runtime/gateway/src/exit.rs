//! Exit codes, and the last word on stderr.

use std::process::ExitCode;

/// Why the program ends with something other than 0.
#[derive(Debug)]
pub(crate) enum Exit {
    /// It did not work; the message says why.
    Failed(String),
    /// The command line or the config is wrong; what is wrong has been printed.
    Wrong,
}

impl Exit {
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::Failed(message.into())
    }
}

impl<E: std::error::Error> From<E> for Exit {
    fn from(error: E) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let cause_text = cause.to_string();
            // Some libraries repeat their cause in their own text.
            if !message.contains(&cause_text) {
                message = format!("{message}: {cause_text}");
            }
            source = cause.source();
        }
        Self::Failed(message)
    }
}

/// Prints the reason of a failure and gives the exit code.
pub(crate) fn report(outcome: Result<(), Exit>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Exit::Wrong) => ExitCode::from(2),
        Err(Exit::Failed(message)) => {
            crate::console::complain(&message);
            ExitCode::from(1)
        }
    }
}
