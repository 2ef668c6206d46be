//! Talks to a running azure-sim.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::arm::Arm;
use super::demo;
use crate::{Error, Result, files};

/// A request that azure-sim has answered.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SimRequest {
    /// 1 for the first.
    pub seq: u64,
    /// When it was answered, on the clock on the wall.
    pub real: Timestamp,
    /// The verb, in capitals.
    pub method: String,
    /// The path as it was written.
    pub path: String,
    /// The query, with long signatures shortened.
    #[serde(default)]
    pub query: String,
    /// The client's correlation id.
    #[serde(default)]
    pub correlation_id: Option<String>,
    /// The actions that it needed, as far as it came.
    #[serde(default)]
    pub needs: Vec<Need>,
    /// The answer's status.
    pub status: u16,
    /// The answer's `error.code`.
    #[serde(default)]
    pub code: Option<String>,
    /// Who asked, by client id.
    #[serde(default)]
    pub principal: Option<String>,
    /// A write's body, without its secrets.
    #[serde(default)]
    pub body: Value,
}

/// An action that a request needed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Need {
    /// The action.
    pub action: String,
    /// The ARM id over which.
    pub scope: String,
    /// The caller's roles that grant it; none if it was refused.
    pub roles: Vec<String>,
}

impl SimRequest {
    /// Whether it could change something in Azure: anything but reads and the token endpoint's.
    pub fn is_write(&self) -> bool {
        !matches!(self.method.as_str(), "GET" | "HEAD" | "OPTIONS") && !self.path.ends_with("/oauth2/v2.0/token")
    }
}

impl fmt::Display for SimRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>5} {} {} {}", self.seq, self.status, self.method, self.path)?;
        if !self.query.is_empty() {
            write!(f, "?{}", self.query)?;
        }
        if let Some(code) = &self.code {
            write!(f, " [{code}]")?;
        }
        if !self.body.is_null() {
            write!(f, " {}", self.body)?;
        }
        Ok(())
    }
}

/// A client of azure-sim's own side, and the way to its ARM side.
pub struct SimClient {
    url: String,
    ca: PathBuf,
    http: reqwest::Client,
}

impl SimClient {
    /// A client for the azure-sim at that address, whose CA is in that PEM file.
    ///
    /// # Errors
    /// If the file holds no certificate.
    pub fn new(url: &str, ca: &Path) -> Result<Self> {
        Ok(SimClient { url: url.to_string(), ca: ca.to_path_buf(), http: http_client(ca)? })
    }

    /// Its address, which is also Entra's there and the audience of its tokens.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The certificate that its clients must trust, as a PEM file.
    pub fn ca(&self) -> &Path {
        &self.ca
    }

    /// Azure Resource Manager, as the demo's principal sees it: for what a person does in the portal.
    ///
    /// # Errors
    /// If the principal gets no token.
    pub async fn arm(&self) -> Result<Arm> {
        self.sign_in(demo::CLIENT, demo::CLIENT_SECRET).await
    }

    /// Azure Resource Manager, as this principal sees it.
    ///
    /// # Errors
    /// If the principal gets no token.
    pub async fn sign_in(&self, client: &str, secret: &str) -> Result<Arm> {
        Arm::sign_in(self.http.clone(), &self.url, client, secret).await
    }

    /// The requests that azure-sim has answered since its start or [`Self::clear_requests`], the oldest first.
    ///
    /// # Errors
    /// If azure-sim doesn't answer.
    pub async fn requests(&self) -> Result<Vec<SimRequest>> {
        let answer = self.call(Method::GET, "requests", None).await?;
        let list = answer.get("value").cloned().unwrap_or(answer);
        serde_json::from_value(list).map_err(|error| Error::Invalid(format!("azure-sim's /_sim/requests: {error}")))
    }

    /// Forgets the requests.
    ///
    /// # Errors
    /// If azure-sim doesn't answer.
    pub async fn clear_requests(&self) -> Result<()> {
        self.call(Method::DELETE, "requests", None).await.map(drop)
    }

    /// Adds a fault (docs/azure-sim.md tells what one holds).
    ///
    /// # Errors
    /// If azure-sim refuses it.
    pub async fn fault(&self, fault: Value) -> Result<Value> {
        self.call(Method::POST, "faults", Some(fault)).await
    }

    /// Removes all faults.
    ///
    /// # Errors
    /// If azure-sim doesn't answer.
    pub async fn clear_faults(&self) -> Result<()> {
        self.call(Method::DELETE, "faults", None).await.map(drop)
    }

    /// All that azure-sim holds, with what Azure would not show.
    ///
    /// # Errors
    /// If azure-sim doesn't answer.
    pub async fn state(&self) -> Result<Value> {
        self.call(Method::GET, "state", None).await
    }

    /// Lets azure-sim's time jump ahead by a duration such as `10m`.
    ///
    /// # Errors
    /// If azure-sim refuses it.
    pub async fn advance(&self, by: &str) -> Result<()> {
        self.post("clock", json!({"advance": by})).await.map(drop)
    }

    /// Any other `POST /_sim/{path}`.
    ///
    /// # Errors
    /// If azure-sim refuses it.
    pub async fn post(&self, path: &str, body: Value) -> Result<Value> {
        self.call(Method::POST, path, Some(body)).await
    }

    /// Any other request to `/_sim/{path}`.
    ///
    /// # Errors
    /// If azure-sim refuses it.
    pub async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Result<Value> {
        let what = format!("{method} /_sim/{path}");
        let mut request = self.http.request(method, format!("{}/_sim/{path}", self.url));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.map_err(|error| unreachable(&what, &error))?;
        let status = answer.status();
        let text = answer.text().await.map_err(|error| unreachable(&what, &error))?;
        if !status.is_success() {
            return Err(Error::Http(format!("azure-sim answered {what} with {status}: {text}")));
        }
        if text.trim().is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&text)
            .map_err(|error| Error::Http(format!("azure-sim answered {what} with no JSON ({error}): {text}")))
    }
}

/// An error of the transport, with its causes: reqwest's own text leaves the cause out.
pub(crate) fn unreachable(what: &str, error: &reqwest::Error) -> Error {
    let mut text = format!("{what}: {error}");
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    Error::Http(text)
}

/// A client that trusts this CA and no other, and goes through no proxy.
fn http_client(ca: &Path) -> Result<reqwest::Client> {
    let bad = |error: &dyn std::fmt::Display| Error::Invalid(format!("azure-sim's CA {}: {error}", ca.display()));
    let certificate = reqwest::Certificate::from_pem(files::read(ca)?.as_bytes()).map_err(|error| bad(&error))?;
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([certificate]).timeout(Duration::from_secs(60));
    client.build().map_err(|error| bad(&error))
}
