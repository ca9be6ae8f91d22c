//! Path tables: one-character codes <-> Matrix paths (MSC3079), between Uri-Path options and HTTP paths.
//!
//! Uri-Path values are raw UTF-8 (RFC 7252 section 5.10.1); an HTTP path has the same segments
//! percent-encoded (RFC 3986 section 3.3), so that a `/`, `?`, `#` or `%` inside a value stays
//! inside its segment.
//!
//! [`is_media`] and [`MAX_NESTED_ESCAPES`] are defined here because several parts judge paths and must agree.
//!
//! Deliberately absent: queries, and the limit of 255 bytes for a Uri-Path value, which CoAP checks.

use std::fmt;
use std::sync::LazyLock;

mod percent;
mod v1;

/// A named, versioned table of path codes.
#[derive(Debug)]
pub struct PathTable {
    title: &'static str,
    templates: Vec<Template>,
}

#[derive(Debug)]
struct Template {
    code: char,
    path: &'static str,
    segments: Vec<Segment>,
}

#[derive(Debug, PartialEq, Eq)]
enum Segment {
    Literal(&'static str),
    Parameter,
}

impl PathTable {
    /// Returns the table of MSC3079, version 1: 57 paths.
    pub fn v1() -> &'static PathTable {
        static V1: LazyLock<PathTable> = LazyLock::new(|| PathTable {
            title: "v1",
            templates: v1::PATHS.iter().map(|(code, path)| Template::parse(*code, path)).collect(),
        });
        &V1
    }

    /// Returns the title by which the two sides know the table, `v1` for the built-in one.
    pub fn title(&self) -> &str {
        self.title
    }

    /// Returns all codes with their paths, parameters in braces: `('A',
    /// "/_matrix/client/r0/rooms/{roomId}/event/{eventId}")`.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (char, &str)> {
        self.templates.iter().map(|template| (template.code, template.path))
    }

    /// Converts Uri-Path values (raw UTF-8) to an HTTP path, percent-encoded segment by segment.
    ///
    /// A first segment that is a path code stands for its path: its parameters are filled in from left to
    /// right, and segments after the last one are appended, in place of an empty last segment (`n`, `global`
    /// is `/_matrix/client/r0/pushrules/global`). Any other first segment is taken literally.
    ///
    /// # Errors
    ///
    /// There is no segment, one is `.` or `..`, or there are fewer parameters than the code's path has.
    pub fn expand<S: AsRef<str>>(&self, segments: &[S]) -> Result<String, PathError> {
        let (first, rest) = segments.split_first().ok_or(PathError::Empty)?;
        if segments.iter().any(|segment| is_dots(segment.as_ref())) {
            return Err(PathError::DotSegment);
        }
        let mut path = String::new();
        let mut rest = rest.iter();
        match self.by_code(first.as_ref()) {
            Some(template) => {
                for segment in template.segments_before(rest.len()) {
                    let value = match segment {
                        Segment::Literal(literal) => literal,
                        Segment::Parameter => {
                            rest.next().ok_or(PathError::MissingParameter { code: template.code })?.as_ref()
                        }
                    };
                    percent::push_segment(&mut path, value);
                }
            }
            None => percent::push_segment(&mut path, first.as_ref()),
        }
        rest.for_each(|segment| percent::push_segment(&mut path, segment.as_ref()));
        Ok(path)
    }

    /// Converts an HTTP path (no query) to Uri-Path values: the code and its parameters if the table has the
    /// path, else the segments themselves, percent-decoded.
    ///
    /// [`PathTable::expand`] turns the values into the same path again, apart from how it is percent-encoded.
    /// A code is used only for exactly its own path, never with segments appended: the reference
    /// implementation drops those.
    ///
    /// # Errors
    ///
    /// The path has no segment (`/`), does not begin with `/`, holds a raw `?` or `#`, has a bad escape, or
    /// has a segment that is `.` or `..` once decoded. Or its first segment happens to be a path code:
    /// Uri-Path values cannot express `/9/x`.
    pub fn compress(&self, path: &str) -> Result<Vec<String>, PathError> {
        let relative = path.strip_prefix('/').filter(|relative| !relative.contains(['?', '#']));
        let relative = relative.ok_or(PathError::NotAPath)?;
        if relative.is_empty() {
            return Err(PathError::Empty);
        }
        let segments: Vec<String> = relative.split('/').map(percent::decode).collect::<Result<_, _>>()?;
        if segments.iter().any(|segment| is_dots(segment)) {
            return Err(PathError::DotSegment);
        }
        if let Some(template) = self.templates.iter().find(|template| template.matches(&segments)) {
            let code = std::iter::once(template.code.to_string());
            let parameters = segments.into_iter().zip(&template.segments);
            let parameters = parameters.filter(|(_, segment)| **segment == Segment::Parameter);
            return Ok(code.chain(parameters.map(|(value, _)| value)).collect());
        }
        match segments.first().and_then(|first| self.by_code(first)) {
            Some(template) => Err(PathError::LooksLikeCode { code: template.code }),
            None => Ok(segments),
        }
    }

    fn by_code(&self, segment: &str) -> Option<&Template> {
        let mut characters = segment.chars();
        let (code, None) = (characters.next()?, characters.next()) else { return None };
        self.templates.iter().find(|template| template.code == code)
    }
}

impl Template {
    fn parse(code: char, path: &'static str) -> Template {
        let segments = path.split('/').skip(1).map(|segment| match segment.starts_with('{') {
            true => Segment::Parameter,
            false => Segment::Literal(segment),
        });
        Template { code, path, segments: segments.collect() }
    }

    fn parameters(&self) -> usize {
        self.segments.iter().filter(|segment| **segment == Segment::Parameter).count()
    }

    /// Returns the segments, without an empty last one if there are more values than parameters.
    fn segments_before(&self, values: usize) -> &[Segment] {
        match self.segments.split_last() {
            Some((Segment::Literal(""), before)) if values > self.parameters() => before,
            _ => &self.segments,
        }
    }

    fn matches(&self, segments: &[String]) -> bool {
        segments.len() == self.segments.len()
            && self.segments.iter().zip(segments).all(|(own, segment)| match own {
                Segment::Literal(literal) => literal == segment,
                Segment::Parameter => true,
            })
    }
}

/// The most times a path may be escaped over and over; no known client escapes it more often. A part that
/// judges paths refuses one with more, since there is no end to what a proxy might find in it.
pub const MAX_NESTED_ESCAPES: usize = 4;

/// Returns true if a path belongs to the content repository (Client-Server API, "Content repository"), under
/// any prefix it has had, including those of MSC3916. `segments` are the parts between the slashes, in the
/// form in which they are to be judged; the first five decide.
///
/// There `content-type` names a file, and a file stays unchanged: the filter does not translate it, and the
/// sidecar refuses the path, so that clients fetch it over HTTPS.
///
/// ```
/// use lowband_codec::paths::is_media;
/// assert!(is_media(&["_matrix", "client", "v1", "media", "download", "example.org", "id"]));
/// assert!(!is_media(&["_matrix", "client", "v3", "directory", "room", "media"]));
/// ```
pub fn is_media<S: AsRef<[u8]>>(segments: &[S]) -> bool {
    let is = |place: usize, word: &str| {
        segments.get(place).is_some_and(|segment| segment.as_ref() == word.as_bytes())
    };
    let below_client = || is(3, "media") || (is(2, "unstable") && is(4, "media"));
    is(0, "_matrix") && (is(1, "media") || (is(1, "client") && below_client()))
}

fn is_dots(segment: &str) -> bool {
    matches!(segment, "." | "..")
}

/// Why a path cannot be mapped.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PathError {
    /// `.` or `..` as a segment (RFC 7252 section 5.10.1): 4.00. Escapes would not protect it, as
    /// proxies resolve `%2E%2E`.
    DotSegment,
    /// A path code with fewer parameters than its path has: 4.04.
    MissingParameter {
        /// The path code that lacks parameters.
        code: char,
    },
    /// The path has no segment: 4.04.
    Empty,
    /// A percent escape of the HTTP path that is malformed or not UTF-8.
    BadEscape,
    /// An HTTP path that does not begin with `/`, or holds a raw `?` or `#`.
    NotAPath,
    /// The first segment of an HTTP path is a single character that would be taken for a path code.
    LooksLikeCode {
        /// The path code that the segment would be taken for.
        code: char,
    },
}

impl PathError {
    /// Returns a short stable word for typed errors in other languages, e.g. `missing_parameter`.
    pub fn name(&self) -> &'static str {
        match self {
            PathError::DotSegment => "dot_segment",
            PathError::MissingParameter { .. } => "missing_parameter",
            PathError::Empty => "empty",
            PathError::BadEscape => "bad_escape",
            PathError::NotAPath => "not_a_path",
            PathError::LooksLikeCode { .. } => "looks_like_code",
        }
    }

    /// Returns what is wrong, for people; without a full stop.
    pub fn sentence(&self) -> String {
        let mut utf8 = [0; 4];
        let [before, code, behind] = match self {
            PathError::DotSegment => ["the path has a segment . or ..", "", ""],
            PathError::MissingParameter { code } => {
                ["the path code ", code.encode_utf8(&mut utf8), " needs more parameters"]
            }
            PathError::Empty => ["the path is empty", "", ""],
            PathError::BadEscape => ["the path has a percent escape that is malformed or not UTF-8", "", ""],
            PathError::NotAPath => ["the path must begin with / and hold neither ? nor #", "", ""],
            PathError::LooksLikeCode { code } => {
                ["the path begins with ", code.encode_utf8(&mut utf8), ", which is a path code"]
            }
        };
        [before, code, behind].concat()
    }
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence())
    }
}

impl std::error::Error for PathError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_repository_is_known_under_each_of_its_prefixes_and_nothing_else_is() {
        for (path, media) in [
            ("_matrix/media", true),
            ("_matrix/media/v3/upload", true),
            ("_matrix/client/v1/media", true),
            ("_matrix/client/v1/media/download/hs/id", true),
            ("_matrix/client/unstable/org.matrix.msc3916/media/config", true),
            ("_matrix/client/unstable/media/config", true),
            ("_matrix/client/v1/x/media", false),
            ("_matrix/client/v3/directory/room/media", false),
            ("_matrix/client/v1/mediator", false),
            ("_matrix/client/media", false),
            ("_matrix/mediaeval", false),
            ("_matrix/x/v1/media", false),
            ("x/media", false),
            ("media", false),
            ("", false),
        ] {
            let segments: Vec<&str> = path.split('/').collect();
            assert_eq!(is_media(&segments), media, "{path}");
        }
    }
}
