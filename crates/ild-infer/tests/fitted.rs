//! Rules that were fitted to weights: used, told, and overruled by flags.

mod bench;

use bench::{Bench, SHAPE, geometry, ok, refused, wrong_usage};
use ild_io::{Volume, Voxels, write_volume};
use ild_model::{FITTED, Sam2Config, Weights};
use ndarray::Array3;
use serde_json::{Value, json};

/// A CT to which the rules are applied without a lesion being found: there is no lung in it.
fn bench() -> Bench {
    let bench = Bench::new();
    let solid = Volume { voxels: Voxels::I16(Array3::from_elem(SHAPE, 40)), geometry: geometry() };
    write_volume(&bench.path("solid/s_0000.nii.gz"), &solid).unwrap();
    bench
}

/// Weights with classes, and rules with this lower threshold where one is given.
fn weights(bench: &Bench, name: &str, low: Option<f64>) -> String {
    let mut weights = Weights::read(&bench.path("nano.safetensors")).unwrap();
    weights.add_lesion_head(&Sam2Config::from_name_or_file("nano").unwrap(), &[2, 5], 1).unwrap();
    let mut metadata = weights.metadata.clone();
    metadata.extend(low.map(|low| (FITTED.to_owned(), fitted(low).to_string())));
    let path = bench.path(name);
    weights.write_safetensors(&path, &metadata).unwrap();
    path.display().to_string()
}

fn fitted(low: f64) -> Value {
    let rules = json!({ "high": 0.7, "low": low, "smallest_ml": 0.3, "part_ml": 8.0, "class_ml": 3.0, "presence": 0.4 });
    json!({
        "rules": rules,
        "how": {
            "patients": 6, "cases": 7, "objective": "DSC", "grid": { "auto-low": [0.4, low] }, "tried": 2,
            "at_default": 0.8, "at_best": 0.85, "best": rules, "gain_left_out": 0.04,
            "gain_interval": [0.01, 0.07], "verdict": "fitted", "patients_checked": "yes",
            "weights_sha256": "0", "program": "ild-fit 0.1.0", "command": ["ild-fit"],
            "date": "2026-11-28T15:00:00Z",
        },
    })
}

/// What the result says of its rules, its stamp, and what the program said.
fn answer(bench: &Bench, weights: &str, more: &[&str]) -> (Value, String, String) {
    let output = bench.run("solid", "auto", &[&["--checkpoint", weights][..], more].concat());
    ok(&output);
    let about = bench.json("s.json");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (about["prompt"].clone(), about["prompt"]["stamp"].as_str().unwrap().to_owned(), said)
}

fn low(prompt: &Value) -> f32 {
    prompt["rules"]["low"].as_f64().unwrap() as f32
}

#[test]
fn fitted_rules_count_and_are_told_and_flags_win() {
    let bench = bench();
    let own = weights(&bench, "fitted.safetensors", Some(0.3));
    let (prompt, stamp, said) = answer(&bench, &own, &[]);
    assert_eq!((low(&prompt), prompt["rules"]["class_ml"].as_f64()), (0.3, Some(3.0)));
    assert_eq!(prompt["fitted"]["how"]["patients"], 6);
    assert!(stamp.ends_with("rules fitted (n 6)"), "{stamp}");
    assert!(said.contains("rules fitted to these weights on 6 validation patients"), "{said}");

    let (prompt, _, said) = answer(&bench, &own, &["--auto-low", "0.5"]);
    assert_eq!((low(&prompt), prompt["rules"]["class_ml"].as_f64()), (0.5, Some(3.0)));
    assert!(said.contains("flags over them"), "{said}");

    let (prompt, stamp, _) = answer(&bench, &own, &["--unfitted"]);
    assert_eq!((low(&prompt), prompt["rules"]["class_ml"].as_f64()), (0.4, Some(10.0)));
    assert!(prompt["fitted"].is_null() && !stamp.contains("fitted"), "{stamp}");

    let text = wrong_usage(&bench.run("solid", "heuristic", &["--unfitted"]));
    assert!(text.contains("--prompt auto"), "{text}");
}

#[test]
fn weights_that_were_fitted_apart_answer_together_only_by_named_rules() {
    let bench = bench();
    let [one, same, other, none] =
        [("one", Some(0.3)), ("same", Some(0.3)), ("other", Some(0.5)), ("none", None)]
            .map(|(name, low)| weights(&bench, &format!("{name}.safetensors"), low));
    let (prompt, ..) = answer(&bench, &format!("{one},{same}"), &[]);
    assert_eq!(low(&prompt), 0.3);
    for second in [&other, &none] {
        let both = format!("{one},{second}");
        let text = refused(&bench.run("solid", "auto", &["--checkpoint", &both]));
        assert!(text.contains("--unfitted"), "{text}");
        let (prompt, ..) = answer(&bench, &both, &["--unfitted"]);
        assert_eq!(low(&prompt), 0.4);
    }
}

#[test]
fn rules_that_cannot_be_read_are_refused() {
    let bench = bench();
    let path = weights(&bench, "odd.safetensors", None);
    let mut odd = Weights::read(path.as_ref()).unwrap();
    odd.metadata.insert(FITTED.to_owned(), "{\"rules\": 3}".to_owned());
    let metadata = odd.metadata.clone();
    odd.write_safetensors(path.as_ref(), &metadata).unwrap();
    let text = refused(&bench.run("solid", "auto", &["--checkpoint", &path]));
    assert!(text.contains("fit them again with ild-fit"), "{text}");
}
