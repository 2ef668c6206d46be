//! ARM's answers: status, headers and body, read as a response, a page, an operation and a budget.

use std::time::Duration;

use azureml_arm::{Answer, ArmError, Cloud, ErrorKind, OperationKind, OperationStatus, OperationUrl, Sent};
use azureml_planner::ownership::short_hash;
use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use serde_json::Value;

use crate::errors;

const LONGEST_WAIT: Duration = Duration::from_secs(3600);
const REQUEST: &str = "GET /subscriptions/s";

/// When the answers are read.
pub fn now() -> Timestamp {
    Timestamp::from_second(1_795_428_000).expect("a time in 2026")
}

/// Reads an input: a status, then lines of headers, an empty line, and the body.
pub fn read(data: &[u8]) -> Answer {
    let (head, body) = match data.windows(2).position(|two| two == b"\n\n") {
        Some(blank) => (&data[..blank], &data[blank + 2..]),
        None => (data, &[][..]),
    };
    let mut lines = head.split(|byte| *byte == b'\n');
    let status = lines.next().and_then(|line| std::str::from_utf8(line).ok()?.trim().parse().ok());
    let mut headers = HeaderMap::new();
    for line in lines {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let pair = (HeaderName::from_bytes(&line[..colon]), HeaderValue::from_bytes(line[colon + 1..].trim_ascii()));
        if let (Ok(name), Ok(value)) = pair {
            headers.append(name, value);
        }
    }
    let status = status.filter(|status| (100..=999).contains(status)).unwrap_or(200);
    Answer { status, headers, body: body.to_vec() }
}

/// The input as [`read`] has it.
pub fn check(data: &[u8]) {
    let answer = read(data);
    let cloud = Cloud::public();
    let is_success = (200..=299).contains(&answer.status);
    let json: Option<Value> = match answer.body.trim_ascii() {
        [] => Some(Value::Null),
        _ => serde_json::from_slice(&answer.body).ok(),
    };
    match answer.response(&cloud, REQUEST, now()) {
        Ok(response) => {
            assert!(is_success && json.as_ref() == Some(&response.body));
            assert!(response.retry_after.is_none_or(|wait| wait <= LONGEST_WAIT));
            assert!(response.correlation_id.is_none_or(|id| id.chars().count() <= 80));
            if let Some(url) = &response.operation {
                here(url.as_str());
                operation_url(url, &cloud);
            }
        }
        Err(error) => failed(&answer, &error, json.is_some()),
    }
    page(&answer, &cloud, json.as_ref());
    operation(&answer, json.as_ref());
    budget(&answer);
    later(&answer, &cloud);
    untold(&answer, &cloud);
}

fn failed(answer: &Answer, error: &ArmError, is_json: bool) {
    errors::sound(error);
    assert_eq!(error.status, Some(answer.status));
    if (200..=299).contains(&answer.status) {
        // It took effect, or may have.
        assert_eq!(error.sent, Sent::MaybeProcessed, "{error:?}");
        assert!(error.kind == ErrorKind::ForeignUrl || (error.kind == ErrorKind::BadAnswer && !is_json), "{error:?}");
    }
}

/// A signed URL's query is told to nobody, wherever the URL leads.
fn untold(answer: &Answer, cloud: &Cloud) {
    let secret = format!("signature-{}", short_hash(&answer.body));
    for name in ["azure-asyncoperation", "location"] {
        let signed = answer.headers.get(name).and_then(|url| Some(format!("{}?s={secret}", url.to_str().ok()?)));
        let Some(signed) = signed.and_then(|url| HeaderValue::try_from(url).ok()) else { continue };
        let mut answer = answer.clone();
        answer.headers.insert(name, signed);
        let told = match answer.response(cloud, REQUEST, now()) {
            Ok(response) => format!("{:?}", response.operation),
            Err(error) => format!("{error:?}"),
        };
        assert!(!told.contains(&secret), "{told}");
    }
}

/// The URL is followed with the token: it has to be on the configured host.
fn here(url: &str) {
    let url = url::Url::parse(url).expect("a URL");
    assert_eq!(
        (url.scheme(), url.host_str(), url.port_or_known_default()),
        ("https", Some("management.azure.com"), Some(443))
    );
    assert!(url.username().is_empty() && url.password().is_none());
}

fn operation_url(url: &OperationUrl, cloud: &Cloud) {
    assert_eq!(OperationUrl::parse(url.as_str(), cloud).as_ref(), Ok(url));
    let json = serde_json::to_string(url).expect("a text");
    assert_eq!(&serde_json::from_str::<OperationUrl>(&json).expect("read back"), url);
    assert!(!format!("{url:?}").contains('?'));
}

fn page(answer: &Answer, cloud: &Cloud, json: Option<&Value>) {
    let page = match answer.page(None, cloud, REQUEST, now()) {
        Ok(page) => page,
        Err(error) => return errors::sound(&error),
    };
    assert_eq!(json.and_then(|body| body.get("value")), Some(&Value::from(page.items)));
    let Some(next) = page.next else { return };
    here(next.as_str());
    assert!(!format!("{next:?}").contains('?'));
    let again = answer.page(Some(&next), cloud, REQUEST, now());
    assert!(again.is_err_and(|error| error.kind == ErrorKind::BadAnswer), "a page that leads to itself");
}

fn operation(answer: &Answer, json: Option<&Value>) {
    let status = match answer.operation(REQUEST, now()) {
        Ok(status) => status,
        Err(error) => {
            errors::sound(&error);
            // What can't be read says nothing of the operation.
            assert!(
                matches!(answer.status, 200..=299) && json.is_none() || !matches!(answer.status, 200..=299 | 403 | 404)
            );
            return;
        }
    };
    let text = |pointer: &str| json.and_then(|body| body.pointer(pointer)?.as_str());
    let stated = text("/status").or(text("/properties/provisioningState")).unwrap_or_default().to_ascii_lowercase();
    let is_success = (200..=299).contains(&answer.status);
    match status {
        OperationStatus::Succeeded => {
            assert!(is_success && (stated.is_empty() || stated == "succeeded"), "{stated}");
        }
        OperationStatus::Running { retry_after } => {
            assert!(is_success && !["succeeded", "failed", "canceled", "cancelled"].contains(&stated.as_str()));
            assert!(retry_after.is_none_or(|wait| wait <= LONGEST_WAIT));
        }
        OperationStatus::Failed(error) => {
            errors::sound(&error);
            assert!(is_success || (400..=499).contains(&answer.status) && answer.status != 429);
        }
        OperationStatus::Canceled(error) => {
            errors::sound(&error);
            assert!(is_success);
        }
        OperationStatus::NotAvailable(error) => {
            errors::sound(&error);
            assert!(matches!(answer.status, 403 | 404));
        }
    }
}

fn budget(answer: &Answer) {
    let names = [(OperationKind::Read, "reads"), (OperationKind::Write, "writes"), (OperationKind::Delete, "deletes")];
    for (kind, name) in names {
        let name = format!("x-ms-ratelimit-remaining-subscription-{name}");
        let told = answer.headers.get(&name).and_then(|value| value.to_str().ok());
        if let Some(remaining) = answer.remaining(kind) {
            let told = told.expect("from a header").trim().trim_start_matches('+').trim_start_matches('0');
            assert_eq!(remaining.to_string().trim_start_matches('0'), told);
        }
    }
}

/// Who looks later doesn't wait longer.
fn later(answer: &Answer, cloud: &Cloud) {
    let wait = |now| match answer.response(cloud, REQUEST, now) {
        Ok(response) => response.retry_after,
        Err(error) => error.retry_after,
    };
    let (first, second) = (wait(now()), wait(now() + jiff::SignedDuration::from_secs(60)));
    assert!(first.is_some() == second.is_some() && second <= first, "{first:?} {second:?}");
}
