//! The segments of a path, for the rules that depend on them, and paths that no server behind this proxy may
//! see.

use lowband_codec::paths::MAX_NESTED_ESCAPES;
use std::borrow::Cow;

/// The first segments of a path without its query; no rule looks at more.
pub struct Segments<'p> {
    segments: [&'p [u8]; 6],
    count: usize,
}

impl<'p> Segments<'p> {
    /// Takes a path apart, whose query may follow.
    pub fn of(path: &'p [u8]) -> Self {
        let (mut segments, mut count) = ([&b""[..]; 6], 0);
        for (place, segment) in segments.iter_mut().zip(without_query(path).split(|byte| *byte == b'/')) {
            *place = segment;
            count += 1;
        }
        Segments { segments, count }
    }

    /// Returns the segments; the first one is empty if the path begins with a slash.
    pub fn as_slice(&self) -> &[&'p [u8]] {
        self.segments.get(..self.count).unwrap_or_default()
    }

    /// Returns the segments after the slash with which a path begins; `None` if it does not begin with one.
    pub fn below_root(&self) -> Option<&[&'p [u8]]> {
        self.as_slice().strip_prefix(&[&b""[..]])
    }
}

/// Returns true if a server behind this proxy might take `.` or `..` in this path for steps (RFC 3986 section
/// 5.2.4) and so reach a place to which no route leads. A homeserver does not interpret them; programs in
/// front of it may undo escapes first, once or several times, read a backslash as a slash, and drop the text
/// after a `;`. Without a step the path is as harmless as its beginning shows and passes unchanged: `%2F` and
/// empty segments are part of Matrix.
pub fn has_dot_segment(path: &[u8]) -> bool {
    let mut path = Cow::Borrowed(without_query(path));
    for _ in 0..=MAX_NESTED_ESCAPES {
        if steps(&path) {
            return true;
        }
        match unescaped(&path) {
            None => return false,
            Some(decoded) => path = Cow::Owned(decoded),
        }
    }
    true
}

fn without_query(path: &[u8]) -> &[u8] {
    path.split(|byte| *byte == b'?').next().unwrap_or_default()
}

/// Returns true if the path has such a step as written.
fn steps(path: &[u8]) -> bool {
    let is_step = |segment: &[u8]| {
        // These characters may end a path for one program or another, once their escape is undone.
        let name = segment.split(|byte| b";?#\0".contains(byte)).next().unwrap_or_default();
        matches!(name, b"." | b"..")
    };
    // Most paths have no dot at all, or only within names.
    path.contains(&b'.') && path.split(|byte| matches!(byte, b'/' | b'\\')).any(is_step)
}

/// Returns the path with its escapes undone once; `None` if it has none.
fn unescaped(path: &[u8]) -> Option<Vec<u8>> {
    if !path.contains(&b'%') {
        return None;
    }
    let mut rest = path;
    let mut decoded = Vec::new();
    while let Some(at) = rest.iter().position(|byte| *byte == b'%') {
        let (before, from) = rest.split_at_checked(at)?;
        decoded.extend_from_slice(before);
        let escaped = match from {
            [_, high, low, ..] => nibble(*high).zip(nibble(*low)).map(|(high, low)| high << 4 | low),
            _ => None,
        };
        let (byte, length) = escaped.map_or((b'%', 1), |byte| (byte, 3));
        decoded.push(byte);
        rest = from.get(length..)?;
    }
    decoded.extend_from_slice(rest);
    (decoded.len() < path.len()).then_some(decoded)
}

fn nibble(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_found_in_each_disguise() {
        for path in [
            "/_matrix/../_synapse/admin/v1/users",
            "/_matrix/client/..",
            "/_matrix/client/.",
            "/_matrix/./client",
            "/..",
            "..",
            "/_matrix/%2e%2e/x",
            "/_matrix/%2E%2e/x",
            "/_matrix/.%2E/x",
            "/_matrix/%2e",
            "/_matrix/..%2f_synapse",
            "/_matrix/%2e%2e%2F_synapse",
            "/_matrix/x%2f..%2fy",
            "/_matrix//..//x",
            "/_matrix/..\\_synapse",
            "/_matrix/x%5c..%5Cy",
            "/_matrix/..;/x",
            "/_matrix/..;a=b/x",
            "/_matrix/..%3b/x",
            "/_matrix/%252e%252e/x",
            "/_matrix/%25252e./x",
            "/_matrix/..%00/x",
            "/_matrix/..%3fx",
            "/_matrix/..%23x",
            "/_matrix/..?since=1",
            "/_matrix/%2525252525252e/x",
        ] {
            assert!(has_dot_segment(path.as_bytes()), "{path}");
        }
    }

    #[test]
    fn names_of_matrix_are_none() {
        for path in [
            "",
            "/",
            "*",
            "/_matrix/client/v3/sync?filter=/../x&since=..",
            "/_matrix/client/v3/rooms/!a:matrix.example.org/state/m.room.name/",
            "/_matrix/client/v3/rooms/%21a%3Amatrix.example.org/event/%24a%2Fb%2F%2Fc",
            "/_matrix/client/v3/directory/room/%23a%2Fb..c:h.org",
            "/_matrix/client/v3/pushrules/global/override/.m.rule.master/enabled",
            "/_matrix/client/v3/rooms/!a:b/state/x/...",
            "/_matrix/client/v3/rooms/!a:b/state/x/..a",
            "/_matrix/client/v3/rooms/!a:b/state/x/a..;b",
            "/_matrix/client/v3/rooms/!a:b/state/x/a%5Cb",
            "/_matrix/client/v3/rooms/!a:b/state//",
            "/_matrix/client/v3/user/@a:b/account_data/100%25",
            "/_matrix/client/v3/profile/%",
            "/_matrix/client/v3/profile/%2",
            "/_matrix/client/v3/profile/%zz.",
            "/_matrix/media/v3/download/h.org/x/%2Eprofile.txt",
            "/.well-known/matrix/client",
            "/.lowband/ready",
        ] {
            assert!(!has_dot_segment(path.as_bytes()), "{path}");
        }
    }
}
