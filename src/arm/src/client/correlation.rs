//! The correlation id: what ties the requests of one piece of work together, in our log and in Azure's activity log.

use std::future::Future;

tokio::task_local! {
    static CORRELATION: String;
}

/// Does a piece of work whose requests all carry this id (a GUID) as `x-ms-correlation-request-id`, which Azure's activity
/// log shows and can be searched by.
pub async fn correlated<F: Future>(id: &str, work: F) -> F::Output {
    CORRELATION.scope(id.to_owned(), work).await
}

/// The id of the work that this task does, if it has one.
pub(super) fn current() -> Option<String> {
    CORRELATION.try_with(Clone::clone).ok()
}
