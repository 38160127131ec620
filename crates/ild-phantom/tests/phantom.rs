//! The synthetic cohort: reproducible to the byte, chest-like in its HU, sparse and irregular in
//! its labels.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use ild_io::{
    LabelMap, Voxels, read_label_map, read_label_map_as_stored, read_volume, read_volume_as_stored,
};
use ild_phantom::{Again, Cohort, Settings, generate, generate_healthy, write_cohort};
use ndarray::{Array3, Axis};

const SMALL: Settings =
    Settings { cases: 3, size: [16, 64, 64], seed: 5, healthy: 0, healthy_slices: 0 };

fn write(folder: &Path, settings: Settings, force: bool) -> ild_io::Result<(Cohort, usize)> {
    let again = if force { Again::Always } else { Again::OnlyTheSame };
    let made = AtomicUsize::new(0);
    let cohort = write_cohort(
        folder,
        settings,
        again,
        || false,
        |new| {
            made.fetch_add(usize::from(new), Ordering::Relaxed);
        },
    )?;
    Ok((cohort.expect("not stopped"), made.into_inner()))
}

/// Contents of every file below `folder`, hidden ones left out, by relative path.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.file_name().unwrap().as_encoded_bytes().starts_with(b".") {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else {
                files.insert(
                    path.strip_prefix(folder).unwrap().to_owned(),
                    fs::read(&path).unwrap(),
                );
            }
        }
    }
    files
}

fn hu(seed: u64, index: usize, size: [usize; 3]) -> (Array3<i16>, LabelMap) {
    let phantom = generate(seed, index, size);
    let Voxels::I16(hu) = phantom.ct.voxels else { panic!("expected whole HU") };
    (hu, phantom.label)
}

#[test]
fn the_same_seed_gives_the_same_bytes_with_any_number_of_threads() {
    let [one, three] = [1, 3].map(|threads| {
        let folder = tempfile::tempdir().unwrap();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| write(folder.path(), SMALL, false)).unwrap();
        contents(folder.path())
    });
    assert_eq!(one.keys().collect::<Vec<_>>(), three.keys().collect::<Vec<_>>());
    assert!(one == three, "some file differs");
    for expected in [
        "imagesTr/phantom_001_0000.nii.gz",
        "labelsTr/phantom_003.nii.gz",
        "truthTr/phantom_003.nii.gz",
        "dataset.json",
        "labels.json",
        "cohort.json",
    ] {
        assert!(one.contains_key(Path::new(expected)), "{expected}");
    }
}

#[test]
fn another_seed_or_patient_is_another_scan() {
    let (a, _) = hu(5, 0, SMALL.size);
    assert!(a != hu(6, 0, SMALL.size).0 && a != hu(5, 1, SMALL.size).0);
}

#[test]
fn a_second_run_makes_nothing_and_other_settings_need_force() {
    let folder = tempfile::tempdir().unwrap();
    let (first, made) = write(folder.path(), SMALL, false).unwrap();
    assert_eq!(made, 3);
    let (second, made) = write(folder.path(), SMALL, false).unwrap();
    assert_eq!(made, 0);
    assert_eq!(first.classes(), second.classes());

    let fewer = Settings { cases: 2, seed: 6, ..SMALL };
    let refusal = write(folder.path(), fewer, false).unwrap_err();
    assert!(refusal.is_rejection() && refusal.to_string().contains("--force"), "{refusal}");
    assert_eq!(write(folder.path(), fewer, true).unwrap().1, 2);
    assert!(
        !folder.path().join("labelsTr/phantom_003.nii.gz").exists(),
        "a case of the replaced cohort is left"
    );
}

#[test]
fn an_interrupted_run_goes_on_where_it_stopped() {
    let (stopped, whole) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let finished = AtomicUsize::new(0);
    let stop = || finished.load(Ordering::SeqCst) >= 1;
    let count = |_| {
        finished.fetch_add(1, Ordering::SeqCst);
    };
    // One thread: the second case is asked for after the first is done.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    assert!(
        pool.install(|| write_cohort(stopped.path(), SMALL, Again::OnlyTheSame, stop, count))
            .unwrap()
            .is_none()
    );
    assert!(!stopped.path().join("cohort.json").exists());
    assert_eq!(write(stopped.path(), SMALL, false).unwrap().1, 2);
    write(whole.path(), SMALL, false).unwrap();
    assert!(contents(stopped.path()) == contents(whole.path()));
}

#[test]
fn air_lung_soft_tissue_and_bone_have_the_hu_of_a_chest() {
    for index in 0..5 {
        let (hu, label) = hu(2024, index, [24, 96, 96]);
        let share = |low: i16, high: i16| {
            hu.iter().filter(|&&v| (low..high).contains(&v)).count() as f64 / hu.len() as f64
        };
        // Shares of a chest CT whose field of view is a little wider than the body.
        assert!((0.25..0.65).contains(&share(-1024, -950)), "air {}", share(-1024, -950));
        assert!((0.06..0.35).contains(&share(-950, -700)), "lung {}", share(-950, -700));
        assert!((0.10..0.40).contains(&share(-20, 120)), "soft tissue {}", share(-20, 120));
        assert!((0.005..0.08).contains(&share(300, 3072)), "bone {}", share(300, 3072));
        assert!(hu.iter().all(|&v| (-1024..=3071).contains(&v)));
        assert!(label.ids().iter().all(|id| (1..=5).contains(id)) && !label.ids().is_empty());
    }
}

#[test]
fn the_five_patterns_differ_from_lung_and_from_each_other() {
    // Mean and standard deviation of HU inside the outlines, by class, over ten patients: every
    // class twice or more.
    let mut values: BTreeMap<u8, Vec<f64>> = BTreeMap::new();
    for index in 0..10 {
        let (hu, label) = hu(2024, index, [30, 160, 160]);
        hu.iter()
            .zip(&label.labels)
            .filter(|(_, id)| **id != 0)
            .for_each(|(&v, &id)| values.entry(id).or_default().push(f64::from(v)));
    }
    let statistics: BTreeMap<u8, (f64, f64)> = values
        .iter()
        .map(|(&id, values)| {
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            let variance =
                values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64;
            (id, (mean, variance.sqrt()))
        })
        .collect();
    let (mean, spread) = (|id: u8| statistics[&id].0, |id: u8| statistics[&id].1);
    assert!(
        (-700.0..-480.0).contains(&mean(1)),
        "ground glass: +200 to +350 HU on lung, {statistics:?}"
    );
    assert!((-780.0..-600.0).contains(&mean(2)), "lines on nearly normal lung, {statistics:?}");
    assert!((-620.0..-420.0).contains(&mean(3)), "lines on haze, {statistics:?}");
    assert!(
        (-220.0..40.0).contains(&mean(4)),
        "near soft tissue, with some air left, {statistics:?}"
    );
    assert!(spread(5) > 1.4 * spread(2), "cysts and walls, {statistics:?}");
    assert!(
        spread(1) < spread(3) && spread(3) < spread(5),
        "haze is smoother than lines, lines smoother than cysts, {statistics:?}"
    );
}

#[test]
fn labels_are_sparse_irregular_and_mostly_of_one_class_per_slice() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { cases: 60, size: [60, 64, 64], seed: 3, ..SMALL };
    let (cohort, _) = write(folder.path(), settings, false).unwrap();
    let shares: Vec<f64> =
        cohort.cases.iter().map(|case| case.outlined_slices.len() as f64 / 60.0).collect();
    // 10 to 25 % is aimed at; runs are whole slices of at most three, so single patients end a
    // little outside.
    assert!(
        shares.iter().filter(|share| (0.10..=0.25).contains(*share)).count() >= 50,
        "{shares:?}"
    );
    assert!(shares.iter().all(|share| (0.05..=0.35).contains(share)), "{shares:?}");
    assert!((0.13..0.22).contains(&cohort.outlined_share().unwrap()));
    // 92 % in the cohort that this imitates; mixed slices come by the patient, so a few patients
    // more or less move the share by a percent.
    assert!(
        (0.89..0.95).contains(&cohort.single_class_share().unwrap()),
        "{:?}",
        cohort.single_class_share()
    );
    assert!((3..=6).contains(&cohort.median_gap().unwrap()), "{:?}", cohort.median_gap());
    for (id, class) in cohort.classes() {
        assert!(
            (12..=30).contains(&class.patients),
            "class {id}: {} of 60 patients",
            class.patients
        );
        // A filled box must be a bad answer: at 35 % its DSC is 0.52.
        assert!(
            class.mean_box_fill() < 0.36,
            "class {id} fills {:.2} of its box",
            class.mean_box_fill()
        );
    }
}

#[test]
fn disease_changes_slowly_from_slice_to_slice() {
    let (mut common, mut sum) = (0usize, 0usize);
    for index in 0..5 {
        let (_, label) = hu(2024, index, [60, 96, 96]);
        let slices: Vec<_> = label.labels.axis_iter(Axis(0)).collect();
        for pair in slices
            .windows(2)
            .filter(|pair| pair.iter().all(|slice| slice.iter().any(|&id| id != 0)))
        {
            common += pair[0].iter().zip(&pair[1]).filter(|(a, b)| **a != 0 && a == b).count();
            sum +=
                pair.iter().map(|slice| slice.iter().filter(|&&id| id != 0).count()).sum::<usize>();
        }
    }
    let dice = 2.0 * common as f64 / sum as f64;
    // A box must be able to travel from slice to slice (here 4.5 mm apart).
    assert!(sum > 0 && dice > 0.85, "{dice}");
}

#[test]
fn the_truth_is_what_was_outlined_and_the_disease_between() {
    let phantom = generate(2024, 0, [60, 96, 96]);
    let (mut hidden, mut outlined) = (0, 0);
    for (label, truth) in phantom.label.labels.outer_iter().zip(phantom.truth.labels.outer_iter()) {
        if label.iter().any(|&id| id != 0) {
            assert_eq!(label, truth, "an outlined slice shows all disease");
            outlined += 1;
        } else {
            hidden += usize::from(truth.iter().any(|&id| id != 0));
        }
    }
    assert!(outlined > 0 && hidden > outlined, "{outlined} outlined, {hidden} diseased besides");
}

#[test]
fn healthy_patients_come_beside_the_ill_and_leave_their_bytes_alone() {
    let (alone, with) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let some = Settings { cases: 10, seed: 2024, ..SMALL };
    write(alone.path(), some, false).unwrap();
    let settings = Settings { healthy: 2, healthy_slices: 2, ..some };
    let (cohort, made) = write(with.path(), settings, false).unwrap();
    assert_eq!((made, cohort.cases.len(), cohort.healthy.len()), (12, 10, 2));
    let (alone, with_files) = (contents(alone.path()), contents(with.path()));
    for (path, bytes) in
        alone.iter().filter(|(path, _)| path.extension().is_some_and(|e| e == "gz"))
    {
        assert!(with_files[path] == *bytes, "{}", path.display());
    }
    assert!(!alone.contains_key(Path::new("healthy.json")), "nothing was declared healthy");

    for case in ["healthy_001", "healthy_002"] {
        let file = |folder: &str, suffix: &str| {
            with.path().join(format!("{folder}/{case}{suffix}.nii.gz"))
        };
        assert!(read_label_map(&file("truthTr", "")).unwrap().ids().is_empty());
        assert!(read_label_map(&file("labelsTr", "")).unwrap().ids().is_empty());
        assert!(file("imagesTr", "_0000").is_file());
    }
    let declared: serde_json::Value =
        serde_json::from_slice(&with_files[Path::new("healthy.json")]).unwrap();
    assert_eq!(declared["cases"], serde_json::json!(["healthy_001", "healthy_002"]));
    let slices = declared["slices"].as_object().unwrap();
    let mut from_head = 0;
    for (case, slices) in slices {
        // Slices are counted as the file stores them.
        let truth = with.path().join(format!("truthTr/{case}.nii.gz"));
        let truth = read_label_map_as_stored(&truth).unwrap();
        from_head += usize::from(truth.geometry.affine.axis_codes().ends_with('I'));
        let image = with.path().join(format!("imagesTr/{case}_0000.nii.gz"));
        let hu = read_volume_as_stored(&image).unwrap().voxels;
        let Voxels::I16(hu) = hu else { panic!("whole HU") };
        for z in slices.as_array().unwrap() {
            let z = z.as_u64().unwrap() as usize;
            let lung =
                hu.index_axis(Axis(0), z).iter().filter(|v| (-940..-700).contains(*v)).count();
            assert!(lung > 64 * 64 / 100, "{case}, slice {z}: {lung} pixels of lung");
            let slice = truth.labels.index_axis(Axis(0), z);
            assert!(slice.iter().all(|&id| id == 0), "{case}, slice {z}, is not free of disease");
        }
    }
    assert!(from_head > 0, "no case is stored from head to foot");
    // A second run reads what is there and declares the same.
    assert_eq!(write(with.path(), settings, false).unwrap().1, 0);
    for (path, bytes) in contents(with.path()) {
        assert!(with_files[&path] == bytes, "{} has changed", path.display());
    }
}

#[test]
fn a_healthy_patient_has_lungs_and_no_disease() {
    let size = [30, 96, 96];
    for index in 0..3 {
        let healthy = generate_healthy(2024, index, size);
        let Voxels::I16(hu) = &healthy.ct.voxels else { panic!("expected whole HU") };
        let lung = |values: &mut dyn Iterator<Item = &i16>| {
            values.filter(|v| (-940..-700).contains(*v)).count()
        };
        let share = lung(&mut hu.iter()) as f64 / hu.len() as f64;
        assert!((0.06..0.35).contains(&share), "lung {share}");
        assert!(healthy.truth.ids().is_empty() && healthy.classes.is_empty());
    }
}

#[test]
fn data_samples_are_what_their_command_makes() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../data-samples"));
    let settings: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.join("phantom.json")).unwrap()).unwrap();
    let settings: Settings = serde_json::from_value(settings["settings"].clone()).unwrap();
    // Voxels, not files: another version of the compressor may write other bytes for the same
    // voxels.
    for index in 0..settings.cases {
        let made = generate(settings.seed, index, settings.size);
        let case = format!("phantom_{:03}", index + 1);
        let ct = read_volume(&folder.join(format!("imagesTr/{case}_0000.nii.gz"))).unwrap();
        let label = read_label_map(&folder.join(format!("labelsTr/{case}.nii.gz"))).unwrap();
        let truth = read_label_map(&folder.join(format!("truthTr/{case}.nii.gz"))).unwrap();
        assert!(ct.voxels == made.ct.voxels, "{case}: other HU");
        assert!(label.labels == made.label.labels, "{case}: other labels");
        assert!(truth.labels == made.truth.labels, "{case}: another truth");
        // The header holds 32-bit floats.
        assert!(ct.geometry.corner_distance_mm(&made.ct.geometry) < 1e-3, "{case}: another grid");
    }
}
