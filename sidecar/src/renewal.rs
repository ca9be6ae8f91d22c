//! A certificate that is renewed while this serves.
//!
//! ```text
//! a timer, SIGHUP -> Paths::read -> Renewal::look -> the event loop, which serves it
//!                                                 -> or the old one stays, with one line in the log
//! ```
//!
//! The content of the files is read again every few seconds. What the system tells of changes would have to
//! follow whatever renews them: a volume of Kubernetes swaps a symbolic link two folders up, certbot turns
//! one towards another file, others write in place, and a disk of another machine tells nothing. Two small
//! files cost less than a request.
//!
//! [`Renewal`] decides and knows neither files nor clock; `watch` has both.

use crate::config::{Files, Identity, Mistake, Paths};

mod watch;

pub(crate) use watch::Watch;

/// How often an operator is reminded of a certificate that ends soon, in seconds.
const REMIND: i64 = 24 * 3600;

/// What is served, and what else has been seen in its place.
pub struct Renewal {
    paths: Paths,
    identity: Identity,
    /// Of the last look, where that is something else.
    seen: Option<Files>,
    /// What has been told of it.
    refused: Option<(Files, Vec<Mistake>)>,
    reminded: Option<i64>,
}

/// What a look at the files leads to.
#[derive(Debug)]
pub enum Step {
    /// Nothing to do and nothing to tell.
    Nothing,
    /// The files hold what is served: somebody has asked, or they held something else before.
    Same,
    /// To be served from now on.
    Serve(Box<Identity>),
    /// The one that is served stays; why, has not been told yet.
    Refuse(Vec<Mistake>),
}

impl Renewal {
    /// With what is served since the start.
    pub fn new(paths: Paths, identity: Identity) -> Renewal {
        Renewal { paths, identity, seen: None, refused: None, reminded: None }
    }

    /// `files` is what stands there at `now`, in seconds since 1970. Two looks in a row have to see the same
    /// before anything is done, so that what is only half written does no harm; `asked` for by somebody who
    /// knows that all is written, one will do.
    pub fn look(&mut self, files: Files, asked: bool, now: i64) -> Step {
        if files == Files::from(&self.identity.server) {
            self.seen = None;
            let is_news = self.refused.take().is_some() || asked;
            return if is_news { Step::Same } else { Step::Nothing };
        }
        if self.seen.as_ref() != Some(&files) {
            self.seen = Some(files.clone());
            if !asked {
                return Step::Nothing;
            }
        }
        // Each time, since a certificate may only have to wait for its time to come.
        let judged = self.paths.judge(&files);
        match judged.and_then(|identity| match self.paths.untimely(&identity, now) {
            Some(mistake) => Err(vec![mistake]),
            None => Ok(identity),
        }) {
            Ok(identity) => {
                self.identity = identity.clone();
                (self.seen, self.refused, self.reminded) = (None, None, None);
                Step::Serve(Box::new(identity))
            }
            Err(mistakes) => {
                let refused = Some((files, mistakes.clone()));
                if refused == self.refused && !asked {
                    return Step::Nothing;
                }
                self.refused = refused;
                Step::Refuse(mistakes)
            }
        }
    }

    /// At the start and once a day: over what clients stumble with the certificate that is served,
    /// or will soon.
    pub fn remind(&mut self, now: i64) -> Option<String> {
        let validity = self.identity.validity;
        if self.reminded.is_some_and(|last| (last..last + REMIND).contains(&now)) {
            return None;
        }
        let what = match validity.mistake(now) {
            Some(why) => format!("clients refuse the certificate: {why}"),
            None if validity.is_short(now) => {
                format!("the certificate should have been renewed: {}", validity.tell(now))
            }
            None => return None,
        };
        self.reminded = Some(now);
        Some(what)
    }

    /// What is served.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }
}
