//! azure-sim's request log, read once for all cells, by principal.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use azureml_tests::SimClient;
use reqwest::Method;
use serde::Deserialize;
use serde_json::Value;

/// How often the log is read.
const EVERY: Duration = Duration::from_millis(150);

/// A request.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    pub seq: u64,
    pub real: jiff::Timestamp,
    pub principal: Option<String>,
    pub method: String,
    pub path: String,
    #[serde(default)]
    pub query: String,
    pub status: u16,
    #[serde(default)]
    pub body: Value,
}

impl Entry {
    /// Who asked; at the token endpoint who says so.
    fn who(&self) -> String {
        let asking = || self.body["client_id"].as_str().unwrap_or_default().to_string();
        self.principal.clone().unwrap_or_else(asking)
    }

    pub fn is_write(&self) -> bool {
        matches!(self.method.as_str(), "PUT" | "PATCH" | "DELETE")
    }

    pub fn is_about(&self, end: &str) -> bool {
        self.path.to_lowercase().ends_with(&end.to_lowercase())
    }
}

#[derive(Deserialize)]
struct Answer {
    last: u64,
    value: Vec<Entry>,
}

/// The log.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Known>>);

#[derive(Default)]
struct Known {
    last: u64,
    by: HashMap<String, Vec<Entry>>,
}

impl Log {
    /// Starts to read, until the test ends.
    pub fn read(sim: Arc<SimClient>) -> Self {
        let log = Log::default();
        let all = log.clone();
        tokio::spawn(async move {
            let mut last = 0;
            loop {
                if let Ok(answer) = sim.call(Method::GET, &format!("requests?since={last}"), None).await {
                    let answer: Answer = serde_json::from_value(answer).unwrap();
                    last = answer.value.last().map_or(last, |entry| entry.seq);
                    let mut known = all.0.lock().unwrap();
                    for entry in answer.value {
                        known.by.entry(entry.who()).or_default().push(entry);
                    }
                    known.last = answer.last.max(last);
                }
                tokio::time::sleep(EVERY).await;
            }
        });
        log
    }

    /// Looks at the requests of a principal, the oldest first.
    pub fn look<T>(&self, principal: &str, at: impl FnOnce(&[Entry]) -> T) -> T {
        at(self.0.lock().unwrap().by.get(principal).map_or(&[], Vec::as_slice))
    }

    /// The requests of a principal, the oldest first.
    pub fn of(&self, principal: &str) -> Vec<Entry> {
        self.look(principal, <[Entry]>::to_vec)
    }

    /// Waits until the log is read up to there.
    pub async fn reaches(&self, seq: u64) {
        while self.0.lock().unwrap().last < seq {
            tokio::time::sleep(EVERY / 3).await;
        }
    }
}
