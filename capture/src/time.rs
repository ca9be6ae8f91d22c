//! Points in time as a capture holds them.

/// Nanoseconds since 1970-01-01 00:00 UTC, whatever the resolution of the capture.
///
/// What lies before 1970 or behind the year 2554 is held to these bounds: a capture with such times has a
/// broken clock, and its packets are worth reading all the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub u64);
