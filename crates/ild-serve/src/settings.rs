//! The flags of `ild-serve`, and what they come to.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use clap::Args;
use ild_cli::Usage;
use ild_model::PrecisionWish;
use ild_preprocess::Windowing;

/// Everything that can be set.
#[derive(Args, Clone, Debug)]
pub struct Settings {
    /// CTs: a folder with `imagesTr/<case>_0000.nii.gz` (nnU-Net), a folder of such files, or one of
    /// DICOM: a folder for each case.
    #[arg(long, value_name = "DIR")]
    pub studies: PathBuf,
    /// Weights: of ild-train (.safetensors) or SAM 2 (.pt).
    #[arg(long, value_name = "FILE")]
    pub checkpoint: PathBuf,
    /// Size of the model: t, s, b+, l, nano, t512 or a TOML description [default: what the checkpoint
    /// says].
    #[arg(long, value_name = "M")]
    pub model: Option<String>,
    /// Where masks go: `DIR/labelsTr`, and CTs that are uploaded or were DICOM to `DIR/imagesTr`
    /// [default: the folder of `imagesTr`; else the studies' folder with `-ild` at its end].
    #[arg(long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// Names and colours of the labels: labels.json or nnU-Net's dataset.json [default: what lies
    /// beside the masks, else what the weights say].
    #[arg(long, value_name = "FILE")]
    pub labels: Option<PathBuf>,
    /// Window for CTs: soft, lung, lung-wide, medsam-lung or rgb [default: the one the checkpoint was
    /// trained with].
    #[arg(long, value_name = "NAME")]
    pub window: Option<Windowing>,
    /// A CT is called `<case><suffix>`.
    #[arg(long, default_value = "_0000.nii.gz", value_name = "SUFFIX")]
    pub img_name_suffix: String,
    /// What the image encoder computes in (docs/inference.md).
    #[arg(long, value_enum, default_value = "f32")]
    pub precision: PrecisionWish,

    /// Where to listen. Any other address than this computer's own needs --token-file, and --tls-cert with
    /// --tls-key or --behind-tls-proxy.
    #[arg(long, default_value = "127.0.0.1:8000", value_name = "ADDRESS:PORT")]
    pub address: SocketAddr,
    /// A further name under which browsers may reach the server, as the proxy passes it on in `Host`.
    #[arg(long = "host", value_name = "NAME")]
    pub hosts: Vec<String>,
    /// A page elsewhere that may use the server, e.g. that of OHIF: `https://viewer.example`.
    #[arg(long = "allow-origin", value_name = "ORIGIN")]
    pub origins: Vec<String>,
    /// A file with the secret that every request must carry, 16 signs or more.
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Encrypt with this certificate (PEM): the server's own, then those between it and the authority.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// The key of the certificate (PEM, without a password).
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// A proxy in front of the server encrypts: whoever listens on another address without a certificate
    /// says so.
    #[arg(long)]
    pub behind_tls_proxy: bool,
    /// The header in which that proxy says who somebody is; believed only with --behind-tls-proxy.
    #[arg(long, value_name = "NAME", requires = "behind_tls_proxy")]
    pub user_header: Option<String>,

    /// Largest upload, MiB.
    #[arg(long, default_value_t = 1024, value_name = "MIB", value_parser = clap::value_parser!(u32).range(1..))]
    pub upload_limit: u32,
    /// Memory for encoded slices of all cases together, MiB.
    #[arg(long, default_value_t = 2048, value_name = "MIB")]
    pub feature_memory: usize,
    /// CTs held in memory at once; masks of others wait on the disk.
    #[arg(long, default_value_t = 4, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub open_cases: u16,
    /// Requests that wait for the model; more are told to come again.
    #[arg(long, default_value_t = 32, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub waiting: u16,
    /// Uploads of a viewer are kept this long after their last use, minutes.
    #[arg(long, default_value_t = 60, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub session_minutes: u32,
    /// The command that trains on `labelsTr`, program and arguments, parted by blanks; without it
    /// viewers are offered no training.
    #[arg(long, value_name = "COMMAND")]
    pub train_command: Option<String>,
}

/// Folders of a server.
#[derive(Clone, Debug)]
pub struct Folders {
    /// Where CTs are looked for.
    pub studies: PathBuf,
    /// Where CTs go that come from elsewhere.
    pub images: PathBuf,
    /// Where accepted masks go.
    pub labels: PathBuf,
    /// Unfinished masks and uploads.
    pub state: PathBuf,
}

impl Settings {
    /// Where everything lies.
    ///
    /// # Errors
    /// When no output can be told.
    pub fn folders(&self) -> Result<Folders, Usage> {
        let studies = std::path::absolute(&self.studies).unwrap_or_else(|_| self.studies.clone());
        let named_images = studies.file_name().is_some_and(|n| n == "imagesTr" || n == "imagesTs");
        let (place, own) = match studies.join("imagesTr") {
            images if images.is_dir() => (images, Some(studies.clone())),
            _ if named_images => (studies.clone(), studies.parent().map(Path::to_owned)),
            _ => (studies.clone(), beside(&studies)),
        };
        let output = self.output.clone().or(own);
        let output = output.ok_or_else(|| Usage("name an --output for the masks".to_owned()))?;
        Ok(Folders {
            studies: place,
            images: output.join("imagesTr"),
            labels: output.join("labelsTr"),
            state: output.join(".ild-serve"),
        })
    }

    /// The files of the certificate and of its key.
    #[must_use]
    pub fn tls(&self) -> Option<(&Path, &Path)> {
        self.tls_cert.as_deref().zip(self.tls_key.as_deref())
    }

    /// Whether browsers see an encrypted server.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.behind_tls_proxy || self.tls().is_some()
    }

    /// Refuses to be reached from elsewhere without a secret and an encryption.
    ///
    /// # Errors
    /// Says which of the two is missing.
    pub fn require_safe(&self) -> Result<(), Usage> {
        let address = self.address.ip();
        if is_own(address) {
            return Ok(());
        }
        let missing = match (&self.token_file, self.is_encrypted()) {
            (Some(_), true) => return Ok(()),
            (None, _) => "--token-file FILE: whoever reaches the port reads patients' images",
            (_, false) => {
                "--tls-cert FILE and --tls-key FILE, or --behind-tls-proxy where a proxy in front of it \
                 encrypts"
            }
        };
        Err(Usage(format!("--address {}: expected {missing}", self.address)))
    }
}

/// Whether only this computer reaches the address.
#[must_use]
pub fn is_own(address: IpAddr) -> bool {
    address.is_loopback()
}

/// `a/ct` → `a/ct-ild`.
fn beside(folder: &Path) -> Option<PathBuf> {
    let mut name = folder.file_name()?.to_owned();
    name.push("-ild");
    Some(folder.with_file_name(name))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        settings: Settings,
    }

    fn settings(studies: &str, more: &[&str]) -> Settings {
        let words = ["ild-serve", "--studies", studies, "--checkpoint", "b"];
        Cli::try_parse_from(words.iter().chain(more)).unwrap_or_else(|e| panic!("{e}")).settings
    }

    #[test]
    fn another_address_needs_a_secret_and_an_encryption() {
        let safe = |more: &[&str]| settings("a", more).require_safe();
        assert!(safe(&[]).is_ok() && safe(&["--address", "[::1]:80"]).is_ok());
        for (more, missing) in [
            (&["--address", "0.0.0.0:80"][..], "--token-file"),
            (&["--address", "10.0.0.1:80", "--token-file", "t"], "--behind-tls-proxy"),
            (&["--address", "10.0.0.1:80", "--tls-cert", "c", "--tls-key", "k"], "--token-file"),
            (&["--address", "[::]:80", "--behind-tls-proxy"], "--token-file"),
        ] {
            assert!(safe(more).unwrap_err().0.contains(missing), "{more:?}");
        }
        let both = ["--address", "0.0.0.0:80", "--token-file", "t", "--behind-tls-proxy"];
        assert!(safe(&both).is_ok());
        let own =
            ["--address", "0.0.0.0:80", "--token-file", "t", "--tls-cert", "c", "--tls-key", "k"];
        assert!(safe(&own).is_ok());
    }

    #[test]
    fn masks_go_where_training_looks_for_them_and_never_into_a_folder_of_dicom() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir_all(at("data/imagesTr")).unwrap();
        std::fs::create_dir_all(at("dicom/a")).unwrap();
        let labels = |name: &str| {
            settings(at(name).to_str().unwrap(), &[]).folders().map(|folders| folders.labels)
        };
        assert_eq!(labels("data").unwrap(), at("data/labelsTr"));
        assert_eq!(labels("data/imagesTr").unwrap(), at("data/labelsTr"));
        assert_eq!(labels("dicom").unwrap(), at("dicom-ild/labelsTr"));
    }
}
