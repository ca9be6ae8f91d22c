//! What the options of a message say, as far as it matters for putting exchanges together.

use crate::exchange::Note;
use lowband_codec::PathTable;
use lowband_codec::paths::PathError;
use lowband_wire::coap::Code;
use lowband_wire::coap::block::Block;
use lowband_wire::coap::message::{Kind, Token, View};
use lowband_wire::coap::numbers;
use lowband_wire::coap::options::MAX_LIST;
use lowband_wire::coap::uint::from_uint;
use std::hash::{DefaultHasher, Hasher};

/// What keeping a value of a query costs besides its bytes.
const VALUE_COST: usize = 32;

/// What a message says besides its payload. What has an impossible form counts as not said.
#[derive(Clone, Debug, Default)]
pub(crate) struct Said {
    /// An ETag has up to eight bytes as well (RFC 7252 section 5.10.6).
    pub(crate) etag: Option<Token>,
    pub(crate) observe: Option<u32>,
    pub(crate) content_format: Option<u16>,
    pub(crate) block1: Option<Block>,
    /// In a response also what Q-Block2 says.
    pub(crate) block2: Option<Block>,
    /// Blocks that a request asks for by Q-Block2 (RFC 9177 section 4.4); at most [`MAX_LIST`].
    pub(crate) list: Vec<Block>,
    /// Whether the list is of blocks of a body that another message has begun.
    reads_on: bool,
    pub(crate) access_token: bool,
    pub(crate) cbor_version: Option<u32>,
    pub(crate) capabilities: Option<u32>,
    pub(crate) uses_q_block1: bool,
    is_tagged: bool,
    /// Of method, path, query, Accept and Request-Tag: what names a body within its session (RFC 7959 section
    /// 2.4, RFC 9175 section 3.3).
    pub(crate) name: u64,
}

impl Said {
    /// Reads the options of a message.
    pub(crate) fn by(message: &View<'_>) -> Said {
        let mut said = Said::default();
        let mut hasher = DefaultHasher::new();
        hasher.write_u8(message.code.0);
        for (number, value) in message.options() {
            match number {
                numbers::URI_PATH | numbers::URI_QUERY | numbers::ACCEPT | numbers::REQUEST_TAG => {
                    hasher.write_u32(u32::from(number) << 16 | value.len() as u32);
                    hasher.write(value);
                    said.is_tagged |= number == numbers::REQUEST_TAG;
                }
                numbers::ETAG => said.etag = Token::new(value),
                numbers::OBSERVE => said.observe = from_uint(value),
                numbers::CONTENT_FORMAT => {
                    said.content_format = from_uint(value).and_then(|format| u16::try_from(format).ok());
                }
                numbers::BLOCK1 => said.block1 = Block::decode(value).ok(),
                numbers::BLOCK2 => said.block2 = Block::decode(value).ok(),
                numbers::Q_BLOCK1 => said.uses_q_block1 = true,
                numbers::Q_BLOCK2 if said.list.len() < MAX_LIST => {
                    said.list.extend(Block::decode(value).ok());
                }
                numbers::AUTHORIZATION => said.access_token = !value.is_empty(),
                numbers::CBOR_VERSION => said.cbor_version = from_uint(value),
                numbers::CAPABILITIES => said.capabilities = from_uint(value),
                _ => {}
            }
        }
        said.name = hasher.finish();
        if !message.code.is_request() {
            said.block2 = said.block2.or(said.list.pop());
        }
        // A confirmable list stands beside the request that begins a body, and so does NUM 0 with M set.
        let first = said.list.first();
        said.reads_on = first.is_some_and(|first| match first.more {
            true => first.num > 0,
            false => message.kind != Kind::Confirmable,
        });
        said
    }

    /// Returns whether a response with this code asks for the next block of the request, and is not the
    /// answer to it (RFC 7959 section 2.3).
    pub(crate) fn goes_on_behind(&self, code: Code) -> bool {
        code == Code::CONTINUE || (code.is_success() && self.block1.is_some_and(|block| block.more))
    }

    /// Returns the block of the request's body that a message brings under a Request-Tag: its body may have
    /// begun with any other.
    pub(crate) fn tagged(&self) -> Option<Block> {
        self.block1.filter(|_| self.is_tagged)
    }

    /// Returns whether a request is about a block of a body that another message has begun.
    pub(crate) fn goes_on(&self) -> bool {
        self.reads_on || [self.block1, self.block2].into_iter().flatten().any(|block| block.num > 0)
    }
}

/// Where a request goes.
#[derive(Clone, Default)]
pub(crate) struct Target {
    pub(crate) path: String,
    pub(crate) path_code: Option<char>,
    pub(crate) query: Vec<String>,
}

impl Target {
    /// Reads path and query of a request. Options that are not a path are written one after the other, with
    /// a note; and so does a path or query of more than `most` bytes, see [`Limits::target`].
    ///
    /// [`Limits::target`]: crate::Limits::target
    pub(crate) fn of(message: &View<'_>, most: usize, notes: &mut Vec<Note>) -> Target {
        let values = |wanted: u16| {
            message.options().filter(move |(number, _)| *number == wanted).map(|(_, value)| value)
        };
        let segments: Vec<_> = values(numbers::URI_PATH).map(String::from_utf8_lossy).collect();
        let table = PathTable::v1();
        let is_utf8 = values(numbers::URI_PATH).all(|value| std::str::from_utf8(value).is_ok());
        let (mut path, is_odd) = match table.expand(&segments) {
            Ok(path) => (path, !is_utf8),
            Err(PathError::Empty) => (String::new(), false),
            Err(_) => (segments.iter().flat_map(|segment| ["/", segment]).collect(), true),
        };
        if is_odd {
            super::body::note(notes, Note::OddPath);
        }
        let mut first = segments.first().map(|segment| segment.chars()).into_iter().flatten();
        let path_code = match (first.next(), first.next()) {
            (Some(code), None) if !is_odd => {
                table.iter().map(|(known, _)| known).find(|known| *known == code)
            }
            _ => None,
        };
        let mut is_cut = path.len() > most;
        let end = (0..=most.min(path.len())).rfind(|end| path.is_char_boundary(*end));
        path.truncate(end.unwrap_or(0));
        path.shrink_to_fit();
        let (mut left, mut query) = (most.saturating_sub(path.len()), Vec::new());
        for value in values(numbers::URI_QUERY) {
            let value: String = String::from_utf8_lossy(value).into();
            // Whole values only: of half a name nobody could say that it is secret.
            match left.checked_sub(value.len() + VALUE_COST) {
                Some(less) => left = less,
                None => {
                    is_cut = true;
                    break;
                }
            }
            query.push(value);
        }
        if is_cut {
            super::body::note(notes, Note::TargetCut);
        }
        Target { path, path_code, query }
    }
}
