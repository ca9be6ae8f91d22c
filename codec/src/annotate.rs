//! What each byte of CBOR says, for people who look for a mistake: the items with their places, their meaning
//! in words, and a JSON text in which each item is found again.
//!
//! ```text
//! CBOR -> read   -> items with their bytes, notes (what the decoder would refuse), the mistake that ended it
//!      -> render -> JSON text, with the range of each item in it
//!      -> words  -> a sentence for an item, a preview of its text
//! ```
//!
//! Reading is lenient: everything well-formed (RFC 8949 section 3) is read to the end, tags, byte strings,
//! repeated keys and texts that are not UTF-8 included. A mistake in the form ends the reading at its byte;
//! all that stands before it is there. The input may be a sequence of items (RFC 8742).
//!
//! What JSON has no form for stands in the text in diagnostic notation (RFC 8949 section 8), and its items
//! say so. Where the decoder takes the input, the text parses to the value that the decoder gives.
//!
//! ```
//! use lowband_codec::annotate::{Annotated, Options};
//!
//! let annotated = Annotated::new(b"\xa2\x02\x66m.room\x08\xc1\x19\x04\xd2".as_slice(), Options::default());
//! let words: Vec<String> = (0..annotated.items().len()).map(|item| annotated.words(item)).collect();
//! assert_eq!(
//!     words,
//!     [
//!         "map of 2 pairs",
//!         "key 2: type",
//!         "text of 6 bytes",
//!         "key 8: origin_server_ts",
//!         "tag 1: seconds since 1970",
//!         "integer 1234",
//!     ]
//! );
//! assert_eq!(annotated.json(), "{\n  \"type\": \"m.room\",\n  \"origin_server_ts\": 1(1234)\n}");
//! assert_eq!(annotated.items()[2].bytes(), 2..9);
//! assert_eq!(annotated.json_range(2), Some(12..20));
//! assert_eq!(annotated.notes_of(4)[0].what.sentence(), "a CBOR tag has no form in JSON");
//! ```

use crate::{Error, ErrorKind, KeyTable};
use read::Read;
use render::{Rendered, Source, Style};
use std::borrow::Cow;
use std::ops::Range;

pub(crate) mod read;
mod render;
mod words;

pub use words::MAX_PREVIEW;

/// How CBOR is annotated.
#[derive(Clone, Copy, Debug)]
pub struct Options<'t> {
    /// Integer keys of this table are shown by their names; v1 by default. `None` is no table.
    pub keys: Option<&'t KeyTable>,
    /// True for a sequence of items (RFC 8742), which may be empty; false by default: one item, and what
    /// follows it is a mistake.
    pub sequence: bool,
    /// Bounds of the work; [`Limits::default`] by default.
    pub limits: Limits,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Options { keys: Some(KeyTable::v1()), sequence: false, limits: Limits::default() }
    }
}

/// Upper bounds of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of input; nothing of a longer one is read. Default 64 MiB.
    pub max_input: usize,
    /// Items; reading ends at one more, with [`ErrorKind::OutputTooLarge`]. Default 2^20, some 100 MB of
    /// memory.
    pub max_items: usize,
    /// Open containers, tags included; reading ends at one more. Default 1,024.
    pub max_depth: usize,
    /// Bytes of JSON text; an item that might go beyond is shown as `...`, and the text ends there. Default
    /// 64 MiB.
    pub max_json: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { max_input: 64 << 20, max_items: 1 << 20, max_depth: 1024, max_json: 64 << 20 }
    }
}

/// What a head says (RFC 8949 section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// An integer from 0.
    Unsigned,
    /// An integer below 0: -1 minus the argument.
    Negative,
    /// A byte string, which has no form in JSON.
    Bytes,
    /// A text, UTF-8 if all is well.
    Text,
    /// An array, whose argument is the number of its elements.
    Array,
    /// A map, whose argument is the number of its pairs.
    Map,
    /// A tag, whose content is the next item.
    Tag,
    /// A simple value: false, true, null, undefined or one without a meaning.
    Simple,
    /// A float of 16 bits.
    Float16,
    /// A float of 32 bits.
    Float32,
    /// A float of 64 bits.
    Float64,
    /// The end of a container or string of indefinite length.
    Break,
}

/// What an item is to the one around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// There is none around it.
    Whole,
    /// An element of an array.
    Element,
    /// A key of a map.
    Key,
    /// A value of a map.
    Value,
    /// A chunk of a string of indefinite length.
    Chunk,
    /// The content of a tag.
    Content,
    /// The end of what is around it.
    Break,
}

/// One item and its place. Items stand in the order of their first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item {
    /// Offset of the first byte.
    pub start: usize,
    /// Offset after the last byte, that of the last item inside included.
    pub end: usize,
    /// Length of the head in bytes, 1 to 9.
    pub head: u8,
    /// What the head says.
    pub kind: Kind,
    /// What the item is to the one around it.
    pub role: Role,
    /// The argument of the head (RFC 8949 section 3): a value, a length, a number of elements or of pairs, a
    /// tag, the bits of a float. `None` for an indefinite length and for a break.
    pub argument: Option<u64>,
    /// The index of the item around it.
    pub parent: Option<usize>,
    /// The number of items around it.
    pub depth: usize,
    /// The items directly inside, without the break: a pair counts as two.
    pub children: usize,
    /// True if the input ends or goes wrong inside: `end` is where.
    pub cut: bool,
    /// True for an integer key that the same map has as text too, whose value wins (MSC3079): the pair is not
    /// in the JSON text.
    pub overruled: bool,
    /// True if the text, or a chunk of it, is not UTF-8.
    not_utf8: bool,
}

impl Item {
    /// Returns the item's bytes as a range of the input.
    pub fn bytes(&self) -> Range<usize> {
        self.start..self.end
    }

    /// Returns the offset after the head.
    pub(crate) fn head_end(&self) -> usize {
        self.start + usize::from(self.head)
    }

    /// Returns true for the tag of "self-described CBOR" in front, which has no part in the value (RFC 8949
    /// section 3.4.6).
    fn is_self_described(&self) -> bool {
        self.kind == Kind::Tag
            && self.role == Role::Whole
            && self.argument == Some(crate::cbor::SELF_DESCRIBED)
    }
}

/// Something to know about an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Note {
    /// The index of the item.
    pub item: usize,
    /// The byte in question.
    pub offset: usize,
    /// What is to be known.
    pub what: What,
}

/// What a note says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum What {
    /// The decoder would refuse the input for this.
    Refused(ErrorKind),
    /// The map has this key as text too, and the text's value wins (MSC3079).
    Overruled,
    /// The same value has a shorter form, which the encoder would write (RFC 8949 section 4.1).
    Long,
}

impl What {
    /// Returns what is to be known, for people; without a full stop.
    pub fn sentence(self) -> &'static str {
        match self {
            What::Refused(kind) => kind.sentence(),
            What::Overruled => "the map has this key as text too, whose value wins over this one",
            What::Long => "the same has a shorter form in CBOR",
        }
    }
}

/// The items of one input, with their notes and the text in which each is found again.
#[derive(Clone, Debug)]
pub struct Annotated<'c> {
    cbor: Cow<'c, [u8]>,
    keys: Option<&'c KeyTable>,
    read: Read,
    rendered: Rendered,
}

impl<'c> Annotated<'c> {
    /// Annotates CBOR; never fails, see [`Annotated::error`].
    pub fn new(cbor: impl Into<Cow<'c, [u8]>>, options: Options<'c>) -> Self {
        let cbor = cbor.into();
        let read = read::read(&cbor, options);
        let source = Source { cbor: &cbor, items: &read.items, keys: options.keys };
        let rendered = render::render(source, None, Style::Json, options.limits.max_json);
        Annotated { cbor, keys: options.keys, read, rendered }
    }

    /// Returns the input.
    pub fn cbor(&self) -> &[u8] {
        &self.cbor
    }

    /// Returns the items, in the order of their first bytes.
    pub fn items(&self) -> &[Item] {
        &self.read.items
    }

    /// Returns all notes, in the order of their items.
    pub fn notes(&self) -> &[Note] {
        &self.read.notes
    }

    /// Returns the notes of one item.
    pub fn notes_of(&self, item: usize) -> &[Note] {
        let from = self.read.notes.partition_point(|note| note.item < item);
        let rest = self.read.notes.get(from..).unwrap_or_default();
        rest.get(..rest.partition_point(|note| note.item == item)).unwrap_or_default()
    }

    /// Returns the mistake that ended the reading: CBOR that is not well-formed, a limit, or
    /// [`ErrorKind::TrailingData`] behind the only item. All items before its offset were read.
    pub fn error(&self) -> Option<Error> {
        self.read.error
    }

    /// Returns the JSON text, with line breaks and two blanks for each level; the items of a sequence are
    /// divided by a line break.
    pub fn json(&self) -> &str {
        &self.rendered.text
    }

    /// Returns true if the text is JSON and its value the one that the decoder gives: nothing in it is
    /// refused, nothing in diagnostic notation, nothing missing.
    pub fn is_json(&self) -> bool {
        let refused = |note: &Note| matches!(note.what, What::Refused(_));
        self.read.error.is_none() && !self.rendered.cut && !self.read.notes.iter().any(refused)
    }

    /// Returns the item's range in the JSON text, in bytes: a key without its colon, a container with its
    /// brackets, a break as the closing one. `None` for what is not in the text: a pair that is overruled,
    /// and what comes after the text's limit.
    pub fn json_range(&self, item: usize) -> Option<Range<usize>> {
        self.rendered.shown.get(item)?.range()
    }

    /// Returns true if the item itself, not only something in it, stands in the JSON text in a form that JSON
    /// does not have.
    pub fn is_diagnostic(&self, item: usize) -> bool {
        self.rendered.shown.get(item).is_some_and(|shown| shown.diagnostic)
    }

    /// Returns the innermost item at a byte of the input.
    pub fn item_at(&self, offset: usize) -> Option<usize> {
        let items = &self.read.items;
        let mut item = items.partition_point(|item| item.start <= offset).checked_sub(1)?;
        while items.get(item)?.end <= offset {
            item = items.get(item)?.parent?;
        }
        Some(item)
    }

    /// Returns the innermost item at a byte of the JSON text.
    pub fn item_at_json(&self, offset: usize) -> Option<usize> {
        let order = &self.rendered.order;
        let range = |item: usize| self.json_range(item).unwrap_or_default();
        let place = order.partition_point(|item| range(*item).start <= offset).checked_sub(1)?;
        let mut item = *order.get(place)?;
        while range(item).end <= offset {
            item = self.read.items.get(item)?.parent?;
        }
        Some(item)
    }

    /// Returns the name that the key table has for an integer key.
    pub fn key_name(&self, item: usize) -> Option<&str> {
        let item = self.read.items.get(item)?;
        match (item.role, item.kind) {
            (Role::Key, Kind::Unsigned) => self.keys?.name(item.argument?),
            _ => None,
        }
    }

    /// Returns an item in diagnostic notation (RFC 8949 section 8), or all of them; at most `max_len` bytes
    /// and some that say that more was there.
    pub fn diagnostic(&self, item: Option<usize>, max_len: usize) -> String {
        render::render(self.source(), item, Style::Diagnostic, max_len).text
    }

    fn source(&self) -> Source<'_> {
        Source { cbor: &self.cbor, items: &self.read.items, keys: self.keys }
    }
}
