//! The Rust part of the npm package `lowband-codec`: the codec, callable from JavaScript with as few copies
//! as possible.
//!
//! ```text
//! JavaScript ─ numbers ─┬─▶ module ─▶ one_shot, push, path_codes ─▶ settings, tables, buffers, refusal ─▶ codec
//!            ─ bytes ───┘
//! ```
//!
//! [`module`] is the shell of wasm-bindgen, which decides nothing. Each page that uses the package fetches
//! all of this, so it is kept small: no formatting from the standard library (sentences are concatenated, or
//! kept on JavaScript's side), a small allocator, floats parsed by the engine, and one copy of each part of
//! the codec that is not hot (its feature `small`).
//!
//! Bytes do not pass through wasm-bindgen: JavaScript writes them once, to the address from
//! [`buffers::Input`], and copies the result once, from its address.
//!
//! Deliberately absent: JavaScript objects, which JavaScript itself writes and reads faster than they could
//! cross over; files, fetching.

pub mod buffers;
pub mod module;
pub mod one_shot;
pub mod path_codes;
pub mod push;
pub mod refusal;
pub mod repairs;
pub mod settings;
pub mod tables;
