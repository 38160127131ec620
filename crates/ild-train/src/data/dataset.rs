//! The slices of `npy/train` or `npy/valid`, and the training items made of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use ild_io::{BoundingBox, Error as FileError};
use ndarray::{Array2, Array3, Ix2, Ix3};
use rand::Rng;
use rayon::prelude::*;

use crate::data::augment::{Augmentation, Warp};
use crate::data::clips::{Following, Neighbours};
use crate::data::prompts::{Given, Prompt, Questions};
use crate::error::Result;

/// Height and width of the label arrays, pixels.
pub const LABEL_SIZE: usize = 256;

/// One slice on disk: `imgs/<name>.npy` (`[y, x, 3]`) and `gts/<name>.npy` (`[256, 256]`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slice {
    /// File name without `.npy`.
    pub name: String,
    /// Label ids present at 256², ascending, without 0 and without the one that nobody is to learn
    /// from; empty only on slices declared free of disease.
    pub labels: Vec<u8>,
}

/// A slice as the model gets it, what is asked about it, and what it should answer.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Name of the slice.
    pub name: String,
    /// `[3, s, s]`, resized and normalised.
    pub image: Array3<f32>,
    /// Questions and answers; one in the reference's recipe.
    pub prompts: Vec<Prompt>,
    /// Label ids, `[256, 256]`.
    pub labels: Array2<u8>,
    /// `[256, 256]`, 0 where the label says that nobody is to learn from it; `None` on slices
    /// without such a label.
    pub known: Option<Array2<u8>>,
    /// How image and label were changed together.
    pub warp: Warp,
    /// The slices of a clip after this one; none unless the memory is trained.
    pub follows: Vec<Following>,
}

/// What is known of the slices of a folder beyond their labels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Declared {
    /// Names of slices that a person declared free of disease.
    pub healthy: BTreeSet<String>,
    /// The label id that teaches nothing (nnU-Net's `ignore`).
    pub ignored: Option<u8>,
    /// Which slice of its CT each slice is, by name.
    pub ct_slices: BTreeMap<String, usize>,
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
    healthy: Vec<Slice>,
    ignored: Option<u8>,
    /// Which of `slices` follow each other.
    pub(crate) neighbours: Neighbours,
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
        Self::open_declared(folder, &Declared::default())
    }

    /// The same with slices that are declared free of disease, and a label that teaches nothing.
    ///
    /// # Errors
    /// As [`SliceDataset::open`], and when a slice declared free of disease holds a label.
    pub fn open_declared(folder: &Path, declared: &Declared) -> Result<Self> {
        let names = npy_names(&folder.join("gts"))?;
        let images = npy_names(&folder.join("imgs"))?;
        if let Some(orphan) = names.iter().find(|name| images.binary_search(name).is_err()) {
            let missing = folder.join("imgs").join(format!("{orphan}.npy"));
            return Err(FileError::refused(
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
        let (mut slices, mut healthy, mut without_label) = (Vec::new(), Vec::new(), Vec::new());
        for (name, mut labels) in names.into_iter().zip(labels) {
            labels.retain(|id| Some(*id) != declared.ignored);
            let is_healthy = declared.healthy.contains(&name);
            match (is_healthy, labels.is_empty()) {
                (true, true) => healthy.push(Slice { name, labels }),
                (true, false) => {
                    return Err(FileError::refused(
                        label_path(folder, &name),
                        "no label, as the slice is declared free of disease",
                        format!("labels {labels:?}"),
                        "run npz-to-npy again",
                    )
                    .into());
                }
                (false, true) => without_label.push(name),
                (false, false) => slices.push(Slice { name, labels }),
            }
        }
        let names = slices.iter().map(|slice: &Slice| slice.name.as_str());
        Ok(Self {
            folder: folder.to_owned(),
            neighbours: Neighbours::new(names, &declared.ct_slices),
            slices,
            healthy,
            ignored: declared.ignored,
            without_label,
            without_label_file,
        })
    }

    /// Slices declared free of disease, by name. In draws they are numbered after the others.
    #[must_use]
    pub fn healthy(&self) -> &[Slice] {
        &self.healthy
    }

    /// The label id that teaches nothing.
    #[must_use]
    pub fn ignored(&self) -> Option<u8> {
        self.ignored
    }

    /// Where its slices lie.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn name(&self, index: usize) -> &str {
        &self.slice(index).name
    }

    fn slice(&self, index: usize) -> &Slice {
        self.slices.get(index).unwrap_or_else(|| &self.healthy[index - self.slices.len()])
    }

    /// The usable slices with a label, by name.
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

    /// The reference's item of slice `index`, for a model whose input is `image_size` pixels wide:
    /// a box around everything of one label.
    ///
    /// # Errors
    /// When a file cannot be read, or is not what `open` accepts.
    pub fn sample(&self, index: usize, draw: &ItemDraw, image_size: usize) -> Result<Sample> {
        let Slice { name, .. } = self.slice(index);
        // A lesion that the warp pushed out of the picture would leave no box: that item stays as
        // it is.
        let there = |labels: &Array2<u8>| labels.iter().any(|&id| id == draw.label);
        let (image, label, warp) = self.read(name, &draw.warp, there)?;
        let mask = label.mapv(|id| u8::from(id == draw.label));
        let Some(tight) = BoundingBox::around(mask.view(), |inside| inside == 1) else {
            return Err(FileError::refused(
                label_path(&self.folder, name),
                format!("label {}", draw.label),
                format!("labels {:?}", ids_in(&label)),
                "the file changed during the run: start again",
            )
            .into());
        };
        let asked = tight.prompt_px(draw.shift_px, LABEL_SIZE, LABEL_SIZE);
        let prompt = Prompt { label: draw.label, given: Given::around(asked, image_size), mask };
        Ok(self.finished(name, (image, label, warp), vec![prompt], image_size))
    }

    /// Our own item of slice `index`: several questions about it, see [`Questions::ask`]; every
    /// lesion once with `every_lesion`.
    ///
    /// # Errors
    /// As [`SliceDataset::sample`].
    pub fn asked(
        &self,
        index: usize,
        questions: &Questions,
        warp: &Warp,
        every_lesion: bool,
        rng: &mut impl Rng,
    ) -> Result<Sample> {
        let Slice { name, labels: present } = self.slice(index);
        let there = |labels: &Array2<u8>| {
            present.is_empty() || labels.iter().any(|id| present.contains(id))
        };
        let (image, labels, warp) = self.read(name, warp, there)?;
        let prompts = if every_lesion {
            questions.every_lesion(labels.view(), rng)
        } else {
            questions.ask(labels.view(), rng)
        };
        Ok(self.finished(name, (image, labels, warp), prompts, questions.image_size))
    }

    /// Image and labels of a slice and how they were changed: by `warp`, unless that would take
    /// away what `there` asks for.
    fn read(
        &self,
        name: &str,
        warp: &Warp,
        there: impl Fn(&Array2<u8>) -> bool,
    ) -> Result<(Array3<u8>, Array2<u8>, Warp)> {
        let image = read_image(&self.folder, name)?;
        let labels = read_label(&self.folder, name)?;
        if warp.is_identity() {
            return Ok((image, labels, Warp::IDENTITY));
        }
        let (height, width, _) = image.dim();
        let warped = warp.label(labels.view(), width as f64 / height as f64);
        Ok(if there(&warped) {
            (warp.image(image.view()), warped, *warp)
        } else {
            (image, labels, Warp::IDENTITY)
        })
    }

    /// Slice `index`, changed by `warp` whatever it takes away.
    pub(crate) fn read_as(
        &self,
        index: usize,
        warp: &Warp,
    ) -> Result<(Array3<u8>, Array2<u8>, Warp)> {
        self.read(self.name(index), warp, |_| true)
    }

    pub(crate) fn finished(
        &self,
        name: &str,
        (image, labels, warp): (Array3<u8>, Array2<u8>, Warp),
        prompts: Vec<Prompt>,
        image_size: usize,
    ) -> Sample {
        let known = self
            .ignored
            .filter(|ignored| labels.iter().any(|id| id == ignored))
            .map(|ignored| labels.mapv(|id| u8::from(id != ignored)));
        let image = ild_model::image_to_input(image.view(), image_size);
        Sample { name: name.to_owned(), image, prompts, labels, known, warp, follows: Vec::new() }
    }

    /// Identifies the set of slices and their labels, so that a resumed run can tell whether they
    /// are still the same (FNV-1a, 64 bit).
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        let bytes = self.slices.iter().chain(&self.healthy).flat_map(|slice| {
            slice.name.bytes().chain([0]).chain(slice.labels.iter().copied()).chain([0])
        });
        bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
    }

    /// Refuses to go on when a slice changed after it was read.
    ///
    /// # Errors
    /// Names the file.
    pub fn require_unchanged(&self) -> Result<()> {
        Ok(ild_cli::inputs::require_unchanged_below(&self.folder).map_err(FileError::from)?)
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
    if !folder.exists() {
        ild_cli::inputs::note(folder);
        return Ok(Vec::new());
    }
    let mut names = Vec::new();
    for path in ild_io::cohort::list(folder)? {
        if path.extension().is_some_and(|extension| extension == "npy") {
            let Some(name) = path.file_stem().and_then(|stem| stem.to_str()) else {
                return Err(FileError::refused(
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
        _ => Err(FileError::refused(
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
        _ => Err(FileError::refused(
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
