//! Where a push encoder is in the grammar.

/// What may come next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expect {
    Value,
    /// Behind `[`: a value or `]`.
    FirstElement,
    /// Behind a comma in an array.
    Element,
    /// Behind `{`: a key or `}`.
    FirstKey,
    /// Behind a comma in an object.
    Key,
    Colon,
    CommaOrEnd,
    /// The value is complete.
    Nothing,
}
