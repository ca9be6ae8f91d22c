//! The Rust part of the page and of the browser extension: CBOR annotated, JSON and CBOR converted, captures
//! read, callable from JavaScript.
//!
//! ```text
//! bytes ─▶ annotated ─▶ places of all items, as numbers ─▶ JavaScript marks and scrolls by itself
//!                    ─▶ words of some items, as JSON    ─▶ it asks for the rows that it shows
//! bytes ─▶ converted ─▶ bytes, or the place and the sentence of a mistake
//! file  ─▶ capture   ─▶ lines of JSON as exchanges settle; where the file has what details need
//! ```
//!
//! Nothing here throws: what is wrong with an input is a part of the answer. Places in a text count as
//! JavaScript's strings do, in UTF-16.

pub mod annotated;
pub mod capture;
pub mod converted;
mod json;
mod pieces;
mod sessions;
mod utf16;

/// The allocator: a third of the size of the standard library's.
#[cfg(target_arch = "wasm32")]
#[global_allocator]
static ALLOCATOR: talc::wasm::WasmDynamicTalc = talc::wasm::new_wasm_dynamic_allocator();
