//! What both ends of the wire ask of the operating system, and in the same way: sockets, files, the heap.

pub mod fragmentation;
pub mod heap;
pub mod secret_file;
