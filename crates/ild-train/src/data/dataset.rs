//! The slices of `npy/train` or `npy/valid`, and the training item made of one.

use std::fs;
use std::path::{Path, PathBuf};

use ild_io::{BoundingBox, Error as FileError};
use ndarray::{Array2, Array3, Ix2, Ix3};
use rand::Rng;
use rayon::prelude::*;

use crate::data::augment::{Augmentation, Warp};
use crate::error::Result;

/// Height and width of the label arrays, pixels.
pub const LABEL_SIZE: usize = 256;

/// One slice on disk: `imgs/<name>.npy` (`[y, x, 3]`) and `gts/<name>.npy` (`[256, 256]`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slice {
    /// File name without `.npy`.
    pub name: String,
    /// Label ids present at 256², ascending, without 0; never empty.
    pub labels: Vec<u8>,
}

/// What the model gets for one box, and what it should answer.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Name of the slice.
    pub name: String,
    /// The label id that was chosen.
    pub label: u8,
    /// `[3, s, s]`, resized and normalised.
    pub image: Array3<f32>,
    /// `[x_min, y_min, x_max, y_max]` in pixels of the `s × s` input.
    pub box_px: [f32; 4],
    /// `[256, 256]`, 1 inside the lesion.
    pub mask: Array2<u8>,
}

/// The random part of an item, in the order in which the reference draws it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ItemDraw {
    /// Which label.
    pub label: u8,
    /// How far each side of the box moves outward, pixels of the 256² label: `x_min, x_max, y_min,
    /// y_max`.
    pub shift_px: [usize; 4],
    /// How image and label are changed together; the identity unless augmentation is on.
    pub warp: Warp,
}

/// A folder of slices.
#[derive(Clone, Debug)]
pub struct SliceDataset {
    folder: PathBuf,
    slices: Vec<Slice>,
    /// Slices that hold no label at 256² and are left out.
    pub without_label: Vec<String>,
    /// Images that have no label file.
    pub without_label_file: Vec<String>,
}

impl SliceDataset {
    /// Looks at every label file of `folder` (`gts/*.npy`), in parallel.
    ///
    /// Slices whose labels are all zero at 256² are counted and left out. A folder without any
    /// usable slice is an empty dataset.
    ///
    /// # Errors
    /// When a label is not `(256, 256) u8`, or a label has no image.
    pub fn open(folder: &Path) -> Result<Self> {
        let names = npy_names(&folder.join("gts"))?;
        let images = npy_names(&folder.join("imgs"))?;
        if let Some(orphan) = names.iter().find(|name| images.binary_search(name).is_err()) {
            let missing = folder.join("imgs").join(format!("{orphan}.npy"));
            return Err(FileError::rejected(
                missing,
                "the image of a label",
                "no such file",
                "run npz-to-npy again",
            )
            .into());
        }
        let without_label_file =
            images.iter().filter(|name| names.binary_search(name).is_err()).cloned().collect();
        let labels: Vec<Vec<u8>> = names
            .par_iter()
            .map(|name| Ok(ids_in(&read_label(folder, name)?)))
            .collect::<Result<_>>()?;
        let (mut slices, mut without_label) = (Vec::new(), Vec::new());
        for (name, labels) in names.into_iter().zip(labels) {
            if labels.is_empty() {
                without_label.push(name);
            } else {
                slices.push(Slice { name, labels });
            }
        }
        Ok(Self { folder: folder.to_owned(), slices, without_label, without_label_file })
    }

    /// The usable slices, by name.
    #[must_use]
    pub fn slices(&self) -> &[Slice] {
        &self.slices
    }

    /// Label ids of each slice, for the sampler.
    #[must_use]
    pub fn labels_present(&self) -> Vec<&[u8]> {
        self.slices.iter().map(|slice| slice.labels.as_slice()).collect()
    }

    /// The random part of an item of slice `index`: label (unless given), four box shifts of
    /// 0..=`bbox_shift`, augmentation.
    pub fn draw(
        &self,
        index: usize,
        label: Option<u8>,
        bbox_shift: usize,
        augmentation: &Augmentation,
        rng: &mut impl Rng,
    ) -> ItemDraw {
        let present = &self.slices[index].labels;
        let label = label.unwrap_or_else(|| present[rng.random_range(0..present.len())]);
        let shift_px = std::array::from_fn(|_| rng.random_range(0..=bbox_shift));
        ItemDraw { label, shift_px, warp: augmentation.draw(rng) }
    }

    /// The item of slice `index` for a model whose input is `image_size` pixels wide.
    ///
    /// # Errors
    /// When a file cannot be read, or is not what `open` accepts.
    pub fn sample(&self, index: usize, draw: &ItemDraw, image_size: usize) -> Result<Sample> {
        let Slice { name, .. } = &self.slices[index];
        let mut image = read_image(&self.folder, name)?;
        let mut label = read_label(&self.folder, name)?;
        if !draw.warp.is_identity() {
            let (height, width, _) = image.dim();
            let warped = draw.warp.label(label.view(), width as f64 / height as f64);
            // A lesion that the warp pushed out of the picture would leave no box: that item stays
            // as it is.
            if warped.iter().any(|&id| id == draw.label) {
                label = warped;
                image = draw.warp.image(image.view());
            }
        }
        let mask = label.mapv(|id| u8::from(id == draw.label));
        let Some(tight) = BoundingBox::around(mask.view(), |inside| inside == 1) else {
            return Err(FileError::rejected(
                label_path(&self.folder, name),
                format!("label {}", draw.label),
                format!("labels {:?}", ids_in(&label)),
                "the file changed during the run: start again",
            )
            .into());
        };
        let scale = image_size as f64 / LABEL_SIZE as f64;
        let box_px = tight
            .prompt_px(draw.shift_px, LABEL_SIZE, LABEL_SIZE)
            .map(|side| (side * scale) as f32);
        Ok(Sample {
            name: name.clone(),
            label: draw.label,
            image: ild_model::image_to_input(image.view(), image_size),
            box_px,
            mask,
        })
    }

    /// Identifies the set of slices and their labels, so that a resumed run can tell whether they
    /// are still the same (FNV-1a, 64 bit).
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        let bytes = self.slices.iter().flat_map(|slice| {
            slice.name.bytes().chain([0]).chain(slice.labels.iter().copied()).chain([0])
        });
        bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
    }

    /// Image of slice `index` as stored, `[y, x, 3]`.
    ///
    /// # Errors
    /// When the file cannot be read or is not such an image.
    pub fn image(&self, index: usize) -> Result<Array3<u8>> {
        read_image(&self.folder, &self.slices[index].name)
    }
}

/// File names without `.npy`, sorted; a folder that does not exist holds none.
fn npy_names(folder: &Path) -> Result<Vec<String>> {
    let unreadable = |source| FileError::Io { path: folder.to_owned(), what: "read", source };
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(unreadable)?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == "npy") {
            let Some(name) = path.file_stem().and_then(|stem| stem.to_str()) else {
                return Err(FileError::rejected(
                    path,
                    "a file name in UTF-8",
                    "another encoding",
                    "rename the file",
                )
                .into());
            };
            names.push(name.to_owned());
        }
    }
    names.sort_unstable();
    Ok(names)
}

fn label_path(folder: &Path, name: &str) -> PathBuf {
    folder.join("gts").join(format!("{name}.npy"))
}

fn read_label(folder: &Path, name: &str) -> Result<Array2<u8>> {
    let path = label_path(folder, name);
    let array = ild_io::read_npy_u8(&path)?;
    let shape = array.shape().to_vec();
    match array.into_dimensionality::<Ix2>() {
        Ok(label) if label.dim() == (LABEL_SIZE, LABEL_SIZE) => Ok(label),
        _ => Err(FileError::rejected(
            path,
            "a label of shape (256, 256)",
            format!("{shape:?}"),
            "make it with ild-preprocess npz-to-npy",
        )
        .into()),
    }
}

fn read_image(folder: &Path, name: &str) -> Result<Array3<u8>> {
    let path = folder.join("imgs").join(format!("{name}.npy"));
    let array = ild_io::read_npy_u8(&path)?;
    let shape = array.shape().to_vec();
    match array.into_dimensionality::<Ix3>() {
        Ok(image) if image.dim().2 == 3 && !image.is_empty() => Ok(image),
        _ => Err(FileError::rejected(
            path,
            "an image of shape (height, width, 3)",
            format!("{shape:?}"),
            "make it with ild-preprocess npz-to-npy",
        )
        .into()),
    }
}

fn ids_in(label: &Array2<u8>) -> Vec<u8> {
    let mut seen = [false; 256];
    for &id in label {
        seen[usize::from(id)] = true;
    }
    (1..=255).filter(|&id| seen[usize::from(id)]).collect()
}
