//! The ends of documents: the same in pieces as in one, those of CBOR the annotator's, those of JSON where
//! the encoder takes a text.
//!
//! One byte of choices, then CBOR items or JSON texts; each input is tried as both.

use lowband_codec::annotate::{Annotated, Options, Role};
use lowband_codec::sequence::{CborItems, JsonTexts, Step, items};
use lowband_codec::{Error, ErrorKind, json_to_cbor};
use std::ops::Range;

/// Depth that no input reaches.
const DEEP: usize = usize::MAX;

pub fn run(data: &[u8]) {
    let Some((choices, input)) = data.split_first() else { return };
    let size = usize::from(choices & 15) + 1;
    cbor(input, size);
    json(input, size);
}

fn cbor(input: &[u8], size: usize) {
    let (mut ranges, mut error) = (Vec::new(), None);
    for item in items(input, DEEP) {
        assert_eq!(error, None, "nothing follows an error");
        match item {
            Ok(range) => ranges.push(range),
            Err(found) => error = Some(found),
        }
    }
    let (mut search, mut start, mut in_pieces, mut failed) = (CborItems::new(DEEP), 0, Vec::new(), None);
    let pushed = pieces(input, size, |piece| {
        let step = search.push(piece)?;
        if step.ended {
            in_pieces.push(start..search.offset());
            start = search.offset();
        }
        Ok(step)
    });
    if let Err(found) = pushed {
        failed = Some(found);
    } else if search.is_inside() {
        failed = Some(Error { kind: ErrorKind::UnexpectedEnd, offset: input.len() });
    }
    assert_eq!((&in_pieces, failed), (&ranges, error));
    let annotated = Annotated::new(input, Options { sequence: true, ..Options::default() });
    if annotated.error().is_none_or(|error| error.kind != ErrorKind::TooDeep) {
        let whole = annotated.items().iter().filter(|item| item.role == Role::Whole && !item.cut);
        assert!(whole.map(|item| item.bytes()).eq(ranges), "as the annotator");
        assert_eq!(annotated.error(), error);
    }
}

fn json(input: &[u8], size: usize) {
    let whole = texts(input, usize::MAX);
    assert_eq!(texts(input, size), whole);
    if json_to_cbor(input).is_ok() {
        assert_eq!(whole.len(), 1, "one text that is JSON is one");
    }
}

fn texts(input: &[u8], size: usize) -> Vec<Range<usize>> {
    let (mut search, mut ranges, mut at, mut began) = (JsonTexts::new(), Vec::new(), 0, None);
    let pushed = pieces(input, size, |piece| {
        let step = search.push(piece);
        at += step.skipped;
        if step.taken > 0 {
            began.get_or_insert(at);
        }
        at += step.taken;
        if step.ended {
            ranges.extend(began.take().map(|from| from..at));
        }
        Ok(step)
    });
    assert_eq!((pushed, at), (Ok(()), input.len()));
    assert_eq!(began.is_some(), search.is_inside());
    ranges.extend(began.map(|from| from..at));
    ranges
}

/// Gives the input in pieces, each until it is used up.
fn pieces(
    input: &[u8],
    size: usize,
    mut push: impl FnMut(&[u8]) -> Result<Step, Error>,
) -> Result<(), Error> {
    for mut piece in input.chunks(size.min(input.len().max(1))) {
        while !piece.is_empty() {
            let step = push(piece)?;
            assert!(step.ended || step.skipped + step.taken == piece.len(), "{step:?}");
            piece = &piece[step.skipped + step.taken..];
        }
    }
    Ok(())
}
