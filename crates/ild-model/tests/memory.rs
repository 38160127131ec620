//! Loading a memory: what it needs, and what is refused in words.

use candle_core::Device;
use ild_model::memory::{Memory, MemoryConfig, Version};
use ild_model::{Sam2, Sam2Config, Weights};

fn nano() -> Sam2Config {
    Sam2Config::from_name_or_file("nano").unwrap()
}

fn sizes(version: Version) -> MemoryConfig {
    let d = nano().d_model;
    MemoryConfig {
        mem_dim: d / 4,
        dim_feedforward: 64,
        layers: 2,
        ..MemoryConfig::published(version)
    }
}

fn weights(version: Version) -> Weights {
    Weights::random(&nano(), 3).unwrap().with_random_memory(&nano(), &sizes(version), 3).unwrap()
}

fn refusal(weights: &Weights) -> String {
    Memory::load(&nano(), weights, &Device::Cpu).unwrap_err().to_string()
}

#[test]
fn sizes_and_version_are_read_off_the_tensors() {
    for version in [Version::Sam2, Version::Sam2_1] {
        let weights = weights(version);
        let (memory, report) = Memory::load(&nano(), &weights, &Device::Cpu).unwrap();
        assert_eq!(memory.config(), &sizes(version));
        // What the image path carries is what the memory loads: no tensor is nobody's.
        let (_, images) = Sam2::load(&nano(), &weights, &Device::Cpu).unwrap();
        assert_eq!(images.carried.len(), report.loaded.len());
    }
}

#[test]
fn weights_of_the_image_path_alone_have_no_memory() {
    let said = refusal(&Weights::random(&nano(), 3).unwrap());
    assert!(said.contains("expected tensors of SAM 2's memory"), "{said}");
    assert!(said.contains("weights that began as Meta's"), "{said}");
}

#[test]
fn a_mix_of_2_0_and_2_1_is_refused() {
    let mut mixed = weights(Version::Sam2_1);
    mixed.remove("no_obj_embed_spatial").unwrap();
    let said = refusal(&mixed);
    assert!(said.contains("no no_obj_embed_spatial"), "{said}");
}

#[test]
fn a_tensor_that_is_missing_or_left_over_is_named() {
    let mut fewer = weights(Version::Sam2);
    fewer.remove("memory_encoder.pix_feat_proj.bias").unwrap();
    let said = refusal(&fewer);
    assert!(said.contains("memory_encoder.pix_feat_proj.bias"), "{said}");
    let mut more = weights(Version::Sam2);
    let extra = more.get("no_obj_ptr").unwrap().clone();
    more.insert("memory_attention.layers.0.norm4.weight", extra);
    let said = refusal(&more);
    assert!(said.contains("memory_attention.layers.0.norm4.weight"), "{said}");
}
