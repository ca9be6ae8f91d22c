//! Checks that what the pages in docs/ name in the code is there: files, what they declare, and sections that
//! are cited.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what helps a test may fail as the test does"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

const ARCHITECTURE: &str = "docs/architecture.md";
const PROTOCOL: &str = "docs/protocol.md";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

fn page(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap()
}

/// The thing that a piece of text between backquotes names.
#[derive(Debug, PartialEq, Eq)]
enum Named {
    Folder(String),
    File(String),
    /// A function, type or constant, and the file named last before it in its row or paragraph.
    Item(String, String),
}

fn is_identifier(text: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.chars().all(is_word) && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
}

/// Returns all that a page names, each with the number of its line.
fn named(page: &str) -> Vec<(usize, Named)> {
    let mut named = Vec::new();
    let mut file: Option<&str> = None;
    for (index, line) in page.lines().enumerate() {
        if line.starts_with('|') || line.trim().is_empty() {
            file = None;
        }
        for piece in line.split('`').skip(1).step_by(2) {
            let is_path = piece.contains('/') && !piece.starts_with('/') && !piece.contains(' ');
            let what = if is_path && piece.ends_with('/') {
                Named::Folder(piece.to_owned())
            } else if is_path && piece.ends_with(".rs") {
                file = Some(piece);
                Named::File(piece.to_owned())
            } else if let Some(file) = file.filter(|_| is_identifier(piece)) {
                Named::Item(file.to_owned(), piece.to_owned())
            } else {
                continue;
            };
            named.push((index + 1, what));
        }
    }
    named
}

/// Returns whether a source text declares something of this name.
fn declares(source: &str, name: &str) -> bool {
    const KINDS: [&str; 10] =
        ["fn", "struct", "enum", "trait", "union", "type", "const", "static", "mod", "macro_rules!"];
    let mut code = source.lines().filter(|line| !line.trim_start().starts_with("//"));
    code.any(|line| {
        let words = line.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '!'));
        let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
        words.windows(2).any(|pair| KINDS.contains(&pair[0]) && pair[1] == name)
    })
}

/// Returns one line for each thing that a page names and that is not there.
fn missing(page_name: &str, page: &str) -> Vec<String> {
    let mut sources: BTreeMap<String, Option<String>> = BTreeMap::new();
    let mut missing = Vec::new();
    for (line, what) in named(page) {
        match what {
            Named::Folder(folder) if !root().join(&folder).is_dir() => {
                missing.push(format!("{page_name}:{line}: no folder {folder}"));
            }
            Named::File(file) if !root().join(&file).is_file() => {
                missing.push(format!("{page_name}:{line}: no file {file}"));
            }
            Named::Item(file, name) => {
                let read = || std::fs::read_to_string(root().join(&file)).ok();
                let source = sources.entry(file.clone()).or_insert_with(read);
                if source.as_ref().is_some_and(|source| !declares(source, &name)) {
                    missing.push(format!("{page_name}:{line}: {file} declares no {name}"));
                }
            }
            Named::Folder(_) | Named::File(_) => {}
        }
    }
    missing
}

#[test]
fn the_files_of_the_architecture_hold_what_it_names() {
    let text = page(ARCHITECTURE);
    let items = named(&text).iter().filter(|(_, what)| matches!(what, Named::Item(..))).count();
    assert!(items >= 100, "only {items} names were found in {ARCHITECTURE}");
    let missing = missing(ARCHITECTURE, &text);
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn the_other_pages_name_files_that_exist() {
    for name in [PROTOCOL, "docs/decisions.md"] {
        let missing = missing(name, &page(name));
        assert!(missing.is_empty(), "{}", missing.join("\n"));
    }
}

/// Collects the Rust sources and pages below a folder, without what was built or installed there.
fn texts(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let is_ours = !name.starts_with('.') && !["target", "node_modules"].contains(&name.as_str());
        if path.is_symlink() || !is_ours {
            continue;
        }
        if path.is_dir() {
            texts(&path, found);
        } else if name.ends_with(".rs") || name.ends_with(".md") {
            found.push(path);
        }
    }
}

/// Returns the numbers of the sections that a text cites.
fn cited(text: &str) -> BTreeSet<u32> {
    let cite = format!("{PROTOCOL} section ");
    let numbers = text.split(&cite).skip(1).map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        rest[..end].parse()
    });
    numbers.filter_map(Result::ok).collect()
}

#[test]
fn the_sections_of_the_protocol_that_the_code_cites_exist() {
    let text = page(PROTOCOL);
    let headings = text.lines().filter_map(|line| line.strip_prefix("## ")?.split_once(". ")?.0.parse().ok());
    let sections: BTreeSet<u32> = headings.collect();
    assert!(sections.iter().copied().eq(1..=sections.len() as u32), "{sections:?}");
    let mut files = Vec::new();
    texts(&root(), &mut files);
    let mut count = 0;
    for file in files {
        let cited = cited(&std::fs::read_to_string(&file).unwrap());
        count += cited.len();
        let wrong: Vec<_> = cited.difference(&sections).collect();
        assert!(wrong.is_empty(), "{} cites sections {wrong:?} of {PROTOCOL}", file.display());
    }
    assert!(count >= 3, "only {count} citations were found");
}

#[test]
fn names_belong_to_the_file_before_them_in_their_row_or_paragraph() {
    let page = concat!(
        "`one` and `a/b.rs`: `two`, `--three`,\n`four`.\n\n`five`\n",
        "| `c/d/` | `e/f.rs`: `Six` |\n| `seven` |\n",
    );
    let item = |file: &str, name: &str| Named::Item(file.to_owned(), name.to_owned());
    let expected = [
        (1, Named::File("a/b.rs".to_owned())),
        (1, item("a/b.rs", "two")),
        (2, item("a/b.rs", "four")),
        (5, Named::Folder("c/d/".to_owned())),
        (5, Named::File("e/f.rs".to_owned())),
        (5, item("e/f.rs", "Six")),
    ];
    assert_eq!(named(page), expected);
}

#[test]
fn what_is_not_there_is_named_with_page_line_and_file() {
    let page = "`sidecar/tests/pages.rs`: `missing`, `absent`\n\n`sidecar/tests/none.rs`: `x`\n`e2e/none/`\n";
    let expected = [
        "page:1: sidecar/tests/pages.rs declares no absent",
        "page:3: no file sidecar/tests/none.rs",
        "page:4: no folder e2e/none/",
    ];
    assert_eq!(missing("page", page), expected);
}

#[test]
fn a_declaration_is_told_from_a_use_and_a_comment() {
    let source = concat!(
        "// fn comment\npub(super) fn take<T>() { give(); }\n",
        "const MOST: usize = 1;\nmacro_rules! each { () => {} }\n",
    );
    for name in ["take", "MOST", "each"] {
        assert!(declares(source, name), "{name}");
    }
    for name in ["comment", "give", "tak", "takes", "usize"] {
        assert!(!declares(source, name), "{name}");
    }
}
