//! What the log has been told of the ways: one line for each change, whether or not there are requests.

use super::Way;

/// A line of the log.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    Info(String),
    Warn(String),
}

impl Line {
    /// Writes the line to the log, at its level.
    pub(super) fn write(self) {
        match self {
            Line::Info(text) => tracing::info!("{text}"),
            Line::Warn(text) => tracing::warn!("{text}"),
        }
    }
}

/// Who has found out that HTTPS does not get through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// A request, to a homeserver that has been found before.
    Request,
    /// The search for the homeserver, whose reasons are worth a line each.
    Discovery,
}

/// What is known to whoever reads the log.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// The way of requests.
    way: Option<Way>,
    /// Why HTTPS does not get through, while it does not.
    no_https: Option<(By, String)>,
    /// Why datagrams do not get through, while HTTPS does not either.
    no_udp: Option<String>,
}

impl Told {
    /// Returns the way that was told last.
    pub(super) fn way(&self) -> Option<&Way> {
        self.way.as_ref()
    }

    /// Forgets where datagrams went: they are to go elsewhere.
    pub(super) fn moved(&mut self) {
        self.way.take_if(|way| matches!(way, Way::Udp(_)));
    }

    /// Notes the way of requests. `place`, `why_not`: where datagrams go, and why they do not get through;
    /// `base`: where HTTPS goes.
    pub(super) fn goes(&mut self, way: &Way, place: &str, why_not: &str, base: &str) -> Option<Line> {
        if self.way.as_ref() == Some(way) {
            return None;
        }
        self.way = Some(way.clone());
        let besides = self.no_https.as_ref().map(|(_, why)| format!("; HTTPS as well: {why}"));
        let besides = besides.unwrap_or_default();
        Some(Line::Info(match way {
            Way::Udp(udp) => {
                self.no_udp = None;
                format!("requests go over UDP, to {} ({place})", udp.server)
            }
            Way::HttpsCbor => {
                format!("requests go over HTTPS with CBOR, to {base}: UDP {place}: {why_not}{besides}")
            }
            Way::HttpsJson => format!(
                "requests go over HTTPS with JSON, to {base}, which offers no CBOR: UDP {place}: {why_not}{besides}"
            ),
        }))
    }

    /// Notes why HTTPS does not get through.
    pub(super) fn https_fails(&mut self, by: By, why: &str) -> Option<Line> {
        let is_news = match &self.no_https {
            None => true,
            Some((By::Discovery, before)) => by == By::Discovery && before != why,
            // A search that fails then says the same in other words.
            Some((By::Request, _)) => false,
        };
        if !is_news {
            return None;
        }
        self.no_https = Some((by, why.to_owned()));
        Some(Line::Warn(match by {
            By::Request => format!("HTTPS does not get through any more: {why}"),
            By::Discovery => format!("the homeserver is not found over HTTPS: {why}"),
        }))
    }

    /// Notes that HTTPS gets through.
    pub(super) fn https_works(&mut self) -> Option<Line> {
        self.no_udp = None;
        self.no_https.take().map(|_| Line::Info("HTTPS gets through again".to_owned()))
    }

    /// Notes why datagrams do not get through, which is worth a line where no way is left.
    pub(super) fn udp_fails(&mut self, place: &str, why: &str) -> Option<Line> {
        if self.no_https.is_none() || self.no_udp.as_deref() == Some(why) {
            return None;
        }
        self.no_udp = Some(why.to_owned());
        Some(Line::Warn(format!(
            "no way leads to the homeserver: UDP {place} does not get through either: {why}"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Udp;
    use super::*;

    fn warned(line: Option<Line>) -> Option<String> {
        line.map(|line| match line {
            Line::Warn(text) => text,
            Line::Info(text) => panic!("{text}"),
        })
    }

    #[test]
    fn each_change_is_told_once() {
        let mut told = Told::default();
        let udp = Way::Udp(Udp { server: "192.0.2.1:8008".parse().unwrap(), server_name: "hs".into() });
        let goes = |told: &mut Told, way: &Way| told.goes(way, "hs:8008", "refused", "https://hs");
        let line = "requests go over UDP, to 192.0.2.1:8008 (hs:8008)".to_owned();
        assert_eq!(goes(&mut told, &udp), Some(Line::Info(line)));
        assert_eq!(goes(&mut told, &udp), None);
        assert!(goes(&mut told, &Way::HttpsJson).is_some());
        assert!(goes(&mut told, &udp).is_some());
        told.moved();
        assert_eq!(told.way(), None);
        assert!(goes(&mut told, &Way::HttpsCbor).is_some());
        told.moved();
        assert_eq!(told.way(), Some(&Way::HttpsCbor));
    }

    #[test]
    fn a_failure_of_https_is_told_once_until_it_works_again() {
        let mut told = Told::default();
        let why = warned(told.https_fails(By::Request, "refused")).unwrap();
        assert_eq!(why, "HTTPS does not get through any more: refused");
        assert_eq!(told.https_fails(By::Request, "no route"), None);
        assert_eq!(told.https_fails(By::Discovery, "https://hs: refused"), None);
        let Some(Line::Info(line)) = told.goes(&Way::HttpsCbor, "hs:8008", "silent", "https://hs") else {
            panic!()
        };
        assert!(line.ends_with("UDP hs:8008: silent; HTTPS as well: refused"), "{line}");
        assert_eq!(told.https_works(), Some(Line::Info("HTTPS gets through again".to_owned())));
        assert_eq!(told.https_works(), None);
        assert!(told.https_fails(By::Discovery, "refused").is_some());
        assert_eq!(told.https_fails(By::Discovery, "refused"), None);
        assert_eq!(told.https_fails(By::Request, "no route"), None);
        assert!(told.https_fails(By::Discovery, "certificate verify failed").is_some());
    }

    #[test]
    fn datagrams_that_do_not_get_through_are_a_warning_where_nothing_else_does() {
        let mut told = Told::default();
        assert_eq!(told.udp_fails("hs:8008", "refused"), None);
        told.https_fails(By::Discovery, "refused");
        let why = warned(told.udp_fails("hs:8008", "refused")).unwrap();
        assert!(why.contains("UDP hs:8008 does not get through either: refused"), "{why}");
        assert_eq!(told.udp_fails("hs:8008", "refused"), None);
        assert!(told.udp_fails("hs:8008", "no route").is_some());
    }
}
