//! Options for the end of the process.

use crate::config::{Mistakes, values};
use crate::drain::Settings;
use crate::envoy;
use clap::Args;

/// What happens after SIGTERM.
#[derive(Args, Debug, Clone)]
pub(in crate::config) struct End {
    /// After SIGTERM, how long open requests of a session may go on from its turn to be closed; long polls
    /// are answered then. A second signal closes all sessions at once.
    #[arg(long, env = "LOWBAND_GRACE_PERIOD", value_name = "DURATION", default_value = "10s")]
    grace_period: String,
    /// After SIGTERM, the sessions have their turns within this, at most 20 ms apart. Too short lets
    /// thousands of clients dial again at once.
    #[arg(long, env = "LOWBAND_CLOSE_WITHIN", value_name = "DURATION", default_value = "10s")]
    close_within: String,
    /// How long to stay when /readyz fails because all sessions are closed, so that a balancer has moved
    /// every flow before the end. 2s on Kubernetes; 0 where nobody watches /readyz.
    #[arg(long, env = "LOWBAND_LINGER", value_name = "DURATION", default_value = "0")]
    linger: String,
    /// Port of the administration of the Envoy beside this sidecar, on 127.0.0.1, or off. After SIGTERM it is
    /// asked to let its own clients go in order (drain_listeners): by itself it cuts them. Its --drain-time-s
    /// must be longer than the whole end.
    #[arg(long, env = "LOWBAND_ENVOY_ADMIN_PORT", value_name = "PORT", default_value = "off")]
    envoy_admin_port: String,
}

/// The values of [`End`].
pub(in crate::config) struct Parsed {
    pub(in crate::config) end: Settings,
    pub(in crate::config) envoy_admin_port: Option<u16>,
}

impl End {
    pub(in crate::config) fn parse(&self, mistakes: &mut Mistakes) -> Option<Parsed> {
        let grace_period = mistakes.parse("--grace-period", &self.grace_period, values::duration);
        let close_within = mistakes.parse("--close-within", &self.close_within, values::duration);
        let linger = mistakes.parse("--linger", &self.linger, values::duration);
        let envoy_admin_port =
            mistakes.parse("--envoy-admin-port", &self.envoy_admin_port, envoy::port_or_off);
        Some(Parsed {
            end: Settings { grace_period: grace_period?, close_within: close_within?, linger: linger? },
            envoy_admin_port: envoy_admin_port?,
        })
    }
}
