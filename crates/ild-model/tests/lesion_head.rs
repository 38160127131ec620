//! The lesion head beside SAM 2: what it adds, and that it takes nothing away.

use candle_core::{Device, Tensor};
use ild_model::{Error, Sam2, Sam2Config, Weights, lesion_head};

const CLASSES: [u8; 3] = [1, 4, 7];

fn nano() -> Sam2Config {
    Sam2Config::from_name_or_file("nano").unwrap()
}

fn with_head() -> Weights {
    let mut weights = Weights::random(&nano(), 7).unwrap();
    weights.add_lesion_head(&nano(), &CLASSES, 7).unwrap();
    weights
}

fn image() -> Tensor {
    let values = (0..3 * 256 * 256).map(|i| ((i * 7919 % 1009) as f32 / 504.5) - 1.0);
    Tensor::from_vec(values.collect::<Vec<_>>(), (1, 3, 256, 256), &Device::Cpu).unwrap()
}

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn weights_without_a_head_have_no_lesion_maps() {
    let weights = Weights::random(&nano(), 7).unwrap();
    let (model, _) = Sam2::load(&nano(), &weights, &Device::Cpu).unwrap();
    let (_, maps) = model.encode_image_with_lesions(&image()).unwrap();
    assert!(maps.is_none() && model.lesion_head().is_none());
}

#[test]
fn one_encoding_gives_maps_and_the_features_of_a_model_without_a_head_to_the_bit() {
    let plain = Weights::random(&nano(), 7).unwrap();
    let (plain, _) = Sam2::load(&nano(), &plain, &Device::Cpu).unwrap();
    let (model, report) = Sam2::load(&nano(), &with_head(), &Device::Cpu).unwrap();
    assert!(report.loaded.iter().any(|name| name.starts_with(lesion_head::PREFIX)));
    let expected = plain.encode_image(&image()).unwrap();
    let (features, maps) = model.encode_image_with_lesions(&image()).unwrap();
    assert_eq!(values(&features.image_embed), values(&expected.image_embed));
    assert_eq!(values(&features.high_res[0]), values(&expected.high_res[0]));
    let maps = maps.unwrap();
    assert_eq!(maps.lesion.dims(), [1, 64, 64]);
    assert_eq!(maps.class.dims(), [1, 64, 64, 3]);
    assert_eq!(maps.present.dims(), [1, 4]);
    assert!(values(&maps.lesion).iter().all(|logit| logit.is_finite()));
}

#[test]
fn large_models_answer_at_stride_8() {
    let mut config = nano();
    config.image_size = 512;
    let mut weights = Weights::random(&config, 1).unwrap();
    weights.add_lesion_head(&config, &CLASSES, 1).unwrap();
    let (model, _) = Sam2::load(&config, &weights, &Device::Cpu).unwrap();
    let image = Tensor::zeros((1, 3, 512, 512), candle_core::DType::F32, &Device::Cpu).unwrap();
    let (_, maps) = model.encode_image_with_lesions(&image).unwrap();
    assert_eq!(maps.unwrap().lesion.dims(), [1, 64, 64]);
}

#[test]
fn a_written_head_comes_back_with_its_classes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("head.safetensors");
    let weights = with_head();
    weights.write_safetensors(&path, &weights.metadata).unwrap();
    let read = Weights::read(&path).unwrap();
    assert_eq!(read.lesion_classes().unwrap().unwrap(), CLASSES);
    let (model, _) = Sam2::load(&nano(), &read, &Device::Cpu).unwrap();
    assert_eq!(model.lesion_head().unwrap().classes(), CLASSES);
}

#[test]
fn without_its_head_a_file_holds_sam_2_alone() {
    let plain = Weights::random(&nano(), 7).unwrap();
    let mut weights = with_head();
    weights.remove_lesion_head();
    assert_eq!(weights.names().collect::<Vec<_>>(), plain.names().collect::<Vec<_>>());
    assert_eq!(weights.lesion_classes().unwrap(), None);
}

#[test]
fn a_head_whose_classes_nobody_knows_is_refused() {
    for list in [None, Some("[]"), Some("[\"ILD1\"]"), Some("[1, 2")] {
        let mut weights = with_head();
        weights.metadata.remove(lesion_head::CLASSES_KEY);
        if let Some(list) = list {
            weights.metadata.insert(lesion_head::CLASSES_KEY.into(), list.into());
        }
        let error = Sam2::load(&nano(), &weights, &Device::Cpu).unwrap_err();
        assert!(matches!(error, Error::Refused(_)), "{error}");
        assert!(error.to_string().contains("lesion_classes"), "{error}");
    }
}

#[test]
fn a_class_list_of_another_length_is_a_misfit() {
    let mut weights = with_head();
    weights.metadata.insert(lesion_head::CLASSES_KEY.into(), "[1, 2]".into());
    assert!(matches!(Sam2::load(&nano(), &weights, &Device::Cpu), Err(Error::Misfit(_))));
}

/// Gradients of the head against finite differences of its three answers.
#[test]
fn every_answer_of_the_head_teaches_the_layers_it_comes_from() {
    let (model, parameters, _) = Sam2::trainable(&nano(), &with_head(), &Device::Cpu).unwrap();
    let answer = |which: usize| {
        let (_, maps) = model.encode_image_gated(&image(), 0.0).unwrap();
        let maps = maps.unwrap();
        let map = [maps.lesion, maps.class, maps.present][which].clone();
        map.tanh().unwrap().sum_all().unwrap()
    };
    for (which, name) in [
        (0, "lesion_head.stem.conv.weight"),
        (1, "lesion_head.blocks.0.conv.weight"),
        (2, "lesion_head.present.layers.0.weight"),
    ] {
        let var = parameters.get(name).unwrap();
        let gradient = answer(which).backward().unwrap();
        let gradient = gradient.get(var).unwrap();
        let norm = gradient.sqr().unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap().sqrt();
        let before = var.as_tensor().copy().unwrap();
        // A step along the gradient changes the answer by its squared length over its length.
        let step = 3e-4 / norm;
        let at = |sign: f64| {
            let moved = (&before + (gradient * (sign * f64::from(step))).unwrap()).unwrap();
            var.set(&moved).unwrap();
            f64::from(answer(which).to_scalar::<f32>().unwrap())
        };
        let slope = (at(1.0) - at(-1.0)) / (2.0 * 3e-4);
        var.set(&before).unwrap();
        assert!((slope / f64::from(norm) - 1.0).abs() < 0.05, "{name}: {slope} against {norm}");
    }
}

#[test]
fn with_the_gate_shut_nothing_of_the_head_reaches_the_trunk() {
    let (model, parameters, _) = Sam2::trainable(&nano(), &with_head(), &Device::Cpu).unwrap();
    let trunk = parameters.get("image_encoder.trunk.patch_embed.proj.weight").unwrap();
    for gate in [0.0, 0.1] {
        let (_, maps) = model.encode_image_gated(&image(), gate).unwrap();
        let store = maps.unwrap().lesion.sum_all().unwrap().backward().unwrap();
        assert_eq!(store.get(trunk).is_some(), gate > 0.0, "gate {gate}");
    }
}
