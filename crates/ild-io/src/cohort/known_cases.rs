//! Which cases something was made from, without naming them: weights travel, patients' names must
//! not.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// A set of cases that can be recognised and not read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaseSet {
    /// How many.
    pub count: usize,
    /// Of all their names together.
    pub fingerprint: String,
}

/// The cases that weights know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownCases {
    /// Those that taught them.
    pub train: CaseSet,
    /// Those that chose among them.
    #[serde(default)]
    pub valid: Option<CaseSet>,
}

impl CaseSet {
    /// Of these names, in whatever order.
    #[must_use]
    pub fn of<'a>(cases: impl IntoIterator<Item = &'a str>) -> Self {
        let names: BTreeSet<&str> = cases.into_iter().collect();
        let lines: String = names.iter().flat_map(|name| [name, "\n"]).collect();
        Self { count: names.len(), fingerprint: ild_cli::content_of_bytes(lines.as_bytes()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_recognised_whatever_the_order_and_another_one_is_not() {
        let set = CaseSet::of(["b", "a", "b"]);
        assert_eq!((set.count, &set), (2, &CaseSet::of(["a", "b"])));
        assert_ne!(set, CaseSet::of(["a", "c"]));
        assert_ne!(CaseSet::of(["ab", "c"]), CaseSet::of(["a", "bc"]));
    }
}
