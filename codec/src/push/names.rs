//! The keys of the open objects that no bit stands for, kept so that a repeated one is noticed as soon as it comes: what has left
//! cannot be taken back when its object closes.
//!
//! A few keys are looked through; of more there is a tree (a crit-bit tree: each node names the first bit in which the keys below
//! it differ). What it costs to find a key is bounded by the key's length, whatever the other keys were made to be, and a new key
//! adds one node at the end: those of an inner object stand behind those around it and go with it.

use crate::names::Ends;
use crate::{Error, ErrorKind, scratch};

#[derive(Debug, Default)]
pub(super) struct Names {
    names: Vec<Name>,
    /// Their text.
    bytes: Vec<u8>,
    nodes: Vec<Node>,
}

/// Where the part of the innermost object begins, and what is known of it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Part {
    names: u32,
    nodes: u32,
    /// Of the tree, once there is one.
    root: Option<Place>,
    /// A key that was too long to be kept.
    long: bool,
}

/// In which forms a key has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Forms {
    pub(super) text: bool,
    pub(super) integer: bool,
}

impl Forms {
    pub(super) const TEXT: Forms = Forms { text: true, integer: false };
    pub(super) const INTEGER: Forms = Forms { text: false, integer: true };
}

#[derive(Clone, Copy, Debug)]
struct Name {
    fingerprint: u64,
    start: u32,
    end: u32,
    forms: Forms,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    /// The bit that tells the keys below apart: of which byte, and the only one that is set here.
    byte: u32,
    bit: u8,
    /// Without the bit and with it.
    children: [Place; 2],
}

/// In the tree.
#[derive(Clone, Copy, Debug)]
enum Place {
    Node(u32),
    Name(u32),
}

/// What a key takes besides its text, its node included, rounded up: no larger than the sum of both.
const OVERHEAD: usize = 48;
const _: () = assert!(size_of::<Name>() + size_of::<Node>() <= OVERHEAD);

/// Up to this many keys of one object are looked through.
const FEW: u32 = 16;

/// Behind the last byte of a key there is one that UTF-8 has not, so that no key is the beginning of another.
const END: u8 = 0xff;

impl Names {
    pub(super) fn clear(&mut self) {
        scratch::clear(&mut self.names);
        scratch::clear_bytes(&mut self.bytes);
        scratch::clear(&mut self.nodes);
    }

    /// The part of an object that opens now.
    #[inline(always)]
    pub(super) fn open(&self) -> Part {
        Part { names: self.names.len() as u32, nodes: self.nodes.len() as u32, root: None, long: false }
    }

    /// The object of this part closes.
    #[inline(always)]
    pub(super) fn close(&mut self, part: &Part) {
        if let Some(first) = self.names.get(part.names as usize) {
            self.bytes.truncate(first.start as usize);
            self.names.truncate(part.names as usize);
            self.nodes.truncate(part.nodes as usize);
        }
    }

    /// Notes a key of the innermost object. Returns the forms in which it had come before. An error if there is no room in
    /// `max_keys` bytes; its offset is `at`.
    pub(super) fn note(
        &mut self,
        part: &mut Part,
        ends: Ends,
        name: &[u8],
        form: Forms,
        (max_keys, at): (usize, usize),
    ) -> Result<Forms, Error> {
        let fingerprint = ends.fingerprint();
        let found = match part.root {
            None => self.look_through(part, fingerprint, name),
            Some(root) => self.leaf(root, name).filter(|leaf| self.text(*leaf) == name),
        };
        if let Some(known) = found.and_then(|place| self.names.get_mut(place as usize)) {
            let before = known.forms;
            known.forms = Forms { text: before.text | form.text, integer: before.integer | form.integer };
            return Ok(before);
        }
        let taken = self.bytes.len() + name.len() + (self.names.len() + 1) * OVERHEAD;
        if taken > max_keys.min(u32::MAX as usize) {
            return Err(Error::new(ErrorKind::TooManyKeys, at));
        }
        let (place, start) = (self.names.len() as u32, self.bytes.len() as u32);
        self.bytes.extend_from_slice(name);
        self.names.push(Name { fingerprint, start, end: self.bytes.len() as u32, forms: form });
        if part.root.is_some() {
            self.plant(part, place);
        } else if place - part.names >= FEW {
            part.root = Some(Place::Name(part.names));
            (part.names + 1..=place).for_each(|place| self.plant(part, place));
        }
        Ok(Forms::default())
    }

    /// Notes a key of more than [`super::MAX_TEXT`] bytes, of which a part has left. One is no repeat; what a second one is
    /// cannot be known.
    pub(super) fn note_long(part: &mut Part, at: usize) -> Result<(), Error> {
        match std::mem::replace(&mut part.long, true) {
            false => Ok(()),
            true => Err(Error::new(ErrorKind::TooManyKeys, at)),
        }
    }

    fn look_through(&self, part: &Part, fingerprint: u64, name: &[u8]) -> Option<u32> {
        let few = self.names.get(part.names as usize..)?;
        let found =
            few.iter().position(|known| known.fingerprint == fingerprint && self.bytes_of(known) == name)?;
        Some(part.names + found as u32)
    }

    /// The name that the tree leads to: this one, if it is there.
    fn leaf(&self, root: Place, name: &[u8]) -> Option<u32> {
        let mut place = root;
        loop {
            match place {
                Place::Name(place) => return Some(place),
                Place::Node(node) => place = self.nodes.get(node as usize)?.towards(name),
            }
        }
    }

    /// Puts the name at this place, which is not there, into the tree.
    fn plant(&mut self, part: &mut Part, place: u32) {
        let Some(root) = part.root else { return };
        let name = self.text(place);
        let Some(leaf) = self.leaf(root, name) else { return };
        let neighbour = self.text(leaf);
        let common = name.iter().zip(neighbour).take_while(|(one, other)| one == other).count();
        let difference = byte_at(name, common) ^ byte_at(neighbour, common);
        let bit = 0x80_u8.checked_shr(difference.leading_zeros()).unwrap_or(0);
        let mut node = Node { byte: common as u32, bit, children: [Place::Name(place); 2] };
        // Down to where the bit belongs: bits come in their order.
        let (mut above, mut below) = (None, root);
        while let Place::Node(next) = below
            && let Some(passed) = self.nodes.get(next as usize)
            && passed.is_before(&node)
        {
            let side = passed.side(name);
            above = Some((next, side));
            below = passed.towards(name);
        }
        let other = 1 - node.side(name);
        node.children.get_mut(other).into_iter().for_each(|child| *child = below);
        let planted = Place::Node(self.nodes.len() as u32);
        self.nodes.push(node);
        match above.and_then(|(node, side)| self.nodes.get_mut(node as usize)?.children.get_mut(side)) {
            Some(child) => *child = planted,
            None => part.root = Some(planted),
        }
    }

    fn text(&self, place: u32) -> &[u8] {
        self.names.get(place as usize).map(|name| self.bytes_of(name)).unwrap_or_default()
    }

    fn bytes_of(&self, name: &Name) -> &[u8] {
        self.bytes.get(name.start as usize..name.end as usize).unwrap_or_default()
    }
}

impl Node {
    /// The place in `children` of what has such a bit as the name.
    fn side(&self, name: &[u8]) -> usize {
        usize::from(byte_at(name, self.byte as usize) & self.bit != 0)
    }

    fn towards(&self, name: &[u8]) -> Place {
        let [without, with] = self.children;
        if self.side(name) == 0 { without } else { with }
    }

    /// Bytes from front to back, bits from the highest to the lowest.
    fn is_before(&self, other: &Node) -> bool {
        self.byte < other.byte || self.byte == other.byte && self.bit > other.bit
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
        let ends = Ends::of(name.as_bytes());
        names.note(part, ends, name.as_bytes(), Forms::TEXT, (ROOM, 0)).unwrap() == Forms::default()
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
        // Each the beginning of the next, and all of one fingerprint.
        for len in 0..2_000 {
            assert!(note(&mut names, &mut part, &format!("12345678{}12345678", "x".repeat(len))));
        }
        for len in 0..2_000 {
            assert!(!note(&mut names, &mut part, &format!("12345678{}12345678", "x".repeat(len))));
        }
    }

    #[test]
    fn the_room_is_that_of_all_open_objects_and_is_given_back() {
        let (mut names, mut part) = (Names::default(), Part::default());
        let mut note = |part: &mut Part, name: &str| {
            names.note(part, Ends::of(name.as_bytes()), name.as_bytes(), Forms::TEXT, (100, 7))
        };
        assert_eq!(note(&mut part, "a"), Ok(Forms::default()));
        assert_eq!(note(&mut part, "bcd"), Ok(Forms::default()));
        assert_eq!(note(&mut part, "e"), Err(Error::new(ErrorKind::TooManyKeys, 7)));
        assert_eq!(note(&mut part, "a"), Ok(Forms::TEXT), "one that is there takes none");
        names.close(&part);
        assert_eq!(
            names.note(&mut names.open(), Ends::of(b"e"), b"e", Forms::TEXT, (100, 7)),
            Ok(Forms::default())
        );
    }

    #[test]
    fn one_key_too_long_to_be_kept_is_no_repeat() {
        let mut part = Part::default();
        assert_eq!(Names::note_long(&mut part, 1), Ok(()));
        assert_eq!(Names::note_long(&mut part, 2), Err(Error::new(ErrorKind::TooManyKeys, 2)));
    }
}
