//! azure-sim's request log, from a point in it on.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::Value;

use super::arm::compute_id;
use super::{SimClient, SimRequest};
use crate::team::LONG;
use crate::{Error, Result};

/// How often the log is read again.
const ASK_EVERY: Duration = Duration::from_millis(100);

/// A point in the log: the requests after it are the ones that count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark(u64);

impl SimRequest {
    /// Whether it asks for or changes the compute target of that name itself.
    pub fn is_about(&self, compute: &str) -> bool {
        let path = self.path.to_ascii_lowercase();
        path.ends_with(&format!("/computes/{}", compute.to_ascii_lowercase()))
    }

    /// Whether it is an answered read of a page of a workspace's compute targets.
    pub fn is_list(&self) -> bool {
        self.method == "GET" && self.status == 200 && self.path.ends_with("/computes")
    }
}

impl SimClient {
    /// The end of the log.
    ///
    /// # Errors
    /// If azure-sim doesn't answer.
    pub async fn mark(&self) -> Result<Mark> {
        let answer = self.call(Method::GET, "requests?since=18446744073709551615", None).await?;
        let last = answer["last"].as_u64();
        last.map(Mark).ok_or_else(|| Error::Invalid(format!("azure-sim's log has no end: {answer}")))
    }

    /// The requests after a mark, the oldest first.
    ///
    /// # Errors
    /// If azure-sim doesn't answer.
    pub async fn since(&self, mark: Mark) -> Result<Vec<SimRequest>> {
        let answer = self.call(Method::GET, &format!("requests?since={}", mark.0), None).await?;
        serde_json::from_value(answer.get("value").cloned().unwrap_or(Value::Null))
            .map_err(|error| Error::Invalid(format!("azure-sim's /_sim/requests: {error}")))
    }

    /// The writes to a compute target after a mark.
    ///
    /// # Errors
    /// If azure-sim doesn't answer.
    pub async fn writes_of(&self, compute: &str, mark: Mark) -> Result<Vec<SimRequest>> {
        let all = self.since(mark).await?;
        Ok(all.into_iter().filter(|request| request.is_write() && request.is_about(compute)).collect())
    }

    /// The verbs of all writes to a compute target since the start, in their order.
    ///
    /// # Errors
    /// If azure-sim doesn't answer.
    pub async fn verbs_to(&self, compute: &str) -> Result<Vec<String>> {
        Ok(self.writes_of(compute, Mark(0)).await?.into_iter().map(|write| write.method).collect())
    }

    /// A compute target of the demo's workspace as Azure has it, or Azure's error.
    ///
    /// # Errors
    /// If azure-sim doesn't answer.
    pub async fn live(&self, compute: &str) -> Result<Value> {
        Ok(self.arm().await?.get(&compute_id(compute)).await?.body)
    }

    /// Changes a compute target of the demo's workspace out of the operator's sight: a patch, where null takes a tag away.
    ///
    /// # Errors
    /// If there is none.
    pub async fn change_by_hand(&self, compute: &str, change: Value) -> Result<()> {
        self.post(&format!("compute{}", compute_id(compute)), change).await.map(drop)
    }

    /// Takes a compute target of the demo's workspace away out of the operator's sight.
    ///
    /// # Errors
    /// If there is none.
    pub async fn delete_by_hand(&self, compute: &str) -> Result<()> {
        self.call(Method::DELETE, &format!("compute{}", compute_id(compute)), None).await.map(drop)
    }

    /// Waits until so many requests after a mark are of that kind, and gives all that came after the mark.
    ///
    /// # Errors
    /// [`Error::TimedOut`] with the requests that came.
    pub async fn wait_for_requests(
        &self,
        what: &str,
        mark: Mark,
        count: usize,
        within: Duration,
        is_of_kind: impl Fn(&SimRequest) -> bool,
    ) -> Result<Vec<SimRequest>> {
        let started = Instant::now();
        loop {
            let all = self.since(mark).await?;
            let found = all.iter().filter(|request| is_of_kind(request)).count();
            if found >= count {
                return Ok(all);
            }
            if started.elapsed() > within {
                let came: String = all.iter().map(|request| format!("\n{request}")).collect();
                let seconds = within.as_secs();
                return Err(Error::TimedOut(format!("waited {seconds} s for {count} {what}, saw {found} in:{came}")));
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    }

    /// Waits until the operator has looked a few times more, so that what it would do by now it has done.
    ///
    /// # Errors
    /// As [`Self::wait_for_requests`].
    pub async fn wait_for_a_few_lists(&self) -> Result<()> {
        self.wait_for_lists(self.mark().await?, 3, LONG).await.map(drop)
    }

    /// Waits until the operator has begun and ended so many looks at a workspace's list after a mark, one more than
    /// asked for: the first one may have begun before it.
    ///
    /// # Errors
    /// As [`Self::wait_for_requests`].
    pub async fn wait_for_lists(&self, mark: Mark, count: usize, within: Duration) -> Result<Vec<SimRequest>> {
        self.wait_for_requests("lists of computes", mark, count + 1, within, SimRequest::is_list).await
    }
}
