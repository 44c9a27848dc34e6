//! Why a request is refused, and how that looks to a client: HTTP status, code, message, target.

use thiserror::Error;

/// Why a request is refused. The message is for the client: it names the option, the position and what was expected.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum Error {
    /// The text of an option or of the path does not follow the grammar. 400.
    #[error("{target}, character {at}: {message}")]
    Syntax {
        /// The option or part of the URL: `$filter`, `path`.
        target: String,
        /// Offset in characters, from 0, into its percent-decoded text.
        at: usize,
        /// What was expected and what was found.
        message: String,
    },
    /// An expression does not fit the model: an unknown property, a comparison of a number with a text. 400.
    #[error("{target}, character {at}: {message}")]
    Type {
        /// The option or part of the URL.
        target: String,
        /// Offset in characters, from 0, into its percent-decoded text.
        at: usize,
        /// What does not fit, and a near name where there is one.
        message: String,
    },
    /// A value or a header that cannot be: a negative `$top`, an option given twice. 400.
    #[error("{target}: {message}")]
    Invalid {
        /// The option or header.
        target: String,
        /// What was expected.
        message: String,
    },
    /// A limit of the service is passed. 400; 414 for the URL as a whole.
    #[error("{target}: the limit `{limit}` of {max} is passed")]
    Limit {
        /// The option or part of the URL.
        target: String,
        /// The limit's name.
        limit: &'static str,
        /// Its value.
        max: usize,
    },
    /// OData has it, this service does not. 501.
    #[error("{target} is not supported: {message}")]
    Unsupported {
        /// The option, function or construct.
        target: String,
        /// What exactly, and what to do instead.
        message: String,
    },
    /// No such set, entity or resource. 404.
    #[error("{0}")]
    NotFound(String),
    /// The host refuses it for a reason of its own.
    #[error("{message}")]
    Refused {
        /// The HTTP status, of 4xx or 5xx.
        status: u16,
        /// A short name for programs.
        code: String,
        /// Why, and what to do.
        message: String,
    },
    /// A method that the resource does not have. 405.
    #[error("method {method} is not allowed here: use {allowed}")]
    Method {
        /// The method.
        method: String,
        /// Those allowed, as the header `Allow` has them.
        allowed: &'static str,
    },
    /// A condition of the request, such as `If-Match`, does not hold. 412.
    #[error("{0}")]
    Precondition(String),
    /// The body is of a media type that is not taken here. 415.
    #[error("{0}")]
    MediaType(String),
    /// None of the formats the client accepts is offered. 406.
    #[error("none of the accepted formats is offered here: {0}")]
    NotAcceptable(String),
    /// What the client points to was there, but is no more. 410.
    #[error("{0}")]
    Gone(String),
    /// The service cannot answer now. 503.
    #[error("{0}")]
    Unavailable(String),
    /// The service failed. 500. The message reaches the client: no secrets, no internals.
    #[error("{0}")]
    Internal(String),
}

impl Error {
    /// A value that cannot be, for an option or header.
    #[must_use]
    pub fn invalid(target: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Invalid { target: target.into(), message: message.into() }
    }

    /// Something OData has and this service does not.
    #[must_use]
    pub fn unsupported(target: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Unsupported { target: target.into(), message: message.into() }
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::Limit { limit: "url bytes", .. } => 414,
            Self::Syntax { .. } | Self::Type { .. } | Self::Invalid { .. } | Self::Limit { .. } => 400,
            Self::Refused { status, .. } => *status,
            Self::NotFound(_) => 404,
            Self::Method { .. } => 405,
            Self::NotAcceptable(_) => 406,
            Self::Gone(_) => 410,
            Self::Precondition(_) => 412,
            Self::MediaType(_) => 415,
            Self::Internal(_) => 500,
            Self::Unsupported { .. } => 501,
            Self::Unavailable(_) => 503,
        }
    }

    /// A short name for programs.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Refused { code, .. } => code,
            Self::Syntax { .. } => "syntax",
            Self::Type { .. } => "type",
            Self::Invalid { .. } => "invalid",
            Self::Limit { .. } => "limit",
            Self::Unsupported { .. } => "not-supported",
            Self::NotFound(_) => "not-found",
            Self::Method { .. } => "method-not-allowed",
            Self::Precondition(_) => "precondition-failed",
            Self::MediaType(_) => "unsupported-media-type",
            Self::NotAcceptable(_) => "not-acceptable",
            Self::Gone(_) => "gone",
            Self::Unavailable(_) => "unavailable",
            Self::Internal(_) => "internal",
        }
    }

    /// What the error is about: an option, a header, a part of the URL.
    #[must_use]
    pub fn target(&self) -> Option<&str> {
        match self {
            Self::Syntax { target, .. }
            | Self::Type { target, .. }
            | Self::Invalid { target, .. }
            | Self::Limit { target, .. }
            | Self::Unsupported { target, .. } => Some(target),
            _ => None,
        }
    }
}
