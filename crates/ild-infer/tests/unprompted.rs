//! `ild-infer` without a prompt: the heuristic and the classes of the weights.

mod bench;

use bench::{Bench, SHAPE, geometry, ok, refused};
use ild_io::{Affine, Geometry, Volume, Voxels, read_label_map, read_volume, write_volume};
use ild_model::{Sam2Config, Weights};
use ndarray::Array3;

/// A chest with two lungs and a dense region in one of them, in Hounsfield units, 50 slices.
fn chest() -> Volume {
    let shape = [50, 90, 120];
    let within = |c: [f64; 3], r: [f64; 3], p: [f64; 3]| {
        (0..3).map(|i| ((p[i] - c[i]) / r[i]).powi(2)).sum::<f64>() < 1.0
    };
    let array = Array3::from_shape_fn(shape, |(z, y, x)| {
        let p = [z as f64, y as f64, x as f64];
        let lung = within([25.0, 45.0, 37.0], [23.0, 26.0, 18.0], p)
            || within([25.0, 45.0, 83.0], [23.0, 26.0, 18.0], p);
        match () {
            () if lung && within([25.0, 50.0, 36.0], [9.0, 10.0, 10.0], p) => -520,
            () if lung => -860 + ((z * 31 + y * 17 + x * 7) % 50) as i16,
            () if within([25.0, 45.0, 60.0], [400.0, 40.0, 55.0], p) => 40,
            () => -1000,
        }
    });
    Volume {
        voxels: Voxels::I16(array),
        geometry: Geometry::new(shape, Affine::from_spacing_xyz_mm([3.0, 3.0, 5.0])),
    }
}

#[test]
fn the_heuristic_prompts_what_is_dense_inside_the_lung_and_tells_what_it_did() {
    let bench = Bench::new();
    write_volume(&bench.path("chest/c_0000.nii.gz"), &chest()).unwrap();
    let text = ok(&bench.run(
        "chest",
        "heuristic",
        &[
            "--heuristic-min-iou",
            "0",
            "--heuristic-min-object-score=-1000",
            "--heuristic-min-stability",
            "0",
        ],
    ));
    assert!(text.contains("automatic prompt") && !text.contains("ground truth"), "{text}");
    let about = bench.json("c.json");
    assert_eq!(about["prompt"]["source"], "heuristic");
    let checks = about["prompt"]["lung"]["checks"].as_array().unwrap();
    assert!(checks.len() >= 4 && checks.iter().all(|check| check["passed"] == true), "{checks:?}");
    let candidates = about["prompt"]["candidates"].as_array().unwrap();
    assert_eq!(candidates.len(), 1, "{candidates:?}");
    assert_eq!(candidates[0]["texture"], "ground-glass");
    assert!(
        candidates[0]["predicted_iou"].is_number() && candidates[0]["object_score"].is_number()
    );
    let (lung, found) = (
        read_label_map(&bench.out("lung/c.nii.gz")).unwrap().labels,
        read_label_map(&bench.out("c.nii.gz")).unwrap().labels,
    );
    assert!(
        found.iter().zip(&lung).all(|(&id, &inside)| id == 0 || inside == 1),
        "nothing outside the lung"
    );

    let text = ok(&bench.run("chest", "heuristic", &["--heuristic-min-iou", "1"]));
    assert!(text.contains("none"), "{text}");
    assert!(read_label_map(&bench.out("c.nii.gz")).unwrap().labels.iter().all(|&id| id == 0));
    assert!(
        bench.json("c.json")["notes"][0]
            .as_str()
            .unwrap()
            .contains("1 candidates in the lung, none kept")
    );
}

#[test]
fn scores_that_nothing_has_taught_do_not_decide_about_candidates() {
    let bench = Bench::new();
    write_volume(&bench.path("chest/c_0000.nii.gz"), &chest()).unwrap();
    let weights = Weights::random(&Sam2Config::from_name_or_file("nano").unwrap(), 3).unwrap();
    let mut metadata = Weights::read(&bench.path("nano.safetensors")).unwrap().metadata;
    metadata.extend(weights.metadata.clone());
    weights.write_safetensors(&bench.path("nano.safetensors"), &metadata).unwrap();
    let never = ["--heuristic-min-iou", "1", "--heuristic-min-stability", "0"];
    ok(&bench.run("chest", "heuristic", &never));
    let about = bench.json("c.json");
    assert_eq!(about["prompt"]["candidates"][0]["kept"], true);
    assert!(about["notes"][0].as_str().unwrap().contains("began at random"), "{}", about["notes"]);
}

/// The bench's weights with a lesion head, untrained, for labels 2 and 5.
fn with_classes(bench: &Bench) {
    let file = bench.path("nano.safetensors");
    let mut weights = Weights::read(&file).unwrap();
    weights.add_lesion_head(&Sam2Config::from_name_or_file("nano").unwrap(), &[2, 5], 1).unwrap();
    let metadata = weights.metadata.clone();
    weights.write_safetensors(&file, &metadata).unwrap();
}

#[test]
fn auto_answers_with_every_class_and_without_any_prompt() {
    let bench = Bench::new();
    with_classes(&bench);
    write_volume(&bench.path("chest/c_0000.nii.gz"), &chest()).unwrap();
    for mask in ["head", "decoder", "both"] {
        let low = ["--auto-low", "0", "--auto-high", "0", "--auto-mask", mask, "--force"];
        let text = ok(&bench.run("chest", "auto", &[&low[..], &["--save-probabilities"]].concat()));
        assert!(text.contains("automatic") && !text.contains("ground truth"), "{text}");
        let about = bench.json("c.json");
        assert_eq!(about["prompt"]["kind"], "automatic");
        assert_eq!(about["prompt"]["ground_truth_used"], false);
        assert_eq!(about["prompt"]["mask"], mask);
        let presence = about["prompt"]["presence"].as_array().unwrap();
        let names: Vec<&str> = presence.iter().map(|row| row["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["Reticulation", "Honeycombing"]);
        let lesions = about["prompt"]["lesions"].as_array().unwrap();
        assert!(!lesions.is_empty() && lesions.iter().all(|row| row["confidence"].is_number()));
        assert_eq!(about["slices_encoded"], slices_with_lung(&bench), "one encoding a slice");
    }
    let sum: f64 = ["Reticulation", "Honeycombing"]
        .map(|name| read_volume(&bench.out(&format!("probabilities/c_{name}.nii.gz"))).unwrap())
        .iter()
        .map(|volume| match &volume.voxels {
            Voxels::F32(p) => f64::from(p[[25, 45, 37]]),
            _ => panic!("float32"),
        })
        .sum();
    assert!(sum > 0.0 && sum < 1.0, "{sum}");
}

fn slices_with_lung(bench: &Bench) -> usize {
    let lung = read_label_map(&bench.out("lung/c.nii.gz")).unwrap().labels;
    lung.outer_iter().filter(|slice| slice.iter().any(|&id| id == 1)).count()
}

/// Another training of the same classes, beside the bench's own.
fn second_opinion(bench: &Bench, seed: u64) -> String {
    let config = Sam2Config::from_name_or_file("nano").unwrap();
    let mut weights = Weights::random(&config, seed).unwrap();
    weights.add_lesion_head(&config, &[2, 5], seed).unwrap();
    let mut metadata = Weights::read(&bench.path("nano.safetensors")).unwrap().metadata;
    metadata.extend(weights.metadata.clone());
    weights.write_safetensors(&bench.path("second.safetensors"), &metadata).unwrap();
    let both = ["nano", "second"].map(|name| bench.path(&format!("{name}.safetensors")));
    both.map(|path| path.display().to_string()).join(",")
}

#[test]
fn several_weights_answer_together_and_say_where_they_disagree() {
    let bench = Bench::new();
    with_classes(&bench);
    write_volume(&bench.path("chest/c_0000.nii.gz"), &chest()).unwrap();
    let low = ["--auto-low", "0", "--auto-high", "0", "--auto-class-ml", "0", "--force"];
    let probability = |more: &[&str]| {
        ok(&bench.run("chest", "auto", &[&low[..], &["--save-probabilities"], more].concat()));
        let path = bench.out("probabilities/c_Honeycombing.nii.gz");
        match read_volume(&path).unwrap().voxels {
            Voxels::F32(values) => values.index_axis(ndarray::Axis(0), 25).to_owned(),
            _ => panic!("float32"),
        }
    };
    let both = second_opinion(&bench, 9);
    let second = bench.path("second.safetensors").display().to_string();
    let alone = [probability(&[]), probability(&["--checkpoint", &second])];
    let together = probability(&["--checkpoint", &both, "--save-uncertainty"]);
    let between = together.iter().zip(&alone[0]).zip(&alone[1]).filter(|((t, a), b)| {
        (a.min(**b) - 0.05..=a.max(**b) + 0.05).contains(*t) && (*a - *b).abs() > 1e-3
    });
    assert!(between.count() > 100, "the mean lies between the members");
    let spread = read_volume(&bench.out("uncertainty/c.nii.gz")).unwrap();
    let Voxels::F32(spread) = spread.voxels else { panic!("float32") };
    assert!(spread.iter().any(|&distance| distance > 0.0));
    let about = bench.json("c.json");
    assert_eq!(about["model"]["others"].as_array().unwrap().len(), 1);
    for row in about["labels"].as_array().unwrap() {
        assert!(row["views"]["undecided_ml"].is_number(), "{row}");
    }
    let mirrored = probability(&["--mirror"]);
    assert!(mirrored != alone[0] && bench.json("c.json")["model"]["mirrored"] == true);
}

#[test]
fn weights_of_other_classes_do_not_answer_together() {
    let bench = Bench::new();
    with_classes(&bench);
    write_volume(&bench.path("chest/c_0000.nii.gz"), &chest()).unwrap();
    let both = second_opinion(&bench, 9);
    let config = Sam2Config::from_name_or_file("nano").unwrap();
    let mut other = Weights::read(&bench.path("second.safetensors")).unwrap();
    other.add_lesion_head(&config, &[1, 5], 1).unwrap();
    let metadata = other.metadata.clone();
    other.write_safetensors(&bench.path("second.safetensors"), &metadata).unwrap();
    let text = refused(&bench.run("chest", "auto", &["--checkpoint", &both]));
    assert!(text.contains("[2, 5]") && text.contains("[1, 5]"), "{text}");
}

#[test]
fn a_ct_without_lung_is_answered_in_words() {
    let bench = Bench::new();
    with_classes(&bench);
    let solid = Volume { voxels: Voxels::I16(Array3::from_elem(SHAPE, 40)), geometry: geometry() };
    write_volume(&bench.path("solid/s_0000.nii.gz"), &solid).unwrap();
    let output = bench.run("solid", "auto", &["--save-probabilities"]);
    ok(&output);
    assert!(String::from_utf8_lossy(&output.stderr).contains("no lung in this CT"));
    assert!(read_label_map(&bench.out("s.nii.gz")).unwrap().labels.iter().all(|&id| id == 0));
    assert_eq!(bench.json("s.json")["slices_encoded"], 0);
}
