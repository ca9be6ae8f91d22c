//! The position of a push decoder in the grammar.

/// The input that may come next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expect {
    /// The item, or a self-described tag before it.
    Start,
    Value,
    /// An element or a break: an array of indefinite length has opened.
    FirstElement,
    /// A key or a break: a map of indefinite length has opened.
    FirstKey,
    Key,
    /// What the innermost container allows after a complete value.
    More,
    /// The rest of a text or of one of its chunks.
    Text,
    /// A chunk of an indefinite-length text or a break.
    Chunk,
    /// Nothing: the item is complete.
    Nothing,
}
