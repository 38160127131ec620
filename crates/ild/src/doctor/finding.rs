//! One line of what the doctor says.

/// What was looked at and found.
#[derive(Debug)]
pub struct Finding {
    pub what: String,
    pub here: String,
    /// What to do, where something is to be done.
    pub next: Option<String>,
    /// Whether no run works before it is done.
    pub needed: bool,
}

impl Finding {
    /// As it should be.
    pub fn new(what: &str, here: impl Into<String>) -> Self {
        Self { what: what.to_owned(), here: here.into(), next: None, needed: false }
    }

    /// It could be better.
    pub fn advice(self, next: impl Into<String>) -> Self {
        Self { next: Some(next.into()), ..self }
    }

    /// Nothing works without it.
    pub fn needed(self, next: impl Into<String>) -> Self {
        Self { needed: true, ..self.advice(next) }
    }
}
