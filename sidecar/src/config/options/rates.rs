//! Options for how often clients may send requests.

use crate::config::{Mistakes, values};
use clap::Args;
use lowband_transport::shares::Limit;

/// The rate of requests.
#[derive(Args, Debug, Clone)]
pub(in crate::config) struct Rates {
    /// Requests a second that one address (IPv6: one /64) may make on average, or off. Users behind one
    /// NAT share it.
    #[arg(long, env = "LOWBAND_REQUESTS_PER_SECOND", value_name = "COUNT", default_value = "off")]
    requests_per_second: String,
    /// Requests that one address may make at once before the rate counts.
    #[arg(long, env = "LOWBAND_REQUEST_BURST", value_name = "COUNT", default_value = "100")]
    request_burst: String,
}

impl Rates {
    pub(in crate::config) fn parse(&self, mistakes: &mut Mistakes) -> Option<Option<Limit>> {
        const MOST: u64 = 1_000_000;
        let per_second = match self.requests_per_second.as_str() {
            "off" => None,
            given => Some(mistakes.parse("--requests-per-second", given, |text| {
                values::count(text, 1..=MOST).map_err(|why| values::or_word(why, "off"))
            })),
        };
        let burst = mistakes.parse("--request-burst", &self.request_burst, values::within(1..=MOST));
        let Some(per_second) = per_second else { return burst.map(|_| None) };
        Some(Some(Limit { per_second: u32::try_from(per_second?).ok()?, burst: u32::try_from(burst?).ok()? }))
    }
}
