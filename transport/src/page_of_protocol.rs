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

#[cfg(test)]
mod tests {
    use super::*;
    use lowband_wire::coap::numbers::{Definition, IN_REQUESTS, IN_RESPONSES};
    use std::collections::BTreeMap;

    #[test]
    fn the_page_of_the_protocol_has_these_options() {
        let head = "| number | name | bytes | in | repeatable | meaning here |";
        let Some(rows) = rows(head) else { return };
        let cells = |row: &str| row.split('|').map(str::trim).skip(1).take(5).collect::<Vec<_>>().join(" ");
        let told: Vec<String> = rows.iter().map(|row| cells(row)).collect();
        let mut known = BTreeMap::new();
        for (table, place) in [(&IN_REQUESTS[..], "request"), (&IN_RESPONSES[..], "response")] {
            for Definition { number, name, repeatable, min, max } in table {
                let in_requests = IN_REQUESTS.iter().find(|option| option.number == *number);
                let place = if known.contains_key(number) { "both" } else { place };
                let repeatable = match in_requests {
                    Some(other) if other.repeatable && !repeatable => "request",
                    _ if *repeatable => "yes",
                    _ => "no",
                };
                known.insert(number, format!("{number} {name} {min}-{max} {place} {repeatable}"));
            }
        }
        assert_eq!(told, known.into_values().collect::<Vec<_>>());
    }
}
