//! Values of fields: what they say, and copies of them.

use http::header::HeaderName;
use http::{HeaderMap, HeaderValue};
use std::time::{Duration, SystemTime};

/// Seconds that stand for all longer times (RFC 9111 section 1.2.2).
const MOST_SECONDS: u64 = 1 << 31;

/// Reads seconds. Quotes do not belong there, and are to be borne.
pub(super) fn seconds(value: Option<&str>) -> Option<Duration> {
    let digits = value?.trim().trim_matches('"');
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| Duration::from_secs(digits.parse().unwrap_or(MOST_SECONDS).min(MOST_SECONDS)))
}

/// Splits a list at its commas that are not within quotes (RFC 9110 section 5.6.1). `None`: quotes do not
/// end.
pub(super) fn elements(list: &str) -> Option<Vec<&str>> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    let is_border = |character: char| {
        let is_border = character == ',' && !is_quoted;
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = is_quoted,
            '"' => is_quoted = !is_quoted,
            _ => {}
        }
        is_border
    };
    let elements = list.split(is_border).map(str::trim).filter(|element| !element.is_empty()).collect();
    (!is_quoted).then_some(elements)
}

/// Returns what a field says as a date; `None` if it says none.
pub(super) fn date(headers: &HeaderMap, name: HeaderName) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get(name)?.to_str().ok()?).ok()
}

/// Copies a value: as it came, it holds all that was read from its connection with it.
pub(super) fn copy(value: &HeaderValue) -> HeaderValue {
    HeaderValue::from_bytes(value.as_bytes()).unwrap_or_else(|_| value.clone())
}
