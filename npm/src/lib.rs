//! What the npm package `lowband-codec` runs: the codec, callable from JavaScript with as few copies
//! as can be.
//!
//! ```text
//! JavaScript ─ numbers ─┬─▶ module ─▶ one_shot, push, path_codes ─▶ settings, tables, buffers, refusal ─▶ codec
//!            ─ bytes ───┘
//! ```
//!
//! [`module`] is the shell of wasm-bindgen, which decides nothing. Each page that uses the package fetches
//! all of this, so it is kept small: no formatting of the standard library's (sentences are put together, or
//! stand on JavaScript's side), a small allocator, floats read by the engine, and of the codec one copy of
//! what is not hot (its feature `small`).
//!
//! Bytes do not pass through wasm-bindgen: JavaScript writes them to where [`buffers::Input`] says, once, and
//! copies the result from where it stands, once.
//!
//! Deliberately absent: JavaScript objects (a library that builds them from CBOR is no
//! slower), files, fetching.

pub mod buffers;
pub mod module;
pub mod one_shot;
pub mod path_codes;
pub mod push;
pub mod refusal;
pub mod repairs;
pub mod settings;
pub mod tables;
