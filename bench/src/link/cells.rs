//! What is measured: links, bodies and clients, and what each figure must be.

use lowband_e2e::link::Link;

/// A client that fetches a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    /// `lowband coap` with its defaults: many blocks for each round trip.
    Ours,
    /// `lowband coap --window 1`: one block for each round trip.
    OneAtATime,
    /// The client of `e2e/foreign/reference`.
    Reference,
    /// The client of `e2e/foreign/go-coap`.
    GoCoap,
    /// `coap-client-openssl` of libcoap.
    Libcoap,
}

impl Who {
    fn name(self) -> &'static str {
        match self {
            Who::Ours => "lowband coap",
            Who::OneAtATime => "lowband coap --window 1",
            Who::Reference => "the reference's stack",
            Who::GoCoap => "go-coap v3",
            Who::Libcoap => "libcoap",
        }
    }
}

/// What the clients of one run do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// A body comes down on a new session, as its first exchange.
    Download(Who),
    /// A body goes up on a new session, by `lowband coap`.
    Upload,
    /// A body comes down on a session that has fetched one of the same size before.
    Warm,
    /// Two bodies come down at once, on one session.
    TwoOnOneSession,
    /// Two bodies come down at once, each by a `lowband coap` of its own.
    TwoSessions,
    /// Small PUTs on a session, first alone and then beside a body that comes down.
    Puts,
}

/// One kind of run, to be made with several seeds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cell {
    pub(crate) link: Link,
    pub(crate) work: Work,
    /// Bytes of the body.
    pub(crate) body: usize,
    /// Number of seeds.
    pub(crate) seeds: u64,
    /// The figure with a client that asks for one block at a time; `None` where it says nothing.
    pub(crate) before: Option<f64>,
    /// What the figure must be at most, shares at least. `None`: there is no promise.
    pub(crate) must: Option<f64>,
    /// Whether a short run has it.
    pub(crate) quick: bool,
}

const MEGABYTE: usize = 1_000_000;
const SEEDS: u64 = 5;
const SEEDS_OF_OTHERS: u64 = 3;

const fn download(link: Link, body: usize, before: f64, must: f64) -> Cell {
    cell(link, Work::Download(Who::Ours), body).before(before).must(must)
}

const fn beside(who: Who) -> Cell {
    Cell { seeds: SEEDS_OF_OTHERS, ..cell(Link::B, Work::Download(who), 100_000) }
}

const fn cell(link: Link, work: Work, body: usize) -> Cell {
    Cell { link, work, body, seeds: SEEDS, before: None, must: None, quick: false }
}

impl Cell {
    const fn must(self, must: f64) -> Cell {
        Cell { must: Some(must), ..self }
    }

    const fn before(self, before: f64) -> Cell {
        Cell { before: Some(before), ..self }
    }

    const fn quick(self) -> Cell {
        Cell { quick: true, ..self }
    }

    /// Says what is measured, without the link.
    pub(crate) fn title(&self) -> String {
        let size = match self.body {
            MEGABYTE.. => format!("{} MB", self.body / MEGABYTE),
            body => format!("{} kB", body / 1_000),
        };
        match self.work {
            Work::Download(Who::Ours) => format!("{size} down"),
            Work::Download(who) => format!("{size} down, {}", who.name()),
            Work::Upload => format!("{size} up"),
            Work::Warm => format!("{size} down, warm session"),
            Work::TwoOnOneSession => format!("2 x {size} down, one session"),
            Work::TwoSessions => format!("2 x {size} down, two sessions"),
            Work::Puts => format!("PUTs beside {size} down"),
        }
    }

    /// Returns a name for files.
    pub(crate) fn file_name(&self, seed: u64) -> String {
        let title = self.title().replace(|letter: char| !letter.is_ascii_alphanumeric(), "-");
        format!("{}-{title}-{seed}", self.link.name)
    }
}

/// Returns all cells, in the order of the table.
pub(crate) fn all() -> Vec<Cell> {
    vec![
        download(Link::A, MEGABYTE, 4.35, 1.05),
        download(Link::B, MEGABYTE, 8.5, 1.10),
        download(Link::B, 100_000, 7.9, 1.2).quick(),
        download(Link::B, 10_000, 4.8, 1.5),
        download(Link::C, MEGABYTE, 35.6, 1.25),
        download(Link::D, 100_000, 3.1, 1.15),
        download(Link::E, MEGABYTE, 26.0, 1.30).quick(),
        download(Link::G, MEGABYTE, 17.6, 1.6),
        download(Link::H, MEGABYTE, 9.9, 1.6),
        download(Link::J, MEGABYTE, 12.1, 1.2),
        cell(Link::B, Work::Warm, 100_000).before(7.9).must(1.2),
        cell(Link::B, Work::Upload, 100_000).before(7.9).must(1.3).quick(),
        cell(Link::B, Work::TwoOnOneSession, 300_000).must(0.40),
        cell(Link::B, Work::TwoSessions, 300_000).must(0.40),
        cell(Link::B, Work::Puts, MEGABYTE).must(2.0),
        beside(Who::OneAtATime),
        beside(Who::Reference),
        beside(Who::GoCoap),
        beside(Who::Libcoap),
    ]
}
