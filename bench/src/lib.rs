//! What the benchmarks of the sidecar share: clients without number, an upstream that costs little, and what
//! the kernel counts.

pub mod fleet;
pub mod stub;
pub mod usage;
