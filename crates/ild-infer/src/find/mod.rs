//! Lesions without a prompt: a [`LesionFinder`] says for every slice where lesions are and of which
//! class; here that becomes lesions in 3-D with a name each.
//!
//! ```text
//! finder      per slice: lesion p, class q, gate S, presence of each class
//! evidence    S·p and q of the whole stack, smoothed along z in mm, not across gaps
//! regions     hysteresis inside the dilated lung → 3-D pieces, one class each, none below some mL
//! naming      the class of a piece from all its voxels, Σ p·log q
//! looked      all of that of a case, for as many sets of rules as are tried
//! fitted      rules that were fitted to the weights
//! refine      boxes of the pieces → decoder, slice by slice, where the two agree
//! ```

pub mod evidence;
pub mod finder;
pub mod fitted;
pub mod found;
pub mod head;
pub mod looked;
pub mod naming;
pub mod refine;
pub mod regions;
pub mod smooth;

pub use evidence::Evidence;
pub use finder::{LesionFinder, SliceLesions};
pub use fitted::{Fitted, HowFitted};
pub use found::{Found, FoundLesion, Rejected};
pub use looked::Looked;
pub use regions::{FindSettings, Place, find};
