//! Agreement with other programs: surface-distance and MedPy on made-up masks, and the reference's
//! own golden data.

use std::path::Path;

use ild_io::{NpyArray, NpzFile};
use ild_metrics::{BorderDistances, Extent, Mask, PairScan, SurfelDistances};
use ndarray::Array3;
use serde::Deserialize;
use serde_json::Value;

/// float64 throughout; only the order of sums differs.
const RELATIVE: f64 = 1e-9;

#[derive(Deserialize)]
struct Golden {
    name: String,
    spacing_zyx_mm: [f64; 3],
    shape_zyx: [usize; 3],
    reference: String,
    predicted: String,
    dice: f64,
    nsd: Vec<[f64; 2]>,
    surfel_hd95_mm: f64,
    surfel_hd_mm: f64,
    surfel_asd_mm: [f64; 2],
    voxel_hd95_mm: f64,
    voxel_assd_mm: f64,
}

fn unpack(bytes: impl Iterator<Item = u8>, shape: [usize; 3]) -> Array3<u8> {
    let bits: Vec<u8> = bytes
        .flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1))
        .take(shape.iter().product())
        .collect();
    Array3::from_shape_vec(shape, bits).unwrap()
}

fn hex(text: &str) -> impl Iterator<Item = u8> {
    (0..text.len() / 2).map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap())
}

fn whole(labels: &Array3<u8>) -> Extent {
    Extent { start: [0; 3], end: labels.shape().try_into().unwrap() }
}

fn close(found: f64, expected: f64) -> bool {
    (found - expected).abs() <= RELATIVE * expected.abs()
}

#[track_caller]
fn assert_close(what: &str, found: f64, expected: f64) {
    assert!(close(found, expected), "{what}: {found} instead of {expected}");
}

#[test]
fn surfaces_agree_with_surface_distance_and_medpy() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/metrics/cases.json");
    let cases: Vec<Golden> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert_eq!(cases.len(), 11);
    for case in cases {
        let reference = unpack(hex(&case.reference), case.shape_zyx);
        let predicted = unpack(hex(&case.predicted), case.shape_zyx);
        let scan = PairScan::new(reference.view(), predicted.view());
        assert_eq!(scan.total(1).dice(), Some(case.dice), "{}", case.name);
        let masks = [&reference, &predicted].map(|labels| Mask { labels: labels.view(), id: 1 });
        for within in [scan.extents[&1], whole(&reference)] {
            let surfel =
                SurfelDistances::new(masks[0], masks[1], within, case.spacing_zyx_mm).unwrap();
            for [tolerance, expected] in &case.nsd {
                assert_close(
                    &format!("{}: NSD at {tolerance} mm", case.name),
                    surfel.nsd(*tolerance),
                    *expected,
                );
            }
            assert_close(
                &format!("{}: surfel HD95", case.name),
                surfel.hausdorff_mm(95.0),
                case.surfel_hd95_mm,
            );
            assert_close(
                &format!("{}: surfel HD", case.name),
                surfel.hausdorff_mm(100.0),
                case.surfel_hd_mm,
            );
            for (found, expected) in surfel.average_mm().into_iter().zip(case.surfel_asd_mm) {
                assert_close(&format!("{}: surfel ASD", case.name), found, expected);
            }
            let border =
                BorderDistances::new(masks[0], masks[1], within, case.spacing_zyx_mm).unwrap();
            assert_close(
                &format!("{}: voxel HD95", case.name),
                border.hd95_mm().unwrap(),
                case.voxel_hd95_mm,
            );
            assert_close(
                &format!("{}: voxel ASSD", case.name),
                border.assd_mm().unwrap(),
                case.voxel_assd_mm,
            );
        }
    }
}

#[test]
fn an_empty_side_has_no_surface_scores() {
    let full = Array3::<u8>::ones((3, 4, 5));
    let empty = Array3::<u8>::zeros((3, 4, 5));
    let [full_mask, empty_mask] =
        [&full, &empty].map(|labels| Mask { labels: labels.view(), id: 1 });
    assert_eq!(SurfelDistances::new(full_mask, empty_mask, whole(&full), [1.0; 3]), None);
    assert_eq!(BorderDistances::new(empty_mask, full_mask, whole(&full), [1.0; 3]), None);
}

/// The array `key` of the reference's golden file as f64.
fn golden(npz: &mut NpzFile, key: &str) -> Vec<f64> {
    match npz.require(key).unwrap() {
        NpyArray::F64(array) => array.iter().copied().collect(),
        NpyArray::U8(array) => array.iter().map(|&v| f64::from(v)).collect(),
        other => panic!("{key} is {}", other.type_name()),
    }
}

#[test]
fn the_references_eleven_cases_give_its_numbers_and_its_distances() {
    let Some(folder) = ild_test_support::shared("fixtures/metrics") else { return };
    let cases: Vec<Value> =
        serde_json::from_slice(&std::fs::read(folder.join("metrics.json")).unwrap()).unwrap();
    let mut npz = NpzFile::open(&folder.join("metrics.npz")).unwrap();
    assert_eq!(cases.len(), 11);
    for (i, case) in cases.iter().enumerate() {
        let name = case["name"].as_str().unwrap();
        let triple = |key: &str| -> [f64; 3] {
            std::array::from_fn(|axis| case[key][axis].as_f64().unwrap())
        };
        let (spacing, shape) = (triple("spacing"), triple("shape").map(|n| n as usize));
        let [gt, pred] = ["gt", "pred"].map(|side| {
            unpack(golden(&mut npz, &format!("c{i}_{side}")).into_iter().map(|v| v as u8), shape)
        });
        let scan = PairScan::new(gt.view(), pred.view());
        assert_close(
            &format!("{name}: DSC"),
            scan.total(1).dice().unwrap(),
            case["dsc"].as_f64().unwrap(),
        );
        let masks = [&gt, &pred].map(|labels| Mask { labels: labels.view(), id: 1 });
        let Some(found) = SurfelDistances::new(masks[0], masks[1], whole(&gt), spacing) else {
            // Its infinite and missing numbers are no numbers here.
            assert_eq!(name, "pred_empty");
            continue;
        };
        for tolerance in ["0.5", "1.0", "2.0", "5.0"] {
            let expected = case[format!("nsd_{tolerance}")].as_f64().unwrap();
            assert_close(
                &format!("{name}: NSD at {tolerance} mm"),
                found.nsd(tolerance.parse().unwrap()),
                expected,
            );
        }
        for (percent, key) in [(95.0, "hd95"), (100.0, "hd100")] {
            assert_close(
                &format!("{name}: {key}"),
                found.hausdorff_mm(percent),
                case[key].as_f64().unwrap(),
            );
        }
        let directions = [
            ("gt_to_pred", &found.reference_to_predicted),
            ("pred_to_gt", &found.predicted_to_reference),
        ];
        for (side, (direction, directed)) in directions.into_iter().enumerate() {
            assert_close(
                &format!("{name}: ASD {direction}"),
                found.average_mm()[side],
                case["asd"][side].as_f64().unwrap(),
            );
            assert_close(
                &format!("{name}: area"),
                directed.area_mm2.iter().sum(),
                case["area"][side].as_f64().unwrap(),
            );
            let mut sorted = directed.distance_mm.clone();
            sorted.sort_by(f64::total_cmp);
            let expected = golden(&mut npz, &format!("c{i}_distances_{direction}"));
            assert_eq!(sorted.len(), expected.len(), "{name}");
            for (found, expected) in sorted.into_iter().zip(expected) {
                assert_close(&format!("{name}: distances {direction}"), found, expected);
            }
        }
    }
}
