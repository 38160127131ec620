//! The two ways a file ends a piece of work: it was looked at and refused, or the machine failed.

use std::path::{Path, PathBuf};

/// An input that was looked at and refused: where, what would have been accepted, what is there,
/// and what to do next.
///
/// ```
/// # use ild_cli::Refusal;
/// let refusal = Refusal::of("scan.nii")
///     .expected("a 3-D volume")
///     .found("4 axes")
///     .next("take one time point out of it");
/// assert_eq!(
///     refusal.to_string(),
///     "scan.nii: expected a 3-D volume, found 4 axes; take one time point out of it"
/// );
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusal {
    /// The file or folder.
    pub path: PathBuf,
    /// What would have been accepted.
    pub expected: String,
    /// What is there.
    pub found: String,
    /// What the user can do about it; may be empty.
    pub next: String,
}

impl Refusal {
    /// A refusal of `path`.
    #[must_use]
    pub fn of(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), ..Self::default() }
    }

    /// What would have been accepted.
    #[must_use]
    pub fn expected(self, wish: impl Into<String>) -> Self {
        Self { expected: wish.into(), ..self }
    }

    /// What is there.
    #[must_use]
    pub fn found(self, fact: impl Into<String>) -> Self {
        Self { found: fact.into(), ..self }
    }

    /// What the user can do about it.
    #[must_use]
    pub fn next(self, step: impl Into<String>) -> Self {
        Self { next: step.into(), ..self }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { path, expected, found, next } = self;
        write!(f, "{}: expected {expected}, found {found}", path.display())?;
        if next.is_empty() { Ok(()) } else { write!(f, "; {next}") }
    }
}

impl std::error::Error for Refusal {}

/// Two functions of a crate's error, which is made `From<Refusal>` and has a method
/// `is_rejection`; after it, errors of other crates that reach the program as they are.
#[macro_export]
macro_rules! refusals {
    ($error:ty $(, $other:ty)*) => {
        impl $error {
            /// A refusal of `path`: what would have been accepted, what is there, what to do next.
            pub fn refused(
                path: impl Into<std::path::PathBuf>,
                expected: impl Into<String>,
                found: impl Into<String>,
                next: impl Into<String>,
            ) -> Self {
                $crate::Refusal::of(path).expected(expected).found(found).next(next).into()
            }

            /// `is_rejection` for any error in a chain; what the program hands to `ild_cli::main`.
            #[must_use]
            pub fn rejects(error: &(dyn std::error::Error + 'static)) -> bool {
                error.downcast_ref::<Self>().is_some_and(Self::is_rejection)
                    $(|| <$other>::rejects(error))*
            }
        }
    };
}

/// An error and everything behind it in one line.
#[must_use]
pub fn one_line(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

/// The machine said no: a full disk, no permission, a folder that is gone.
#[derive(Debug)]
pub struct FileError {
    /// The file or folder.
    pub path: PathBuf,
    /// What was tried: `read`, `written`, `made`, `removed`.
    pub what: &'static str,
    /// The cause.
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

impl FileError {
    /// For `map_err`: `what` could not be done to `path`.
    pub fn at<E: Into<Box<dyn std::error::Error + Send + Sync>>>(
        path: &Path,
        what: &'static str,
    ) -> impl Fn(E) -> Self {
        move |source| Self { path: path.to_owned(), what, source: source.into() }
    }

    /// Whether what lies there is at fault (somebody else's file), rather than the machine.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        self.source.is::<Refusal>()
    }
}

impl std::fmt::Display for FileError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: could not be {}", self.path.display(), self.what)
    }
}

impl std::error::Error for FileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.source)
    }
}
