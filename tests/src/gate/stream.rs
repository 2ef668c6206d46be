//! Watch streams that are kept back.

use std::collections::{HashMap, VecDeque};

use futures::Stream;
use hyper::body::Bytes;
use serde_json::Value;
use tokio::sync::watch;

/// What becomes of watch events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Watching {
    /// They pass.
    #[default]
    Live,
    /// Those pass that somebody else has caused: another generation, annotation or beginning of a deletion, and objects
    /// that are new. What the operator's own writes of status and finalizers cause is kept back; it comes before the next
    /// news of the same object.
    News,
    /// None passes.
    Silent,
    /// None passes, and new watches aren't answered at all.
    Unanswered,
}

/// What of an object isn't the operator's own doing.
#[derive(Debug, Clone, PartialEq)]
struct Signature {
    uid: Value,
    generation: Value,
    deletion: Value,
    annotations: Value,
}

/// The events of one watch, as they are let through.
#[derive(Debug, Default)]
pub(super) struct Valve {
    seen: HashMap<String, Signature>,
    kept: VecDeque<(String, Bytes)>,
    ready: VecDeque<Bytes>,
}

impl Valve {
    /// Takes in a line of the stream.
    fn take(&mut self, line: Bytes, watching: Watching) {
        let event: Value = serde_json::from_slice(&line).unwrap_or_default();
        let metadata = &event["object"]["metadata"];
        let object = format!("{}/{}", metadata["namespace"], metadata["name"]);
        let is_object = matches!(event["type"].as_str(), Some("ADDED" | "MODIFIED" | "DELETED"));
        let signature = Signature {
            uid: metadata["uid"].clone(),
            generation: metadata["generation"].clone(),
            deletion: metadata["deletionTimestamp"].clone(),
            annotations: metadata["annotations"].clone(),
        };
        let is_news = event["type"] == "ADDED" || self.seen.get(&object) != Some(&signature);
        let passes = match watching {
            Watching::Live => true,
            // A list came before the watch: the first event of an object may be an echo, and passes.
            Watching::News => !is_object || (is_news && event["type"] != "DELETED"),
            Watching::Silent | Watching::Unanswered => false,
        };
        if is_object {
            self.seen.insert(object.clone(), signature);
        }
        if !passes {
            self.kept.push_back((object, line));
            return;
        }
        // In order, for each object.
        let (before, others) = self.kept.drain(..).partition(|(kept, _)| *kept == object);
        self.kept = others;
        let before: VecDeque<(String, Bytes)> = before;
        self.ready.extend(before.into_iter().map(|(_, line)| line));
        self.ready.push_back(line);
    }

    fn release(&mut self) {
        self.ready.extend(self.kept.drain(..).map(|(_, line)| line));
    }
}

/// Where the stream's bytes come from.
pub(super) trait Chunks: Send + 'static {
    /// The next bytes; `None` at the end, however it came.
    fn next(&mut self) -> impl Future<Output = Option<Bytes>> + Send;
}

impl Chunks for reqwest::Response {
    async fn next(&mut self) -> Option<Bytes> {
        self.chunk().await.ok().flatten()
    }
}

struct State<C> {
    from: C,
    partial: Vec<u8>,
    valve: Valve,
    watching: watch::Receiver<Watching>,
}

/// The lines of a watch's answer, as far as they are let through.
pub(super) fn lines<C: Chunks>(from: C, watching: watch::Receiver<Watching>) -> impl Stream<Item = Bytes> + Send {
    let state = State { from, partial: Vec::new(), valve: Valve::default(), watching };
    futures::stream::unfold(state, |mut state| async move {
        loop {
            if let Some(line) = state.valve.ready.pop_front() {
                return Some((line, state));
            }
            tokio::select! {
                changed = state.watching.changed() => {
                    changed.ok()?;
                    if *state.watching.borrow_and_update() == Watching::Live {
                        state.valve.release();
                    }
                }
                bytes = state.from.next() => {
                    state.partial.extend_from_slice(&bytes?);
                    while let Some(end) = state.partial.iter().position(|byte| *byte == b'\n') {
                        let line = Bytes::from(state.partial.drain(..=end).collect::<Vec<u8>>());
                        let watching = *state.watching.borrow();
                        state.valve.take(line, watching);
                    }
                }
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;
    use serde_json::json;

    use super::*;

    fn event(kind: &str, name: &str, generation: u64, status: u64) -> Bytes {
        let metadata = json!({"name": name, "uid": "u", "generation": generation});
        Bytes::from(format!("{}\n", json!({"type": kind, "object": {"metadata": metadata, "status": status}})))
    }

    struct Given(VecDeque<Bytes>);

    impl Chunks for Given {
        async fn next(&mut self) -> Option<Bytes> {
            match self.0.pop_front() {
                Some(bytes) => Some(bytes),
                None => std::future::pending().await,
            }
        }
    }

    #[test]
    fn only_news_pass_and_what_was_kept_comes_before_them() {
        let mut valve = Valve::default();
        let (made, echo) = (event("ADDED", "a", 1, 0), event("MODIFIED", "a", 1, 1));
        let (other, edit) = (event("MODIFIED", "b", 4, 0), event("MODIFIED", "a", 2, 1));
        let gone = event("DELETED", "b", 4, 0);
        for line in [&made, &echo, &other, &gone, &edit] {
            valve.take(line.clone(), Watching::News);
        }
        assert_eq!(valve.ready, [made, other, echo, edit]);
        assert_eq!(valve.kept.len(), 1);
        valve.release();
        assert_eq!(valve.ready.back(), Some(&gone));
    }

    #[tokio::test]
    async fn lines_are_put_together_and_wait_until_they_may_pass() {
        let line = event("ADDED", "a", 1, 0);
        let (head, tail) = (line.slice(..5), line.slice(5..));
        let (policy, watching) = watch::channel(Watching::Silent);
        let mut lines = std::pin::pin!(lines(Given([head, tail].into()), watching));
        assert!(futures::poll!(lines.next()).is_pending());
        policy.send_replace(Watching::Live);
        assert_eq!(lines.next().await, Some(line));
    }
}
