//! What both ends of the wire do in the same way for who runs them: requests of the operating system
//! (sockets, files, the heap, variables), and numbers as operators write them.

pub mod fragmentation;
pub mod heap;
pub mod scaled;
pub mod secret_file;
pub mod variables;
