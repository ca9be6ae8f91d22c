//! The key tables that JavaScript can name by number: none, v1, and custom ones.
//!
//! A table is never freed, so that encoders and streams can hold it without owning it. Equal tables are
//! stored once, and there is a largest number and a largest size, so the memory stays bounded.

use lowband_codec::KeyTable;

/// The most custom tables. A program agrees on one or two with its peers; a program that makes more does it
/// in a loop.
pub const MAX_TABLES: usize = 32;

/// The most names in all custom tables together: an entry takes some 100 bytes besides its name twice.
pub const MAX_NAMES: usize = 1 << 16;

/// The most bytes in all those names together.
pub const MAX_NAME_BYTES: usize = 4 << 20;

/// The message for both limits.
const TOO_LARGE: &str = "all key tables together can have 65536 names of 4194304 bytes";

/// All tables, by number.
#[derive(Debug, Default)]
pub struct Tables {
    own: Vec<&'static KeyTable>,
}

impl Tables {
    /// The number for no table: every name is written as text.
    pub const NONE: u32 = 0;
    /// The number of the table of MSC3079.
    pub const V1: u32 = 1;

    /// Returns the table of this number; `None` also if there is none.
    pub fn get(&self, number: u32) -> Option<&'static KeyTable> {
        match number {
            Tables::NONE => None,
            Tables::V1 => Some(KeyTable::v1()),
            own => self.own.get(usize::try_from(own - 2).ok()?).copied(),
        }
    }

    /// Returns the number of tables: smaller numbers are valid.
    pub fn len(&self) -> u32 {
        // MAX_TABLES keeps this number small.
        self.own.len() as u32 + 2
    }

    /// Returns false: the two built-in numbers are always valid.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Returns the number of a table with these entries, which is made if it is new.
    ///
    /// # Errors
    ///
    /// A sentence that says which entry is wrong, or which limit is reached.
    pub fn add(&mut self, draft: Draft) -> Result<u32, String> {
        if draft.too_large {
            return Err(TOO_LARGE.into());
        }
        if draft.fraction {
            return Err("the integers of a key table are whole numbers from 0 to 65534".into());
        }
        if let Some(place) = self.own.iter().position(|table| draft.is_of(table)) {
            return Ok(place as u32 + 2);
        }
        if self.own.len() >= MAX_TABLES {
            return Err("there are 32 key tables already".into());
        }
        let names = self.names() + draft.keys.len();
        if names > MAX_NAMES || self.name_bytes() + draft.bytes > MAX_NAME_BYTES {
            return Err(TOO_LARGE.into());
        }
        let table = KeyTable::new(&draft.title, draft.entries()).map_err(|error| error.sentence())?;
        self.own.push(Box::leak(Box::new(table)));
        Ok(self.len() - 1)
    }

    /// Returns the name at this index of v1; empty after the last.
    pub fn v1_name(place: usize) -> &'static str {
        KeyTable::v1().iter().nth(place).map_or("", |(name, _)| name)
    }

    /// Returns the integer at this index of v1; -1 after the last.
    pub fn v1_integer(place: usize) -> i32 {
        // KeyTable::MAX_INTEGER is small.
        KeyTable::v1().iter().nth(place).map_or(-1, |(_, integer)| integer as i32)
    }

    fn names(&self) -> usize {
        self.own.iter().map(|table| table.iter().len()).sum()
    }

    fn name_bytes(&self) -> usize {
        let of_one =
            |table: &&KeyTable| table.title().len() + table.iter().map(|(name, _)| name.len()).sum::<usize>();
        self.own.iter().map(of_one).sum()
    }
}

/// A table that JavaScript is adding, name by name.
#[derive(Debug, Default)]
pub struct Draft {
    title: String,
    keys: Vec<(String, u64)>,
    /// Bytes of the title and of all names.
    bytes: usize,
    too_large: bool,
    fraction: bool,
}

impl Draft {
    /// Begins a new table with this title.
    pub fn begin(&mut self, title: &str) {
        *self = Draft { title: title.to_owned(), bytes: title.len(), ..Draft::default() };
    }

    /// Adds a name. [`Tables::add`] reports any mistake in it.
    pub fn add(&mut self, name: &str, integer: f64) {
        // Checked before the cast, which would turn fractions and NaN into integers.
        self.fraction |=
            !(integer >= 0.0 && integer <= KeyTable::MAX_INTEGER as f64 && integer.fract() == 0.0);
        self.bytes += name.len();
        self.too_large |= self.keys.len() >= MAX_NAMES || self.bytes > MAX_NAME_BYTES;
        if !self.too_large {
            self.keys.push((name.to_owned(), integer as u64));
        }
    }

    fn entries(&self) -> impl Iterator<Item = (&str, u64)> {
        self.keys.iter().map(|(name, integer)| (name.as_str(), *integer))
    }

    fn is_of(&self, table: &KeyTable) -> bool {
        table.title() == self.title && table.iter().eq(self.entries())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(tables: &mut Tables, title: &str, keys: &[(&str, f64)]) -> Result<u32, String> {
        let mut draft = Draft::default();
        draft.begin(title);
        keys.iter().for_each(|(name, integer)| draft.add(name, *integer));
        tables.add(draft)
    }

    #[test]
    fn numbers_name_no_table_v1_and_the_ones_made() {
        let mut tables = Tables::default();
        assert!(tables.get(Tables::NONE).is_none());
        assert_eq!(tables.get(Tables::V1).unwrap().title(), "v1");
        assert!(tables.get(2).is_none() && tables.get(u32::MAX).is_none());
        assert_eq!(add(&mut tables, "mine", &[("a", 1.0), ("b", 65_534.0)]), Ok(2));
        assert_eq!(tables.get(2).unwrap().name(65_534), Some("b"));
        assert_eq!((tables.len(), tables.is_empty()), (3, false));
    }

    #[test]
    fn v1_is_listed_place_by_place() {
        assert_eq!((Tables::v1_integer(0), Tables::v1_name(0)), (1, "event_id"));
        assert_eq!((0..).take_while(|place| Tables::v1_integer(*place) >= 0).count(), 104);
        assert_eq!(Tables::v1_name(104), "");
    }

    #[test]
    fn a_table_made_twice_is_stored_once() {
        let mut tables = Tables::default();
        assert_eq!(add(&mut tables, "mine", &[("a", 1.0)]), Ok(2));
        assert_eq!(add(&mut tables, "mine", &[("a", 1.0)]), Ok(2));
        assert_eq!(add(&mut tables, "other", &[("a", 1.0)]), Ok(3));
        assert_eq!(add(&mut tables, "mine", &[("a", 2.0)]), Ok(4));
    }

    #[test]
    fn what_is_no_table_is_refused_with_a_sentence() {
        let mut tables = Tables::default();
        for wrong in [-1.0, 0.5, 65_535.0, f64::NAN, f64::INFINITY, 1e300] {
            let error = add(&mut tables, "mine", &[("a", wrong)]).unwrap_err();
            assert!(error.ends_with("whole numbers from 0 to 65534"), "{wrong}: {error}");
        }
        let error = add(&mut tables, "mine", &[("a", 1.0), ("a", 2.0)]).unwrap_err();
        assert_eq!(error, "the name \"a\" occurs twice in the key table");
        assert_eq!(tables.len(), 2, "nothing was stored");
    }

    #[test]
    fn tables_names_and_their_bytes_have_limits() {
        let mut tables = Tables::default();
        let (half, long) = ("x".repeat(MAX_NAME_BYTES / 2), "x".repeat(MAX_NAME_BYTES));
        let error = add(&mut tables, "1", &[(&long, 0.0)]).unwrap_err();
        assert!(error.contains(&MAX_NAME_BYTES.to_string()), "{error}");
        add(&mut tables, "", &[(&half, 0.0)]).unwrap();
        assert_eq!(add(&mut tables, "1", &[(&half, 0.0)]), Err(error));

        let mut tables = Tables::default();
        let names: Vec<String> = (0..=MAX_NAMES).map(|n| format!("k{n}")).collect();
        let keys: Vec<(&str, f64)> = names.iter().map(String::as_str).zip((0..).map(f64::from)).collect();
        add(&mut tables, "large", &keys[..65_000]).unwrap();
        let error = add(&mut tables, "small", &keys[..1000]).unwrap_err();
        assert!(error.contains(&MAX_NAMES.to_string()), "{error}");
        let mut draft = Draft::default();
        keys.iter().for_each(|(name, _)| draft.add(name, 0.0));
        assert_eq!(
            (draft.keys.len(), tables.add(draft)),
            (MAX_NAMES, Err(error)),
            "no more than that is even held"
        );

        let mut tables = Tables::default();
        for n in 0..MAX_TABLES {
            add(&mut tables, &n.to_string(), &[]).unwrap();
        }
        let error = add(&mut tables, "one more", &[]).unwrap_err();
        assert!(error.contains(&MAX_TABLES.to_string()), "{error}");
        assert_eq!(add(&mut tables, "7", &[]), Ok(9), "a known one is still found");
    }
}
