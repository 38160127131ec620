//! One call of a kernel.

use std::ffi::c_void;
use std::sync::OnceLock;

use candle_core::{Device, Result, bail};

/// Threads of a block of every kernel whose work has no other size.
pub(super) const THREADS: u32 = 128;

/// Most blocks of a kernel whose threads stride over the numbers.
const MOST_BLOCKS: u64 = 1 << 13;

/// A parameter of a kernel.
#[derive(Debug, Clone, Copy)]
pub enum Argument {
    /// A pointer; 0 is none.
    Address(u64),
    /// `int`.
    Int(i32),
    /// `int64`.
    Long(i64),
    /// `float`.
    Float(f32),
    /// A struct of `int`s.
    Ints([i32; 11]),
}

impl Argument {
    /// Where the value lies, as CUDA wants it.
    #[must_use]
    pub fn pointer(&self) -> *mut c_void {
        match self {
            Self::Address(value) => std::ptr::from_ref(value).cast_mut().cast(),
            Self::Int(value) => std::ptr::from_ref(value).cast_mut().cast(),
            Self::Long(value) => std::ptr::from_ref(value).cast_mut().cast(),
            Self::Float(value) => std::ptr::from_ref(value).cast_mut().cast(),
            Self::Ints(values) => values.as_ptr().cast_mut().cast(),
        }
    }
}

/// A kernel with everything it needs to run.
#[derive(Debug)]
pub struct Launch<'a> {
    /// Its source, `kernels/{file}.cu`.
    pub file: &'static str,
    /// Its name.
    pub kernel: String,
    /// Blocks of the grid.
    pub blocks: u32,
    /// Threads of a block: a multiple of 32, at most 128.
    pub threads: u32,
    /// Bytes of dynamic shared memory.
    pub shared_bytes: u32,
    /// In the order of the kernel's parameters.
    pub arguments: &'a [Argument],
}

impl<'a> Launch<'a> {
    /// Runs over `count` numbers, one thread for each, or for several where there are many.
    pub(super) fn over(
        count: usize,
        file: &'static str,
        kernel: String,
        arguments: &'a [Argument],
    ) -> Self {
        let blocks = (count as u64).div_ceil(u64::from(THREADS)).clamp(1, MOST_BLOCKS) as u32;
        Self { file, kernel, blocks, threads: THREADS, shared_bytes: 0, arguments }
    }

    /// Runs on a device; the kernel may still be running when this returns, but what is asked of
    /// the device later comes after it.
    pub(super) fn run(&self, device: &Device) -> Result<()> {
        let too_many = |argument: &&Argument| matches!(argument, Argument::Long(count) if *count > i64::from(u32::MAX));
        if let Some(Argument::Long(count)) = self.arguments.iter().find(too_many) {
            bail!(
                "{}: expected at most 2³² numbers, found {count}; take a smaller batch",
                self.kernel
            );
        }
        match (device, EMULATOR.get()) {
            #[cfg(feature = "cuda")]
            (Device::Cuda(device), _) => super::cuda::launch(device, self),
            (Device::Cpu, Some(emulator)) => emulator(self).map_err(candle_core::Error::Msg),
            _ => bail!("{}: expected a GPU, found {:?}", self.kernel, device.location()),
        }
    }
}

type Emulator = Box<dyn Fn(&Launch) -> std::result::Result<(), String> + Send + Sync>;

static EMULATOR: OnceLock<Emulator> = OnceLock::new();

/// From now on operations on the CPU run the GPU's kernels through `emulator`; for tests.
///
/// # Panics
/// When there is one already.
pub fn emulate(
    emulator: impl Fn(&Launch) -> std::result::Result<(), String> + Send + Sync + 'static,
) {
    assert!(EMULATOR.set(Box::new(emulator)).is_ok(), "the GPU is emulated already");
}

pub(super) fn is_emulated() -> bool {
    EMULATOR.get().is_some()
}
