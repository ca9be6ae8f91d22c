//! The position of a push encoder in the grammar.

/// The input that may come next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expect {
    Value,
    /// A value or `]`, after `[`.
    FirstElement,
    /// A value, after a comma in an array.
    Element,
    /// A key or `}`, after `{`.
    FirstKey,
    /// A key, after a comma in an object.
    Key,
    Colon,
    CommaOrEnd,
    /// Nothing: the value is complete.
    Nothing,
}
