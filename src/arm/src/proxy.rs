//! The environment's proxy, for a server that isn't Azure.

use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;

/// The proxy to a server, where a client has found `found` to be it: that of `HTTPS_PROXY` is none where `NO_PROXY`
/// names the server. A client of Kubernetes looks `NO_PROXY` up for the proxy's own address instead. Any other proxy, as
/// one in a kubeconfig, stands.
pub fn heeding_no_proxy(found: Option<Uri>, server: &Uri) -> Option<Uri> {
    let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let of_environment = set("HTTPS_PROXY").or_else(|| set("https_proxy"));
    heeding(found, server, of_environment.as_deref(), &Matcher::from_env())
}

fn heeding(found: Option<Uri>, server: &Uri, of_environment: Option<&str>, matcher: &Matcher) -> Option<Uri> {
    let of_environment = of_environment.and_then(|text| text.parse::<Uri>().ok());
    found.filter(|found| Some(found) != of_environment.as_ref() || matcher.intercept(server).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_environments_proxy_heeds_no_proxy() {
        let proxy = "http://user@proxy.example:3128";
        let server = Uri::from_static("https://10.0.0.1:6443");
        let rows = [
            (Some(proxy), Some(proxy), "", Some(proxy)),
            (Some(proxy), Some(proxy), "10.0.0.0/8", None),
            (Some(proxy), Some(proxy), "proxy.example", Some(proxy)),
            (Some("http://named.example"), Some(proxy), "10.0.0.1", Some("http://named.example")),
            (Some("http://named.example"), None, "10.0.0.1", Some("http://named.example")),
            (None, Some(proxy), "", None),
        ];
        for (found, of_environment, no, expected) in rows {
            let uri = |text: Option<&str>| text.map(|text| text.parse::<Uri>().unwrap());
            let matcher = Matcher::builder().https(of_environment.unwrap_or_default()).no(no).build();
            assert_eq!(heeding(uri(found), &server, of_environment, &matcher), uri(expected), "{found:?} {no}");
        }
    }
}
