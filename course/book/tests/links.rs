//! Every link and every image of the built book leads somewhere. `mdbook build course/book` comes first: `ci/course`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The values of an attribute, such as `href`.
fn values<'a>(html: &'a str, attribute: &str) -> Vec<&'a str> {
    let start = format!(" {attribute}=\"");
    html.split(start.as_str()).skip(1).filter_map(|rest| Some(rest.split_once('"')?.0)).collect()
}

fn pages(folder: &Path) -> BTreeMap<PathBuf, String> {
    let entries = folder.read_dir().unwrap_or_else(|error| panic!("{}: {error}: mdbook build first", folder.display()));
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let pages = paths.filter(|path| path.extension().is_some_and(|extension| extension == "html"));
    pages.map(|path| (path.clone(), std::fs::read_to_string(&path).expect("text"))).collect()
}

#[test]
#[ignore = "needs the built book: mdbook build course/book"]
fn every_link_leads_somewhere() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("html");
    let pages = pages(&folder);
    let (mut links, mut broken) = (0, Vec::new());
    for (page, html) in &pages {
        // The error page is shown at any address, so its links start at the site's root; the printed book is all in one.
        if page.ends_with("404.html") || page.ends_with("print.html") {
            continue;
        }
        for target in values(html, "href").into_iter().chain(values(html, "src")) {
            if target.starts_with("http") || target.starts_with("data:") {
                continue;
            }
            links += 1;
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let path = if file.is_empty() { page.clone() } else { folder.join(file) };
            let is_there = path.exists()
                && (anchor.is_empty() || pages.get(&path).is_some_and(|html| values(html, "id").contains(&anchor)));
            if !is_there {
                broken.push(format!("{}: {target}", page.file_name().unwrap_or_default().display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    assert!(pages.len() >= 10 && links > 200, "{} pages with {links} links: is the book there?", pages.len());
}

/// The blocks of code of a page.
fn blocks(html: &str) -> impl Iterator<Item = &str> {
    html.split("<code class=\"language-")
        .skip(1)
        .filter_map(|rest| rest.split_once("</code>")?.0.split_once('>'))
        .map(|(_, code)| code)
}

#[test]
#[ignore = "needs the built book: mdbook build course/book"]
fn code_from_within_a_function_begins_at_the_margin() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("html");
    let mut found = 0;
    for (page, html) in pages(&folder) {
        for block in blocks(&html) {
            let mut lines = block.lines().filter(|line| !line.trim().is_empty());
            assert!(lines.any(|line| !line.starts_with([' ', '\t'])), "{}: {block}", page.display());
            found += 1;
        }
    }
    assert!(found > 100, "{found} blocks: is the book there?");
}

#[test]
#[ignore = "needs the built book: mdbook build course/book"]
fn nothing_was_left_out_and_every_diagram_tells_what_it_shows() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("html");
    let mut diagrams = 0;
    for (page, html) in pages(&folder) {
        assert!(!html.contains("{{#"), "{}: an include was not found", page.display());
        // An include of an anchor that is not there leaves an empty block.
        assert!(
            !html.contains("\"></code>") && !html.contains("<code class=\"language-go\">\n</code>"),
            "{}",
            page.display()
        );
        diagrams += if page.ends_with("print.html") { 0 } else { html.matches("<svg class=\"diagram\"").count() };
        assert_eq!(
            html.matches("<svg class=\"diagram\"").count(),
            html.matches("<desc id=").count(),
            "{}",
            page.display()
        );
    }
    assert_eq!(diagrams, 5);
}
