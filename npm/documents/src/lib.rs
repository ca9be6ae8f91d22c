//! All that JavaScript can call for whole documents, tables and path codes: each function hands on to what decides. Never the
//! package's own face, which is JavaScript on top of this.
//!
//! Only numbers pass. Bytes and texts go through the input and the output, of which the functions take or give the length;
//! what was refused is a -1, and the reason is asked for afterwards. So a call costs some ten nanoseconds, and the module
//! holds none of the code that turns strings, lists and exceptions into JavaScript's.

use lowband_codec::Repairs;
use lowband_npm::buffers::KEPT_BYTES;
use lowband_npm::one_shot::OneShot;
use lowband_npm::path_codes::PathCodes;
use lowband_npm::refusal::Refusal;
use lowband_npm::repairs;
use lowband_npm::settings::{Bounds, Settings};
use lowband_npm::tables::{Draft, Tables};
use wasm_bindgen::prelude::wasm_bindgen;

/// The one object of a module.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Codec {
    tables: Tables,
    draft: Draft,
    one_shot: OneShot,
    path_codes: PathCodes,
    repairs: Repairs,
    refusal: Refusal,
}

#[wasm_bindgen]
impl Codec {
    /// Strict, key table v1, default limits.
    #[wasm_bindgen(constructor)]
    #[allow(clippy::new_without_default, reason = "JavaScript has no other constructor than this one")]
    pub fn new() -> Codec {
        let tables = Tables::default();
        Codec {
            one_shot: OneShot::new(&tables),
            tables,
            draft: Draft::default(),
            path_codes: PathCodes::default(),
            repairs: Repairs::default(),
            refusal: Refusal::default(),
        }
    }

    /// [`OneShot::input`]; 0 for none.
    pub fn input(&mut self, len: usize) -> *mut u8 {
        self.one_shot.input(len).unwrap_or(std::ptr::null_mut())
    }

    /// [`lowband_npm::buffers::Buffers::input_len`].
    pub fn input_len(&self) -> usize {
        self.one_shot.buffers.input_len()
    }

    /// [`KEPT_BYTES`].
    pub fn kept_bytes(&self) -> usize {
        KEPT_BYTES
    }

    /// Where the output of the last call begins.
    pub fn output(&self) -> *const u8 {
        self.one_shot.buffers.output().as_ptr()
    }

    /// How long it is, for calls that return something else.
    pub fn output_len(&self) -> usize {
        self.one_shot.buffers.output().len()
    }

    /// [`OneShot::set_encoding`]: 0 or -1.
    #[allow(
        clippy::too_many_arguments,
        reason = "numbers cost nothing on the way from JavaScript, objects do"
    )]
    pub fn set_encoding(
        &mut self,
        keys: u32,
        policy: u32,
        order: u32,
        max_input: Option<u32>,
        max_output: Option<u32>,
        max_depth: Option<u32>,
        max_depth_lenient: Option<u32>,
    ) -> i32 {
        let bounds = Bounds { max_input, max_output, max_depth, max_depth_lenient };
        let settings = Settings::new(keys, policy, order, bounds, &self.tables);
        let set = settings.map(|settings| self.one_shot.set_encoding(settings, &self.tables));
        self.refusal.or_length(set.map(|()| 0))
    }

    /// [`OneShot::set_decoding`]: 0 or -1.
    pub fn set_decoding(
        &mut self,
        keys: u32,
        max_input: Option<u32>,
        max_output: Option<u32>,
        max_depth: Option<u32>,
    ) -> i32 {
        let bounds = Bounds { max_input, max_output, max_depth, ..Bounds::default() };
        let settings = Settings::new(keys, 0, 0, bounds, &self.tables);
        let set = settings.map(|settings| self.one_shot.set_decoding(settings, &self.tables));
        self.refusal.or_length(set.map(|()| 0))
    }

    /// [`OneShot::encode`]: the length of the output, or -1.
    pub fn encode(&mut self, len: usize) -> i32 {
        let encoded = self.one_shot.encode(len).map(|repairs| self.repairs = repairs);
        self.refusal.or_length(encoded.map(|()| self.one_shot.buffers.output().len()))
    }

    /// [`OneShot::decode`]: the length of the output, or -1.
    pub fn decode(&mut self, len: usize) -> i32 {
        let decoded = self.one_shot.decode(len);
        self.refusal.or_length(decoded.map(|_| self.one_shot.buffers.output().len()))
    }

    /// [`OneShot::decode`] for `integer_keys`: 0, 1 or -1.
    pub fn uses_integer_keys(&mut self, len: usize) -> i32 {
        let decoded = self.one_shot.decode(len);
        self.refusal.or_length(decoded.map(|decoded| usize::from(decoded.integer_keys)))
    }

    /// [`repairs::repaired`] of the last successful [`Codec::encode`].
    pub fn repaired(&self, place: usize) -> f64 {
        repairs::repaired(&self.repairs, place)
    }

    /// [`Draft::begin`].
    pub fn begin_table(&mut self, title_len: usize) {
        self.draft.begin(self.one_shot.buffers.text(title_len));
    }

    /// [`Draft::add`].
    pub fn add_key(&mut self, name_len: usize, integer: f64) {
        self.draft.add(self.one_shot.buffers.text(name_len), integer);
    }

    /// [`Tables::add`]: the table's number, or -1.
    pub fn end_table(&mut self) -> i32 {
        let added = self.tables.add(std::mem::take(&mut self.draft));
        self.refusal.or_length(added.map(|number| number as usize))
    }

    /// [`Tables::v1_integer`], with the name as output; -1 behind the last.
    pub fn v1_key(&mut self, place: usize) -> i32 {
        self.one_shot.buffers.answer(Tables::v1_name(place));
        Tables::v1_integer(place)
    }

    /// [`PathCodes::code`], with the path as output; -1 behind the last.
    pub fn v1_path(&mut self, place: usize) -> i32 {
        self.one_shot.buffers.answer(PathCodes::path(place));
        PathCodes::code(place)
    }

    /// [`PathCodes::add`].
    pub fn add_segment(&mut self, len: usize) {
        self.path_codes.add(self.one_shot.buffers.text(len));
    }

    /// [`PathCodes::expand`]: the length of the output, or -1.
    pub fn expand(&mut self) -> i32 {
        let path = self.path_codes.expand();
        self.refusal.or_length(path.map(|path| self.one_shot.buffers.answer(&path)))
    }

    /// [`PathCodes::compress`]: the number of segments, or -1.
    pub fn compress(&mut self, len: usize) -> i32 {
        self.refusal.or_length(self.path_codes.compress(self.one_shot.buffers.text(len)))
    }

    /// [`PathCodes::segment`]: the length of the output.
    pub fn segment(&mut self, place: usize) -> usize {
        self.one_shot.buffers.answer(&self.path_codes.segment(place))
    }

    /// The word for the last -1: the length of the output.
    pub fn refusal_kind(&mut self) -> usize {
        self.one_shot.buffers.answer(self.refusal.kind())
    }

    /// The sentence for the last -1: the length of the output.
    pub fn refusal_message(&mut self) -> usize {
        self.one_shot.buffers.answer(&self.refusal.message())
    }

    /// The place of the last -1, in bytes.
    pub fn refusal_offset(&self) -> usize {
        self.refusal.offset()
    }
}
