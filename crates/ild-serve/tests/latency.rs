//! From click to reply, measured: SAM 2 tiny at 1024² with random weights (docs/performance.md).
//!
//! `cargo test --release --workspace --test latency -- --ignored --nocapture`

mod bench;

use std::time::{Duration, Instant};

use bench::{Bench, Server};
use ild_io::{Affine, Geometry, Volume, Voxels, write_volume};
use ild_model::{Sam2Config, Weights};
use ndarray::Array3;
use serde_json::{Value, json};

/// Slices, rows, columns of the CT.
const SIZE: [usize; 3] = [40, 512, 512];
/// Clicks on one encoded slice.
const CLICKS: usize = 20;

/// CPU time of the server so far, s.
fn cpu(server: &Server) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", server.pid())).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: f64 = [fields[11], fields[12]].iter().map(|n| n.parse::<f64>().unwrap()).sum();
    ticks / 100.0
}

/// Waits until the server has nothing to do.
fn quiet(server: &Server) {
    loop {
        let before = cpu(server);
        std::thread::sleep(Duration::from_millis(700));
        if cpu(server) - before < 0.03 {
            return;
        }
    }
}

fn click(server: &Server, k: usize, i: usize) -> (f64, f64) {
    let points = json!([{ "i": 200 + i, "j": 300, "inside": true }]);
    let body = json!({ "label": 1, "k": k, "points": points, "object": "x" });
    let (start, spent) = (Instant::now(), cpu(server));
    server.post("/page/case/big/prompt", &body).ok();
    (start.elapsed().as_secs_f64(), cpu(server) - spent)
}

fn told(what: &str, mut rows: Vec<(f64, f64)>) {
    rows.sort_by(|a, b| a.0.total_cmp(&b.0));
    let n = rows.len();
    let cpu: f64 = rows.iter().map(|row| row.1).sum::<f64>() / n as f64;
    println!(
        "{what}: median {:.0} ms, 95 % {:.0} ms, {cpu:.3} CPU-s each (n = {n})",
        1e3 * rows[n / 2].0,
        1e3 * rows[n * 95 / 100].0,
    );
}

#[test]
#[ignore = "a measurement: minutes, and a quiet machine"]
fn clicks_with_tiny_at_1024() {
    let bench = Bench::new();
    let name = std::env::var("ILD_LATENCY_MODEL").unwrap_or_else(|_| "t".into());
    let config = Sam2Config::from_name_or_file(&name).unwrap();
    let metadata = [("model".to_owned(), name.clone())].into();
    let weights = bench.path("nano.safetensors");
    std::fs::remove_file(&weights).unwrap();
    let folder = bench.path("data/imagesTr/.ild-files");
    let _ = std::fs::remove_file(folder);
    Weights::random(&config, 3).unwrap().write_safetensors(&weights, &metadata).unwrap();
    let hu = Array3::from_shape_fn(SIZE, |(z, y, x)| -800 + ((z * 7 + y * 3 + x * 5) % 400) as i16);
    let geometry = Geometry::new(SIZE, Affine::from_spacing_xyz_mm([0.7, 0.7, 2.5]));
    let ct = Volume { voxels: Voxels::I16(hu), geometry };
    write_volume(&bench.path("data/imagesTr/big_0000.nii.gz"), &ct).unwrap();

    let server = bench.serve(&["--window", "lung"]);
    let open = Instant::now();
    let opened: Value = server.get("/page/case/big");
    println!("{name}: opened in {:.1} s", open.elapsed().as_secs_f64());
    assert_eq!(opened["dims"], json!([SIZE[2], SIZE[1], SIZE[0]]));
    quiet(&server);
    told(
        "first click on a slice",
        [5, 15, 25]
            .map(|k| {
                let row = click(&server, k, 0);
                quiet(&server);
                row
            })
            .to_vec(),
    );
    told("further clicks on it", (0..CLICKS).map(|i| click(&server, 25, i)).collect());
    told(
        "first click on a neighbour, encoded meanwhile",
        [24, 26].map(|k| click(&server, k, 0)).to_vec(),
    );
    quiet(&server);
    server
        .post(
            "/page/case/big/propagate",
            &json!({ "label": 2, "k": 10, "box": [100, 100, 300, 300] }),
        )
        .json();
    std::thread::sleep(Duration::from_millis(1500));
    told("clicks while another case is followed", (0..8).map(|i| click(&server, 25, i)).collect());
    server.ask("DELETE", "/page/case/big/job").ok();
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default();
    println!("highest memory: {peak}");
}
