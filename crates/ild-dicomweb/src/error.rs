//! What can go wrong with an archive.

use ild_cli::Refusal;

/// Shorthand for this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why the archive was not asked, or did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What the user said does not do.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The archive answered with an error.
    #[error("{address}: HTTP {status}{}", said.as_ref().map_or(String::new(), |said| format!(": {said}")))]
    Status {
        /// What was asked.
        address: String,
        /// Its answer.
        status: u16,
        /// In its words.
        said: Option<String>,
    },
    /// No answer, or one that cannot be read.
    #[error("{address}: {what}")]
    Broken {
        /// What was asked.
        address: String,
        /// In words.
        what: String,
        /// The cause.
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
}

impl Error {
    pub(crate) fn broken(address: &str, what: impl Into<String>) -> Self {
        Self::Broken { address: address.to_owned(), what: what.into(), source: None }
    }

    pub(crate) fn of(
        address: &str,
        what: &str,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> Self {
        let (address, what) = (address.to_owned(), what.to_owned());
        Self::Broken { address, what, source: Some(Box::new(source)) }
    }

    /// Whether the input is at fault (exit code 3), rather than the archive or the network.
    #[must_use]
    pub fn rejects(error: &(dyn std::error::Error + 'static)) -> bool {
        matches!(error.downcast_ref(), Some(Self::Refused(_)))
    }
}
