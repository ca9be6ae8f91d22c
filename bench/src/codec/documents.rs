//! The documents: bodies of a real homeserver, and made ones in which one feature outweighs all others.

/// An initial sync of Synapse, 24 rooms.
pub(crate) const SYNC_MEDIUM: &str = include_str!("../../../codec/tests/data/sync-medium.json");
/// An incremental sync of Synapse.
pub(crate) const SYNC_SMALL: &str = include_str!("../../../codec/tests/data/sync-small.json");
/// A message of the initial sync, of median length among those in plain ASCII.
pub(crate) const EVENT: &str = include_str!("../../../codec/tests/data/event.json");
/// A message of the initial sync, of median length among those with escapes, as Synapse writes all other
/// characters.
pub(crate) const ESCAPED_EVENT: &str = include_str!("../../../codec/tests/data/event-escaped.json");

/// Makes a thousand objects of one event each.
pub(crate) fn small_objects() -> String {
    array((0..1_000).map(|i| {
        format!(r#"{{"type":"m.read","room_id":"!room{i}:example.org","age":{i},"limited":false}}"#)
    }))
}

/// Makes arrays and objects in each other, 120 deep, a hundred times.
pub(crate) fn deep_nests() -> String {
    let nest = format!("{}0{}", r#"[{"content":"#.repeat(60), "}]".repeat(60));
    array((0..100).map(|_| nest.clone()))
}

/// Makes texts of nothing but escapes, as Synapse writes every character that is not ASCII.
pub(crate) fn long_escapes() -> String {
    array((0..200).map(|_| format!("\"{}\"", r"\u00e4\ud83d\ude00\n".repeat(50))))
}

/// Makes numbers: small ones, times of day, and fractions.
pub(crate) fn numbers() -> String {
    let number = |i: u64| match i % 4 {
        0 => i.to_string(),
        1 => (1_795_422_112_513 + i * 977).to_string(),
        2 => format!("-{}", i * i),
        _ => format!("{i}.25"),
    };
    array((0..10_000).map(number))
}

/// Makes one text of 200,000 bytes without an escape.
pub(crate) fn long_string() -> String {
    format!("\"{}\"", "A text of some length. ".repeat(200_000 / 23))
}

/// Puts the elements between brackets.
pub(crate) fn array(elements: impl Iterator<Item = String>) -> String {
    format!("[{}]", elements.collect::<Vec<_>>().join(","))
}
