//! Why weights are not those of a model.

use std::fmt;
use std::path::PathBuf;

/// Why weights are not those of a model.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Misfit {
    /// The file the weights come from.
    pub origin: Option<PathBuf>,
    /// Tensors the model needs and the weights lack.
    pub missing: Vec<String>,
    /// Tensors that belong to no part of SAM 2.
    pub unused: Vec<String>,
    /// Name, shape the model needs, shape in the weights.
    pub reshaped: Vec<(String, Vec<usize>, Vec<usize>)>,
    /// What the weights look like, and what to do.
    pub hint: String,
}

impl Misfit {
    pub(super) fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.unused.is_empty() && self.reshaped.is_empty()
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.origin {
            write!(f, "{}: ", file.display())?;
        }
        write!(f, "the weights do not fit the model: {}", self.hint)?;
        write_some(f, "missing", &self.missing)?;
        write_some(f, "unused", &self.unused)?;
        let reshaped: Vec<String> = self
            .reshaped
            .iter()
            .map(|(name, expected, found)| {
                format!("{name} (expected {expected:?}, found {found:?})")
            })
            .collect();
        write_some(f, "of another shape", &reshaped)
    }
}

/// The first few names of a list and how many there are.
fn write_some(f: &mut fmt::Formatter<'_>, what: &str, names: &[String]) -> fmt::Result {
    const SHOWN: usize = 5;
    if names.is_empty() {
        return Ok(());
    }
    let shown = names[..names.len().min(SHOWN)].join(", ");
    let rest = names.len().saturating_sub(SHOWN);
    let more = if rest > 0 { format!(", and {rest} more") } else { String::new() };
    write!(f, "\n  {} {what}: {shown}{more}", names.len())
}
