//! `make demo` and `make down`.

mod down;
mod options;
mod table;
mod up;

pub use down::down;
pub use options::{Command, Options, Up};
pub use up::up;
