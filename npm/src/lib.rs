//! What the npm package `lowband-codec` runs: the codec, callable from JavaScript with as few copies as can be.
//!
//! ```text
//!                       ┌ documents ─▶ one_shot, path_codes ┐
//! JavaScript ─ numbers ─┤                                   ├─▶ settings, tables, buffers, refusal ─▶ codec
//!            ─ bytes ───┴ streams ───▶ push ────────────────┘
//! ```
//!
//! Two modules are made of it, each by a shell of wasm-bindgen that decides nothing: `documents`, which every user of the package
//! fetches, and `streams`, which is fetched with the first stream. Together they would be half as large again as a page
//! should wait for.
//!
//! Bytes do not pass through wasm-bindgen: JavaScript writes them to where [`buffers::Input`] says, once, and copies the result
//! from where it stands, once.
//!
//! Deliberately absent: JavaScript objects (a library that builds them from CBOR is no slower), files, fetching.

pub mod buffers;
pub mod one_shot;
pub mod path_codes;
pub mod push;
pub mod refusal;
pub mod repairs;
pub mod settings;
pub mod tables;
