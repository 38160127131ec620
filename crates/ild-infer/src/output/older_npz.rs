//! The NPZ of the older scripts: one array per label name on the stack.

use std::collections::BTreeMap;
use std::path::Path;

use ild_io::write_npz_with;

use crate::Result;
use crate::run::case::Segmented;

/// Writes each label whole, before overlaps are resolved; a name that occurs twice gets its id.
///
/// # Errors
/// When the file cannot be written.
pub fn write(path: &Path, done: &Segmented) -> Result<()> {
    let shape = done.scan.stack_shape();
    let mut named: BTreeMap<String, u8> = BTreeMap::new();
    for &id in done.merger.per_label.keys() {
        let name = done.scan.label_table.name(id);
        let name = if named.contains_key(&name) { format!("{name} {id}") } else { name };
        named.insert(name, id);
    }
    // One label after the other: all of them at once would be many times the CT.
    Ok(write_npz_with(path, |npz| {
        named.iter().try_for_each(|(name, id)| {
            npz.add(name, &done.merger.per_label[id].volume(shape).view().into_dyn())
        })
    })?)
}
