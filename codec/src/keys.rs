//! Key tables: names <-> integers (MSC3079). A table is a value: v1 is built in, others can be made and
//! named.

use crate::cbor;
use crate::json::string::quote;
use crate::names::Ends;
use crate::plain;
use by_name::{ByName, Entry};
use set::KeyBit;
use std::fmt;
use std::sync::LazyLock;

pub(crate) mod by_name;
pub(crate) mod set;
mod v1;

/// A named, versioned table of map keys.
#[derive(Debug, Clone)]
pub struct KeyTable {
    title: String,
    keys: Vec<Key>,
    by_name: ByName,
    /// By integer: a place in `keys`, or [`EMPTY`].
    by_integer: Vec<u16>,
}

/// One entry of a table, with precomputed forms for the codec.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub(crate) name: String,
    pub(crate) ends: Ends,
    pub(crate) integer: u64,
    pub(crate) bit: KeyBit,
    /// The name as it stands in JSON: `,"name":`.
    json: Vec<u8>,
    /// The first bytes of `json`, with the comma and without it; for most names these are all of it.
    json_start: [[u8; JSON_START]; 2],
}

const JSON_START: usize = 32;

impl Key {
    /// Appends the quoted name and the colon after it.
    #[inline(always)]
    pub(crate) fn write_json(&self, out: &mut Vec<u8>) {
        let [_, start] = &self.json_start;
        if self.json.len() <= JSON_START {
            plain::append(out, start, self.json.len() - 1);
        } else {
            out.extend_from_slice(self.json.get(1..).unwrap_or_default());
        }
    }

    /// Appends `"name":` with an opening bracket or a comma before it.
    #[inline(always)]
    pub(crate) fn write_json_behind(&self, separator: u8, out: &mut Vec<u8>) {
        let before = out.len();
        let [start, _] = &self.json_start;
        if self.json.len() <= JSON_START {
            plain::append(out, start, self.json.len());
        } else {
            out.extend_from_slice(&self.json);
        }
        out.get_mut(before).into_iter().for_each(|first| *first = separator);
    }
}

const EMPTY: u16 = u16::MAX;

impl KeyTable {
    /// The largest integer a table may use: lookups by integer are an array's.
    pub const MAX_INTEGER: u64 = 65_534;

    /// Returns the table of MSC3079, version 1: 104 keys, integers 1..=104.
    pub fn v1() -> &'static KeyTable {
        static V1: LazyLock<KeyTable> = LazyLock::new(|| {
            KeyTable::build("v1".into(), v1::NAMES.iter().map(|(n, i)| (n.to_string(), *i)).collect())
        });
        &V1
    }

    /// Makes a custom table. Both sides must have agreed on it by its title: never use it with a peer that
    /// did not agree.
    ///
    /// # Errors
    ///
    /// A name or an integer occurs twice, an integer is above [`KeyTable::MAX_INTEGER`], or a name is a
    /// decimal number, which would be mistaken for an unknown integer key.
    pub fn new<'a>(
        title: &str,
        keys: impl IntoIterator<Item = (&'a str, u64)>,
    ) -> Result<KeyTable, KeyTableError> {
        let keys: Vec<(String, u64)> =
            keys.into_iter().map(|(name, integer)| (name.to_owned(), integer)).collect();
        check(&keys)?;
        Ok(KeyTable::build(title.to_owned(), keys))
    }

    /// Returns the title by which the two sides know the table, `v1` for the built-in one.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// Returns the integer of a name; `None` if the table does not have it.
    pub fn integer(&self, name: &str) -> Option<u64> {
        self.by_name(name.as_bytes()).map(|key| key.integer)
    }

    /// Returns the name of an integer; `None` if the table does not have it.
    pub fn name(&self, integer: u64) -> Option<&str> {
        self.by_integer(integer).map(|key| key.name.as_str())
    }

    /// Returns all names with their integers, in the order in which the table was made.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, u64)> {
        self.keys.iter().map(|key| (key.name.as_str(), key.integer))
    }

    pub(crate) fn by_name(&self, name: &[u8]) -> Option<&Key> {
        self.by_ends(Ends::of(name), name)
    }

    /// Finds a key by its name, with the name's ends already computed.
    #[inline(always)]
    pub(crate) fn by_ends(&self, ends: Ends, name: &[u8]) -> Option<&Key> {
        self.keys.get(usize::from(self.entry(ends, name)?.place))
    }

    /// Finds a key by its name; returns the part that an encoder needs.
    #[inline(always)]
    pub(crate) fn entry(&self, ends: Ends, name: &[u8]) -> Option<&Entry> {
        self.by_name.find(ends, name.len(), |entry| self.is_named(entry, name))
    }

    #[inline(never)]
    fn is_named(&self, entry: &Entry, name: &[u8]) -> bool {
        self.keys.get(usize::from(entry.place)).is_some_and(|key| key.name.as_bytes() == name)
    }

    #[inline(always)]
    pub(crate) fn by_integer(&self, integer: u64) -> Option<&Key> {
        let place = *self.by_integer.get(usize::try_from(integer).ok()?)?;
        self.keys.get(usize::from(place))
    }

    /// Builds a table from pairs that [`check`] accepts; of other pairs some keys would never be found.
    fn build(title: String, pairs: Vec<(String, u64)>) -> KeyTable {
        let mut table = KeyTable {
            title,
            by_name: ByName::new(),
            by_integer: vec![EMPTY; pairs.iter().map(|(_, i)| *i as usize + 1).max().unwrap_or(0)],
            keys: Vec::with_capacity(pairs.len()),
        };
        for (index, (name, integer)) in pairs.into_iter().enumerate() {
            let place = index as u16;
            let (head, cbor_len) = cbor::head(cbor::major::UNSIGNED, integer);
            let cbor = head.first_chunk().copied().unwrap_or_default();
            table.by_name.insert(Entry::new(name.as_bytes(), place, cbor, cbor_len));
            table.by_integer.get_mut(integer as usize).into_iter().for_each(|free| *free = place);
            let json = [b",", quote(&name).as_slice(), b":"].concat();
            let mut json_start = [[0; JSON_START]; 2];
            for (skipped, start) in json_start.iter_mut().enumerate() {
                start.iter_mut().zip(json.iter().skip(skipped)).for_each(|(to, from)| *to = *from);
            }
            let (ends, bit) = (Ends::of(name.as_bytes()), KeyBit::new(index));
            table.keys.push(Key { name, ends, integer, bit, json, json_start });
        }
        table
    }
}

fn check(keys: &[(String, u64)]) -> Result<(), KeyTableError> {
    let mut names: Vec<&str> = keys.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    if let Some(name) = repeated(&names) {
        return Err(KeyTableError::RepeatedName(name.to_owned()));
    }
    if let Some(name) = names.iter().find(|name| !name.is_empty() && name.bytes().all(|b| b.is_ascii_digit()))
    {
        return Err(KeyTableError::DecimalName((*name).to_owned()));
    }
    let mut integers: Vec<u64> = keys.iter().map(|(_, integer)| *integer).collect();
    integers.sort_unstable();
    if let Some(integer) = repeated(&integers) {
        return Err(KeyTableError::RepeatedInteger(integer));
    }
    match integers.last() {
        Some(integer) if *integer > KeyTable::MAX_INTEGER => Err(KeyTableError::LargeInteger(*integer)),
        _ => Ok(()),
    }
}

fn repeated<T: Copy + PartialEq>(sorted: &[T]) -> Option<T> {
    sorted.iter().zip(sorted.iter().skip(1)).find(|(one, next)| one == next).map(|(one, _)| *one)
}

/// Why pairs of names and integers do not make a table.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyTableError {
    /// A name occurs twice.
    RepeatedName(String),
    /// An integer occurs twice.
    RepeatedInteger(u64),
    /// An integer is above [`KeyTable::MAX_INTEGER`].
    LargeInteger(u64),
    /// A name is a decimal number, the form in which unknown integer keys reach JSON.
    DecimalName(String),
}

impl KeyTableError {
    /// Returns what is wrong, for people; without a full stop.
    pub fn sentence(&self) -> String {
        let mut digits = itoa::Buffer::new();
        let [before, which, behind] = match self {
            KeyTableError::RepeatedName(name) => ["the name \"", name, "\" occurs twice in the key table"],
            KeyTableError::RepeatedInteger(integer) => {
                ["the integer ", digits.format(*integer), " occurs twice in the key table"]
            }
            KeyTableError::LargeInteger(integer) => {
                ["the integer ", digits.format(*integer), " of the key table is above 65534"]
            }
            KeyTableError::DecimalName(name) => {
                ["the name \"", name, "\" of the key table is a decimal number"]
            }
        };
        [before, which, behind].concat()
    }
}

impl fmt::Display for KeyTableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence())
    }
}

impl std::error::Error for KeyTableError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn v1_has_104_keys_that_are_found_in_both_directions() {
        let table = KeyTable::v1();
        assert_eq!((table.title(), table.iter().len()), ("v1", 104));
        for (expected, (name, integer)) in (1..).zip(table.iter()) {
            assert_eq!(integer, expected);
            assert_eq!((table.integer(name), table.name(integer)), (Some(integer), Some(name)));
        }
        assert_eq!((table.integer("event_id"), table.integer("room_alias")), (Some(1), Some(104)));
        for stranger in ["", "m.mentions", "event_i", "event_id ", "Event_id", "initial_device_display_namf"]
        {
            assert_eq!(table.integer(stranger), None, "{stranger:?}");
        }
        for stranger in [0, 105, 65_535, 1 << 32, u64::MAX] {
            assert_eq!(table.name(stranger), None, "{stranger}");
        }
    }

    #[test]
    fn v1_is_a_table_that_new_would_accept() {
        assert!(KeyTable::new("v1", v1::NAMES).is_ok());
    }

    #[test]
    fn each_name_of_v1_has_a_slot_to_itself() {
        assert!(!KeyTable::v1().by_name.is_crowded());
    }

    #[test]
    fn tables_with_more_names_than_slots_find_each_of_them_and_no_other() {
        let names: Vec<String> = (0..2_000).map(|i| format!("name {i}")).collect();
        let table = KeyTable::new("large", names.iter().map(String::as_str).zip(0..)).unwrap();
        assert!(table.by_name.is_crowded());
        for (name, integer) in names.iter().zip(0..) {
            assert_eq!((table.integer(name), table.name(integer)), (Some(integer), Some(name.as_str())));
        }
        for stranger in (2_000..4_000).map(|i| format!("name {i}")) {
            assert_eq!(table.integer(&stranger), None, "{stranger}");
        }
    }

    #[test]
    fn tables_can_be_empty_sparse_and_hold_names_of_one_fingerprint() {
        let empty = KeyTable::new("empty", []).unwrap();
        assert_eq!((empty.integer("type"), empty.integer(""), empty.name(0)), (None, None, None));
        let twins = ["12345678a12345678", "12345678b12345678", "12345678c12345678"];
        let table = KeyTable::new("twins", twins.into_iter().zip([0, 65_534, 30_000])).unwrap();
        for (name, integer) in table.iter() {
            assert_eq!((table.integer(name), table.name(integer)), (Some(integer), Some(name)));
        }
        assert_eq!(table.integer("12345678d12345678"), None);
    }

    #[test]
    fn pairs_that_would_make_a_key_ambiguous_are_refused() {
        let refused = |keys: &[(&'static str, u64)]| KeyTable::new("x", keys.iter().copied()).unwrap_err();
        assert_eq!(refused(&[("a", 1), ("b", 2), ("a", 3)]), KeyTableError::RepeatedName("a".into()));
        assert_eq!(refused(&[("a", 2), ("b", 1), ("c", 2)]), KeyTableError::RepeatedInteger(2));
        assert_eq!(refused(&[("a", 65_535)]), KeyTableError::LargeInteger(65_535));
        assert_eq!(refused(&[("a", u64::MAX)]), KeyTableError::LargeInteger(u64::MAX));
        let largest = KeyTable::MAX_INTEGER;
        let sentence = format!("the integer 65535 of the key table is above {largest}");
        assert_eq!(refused(&[("a", 65_535)]).to_string(), sentence);
        assert_eq!(refused(&[("8", 1)]), KeyTableError::DecimalName("8".into()));
    }
}
