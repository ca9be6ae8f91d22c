//! Points in time as a capture holds them.

/// Nanoseconds since 1970-01-01 00:00 UTC, whatever the resolution of the capture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub u64);
