//! What is written is read back, here and in Python.

use std::collections::BTreeMap;
use std::process::Command;

use candle_core::Device;
use ild_model::{Error, Sam2, Sam2Config, Weights};

use crate::generator;
use crate::reading::{shared, small_config, values};

fn metadata() -> BTreeMap<String, String> {
    BTreeMap::from([
        ("label_table".into(), r#"{"1":"ILD1"}"#.into()),
        ("model".into(), "small".into()),
    ])
}

#[test]
fn a_written_file_holds_the_same_weights_words_and_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (folder.path().join("one.safetensors"), folder.path().join("two.safetensors"));
    let mut weights = generator::weights(&small_config());
    weights.insert(
        "maskmem_tpos_enc",
        generator::tensor("maskmem_tpos_enc", &[7, 1, 1, 16])
            .to_dtype(candle_core::DType::BF16)
            .unwrap(),
    );
    weights.write_safetensors(&one, &metadata()).unwrap();
    let read = Weights::read(&one).unwrap();
    assert_eq!(read.metadata, metadata());
    assert_eq!(read.names().collect::<Vec<_>>(), weights.names().collect::<Vec<_>>());
    for (name, tensor) in weights.iter().filter(|(name, _)| *name != "maskmem_tpos_enc") {
        assert_eq!(values(read.get(name).unwrap()), values(tensor), "{name}");
    }
    let (_, report) = Sam2::load(&small_config(), &read, &Device::Cpu).unwrap();
    assert_eq!(report.carried, ["maskmem_tpos_enc"]);
    read.write_safetensors(&two, &read.metadata).unwrap();
    assert!(std::fs::read(&one).unwrap() == std::fs::read(&two).unwrap(), "the same bytes again");
}

#[test]
fn prefixes_of_training_scripts_are_taken_off() {
    let plain = generator::weights(&small_config());
    let prefixed =
        plain.iter().map(|(name, tensor)| (format!("module.sam2_model.{name}"), tensor.clone()));
    let prefixed = Weights::from_tensors(prefixed).unwrap();
    assert_eq!(prefixed.names().collect::<Vec<_>>(), plain.names().collect::<Vec<_>>());
}

#[test]
fn everything_that_does_not_fit_is_named_at_once() {
    let mut weights = generator::weights(&small_config());
    weights.remove("sam_mask_decoder.iou_token.weight");
    weights.remove("no_mem_embed");
    weights.insert("extra", generator::tensor("extra", &[3]));
    weights.insert("sam_mask_decoder.conv_s0.bias", generator::tensor("b", &[5]));
    let Err(Error::Misfit(misfit)) = Sam2::load(&small_config(), &weights, &Device::Cpu) else {
        panic!("expected a misfit")
    };
    assert_eq!(misfit.missing, ["sam_mask_decoder.iou_token.weight", "no_mem_embed"]);
    assert_eq!(misfit.unused, ["extra"]);
    assert_eq!(misfit.reshaped, [("sam_mask_decoder.conv_s0.bias".to_owned(), vec![4], vec![5])]);
}

#[test]
fn weights_of_another_size_say_which_size_they_are() {
    let nano = Weights::random(&Sam2Config::from_name_or_file("nano").unwrap(), 3).unwrap();
    let tiny = Sam2Config::from_name_or_file("t").unwrap();
    let error = Sam2::load(&tiny, &nano, &Device::Cpu).unwrap_err().to_string();
    assert!(
        error.contains("the weights look like SAM 2 `nano`")
            && error.contains("pass `--model nano`"),
        "{error}"
    );
}

#[test]
fn the_same_seed_draws_the_same_weights() {
    let nano = Sam2Config::from_name_or_file("nano").unwrap();
    let draw = |seed| {
        values(
            Weights::random(&nano, seed)
                .unwrap()
                .get("sam_mask_decoder.mask_tokens.weight")
                .unwrap(),
        )
    };
    assert_eq!(draw(1), draw(1));
    assert_ne!(draw(1), draw(2));
}

#[test]
fn files_that_are_no_checkpoint_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.safetensors");
    let good = folder.path().join("good.safetensors");
    generator::weights(&small_config()).write_safetensors(&good, &BTreeMap::new()).unwrap();
    let bytes = std::fs::read(&good).unwrap();
    let huge_header = [&u64::MAX.to_le_bytes()[..], b"{}"].concat();
    for bad in
        [&b""[..], b"hello", &bytes[..bytes.len() / 2], &bytes[..100], &huge_header, &[0; 64]]
    {
        std::fs::write(&path, bad).unwrap();
        let error = Weights::read(&path).unwrap_err();
        assert!(error.is_rejection() && error.to_string().contains("x.safetensors"), "{error}");
    }
}

/// Needs Python with `sam2`, `torch` and `safetensors`; `ILD_PYTHON` names another interpreter than
/// `python3`.
#[test]
fn pythons_sam2_loads_what_is_written_with_strict() {
    let Some(python) = ild_test_support::python_with("sam2, torch, safetensors") else { return };
    let folder = tempfile::tempdir().unwrap();
    for (list, yaml) in
        [("t", "configs/sam2/sam2_hiera_t.yaml"), ("t_2.1", "configs/sam2.1/sam2.1_hiera_t.yaml")]
    {
        let Some(list) = shared(&format!("state_dicts/state_dict_{list}.txt")) else { return };
        let mut weights = generated_from_list(&std::fs::read_to_string(list).unwrap());
        let path = folder.path().join("t.safetensors");
        let (model, parameters, report) =
            Sam2::trainable(&Sam2Config::from_name_or_file("t").unwrap(), &weights, &Device::Cpu)
                .unwrap();
        drop(model);
        assert_eq!((parameters.len(), parameters.elements()), (293, 31_434_245));
        assert_eq!(report.loaded.len() + report.carried.len(), weights.len());
        for (name, tensor) in parameters.snapshot().unwrap() {
            weights.insert(name, tensor);
        }
        weights.write_safetensors(&path, &metadata()).unwrap();
        let script =
            concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/model/load_strict.py");
        let output = Command::new(&python).arg(script).arg(yaml).arg(&path).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), weights.len().to_string());
    }
}

/// Every tensor of a list `key <tab> [shape] <tab> …`, video path included.
fn generated_from_list(list: &str) -> Weights {
    let tensors = list.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let mut fields = line.split('\t');
        let (name, shape) = (fields.next().unwrap(), fields.next().unwrap());
        let shape: Vec<usize> =
            shape.trim_matches(['[', ']']).split(", ").map(|side| side.parse().unwrap()).collect();
        (name.to_owned(), generator::tensor(name, &shape))
    });
    Weights::from_tensors(tensors).unwrap()
}
