//! Reading PyTorch's `.pt` and `.pth` files without PyTorch and without running anything they
//! contain.
//!
//! A file is a program for a small stack machine (`pickle`) that names its tensors, and the bytes
//! of those tensors (`torch_file`). The machine here only builds a tree of plain values in one
//! array: no function is ever called, nesting costs no stack, shared parts are shared, and every
//! size is checked against what the file holds before memory is taken.

mod bytes;
mod error;
mod legacy;
mod opcodes;
mod pickle;
mod storage;
mod torch_file;
mod value;

pub use error::Error;
pub use torch_file::TorchFile;
pub use value::Value;
