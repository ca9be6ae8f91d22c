//! The float nearest to a decimal number, as JavaScript's engine reads it, for modules that every page
//! fetches anew (feature `small`): the standard library's way needs a table of ten kilobytes that no
//! compression makes smaller.
//!
//! ECMA-262 (`StringToNumber`) lets an engine round the digits behind the twentieth first; none that
//! runs WebAssembly does.

use wasm_bindgen::prelude::wasm_bindgen;

#[wasm_bindgen]
extern "C" {
    /// JSON's numbers are among the texts that `Number` takes; it rounds correctly.
    #[wasm_bindgen(js_name = Number)]
    pub(super) fn nearest(number: &str) -> f64;
}
