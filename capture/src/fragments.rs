//! Fragments of IP, put together to what was sent.
//!
//! ```text
//! fragment -> is it of something that waits? -> all bytes there? -> the whole
//!                                            -> overlaps, does not fit, waits too long: given up, and told
//! ```
//!
//! A fragment that says other bytes, or the same bytes at other bounds, than one that came before gives up
//! the whole (RFC 5722 section 4, RFC 8200 section 4.5): of two readers, each would believe another one. An
//! exact copy is left out, also of a datagram that is whole already: captures of several interfaces have
//! those.

use crate::ip::Fragment;
use crate::packet::PacketFault;
use crate::time::Time;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Most datagrams of which parts are kept.
pub const MOST_DATAGRAMS: usize = 256;
/// Most bytes of parts that are kept, with 64 for each part besides.
pub const MOST_BYTES: usize = 4 * 1024 * 1024;
/// How long parts wait for the rest, in nanoseconds of the capture's time: 60 s (RFC 8200 section 4.5).
pub const LONGEST_WAIT: u64 = 60_000_000_000;

/// What keeping a part costs besides its bytes.
const PIECE_COST: usize = 64;
/// Most bytes that IP carries.
const LARGEST: usize = 65_535;

/// What fragments of the same datagram have in common (RFC 791 section 3.2; RFC 8200 section 4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) from: IpAddr,
    pub(crate) to: IpAddr,
    pub(crate) id: u32,
    /// Protocol of IPv4, where it takes part, else 0.
    pub(crate) protocol: u8,
}

/// One fragment as it is kept.
struct Piece {
    frame: u64,
    offset: usize,
    bytes: Vec<u8>,
}

impl Piece {
    fn end(&self) -> usize {
        self.offset + self.bytes.len()
    }
}

enum State {
    /// Parts, by their offsets, their bytes in all, and where the last one ends, once it is there.
    Waits { pieces: Vec<Piece>, have: usize, end: Option<usize> },
    /// The whole, kept to recognise copies of its parts.
    Whole(Vec<u8>),
    /// Refused, until it is old: what still comes of it is refused too.
    GivenUp,
}

struct Assembly {
    begun: Time,
    state: State,
}

impl Assembly {
    fn new(begun: Time) -> Assembly {
        Assembly { begun, state: State::Waits { pieces: Vec::new(), have: 0, end: None } }
    }

    fn cost(&self) -> usize {
        match &self.state {
            State::Waits { pieces, have, .. } => have + pieces.len() * PIECE_COST,
            State::Whole(bytes) => bytes.len() + PIECE_COST,
            State::GivenUp => 0,
        }
    }
}

/// All that waits.
#[derive(Default)]
pub(crate) struct Fragments {
    assemblies: BTreeMap<Key, Assembly>,
    /// Sum of the costs of all assemblies.
    bytes: usize,
    /// Time of the assembly that has waited longest.
    oldest: Time,
}

/// Frame and reason of a fragment that cannot be read.
pub(crate) type Told = (u64, PacketFault);

impl Fragments {
    /// Takes a fragment, and returns the whole if it was the last that lacked. `told` hears of fragments that
    /// are given up.
    pub(crate) fn take(
        &mut self,
        key: Key,
        fragment: Fragment,
        bytes: &[u8],
        (frame, time): (u64, Time),
        told: &mut impl FnMut(Told),
    ) -> Option<&[u8]> {
        self.expire(time, told);
        if let Some(State::Whole(whole)) = self.assemblies.get(&key).map(|assembly| &assembly.state) {
            let end = fragment.offset + bytes.len();
            if whole.get(fragment.offset..end) == Some(bytes) && fragment.has_more == (end < whole.len()) {
                return None;
            }
            // The number is used again.
            self.remove(&key);
        }
        self.make_room(&key, bytes.len() + PIECE_COST, told);
        if self.assemblies.is_empty() {
            self.oldest = time;
        }
        let assembly = self.assemblies.entry(key).or_insert_with(|| Assembly::new(time));
        let before = assembly.cost();
        let added = add(&mut assembly.state, fragment, bytes, frame, told);
        self.bytes = (self.bytes + assembly.cost()).saturating_sub(before);
        match &assembly.state {
            State::Whole(whole) if added => Some(whole),
            _ => None,
        }
    }

    /// Gives up what a fragment belongs to that cannot be used.
    pub(crate) fn refuse(&mut self, key: Key, time: Time, told: &mut impl FnMut(Told)) {
        self.expire(time, told);
        self.make_room(&key, 0, told);
        if self.assemblies.is_empty() {
            self.oldest = time;
        }
        let given_up = Assembly { begun: time, state: State::GivenUp };
        if let Some(old) = self.assemblies.insert(key, given_up) {
            self.bytes = self.bytes.saturating_sub(old.cost());
            tell(old, PacketFault::FragmentGivenUp, told);
        }
    }

    /// Gives up what has waited too long at `now`.
    #[inline]
    pub(crate) fn expire(&mut self, now: Time, told: &mut impl FnMut(Told)) {
        if self.assemblies.is_empty() || now.0.saturating_sub(self.oldest.0) <= LONGEST_WAIT {
            return;
        }
        let is_late = |assembly: &Assembly| now.0.saturating_sub(assembly.begun.0) > LONGEST_WAIT;
        while let Some(key) =
            self.assemblies.iter().find(|(_, assembly)| is_late(assembly)).map(|(key, _)| *key)
        {
            self.give_up(&key, PacketFault::FragmentsMissing, told);
        }
        self.oldest = self.assemblies.values().map(|assembly| assembly.begun).min().unwrap_or(now);
    }

    /// Gives up all that waits: the capture has ended.
    pub(crate) fn finish(&mut self, told: &mut impl FnMut(Told)) {
        let keys: Vec<Key> = self.assemblies.keys().copied().collect();
        for key in keys {
            self.give_up(&key, PacketFault::FragmentsMissing, told);
        }
    }

    /// Makes room for so many more bytes of `key`; whoever began first gives way.
    fn make_room(&mut self, key: &Key, bytes: usize, told: &mut impl FnMut(Told)) {
        while self.bytes + bytes > MOST_BYTES
            || self.assemblies.len() >= MOST_DATAGRAMS && !self.assemblies.contains_key(key)
        {
            let oldest = self.assemblies.iter().min_by_key(|(_, assembly)| assembly.begun);
            let Some(oldest) = oldest.map(|(key, _)| *key) else { return };
            self.give_up(&oldest, PacketFault::FragmentsTooMany, told);
        }
    }

    fn give_up(&mut self, key: &Key, why: PacketFault, told: &mut impl FnMut(Told)) {
        if let Some(assembly) = self.remove(key) {
            tell(assembly, why, told);
        }
    }

    fn remove(&mut self, key: &Key) -> Option<Assembly> {
        let assembly = self.assemblies.remove(key)?;
        self.bytes = self.bytes.saturating_sub(assembly.cost());
        Some(assembly)
    }
}

/// Tells of all parts that have not become a whole.
fn tell(assembly: Assembly, why: PacketFault, told: &mut impl FnMut(Told)) {
    if let State::Waits { mut pieces, .. } = assembly.state {
        pieces.sort_by_key(|piece| piece.frame);
        pieces.iter().for_each(|piece| told((piece.frame, why)));
    }
}

/// Adds a fragment to what waits, and returns true if that is whole now.
fn add(state: &mut State, fragment: Fragment, bytes: &[u8], frame: u64, told: &mut impl FnMut(Told)) -> bool {
    let State::Waits { pieces, have, end } = state else {
        told((frame, PacketFault::FragmentGivenUp));
        return false;
    };
    match place(pieces, end, fragment, bytes) {
        Ok(None) => false,
        Ok(Some(index)) => {
            pieces.insert(index, Piece { frame, offset: fragment.offset, bytes: bytes.to_vec() });
            *have += bytes.len();
            if *end != Some(*have) {
                return false;
            }
            *state = State::Whole(pieces.iter().flat_map(|piece| &piece.bytes).copied().collect());
            true
        }
        Err(why) => {
            let mut frames: Vec<u64> = pieces.iter().map(|piece| piece.frame).collect();
            frames.push(frame);
            frames.sort_unstable();
            frames.into_iter().for_each(|frame| told((frame, why)));
            *state = State::GivenUp;
            false
        }
    }
}

/// Finds the place of a fragment among the others, which do not overlap; None if it is a copy.
fn place(
    pieces: &[Piece],
    end: &mut Option<usize>,
    fragment: Fragment,
    bytes: &[u8],
) -> Result<Option<usize>, PacketFault> {
    let own_end = fragment.offset + bytes.len();
    // Offsets are counted in 8 bytes, so all fragments but the last have a multiple of them (RFC 791 section
    // 3.2).
    if bytes.is_empty() || own_end > LARGEST || fragment.has_more && !bytes.len().is_multiple_of(8) {
        return Err(PacketFault::FragmentLength);
    }
    let index = pieces.partition_point(|piece| piece.offset < fragment.offset);
    let is_copy =
        pieces.get(index).is_some_and(|piece| piece.offset == fragment.offset && piece.bytes == bytes);
    if is_copy && fragment.has_more != (*end == Some(own_end)) {
        return Ok(None);
    }
    let last = pieces.last().map_or(0, Piece::end);
    let is_beyond = match (*end, fragment.has_more) {
        (Some(end), true) => own_end >= end,
        (Some(end), false) => own_end != end,
        (None, true) => false,
        (None, false) => last > own_end,
    };
    let before = index.checked_sub(1).and_then(|before| pieces.get(before)).map_or(0, Piece::end);
    let behind = pieces.get(index).map_or(usize::MAX, |piece| piece.offset);
    if is_copy || is_beyond || before > fragment.offset || own_end > behind {
        return Err(PacketFault::FragmentsOverlap);
    }
    if !fragment.has_more {
        *end = Some(own_end);
    }
    Ok(Some(index))
}

#[cfg(test)]
mod tests;
