//! Several Q-Block2 in one request: a list of blocks (RFC 9177 section 4.4).

use super::super::block::Block;
use super::Refusal;

/// Most blocks that one request may name. RFC 9177 leaves it to the ends; its MAX_PAYLOADS is 10.
pub const MAX_LIST: usize = 16;

/// Adds a block to a list: it lies behind the others, and has their size.
pub(super) fn push(list: &mut Vec<Block>, block: Block) -> Result<(), Refusal> {
    let follows = list.last().is_none_or(|last| last.num < block.num && last.size == block.size);
    if !follows || list.len() >= MAX_LIST {
        return Err(Refusal::List);
    }
    list.push(block);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::super::block::BlockSize;
    use super::super::super::message::{Kind, Message, MessageId, Outgoing, Token};
    use super::super::super::{Code, numbers};
    use super::super::ParsedRequest;
    use super::*;

    fn block(num: u32, more: bool, size: BlockSize) -> Block {
        Block { num, more, size }
    }

    /// Reads a GET that has these blocks in Q-Block2, and these further options.
    fn parse(blocks: &[Block], others: &[(u16, &[u8])]) -> Result<Vec<Block>, Refusal> {
        let list = blocks.iter().map(|block| (numbers::Q_BLOCK2, block.encode()));
        let others = others.iter().map(|(number, value)| (*number, value.to_vec()));
        let options = list.chain(others).collect();
        let message = Outgoing { code: Code::GET, token: Token::EMPTY, options, payload: Vec::new() };
        let wire = message.encode(Kind::NonConfirmable, MessageId(1)).unwrap();
        ParsedRequest::parse(&Message::parse(&wire).unwrap()).0.map(|request| request.q_block2)
    }

    #[test]
    fn a_list_is_ascending_and_of_one_size_and_not_too_long() {
        let (max, min) = (BlockSize::MAX, BlockSize::MIN);
        for list in [vec![], vec![block(0, true, max)], vec![block(3, false, min), block(9, true, min)]] {
            assert_eq!(parse(&list, &[]), Ok(list));
        }
        let long: Vec<_> = (1..=17).map(|num| block(num, false, max)).collect();
        assert_eq!(parse(&long[..16], &[]).map(|list| list.len()), Ok(16));
        for wrong in [
            &long[..],
            &[block(2, false, max), block(1, false, max)],
            &[block(2, false, max), block(2, false, max)],
            &[block(2, true, max), block(2, false, max)],
            &[block(1, false, max), block(2, false, min)],
        ] {
            assert_eq!(parse(wrong, &[]), Err(Refusal::List), "{wrong:?}");
        }
        assert_eq!(Refusal::List.code(), Code::BAD_REQUEST);
    }

    #[test]
    fn a_list_does_not_stand_beside_the_options_of_rfc_7959() {
        for other in [numbers::BLOCK1, numbers::BLOCK2] {
            let mixed = parse(&[block(1, false, BlockSize::MAX)], &[(other, b"\x06")]);
            assert_eq!(mixed, Err(Refusal::MixedBlocks));
        }
        assert_eq!(Refusal::MixedBlocks.code(), Code::BAD_OPTION);
    }
}
