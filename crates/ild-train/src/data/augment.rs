//! Small random changes of a slice; all off unless asked for.

use clap::Args;
use ndarray::{Array2, Array3, ArrayView2, ArrayView3};
use rand::Rng;
use serde::{Deserialize, Serialize};

/// How far a slice may be changed.
#[derive(Args, Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Augmentation {
    /// Mirror left and right in half of the draws.
    #[arg(long = "augment-flip", help_heading = "Augmentation")]
    #[serde(rename = "augment-flip")]
    pub flip: bool,
    /// Rotate by up to this many degrees either way.
    #[arg(
        long = "augment-rotate-deg",
        default_value_t = 0.0,
        value_name = "DEGREES",
        help_heading = "Augmentation"
    )]
    #[serde(rename = "augment-rotate-deg")]
    pub rotate_deg: f64,
    /// Enlarge or shrink by up to this share (0.1 = 90 to 110 %).
    #[arg(
        long = "augment-scale",
        default_value_t = 0.0,
        value_name = "SHARE",
        help_heading = "Augmentation"
    )]
    #[serde(rename = "augment-scale")]
    pub scale: f64,
    /// Change contrast by up to this share and brightness by up to this share of the grey range.
    #[arg(
        long = "augment-intensity",
        default_value_t = 0.0,
        value_name = "SHARE",
        help_heading = "Augmentation"
    )]
    #[serde(rename = "augment-intensity")]
    pub intensity: f64,
}

impl Augmentation {
    /// Draws a change. Draws no number for a part that is off, so that turning one on leaves the
    /// others' draws alone.
    pub fn draw(&self, rng: &mut impl Rng) -> Warp {
        let mut around =
            |limit: f64| if limit > 0.0 { rng.random_range(-limit..=limit) } else { 0.0 };
        let (angle, zoom) = (around(self.rotate_deg).to_radians(), 1.0 + around(self.scale));
        let (gain, offset) = (1.0 + around(self.intensity), 255.0 * around(self.intensity));
        let mirror = self.flip && rng.random_bool(0.5);
        Warp { angle, zoom, mirror, gain, offset }
    }
}

/// One drawn change.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Warp {
    /// Counter-clockwise on the screen, radians.
    pub angle: f64,
    /// Above 1 enlarges.
    pub zoom: f64,
    /// Left and right exchanged.
    pub mirror: bool,
    /// Factor on the grey values about the middle of their range.
    pub gain: f64,
    /// Added to the grey values.
    pub offset: f64,
}

impl Warp {
    /// Changes nothing.
    pub const IDENTITY: Self =
        Self { angle: 0.0, zoom: 1.0, mirror: false, gain: 1.0, offset: 0.0 };

    /// Whether nothing would change.
    #[must_use]
    pub fn is_identity(&self) -> bool {
        *self == Self::IDENTITY
    }

    /// Where output position `(u, v)` comes from; positions run from −½ to ½, `aspect` is width
    /// over height.
    fn source(&self, u: f64, v: f64, aspect: f64) -> (f64, f64) {
        let (sin, cos) = self.angle.sin_cos();
        let (x, y) = (u * aspect / self.zoom, v / self.zoom);
        let (x, y) = (cos * x - sin * y, sin * x + cos * y);
        let u = x / aspect;
        (if self.mirror { -u } else { u }, y)
    }

    /// The changed image (bilinear, zero outside), `[y, x, 3]`.
    #[must_use]
    pub fn image(&self, image: ArrayView3<u8>) -> Array3<u8> {
        let (height, width, channels) = image.dim();
        let aspect = width as f64 / height as f64;
        let at = |y: isize, x: isize, c: usize| {
            let inside = (0..height as isize).contains(&y) && (0..width as isize).contains(&x);
            if inside { f64::from(image[[y as usize, x as usize, c]]) } else { 0.0 }
        };
        let mut out = Array3::zeros((height, width, channels));
        for ((y, x), mut pixel) in indexed_pixels(&mut out) {
            let (u, v) = self.source(
                (x as f64 + 0.5) / width as f64 - 0.5,
                (y as f64 + 0.5) / height as f64 - 0.5,
                aspect,
            );
            let (sx, sy) = ((u + 0.5) * width as f64 - 0.5, (v + 0.5) * height as f64 - 0.5);
            let (x0, y0) = (sx.floor(), sy.floor());
            let (fx, fy) = (sx - x0, sy - y0);
            let (x0, y0) = (x0 as isize, y0 as isize);
            for (c, value) in pixel.iter_mut().enumerate() {
                let top = at(y0, x0, c) * (1.0 - fx) + at(y0, x0 + 1, c) * fx;
                let bottom = at(y0 + 1, x0, c) * (1.0 - fx) + at(y0 + 1, x0 + 1, c) * fx;
                let grey = top * (1.0 - fy) + bottom * fy;
                *value = ((grey - 127.5) * self.gain + 127.5 + self.offset)
                    .round()
                    .clamp(0.0, 255.0) as u8;
            }
        }
        out
    }

    /// The changed label (nearest neighbour, background outside), `[y, x]`; `aspect` is that of the
    /// image it belongs to.
    #[must_use]
    pub fn label(&self, label: ArrayView2<u8>, aspect: f64) -> Array2<u8> {
        let (height, width) = label.dim();
        Array2::from_shape_fn((height, width), |(y, x)| {
            let (u, v) = self.source(
                (x as f64 + 0.5) / width as f64 - 0.5,
                (y as f64 + 0.5) / height as f64 - 0.5,
                aspect,
            );
            let (sx, sy) = ((u + 0.5) * width as f64, (v + 0.5) * height as f64);
            let inside = sx >= 0.0 && sy >= 0.0;
            if inside { label.get((sy as usize, sx as usize)).copied().unwrap_or(0) } else { 0 }
        })
    }
}

fn indexed_pixels(
    image: &mut Array3<u8>,
) -> impl Iterator<Item = ((usize, usize), ndarray::ArrayViewMut1<'_, u8>)> {
    let width = image.dim().1;
    image
        .lanes_mut(ndarray::Axis(2))
        .into_iter()
        .enumerate()
        .map(move |(i, pixel)| ((i / width, i % width), pixel))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, stream};

    fn slice() -> (Array3<u8>, Array2<u8>) {
        let label = Array2::from_shape_fn((64, 64), |(y, x)| {
            u8::from((20..30).contains(&y) && (35..55).contains(&x)) * 3
        });
        let image = Array3::from_shape_fn(
            (64, 64, 3),
            |(y, x, _)| if label[[y, x]] > 0 { 200 } else { 40 },
        );
        (image, label)
    }

    #[test]
    fn nothing_is_drawn_when_everything_is_off() {
        let mut rng = stream(1, Purpose::Item, 0, 0);
        assert!(Augmentation::default().draw(&mut rng).is_identity());
        assert_eq!(
            rng,
            stream(1, Purpose::Item, 0, 0),
            "an unused augmentation must not move the random numbers"
        );
    }

    #[test]
    fn the_identity_returns_the_same_pixels() {
        let (image, label) = slice();
        assert_eq!(Warp::IDENTITY.image(image.view()), image);
        assert_eq!(Warp::IDENTITY.label(label.view(), 1.0), label);
    }

    #[test]
    fn image_and_label_move_together() {
        let (image, label) = slice();
        for warp in [
            Warp { mirror: true, ..Warp::IDENTITY },
            Warp { angle: 0.2, zoom: 1.1, ..Warp::IDENTITY },
            Warp { angle: -0.3, zoom: 0.9, mirror: true, ..Warp::IDENTITY },
        ] {
            let (moved, moved_label) = (warp.image(image.view()), warp.label(label.view(), 1.0));
            let agree = moved_label
                .indexed_iter()
                .filter(|((y, x), id)| (moved[[*y, *x, 0]] > 120) == (**id == 3))
                .count();
            assert!(agree as f64 > 0.99 * 4096.0, "{warp:?}: {agree} of 4096 pixels agree");
            assert!(moved_label != label);
            let area = moved_label.iter().filter(|&&id| id == 3).count() as f64 / 200.0;
            assert!(
                (area / (warp.zoom * warp.zoom) - 1.0).abs() < 0.1,
                "{warp:?}: area changed by {area}"
            );
        }
    }

    #[test]
    fn brightness_changes_the_image_only() {
        let (image, label) = slice();
        let warp = Warp { gain: 1.0, offset: 10.0, ..Warp::IDENTITY };
        assert_eq!(warp.image(image.view())[[0, 0, 0]], 50);
        assert_eq!(warp.label(label.view(), 1.0), label);
    }
}
