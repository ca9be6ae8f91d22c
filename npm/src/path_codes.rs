//! Paths, one segment at a time: JavaScript takes its lists of strings apart and puts them together.

use lowband_codec::PathTable;
use lowband_codec::paths::PathError;

/// The segments of one path on their way in or out.
#[derive(Debug, Default)]
pub struct PathCodes {
    segments: Vec<String>,
}

impl PathCodes {
    /// Returns the path at this index of table version 1; empty after the last.
    pub fn path(place: usize) -> &'static str {
        PathTable::v1().iter().nth(place).map_or("", |(_, path)| path)
    }

    /// Returns the path code at this index of table version 1, as a Unicode scalar value; -1 after the last.
    pub fn code(place: usize) -> i32 {
        PathTable::v1().iter().nth(place).map_or(-1, |(code, _)| code as i32)
    }

    /// Adds a segment for [`PathCodes::expand`].
    pub fn add(&mut self, segment: &str) {
        self.segments.push(segment.to_owned());
    }

    /// Returns the path of the segments that were added since the last call.
    ///
    /// # Errors
    ///
    /// The errors of [`PathTable::expand`].
    pub fn expand(&mut self) -> Result<String, PathError> {
        PathTable::v1().expand(&std::mem::take(&mut self.segments))
    }

    /// Splits a path into segments, which [`PathCodes::segment`] returns. Returns their number.
    ///
    /// # Errors
    ///
    /// The errors of [`PathTable::compress`].
    pub fn compress(&mut self, path: &str) -> Result<usize, PathError> {
        self.segments = PathTable::v1().compress(path)?;
        Ok(self.segments.len())
    }

    /// Returns the segment at this index and leaves an empty one. The last one clears them all.
    pub fn segment(&mut self, place: usize) -> String {
        let segment = self.segments.get_mut(place).map(std::mem::take).unwrap_or_default();
        if place + 1 >= self.segments.len() {
            self.segments = Vec::new();
        }
        segment
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_go_in_and_come_out_one_by_one_and_stay_nowhere() {
        let mut codes = PathCodes::default();
        let segments = ["9", "!r:h", "m.room.message", "1"];
        segments.into_iter().for_each(|segment| codes.add(segment));
        let path = codes.expand().unwrap();
        assert_eq!(path, "/_matrix/client/r0/rooms/!r:h/send/m.room.message/1");
        assert_eq!(codes.expand(), Err(PathError::Empty), "they were for one call");
        assert_eq!(codes.compress(&path), Ok(4));
        for (place, segment) in segments.into_iter().enumerate() {
            assert_eq!(codes.segment(place), segment);
        }
        assert_eq!(codes.segment(0), "");
        codes.add("7");
        assert_eq!(codes.expand().as_deref(), Ok("/_matrix/client/r0/sync"));
    }

    #[test]
    fn the_table_is_listed_place_by_place() {
        assert_eq!((PathCodes::code(0), PathCodes::path(0)), ('0' as i32, "/_matrix/client/versions"));
        assert_eq!(
            ((0..).take_while(|place| PathCodes::code(*place) >= 0)).count(),
            PathTable::v1().iter().len()
        );
        assert_eq!(PathCodes::path(57), "");
    }
}
