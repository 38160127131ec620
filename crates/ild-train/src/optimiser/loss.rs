//! Dice plus binary cross-entropy, on logits.

use candle_core::{Result, Tensor};

/// Added above and below the fraction of the Dice loss, MONAI's `smooth_nr` and `smooth_dr`.
const SMOOTH: f64 = 1e-5;

/// The loss of a batch and its two parts, each a scalar that carries gradient.
#[derive(Clone, Debug)]
pub struct Loss {
    /// `dice + bce`, what is minimised.
    pub total: Tensor,
    /// Dice loss of each mask, `[b]`.
    pub dice: Tensor,
    /// Cross-entropy of each mask, mean over pixels, `[b]`.
    pub bce: Tensor,
}

/// Loss of `logits` against binary masks; both parts are means over the batch.
///
/// - Dice: `1 − (2·Σpt + 1e-5) / (Σp² + Σt² + 1e-5)` with `p = sigmoid(logits)`, MONAI's
///   `DiceLoss(sigmoid=True, squared_pred=True)`;
/// - cross-entropy: PyTorch's `BCEWithLogitsLoss`, which stays finite for any finite logit.
///
/// Logits of another size than the masks are resized first ([`ild_ops::upsample_bilinear`]).
///
/// # Shapes
/// - `logits`: `[b, 1, h, w]`
/// - `masks`: `[b, 1, H, W]` of 0 and 1
///
/// # Errors
/// When the shapes do not fit together.
pub fn dice_and_cross_entropy(logits: &Tensor, masks: &Tensor) -> Result<Loss> {
    let (_, _, height, width) = masks.dims4()?;
    let logits = ild_ops::upsample_bilinear(logits, height, width)?;
    Loss::of(&ild_ops::mask_sums(&logits, masks)?, height * width)
}

impl Loss {
    /// From the sums of [`ild_ops::mask_sums`] over masks of so many pixels.
    pub(crate) fn of(sums: &Tensor, pixels: usize) -> Result<Self> {
        let sum = |i: usize| sums.narrow(1, i, 1)?.squeeze(1); // [b]
        let size = (sum(1)? + sum(2)?)?;
        let dice = (1.0 - (((sum(0)? * 2.0)? + SMOOTH)? / (size + SMOOTH)?)?)?; // [b]
        let bce = (sum(3)? / pixels as f64)?; // [b]

        let total = (&dice + &bce)?.mean_all()?;
        Ok(Self { total, dice, bce })
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    #[test]
    fn extreme_logits_stay_finite_in_value_and_gradient() {
        let x = Var::new(&[[[[200f32, -200.0], [0.0, 1e4]]]], &Device::Cpu).unwrap();
        let t = Tensor::new(&[[[[0f32, 1.0], [1.0, 1.0]]]], &Device::Cpu).unwrap();
        let loss = dice_and_cross_entropy(x.as_tensor(), &t).unwrap();
        let bce = loss.bce.to_vec1::<f32>().unwrap()[0];
        assert!((bce - (200.0 + 200.0 + std::f32::consts::LN_2) / 4.0).abs() < 1e-4, "{bce}");
        let gradient = loss
            .total
            .backward()
            .unwrap()
            .get(&x)
            .unwrap()
            .flatten_all()
            .unwrap()
            .to_vec1::<f32>()
            .unwrap();
        assert!(gradient.iter().all(|g| g.is_finite()), "{gradient:?}");
        assert!((gradient[0] - 0.25).abs() < 1e-6 && (gradient[1] + 0.25).abs() < 1e-6);
    }

    #[test]
    fn a_perfect_mask_costs_nothing_and_an_empty_one_a_whole_dice() {
        let t = Tensor::new(&[[[[0f32, 1.0], [1.0, 0.0]]]], &Device::Cpu).unwrap();
        let dice =
            |x: &Tensor| dice_and_cross_entropy(x, &t).unwrap().dice.to_vec1::<f32>().unwrap()[0];
        let right = ((&t * 80.0).unwrap() - 40.0).unwrap();
        assert!(dice(&right).abs() < 1e-5);
        assert!((dice(&Tensor::full(-40f32, t.shape(), &Device::Cpu).unwrap()) - 1.0).abs() < 1e-5);
    }
}
