//! The items as text: JSON with line breaks, in which what JSON lacks stands in diagnostic notation, or
//! diagnostic notation alone (RFC 8949 section 8), on one line.

use super::read::{content, is_long};
use super::{Item, Kind, Role};
use crate::KeyTable;
use crate::decode::number;
use std::ops::Range;

mod values;

/// What a text is made from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source<'c> {
    pub(super) cbor: &'c [u8],
    pub(super) items: &'c [Item],
    pub(super) keys: Option<&'c KeyTable>,
}

/// How the items are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Json,
    Diagnostic,
}

/// A text and where each item stands in it.
#[derive(Clone, Debug, Default)]
pub(super) struct Rendered {
    pub(super) text: String,
    /// Of each item its place; empty for diagnostic notation.
    pub(super) shown: Vec<Shown>,
    /// The items that stand in the text, in the order of their starts there.
    pub(super) order: Vec<usize>,
    /// True if the text ends before the items do: the limit was reached.
    pub(super) cut: bool,
}

/// The place of an item in the text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shown {
    start: usize,
    end: usize,
    /// True if the item itself stands in a form that JSON does not have.
    pub(super) diagnostic: bool,
}

impl Shown {
    const NOT: Shown = Shown { start: usize::MAX, end: usize::MAX, diagnostic: false };

    pub(super) fn range(self) -> Option<Range<usize>> {
        (self.start != usize::MAX).then_some(self.start..self.end)
    }
}

/// What stands for something that is missing or too long.
const ELLIPSIS: &[u8] = b"...";

/// Writes one item with all in it, or all items; not more than about `max_len` bytes.
pub(super) fn render(source: Source<'_>, from: Option<usize>, style: Style, max_len: usize) -> Rendered {
    let first = from.unwrap_or(0);
    let end = match from.map(|from| source.items.get(from)) {
        Some(item) => item.map_or(0, |item| item.end),
        None => usize::MAX,
    };
    let mut writer = Writer {
        source,
        style,
        max_len,
        out: Vec::new(),
        open: Vec::new(),
        shown: match style {
            Style::Json => vec![Shown::NOT; source.items.len()],
            Style::Diagnostic => Vec::new(),
        },
        order: Vec::new(),
        skip_to: 0,
        skip_value: false,
    };
    let mut cut = false;
    for (index, item) in source.items.iter().enumerate().skip(first) {
        if item.start >= end {
            break;
        }
        if !writer.item(index, item) {
            cut = true;
            break;
        }
    }
    if cut {
        writer.out.extend_from_slice(ELLIPSIS);
        writer.abandon();
    } else {
        writer.close_up_to(usize::MAX);
    }
    let text = String::from_utf8(writer.out).unwrap_or_else(|error| {
        debug_assert!(false, "only UTF-8 is written");
        String::from_utf8_lossy(error.as_bytes()).into_owned()
    });
    Rendered { text, shown: writer.shown, order: writer.order, cut }
}

/// Returns true if nothing stands in the item, and nothing is missing.
fn is_empty(item: &Item) -> bool {
    item.children == 0 && !item.cut
}

/// Returns true if other items stand in the item.
fn opens(item: &Item) -> bool {
    match item.kind {
        Kind::Array | Kind::Map | Kind::Tag => true,
        Kind::Text | Kind::Bytes => item.argument.is_none(),
        _ => false,
    }
}

/// A container, tag or string of indefinite length whose end is not written yet.
#[derive(Clone, Copy, Debug)]
struct Open {
    item: usize,
    end: usize,
    /// Elements, keys or chunks written so far.
    entries: usize,
    /// True if it is written on one line, in diagnostic notation.
    inline: bool,
    /// True if something in it was cut, and shows that itself.
    shows_cut: bool,
}

struct Writer<'c> {
    source: Source<'c>,
    style: Style,
    max_len: usize,
    out: Vec<u8>,
    open: Vec<Open>,
    shown: Vec<Shown>,
    order: Vec<usize>,
    /// Items before this offset are left out; so is the next value, if `skip_value` says so.
    skip_to: usize,
    skip_value: bool,
}

impl<'c> Writer<'c> {
    /// Writes an item, or its beginning if others stand in it; false if that might exceed the limit.
    fn item(&mut self, index: usize, item: &Item) -> bool {
        if item.start < self.skip_to {
            return true;
        }
        self.close_up_to(item.start);
        if self.style == Style::Json && item.overruled {
            (self.skip_to, self.skip_value) = (item.end, true);
            return true;
        }
        if self.skip_value && item.role == Role::Value {
            (self.skip_to, self.skip_value) = (item.end, false);
            return true;
        }
        if item.role == Role::Break {
            self.close_at_break(index, item);
            return true;
        }
        let content = content(self.source.cbor, item);
        // The longest escape of a byte has six; a level indents by two.
        let longest = 6 * content.len() * usize::from(!opens(item)) + 2 * self.open.len() + 64;
        if self.out.len().saturating_add(longest) > self.max_len {
            return false;
        }
        let inline = self.begin(item);
        self.start(index);
        match item.kind {
            _ if item.cut && !opens(item) => {
                self.out.extend_from_slice(ELLIPSIS);
                self.mark(index);
            }
            Kind::Unsigned => self.unsigned(index, item, inline),
            Kind::Negative => {
                number::write_negative(&mut self.out, item.argument.unwrap_or_default());
                self.mark_if(inline || item.role == Role::Key, index);
                self.indicator(item);
            }
            Kind::Simple => self.simple(index, item, inline),
            Kind::Float16 | Kind::Float32 | Kind::Float64 => self.float(index, item, inline),
            Kind::Text | Kind::Bytes if item.argument.is_some() => self.string(index, item, content, inline),
            _ => {
                self.begin_open(index, item, inline);
                return true;
            }
        }
        self.end(index, item);
        true
    }

    /// Writes what stands before an item. Returns true if the item stands in diagnostic notation.
    fn begin(&mut self, item: &Item) -> bool {
        let depth = self.open.len();
        let Some(around) = self.open.last_mut() else {
            // The first item to be written, whatever its role, or the next of a sequence.
            if !self.out.is_empty() {
                self.out.extend_from_slice(if self.style == Style::Json { b"\n" } else { b", " });
            }
            return self.style == Style::Diagnostic;
        };
        if matches!(item.role, Role::Element | Role::Key | Role::Chunk) {
            around.entries += 1;
            let first = around.entries == 1;
            let joined = item.role == Role::Chunk && !around.inline;
            match (joined, around.inline) {
                (true, _) => {}
                (_, true) => self.out.extend_from_slice(if first { b"" } else { b", " }),
                (_, false) => {
                    self.out.extend_from_slice(if first { b"" } else { b"," });
                    self.new_line(depth);
                }
            }
        }
        let inline = self.open.last().is_some_and(|around| around.inline);
        inline || item.role == Role::Key && !self.is_json_key(item)
    }

    /// Returns true for a key that the decoder takes.
    fn is_json_key(&self, item: &Item) -> bool {
        match item.kind {
            Kind::Unsigned => item.argument.is_some_and(|n| i64::try_from(n).is_ok()),
            Kind::Text => !item.not_utf8 && !item.cut,
            _ => false,
        }
    }

    fn new_line(&mut self, depth: usize) {
        self.out.push(b'\n');
        self.out.resize(self.out.len() + 2 * depth, b' ');
    }

    fn start(&mut self, index: usize) {
        let start = self.out.len();
        if let Some(shown) = self.shown.get_mut(index) {
            *shown = Shown { start, end: start, diagnostic: false };
            self.order.push(index);
        }
    }

    fn end(&mut self, index: usize, item: &Item) {
        let end = self.out.len();
        self.shown.get_mut(index).into_iter().for_each(|shown| shown.end = end);
        if item.role == Role::Key && !self.open.is_empty() && !item.cut {
            self.out.extend_from_slice(b": ");
        }
        if item.cut {
            self.open.last_mut().into_iter().for_each(|around| around.shows_cut = true);
        }
    }

    /// Says that an item stands in a form that JSON does not have.
    fn mark(&mut self, index: usize) {
        self.shown.get_mut(index).into_iter().for_each(|shown| shown.diagnostic = true);
    }

    fn mark_if(&mut self, diagnostic: bool, index: usize) {
        if diagnostic {
            self.mark(index);
        }
    }

    /// Writes the opening of an item in which others stand.
    fn begin_open(&mut self, index: usize, item: &Item, inline: bool) {
        // Chunks of bytes, and of texts that JSON cannot show, stand side by side.
        let apart = item.kind == Kind::Bytes || item.kind == Kind::Text && (item.not_utf8 || item.cut);
        let inline = inline || apart;
        let hidden = self.style == Style::Json && item.is_self_described();
        self.mark_if(inline || item.kind == Kind::Tag && !hidden, index);
        let opening: &[u8] = match item.kind {
            Kind::Array => b"[",
            Kind::Map => b"{",
            Kind::Tag if hidden => b"",
            Kind::Tag => {
                number::write_unsigned(&mut self.out, item.argument.unwrap_or_default());
                self.indicator(item);
                b"("
            }
            Kind::Text if inline && is_empty(item) => b"\"\"_",
            Kind::Bytes if is_empty(item) => b"''_",
            _ if inline => b"(",
            _ => b"\"",
        };
        self.out.extend_from_slice(opening);
        let string = matches!(item.kind, Kind::Text | Kind::Bytes);
        if inline && item.argument.is_none() && !(string && is_empty(item)) {
            self.out.extend_from_slice(b"_ ");
        } else if self.style == Style::Diagnostic && item.kind != Kind::Tag && is_long(item) {
            self.indicator(item);
            self.out.push(b' ');
        }
        self.open.push(Open { item: index, end: item.end, entries: 0, inline, shows_cut: false });
    }

    /// Closes what ends at this offset of the input, or before.
    fn close_up_to(&mut self, offset: usize) {
        while self.open.last().is_some_and(|open| open.end <= offset) {
            self.close();
        }
    }

    /// Closes the innermost item. Returns where its closing bracket begins.
    fn close(&mut self) -> usize {
        let items = self.source.items;
        let Some((open, item)) = self.open.pop().and_then(|open| Some((open, items.get(open.item)?))) else {
            return self.out.len();
        };
        let mut entries = open.entries;
        if item.cut && !open.shows_cut {
            let key = item.kind == Kind::Map && !item.children.is_multiple_of(2);
            if !key && item.kind != Kind::Tag {
                entries += 1;
                if entries > 1 {
                    self.out.extend_from_slice(if open.inline { b", " } else { b"," });
                }
                if !open.inline {
                    self.new_line(self.open.len() + 1);
                }
            }
            self.out.extend_from_slice(ELLIPSIS);
        }
        self.mark_if(item.cut, open.item);
        if entries > 0 && !open.inline && matches!(item.kind, Kind::Array | Kind::Map) {
            self.new_line(self.open.len());
        }
        let closing: &[u8] = match item.kind {
            Kind::Array => b"]",
            Kind::Map => b"}",
            Kind::Tag if self.style == Style::Json && item.is_self_described() => b"",
            Kind::Text if !open.inline => b"\"",
            Kind::Text | Kind::Bytes if is_empty(item) => b"",
            _ => b")",
        };
        let start = self.out.len();
        self.out.extend_from_slice(closing);
        self.end(open.item, item);
        start
    }

    /// Ends an item of indefinite length; its break has the place of the closing bracket.
    fn close_at_break(&mut self, index: usize, item: &Item) {
        self.close_up_to(item.start);
        let start = self.close();
        let Some(around) = item.parent.and_then(|parent| self.shown.get(parent)).copied() else { return };
        self.start(index);
        let shown = self.shown.get_mut(index);
        shown.into_iter().for_each(|shown| (shown.start, shown.end) = (start, around.end));
    }

    /// Ends at the text's limit: what is open ends here too.
    fn abandon(&mut self) {
        let end = self.out.len();
        while let Some(open) = self.open.pop() {
            self.shown.get_mut(open.item).into_iter().for_each(|shown| shown.end = end);
            self.mark(open.item);
        }
    }
}
