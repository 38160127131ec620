//! A `.pt` or `.pth` file.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use candle_core::Tensor;

use super::error::{Checked, Error, refuse};
use super::legacy;
use super::pickle;
use super::value::{Arena, Id, Value};

/// The instructions of a checkpoint take some hundred kilobytes; the tensors lie elsewhere.
const MAX_PICKLE_BYTES: u64 = 256 << 20;
/// An expanded tensor (stride 0) holds more values than the file; beyond this it is an attack or a
/// mistake.
const MAX_EXPANSION: usize = 16;
/// Dicts around the state dict; trainers wrap it once or twice.
const MAX_NESTING: usize = 4;

/// An opened PyTorch file: its tree of values in memory, its tensors read one by one.
pub struct TorchFile {
    path: PathBuf,
    bytes: u64,
    arena: Arena,
    root: Id,
    storages: Storages,
}

/// Where the bytes of the storages are.
pub(super) enum Storages {
    /// Entries `<prefix>/data/<name>` of a zip archive.
    Zip { archive: RefCell<zip::ZipArchive<File>>, prefix: String, little_endian: bool },
    /// Offset and length in a file of before PyTorch 1.6.
    Plain { file: RefCell<File>, ranges: BTreeMap<String, (u64, usize)> },
}

impl TorchFile {
    /// Reads the tree of values; no tensor yet.
    ///
    /// # Errors
    /// When the file is not a regular file, not one of PyTorch's, cut short, or holds something
    /// other than plain values and tensors.
    pub fn open(path: &Path) -> Result<Self, Error> {
        Self::parse(path).map_err(|refusal| refusal.at(path))
    }

    fn parse(path: &Path) -> Checked<Self> {
        let meta = path.metadata().or_else(|error| refuse("a readable file", error.to_string()))?;
        if !meta.is_file() {
            return refuse("a regular file", "a folder or device");
        }
        let mut file =
            File::open(path).or_else(|error| refuse("a readable file", error.to_string()))?;
        let mut magic = [0; 4];
        let n = file
            .read(&mut magic)
            .and_then(|n| file.seek(SeekFrom::Start(0)).map(|_| n))
            .or_else(|error| refuse("a readable file", error.to_string()))?;
        let mut arena = Arena::default();
        let (root, storages) = if magic[..n] == *b"PK\x03\x04" {
            open_zip(file, &mut arena)?
        } else {
            legacy::open(file, meta.len(), &mut arena)?
        };
        Ok(Self { path: path.to_owned(), bytes: meta.len(), arena, root, storages })
    }

    /// The value that was saved.
    #[must_use]
    pub fn root(&self) -> Value<'_> {
        Value { arena: &self.arena, id: self.root }
    }

    /// The state dict: the dict of tensors under `model` (or `state_dict`), or the root itself; key
    /// names without the prefixes `sam2_model.` and `module.`.
    ///
    /// # Errors
    /// When there is no such dict, when an entry is no tensor, or when a tensor lies outside its
    /// storage. Nothing is left out silently.
    pub fn state_dict(&self) -> Result<BTreeMap<String, Tensor>, Error> {
        self.read_state_dict().map_err(|refusal| refusal.at(&self.path))
    }

    fn read_state_dict(&self) -> Checked<BTreeMap<String, Tensor>> {
        let mut dict = self.root();
        // Only so deep: a dict can be made to hold itself.
        for _ in 0..MAX_NESTING {
            let names = ["model", "state_dict", "model_state_dict"];
            match names.iter().find_map(|name| dict.key(name).filter(|value| value.is_dict())) {
                Some(inner) => dict = inner,
                None => break,
            }
        }
        if !dict.entries().any(|(_, value)| value.is_tensor()) {
            let found =
                if dict.is_dict() { "a dict without tensors".to_owned() } else { dict.describe() };
            return Err(super::error::Refusal {
                expected: "a dict of tensors, alone or under the key `model`".into(),
                found,
                next: "",
            }
            .advise("; save it in Python with torch.save({\"model\": model.state_dict()}, …)"));
        }
        let mut tensors = BTreeMap::new();
        for (key, value) in dict.entries() {
            let Some(name) = key.as_text() else {
                return refuse("tensors under text keys", key.describe());
            };
            let name = name.strip_prefix("module.").unwrap_or(name);
            let name = name.strip_prefix("sam2_model.").unwrap_or(name);
            tensors.insert(name.to_owned(), self.read_tensor(value, name)?);
        }
        Ok(tensors)
    }

    /// Reads one tensor.
    ///
    /// # Errors
    /// When `value` is no tensor, or its storage is missing or too short.
    pub fn tensor(&self, value: Value<'_>, name: &str) -> Result<Tensor, Error> {
        self.read_tensor(value, name).map_err(|refusal| refusal.at(&self.path))
    }

    fn read_tensor(&self, value: Value<'_>, name: &str) -> Checked<Tensor> {
        let Some(layout) = value.layout() else {
            return refuse(format!("a tensor under `{name}`"), value.describe());
        };
        let size = layout.count()?.saturating_mul(layout.dtype().size_in_bytes());
        if size > usize::try_from(self.bytes).unwrap_or(usize::MAX).saturating_mul(MAX_EXPANSION) {
            return refuse(
                format!("`{name}` to be no larger than the file allows"),
                format!("{size} bytes of values in a file of {}", self.bytes),
            );
        }
        let (bytes, little_endian) = self.storages.read(&layout.storage)?;
        layout.read(&bytes, little_endian).map_err(|refusal| super::error::Refusal {
            expected: format!("`{name}`: {}", refusal.expected),
            ..refusal
        })
    }
}

fn open_zip(file: File, arena: &mut Arena) -> Checked<(Id, Storages)> {
    let mut archive = zip::ZipArchive::new(file)
        .or_else(|error| refuse("a whole PyTorch archive", format!("{error} (cut short?)")))?;
    let Some(name) =
        archive.file_names().find(|name| name.ends_with("/data.pkl")).map(str::to_owned)
    else {
        return Err(super::error::Refusal {
            expected: "a PyTorch archive with data.pkl".into(),
            found: "a zip without it".into(),
            next: "",
        }
        .advise("; a TorchScript or NumPy archive is not a checkpoint"));
    };
    let prefix = name.trim_end_matches("/data.pkl").to_owned();
    let program = entry(&mut archive, &name, MAX_PICKLE_BYTES)?;
    let little_endian = entry(&mut archive, &format!("{prefix}/byteorder"), 16)
        .map_or(true, |order| order != b"big");
    let root = pickle::load(&program, arena)?.root;
    Ok((root, Storages::Zip { archive: RefCell::new(archive), prefix, little_endian }))
}

/// One entry, not larger than it says, nor than `limit`, nor than deflate could have made it.
fn entry(archive: &mut zip::ZipArchive<File>, name: &str, limit: u64) -> Checked<Vec<u8>> {
    let mut entry = archive
        .by_name(name)
        .or_else(|error| refuse(format!("the entry {name}"), error.to_string()))?;
    let promised = entry.size();
    if promised > limit || promised > entry.compressed_size().saturating_mul(1100) {
        return refuse(
            format!("{name} to hold what its archive can hold"),
            format!("a promise of {promised} bytes"),
        );
    }
    let mut bytes = Vec::with_capacity(usize::try_from(promised).unwrap_or(0));
    let read = (&mut entry).take(promised + 1).read_to_end(&mut bytes);
    match read {
        Ok(n) if n as u64 == promised => Ok(bytes),
        Ok(n) => refuse(format!("{promised} bytes in {name}"), format!("{n}")),
        Err(error) => refuse(format!("the entry {name} whole"), error.to_string()),
    }
}

impl Storages {
    fn read(&self, name: &str) -> Checked<(Vec<u8>, bool)> {
        match self {
            Self::Zip { archive, prefix, little_endian } => Ok((
                entry(&mut archive.borrow_mut(), &format!("{prefix}/data/{name}"), u64::MAX)?,
                *little_endian,
            )),
            Self::Plain { file, ranges } => {
                let Some(&(offset, length)) = ranges.get(name) else {
                    return refuse(format!("the storage {name}"), "none of that name");
                };
                let mut file = file.borrow_mut();
                let mut bytes = vec![0; length];
                file.seek(SeekFrom::Start(offset))
                    .and_then(|_| file.read_exact(&mut bytes))
                    .or_else(|error| {
                        refuse(format!("the storage {name} whole"), error.to_string())
                    })?;
                Ok((bytes, true))
            }
        }
    }
}
