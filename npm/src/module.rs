//! All functions that JavaScript can call: each delegates to the part that decides. The package's own
//! interface is JavaScript on top of these.
//!
//! Only numbers pass. Bytes and texts go through the input and the output, whose lengths the functions take
//! or return; a refusal is a -1, whose reason is requested afterwards. So a call costs some ten nanoseconds,
//! and the module holds none of the code that turns strings, lists and exceptions into JavaScript's.

use crate::buffers::KEPT_BYTES;
use crate::one_shot::OneShot;
use crate::path_codes::PathCodes;
use crate::push::{MAX_PIECE, Push};
use crate::refusal::Refusal;
use crate::repairs;
use crate::settings::{Bounds, Settings};
use crate::tables::{Draft, Tables};
use lowband_codec::{Limits, Repairs};
use std::cell::Cell;
use wasm_bindgen::prelude::wasm_bindgen;

/// The allocator: a third of the size of the standard library's.
#[cfg(target_arch = "wasm32")]
#[global_allocator]
static ALLOCATOR: talc::wasm::WasmDynamicTalc = talc::wasm::new_wasm_dynamic_allocator();

/// The state kept between calls.
struct Codec {
    tables: Tables,
    draft: Draft,
    one_shot: OneShot,
    path_codes: PathCodes,
    repairs: Repairs,
    refusal: Refusal,
}

impl Codec {
    /// Makes the initial state: strict, key table v1, default limits.
    #[inline(never)]
    fn new() -> Codec {
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
}

/// Runs `call` on the state. A module has one thread, and no call comes while another runs: the only
/// JavaScript called here is `Number`.
fn with<T>(call: impl FnOnce(&mut Codec) -> T) -> T {
    thread_local! {
        // The state is never freed, so that nothing has to be done when the thread ends.
        static CODEC: Cell<Option<&'static mut Codec>> = const { Cell::new(None) };
    }
    let codec = CODEC.take().unwrap_or_else(|| Box::leak(Box::new(Codec::new())));
    let answer = call(codec);
    CODEC.set(Some(codec));
    answer
}

/// A document in pieces.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Stream(Push);

#[wasm_bindgen]
impl Stream {
    /// Returns [`repairs::repaired`] so far.
    pub fn repaired(&self, place: usize) -> f64 {
        repairs::repaired(&self.0.repairs(), place)
    }
}

/// Returns the address from [`OneShot::input`]; 0 if there is none.
#[wasm_bindgen]
pub fn input(len: usize) -> *mut u8 {
    with(|codec| codec.one_shot.input(len).unwrap_or(std::ptr::null_mut()))
}

/// Returns the room of the input, see [`crate::buffers::Buffers::input_len`].
#[wasm_bindgen]
pub fn input_len() -> usize {
    with(|codec| codec.one_shot.buffers.input_len())
}

/// Returns the constant [`KEPT_BYTES`], for JavaScript.
#[wasm_bindgen]
pub fn kept_bytes() -> usize {
    KEPT_BYTES
}

/// Returns the constant [`MAX_PIECE`], for JavaScript.
#[wasm_bindgen]
pub fn max_piece() -> usize {
    MAX_PIECE
}

/// Returns the address at which the output of the last call begins.
#[wasm_bindgen]
pub fn output() -> *const u8 {
    with(|codec| codec.one_shot.buffers.output().as_ptr())
}

/// Returns the length of the output, for calls that return something else.
#[wasm_bindgen]
pub fn output_len() -> usize {
    with(|codec| codec.one_shot.buffers.output().len())
}

/// Runs [`OneShot::set_encoding`]; returns 0 or -1.
#[allow(clippy::too_many_arguments, reason = "numbers cost nothing on the way from JavaScript, objects do")]
#[wasm_bindgen]
pub fn set_encoding(
    keys: u32,
    policy: u32,
    order: u32,
    max_input: Option<u32>,
    max_output: Option<u32>,
    max_depth: Option<u32>,
) -> i32 {
    with(|codec| {
        let bounds = Bounds { max_input, max_output, max_depth };
        let settings = Settings::new(keys, policy, order, bounds, Limits::ENCODE, &codec.tables);
        let set = settings.map(|settings| codec.one_shot.set_encoding(settings, &codec.tables));
        codec.refusal.or_length(set.map(|()| 0))
    })
}

/// Runs [`OneShot::set_decoding`]; returns 0 or -1.
#[wasm_bindgen]
pub fn set_decoding(
    keys: u32,
    max_input: Option<u32>,
    max_output: Option<u32>,
    max_depth: Option<u32>,
) -> i32 {
    with(|codec| {
        let bounds = Bounds { max_input, max_output, max_depth };
        let settings = Settings::new(keys, 0, 0, bounds, Limits::DECODE, &codec.tables);
        let set = settings.map(|settings| codec.one_shot.set_decoding(settings, &codec.tables));
        codec.refusal.or_length(set.map(|()| 0))
    })
}

/// Runs [`OneShot::encode`]; returns the length of the output, or -1.
#[wasm_bindgen]
pub fn encode(len: usize) -> i32 {
    with(|codec| {
        let encoded = codec.one_shot.encode(len).map(|repairs| codec.repairs = repairs);
        codec.refusal.or_length(encoded.map(|()| codec.one_shot.buffers.output().len()))
    })
}

/// Runs [`OneShot::decode`]; returns the length of the output, or -1.
#[wasm_bindgen]
pub fn decode(len: usize) -> i32 {
    with(|codec| {
        let decoded = codec.one_shot.decode(len);
        codec.refusal.or_length(decoded.map(|_| codec.one_shot.buffers.output().len()))
    })
}

/// Runs [`OneShot::decode_sequence`]; returns the length of the output, or -1.
#[wasm_bindgen]
pub fn decode_sequence(len: usize) -> i32 {
    with(|codec| {
        let decoded = codec.one_shot.decode_sequence(len);
        codec.refusal.or_length(decoded.map(|()| codec.one_shot.buffers.output().len()))
    })
}

/// Runs [`OneShot::diagnose`]; returns the length of the output, or -1.
#[wasm_bindgen]
pub fn diagnose(len: usize, pretty: bool) -> i32 {
    with(|codec| {
        let written = codec.one_shot.diagnose(len, pretty, &codec.tables);
        codec.refusal.or_length(written.map(|()| codec.one_shot.buffers.output().len()))
    })
}

/// Runs [`OneShot::decode`] for `integer_keys`; returns 0, 1 or -1.
#[wasm_bindgen]
pub fn uses_integer_keys(len: usize) -> i32 {
    with(|codec| {
        let decoded = codec.one_shot.decode(len);
        codec.refusal.or_length(decoded.map(|decoded| usize::from(decoded.integer_keys)))
    })
}

/// Returns [`repairs::repaired`] of the last successful [`encode`].
#[wasm_bindgen]
pub fn repaired(place: usize) -> f64 {
    with(|codec| repairs::repaired(&codec.repairs, place))
}

/// Runs [`Push::encoder`]; returns none if the settings were refused.
#[wasm_bindgen]
pub fn encoder(
    keys: u32,
    policy: u32,
    max_input: Option<u32>,
    max_output: Option<u32>,
    max_depth: Option<u32>,
) -> Option<Stream> {
    with(|codec| {
        let bounds = Bounds { max_input, max_output, max_depth };
        let settings =
            codec.refusal.or_none(Settings::new(keys, policy, 0, bounds, Limits::ENCODE, &codec.tables))?;
        Some(Stream(Push::encoder(settings, &codec.tables)))
    })
}

/// Runs [`Push::decoder`]; returns none if the settings were refused.
#[wasm_bindgen]
pub fn decoder(
    keys: u32,
    max_input: Option<u32>,
    max_output: Option<u32>,
    max_depth: Option<u32>,
) -> Option<Stream> {
    with(|codec| {
        let bounds = Bounds { max_input, max_output, max_depth };
        let settings =
            codec.refusal.or_none(Settings::new(keys, 0, 0, bounds, Limits::DECODE, &codec.tables))?;
        Some(Stream(Push::decoder(settings, &codec.tables)))
    })
}

/// Runs [`Push::push`]; returns the length of the output, or -1.
#[wasm_bindgen]
pub fn push(stream: &mut Stream, len: usize) -> i32 {
    with(|codec| {
        let pushed = stream.0.push(len, &mut codec.one_shot.buffers);
        codec.refusal.or_length(pushed.map(|()| codec.one_shot.buffers.output().len()))
    })
}

/// Runs [`Push::finish`]; returns the length of the output, or -1.
#[wasm_bindgen]
pub fn finish(stream: &mut Stream) -> i32 {
    with(|codec| {
        let finished = stream.0.finish(&mut codec.one_shot.buffers);
        codec.refusal.or_length(finished.map(|()| codec.one_shot.buffers.output().len()))
    })
}

/// Begins a key table, see [`Draft::begin`].
#[wasm_bindgen]
pub fn begin_table(title_len: usize) {
    with(|codec| codec.draft.begin(codec.one_shot.buffers.text(title_len)))
}

/// Adds a key to the table begun last, see [`Draft::add`].
#[wasm_bindgen]
pub fn add_key(name_len: usize, integer: f64) {
    with(|codec| codec.draft.add(codec.one_shot.buffers.text(name_len), integer))
}

/// Runs [`Tables::add`]; returns the table's number, or -1.
#[wasm_bindgen]
pub fn end_table() -> i32 {
    with(|codec| {
        let added = codec.tables.add(std::mem::take(&mut codec.draft));
        codec.refusal.or_length(added.map(|number| number as usize))
    })
}

/// Runs [`Tables::v1_integer`], with the name as output; returns -1 after the last.
#[wasm_bindgen]
pub fn v1_key(place: usize) -> i32 {
    with(|codec| {
        codec.one_shot.buffers.answer(Tables::v1_name(place));
        Tables::v1_integer(place)
    })
}

/// Runs [`PathCodes::code`], with the path as output; returns -1 after the last.
#[wasm_bindgen]
pub fn v1_path(place: usize) -> i32 {
    with(|codec| {
        codec.one_shot.buffers.answer(PathCodes::path(place));
        PathCodes::code(place)
    })
}

/// Adds a segment of a path, see [`PathCodes::add`].
#[wasm_bindgen]
pub fn add_segment(len: usize) {
    with(|codec| codec.path_codes.add(codec.one_shot.buffers.text(len)))
}

/// Runs [`PathCodes::expand`]; returns the length of the output, or -1.
#[wasm_bindgen]
pub fn expand() -> i32 {
    with(|codec| {
        let path = codec.path_codes.expand();
        codec.refusal.or_length(path.map(|path| codec.one_shot.buffers.answer(&path)))
    })
}

/// Runs [`PathCodes::compress`]; returns the number of segments, or -1.
#[wasm_bindgen]
pub fn compress(len: usize) -> i32 {
    with(|codec| codec.refusal.or_length(codec.path_codes.compress(codec.one_shot.buffers.text(len))))
}

/// Runs [`PathCodes::segment`]; returns the length of the output.
#[wasm_bindgen]
pub fn segment(place: usize) -> usize {
    with(|codec| codec.one_shot.buffers.answer(&codec.path_codes.segment(place)))
}

/// Returns [`Refusal::kind`] of the last -1.
#[wasm_bindgen]
pub fn refusal_kind() -> i32 {
    with(|codec| codec.refusal.kind())
}

/// Writes [`Refusal::path_kind`] of the last -1; returns the length of the output.
#[wasm_bindgen]
pub fn refusal_path_kind() -> usize {
    with(|codec| codec.one_shot.buffers.answer(codec.refusal.path_kind()))
}

/// Writes [`Refusal::message`] of the last -1; returns the length of the output.
#[wasm_bindgen]
pub fn refusal_message() -> usize {
    with(|codec| codec.one_shot.buffers.answer(&codec.refusal.message()))
}

/// Returns the offset of the last -1, in bytes.
#[wasm_bindgen]
pub fn refusal_offset() -> usize {
    with(|codec| codec.refusal.offset())
}
