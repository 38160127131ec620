//! What the head says, as logits and as probabilities.

use candle_core::{D, Tensor};
use ndarray::{Array2, Array3, Axis};

use crate::error::{Error, Result};
use crate::image::resize::resize_plain;

/// Logits of `b` images; `k` classes in the order of [`super::LesionHead::classes`].
#[derive(Debug, Clone)]
pub struct LesionMaps {
    /// Whether a pixel is diseased: `[b, h, w]`.
    pub lesion: Tensor,
    /// Of which class it is if it is diseased: `[b, h, w, k]`.
    pub class: Tensor,
    /// Whether there is any lesion, then whether there is one of each class: `[b, 1 + k]`.
    pub present: Tensor,
}

/// The same of one image, as probabilities on its own pixels.
#[derive(Debug, Clone)]
pub struct LesionProbabilities {
    /// `p`, that a pixel is diseased: `[height, width]`.
    pub lesion: Array2<f32>,
    /// `q`, of which class it is if it is diseased: `[k, height, width]`; sums to 1 over `k`.
    pub class: Array3<f32>,
    /// `S`, that there is any lesion on the slice. The probability of class `c` at a pixel is
    /// `S·p·q_c`.
    pub gate: f32,
    /// That each class is on the slice: `[k]`.
    pub present: Vec<f32>,
}

impl LesionMaps {
    /// How many images.
    ///
    /// # Errors
    /// When the maps have no axes.
    pub fn batch(&self) -> Result<usize> {
        Ok(self.lesion.dim(0)?)
    }

    /// Probabilities of image `i` for a slice of `height` × `width` pixels.
    ///
    /// Lesion logits are enlarged before the sigmoid, as in training; class probabilities after the
    /// softmax, so that they still sum to 1.
    ///
    /// # Errors
    /// When there is no such image, or a side is 0.
    pub fn probabilities(
        &self,
        i: usize,
        height: usize,
        width: usize,
    ) -> Result<LesionProbabilities> {
        if i >= self.batch()? || height == 0 || width == 0 {
            return Err(Error::Shape {
                what: "lesion maps",
                expected: format!("image {i} on a slice with pixels"),
                found: vec![self.batch()?, height, width],
            });
        }
        let lesion = array2(&self.lesion.get(i)?)?;
        let lesion = resize_plain(lesion.view(), height, width).mapv(sigmoid);
        let class = candle_nn::ops::softmax(&self.class.get(i)?, D::Minus1)?.permute((2, 0, 1))?;
        let k = class.dim(0)?;
        let mut q = Array3::zeros((k, height, width));
        for (c, mut out) in q.outer_iter_mut().enumerate() {
            out.assign(&resize_plain(array2(&class.get(c)?)?.view(), height, width));
        }
        let present: Vec<f32> =
            self.present.get(i)?.to_vec1::<f32>()?.into_iter().map(sigmoid).collect();
        Ok(LesionProbabilities {
            lesion,
            class: q,
            gate: present[0],
            present: present[1..].to_vec(),
        })
    }
}

impl LesionProbabilities {
    /// The most probable class channel of each pixel, where `S·p` is above `threshold`; `None`
    /// elsewhere.
    #[must_use]
    pub fn classes_above(&self, threshold: f32) -> Array2<Option<usize>> {
        let gate = self.gate;
        Array2::from_shape_fn(self.lesion.dim(), |(y, x)| {
            if gate * self.lesion[[y, x]] <= threshold {
                return None;
            }
            let q = self.class.index_axis(Axis(1), y);
            let q = q.index_axis(Axis(1), x);
            (0..q.len()).max_by(|&a, &b| q[a].total_cmp(&q[b]))
        })
    }
}

fn sigmoid(logit: f32) -> f32 {
    1.0 / (1.0 + (-logit).exp())
}

fn array2(map: &Tensor) -> Result<Array2<f32>> {
    let (h, w) = map.dims2()?;
    let values = map.contiguous()?.flatten_all()?.to_vec1::<f32>()?;
    Ok(Array2::from_shape_fn((h, w), |(y, x)| values[y * w + x]))
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn maps() -> LesionMaps {
        let t = |v: &[f32], s: &[usize]| Tensor::from_slice(v, s, &Device::Cpu).unwrap();
        LesionMaps {
            lesion: t(&[4.0, -4.0, -4.0, -4.0], &[1, 2, 2]),
            class: t(&[0.0, 2.0, 2.0, 0.0, 0.0, 0.0, 1.0, 3.0], &[1, 2, 2, 2]),
            present: t(&[9.0, 9.0, -9.0], &[1, 3]),
        }
    }

    #[test]
    fn class_probabilities_sum_to_one_at_any_size() {
        let found = maps().probabilities(0, 5, 7).unwrap();
        assert_eq!((found.lesion.dim(), found.class.dim()), ((5, 7), (2, 5, 7)));
        assert!(found.class.sum_axis(Axis(0)).iter().all(|sum| (sum - 1.0).abs() < 1e-6));
        assert!(found.gate > 0.99 && found.present[0] > 0.99 && found.present[1] < 0.01);
    }

    #[test]
    fn a_pixel_gets_a_class_only_where_it_is_diseased() {
        let found = maps().probabilities(0, 2, 2).unwrap().classes_above(0.5);
        assert_eq!(found.into_raw_vec_and_offset().0, [Some(1), None, None, None]);
    }

    #[test]
    fn an_image_that_is_not_there_is_refused() {
        assert!(maps().probabilities(1, 2, 2).is_err());
    }
}
