//! Loss and optimiser against PyTorch and MONAI (`tests/golden/train/export.py`), and against the
//! reference's own recordings when they are there.

mod support;

use std::path::Path;

use candle_core::{Device, Tensor, Var};
use ild_train::{AdamW, AdamWConfig, dice_and_cross_entropy};
use support::{Npz, golden, largest_difference, recordings};

/// f32 arithmetic in another order of summation; the values are of order 1.
const LOSS_TOLERANCE: f64 = 2e-6;
/// Logits reach 16, and PyTorch rounds the interpolation weights to f32.
const ENLARGE_TOLERANCE: f64 = 2e-5;
/// One unit in the last place of a parameter of order 1 (PyTorch's loop uses fused multiply-add in
/// places).
const ADAMW_TOLERANCE: f64 = 2.5e-7;

fn check_loss(path: &Path, per_mask: &str) {
    let mut npz = Npz::open(path);
    let logits = Var::from_tensor(&npz.tensor("logits")).unwrap();
    let gt = npz.array::<u8>("gt").mapv(f32::from);
    let masks =
        Tensor::from_vec(gt.iter().copied().collect::<Vec<_>>(), gt.shape(), &Device::Cpu).unwrap();
    let loss = dice_and_cross_entropy(logits.as_tensor(), &masks).unwrap();
    let mean = |t: &Tensor| t.mean_all().unwrap().reshape(()).unwrap();
    let expected_dice = npz.tensor(per_mask).flatten_all().unwrap();
    assert!(largest_difference(&loss.dice, &expected_dice) < LOSS_TOLERANCE);
    assert!(largest_difference(&mean(&loss.dice), &npz.tensor("dice")) < LOSS_TOLERANCE);
    assert!(largest_difference(&mean(&loss.bce), &npz.tensor("bce")) < LOSS_TOLERANCE);
    let gradient = loss.total.backward().unwrap().remove(logits.as_tensor()).unwrap();
    assert!(largest_difference(&gradient, &npz.tensor("grad")) < LOSS_TOLERANCE / 10.0); // gradients are of order 1e-3
}

#[test]
fn loss_and_its_gradient_are_monais_and_pytorchs() {
    check_loss(&golden("loss.npz"), "dice_per_mask");
    if let Some(recorded) = recordings() {
        check_loss(&recorded.join("misc/loss.npz"), "dice_per_sample");
    }
}

#[test]
fn enlarged_logits_are_pytorchs_bilinear_and_carry_gradient() {
    let mut npz = Npz::open(&golden("loss.npz"));
    let small = Var::from_tensor(&npz.tensor("small")).unwrap();
    let large = ild_ops::upsample_bilinear(small.as_tensor(), 64, 48).unwrap();
    let apart = largest_difference(&large, &npz.tensor("enlarged"));
    assert!(apart < ENLARGE_TOLERANCE, "{apart}");
    let gradient = large.sum_all().unwrap().backward().unwrap().remove(small.as_tensor()).unwrap();
    // Each output pixel hands out weight 1, so each input gets 64·48 / 16² on average.
    assert!((gradient.mean_all().unwrap().to_scalar::<f32>().unwrap() - 12.0).abs() < 1e-4);
}

/// Names of the arrays of an optimiser recording.
struct Names {
    /// The parameter with gradients, the one without and the one with zero gradients; `<name>0` is
    /// its start.
    parameters: [&'static str; 3],
    gradients: &'static str,
    /// Name and learning rate of each run.
    runs: [(&'static str, f64); 2],
    /// Between a parameter's name and the number of steps done.
    after: &'static str,
}

fn check_adamw(path: &Path, names: &Names) {
    for (run, lr) in names.runs {
        let mut npz = Npz::open(path);
        let vars = names
            .parameters
            .map(|name| Var::from_tensor(&npz.tensor(&format!("{name}0"))).unwrap());
        let without_before = vars[1].to_vec1::<f32>().unwrap();
        let mut optimizer = AdamW::new(vars.to_vec(), AdamWConfig::default());
        let gradients = npz.tensor(names.gradients);
        for step in 1..=10 {
            let zeros = vars[2].zeros_like().unwrap();
            optimizer
                .step(lr, &[Some(gradients.get(step - 1).unwrap()), None, Some(zeros)])
                .unwrap();
            if [1, 2, 5, 10].contains(&step) {
                let expected =
                    npz.tensor(&format!("{run}_{}{}{step}", names.parameters[0], names.after));
                assert!(
                    largest_difference(vars[0].as_tensor(), &expected) < ADAMW_TOLERANCE,
                    "{run}, step {step}"
                );
            }
        }
        let expected = npz.tensor(&format!("{run}_{}{}10", names.parameters[2], names.after));
        assert!(
            largest_difference(vars[2].as_tensor(), &expected) < ADAMW_TOLERANCE,
            "{run}: zero gradient decays"
        );
        assert_eq!(
            vars[1].to_vec1::<f32>().unwrap(),
            without_before,
            "{run}: no gradient, no decay"
        );
        let moments: Vec<_> = optimizer.moments().collect();
        assert!(moments[1].is_none());
        let first = moments[0].unwrap();
        for (ours, name) in [(&first.exp_avg, "exp_avg"), (&first.exp_avg_sq, "exp_avg_sq")] {
            let expected = npz.tensor(&format!("{run}_{name}"));
            let scale =
                f64::from(expected.abs().unwrap().max(0).unwrap().to_scalar::<f32>().unwrap())
                    .max(1.0);
            assert!(largest_difference(ours, &expected) < ADAMW_TOLERANCE * scale, "{run}, {name}");
        }
    }
}

#[test]
fn adamw_is_pytorchs_with_zero_and_without_gradient() {
    let ours = Names {
        parameters: ["p", "without", "zero"],
        gradients: "gradients",
        runs: [("reference", 6e-5), ("fast", 1e-3)],
        after: "",
    };
    check_adamw(&golden("adamw.npz"), &ours);
    if let Some(recorded) = recordings() {
        let theirs = Names {
            parameters: ["p", "q", "z"],
            gradients: "grads_p",
            runs: [("default", 6e-5), ("lr1e-3", 1e-3)],
            after: "_step",
        };
        check_adamw(&recorded.join("misc/adamw.npz"), &theirs);
    }
}
