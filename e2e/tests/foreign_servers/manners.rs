//! What a log says of how a body was asked for.

use lowband_e2e::loss::From;
use lowband_e2e::plain::Passed;
use lowband_transport::coap::{BlockSize, Code};
use lowband_wire::coap::block::Block;
use std::collections::BTreeSet;

/// Bytes in which a body is counted here: the smallest block.
const UNIT: usize = 16;

/// What has been seen of a download so far, message by message.
struct Reader {
    length: usize,
    ids: BTreeSet<u16>,
    have: Vec<bool>,
    began: bool,
    last_asked: bool,
    /// Whether an answer has told the length.
    told: bool,
    size: BlockSize,
    complaints: Vec<String>,
}

/// Returns what is wrong with the requests for one unchanged body of `length` bytes, a line each: blocks that
/// were there already, block 0 once more, blocks beyond the end, others after the last block, blocks larger
/// than the server cuts.
pub(crate) fn complaints(log: &[Passed], length: usize) -> Vec<String> {
    let mut reader = Reader {
        length,
        ids: BTreeSet::new(),
        have: vec![false; length.div_ceil(UNIT)],
        began: false,
        last_asked: false,
        told: false,
        size: BlockSize::MAX,
        complaints: Vec::new(),
    };
    for passed in log {
        match passed.from {
            From::Client if passed.code == Code::GET => reader.asks(passed),
            From::Server if !passed.lost && passed.code == Code::CONTENT => reader.hears(passed),
            _ => {}
        }
    }
    reader.complaints
}

impl Reader {
    fn asks(&mut self, request: &Passed) {
        let is_copy = !self.ids.insert(request.id.0);
        let block = request.block.unwrap_or(Block { num: 0, more: false, size: BlockSize::MAX });
        let (begin, end) = (block.offset(), block.offset() + block.size.bytes());
        let mut complain = |what: &str| self.complaints.push(format!("{what}: {request}"));
        if is_copy {
            return;
        }
        if block.num == 0 {
            if self.began {
                complain("block 0 again");
            }
            return;
        }
        if !self.began {
            complain("a block before there is any");
        }
        if block.size > self.size {
            complain("a block larger than the server cuts");
        }
        let unit = begin / UNIT;
        if self
            .have
            .get(unit..(end / UNIT).min(self.have.len()))
            .is_some_and(|have| have.iter().all(|is| *is))
        {
            complain("a block that is there already");
        }
        if !self.told {
            return;
        }
        if begin >= self.length {
            complain("a block beyond the end");
        }
        if end < self.length && self.last_asked {
            complain("another block after the last one");
        }
        if end >= self.length && self.have.iter().take(unit).any(|is| !is) {
            complain("the last block while others are missing");
        }
        self.last_asked |= end >= self.length;
    }

    fn hears(&mut self, answer: &Passed) {
        let Some(block) = answer.block else { return };
        self.began |= block.num == 0;
        self.told |= answer.size.is_some();
        self.size = self.size.min(block.size);
        let units = block.offset() / UNIT..(block.offset() + answer.payload).div_ceil(UNIT);
        if let Some(units) = self.have.get_mut(units) {
            units.fill(true);
        }
    }
}
