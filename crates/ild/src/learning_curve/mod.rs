//! `learning-curve`: the same test measured by weights that were taught by more and more patients.
//!
//! ```text
//! OUTPUT/data, OUTPUT/npz           made once
//! OUTPUT/share_25/npy, train, …     the pipeline of one share of the training patients
//! OUTPUT/learning-curve             table and plot over all shares
//! ```

mod share;

use anyhow::bail;
use clap::Args;
use ild_cli::Usage;

use crate::parts;
use crate::run::{Call, run};
use crate::settings::Settings;
use crate::task::RunArgs;
use share::Shares;

/// Flags of `learning-curve`.
#[derive(Args)]
pub struct CurveArgs {
    /// Shares of the training patients, percent; who is in a smaller one is in every larger one, and
    /// each is trained for about as many steps as the whole.
    #[arg(long, value_name = "PERCENT,…", value_delimiter = ',', default_value = "25,50,75,100", value_parser = clap::value_parser!(u16).range(1..=100))]
    shares: Vec<u16>,
    /// Run this share alone and draw nothing: for machines or jobs side by side. The same command
    /// without it does what is left.
    #[arg(long, value_name = "PERCENT")]
    share: Option<u16>,
    #[command(flatten)]
    pub run: RunArgs,
}

/// Runs what is not done yet of all shares, or of one, and draws the curve.
pub fn learning_curve(args: &CurveArgs, settings: &Settings, call: &Call) -> anyhow::Result<()> {
    let shares = Shares::new(settings, &args.shares)?;
    if let Some(share) = args.share.filter(|share| !shares.each().contains(share)) {
        let all: Vec<String> = shares.each().iter().map(ToString::to_string).collect();
        bail!(Usage(format!("--share {share}: expected one of --shares {}", all.join(","))));
    }
    {
        let output = shares.output();
        let _alone = (!call.dry_run).then(|| parts::alone(&output)).transpose()?;
        run(parts::ONCE, shares.whole(), call)?;
    }
    let wanted = args.share.map_or_else(|| shares.each().to_vec(), |share| vec![share]);
    for &share in &wanted {
        ild_cli::stop_if_interrupted()?;
        tracing::info!("{}", shares.in_words(share)?);
        run(parts::EACH, &shares.settings_of(share)?, call)?;
    }
    if call.dry_run {
        return Ok(());
    }
    if args.share.is_some() {
        let left = shares.each().iter().filter(|share| !parts::is_done(&shares.folder(**share)));
        let left: Vec<String> = left.map(|share| format!("{share} %")).collect();
        return parts::say_what_is_left(&left, "shares", "--share");
    }
    run("learning-curve", &shares.settings_of_all()?, call)
}
