//! Requests that nobody should make, and connections that break.

mod bench;

use std::io::{Read, Write};
use std::net::TcpStream;

use bench::{Bench, Server, files_below, form};
use serde_json::json;

fn raw(server: &Server, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(&server.address).unwrap();
    let _ = stream.write_all(bytes);
    let mut text = Vec::new();
    let _ = stream.read_to_end(&mut text);
    String::from_utf8_lossy(&text).into_owned()
}

#[test]
fn no_page_elsewhere_drives_the_server() {
    let bench = Bench::new();
    let server = bench.serve(&["--allow-origin", "https://viewer.example"]);
    let with = |fields: &[(&str, &str)]| server.send("GET", "/info/", fields, b"");
    assert_eq!(with(&[]).status, 200);
    assert_eq!(with(&[("Host", "evil.example")]).status, 403, "a name made to point here");
    assert_eq!(with(&[("Origin", "http://evil.example")]).status, 403);
    assert_eq!(with(&[("Sec-Fetch-Site", "cross-site")]).status, 403);
    let let_in = with(&[("Origin", "https://viewer.example")]).ok();
    assert!(let_in.head.contains("access-control-allow-origin: https://viewer.example"));
    assert!(!with(&[]).head.contains("access-control"), "nobody else reads the reply");
    let asked =
        server.send("OPTIONS", "/infer/ild_click", &[("Origin", "https://viewer.example")], b"");
    assert_eq!(asked.status, 204, "{}", asked.head);
}

#[test]
fn with_a_token_nothing_is_answered_without_it() {
    let bench = Bench::new();
    let secret = "0123456789abcdef0123";
    std::fs::write(bench.path("token"), secret).unwrap();
    let file = bench.path("token").display().to_string();
    let server = bench.serve(&["--token-file", &file]);
    for path in ["/info/", "/", "/page/cases", "/datastore/image?image=a", "/logs/"] {
        assert_eq!(server.ask("GET", path).status, 401, "{path}");
        let wrong = [("Authorization", "Bearer 0123456789abcdef0124")];
        assert_eq!(server.send("GET", path, &wrong, b"").status, 401, "{path}");
    }
    let right = format!("Bearer {secret}");
    server.send("GET", "/info/", &[("Authorization", &right)], b"").ok();
    // 3D Slicer's way.
    assert_eq!(server.get("/auth/"), json!({ "enabled": true }));
    let login = |password: &str| {
        let body = format!("username=ada&password={password}&grant_type=password");
        let kind = [("Content-Type", "application/x-www-form-urlencoded")];
        server.send("POST", "/auth/token", &kind, body.as_bytes())
    };
    assert_eq!(login("wrong").status, 401);
    assert_eq!(login(secret).json()["token_type"], "bearer");
    let page = server.ask("GET", &format!("/?token={secret}"));
    assert!(page.status == 303 && page.head.contains("httponly"), "{}", page.head);
}

#[test]
fn another_address_is_refused_without_token_and_proxy() {
    let bench = Bench::new();
    let output = bench.command(&["--address", "0.0.0.0:0"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--token-file"));
}

#[test]
fn what_is_no_request_is_refused_and_the_server_goes_on() {
    let bench = Bench::new();
    let server = bench.serve(&["--upload-limit", "1"]);
    let host = format!("Host: {}", server.address);
    for wrong in [
        "\u{16}\u{3}\u{1} tls".to_owned(),
        "GET / HTTP/1.1\r\nConnection: close\r\n\r\n".to_owned(),
        format!(
            "POST /info/ HTTP/1.1\r\n{host}\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"
        ),
        format!("POST /info/ HTTP/1.1\r\n{host}\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
        format!("GET /{} HTTP/1.1\r\n{host}\r\nConnection: close\r\n\r\n", "a".repeat(40_000)),
    ] {
        let text = raw(&server, wrong.as_bytes());
        let status = text.split(' ').nth(1).unwrap_or_default();
        assert!(status.starts_with('4'), "{} → {text}", &wrong[..wrong.len().min(60)]);
    }
    // Two lengths: chunks are what counts (RFC 9112, 6.3), and nothing that follows is a request.
    let twofold = format!(
        "POST /activelearning/first HTTP/1.1\r\n{host}\r\nContent-Length: 40\r\nTransfer-Encoding: chunked\r\n\r\n\
         2\r\n{{}}\r\n0\r\n\r\nGET /auth/ HTTP/1.1\r\n{host}\r\n\r\n"
    );
    let text = raw(&server, twofold.as_bytes());
    assert_eq!(text.matches("HTTP/1.1 ").count(), 1, "{text}");
    assert!(text.contains("connection: close"), "{text}");
    for (path, body, status) in [
        ("/page/case/a/prompt", "{", 400),
        ("/page/case/a/prompt", "[]", 400),
        ("/page/case/a/prompt", r#"{"label":1,"k":999,"box":[1,1,5,5]}"#, 400),
        ("/page/case/a/prompt", r#"{"label":99,"k":1,"box":[1,1,5,5]}"#, 400),
        ("/page/case/a/prompt", r#"{"label":1,"k":1,"box":[-9,1,5,5]}"#, 400),
        ("/page/case/a/paint", r#"{"revision":0,"slices":[]}"#, 409),
        ("/page/case/zz/prompt", r#"{"label":1,"k":1,"box":[1,1,5,5]}"#, 404),
        ("/infer/nonsense?image=a", "{}", 404),
        ("/infer/ild_click?image=zz", "{}", 404),
        ("/infer/ild_click?image=a", r#"{"foreground":[[9999,1,1]]}"#, 400),
    ] {
        let reply =
            server.send("POST", path, &[("content-type", "application/json")], body.as_bytes());
        reply.detail(status);
    }
    let revision = &server.get("/page/case/a")["view"]["revision"];
    let huge = json!({ "revision": revision, "slices": [{ "k": 0, "runs": [[1, u32::MAX], [1, u32::MAX]] }] });
    assert!(server.post("/page/case/a/paint", &huge).detail(400).contains("rows and columns"));
    let large = vec![0u8; 3 << 20];
    let (kind, body) = form(&json!({}), Some(("files", "x.nii", &large)));
    let refused = server.send("PUT", "/session/", &[("content-type", &kind)], &body);
    assert_eq!(refused.status, 413);
    server.ask("GET", "/info/").ok();
}

#[test]
fn an_upload_that_breaks_off_leaves_nothing() {
    let bench = Bench::new();
    let server = bench.serve(&[]);
    let (kind, body) = form(&json!({}), Some(("files", "x.nii", &vec![7u8; 300_000])));
    for part in [10, 5_000, 200_000] {
        let mut stream = TcpStream::connect(&server.address).unwrap();
        let head = format!(
            "PUT /session/ HTTP/1.1\r\nHost: {}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
            server.address,
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&body[..part]).unwrap();
        drop(stream);
    }
    let state = bench.path("data/.ild-serve/sent");
    let start = std::time::Instant::now();
    while !files_below(&state).is_empty() {
        assert!(start.elapsed().as_secs() < 20, "{:?}", files_below(&state));
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    server.ask("GET", "/info/").ok();
}

#[test]
fn requests_follow_one_another_on_one_connection_and_chunks_are_taken() {
    let bench = Bench::new();
    let server = bench.serve(&[]);
    let host = &server.address;
    let text = raw(
        &server,
        format!(
            "GET /auth/ HTTP/1.1\r\nHost: {host}\r\n\r\n\
             POST /activelearning/first HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n\
             2\r\n{{}}\r\n0\r\n\r\n\
             HEAD /auth/ HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        )
        .as_bytes(),
    );
    assert_eq!(text.matches("HTTP/1.1 200 OK").count(), 3, "{text}");
    assert!(text.contains("\"id\":\"a\"") && !text.contains("transfer-encoding"), "{text}");
}

/// A certificate for this computer and its key, and what vouches for it.
fn certificate(bench: &Bench, name: &str) -> [String; 2] {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let files = [format!("{name}.pem"), format!("{name}.key")].map(|file| bench.path(&file));
    std::fs::write(&files[0], made.cert.pem()).unwrap();
    std::fs::write(&files[1], made.signing_key.serialize_pem()).unwrap();
    files.map(|file| file.display().to_string())
}

/// Asks by https, trusting one certificate only: status and body.
fn ask_encrypted(server: &Server, trusted: &str, path: &str) -> Result<(u16, String), ureq::Error> {
    use ureq::tls::{Certificate, RootCerts, TlsConfig};
    let pem = std::fs::read(trusted).unwrap();
    let roots = RootCerts::new_with_certs(&[Certificate::from_pem(&pem).unwrap()]);
    let config = ureq::Agent::config_builder()
        .tls_config(TlsConfig::builder().root_certs(roots).build())
        .http_status_as_error(false)
        .max_redirects(0)
        .build();
    let port = server.address.rsplit_once(':').unwrap().1;
    let request =
        ureq::Agent::new_with_config(config).get(format!("https://localhost:{port}{path}"));
    let mut reply = request.call()?;
    let cookie = reply.headers().get("set-cookie").map(|c| c.to_str().unwrap().to_owned());
    let body = reply.body_mut().read_to_string()?;
    Ok((reply.status().as_u16(), cookie.unwrap_or(body)))
}

#[test]
fn with_a_certificate_nothing_goes_over_the_wire_in_the_clear() {
    let bench = Bench::new();
    let secret = "0123456789abcdef0123";
    std::fs::write(bench.path("token"), secret).unwrap();
    let token = bench.path("token").display().to_string();
    let [certificate_file, key] = certificate(&bench, "server");
    let flags = ["--tls-cert", &certificate_file, "--tls-key", &key, "--token-file", &token];
    let server = bench.serve(&flags);
    let ask = |path: &str| ask_encrypted(&server, &certificate_file, path).unwrap();
    assert_eq!(ask("/auth/"), (200, r#"{"enabled":true}"#.to_owned()));
    assert_eq!(ask("/info/").0, 401);
    let (status, cookie) = ask(&format!("/?token={secret}"));
    assert!(status == 303 && cookie.contains("; Secure"), "{cookie}");
    // Somebody whom another authority vouches for is not believed.
    let [other, other_key] = certificate(&bench, "other");
    assert!(ask_encrypted(&server, &other, "/auth/").is_err());
    let plain =
        raw(&server, format!("GET /auth/ HTTP/1.1\r\nHost: {}\r\n\r\n", server.address).as_bytes());
    assert!(plain.starts_with("HTTP/1.1 400") && plain.contains("https://"), "{plain}");
    let length: usize = plain.split("Content-Length: ").nth(1).unwrap()[..2].parse().unwrap();
    assert_eq!(plain.split_once("\r\n\r\n").unwrap().1.len(), length);
    // Half a handshake, and none: the server goes on.
    raw_and_leave(&server, b"\x16\x03\x01\x02");
    raw_and_leave(&server, b"");
    assert_eq!(ask("/auth/").0, 200);
    for (files, wrong) in [
        ([&certificate_file, &other_key], "the certificate of the key in"),
        ([&key, &key], "certificates (-----BEGIN"),
        ([&other, &other], "a private key without a password"),
    ] {
        let flags = ["--tls-cert", files[0], "--tls-key", files[1], "--token-file", &token];
        let output = bench.command(&flags).args(["--output", "elsewhere"]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(3) && said.contains(wrong), "{said}");
        assert!(!said.contains("PRIVATE KEY-----\n"), "no key in a message");
    }
}

fn raw_and_leave(server: &Server, bytes: &[u8]) {
    let mut stream = TcpStream::connect(&server.address).unwrap();
    stream.write_all(bytes).unwrap();
}
