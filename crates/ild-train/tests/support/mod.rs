//! What the tests of this crate share: recordings, made-up slices, and a model small enough for a
//! debugger.
#![allow(dead_code, reason = "each test file uses its part")]

use std::fs::File;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use ild_model::{Sam2, Sam2Config, Weights};
use ndarray::{Array2, Array3, ArrayD, IxDyn, OwnedRepr};
use ndarray_npy::{NpzReader, ReadableElement};

/// A SAM 2 of 64² pixels.
pub const MINI: &str = "image_size = 64\nembed_dim = 8\nnum_heads = 1\nstages = [1, 1, 1, 1]\nwindow_spec = [4, 4, 4, 4]\n\
    global_att_blocks = []\nwindow_pos_embed_bkg_spatial_size = [4, 4]\nd_model = 32\nmlp_dim = 32\n";

/// A golden file of this repository.
pub fn golden(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/train")).join(name)
}

/// The folder of recordings beside the repository, when this machine has it.
pub fn recordings() -> Option<PathBuf> {
    ild_test_support::shared("fixtures")
}

/// An NPZ of a recording.
pub struct Npz(NpzReader<File>);

impl Npz {
    pub fn open(path: &Path) -> Self {
        Self(NpzReader::new(File::open(path).unwrap()).unwrap())
    }

    pub fn names(&mut self) -> Vec<String> {
        self.0.names().unwrap()
    }

    pub fn array<T: ReadableElement>(&mut self, name: &str) -> ArrayD<T> {
        self.0.by_name::<OwnedRepr<T>, IxDyn>(name).unwrap()
    }

    pub fn tensor(&mut self, name: &str) -> Tensor {
        let array = self.array::<f32>(name);
        Tensor::from_vec(array.iter().copied().collect::<Vec<_>>(), array.shape(), &Device::Cpu)
            .unwrap()
    }
}

pub fn largest_difference(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.dims(), b.dims());
    f64::from(
        (a - b)
            .unwrap()
            .abs()
            .unwrap()
            .flatten_all()
            .unwrap()
            .max(0)
            .unwrap()
            .to_scalar::<f32>()
            .unwrap(),
    )
}

/// Writes one slice of `part`.
pub fn write_slice(npy: &Path, part: &str, name: &str, image: &Array3<u8>, label: &Array2<u8>) {
    let folder = npy.join(part);
    ild_io::write_npy_u8(&folder.join("imgs").join(format!("{name}.npy")), image.view().into_dyn())
        .unwrap();
    ild_io::write_npy_u8(&folder.join("gts").join(format!("{name}.npy")), label.view().into_dyn())
        .unwrap();
}

/// `n` slices with one bright square of label 1 or 3 each.
pub fn write_squares(npy: &Path, part: &str, n: usize) {
    for i in 0..n {
        let (y0, x0, side, id) = (
            20 + 37 * i % 120,
            30 + 53 * i % 110,
            50 + 13 * i % 40,
            if i % 3 == 0 { 3 } else { 1 },
        );
        let inside =
            |y: usize, x: usize| (y0..y0 + side).contains(&y) && (x0..x0 + side).contains(&x);
        let label = Array2::from_shape_fn((256, 256), |(y, x)| if inside(y, x) { id } else { 0 });
        let image = Array3::from_shape_fn((64, 64, 3), |(y, x, _)| {
            let noise = (y * 31 + x * 17 + i * 7) % 23;
            noise as u8 + if inside(4 * y, 4 * x) { 150 } else { 40 }
        });
        write_slice(npy, part, &format!("case-{i:03}"), &image, &label);
    }
}

/// A folder with 10 training and 4 validation slices, and `mini.toml`.
pub fn toy() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write_squares(&folder.path().join("npy"), "train", 10);
    write_squares(&folder.path().join("npy"), "valid", 4);
    std::fs::write(folder.path().join("mini.toml"), MINI).unwrap();
    folder
}

/// Names and shapes of the trained and the other tensors of `mini.toml`'s model, as JSON.
pub fn parameters_of_mini() -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mini.toml");
    std::fs::write(&file, MINI).unwrap();
    let config = Sam2Config::from_name_or_file(file.to_str().unwrap()).unwrap();
    let weights = Weights::random(&config, 1).unwrap();
    let (_, parameters, _) = Sam2::trainable(&config, &weights, &Device::Cpu).unwrap();
    let trained: Vec<(&str, &[usize])> =
        parameters.iter().map(|(name, var)| (name, var.dims())).collect();
    let others = weights.iter().filter(|(name, _)| parameters.get(name).is_none());
    let frozen: Vec<(&str, &[usize])> =
        others.map(|(name, tensor)| (name, tensor.dims())).collect();
    serde_json::json!({ "trained": trained, "frozen": frozen }).to_string() + "\n"
}
