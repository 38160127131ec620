//! Several clients at once: clicks, propagations, uploads, cancels and broken connections. CI runs it
//! for seconds; `ILD_LOAD_SECONDS=300` for as long as one likes.

mod bench;

use std::collections::BTreeMap;
use std::io::Write;
use std::net::TcpStream;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use bench::{Bench, SHAPE, Server, ct, form};
use ild_io::{read_label_map, volume_bytes, write_volume};
use serde_json::{Value, json};

const CLIENTS: usize = 8;
/// The load before memory is looked at for the first time.
const WARM: Duration = Duration::from_secs(10);
/// Lines of the journal: it is full before memory is looked at for the first time.
const JOURNAL: usize = 2000;
/// By how much memory may be more after a long load than after a short one.
const MORE: f64 = 1.05;
/// Cases that everybody goes to when the load is over.
const NEXT: [&str; 2] = ["c", "d"];
/// Memory is given back once nobody has worked for ten to twenty seconds.
const GIVEN_BACK: Duration = Duration::from_secs(25);

/// Resident memory, KiB.
fn memory(server: &Server) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).ok()?;
    let line = text.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// The same once all have gone to the next cases, every slice of which is looked at, and then rested for
/// a while.
fn at_rest(server: &Server) -> Option<u64> {
    for (case, k) in NEXT.into_iter().flat_map(|case| (0..SHAPE[0]).map(move |k| (case, k))) {
        let marks = json!({ "label": 1, "k": k, "box": [6, 12, 30, 40] });
        server.post(&format!("/page/case/{case}/prompt"), &marks).ok();
    }
    std::thread::sleep(GIVEN_BACK);
    memory(server)
}

/// What a client saw.
#[derive(Default)]
struct Seen {
    statuses: BTreeMap<(&'static str, u16), u32>,
    clicks_ms: Vec<f64>,
    accepted: BTreeMap<String, u32>,
}

#[test]
fn eight_clients_break_nothing_and_lose_nothing() {
    let seconds = std::env::var("ILD_LOAD_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(15);
    let bench = Bench::new();
    for case in NEXT {
        write_volume(&bench.path(&format!("data/imagesTr/{case}_0000.nii.gz")), &ct()).unwrap();
    }
    let server = bench.serve(&["--feature-memory", "64", "--open-cases", "2"]);
    // What the server holds at work, before it is put under load.
    (0..JOURNAL).for_each(|_| drop(server.ask("DELETE", "/page/case/a/job")));
    let warm = Instant::now() + WARM;
    let seen = Mutex::new(Seen::default());
    load(&server, warm, &Mutex::new(Seen::default()));
    let before = at_rest(&server);
    load(&server, Instant::now() + Duration::from_secs(seconds), &seen);
    let at_work = memory(&server);
    let after = at_rest(&server);
    let seen = seen.into_inner().unwrap();
    let broken: Vec<_> = seen
        .statuses
        .iter()
        .filter(|((_, status), _)| *status >= 500 && *status != 503 || *status == 0)
        .collect();
    assert!(broken.is_empty(), "{broken:?}");
    let mut clicks = seen.clicks_ms.clone();
    clicks.sort_by(f64::total_cmp);
    let share = |p: f64| clicks.get((clicks.len() as f64 * p) as usize).copied().unwrap_or(0.0);
    println!("{:?}", seen.statuses);
    println!("clicks: {}, median {:.0} ms, 95 % {:.0} ms", clicks.len(), share(0.5), share(0.95));
    println!("memory before {before:?} KiB, at work {at_work:?} KiB, after {after:?} KiB");
    assert!(clicks.len() > CLIENTS, "somebody worked");
    for (case, n) in &seen.accepted {
        let map = read_label_map(&bench.path(&format!("data/labelsTr/{case}.nii.gz"))).unwrap();
        assert!(!map.ids().is_empty(), "{case}, accepted {n} times");
    }
    if let (Some(before), Some(after)) = (before, after) {
        assert!(after as f64 <= before as f64 * MORE, "{before} → {after} KiB");
    }
    assert_eq!(server.stop(), Some(130));
}

fn load(server: &Server, until: Instant, seen: &Mutex<Seen>) {
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            scope.spawn(move || {
                let mut step = client;
                while Instant::now() < until {
                    one(server, client, step, seen);
                    step += 1;
                }
            });
        }
    });
}

fn one(server: &Server, client: usize, step: usize, seen: &Mutex<Seen>) {
    let case = if (step / 8).is_multiple_of(2) { "a" } else { "b" };
    let json_field = [("content-type", "application/json")];
    let ask = |what: &'static str, method: &str, path: &str, body: &Value| {
        let reply = server.try_send(method, path, &json_field, body.to_string().as_bytes());
        let status = reply.as_ref().map_or(0, |reply| reply.status);
        *seen.lock().unwrap().statuses.entry((what, status)).or_default() += 1;
        reply.ok().filter(|reply| reply.status < 300)
    };
    let page = |what: &str| format!("/page/case/{case}/{what}");
    match step % 8 {
        0..=2 => {
            let start = Instant::now();
            let k = step % 10;
            let body = json!({ "label": 1 + client % 5, "k": k, "box": [6, 12, 30, 40], "over_others": true, "object": format!("{client}") });
            if ask("click", "POST", &page("prompt"), &body).is_some() {
                let ms = start.elapsed().as_secs_f64() * 1e3;
                seen.lock().unwrap().clicks_ms.push(ms);
            }
        }
        3 => {
            ask(
                "propagate",
                "POST",
                &page("propagate"),
                &json!({ "label": 1, "k": 5, "box": [6, 12, 30, 40] }),
            );
        }
        4 => {
            ask("cancel", "DELETE", &page("job"), &json!({}));
            ask("undo", "POST", &page("undo"), &json!({}));
        }
        5 => {
            let state = ask("state", "GET", &page("state"), &json!({}));
            let Some(state) = state.map(bench::Reply::json) else { return };
            let revision = state["view"]["revision"].clone();
            let empty = state["view"]["ml"].as_object().is_none_or(serde_json::Map::is_empty);
            let body = json!({ "revision": revision, "replace": true });
            if !empty && ask("accept", "POST", &page("accept"), &body).is_some() {
                *seen.lock().unwrap().accepted.entry(case.to_owned()).or_default() += 1;
            }
        }
        6 => {
            let bytes = volume_bytes("ct.nii".as_ref(), &ct()).unwrap();
            let (kind, body) = form(&json!({}), Some(("files", "x.nii", &bytes)));
            let sent = server.try_send("PUT", "/session/", &[("content-type", &kind)], &body);
            let status = sent.as_ref().map_or(0, |reply| reply.status);
            *seen.lock().unwrap().statuses.entry(("upload", status)).or_default() += 1;
            let Some(sent) = sent.ok().filter(|reply| reply.status == 200) else { return };
            let id = sent.json()["session_id"].as_str().unwrap().to_owned();
            let click = json!({ "label": "x", "foreground": [[20, 20, 5]] });
            ask("infer", "POST", &format!("/infer/ild_click?session_id={id}"), &click);
            ask("end", "DELETE", &format!("/session/{id}"), &json!({}));
        }
        _ => {
            // Somebody who leaves in the middle of a request, or before the answer.
            let Ok(mut stream) = TcpStream::connect(&server.address) else { return };
            let head = format!(
                "POST {} HTTP/1.1\r\nHost: {}\r\nContent-Length: 52\r\n\r\n",
                page("prompt"),
                server.address
            );
            let body = r#"{"label":1,"k":3,"box":[6,12,30,40],"object":"gone"}"#;
            let _ = stream.write_all(head.as_bytes());
            let _ = stream
                .write_all(&body.as_bytes()[..if client.is_multiple_of(2) { 20 } else { 52 }]);
        }
    }
}
