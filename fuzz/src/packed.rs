//! Packed bodies: what is packed comes back, and what no packer has made has an end.
//!
//! One byte of cuts, then bytes; each input is tried as CBOR and as a packed body.

use lowband_wire::packed::{NotPacked, Packer, Unpacker, pack, unpack};

const MOST: usize = 1 << 16;

pub fn run(data: &[u8]) {
    let Some((cuts, input)) = data.split_first() else { return };
    let size = usize::from(cuts & 31) + 1;
    let packed = pack(input);
    assert_eq!(unpack(&packed, usize::MAX).as_deref(), Ok(input), "what is packed comes back");
    let (mut in_pieces, mut packer) = (Vec::new(), Packer::default());
    input.chunks(size).for_each(|piece| packer.push(piece, &mut in_pieces));
    packer.finish(&mut in_pieces);
    assert_eq!(in_pieces, packed, "in pieces as in one");

    let whole = unpack(input, MOST);
    let place_of = |why: &NotPacked| match why {
        NotPacked::Item(at) | NotPacked::CutOff(at) => *at,
        NotPacked::TooLong(_) => 0,
    };
    match &whole {
        Ok(cbor) => assert!(cbor.len() <= MOST),
        Err(why) => assert!(place_of(why) <= input.len() as u64),
    }
    let (mut cbor, mut unpacker) = (Vec::new(), Unpacker::new(MOST));
    let pushed = input.chunks(size).try_for_each(|piece| unpacker.push(piece, &mut cbor));
    let ended = pushed.and_then(|()| unpacker.finish(&mut cbor));
    assert_eq!(ended.map(|()| cbor), whole, "in pieces as in one");
}
