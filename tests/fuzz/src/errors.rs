//! Azure's errors, in every shape: read to something short, in one line, and classified the same each time.

use azureml_arm::{ArmError, ErrorKind, Sent, ThrottleOrigin};
use serde_json::{Map, Value};

use crate::answer;
use crate::failure;

/// The input as [`answer::read`] has it.
pub fn check(data: &[u8]) {
    let answer = answer::read(data);
    let read = |body: &[u8]| {
        ArmError::from_response(answer.status, &answer.headers, body, "PUT /subscriptions/s", answer::now())
    };
    let error = read(&answer.body);
    sound(&error);
    assert_eq!(error, read(&answer.body));
    of_status(answer.status, &error);
    let text = String::from_utf8_lossy(&answer.body);
    let json = serde_json::from_str::<Value>(text.trim_start_matches('\u{feff}').trim()).ok();
    let Some(json) = json.filter(|json| json.is_object() || json.is_array()) else {
        // No proof that something is gone comes from what isn't Azure's.
        assert_ne!(error.kind, ErrorKind::NotFound, "{error:?}");
        return;
    };
    let pretty = serde_json::to_vec_pretty(&json).expect("JSON");
    assert_eq!(error, read(&pretty));
    let inner = ArmError::from_error_body(&json);
    sound(&inner);
    assert_eq!((inner.status, inner.sent), (None, Sent::Answered));
    assert_eq!((&inner.message, &inner.details), (&error.message, &error.details));
    if let Some(capital) = capitalised(&json) {
        assert_eq!(error, read(capital.to_string().as_bytes()), "{capital}");
    }
}

/// What every error keeps to.
pub fn sound(error: &ArmError) {
    assert_eq!(error.class, error.kind.class());
    short(&error.code, 1, 120);
    short(&error.message, 0, 600);
    assert!(error.details.len() <= 20);
    for (code, message) in &error.details {
        short(code, 0, 120);
        short(message, 0, 600);
    }
    let advice = error.advice();
    short(&advice, 0, 4_000);
    // Without advice the message has to say what to do.
    let own_words = error.kind == ErrorKind::CredentialRejected && error.message.len() > 20;
    assert!(advice.ends_with('.') || advice.is_empty() && own_words, "{error:?}: {advice}");
    short(&error.to_string(), 5, 1_000);
    assert!(error.correlation_id.as_ref().is_none_or(|id| id.chars().count() <= 80));
    assert!(error.retry_after.is_none_or(|wait| wait.as_secs() <= 3600));
    // As an object tells it.
    let told = failure::failure(error);
    short(&told.message, 10, 5_000);
    failure::class(&told);
    assert_eq!(failure::Problem::of_write(error).message, told.message);
    assert_eq!(failure::Problem::of_read(error).message, told.message);
}

fn short(text: &str, least: usize, most: usize) {
    let length = text.chars().count();
    assert!((least..=most).contains(&length), "{length} characters: {text:?}");
    assert!(!text.contains(char::is_control), "not one line: {text:?}");
}

fn of_status(status: u16, error: &ArmError) {
    assert_eq!(error.status, Some(status));
    let maybe = status == 408 || status >= 500;
    assert_eq!(error.sent == Sent::MaybeProcessed, maybe, "{status}");
    let of_object = error.kind == ErrorKind::Throttled(ThrottleOrigin::Object);
    assert!(status != 429 || matches!(error.kind, ErrorKind::Throttled(_)), "{error:?}");
    assert!(
        status == 429 || of_object || !matches!(error.kind, ErrorKind::Throttled(ThrottleOrigin::Arm)),
        "{error:?}"
    );
}

/// The same error as other providers write it; `None` where two members would have one name.
fn capitalised(value: &Value) -> Option<Value> {
    Some(match value {
        Value::Object(members) => {
            let mut names: Vec<String> = members.keys().map(|name| name.to_ascii_lowercase()).collect();
            names.sort();
            names.dedup();
            if names.len() < members.len() {
                return None;
            }
            let mut capital = Map::new();
            for (name, member) in members {
                let known = ["error", "code", "message", "details", "innererror"];
                let name = match known.contains(&name.to_ascii_lowercase().as_str()) {
                    true => format!("{}{}", name[..1].to_ascii_uppercase(), &name[1..]),
                    false => name.clone(),
                };
                capital.insert(name, capitalised(member)?);
            }
            Value::Object(capital)
        }
        Value::Array(items) => Value::Array(items.iter().map(capitalised).collect::<Option<_>>()?),
        other => other.clone(),
    })
}
