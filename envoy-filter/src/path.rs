//! What a path is made of, for the rules that go by it.

/// The first segments of a path without its query; no rule looks at more.
pub(crate) struct Segments<'p> {
    segments: [&'p [u8]; 6],
    count: usize,
}

impl<'p> Segments<'p> {
    pub(crate) fn of(path: &'p [u8]) -> Self {
        let path = path.split(|byte| *byte == b'?').next().unwrap_or_default();
        let (mut segments, mut count) = ([&b""[..]; 6], 0);
        for (place, segment) in segments.iter_mut().zip(path.split(|byte| *byte == b'/')) {
            *place = segment;
            count += 1;
        }
        Segments { segments, count }
    }

    pub(crate) fn as_slice(&self) -> &[&'p [u8]] {
        self.segments.get(..self.count).unwrap_or_default()
    }
}
