//! Where journeys start: each source of prompts becomes [`Track`]s, and every output says which
//! source it was ([`PromptKind`]).

pub mod drawn;
pub mod heuristic;
pub mod kind;
pub mod mask;
pub mod on_slice;
pub mod source;
pub mod track;
pub mod truth;

pub use kind::PromptKind;
pub use on_slice::{InputPrompt, SlicePrompt};
pub use source::PromptSource;
pub use track::Track;
