//! Reads heads one after the other, keeps what is open on a stack, and notes what the decoder would refuse.

use super::{Item, Kind, Note, Options, Role, What};
use crate::cbor::{self, BREAK, INDEFINITE, float, major};
use crate::decode::number;
use crate::names::{Ends, Name, equal_pairs};
use crate::{Error, ErrorKind, Limits};

/// All items up to the first mistake in the form, and the mistake.
#[derive(Clone, Debug)]
pub(super) struct Read {
    pub(super) items: Vec<Item>,
    pub(super) notes: Vec<Note>,
    pub(super) error: Option<Error>,
}

/// Reads one item, or a sequence.
pub(super) fn read(cbor: &[u8], options: Options<'_>) -> Read {
    let mut reading = Reading {
        cbor,
        options,
        at: 0,
        items: Vec::new(),
        notes: Vec::new(),
        open: Vec::new(),
        containers: 0,
        names: Vec::new(),
        name_bytes: Vec::new(),
    };
    let error = reading.input().err();
    while let Some(open) = reading.open.pop() {
        reading.compare_names(open);
        let at = reading.at;
        let item = reading.items.get_mut(open.item);
        item.into_iter().for_each(|item| (item.end, item.cut) = (at, true));
    }
    let Reading { items, mut notes, .. } = reading;
    notes.sort_by_key(|note| note.item);
    Read { items, notes, error }
}

/// One head, floats as their bits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    pub(crate) kind: Kind,
    pub(crate) argument: Option<u64>,
    pub(crate) len: u8,
}

impl Head {
    /// Returns true if the encoder would write the same with a shorter head.
    pub(crate) fn is_long(self) -> bool {
        let Some(argument) = self.argument else { return false };
        match self.kind {
            Kind::Simple | Kind::Break => false,
            Kind::Float16 | Kind::Float32 | Kind::Float64 => {
                let value = float(self.kind, argument);
                let mut shortest = Vec::new();
                if value.is_finite() {
                    float::write(&mut shortest, value);
                }
                value.is_finite() && shortest.len() < usize::from(self.len)
            }
            _ => cbor::head(0, argument).1 < usize::from(self.len),
        }
    }
}

/// Reads the head at an offset (RFC 8949 section 3).
pub(crate) fn head(cbor: &[u8], at: usize) -> Result<Head, Error> {
    let end = || Error::new(ErrorKind::UnexpectedEnd, cbor.len());
    let invalid = Error::new(ErrorKind::InvalidHead, at);
    let (first, rest) = cbor.get(at..).and_then(<[u8]>::split_first).ok_or_else(end)?;
    let info = first & 0x1f;
    let width = match info {
        0..24 => 0,
        24..28 => 1_usize << (info - 24),
        INDEFINITE => 0,
        _ => return Err(invalid),
    };
    let bytes = rest.get(..width).ok_or_else(end)?;
    let argument = match info {
        INDEFINITE => None,
        0..24 => Some(u64::from(info)),
        _ => Some(bytes.iter().fold(0, |argument, byte| argument << 8 | u64::from(*byte))),
    };
    let kind = match (first & 0xe0, info, argument) {
        (major::UNSIGNED, _, Some(_)) => Kind::Unsigned,
        (major::NEGATIVE, _, Some(_)) => Kind::Negative,
        (major::BYTES, ..) => Kind::Bytes,
        (major::TEXT, ..) => Kind::Text,
        (major::ARRAY, ..) => Kind::Array,
        (major::MAP, ..) => Kind::Map,
        (major::TAG, _, Some(_)) => Kind::Tag,
        // Two-byte forms of values below 32 are not well-formed (RFC 8949 section 3.3).
        (major::OTHER, 24, Some(0..32)) => return Err(invalid),
        (major::OTHER, 25, _) => Kind::Float16,
        (major::OTHER, 26, _) => Kind::Float32,
        (major::OTHER, 27, _) => Kind::Float64,
        (major::OTHER, INDEFINITE, _) => Kind::Break,
        (major::OTHER, ..) => Kind::Simple,
        _ => return Err(invalid),
    };
    Ok(Head { kind, argument, len: 1 + width as u8 })
}

/// Returns the value of a float.
pub(crate) fn float(kind: Kind, bits: u64) -> f64 {
    match kind {
        Kind::Float16 => float::from_half(bits as u16),
        Kind::Float32 => f64::from(f32::from_bits(bits as u32)),
        _ => f64::from_bits(bits),
    }
}

/// Returns true if the encoder would write the same with a shorter head.
pub(super) fn is_long(item: &Item) -> bool {
    Head { kind: item.kind, argument: item.argument, len: item.head }.is_long()
}

/// An item in which others are still to come.
#[derive(Clone, Copy, Debug)]
struct Open {
    item: usize,
    /// The first of its keys in `names`, and of their bytes.
    names: usize,
    name_bytes: usize,
}

struct Reading<'c, 't> {
    cbor: &'c [u8],
    options: Options<'t>,
    at: usize,
    items: Vec<Item>,
    notes: Vec<Note>,
    open: Vec<Open>,
    /// Arrays and maps among `open`.
    containers: usize,
    /// The keys of the open maps, with their text in `name_bytes`.
    names: Vec<Name>,
    name_bytes: Vec<u8>,
}

impl Reading<'_, '_> {
    fn input(&mut self) -> Result<(), Error> {
        let limit = self.options.limits.max_input;
        if self.cbor.len() > limit {
            return Err(Error::new(ErrorKind::InputTooLarge, limit));
        }
        while !self.options.sequence || self.at < self.cbor.len() {
            self.whole_item()?;
            if !self.options.sequence {
                let more = self.at < self.cbor.len();
                return if more { Err(Error::new(ErrorKind::TrailingData, self.at)) } else { Ok(()) };
            }
        }
        Ok(())
    }

    fn whole_item(&mut self) -> Result<(), Error> {
        loop {
            self.item()?;
            while let Some(open) = self.open.last().copied() {
                let Some(item) = self.items.get(open.item) else { break };
                let done = match item.argument {
                    Some(_) if item.kind == Kind::Tag => item.children == 1,
                    Some(pairs) if item.kind == Kind::Map => item.children as u128 == 2 * u128::from(pairs),
                    Some(elements) => item.children as u64 == elements,
                    None => self.is_at_end_of(item),
                };
                if !done {
                    break;
                }
                if item.argument.is_none() {
                    self.break_item()?;
                }
                self.close(open);
            }
            if self.open.is_empty() {
                return Ok(());
            }
        }
    }

    /// Returns true if a break is next and may end this item of indefinite length: not between a key and its
    /// value.
    fn is_at_end_of(&self, item: &Item) -> bool {
        let between = item.kind == Kind::Map && !item.children.is_multiple_of(2);
        self.cbor.get(self.at) == Some(&BREAK) && !between
    }

    fn break_item(&mut self) -> Result<(), Error> {
        let head = Head { kind: Kind::Break, argument: None, len: 1 };
        self.add(head, Role::Break)?;
        self.at += 1;
        Ok(())
    }

    /// Reads one head, and the content of a string.
    fn item(&mut self) -> Result<(), Error> {
        let at = self.at;
        let head = head(self.cbor, at)?;
        let around = self.open.last().and_then(|open| self.items.get(open.item)).copied();
        let role = match around {
            None => Role::Whole,
            Some(around) => match around.kind {
                Kind::Array => Role::Element,
                Kind::Map if around.children.is_multiple_of(2) => Role::Key,
                Kind::Map => Role::Value,
                Kind::Tag => Role::Content,
                // RFC 8949 section 3.2.3: strings of the same type and of definite length.
                kind if head.kind == kind && head.argument.is_some() => Role::Chunk,
                _ => return Err(Error::new(ErrorKind::InvalidChunk, at)),
            },
        };
        if head.kind == Kind::Break {
            return Err(Error::new(ErrorKind::UnexpectedBreak, at));
        }
        let opens = match head.kind {
            Kind::Array | Kind::Map | Kind::Tag => true,
            Kind::Bytes | Kind::Text => head.argument.is_none(),
            _ => false,
        };
        if opens && self.open.len() >= self.options.limits.max_depth {
            return Err(Error::new(ErrorKind::TooDeep, at));
        }
        let item = self.add(head, role)?;
        self.at += usize::from(head.len);
        self.note_refusals(item);
        if opens {
            self.containers += usize::from(matches!(head.kind, Kind::Array | Kind::Map));
            let open = Open { item, names: self.names.len(), name_bytes: self.name_bytes.len() };
            self.open.push(open);
            return Ok(());
        }
        if let (Kind::Bytes | Kind::Text, Some(len)) = (head.kind, head.argument) {
            self.content(item, len)?;
        }
        if role == Role::Key {
            self.name_key(item);
        }
        Ok(())
    }

    fn add(&mut self, head: Head, role: Role) -> Result<usize, Error> {
        let (index, start) = (self.items.len(), self.at);
        if index >= self.options.limits.max_items {
            return Err(Error::new(ErrorKind::OutputTooLarge, start));
        }
        let parent = self.open.last().map(|open| open.item);
        if let Some(around) = parent.and_then(|parent| self.items.get_mut(parent)) {
            around.children += usize::from(role != Role::Break);
        }
        let item = Item {
            start,
            end: start + usize::from(head.len),
            head: head.len,
            kind: head.kind,
            role,
            argument: head.argument,
            parent,
            depth: self.open.len(),
            children: 0,
            cut: false,
            overruled: false,
            not_utf8: false,
        };
        self.items.push(item);
        if is_long(&item) {
            self.note(index, start, What::Long);
        }
        Ok(index)
    }

    /// Takes the content of a string of definite length, as much of it as there is.
    fn content(&mut self, index: usize, len: u64) -> Result<(), Error> {
        let rest = self.cbor.get(self.at..).unwrap_or_default();
        let content = usize::try_from(len).ok().and_then(|len| rest.get(..len));
        let (content, cut) = (content.unwrap_or(rest), content.is_none());
        let start = self.at;
        self.at += content.len();
        let Some(item) = self.items.get_mut(index) else { return Ok(()) };
        (item.end, item.cut) = (self.at, cut);
        if item.kind == Kind::Text
            && let Err(error) = str::from_utf8(content)
            && (error.error_len().is_some() || !cut)
        {
            item.not_utf8 = true;
            if let (Role::Chunk, Some(parent)) = (item.role, item.parent) {
                self.items.get_mut(parent).into_iter().for_each(|text| text.not_utf8 = true);
            }
            self.note(index, start + error.valid_up_to(), What::Refused(ErrorKind::InvalidUtf8));
        }
        if cut { Err(Error::new(ErrorKind::UnexpectedEnd, self.cbor.len())) } else { Ok(()) }
    }

    fn close(&mut self, open: Open) {
        self.open.pop();
        self.compare_names(open);
        let at = self.at;
        let Some(item) = self.items.get_mut(open.item) else { return };
        item.end = at;
        self.containers -= usize::from(matches!(item.kind, Kind::Array | Kind::Map));
        if item.role == Role::Key {
            self.name_key(open.item);
        }
    }

    fn note(&mut self, item: usize, offset: usize, what: What) {
        self.notes.push(Note { item, offset, what });
    }

    /// Notes why the decoder would refuse an item, as far as its head and its role say it.
    fn note_refusals(&mut self, index: usize) {
        let Some(item) = self.items.get(index).copied() else { return };
        let argument = item.argument.unwrap_or_default();
        let refused = match (item.role, item.kind) {
            (Role::Key, Kind::Negative) => Some(ErrorKind::KeyRange),
            (Role::Key, Kind::Unsigned) if i64::try_from(argument).is_err() => Some(ErrorKind::KeyRange),
            (Role::Key, Kind::Unsigned | Kind::Text) => None,
            (Role::Key, _) => Some(ErrorKind::KeyType),
            (Role::Chunk, _) => None,
            (_, Kind::Bytes) => Some(ErrorKind::ByteString),
            (_, Kind::Tag) if !item.is_self_described() => Some(ErrorKind::Tag),
            (_, Kind::Simple) if !(20..=22).contains(&argument) => Some(ErrorKind::SimpleValue),
            (_, kind @ (Kind::Float16 | Kind::Float32 | Kind::Float64)) => {
                (!float(kind, argument).is_finite()).then_some(ErrorKind::NotFinite)
            }
            (_, Kind::Array | Kind::Map) => {
                (self.containers >= Limits::DECODE.max_depth).then_some(ErrorKind::TooDeep)
            }
            _ => None,
        };
        if let Some(kind) = refused {
            self.note(index, item.start, What::Refused(kind));
        }
    }

    /// Keeps the name of a key, integer or text, until its map ends.
    fn name_key(&mut self, index: usize) {
        let Some(item) = self.items.get(index).copied() else { return };
        let from = self.name_bytes.len();
        match (item.kind, item.argument) {
            (Kind::Unsigned, Some(n)) => {
                match self.options.keys.and_then(|table| table.name(n)) {
                    Some(name) => self.name_bytes.extend_from_slice(name.as_bytes()),
                    None => number::write_unsigned(&mut self.name_bytes, n),
                };
            }
            (Kind::Text, Some(_)) => self.name_bytes.extend_from_slice(content(self.cbor, &item)),
            (Kind::Text, None) => {
                let chunks = self.items.iter().skip(index).filter(|chunk| chunk.role == Role::Chunk);
                chunks.for_each(|chunk| self.name_bytes.extend_from_slice(content(self.cbor, chunk)));
            }
            _ => return,
        }
        let ends = Ends::of(self.name_bytes.get(from..).unwrap_or_default());
        let integer = item.kind == Kind::Unsigned;
        self.names.push(Name::new(ends, from..self.name_bytes.len(), item.start, integer));
    }

    /// Notes the repeated and the overruled keys of a map, and forgets all of them.
    fn compare_names(&mut self, open: Open) {
        let names = self.names.get_mut(open.names..).unwrap_or_default();
        let mut repeated = Vec::new();
        let mut overruled = Vec::new();
        equal_pairs(names, &self.name_bytes, |name, other| {
            if name.integer == other.integer {
                repeated.push(name.at.max(other.at));
            } else {
                overruled.push(if name.integer { name.at } else { other.at });
            }
        });
        self.names.truncate(open.names);
        self.name_bytes.truncate(open.name_bytes);
        for (mut places, what) in
            [(repeated, What::Refused(ErrorKind::RepeatedKey)), (overruled, What::Overruled)]
        {
            places.sort_unstable();
            places.dedup();
            for at in places {
                let Ok(index) = self.items.binary_search_by_key(&at, |item| item.start) else { continue };
                self.note(index, at, what);
                if what == What::Overruled {
                    self.items.get_mut(index).into_iter().for_each(|item| item.overruled = true);
                }
            }
        }
    }
}

/// Returns the bytes behind the head, as many of them as there are.
pub(super) fn content<'c>(cbor: &'c [u8], item: &Item) -> &'c [u8] {
    cbor.get(item.head_end()..item.end).unwrap_or_default()
}
