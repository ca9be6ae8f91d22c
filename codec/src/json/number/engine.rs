//! Converts decimal numbers to the nearest float with JavaScript's engine, for modules that every page
//! fetches anew (feature `small`): the standard library needs a table of ten kilobytes that does not
//! compress.
//!
//! ECMA-262 (`StringToNumber`) lets an engine round after the twentieth digit first; no engine that runs
//! WebAssembly does so.

use wasm_bindgen::prelude::wasm_bindgen;

#[wasm_bindgen]
extern "C" {
    /// Parses a number. The texts that `Number` takes include JSON's numbers; it rounds correctly.
    #[wasm_bindgen(js_name = Number)]
    pub(super) fn nearest(number: &str) -> f64;
}
