//! What can be tuned on a connection; the defaults are those of the low-bandwidth wire.

use crate::trace::{Meter, Tracer};
use lowband_transport::coap::{Limits, Times};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Keep-alive time: below the 30 s for which Linux (conntrack) remembers a flow of one exchange.
const KEEP_ALIVE: Duration = Duration::from_secs(25);

/// Everything about a connection that is not its destination.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Silence in both directions after which an Empty confirmable message (RFC 7252 section 4.3) goes out,
    /// so that NATs, load balancers and the server keep the session; 25 s by default, since after a single
    /// exchange many of them keep a flow for 30 s. While requests wait for their answers the message goes out
    /// after this much silence of the server, and shows whether the server is still there: when the message
    /// is not answered for `Times::dead_after` (10 s by default) or for six round trips, and nothing else
    /// comes either, the connection ends with [`CloseReason::Dead`], and the requests fail. It also goes out
    /// at once when a fatal alert without protection comes, which is what a server says that has lost the
    /// session. `None`: never.
    ///
    /// [`CloseReason::Dead`]: crate::CloseReason::Dead
    pub keep_alive: Option<Duration>,
    /// Time after which the connection is taken for lost because the server has owed an answer, or at least
    /// an acknowledgement, and has been silent: it ends, and requests under way fail with
    /// [`CloseReason::Idle`]. `None`, the default: only pings find out (`keep_alive`). A
    /// [`LastingConnection`] sets it.
    ///
    /// On a way that loses 30 % in each direction, ten seconds pass in 3 of 100 exchanges
    /// (`transport/tests/coap/silence.rs`).
    ///
    /// [`CloseReason::Idle`]: crate::CloseReason::Idle
    /// [`LastingConnection`]: crate::LastingConnection
    pub silence: Option<Duration>,
    /// Requests that carry the access token; by default those made before the server is known to have it.
    pub token_use: TokenUse,
    /// Option 257. Not sent by default: a low-bandwidth server assumes version 1 without it, and the option
    /// is critical (RFC 7252 section 5.4.1), so that other CoAP servers answer 4.02 to it.
    pub cbor_version: Option<u32>,
    /// Whether to send the one-character code where the path table has the path.
    pub path_codes: bool,
    /// File to append the DTLS secrets to, in NSS key log format. They decrypt everything. `None`: no file.
    pub key_log: Option<PathBuf>,
    /// Times of the message layer: the parameters of RFC 7252 section 4.8 and times of our own, by default
    /// those that follow the measured round trip ([`Times::measured`]).
    pub times: Times,
    /// Limits of the CoAP layer. At most `exchanges_per_session` requests are under way; more wait
    /// for their turn. `window` is NSTART of RFC 7252, for messages that are no block of a body;
    /// `body_window` bounds how many blocks are on their way at once, 1 for one after the other. With
    /// `packed_bodies`, false by default, bodies have fewer bytes once the server has said that it knows
    /// them; what callers give and get is the same.
    pub limits: Limits,
    /// Sees every datagram and every message, but never an access token in the clear. `None`: not traced.
    pub tracer: Option<Tracer>,
    /// Counts what passes, that of handshakes which come to nothing included. `None`: not counted beyond
    /// [`crate::Connection::traffic`].
    pub meter: Option<Arc<Meter>>,
}

/// The requests that carry the access token (option 256 is sticky: it holds for the DTLS session).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TokenUse {
    /// With requests until a response shows that the server has the token, and again when the token changes.
    #[default]
    UntilKnown,
    /// With every request: for servers that do not remember it.
    EachRequest,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            keep_alive: Some(KEEP_ALIVE),
            silence: None,
            token_use: TokenUse::UntilKnown,
            cbor_version: None,
            path_codes: true,
            key_log: None,
            times: Times::measured(),
            limits: Limits::default(),
            tracer: None,
            meter: None,
        }
    }
}

impl Settings {
    /// Returns the defaults, with the key log that `SSLKEYLOGFILE` names, as browsers do it.
    pub fn from_environment() -> Settings {
        let key_log = std::env::var_os("SSLKEYLOGFILE").filter(|path| !path.is_empty()).map(PathBuf::from);
        Settings { key_log, ..Settings::default() }
    }
}
