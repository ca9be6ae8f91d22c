//! The way over HTTPS.

use crate::body::{Body, BoxError};
use crate::error::Error;
use crate::settings::Settings;
use http::uri::{PathAndQuery, Uri};
use http::{Request, Response, header};
use http_body_util::BodyExt;
use hyper_openssl::client::legacy::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use lowband_client::Verification;
use openssl::ssl::{SslConnector, SslMethod, SslVerifyMode};
use openssl::x509::X509;
use openssl::x509::store::X509StoreBuilder;

/// Why a request over HTTPS got no answer.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Failed(BoxError, bool);

impl Failed {
    /// Returns whether nothing of the request can have arrived.
    pub(crate) fn unsent(&self) -> bool {
        self.1
    }
}

/// A client for the homeserver's HTTPS side. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Https {
    base: Uri,
    client: Client<HttpsConnector<HttpConnector>, Body>,
}

impl Https {
    /// Makes the client.
    pub(crate) fn new(settings: &Settings) -> Result<Https, Error> {
        let told = &settings.homeserver;
        let base = if told.contains("://") { told.clone() } else { format!("https://{told}") };
        let base = base.parse().map_err(|_| Error::Homeserver(told.clone()))?;
        let mut tls = SslConnector::builder(SslMethod::tls_client())?;
        match &settings.verification {
            Verification::System => {}
            Verification::Roots(pem) => {
                let mut store = X509StoreBuilder::new()?;
                for root in X509::stack_from_pem(pem)? {
                    store.add_cert(root)?;
                }
                tls.set_cert_store(store.build());
            }
            Verification::None => tls.set_verify(SslVerifyMode::NONE),
        }
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        let connector = HttpsConnector::with_connector(http, tls)?;
        let client = Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(connector);
        Ok(Https { base, client })
    }

    /// Sends a request and returns the answer as soon as its head is there.
    pub(crate) async fn send(&self, request: Request<Body>) -> Result<Response<Body>, Failed> {
        let (mut parts, body) = request.into_parts();
        let mut uri = self.base.clone().into_parts();
        let target = parts.uri.path_and_query().cloned();
        uri.path_and_query = target.or_else(|| Some(PathAndQuery::from_static("/")));
        parts.uri = Uri::from_parts(uri).map_err(|error| Failed(error.into(), true))?;
        parts.headers.remove(header::HOST);
        let answer = self.client.request(Request::from_parts(parts, body)).await;
        let answer = answer.map_err(|error| {
            let unsent = error.is_connect();
            Failed(error.into(), unsent)
        })?;
        Ok(answer.map(|body| body.map_err(BoxError::from).boxed_unsync()))
    }
}
