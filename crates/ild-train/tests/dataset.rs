//! Training items against the reference's, and what is said about slices that cannot be used.

mod support;

use std::path::Path;

use ild_train::{Augmentation, Given, ItemDraw, Purpose, SliceDataset, Warp, stream};
use ndarray::{Array2, Array3, Axis};
use serde::Deserialize;
use support::{Npz, golden, recordings, write_slice};

#[derive(Deserialize)]
struct Item {
    present: Vec<u8>,
    label: u8,
    shifts: [usize; 4],
    box_1024: [f32; 4],
    area: usize,
}

fn with_labels(labels: impl IntoIterator<Item = Array2<u8>>) -> (tempfile::TempDir, SliceDataset) {
    let folder = tempfile::tempdir().unwrap();
    let image = Array3::from_elem((32, 40, 3), 90);
    for (i, label) in labels.into_iter().enumerate() {
        write_slice(folder.path(), "train", &format!("s-{i:03}"), &image, &label);
    }
    let data = SliceDataset::open(&folder.path().join("train")).unwrap();
    (folder, data)
}

fn check(data: &SliceDataset, index: usize, item: &Item) {
    assert_eq!(data.slices()[index].labels, item.present);
    let draw = ItemDraw { label: item.label, shift_px: item.shifts, warp: Warp::IDENTITY };
    let sample = data.sample(index, &draw, 1024).unwrap();
    assert_eq!(sample.prompts[0].given, Given::Box(item.box_1024));
    assert_eq!(sample.prompts[0].mask.iter().filter(|&&inside| inside == 1).count(), item.area);
    assert_eq!(sample.image.dim(), (3, 1024, 1024));
}

#[test]
fn items_are_the_references_when_fed_its_draws() {
    let labels = Npz::open(&golden("labels.npz")).array::<u8>("labels");
    let (_folder, data) = with_labels(
        labels.outer_iter().map(|label| label.to_owned().into_dimensionality().unwrap()),
    );
    let items: Vec<Item> =
        serde_json::from_str(&std::fs::read_to_string(golden("items.json")).unwrap()).unwrap();
    for (index, item) in items.iter().enumerate() {
        check(&data, index, item);
    }
}

#[test]
fn items_are_those_of_the_recorded_dataset() {
    #[derive(Deserialize)]
    struct Recording {
        items: Vec<Recorded>,
    }
    #[derive(Deserialize)]
    struct Recorded {
        index: usize,
        rng: Vec<(String, serde_json::Value, usize)>,
        bbox: [f32; 4],
        gt_sum: usize,
    }
    let Some(folder) = recordings() else { return };
    let gts = Npz::open(&folder.join("preproc/npy_gts256_CT_ILD_case01.npz")).array::<u8>("gts256");
    let (_folder, data) = with_labels(
        gts.axis_iter(Axis(0)).map(|label| label.to_owned().into_dimensionality().unwrap()),
    );
    let recording: Recording =
        serde_json::from_str(&std::fs::read_to_string(folder.join("dataset/items.json")).unwrap())
            .unwrap();
    let masks = Npz::open(&folder.join("dataset/gt2d.npz")).array::<u8>("gt2d");
    for (item, mask) in recording.items.iter().zip(masks.outer_iter()) {
        let [choice, shifts @ ..] = &item.rng[..] else { panic!("no draws") };
        let present: Vec<Vec<u8>> = serde_json::from_value(choice.1.clone()).unwrap();
        let expected = Item {
            present: present[0].clone(),
            label: choice.2 as u8,
            shifts: std::array::from_fn(|i| shifts[i].2),
            box_1024: item.bbox,
            area: item.gt_sum,
        };
        check(&data, item.index, &expected);
        let draw = ItemDraw { label: expected.label, shift_px: [0; 4], warp: Warp::IDENTITY };
        assert_eq!(
            data.sample(item.index, &draw, 256).unwrap().prompts[0].mask.clone().into_dyn(),
            mask.index_axis(Axis(0), 0)
        );
    }
}

#[test]
fn drawn_shifts_reach_both_ends_and_only_present_labels_are_drawn() {
    let mut label = Array2::zeros((256, 256));
    label.slice_mut(ndarray::s![10..40, 10..40]).fill(2);
    label.slice_mut(ndarray::s![100..140, 100..120]).fill(5);
    let (_folder, data) = with_labels([label]);
    let draws: Vec<ItemDraw> = (0..400)
        .map(|i| {
            data.draw(0, None, 5, &Augmentation::default(), &mut stream(1, Purpose::Item, 0, i))
        })
        .collect();
    for side in 0..4 {
        let mut seen: Vec<usize> = draws.iter().map(|draw| draw.shift_px[side]).collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen, [0, 1, 2, 3, 4, 5]);
    }
    let twos = draws.iter().filter(|draw| draw.label == 2).count();
    assert!(
        draws.iter().all(|draw| [2, 5].contains(&draw.label)) && (140..260).contains(&twos),
        "{twos} of 400"
    );
    assert_eq!(
        data.draw(0, Some(5), 0, &Augmentation::default(), &mut stream(1, Purpose::Item, 0, 0))
            .label,
        5
    );
}

#[test]
fn slices_without_a_label_are_left_out_and_counted() {
    let mut label = Array2::zeros((256, 256));
    label[[3, 4]] = 1;
    let (folder, data) = with_labels([Array2::zeros((256, 256)), label]);
    assert_eq!(
        (data.slices().len(), data.without_label.as_slice()),
        (1, &["s-000".to_owned()][..])
    );
    std::fs::remove_file(folder.path().join("train/gts/s-000.npy")).unwrap();
    let data = SliceDataset::open(&folder.path().join("train")).unwrap();
    assert_eq!(
        (data.without_label.len(), data.without_label_file.as_slice()),
        (0, &["s-000".to_owned()][..])
    );
}

fn refusal(folder: &Path) -> String {
    let error = SliceDataset::open(&folder.join("train")).map(|data| {
        data.sample(0, &ItemDraw { label: 1, shift_px: [0; 4], warp: Warp::IDENTITY }, 64)
    });
    let error = match error {
        Err(error) | Ok(Err(error)) => error,
        Ok(Ok(_)) => panic!("accepted"),
    };
    assert!(error.is_rejection());
    error.to_string()
}

#[test]
fn wrong_sizes_and_missing_images_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let (image, mut label) = (Array3::from_elem((8, 8, 3), 1), Array2::zeros((256, 256)));
    label[[3, 4]] = 1;
    write_slice(folder.path(), "train", "a", &image, &Array2::zeros((128, 128)));
    assert!(
        refusal(folder.path())
            .contains("gts/a.npy: expected a label of shape (256, 256), found [128, 128]")
    );
    write_slice(folder.path(), "train", "a", &Array3::from_elem((8, 8, 1), 1), &label);
    assert!(
        refusal(folder.path())
            .contains("imgs/a.npy: expected an image of shape (height, width, 3), found [8, 8, 1]")
    );
    std::fs::remove_file(folder.path().join("train/imgs/a.npy")).unwrap();
    assert!(
        refusal(folder.path())
            .contains("imgs/a.npy: expected the image of a label, found no such file")
    );
}

#[test]
fn one_pixel_and_very_large_images_are_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let mut label = Array2::zeros((256, 256));
    label[[255, 255]] = 1;
    write_slice(folder.path(), "train", "large", &Array3::from_elem((3000, 2000, 3), 7), &label);
    write_slice(folder.path(), "train", "pixel", &Array3::from_elem((1, 1, 3), 7), &label);
    let data = SliceDataset::open(&folder.path().join("train")).unwrap();
    for index in 0..2 {
        let draw =
            ItemDraw { label: 1, shift_px: [5; 4], warp: Warp { angle: 0.1, ..Warp::IDENTITY } };
        let sample = data.sample(index, &draw, 64).unwrap();
        assert!(sample.image.iter().all(|v| v.is_finite()));
        let Given::Box(sides) = &sample.prompts[0].given else { panic!("no box") };
        assert!(sides.iter().all(|v| (0.0..=64.0).contains(v)));
    }
}
