//! A small page to look at, read-only: off unless `--page` is set.
//!
//! Its files hold no data and are for everybody. Data needs a bearer token, and shows what its user may list; see
//! [`access`]. Updates come as server-sent events. Nothing is computed while nobody looks, but the history of nodes.

pub mod access;
pub mod history;
mod picture;
mod stream;
pub mod view;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::map_response;
use axum::response::sse::{KeepAlive, Sse};
use axum::response::{IntoResponse, Json, Redirect, Response};
use axum::routing::get;
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::connections::Connection;
use crate::context::Context;
use crate::index::{Object, WORKSPACE};
use crate::page::access::{Access, Places, Refusal, Reviewed, Reviews, bearer};
use crate::page::history::History;
use crate::page::picture::{Picture, Pictures, Revision, Told};
use crate::page::view::{Bucket, Head, Sites};
use crate::settings::names;

/// Streams that are open at a time.
const MOST_STREAMS: usize = 32;

const HTML: &str = include_str!("assets/index.html");
const STYLE: &str = include_str!("assets/page.css");
const SCRIPT: &str = include_str!("assets/page.js");
const STREAM: &str = include_str!("assets/stream.js");
const CHART: &str = include_str!("assets/chart.js");
const ICON: &str = include_str!("assets/icon.svg");

/// No script but our own, nothing from elsewhere, in nobody's frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";

/// The page.
pub struct Page {
    ctx: Arc<Context>,
    reviews: Reviews<Client>,
    history: History,
    pictures: Pictures,
    streams: Arc<Semaphore>,
    stop: CancellationToken,
}

type Shared = State<Arc<Page>>;

/// The page's paths. Begins to keep the history of nodes.
pub fn router(ctx: Arc<Context>, stop: CancellationToken) -> Router {
    let page = Arc::new(Page {
        reviews: Reviews::new(ctx.client.clone()),
        history: History::default(),
        pictures: Pictures::default(),
        streams: Arc::new(Semaphore::new(MOST_STREAMS)),
        stop,
        ctx,
    });
    tokio::spawn(page.clone().keep_history());
    let file =
        |kind: &'static str, text: &'static str| get(move || async move { ([(header::CONTENT_TYPE, kind)], text) });
    let script = "text/javascript; charset=utf-8";
    Router::new()
        .route("/", get(|| async { Redirect::temporary("page/") }))
        .route("/page", get(|| async { Redirect::temporary("page/") }))
        .route("/page/", file("text/html; charset=utf-8", HTML))
        .route("/page/page.css", file("text/css; charset=utf-8", STYLE))
        .route("/page/page.js", file(script, SCRIPT))
        .route("/page/stream.js", file(script, STREAM))
        .route("/page/chart.js", file(script, CHART))
        .route("/page/icon.svg", file("image/svg+xml", ICON))
        .route("/page/state", get(state))
        .route("/page/events", get(events))
        .layer(map_response(guarded))
        .with_state(page)
}

async fn guarded(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        ("content-security-policy", POLICY),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cache-control", "no-store"),
        ("x-frame-options", "DENY"),
        ("cross-origin-resource-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// All that the viewer may see, once: for scripts.
async fn state(State(page): Shared, headers: HeaderMap) -> Response {
    match page.access(&headers).await {
        Ok((_, reviewed)) => {
            let (head, picture) = page.look(&reviewed.access);
            let now = Timestamp::now().as_second();
            Json(Told { now, head: Some(&head), ..picture.since(None) }).into_response()
        }
        Err(refusal) => refusal.into_response(),
    }
}

/// The same as server-sent events: a snapshot, then what changes.
async fn events(State(page): Shared, headers: HeaderMap) -> Response {
    let (token, reviewed) = match page.access(&headers).await {
        Ok(viewer) => viewer,
        Err(refusal) => return refusal.into_response(),
    };
    let Ok(place) = page.streams.clone().try_acquire_owned() else {
        return told(
            StatusCode::SERVICE_UNAVAILABLE,
            &format!("{MOST_STREAMS} viewers are looking already; try later"),
        );
    };
    tracing::info!(user = reviewed.access.user, "a viewer looks at the page");
    Sse::new(stream::events(page, token, reviewed, place)).keep_alive(KeepAlive::default()).into_response()
}

fn told(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({"message": message}))).into_response()
}

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::NoToken | Self::Unknown => StatusCode::UNAUTHORIZED,
            Self::Forbidden { .. } => StatusCode::FORBIDDEN,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = told(self.status(), &self.to_string());
        if self.status() == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl Page {
    async fn access(&self, headers: &HeaderMap) -> Result<(String, Reviewed), Refusal> {
        let header = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = bearer(header)?;
        Ok((token.to_owned(), self.access_of(token, None).await?))
    }

    async fn access_of(&self, token: &str, before: Option<&Access>) -> Result<Reviewed, Refusal> {
        self.reviews.access(token, before, || self.places()).await
    }

    fn places(&self) -> Places {
        let (index, watched) = (&self.ctx.index, names(&self.ctx.settings.namespaces));
        if !watched.is_empty() {
            return Places { watched, ..Places::default() };
        }
        let all = self.ctx.watches.knows_namespaces().then(|| index.namespaces());
        Places { watched, inhabited: index.inhabited(), all }
    }

    /// The objects that a viewer may see.
    fn objects(&self, access: &Access) -> Vec<Arc<Object>> {
        let ctx = &self.ctx;
        let all = ctx.index.all().into_iter();
        all.filter(|object| access.sees(&object.key) && ctx.shard.serves(&ctx.index, object)).collect()
    }

    /// What a viewer sees now.
    fn look(&self, access: &Access) -> (Head, Arc<Picture>) {
        let revision = (self.ctx.index.revision(), self.history.revision());
        let picture = self.pictures.of(access, revision, || self.picture(access, revision));
        let (counts, omitted) = (picture.counts.clone(), picture.omitted);
        (Head { counts, omitted, ..self.head(access) }, picture)
    }

    fn picture(&self, access: &Access, revision: Revision) -> Picture {
        let objects = self.objects(access);
        let sites = Sites::of(self.ctx.cloud.resource_manager.host_str());
        let rows = view::rows(&objects, |key| self.history.of(key), sites);
        Picture::new(revision, rows).unwrap_or_else(|error| {
            tracing::error!(%error, "the page can't be made");
            Picture::default()
        })
    }

    /// What doesn't come from objects.
    fn head(&self, access: &Access) -> Head {
        let leadership = &self.ctx.leadership;
        let (seen, budgets) = self.azure(access);
        Head {
            version: env!("CARGO_PKG_VERSION"),
            replica: std::env::var("HOSTNAME").unwrap_or_default(),
            leads: leadership.leads(),
            leader: leadership.leader().filter(|_| !leadership.leads()),
            user: access.user.clone(),
            namespaces: access.namespaces(),
            unasked: access.unasked,
            seen,
            budgets,
            ..Head::default()
        }
    }

    /// When each Workspace was seen last, and the buckets that they use; nothing in a standby.
    fn azure(&self, access: &Access) -> (BTreeMap<String, i64>, Vec<Bucket>) {
        let mut seen = BTreeMap::new();
        let mut users: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
        let keys = self.ctx.index.keys(WORKSPACE).into_iter().filter(|key| access.sees(key));
        for key in keys {
            let Some(Connection::Open(source)) = self.ctx.connections.get(&key) else { continue };
            if let Some(started) = source.view().started {
                let ago = i64::try_from(started.elapsed().as_secs()).unwrap_or(i64::MAX);
                seen.insert(view::place(&key), Timestamp::now().as_second().saturating_sub(ago));
            }
            let bucket = (source.client().principal_key().to_owned(), source.workspace().subscription().to_lowercase());
            users.entry(bucket).or_default().insert(view::place(&key));
        }
        let bucket = |state: azureml_arm::BucketState| {
            let workspaces = users.get(&(state.principal, state.subscription.clone()))?.clone();
            // Whole requests: a page isn't sent anew for the hundredth that comes back each instant.
            let whole = |part: f64| part.max(0.0).floor() as u64;
            let (left, capacity) = (whole(state.left), whole(state.capacity));
            let (waiting, throttled) = (state.waiting, state.throttled);
            let (subscription, operation) = (state.subscription, state.kind.as_str());
            Some(Bucket { subscription, operation, left, capacity, waiting, throttled, workspaces })
        };
        (seen, self.ctx.budget.snapshot().into_iter().filter_map(bucket).collect())
    }

    async fn keep_history(self: Arc<Self>) {
        let mut every = tokio::time::interval(history::EVERY);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return,
                _ = every.tick() => {}
            }
            let current = |object: &Object| object.status().pointer("/nodes/current").and_then(Value::as_i64);
            let all = self.ctx.index.all();
            let nodes = all.iter().filter_map(|object| Some((object.key.clone(), current(object)?)));
            self.history.sample(Timestamp::now().as_second(), nodes);
        }
    }
}
