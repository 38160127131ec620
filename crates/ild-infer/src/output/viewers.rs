//! Names and colours for 3D Slicer and ITK-SNAP.

use ild_io::LabelTable;

/// 3D Slicer's colour table: `id name r g b a`, no spaces in names.
#[must_use]
pub fn slicer_colors(table: &LabelTable) -> String {
    let mut text = "# Color table for 3D Slicer\n0 Background 0 0 0 0\n".to_owned();
    for (id, label) in &table.classes {
        let [r, g, b] = label.color;
        text += &format!("{id} {} {r} {g} {b} 255\n", label.name.replace(char::is_whitespace, "_"));
    }
    text
}

/// ITK-SNAP's label description: index, red, green, blue, opacity, shown in slices, shown as mesh,
/// name.
#[must_use]
pub fn itksnap_labels(table: &LabelTable) -> String {
    let rule = "################################################\n";
    let mut text = format!(
        "{rule}# ITK-SnAP Label Description File\n# File format:\n# IDX   -R-  -G-  -B-  -A--  VIS MSH  LABEL\n{rule}"
    );
    text += "    0     0    0    0        0  0  0    \"Clear Label\"\n";
    for (id, label) in &table.classes {
        let [r, g, b] = label.color;
        text += &format!(
            "{id:5} {r:5} {g:4} {b:4}        1  1  1    \"{}\"\n",
            label.name.replace('"', "'")
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn viewers_get_names_and_colours() {
        let table = LabelTable::new(
            [(7, ild_io::Label { name: "Ground \"glass\"".into(), color: [1, 2, 3], code: None })]
                .into(),
        );
        assert!(slicer_colors(&table).ends_with("7 Ground_\"glass\" 1 2 3 255\n"));
        assert!(
            itksnap_labels(&table)
                .ends_with("    7     1    2    3        1  1  1    \"Ground 'glass'\"\n")
        );
    }
}
