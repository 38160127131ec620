//! `cargo xtask book`: the pages of `docs` as a site, with a page for each program made from its
//! `--help`.
//!
//! ```text
//! OUTPUT/src     docs, the pages at the root of the workspace, programs/*.md
//! OUTPUT/html    what mdBook makes of it
//! ```

mod links;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use clap::Args;
use ild_cli::Usage;

use crate::cargo;

const SUMMARY: &str = "SUMMARY.md";
/// The line of the summary below which the programs come.
const PROGRAMS: &str = "- [Programs](programs.md)\n";
/// Pages outside `docs`.
const AT_ROOT: [&str; 6] =
    ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "LICENSE", "NOTICE"];

#[derive(Args)]
pub struct BookArgs {
    /// Where the site goes.
    #[arg(long, value_name = "DIR", default_value = "target/book")]
    output: PathBuf,
    /// mdBook 0.5, from wherever you have it (`cargo install mdbook`).
    #[arg(long, value_name = "PROGRAM", default_value = "mdbook")]
    mdbook: PathBuf,
    /// Gather the pages and check their links; make no site.
    #[arg(long)]
    only_check: bool,
}

/// Gathers the pages, checks every link, and builds.
pub fn book(args: &BookArgs) -> anyhow::Result<()> {
    let src = args.output.join("src");
    let _ = fs::remove_dir_all(&src);
    gather(&src)?;
    let programs = programs(&src)?;
    let pages = every_page_is_listed(&src)?;
    let links = links::check(&src)?;
    ild_cli::say(format_args!(
        "book: {pages} pages, {programs} of them of programs, {links} links lead somewhere"
    ))?;
    if args.only_check {
        return Ok(());
    }
    let html = args.output.canonicalize()?.join("html");
    let status = Command::new(&args.mdbook).arg("build").arg(&src).arg("-d").arg(&html).status();
    match status {
        Ok(status) if status.success() => Ok(ild_cli::say(html.join("index.html").display())?),
        Ok(_) => bail!("{} failed", args.mdbook.display()),
        Err(error) => bail!(Usage(format!(
            "{}: {error}; `cargo install mdbook`, or --mdbook PROGRAM, or --only-check",
            args.mdbook.display()
        ))),
    }
}

/// Copies `docs`, and the pages at the root with their links as they are from here.
fn gather(src: &Path) -> anyhow::Result<()> {
    for file in ild::files_below(Path::new("docs")) {
        let to = src.join(file.strip_prefix("docs")?);
        fs::create_dir_all(to.parent().unwrap_or(src))?;
        fs::copy(&file, to).with_context(|| file.display().to_string())?;
    }
    for page in AT_ROOT {
        let text = fs::read_to_string(page).with_context(|| page.to_owned())?;
        fs::write(src.join(page), links::from_docs(&text))?;
    }
    Ok(())
}

/// One page for each program with all of its sub-commands, as they describe themselves.
fn programs(src: &Path) -> anyhow::Result<usize> {
    let folder = cargo::build_programs()?;
    let packages = crate::dependencies::metadata()?.packages;
    let names = packages.iter().flat_map(|package| package.programs());
    let mut pages: BTreeMap<String, String> = BTreeMap::new();
    for name in names.filter(|name| name != "xtask") {
        let help = tempfile::tempdir()?;
        let mut command = Command::new(folder.join(&name));
        if !command.env(ild_cli::HELP_FILES, help.path()).status()?.success() {
            bail!("{name} does not say what it does");
        }
        let mut page = format!("# {name}\n\nMade from `{name} --help`.\n");
        let mut texts = ild::files_below(&help.path().join("share/doc/ild/help"));
        texts.retain(|path| path.extension().is_some_and(|end| end == "txt"));
        texts.sort_by_key(|path| path.file_stem().map(|stem| stem.len())); // the program itself first
        for text in texts {
            let command = text.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            if command != name {
                page += &format!("\n## {}\n", command.replacen(&format!("{name}-"), "", 1));
            }
            page += &format!("\n```text\n{}\n```\n", fs::read_to_string(&text)?.trim_end());
        }
        pages.insert(name, page);
    }
    fs::create_dir_all(src.join("programs"))?;
    let mut list = String::from("# Programs\n\n`--help` of each, so that it cannot go stale.\n\n");
    let mut lines = String::from(PROGRAMS);
    for (name, page) in &pages {
        fs::write(src.join(format!("programs/{name}.md")), page)?;
        list += &format!("- [{name}](programs/{name}.md)\n");
        lines += &format!("  - [{name}](programs/{name}.md)\n");
    }
    fs::write(src.join("programs.md"), list)?;
    let summary = fs::read_to_string(src.join(SUMMARY))?;
    fs::write(src.join(SUMMARY), summary.replace(PROGRAMS, &lines))?;
    Ok(pages.len())
}

/// Fails on a page that the summary does not name; returns how many there are.
fn every_page_is_listed(src: &Path) -> anyhow::Result<usize> {
    let summary = fs::read_to_string(src.join(SUMMARY))?;
    let mut pages = 0;
    for file in ild::files_below(src) {
        let page = file.strip_prefix(src)?.display().to_string();
        if page == SUMMARY || !page.ends_with(".md") {
            continue;
        }
        if !summary.contains(&format!("({page})")) {
            bail!("docs/{SUMMARY}: expected a line for {page}, found none");
        }
        pages += 1;
    }
    Ok(pages)
}
