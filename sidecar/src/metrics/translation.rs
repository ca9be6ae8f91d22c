//! What the translator counts: the families of the filter in Envoy, under its names.

use crate::translator::Counts;
use lowband_translation::metrics::{Direction, Metric};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use std::fmt;
use std::sync::Arc;

/// The families with what they mean.
const FAMILIES: [(&str, &str); 6] = [
    ("lowband_messages", "HTTP messages that the translation has seen, by what became of them"),
    ("lowband_refused", "Those of them that were refused or cut, by reason"),
    ("lowband_repaired", "Repairs of JSON that has no equivalent in CBOR, by kind"),
    ("lowband_unadvertised", "Discovery documents without what is advertised here, by document and reason"),
    ("lowband_bytes_in", "Bytes of translated bodies as they came"),
    ("lowband_bytes_out", "Bytes of translated bodies as they left"),
];
const SIZE: &str = "lowband_body_size";

#[derive(Debug)]
pub(super) struct Translation(pub(super) Arc<Counts>);

impl Collector for Translation {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let all = Metric::all();
        for (family, help) in FAMILIES {
            let mut described =
                encoder.encode_descriptor(family, &format!("{help}."), None, MetricType::Counter)?;
            for (metric, name) in &all {
                if let Some(labels) = labels_of(family, name) {
                    ConstCounter::new(self.0.count(*metric)).encode(described.encode_family(&labels)?)?;
                }
            }
        }
        let help = "Sizes of translated bodies in bytes as they came.";
        let mut described = encoder.encode_descriptor(SIZE, help, None, MetricType::Histogram)?;
        for (direction, name) in [(Direction::Request, "request"), (Direction::Response, "response")] {
            let labels = [("direction", name)];
            self.0.sizes(direction).encode(described.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

/// Returns the labels in the name of a series, `FAMILY.label.value.label.value`; `None` if it is of another
/// family.
fn labels_of<'n>(family: &str, name: &'n str) -> Option<Vec<(&'n str, &'n str)>> {
    let mut parts = name.split('.');
    if parts.next() != Some(family) {
        return None;
    }
    let mut labels = Vec::new();
    while let (Some(label), Some(value)) = (parts.next(), parts.next()) {
        labels.push((label, value));
    }
    Some(labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_series_is_shown_in_its_family() {
        let families = FAMILIES.map(|(family, _)| family);
        for (metric, name) in Metric::all() {
            let shown = families.iter().filter(|family| labels_of(family, &name).is_some()).count();
            let of_sizes = usize::from(metric.is_histogram() && name.starts_with(SIZE));
            assert_eq!(shown + of_sizes, 1, "{name}");
        }
        let labels = [("direction", "request"), ("result", "passed")];
        let name = "lowband_messages.direction.request.result.passed";
        assert_eq!(labels_of("lowband_messages", name), Some(labels.to_vec()));
    }
}
