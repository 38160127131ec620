//! In which precision products are computed.

use std::cell::Cell;

use serde::{Deserialize, Serialize};

use super::gemm::half_available;

/// The precision of the operands of matrix products; everything else is f32 always.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Single precision.
    #[default]
    F32,
    /// Half precision (IEEE binary16): twice the speed of the products on processors with AVX512-FP16, for inference on the CPU only.
    F16,
}

thread_local! {
    static CURRENT: Cell<Precision> = const { Cell::new(Precision::F32) };
}

impl Precision {
    /// Whether this processor can compute in it.
    #[must_use]
    pub fn available(self) -> bool {
        self == Self::F32 || half_available()
    }

    /// Runs `work`; operations that are called on this thread meanwhile compute in this precision.
    pub(crate) fn during<T>(self, work: impl FnOnce() -> T) -> T {
        struct Reset(Precision);
        impl Drop for Reset {
            fn drop(&mut self) {
                CURRENT.set(self.0);
            }
        }
        let _reset = Reset(CURRENT.replace(self));
        work()
    }

    pub(crate) fn current() -> Self {
        CURRENT.get()
    }
}
