//! Which archive `pull` and `push` talk to.

use std::path::PathBuf;

use ild_dicomweb::{Access, Archive};

/// How an archive is reached; flags of `pull` and `push`.
#[derive(clap::Args, serde::Serialize)]
pub struct ArchiveArgs {
    /// Where the archive's DICOMweb begins: https://pacs.example/dicom-web. Nothing else is contacted.
    #[arg(long, value_name = "URL")]
    pacs: String,
    /// A file with the archive's token, or with `name:password`.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// A file (PEM) with the certificates of those who vouch for the archive [default: the public ones].
    #[arg(long, value_name = "FILE")]
    certificates: Option<PathBuf>,
    /// Allow http:// to another machine: everybody on the way can read patients' data.
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    unencrypted: bool,
}

impl ArchiveArgs {
    /// The archive; nothing is sent yet.
    pub fn open(&self) -> anyhow::Result<Archive> {
        Ok(Archive::new(&Access {
            address: self.pacs.clone(),
            token: self.token_file.clone(),
            certificates: self.certificates.clone(),
            plain: self.unencrypted,
        })?)
    }
}
