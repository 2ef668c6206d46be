//! One HTTP client for ARM and for tokens, so that private CAs and proxies hold for both.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use azure_core::error::{Error as AzureError, ErrorKind as AzureErrorKind};
use azure_core::http::headers::{HeaderName, HeaderValue, Headers};
use azure_core::http::{AsyncRawResponse, Request, request::Body};
use jiff::Timestamp;
use reqwest::{Certificate, Client};
use url::Url;

use crate::error::retry_after;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const TOTAL_TIMEOUT: Duration = Duration::from_secs(60);
/// Where every machine in Azure finds its metadata.
const METADATA: &str = "169.254.169.254";
const USER_AGENT: &str = concat!("azureml-operator/", env!("CARGO_PKG_VERSION"));

/// An HTTP client over TLS (rustls with aws-lc-rs). Roots are the platform's, or those of
/// `SSL_CERT_FILE` and `SSL_CERT_DIR` in their place where set; `HTTPS_PROXY`, `NO_PROXY`
/// and their like hold. 10 s to connect, 60 s in all. It follows no redirect and retries
/// nothing: one call is one request. Clones share connections. AZURE_POD_IDENTITY_AUTHORITY_HOST
/// names another metadata service than the machine's, as in Microsoft's own clients.
#[derive(Clone, Debug)]
pub struct HttpClient {
    proxied: Client,
    direct: Client,
    /// Stands in for the machine's metadata service.
    metadata: Option<Url>,
}

/// Why there is no HTTP client.
#[derive(Debug, thiserror::Error)]
pub enum HttpClientError {
    /// The certificates can't be read as PEM.
    #[error("the extra certificates are not PEM: {0}")]
    Pem(String),
    /// `SSL_CERT_FILE` can't be used.
    #[error("SSL_CERT_FILE={path}: {reason}; it must name a readable file of PEM certificates")]
    CertFile {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// AZURE_POD_IDENTITY_AUTHORITY_HOST is no URL.
    #[error("AZURE_POD_IDENTITY_AUTHORITY_HOST={0:?} is no URL: {1}")]
    Metadata(String, url::ParseError),
    /// The client can't be built.
    #[error("the HTTP client could not be built: {0}; check SSL_CERT_FILE and the proxy settings")]
    Build(String),
}

impl HttpClient {
    /// A client as the environment says.
    ///
    /// # Errors
    /// When `SSL_CERT_FILE` is set and isn't a file of certificates, when there are no
    /// roots at all, or when a proxy setting isn't a URL.
    pub fn new() -> Result<Self, HttpClientError> {
        if let Some(path) = std::env::var_os("SSL_CERT_FILE") {
            check_cert_file(&path)?;
        }
        Self::build(&[])
    }

    /// As [`HttpClient::new`], trusting further roots given as PEM.
    ///
    /// # Errors
    /// As there, and when `pem` holds no certificate.
    pub fn with_ca(pem: &[u8]) -> Result<Self, HttpClientError> {
        let roots = Certificate::from_pem_bundle(pem).map_err(|error| HttpClientError::Pem(chain(&error)))?;
        if roots.is_empty() {
            return Err(HttpClientError::Pem("no certificate found".to_owned()));
        }
        Self::build(&roots)
    }

    fn build(roots: &[Certificate]) -> Result<Self, HttpClientError> {
        let build = |direct: bool| {
            let mut builder = Client::builder()
                .user_agent(USER_AGENT)
                .connect_timeout(CONNECT_TIMEOUT)
                .timeout(TOTAL_TIMEOUT)
                .redirect(reqwest::redirect::Policy::none())
                .retry(reqwest::retry::never())
                .tls_certs_merge(roots.iter().cloned());
            if direct {
                builder = builder.no_proxy();
            }
            builder.build().map_err(|error| HttpClientError::Build(chain(&error)))
        };
        let metadata = std::env::var("AZURE_POD_IDENTITY_AUTHORITY_HOST").ok().filter(|host| !host.trim().is_empty());
        let metadata =
            metadata.map(|host| Url::parse(host.trim()).map_err(|error| HttpClientError::Metadata(host, error)));
        Ok(Self { proxied: build(false)?, direct: build(true)?, metadata: metadata.transpose()? })
    }

    /// Whatever proxy the environment of a test names.
    #[cfg(test)]
    pub(crate) fn without_proxy(self) -> Self {
        Self { proxied: self.direct.clone(), direct: self.direct, metadata: None }
    }

    /// For requests to ARM.
    pub(crate) fn client(&self) -> &Client {
        &self.proxied
    }

    /// For tokens from Entra.
    pub(crate) fn for_entra(&self) -> Arc<dyn azure_core::http::HttpClient> {
        Arc::new(TokenTransport { client: self.proxied.clone(), refusals: Refusals::AreErrors, metadata: None })
    }

    /// For tokens of a managed identity, whose endpoint is on this machine: no proxy
    /// could reach it, nor should one see its tokens.
    pub(crate) fn for_managed_identity(&self) -> Arc<dyn azure_core::http::HttpClient> {
        let (client, metadata) = (self.direct.clone(), self.metadata.clone());
        Arc::new(TokenTransport { client, refusals: Refusals::AreAnswers, metadata })
    }
}

fn check_cert_file(path: &std::ffi::OsStr) -> Result<(), HttpClientError> {
    let failed = |reason: String| HttpClientError::CertFile { path: path.to_string_lossy().into_owned(), reason };
    let pem = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
    let certificates = Certificate::from_pem_bundle(&pem).map_err(|error| failed(chain(&error)))?;
    if certificates.is_empty() {
        return Err(failed("no certificate found".to_owned()));
    }
    Ok(())
}

/// An error with its causes in one line, without the URL, which may hold a signature.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut line = match error.downcast_ref::<reqwest::Error>() {
        Some(error) => what_failed(error).to_owned(),
        None => error.to_string(),
    };
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !line.contains(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        cause = error.source();
    }
    line
}

fn what_failed(error: &reqwest::Error) -> &'static str {
    if error.is_timeout() {
        "the request took too long"
    } else if error.is_connect() {
        "no connection"
    } else if error.is_body() || error.is_decode() {
        "the answer broke off"
    } else if error.is_builder() {
        "the request could not be built"
    } else {
        "the connection failed"
    }
}

/// azure_identity's transport over our client.
#[derive(Debug)]
struct TokenTransport {
    client: Client,
    refusals: Refusals,
    metadata: Option<Url>,
}

impl TokenTransport {
    /// The URL as it is, but the machine's metadata service where another one stands in for it.
    fn url(&self, url: &Url) -> Url {
        match &self.metadata {
            Some(other) if url.host_str() == Some(METADATA) => {
                let mut other = other.clone();
                other.set_path(url.path());
                other.set_query(url.query());
                other
            }
            _ => url.clone(),
        }
    }
}

/// What becomes of an answer that isn't a 2xx.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusals {
    /// A [`TokenRefusal`]: azure_identity 1.0 reads Entra's error body without unescaping
    /// it, so that a reason with a line break or a quote in it would be lost.
    AreErrors,
    /// An answer: azure_identity knows which ones of the identity endpoint to wait out.
    AreAnswers,
}

/// Entra's answer to a request for a token that it refused.
#[derive(Debug, thiserror::Error)]
#[error("the token endpoint answered {status}")]
pub(crate) struct TokenRefusal {
    pub status: u16,
    pub body: Vec<u8>,
    /// How long it asks to be left in peace.
    pub retry_after: Option<Duration>,
}

#[async_trait]
impl azure_core::http::HttpClient for TokenTransport {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        let method = reqwest::Method::from_bytes(request.method().as_str().as_bytes())
            .map_err(|error| AzureError::with_message(AzureErrorKind::Other, error.to_string()))?;
        let mut builder = self.client.request(method, self.url(request.url()));
        for (name, value) in request.headers().iter() {
            builder = builder.header(name.as_str(), value.as_str());
        }
        if let Body::Bytes(bytes) = request.body() {
            builder = builder.body(bytes.clone());
        }
        let response = builder.send().await.map_err(to_azure)?;
        let status = response.status().as_u16();
        let retry_after = retry_after(response.headers(), Timestamp::now());
        let headers = response.headers().iter().filter_map(|(name, value)| {
            let value = value.to_str().ok()?.to_owned();
            Some((HeaderName::from(name.as_str().to_owned()), HeaderValue::from(value)))
        });
        let headers = Headers::from(headers.collect::<std::collections::HashMap<_, _>>());
        let body = response.bytes().await.map_err(to_azure)?;
        if self.refusals == Refusals::AreErrors && !(200..300).contains(&status) {
            let refusal = TokenRefusal { status, body: body.to_vec(), retry_after };
            return Err(AzureError::new(AzureErrorKind::Credential, refusal));
        }
        Ok(AsyncRawResponse::from_bytes(status.into(), headers, body))
    }
}

fn to_azure(error: reqwest::Error) -> AzureError {
    let kind = if error.is_connect() { AzureErrorKind::Connection } else { AzureErrorKind::Io };
    AzureError::with_message(kind, chain(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_certificates_that_are_none() {
        assert!(matches!(HttpClient::with_ca(b"no pem"), Err(HttpClientError::Pem(_))));
        let missing = check_cert_file(std::ffi::OsStr::new("/nonexistent/ca.pem"));
        let text = missing.unwrap_err().to_string();
        assert!(text.contains("SSL_CERT_FILE=/nonexistent/ca.pem"), "{text}");
    }
}
