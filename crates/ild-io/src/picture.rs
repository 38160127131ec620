//! Pictures of slices: outlines of masks and boxes over the grey values, tiled, saved as PNG.
//!
//! No text is drawn; the caption belongs to whoever shows the picture.

use std::io::Write as _;
use std::path::Path;

use image::{ImageFormat, Rgb, RgbImage};
use ndarray::{ArrayView2, ArrayView3};

use crate::{Error, Result};

/// Pixels between two tiles.
const GAP_PX: u32 = 4;
const GAP_COLOR: Rgb<u8> = Rgb([24, 24, 24]);

/// The slice under the outlines.
#[derive(Clone, Copy, Debug)]
pub enum Slice<'a> {
    /// `[y, x]`.
    Grey(ArrayView2<'a, u8>),
    /// `[y, x, 3]`.
    Rgb(ArrayView3<'a, u8>),
}

impl<'a> From<ArrayView2<'a, u8>> for Slice<'a> {
    fn from(view: ArrayView2<'a, u8>) -> Self {
        Self::Grey(view)
    }
}

impl<'a> From<ArrayView3<'a, u8>> for Slice<'a> {
    fn from(view: ArrayView3<'a, u8>) -> Self {
        Self::Rgb(view)
    }
}

impl Slice<'_> {
    /// `(rows, columns)`.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        match self {
            Self::Grey(a) => a.dim(),
            Self::Rgb(a) => (a.dim().0, a.dim().1),
        }
    }

    fn pixel(&self, y: usize, x: usize) -> Rgb<u8> {
        match self {
            Self::Grey(a) => Rgb([a[[y, x]]; 3]),
            Self::Rgb(a) => Rgb([a[[y, x, 0]], a[[y, x, 1]], a[[y, x, 2]]]),
        }
    }
}

/// What is outlined.
#[derive(Clone, Debug)]
pub enum Shape<'a> {
    /// The border of the pixels that are `true`, `[y, x]`, drawn inside the region.
    Mask(ArrayView2<'a, bool>),
    /// `x0, y0, x1, y1` in pixels of the slice, as a prompt.
    Box([f64; 4]),
}

/// A line over the slice.
#[derive(Clone, Debug)]
pub struct Outline<'a> {
    /// What it follows.
    pub shape: Shape<'a>,
    /// sRGB.
    pub color: [u8; 3],
    /// Dashes instead of a solid line: by custom of this project, ground truth.
    pub dashed: bool,
}

impl<'a> Outline<'a> {
    /// Solid outline of a mask.
    #[must_use]
    pub fn mask(mask: ArrayView2<'a, bool>, color: [u8; 3]) -> Self {
        Self { shape: Shape::Mask(mask), color, dashed: false }
    }

    /// Solid outline of a box.
    #[must_use]
    pub fn rect(box_px: [f64; 4], color: [u8; 3]) -> Self {
        Self { shape: Shape::Box(box_px), color, dashed: false }
    }

    /// The same outline in dashes.
    #[must_use]
    pub fn dashed(self) -> Self {
        Self { dashed: true, ..self }
    }
}

/// The slice enlarged `scale` times (whole pixels, no smoothing) with `outlines` drawn over it in
/// order.
///
/// # Shapes
/// - masks have the size of the slice; a mask of another size is drawn as far as both reach.
/// - returns `[y · scale, x · scale]`.
pub fn overlay<'a>(slice: impl Into<Slice<'a>>, outlines: &[Outline], scale: u32) -> RgbImage {
    let (slice, scale) = (slice.into(), scale.max(1));
    let (height, width) = slice.size();
    let mut picture = RgbImage::from_fn(width as u32 * scale, height as u32 * scale, |x, y| {
        slice.pixel((y / scale) as usize, (x / scale) as usize)
    });
    for outline in outlines {
        let pen =
            Pen { color: Rgb(outline.color), dashed: outline.dashed, thickness: scale.max(2) };
        match &outline.shape {
            Shape::Mask(mask) => pen.border(&mut picture, mask, scale),
            Shape::Box(box_px) => {
                pen.rectangle(&mut picture, box_px.map(|v| (v * f64::from(scale)).round() as i64))
            }
        }
    }
    picture
}

struct Pen {
    color: Rgb<u8>,
    dashed: bool,
    thickness: u32,
}

impl Pen {
    /// A slanted stripe pattern cuts lines of any direction into dashes, save one that runs along
    /// the stripes.
    fn dot(&self, picture: &mut RgbImage, x: u32, y: u32) {
        let dash = 3 * self.thickness;
        if !self.dashed || (x + 2 * y) % (2 * dash) < dash {
            picture.put_pixel(x, y, self.color);
        }
    }

    /// Pixels of the region with something outside it within `thickness` along a row or column.
    fn border(&self, picture: &mut RgbImage, mask: &ArrayView2<bool>, scale: u32) {
        let at = |x: i64, y: i64| {
            let s = i64::from(scale);
            x >= 0
                && y >= 0
                && mask.get([(y / s) as usize, (x / s) as usize]).copied().unwrap_or(false)
        };
        let (width, height) = picture.dimensions();
        for y in 0..height {
            for x in 0..width {
                let (i, j) = (i64::from(x), i64::from(y));
                let near_outside = || {
                    (1..=i64::from(self.thickness))
                        .any(|d| !(at(i - d, j) && at(i + d, j) && at(i, j - d) && at(i, j + d)))
                };
                if at(i, j) && near_outside() {
                    self.dot(picture, x, y);
                }
            }
        }
    }

    fn rectangle(&self, picture: &mut RgbImage, [x0, y0, x1, y1]: [i64; 4]) {
        let (width, height) = (i64::from(picture.width()), i64::from(picture.height()));
        let (x0, x1) = (x0.clamp(0, width), x1.clamp(0, width));
        let (y0, y1) = (y0.clamp(0, height), y1.clamp(0, height));
        let t = i64::from(self.thickness);
        for y in y0..y1 {
            for x in x0..x1 {
                if x < x0 + t || x >= x1 - t || y < y0 + t || y >= y1 - t {
                    self.dot(picture, x as u32, y as u32);
                }
            }
        }
    }
}

/// Pictures side by side, `columns` in a row, with a small gap; each cell has the size of the
/// largest picture.
#[must_use]
pub fn tile(pictures: &[RgbImage], columns: usize) -> RgbImage {
    let columns = columns.clamp(1, pictures.len().max(1)) as u32;
    let rows = (pictures.len() as u32).div_ceil(columns);
    let cell_w = pictures.iter().map(RgbImage::width).max().unwrap_or(0) + GAP_PX;
    let cell_h = pictures.iter().map(RgbImage::height).max().unwrap_or(0) + GAP_PX;
    let size = |cells: u32, cell: u32| (cells * cell).saturating_sub(GAP_PX).max(1);
    let mut sheet = RgbImage::from_pixel(size(columns, cell_w), size(rows, cell_h), GAP_COLOR);
    for (i, picture) in pictures.iter().enumerate() {
        let (row, column) = (i as u32 / columns, i as u32 % columns);
        image::imageops::replace(
            &mut sheet,
            picture,
            i64::from(column * cell_w),
            i64::from(row * cell_h),
        );
    }
    sheet
}

/// Writes a PNG beside its final name and renames it.
///
/// # Errors
/// When the file cannot be written; names it.
pub fn save_png(path: &Path, picture: &RgbImage) -> Result<()> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut bytes, ImageFormat::Png).map_err(|cause| Error::Io {
        path: path.to_owned(),
        what: "written",
        source: std::io::Error::other(cause),
    })?;
    ild_cli::write_atomic_unsynced(path, |file| file.write_all(bytes.get_ref()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, Array3};

    use super::*;

    const RED: [u8; 3] = [255, 0, 0];

    fn count(picture: &RgbImage, color: [u8; 3]) -> usize {
        picture.pixels().filter(|p| p.0 == color).count()
    }

    #[test]
    fn a_mask_is_outlined_and_its_middle_stays_visible() {
        let slice = Array2::from_elem((20, 30), 90u8);
        let mask =
            Array2::from_shape_fn((20, 30), |(y, x)| (5..15).contains(&y) && (5..25).contains(&x));
        let picture = overlay(slice.view(), &[Outline::mask(mask.view(), RED)], 2);
        assert_eq!(picture.dimensions(), (60, 40));
        // A 40×20 region minus its 36×16 middle.
        assert_eq!(count(&picture, RED), 40 * 20 - 36 * 16);
        assert_eq!(picture.get_pixel(30, 20).0, [90; 3]);
        assert_eq!(picture.get_pixel(9, 20).0, [90; 3], "the line lies inside the region");
    }

    #[test]
    fn dashes_leave_about_half_of_the_line() {
        let slice = Array3::from_elem((40, 40, 3), 10u8);
        let solid =
            count(&overlay(slice.view(), &[Outline::rect([4.0, 4.0, 36.0, 36.0], RED)], 1), RED);
        let dashed = count(
            &overlay(slice.view(), &[Outline::rect([4.0, 4.0, 36.0, 36.0], RED).dashed()], 1),
            RED,
        );
        assert!((solid / 3..=2 * solid / 3).contains(&dashed), "{dashed} of {solid}");
    }

    #[test]
    fn a_box_beyond_the_slice_is_cut_at_its_border() {
        let slice = Array2::from_elem((8, 8), 0u8);
        let picture = overlay(slice.view(), &[Outline::rect([-3.0, 2.0, 99.0, f64::NAN], RED)], 1);
        assert_eq!(picture.dimensions(), (8, 8));
    }

    #[test]
    fn tiles_of_unequal_size_keep_their_columns() {
        let (a, b) = (RgbImage::from_pixel(10, 6, Rgb(RED)), RgbImage::from_pixel(8, 9, Rgb(RED)));
        let sheet = tile(&[a, b.clone(), b], 2);
        assert_eq!(sheet.dimensions(), (10 + GAP_PX + 10, 9 + GAP_PX + 9));
        assert_eq!(count(&sheet, RED), 60 + 72 + 72);
        assert_eq!(tile(&[], 3).dimensions(), (1, 1));
    }

    #[test]
    fn a_saved_picture_is_read_back_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep").join("x.png");
        let picture = RgbImage::from_fn(5, 4, |x, y| Rgb([x as u8, y as u8, 7]));
        save_png(&path, &picture).unwrap();
        assert_eq!(image::open(&path).unwrap().to_rgb8(), picture);
    }
}
