//! A file of a capture: the same items however it is cut, each at the place in the file that it tells.
//!
//! One byte of where to cut, then a file.

use crate::dice::Dice;
use lowband_capture::file::{FileFault, Item, LARGEST_PACKET, Packet, Reader, Unreadable};

#[derive(Debug, PartialEq, Eq)]
enum Said {
    Packet { frame: u64, offset: u64, time: u64, link: u32, bytes: Vec<u8>, length: usize },
    Secrets(Vec<u8>),
    Unreadable { frame: u64, offset: u64, why: FileFault },
}

pub fn run(data: &[u8]) {
    let [cuts, file @ ..] = data else { return };
    let whole = read([file]);
    let mut dice = Dice::new(u64::from(*cuts));
    for longest in [1, 20, 300] {
        let mut pieces = Vec::new();
        let mut rest = file;
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at(dice.below(longest + 1).min(rest.len()));
            pieces.push(piece);
            rest = behind;
        }
        assert_eq!(read(pieces), whole, "in pieces of at most {longest}");
    }
    check(file, &whole);
}

fn read<'p>(pieces: impl IntoIterator<Item = &'p [u8]>) -> Vec<Said> {
    let mut reader = Reader::new();
    let mut said = Vec::new();
    let mut note = |item: Item<'_>| {
        said.push(match item {
            Item::Packet(Packet { frame, offset, time, link, bytes, length }) => {
                Said::Packet { frame, offset, time: time.0, link: link.0, bytes: bytes.to_vec(), length }
            }
            Item::Secrets(text) => Said::Secrets(text.to_vec()),
            Item::Unreadable(Unreadable { frame, offset, why }) => Said::Unreadable { frame, offset, why },
        });
    };
    for piece in pieces {
        reader.push(piece, &mut note);
    }
    reader.finish(&mut note);
    assert!(reader.has_ended());
    said
}

fn check(file: &[u8], said: &[Said]) {
    let (mut last_frame, mut last_offset) = (0, 0);
    for item in said {
        match item {
            Said::Packet { frame, offset, bytes, length, .. } => {
                assert!(*frame > last_frame && *offset >= last_offset);
                assert!(bytes.len() <= (*length).min(LARGEST_PACKET));
                assert_eq!(&file[*offset as usize..][..bytes.len()], bytes);
                (last_frame, last_offset) = (*frame, *offset);
            }
            Said::Secrets(text) => assert!(text.len() <= file.len()),
            Said::Unreadable { frame, offset, .. } => {
                assert!(*frame >= last_frame && *offset >= last_offset && *offset <= file.len() as u64);
                (last_frame, last_offset) = (*frame, *offset);
            }
        }
    }
    if file.is_empty() {
        assert_eq!(said, [Said::Unreadable { frame: 0, offset: 0, why: FileFault::Empty }]);
    }
}
