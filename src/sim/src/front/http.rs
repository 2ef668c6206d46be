//! Requests and answers without a socket.

use serde_json::Value;
use std::{collections::BTreeMap, time::Duration};

/// A request as it arrived.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Came over TLS.
    pub secure: bool,
    /// Verb in upper case.
    pub method: String,
    /// Path, percent-decoded.
    pub path: String,
    /// Query as it was written, without `?`.
    pub query: String,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    /// Body.
    pub body: Vec<u8>,
}

impl Request {
    /// A parameter of the query by name, without case, decoded.
    pub fn param(&self, name: &str) -> Option<String> {
        pairs(&self.query).find(|(k, _)| k.eq_ignore_ascii_case(name)).map(|(_, v)| v)
    }

    /// A header by its lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// `https://host`, as the client reached this service: the base of every URL handed out.
    pub fn base(&self) -> String {
        format!("https://{}", self.header("host").unwrap_or("localhost"))
    }
}

/// The pairs of a query or form, decoded.
pub fn pairs(text: &str) -> impl Iterator<Item = (String, String)> + '_ {
    text.split('&').filter(|p| !p.is_empty()).map(|p| {
        let (k, v) = p.split_once('=').unwrap_or((p, ""));
        (decode(&k.replace('+', " ")), decode(&v.replace('+', " ")))
    })
}

/// Undo percent-encoding; what isn't valid UTF-8 then is replaced.
pub fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let pair = bytes.get(i + 1..i + 3).and_then(|h| std::str::from_utf8(h).ok());
        match (bytes[i], pair.and_then(|h| u8::from_str_radix(h, 16).ok())) {
            (b'%', Some(byte)) => {
                out.push(byte);
                i += 3;
            }
            (byte, _) => {
                out.push(byte);
                i += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// What becomes of an answer on its way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Delivery {
    /// It arrives.
    #[default]
    Whole,
    /// It arrives later (real time).
    Delayed(Duration),
    /// It arrives at once but for its body, which takes this long (real time).
    Dripping(Duration),
    /// The connection ends in the middle of the body.
    Truncated,
    /// The connection is reset.
    Reset,
    /// It never comes.
    Never,
}

/// A body that isn't the JSON that it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// What it claims to be.
    pub content_type: String,
    /// What it is.
    pub bytes: Vec<u8>,
}

/// An answer.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Headers in order.
    pub headers: Vec<(String, String)>,
    /// Body; nothing at all for a null.
    pub body: Value,
    /// Sent in place of that body.
    pub text: Option<Text>,
    /// Its fate on the way.
    pub delivery: Delivery,
}

impl Answer {
    /// A JSON answer.
    pub fn json(status: u16, body: Value) -> Self {
        Self { status, body, ..Self::default() }
    }

    /// An answer without a body.
    pub fn empty(status: u16) -> Self {
        Self::json(status, Value::Null)
    }

    /// With a header.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// A header by name, without case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// The body as bytes on the wire.
    pub fn bytes(&self) -> Vec<u8> {
        match &self.text {
            Some(text) => text.bytes.clone(),
            None if self.body.is_null() => Vec::new(),
            None => self.body.to_string().into_bytes(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_decoded_and_names_have_no_case() {
        let req = Request { query: "API-Version=2025-12-01&%24skip=a%2Fb+c&flag".into(), ..Request::default() };
        assert_eq!(req.param("api-version").as_deref(), Some("2025-12-01"));
        assert_eq!(req.param("$skip").as_deref(), Some("a/b c"));
        assert_eq!(req.param("flag").as_deref(), Some(""));
        assert_eq!(req.param("none"), None);
        assert_eq!(decode("a%2"), "a%2");
    }
}
