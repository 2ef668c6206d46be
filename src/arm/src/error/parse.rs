//! The shapes of an error body. Azure's contract is `{"error": {code, message, details}}`;
//! providers also send it bare, capitalised, nested in `innerError`, as a list, as JSON
//! inside of a message, or as HTML, and cut off. Whatever can be read is read.

use serde_json::{Map, Value};

/// What could be read from an error body.
#[derive(Debug, Default)]
pub(super) struct ErrorBody {
    /// The outermost code; empty if none.
    pub code: String,
    /// One cleaned line for people.
    pub message: String,
    /// Codes and messages below the first, outermost first.
    pub details: Vec<(String, String)>,
    /// The codes of the `innerError` chain, outermost first: they refine the first code,
    /// where `details` may speak of other things.
    pub inner_codes: Vec<String>,
    /// Names of policies in `additionalInfo` and in the message.
    pub policies: Vec<String>,
    /// The first message as it came, for its quoted parts.
    pub raw_message: String,
    /// Whether there was a JSON object or list at all.
    pub form: Form,
}

/// What the body was.
#[derive(Debug, Default, PartialEq, Eq, Clone, Copy)]
pub(super) enum Form {
    Json,
    /// Empty, HTML, plain text or cut off.
    #[default]
    Other,
}

const LONGEST_MESSAGE: usize = 600;
const MOST_DETAILS: usize = 20;
const DEEPEST: usize = 8;

/// Reads the body of an answer.
pub(super) fn response_body(body: &[u8]) -> ErrorBody {
    let text = String::from_utf8_lossy(body);
    let text = text.trim_start_matches('\u{feff}').trim();
    match serde_json::from_str::<Value>(text) {
        Ok(json @ (Value::Object(_) | Value::Array(_))) => value(&json),
        Ok(Value::String(message)) => plain(&message),
        _ if text.is_empty() => plain("the answer is empty"),
        _ if text.starts_with('<') => plain(&html(text)),
        _ if text.starts_with(['{', '[']) => plain("the answer was cut off"),
        _ => plain(text),
    }
}

/// Reads an error that is already JSON.
pub(super) fn value(value: &Value) -> ErrorBody {
    let mut body = ErrorBody { form: Form::Json, ..ErrorBody::default() };
    read(value, 0, Place::Top, &mut body);
    let mut message = std::mem::take(&mut body.message);
    for (_, detail) in &body.details {
        if !detail.is_empty() && !message.contains(detail.as_str()) {
            let joint = match message.chars().last() {
                None => "",
                Some('.' | '!' | '?' | ':') => " ",
                Some(_) => "; ",
            };
            message.push_str(joint);
            message.push_str(detail);
        }
    }
    body.message = shorten(&message, LONGEST_MESSAGE);
    body
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Top,
    Inner,
    Detail,
}

fn read(value: &Value, depth: usize, place: Place, body: &mut ErrorBody) {
    if depth > DEEPEST {
        return;
    }
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                let place = if index == 0 { place } else { Place::Detail };
                read(item, depth + 1, place, body);
            }
        }
        Value::Object(object) => read_object(object, depth, place, body),
        Value::String(text) => add(String::new(), text, place, body),
        _ => {}
    }
}

fn read_object(object: &Map<String, Value>, depth: usize, place: Place, body: &mut ErrorBody) {
    match field(object, "error") {
        Some(Value::String(code)) => {
            // OAuth's form, which token endpoints use.
            let message = text(field(object, "error_description"));
            add(code.clone(), &message, place, body);
            return;
        }
        Some(error @ (Value::Object(_) | Value::Array(_))) => {
            read(error, depth + 1, place, body);
            let message = text(field(object, "message"));
            if !message.is_empty() {
                add(String::new(), &message, Place::Detail, body);
            }
            return;
        }
        _ => {}
    }
    let message = text(field(object, "message"));
    let nested = message.trim_start().starts_with('{').then(|| serde_json::from_str::<Value>(&message).ok());
    match nested.flatten() {
        Some(nested) => {
            add(text(field(object, "code")), "", place, body);
            read(&nested, depth + 1, Place::Detail, body);
        }
        None => add(text(field(object, "code")), &message, place, body),
    }
    if let Some(inner) = field(object, "innererror") {
        let place = if place == Place::Detail { Place::Detail } else { Place::Inner };
        read(inner, depth + 1, place, body);
    }
    if let Some(details) = field(object, "details") {
        let items = match details {
            Value::Array(items) => items.as_slice(),
            other => std::slice::from_ref(other),
        };
        for item in items {
            read(item, depth + 1, Place::Detail, body);
        }
    }
    if let Some(Value::Array(infos)) = field(object, "additionalinfo") {
        for info in infos {
            add_policy(info, body);
        }
    }
}

/// Puts one code and message where they belong.
fn add(code: String, message: &str, place: Place, body: &mut ErrorBody) {
    let code = shorten(&clean(&code), 120);
    if place == Place::Top && body.code.is_empty() && body.message.is_empty() {
        policies_in_message(message, body);
        body.raw_message = message.to_owned();
        body.code = code;
        body.message = clean(message);
        return;
    }
    if place == Place::Inner && !code.is_empty() {
        body.inner_codes.push(code.clone());
    }
    let detail = (code, clean(message));
    let says_nothing = detail.0.is_empty() && (detail.1.is_empty() || detail.1 == body.message);
    if !says_nothing && body.details.len() < MOST_DETAILS && !body.details.contains(&detail) {
        body.details.push(detail);
    }
}

/// `additionalInfo: [{type: PolicyViolation, info: {policyAssignmentDisplayName, …}}]`.
fn add_policy(info: &Value, body: &mut ErrorBody) {
    let Some(info) = info.get("info").and_then(Value::as_object) else {
        return;
    };
    let name =
        ["policyassignmentdisplayname", "policyassignmentname", "policydefinitiondisplayname", "policydefinitionname"]
            .into_iter()
            .map(|name| text(field(info, name)))
            .find(|name| !name.is_empty());
    remember_policy(name, body);
}

/// `Policy identifiers: '[{"policyAssignment":{"name":…},…}]'` at the end of a message.
fn policies_in_message(message: &str, body: &mut ErrorBody) {
    let Some((_, rest)) = message.split_once("Policy identifiers: '") else {
        return;
    };
    let list = rest.rfind('\'').map_or(rest, |end| &rest[..end]);
    let Ok(Value::Array(policies)) = serde_json::from_str::<Value>(list) else {
        return;
    };
    for policy in policies {
        let name = ["/policyAssignment/name", "/policyDefinition/name"]
            .into_iter()
            .find_map(|pointer| policy.pointer(pointer)?.as_str().map(str::to_owned));
        remember_policy(name, body);
    }
}

fn remember_policy(name: Option<String>, body: &mut ErrorBody) {
    if let Some(name) = name.map(|name| shorten(&clean(&name), 120))
        && body.policies.len() < MOST_DETAILS
        && !body.policies.contains(&name)
    {
        body.policies.push(name);
    }
}

/// A member by its name in lower case, however Azure writes it.
fn field<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    object.iter().find(|(key, value)| key.eq_ignore_ascii_case(name) && !value.is_null()).map(|(_, value)| value)
}

/// A string, a number, or OData's `{"lang":…, "value":…}` as text.
fn text(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        Some(Value::Object(object)) => text(field(object, "value")),
        _ => String::new(),
    }
}

fn plain(message: &str) -> ErrorBody {
    ErrorBody { message: clean(message), raw_message: message.to_owned(), ..ErrorBody::default() }
}

/// A page by its title: the rest is markup.
fn html(text: &str) -> String {
    // ASCII lower-casing keeps the offsets.
    let lower = text.to_ascii_lowercase();
    let title = lower
        .find("<title>")
        .map(|start| start + "<title>".len())
        .and_then(|start| Some((start, start + lower[start..].find("</title>")?)))
        .map(|(start, end)| text[start..end].trim());
    match title {
        Some(title) if !title.is_empty() => format!("a page instead of JSON: {title}"),
        _ => "a page instead of JSON".to_owned(),
    }
}

/// Where the part of a message begins that differs each time: it would make the same
/// error look new in a status.
const PER_REQUEST: [&str; 8] = [
    "Trace ID:",
    "Correlation ID:",
    "Correlation Id:",
    "Request ID:",
    "RequestId:",
    "ActivityId:",
    "Tracking ID:",
    "Timestamp:",
];

/// A message as one line of at most 600 characters, without what differs each time.
pub(crate) fn clean(message: &str) -> String {
    let end = PER_REQUEST.iter().filter_map(|marker| message.find(marker)).min().unwrap_or(message.len());
    let mut line = String::new();
    for word in message[..end].split(|c: char| c.is_whitespace() || c.is_control()) {
        if !word.is_empty() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    shorten(&line, LONGEST_MESSAGE)
}

/// A text cut to a number of characters, the last of which then is an ellipsis.
pub(crate) fn shorten(text: &str, longest: usize) -> String {
    if text.chars().count() <= longest {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(longest.saturating_sub(1)).collect();
    short.push('…');
    short
}
