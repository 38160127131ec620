//! Work on a case as the page does it: marks, painting, undo, propagation, accepting.

mod bench;

use std::time::{Duration, Instant};

use bench::{Bench, SHAPE, Server, ct, files_below};
use ild_infer::coordinates::StackIndex;
use ild_infer::model::engine::ModelName;
use ild_infer::prompt::SlicePrompt;
use ild_infer::{Engine, Scan, Session};
use ild_io::cohort::read_mask;
use ild_io::{LabelTable, read_label_map, read_volume};
use ild_model::{Precision, SliceBox};
use ild_test_support::dicom::Series;
use ndarray::Array2;
use serde_json::{Value, json};

/// A box on slice 6 around the ball, in the page's voxels: to the right and to the front.
const BOX: [usize; 4] = [6, 22, 30, 46];
const K: usize = 6;

fn prompt(server: &Server, more: &Value) -> Value {
    let mut body = json!({ "label": 5, "k": K, "box": BOX });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    server.post("/page/case/a/prompt", &body).ok().json()
}

/// A slice of a view, in the order of the arrays.
fn slice(view: &Value, k: usize) -> Array2<u8> {
    let slices = view["slices"].as_array().unwrap();
    let it = slices.iter().find(|slice| slice["k"] == k).expect("the slice was told");
    let mut labels = Vec::new();
    for run in it["runs"].as_array().unwrap() {
        let (id, n) = (run[0].as_u64().unwrap(), run[1].as_u64().unwrap());
        labels.resize(labels.len() + n as usize, id as u8);
    }
    labels.reverse();
    Array2::from_shape_vec((SHAPE[1], SHAPE[2]), labels).unwrap()
}

fn wait(server: &Server, state: &str) -> Value {
    let start = Instant::now();
    loop {
        let job = server.get("/page/case/a/job");
        if job["state"] == state {
            return job;
        }
        assert!(job["state"] == "running" && start.elapsed() < Duration::from_secs(120), "{job}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_box_on_the_page_is_the_librarys_answer_at_the_same_place() {
    let bench = Bench::new();
    let server = bench.serve(&[]);
    let opened = server.get("/page/case/a");
    assert_eq!(opened["dims"], json!([SHAPE[2], SHAPE[1], SHAPE[0]]));
    assert_eq!(
        opened["classes"][4],
        json!({ "id": 5, "name": "Honeycombing", "color": [183, 156, 220] })
    );
    let view = prompt(&server, &json!({}));

    let path = bench.path("nano.safetensors");
    let (name, cpu) = (ModelName::default(), ild_cli::DeviceChoice::Cpu);
    let engine = Engine::load(&path, name, cpu, Precision::F32, None).unwrap();
    let scan = Scan::of_ct("a", ct(), engine.window.unwrap(), &LabelTable::default());
    let (height, width) = (SHAPE[1], SHAPE[2]);
    let [i0, j0, i1, j1] = BOX;
    let corners = [width - 1 - i1, height - 1 - j1, width - 1 - i0, height - 1 - j0];
    let around = SlicePrompt::Box(SliceBox::new(corners.map(|v| v as f64)));
    let answer = Session::open(&engine, scan).answer(StackIndex(K), &[around]).unwrap().remove(0);
    let expected = answer.mask().mapv(|inside| if inside { 5 } else { 0 });
    assert!(expected.iter().any(|&id| id == 5));
    assert_eq!(slice(&view, K), expected);
    let voxels = expected.iter().filter(|&&id| id == 5).count() as f64;
    let ml = view["ml"]["5"].as_f64().unwrap();
    assert!((ml - voxels * 0.7 * 0.69 * 2.5 / 1000.0).abs() < 1e-6, "{ml}");
    let ct = server.ask("GET", "/page/case/a/ct.nii").ok().body;
    let file = bench.path("shown.nii");
    std::fs::write(&file, ct).unwrap();
    assert_eq!(read_volume(&file).unwrap().geometry.stored_codes(), "RAS");
}

#[test]
fn marks_of_one_object_are_one_step_and_steps_go_back_and_forth() {
    let bench = Bench::new();
    let server = bench.serve(&[]);
    let first = prompt(&server, &json!({ "object": "x" }));
    let points = json!([{ "i": 20, "j": 33, "inside": true }, { "i": 2, "j": 2, "inside": false }]);
    let second = prompt(&server, &json!({ "object": "x", "points": points }));
    assert_eq!(second["steps"], json!([1, 0]), "the box and its points are one");
    let undone = server.post("/page/case/a/undo", &json!({})).json();
    assert!(slice(&undone, K).iter().all(|&id| id == 0));
    assert_eq!(undone["ml"], json!({}));
    let redone = server.post("/page/case/a/redo", &json!({})).json();
    assert_eq!(slice(&redone, K), slice(&second, K));
    server.post("/page/case/a/undo", &json!({})).ok();
    let nothing = server.post("/page/case/a/undo", &json!({})).json();
    assert_eq!(nothing["slices"], json!([]), "nothing to undo is no error");
    assert!(first["revision"].as_u64() < nothing["revision"].as_u64());
}

#[test]
fn other_classes_are_kept_unless_they_may_be_taken() {
    let bench = Bench::new();
    let server = bench.serve(&[]);
    let pixels = SHAPE[1] * SHAPE[2];
    let revision = server.get("/page/case/a")["view"]["revision"].clone();
    let full = json!({ "revision": revision, "slices": [{ "k": K, "runs": [[2, pixels]] }] });
    let painted = server.post("/page/case/a/paint", &full).json();
    assert!(slice(&painted, K).iter().all(|&id| id == 2));
    let kept = prompt(&server, &json!({ "object": "x" }));
    assert!(kept["ml"].get("5").is_none());
    let over = prompt(&server, &json!({ "object": "x", "over_others": true }));
    assert!(over["ml"]["5"].as_f64().unwrap() > 0.0 && over["ml"]["2"].as_f64().unwrap() > 0.0);
    let stale = server.post("/page/case/a/paint", &full);
    assert!(stale.detail(409).contains("somebody else"));
}

#[test]
fn a_mark_is_followed_with_progress_as_one_step_and_can_be_given_up() {
    let bench = Bench::new();
    let server = bench.serve(&[]);
    let follow = json!({ "label": 5, "k": K, "box": BOX });
    let begun = server.post("/page/case/a/propagate", &follow);
    assert_eq!(begun.status, 202);
    assert_eq!(begun.json()["total"], SHAPE[0]);
    wait(&server, "done");
    let state = server.get("/page/case/a/state");
    assert_eq!(state["view"]["steps"], json!([1, 0]));
    let with =
        |view: &Value| (0..SHAPE[0]).filter(|&k| slice(view, k).iter().any(|&id| id == 5)).count();
    assert!(with(&state["view"]) > 1, "more than the slice that was marked");
    let undone = server.post("/page/case/a/undo", &json!({})).json();
    assert_eq!(undone["ml"], json!({}));

    // From what is drawn, within a span, and given up: as if it had not been asked for.
    prompt(&server, &json!({}));
    let span = json!({ "label": 5, "k": K, "span": [5, 7] });
    assert_eq!(server.post("/page/case/a/propagate", &span).json()["total"], 3);
    wait(&server, "done");
    let before = server.get("/page/case/a/state")["view"]["revision"].clone();
    server.post("/page/case/a/propagate", &follow);
    server.ask("DELETE", "/page/case/a/job").ok();
    let start = Instant::now();
    let ended = loop {
        let job = server.get("/page/case/a/job");
        if job["state"] != "running" {
            break job["state"].as_str().unwrap().to_owned();
        }
        assert!(start.elapsed() < Duration::from_secs(60));
    };
    let after = server.get("/page/case/a/state")["view"]["revision"].clone();
    assert!(ended == "done" || (ended == "cancelled" && before == after), "{ended}");
    let nothing = json!({ "label": 1, "k": K });
    assert_eq!(server.post("/page/case/a/propagate", &nothing).status, 400);
}

#[test]
fn two_people_on_one_case_are_told_and_neither_loses_an_accepted_mask() {
    let bench = Bench::new();
    let server = bench.serve(&[]);
    let open = |window: &str, who: &str| {
        let fields = [("X-Ild-Window", window), ("X-Ild-Who", who)];
        server.send("GET", "/page/case/a", &fields, b"").json()
    };
    assert_eq!(open("1", "Ada")["view"]["others"], json!([]));
    assert_eq!(open("2", "J%C3%B6rg")["view"]["others"][0]["who"], "Ada");
    let accept = |more: Value| {
        let revision = server.get("/page/case/a/state")["view"]["revision"].clone();
        let mut body = json!({ "revision": revision });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let fields = [("content-type", "application/json"), ("X-Ild-Who", "Ada")];
        server.send("POST", "/page/case/a/accept", &fields, body.to_string().as_bytes())
    };
    prompt(&server, &json!({}));
    let first = accept(json!({})).json();
    let late = accept(json!({}));
    assert!(late.detail(409).contains("somebody has accepted another mask"));
    prompt(&server, &json!({ "label": 2, "over_others": true }));
    accept(json!({ "accepted": first["accepted"] })).ok();
    assert_eq!(accept(json!({ "replace": true })).json()["earlier"], 2);
    let stale = server.post("/page/case/a/accept", &json!({ "revision": 0, "replace": true }));
    assert_eq!(stale.status, 409);
    let about: Value =
        serde_json::from_slice(&std::fs::read(bench.path("data/labelsTr/a.json")).unwrap())
            .unwrap();
    assert_eq!(about["accepted"]["who"], "Ada");
    assert_eq!(about["made"][0]["how"], "box");
    assert_eq!(about["made"][0]["prompt"]["box"], json!([6.0, 22.0, 30.0, 46.0]));
    assert_eq!(server.get("/page/next")["id"], "b");
}

#[test]
fn an_unfinished_mask_survives_the_server_and_an_accepted_one_is_the_next_beginning() {
    let bench = Bench::new();
    let server = bench.serve(&[]);
    let view = prompt(&server, &json!({}));
    let drawn = slice(&view, K);
    assert_eq!(server.stop(), Some(130), "stopped on request, work saved");
    let server = bench.serve(&[]);
    let cases = server.get("/page/cases");
    assert_eq!(cases["cases"][0]["unfinished"], true);
    let opened = server.get("/page/case/a");
    assert_eq!(slice(&opened["view"], K), drawn);
    assert_eq!(opened["view"]["changed"], true);
    server.post("/page/case/a/accept", &json!({ "revision": opened["view"]["revision"] })).ok();
    assert_eq!(server.get("/page/case/a/state")["view"]["changed"], false);
    let drafts = files_below(&bench.path("data/.ild-serve/drafts"));
    assert!(drafts.is_empty(), "{drafts:?}");
    server.stop();
    let server = bench.serve(&[]);
    let opened = server.get("/page/case/a");
    assert_eq!(slice(&opened["view"], K), drawn, "the accepted mask");
    assert_eq!(opened["view"]["changed"], false);
    let map = read_label_map(&bench.path("data/labelsTr/a.nii.gz")).unwrap();
    assert_eq!(
        map.geometry,
        read_volume(&bench.path("data/imagesTr/a_0000.nii.gz")).unwrap().geometry
    );
}

#[test]
fn lesions_are_looked_for_without_a_prompt_or_it_is_said_why_not() {
    let bench = Bench::new();
    let server = bench.serve(&[]);
    assert_eq!(server.get("/page/cases")["model"]["finds"], false, "weights without classes");
    assert_eq!(server.post("/page/case/a/auto", &json!({})).status, 202);
    let job = wait(&server, "done");
    assert!(job["notes"].as_array().is_some_and(|notes| !notes.is_empty()), "{job}");
    let reply = server.form("POST", "/infer/ild_auto?image=a", &json!({}), None);
    let file = bench.path("auto.nrrd");
    std::fs::write(&file, reply.file()).unwrap();
    assert_eq!(read_label_map(&file).unwrap().geometry.shape_zyx, SHAPE);
}

#[test]
fn a_server_killed_while_it_accepts_leaves_the_old_mask_or_the_new_one() {
    let bench = Bench::new();
    let accept = |server: &Server| {
        let opened = server.get("/page/case/a");
        let label = if opened["view"]["ml"].get("5").is_some() { 2 } else { 5 };
        prompt(server, &json!({ "label": label, "over_others": true }));
        let view = server.get("/page/case/a/state")["view"].clone();
        let body = json!({ "revision": view["revision"], "replace": true }).to_string();
        let kind = [("content-type", "application/json")];
        let _ = server.try_send("POST", "/page/case/a/accept", &kind, body.as_bytes());
    };
    let server = bench.serve(&[]);
    accept(&server);
    drop(server);
    let place = bench.path("data/labelsTr/a.nii.gz");
    let mut versions = 0;
    for moment in [1, 4, 7, 9, 10, 11, 12, 13, 16] {
        let before = std::fs::read(&place).unwrap();
        let mut command = bench.command(&[]);
        command.env("ILD_KILL_AT", moment.to_string());
        let server = Server::start(command);
        accept(&server);
        drop(server);
        let map = read_label_map(&place).unwrap();
        assert_eq!(map.geometry.shape_zyx, SHAPE, "killed at {moment}");
        if std::fs::read(&place).unwrap() != before {
            versions += 1;
            let kept = files_below(&bench.path("data/labelsTr/.earlier"));
            let is_before = |path: &std::path::PathBuf| std::fs::read(path).unwrap() == before;
            assert!(kept.iter().any(is_before), "killed at {moment}: the earlier one is kept");
        }
        let server = bench.serve(&[]);
        server.get("/page/case/a");
    }
    assert!(versions > 0, "some of them came through");
}

#[test]
fn the_accepted_mask_of_a_dicom_series_is_handed_out_as_a_segmentation_of_it() {
    let bench = Bench::new();
    let hu = |[x, y, z]: [f64; 3]| -900.0 + (3.0 * x + 5.0 * y + 7.0 * z).rem_euclid(900.0);
    let series = Series { slices: 6, rows: 48, columns: 40, hu, ..Series::default() };
    series.save(&bench.path("dicom/p1/ct"));
    Series { patient: ["B", "B", "1.2.840.2"], ..series }.save(&bench.path("dicom/p2/ct"));
    let studies = bench.path("dicom").display().to_string();
    let server = bench.serve(&["--studies", &studies]);
    let opened = server.get("/page/case/p1");
    assert_eq!(opened["dicom"], true);
    let seg = || server.ask("GET", "/page/case/p1/seg.dcm");
    assert!(seg().detail(404).contains("accept one first"));
    let body = json!({ "label": 5, "k": 2, "box": [6, 12, 30, 40] });
    let told = server.post("/page/case/p1/prompt", &body).ok().json();
    for _ in 0..2 {
        let wish = json!({ "revision": told["revision"], "replace": true });
        server.post("/page/case/p1/accept", &wish).ok();
        let reply = seg();
        assert!(reply.status == 200 && reply.head.contains("application/dicom"), "{}", reply.head);
        std::fs::write(bench.path("seg.dcm"), reply.body).unwrap();
        let map = read_label_map(&bench.path("dicom-ild/labelsTr/p1.nii.gz")).unwrap();
        let file = bench.path("seg.dcm");
        let back = read_mask(&file, &LabelTable::default()).unwrap();
        let back = back.on_grid_of(&file, "segmentation", "CT", &map.geometry).unwrap();
        assert_eq!(back.labels, map.labels);
    }
    assert!(files_below(&bench.path("dicom-ild/.ild-serve/sent")).is_empty());
    let other = bench.serve(&[]);
    assert!(other.ask("GET", "/page/case/a/seg.dcm").detail(404).contains("no DICOM series"));
}
