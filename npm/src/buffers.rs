//! The memory that JavaScript writes to and reads from: kept from call to call, given back when it has grown
//! large.
//!
//! The memory of a wasm module never shrinks, so memory that one large document needed stays with the module;
//! giving the buffers back lets the next large document use the same memory instead of more.

/// Bytes of either buffer that are kept: most documents fit, and a page that talks to a homeserver does not
/// miss them.
pub const KEPT_BYTES: usize = 1 << 20;

/// The input of the next call. It keeps its full length, since JavaScript writes into it before Rust knows
/// the length.
#[derive(Debug, Default)]
pub struct Input(Vec<u8>);

impl Input {
    /// Makes room for `len` bytes and returns its address; `None` if there is no memory for it. Bytes written
    /// before are still there, at the new address. The room stays there until the next call of this function.
    pub fn room(&mut self, len: usize) -> Option<*mut u8> {
        if self.0.len() > KEPT_BYTES && len <= KEPT_BYTES {
            self.0.truncate(KEPT_BYTES);
            self.0.shrink_to_fit();
        }
        if let Some(more) = len.checked_sub(self.0.len()) {
            self.0.try_reserve_exact(more).ok()?;
            self.0.resize(len, 0);
        }
        Some(self.0.as_mut_ptr())
    }

    /// Returns the bytes that the room holds.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns true if there is no room yet.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the first `len` bytes; `None` if the room is smaller.
    pub fn written(&self, len: usize) -> Option<&[u8]> {
        self.0.get(..len)
    }
}

/// Input and output of one module.
#[derive(Debug, Default)]
pub struct Buffers {
    input: Input,
    output: Vec<u8>,
}

impl Buffers {
    /// Makes room for `len` bytes of input. Returns `None` if they are more than `largest` or if there is no
    /// memory for them. In that case nothing need be written: the call with this length is refused.
    pub fn room(&mut self, len: usize, largest: usize) -> Option<*mut u8> {
        // JavaScript requests more than a short text may need.
        if len > largest.max(KEPT_BYTES) { None } else { self.input.room(len) }
    }

    /// Returns the bytes for which the input has room.
    pub fn input_len(&self) -> usize {
        self.input.len()
    }

    /// Returns the first `len` bytes of the input and the emptied output; `None` if the room is smaller.
    pub fn take(&mut self, len: usize) -> (Option<&[u8]>, &mut Vec<u8>) {
        self.output.clear();
        self.output.shrink_to(KEPT_BYTES);
        (self.input.written(len), &mut self.output)
    }

    /// Returns the first `len` bytes of the input as a short text. JavaScript writes only UTF-8, of the
    /// stated length; for anything else the text is empty.
    pub fn text(&self, len: usize) -> &str {
        self.input.written(len).and_then(|text| str::from_utf8(text).ok()).unwrap_or_default()
    }

    /// Writes a short text as output and returns its length.
    pub fn answer(&mut self, text: &str) -> usize {
        let (_, output) = self.take(0);
        output.extend_from_slice(text.as_bytes());
        text.len()
    }

    /// Returns the output of the last call.
    pub fn output(&self) -> &[u8] {
        &self.output
    }

    /// Writes the input of the next call, as JavaScript does.
    #[cfg(test)]
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.input.0 = bytes.to_vec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_stays_when_the_room_grows_and_when_less_is_asked_for() {
        let mut input = Input::default();
        assert!(input.is_empty() && input.written(10).is_none());
        assert!(input.room(4).is_some());
        input.0.copy_from_slice(b"abcd");
        assert!(input.room(1000).is_some());
        assert_eq!((input.len(), input.written(4)), (1000, Some(b"abcd".as_slice())));
        assert!(input.room(2).is_some());
        assert_eq!((input.len(), input.written(2)), (1000, Some(b"ab".as_slice())));
        assert_eq!(input.written(1001), None);
    }

    #[test]
    fn large_buffers_are_given_back() {
        let mut input = Input::default();
        assert!(input.room(3 * KEPT_BYTES).is_some());
        assert!(input.room(2 * KEPT_BYTES).is_some());
        assert_eq!(input.len(), 3 * KEPT_BYTES, "no copying back and forth between two large documents");
        assert!(input.room(10).is_some());
        assert_eq!(input.len(), KEPT_BYTES);
        let mut buffers = Buffers { output: vec![0; 3 * KEPT_BYTES], ..Buffers::default() };
        let (_, output) = buffers.take(0);
        assert!(output.is_empty() && output.capacity() < 2 * KEPT_BYTES);
    }

    #[test]
    fn a_limit_below_what_is_kept_anyway_does_not_refuse_room() {
        let mut buffers = Buffers::default();
        assert!(buffers.room(18, 6).is_some(), "a text of six UTF-16 units may have 18 bytes");
        assert_eq!(buffers.room(KEPT_BYTES + 1, 6), None);
        assert_eq!(buffers.input_len(), 18);
    }

    #[test]
    fn short_texts_go_in_and_out() {
        let mut buffers = Buffers::default();
        assert_eq!(buffers.text(4), "");
        assert!(buffers.room(4, 4).is_some());
        buffers.input.0.copy_from_slice(b"ab\xff\xff");
        assert_eq!((buffers.text(2), buffers.text(3)), ("ab", ""));
        assert_eq!((buffers.answer("xyz"), buffers.output()), (3, b"xyz".as_slice()));
    }

    #[test]
    fn more_than_there_can_be_is_refused() {
        assert_eq!(Input::default().room(usize::MAX), None);
    }
}
