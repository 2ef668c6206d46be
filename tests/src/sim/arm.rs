//! Azure Resource Manager by hand: what a person does in the portal, out of the operator's sight.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{demo, unreachable};
use crate::{Error, Result};

/// The api-version that is asked for where the caller names none.
pub const API_VERSION: &str = "2025-12-01";

/// A signed-in client of Azure Resource Manager.
pub struct Arm {
    http: reqwest::Client,
    url: String,
    token: String,
}

/// An answer that Azure Resource Manager gave, good or bad.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The body; null if it is empty or no JSON.
    pub body: Value,
}

/// The ARM id of a compute target in the demo's workspace.
pub fn compute_id(name: &str) -> String {
    format!("{}/computes/{name}", workspace_id())
}

/// The ARM id of the demo's workspace.
pub fn workspace_id() -> String {
    let (subscription, group, workspace) = (demo::SUBSCRIPTION, demo::RESOURCE_GROUP, demo::WORKSPACE);
    format!(
        "/subscriptions/{subscription}/resourceGroups/{group}\
         /providers/Microsoft.MachineLearningServices/workspaces/{workspace}"
    )
}

impl Arm {
    /// Signs in with a client secret.
    ///
    /// # Errors
    /// If no token is given.
    pub(crate) async fn sign_in(http: reqwest::Client, url: &str, client: &str, secret: &str) -> Result<Self> {
        let what = format!("sign in as {client}");
        // reqwest's form support is left out of the workspace's build; none of these values needs escaping but the
        // scope's colon and slashes, which a form may hold as they are.
        let body =
            format!("grant_type=client_credentials&client_id={client}&client_secret={secret}&scope={url}/.default");
        let answer = http
            .post(format!("{url}/{}/oauth2/v2.0/token", demo::TENANT))
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(body)
            .send()
            .await
            .map_err(|error| unreachable(&what, &error))?;
        let (status, body) = (answer.status(), answer.json::<Value>().await.unwrap_or_default());
        match body["access_token"].as_str() {
            Some(token) => Ok(Arm { http, url: url.to_string(), token: token.to_string() }),
            None => Err(Error::Http(format!("{what}: {status}: {body}"))),
        }
    }

    /// The token that it signed in with.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// `GET`.
    ///
    /// # Errors
    /// If there is no answer; an answer with an error status is an [`Answer`].
    pub async fn get(&self, path: &str) -> Result<Answer> {
        self.send(Method::GET, path, None).await
    }

    /// `PUT`.
    ///
    /// # Errors
    /// If there is no answer.
    pub async fn put(&self, path: &str, body: Value) -> Result<Answer> {
        self.send(Method::PUT, path, Some(body)).await
    }

    /// `PATCH`.
    ///
    /// # Errors
    /// If there is no answer.
    pub async fn patch(&self, path: &str, body: Value) -> Result<Answer> {
        self.send(Method::PATCH, path, Some(body)).await
    }

    /// `POST`.
    ///
    /// # Errors
    /// If there is no answer.
    pub async fn post(&self, path: &str, body: Value) -> Result<Answer> {
        self.send(Method::POST, path, Some(body)).await
    }

    /// `DELETE`. Of a compute target it needs `?underlyingResourceAction=Delete` or `Detach`.
    ///
    /// # Errors
    /// If there is no answer.
    pub async fn delete(&self, path: &str) -> Result<Answer> {
        self.send(Method::DELETE, path, None).await
    }

    /// Submits a command job to a compute target of the demo's workspace, as a data scientist would.
    ///
    /// # Errors
    /// If it isn't taken.
    pub async fn submit_job(&self, name: &str, compute: &str, nodes: u32) -> Result<Value> {
        let environment = format!("{}/environments/minimal/versions/1", workspace_id());
        let job = json!({"properties": {
            "jobType": "Command",
            "command": "python train.py",
            "environmentId": environment,
            "computeId": compute_id(compute),
            "resources": {"instanceCount": nodes},
        }});
        let answer = self.put(&format!("{}/jobs/{name}", workspace_id()), job).await?;
        if answer.status.is_success() {
            return Ok(answer.body);
        }
        Err(Error::Http(format!("the job {name} was not taken: {}: {}", answer.status, answer.body)))
    }

    async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Result<Answer> {
        let what = format!("{method} {path}");
        let mut url = format!("{}{path}", self.url);
        if !path.contains("api-version=") {
            url.push(if path.contains('?') { '&' } else { '?' });
            url.push_str(&format!("api-version={API_VERSION}"));
        }
        let mut request = self.http.request(method, url).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.map_err(|error| unreachable(&what, &error))?;
        let status = answer.status();
        let text = answer.text().await.map_err(|error| unreachable(&what, &error))?;
        Ok(Answer { status, body: serde_json::from_str(&text).unwrap_or_default() })
    }
}
