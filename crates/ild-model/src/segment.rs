//! One slice, one box, one mask: from files to files.

use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use ndarray::{Array2, Array3, ArrayView, Axis, Ix1, Ix2, Ix3, IxDyn};
use ndarray_npy::{ViewNpyExt, WritableElement, WriteNpyExt};

use crate::error::{Error, Result};
use crate::input::read_regular;
use crate::{DecodeMode, Sam2, SliceBox, SliceSize, image_to_input, logits_to_probability};

/// A pixel belongs to the mask when its probability is above this.
pub const THRESHOLD: f32 = 0.5;

/// What [`segment`] found.
#[derive(Debug, Clone)]
pub struct Segmentation {
    /// Logits at stride 4: `[s/4, s/4]`.
    pub logits: Array2<f32>,
    /// The decoder's estimate of the mask's intersection over union, 0 to 1.
    pub iou: f32,
    /// 1 inside, 0 outside: `[y, x]` of the slice.
    pub mask: Array2<u8>,
}

/// The mask of what a box of a slice holds.
///
/// # Shapes
/// - `rgb`: `[y, x, 3]`
///
/// # Errors
/// When a tensor operation fails.
pub fn segment(
    model: &Sam2,
    rgb: &Array3<u8>,
    drawn: SliceBox,
    device: &Device,
) -> Result<Segmentation> {
    let s = model.config().image_size;
    let (height, width, _) = rgb.dim();
    let input = image_to_input(rgb.view(), s).into_raw_vec_and_offset().0;
    let features = model.encode_image(&Tensor::from_vec(input, (1, 3, s, s), device)?)?;
    let corners = drawn.to_input(SliceSize { height, width }, s).to_f32();
    let corners = Tensor::new(&[corners], device)?;
    let predicted = model.decode_box(&features, &corners, DecodeMode::Eval)?;

    let side = model.config().mask_size();
    let values = predicted.logits.flatten_all()?.to_vec1::<f32>()?;
    let logits = Array2::from_shape_fn((side, side), |(y, x)| values[y * side + x]);
    let mask =
        logits_to_probability(logits.view(), height, width).mapv(|p| u8::from(p > THRESHOLD));
    Ok(Segmentation { logits, iou: predicted.iou.flatten_all()?.to_vec1::<f32>()?[0], mask })
}

impl Segmentation {
    /// Writes `logits.npy` (f32), `iou.npy` (f32, one number) and `mask.npy` (u8) into `folder`;
    /// returns their paths.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<[PathBuf; 3]> {
        let iou = ndarray::arr1(&[self.iou]);
        Ok([
            write_npy::<_, Ix2>(folder.join("logits.npy"), self.logits.view())?,
            write_npy::<_, Ix1>(folder.join("iou.npy"), iou.view())?,
            write_npy::<_, Ix2>(folder.join("mask.npy"), self.mask.view())?,
        ])
    }
}

fn write_npy<T: WritableElement, D: ndarray::Dimension>(
    path: PathBuf,
    array: ArrayView<T, D>,
) -> Result<PathBuf> {
    ild_cli::write_atomic(&path, |file| array.write_npy(file))?;
    Ok(path)
}

/// Reads a slice: `(H, W, 3)` or `(H, W)` of `uint8`; a grey slice becomes three equal channels.
///
/// # Errors
/// [`Error::Refused`] for any other array, [`Error::Io`] for a file that cannot be read.
pub fn read_slice(path: &Path) -> Result<Array3<u8>> {
    let refuse = |found: String| {
        Error::refused(
            path,
            "a slice (H, W, 3) or (H, W) of uint8 in .npy",
            found,
            "`ild-preprocess npz-to-npy` writes such slices",
        )
    };
    let bytes = read_regular(path)?;
    let array =
        ArrayView::<u8, IxDyn>::view_npy(&bytes).map_err(|error| refuse(error.to_string()))?;
    let found = format!("shape {:?}", array.shape());
    if array.is_empty() {
        return Err(refuse(found));
    }
    match array.ndim() {
        2 => {
            let grey = array.insert_axis(Axis(2));
            let (y, x) = (grey.shape()[0], grey.shape()[1]);
            let rgb = grey.broadcast((y, x, 3)).ok_or_else(|| refuse(found))?;
            Ok(rgb.to_owned())
        }
        3 if array.shape()[2] == 3 => {
            array.into_dimensionality::<Ix3>().map(|rgb| rgb.to_owned()).map_err(|_| refuse(found))
        }
        _ => Err(refuse(found)),
    }
}

/// The same box, if it has an area and touches a slice of `height` × `width`.
///
/// # Errors
/// [`Error::Box`] says what a box has to be.
pub fn checked_box(pixels: [f64; 4], height: usize, width: usize) -> Result<SliceBox> {
    let [x0, y0, x1, y1] = pixels;
    let inside =
        x0 < x1 && y0 < y1 && x1 > 0.0 && y1 > 0.0 && x0 < width as f64 && y0 < height as f64;
    if inside && pixels.iter().all(|value| value.is_finite()) {
        return Ok(SliceBox::new(pixels));
    }
    Err(Error::Box { pixels, height, width })
}
