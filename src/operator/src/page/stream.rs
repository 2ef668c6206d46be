//! One viewer's stream: a snapshot, then at most once a second what has changed, until the token no longer counts.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::response::sse::Event;
use futures::Stream;
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use crate::page::Page;
use crate::page::access::{Access, REVIEW_LASTS};

/// Changes are gathered for as long.
const EVERY: Duration = Duration::from_secs(1);

struct Viewer {
    page: Arc<Page>,
    token: String,
    access: Arc<Access>,
    /// When the token was looked at last.
    reviewed: Instant,
    tick: Interval,
    sent: Sent,
    /// What the rows of `sent` were made from: revisions of the index and the history.
    made_from: Option<(u64, u64)>,
    ended: bool,
    /// Its place among the streams, free when it ends.
    _place: OwnedSemaphorePermit,
}

/// What the viewer has been told.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Sent {
    head: Value,
    rows: BTreeMap<String, Value>,
}

impl Sent {
    /// Takes in what is so now, rows only if they were made anew. Gives what has to be told.
    pub(super) fn update(&mut self, head: Value, rows: Option<Vec<Value>>) -> Option<Value> {
        let mut change = serde_json::Map::new();
        if head != self.head {
            change.insert("head".to_owned(), head.clone());
            self.head = head;
        }
        if let Some(rows) = rows {
            let id = |row: &Value| row["id"].as_str().unwrap_or_default().to_owned();
            let now: BTreeMap<String, Value> = rows.into_iter().map(|row| (id(&row), row)).collect();
            let news: Vec<&Value> =
                now.iter().filter(|(id, row)| self.rows.get(*id) != Some(row)).map(|(_, row)| row).collect();
            let gone: Vec<&String> = self.rows.keys().filter(|id| !now.contains_key(*id)).collect();
            if !news.is_empty() {
                change.insert("rows".to_owned(), json!(news));
            }
            if !gone.is_empty() {
                change.insert("gone".to_owned(), json!(gone));
            }
            self.rows = now;
        }
        (!change.is_empty()).then_some(Value::Object(change))
    }
}

/// The stream of a viewer who has been let in.
pub(super) fn events(
    page: Arc<Page>,
    token: String,
    access: Arc<Access>,
    place: OwnedSemaphorePermit,
) -> impl Stream<Item = Result<Event, Infallible>> + Send {
    let mut tick = interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let viewer = Viewer {
        page,
        token,
        access,
        reviewed: Instant::now(),
        tick,
        sent: Sent::default(),
        made_from: None,
        ended: false,
        _place: place,
    };
    futures::stream::unfold(viewer, |mut viewer| async move {
        let event = viewer.next().await?;
        Some((Ok(event), viewer))
    })
}

impl Viewer {
    async fn next(&mut self) -> Option<Event> {
        let stop = self.page.stop.clone();
        while !self.ended {
            tokio::select! {
                // A stop doesn't wait for who looks.
                () = stop.cancelled() => return None,
                _ = self.tick.tick() => {}
            }
            if self.reviewed.elapsed() >= REVIEW_LASTS
                && let Some(end) = self.review().await
            {
                return Some(end);
            }
            if let Some(event) = self.look() {
                return Some(event);
            }
        }
        None
    }

    /// Whether the token still counts, and for what; the last event if it doesn't.
    async fn review(&mut self) -> Option<Event> {
        self.reviewed = Instant::now();
        match self.page.access_of(&self.token).await {
            Ok(access) => {
                if access != self.access {
                    self.access = access;
                    self.made_from = None;
                }
                None
            }
            Err(refusal) => {
                self.ended = true;
                let end = json!({"status": refusal.status().as_u16(), "message": refusal.to_string()});
                Some(Event::default().event("end").data(end.to_string()))
            }
        }
    }

    fn look(&mut self) -> Option<Event> {
        let page = self.page.clone();
        let now = (page.ctx.index.revision(), page.history.revision());
        let (rows, head) = if self.made_from == Some(now) {
            // Of the objects nothing has changed, so their counts are as they were.
            let head = serde_json::to_value(page.head(&self.access)).ok()?;
            (None, carried(head, &self.sent.head))
        } else {
            let (rows, head) = page.rows(&self.access);
            let rows = rows.iter().map(serde_json::to_value).collect::<Result<Vec<Value>, _>>().ok()?;
            (Some(rows), serde_json::to_value(head).ok()?)
        };
        let name = if self.made_from.is_none() { "snapshot" } else { "change" };
        self.made_from = Some(now);
        if name == "snapshot" {
            self.sent = Sent::default();
        }
        let mut change = self.sent.update(head, rows)?;
        change["now"] = json!(Timestamp::now().as_second());
        Some(Event::default().event(name).data(change.to_string()))
    }
}

/// A head with the counts of an earlier one.
fn carried(mut head: Value, before: &Value) -> Value {
    for member in ["counts", "omitted"] {
        head[member] = before[member].clone();
    }
    head
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_changed_is_told() {
        let row = |id: &str, nodes: i64| json!({"id": id, "nodes": nodes});
        let mut sent = Sent::default();
        let (head, other) = (json!({"leads": true}), json!({"leads": false}));
        let first = sent.update(head.clone(), Some(vec![row("a", 1), row("b", 1)]));
        assert_eq!(first, Some(json!({"head": head, "rows": [row("a", 1), row("b", 1)]})));
        assert_eq!(sent.update(head.clone(), Some(vec![row("a", 1), row("b", 1)])), None);
        assert_eq!(sent.update(head.clone(), None), None);
        assert_eq!(
            sent.update(head.clone(), Some(vec![row("a", 2), row("b", 1)])),
            Some(json!({"rows": [row("a", 2)]}))
        );
        assert_eq!(sent.update(other.clone(), Some(vec![row("b", 1)])), Some(json!({"head": other, "gone": ["a"]})));
        assert_eq!(sent.update(head.clone(), None), Some(json!({"head": head})), "rows that weren't looked at stay");
        assert_eq!(sent.rows.len(), 1);
    }
}
