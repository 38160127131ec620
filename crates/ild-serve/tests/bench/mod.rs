//! A server with a small model of random weights and two made-up patients, and a client for it.
#![allow(dead_code, reason = "each test file takes what it needs")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use ild_io::{Affine, Geometry, LabelTable, Volume, Voxels, write_volume};
use ild_model::{Sam2Config, Weights};
use ndarray::Array3;
use serde_json::Value;

pub const SHAPE: [usize; 3] = [10, 48, 56];

/// Rotated about two axes, stored about LPS.
pub fn oblique() -> Geometry {
    let ([sa, ca], [sb, cb]) = ([0.2_f64.sin(), 0.2_f64.cos()], [0.35_f64.sin(), 0.35_f64.cos()]);
    let rotation = [[-cb, sb * ca, sb * sa], [-sb, -cb * ca, -cb * sa], [0.0, -sa, ca]];
    let (spacing, origin) = ([0.7, 0.69, 2.5], [31.5, -12.25, 400.125]);
    let mut affine = [[0.0, 0.0, 0.0, 1.0]; 4];
    for row in 0..3 {
        for column in 0..3 {
            affine[row][column] = rotation[row][column] * spacing[column];
        }
        affine[row][3] = origin[row];
    }
    Geometry::new(SHAPE, Affine(affine))
}

/// A bright ball off every middle: nothing of it is the same when it is turned.
pub fn ct() -> Volume {
    let hu = Array3::from_shape_fn(SHAPE, |(z, y, x)| {
        let r2 =
            (z as f64 - 6.0).powi(2) * 9.0 + (y as f64 - 14.0).powi(2) + (x as f64 - 38.0).powi(2);
        if r2 < 100.0 { -200 } else { -850 + ((z * 7 + y * 3 + x * 5) % 60) as i16 }
    });
    Volume { voxels: Voxels::I16(hu), geometry: oblique() }
}

/// Data, weights, and the program on them.
pub struct Bench {
    pub folder: tempfile::TempDir,
}

impl Bench {
    pub fn new() -> Self {
        let bench = Self { folder: tempfile::tempdir().unwrap() };
        let config = Sam2Config::from_name_or_file("nano").unwrap();
        let window: ild_preprocess::Windowing = "lung".parse().unwrap();
        let metadata = [
            ("model".to_owned(), "nano".to_owned()),
            ("window".to_owned(), serde_json::to_string(&window).unwrap()),
            ("label_table".to_owned(), serde_json::to_string(&LabelTable::default()).unwrap()),
        ];
        Weights::random(&config, 3)
            .unwrap()
            .write_safetensors(&bench.path("nano.safetensors"), &metadata.into())
            .unwrap();
        for case in ["a", "b"] {
            write_volume(&bench.path(&format!("data/imagesTr/{case}_0000.nii.gz")), &ct()).unwrap();
        }
        bench
    }

    pub fn path(&self, name: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    pub fn command(&self, more: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ild-serve"));
        command
            .arg("--studies")
            .arg(self.path("data"))
            .arg("--checkpoint")
            .arg(self.path("nano.safetensors"))
            .args(["--address", "127.0.0.1:0", "--device", "cpu", "--quiet"])
            .args(more);
        command
    }

    pub fn serve(&self, more: &[&str]) -> Server {
        Server::start(self.command(more))
    }
}

/// A server that runs until it is dropped, or one in this process.
pub struct Server {
    child: Option<Child>,
    pub address: String,
}

impl Server {
    pub fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().rsplit_once("://").map(|(_, address)| address.to_owned());
        let address = address.unwrap_or_else(|| panic!("it did not start: {line}"));
        Self { child: Some(child), address }
    }

    pub fn at(address: std::net::SocketAddr) -> Self {
        Self { child: None, address: address.to_string() }
    }

    fn child(&mut self) -> &mut Child {
        self.child.as_mut().expect("a process of its own")
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("a process of its own").id()
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Asks it to stop, as Ctrl-C does, and says how it ended.
    pub fn stop(mut self) -> Option<i32> {
        let pid = self.pid().to_string();
        Command::new("kill").args(["-INT", &pid]).status().unwrap();
        self.child().wait().unwrap().code()
    }

    /// Waits until it has ended by itself.
    pub fn ended(mut self) {
        self.child().wait().unwrap();
    }

    pub fn ask(&self, method: &str, path: &str) -> Reply {
        self.send(method, path, &[], b"")
    }

    pub fn get(&self, path: &str) -> Value {
        self.ask("GET", path).json()
    }

    pub fn post(&self, path: &str, body: &Value) -> Reply {
        let text = body.to_string();
        self.send("POST", path, &[("content-type", "application/json")], text.as_bytes())
    }

    pub fn send(&self, method: &str, path: &str, fields: &[(&str, &str)], body: &[u8]) -> Reply {
        self.try_send(method, path, fields, body).unwrap()
    }

    pub fn try_send(
        &self,
        method: &str,
        path: &str,
        fields: &[(&str, &str)],
        body: &[u8],
    ) -> std::io::Result<Reply> {
        let host = fields.iter().find(|(name, _)| name.eq_ignore_ascii_case("host"));
        let host = host.map_or(self.address.as_str(), |(_, host)| host);
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n");
        for (name, value) in fields.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("host")) {
            head += &format!("{name}: {value}\r\n");
        }
        head += &format!("Content-Length: {}\r\n\r\n", body.len());
        let mut stream = TcpStream::connect(&self.address)?;
        stream.set_read_timeout(Some(Duration::from_secs(120)))?;
        stream.write_all(head.as_bytes())?;
        // A server that refuses early may not take the rest.
        let _ = stream.write_all(body);
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes)?;
        Reply::of(&bytes).ok_or_else(|| std::io::Error::other("no whole reply"))
    }

    /// A form with `params` and a file, as viewers send them.
    pub fn form(
        &self,
        method: &str,
        path: &str,
        params: &Value,
        file: Option<(&str, &str, &[u8])>,
    ) -> Reply {
        let (kind, body) = form(params, file);
        self.send(method, path, &[("content-type", &kind)], &body)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

pub fn form(params: &Value, file: Option<(&str, &str, &[u8])>) -> (String, Vec<u8>) {
    let limit = "----------lImIt";
    let mut body =
        format!("--{limit}\r\nContent-Disposition: form-data; name=\"params\"\r\n\r\n{params}\r\n")
            .into_bytes();
    if let Some((field, name, bytes)) = file {
        body.extend_from_slice(
            format!(
                "--{limit}\r\nContent-Disposition: form-data; name=\"{field}\"; \
                 filename=\"{name}\"\r\nContent-Type: application/octet-stream\r\n\r\n"
            )
            .as_bytes(),
        );
        body.extend_from_slice(bytes);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{limit}--\r\n").as_bytes());
    (format!("multipart/form-data; boundary={limit}"), body)
}

/// What a server answered.
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Reply {
    fn of(bytes: &[u8]) -> Option<Self> {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
        let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
        let status = head.split(' ').nth(1)?.parse().ok()?;
        let body = bytes[end..].to_vec();
        let length: usize = match head.split("content-length: ").nth(1) {
            Some(text) => text.split("\r\n").next()?.parse().ok()?,
            None => 0,
        };
        (body.len() == length).then_some(Self { status, head, body })
    }

    pub fn ok(self) -> Self {
        assert_eq!(self.status, 200, "{}", String::from_utf8_lossy(&self.body));
        self
    }

    pub fn json(self) -> Value {
        let reply = if self.status < 300 { self } else { self.ok() };
        serde_json::from_slice(&reply.body).unwrap()
    }

    /// Why it was refused.
    pub fn detail(&self, status: u16) -> String {
        let text = String::from_utf8_lossy(&self.body);
        assert_eq!(self.status, status, "{text}");
        let value: Value = serde_json::from_slice(&self.body).unwrap();
        value["detail"].as_str().unwrap().to_owned()
    }

    /// The file in a reply with two parts, as 3D Slicer gets it.
    pub fn file(self) -> Vec<u8> {
        let reply = self.ok();
        let boundary = reply.head.split("boundary=").nth(1).unwrap().split("\r\n").next().unwrap();
        let mark = format!("\r\n--{boundary}");
        let text = String::from_utf8_lossy(&reply.body);
        assert!(text.contains("name=\"params\"") && text.contains("filename=\"result.nrrd\""));
        let find = |bytes: &[u8], what: &[u8]| {
            bytes.windows(what.len()).position(|window| window == what).unwrap()
        };
        let image = find(&reply.body, b"name=\"image\"");
        let start = image + find(&reply.body[image..], b"\r\n\r\n") + 4;
        let end = start + find(&reply.body[start..], mark.as_bytes());
        reply.body[start..end].to_vec()
    }
}

/// The files below a folder, hidden ones too.
pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { files.extend(files_below(&path)) } else { files.push(path) }
    }
    files
}
