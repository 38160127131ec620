//! Who works on which case: two people on one are told of each other.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use crate::clock;

/// Somebody who has not asked for anything for so long has gone, s.
const GONE: u64 = 90;

/// A window of somebody, by its own random name.
type Window = String;

/// Windows by case.
#[derive(Default)]
pub struct Presence(Mutex<HashMap<String, HashMap<Window, Seen>>>);

#[derive(Clone)]
struct Seen {
    who: String,
    at: u64,
}

/// Somebody else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Other {
    /// Empty where he did not say.
    pub who: String,
    /// How long ago he was last seen, s.
    pub seconds: u64,
}

impl Presence {
    /// `window` of `who` works on `case`; returns the others who do.
    pub fn note(&self, case: &str, window: &str, who: &str) -> Vec<Other> {
        self.at(case, window, who, clock::unix())
    }

    fn at(&self, case: &str, window: &str, who: &str, now: u64) -> Vec<Other> {
        let mut cases = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (other, windows) in cases.iter_mut() {
            windows.retain(|name, seen| {
                let moved_on = other != case && name == window;
                !moved_on && now.saturating_sub(seen.at) <= GONE
            });
        }
        cases.retain(|_, windows| !windows.is_empty());
        let windows = cases.entry(case.to_owned()).or_default();
        windows.insert(window.to_owned(), Seen { who: who.to_owned(), at: now });
        let others = windows.iter().filter(|(name, _)| *name != window);
        let mut others: Vec<Other> = others
            .map(|(_, seen)| Other { who: seen.who.clone(), seconds: now.saturating_sub(seen.at) })
            .collect();
        others.sort_by(|a, b| (a.seconds, &a.who).cmp(&(b.seconds, &b.who)));
        others
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_on_one_case_are_told_until_one_moves_on_or_is_gone() {
        let presence = Presence::default();
        let told = |case, window, who, now| presence.at(case, window, who, now).len();
        assert_eq!(told("a", "1", "Ada", 0), 0);
        assert_eq!(presence.at("a", "2", "Bo", 10), [Other { who: "Ada".into(), seconds: 10 }]);
        assert_eq!(told("b", "2", "Bo", 20), 0, "he moved on");
        assert_eq!(told("a", "1", "Ada", 30), 0);
        assert_eq!(told("a", "2", "Bo", 40), 1);
        assert_eq!(told("a", "2", "Bo", 200), 0, "she is gone");
    }
}
