//! Files that clients send: to the disk piece by piece, under names of our own.

use std::io::Write;
use std::path::{Path, PathBuf};

use axum::extract::Multipart;
use axum::extract::multipart::Field;
use bytes::Bytes;
use tokio::sync::mpsc;

use crate::error::{Answer, Problem};

/// Pieces that wait between socket and disk.
const WAITING: usize = 8;
/// Longest text field, bytes.
const LONGEST_TEXT: usize = 4 << 20;
/// Most files of one request.
const MOST_FILES: usize = 4096;

/// What came in one request.
#[derive(Debug, Default)]
pub struct Form {
    /// `params`, the protocol's JSON; an empty object where it was left out.
    pub params: serde_json::Value,
    /// Files, in the order in which they came.
    pub files: Vec<PathBuf>,
}

impl Form {
    /// The only file.
    ///
    /// # Errors
    /// 400 when it is not one.
    pub fn only_file(&self) -> Answer<&Path> {
        match &self.files[..] {
            [file] => Ok(file),
            files => Err(Problem::bad(format!("expected one file, found {}", files.len()))),
        }
    }
}

/// Reads a request whose files, in fields called one of `names`, go into `folder`.
///
/// # Errors
/// 400 for a form that is none, 413 for one that is too large, 500 when the disk says no.
pub async fn read(mut form: Multipart, names: &[&str], folder: &Path) -> Answer<Form> {
    let mut read = Form { params: serde_json::json!({}), files: Vec::new() };
    loop {
        let field = form.next_field().await.map_err(wrong)?;
        let Some(field) = field else { return Ok(read) };
        let name = field.name().unwrap_or_default().to_owned();
        if names.contains(&name.as_str()) {
            if read.files.len() == MOST_FILES {
                return Err(Problem::bad(format!("expected at most {MOST_FILES} files")));
            }
            // The reader looks at what is in it; the name says only which order they came in.
            let path = folder.join(format!("{:05}.upload", read.files.len()));
            to_file(field, &path).await?;
            read.files.push(path);
        } else if name == "params" {
            read.params = serde_json::from_str(&text(field).await?)
                .map_err(|error| Problem::bad(format!("expected JSON as `params`: {error}")))?;
        } else {
            // Fields of other models and newer clients: they mean nothing here.
            skip(field).await?;
        }
    }
}

async fn text(mut field: Field<'_>) -> Answer<String> {
    let mut bytes = Vec::new();
    while let Some(piece) = field.chunk().await.map_err(wrong)? {
        if bytes.len() + piece.len() > LONGEST_TEXT {
            return Err(Problem::bad(format!("expected text of at most {LONGEST_TEXT} bytes")));
        }
        bytes.extend_from_slice(&piece);
    }
    String::from_utf8(bytes).map_err(|_| Problem::bad("expected text in UTF-8"))
}

async fn skip(mut field: Field<'_>) -> Answer<()> {
    while field.chunk().await.map_err(wrong)?.is_some() {}
    Ok(())
}

/// The file has its name only when all of it has come.
async fn to_file(mut field: Field<'_>, path: &Path) -> Answer<()> {
    let (pieces, mut waiting) = mpsc::channel::<Option<Bytes>>(WAITING);
    let place = path.to_owned();
    let writing = tokio::task::spawn_blocking(move || {
        ild_cli::write_atomic_unsynced(&place, |file| {
            loop {
                match waiting.blocking_recv() {
                    Some(Some(piece)) => file.write_all(&piece)?,
                    Some(None) => return Ok(()),
                    None => return Err(std::io::Error::other("the upload was broken off")),
                }
            }
        })
    });
    let sent = async {
        while let Some(piece) = field.chunk().await.map_err(wrong)? {
            if pieces.send(Some(piece)).await.is_err() {
                // The disk said no; what it said comes below.
                return Ok(());
            }
        }
        let _ = pieces.send(None).await;
        Ok(())
    };
    let sent: Answer<()> = sent.await;
    drop(pieces);
    let written = writing.await.map_err(|error| Problem::failed(error.to_string()))?;
    sent?;
    Ok(written?)
}

fn wrong(error: axum::extract::multipart::MultipartError) -> Problem {
    Problem::new(error.status(), error.body_text())
}

/// A folder for the files of one request, taken away with it.
pub struct Passing(pub PathBuf);

impl Passing {
    /// It stays: somebody else takes care of it.
    pub fn stay(mut self) {
        self.0 = PathBuf::new();
    }
}

impl Passing {
    /// A new one in `folder`.
    #[must_use]
    pub fn in_folder(folder: &Path) -> Self {
        Self(folder.join(format!("{}-{:?}", crate::clock::moment(), std::thread::current().id())))
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        if self.0.as_os_str().is_empty() {
            return;
        }
        if let Err(error) = ild_cli::outputs::remove_folder(&self.0) {
            tracing::warn!("an upload stays: {error}");
        }
    }
}
