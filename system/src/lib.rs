//! The requests that both ends of the wire make of the operating system in the same way: sockets, files, the
//! heap, variables.

pub mod fragmentation;
pub mod heap;
pub mod secret_file;
pub mod variables;
