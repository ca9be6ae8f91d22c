//! Tables of docs/protocol.md, for tests that compare them with ours.

use std::path::Path;

/// Returns the rows of the table with this head; `None` where the crate stands without the folder `docs/`,
/// which is not published with it.
pub(crate) fn rows(head: &str) -> Option<Vec<String>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    if !folder.is_dir() {
        return None;
    }
    let page = std::fs::read_to_string(folder.join("protocol.md")).unwrap();
    let (_, table) = page.split_once(&format!("\n{head}\n")).unwrap();
    let rows = table.lines().skip(1).take_while(|line| line.starts_with('|'));
    Some(rows.map(str::to_owned).collect())
}
