//! How long real clients wait, so that an answer comes before they give up.
//!
//! | client | gives up a sync that asks for T | gives up anything else |
//! |---|---|---|
//! | matrix-js-sdk 43 | T + 80 s without the head | never |
//! | matrix-sdk (Rust) 0.19 | T + 30 s without the whole answer | 30 s |
//! | matrix-nio 0.26 | T + 15 s without the whole answer; 60 s where it names no T | 60 s |
//! | mautrix (Python) 0.21, mautrix-go 0.32 | after minutes | after minutes; a message that is refused is lost |
//!
//! They are known by what they say in User-Agent; nio says aiohttp's. Who is not known is taken for the least
//! patient.

use crate::asked::Kind;
use std::time::Duration;

/// What a client waits for, with some seconds to spare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Patience {
    /// Beyond the time that a sync asks for.
    beyond_sync: Duration,
    /// For all else.
    other: Duration,
}

/// Words of a User-Agent, and the patience of their client.
const CLIENTS: [(&str, Patience); 6] = [
    ("mautrix", Patience::of(12, 120)),
    ("matrix-rust-sdk", Patience::of(25, 25)),
    ("aiohttp", Patience::of(12, 55)),
    ("matrix-nio", Patience::of(12, 55)),
    ("Mozilla/", Patience::of(70, 60)),
    ("node", Patience::of(70, 60)),
];

const UNKNOWN: Patience = Patience::of(12, 25);

/// matrix-nio gives up any request after 60 s, a sync of 60 s as well.
const LONGEST_OF_NIO: Duration = Duration::from_secs(58);

impl Patience {
    const fn of(beyond_sync: u64, other: u64) -> Patience {
        Patience { beyond_sync: Duration::from_secs(beyond_sync), other: Duration::from_secs(other) }
    }

    /// Returns the patience of the client that calls itself so.
    fn known(user_agent: &str) -> Patience {
        let known = CLIENTS.iter().find(|(word, _)| user_agent.contains(word));
        known.map_or(UNKNOWN, |(_, patience)| *patience)
    }
}

/// Returns the time within which a client wants the head of an answer.
pub(crate) fn of(user_agent: &str, kind: Kind) -> Duration {
    let patience = Patience::known(user_agent);
    match kind {
        Kind::Sync(asked) => {
            let is_patient = patience.beyond_sync > UNKNOWN.beyond_sync;
            let total = asked.saturating_add(patience.beyond_sync);
            if is_patient { total } else { total.min(LONGEST_OF_NIO) }
        }
        Kind::Versions | Kind::Once | Kind::Read | Kind::Write => patience.other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NIO: &str = "Python/3.11 aiohttp/3.14.5";

    fn seconds(user_agent: &str, kind: Kind) -> u64 {
        of(user_agent, kind).as_secs()
    }

    #[test]
    fn an_answer_to_a_sync_comes_before_its_client_gives_up() {
        let sync = |asked| Kind::Sync(Duration::from_secs(asked));
        // The client's own limit for the time that it asks for.
        for (user_agent, asked, gives_up) in [
            (NIO, 30, 45),
            (NIO, 60, 60),
            (NIO, 0, 15),
            ("matrix-rust-sdk", 30, 60),
            ("Mozilla/5.0 (X11; Linux x86_64)", 30, 110),
            ("node", 0, 80),
            ("", 30, 45),
        ] {
            let told = seconds(user_agent, sync(asked));
            assert!(told < gives_up && told >= gives_up - 10, "{user_agent} {asked}: {told}");
            assert!(told > asked.min(55), "{user_agent} {asked}: the homeserver may wait for as long");
        }
    }

    #[test]
    fn a_message_of_a_bridge_is_held_for_longer_than_that_of_a_client_that_gives_up() {
        assert_eq!(seconds("mautrix-python/0.21.1 aiohttp/3.14.5", Kind::Write), 120);
        assert_eq!(seconds("mautrix-go/v0.32.0 go/1.26", Kind::Write), 120);
        assert_eq!(seconds(NIO, Kind::Write), 55);
        assert_eq!(seconds("matrix-rust-sdk", Kind::Write), 25);
        assert_eq!(seconds("curl/7.88.1", Kind::Write), 25);
    }
}
