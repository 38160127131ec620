#!/bin/sh
# Links the CT and label pairs of TotalSegmentator's own tests into nnU-Net's layout: totalsegmentator.sh SOURCE TARGET
set -eu
source=$(cd "$1" && pwd)
files=$source/tests/reference_files
mkdir -p "$2/imagesTr" "$2/labelsTr"
pair() {
    ln -sf "$2" "$target/imagesTr/$1_0000.nii.gz"
    ln -sf "$3" "$target/labelsTr/$1.nii.gz"
}
target=$(cd "$2" && pwd)
pair ts_trunk "$files/example_ct.nii.gz" "$files/example_seg_fast_force_split.nii.gz"
pair ts_abdomen "$source/derived/example_ct_dicom.nii.gz" "$files/example_seg_dicom.nii.gz"
cat > "$target/labelsTr/labels.json" <<'JSON'
{
  "1": { "name": "spleen", "color": [157, 108, 162] },
  "5": { "name": "liver", "color": [221, 130, 101] },
  "6": { "name": "stomach", "color": [216, 132, 105] },
  "20": { "name": "colon", "color": [204, 168, 143] },
  "52": { "name": "aorta", "color": [224, 97, 76] },
  "86": { "name": "autochthon left", "color": [188, 95, 76] },
  "87": { "name": "autochthon right", "color": [178, 105, 76] }
}
JSON
