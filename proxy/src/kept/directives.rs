//! What Cache-Control says, in requests and in answers (RFC 9111 section 5.2).

use super::fields::{elements, seconds};
use http::HeaderMap;
use http::header::{CACHE_CONTROL, PRAGMA};
use std::time::Duration;

/// The directives that mean something here. Names are compared without case.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Directives {
    pub(super) no_store: bool,
    pub(super) no_cache: bool,
    pub(super) public: bool,
    pub(super) private: bool,
    pub(super) only_if_cached: bool,
    /// Zero where it is malformed, or said twice with two meanings.
    pub(super) max_age: Option<Duration>,
    /// As long as can be where it is malformed.
    pub(super) min_fresh: Option<Duration>,
}

impl Directives {
    /// Reads them. What cannot be read may forbid to keep anything, and is taken for that.
    pub(super) fn of(headers: &HeaderMap) -> Directives {
        let mut found = Directives::default();
        for field in headers.get_all(CACHE_CONTROL) {
            match field.to_str().ok().and_then(elements) {
                Some(elements) => elements.into_iter().for_each(|element| found.add(element)),
                None => found.no_store = true,
            }
        }
        // What was there before Cache-Control (section 5.4).
        let is_old = !headers.contains_key(CACHE_CONTROL);
        found.no_cache |= is_old && headers.get_all(PRAGMA).iter().any(|field| field == "no-cache");
        found
    }

    fn add(&mut self, element: &str) {
        let (name, value) = match element.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (element, None),
        };
        match name.trim().to_ascii_lowercase().as_str() {
            "no-store" => self.no_store = true,
            // It may name fields and is about these alone then; to take it for all is allowed.
            "no-cache" => self.no_cache = true,
            "public" => self.public = true,
            "private" => self.private = true,
            "only-if-cached" => self.only_if_cached = true,
            "max-age" => {
                let new = seconds(value).unwrap_or_default();
                let is_one = self.max_age.is_none_or(|old| old == new);
                self.max_age = Some(if is_one { new } else { Duration::ZERO });
            }
            "min-fresh" => self.min_fresh = Some(seconds(value).unwrap_or(Duration::MAX)),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directives(fields: &[(&'static str, &[u8])]) -> Directives {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, http::HeaderValue::from_bytes(value).unwrap());
        }
        Directives::of(&headers)
    }

    fn of(text: &str) -> Directives {
        directives(&[("cache-control", text.as_bytes())])
    }

    #[test]
    fn directives_are_found_whatever_their_case_quotes_and_lines() {
        let day = Some(Duration::from_secs(86_400));
        for text in [
            "public,max-age=86400,s-maxage=0,proxy-revalidate",
            "  PUBLIC , Max-Age = 86400 ,, immutable",
            "public, max-age=\"86400\", max-age=86400",
            "x=\"no-store, no-cache\", public, max-age=86400",
            r#"x="a\", no-store", public, max-age=86400"#,
        ] {
            assert_eq!(
                of(text),
                Directives { public: true, max_age: day, ..Directives::default() },
                "{text}"
            );
        }
        let two = directives(&[("cache-control", b"private=\"set-cookie\""), ("cache-control", b"NO-STORE")]);
        assert_eq!(two, Directives { private: true, no_store: true, ..Directives::default() });
        let asked = Directives {
            only_if_cached: true,
            no_cache: true,
            min_fresh: Some(Duration::from_secs(5)),
            ..Directives::default()
        };
        assert_eq!(of("only-if-cached, no-cache=\"a, b\", min-fresh=5"), asked);
    }

    #[test]
    fn what_is_malformed_is_taken_for_what_keeps_least() {
        for text in ["max-age", "max-age=", "max-age=-1", "max-age=1.5", "max-age=x", "max-age=1, max-age=2"]
        {
            assert_eq!(of(text).max_age, Some(Duration::ZERO), "{text}");
        }
        assert_eq!(of("min-fresh=x").min_fresh, Some(Duration::MAX));
        assert!(of("private=\"a, max-age=5").no_store, "quotes that do not end may hide anything");
        assert!(directives(&[("cache-control", b"max-age=5, \xff")]).no_store);
        let most = Some(Duration::from_secs(1 << 31));
        assert_eq!(of("max-age=99999999999999999999999").max_age, most);
        assert_eq!(of("max-age=99999999999").max_age, most);
    }

    #[test]
    fn pragma_counts_where_there_is_no_cache_control() {
        assert!(directives(&[("pragma", b"no-cache")]).no_cache);
        assert!(!directives(&[("pragma", b"no-cache"), ("cache-control", b"max-age=5")]).no_cache);
    }
}
