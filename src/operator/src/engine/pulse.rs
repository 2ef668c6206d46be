//! Signs of life of the watches.
//!
//! A watch without news is as quiet as one that hangs. But each is renewed every few minutes, so the last time that the API
//! server answered such a request or a list, or refused it, tells the two apart. Bookmarks would tell it sooner, but a cluster where
//! nothing happens has none.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::time::Instant;
use tower::{Layer, Service};

/// When each watch was last answered, by its name: a plural, or `namespace/plural`.
#[derive(Debug, Default)]
pub struct Pulse(Mutex<HashMap<String, Instant>>);

impl Pulse {
    /// When a watch was last answered, well or badly.
    pub fn last(&self, watch: &str) -> Option<Instant> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(watch).copied()
    }

    fn beat(&self, watch: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(watch, Instant::now());
    }
}

/// Puts a [`Pulse`] between a client and the API server.
#[derive(Clone)]
pub struct PulseLayer(pub Arc<Pulse>);

impl<S> Layer<S> for PulseLayer {
    type Service = Felt<S>;

    fn layer(&self, inner: S) -> Felt<S> {
        Felt { inner, pulse: self.0.clone() }
    }
}

/// A client whose watches are felt.
#[derive(Clone)]
pub struct Felt<S> {
    inner: S,
    pulse: Arc<Pulse>,
}

impl<S, B> Service<http::Request<B>> for Felt<S>
where
    S: Service<http::Request<B>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let watched = (request.method() == http::Method::GET).then(|| watched(request.uri())).flatten();
        let pulse = self.pulse.clone();
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await;
            if let Some(watch) = watched {
                pulse.beat(watch);
            }
            answer
        })
    }
}

/// What a request lists or watches: a plural, after the namespace that it is in. A list counts, too: a kind that can be
/// listed but not yet watched is looked after.
fn watched(uri: &http::Uri) -> Option<String> {
    let parts: Vec<&str> = uri.path().trim_matches('/').split('/').collect();
    match parts.as_slice() {
        ["api", _, plural] | ["apis", _, _, plural] => Some((*plural).to_owned()),
        ["apis", _, _, "namespaces", namespace, plural] => Some(format!("{namespace}/{plural}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_collections_count() {
        let rows = [
            ("/apis/azureml.dev/v1alpha1/computeclusters?&watch=true&timeoutSeconds=200", Some("computeclusters")),
            ("/api/v1/namespaces?watch=1", Some("namespaces")),
            ("/api/v1/namespaces?limit=500", Some("namespaces")),
            ("/api/v1/namespaces/ml/secrets/a?watch=true", None),
            ("/apis/azureml.dev/v1alpha1/namespaces/ml/workspaces?watch=true", Some("ml/workspaces")),
            ("/apis/azureml.dev/v1alpha1/namespaces/ml/computeclusters/a/status", None),
            ("/", None),
        ];
        for (uri, plural) in rows {
            assert_eq!(watched(&uri.parse().unwrap()).as_deref(), plural, "{uri}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn answers_count_whether_good_or_bad_but_silence_does_not() {
        let pulse = Arc::new(Pulse::default());
        let server = tower::service_fn(|request: http::Request<()>| async move {
            match request.uri().path() {
                "/api/v1/hang" => std::future::pending().await,
                "/api/v1/bad" => Err("refused"),
                _ => Ok(http::Response::new(())),
            }
        });
        let mut client = PulseLayer(pulse.clone()).layer(server);
        for plural in ["good", "bad", "hang"] {
            let request = http::Request::get(format!("/api/v1/{plural}?watch=true")).body(()).unwrap();
            let _ = tokio::time::timeout(std::time::Duration::from_secs(60), client.call(request)).await;
        }
        assert_eq!(["good", "bad", "hang"].map(|plural| pulse.last(plural).is_some()), [true, true, false]);
    }
}
