//! Requests to ARM: one call, one request, one spent permit.

mod answer;
mod correlation;
mod links;
mod operation;
mod path;
mod resource;
mod versions;

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, header};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tokio::time::Instant;
use url::Url;

pub use answer::Answer;
pub use correlation::correlated;
pub use links::{NextLink, OperationUrl, Page};
pub use operation::OperationStatus;
pub use versions::{ApiVersions, Spoken};

use crate::budget::Flight;
use crate::error::{Sent, ThrottleOrigin, correlation_id};
use crate::http_client::chain;
use crate::{ArmError, Budget, Cloud, Credential, ErrorKind, HttpClient, OperationKind, Permit};

/// A longer answer isn't read to its end: no list page or resource comes near it.
const LONGEST_BODY: usize = 32 * 1024 * 1024;
/// How long a throttled bucket or provider waits when the 429 doesn't say.
const WAIT_WHEN_UNSAID: Duration = Duration::from_secs(10);

/// A client of one cloud's ARM with one principal. Clones share everything.
#[derive(Clone)]
pub struct ArmClient {
    inner: Arc<Inner>,
    versions: ApiVersions,
}

struct Inner {
    http: HttpClient,
    cloud: Cloud,
    credential: Arc<Credential>,
    budget: Budget,
    observer: Arc<dyn RequestObserver>,
}

/// A success.
#[derive(Clone, Debug, PartialEq)]
pub struct Response {
    /// The HTTP status, 200 to 299.
    pub status: u16,
    /// The JSON body; `Null` if there is none.
    pub body: Value,
    /// Where to read how the operation goes that the request started, if it started one:
    /// Azure-AsyncOperation, else the Location of a 202.
    pub operation: Option<OperationUrl>,
    /// How long Azure asks to wait before looking.
    pub retry_after: Option<Duration>,
    /// Azure's correlation id, for a support request.
    pub correlation_id: Option<String>,
}

/// One finished request, for metrics. Holds nothing secret and no name of a resource.
#[derive(Clone, Debug, PartialEq)]
pub struct RequestRecord {
    /// `GET`, `PUT` …
    pub method: String,
    /// The (last) provider in the path, such as `Microsoft.MachineLearningServices`; empty if none.
    pub provider: String,
    /// The subscription whose bucket was used.
    pub subscription: String,
    /// The HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// The error's code, if it failed.
    pub code: Option<String>,
    /// From the request's start to the end of its answer's body.
    pub duration: Duration,
    /// Which bucket it drew from.
    pub kind: OperationKind,
}

/// Hears of each request that was sent.
pub trait RequestObserver: Send + Sync {
    /// A request has ended, well or not.
    fn completed(&self, record: &RequestRecord);
}

/// Hears nothing.
impl RequestObserver for () {
    fn completed(&self, _: &RequestRecord) {}
}

/// A request before it is sent.
struct Outgoing<'a> {
    method: Method,
    url: Url,
    body: Option<&'a Value>,
}

impl Outgoing<'_> {
    /// As people read it: without query, which may be signed.
    fn named(&self) -> String {
        format!("{} {}", self.method, self.url.path())
    }
}

impl ArmClient {
    /// A client.
    pub fn new(
        http: HttpClient,
        cloud: Cloud,
        credential: Arc<Credential>,
        budget: Budget,
        observer: Arc<dyn RequestObserver>,
    ) -> Self {
        let inner = Arc::new(Inner { http, cloud, credential, budget, observer });
        Self { inner, versions: ApiVersions::default() }
    }

    /// The same client, that shares what is known of the cloud's api-versions with others.
    pub fn with_versions(self, versions: ApiVersions) -> Self {
        Self { versions, ..self }
    }

    /// The api-version that a path is asked with where `wanted` is given: `wanted`, or an older one that
    /// [`ArmClient::learn_version`] has found in its place.
    pub fn version(&self, id: &str, wanted: &str) -> String {
        self.versions.get(path::provider(id), wanted)
    }

    /// Finds out which api-version to speak with a provider, after [`ErrorKind::ApiVersionUnsupported`]: one read of what
    /// the cloud offers, for which no role is needed. All clients that share the versions speak it from then on.
    ///
    /// # Errors
    /// As [`ArmClient::get`]; [`ErrorKind::ApiVersionUnsupported`] when the cloud offers none that is spoken.
    pub async fn learn_version(&self, spoken: &Spoken<'_>, permit: Permit) -> Result<(), ArmError> {
        let id = format!("/providers/{}", spoken.provider);
        let url = path::url(self.cloud(), "GET", &id, versions::PROVIDERS_API_VERSION, &[])?;
        let outgoing = Outgoing { method: Method::GET, url, body: None };
        let request = outgoing.named();
        let answer = self.send(&outgoing, permit).await?;
        let offered = answer.response(self.cloud(), &request, Timestamp::now())?.body;
        let version = versions::choose(&offered, spoken, &request)?;
        tracing::info!(
            provider = spoken.provider,
            version,
            wanted = spoken.newest,
            "this cloud offers an older api-version"
        );
        self.versions.set(spoken.provider, &version);
        Ok(())
    }

    /// Whose requests these are, for claims.
    pub fn principal_key(&self) -> &str {
        self.inner.credential.principal_key()
    }

    /// The cloud that it speaks with, for [`OperationUrl::parse`].
    pub fn cloud(&self) -> &Cloud {
        &self.inner.cloud
    }

    /// The buckets that it draws from.
    pub fn budget(&self) -> &Budget {
        &self.inner.budget
    }

    /// Reads what a path gives. `id` is the path after the host, here and below.
    ///
    /// # Errors
    /// Whatever goes wrong, classified; so also below.
    pub async fn get(&self, id: &str, api_version: &str, permit: Permit) -> Result<Response, ArmError> {
        self.call(Method::GET, id, api_version, &[], None, permit).await
    }

    /// Reads a resource.
    ///
    /// # Errors
    /// As [`ArmClient::get`]; [`ErrorKind::BadAnswer`] when the answer isn't that resource.
    pub async fn resource(&self, id: &str, api_version: &str, permit: Permit) -> Result<Response, ArmError> {
        self.get(id, api_version, permit).await?.of(id, "GET")
    }

    /// Creates or replaces a resource.
    ///
    /// # Errors
    /// As [`ArmClient::resource`].
    pub async fn put(&self, id: &str, api_version: &str, body: &Value, permit: Permit) -> Result<Response, ArmError> {
        self.call(Method::PUT, id, api_version, &[], Some(body), permit).await?.of(id, "PUT")
    }

    /// Changes part of a resource.
    ///
    /// # Errors
    /// As [`ArmClient::resource`].
    pub async fn patch(&self, id: &str, api_version: &str, body: &Value, permit: Permit) -> Result<Response, ArmError> {
        self.call(Method::PATCH, id, api_version, &[], Some(body), permit).await?.of(id, "PATCH")
    }

    /// Deletes a resource; `query` as in `underlyingResourceAction=Delete`.
    ///
    /// # Errors
    /// As [`ArmClient::get`].
    pub async fn delete(
        &self,
        id: &str,
        api_version: &str,
        query: &[(&str, &str)],
        permit: Permit,
    ) -> Result<Response, ArmError> {
        self.call(Method::DELETE, id, api_version, query, None, permit).await
    }

    /// Calls an action, which is the last segment of `id`.
    ///
    /// # Errors
    /// As [`ArmClient::get`].
    pub async fn post(
        &self,
        id: &str,
        api_version: &str,
        body: Option<&Value>,
        permit: Permit,
    ) -> Result<Response, ArmError> {
        self.call(Method::POST, id, api_version, &[], body, permit).await
    }

    /// Reads one page of a list: the first, or that of `next`, whose URL is taken verbatim.
    ///
    /// # Errors
    /// As [`ArmClient::get`]; [`ErrorKind::ForeignUrl`] when the page's nextLink leads to
    /// another host, and [`ErrorKind::BadAnswer`] when there is no list or it leads to itself.
    pub async fn list_page(
        &self,
        id: &str,
        api_version: &str,
        next: Option<&NextLink>,
        permit: Permit,
    ) -> Result<Page, ArmError> {
        let url = match next {
            Some(next) => {
                links::on_resource_manager(next.as_str(), self.cloud()).map_err(|why| why.error("GET nextLink"))?
            }
            None => path::url(self.cloud(), "GET", id, &self.version(id, api_version), &[])?,
        };
        let outgoing = Outgoing { method: Method::GET, url, body: None };
        let request = outgoing.named();
        self.send(&outgoing, permit).await?.page(next, self.cloud(), &request, Timestamp::now())
    }

    /// Reads how an operation goes.
    ///
    /// # Errors
    /// When that can't be read now, which says nothing about the operation itself.
    pub async fn operation(&self, url: &OperationUrl, permit: Permit) -> Result<OperationStatus, ArmError> {
        let url = links::on_resource_manager(url.as_str(), self.cloud()).map_err(|why| why.error("GET operation"))?;
        let outgoing = Outgoing { method: Method::GET, url, body: None };
        match self.send(&outgoing, permit).await {
            Ok(answer) => answer.operation(&outgoing.named(), Timestamp::now()),
            Err(error) => operation::of_error(error),
        }
    }

    async fn call(
        &self,
        method: Method,
        id: &str,
        api_version: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
        permit: Permit,
    ) -> Result<Response, ArmError> {
        let url = path::url(self.cloud(), method.as_str(), id, &self.version(id, api_version), query)?;
        let outgoing = Outgoing { method, url, body };
        let answer = self.send(&outgoing, permit).await?;
        answer.response(self.cloud(), &outgoing.named(), Timestamp::now())
    }

    /// Sends one request and learns from its answer. Only a 2xx is `Ok`.
    async fn send(&self, outgoing: &Outgoing<'_>, permit: Permit) -> Result<Answer, ArmError> {
        let token = self.inner.credential.token().await?;
        let bucket = Bucket::of(&permit);
        let mut flight = Some(permit.spend());
        let start = Instant::now();
        let result = self.exchange(outgoing, &token, &bucket, &mut flight).await;
        self.record(outgoing, &bucket, start.elapsed(), &result);
        if let Err(error) = &result {
            if error.status == Some(401) {
                self.inner.credential.forget_if_kept(&token);
            }
            self.throttle(error, &bucket);
        }
        drop(flight);
        result
    }

    async fn exchange(
        &self,
        outgoing: &Outgoing<'_>,
        token: &SecretString,
        bucket: &Bucket,
        flight: &mut Option<Flight>,
    ) -> Result<Answer, ArmError> {
        let name = outgoing.named();
        let mut builder = self
            .inner
            .http
            .client()
            .request(outgoing.method.clone(), outgoing.url.clone())
            .headers(headers(token, &name)?);
        match (outgoing.body, &outgoing.method) {
            (Some(body), _) => builder = builder.json(body),
            // Gateways in front of ARM want a length of a POST without a body.
            (None, &Method::POST) => builder = builder.header(header::CONTENT_LENGTH, 0),
            _ => {}
        }
        let mut response = builder.send().await.map_err(|error| broken(&error, &name))?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let mut answer = Answer { status, headers, body: Vec::new() };
        // A refusal is told to the budget by its origin, once it is known.
        if let Some(flight) = flight.take_if(|_| status != 429) {
            flight.answered(answer.remaining(bucket.kind));
        }

        let mut cut = None;
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if answer.body.len() + chunk.len() <= LONGEST_BODY => {
                    answer.body.extend_from_slice(&chunk);
                }
                Ok(Some(_)) => {
                    cut = Some(format!("the answer is longer than {LONGEST_BODY} bytes"));
                    break;
                }
                Ok(None) => break,
                Err(error) => {
                    cut = Some(chain(&error));
                    break;
                }
            }
        }
        answer.success(&name, Timestamp::now())?;
        match cut {
            None => Ok(answer),
            // It took effect, or may have; only its answer is lost.
            Some(reason) => Err(unreadable(status, &answer.headers, &reason, &name)),
        }
    }

    /// Tells the log and the observer.
    fn record(&self, outgoing: &Outgoing<'_>, bucket: &Bucket, duration: Duration, result: &Result<Answer, ArmError>) {
        let (status, code, correlation) = match result {
            Ok(answer) => (Some(answer.status), None, correlation_id(&answer.headers)),
            Err(error) => (error.status, Some(error.code.clone()), error.correlation_id.clone()),
        };
        let (method, path) = (&outgoing.method, outgoing.url.path());
        let milliseconds = duration.as_millis() as u64;
        // Writes are few, and what everything else is about.
        if *method == Method::GET {
            tracing::debug!(%method, path, status, code, correlation, milliseconds, "read from Azure");
        } else {
            tracing::info!(%method, path, status, code, correlation, milliseconds, "wrote to Azure");
        }
        self.inner.observer.completed(&RequestRecord {
            method: outgoing.method.to_string(),
            provider: path::provider(outgoing.url.path()).to_owned(),
            subscription: bucket.subscription.clone(),
            status,
            code,
            duration,
            kind: bucket.kind,
        });
    }

    /// Makes whoever shares the cause of a 429 wait.
    fn throttle(&self, error: &ArmError, bucket: &Bucket) {
        let wait = error.retry_after.unwrap_or(WAIT_WHEN_UNSAID);
        match (&error.kind, &bucket.limit) {
            (ErrorKind::Throttled(ThrottleOrigin::Arm), _) => {
                self.inner.budget.throttled(&bucket.principal, &bucket.subscription, bucket.kind, wait);
            }
            (ErrorKind::Throttled(ThrottleOrigin::Provider), Some(limit)) => {
                self.inner.budget.block(limit.clone(), Instant::now() + wait);
            }
            _ => {}
        }
    }
}

/// What a permit says, after it was spent.
struct Bucket {
    principal: String,
    subscription: String,
    kind: OperationKind,
    limit: Option<String>,
}

impl Bucket {
    fn of(permit: &Permit) -> Self {
        Self {
            principal: permit.principal().to_owned(),
            subscription: permit.subscription().to_owned(),
            kind: permit.kind(),
            limit: permit.limit().map(str::to_owned),
        }
    }
}

fn headers(token: &SecretString, request: &str) -> Result<HeaderMap, ArmError> {
    let mut bearer = HeaderValue::try_from(format!("Bearer {}", token.expose_secret())).map_err(|_| {
        let message = "the token holds characters that no header may hold";
        ArmError::new(ErrorKind::CredentialRejected, "TokenMalformed", message, request, Sent::NotSent)
    })?;
    bearer.set_sensitive(true);
    let mut headers = HeaderMap::new();
    headers.insert(header::AUTHORIZATION, bearer);
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    let own = uuid::Uuid::new_v4().to_string();
    let correlation = correlation::current().unwrap_or_else(|| own.clone());
    for (name, id) in [("x-ms-client-request-id", own), ("x-ms-correlation-request-id", correlation)] {
        if let Ok(id) = HeaderValue::try_from(id) {
            headers.insert(name, id);
        }
    }
    Ok(headers)
}

/// No answer. Only a failure before there was a connection is known to have had no effect.
fn broken(error: &reqwest::Error, request: &str) -> ArmError {
    let sent = if error.is_connect() || error.is_builder() { Sent::NotSent } else { Sent::MaybeProcessed };
    let (kind, code) = if error.is_timeout() {
        (ErrorKind::Timeout, "RequestTimeout")
    } else {
        (ErrorKind::Network, "ConnectionFailed")
    };
    ArmError::new(kind, code, &chain(error), request, sent)
}

fn unreadable(status: u16, headers: &HeaderMap, reason: &str, request: &str) -> ArmError {
    ArmError {
        status: Some(status),
        correlation_id: correlation_id(headers),
        ..ArmError::new(ErrorKind::BadAnswer, "AnswerUnreadable", reason, request, Sent::MaybeProcessed)
    }
}

#[cfg(test)]
mod tests;
