//! A list that grows without being moved.

/// Values of one piece of the list.
const PIECE: usize = 1024;

/// A list of which no moment needs twice the memory: a vector is copied to twice its size when it is full,
/// and the memory of a module never becomes smaller.
#[derive(Debug)]
pub(crate) struct Pieces<T> {
    pieces: Vec<Vec<T>>,
}

impl<T> Pieces<T> {
    /// Makes a list without values.
    pub(crate) fn new() -> Pieces<T> {
        Pieces { pieces: Vec::new() }
    }

    /// Adds a value at the end.
    pub(crate) fn push(&mut self, value: T) {
        match self.pieces.last_mut() {
            Some(last) if last.len() < PIECE => last.push(value),
            _ => {
                let mut piece = Vec::with_capacity(PIECE);
                piece.push(value);
                self.pieces.push(piece);
            }
        }
    }

    /// Returns the value at this place; `None` behind the last.
    pub(crate) fn get(&self, place: usize) -> Option<&T> {
        self.pieces.get(place / PIECE)?.get(place % PIECE)
    }

    /// Returns the number of values.
    pub(crate) fn len(&self) -> usize {
        self.pieces.iter().map(Vec::len).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_in_every_piece_and_not_behind_the_last() {
        let mut list = Pieces::new();
        assert_eq!((list.len(), list.get(0)), (0, None));
        for value in 0..2 * PIECE + 1 {
            list.push(value);
        }
        assert_eq!(list.len(), 2 * PIECE + 1);
        for place in [0, 1, PIECE - 1, PIECE, 2 * PIECE] {
            assert_eq!(list.get(place), Some(&place));
        }
        assert_eq!(list.get(2 * PIECE + 1), None);
        assert!(list.pieces.iter().all(|piece| piece.capacity() == PIECE), "no piece has been moved");
    }
}
