//! One viewer's stream: a snapshot, then at most once a second what has changed, until the token no longer counts.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::response::sse::Event;
use futures::Stream;
use k8s_openapi::jiff::Timestamp;
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::page::Page;
use crate::page::access::{REVIEW_LASTS, Reviewed};
use crate::page::picture::{Picture, Told};
use crate::page::view::Head;

/// Changes are gathered for as long.
const EVERY: Duration = Duration::from_secs(1);

struct Viewer {
    page: Arc<Page>,
    token: String,
    /// What they may see, and when that was asked.
    reviewed: Reviewed,
    tick: Interval,
    /// What they have been told; nothing yet without it.
    sent: Option<Sent>,
    ended: bool,
    /// Its place among the streams, free when it ends.
    _place: OwnedSemaphorePermit,
}

/// What a viewer has been told. The picture is shared with those who see the same.
struct Sent {
    head: Head,
    picture: Arc<Picture>,
}

/// The stream of a viewer who has been let in.
pub(super) fn events(
    page: Arc<Page>,
    token: String,
    reviewed: Reviewed,
    place: OwnedSemaphorePermit,
) -> impl Stream<Item = Result<Event, Infallible>> + Send {
    let mut tick = interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let viewer = Viewer { page, token, reviewed, tick, sent: None, ended: false, _place: place };
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
            if self.reviewed.asked.elapsed() >= REVIEW_LASTS
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
        match self.page.access_of(&self.token, Some(&self.reviewed.access)).await {
            Ok(reviewed) => {
                if reviewed.access != self.reviewed.access {
                    self.sent = None;
                }
                self.reviewed = reviewed;
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
        let (head, picture) = self.page.look(&self.reviewed.access);
        let before = self.sent.take();
        let told = Told {
            now: Timestamp::now().as_second(),
            head: before.as_ref().is_none_or(|sent| sent.head != head).then_some(&head),
            ..picture.since(before.as_ref().map(|sent| &*sent.picture))
        };
        let name = if before.is_none() { "snapshot" } else { "change" };
        let event = (!told.is_empty()).then(|| serde_json::to_string(&told)).transpose();
        let event = event.map(|data| data.map(|data| Event::default().event(name).data(data)));
        self.sent = Some(Sent { head, picture });
        event.ok().flatten()
    }
}
