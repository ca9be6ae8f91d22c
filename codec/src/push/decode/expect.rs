//! Where a push decoder is in the grammar.

/// What may come next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expect {
    /// The item, or a self-described tag before it.
    Start,
    Value,
    /// An array of indefinite length has opened: an element or a break.
    FirstElement,
    /// A map of indefinite length has opened: a key or a break.
    FirstKey,
    Key,
    /// A value is complete: what follows depends on the innermost container.
    More,
    /// Inside a text or a chunk of one.
    Text,
    /// A chunk of an indefinite-length text or a break.
    Chunk,
    /// The item is complete.
    Nothing,
}
