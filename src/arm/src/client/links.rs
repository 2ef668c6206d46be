//! URLs that Azure gives: they are followed verbatim, and only on the configured ARM.

use std::fmt;

use http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use crate::error::Sent;
use crate::{ArmError, Cloud, ErrorKind};

/// Where the state of an operation is read: opaque, signed, some 3,000 characters long.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OperationUrl(String);

impl OperationUrl {
    /// Takes a URL as it is, if it is on the cloud's ARM.
    ///
    /// # Errors
    /// [`ErrorKind::ForeignUrl`] if not. One that comes by deserializing is checked when used.
    pub fn parse(text: &str, cloud: &Cloud) -> Result<Self, ArmError> {
        on_resource_manager(text, cloud).map_err(|why| why.error("operation"))?;
        Ok(Self(text.to_owned()))
    }

    /// The URL, verbatim. It carries a signature: not for logs or events.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for OperationUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.0.split('?').next().unwrap_or_default();
        write!(f, "OperationUrl({})", crate::error::shorten(path, 200))
    }
}

/// Where the next page of a list is: opaque.
#[derive(Clone, PartialEq, Eq)]
pub struct NextLink(String);

impl NextLink {
    /// The URL, verbatim.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for NextLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.0.split('?').next().unwrap_or_default();
        write!(f, "NextLink({})", crate::error::shorten(path, 200))
    }
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// The members of `value`.
    pub items: Vec<Value>,
    /// The next page, if there is one.
    pub next: Option<NextLink>,
}

/// A URL that isn't followed, by its host only: the rest may be signed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Foreign {
    host: String,
    expected: String,
}

impl Foreign {
    /// The URL came in an answer, so the request itself may have taken effect.
    pub fn error(&self, request: &str) -> ArmError {
        let message = format!(
            "Azure answered with a URL on {}, which is not the configured {}; it was not followed",
            self.host, self.expected
        );
        ArmError::new(ErrorKind::ForeignUrl, "ForeignUrl", &message, request, Sent::MaybeProcessed)
    }
}

/// Reads a URL (or a path on ARM) if it is on the cloud's ARM.
pub(super) fn on_resource_manager(text: &str, cloud: &Cloud) -> Result<Url, Foreign> {
    let expected = cloud.resource_manager.as_str().trim_end_matches('/').to_owned();
    match Url::parse(text) {
        Ok(url) if cloud.is_resource_manager(&url) => Ok(url),
        Ok(url) => {
            Err(Foreign { host: format!("{}://{}", url.scheme(), url.host_str().unwrap_or("no host")), expected })
        }
        Err(_) => Err(Foreign { host: "no host at all".to_owned(), expected }),
    }
}

/// The URL of the operation that an answer announces: Azure-AsyncOperation, else the
/// Location of a 202 (of a 201 it is the resource's own).
pub(super) fn operation_url(status: u16, headers: &HeaderMap, cloud: &Cloud) -> Result<Option<OperationUrl>, Foreign> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim).filter(|t| !t.is_empty());
    let location = || text("location").filter(|_| status == 202);
    let Some(url) = text("azure-asyncoperation").or_else(location) else {
        return Ok(None);
    };
    on_resource_manager(url, cloud)?;
    Ok(Some(OperationUrl(url.to_owned())))
}

/// Reads `{"value": […], "nextLink": …}`. `current` is the link that led here.
pub(super) fn page(body: Value, current: Option<&NextLink>, cloud: &Cloud, request: &str) -> Result<Page, ArmError> {
    let bad = |message: &str| ArmError::new(ErrorKind::BadAnswer, "NotAList", message, request, Sent::Answered);
    let Value::Object(mut body) = body else {
        return Err(bad("the answer is not a list"));
    };
    let Some(Value::Array(items)) = body.remove("value") else {
        return Err(bad("the answer has no list named value"));
    };
    let next = match body.remove("nextLink") {
        None | Some(Value::Null) => None,
        Some(Value::String(link)) if link.is_empty() => None,
        Some(Value::String(link)) => {
            let url = match link.starts_with('/') && !link.starts_with("//") {
                true => cloud.resource_manager.join(&link).map(String::from).unwrap_or(link),
                false => link,
            };
            on_resource_manager(&url, cloud).map_err(|why| ArmError { sent: Sent::Answered, ..why.error(request) })?;
            Some(NextLink(url))
        }
        Some(_) => return Err(bad("the list's nextLink is no text")),
    };
    if next.is_some() && next.as_ref() == current {
        return Err(bad("the list's nextLink leads to the same page again"));
    }
    Ok(Page { items, next })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use serde_json::json;

    const HERE: &str = "https://management.azure.com/o?api-version=v&t=1&s=x%2By";

    #[test]
    fn chooses_the_operations_url() {
        type Row<'a> = (u16, Option<&'a str>, Option<&'a str>, Result<Option<&'a str>, ()>);
        let rows: [Row<'_>; 9] = [
            (201, Some(HERE), None, Ok(Some(HERE))),
            (202, Some(HERE), Some("https://management.azure.com/l"), Ok(Some(HERE))),
            (202, None, Some(HERE), Ok(Some(HERE))),
            (201, None, Some(HERE), Ok(None)),
            (200, None, None, Ok(None)),
            (202, Some(" "), Some(HERE), Ok(Some(HERE))),
            (202, Some("https://evil.example/o"), Some(HERE), Err(())),
            (202, None, Some("http://management.azure.com/o"), Err(())),
            (202, None, Some("/relative"), Err(())),
        ];
        for (status, asynchronous, location, expected) in rows {
            let mut headers = HeaderMap::new();
            for (name, value) in [("azure-asyncoperation", asynchronous), ("location", location)] {
                if let Some(value) = value {
                    headers.insert(name, HeaderValue::from_static(value));
                }
            }
            let url = operation_url(status, &headers, &Cloud::public());
            let url = url.map(|url| url.map(|url| url.0)).map_err(|_| ());
            assert_eq!(url, expected.map(|url| url.map(str::to_owned)), "{status} {asynchronous:?} {location:?}");
        }
    }

    #[test]
    fn keeps_operation_urls_verbatim_and_out_of_debug() {
        let url = OperationUrl::parse(HERE, &Cloud::public()).unwrap();
        assert_eq!(serde_json::to_string(&url).unwrap(), format!("{HERE:?}"));
        assert_eq!(format!("{url:?}"), "OperationUrl(https://management.azure.com/o)");
        let foreign = OperationUrl::parse("https://evil.example/o?s=signature", &Cloud::public()).unwrap_err();
        assert_eq!(foreign.kind, ErrorKind::ForeignUrl);
        assert!(foreign.message.contains("evil.example") && !foreign.message.contains("signature"));
    }

    #[test]
    fn reads_pages() {
        let link = |text: &str| Some(NextLink(text.to_owned()));
        let rows = [
            (json!({"value": [1, 2]}), Ok(None)),
            (json!({"value": [], "nextLink": null}), Ok(None)),
            (json!({"value": [], "nextLink": ""}), Ok(None)),
            (json!({"value": [], "nextLink": HERE}), Ok(link(HERE))),
            (json!({"value": [], "nextLink": "/p?x=y"}), Ok(link("https://management.azure.com/p?x=y"))),
            (json!({"value": [], "nextLink": "//evil.example/p"}), Err(ErrorKind::ForeignUrl)),
            (json!({"value": [], "nextLink": "https://evil.example/p"}), Err(ErrorKind::ForeignUrl)),
            (json!({"value": [], "nextLink": "https://management.azure.com/current"}), Err(ErrorKind::BadAnswer)),
            (json!({"value": [], "nextLink": 7}), Err(ErrorKind::BadAnswer)),
            (json!({"value": null}), Err(ErrorKind::BadAnswer)),
            (json!([]), Err(ErrorKind::BadAnswer)),
            (json!(null), Err(ErrorKind::BadAnswer)),
        ];
        let current = NextLink("https://management.azure.com/current".to_owned());
        for (body, expected) in rows {
            let page = page(body.clone(), Some(&current), &Cloud::public(), "GET /x");
            assert_eq!(page.map(|page| page.next).map_err(|error| error.kind), expected, "{body}");
        }
    }
}
