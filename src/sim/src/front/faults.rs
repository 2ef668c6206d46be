//! Faults injected by tests: which requests they hit, and what they do.

use super::{
    http::{Request, Text},
    refusal::{Origin, Refusal},
};
use crate::{
    clock::{Now, http_date, later, parse_duration},
    world::Lapse,
};
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A rule as posted to `/_sim/faults`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rule {
    /// What to call it when it is to end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Which requests.
    #[serde(default, rename = "match")]
    pub matches: Match,
    /// How often; -1 for ever.
    #[serde(default = "once")]
    pub times: i64,
    /// What.
    pub fault: Fault,
    /// Matching requests so far.
    #[serde(default, skip_deserializing)]
    pub seen: u64,
    /// Times it has struck.
    #[serde(default, skip_deserializing)]
    pub struck: i64,
    /// Whether the request that it waits for has come.
    #[serde(default, skip_deserializing)]
    pub armed: bool,
}

fn once() -> i64 {
    1
}

/// Which requests a fault hits; what is left out matches all.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Match {
    /// Verb.
    #[serde(default)]
    pub method: Option<String>,
    /// Part of the path, without case. Only rules with this hit the token endpoint.
    #[serde(default)]
    pub path_contains: Option<String>,
    /// End of the path, without case.
    #[serde(default)]
    pub path_ends: Option<String>,
    /// Part of the query as it was written, without case.
    #[serde(default)]
    pub query_contains: Option<String>,
    /// Client id, at the token endpoint that of the request.
    #[serde(default)]
    pub principal: Option<String>,
    /// Begin after a request that matches this.
    #[serde(default)]
    pub after: Option<Box<Match>>,
    /// Begin with the n-th matching request (1 is the first).
    #[serde(default)]
    pub nth: Option<u64>,
}

/// What a fault does.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, try_from = "Value")]
pub enum Fault {
    /// Answer this instead of doing anything.
    Answer(CannedAnswer),
    /// Reset the connection, doing nothing.
    Reset,
    /// Do it, and end the connection in the middle of the answer.
    Truncate,
    /// Do it, and hold the answer back for this long (real time).
    Delay(SignedDuration),
    /// Do it, and let the body drip for this long (real time).
    Drip(SignedDuration),
    /// Never answer, doing nothing.
    Hang,
    /// The operation that the write starts fails.
    OperationFails {
        /// ARM code.
        code: String,
        /// In words.
        message: String,
    },
    /// The operation that the write starts stays InProgress.
    OperationNeverEnds,
    /// The answer carries no operation URL.
    OperationUrlLost,
    /// Do it, then answer 500 or reset the connection.
    ApplyThenFail(Loss),
    /// The provider's own 429.
    RpThrottle(RetryAfter),
    /// 429 RetryableError for this object.
    RetryableError(RetryAfter),
    /// Accept the write and keep the old value of this dotted field.
    NotHonoured(String),
}

/// How an applied write's answer is lost.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum Loss {
    /// 500 InternalServerError.
    Status,
    /// A reset connection.
    Reset,
}

/// A whole answer.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CannedAnswer {
    /// Status code.
    pub status: u16,
    /// ARM code.
    #[serde(default)]
    pub code: Option<String>,
    /// In words.
    #[serde(default)]
    pub message: Option<String>,
    /// Headers.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Retry-After.
    #[serde(default)]
    pub retry_after: Option<RetryAfter>,
    /// Who answers.
    #[serde(default)]
    pub origin: Origin,
    /// This very body in place of an error: a text as it is, anything else as JSON.
    #[serde(default)]
    pub body: Option<Value>,
    /// Its content type.
    #[serde(default)]
    pub content_type: Option<String>,
    /// Blanks are added to that body up to this many bytes.
    #[serde(default)]
    pub size: usize,
}

/// The longest body that a fault makes.
const LARGEST: usize = 256 << 20;

/// A `Retry-After`: a number of seconds, `{"dateIn": seconds}` for an HTTP date, or a text sent as it is.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(untagged)]
pub enum RetryAfter {
    /// Seconds.
    Seconds(i64),
    /// A date so many seconds ahead.
    #[serde(rename_all = "camelCase")]
    Date {
        /// Seconds ahead.
        date_in: i64,
    },
    /// Verbatim.
    Text(String),
}

impl RetryAfter {
    fn text(&self, now: Now) -> String {
        match self {
            Self::Seconds(n) => n.to_string(),
            Self::Date { date_in } => http_date(later(now.real, SignedDuration::from_secs(*date_in))),
            Self::Text(text) => text.clone(),
        }
    }
}

impl TryFrom<Value> for Fault {
    type Error = String;

    /// A name (`"reset"`), a name with its argument (`{"delay": "2s"}`), or a canned answer (`{"status": 503, …}`).
    fn try_from(value: Value) -> Result<Self, String> {
        if value.get("status").is_some() {
            return serde_json::from_value(value).map(Self::Answer).map_err(|e| e.to_string());
        }
        let (name, argument) = match &value {
            Value::String(name) => (name.clone(), Value::Null),
            Value::Object(map) if map.len() == 1 => {
                map.iter().next().map(|(k, v)| (k.clone(), v.clone())).unwrap_or_default()
            }
            _ => return Err("a fault is a name, an object with one name, or an answer with \"status\"".into()),
        };
        let text = |key: &str, default: &str| argument[key].as_str().unwrap_or(default).to_string();
        let retry = || -> Result<RetryAfter, String> {
            match argument.get("retryAfter") {
                None => Ok(RetryAfter::Seconds(10)),
                Some(v) => serde_json::from_value(v.clone()).map_err(|e| e.to_string()),
            }
        };
        Ok(match name.as_str() {
            "reset" => Self::Reset,
            "truncate" => Self::Truncate,
            "hang" => Self::Hang,
            "delay" => Self::Delay(parse_duration(argument.as_str().unwrap_or("5s"))?),
            "drip" => Self::Drip(parse_duration(argument.as_str().unwrap_or("5s"))?),
            "operationFails" => Self::OperationFails {
                code: text("code", "InternalServerError"),
                message: text("message", "The operation failed because a test said so."),
            },
            "operationNeverEnds" => Self::OperationNeverEnds,
            "operationUrlLost" => Self::OperationUrlLost,
            "applyThenFail" => {
                let loss = argument.as_str().or(argument["with"].as_str());
                Self::ApplyThenFail(if loss == Some("reset") { Loss::Reset } else { Loss::Status })
            }
            "rpThrottle" => Self::RpThrottle(retry()?),
            "retryableError" => Self::RetryableError(retry()?),
            "notHonoured" => {
                let field = argument.as_str().or(argument["field"].as_str());
                Self::NotHonoured(field.ok_or("notHonoured needs a \"field\" like properties.description")?.into())
            }
            other => return Err(format!("no fault is called {other:?}")),
        })
    }
}

impl Fault {
    /// The body that this fault answers in place of an error, when it has one.
    pub fn text(&self) -> Option<Text> {
        let Self::Answer(canned) = self else { return None };
        let body = match canned.body.as_ref()? {
            Value::String(text) => text.clone(),
            json => json.to_string(),
        };
        let mut bytes = body.into_bytes();
        bytes.resize(bytes.len().max(canned.size.min(LARGEST)), b' ');
        let content_type = canned.content_type.as_deref().unwrap_or("application/json; charset=utf-8");
        Some(Text { content_type: content_type.into(), bytes })
    }

    /// Whether it answers in the provider's name.
    pub fn is_providers(&self) -> bool {
        match self {
            Self::RpThrottle(_) | Self::RetryableError(_) => true,
            Self::Answer(canned) => canned.origin == Origin::Provider,
            _ => false,
        }
    }

    /// The refusal that this fault is, when it answers by itself.
    pub fn refusal(&self, now: Now) -> Option<Refusal> {
        match self {
            Self::Answer(canned) => {
                let code = canned.code.as_deref().unwrap_or_else(|| default_code(canned.status));
                let message = canned.message.as_deref().unwrap_or("A fault was injected.");
                let mut refusal = Refusal { origin: canned.origin, ..Refusal::arm(canned.status, code, message) };
                refusal.headers.extend(canned.headers.clone());
                match &canned.retry_after {
                    Some(wait) => Some(refusal.with("Retry-After", wait.text(now))),
                    None => Some(refusal),
                }
            }
            Self::RpThrottle(wait) => Some(
                Refusal::provider(429, "TooManyRequests", "The request rate to Azure Machine Learning is too high.")
                    .with("Retry-After", wait.text(now)),
            ),
            Self::RetryableError(wait) => {
                let mut refusal = Refusal::arm(
                    429,
                    "RetryableError",
                    "A retryable error occurred: another resource that this one refers to is not ready.",
                );
                refusal.details = vec![json!({
                    "code": "ReferencedResourceNotProvisioned",
                    "message": "Cannot proceed with operation because a resource that it uses is not in Succeeded state.",
                })];
                Some(refusal.with("Retry-After", wait.text(now)))
            }
            _ => None,
        }
    }
}

fn default_code(status: u16) -> &'static str {
    match status {
        400 => "BadRequest",
        401 => "InvalidAuthenticationToken",
        403 => "AuthorizationFailed",
        404 => "ResourceNotFound",
        408 => "RequestTimeout",
        409 => "Conflict",
        412 => "PreconditionFailed",
        429 => "TooManyRequests",
        502 => "BadGateway",
        503 => "ServiceUnavailable",
        504 => "GatewayTimeout",
        _ => "InternalServerError",
    }
}

/// The rules in force, and an outage.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    rules: Vec<Rule>,
    outage: Option<Outage>,
}

/// As posted to `/_sim/outage`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OutageSpec {
    /// Begin or end it.
    pub on: bool,
    /// Ends by itself after this real time.
    #[serde(default, rename = "for")]
    pub lasts: Option<Lapse>,
    /// Reset connections instead of answering 503.
    #[serde(default)]
    pub reset: bool,
}

#[derive(Clone, Debug)]
struct Outage {
    until: Option<jiff::Timestamp>,
    reset: bool,
}

impl Faults {
    /// Add a rule.
    pub fn add(&mut self, rule: Rule) {
        self.rules.push(rule);
    }

    /// Drop all rules, or those of one name. Gives what was dropped as JSON.
    pub fn clear(&mut self, name: &str) -> Value {
        let is_it = |rule: &Rule| name.is_empty() || rule.name.as_deref() == Some(name);
        let (gone, kept) = std::mem::take(&mut self.rules).into_iter().partition(is_it);
        self.rules = kept;
        let gone: Vec<Rule> = gone;
        json!({"value": gone})
    }

    /// The rules as JSON.
    pub fn list(&self) -> Value {
        json!({"value": self.rules})
    }

    /// Begin or end an outage.
    pub fn set_outage(&mut self, spec: &OutageSpec, now: Now) {
        self.outage = spec.on.then(|| Outage { until: spec.lasts.map(|l| later(now.real, l.0)), reset: spec.reset });
    }

    /// The fault that strikes this request of a principal, if any.
    pub fn strike(&mut self, req: &Request, to: Endpoint, principal: &str, now: Now) -> Option<Fault> {
        if let Some(outage) = self.outage.as_ref().filter(|o| o.until.is_none_or(|u| now.real < u)) {
            let canned = json!({"status": 503, "code": "ServiceUnavailable", "message": "The service is unavailable."});
            return if outage.reset { Some(Fault::Reset) } else { Fault::try_from(canned).ok() };
        }
        let is_hit =
            |matches: &Match| (to == Endpoint::Arm || matches.path_contains.is_some()) && hits(matches, req, principal);
        for rule in &mut self.rules {
            if let Some(first) = rule.matches.after.as_ref().filter(|_| !rule.armed) {
                rule.armed = is_hit(first);
                continue;
            }
            if !is_hit(&rule.matches) {
                continue;
            }
            rule.seen += 1;
            let begun = rule.seen >= rule.matches.nth.unwrap_or(1);
            if begun && (rule.times < 0 || rule.struck < rule.times) {
                rule.struck += 1;
                return Some(rule.fault.clone());
            }
        }
        None
    }
}

/// Where a request goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// Azure Resource Manager.
    Arm,
    /// Entra's token endpoint.
    Token,
}

fn hits(matches: &Match, req: &Request, principal: &str) -> bool {
    let path = req.path.to_ascii_lowercase();
    let lower = |text: &String| text.to_ascii_lowercase();
    matches.method.as_ref().is_none_or(|m| m.eq_ignore_ascii_case(&req.method))
        && matches.path_contains.as_ref().is_none_or(|p| path.contains(&lower(p)))
        && matches.path_ends.as_ref().is_none_or(|p| path.ends_with(&lower(p)))
        && matches.query_contains.as_ref().is_none_or(|q| lower(&req.query).contains(&lower(q)))
        && matches.principal.as_ref().is_none_or(|p| p.eq_ignore_ascii_case(principal))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(text: &str) -> Rule {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn every_way_to_write_a_fault() {
        for text in [
            r#""reset""#,
            r#""truncate""#,
            r#""hang""#,
            r#"{"delay": "2s"}"#,
            r#"{"drip": "2s"}"#,
            r#"{"status": 200, "body": "<html>", "contentType": "text/html", "size": 100}"#,
            r#"{"status": 400, "code": "UserError", "origin": "provider"}"#,
            r#"{"operationFails": {"code": "X", "message": "y"}}"#,
            r#""operationNeverEnds""#,
            r#""operationUrlLost""#,
            r#"{"applyThenFail": "reset"}"#,
            r#""rpThrottle""#,
            r#"{"retryableError": {"retryAfter": 3}}"#,
            r#"{"notHonoured": {"field": "tags"}}"#,
            r#"{"status": 503, "retryAfter": {"dateIn": 5}}"#,
        ] {
            let fault: Result<Fault, _> = serde_json::from_str(text);
            assert!(fault.is_ok(), "{text}: {fault:?}");
        }
        assert!(serde_json::from_str::<Fault>(r#""flood""#).unwrap_err().to_string().contains("flood"));
    }

    #[test]
    fn a_rule_strikes_the_nth_match_so_many_times() {
        let now = Now { real: jiff::Timestamp::UNIX_EPOCH, virt: jiff::Timestamp::UNIX_EPOCH };
        let mut faults = Faults::default();
        faults.add(rule(r#"{"match": {"method": "put", "nth": 2}, "times": 1, "fault": "reset"}"#));
        let put = Request { method: "PUT".into(), ..Request::default() };
        let get = Request { method: "GET".into(), ..Request::default() };
        assert!(faults.strike(&get, Endpoint::Arm, "p", now).is_none());
        let struck: Vec<bool> = (0..4).map(|_| faults.strike(&put, Endpoint::Arm, "p", now).is_some()).collect();
        assert_eq!(struck, [false, true, false, false]);
        faults.set_outage(&serde_json::from_str(r#"{"on": true, "for": "1s"}"#).unwrap(), now);
        assert!(faults.strike(&get, Endpoint::Arm, "p", now).is_some());
    }

    #[test]
    fn a_rule_hits_what_it_names_and_ends_by_its_name() {
        let now = Now { real: jiff::Timestamp::UNIX_EPOCH, virt: jiff::Timestamp::UNIX_EPOCH };
        let mut faults = Faults::default();
        faults.add(rule(
            r#"{"name": "a", "match": {"pathEnds": "/Computes", "queryContains": "$SKIP", "principal": "P",
                "after": {"method": "PUT"}}, "times": -1, "fault": "reset"}"#,
        ));
        let list = |query: &str| Request {
            method: "GET".into(),
            path: "/w/computes".into(),
            query: query.into(),
            ..Request::default()
        };
        let mut struck = |req: &Request, to, who: &str| faults.strike(req, to, who, now).is_some();
        let page = list("a=b&$skip=c");
        assert!(!struck(&page, Endpoint::Arm, "p"), "not before the PUT");
        assert!(!struck(&Request { method: "PUT".into(), ..Request::default() }, Endpoint::Arm, "p"));
        assert!(struck(&page, Endpoint::Arm, "p"));
        assert!(!struck(&list("a=b"), Endpoint::Arm, "p"), "another query");
        assert!(!struck(&page, Endpoint::Arm, "q"), "another principal");
        assert!(!struck(&page, Endpoint::Token, "p"), "the token endpoint needs a part of its path");
        assert!(!struck(&Request { path: "/w/computes/x".into(), ..page.clone() }, Endpoint::Arm, "p"));
        faults.clear("b");
        assert!(faults.strike(&page, Endpoint::Arm, "p", now).is_some());
        faults.clear("a");
        assert!(faults.strike(&page, Endpoint::Arm, "p", now).is_none());
    }

    #[test]
    fn a_body_is_sent_as_it_is() {
        let text = |json: &str| serde_json::from_str::<Fault>(json).unwrap().text();
        let html = text(r#"{"status": 502, "body": "<p>", "contentType": "text/html", "size": 5}"#).unwrap();
        assert_eq!((html.content_type.as_str(), html.bytes.as_slice()), ("text/html", "<p>  ".as_bytes()));
        assert_eq!(text(r#"{"status": 200, "body": {"a": 1}}"#).unwrap().bytes, br#"{"a":1}"#);
        assert_eq!(text(r#"{"status": 200}"#), None);
    }
}
