//! What a person sees during and after a run.

pub(crate) mod callback;
pub(crate) mod console;
pub(crate) mod files;
pub(crate) mod head_score;
pub(crate) mod history;
pub(crate) mod page;
pub(crate) mod step_log;
pub(crate) mod summary;
pub(crate) mod tensorboard;
pub(crate) mod warnings;
pub(crate) mod worst;
