//! The paths that lead to the homeserver: nothing else of it can be reached, least of all its administration.
//! Dot segments have been refused before (`lowband_translation::path`).

use super::Client;
use std::time::Duration;

/// Where clients on CoAP get to.
const FOR_COAP: [&str; 2] = ["/_matrix/client", "/.well-known/matrix/client"];
/// Where everybody else gets to. The last one has the pages that Synapse sends its users to, to log in and to
/// confirm an address.
const FOR_STRANGERS: [&str; 3] = ["/_matrix", "/.well-known/matrix", "/_synapse/client"];
const MEDIA: [&str; 2] = ["/_matrix/media", "/_matrix/client/v1/media"];

/// Time without a byte in either direction after which an exchange ends.
const IDLE: Duration = Duration::from_secs(1800);
/// The same for media, in which nobody waits for an event.
const IDLE_MEDIA: Duration = Duration::from_secs(300);

/// Returns whether a path leads to the homeserver.
pub(super) fn lead_on(client: Client, path: &str) -> bool {
    match client {
        Client::Coap { .. } => below(&FOR_COAP, path),
        Client::Stranger { .. } => below(&FOR_STRANGERS, path),
    }
}

/// Returns how long an exchange may go on in which nothing moves. The sidecar has limits of its own for its
/// requests.
pub(super) fn idle(client: Client, path: &str) -> Option<Duration> {
    match client {
        Client::Coap { .. } => None,
        Client::Stranger { .. } if below(&MEDIA, path) => Some(IDLE_MEDIA),
        Client::Stranger { .. } => Some(IDLE),
    }
}

/// Returns whether the path is one of these, or continues one after a slash.
fn below(prefixes: &[&str], path: &str) -> bool {
    let rests = prefixes.iter().filter_map(|prefix| path.strip_prefix(prefix));
    rests.into_iter().any(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const COAP: Client = Client::Coap { is_repeatable: false };

    fn stranger() -> Client {
        Client::Stranger { address: [192, 0, 2, 1].into(), is_secure: true, id: None }
    }

    #[test]
    fn paths_of_clients_lead_on_and_no_others() {
        for (path, of_coap, of_strangers) in [
            ("/_matrix/client/versions", true, true),
            ("/_matrix/client", true, true),
            ("/_matrix/clientele", false, true),
            ("/.well-known/matrix/client", true, true),
            ("/.well-known/matrix/server", false, true),
            ("/.well-known/acme-challenge/x", false, false),
            ("/_matrix/federation/v1/version", false, true),
            ("/_matrix/media/v3/config", false, true),
            ("/_synapse/client/pick_username", false, true),
            ("/_synapse/admin/v1/users", false, false),
            ("/_matrix%2Fclient/versions", false, false),
            ("//_matrix/client/versions", false, false),
            ("/", false, false),
            ("*", false, false),
            ("", false, false),
        ] {
            assert_eq!((lead_on(COAP, path), lead_on(stranger(), path)), (of_coap, of_strangers), "{path}");
        }
    }

    #[test]
    fn only_strangers_have_a_limit_here_and_media_a_shorter_one() {
        assert_eq!(idle(COAP, "/_matrix/client/v3/sync"), None);
        assert_eq!(idle(stranger(), "/_matrix/client/v3/sync"), Some(IDLE));
        assert_eq!(idle(stranger(), "/_matrix/client/v1/media/download/a/b"), Some(IDLE_MEDIA));
    }
}
