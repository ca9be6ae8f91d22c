//! The choice between the two text formats of a scrape: Prometheus' own (0.0.4), or OpenMetrics (1.0) for
//! readers that prefer it.

use http::header::{ACCEPT, HeaderMap, HeaderValue};

/// The text format of a scrape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Prometheus' text format, which every reader understands.
    Text,
    /// OpenMetrics 1.0, for readers that ask for it.
    OpenMetrics,
}

impl Format {
    /// Returns the format that the reader's `Accept` prefers (RFC 9110 section 12.5.1). Only a reader that
    /// names OpenMetrics gets it.
    pub fn preferred(headers: &HeaderMap) -> Format {
        let (mut text, mut open_metrics) = (Quality::default(), Quality::default());
        let fields = headers.get_all(ACCEPT).into_iter().filter_map(|field| field.to_str().ok());
        for range in fields.flat_map(|field| field.split(',')).map(Range::parse) {
            match range.kind.as_str() {
                "application/openmetrics-text" if range.is_of_version("1.0.0") => {
                    open_metrics.raise(2, range.q)
                }
                "text/plain" if range.is_of_version("0.0.4") => text.raise(2, range.q),
                "text/*" => text.raise(1, range.q),
                "*/*" => text.raise(0, range.q),
                _ => {}
            }
        }
        if open_metrics.q > 0.0 && open_metrics.q >= text.q { Format::OpenMetrics } else { Format::Text }
    }

    /// Returns the `Content-Type` of a scrape.
    pub fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Format::Text => prometheus_client::encoding::prometheus_text::CONTENT_TYPE,
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        })
    }
}

/// How much a reader likes a format: the most specific range counts, and the best of several equally specific
/// ones.
#[derive(Default)]
struct Quality {
    specific: u8,
    q: f32,
}

impl Quality {
    fn raise(&mut self, specific: u8, q: f32) {
        if specific > self.specific {
            *self = Quality { specific, q };
        } else if specific == self.specific {
            self.q = self.q.max(q);
        }
    }
}

/// One part of an `Accept` field.
struct Range {
    kind: String,
    version: Option<String>,
    q: f32,
}

impl Range {
    fn parse(text: &str) -> Range {
        let mut parts = text.split(';').map(str::trim);
        let mut range =
            Range { kind: parts.next().unwrap_or_default().to_ascii_lowercase(), version: None, q: 1.0 };
        for (name, value) in parts.filter_map(|part| part.split_once('=')) {
            match name.trim().to_ascii_lowercase().as_str() {
                "version" => range.version = Some(value.trim().trim_matches('"').to_owned()),
                // A value that is not a number is not a preference.
                "q" => range.q = value.trim().parse().unwrap_or(0.0),
                _ => {}
            }
        }
        range
    }

    fn is_of_version(&self, ours: &str) -> bool {
        self.version.as_deref().is_none_or(|version| version == ours)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_metrics_goes_to_who_names_it_and_likes_it_no_less() {
        for (accept, expected) in [
            // Prometheus 2.42, 3.5 and, when configured to scrape the old format, 3.5 again.
            (
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                Format::OpenMetrics,
            ),
            (
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                Format::OpenMetrics,
            ),
            ("text/plain;version=0.0.4;q=0.6,text/plain;version=1.0.0;q=0.5,*/*;q=0.2", Format::Text),
            ("*/*", Format::Text),
            ("", Format::Text),
            ("application/*", Format::Text),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Format::Text),
            ("application/openmetrics-text", Format::OpenMetrics),
            ("Application/OpenMetrics-Text ; Version=\"1.0.0\" ; Q=0.2", Format::OpenMetrics),
            ("application/openmetrics-text;version=0.0.1, text/plain;q=0.1", Format::Text),
            ("application/openmetrics-text;q=0.4, text/plain;q=0.5", Format::Text),
            ("application/openmetrics-text;q=0.4, text/plain;q=0.1, */*", Format::OpenMetrics),
            ("application/openmetrics-text;q=0", Format::Text),
            ("application/openmetrics-text;q=high", Format::Text),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, HeaderValue::from_static(accept));
            assert_eq!(Format::preferred(&headers), expected, "{accept}");
        }
    }

    #[test]
    fn without_a_wish_or_with_two_fields_it_is_clear_as_well() {
        let mut headers = HeaderMap::new();
        assert_eq!(Format::preferred(&headers), Format::Text);
        headers.append(ACCEPT, HeaderValue::from_static("text/plain;q=0.5"));
        headers.append(ACCEPT, HeaderValue::from_static("application/openmetrics-text"));
        assert_eq!(Format::preferred(&headers), Format::OpenMetrics);
    }
}
