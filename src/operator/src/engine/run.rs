//! Workers: take the next object from the queue, look at it, and put it back for later.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use azureml_api::registry;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use uuid::Uuid;

use crate::apply;
use crate::context::Context;
use crate::index::{Key, Object, WORKSPACE};
use crate::reconcile::{self, Next};
use crate::workspace;

/// First wait after the API server failed.
const FIRST_WAIT: Duration = Duration::from_millis(200);
/// Longest wait after the API server failed.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// How long a stop waits for looks that are under way.
const STOP_WITHIN: Duration = Duration::from_secs(20);

/// Failures of the API server in a row, by object.
#[derive(Debug, Default)]
struct Failures(Mutex<HashMap<Key, u32>>);

impl Failures {
    fn next_wait(&self, key: &Key) -> Duration {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = all.entry(key.clone()).and_modify(|count| *count += 1).or_insert(0);
        FIRST_WAIT.saturating_mul(2_u32.saturating_pow((*count).min(12))).min(LONGEST_WAIT)
    }

    fn clear(&self, key: &Key) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

/// Works until told to stop, then lets what is under way end.
pub async fn run(ctx: Arc<Context>, stop: CancellationToken) {
    let failures = Arc::new(Failures::default());
    let mut workers = JoinSet::new();
    for _ in 0..ctx.settings.concurrency {
        workers.spawn(work(ctx.clone(), failures.clone(), stop.clone()));
    }
    stop.cancelled().await;
    let all = async { while workers.join_next().await.is_some() {} };
    if tokio::time::timeout(STOP_WITHIN, all).await.is_err() {
        tracing::warn!("some objects were still being worked on at the stop; their intents are on record");
    }
}

async fn work(ctx: Arc<Context>, failures: Arc<Failures>, stop: CancellationToken) {
    loop {
        let key = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            key = ctx.queue.next() => key,
        };
        look(&ctx, &failures, &key).await;
        ctx.queue.done(&key);
    }
}

async fn look(ctx: &Arc<Context>, failures: &Failures, key: &Key) {
    let Some(object) = ctx.index.get(key) else { return ctx.scratches.forget(key) };
    if !ctx.shard.serves(&ctx.index, &object) {
        // It may have been ours before: whoever works on it now reads Azure by itself.
        if key.kind == WORKSPACE {
            ctx.connections.close(key);
            ctx.shard.leave(key);
        }
        apply::leave_queues(&ctx.budget, key);
        return ctx.scratches.forget(key);
    }
    if key.kind == WORKSPACE {
        ctx.shard.take(key);
    }
    // What Azure's activity log shows of this look, and what ours does.
    let trace = Uuid::new_v4().to_string();
    let span = tracing::info_span!("look", object = %key, trace);
    azureml_arm::correlated(&trace, looked(ctx, failures, object)).instrument(span).await;
}

async fn looked(ctx: &Arc<Context>, failures: &Failures, object: Arc<Object>) {
    let began = Instant::now();
    let key = &object.key.clone();
    let result = match registry::kind(key.kind) {
        Some(kind) => reconcile::target(ctx, kind, object).await,
        None if key.kind == WORKSPACE => workspace::reconcile(ctx, object).await,
        None => Ok(Next::OnChange),
    };
    let told = match result {
        Ok(next) => {
            failures.clear(key);
            if let Next::After(wait) = next {
                ctx.queue.add_at(key.clone(), Instant::now() + wait);
            }
            "ok"
        }
        Err(kube::Error::Api(status)) if status.is_conflict() || status.is_not_found() => {
            // Decided on old knowledge: the watch brings the new.
            ctx.queue.add_at(key.clone(), Instant::now() + failures.next_wait(key));
            "conflict"
        }
        Err(error) => {
            let wait = failures.next_wait(key);
            tracing::warn!(%error, ?wait, "the API server failed; the object is looked at again");
            ctx.queue.add_at(key.clone(), Instant::now() + wait);
            "error"
        }
    };
    tracing::debug!(result = told, took = ?began.elapsed(), "looked at");
    ctx.metrics.reconciled(key.kind, told, began.elapsed());
}

/// Puts the objects whose turn to write has come into the queue.
pub async fn dispatch_budget(ctx: Arc<Context>, stop: CancellationToken) {
    let mut wakes = ctx.budget.wakes();
    let budget = ctx.budget.clone();
    tokio::select! {
        () = stop.cancelled() => {}
        () = budget.run() => {}
        () = async {
            while let Some(text) = wakes.recv().await {
                if let Some(key) = apply::woken(&text) {
                    ctx.queue.add_first(key);
                }
            }
        } => {}
    }
}
