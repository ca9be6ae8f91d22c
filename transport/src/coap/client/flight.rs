//! The blocks of a session that are on their way, of all its bodies together: which request asks for which
//! block, and what has become of it.
//!
//! ```text
//!                     next body that misses a block, in turn
//!   Body::missing  ----------------------------------------> sent, under an id of its own
//!        ^                                                      |        |         |
//!        |             lost: overtaken, or probed for           |        |         `-- acknowledged: waits at the peer
//!        `------------------------------------------------------'        v
//!                                                           answered: Body takes the block
//! ```
//!
//! A server that is not ours gets one token for all blocks of a body: some run a request anew for each token.
//! A server of ours gets a token for each request.
//!
//! A request that was taken for lost is remembered for a while: its answer may come after all, and shows that
//! it was taken for lost too early.

use super::super::delay_window::DelayWindow;
use crate::{ExchangeId, SessionId};
use lowband_wire::coap::block::Block;
use lowband_wire::coap::message::{Kind, Message, MessageId, Token};
use lowband_wire::coap::numbers;
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

/// Requests that were taken for lost and are remembered, per session.
const PAST_KEPT: usize = 256;

/// Time after which a block is asked for again that the peer has acknowledged and not sent, although it has
/// sent later ones.
const WAITS_AT_MOST: Duration = Duration::from_secs(30);

/// Requests on their way at once to a peer that has not shown yet that it can answer several.
const TRIED: usize = 2;

/// Most blocks of one list: what is lost with it has to be asked for again.
const LONGEST_LIST: usize = 4;

/// Blocks of the window for each block of a list: a list leaves in one burst, and waits until so many may go.
const WINDOW_OF_EACH: usize = 16;

/// Most blocks that are asked for with the request that begins a body.
const MOST_BESIDE: u32 = 9;

/// How many pairs in a row may have one answer only, before their peer is taken for one that drops what it is
/// asked for beside something else. Of a path that loses a fifth each way, one in a hundred looks so.
const HALF_ANSWERED: u32 = 6;

/// What is known of how a peer takes several requests for blocks at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Peer {
    /// Nothing yet: two at once find out. The number of blocks that came as they were asked for.
    #[default]
    Unknown,
    /// It answers them all.
    Pipelines,
    /// It has said that it knows bodies in any order.
    Ours,
    /// It does not.
    OneByOne,
}

/// What has become of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    OnItsWay,
    /// The peer has acknowledged it at this time, and will answer later.
    Waits(Instant),
    Lost,
}

/// What a message answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answers {
    /// The request of this number.
    Asked(u64),
    /// A request of a list, which has been answered before.
    Copy,
    /// No request for a block.
    Nothing,
}

/// One request for a block, or one block of a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    pub exchange: ExchangeId,
    pub block: Block,
    /// When it was sent; None if it went with the request that began its body.
    pub sent: Option<Instant>,
    pub token: Token,
    /// Id of its message; None if that is not confirmable.
    id: Option<MessageId>,
    fate: Fate,
    /// How often the block has been asked for, this request included.
    tries: u32,
}

impl Asked {
    /// Returns whether the time of the answer says something about the path.
    pub(super) fn is_sample(&self) -> bool {
        self.sent.is_some() && !matches!(self.fate, Fate::Waits(_))
    }
}

/// What has to be done for a session now.
#[derive(Debug, Default)]
pub(super) struct Due {
    /// Requests that are lost.
    pub lost: Vec<u64>,
    /// Requests to be sent again at once, because nothing has come in time.
    pub probes: Vec<u64>,
}

/// The blocks of one session.
#[derive(Debug)]
pub(super) struct Flight {
    pub window: DelayWindow,
    pub peer: Peer,
    asked: BTreeMap<u64, Asked>,
    /// Requests by their token: one, or those of a list.
    tokens: BTreeMap<Token, Vec<u64>>,
    /// Number of requests that wait at the peer.
    waiting: usize,
    /// Number of requests that were taken for lost.
    lost: usize,
    /// Bodies, the one whose turn it is first.
    turns: VecDeque<ExchangeId>,
    /// Requests of the pair that a peer has got of which nothing is known, and how many of them were answered
    /// by the right block.
    pair: usize,
    right: usize,
    /// Pairs in a row that had one answer only.
    half_answered: u32,
    /// Probes for large answers that were lost, while small messages have come.
    pub large_lost: u32,
    pub probed: Option<Instant>,
}

impl Flight {
    pub(super) fn new(round_trip: Option<Duration>, most: u32) -> Flight {
        Flight {
            window: DelayWindow::new(round_trip, most),
            peer: Peer::Unknown,
            asked: BTreeMap::new(),
            tokens: BTreeMap::new(),
            waiting: 0,
            lost: 0,
            turns: VecDeque::new(),
            pair: 0,
            right: 0,
            half_answered: 0,
            large_lost: 0,
            probed: None,
        }
    }

    /// Takes a body in; `initial` is the window where nothing is known of the path.
    pub(super) fn board(&mut self, now: Instant, exchange: ExchangeId, initial: u32) {
        if self.turns.is_empty() {
            self.window.begin(now, initial);
        }
        if !self.turns.contains(&exchange) {
            self.turns.push_back(exchange);
        }
    }

    /// Drops a body with all that was asked for; returns the ids of the messages.
    pub(super) fn leave(&mut self, exchange: ExchangeId) -> Vec<MessageId> {
        self.turns.retain(|body| *body != exchange);
        let numbers = self.asked.iter().filter(|(_, asked)| asked.exchange == exchange);
        let numbers: Vec<_> = numbers.map(|(number, _)| *number).collect();
        numbers.into_iter().filter_map(|number| self.forget(number)?.id).collect()
    }

    /// Returns the bodies, the one whose turn it is first.
    pub(super) fn bodies(&self) -> Vec<ExchangeId> {
        self.turns.iter().copied().collect()
    }

    /// Gives the turn to the next body.
    pub(super) fn pass(&mut self) {
        if let Some(first) = self.turns.pop_front() {
            self.turns.push_back(first);
        }
    }

    /// Returns how many further blocks may go beside `small` other messages that are on their way. Those take
    /// half of the window at most: the peer keeps the bodies that the blocks belong to for only a minute or
    /// two.
    pub(super) fn room(&self, small: usize) -> usize {
        let mine = self.window.on_their_way() + self.waiting;
        let most = match self.peer {
            // Nothing else goes beside a pair: a peer that cannot take two is left alone with one then.
            Peer::Unknown => return TRIED.saturating_sub(self.pair.max(mine)),
            Peer::Pipelines | Peer::Ours => self.window.window(),
            Peer::OneByOne => 1,
        };
        most.saturating_sub(mine + small.min(most / 2)).max(usize::from(mine == 0))
    }

    /// Returns how many blocks go in one request.
    pub(super) fn list_length(&self) -> usize {
        match self.peer {
            Peer::Ours if self.window.loses_little() => {
                (self.window.window() / WINDOW_OF_EACH).clamp(1, LONGEST_LIST)
            }
            _ => 1,
        }
    }

    /// Returns how many blocks after the first a request that begins a body may ask for: what the path takes
    /// beside that, if this is known and free.
    pub(super) fn beside(&self, now: Instant) -> u32 {
        let is_free = self.peer == Peer::Ours && self.turns.is_empty();
        let at_once = self.window.at_once(now).filter(|_| is_free);
        at_once.map_or(0, |blocks| (blocks as u32).saturating_sub(1).min(MOST_BESIDE))
    }

    /// Returns whether the peer may forget a body once its last block was asked for.
    pub(super) fn last_goes_last(&self) -> bool {
        self.peer != Peer::Ours
    }

    /// Notes that a request goes out, and returns its number.
    pub(super) fn ask(&mut self, now: Instant, exchange: ExchangeId, block: Block) -> u64 {
        let offset = block.offset();
        let same = |asked: &&Asked| asked.exchange == exchange && asked.block.offset() == offset;
        let tries = self.asked.values().filter(same).map(|asked| asked.tries).max().unwrap_or(0) + 1;
        let number = self.window.send(now);
        let (id, token, fate) = (None, Token::EMPTY, Fate::OnItsWay);
        let sent = Some(now);
        self.asked.insert(number, Asked { exchange, block, sent, token, id, fate, tries });
        self.pair += 1;
        number
    }

    /// Notes under which token and id a request has gone out.
    pub(super) fn sent_as(&mut self, number: u64, token: Token, id: Option<MessageId>) {
        if let Some(asked) = self.asked.get_mut(&number) {
            (asked.token, asked.id) = (token, id);
            self.tokens.entry(token).or_default().push(number);
        }
    }

    /// Notes that a request went with that which began its body, at an unknown time.
    pub(super) fn went_beside(&mut self, number: u64) {
        if let Some(asked) = self.asked.get_mut(&number) {
            asked.sent = None;
        }
    }

    /// Returns the request that a message answers. Several may have its token: those of a list, and all for
    /// one body from a foreign server. Then an acknowledgement names its request by the id, any other answer
    /// by the place of its block, and what has no place refuses them all.
    pub(super) fn answered_by(&self, message: &Message) -> Answers {
        let Some(numbers) = self.tokens.get(&message.token) else { return Answers::Nothing };
        let mut asked = numbers.iter().filter_map(|number| Some((*number, self.asked.get(number)?)));
        let is_list = asked.clone().any(|(_, asked)| asked.id.is_none());
        let found = match (message.kind, place(message)) {
            (Kind::Acknowledgement, _) if !is_list => asked.find(|(_, asked)| asked.id == Some(message.id)),
            (_, Some(offset)) if is_list || numbers.len() > 1 => {
                asked.rfind(|(_, asked)| asked.block.offset() == offset)
            }
            _ => asked.clone().find(|(_, asked)| asked.fate != Fate::Lost).or_else(|| asked.next()),
        };
        match found {
            Some((number, _)) => Answers::Asked(number),
            None if is_list => Answers::Copy,
            None => Answers::Nothing,
        }
    }

    /// Returns the newest request of a token for the block at this place.
    pub(super) fn of_token_at(&self, token: Token, offset: usize) -> Option<u64> {
        let mut numbers = self.tokens.get(&token)?.iter().rev();
        let is_at =
            |number: &&u64| self.asked.get(number).is_some_and(|asked| asked.block.offset() == offset);
        numbers.find(is_at).copied()
    }

    /// Returns the other requests of a list that one refusal answers in place of all blocks.
    pub(super) fn rest_of_list(&self, number: u64) -> Vec<u64> {
        match self.asked.get(&number) {
            Some(Asked { id: None, token, .. }) => {
                let of_list = self.tokens.get(token).into_iter().flatten().copied();
                of_list.filter(|other| *other != number).collect()
            }
            _ => Vec::new(),
        }
    }

    pub(super) fn get(&self, number: u64) -> Option<&Asked> {
        self.asked.get(&number)
    }

    /// Notes that the peer has acknowledged a request, which it will answer later.
    pub(super) fn waits(&mut self, now: Instant, number: u64) {
        let Some(asked) = self.asked.get_mut(&number).filter(|asked| asked.fate == Fate::OnItsWay) else {
            return;
        };
        asked.fate = Fate::Waits(now);
        self.waiting += 1;
        self.window.acknowledged(now, number);
    }

    /// Takes a request out that has been answered; returns it with the id of its message.
    pub(super) fn answered(
        &mut self,
        now: Instant,
        number: u64,
        is_newest: bool,
    ) -> Option<(Asked, Option<MessageId>)> {
        let asked = self.asked.get(&number).copied()?;
        if !matches!(asked.fate, Fate::Waits(_)) {
            self.window.answered(now, number, asked.sent, is_newest);
        }
        self.forget(number);
        self.large_lost = 0;
        Some((asked, asked.id))
    }

    /// Takes note of a block that came as it was asked for.
    pub(super) fn came_right(&mut self) {
        self.right += 1;
        if self.may_be_one_by_one() && self.right >= TRIED {
            self.peer = Peer::Pipelines;
        }
    }

    /// Ends a pair of which nothing is on its way any more. Returns whether the peer seems to drop what it is
    /// asked for beside something else.
    pub(super) fn ends_pair(&mut self) -> bool {
        if self.peer != Peer::Unknown || self.window.on_their_way() + self.waiting > 0 {
            return false;
        }
        if self.pair >= TRIED && self.right == 1 {
            self.half_answered += 1;
        }
        (self.pair, self.right) = (0, 0);
        self.half_answered >= HALF_ANSWERED
    }

    /// Returns whether what came wrong may be put down to several requests at once.
    pub(super) fn may_be_one_by_one(&self) -> bool {
        self.peer == Peer::Unknown && (self.pair >= TRIED || self.half_answered > 0)
    }

    pub(super) fn forget(&mut self, number: u64) -> Option<Asked> {
        let asked = self.asked.remove(&number)?;
        if let Some(numbers) = self.tokens.get_mut(&asked.token) {
            numbers.retain(|other| *other != number);
            if numbers.is_empty() {
                self.tokens.remove(&asked.token);
            }
        }
        match asked.fate {
            Fate::OnItsWay => {}
            Fate::Waits(_) => self.waiting = self.waiting.saturating_sub(1),
            Fate::Lost => self.lost = self.lost.saturating_sub(1),
        }
        self.window.withdraw(number);
        Some(asked)
    }

    /// Takes note that a request is lost: it is remembered, but not waited for.
    fn lose(&mut self, number: u64) {
        let Some(asked) = self.asked.get_mut(&number) else { return };
        if matches!(asked.fate, Fate::Waits(_)) {
            self.waiting = self.waiting.saturating_sub(1);
        }
        if asked.fate != Fate::Lost {
            asked.fate = Fate::Lost;
            self.lost += 1;
        }
    }

    /// Returns what is lost and what is to be probed for, and takes it out of the window.
    pub(super) fn due(&mut self, now: Instant, has_beyond: impl Fn(&Asked) -> bool) -> Due {
        let mut lost = self.window.take_lost(now);
        for (number, asked) in &mut self.asked {
            if let Fate::Waits(since) = asked.fate
                && since + WAITS_AT_MOST <= now
            {
                if has_beyond(asked) {
                    lost.push(*number);
                } else {
                    asked.fate = Fate::Waits(now);
                }
            }
        }
        let probes = self.window.take_probes(now);
        lost.iter().chain(&probes).for_each(|number| self.lose(*number));
        Due { lost, probes }
    }

    /// Forgets the oldest requests that were taken for lost, if there are too many; returns the ids of their
    /// messages.
    pub(super) fn tidy(&mut self) -> Vec<MessageId> {
        let excess = self.lost.saturating_sub(PAST_KEPT);
        if excess == 0 {
            return Vec::new();
        }
        let lost = self.asked.iter().filter(|(_, asked)| asked.fate == Fate::Lost).take(excess);
        let numbers: Vec<_> = lost.map(|(number, _)| *number).collect();
        numbers.into_iter().filter_map(|number| self.forget(number)?.id).collect()
    }

    /// Takes all requests of a body for lost that are on their way.
    pub(super) fn lose_all(&mut self, exchange: ExchangeId) -> Vec<u64> {
        let of_body = |(_, asked): &(&u64, &Asked)| asked.exchange == exchange && asked.fate != Fate::Lost;
        let numbers: Vec<_> = self.asked.iter().filter(of_body).map(|(number, _)| *number).collect();
        for number in &numbers {
            self.lose(*number);
            self.window.withdraw(*number);
        }
        numbers
    }

    /// Returns how often the block of a request has been asked for.
    pub(super) fn tries(&self, number: u64) -> u32 {
        self.asked.get(&number).map_or(0, |asked| asked.tries)
    }

    /// Returns whether the peer has acknowledged a request for a block of this body, and will answer later.
    pub(super) fn has_waiting(&self, exchange: ExchangeId) -> bool {
        let waits = |asked: &Asked| asked.exchange == exchange && matches!(asked.fate, Fate::Waits(_));
        self.asked.values().any(waits)
    }

    /// Returns when something is due; None while nothing is on its way.
    pub(super) fn timeout(&self) -> Option<Instant> {
        let waiting = if self.waiting == 0 { None } else { self.asked.values().filter_map(overdue).min() };
        [self.window.timeout(), waiting].into_iter().flatten().min()
    }
}

/// Returns where the block begins that is in a message.
pub(super) fn place(message: &Message) -> Option<usize> {
    let is_block = |number| number == numbers::BLOCK2 || number == numbers::Q_BLOCK2;
    let (_, value) = message.options().find(|(number, _)| is_block(*number))?;
    Block::decode(value).ok().map(Block::offset)
}

fn overdue(asked: &Asked) -> Option<Instant> {
    match asked.fate {
        Fate::Waits(since) => Some(since + WAITS_AT_MOST),
        _ => None,
    }
}

/// Name of a request for a block among the messages of all sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    pub session: SessionId,
    pub number: u64,
}
