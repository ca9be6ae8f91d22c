//! Where a homeserver is, as clients find it (Client-Server API, "Server discovery"; MSC3079, "Discovery").
//!
//! ```text
//! name -> https://NAME/.well-known/matrix/client -> base_url -> BASE/_matrix/client/versions -> UDP port, CBOR?
//! URL  ----------------------------------------------------------^
//! ```

pub(crate) mod base;
pub(crate) mod documents;

use crate::body::{self, Body};
use crate::https::{Https, chain};
use base::{Base, Named};
use bytes::Bytes;
use documents::WellKnown;
use http::header::{ACCEPT, CONTENT_TYPE, LOCATION};
use http::uri::PathAndQuery;
use http::{Request, Response, Uri};
use http_body_util::BodyExt;

const WELL_KNOWN: PathAndQuery = PathAndQuery::from_static("/.well-known/matrix/client");
const VERSIONS: PathAndQuery = PathAndQuery::from_static("/_matrix/client/versions");
const CBOR: &str = "application/cbor";
const CBOR_OR_JSON: &str = "application/cbor, application/json;q=0.5";
const JSON: &str = "application/json";
/// Most bytes of a document; Synapse's `/versions` has 3,000.
const LONGEST: usize = 256 * 1024;
/// Most redirects of `/.well-known/matrix/client`, which often lies on another host (`www.`). No other
/// request follows any: it may carry a token.
const REDIRECTS: u32 = 5;

/// What discovery finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Homeserver {
    /// The client-server API.
    pub(crate) base: Base,
    /// The port for datagrams, if the server names one.
    pub(crate) udp_port: Option<u16>,
    /// Whether it speaks CBOR over HTTPS.
    pub(crate) cbor: bool,
}

/// Why discovery found nothing, in words.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct NotFound(String);

/// Finds the homeserver. Of a name whose document is of no use (FAIL_PROMPT) the API is looked for at the
/// name itself, and the log says so with the cure; one that leads astray (FAIL_ERROR) is not believed.
pub(crate) async fn discover(https: &Https, named: &Named, clear_text: bool) -> Result<Homeserver, NotFound> {
    let (base, useless) = match named {
        Named::Api(base) => (base.clone(), None),
        Named::Name(name) => look_up(https, name, clear_text).await?,
    };
    match ask_versions(https, &base).await {
        Ok((udp_port, cbor)) => {
            if let Some(why) = useless {
                tracing::warn!(
                    "{why}; {base} is the homeserver itself, --homeserver https://... names another"
                );
            }
            Ok(Homeserver { base, udp_port, cbor })
        }
        Err(why) => {
            let before = useless.map(|why| format!("{why}; ")).unwrap_or_default();
            Err(NotFound(format!("{before}{base}{VERSIONS}: {why}")))
        }
    }
}

/// Returns the port for datagrams, and whether the server speaks CBOR.
async fn ask_versions(https: &Https, base: &Base) -> Result<(Option<u16>, bool), String> {
    let uri = base.uri(&VERSIONS).map_err(|error| error.to_string())?;
    let (status, is_cbor, body) = get(https, uri, CBOR_OR_JSON).await?.read().await?;
    let json = if is_cbor {
        Bytes::from(lowband_codec::cbor_to_json(&body).map_err(|error| error.to_string())?)
    } else {
        body
    };
    Ok((documents::versions(status, &json)?.udp_port, is_cbor))
}

/// Returns where the document of a name leads, and what is wrong with it if that is the name itself.
async fn look_up(https: &Https, name: &Base, clear_text: bool) -> Result<(Base, Option<String>), NotFound> {
    let document = format!("{name}{WELL_KNOWN}");
    let found = match well_known(https, name).await {
        Ok((status, body)) => documents::well_known(status, &body, clear_text),
        Err(why) => WellKnown::Prompt(why),
    };
    match found {
        WellKnown::Base(base) => Ok((base, None)),
        WellKnown::Ignore => Ok((name.clone(), None)),
        WellKnown::Prompt(why) => Ok((name.clone(), Some(format!("{document}: {why}")))),
        WellKnown::Error(why) => {
            Err(NotFound(format!("{document}: {why}; --homeserver https://... does without it")))
        }
    }
}

async fn well_known(https: &Https, name: &Base) -> Result<(u16, Bytes), String> {
    let mut uri = name.uri(&WELL_KNOWN).map_err(|error| error.to_string())?;
    let mut redirects = 0;
    loop {
        let got = get(https, uri.clone(), JSON).await?;
        match got.leads_to(&uri) {
            Some(next) if redirects < REDIRECTS => {
                redirects += 1;
                uri = next?;
            }
            Some(_) => return Err(format!("more than {REDIRECTS} redirects")),
            None => return got.read().await.map(|(status, _, body)| (status, body)),
        }
    }
}

/// An answer whose body is still to come.
struct Got(Response<Body>);

impl Got {
    /// Returns where a redirect leads: to HTTPS alone.
    fn leads_to(&self, from: &Uri) -> Option<Result<Uri, String>> {
        let location = self.0.headers().get(LOCATION).filter(|_| self.0.status().is_redirection())?;
        let base = url::Url::parse(&from.to_string()).ok();
        let next = base.and_then(|base| base.join(location.to_str().ok()?).ok());
        Some(match next {
            Some(next) if next.scheme() == "https" => {
                next.as_str().parse().map_err(|_| "the redirect leads nowhere".to_owned())
            }
            _ => Err("the redirect does not lead to https".into()),
        })
    }

    /// Returns status, whether the body is CBOR, and the body.
    async fn read(self) -> Result<(u16, bool, Bytes), String> {
        let (head, mut body) = self.0.into_parts();
        let media_type = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let is_cbor = media_type
            .and_then(|value| value.split(';').next())
            .is_some_and(|value| value.trim().eq_ignore_ascii_case(CBOR));
        let mut document = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| error.to_string())?;
            document.extend_from_slice(frame.data_ref().map_or(&[], |piece| piece));
            if document.len() > LONGEST {
                return Err(format!("it is longer than {LONGEST} bytes"));
            }
        }
        Ok((head.status.as_u16(), is_cbor, document.into()))
    }
}

async fn get(https: &Https, uri: Uri, accept: &str) -> Result<Got, String> {
    let request =
        Request::get(uri).header(ACCEPT, accept).body(body::empty()).map_err(|error| error.to_string())?;
    https.ask(request).await.map(Got).map_err(|failed| chain(&failed))
}
