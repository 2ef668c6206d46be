//! Every request, for tests to look at.

use super::{
    http::{Answer, Delivery, Request, pairs},
    roles::Need,
};
use crate::{clock::Now, dice::hex};
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::VecDeque;

/// Entries kept; older ones are dropped.
const KEPT: usize = 200_000;

/// Keys whose values never enter the log.
const SECRETS: &[&str] = &[
    "adminuserpassword",
    "adminusersshpublickey",
    "adminpublickey",
    "password",
    "secret",
    "clientsecret",
    "cert",
    "key",
    "databricksaccesstoken",
    "privatekeydata",
    "accesskey",
];

/// One request.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// 1 for the first.
    pub seq: u64,
    /// Real time.
    pub real: jiff::Timestamp,
    /// Virtual time.
    pub virtual_time: jiff::Timestamp,
    /// Client id; null when nobody was recognised.
    pub principal: Option<String>,
    /// Verb.
    pub method: String,
    /// Path as written.
    pub path: String,
    /// Query; long signatures shortened.
    pub query: String,
    /// `x-ms-correlation-request-id`, as the client sent it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
    /// The actions that the request needed, its own first and then those at what it links to; only as far as it came.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<Need>,
    /// Status of the answer.
    pub status: u16,
    /// `error.code` of the answer.
    pub code: Option<String>,
    /// What became of the answer, when it didn't simply arrive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery: Option<String>,
    /// SHA-256 of a write's body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_sha256: Option<String>,
    /// A write's body, secrets replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<Value>,
}

/// The log.
#[derive(Clone, Debug, Default)]
pub struct Log {
    entries: VecDeque<Entry>,
    seq: u64,
}

impl Log {
    /// Write down a request with its answer.
    pub fn add(&mut self, req: &Request, answer: &Answer, principal: Option<String>, needs: Vec<Need>, now: Now) {
        self.seq += 1;
        if self.entries.len() == KEPT {
            self.entries.pop_front();
        }
        let written = !req.body.is_empty();
        let form = req.header("content-type").is_some_and(|t| t.contains("form-urlencoded"));
        let body = written.then(|| if form { redact_form(&req.body) } else { body(&req.body) });
        self.entries.push_back(Entry {
            seq: self.seq,
            real: now.real,
            virtual_time: now.virt,
            principal,
            method: req.method.clone(),
            path: req.path.clone(),
            query: short_query(&req.query),
            correlation_id: req.header("x-ms-correlation-request-id").map(str::to_owned),
            needs,
            status: answer.status,
            code: error_code(&answer.body),
            delivery: (answer.delivery != Delivery::Whole).then(|| format!("{:?}", answer.delivery)),
            body_sha256: (written && !form).then(|| hex(&Sha256::digest(&req.body))),
            body,
        });
    }

    /// Entries after `since`, by verb and by part of the path (neither has case).
    pub fn find(&self, since: u64, method: Option<&str>, path: Option<&str>) -> Vec<&Entry> {
        let path = path.map(str::to_ascii_lowercase);
        self.entries
            .iter()
            .filter(|e| e.seq > since)
            .filter(|e| method.is_none_or(|m| e.method.eq_ignore_ascii_case(m)))
            .filter(|e| path.as_ref().is_none_or(|p| e.path.to_ascii_lowercase().contains(p)))
            .collect()
    }

    /// Number of the last entry.
    pub fn last(&self) -> u64 {
        self.seq
    }

    /// Forget all; numbers go on.
    pub fn clear(&mut self) {
        self.entries.clear();
    }
}

fn error_code(body: &Value) -> Option<String> {
    let error = &body["error"];
    error["code"].as_str().or(error.as_str()).map(str::to_string)
}

fn body(bytes: &[u8]) -> Value {
    match serde_json::from_slice(bytes) {
        Ok(mut value) => {
            redact(&mut value);
            value
        }
        Err(_) => json!("(not JSON)"),
    }
}

fn redact_form(bytes: &[u8]) -> Value {
    let text = String::from_utf8_lossy(bytes);
    let shown = |k: &str| matches!(k, "grant_type" | "client_id" | "scope" | "resource" | "client_assertion_type");
    pairs(&text)
        .map(|(k, v)| {
            let v = if shown(&k) { v } else { "(redacted)".into() };
            (k, json!(v))
        })
        .collect()
}

/// Replace the values of secret keys, at any depth.
pub fn redact(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                let secret = SECRETS.contains(&key.to_ascii_lowercase().as_str());
                if secret && !inner.is_null() && !inner.is_object() {
                    *inner = json!("(redacted)");
                } else {
                    redact(inner);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(redact),
        _ => {}
    }
}

fn short_query(query: &str) -> String {
    let short = |pair: &str| match pair.split_once('=') {
        Some((k, v)) if v.len() > 64 => format!("{k}={}...", v.get(..8).unwrap_or_default()),
        _ => pair.to_string(),
    };
    query.split('&').map(short).collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_stay_out() {
        let now = Now { real: jiff::Timestamp::UNIX_EPOCH, virt: jiff::Timestamp::UNIX_EPOCH };
        let mut log = Log::default();
        let put = Request {
            method: "PUT".into(),
            path: "/x/Y".into(),
            query: format!("api-version=1&c={}", "a".repeat(100)),
            body: br#"{"a":[{"adminUserPassword":"hunter2"}],"tags":{"key":"k"}}"#.to_vec(),
            ..Request::default()
        };
        let refused = Answer::json(409, json!({"error": {"code": "Conflict"}}));
        log.add(&put, &refused, Some("p".into()), Vec::new(), now);
        let token = Request {
            method: "POST".into(),
            headers: [("content-type".to_string(), "application/x-www-form-urlencoded".to_string())].into(),
            body: b"client_id=c&client_secret=hunter2".to_vec(),
            ..Request::default()
        };
        log.add(&token, &Answer::empty(200), None, Vec::new(), now);
        let all = json!(log.find(0, None, None));
        assert!(!all.to_string().contains("hunter2"), "{all}");
        assert_eq!(all[0]["code"], "Conflict");
        assert_eq!(all[0]["query"], "api-version=1&c=aaaaaaaa...");
        assert_eq!(log.find(0, Some("put"), Some("/X/y")).len(), 1);
        assert_eq!(log.find(1, None, None).len(), 1);
    }
}
