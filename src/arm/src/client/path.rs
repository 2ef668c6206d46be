//! From an id to a URL, without a way out of its path.

use url::Url;

use crate::error::Sent;
use crate::{ArmError, Cloud, ErrorKind};

/// The URL of an id on the cloud's ARM. What needs it is percent-encoded.
pub(super) fn url(
    cloud: &Cloud,
    method: &str,
    id: &str,
    api_version: &str,
    query: &[(&str, &str)],
) -> Result<Url, ArmError> {
    if let Some(reason) = fault(id) {
        let message = format!("the path {id:?} can't be requested: {reason}");
        let request = format!("{method} {}", crate::error::shorten(id, 200));
        return Err(ArmError::new(ErrorKind::InvalidRequest, "InvalidPath", &message, &request, Sent::NotSent));
    }
    let mut url = cloud.resource_manager.clone();
    // Encodes what ends a path, and leaves existing escapes alone.
    url.set_path(id);
    let mut pairs = url.query_pairs_mut();
    pairs.append_pair("api-version", api_version);
    pairs.extend_pairs(query);
    drop(pairs);
    Ok(url)
}

/// What is wrong with a path.
fn fault(path: &str) -> Option<&'static str> {
    if !path.starts_with('/') {
        return Some("it must start with a slash");
    }
    if path.contains(['\\', '?', '#']) || path.contains(char::is_control) {
        return Some("it holds \\, ?, # or a control character");
    }
    let is_dots = |segment: &str| {
        let segment = segment.to_ascii_lowercase().replace("%2e", ".");
        segment == "." || segment == ".."
    };
    if path.split('/').any(is_dots) {
        return Some("it holds a dot segment");
    }
    if path[1..].split('/').any(str::is_empty) {
        return Some("it holds an empty segment");
    }
    None
}

/// The last provider named in a path; empty if none.
pub(super) fn provider(path: &str) -> &str {
    // ASCII lower-casing keeps the offsets.
    path.to_ascii_lowercase()
        .rfind("/providers/")
        .and_then(|at| path[at + "/providers/".len()..].split('/').next())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builds_urls() {
        let rows = [
            ("/subscriptions/s", &[][..], "https://management.azure.com/subscriptions/s?api-version=v"),
            (
                "/subscriptions/s/x/Standard DSv2 (a)",
                &[("underlyingResourceAction", "Delete"), ("a b", "c&d")][..],
                "https://management.azure.com/subscriptions/s/x/Standard%20DSv2%20(a)?api-version=v&underlyingResourceAction=Delete&a+b=c%26d",
            ),
            (
                "/subscriptions/s/ümlaut/a%2Fb",
                &[][..],
                "https://management.azure.com/subscriptions/s/%C3%BCmlaut/a%2Fb?api-version=v",
            ),
        ];
        for (id, query, expected) in rows {
            let url = url(&Cloud::public(), "GET", id, "v", query).unwrap();
            assert_eq!(url.as_str(), expected);
        }
    }

    #[test]
    fn refuses_paths_that_lead_elsewhere() {
        for id in [
            "",
            "subscriptions/s",
            "//evil.example/x",
            "/a/../b",
            "/a/%2e%2E/b",
            "/a/./b",
            "/a\\b",
            "/a?b",
            "/a#b",
            "/a\nb",
            "https://evil.example/",
        ] {
            let error = url(&Cloud::public(), "PUT", id, "v", &[]).unwrap_err();
            assert_eq!((error.kind, error.sent), (ErrorKind::InvalidRequest, Sent::NotSent), "{id}");
        }
    }

    #[test]
    fn finds_the_provider() {
        let rows = [
            ("/subscriptions/s/resourceGroups/g", ""),
            ("/subscriptions/s/providers/Microsoft.X/a/b", "Microsoft.X"),
            ("/subscriptions/s/Providers/Microsoft.X/a/b/providers/Microsoft.Y/c/d", "Microsoft.Y"),
            ("/subscriptions/s/providers/Microsoft.X", "Microsoft.X"),
        ];
        for (path, expected) in rows {
            assert_eq!(provider(path), expected);
        }
    }
}
