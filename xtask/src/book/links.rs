//! Links between pages: those that lead nowhere, and those of pages that move into the book.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::bail;

/// Every link within the book, by the place it leads to, has a file and, behind `#`, a heading.
///
/// # Errors
/// Lists the links that lead nowhere.
pub fn check(src: &Path) -> anyhow::Result<usize> {
    let mut pages: BTreeMap<PathBuf, String> = BTreeMap::new();
    for file in ild::files_below(src) {
        if file.extension().is_some_and(|end| end == "md") {
            pages.insert(file.clone(), std::fs::read_to_string(file)?);
        }
    }
    let (mut count, mut lost) = (0, Vec::new());
    for (page, text) in &pages {
        for link in links(text).filter(|link| !link.contains("://") && !link.starts_with("mailto:"))
        {
            count += 1;
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let to = match path {
                "" => page.clone(),
                path => plain(&page.parent().unwrap_or(src).join(path)),
            };
            let there = to.exists()
                && (anchor.is_empty()
                    || pages.get(&to).is_some_and(|text| anchors(text).contains(anchor)));
            if !there {
                lost.push(format!("{}: {link}", page.strip_prefix(src).unwrap_or(page).display()));
            }
        }
    }
    if !lost.is_empty() {
        bail!("links that lead nowhere:\n  {}", lost.join("\n  "));
    }
    Ok(count)
}

/// `a/../b` as `b`.
fn plain(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        if part == std::path::Component::ParentDir {
            out.pop();
        } else {
            out.push(part);
        }
    }
    out
}

/// What stands behind `](`, outside of blocks of code.
fn links(text: &str) -> impl Iterator<Item = &str> {
    outside_code(text).flat_map(|line| {
        line.split("](").skip(1).filter_map(|rest| rest.split_once(')').map(|(link, _)| link))
    })
}

fn outside_code(text: &str) -> impl Iterator<Item = &str> {
    let mut code = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        code ^= fence;
        !code && !fence
    })
}

/// The names of the headings, as mdBook and code hosts make them.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = outside_code(text).filter(|line| line.starts_with('#'));
    headings.map(|line| anchor(line.trim_start_matches('#').trim())).collect()
}

fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter_map(|c| match c {
        c if c.is_alphanumeric() || c == '_' || c == '-' => Some(c.to_lowercase().to_string()),
        c if c.is_whitespace() => Some("-".to_owned()),
        _ => None,
    });
    kept.collect()
}

/// A page of the root as a page of `docs`: links into `docs` are those of its neighbours; of links to
/// source code the words remain.
pub fn from_docs(text: &str) -> String {
    let text = text.replace("](docs/", "](");
    let mut out = String::new();
    let mut rest = text.as_str();
    while let Some(at) = rest.find("](crates/") {
        let start = rest[..at].rfind('[').unwrap_or(at);
        out += &rest[..start];
        out += &rest[(start + 1).min(at)..at];
        rest = rest[at..].split_once(')').map_or("", |(_, rest)| rest);
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_needs_its_page_and_its_heading() {
        let folder = tempfile::tempdir().unwrap();
        let write =
            |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("a.md", "# One thing, two\n[x](b.md) [y](b.md#the-other-1) [z](#one-thing-two)\n");
        write("b.md", "# B\n## The other (1)\n```sh\n[no](link.md)\n```\n[w](https://a.b/c)\n");
        assert_eq!(check(folder.path()).unwrap(), 3);
        write("b.md", "# B\n[gone](c.md)\n");
        let said = check(folder.path()).unwrap_err().to_string();
        assert!(said.contains("a.md: b.md#the-other-1") && said.contains("b.md: c.md"), "{said}");
    }

    #[test]
    fn a_page_of_the_root_leads_to_its_neighbours() {
        let text = "see [data](docs/data.md), [`ild-io`](crates/ild-io) and [crate](crates/x) (so)";
        assert_eq!(from_docs(text), "see [data](data.md), `ild-io` and crate (so)");
    }
}
