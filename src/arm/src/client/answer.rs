//! What an answer of ARM says. No I/O: a status, headers and a body go in.

use http::HeaderMap;
use jiff::Timestamp;
use serde_json::Value;

use super::{NextLink, OperationStatus, Page, Response, links, operation, unreadable};
use crate::error::{correlation_id, retry_after};
use crate::{ArmError, Cloud, OperationKind};

/// An answer that was read to its end. Everything in it is somebody else's words.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, whatever it is.
    pub body: Vec<u8>,
}

impl Answer {
    /// Reads it as what a request came to. `request` is for errors; `now` is for a Retry-After that is a date.
    ///
    /// # Errors
    /// When it isn't a 2xx, when its body isn't JSON, and when its operation is on another host than the cloud's ARM.
    pub fn response(&self, cloud: &Cloud, request: &str, now: Timestamp) -> Result<Response, ArmError> {
        self.success(request, now)?;
        let operation = links::operation_url(self.status, &self.headers, cloud)
            .map_err(|why| ArmError { status: Some(self.status), ..why.error(request) })?;
        Ok(Response {
            status: self.status,
            body: self.json(request)?,
            operation,
            retry_after: retry_after(&self.headers, now),
            correlation_id: correlation_id(&self.headers),
        })
    }

    /// Reads it as a page of a list. `current` is the link that led here.
    ///
    /// # Errors
    /// As [`Answer::response`], when there is no list, and when its nextLink leads to another host or to itself.
    pub fn page(
        &self,
        current: Option<&NextLink>,
        cloud: &Cloud,
        request: &str,
        now: Timestamp,
    ) -> Result<Page, ArmError> {
        let response = self.response(cloud, request, now)?;
        links::page(response.body, current, cloud, request)
    }

    /// Reads it as how an operation goes.
    ///
    /// # Errors
    /// When it doesn't tell, which says nothing about the operation itself.
    pub fn operation(&self, request: &str, now: Timestamp) -> Result<OperationStatus, ArmError> {
        match self.success(request, now) {
            Ok(()) => Ok(operation::of_answer(self.status, &self.json(request)?, retry_after(&self.headers, now))),
            Err(error) => operation::of_error(error),
        }
    }

    /// ARM's count of the requests that are left, under the name that fits the kind of operation.
    pub fn remaining(&self, kind: OperationKind) -> Option<u64> {
        let name = match kind {
            OperationKind::Read => "x-ms-ratelimit-remaining-subscription-reads",
            OperationKind::Write => "x-ms-ratelimit-remaining-subscription-writes",
            OperationKind::Delete => "x-ms-ratelimit-remaining-subscription-deletes",
        };
        self.headers.get(name)?.to_str().ok()?.trim().parse().ok()
    }

    /// Only a 2xx is one.
    pub(super) fn success(&self, request: &str, now: Timestamp) -> Result<(), ArmError> {
        match self.status {
            200..=299 => Ok(()),
            _ => Err(ArmError::from_response(self.status, &self.headers, &self.body, request, now)),
        }
    }

    /// The body of a success as JSON; nothing at all is `Null`.
    fn json(&self, request: &str) -> Result<Value, ArmError> {
        if self.body.trim_ascii().is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&self.body).map_err(|error| {
            let reason = format!("the answer is not JSON: {error}");
            unreadable(self.status, &self.headers, &reason, request)
        })
    }
}
