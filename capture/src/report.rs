//! What people and programs are shown of a capture: lines, JSON, totals. No I/O here either.
//!
//! ```text
//! Exchange -> Filter -> text::line | json::exchange   -> and into Totals, with what HTTPS would have cost
//! Unread, faults -> Faults: by reason, with frames
//! ```
//!
//! What is secret is left out in one place, [`hide`], unless it is asked for.

mod faults;
mod filter;
pub mod hide;
pub mod https;
pub mod json;
mod others;
mod printable;
pub mod text;
mod totals;

pub use faults::{Faults, MOST_FRAMES, MOST_REASONS};
pub use filter::{Code, Filter, Path, Peer};
pub use others::Others;
pub use printable::controls_terminal;
pub use totals::Totals;
