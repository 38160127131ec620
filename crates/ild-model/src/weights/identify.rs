//! Which model a set of weights is, from its names and shapes.

use std::fmt;

use crate::config::{STAGES, Sam2Config};
use crate::weights::Weights;

/// Parts of SAM 2 that the image path does not use. `no_obj_embed_spatial` and `obj_ptr_tpos_proj`
/// came with 2.1.
const CARRIED: [&str; 10] = [
    "memory_attention.",
    "memory_encoder.",
    "maskmem_tpos_enc",
    "no_mem_pos_enc",
    "no_obj_ptr",
    "no_obj_embed_spatial",
    "mask_downsample.",
    "obj_ptr_proj.",
    "obj_ptr_tpos_proj.",
    "sam_prompt_encoder.mask_downscaling.",
];

/// Whether a tensor belongs to SAM 2's video path or mask prompts.
#[must_use]
pub fn is_carried(name: &str) -> bool {
    CARRIED.iter().any(|part| name.starts_with(part))
}

/// What the names and shapes tell. Heads, windows, global blocks and image size leave no trace in a
/// checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Likeness {
    /// Channels of the first stage.
    pub embed_dim: usize,
    /// Blocks of each stage.
    pub stages: Vec<usize>,
    /// Channels of the neck and the decoder; `None` without a neck.
    pub d_model: Option<usize>,
    /// `t`, `s`, `b+`, `l` or `nano`, where one of them has these sizes.
    pub name: Option<&'static str>,
    /// Whether the three tensors that came with SAM 2.1 are there.
    pub is_2_1: bool,
}

impl Likeness {
    /// `None` when there is no Hiera trunk among the tensors.
    #[must_use]
    pub fn of(weights: &Weights) -> Option<Self> {
        let embed_dim = *weights.get("image_encoder.trunk.pos_embed")?.dims().get(1)?;
        let block =
            |i: usize, part: &str| weights.get(&format!("image_encoder.trunk.blocks.{i}.{part}"));
        let depth = (0..).take_while(|i| block(*i, "norm1.weight").is_some()).count();
        let mut begins: Vec<usize> =
            (0..depth).filter(|i| *i == 0 || block(*i, "proj.weight").is_some()).collect();
        begins.push(depth);
        let stages: Vec<usize> = begins.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let d_model = weights
            .get("image_encoder.neck.convs.0.conv.weight")
            .and_then(|conv| conv.dims().first().copied());
        let same = |config: &Sam2Config| {
            config.embed_dim == embed_dim
                && config.stages[..] == stages[..]
                && d_model == Some(config.d_model)
        };
        let name = Sam2Config::names()
            .find(|name| Sam2Config::from_name_or_file(name).is_ok_and(|config| same(&config)));
        let is_2_1 = weights.get("no_obj_embed_spatial").is_some()
            || weights.get("obj_ptr_tpos_proj.weight").is_some();
        Some(Self { embed_dim, stages, d_model, name, is_2_1 })
    }
}

impl fmt::Display for Likeness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = if self.is_2_1 { "SAM 2.1" } else { "SAM 2" };
        match self.name {
            Some(name) => write!(f, "{version} `{name}`")?,
            None => write!(f, "{version} of no named size")?,
        }
        write!(f, " (embed_dim {}, stages {:?}", self.embed_dim, self.stages)?;
        self.d_model.map_or(Ok(()), |d_model| write!(f, ", d_model {d_model}"))?;
        f.write_str(")")?;
        if self.name == Some("t") && self.is_2_1 {
            f.write_str("; MedSAM2's look the same: for those --model t512")?;
        }
        Ok(())
    }
}

/// What weights that do not fit `config` look like, and what to do.
pub(crate) fn hint(weights: &Weights, config: &Sam2Config) -> String {
    let asked = format!(
        "asked for embed_dim {}, stages {:?}, d_model {}",
        config.embed_dim, config.stages, config.d_model
    );
    let Some(found) = Likeness::of(weights) else {
        let names: Vec<&str> = weights.names().take(3).collect();
        return format!(
            "{asked}; found no SAM 2 image encoder (first tensors: {})",
            if names.is_empty() { "none".into() } else { names.join(", ") }
        );
    };
    let same = found.embed_dim == config.embed_dim
        && found.stages == config.stages
        && found.d_model == Some(config.d_model);
    match found.name {
        _ if same => format!("{asked}; the weights look like {found}, but see below"),
        Some(name) => format!("{asked}; the weights look like {found}: pass `--model {name}`"),
        None if found.stages.len() == STAGES => format!(
            "{asked}; the weights look like {found}: describe it in a TOML file for --model"
        ),
        None => format!("{asked}; the weights look like {found}: some are missing"),
    }
}
