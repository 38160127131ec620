//! What describes a SAM 2 image model: the numbers that its YAML calls `trunk`, `neck` and
//! `image_size`.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::input::read_regular;

/// The sizes that need no file: their names and descriptions.
const NAMED: [(&str, &str); 6] = [
    ("t", include_str!("../configs/t.toml")),
    ("s", include_str!("../configs/s.toml")),
    ("b+", include_str!("../configs/b+.toml")),
    ("l", include_str!("../configs/l.toml")),
    ("nano", include_str!("../configs/nano.toml")),
    ("t512", include_str!("../configs/t512.toml")),
];

/// Pixels per token after the patch embedding.
pub const PATCH_STRIDE: usize = 4;
/// Stages of the trunk; between two of them the map halves and the channels double.
pub const STAGES: usize = 4;
/// Attention heads of the mask decoder, whatever its width.
pub const DECODER_HEADS: usize = 8;
/// Hidden width of the IoU head, whatever the decoder's width.
pub const IOU_HEAD_HIDDEN: usize = 256;
/// Mask tokens: one for a clear prompt and three for an ambiguous one.
pub const MASK_TOKENS: usize = 4;

/// A SAM 2 image model. In TOML the keys are the fields; an unknown key is an error.
///
/// Keys that may be left out have the default of SAM 2's own constructors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sam2Config {
    /// Side of the square input in pixels.
    #[serde(default = "default_image_size")]
    pub image_size: usize,
    /// Channels of the first stage.
    pub embed_dim: usize,
    /// Attention heads of the first stage; they double with the channels.
    pub num_heads: usize,
    /// Blocks of each stage.
    #[serde(default = "default_stages")]
    pub stages: [usize; STAGES],
    /// Window side of each stage in tokens.
    #[serde(default = "default_window_spec")]
    pub window_spec: [usize; STAGES],
    /// Blocks (counted from 0 over all stages) that attend to the whole map.
    #[serde(default = "default_global_att_blocks")]
    pub global_att_blocks: Vec<usize>,
    /// Rows and columns of the stored position embedding, before it is resized to the map.
    #[serde(default = "default_bkg")]
    pub window_pos_embed_bkg_spatial_size: [usize; 2],
    /// Channels of the neck, the prompt encoder and the mask decoder.
    #[serde(default = "default_d_model")]
    pub d_model: usize,
    /// Hidden width of the MLPs in the mask decoder's transformer.
    #[serde(default = "default_mlp_dim")]
    pub mlp_dim: usize,
    /// Whether an unstable first mask gives way to one of the other three. Training never touches
    /// those: a model trained from random weights has nothing in them.
    #[serde(default = "default_dynamic_multimask_via_stability")]
    pub dynamic_multimask_via_stability: bool,
    /// Whether boxes and clicks are also drawn on the image's tokens. SAM 2 does not; a model that
    /// starts from random weights learns sooner what a box means.
    #[serde(default)]
    pub drawn_prompts: bool,
}

fn default_image_size() -> usize {
    1024
}
fn default_stages() -> [usize; STAGES] {
    [2, 3, 16, 3]
}
fn default_window_spec() -> [usize; STAGES] {
    [8, 4, 14, 7]
}
fn default_global_att_blocks() -> Vec<usize> {
    vec![12, 16, 20]
}
fn default_bkg() -> [usize; 2] {
    [14, 14]
}
fn default_d_model() -> usize {
    256
}
fn default_mlp_dim() -> usize {
    2048
}
fn default_dynamic_multimask_via_stability() -> bool {
    true
}

/// One block of the trunk, as the stages imply it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockConfig {
    /// Channels that go in.
    pub dim: usize,
    /// Channels that come out.
    pub dim_out: usize,
    /// Attention heads.
    pub num_heads: usize,
    /// Window side in tokens; 0 attends to the whole map.
    pub window_size: usize,
    /// Whether the queries are pooled 2×2, which halves the map.
    pub q_pool: bool,
}

impl Sam2Config {
    /// The names that [`Sam2Config::from_name_or_file`] knows.
    pub fn names() -> impl Iterator<Item = &'static str> {
        NAMED.iter().map(|(name, _)| *name)
    }

    /// A named size (`t`, `s`, `b+`, `l`, `nano`, `t512`) or the description in a TOML file.
    ///
    /// # Errors
    /// [`Error::UnknownModel`] for a word that is neither; [`Error::Refused`] for a file that does
    /// not describe a model.
    pub fn from_name_or_file(model: &str) -> Result<Self> {
        if let Some((name, toml)) = NAMED.iter().find(|(name, _)| *name == model) {
            return Self::from_toml(toml, Path::new(name));
        }
        let path = Path::new(model);
        if path.extension().is_none_or(|extension| extension != "toml") {
            return Err(Error::UnknownModel(model.to_owned()));
        }
        let bytes = read_regular(path)?;
        let text = String::from_utf8(bytes).map_err(|error| {
            Error::refused(path, "a TOML file", error.utf8_error().to_string(), "")
        })?;
        Self::from_toml(&text, path)
    }

    fn from_toml(text: &str, path: &Path) -> Result<Self> {
        let config: Self = toml::from_str(text).map_err(|error| {
            Error::refused(
                path,
                "a SAM 2 model description",
                error.to_string().trim_end(),
                "see `t` in configs/t.toml",
            )
        })?;
        config.validated().map_err(|error| match error {
            Error::Config { key, expected, found } => {
                Error::refused(path, format!("{key} to be {expected}"), found, "")
            }
            other => other,
        })
    }

    /// The same description, if a model can be built from it.
    ///
    /// # Errors
    /// [`Error::Config`] names the first key that makes it impossible.
    pub fn validated(self) -> Result<Self> {
        for (key, expected, found, holds) in self.rules() {
            if !holds {
                return Err(Error::Config { key, expected, found });
            }
        }
        Ok(self)
    }

    /// Key, wish, fact, and whether the wish holds.
    fn rules(&self) -> Vec<(&'static str, String, String, bool)> {
        let side = PATCH_STRIDE * self.window_spec[0].max(1);
        let within = |x: usize, most: usize| (1..=most).contains(&x);
        let all = |xs: &[usize], most: usize| xs.iter().all(|x| within(*x, most));
        let mut rules = vec![
            (
                "embed_dim",
                "1..=4096".into(),
                self.embed_dim.to_string(),
                within(self.embed_dim, 4096),
            ),
            (
                "num_heads",
                format!("a divisor of embed_dim {}", self.embed_dim),
                self.num_heads.to_string(),
                self.num_heads > 0 && self.embed_dim.is_multiple_of(self.num_heads),
            ),
            (
                "stages",
                "four counts of 1..=256".into(),
                format!("{:?}", self.stages),
                all(&self.stages, 256),
            ),
            (
                "window_spec",
                "four sides of 1..=1024".into(),
                format!("{:?}", self.window_spec),
                all(&self.window_spec, 1024),
            ),
            (
                "global_att_blocks",
                format!("block numbers below {}", self.depth()),
                format!("{:?}", self.global_att_blocks),
                self.global_att_blocks.iter().all(|block| *block < self.depth()),
            ),
            (
                "window_pos_embed_bkg_spatial_size",
                "two sides of 1..=1024".into(),
                format!("{:?}", self.window_pos_embed_bkg_spatial_size),
                all(&self.window_pos_embed_bkg_spatial_size, 1024),
            ),
            (
                "d_model",
                format!("a multiple of {} up to 4096", 2 * DECODER_HEADS),
                self.d_model.to_string(),
                within(self.d_model, 4096) && self.d_model.is_multiple_of(2 * DECODER_HEADS),
            ),
            ("mlp_dim", "1..=65536".into(), self.mlp_dim.to_string(), within(self.mlp_dim, 65536)),
            (
                "image_size",
                format!("a multiple of 32 and of 4 × window_spec[0] = {side}, up to 8192"),
                self.image_size.to_string(),
                within(self.image_size, 8192)
                    && self.image_size.is_multiple_of(32)
                    && self.image_size.is_multiple_of(side),
            ),
        ];
        if rules.iter().all(|(.., holds)| *holds) {
            let even = self
                .blocks()
                .iter()
                .all(|block| !block.q_pool || block.window_size.is_multiple_of(2));
            let wish = "even where the first block of the next stage pools its queries".into();
            rules.push(("window_spec", wish, format!("{:?}", self.window_spec), even));
            let windowed = self.blocks().iter().all(|block| !block.q_pool || block.window_size > 0);
            let wish =
                "without the first block of a later stage (it pools the queries of each window)"
                    .into();
            rules.push((
                "global_att_blocks",
                wish,
                format!("{:?}", self.global_att_blocks),
                windowed,
            ));
        }
        rules
    }

    /// Blocks of all stages.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.stages.iter().sum()
    }

    /// Channels of each stage.
    #[must_use]
    pub fn channels(&self) -> [usize; STAGES] {
        std::array::from_fn(|stage| self.embed_dim << stage)
    }

    /// Side of the image embedding in tokens (stride 16).
    #[must_use]
    pub fn embedding_size(&self) -> usize {
        self.image_size / 16
    }

    /// Side of the mask logits (stride 4).
    #[must_use]
    pub fn mask_size(&self) -> usize {
        self.image_size / 4
    }

    /// Every block of the trunk. The first block of a later stage still has the window of the stage
    /// before (`Hiera.__init__`: the window "lags by a block").
    #[must_use]
    pub fn blocks(&self) -> Vec<BlockConfig> {
        let mut blocks = Vec::with_capacity(self.depth());
        for (stage, count) in self.stages.iter().enumerate() {
            for i in 0..*count {
                let first_of_later = i == 0 && stage > 0;
                let before = stage - usize::from(first_of_later);
                let global = self.global_att_blocks.contains(&blocks.len());
                blocks.push(BlockConfig {
                    dim: self.embed_dim << before,
                    dim_out: self.embed_dim << stage,
                    num_heads: self.num_heads << stage,
                    window_size: if global { 0 } else { self.window_spec[before] },
                    q_pool: first_of_later,
                });
            }
        }
        blocks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_named_size_is_valid() {
        for name in Sam2Config::names() {
            Sam2Config::from_name_or_file(name).unwrap();
        }
    }

    #[test]
    fn the_first_block_of_a_stage_keeps_the_window_of_the_stage_before() {
        let blocks = Sam2Config::from_name_or_file("t").unwrap().blocks();
        let windows: Vec<usize> = blocks.iter().map(|block| block.window_size).collect();
        assert_eq!(windows, [8, 8, 4, 4, 14, 0, 14, 0, 14, 0, 14, 7]);
        let pools: Vec<usize> =
            blocks.iter().enumerate().filter(|(_, block)| block.q_pool).map(|(i, _)| i).collect();
        assert_eq!(pools, [1, 3, 10]);
        assert_eq!(
            blocks[10],
            BlockConfig { dim: 384, dim_out: 768, num_heads: 8, window_size: 14, q_pool: true }
        );
    }

    #[test]
    fn a_description_no_model_fits_names_the_key() {
        let mut config = Sam2Config::from_name_or_file("t").unwrap();
        config.image_size = 1000;
        assert!(
            config
                .validated()
                .unwrap_err()
                .to_string()
                .starts_with("image_size: expected a multiple of 32")
        );
        let mut config = Sam2Config::from_name_or_file("t").unwrap();
        config.window_spec[2] = 13;
        assert!(
            config.validated().unwrap_err().to_string().starts_with("window_spec: expected even")
        );
    }

    #[test]
    fn an_unknown_key_and_an_unknown_word_are_refused() {
        let error = Sam2Config::from_toml(
            "embed_dim = 8\nnum_heads = 1\nembed_dmi = 3",
            Path::new("x.toml"),
        )
        .unwrap_err();
        assert!(error.to_string().contains("unknown field `embed_dmi`"), "{error}");
        assert!(matches!(Sam2Config::from_name_or_file("tiny"), Err(Error::UnknownModel(_))));
    }
}
