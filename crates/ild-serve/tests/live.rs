//! What a server holds after much work is what it held before: every byte that is allocated and not
//! freed is counted. Resident memory, which `load.rs` looks at, is pages, and says less.

mod bench;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicIsize, Ordering};
use std::time::Duration;

use bench::{Bench, SHAPE, Server, ct, form};
use clap::Parser;
use ild_io::volume_bytes;
use serde_json::{Value, json};

/// Lines of the journal.
const JOURNAL: usize = 2000;
/// Rounds of work after which all is open and started that will be.
const BEFORE: usize = 40;
/// Rounds after which is counted again.
const ROUNDS: usize = 120;
/// What may stay of a round, bytes: a hash map that has grown, say.
const OF_A_ROUND: isize = 100;

static LIVE: AtomicIsize = AtomicIsize::new(0);

struct Counting;

// SAFETY: all is handed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size().cast_signed(), Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size().cast_signed(), Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static COUNTED: Counting = Counting;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    common: ild_cli::Common,
    #[command(flatten)]
    settings: ild_serve::Settings,
}

#[test]
fn nothing_stays_of_uploads_clicks_and_accepted_masks() {
    let bench = Bench::new();
    let command = bench.command(&["--feature-memory", "64", "-j", "2"]);
    let words = [command.get_program()].into_iter().chain(command.get_args());
    let cli = Cli::try_parse_from(words).unwrap_or_else(|error| panic!("{error}"));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let served = runtime.block_on(ild_serve::Server::start(cli.settings, &cli.common)).unwrap();
    let (server, stop) = (Server::at(served.address()), Arc::new(AtomicBool::new(false)));
    let asked = Arc::clone(&stop);
    let serving = runtime.spawn(served.serve(move || asked.load(Ordering::Relaxed)));

    // The journal keeps its last lines: it is full before it is counted.
    (0..JOURNAL).for_each(|_| drop(server.ask("DELETE", "/page/case/a/job")));
    (0..SHAPE[0]).for_each(|k| box_taken_back(&server, k, |_| ()));
    (0..BEFORE).for_each(|_| round(&server));
    let before = at_rest();
    (0..ROUNDS).for_each(|_| round(&server));
    let stays = (at_rest() - before) / ROUNDS.cast_signed();
    println!("{stays} bytes stay of a round, {before} before");
    assert!(stays <= OF_A_ROUND, "{stays} bytes stay of a round");
    stop.store(true, Ordering::Relaxed);
    runtime.block_on(serving).unwrap();
}

/// A viewer's CT and a click in it; a box on the page, accepted and taken back: the record of marks, which
/// is to stay, is no longer afterwards.
fn round(server: &Server) {
    let bytes = volume_bytes("ct.nii".as_ref(), &ct()).unwrap();
    let (kind, body) = form(&json!({}), Some(("files", "x.nii", &bytes)));
    let sent = server.send("PUT", "/session/", &[("content-type", &kind)], &body).json();
    let id = sent["session_id"].as_str().unwrap();
    let click = json!({ "label": "x", "foreground": [[20, 20, 5]] });
    server.post(&format!("/infer/ild_click?session_id={id}"), &click).ok();
    server.ask("DELETE", &format!("/session/{id}")).ok();

    box_taken_back(server, 6, |view| {
        let accept = json!({ "revision": view["revision"], "replace": true });
        server.post("/page/case/a/accept", &accept).ok();
    });
}

/// A box on slice `k`, what is done with its mask, and undo.
fn box_taken_back(server: &Server, k: usize, then: impl FnOnce(Value)) {
    let marks = json!({ "label": 1, "k": k, "box": [6, 22, 30, 46] });
    then(server.post("/page/case/a/prompt", &marks).json());
    server.post("/page/case/a/undo", &json!({})).ok();
}

/// The least that was live within two seconds: what works behind the answers ends meanwhile.
fn at_rest() -> isize {
    let looked = (0..40).map(|_| {
        std::thread::sleep(Duration::from_millis(50));
        LIVE.load(Ordering::Relaxed)
    });
    looked.min().unwrap_or_default()
}
