//! `ild-serve`: flags → library → exit code.

use std::process::ExitCode;

use clap::Parser;
use ild_cli::Common;
use ild_serve::Settings;

/// A server on which a radiologist segments chest CTs: for 3D Slicer and OHIF (MONAI Label's protocol),
/// and with a page of its own.
#[derive(Parser)]
#[command(name = "ild-serve", version, after_help = EXAMPLES)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    settings: Settings,
}

const EXAMPLES: &str = "Examples:
  On this computer, then open http://127.0.0.1:8000 or give that address to 3D Slicer:
    ild-serve --studies mydata --checkpoint work/best.safetensors

  For a group, behind a proxy that encrypts and says who somebody is:
    ild-serve --studies mydata --checkpoint best.safetensors --address 127.0.0.1:8000 \\
        --host ild.hospital.example --token-file token --behind-tls-proxy --user-header X-Forwarded-User

  For a group, with a certificate of the hospital's:
    ild-serve --studies mydata --checkpoint best.safetensors --address 0.0.0.0:8443 \\
        --host ild.hospital.example --token-file token --tls-cert ild.pem --tls-key ild.key

  With a button to train:
    ild-serve --studies mydata --checkpoint best.safetensors --train-command 'cargo xtask train --config my.toml'

Accepted masks lie in labelsTr beside imagesTr; every earlier version is kept. Research use only.";

fn main() -> ExitCode {
    ild_cli::main(|cli: &Cli| &cli.common, run, ild_infer::Error::rejects)
}

fn run(cli: Cli) -> anyhow::Result<()> {
    ild_serve::run(cli.settings, &cli.common)
}
