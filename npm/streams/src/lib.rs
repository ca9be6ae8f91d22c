//! All that JavaScript can call for documents in pieces, in the way of the module for whole ones: only numbers pass, bytes and
//! texts go through the input and the output, and what was refused is a -1.

use lowband_npm::buffers::{Buffers, KEPT_BYTES};
use lowband_npm::push::{MAX_PIECE, Push};
use lowband_npm::refusal::Refusal;
use lowband_npm::repairs;
use lowband_npm::settings::{Bounds, Settings};
use lowband_npm::tables::{Draft, Tables};
use wasm_bindgen::prelude::wasm_bindgen;

/// One document in pieces.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Stream(Push);

#[wasm_bindgen]
impl Stream {
    /// [`repairs::repaired`] so far.
    pub fn repaired(&self, place: usize) -> f64 {
        repairs::repaired(&self.0.repairs(), place)
    }
}

/// The one object of a module.
#[wasm_bindgen]
#[derive(Debug, Default)]
pub struct Streams {
    buffers: Buffers,
    tables: Tables,
    draft: Draft,
    refusal: Refusal,
}

#[wasm_bindgen]
impl Streams {
    /// No stream yet.
    #[wasm_bindgen(constructor)]
    pub fn new() -> Streams {
        Streams::default()
    }

    /// [`Buffers::room`]; 0 for none.
    pub fn input(&mut self, len: usize) -> *mut u8 {
        self.buffers.room(len, MAX_PIECE).unwrap_or(std::ptr::null_mut())
    }

    /// [`Buffers::input_len`].
    pub fn input_len(&self) -> usize {
        self.buffers.input_len()
    }

    /// [`KEPT_BYTES`].
    pub fn kept_bytes(&self) -> usize {
        KEPT_BYTES
    }

    /// [`MAX_PIECE`].
    pub fn max_piece(&self) -> usize {
        MAX_PIECE
    }

    /// Where the output of the last call begins.
    pub fn output(&self) -> *const u8 {
        self.buffers.output().as_ptr()
    }

    /// [`Draft::begin`].
    pub fn begin_table(&mut self, title_len: usize) {
        self.draft.begin(self.buffers.text(title_len));
    }

    /// [`Draft::add`].
    pub fn add_key(&mut self, name_len: usize, integer: f64) {
        self.draft.add(self.buffers.text(name_len), integer);
    }

    /// [`Tables::add`]: the table's number, or -1.
    pub fn end_table(&mut self) -> i32 {
        let added = self.tables.add(std::mem::take(&mut self.draft));
        self.refusal.or_length(added.map(|number| number as usize))
    }

    /// [`Push::encoder`]; none if the choices were refused.
    pub fn encoder(
        &mut self,
        keys: u32,
        policy: u32,
        max_input: Option<u32>,
        max_output: Option<u32>,
        max_depth: Option<u32>,
        max_depth_lenient: Option<u32>,
    ) -> Option<Stream> {
        let bounds = Bounds { max_input, max_output, max_depth, max_depth_lenient };
        let settings = self.settings(keys, policy, bounds)?;
        Some(Stream(Push::encoder(settings, &self.tables)))
    }

    /// [`Push::decoder`]; none if the choices were refused.
    pub fn decoder(
        &mut self,
        keys: u32,
        max_input: Option<u32>,
        max_output: Option<u32>,
        max_depth: Option<u32>,
    ) -> Option<Stream> {
        let bounds = Bounds { max_input, max_output, max_depth, ..Bounds::default() };
        let settings = self.settings(keys, 0, bounds)?;
        Some(Stream(Push::decoder(settings, &self.tables)))
    }

    /// [`Push::push`]: the length of the output, or -1.
    pub fn push(&mut self, stream: &mut Stream, len: usize) -> i32 {
        let pushed = stream.0.push(len, &mut self.buffers);
        self.refusal.or_length(pushed.map(|()| self.buffers.output().len()))
    }

    /// [`Push::finish`]: the length of the output, or -1.
    pub fn finish(&mut self, stream: &mut Stream) -> i32 {
        let finished = stream.0.finish(&mut self.buffers);
        self.refusal.or_length(finished.map(|()| self.buffers.output().len()))
    }

    /// The word for the last -1: the length of the output.
    pub fn refusal_kind(&mut self) -> usize {
        self.buffers.answer(self.refusal.kind())
    }

    /// The sentence for the last -1: the length of the output.
    pub fn refusal_message(&mut self) -> usize {
        self.buffers.answer(&self.refusal.message())
    }

    /// The place of the last -1, in bytes.
    pub fn refusal_offset(&self) -> usize {
        self.refusal.offset()
    }

    fn settings(&mut self, keys: u32, policy: u32, bounds: Bounds) -> Option<Settings> {
        match Settings::new(keys, policy, 0, bounds, &self.tables) {
            Ok(settings) => Some(settings),
            Err(sentence) => {
                self.refusal = sentence.into();
                None
            }
        }
    }
}
