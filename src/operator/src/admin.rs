//! Health probes and metrics over HTTP.

mod server;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::context::Context;
use crate::{health, page};

/// What the probes ask.
#[derive(Clone)]
struct Admin {
    ctx: Arc<Context>,
    started: Instant,
}

/// Serves `/healthz`, `/readyz`, `/metrics` and, if it is switched on, the page, until told to stop.
///
/// # Errors
/// When the address can't be listened on.
pub async fn serve(address: SocketAddr, ctx: Arc<Context>, stop: CancellationToken) -> std::io::Result<()> {
    let mut router = Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(Admin { ctx: ctx.clone(), started: Instant::now() });
    if ctx.settings.page {
        router = router.merge(page::router(ctx, stop.clone()));
    }
    let listener = TcpListener::bind(address).await?;
    tracing::info!(address = %listener.local_addr()?, "serving health probes and metrics");
    server::serve(listener, router, server::Bounds::default(), stop).await;
    Ok(())
}

async fn healthz(State(admin): State<Admin>) -> Response {
    match health::faults(&admin.ctx, admin.started) {
        faults if faults.is_empty() => "ok\n".into_response(),
        faults => (StatusCode::SERVICE_UNAVAILABLE, faults.join("\n") + "\n").into_response(),
    }
}

async fn readyz(State(admin): State<Admin>) -> Response {
    match admin.ctx.watches.missing() {
        missing if missing.is_empty() => "ok\n".into_response(),
        missing => {
            let text = format!("not yet listed: {}\n", missing.join(", "));
            (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
        }
    }
}

async fn metrics(State(admin): State<Admin>) -> Response {
    match admin.ctx.metrics.render(&admin.ctx) {
        Ok(text) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, kind)], text).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
