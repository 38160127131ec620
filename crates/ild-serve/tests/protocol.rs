//! MONAI Label's protocol from outside, as its clients use it.

mod bench;

use bench::{Bench, SHAPE, ct, files_below, oblique};
use ild_infer::coordinates::StackIndex;
use ild_infer::model::engine::ModelName;
use ild_infer::prompt::SlicePrompt;
use ild_infer::{Engine, Scan, Session};
use ild_io::{
    LabelMap, LabelTable, StorageOrder, nrrd_bytes, read_label_map, volume_bytes, write_label_map,
};
use ild_model::{Precision, SlicePoint};
use ndarray::{Array3, Axis, s};
use serde_json::json;

/// Where it is clicked, in the axial arrays: on the ball.
const CLICK: [usize; 3] = [6, 14, 38];

/// What the library says to the click: nothing between it and the viewer may change a voxel.
fn expected(bench: &Bench) -> Array3<u8> {
    let path = bench.path("nano.safetensors");
    let (name, cpu) = (ModelName::default(), ild_cli::DeviceChoice::Cpu);
    let engine = Engine::load(&path, name, cpu, Precision::F32, None).unwrap();
    let scan = Scan::of_ct("a", ct(), engine.window.unwrap(), &LabelTable::default());
    let session = Session::open(&engine, scan);
    let [z, y, x] = CLICK;
    let place = SlicePoint { x: x as f64, y: y as f64 };
    let prompt = SlicePrompt::Points(vec![(place, true)]);
    let mask = session.answer(StackIndex(z), &[prompt]).unwrap().remove(0).mask();
    let mut labels = Array3::zeros(SHAPE);
    labels.index_axis_mut(Axis(0), z).assign(&mask.mapv(u8::from));
    let voxels = labels.iter().filter(|&&id| id == 1).count();
    assert!((20..SHAPE[1] * SHAPE[2] - 20).contains(&voxels), "{voxels} say nothing");
    assert_ne!(labels, labels.slice(s![.., ..;-1, ..]), "a flip would show");
    labels
}

#[test]
fn a_click_ends_in_the_same_place_whatever_the_order_of_the_viewers_oblique_ct() {
    let bench = Bench::new();
    let (server, expected) = (bench.serve(&[]), expected(&bench));
    for codes in ["LPS", "RAS", "SPL", "AIR"] {
        let mut ct = ct();
        ct.geometry.stored.order = StorageOrder::from_codes(codes, &ct.geometry.affine).unwrap();
        let [z, y, x] = CLICK.map(|v| v as f64);
        let click = ct.geometry.file_xyz([x, y, z]);
        let bytes = volume_bytes("ct.nii.gz".as_ref(), &ct).unwrap();
        let sent = server.form("PUT", "/session/", &json!({}), Some(("files", "x.nii.gz", &bytes)));
        let id = sent.json()["session_id"].as_str().unwrap().to_owned();
        let params = json!({ "label": "ILD1", "foreground": [click], "background": [] });
        let path = format!("/infer/ild_click?image=whatever&session_id={id}");
        let both = server.form("POST", &path, &params, None).file();
        let only = server.form("POST", &format!("{path}&output=image"), &params, None).ok().body;
        for (name, bytes) in [("both", both), ("image", only)] {
            let file = bench.path(&format!("{codes}-{name}.nrrd"));
            std::fs::write(&file, bytes).unwrap();
            let map = read_label_map(&file).unwrap();
            let map = map.on_grid_of(&file, "mask", "CT", &oblique()).unwrap();
            assert_eq!(map.labels, expected, "{codes} {name}");
        }
        assert_eq!(server.ask("GET", &format!("/session/{id}")).status, 200);
        assert_eq!(server.ask("DELETE", &format!("/session/{id}")).status, 200);
        let gone = server.form("POST", &path, &params, None);
        assert!(gone.detail(404).contains("send the volume again"));
    }
    let state = bench.path("data/.ild-serve/sent");
    assert!(files_below(&state).is_empty(), "{:?}", files_below(&state));
}

#[test]
fn what_clients_look_for_is_in_info() {
    let server = Bench::new();
    let server = server.serve(&[]);
    for path in ["/info/", "/info"] {
        let info = server.get(path);
        assert!(info["labels"].is_array(), "OHIF appends to it");
        assert!(info.get("config").is_none(), "3D Slicer takes such a server for too old");
        for (name, kind) in [("ild_auto", "segmentation"), ("ild_click", "deepgrow")] {
            let model = &info["models"][name];
            assert_eq!((&model["type"], &model["dimension"]), (&json!(kind), &json!(3)));
            assert!(model["description"].is_string());
            assert_eq!(model["labels"]["Honeycombing"], 5);
        }
        assert_eq!(info["trainers"], json!({}), "no command, no button");
        assert_eq!(info["datastore"]["total"], 2);
    }
    assert_eq!(server.get("/auth/"), json!({ "enabled": false }));
    assert_eq!(server.ask("GET", "/train/?check_if_running=true").status, 404);
    assert_eq!(server.ask("POST", "/train/").status, 404);
}

#[test]
fn the_next_case_is_one_without_a_mask_and_none_is_an_empty_object() {
    let bench = Bench::new();
    let server = bench.serve(&[]);
    let next = || server.post("/activelearning/first", &json!({ "client_id": "x" })).json();
    assert_eq!(next()["id"], "a");
    assert!(next()["checksum"].as_str().unwrap().starts_with("SHA256:"));
    let mask = mask_file(&bench, "LPS");
    for case in ["a", "b"] {
        let path = format!("/datastore/label?image={case}&tag=final");
        server.form("PUT", &path, &json!({}), Some(("label", "l.nii.gz", &mask))).ok();
    }
    assert_eq!(next(), json!({}));
    let unknown = server.post("/activelearning/random", &json!({}));
    assert!(unknown.detail(404).contains("uncertain"));
}

/// A mask of labels 2 and 5 in a file of another order.
fn mask_file(bench: &Bench, codes: &str) -> Vec<u8> {
    let path = bench.path(&format!("mask-{codes}.nii.gz"));
    write_label_map(&path, &mask(codes)).unwrap();
    std::fs::read(path).unwrap()
}

fn mask(codes: &str) -> LabelMap {
    let mut geometry = oblique();
    geometry.stored.order = StorageOrder::from_codes(codes, &geometry.affine).unwrap();
    let mut labels = Array3::zeros(SHAPE);
    labels.slice_mut(s![2..5, 3..9, 4..20]).fill(2);
    labels.slice_mut(s![6, 30.., ..7]).fill(5);
    LabelMap { labels, geometry }
}

#[test]
fn a_mask_from_a_viewer_is_accepted_on_the_cts_grid_and_what_was_there_is_kept() {
    let bench = Bench::new();
    let place = bench.path("data/labelsTr/a.nii.gz");
    std::fs::write(&place, b"somebody's own work").unwrap();
    let server = bench.serve(&[]);
    let params = json!({ "client_id": "Ada", "label_info": [] });
    let nifti = mask_file(&bench, "RAS");
    let put = |bytes: &[u8], params| {
        server.form(
            "PUT",
            "/datastore/label?image=a&tag=final",
            params,
            Some(("label", "label.bin", bytes)),
        )
    };
    put(&nifti, &params).ok();
    let read = |path: &std::path::Path| read_label_map(path).unwrap();
    assert_eq!(read(&place).labels, mask("LPS").labels);
    assert_eq!(read(&place).geometry.stored_codes(), "LPS", "stored as the CT is");
    let about: serde_json::Value =
        serde_json::from_slice(&std::fs::read(bench.path("data/labelsTr/a.json")).unwrap())
            .unwrap();
    assert_eq!(about["accepted"]["who"], "Ada");
    assert_eq!(about["label_table"]["5"]["name"], "Honeycombing");
    assert_eq!(about["model"]["sha256"].as_str().unwrap().len(), 64);

    // Numbers of a viewer mean what it says they mean.
    let nrrd = nrrd_bytes(&mask("SPL"), true);
    let swapped = json!({ "label_info": [{ "name": "Honeycombing", "idx": 2 }, { "name": "Reticulation", "idx": 5 }] });
    put(&nrrd, &swapped).ok();
    let labels = read(&place).labels;
    assert_eq!((labels[[2, 3, 4]], labels[[6, 30, 0]]), (5, 2));

    let earlier: Vec<_> = files_below(&bench.path("data/labelsTr/.earlier"))
        .into_iter()
        .filter(|path| path.ends_with("a.nii.gz"))
        .map(|path| std::fs::read(path).unwrap())
        .collect();
    assert_eq!(earlier.len(), 2);
    assert!(earlier.contains(&b"somebody's own work".to_vec()));

    // Back as it was put, under a name in quotes.
    let back = server.ask("GET", "/datastore/label?label=a&tag=final").ok();
    assert!(back.head.contains("filename=\"a.nii.gz\""), "{}", back.head);
    assert_eq!(back.body, std::fs::read(&place).unwrap());
    assert_eq!(server.ask("GET", "/datastore/label?label=a&tag=original").status, 404);
    let all = server.get("/datastore/?output=all");
    assert_eq!(all["objects"]["a"]["labels"]["final"]["ext"], ".nii.gz");
    assert_eq!(all["objects"]["b"]["labels"], json!({}));
    let image = server.ask("GET", "/datastore/image?image=a").ok();
    assert_eq!(image.body, std::fs::read(bench.path("data/imagesTr/a_0000.nii.gz")).unwrap());
}

#[test]
fn a_mask_on_another_grid_or_of_strange_labels_is_refused_in_words() {
    let bench = Bench::new();
    let server = bench.serve(&[]);
    let put = |map: &LabelMap, name: &str| {
        let path = bench.path(name);
        write_label_map(&path, map).unwrap();
        let bytes = std::fs::read(path).unwrap();
        let file = Some(("label", "a.nii.gz", &bytes[..]));
        server.form("PUT", "/datastore/label?image=a", &json!({}), file)
    };
    let mut moved = mask("LPS");
    moved.geometry.affine.0[0][3] += 3.0;
    assert!(put(&moved, "moved.nii.gz").detail(422).contains("3.00 mm away"));
    let mut strange = mask("LPS");
    strange.labels[[0, 0, 0]] = 77;
    assert!(put(&strange, "strange.nii.gz").detail(400).contains("found 77"));
    let file = Some(("label", "a.nii.gz", &b"no mask at all"[..]));
    let text = server.form("PUT", "/datastore/label?image=a", &json!({}), file).detail(422);
    assert!(text.contains("NIfTI"), "{text}");
    assert!(!bench.path("data/labelsTr/a.nii.gz").exists());
}

#[test]
fn a_ct_from_a_viewer_becomes_a_case_under_a_name_that_is_no_path() {
    let bench = Bench::new();
    let server = bench.serve(&[]);
    let bytes = volume_bytes("ct.nii.gz".as_ref(), &ct()).unwrap();
    let put = |id: &str, bytes: &[u8]| {
        let path = format!("/datastore/?image={id}");
        server.form("PUT", &path, &json!({}), Some(("file", "../../evil", bytes)))
    };
    assert_eq!(put("new_1", &bytes).json()["image"], "new_1");
    assert!(bench.path("data/imagesTr/new_1_0000.nii.gz").is_file());
    assert_eq!(put("new_1", &bytes).status, 409);
    for id in ["..%2Fx", "..%5Cx", ".x", "a%00b", "", "%2Fetc%2Fpasswd", "a%20b"] {
        assert_eq!(put(id, &bytes).status, 400, "{id}");
    }
    assert_eq!(put("broken", &bytes[..bytes.len() / 2]).status, 422);
    for path in [
        "/datastore/image?image=..%2F..%2Fnano.safetensors",
        "/page/file/..%2Fnano",
        "/page/case/..%2Fa",
    ] {
        assert_eq!(server.ask("GET", path).status, 404, "{path}");
    }
    let images = files_below(&bench.path("data/imagesTr"));
    let names: Vec<_> =
        images.iter().filter(|p| p.extension().is_some_and(|e| e == "gz")).collect();
    assert_eq!(names.len(), 3, "{names:?}");
}

#[test]
fn the_operators_training_starts_tells_and_stops() {
    let bench = Bench::new();
    let script = bench.path("train.sh");
    std::fs::write(&script, "echo epoch 1 of 9\nsleep 60\n").unwrap();
    let server = bench.serve(&["--train-command", &format!("sh {}", script.display())]);
    assert!(server.get("/info/")["trainers"]["ild"].is_object());
    let start = server.post("/train/ild", &json!({ "max_epochs": "1; rm -rf /" })).json();
    assert_eq!(start["status"], "RUNNING");
    assert_eq!(server.post("/train/ild", &json!({})).status, 429);
    assert_eq!(server.ask("GET", "/train/?check_if_running=true").status, 200);
    let told = || server.get("/train/")["details"].clone();
    let start = std::time::Instant::now();
    while told() != json!(["epoch 1 of 9"]) {
        assert!(start.elapsed().as_secs() < 20, "{}", told());
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let stopped = server.ask("DELETE", "/train/").json();
    assert_eq!(stopped["status"], "STOPPED");
    assert!(stopped["details"].as_array().is_some_and(|lines| !lines.is_empty()));
    assert_eq!(server.ask("GET", "/train/?check_if_running=true").status, 404);
    let logs = server.ask("GET", "/logs/?lines=300&text=true").ok();
    assert!(String::from_utf8(logs.body).unwrap().contains("DELETE /train"));
}
