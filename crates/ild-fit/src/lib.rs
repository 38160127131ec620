//! Thresholds and smallest volumes of the search without a prompt, fitted on the patients that chose
//! the weights, never on those that taught them or that measure them.
//!
//! ```text
//! settings    flags
//! patients    whom the rules may be fitted on; everybody else is refused
//! case        a case looked at once by the model, and scored by as many sets of rules as are tried
//! grid        which values are tried of each rule
//! search      rule by rule from the defaults to the best; a tie stays nearer to the default
//! scores      the objective: mean volume DSC by class, as `ild-metrics evaluate` has it
//! verdict     what rules gain on a patient whom they were not fitted on: chance, or more
//! output      a copy of the weights with the rules in its metadata, and how they were found
//! ```
//!
//! Deliberately absent: training, and any number about new patients. What is reported here belongs
//! to the patients it was chosen on.

mod case;
mod error;
mod grid;
mod output;
mod patients;
mod run;
mod scores;
mod search;
mod settings;
mod verdict;

pub use error::{Error, Result};
pub use output::FITTED_FILE;
pub use run::{Fit, run};
pub use settings::FitSettings;
