//! What is counted of translations, under the names that the filter in Envoy gives the same things.

use lowband_translation::exchange::Exchange;
use lowband_translation::metrics::{Direction, Metric};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::Histogram;
use std::fmt;

/// Ends of the buckets of sizes, in bytes: powers of four less a half, because no label may be a whole number
/// ([`crate::metrics`]).
const SIZES: [f64; 9] =
    [255.5, 1023.5, 4095.5, 16_383.5, 65_535.5, 262_143.5, 1_048_575.5, 4_194_303.5, 16_777_215.5];

/// A number for each series, in the order of [`Metric::all`].
pub struct Counts {
    counters: Vec<Counter>,
    sizes: [Histogram; 2],
}

impl fmt::Debug for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Counts").finish_non_exhaustive()
    }
}

impl Default for Counts {
    fn default() -> Counts {
        let counters = std::iter::repeat_with(Counter::default).take(Metric::COUNT).collect();
        Counts { counters, sizes: [Histogram::new(SIZES), Histogram::new(SIZES)] }
    }
}

impl Counts {
    /// Adds what an exchange has counted since the last call, and warns, once for each document and reason,
    /// that clients do not learn of this server.
    pub(super) fn take(&self, exchange: &mut Exchange) {
        for (metric, value) in exchange.counted() {
            if let Metric::BodySize(direction) = metric {
                self.sizes(direction).observe(value as f64);
                continue;
            }
            let before = self.counters.get(metric.index()).map(|counter| counter.inc_by(value));
            if let (Metric::Unadvertised(document, miss), Some(0)) = (metric, before) {
                let (document, miss) = (document.title(), miss.predicate());
                tracing::warn!(
                    "{document} goes to clients without what is advertised here, because {miss}; further ones are only counted, \
                     in lowband_unadvertised"
                );
            }
        }
    }

    /// Returns the count of a series.
    pub fn count(&self, metric: Metric) -> u64 {
        self.counters.get(metric.index()).map_or(0, Counter::get)
    }

    /// Returns the sizes of translated bodies as they came.
    pub fn sizes(&self, direction: Direction) -> &Histogram {
        let [request, response] = &self.sizes;
        match direction {
            Direction::Request => request,
            Direction::Response => response,
        }
    }
}
