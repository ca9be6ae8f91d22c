//! The keys of the open objects that have no bit in a set, kept so that a repeated key is noticed as soon as
//! it comes: output that has left cannot be taken back when its object closes.
//!
//! A few names are compared one by one; for more there is a crit-bit tree, in which each node names the first
//! bit that differs among the names below it. The cost of finding a key is bounded by its length, whatever
//! the other keys are, and a new key adds one node at the end: the nodes of an inner object come after those
//! of the objects around it and are removed with it.

use crate::{Error, ErrorKind, scratch};

#[derive(Debug, Default)]
pub(super) struct Names {
    names: Vec<Name>,
    /// The text of all names, one after the other.
    bytes: Vec<u8>,
    nodes: Vec<Node>,
}

/// Where the part of the innermost object begins, and what is known of it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Part {
    names: u32,
    nodes: u32,
    /// The root of the tree, once there is one.
    root: Option<Place>,
    /// True after a key that was too long to be kept.
    long: bool,
}

/// The forms in which a key has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Forms {
    pub(super) text: bool,
    pub(super) integer: bool,
}

impl Forms {
    pub(super) const TEXT: Forms = Forms { text: true, integer: false };
    pub(super) const INTEGER: Forms = Forms { text: false, integer: true };
}

/// The offset at which a name's text begins; it ends where the next one begins. The two lowest bits are its
/// forms. There can be many names, so each is small.
#[derive(Clone, Copy, Debug)]
struct Name(u32);

#[derive(Clone, Copy, Debug)]
struct Node {
    /// The bit in which the names below differ, counted from the highest of the first byte.
    bit: u32,
    /// The children without the bit and with it.
    children: [Place; 2],
}

/// A place in the tree: a node, or with [`Place::NAME`] a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place(u32);

/// Bytes that a name takes besides its text, including its node.
const OVERHEAD: usize = size_of::<Name>() + size_of::<Node>();

/// The largest total of text: the offsets that a [`Name`] can hold.
const MAX_BYTES: usize = 1 << 30;

/// Up to this many names of one object are compared one by one.
const FEW: u32 = if cfg!(feature = "small") { 0 } else { 16 };

/// A virtual byte after the end of each name, which UTF-8 never contains, so that no name is a prefix of
/// another.
const END: u8 = 0xff;

impl Names {
    pub(super) fn clear(&mut self) {
        scratch::clear(&mut self.names);
        scratch::clear_bytes(&mut self.bytes);
        scratch::clear(&mut self.nodes);
    }

    /// Opens the part of an object.
    #[cfg_attr(not(feature = "small"), inline(always))]
    #[cfg_attr(feature = "small", inline(never))]
    pub(super) fn open(&self) -> Part {
        Part { names: self.names.len() as u32, nodes: self.nodes.len() as u32, root: None, long: false }
    }

    /// Closes the part of an object.
    #[cfg_attr(not(feature = "small"), inline(always))]
    #[cfg_attr(feature = "small", inline(never))]
    pub(super) fn close(&mut self, part: &Part) {
        if let Some(first) = self.names.get(part.names as usize) {
            self.bytes.truncate(first.start());
            self.names.truncate(part.names as usize);
            self.nodes.truncate(part.nodes as usize);
        }
    }

    /// Notes a key of the innermost object. Returns the forms in which it had come before. Fails, at offset
    /// `at`, if there is no room in `max_keys` bytes.
    #[inline(never)]
    pub(super) fn note(
        &mut self,
        part: &mut Part,
        name: &[u8],
        form: Forms,
        (max_keys, at): (usize, usize),
    ) -> Result<Forms, Error> {
        let found = match part.root {
            None if FEW == 0 => None,
            None => (part.names..self.names.len() as u32).find(|place| self.text(*place) == name),
            Some(root) => self.leaf(root, name).filter(|leaf| self.text(*leaf) == name),
        };
        if let Some(known) = found.and_then(|place| self.names.get_mut(place as usize)) {
            let before = known.forms();
            *known = known.with(form);
            return Ok(before);
        }
        let (place, start) = (self.names.len() as u32, self.bytes.len());
        let len = start + name.len();
        if len + (self.names.len() + 1) * OVERHEAD > max_keys.min(MAX_BYTES) {
            return Err(Error::new(ErrorKind::TooManyKeys, at));
        }
        self.bytes.extend_from_slice(name);
        self.names.push(Name((start as u32) << 2).with(form));
        if part.root.is_some() {
            self.plant(part, place);
        } else if place >= part.names + FEW {
            part.root = Some(Place(part.names | Place::NAME));
            (part.names + 1..=place).for_each(|place| self.plant(part, place));
        }
        Ok(Forms::default())
    }

    /// Notes a key of more than [`super::MAX_TEXT`] bytes, of which a part has left. One such key cannot be a
    /// repeat; whether a second one is cannot be known.
    pub(super) fn note_long(part: &mut Part, at: usize) -> Result<(), Error> {
        match std::mem::replace(&mut part.long, true) {
            false => Ok(()),
            true => Err(Error::new(ErrorKind::TooManyKeys, at)),
        }
    }

    /// Returns the name to which the tree leads: this one, if the tree has it.
    fn leaf(&self, root: Place, name: &[u8]) -> Option<u32> {
        let mut place = root;
        loop {
            match place.name() {
                Some(leaf) => return Some(leaf),
                None => place = self.node(place)?.towards(name),
            }
        }
    }

    /// Inserts the name at this index, which the tree does not have yet.
    fn plant(&mut self, part: &mut Part, place: u32) {
        let Some(root) = part.root else { return };
        let name = self.text(place);
        let Some(leaf) = self.leaf(root, name) else { return };
        let neighbour = self.text(leaf);
        let common = name.iter().zip(neighbour).take_while(|(one, other)| one == other).count();
        let difference = byte_at(name, common) ^ byte_at(neighbour, common);
        let bit = common as u32 * u8::BITS + difference.leading_zeros();
        let mut node = Node { bit, children: [Place(place | Place::NAME); 2] };
        // The walk goes down to where the bit belongs: the bits on the way ascend.
        let (mut above, mut below) = (None, root);
        while let Some(passed) = self.node(below)
            && passed.bit < bit
        {
            above = Some((below, passed.side(name)));
            below = passed.towards(name);
        }
        let other = 1 - node.side(name);
        node.children.get_mut(other).into_iter().for_each(|child| *child = below);
        let planted = Place(self.nodes.len() as u32);
        self.nodes.push(node);
        let parent =
            above.and_then(|(Place(at), side)| self.nodes.get_mut(at as usize)?.children.get_mut(side));
        match parent {
            Some(child) => *child = planted,
            None => part.root = Some(planted),
        }
    }

    fn node(&self, place: Place) -> Option<&Node> {
        // A name's place lies beyond all nodes.
        self.nodes.get(place.0 as usize)
    }

    fn text(&self, place: u32) -> &[u8] {
        let start = |place: u32| self.names.get(place as usize).map(|name| name.start());
        let end = start(place + 1).unwrap_or(self.bytes.len());
        self.bytes.get(start(place).unwrap_or(end)..end).unwrap_or_default()
    }
}

impl Name {
    fn start(self) -> usize {
        (self.0 >> 2) as usize
    }

    fn forms(self) -> Forms {
        Forms { text: self.0 & 1 != 0, integer: self.0 & 2 != 0 }
    }

    fn with(self, form: Forms) -> Name {
        Name(self.0 | u32::from(form.text) | u32::from(form.integer) << 1)
    }
}

impl Place {
    /// The mark of a name: more than there can be names or nodes.
    const NAME: u32 = 1 << 31;

    fn name(self) -> Option<u32> {
        (self.0 & Place::NAME != 0).then_some(self.0 & !Place::NAME)
    }
}

impl Node {
    /// Returns the index in `children` of names with the same bit as this one.
    fn side(&self, name: &[u8]) -> usize {
        let byte = byte_at(name, (self.bit / u8::BITS) as usize);
        usize::from(byte << (self.bit % u8::BITS) & 0x80 != 0)
    }

    fn towards(&self, name: &[u8]) -> Place {
        let [without, with] = self.children;
        if self.side(name) == 0 { without } else { with }
    }
}

fn byte_at(name: &[u8], place: usize) -> u8 {
    name.get(place).copied().unwrap_or(END)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    const ROOM: usize = 16 << 20;

    fn note(names: &mut Names, part: &mut Part, name: &str) -> bool {
        names.note(part, name.as_bytes(), Forms::TEXT, (ROOM, 0)).unwrap() == Forms::default()
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_name_is_new_once_also_behind_the_names_of_objects_inside(
            all in prop::collection::vec("[ab\u{0}é]{0,5}|[a-z0-9@:.]{0,40}", 0..200),
        ) {
            let (mut names, mut set) = (Names::default(), HashSet::new());
            let mut outer = names.open();
            for name in &all {
                let mut inner = names.open();
                let mut inner_set = HashSet::new();
                for other in all.iter().rev().take(name.len()) {
                    prop_assert_eq!(note(&mut names, &mut inner, other), inner_set.insert(other));
                }
                names.close(&inner);
                prop_assert_eq!(note(&mut names, &mut outer, name), set.insert(name), "{:?}", name);
            }
            names.close(&outer);
            prop_assert!(names.names.is_empty() && names.bytes.is_empty() && names.nodes.is_empty());
        }
    }

    #[test]
    fn the_tree_is_as_deep_as_the_names_are_long_at_most() {
        let (mut names, mut part) = (Names::default(), Part::default());
        // Each name is a prefix of the next.
        for new in [true, false] {
            for len in 0..2_000 {
                assert_eq!(note(&mut names, &mut part, &"x".repeat(len)), new);
            }
        }
    }

    #[test]
    fn the_room_is_that_of_all_open_objects_and_is_given_back() {
        let (mut names, mut part) = (Names::default(), Part::default());
        let room = (2 * OVERHEAD + 4, 7);
        assert_eq!(names.note(&mut part, b"a", Forms::TEXT, room), Ok(Forms::default()));
        assert_eq!(names.note(&mut part, b"bcd", Forms::INTEGER, room), Ok(Forms::default()));
        assert_eq!(names.note(&mut part, b"", Forms::TEXT, room), Err(Error::new(ErrorKind::TooManyKeys, 7)));
        assert_eq!(
            names.note(&mut part, b"a", Forms::INTEGER, room),
            Ok(Forms::TEXT),
            "one that is there takes none"
        );
        assert_eq!(names.note(&mut part, b"a", Forms::TEXT, room), Ok(Forms { text: true, integer: true }));
        assert_eq!(names.note(&mut part, b"bcd", Forms::TEXT, room), Ok(Forms::INTEGER));
        names.close(&part);
        assert_eq!(names.note(&mut names.open(), b"e", Forms::TEXT, room), Ok(Forms::default()));
    }

    #[test]
    fn one_key_too_long_to_be_kept_is_no_repeat() {
        let mut part = Part::default();
        assert_eq!(Names::note_long(&mut part, 1), Ok(()));
        assert_eq!(Names::note_long(&mut part, 2), Err(Error::new(ErrorKind::TooManyKeys, 2)));
    }
}
