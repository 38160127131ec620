//! What a program says of its flags, as files: manual pages, completions for shells, plain text.

use std::path::Path;

use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;

use crate::FileError;

/// With this variable set, a binary writes these files into the folder named there, as they lie
/// below `/usr`, and stops. For whoever packs programs.
pub const HELP_FILES: &str = "ILD_HELP_FILES";

const COMPLETIONS: [(Shell, &str); 3] = [
    (Shell::Bash, "share/bash-completion/completions"),
    (Shell::Zsh, "share/zsh/site-functions"),
    (Shell::Fish, "share/fish/vendor_completions.d"),
];
const MANUAL: &str = "share/man/man1";
/// `--help` of each command.
const PLAIN: &str = "share/doc/ild/help";
/// Columns of the plain text.
const WIDTH: usize = 100;

pub(crate) fn write(command: Command, folder: &Path) -> anyhow::Result<()> {
    let mut command = command.disable_help_subcommand(true).term_width(WIDTH);
    command.build();
    let name = command.get_bin_name().unwrap_or(command.get_name()).to_owned();
    for (shell, place) in COMPLETIONS {
        let mut text = Vec::new();
        clap_complete::generate(shell, &mut command, &name, &mut text);
        let file = match shell {
            Shell::Zsh => format!("_{name}"),
            Shell::Fish => format!("{name}.fish"),
            _ => name.clone(),
        };
        crate::write_bytes_atomic(&folder.join(place).join(file), &text)?;
    }
    for command in [&command].into_iter().chain(command.get_subcommands()) {
        write_pages(command, folder)?;
    }
    Ok(())
}

/// Page and text of one command, `NAME-SUB` for a sub-command.
fn write_pages(command: &Command, folder: &Path) -> Result<(), FileError> {
    let name = command.get_display_name().unwrap_or(command.get_name()).to_owned();
    let page = folder.join(MANUAL).join(format!("{name}.1"));
    let mut text = Vec::new();
    let manual = Man::new(command.clone()).title(name.clone());
    manual.render(&mut text).map_err(FileError::at(&page, "written"))?;
    crate::write_bytes_atomic(&page, &text)?;
    let help = command.clone().render_long_help().to_string();
    crate::write_bytes_atomic(&folder.join(PLAIN).join(format!("{name}.txt")), help.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page_and_every_shell_its_completions() {
        let folder = tempfile::tempdir().unwrap();
        let command = Command::new("ild-x").about("Does x.").subcommand(
            Command::new("run").about("Runs.").arg(clap::arg!(--"img-path" <DIR> "Where.")),
        );
        write(command, folder.path()).unwrap();
        for (file, word) in [
            ("share/man/man1/ild-x.1", "Does x."),
            ("share/man/man1/ild-x-run.1", "img"),
            ("share/doc/ild/help/ild-x-run.txt", "Usage: ild-x run"),
            ("share/bash-completion/completions/ild-x", "--img-path"),
            ("share/zsh/site-functions/_ild-x", "img-path"),
            ("share/fish/vendor_completions.d/ild-x.fish", "img-path"),
        ] {
            let text = std::fs::read_to_string(folder.path().join(file)).unwrap();
            assert!(text.contains(word), "{file}: {text}");
        }
        assert!(!folder.path().join("share/man/man1/ild-x-help.1").exists());
    }
}
