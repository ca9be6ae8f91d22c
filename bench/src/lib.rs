//! What the benchmarks of the sidecar share: clients in large numbers, an upstream that costs little, and
//! figures that the kernel counts.

pub mod fleet;
pub mod pipeline;
pub mod stub;
pub mod usage;
