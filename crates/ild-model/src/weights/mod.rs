//! A checkpoint in memory: named tensors and a few words about them.

mod head;
pub(crate) mod identify;
mod init;
pub mod inspect;
pub(crate) mod loader;
pub(crate) mod misfit;
pub(crate) mod parameters;

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use safetensors::SafeTensors;
use serde_json::{Map, Value, json};

use crate::checkpoint::TorchFile;
use crate::error::{Error, Result};
use crate::input::open_regular;

/// A `.safetensors` file begins with the length of its header in eight bytes, then the header: a
/// `{`.
const SNIFFED: usize = 9;
/// What training scripts put before SAM 2's own names.
const PREFIXES: [&str; 2] = ["module.", "sam2_model."];

/// Metadata key of what is known about predicted IoU and object score, and its value when nothing
/// has taught them.
const SCORES: &str = "scores";
const UNTRAINED: &str = "untrained";

/// Metadata key of rules that were fitted to these weights after training.
pub const FITTED: &str = "fitted";
/// Metadata key of the cases that taught and chose them.
pub const KNOWN_CASES: &str = "cases";

/// Tensors on the CPU under Meta's names, those of the video path included, and the file's
/// metadata.
#[derive(Debug, Clone, Default)]
pub struct Weights {
    tensors: BTreeMap<String, Tensor>,
    /// Words stored beside the tensors (`model`, `label_table`, `window`, …).
    pub metadata: BTreeMap<String, String>,
    /// The file they were read from.
    pub origin: Option<PathBuf>,
}

impl Weights {
    /// Names lose the prefixes that training scripts add (`module.`, `sam2_model.`).
    ///
    /// # Errors
    /// When two names become the same; returns that name.
    pub fn from_tensors(
        tensors: impl IntoIterator<Item = (String, Tensor)>,
    ) -> std::result::Result<Self, String> {
        let mut named = BTreeMap::new();
        for (name, tensor) in tensors {
            let mut short = name.as_str();
            while let Some(rest) = PREFIXES.iter().find_map(|prefix| short.strip_prefix(prefix)) {
                short = rest;
            }
            if named.insert(short.to_owned(), tensor).is_some() {
                return Err(short.to_owned());
            }
        }
        Ok(Self { tensors: named, ..Self::default() })
    }

    /// Reads a checkpoint; its content, not its name, says what kind it is: `.safetensors`, or
    /// PyTorch's `.pt` and `.pth`.
    ///
    /// # Errors
    /// [`Error::Refused`] or [`Error::Checkpoint`] for a file that is no checkpoint, [`Error::Io`]
    /// for one that cannot be read.
    pub fn read(path: &Path) -> Result<Self> {
        Ok(Self { origin: Some(path.to_owned()), ..Self::read_content(path)? })
    }

    fn read_content(path: &Path) -> Result<Self> {
        let io = Error::unreadable(path);
        let mut file = open_regular(path)?;
        let mut bytes = Vec::new();
        Read::by_ref(&mut file).take(SNIFFED as u64).read_to_end(&mut bytes).map_err(&io)?;
        match &bytes[..] {
            [b'P', b'K', ..] | [0x80, ..] if bytes.get(8) != Some(&b'{') => Self::from_torch(path),
            [_, _, _, _, _, _, _, _, b'{'] => {
                file.read_to_end(&mut bytes).map_err(&io)?;
                Self::from_safetensors(&bytes, path)
            }
            _ => Err(Error::refused(
                path,
                "a .safetensors, .pt or .pth checkpoint",
                "bytes that begin as none of them do",
                "is the download complete?",
            )),
        }
    }

    fn from_torch(path: &Path) -> Result<Self> {
        let tensors = TorchFile::open(path).and_then(|file| file.state_dict())?;
        Ok(Self { tensors, ..Self::default() })
    }

    fn from_safetensors(bytes: &[u8], path: &Path) -> Result<Self> {
        let refuse = |found: String| Error::refused(path, "a .safetensors checkpoint", found, "");
        let tensors = candle_core::safetensors::load_buffer(bytes, &Device::Cpu)
            .map_err(|error| refuse(error.to_string()))?;
        let mut weights =
            Self::from_tensors(tensors).map_err(|name| refuse(format!("`{name}` twice")))?;
        let (_, header) =
            SafeTensors::read_metadata(bytes).map_err(|error| refuse(error.to_string()))?;
        weights.metadata = header
            .metadata()
            .iter()
            .flatten()
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        Ok(weights)
    }

    /// Whether predicted IoU and object score mean anything. The loss of fine-tuning looks at masks
    /// only, so in weights that began at random both stay random; weights of unknown origin are
    /// taken for descendants of Meta's.
    #[must_use]
    pub fn scores_are_trained(&self) -> bool {
        self.metadata.get(SCORES).is_none_or(|state| state != UNTRAINED)
    }

    /// The tensor of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.tensors.get(name)
    }

    /// Puts a tensor in; returns the one that had the name.
    pub fn insert(&mut self, name: impl Into<String>, tensor: Tensor) -> Option<Tensor> {
        self.tensors.insert(name.into(), tensor)
    }

    /// Takes a tensor out.
    pub fn remove(&mut self, name: &str) -> Option<Tensor> {
        self.tensors.remove(name)
    }

    /// Names in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// Names and tensors in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Tensor)> {
        self.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// How many tensors.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tensors.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tensors.is_empty()
    }

    /// How many numbers.
    #[must_use]
    pub fn elements(&self) -> usize {
        self.tensors.values().map(Tensor::elem_count).sum()
    }

    /// Refuses weights that hold NaN or infinity; `path` is where they come from.
    ///
    /// # Errors
    /// Names the first tensor that does.
    pub fn require_finite(&self, path: &Path) -> Result<()> {
        // 0 · NaN and 0 · ∞ are NaN, and so is every sum they are in.
        let broken = |tensor: &Tensor| -> Result<bool> {
            Ok((tensor.to_dtype(DType::F32)? * 0.0)?.sum_all()?.to_scalar::<f32>()?.is_nan())
        };
        for (name, tensor) in self.iter() {
            if tensor.elem_count() > 0 && tensor.dtype().is_float() && broken(tensor)? {
                return Err(Error::refused(
                    path,
                    "weights that are numbers",
                    format!("NaN or infinity in `{name}`"),
                    "take an earlier checkpoint",
                ));
            }
        }
        Ok(())
    }

    /// Writes a `.safetensors` file with `metadata`, beside its final name first. The same weights
    /// give the same bytes.
    ///
    /// # Errors
    /// When the file cannot be written, or a tensor's type has no place in the format.
    pub fn write_safetensors(
        &self,
        path: &Path,
        metadata: &BTreeMap<String, String>,
    ) -> Result<()> {
        let mut ordered: Vec<(&String, &Tensor)> = self.tensors.iter().collect();
        ordered.sort_by_key(|(_, tensor)| std::cmp::Reverse(tensor.dtype().size_in_bytes())); // keeps every tensor aligned
        let header = header(&ordered, metadata)?;
        ild_cli::write_atomic(
            path,
            |file| -> std::result::Result<(), Box<dyn StdError + Send + Sync>> {
                file.write_all(&(header.len() as u64).to_le_bytes())?;
                file.write_all(&header)?;
                ordered.iter().try_for_each(|(_, tensor)| Ok(file.write_all(&bytes_of(tensor)?)?))
            },
        )?;
        Ok(())
    }
}

/// The format's JSON header, padded with spaces to a multiple of 8 bytes.
fn header(ordered: &[(&String, &Tensor)], metadata: &BTreeMap<String, String>) -> Result<Vec<u8>> {
    let mut entries = Map::new();
    if !metadata.is_empty() {
        entries.insert("__metadata__".into(), json!(metadata));
    }
    let mut end = 0;
    for (name, tensor) in ordered {
        let begin = end;
        end += tensor.elem_count() * tensor.dtype().size_in_bytes();
        let entry = json!({ "dtype": type_name(tensor.dtype())?, "shape": tensor.dims(), "data_offsets": [begin, end] });
        entries.insert((*name).clone(), entry);
    }
    let mut header = Value::Object(entries).to_string().into_bytes();
    header.resize(header.len().next_multiple_of(8), b' ');
    Ok(header)
}

fn type_name(dtype: DType) -> Result<&'static str> {
    Ok(match dtype {
        DType::U8 => "U8",
        DType::U32 => "U32",
        DType::I64 => "I64",
        DType::BF16 => "BF16",
        DType::F16 => "F16",
        DType::F32 => "F32",
        DType::F64 => "F64",
        other => {
            return Err(Error::Tensor(
                candle_core::Error::UnsupportedDTypeForOp(other, "write_safetensors").bt(),
            ));
        }
    })
}

fn bytes_of(tensor: &Tensor) -> candle_core::Result<Vec<u8>> {
    let tensor = tensor.to_device(&Device::Cpu)?.flatten_all()?;
    macro_rules! little_endian {
        ($kind:ty) => {
            tensor.to_vec1::<$kind>()?.into_iter().flat_map(|value| value.to_le_bytes()).collect()
        };
    }
    Ok(match tensor.dtype() {
        DType::U8 => tensor.to_vec1::<u8>()?,
        DType::U32 => little_endian!(u32),
        DType::I64 => little_endian!(i64),
        DType::BF16 => little_endian!(half::bf16),
        DType::F16 => little_endian!(half::f16),
        DType::F32 => little_endian!(f32),
        DType::F64 => little_endian!(f64),
        other => candle_core::bail!("{other:?} has no place in a .safetensors file"),
    })
}
