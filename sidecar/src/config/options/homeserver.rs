//! Options for serving without Envoy.

use crate::config::Mistakes;
use crate::homeserver::base::Base;
use crate::homeserver::{self, Roots};
use crate::translator;
use crate::upstream;
use clap::Args;
use lowband_translation::config::Advertise;
use std::path::PathBuf;

/// The homeserver, where this program asks it without Envoy in between.
#[derive(Args, Debug, Clone)]
pub(in crate::config) struct Homeserver {
    /// The homeserver itself, in place of --upstream: this program then translates, and needs no Envoy.
    /// https:// and http:// are taken, without a path. Plain http to another machine shows access tokens to
    /// the network between. Each waiting sync is a connection of its own (ulimit -n), unless the homeserver
    /// offers HTTP/2 over TLS. The variable counts only where none names an upstream: it is also that of
    /// render-envoy.
    #[arg(long, env = "LOWBAND_HOMESERVER", value_name = "URL")]
    homeserver: Option<String>,
    /// The authorities that vouch for the homeserver's certificate, in PEM form; without it, those that the
    /// system trusts.
    #[arg(long, env = "LOWBAND_HOMESERVER_CA", value_name = "FILE")]
    homeserver_ca: Option<PathBuf>,
    /// What names Envoy, and made the homeserver be forgotten.
    #[arg(skip)]
    loses_to: Option<&'static str>,
}

impl Homeserver {
    /// Forgets a homeserver that is meant for Envoy, which `winner`, a flag or a variable, names.
    pub(in crate::config) fn forget(&mut self, winner: &'static str) {
        *self = Homeserver { homeserver: None, homeserver_ca: None, loses_to: Some(winner) };
    }

    /// Returns why there is no homeserver, as what follows "does nothing".
    pub(in crate::config) fn absence(&self) -> Option<String> {
        match (&self.homeserver, self.loses_to) {
            (Some(_), _) => None,
            (None, None) => Some("without --homeserver".to_owned()),
            (None, Some(winner)) => {
                Some(format!("without --homeserver, and {winner} wins over LOWBAND_HOMESERVER"))
            }
        }
    }

    /// Returns whether this program asks the homeserver without Envoy in between.
    pub(in crate::config) fn is_given(&self) -> bool {
        self.homeserver.is_some()
    }

    /// Parses the group. The settings still need those of the upstream, which hold here as well, the bytes of
    /// answers to strangers that nobody reads, and what is advertised; `None` where there is an Envoy.
    pub(in crate::config) fn parse(
        &self,
        mistakes: &mut Mistakes,
    ) -> Option<impl FnOnce(&upstream::Settings, usize, Advertise) -> Option<translator::Settings> + use<>>
    {
        let base = self.homeserver.as_ref().map(|url| mistakes.parse("--homeserver", url, Base::parse));
        if self.homeserver.is_none() && self.homeserver_ca.is_some() {
            mistakes.add("--homeserver-ca", "does nothing without --homeserver".to_owned());
        }
        let roots = match &self.homeserver_ca {
            None => Some(Roots::default()),
            Some(file) => mistakes.parse("--homeserver-ca", &file.to_string_lossy(), |_| Roots::read(file)),
        };
        let (base, roots) = (base.map_or(Some(None), |base| base.map(Some))?, roots?);
        Some(move |upstream: &upstream::Settings, unread_answers: usize, advertise: Advertise| {
            base.map(|base| translator::Settings {
                homeserver: homeserver::Settings {
                    base,
                    roots,
                    // Those of strangers on TCP must not wait for those on CoAP, nor the other way.
                    requests: upstream.requests.saturating_add(translator::MOST_STRANGERS),
                    connect_timeout: upstream.connect_timeout,
                    ping: upstream.ping,
                },
                largest_body: upstream.largest_body,
                unread_answers,
                advertise,
            })
        })
    }
}
