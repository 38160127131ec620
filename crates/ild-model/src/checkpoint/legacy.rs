//! The format of before PyTorch 1.6: five pickles, then for each storage its number of values and
//! their bytes.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;

use super::error::{Checked, Refusal, refuse};
use super::pickle;
use super::torch_file::Storages;
use super::value::{Arena, Id, Node, Value};

/// `torch.serialization.MAGIC_NUMBER`, 10 bytes of little-endian `LONG1` after the protocol
/// instruction.
const MAGIC: &[u8] = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";

/// Reads the pickles and where each storage lies. `length` is the file's.
pub(super) fn open(mut file: File, length: u64, arena: &mut Arena) -> Checked<(Id, Storages)> {
    let mut head = vec![0; MAGIC.len()];
    if file.read_exact(&mut head).is_err() || head != MAGIC {
        return Err(Refusal {
            expected: "a PyTorch checkpoint (.pt, .pth)".into(),
            found: "a file that does not start like one".into(),
            next: "",
        }
        .advise("; .safetensors files keep that ending"));
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).or_else(|error| refuse("a readable file", error.to_string()))?;
    debug_assert_eq!(bytes.len() as u64 + MAGIC.len() as u64, length);

    let mut at = 0;
    let mut next = |arena: &mut Arena| -> Checked<Id> {
        let loaded = pickle::load(&bytes[at..], arena)?;
        at += loaded.length;
        Ok(loaded.root)
    };
    let _protocol = next(arena)?;
    let _system = next(arena)?;
    let root = next(arena)?;
    let keys = next(arena)?;

    let sizes = element_sizes(arena);
    let names: Vec<String> = Value { arena, id: keys }
        .items()
        .filter_map(|item| item.as_text().map(str::to_owned))
        .collect();
    let mut ranges = BTreeMap::new();
    for name in names {
        let Some(count) = bytes
            .get(at..at + 8)
            .map(|raw| raw.iter().rev().fold(0u64, |n, &b| n << 8 | u64::from(b)))
        else {
            return refuse(format!("the storage {name}"), "the end of the file");
        };
        let size = sizes.get(&name).copied().unwrap_or(1);
        let Some(end) = usize::try_from(count)
            .ok()
            .and_then(|n| n.checked_mul(size))
            .and_then(|n| n.checked_add(at + 8))
            .filter(|&end| end <= bytes.len())
        else {
            return refuse(format!("{count} values in the storage {name}"), "fewer (cut short?)");
        };
        ranges.insert(name, ((MAGIC.len() + at + 8) as u64, end - at - 8));
        at = end;
    }
    Ok((root, Storages::Plain { file: RefCell::new(file), ranges }))
}

/// Bytes per value of every storage that a tensor refers to.
fn element_sizes(arena: &Arena) -> BTreeMap<String, usize> {
    let layouts = arena
        .nodes
        .iter()
        .filter_map(|node| if let Node::Tensor(layout) = node { Some(layout) } else { None });
    layouts.map(|layout| (layout.storage.clone(), layout.element.size())).collect()
}
